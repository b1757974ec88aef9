//! Two-way chat sync between vCX and GoHighLevel (GHL).
//!
//! A visitor's words appear in GHL's inbox under the right contact, an agent's answer appears in
//! the visitor's chat; nothing lost, doubled or out of order.
//!
//! ```text
//! vCX backend ──/push-message──▶ edge ──▶ location ──Output::Call──▶ GHL
//! GHL ─────────/webhook────────▶ edge ──▶ location ──Output::Call──▶ vCX backend
//! browser ─────/events─────────▶ edge ──▶ location ──Output::Send──▶ browser
//!                                            │
//!                                          SQLite
//! ```
//!
//! - [`edge`]: what the stateless Worker decides: who may ask, and which location it concerns.
//! - [`location`]: the transition function. What happened goes in, what to do comes out, all
//!   state is in the database ([`store`]).
//! - [`ghl`] and [`vcx`]: the two wires; [`map`]: one beside the other; [`public_url`]: which URLs
//!   may go from one to the other.
//! - [`token`]: the life of tokens; [`seal`]: tokens at rest; [`signature`]: who signed what;
//!   [`session`]: who a browser speaks for.
//! - [`npm`]: what vCX's own code gets of all this, beside the Worker.
//! - `wasm`: the only module that knows JavaScript.
//!
//! Nothing here reads a clock, draws random numbers or opens a connection: the host hands in the
//! first two as arguments and does the third.

#![cfg_attr(not(test), warn(unused_crate_dependencies))]

pub mod edge;
pub mod error;
pub mod ghl;
pub mod http;
pub mod location;
pub mod map;
pub mod npm;
pub mod public_url;
pub mod seal;
pub mod secret;
pub mod session;
pub mod settings;
pub mod signature;
pub mod store;
pub mod token;
pub mod vcx;
#[cfg(target_arch = "wasm32")]
pub mod wasm;
pub mod wire;
