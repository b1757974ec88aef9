//! An agency's object: its Company token, and the location tokens it hands out (FACTS §1.4).

use super::connection::{BY_COMPANY, Connected};
use super::outbox::Reason;
use super::turn::{Stop, Turn, text};
use super::work::{CallKind, Step, Work};
use super::{Ask, object_of};
use crate::error::{Code, Problem};
use crate::ghl::answer::{Verdict, text as text_at};
use crate::ghl::tokens::Grant;
use crate::ghl::{self, INSTALLED_PAGE};
use crate::http::Response;
use crate::store::{Item, Stage};
use crate::wire::read;
use serde_json::json;

impl Turn<'_> {
    /// A location says that it belongs to this agency.
    pub fn register(&mut self, caller: &str, location_id: &str) -> Result<(), Stop> {
        if self.db.add_member(location_id)? {
            self.mirror_tokens()?;
        }
        self.answer(caller, Response::json(200, &json!({ "registered": true })));
        Ok(())
    }

    /// A location asks for tokens: they follow by [`Ask::Connect`].
    pub fn mint(&mut self, caller: &str, location_id: &str) -> Result<(), Stop> {
        if self.connected_as() != Connected::Company || self.sealed.is_none() {
            let detail = "the agency is not connected";
            self.answer(
                caller,
                Problem::new(Code::UnknownLocation, detail).response(),
            );
            return Ok(());
        }
        self.mint_for(location_id)?;
        self.answer(caller, Response::json(202, &json!({ "queued": true })));
        Ok(())
    }

    /// Queues a location's token.
    pub fn mint_for(&mut self, location_id: &str) -> Result<(), Stop> {
        if self.sealed.is_none() {
            return Ok(());
        }
        let work = text(&Work::Mint {
            location_id: location_id.to_owned(),
        });
        let key = format!("mint:{location_id}");
        self.enqueue_once(Item::new(key.clone(), key, Stage::Upkeep, work, self.now))
    }

    /// Queues the reading of the agency's locations.
    pub fn list_locations(&mut self) -> Result<(), Stop> {
        let work = text(&Work::List { skip: 0 });
        self.enqueue_once(Item::new(
            LIST.into(),
            LIST.into(),
            Stage::Upkeep,
            work,
            self.now,
        ))
    }

    /// Queues a location's tokens for the location, sealed like all tokens at rest.
    fn hand_on(&mut self, location_id: &str, grant: &Grant) -> Result<(), Stop> {
        let key = format!("grant:{location_id}");
        if let Some(old) = self.db.item_by_key(&key)? {
            self.db.remove(old.seq)?;
        }
        let nonce = self.random();
        let sealed = self
            .settings
            .seal_keys
            .seal(text(grant).as_bytes(), location_id, nonce);
        let work = text(&Work::Grant {
            location_id: location_id.to_owned(),
            sealed,
        });
        self.enqueue(Item::new(key.clone(), key, Stage::Upkeep, work, self.now))?;
        Ok(())
    }

    pub fn start_grant(&mut self, item: Item, location_id: &str, sealed: &str) -> Result<(), Stop> {
        let opened = self.settings.seal_keys.open(sealed, location_id);
        let Some(grant) = opened.ok().and_then(|bytes| read(&bytes).ok()) else {
            // The keys changed meanwhile: new tokens can be had.
            self.finish(item)?;
            return self.mint_for(location_id);
        };
        let (via, reference) = (BY_COMPANY.to_owned(), self.location.reference.clone());
        self.launch_tell(
            item,
            object_of(location_id),
            Ask::Connect {
                grant,
                via,
                reference,
            },
        )
    }

    pub fn start_mint(&mut self, item: Item, location_id: &str) -> Result<(), Stop> {
        let request = ghl::location_token(self.settings, &self.location.id, location_id);
        self.launch(item, &Step::default(), CallKind::Mint, request)
    }

    pub fn start_list(&mut self, item: Item, skip: u32) -> Result<(), Stop> {
        let request = ghl::installed_locations(self.settings, &self.location.id, skip);
        self.launch(item, &Step::default(), CallKind::List, request)
    }

    pub fn company_answered(
        &mut self,
        mut item: Item,
        step: Step,
        kind: CallKind,
        verdict: Verdict,
    ) -> Result<(), Stop> {
        match (item.work()?, verdict) {
            (Work::Mint { location_id }, Verdict::Taken(body)) => match Grant::read(&body) {
                Ok(grant) => {
                    if self.db.add_member(&location_id)? {
                        self.mirror_tokens()?;
                    }
                    self.hand_on(&location_id, &grant)?;
                    self.finish(item)
                }
                Err(why) => self.put_off(item, &step, Reason::new("ghl_failed", why), None),
            },
            (Work::List { skip }, Verdict::Taken(body)) => {
                let list = body["locations"].as_array().map_or(&[][..], Vec::as_slice);
                for location in list.iter().filter(|entry| entry["isInstalled"] != false) {
                    if let Some(id) = text_at(location, &["/_id", "/id", "/locationId"]) {
                        self.mint_for(id)?;
                    }
                }
                if list.is_empty() || list.len() < INSTALLED_PAGE as usize {
                    return self.finish(item);
                }
                item.set_work(&Work::List {
                    skip: skip + list.len() as u32,
                });
                self.ready_at(item, &step, self.now)
            }
            (Work::Mint { location_id }, Verdict::Refused { why, .. }) => {
                let ask = Box::new(Ask::MintRefused { why: why.clone() });
                self.tell(format!("grant:{location_id}"), object_of(&location_id), ask)?;
                self.finish(item)
            }
            (_, other) => {
                self.log("warn", "agency_call_failed", json!({ "call": kind.word() }));
                self.try_again(item, &step, &other)
            }
        }
    }
}

const LIST: &str = "list";
