//! Anything at all, at every door: arbitrary bytes, arbitrary JSON, and what is nearly right, which gets furthest. Nothing may
//! bring the code down, every answer is one that `openapi.json` describes, and what is printed reads as what it was.
//!
//! The same cases each time, so that a failure stays one: `PROPTEST_RNG_SEED=2` takes others, `PROPTEST_CASES=10000` more. A
//! case that failed is printed, and tried first from then on: its seed is put into `tests/fuzz/failed.txt`.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

#[path = "fuzz/contract.rs"]
mod contract;
#[path = "fuzz/edge.rs"]
mod edge;
#[path = "fuzz/location.rs"]
mod location;
#[path = "fuzz/parsers.rs"]
mod parsers;
#[path = "fuzz/strategies.rs"]
mod strategies;
#[path = "fuzz/wire.rs"]
mod wire;
