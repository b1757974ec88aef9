//! Set-up work at GHL: the custom field, the tag, and letting rows and parked work go.

use super::outbox::{PATIENCE, Reason};
use super::turn::{Field, Stop, Turn, text};
use super::work::{CallKind, Step, Work};
use crate::error::Fault;
use crate::ghl::answer::{Verdict, text as text_at};
use crate::ghl::{self, FIELD_KEY, FIELD_NAME};
use crate::store::{Item, Made, Stage};
use serde_json::Value;

impl Turn<'_> {
    /// Looks for the custom field, or makes it, before anything that needs it.
    pub fn need_field(&mut self) -> Result<(), Stop> {
        match self.db.item_by_key(FIELD)? {
            None => self.set_up_field(Stage::Live),
            Some(mut item) if item.class == Stage::Upkeep => {
                item.class = Stage::Live;
                if item.stage == Stage::Upkeep {
                    item.stage = Stage::Live;
                }
                self.db.put(&item);
                Ok(())
            }
            Some(_) => Ok(()),
        }
    }

    /// Queues the custom field's set-up.
    pub fn set_up_field(&mut self, class: Stage) -> Result<(), Stop> {
        let item = Item::new(
            FIELD.into(),
            FIELD.into(),
            class,
            text(&Work::Field),
            self.now,
        );
        self.enqueue_once(item)
    }

    pub fn start_field(&mut self, item: Item) -> Result<(), Stop> {
        let request = ghl::list_fields(self.settings, &self.location.id);
        self.launch(item, &Step::default(), CallKind::ListFields, request)
    }

    pub fn start_tag(&mut self, item: Item, contact_id: &str) -> Result<(), Stop> {
        let request = ghl::add_tag(self.settings, contact_id);
        self.launch(item, &Step::default(), CallKind::Tag, request)
    }

    pub fn upkeep_answered(
        &mut self,
        item: Item,
        step: Step,
        kind: CallKind,
        verdict: Verdict,
    ) -> Result<(), Stop> {
        match (kind, verdict) {
            (CallKind::Tag, Verdict::Taken(_) | Verdict::Refused { .. }) => self.tagged(item),
            (CallKind::ListFields, Verdict::Taken(body)) => {
                let list = body["customFields"]
                    .as_array()
                    .map_or(&[][..], Vec::as_slice);
                match list.iter().find(|field| is_ours(field)).and_then(field_id) {
                    Some(id) => self.field_known(item, id.to_owned()),
                    None => {
                        let request = ghl::create_field(self.settings, &self.location.id);
                        self.launch(item, &step, CallKind::CreateField, request)
                    }
                }
            }
            (_, Verdict::Taken(body)) => {
                let made = if body["customField"].is_object() {
                    &body["customField"]
                } else {
                    &body
                };
                match field_id(made) {
                    Some(id) => self.field_known(item, id.to_owned()),
                    // It may be there now: it is listed anew.
                    None => {
                        let words = "GHL made a custom field without an id";
                        self.put_off(item, &step, Reason::new("ghl_unclear", words), None)
                    }
                }
            }
            // A scope that was not granted will not be granted by waiting a little.
            (kind, Verdict::Refused { why, .. }) if kind != CallKind::Tag => {
                self.no_field(item, why)
            }
            (
                kind,
                Verdict::Failed {
                    status: 401 | 403,
                    why,
                    ..
                },
            ) if kind != CallKind::Tag => self.no_field(item, why),
            (_, other) => self.try_again(item, &step, &other),
        }
    }

    fn tagged(&mut self, item: Item) -> Result<(), Stop> {
        let client_id = super::contact::lane_client(&item.lane).to_owned();
        let mut client = self.client_of(&client_id)?;
        client.made = Made::Tagged;
        self.db.put_client(&client)?;
        self.finish(item)
    }

    fn field_known(&mut self, item: Item, id: String) -> Result<(), Stop> {
        self.location.field = Field::Known { id };
        self.field_settled(item)
    }

    /// Contacts are found by our own map alone, then.
    fn no_field(&mut self, item: Item, why: String) -> Result<(), Stop> {
        self.location.field = Field::Unavailable { why };
        self.field_settled(item)
    }

    /// Whoever has waited too long for the custom field goes on without it.
    pub fn release_field_waiters(&mut self) -> Result<(), Stop> {
        match self.db.next_field_waiter()? {
            Some(due) if due <= self.now => Ok(self.db.release_field(self.now)?),
            Some(_) | None => Ok(()),
        }
    }

    fn field_settled(&mut self, item: Item) -> Result<(), Stop> {
        self.db.release_field(self.now)?;
        // It can be needed again, when an admin deletes the field.
        self.db.remove(item.seq)?;
        Ok(())
    }

    /// Lets old rows go, and parked work that nobody came back for.
    pub fn trim(&mut self) -> Result<(), Stop> {
        if self.now - self.pulse.trimmed_at < TRIM_EVERY {
            return Ok(());
        }
        if self.db.trim(self.now - MEMORY)? {
            self.wake_at(self.now + 1_000);
        } else {
            self.pulse.trimmed_at = self.now;
        }
        if self.connected() {
            if matches!(self.location.field, Field::Unavailable { .. }) {
                self.set_up_field(Stage::Upkeep)?;
            }
            return Ok(());
        }
        for seq in self.db.parked_before(self.now - MEMORY)? {
            let item = self.db.item(seq)?;
            let item = item.ok_or_else(|| Fault(format!("item {seq} is gone")))?;
            let why = "the location was not connected for 30 days";
            self.give_up_unread(item, Reason::new("parked", why))?;
        }
        if self.db.depth()?.0 > 0 {
            self.wake_at(self.now + PATIENCE);
        }
        Ok(())
    }
}

fn is_ours(field: &Value) -> bool {
    text_at(field, &["/fieldKey"]) == Some(FIELD_KEY)
        || text_at(field, &["/name"]) == Some(FIELD_NAME)
}

fn field_id(field: &Value) -> Option<&str> {
    text_at(field, &["/id", "/_id"])
}

const FIELD: &str = "field";
/// How long ids, results and parked work are kept.
const MEMORY: i64 = 30 * 86_400_000;
const TRIM_EVERY: i64 = 3_600_000;
