//! The sync under every fault that can be thought of, in simulated time, from one seed.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod simulator;

use serde_json::Value;
use simulator::Plan;

/// The simulated GHL behaves as the sandbox does.
#[test]
fn the_simulated_ghl_passes_the_case_file() {
    let file: Value = serde_json::from_str(include_str!("ghl-cases.json")).unwrap();
    let cases = file["cases"].as_array().unwrap();
    let failed: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            Some(format!(
                "{}: {}",
                case["name"],
                simulator::cases::run(case).err()?
            ))
        })
        .collect();
    assert!(cases.len() > 150, "the case file has lost its cases");
    assert_eq!(
        failed,
        Vec::<String>::new(),
        "{} of {}",
        failed.len(),
        cases.len()
    );
}

/// One seed after the other; the first violation is told with the command that shows its story.
#[test]
fn nothing_is_lost_doubled_or_out_of_order() {
    let from: u64 = std::env::var("SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let many: u64 = std::env::var("SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20);
    for seed in from..from + many {
        if let Err(violation) = simulator::run(Plan::draw(seed, 200)) {
            if std::env::var("STORY").is_ok() {
                for line in simulator::tell(Plan::draw(seed, 200)) {
                    println!("{line}");
                }
            }
            panic!(
                "{violation}\nIts story: STORY=1 SEED={seed} SEEDS=1 cargo test --test simulation nothing -- --nocapture"
            );
        }
    }
}
