//! Visitors, agents, bots and admins: what they do and when, and how they take what they hear.

use super::dice::Dice;
use super::ghl::{Contact, Ghl};
use super::network::json_of;
use super::plan::{Fault, Plan};
use super::visits::From;
use super::world::START;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use vcx_ghl::http::{Request, Response};

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
        resource: String,
    },
    Expire {
        resource: String,
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
    pub details: Value,
}

/// A message that vCX pushes.
#[derive(Clone, Debug)]
pub struct Pushed {
    pub location: String,
    pub id: String,
    pub body: String,
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
    pub down: BTreeMap<Fault, bool>,
    pub said: u64,
    pub strangers: u32,
    /// Hops of a loop so far, and when the last one was, by chat and words.
    pub echoes: BTreeMap<(String, String), (u32, i64)>,
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
