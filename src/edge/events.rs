//! `GET /events`: who may listen to what, before there is a socket. A browser cannot give its
//! WebSocket a header, so the session comes as a subprotocol beside the one that is spoken.

use super::{Incoming, Step, foreign};
use crate::error::{Code, FieldError, Problem};
use crate::location::{Ask, Listen, PROTOCOL, object_of};
use crate::session::Session;
use crate::settings::Settings;
use crate::store::NEVER;
use crate::vcx::MISSING_OR_WRONG;
use std::collections::BTreeMap;

pub(super) fn listen(
    settings: &Settings,
    incoming: &Incoming<'_>,
    query: &BTreeMap<String, String>,
    now: i64,
) -> Result<Step, Problem> {
    let upgrade = incoming.upgrade.unwrap_or_default();
    if !upgrade.eq_ignore_ascii_case("websocket") {
        let detail = "this route is a WebSocket: the header Upgrade: websocket is missing";
        return Err(Problem::new(Code::UpgradeRequired, detail));
    }
    if !settings.allows(incoming.origin) {
        return Err(foreign());
    }
    let offered = incoming.protocols.unwrap_or_default().split(',');
    let offered: Vec<&str> = offered.map(str::trim).collect();
    let session = session(settings, &offered, now)?;
    if !offered.contains(&PROTOCOL) {
        let message = format!("does not offer {PROTOCOL}");
        return Err(wrong("Sec-WebSocket-Protocol", &message));
    }
    Ok(Step::Listen {
        object: object_of(&session.location_id),
        ask: Ask::Listen {
            listen: Listen {
                conversation: session.conversation,
                expires_at: session.expires_at,
                after: after(query)?,
            },
        },
    })
}

fn session(settings: &Settings, offered: &[&str], now: i64) -> Result<Session, Problem> {
    let unauthorized = |detail: &str| Problem::new(Code::Unauthorized, detail);
    let token = offered.iter().find_map(|name| name.strip_prefix(BEARER));
    let token = token.ok_or_else(|| {
        unauthorized("Sec-WebSocket-Protocol has no bearer.<session> beside vcx-ghl.v1")
    })?;
    let keys = settings.session_keys.as_ref();
    let keys =
        keys.ok_or_else(|| unauthorized("there are no sessions: SESSION_SECRET is unset"))?;
    keys.verify(token, now)
        .map_err(|refused| unauthorized(&refused.to_string()))
}

fn after(query: &BTreeMap<String, String>) -> Result<Option<i64>, Problem> {
    let Some(text) = query.get("after") else {
        return Ok(None);
    };
    let id = text.parse().ok().filter(|id| (0..=NEVER).contains(id));
    match id {
        Some(id) => Ok(Some(id)),
        None => Err(wrong("after", "must be an event's id, or 0")),
    }
}

fn wrong(field: &str, message: &str) -> Problem {
    let error = FieldError {
        field: field.to_owned(),
        message: message.to_owned(),
    };
    Problem::naming(Code::InvalidFields, MISSING_OR_WRONG, vec![error])
}

const BEARER: &str = "bearer.";
