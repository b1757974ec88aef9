//! Sealed tokens against records that OpenSSL made (`vectors/seal.json`) and against Wycheproof.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use vcx_ghl::seal::{SealError, SealKeys};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;
use wycheproof::{TestResult, aead};

#[test]
fn sealing_makes_the_record_that_openssl_makes() {
    for case in vectors().seal {
        let keys = SealKeys::parse(&case.keys).ok().unwrap();
        let record = keys.seal(
            case.plaintext.as_bytes(),
            &case.associated,
            unhex(&case.nonce_hex).try_into().unwrap(),
        );
        assert_eq!(record, case.record, "{}", case.name);
        assert!(keys.is_newest(&record), "{}", case.name);
        assert_eq!(
            keys.open(&record, &case.associated),
            Ok(case.plaintext.into_bytes()),
            "{}",
            case.name
        );
    }
}

#[test]
fn a_record_opens_only_whole_with_its_key_and_at_its_location() {
    for case in vectors().open {
        let keys = SealKeys::parse(&case.keys).ok().unwrap();
        let outcome = keys.open(&case.record, &case.associated);
        assert_eq!(
            outcome.as_ref().map_or_else(|error| error.code(), |_| "ok"),
            case.expect,
            "{}",
            case.name
        );
        if let Some(sentence) = case.sentence {
            assert_eq!(
                outcome.as_ref().unwrap_err().to_string(),
                sentence,
                "{}",
                case.name
            );
        }
        assert_eq!(
            outcome.ok(),
            case.plaintext.map(String::into_bytes),
            "{}",
            case.name
        );
        assert_eq!(keys.is_newest(&case.record), case.newest, "{}", case.name);
    }
}

#[test]
fn seal_keys_say_which_entry_is_wrong() {
    for case in vectors().keys {
        let error = SealKeys::parse(&case.setting).err();
        let (code, sentence) = error.map(|error| (error.code(), error.to_string())).unzip();
        assert_eq!(code.unwrap_or("ok"), case.expect, "{}", case.name);
        assert_eq!(sentence, case.sentence, "{}", case.name);
    }
}

/// A key is put in front; what was sealed before still opens and is known to be due; once that is
/// sealed anew, the old key can go.
#[test]
fn keys_rotate_without_losing_a_record() {
    let [old, new] = [1, 2].map(|byte| STANDARD.encode([byte; 32]));
    let before = SealKeys::parse(&format!("old:{old}")).ok().unwrap();
    let during = SealKeys::parse(&format!("new:{new},old:{old}"))
        .ok()
        .unwrap();
    let after = SealKeys::parse(&format!("new:{new}")).ok().unwrap();

    let record = before.seal(b"refresh token", "loc", [7; 24]);
    assert_eq!(
        during.open(&record, "loc").as_deref(),
        Ok(&b"refresh token"[..])
    );
    assert!(!during.is_newest(&record));
    assert_eq!(
        after.open(&record, "loc"),
        Err(SealError::UnknownKey("old".into()))
    );

    let anew = during.seal(b"refresh token", "loc", [8; 24]);
    assert!(during.is_newest(&anew) && after.is_newest(&anew));
    assert_eq!(
        after.open(&anew, "loc").as_deref(),
        Ok(&b"refresh token"[..])
    );
    assert_eq!(
        before.open(&anew, "loc"),
        Err(SealError::UnknownKey("new".into()))
    );
}

/// No disagreement where one can ask: our associated data is text, theirs is in 118 of 315 cases.
#[test]
fn wycheproof_xchacha20_poly1305() {
    let set = aead::TestSet::load(aead::TestName::XChaCha20Poly1305).unwrap();
    let (mut asked, mut not_text) = (0, 0);
    for case in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let Ok(associated) = std::str::from_utf8(&case.aad) else {
            not_text += 1;
            continue;
        };
        asked += 1;
        let keys = SealKeys::parse(&format!("k:{}", STANDARD.encode(&case.key)))
            .ok()
            .unwrap();
        let sealed = [&case.ct[..], &case.tag[..]].concat();
        let record = format!(
            "v1.k.{}.{}",
            URL_SAFE_NO_PAD.encode(&case.nonce),
            URL_SAFE_NO_PAD.encode(sealed)
        );
        let expected = match (case.result, <[u8; 24]>::try_from(&case.nonce[..])) {
            (TestResult::Valid, Ok(nonce)) => {
                assert_eq!(
                    keys.seal(&case.pt, associated, nonce),
                    record,
                    "{}",
                    case.tc_id
                );
                Ok(case.pt.to_vec())
            }
            (TestResult::Invalid, Ok(_)) => Err(SealError::Refused),
            (TestResult::Invalid, Err(_)) => Err(SealError::Malformed),
            other => panic!("{other:?} is new"),
        };
        assert_eq!(
            keys.open(&record, associated),
            expected,
            "{} {}",
            case.tc_id,
            case.comment
        );
    }
    assert_eq!((asked, not_text), (118, 197));
}

#[cfg(not(target_arch = "wasm32"))]
mod whatever_comes {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_sealed_opens(plaintext: Vec<u8>, associated: String, nonce: [u8; 24], key: [u8; 32]) {
            let keys = SealKeys::parse(&format!("k:{}", STANDARD.encode(key))).ok().unwrap();
            let record = keys.seal(&plaintext, &associated, nonce);
            prop_assert!(record.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
            prop_assert_eq!(keys.open(&record, &associated), Ok(plaintext));
        }

        #[test]
        fn what_is_altered_does_not(plaintext: Vec<u8>, associated: String, elsewhere: String, at: prop::sample::Index, symbol in "[A-Za-z0-9._-]") {
            let keys = SealKeys::parse(&format!("k:{}", STANDARD.encode([9; 32]))).ok().unwrap();
            let record = keys.seal(&plaintext, &associated, [3; 24]);
            let at = at.index(record.len());
            let altered = format!("{}{symbol}{}", &record[..at], &record[at + 1..]);
            prop_assert_eq!(keys.open(&altered, &associated).is_ok(), altered == record);
            prop_assert!(keys.open(&record[..at], &associated).is_err());
            prop_assert_eq!(keys.open(&record, &elsewhere).is_ok(), elsewhere == associated);
        }

        #[test]
        fn no_record_panics(record in "\\PC*|v1\\.k\\.[A-Za-z0-9_-]{32}\\.[A-Za-z0-9_-]{0,60}", associated: String) {
            let keys = SealKeys::parse(&format!("k:{}", STANDARD.encode([9; 32]))).ok().unwrap();
            prop_assert!(keys.open(&record, &associated).is_err());
            keys.is_newest(&record);
        }

        #[test]
        fn no_setting_panics_and_no_sentence_shows_what_was_set(setting in "\\PC{0,80}|[A-Za-z0-9+/:_,=-]{40,120}") {
            if let Err(error) = SealKeys::parse(&setting) {
                for part in setting.split([',', ':']).map(str::trim).filter(|part| part.len() > 16) {
                    prop_assert!(!error.to_string().contains(part), "{}", error);
                }
            }
        }
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("vectors/seal.json")).unwrap()
}

#[derive(Deserialize)]
struct Vectors {
    keys: Vec<KeysCase>,
    seal: Vec<SealCase>,
    open: Vec<OpenCase>,
}

#[derive(Deserialize)]
struct KeysCase {
    name: String,
    setting: String,
    expect: String,
    sentence: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SealCase {
    name: String,
    keys: String,
    plaintext: String,
    associated: String,
    nonce_hex: String,
    record: String,
}

#[derive(Deserialize)]
struct OpenCase {
    name: String,
    keys: String,
    record: String,
    associated: String,
    expect: String,
    plaintext: Option<String>,
    newest: bool,
    sentence: Option<String>,
}
