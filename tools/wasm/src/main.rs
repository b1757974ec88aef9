//! `wasm-bindgen` and its test runner in one helper, so that both come from `Cargo.lock` and neither has to be installed.
//!
//!     vcx-ghl-wasm-tool generate <wasm-bindgen's arguments>
//!     vcx-ghl-wasm-tool test <wasm-bindgen-test-runner's arguments>

use std::env;
use std::process::ExitCode;

use wasm_bindgen_cli::{wasm_bindgen, wasm_bindgen_test_runner};

fn main() -> ExitCode {
    let mut args = env::args_os();
    args.next();
    let verb = args.next().unwrap_or_default();
    // Both command lines take their first argument for the program's name.
    let args = [verb.clone()].into_iter().chain(args);
    let result = match verb.to_str() {
        Some("generate") => wasm_bindgen::run_cli_with_args(args),
        Some("test") => wasm_bindgen_test_runner::run_cli_with_args(args),
        _ => {
            eprintln!("usage: vcx-ghl-wasm-tool generate|test <arguments>");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:?}");
            ExitCode::FAILURE
        }
    }
}
