//! GHL's webhooks on their way to us, and what is done about answers that were heard.

use super::ghl::To;
use super::ledger::Rule;
use super::people::{Act, Posted};
use super::plan::Fault;
use super::visits::From;
use super::world::{Event, World};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer;
use serde_json::Value;
use vcx_ghl::http::Response;
use vcx_ghl::location::object_of;

impl World {
    /// GHL posts what there is to post: late, twice, in any order.
    pub fn post_all(&mut self) {
        for post in self.ghl.posts() {
            self.tally.webhooks += 1;
            let kind = post.body["type"].as_str().unwrap_or_default().to_owned();
            let is_reply = post.to == To::Delivery
                || (kind == "OutboundMessage" && post.body["source"] == "app");
            let of = post.body["messageId"]
                .as_str()
                .filter(|_| is_reply)
                .map(str::to_owned);
            if post.to == To::Delivery && self.strikes(Fault::DeliveryMissing) {
                continue;
            }
            let raw = post.body.to_string();
            let signature = STANDARD.encode(self.key.sign(raw.as_bytes()).to_bytes());
            let n = self.people.posts.len();
            self.people.posts.push(Posted {
                raw,
                signature,
                reply: of,
                tries: 0,
                taken: false,
            });
            let mut lag = self.dice.about(5, 3_000);
            if self.strikes(Fault::WebhookLate) {
                lag = self.dice.about(1_000, 2 * 3_600_000);
            }
            if self.strikes(Fault::WebhookWeeksLate) {
                lag = self.dice.between(DAY, 29 * DAY);
            }
            self.at(self.now + lag, Event::Act(Act::Post(n)));
            while self.strikes(Fault::WebhookTwice) {
                let again = self.now + lag + self.dice.about(1, 60_000);
                self.at(again, Event::Act(Act::Post(n)));
            }
            self.echo_in_ghl(&kind, &post.body);
        }
    }

    /// A workflow in GHL that answers with the same words.
    fn echo_in_ghl(&mut self, kind: &str, body: &Value) {
        let (contact, words) = (body["contactId"].as_str(), body["body"].as_str());
        let ours = body["conversationProviderId"].is_string() && body["source"] != "app";
        if let (true, true, Some(contact), Some(words)) = (
            self.plan.echo && !self.is_over,
            ours && kind.ends_with("boundMessage"),
            contact,
            words,
        ) {
            let (contact, words) = (contact.to_owned(), words.to_owned());
            self.write(&contact, "Custom", &words);
        }
    }

    /// One attempt of a webhook.
    pub fn post(&mut self, n: usize) {
        let posted = &mut self.people.posts[n];
        posted.tries += 1;
        let (raw, signature) = (posted.raw.clone(), posted.signature.clone());
        self.visit(From::Webhook(n), "POST", "/webhook", raw, Some(signature));
    }

    /// An answer has come back, or never will.
    pub fn heard(&mut self, from: From, response: Option<Response>) {
        let status = response.as_ref().map_or(0, |response| response.status);
        match from {
            From::Push(n) => self.push_heard(n, response),
            From::Webhook(n) => self.webhook_heard(n, status),
            // An admin tries until the page says that it is connected.
            From::Admin(resource) if status != 200 => {
                let lag = self.whims.between(20_000, 120_000);
                self.at(self.now + lag, Event::Act(Act::Install { resource }));
            }
            From::Admin(resource) => {
                self.at(self.now + 2_000, Event::Act(Act::Back { resource }));
            }
            From::Other(what) => {
                if ![0, 200, 202, 400, 404, 409, 422, 500, 503].contains(&status) {
                    self.violate(Rule::Answer, format!("{what} is answered with {status}"));
                }
            }
        }
    }

    fn push_heard(&mut self, n: usize, response: Option<Response>) {
        let pushed = self.people.pushes[n].clone();
        let key = (pushed.location.clone(), pushed.id.clone());
        let status = response.as_ref().map_or(0, |response| response.status);
        let body: Value = response
            .and_then(|response| serde_json::from_str(&response.body).ok())
            .unwrap_or_default();
        let Some(owed) = self.ledger.pushes.get_mut(&key) else {
            return;
        };
        match status {
            200 => {
                owed.promised = true;
                let said = body["ghlMessageId"].as_str().unwrap_or_default();
                if !owed.stored.iter().any(|id| id == said) {
                    let what = format!(
                        "{} was sent, we say, as {said:?}; GHL has {:?}",
                        pushed.id, owed.stored
                    );
                    return self.violate(Rule::Answer, what);
                }
                if self.strikes(Fault::PushedAgain) {
                    let lag = self.dice.about(10, 3_600_000);
                    self.at(self.now + lag, Event::Act(Act::Push(n)));
                }
            }
            202 => {
                owed.promised = true;
                if self.strikes(Fault::PushedAgain) {
                    let lag = self.dice.about(10, 3_600_000);
                    self.at(self.now + lag, Event::Act(Act::Push(n)));
                }
            }
            422 => owed.rejected = true,
            // Not connected yet, or not any more.
            404 | 409 if body["code"] != "message_id_conflict" => {}
            0 | 500 | 503 => {
                if pushed.tries < TRIES {
                    let lag = self.dice.about(500, 60_000);
                    self.at(self.now + lag, Event::Act(Act::Push(n)));
                }
            }
            other => self.violate(
                Rule::Answer,
                format!("{} is answered with {other}: {body}", pushed.id),
            ),
        }
    }

    fn webhook_heard(&mut self, n: usize, status: u16) {
        let posted = &mut self.people.posts[n];
        if (200..300).contains(&status) {
            posted.taken = true;
            let reply = posted.reply.clone();
            let reply = reply.and_then(|id| self.ledger.replies.get_mut(&id));
            if let Some(reply) = reply {
                reply.promised |= reply.accepted;
            }
            return;
        }
        if status == 401 {
            return self.violate(Rule::Answer, "a signed webhook is refused".into());
        }
        if posted.tries <= RETRIES && !posted.taken {
            let tries = i64::from(posted.tries.min(8));
            let lag = self.dice.between(500, 1_000) << tries;
            self.at(self.now + lag, Event::Act(Act::Post(n)));
        }
    }

    /// Marks what is a dead letter now: a replay goes behind everything.
    pub fn replay(&mut self, location: &str) {
        let object = object_of(location);
        let dead = self.objects.get(&object).map(|found| {
            found
                .disk
                .texts("SELECT key FROM outbox WHERE stage = 'dead'")
        });
        for key in dead.unwrap_or_default() {
            self.ledger.replayed.insert((object.clone(), key));
        }
        let path = format!("/locations/{location}/replay");
        self.visit(From::Other("replay"), "POST", &path, String::new(), None);
    }
}

const DAY: i64 = 86_400_000;
/// vCX's backend gives a push up after so many tries.
const TRIES: u32 = 8;
/// GHL gives a webhook up after so many (FACTS §4.8).
const RETRIES: u32 = 12;
