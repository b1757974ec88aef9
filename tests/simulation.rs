//! The sync under every fault that can be thought of, in simulated time, from one seed.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod simulator;

use serde_json::Value;
use simulator::{Fault, Plan, Rule, Sabotage};

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

/// A few hundred seeds; the first violation is told with the command that shows its story.
#[test]
fn nothing_is_lost_doubled_or_out_of_order() {
    let failed = each_seed(SEEDS, |seed| {
        simulator::run(Plan::draw(seed, MESSAGES)).err()
    });
    if let Some(violation) = failed
        .into_iter()
        .flatten()
        .min_by_key(|violation| violation.seed)
    {
        let seed = violation.seed;
        panic!(
            "{violation}\nIts story: npm run soak -- --from {seed} --seeds 1 --messages {MESSAGES} --tell"
        );
    }
}

/// A run says the same every time.
#[test]
fn a_seed_is_a_story() {
    for seed in [3, 5] {
        let story = simulator::tell(Plan::draw(seed, 40));
        assert!(story.len() > 100, "seed {seed} tells nothing");
        assert_eq!(story, simulator::tell(Plan::draw(seed, 40)), "seed {seed}");
    }
}

// The simulator can fail: each guard of the sync, taken away from outside, is missed.

#[test]
fn without_the_memory_of_pushes_a_message_is_doubled() {
    caught(
        Sabotage::ForgetPushes,
        &[Rule::Doubled, Rule::Echo],
        |plan| plan.with(Fault::PushedAgain, 0.5),
    );
}

#[test]
fn without_the_memory_of_webhooks_an_event_is_sent_again() {
    caught(Sabotage::ForgetWebhooks, &[Rule::Doubled], |plan| {
        plan.with(Fault::WebhookTwice, 0.5)
    });
}

#[test]
fn without_the_look_before_it_is_sent_again_a_message_is_doubled() {
    caught(Sabotage::BlindLook, &[Rule::Doubled], |plan| {
        plan.with(Fault::DroppedAfter, 0.2)
    });
}

#[test]
fn without_storing_before_sending_messages_are_lost_or_doubled() {
    // What was said and is not remembered can go wrong in any of these ways.
    let rules = [
        Rule::Lost,
        Rule::Doubled,
        Rule::Calls,
        Rule::Caller,
        Rule::Status,
    ];
    caught(Sabotage::DropCommits, &rules, |plan| plan);
}

#[test]
fn without_lanes_the_order_is_lost() {
    caught(Sabotage::NoLanes, &[Rule::Order], |plan| {
        plan.with(Fault::Slow, 0.3)
    });
}

#[test]
fn without_the_note_that_it_refreshes_there_are_two_refreshes() {
    caught(Sabotage::ForgetRefresh, &[Rule::Refresh], |plan| {
        plan.with(Fault::ExpiredEarly, 1.0)
    });
}

#[test]
fn without_the_rotated_token_an_old_one_is_used() {
    caught(Sabotage::OldTokens, &[Rule::OldToken], |plan| {
        plan.with(Fault::ExpiredEarly, 1.0)
    });
}

#[test]
fn without_the_echo_rules_vcx_gets_its_own_words_back() {
    caught(Sabotage::ForgetOwn, &[Rule::Echo], |plan| plan);
}

#[test]
fn without_the_loop_brake_two_echoes_never_end() {
    caught(Sabotage::NoBrake, &[Rule::Loop], |mut plan| {
        (plan.echo, plan.burst) = (true, 0.0);
        plan
    });
}

#[test]
fn without_the_furthest_status_one_goes_back() {
    caught(Sabotage::ForgetStatus, &[Rule::Status], |plan| plan);
}

#[test]
fn without_the_count_of_calls_there_are_more_than_ghl_allows() {
    caught(Sabotage::ForgetRate, &[Rule::Rate], |mut plan| {
        (plan.ghl.max, plan.burst) = (25, 0.8);
        plan
    });
}

#[test]
fn with_the_texts_in_the_log_they_are_found_there() {
    caught(Sabotage::Talk, &[Rule::Log], |plan| plan);
}

/// Some of the first seeds show what is missing, by one of these rules and no other; with the
/// guard in its place they show nothing.
fn caught(sabotage: Sabotage, rules: &[Rule], change: impl Fn(Plan) -> Plan + Sync) {
    let violations = each_seed(12, |seed| {
        let plan = || change(Plan::draw(seed, 120).calm());
        if let Err(violation) = simulator::run(plan()) {
            panic!("with every guard in its place: {violation}");
        }
        let plan = Plan {
            sabotage: Some(sabotage),
            ..plan()
        };
        simulator::run(plan).err()
    });
    let violations: Vec<_> = violations.into_iter().flatten().collect();
    assert!(!violations.is_empty(), "nobody misses anything");
    for violation in violations {
        assert!(rules.contains(&violation.rule), "{violation}");
    }
}

/// What each seed shows, on all cores.
fn each_seed<T: Send>(seeds: u64, run: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    std::thread::scope(|scope| {
        let mine = |core| (0..seeds).filter(move |seed| seed % cores == core);
        let run = &run;
        let threads: Vec<_> = (0..cores)
            .map(|core| scope.spawn(move || mine(core).map(run).collect::<Vec<T>>()))
            .collect();
        let joined = threads.into_iter().flat_map(|thread| match thread.join() {
            Ok(found) => found,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect()
    })
}

const SEEDS: u64 = 300;
const MESSAGES: usize = 100;
