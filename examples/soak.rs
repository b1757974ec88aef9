//! `npm run soak`: the simulator on all cores, for any number of seeds.
//!
//!     npm run soak -- --seeds 20000              from seed 0 on
//!     npm run soak -- --seeds 1 --from 17 --tell what happened in seed 17, line by line

#![allow(clippy::unwrap_used, reason = "a run that cannot go on has failed")]

#[path = "../tests/simulator/mod.rs"]
mod simulator;

use indicatif::{ProgressBar, ProgressStyle};
use simulator::{Plan, Tally, Violation};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

fn main() -> ExitCode {
    let asked = match Asked::read() {
        Ok(asked) => asked,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    if asked.tell {
        for line in simulator::tell(asked.plan(asked.from)) {
            println!("{line}");
        }
    }
    let (tally, failed) = soak(&asked);
    println!("{tally}");
    for failure in failed.iter().take(SHOWN) {
        println!("{failure}");
    }
    if failed.is_empty() {
        println!("No violation.");
        return ExitCode::SUCCESS;
    }
    println!("{} of {} seeds failed.", failed.len(), asked.seeds);
    ExitCode::FAILURE
}

/// Runs all seeds; what they were made of, and those that failed.
fn soak(asked: &Asked) -> (Tally, Vec<String>) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let bar = ProgressBar::new(asked.seeds).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {per_sec}, {eta} left {msg}")
            .unwrap(),
    );
    let next = AtomicU64::new(asked.from);
    let total = Mutex::new((Tally::default(), Vec::new()));
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= asked.from + asked.seeds {
                        return;
                    }
                    let outcome =
                        catch_unwind(AssertUnwindSafe(|| simulator::run(asked.plan(seed))));
                    let mut total = total.lock().unwrap();
                    match outcome {
                        Ok(Ok(tally)) => total.0.add(&tally),
                        Ok(Err(violation)) => total.1.push(told(&violation)),
                        Err(panic) => total
                            .1
                            .push(format!("seed {seed} panicked: {}", words(&*panic))),
                    }
                    if !total.1.is_empty() {
                        bar.set_message(format!("({} failed)", total.1.len()));
                    }
                    bar.inc(1);
                }
            });
        }
    });
    let _ = std::panic::take_hook();
    bar.finish_and_clear();
    total.into_inner().unwrap()
}

/// A violation, and the command that shows its story.
fn told(violation: &Violation) -> String {
    let seed = violation.seed;
    format!("{violation}\n    npm run soak -- --from {seed} --seeds 1 --tell")
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default()
}

/// What the command line asks for.
struct Asked {
    from: u64,
    seeds: u64,
    messages: usize,
    tell: bool,
}

impl Asked {
    fn read() -> Result<Self, String> {
        let mut asked = Self {
            from: 0,
            seeds: 1_000,
            messages: 200,
            tell: false,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut number = || {
                let value = words.next().unwrap_or_default();
                value
                    .parse::<u64>()
                    .map_err(|_| format!("{word} takes a number, not {value:?}"))
            };
            match word.as_str() {
                "--from" => asked.from = number()?,
                "--seeds" => asked.seeds = number()?,
                "--messages" => asked.messages = number()? as usize,
                "--tell" => asked.tell = true,
                _ => {
                    return Err(format!(
                        "unknown: {word}; there are --from, --seeds, --messages and --tell"
                    ));
                }
            }
        }
        Ok(asked)
    }

    fn plan(&self, seed: u64) -> Plan {
        Plan::draw(seed, self.messages)
    }
}

/// Failures that are shown.
const SHOWN: usize = 20;
