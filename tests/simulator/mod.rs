//! The sync in a world of its own: the transition function on a real SQLite, and around it a
//! simulated clock, host, network, KV, GHL and vCX, and people who chat, all from one seed.
//!
//! ```text
//! people ──▶ visits ──▶ host (object: disk, life) ──▶ network ──▶ ghl, vcx
//!              ▲                                                  │
//!              └────────────── post (GHL's webhooks) ◀────────────┘
//! plan: what goes wrong, drawn beforehand     ledger, observe, verdict: what must not happen
//! ```
//!
//! A run ends when people have stopped talking, nothing goes wrong any more and every queue is
//! empty. `cargo test --test simulation` runs some hundred seeds, `npm run soak` as many as asked for.

#![allow(
    dead_code,
    unused_imports,
    reason = "the tests and the soak use different parts"
)]
#![allow(
    clippy::unwrap_used,
    reason = "a simulation that cannot go on has failed"
)]

mod acts;
mod brief;
pub mod cases;
mod dice;
mod disk;
pub mod ghl;
mod host;
mod kv;
mod ledger;
mod network;
mod observe;
mod people;
mod plan;
mod post;
mod sabotage;
mod schedule;
mod tally;
mod vcx;
mod verdict;
mod visits;
mod world;

pub use ledger::{Rule, Violation};
pub use plan::{Fault, Plan};
pub use sabotage::Sabotage;
pub use tally::Tally;
use world::World;

/// Runs a plan: what it was made of, or what was wrong.
pub fn run(plan: Plan) -> Result<Tally, Violation> {
    let mut world = World::new(plan, false);
    world.run();
    match world.ledger.violation.take() {
        Some(violation) => Err(violation),
        None => Ok(world.tally),
    }
}

/// Runs a plan again, and tells what happened line by line.
pub fn tell(plan: Plan) -> Vec<String> {
    let mut world = World::new(plan, true);
    world.run();
    world.trace()
}
