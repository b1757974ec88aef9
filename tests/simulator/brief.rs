//! Inputs and outputs in a few words, for a run's story.

use super::world::START;
use vcx_ghl::http::Outcome;
use vcx_ghl::location::{Ask, Input, Output};

/// An input, for whoever reads a story.
pub fn brief(input: &Input) -> String {
    match input {
        Input::Started => "started".into(),
        Input::Asked { caller, ask, .. } => format!("asked by {caller}: {}", brief_ask(ask)),
        Input::Waited { caller, item } => format!("{caller} has waited for {item}"),
        Input::Answered {
            call,
            attempt,
            outcome,
        } => {
            let said = match outcome {
                Outcome::Answered(response) => response.body.chars().take(160).collect(),
                Outcome::TimedOut | Outcome::Dropped { .. } => String::new(),
            };
            format!("{call}#{attempt} came back: {} {said}", outcome.words())
        }
        Input::Mirrored { key, ok, .. } => format!("kv {key} {ok}"),
        Input::Heard { .. } | Input::Flush { .. } | Input::Closed { .. } => {
            panic!("nobody listens here")
        }
        Input::Wake => "wakes".into(),
        Input::Trapped { input } => format!("trapped over {}", brief(input)),
    }
}

fn brief_ask(ask: &Ask) -> String {
    match ask {
        Ask::Push { push } => format!(
            "push {} {} {} {:?} at {}",
            push.message_id.as_deref().unwrap_or("-"),
            push.client_id,
            push.vcx_conversation_id,
            push.body,
            push.timestamp,
        ),
        Ask::Webhook { webhook } => format!("webhook {} {:?}", webhook.key.text(), webhook.event),
        other => format!("{other:?}"),
    }
}

/// An output, likewise.
pub fn brief_output(output: &Output) -> String {
    match output {
        Output::Call {
            call,
            attempt,
            request,
            ..
        } => format!("[{call}#{attempt} {request:?}]"),
        Output::Tell {
            call,
            attempt,
            object,
            ask,
            ..
        } => format!("[{call}#{attempt} tells {object} {}]", brief_ask(ask)),
        Output::Answer { caller, response } => format!("[{caller} gets {}]", response.status),
        Output::Accept { .. }
        | Output::Send { .. }
        | Output::Close { .. }
        | Output::Publish { .. } => panic!("nobody listens here"),
        Output::Hold { caller, item, .. } => format!("[{caller} waits for {item}]"),
        Output::Wake { at } => format!("[wake at {}]", at - START),
        Output::Mirror { key, .. } => format!("[kv {key}]"),
        Output::Log { line } => format!("[{line}]"),
    }
}
