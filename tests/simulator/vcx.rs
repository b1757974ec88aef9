//! vCX's backend: it verifies events, knows them again by their `webhook-id`, and has a bot.

use super::ledger::Rule;
use super::network::json_of;
use super::people::Act;
use super::plan::Fault;
use super::world::{Event, World};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use vcx_ghl::http::{Request, Response};

/// What vCX has.
#[derive(Default)]
pub struct Vcx {
    /// How often each event was taken, by `webhook-id`.
    pub taken: BTreeMap<String, u32>,
    /// Events that it refuses for good.
    refused: BTreeSet<String>,
}

impl World {
    /// vCX answers an event.
    pub fn vcx_answers(&mut self, request: &Request) -> Response {
        let id = request.headers.get("webhook-id").cloned();
        let (id, body) = (id.unwrap_or_default(), json_of(request));
        let verified = match &self.settings {
            Ok(settings) => settings.webhook_secrets.as_ref().map(|secrets| {
                let headers = request.headers.iter();
                let headers: Vec<(&str, &str)> = headers
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                let bytes = request.body.as_deref().unwrap_or_default().as_bytes();
                secrets.verify(&headers, bytes, self.now)
            }),
            Err(_) => None,
        };
        if verified.is_none_or(|verified| verified.is_err()) {
            self.violate(Rule::Signature, format!("vCX cannot verify {body}"));
        }
        let is_new = !self.vcx.taken.contains_key(&id) && !self.vcx.refused.contains(&id);
        if is_new && body["type"] == "message.created" && self.strikes(Fault::VcxPoison) {
            self.vcx.refused.insert(id.clone());
        }
        if self.vcx.refused.contains(&id) {
            return Response::json(422, &json!({ "error": "no such conversation" }));
        }
        *self.vcx.taken.entry(id.clone()).or_default() += 1;
        if is_new {
            self.observe_event(&body);
            self.react(&body);
        }
        Response::json(200, &json!({}))
    }

    /// What vCX does about an event.
    fn react(&mut self, body: &Value) {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let location = text("locationId");
        match text("type").as_str() {
            "message.created" if self.plan.echo => {
                let (chat, words) = (text("vcxConversationId"), text("body"));
                let lag = self.whims.between(200, 3_000);
                self.at(
                    self.now + lag,
                    Event::Act(Act::Echo {
                        location,
                        chat,
                        words,
                    }),
                );
            }
            "message.created" => {
                // Not in the order of progress: what shows it and what reads it are two machines.
                let mut at = self.now;
                for status in ["delivered", "read", "failed"] {
                    if self.whims.chance(0.3) {
                        at = self.now + self.whims.about(50, 600_000);
                        let (location, message) = (location.clone(), text("messageId"));
                        self.at(
                            at,
                            Event::Act(Act::Status {
                                location,
                                message,
                                status,
                            }),
                        );
                    }
                }
                let _ = at;
            }
            // An admin is told, and comes when he comes.
            "location.disconnected" => {
                let lag = self.whims.about(60_000, 2 * 3_600_000);
                self.at(
                    self.now + lag,
                    Event::Act(Act::Install { resource: location }),
                );
            }
            _ => {}
        }
    }
}
