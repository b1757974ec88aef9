//! Which contact a client has in GHL: our own map, then a search by vCX's client id, then an
//! upsert or a creation. Never an invented e-mail; never a second contact because an answer got
//! lost.

use super::outbox::Reason;
use super::turn::{Field, Stop, Turn};
use super::work::{CallKind, Message, Step, Work};
use crate::error::{Code, Problem};
use crate::ghl::answer::{Verdict, contact, duplicate_of, field_value, text};
use crate::ghl::{self, ClientField, Details, SOURCE};
use crate::http::Response;
use crate::store::{Client, Contact, Item, Made, Stage};
use crate::vcx::ContactAsk;
use serde_json::{Value, json};

/// Where a message goes.
pub(super) struct Target {
    pub contact_id: String,
    pub conversation_id: Option<String>,
}

impl Turn<'_> {
    /// `POST /contact`.
    pub fn contact_asked(&mut self, caller: &str, ask: &ContactAsk) -> Result<(), Stop> {
        if !self.accepts(caller) {
            return Ok(());
        }
        let mut client = self.client_of(&ask.client_id)?;
        client.wanted.absorb(&ask.details);
        self.db.put_client(&client)?;
        if let Some(contact_id) = &client.contact_id
            && !differs(&client)
        {
            let body = json!({ "contactId": contact_id });
            self.answer(caller, Response::json(200, &body));
            return Ok(());
        }
        if let Some(why) = self.parked() {
            self.answer(caller, Problem::new(Code::Unavailable, why).response());
            return Ok(());
        }
        let key = format!("contact:{}", client.id);
        let seq = match self.db.item_by_key(&key)? {
            // One is under way; it looks at the details when its turn comes.
            Some(mut item) if item.work.is_some() && item.stage != Stage::Dead => {
                let before = item.caller.replace(caller.to_owned());
                self.db.put(&item);
                if let Some(before) = before {
                    let why = "another call for the same client took over";
                    self.answer(&before, Problem::new(Code::Unavailable, why).response());
                }
                item.seq
            }
            other => {
                if let Some(old) = other {
                    self.db.remove(old.seq)?;
                }
                let work = super::turn::text(&Work::Contact);
                let mut item = Item::new(key, lane(&client.id), Stage::Live, work, self.now);
                item.caller = Some(caller.to_owned());
                self.enqueue(item)?
            }
        };
        self.hold(caller, seq);
        Ok(())
    }

    pub fn start_contact(&mut self, mut item: Item, mut step: Step) -> Result<(), Stop> {
        let Some(client) = self.db.client(lane_client(&item.lane))? else {
            return self.finish(item);
        };
        let Some(contact_id) = client.contact_id.clone() else {
            self.resolve(&mut item, &mut step, None)?;
            return Ok(());
        };
        if differs(&client) {
            return self.update(item, &step, &client, &contact_id);
        }
        self.contact_done(item, &contact_id)
    }

    /// A client's changed details, after a message.
    pub fn start_details(&mut self, item: Item, step: Step) -> Result<(), Stop> {
        let Some(client) = self.db.client(lane_client(&item.lane))? else {
            return self.finish(item);
        };
        match client.contact_id.clone() {
            Some(contact_id) if differs(&client) => self.update(item, &step, &client, &contact_id),
            Some(_) | None => self.finish(item),
        }
    }

    /// Finds out where an item's messages go. None: a call for it was started, or it waits.
    pub fn resolve(
        &mut self,
        item: &mut Item,
        step: &mut Step,
        message: Option<&Message>,
    ) -> Result<Option<Target>, Stop> {
        let client_id = lane_client(&item.lane).to_owned();
        let client = self.client_of(&client_id)?;
        let Some(contact_id) = client.contact_id.clone() else {
            self.find_contact(item.clone(), step.clone(), &client)?;
            return Ok(None);
        };
        let conversation_id = self
            .db
            .contact(&contact_id)?
            .and_then(|contact| contact.conversation_id);
        if conversation_id.is_none() && message.is_some() && !step.no_conversation {
            let request = ghl::create_conversation(self.settings, &self.location.id, &contact_id);
            self.launch(item.clone(), step, CallKind::Conversation, request)?;
            return Ok(None);
        }
        Ok(Some(Target {
            contact_id,
            conversation_id,
        }))
    }

    fn find_contact(
        &mut self,
        mut item: Item,
        mut step: Step,
        client: &Client,
    ) -> Result<(), Stop> {
        let field = match &self.location.field {
            Field::Known { id } => Some(id.clone()),
            Field::Unavailable { .. } => None,
            // It has waited long enough: the visitor's words matter more.
            Field::Unknown if self.now - item.since.unwrap_or(self.now) >= FIELD_PATIENCE => None,
            Field::Unknown => {
                self.need_field()?;
                item.since.get_or_insert(self.now);
                item.set_step(&step);
                item.stage = Stage::Field;
                item.due = Some(self.now + FIELD_PATIENCE);
                self.wake_at(self.now + FIELD_PATIENCE);
                self.db.put(&item);
                return Ok(());
            }
        };
        let field = field.as_deref().map(|id| ClientField {
            id,
            client_id: &client.id,
        });
        let (kind, request) = match field {
            Some(field) if !step.searched => {
                let page = step.page + 1;
                let location = &self.location.id;
                (
                    CallKind::Search,
                    ghl::search_contacts(self.settings, location, field, page),
                )
            }
            Some(_) | None => {
                step.told = Some(client.wanted.clone());
                let details = self.new_details(client, step.plain);
                let id = &self.location.id;
                if details.email.is_some() || details.phone.is_some() {
                    let request = ghl::upsert_contact(self.settings, id, &details, field);
                    (CallKind::Upsert, request)
                } else {
                    let request = ghl::create_contact(self.settings, id, &details, field);
                    (CallKind::Create, request)
                }
            }
        };
        self.launch(item, &step, kind, request)
    }

    fn new_details(&self, client: &Client, plain: bool) -> Details {
        let mut details = client.wanted.clone();
        if plain {
            (details.email, details.phone) = (None, None);
        }
        details.name.get_or_insert_with(|| nameless(&client.id));
        details
    }

    fn update(
        &mut self,
        item: Item,
        step: &Step,
        client: &Client,
        contact_id: &str,
    ) -> Result<(), Stop> {
        let field = match &self.location.field {
            Field::Known { id } => Some(id.clone()),
            Field::Unknown | Field::Unavailable { .. } => None,
        };
        let field = field.as_deref().map(|id| ClientField {
            id,
            client_id: &client.id,
        });
        let request = ghl::update_contact(self.settings, contact_id, &client.wanted, field);
        let step = Step {
            told: Some(client.wanted.clone()),
            ..step.clone()
        };
        self.launch(item, &step, CallKind::Update, request)
    }

    pub fn contact_answered(
        &mut self,
        item: Item,
        mut step: Step,
        kind: CallKind,
        verdict: Verdict,
    ) -> Result<(), Stop> {
        let client = self.client_of(lane_client(&item.lane))?;
        match kind {
            CallKind::Search => self.search_answered(item, step, client, verdict),
            CallKind::Create | CallKind::Upsert => {
                self.create_answered(item, step, client, kind, verdict)
            }
            CallKind::Update => self.update_answered(item, step, client, verdict),
            _ => match verdict {
                Verdict::Taken(body) => {
                    let id = text(&body, &["/conversation/id", "/id", "/conversationId"]);
                    step.no_conversation = id.is_none();
                    self.learn_conversation(&client, id)?;
                    self.ready_at(item, &step, self.now)
                }
                Verdict::Refused {
                    status: 400 | 404,
                    why,
                    ..
                } if step.forgot.is_none() && why.to_ascii_lowercase().contains("contact") => {
                    if let Some(contact_id) = &client.contact_id {
                        self.db.forget_contact(contact_id)?;
                    }
                    let step = Step {
                        forgot: client.contact_id.clone().or(Some(String::new())),
                        ..Step::default()
                    };
                    self.ready_at(item, &step, self.now)
                }
                // It exists already (some answers name it), or GHL will not have it made: the
                // message alone does (FACTS §3.3).
                Verdict::Refused { body, .. } => {
                    let id = text(&body, &["/conversationId", "/meta/conversationId"]);
                    step.no_conversation = id.is_none();
                    self.learn_conversation(&client, id)?;
                    self.ready_at(item, &step, self.now)
                }
                other => self.try_again(item, &step, &other),
            },
        }
    }

    fn search_answered(
        &mut self,
        item: Item,
        mut step: Step,
        client: Client,
        verdict: Verdict,
    ) -> Result<(), Stop> {
        let body = match verdict {
            Verdict::Taken(body) => body,
            // GHL does not search this field (it was deleted, say): look for it anew.
            Verdict::Refused { .. } => {
                step.searched = true;
                self.location.field = Field::Unknown;
                return self.ready_at(item, &step, self.now);
            }
            other => {
                return self.try_again(item, &step, &other);
            }
        };
        let list = body["contacts"].as_array().map_or(&[][..], Vec::as_slice);
        let field_id = match &self.location.field {
            Field::Known { id } => id.as_str(),
            Field::Unknown | Field::Unavailable { .. } => "",
        };
        let is_mine = |found: &&Value| {
            let carries = !found["customFields"].is_array()
                || field_value(found, field_id) == Some(client.id.as_str());
            carries && text(found, &["/id"]) != step.forgot.as_deref()
        };
        let found = list
            .iter()
            .find(is_mine)
            .and_then(|found| Some((found, text(found, &["/id"])?)));
        if let Some((found, id)) = found {
            let made_here = step.created && found["source"] == SOURCE;
            let made = if made_here {
                Made::Untagged
            } else {
                Made::Elsewhere
            };
            let sent = details_of(found, &client.wanted);
            self.learn_contact(client, id, made, sent)?;
            step.searched = true;
            return self.ready_at(item, &step, self.now);
        }
        step.page += 1;
        if list.len() < ghl::SEARCH_PAGE || step.page >= SEARCH_PAGES {
            step.searched = true;
        }
        self.ready_at(item, &step, self.now)
    }

    fn create_answered(
        &mut self,
        item: Item,
        mut step: Step,
        client: Client,
        kind: CallKind,
        verdict: Verdict,
    ) -> Result<(), Stop> {
        match verdict {
            Verdict::Taken(body) => {
                let record = contact(&body);
                let Some(id) = text(record, &["/id"]) else {
                    let reason = Reason::new("ghl_unclear", "GHL made a contact without an id");
                    return self.search_again(item, step, reason);
                };
                // A creation has no `new`: what it answers with, it made. An upsert has.
                let is_new = body["new"].as_bool().unwrap_or(kind == CallKind::Create);
                let made = if is_new {
                    Made::Untagged
                } else {
                    Made::Elsewhere
                };
                let sent = step.told.take().unwrap_or_default();
                self.learn_contact(client, id, made, sent)?;
                self.ready_at(item, &step, self.now)
            }
            Verdict::Refused { body, .. } if duplicate_of(&body).is_some() => {
                let id = duplicate_of(&body).unwrap_or_default().to_owned();
                // Its details were not taken: they follow by an update.
                self.learn_contact(client, &id, Made::Elsewhere, Details::default())?;
                self.ready_at(item, &step, self.now)
            }
            Verdict::Refused {
                status: 422 | 400,
                why,
                ..
            } if !step.plain => {
                // A 422 may have made it all the same (FACTS §7.20), and what GHL did not like
                // is an e-mail or a phone: the visitor's words matter more.
                step.plain = true;
                self.search_again(item, step, Reason::new("ghl_refused_details", why))
            }
            Verdict::Refused { status, why, .. } => {
                let words = format!("GHL refused the contact with {status}: {why}");
                self.give_up(item, Reason::new("contact_refused", words))
            }
            Verdict::Unclear { why, .. } => {
                self.search_again(item, step, Reason::new("ghl_unclear", why))
            }
            other => self.try_again(item, &step, &other),
        }
    }

    /// The contact may have been made: the search sees it after a while (FACTS §2.4).
    pub fn search_again(&mut self, item: Item, mut step: Step, reason: Reason) -> Result<(), Stop> {
        step.created = true;
        step.searched = matches!(self.location.field, Field::Unavailable { .. });
        step.page = 0;
        self.put_off(item, &step, reason, Some(SEARCH_LAG))
    }

    fn update_answered(
        &mut self,
        item: Item,
        step: Step,
        mut client: Client,
        verdict: Verdict,
    ) -> Result<(), Stop> {
        match verdict {
            Verdict::Taken(_) => {}
            Verdict::Refused { status: 404, .. } if step.forgot.is_none() => {
                let Some(contact_id) = client.contact_id.clone() else {
                    return self.finish(item);
                };
                self.db.forget_contact(&contact_id)?;
                if item.class == Stage::Upkeep {
                    return self.finish(item);
                }
                let step = Step {
                    forgot: Some(contact_id),
                    ..Step::default()
                };
                return self.ready_at(item, &step, self.now);
            }
            Verdict::Refused { status, why, .. } => {
                // Not asked for again before vCX says something else.
                client.sent = step.told.unwrap_or_default();
                self.db.put_client(&client)?;
                let words = format!("GHL refused the contact's details with {status}: {why}");
                return self.give_up(item, Reason::new("contact_refused", words));
            }
            other => {
                return self.try_again(item, &step, &other);
            }
        }
        client.sent = step.told.unwrap_or_default();
        self.db.put_client(&client)?;
        if differs(&client) {
            // vCX has said more meanwhile.
            return self.ready_at(item, &Step::default(), self.now);
        }
        let contact_id = client.contact_id.clone().unwrap_or_default();
        self.contact_done(item, &contact_id)
    }

    fn contact_done(&mut self, mut item: Item, contact_id: &str) -> Result<(), Stop> {
        if let Some(caller) = item.caller.take() {
            self.answer(
                &caller,
                Response::json(200, &json!({ "contactId": contact_id })),
            );
        }
        if item.class == Stage::Live {
            self.settle_contact(&item.lane)?;
        }
        self.finish(item)
    }

    fn learn_contact(
        &mut self,
        mut client: Client,
        contact_id: &str,
        made: Made,
        sent: Details,
    ) -> Result<(), Stop> {
        client.contact_id = Some(contact_id.to_owned());
        client.made = made;
        client.sent = sent;
        self.db.put_client(&client)?;
        if self.db.contact(contact_id)?.is_none() {
            let contact = Contact {
                id: contact_id.to_owned(),
                conversation_id: None,
                chat_id: None,
            };
            self.db.put_contact(&contact)?;
        }
        Ok(())
    }

    fn learn_conversation(&mut self, client: &Client, id: Option<&str>) -> Result<(), Stop> {
        if let (Some(contact_id), Some(id)) = (&client.contact_id, id)
            && let Some(mut contact) = self.db.contact(contact_id)?
        {
            contact.conversation_id = Some(id.to_owned());
            self.db.put_contact(&contact)?;
        }
        Ok(())
    }

    /// After a message: the tag of a contact that we made, and what vCX has changed since.
    pub fn settle_contact(&mut self, message_lane: &str) -> Result<(), Stop> {
        let Some(client) = self.db.client(lane_client(message_lane))? else {
            return Ok(());
        };
        let Some(contact_id) = &client.contact_id else {
            return Ok(());
        };
        if client.made == Made::Untagged {
            let work = Work::Tag {
                contact_id: contact_id.clone(),
            };
            self.upkeep(format!("tag:{}", client.id), &client.id, &work)?;
        }
        if differs(&client) {
            self.upkeep(format!("details:{}", client.id), &client.id, &Work::Details)?;
        }
        Ok(())
    }

    /// Adds set-up work for a client, unless it is there.
    fn upkeep(&mut self, key: String, client_id: &str, work: &Work) -> Result<(), Stop> {
        let lane = format!("upkeep:{client_id}");
        let item = Item::new(key, lane, Stage::Upkeep, super::turn::text(work), self.now);
        self.enqueue_once(item)
    }

    /// The client whose lane and contact this one uses.
    pub fn client_of(&mut self, client_id: &str) -> Result<Client, Stop> {
        let Some(client) = self.db.client(client_id)? else {
            return Ok(Client::new(client_id, client_id));
        };
        if client.lane == client.id {
            return Ok(client);
        }
        let lane = client.lane.clone();
        Ok(self
            .db
            .client(&lane)?
            .unwrap_or_else(|| Client::new(&lane, &lane)))
    }

    /// Whether vCX may ask for anything here; says so if not.
    pub fn accepts(&mut self, caller: &str) -> bool {
        let gone = matches!(
            self.location.lifecycle,
            crate::token::Lifecycle::Gone { .. }
        );
        if gone {
            self.answer(caller, disconnected(&self.location.id));
        }
        !gone
    }

    /// Lets a caller wait for an item, for as long as it may.
    pub fn hold(&mut self, caller: &str, item: i64) {
        self.out.push(super::Output::Hold {
            caller: caller.to_owned(),
            item,
            millis: HOLD,
        });
    }
}

/// The lane of a client's messages to GHL.
pub(super) fn lane(client_id: &str) -> String {
    format!("ghl:{client_id}")
}

/// The client whose lane it is; of its upkeep as well.
pub(super) fn lane_client(lane: &str) -> &str {
    lane.split_once(':')
        .map_or(lane, |(_, client_id)| client_id)
}

/// The answer for a location that was ours.
pub(super) fn disconnected(location_id: &str) -> Response {
    let detail =
        format!("the app was uninstalled from location {location_id}: install it there again");
    Problem::new(Code::LocationDisconnected, detail).response()
}

/// Whether vCX says something about a visitor that GHL was not told.
fn differs(client: &Client) -> bool {
    let news = |wanted: &Option<String>, sent: &Option<String>| wanted.is_some() && wanted != sent;
    news(&client.wanted.name, &client.sent.name)
        || news(&client.wanted.email, &client.sent.email)
        || news(&client.wanted.phone, &client.sent.phone)
}

/// What a contact that was found says, in vCX's spelling where it is the same.
fn details_of(found: &Value, wanted: &Details) -> Details {
    let first_last = || {
        let first = text(found, &["/firstName", "/firstNameLowerCase"]).unwrap_or_default();
        let last = text(found, &["/lastName", "/lastNameLowerCase"]).unwrap_or_default();
        format!("{first} {last}").trim().to_owned()
    };
    let name = text(found, &["/contactName", "/name"]).map_or_else(first_last, str::to_owned);
    let same = |theirs: Option<String>, mine: &Option<String>| match (theirs, mine) {
        (Some(theirs), Some(mine)) if theirs.eq_ignore_ascii_case(mine) => Some(mine.clone()),
        (theirs, _) => theirs,
    };
    Details {
        name: same(Some(name), &wanted.name),
        email: same(text(found, &["/email"]).map(str::to_owned), &wanted.email),
        phone: same(text(found, &["/phone"]).map(str::to_owned), &wanted.phone),
    }
}

/// What an agent sees until vCX knows a name.
fn nameless(client_id: &str) -> String {
    let short: String = client_id.chars().take(12).collect();
    format!("vCX visitor {short}")
}

/// How long a caller may wait.
pub(super) const HOLD: i64 = 10_000;
/// The contact search sees a new contact after a few seconds.
const SEARCH_LAG: i64 = 10_000;
const SEARCH_PAGES: u32 = 50;
const FIELD_PATIENCE: i64 = 8_000;
