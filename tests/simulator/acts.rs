//! What people do when their time has come.

use super::ledger::{Owed, Reply, Rule};
use super::people::{Act, Pushed};
use super::plan::Fault;
use super::visits::From;
use super::world::{Event, World};
use serde_json::json;
use vcx_ghl::location::object_of;

impl World {
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
            Act::Revoke { resource } => {
                self.tally.fault(Fault::Revoked);
                self.ghl.tokens.revoke_refresh(&resource);
                self.ghl.tokens.expire_access(now, &resource);
            }
            Act::Expire { resource } => {
                self.tally.fault(Fault::ExpiredEarly);
                self.ghl.tokens.expire_access(now, &resource);
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
            let reply = Reply {
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

/// Hops after which a loop is one: the brake trips at the eleventh answer, of each side.
const ECHOES: u32 = 40;
