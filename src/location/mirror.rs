//! KV's copy: what other Workers, tools and the directory read, and what an empty object
//! restores from. Written when something changes, one value at a time, until KV has it.

use super::Output;
use super::turn::{Kind, Stop, Turn, text};
use crate::map::iso;
use crate::signature::{digest_of, hex};
use crate::store::Contact;
use serde_json::json;

impl Turn<'_> {
    /// The tokens, sealed; a tombstone once the app was uninstalled.
    pub fn mirror_tokens(&mut self) -> Result<(), Stop> {
        let rev = self.next_rev();
        let members = match self.location.kind {
            Kind::Location => None,
            Kind::Company => Some(self.db.members()?),
        };
        let location = &self.location;
        // An agency that never had tokens knows its locations all the same.
        let is_tombstone = location.lifecycle.is_gone() && location.connected_at > 0;
        let value = if is_tombstone {
            json!({ "rev": rev, "gone": true, "at": iso(self.now) })
        } else {
            json!({
                "rev": rev,
                "sealed": self.sealed,
                "expiresAt": location.expires_at,
                "refreshedAt": location.refreshed_at,
                "companyId": location.company_id,
                "via": location.via,
                "ref": location.reference,
                "connectedAt": location.connected_at,
                "members": members,
            })
        };
        let key = token_key(location.kind, &location.id);
        Ok(self.db.put_mirror(&key, &text(&value), rev, self.now)?)
    }

    /// The location's entry in the directory.
    pub fn mirror_location(&mut self) -> Result<(), Stop> {
        if self.location.kind == Kind::Company {
            return Ok(());
        }
        let rev = self.next_rev();
        let location = &self.location;
        let value = json!({
            "companyId": location.company_id,
            "state": location.lifecycle.name(),
            "via": location.via,
            "ref": location.reference,
            "rev": rev,
        });
        let key = format!("{DIRECTORY}{}", location.id);
        Ok(self.db.put_mirror(&key, &text(&value), rev, self.now)?)
    }

    /// Where a chat is in GHL, and whose a GHL conversation is.
    pub fn mirror_chat(
        &mut self,
        chat_id: &str,
        client_id: &str,
        contact: &Contact,
    ) -> Result<(), Stop> {
        let rev = self.next_rev();
        let value = json!({
            "clientId": client_id,
            "contactId": contact.id,
            "conversationId": contact.conversation_id,
            "rev": rev,
        });
        let key = chat_key(&self.location.id, chat_id);
        self.db.put_mirror(&key, &text(&value), rev, self.now)?;
        if let Some(conversation_id) = &contact.conversation_id {
            let rev = self.next_rev();
            let value = json!({
                "contactId": contact.id,
                "vcxConversationId": contact.chat_id,
                "rev": rev,
            });
            let key = conversation_key(&self.location.id, conversation_id);
            self.db.put_mirror(&key, &text(&value), rev, self.now)?;
        }
        Ok(())
    }

    /// Hands the next value to KV, if none is on its way.
    pub fn mirror_next(&mut self) -> Result<(), Stop> {
        let Some(next) = self.db.next_mirror()? else {
            return Ok(());
        };
        let lost = next.sent_at.is_some_and(|at| self.now >= at + LOST);
        if let (Some(at), false) = (next.sent_at, lost) {
            self.wake_at(at + LOST);
        } else if next.due > self.now && !lost {
            self.wake_at(next.due);
        } else {
            self.db.mirror_sent(&next.key, self.now)?;
            self.wake_at(self.now + LOST);
            let listed = next.key.starts_with(DIRECTORY);
            let (key, value, rev) = (next.key, next.value, next.rev);
            self.out.push(Output::Mirror {
                key,
                value,
                rev,
                listed,
            });
        }
        Ok(())
    }

    /// KV took a value, or did not.
    pub fn mirrored(&mut self, key: &str, rev: i64, ok: bool) -> Result<(), Stop> {
        if ok {
            return Ok(self.db.mirror_taken(key, rev)?);
        }
        let tries = self.db.next_mirror()?.map_or(0, |next| next.tries);
        let most = KV_PAUSE.saturating_mul(1 << tries.clamp(0, 9));
        let wait = KV_PAUSE + (self.jitter() * most as f64) as i64;
        Ok(self.db.mirror_refused(key, self.now + wait)?)
    }

    /// Grows with every value, also after a restore that does not know the last one.
    fn next_rev(&mut self) -> i64 {
        self.location.rev = (self.location.rev + 1).max(self.now);
        self.location.rev
    }
}

/// KV's key of an object's tokens.
pub(super) fn token_key(kind: Kind, id: &str) -> String {
    match kind {
        Kind::Location => format!("token:{id}"),
        Kind::Company => format!("token:company:{id}"),
    }
}

/// KV's key of a vCX conversation.
pub(super) fn chat_key(location_id: &str, chat_id: &str) -> String {
    bounded(format!("conv:{location_id}:{chat_id}"))
}

/// KV's key of a GHL conversation.
pub(super) fn conversation_key(location_id: &str, conversation_id: &str) -> String {
    bounded(format!("ghl:{location_id}:{conversation_id}"))
}

/// KV takes keys of up to 512 bytes; ids of 128 characters can have as many alone.
fn bounded(key: String) -> String {
    if key.len() <= KEY {
        return key;
    }
    let kind = key.split(':').next().unwrap_or_default();
    format!("{kind}:sha256:{}", hex(&digest_of(key.as_bytes())))
}

const KEY: usize = 512;
/// The directory's keys begin with this.
pub const DIRECTORY: &str = "location:";
/// KV takes one write a second for a key.
const KV_PAUSE: i64 = 1_100;
/// A value that the host never came back with is handed over again after this time.
const LOST: i64 = 15_000;
