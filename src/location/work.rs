//! What an item of the outbox is to do, how far it is, and the names of calls.

use super::Ask;
use super::turn::{parse, text};
use crate::error::Fault;
use crate::ghl::Details;
use crate::ghl::webhook::Words;
use crate::store::Item;
use crate::vcx;
use crate::vcx::Status;
use crate::wire::{choice, record};

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// A message for GHL's inbox.
    Message(Message),
    /// A contact for a client, asked for by `/contact`.
    Contact,
    /// An event for vCX.
    Event(Event),
    /// An agent's message for a contact that we do not know yet.
    Reply {
        /// The message.
        words: Words,
    },
    /// `OutboundMessage` on our channel: a copy of something, or an agent's message.
    Held {
        /// The message.
        words: Words,
    },
    /// The status of an agent's message.
    Status {
        /// GHL's id.
        message_id: String,
        /// How far it got.
        status: Status,
        /// Why it failed.
        why: String,
        /// When the message came.
        of: i64,
    },
    /// The tag on a contact that we made.
    Tag {
        /// The contact.
        contact_id: String,
    },
    /// A client's changed details.
    Details,
    /// The custom field's set-up.
    Field,
    /// A location's token, from the agency's.
    Mint {
        /// The location.
        location_id: String,
    },
    /// The agency's locations, page by page.
    List {
        /// How many were read.
        skip: u32,
    },
    /// A location's tokens, for its object.
    Grant {
        /// The location.
        location_id: String,
        /// The sealed grant.
        sealed: String,
    },
    /// Something for another object.
    Tell {
        /// The object.
        object: String,
        /// What to ask.
        ask: Box<Ask>,
    },
    /// A webhook that could not be understood: only ever a dead letter.
    Unintelligible {
        /// The body.
        raw: String,
    },
}

/// An event for vCX, as it will be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What its id is made from, beside location and name.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Its JSON.
    pub body: String,
    /// Set when it is an agent's message.
    pub message: Option<AgentMessage>,
}

/// An agent's message, as far as its fate concerns others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentMessage {
    /// GHL's id.
    pub message_id: String,
    /// The visitor.
    pub client_id: String,
    /// The visitor's chat.
    pub chat_id: String,
}

impl Work {
    /// The sending of an event.
    pub fn event(key: &str, event: &vcx::Event) -> Self {
        let message = match event {
            vcx::Event::MessageCreated {
                message_id,
                client_id,
                vcx_conversation_id,
                ..
            } => Some(AgentMessage {
                message_id: message_id.clone(),
                client_id: client_id.clone(),
                chat_id: vcx_conversation_id.clone(),
            }),
            vcx::Event::ConversationUpdated { .. }
            | vcx::Event::MessageFailed { .. }
            | vcx::Event::LocationConnected { .. }
            | vcx::Event::LocationDisconnected { .. } => None,
        };
        let (key, name) = (key.to_owned(), event.name().to_owned());
        Self::Event(Event {
            key,
            name,
            body: event.json(),
            message,
        })
    }
}

impl Work {
    /// Whether it is set-up, which leaves nothing to remember: the next need for it is a new item.
    pub fn is_set_up(&self) -> bool {
        match self {
            Self::Tag { .. }
            | Self::Details
            | Self::Field
            | Self::Mint { .. }
            | Self::List { .. }
            | Self::Grant { .. }
            | Self::Tell { .. } => true,
            Self::Message(_)
            | Self::Contact
            | Self::Event { .. }
            | Self::Reply { .. }
            | Self::Held { .. }
            | Self::Status { .. }
            | Self::Unintelligible { .. } => false,
        }
    }
}

/// A message for GHL's inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// vCX's id, or a derived one.
    pub message_id: String,
    /// The visitor, as vCX named it.
    pub client_id: String,
    /// The visitor's chat.
    pub chat_id: String,
    /// Whether the visitor wrote it.
    pub from_user: bool,
    /// The text.
    pub body: String,
    /// URLs.
    pub attachments: Vec<String>,
    /// When it was written, in order: milliseconds.
    pub date: i64,
    /// Whether KV is to learn the chat's mapping from it.
    pub maps: bool,
}

/// How far an item is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The call that is under way.
    pub call: Option<CallKind>,
    /// The generation of the access token it was sent with.
    pub generation: u32,
    /// Set while a message may or may not be in GHL.
    pub doubt: Option<Doubt>,
    /// Whether GHL's contacts were searched.
    pub searched: bool,
    /// The page of the search.
    pub page: u32,
    /// GHL refused the visitor's e-mail or phone: go on with the name.
    pub plain: bool,
    /// A creation was not answered clearly: what a search now finds is ours.
    pub created: bool,
    /// What a creation or an update under way tells GHL of the visitor; vCX may say more meanwhile.
    pub told: Option<Details>,
    /// GHL made no conversation when asked: the message makes it.
    pub no_conversation: bool,
    /// The contact that was forgotten, once, because GHL did not know it: the search, which lags,
    /// may still bring it.
    pub forgot: Option<String>,
}

impl Step {
    /// The step after a send whose result is unclear. `silent`: GHL itself never answered.
    pub fn doubting(&self, item: &Item, silent: bool) -> Self {
        let doubt = Doubt {
            silent,
            contact_id: item.contact_id.clone().unwrap_or_default(),
            conversation_id: item.conversation_id.clone(),
            look_at: 0,
            before: None,
        };
        Self {
            doubt: Some(doubt),
            ..self.clone()
        }
    }
}

/// Whether a message is in GHL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Whether GHL never answered: then "not found" is believed later.
    pub silent: bool,
    /// The contact it was sent for.
    pub contact_id: String,
    /// The conversation, once it is known.
    pub conversation_id: Option<String>,
    /// When this look began.
    pub look_at: i64,
    /// The last message of the page before, while a look turns pages.
    pub before: Option<String>,
}

/// Which call is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// The contact search.
    Search,
    /// The contact's creation.
    Create,
    /// The contact's upsert.
    Upsert,
    /// The conversation's creation.
    Conversation,
    /// The message.
    Send,
    /// The search for the conversation that a message may be in.
    FindConversation,
    /// The search for the message itself.
    Look,
    /// The update of a contact.
    Update,
    /// The reading of a contact.
    ReadContact,
    /// The tag.
    Tag,
    /// The listing of custom fields.
    ListFields,
    /// The creation of the custom field.
    CreateField,
    /// The status.
    Status,
    /// The event.
    Event,
    /// The exchange of an agency's token.
    Mint,
    /// The listing of an agency's locations.
    List,
    /// A word to another object.
    Tell,
}

impl Item {
    /// What it is to do.
    pub fn work(&self) -> Result<Work, Fault> {
        match &self.work {
            Some(work) => parse(work),
            None => Err(Fault(format!("item {} has no work", self.seq))),
        }
    }

    /// Changes what it is to do.
    pub fn set_work(&mut self, work: &Work) {
        self.work = Some(text(work));
    }

    /// How far it is.
    pub fn step(&self) -> Result<Step, Fault> {
        self.step
            .as_deref()
            .map_or_else(|| Ok(Step::default()), parse)
    }

    /// Notes how far it is.
    pub fn set_step(&mut self, step: &Step) {
        self.step = (*step != Step::default()).then(|| text(step));
    }
}

/// The name of an item's call.
pub fn item_call(seq: i64) -> String {
    format!("{ITEM}{seq}")
}

/// The item whose call this is.
pub fn called_item(call: &str) -> Option<i64> {
    call.strip_prefix(ITEM)?.parse().ok()
}

const ITEM: &str = "item:";

choice!(Work {
    "message" Message (inner),
    "contact" Contact,
    "event" Event (inner),
    "reply" Reply { words },
    "held" Held { words },
    "status" Status { message_id, status, why, of },
    "tag" Tag { contact_id },
    "details" Details,
    "field" Field,
    "mint" Mint { location_id },
    "list" List { skip },
    "grant" Grant { location_id, sealed },
    "tell" Tell { object, ask },
    "unintelligible" Unintelligible { raw },
});
record!(Event {
    key,
    name,
    body,
    message
});
record!(AgentMessage {
    message_id,
    client_id,
    chat_id
});
record!(Message {
    message_id,
    client_id,
    chat_id,
    from_user,
    body,
    attachments,
    date,
    maps
});
record!(Step {
    call,
    generation,
    doubt,
    searched,
    page,
    plain,
    created,
    told,
    no_conversation,
    forgot
});
record!(Doubt {
    silent,
    contact_id,
    conversation_id,
    look_at,
    before
});
choice!(CallKind {
    "search" Search,
    "create" Create,
    "upsert" Upsert,
    "conversation" Conversation,
    "send" Send,
    "findConversation" FindConversation,
    "look" Look,
    "update" Update,
    "readContact" ReadContact,
    "tag" Tag,
    "listFields" ListFields,
    "createField" CreateField,
    "status" Status,
    "event" Event,
    "mint" Mint,
    "list" List,
    "tell" Tell,
});
