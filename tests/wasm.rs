//! What is different in WASM: the crate's vectors and its JavaScript seam, run by Node.
#![cfg(target_arch = "wasm32")]

use vcx_ghl as _;
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
fn runs_in_wasm() {
    assert_eq!(size_of::<usize>(), 4);
}
