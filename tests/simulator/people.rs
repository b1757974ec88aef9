//! Visitors, agents, bots and admins: what they do and when, and how they take what they hear.

use super::dice::Dice;
use super::ghl::{Contact, Ghl};
use super::ledger::{Owed, Rule};
use super::network::json_of;
use super::plan::{Fault, Plan};
use super::visits::From;
use super::world::{Event, START, World};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use vcx_ghl::http::{Request, Response};
use vcx_ghl::location::object_of;

/// Something that somebody does, or that happens to them.
#[derive(Clone, Debug)]
pub enum Act {
    /// A visitor, or an agent or a bot of vCX's, says something.
    Say {
        visitor: usize,
    },
    /// vCX's backend pushes it, perhaps again.
    Push(usize),
    /// An answer comes back to whoever asked, or never will.
    Heard(From, Option<Response>),
    /// A GHL user writes to a visitor: through our provider (`Custom`), or another channel.
    Reply {
        visitor: usize,
        kind: &'static str,
    },
    /// A GHL user writes to a contact that never chatted.
    ReplyToStranger {
        location: String,
    },
    /// GHL posts a webhook, perhaps again.
    Post(usize),
    /// A GHL user opens a conversation.
    Read {
        visitor: usize,
    },
    /// The visitor logs in, and has another client id from now on.
    LogIn {
        visitor: usize,
    },
    /// vCX tells who a visitor is.
    Introduce {
        visitor: usize,
    },
    /// vCX tells how far an agent's message got.
    Status {
        location: String,
        message: String,
        status: &'static str,
    },
    /// vCX's bot repeats what it hears.
    Echo {
        location: String,
        chat: String,
        words: String,
    },
    /// An operator replays dead letters.
    Replay {
        location: String,
    },
    /// An admin installs the app.
    Install {
        resource: String,
    },
    Uninstall {
        location: String,
    },
    /// The app is installed again, and we know it.
    Back {
        resource: String,
    },
    /// GHL stops taking the tokens.
    Revoke {
        location: String,
    },
    Expire {
        location: String,
    },
    Pause {
        location: String,
    },
    Resume {
        location: String,
    },
    /// GHL or vCX goes down, until then.
    Down {
        who: Fault,
        until: i64,
    },
    Jump {
        location: String,
        by: i64,
    },
    Delete {
        visitor: usize,
    },
    Merge {
        visitor: usize,
    },
    /// Nothing goes wrong any more.
    Over,
}

/// Somebody who chats.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub location: String,
    /// The last one is the present one.
    pub clients: Vec<String>,
    pub chats: Vec<String>,
    details: Value,
}

/// A message that vCX pushes.
#[derive(Clone, Debug)]
pub struct Pushed {
    pub location: String,
    pub id: String,
    body: String,
    pub tries: u32,
}

/// A webhook that GHL posts.
#[derive(Clone, Debug)]
pub struct Posted {
    pub raw: String,
    pub signature: String,
    /// The agent's message that it is about.
    pub reply: Option<String>,
    pub tries: u32,
    pub taken: bool,
}

/// Everybody.
#[derive(Default)]
pub struct People {
    pub visitors: Vec<Visitor>,
    pub locations: Vec<String>,
    pub agency: String,
    pub pushes: Vec<Pushed>,
    pub posts: Vec<Posted>,
    /// When people stop talking.
    pub ends_at: i64,
    pub paused: BTreeSet<String>,
    pub poison: BTreeSet<String>,
    pub replayed_at_last: bool,
    down: BTreeMap<Fault, bool>,
    said: u64,
    strangers: u32,
    /// Hops of a loop so far, and when the last one was, by chat and words.
    echoes: BTreeMap<(String, String), (u32, i64)>,
    /// Locations that the app is not installed in: webhooks have no effect there.
    pub gone: BTreeSet<String>,
}

impl People {
    /// Makes the agency, its locations and their visitors.
    pub fn gather(plan: &Plan, ghl: &mut Ghl, dice: &mut Dice) -> Self {
        let agency = ghl.add_company();
        let locations: Vec<String> = (0..plan.locations)
            .map(|_| ghl.add_location(&agency))
            .collect();
        let visitors = (0..plan.visitors)
            .map(|n| {
                let location = dice.pick(&locations).clone();
                let chats = (0..dice.about(1, 4))
                    .map(|chat| format!("chat-{n}-{chat}"))
                    .collect();
                let mut details = json!({ "name": format!("Visitor {n}") });
                if dice.chance(0.5) {
                    // Two people of one family share an address now and then.
                    let name = if dice.chance(0.2) { 0 } else { n };
                    details["email"] = json!(format!("v{name}@example.com"));
                }
                if dice.chance(0.3) {
                    details["phone"] = json!(format!("+1555{n:07}"));
                }
                Visitor {
                    location,
                    clients: vec![format!("client-{n}")],
                    chats,
                    details,
                }
            })
            .collect();
        Self {
            visitors,
            locations,
            agency,
            ends_at: START + plan.span,
            ..Self::default()
        }
    }

    /// The visitor of a chat.
    pub fn visitor_of(&self, location: &str, chat: &str) -> Option<usize> {
        self.visitors.iter().position(|visitor| {
            visitor.location == location && visitor.chats.iter().any(|one| one == chat)
        })
    }

    /// Whether a contact of GHL's is this visitor, by what it says.
    pub fn is_known_as(&self, visitor: usize, contact: Option<&Contact>) -> bool {
        let who = &self.visitors[visitor];
        contact.is_some_and(|contact| {
            let is = |name: &str| {
                who.details[name]
                    .as_str()
                    .is_some_and(|mine| contact.text(name) == mine)
            };
            let values = contact
                .custom
                .iter()
                .filter_map(|(_, value)| value.as_str());
            let mut clients = values.filter(|value| who.clients.iter().any(|mine| mine == value));
            is("email") || is("phone") || clients.next().is_some()
        })
    }

    pub fn is_down(&self, who: Fault) -> bool {
        self.down.get(&who).copied().unwrap_or_default()
    }

    /// Whether GHL refuses this message for good.
    pub fn refuses(&self, request: &Request) -> bool {
        !self.poison.is_empty()
            && request.url.ends_with("/messages/inbound")
            && json_of(request)["altId"]
                .as_str()
                .is_some_and(|id| self.poison.contains(id))
    }

    /// Whether the call is by a location that is paused.
    pub fn is_paused(&self, request: &Request) -> bool {
        let bearer = request
            .headers
            .get("authorization")
            .map_or("", String::as_str);
        self.paused
            .iter()
            .any(|location| bearer.contains(location.as_str()))
    }
}

impl World {
    /// Writes down who does what when.
    pub fn schedule_everything(&mut self) {
        let start = START + 5_000;
        let resources = match self.plan.by_agency {
            true => vec![self.people.agency.clone()],
            false => self.people.locations.clone(),
        };
        for resource in resources {
            self.at(START, Event::Act(Act::Install { resource }));
        }
        let mut at = start;
        for _ in 0..self.plan.messages {
            if !self.whims.chance(self.plan.burst) {
                at = self.whims.between(start, START + self.plan.span);
            }
            let visitor = self.whims.between(0, self.plan.visitors as i64 - 1) as usize;
            let act = match self.whims.chance(0.6) {
                true => Act::Say { visitor },
                false => Act::Reply {
                    visitor,
                    kind: "Custom",
                },
            };
            let lag = self.whims.between(0, 2_000);
            self.at(at + lag, Event::Act(act));
        }
        self.schedule_more();
        self.schedule_trouble();
        self.at(self.people.ends_at, Event::Act(Act::Over));
    }

    fn schedule_more(&mut self) {
        for visitor in 0..self.plan.visitors {
            let more = [
                (
                    0.3,
                    Act::Reply {
                        visitor,
                        kind: "SMS",
                    },
                ),
                (
                    0.3,
                    Act::Reply {
                        visitor,
                        kind: "InternalComment",
                    },
                ),
                (0.4, Act::Read { visitor }),
                (0.3, Act::LogIn { visitor }),
                (0.3, Act::Introduce { visitor }),
            ];
            for (chance, act) in more {
                if self.whims.chance(chance) {
                    let at = self.some_time();
                    self.at(at, Event::Act(act));
                }
            }
        }
        for location in self.people.locations.clone() {
            // What the loop brake stopped would be said all at once.
            let replays = if self.plan.echo { 0.0 } else { 0.3 };
            let more = [
                (
                    replays,
                    Act::Replay {
                        location: location.clone(),
                    },
                ),
                (
                    0.3,
                    Act::ReplyToStranger {
                        location: location.clone(),
                    },
                ),
            ];
            for (chance, act) in more {
                if self.whims.chance(chance) {
                    let at = self.some_time();
                    self.at(at, Event::Act(act));
                }
            }
        }
    }

    fn schedule_trouble(&mut self) {
        for who in [Fault::GhlDown, Fault::VcxDown] {
            if self.happens(who) {
                let (at, long) = (self.some_time(), self.whims.about(10_000, 2 * 3_600_000));
                self.at(
                    at,
                    Event::Act(Act::Down {
                        who,
                        until: at + long,
                    }),
                );
            }
        }
        for location in self.people.locations.clone() {
            if self.happens(Fault::Paused) {
                let (at, long) = (self.some_time(), self.whims.about(10_000, 3 * 3_600_000));
                self.at(
                    at,
                    Event::Act(Act::Pause {
                        location: location.clone(),
                    }),
                );
                self.at(
                    at + long,
                    Event::Act(Act::Resume {
                        location: location.clone(),
                    }),
                );
            }
            if self.happens(Fault::Uninstalled) {
                let (at, long) = (self.some_time(), self.whims.about(10_000, 12 * 3_600_000));
                self.at(
                    at,
                    Event::Act(Act::Uninstall {
                        location: location.clone(),
                    }),
                );
                let resource = location.clone();
                self.at(at + long, Event::Act(Act::Install { resource }));
            }
            for (fault, act) in [
                (
                    Fault::Revoked,
                    Act::Revoke {
                        location: location.clone(),
                    },
                ),
                (
                    Fault::ExpiredEarly,
                    Act::Expire {
                        location: location.clone(),
                    },
                ),
            ] {
                if self.happens(fault) {
                    let at = self.some_time();
                    self.at(at, Event::Act(act));
                }
            }
            while self.happens(Fault::ClockJump) {
                let (at, by) = (self.some_time(), self.whims.between(-120_000, 120_000));
                self.at(
                    at,
                    Event::Act(Act::Jump {
                        location: location.clone(),
                        by,
                    }),
                );
            }
        }
        for visitor in 0..self.plan.visitors {
            if self.happens(Fault::ContactDeleted) && self.whims.chance(0.3) {
                let at = self.some_time();
                self.at(at, Event::Act(Act::Delete { visitor }));
            }
            if self.happens(Fault::Merged) && self.whims.chance(0.3) {
                let at = self.some_time();
                self.at(at, Event::Act(Act::Merge { visitor }));
            }
        }
    }

    fn some_time(&mut self) -> i64 {
        self.whims.between(START + 5_000, self.people.ends_at)
    }

    fn happens(&mut self, fault: Fault) -> bool {
        let rate = self.plan.rate(fault);
        self.whims.chance(rate)
    }

    /// Somebody does something.
    pub fn act(&mut self, act: Act) {
        if !matches!(act, Act::Heard(..) | Act::Push(_) | Act::Post(_)) {
            self.say(|| format!("  {act:?}"));
        }
        match act {
            Act::Say { visitor } => {
                let words = self.words();
                let chat = self
                    .whims
                    .pick(&self.people.visitors[visitor].chats)
                    .clone();
                let from_user = self.whims.chance(0.7);
                self.speak(visitor, chat, from_user, words);
            }
            Act::Push(n) => self.push(n),
            Act::Heard(from, response) => self.heard(from, response),
            Act::Reply { visitor, kind } => self.reply(visitor, kind),
            Act::ReplyToStranger { location } => self.reply_to_stranger(&location),
            Act::Post(n) => self.post(n),
            Act::Read { visitor } => self.read(visitor),
            Act::LogIn { visitor } => {
                let client = format!("client-{visitor}-known");
                let clients = &mut self.people.visitors[visitor].clients;
                if !clients.contains(&client) {
                    clients.push(client);
                }
            }
            Act::Introduce { visitor } => self.introduce(visitor),
            Act::Status {
                location,
                message,
                status,
            } => {
                let body =
                    json!({ "locationId": location, "messageId": message, "status": status });
                self.visit(
                    From::Other("status"),
                    "POST",
                    "/message-status",
                    body.to_string(),
                    None,
                );
            }
            Act::Echo {
                location,
                chat,
                words,
            } => {
                let (hops, at) = self
                    .people
                    .echoes
                    .entry((chat.clone(), words.clone()))
                    .or_default();
                *hops = if self.now - *at < 60_000 {
                    *hops + 1
                } else {
                    1
                };
                *at = self.now;
                if *hops > ECHOES {
                    return self.violate(Rule::Loop, format!("{chat} goes round in circles"));
                }
                if let Some(visitor) = self.people.visitor_of(&location, &chat) {
                    self.speak(visitor, chat, false, words);
                }
            }
            other => self.trouble(other),
        }
    }

    fn trouble(&mut self, act: Act) {
        let now = self.now;
        self.ghl.now = now;
        match act {
            Act::Replay { location } => self.replay(&location),
            Act::Install { resource } => self.install(resource),
            Act::Uninstall { location } => {
                self.tally.fault(Fault::Uninstalled);
                self.ghl.uninstall(now, &location);
                self.people.gone.insert(location);
            }
            Act::Back { resource } => {
                self.people.gone.remove(&resource);
            }
            Act::Revoke { location } => {
                self.tally.fault(Fault::Revoked);
                self.ghl.tokens.revoke_refresh(&location);
                self.ghl.tokens.expire_access(now, &location);
            }
            Act::Expire { location } => {
                self.tally.fault(Fault::ExpiredEarly);
                self.ghl.tokens.expire_access(now, &location);
            }
            Act::Pause { location } => {
                self.tally.fault(Fault::Paused);
                self.ghl.set_active(&location, false);
                self.ghl.tokens.expire_access(now, &location);
                self.people.paused.insert(location);
            }
            Act::Resume { location } => {
                self.ghl.set_active(&location, true);
                self.people.paused.remove(&location);
            }
            Act::Down { who, until } => {
                let is_on = until > now;
                self.people.down.insert(who, is_on && !self.is_over);
                if is_on {
                    self.at(until, Event::Act(Act::Down { who, until: 0 }));
                }
            }
            Act::Jump { location, by } => {
                self.tally.fault(Fault::ClockJump);
                self.jump(&object_of(&location), by);
            }
            Act::Delete { visitor } => {
                if let Some(contact) = self.contact_of(visitor) {
                    self.tally.fault(Fault::ContactDeleted);
                    self.ghl.delete_contact(&contact);
                }
            }
            Act::Merge { visitor } => self.merge(visitor),
            Act::Over => self.over(),
            _ => {}
        }
        self.post_all();
    }

    fn over(&mut self) {
        self.is_over = true;
        self.people.down.clear();
        for location in std::mem::take(&mut self.people.paused) {
            self.ghl.set_active(&location, true);
        }
    }

    /// What somebody says: nearly always something new.
    pub fn words(&mut self) -> String {
        self.people.said += 1;
        match self.whims.chance(0.1) {
            true => (*self
                .whims
                .pick(&["Hi", "ok", "👍", "¿Hola?\n\"quoted\" <b>"]))
            .to_owned(),
            false => format!("words no. {}", self.people.said),
        }
    }

    fn speak(&mut self, visitor: usize, chat: String, from_user: bool, words: String) {
        let who = &self.people.visitors[visitor];
        let n = self.people.pushes.len();
        let id = format!("m{n}");
        let client = who.clients.last().cloned().unwrap_or_default();
        let mut body = json!({
            "locationId": who.location, "clientId": client, "vcxConversationId": chat,
            "fromUser": from_user, "body": words, "timestamp": self.now, "messageId": id,
        });
        for (name, value) in who.details.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let location = who.location.clone();
        let poison = self.strikes(Fault::Poison);
        if poison {
            self.people.poison.insert(id.clone());
        }
        let owed = Owed {
            visitor,
            body: words,
            direction: if from_user { "inbound" } else { "outbound" },
            poison,
            ..Owed::default()
        };
        self.ledger
            .pushes
            .insert((location.clone(), id.clone()), owed);
        self.people.pushes.push(Pushed {
            location,
            id,
            body: body.to_string(),
            tries: 0,
        });
        self.tally.pushes += 1;
        self.push(n);
        while self.strikes(Fault::PushedTwice) {
            let lag = self.dice.between(0, 2_000);
            self.at(self.now + lag, Event::Act(Act::Push(n)));
        }
    }

    fn push(&mut self, n: usize) {
        let pushed = &mut self.people.pushes[n];
        pushed.tries += 1;
        let body = pushed.body.clone();
        self.visit(From::Push(n), "POST", "/push-message", body, None);
    }

    fn contact_of(&self, visitor: usize) -> Option<String> {
        let location = &self.people.visitors[visitor].location;
        let mut known = self.ledger.contacts.iter();
        let found = known.find(|((of, contact), visitors)| {
            of == location && visitors.contains(&visitor) && self.ghl.contacts.contains_key(contact)
        });
        found.map(|((_, contact), _)| contact.clone())
    }
}

/// Hops after which a loop is one: the brake trips at the eleventh answer, of each side.
const ECHOES: u32 = 40;

impl World {
    fn introduce(&mut self, visitor: usize) {
        let n = self.whims.between(0, 1_000);
        let who = &mut self.people.visitors[visitor];
        who.details["name"] = json!(format!("Visitor {visitor} the {n}th"));
        let mut body = who.details.clone();
        body["locationId"] = json!(who.location);
        body["clientId"] = json!(who.clients.last());
        self.visit(
            From::Other("contact"),
            "POST",
            "/contact",
            body.to_string(),
            None,
        );
    }

    fn reply(&mut self, visitor: usize, kind: &'static str) {
        let words = self.words();
        let location = &self.people.visitors[visitor].location;
        // Without the app there is no channel to write on.
        if self.people.gone.contains(location) {
            return;
        }
        if let Some(contact) = self.contact_of(visitor) {
            self.write(&contact, kind, &words);
        }
    }

    /// A GHL user writes.
    pub fn write(&mut self, contact: &str, kind: &str, words: &str) {
        let message = self
            .ghl
            .agent_replies(self.now, contact, kind, words, json!([]));
        if kind == "Custom" {
            self.tally.replies += 1;
            let reply = super::ledger::Reply {
                location: message.location_id,
                contact: message.contact_id,
                body: words.to_owned(),
                ..Default::default()
            };
            self.ledger.replies.insert(message.id, reply);
        }
        self.post_all();
    }

    fn reply_to_stranger(&mut self, location: &str) {
        if self.people.gone.contains(location) {
            return;
        }
        self.people.strangers += 1;
        let name = format!("Stranger {}", self.people.strangers);
        let contact = self.ghl.stranger(self.now, location, &name);
        let words = self.words();
        self.write(&contact, "Custom", &words);
    }

    fn read(&mut self, visitor: usize) {
        let contact = self.contact_of(visitor);
        if let Some(conversation) = contact.and_then(|contact| self.ghl.conversation_of(&contact)) {
            self.ghl.now = self.now;
            self.ghl.emit_unread(&conversation);
            self.post_all();
        }
    }

    fn merge(&mut self, visitor: usize) {
        let Some(contact) = self.contact_of(visitor) else {
            return;
        };
        let Some(old) = self.ghl.conversation_of(&contact) else {
            return;
        };
        self.tally.fault(Fault::Merged);
        self.ghl.merge_conversation(&old);
    }

    fn install(&mut self, resource: String) {
        let code = self.ghl.install(self.now, &resource);
        let path = format!("/auth/callback?code={code}");
        self.visit(From::Admin(resource), "GET", &path, String::new(), None);
    }
}
