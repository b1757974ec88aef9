//! Signatures against vectors that others made: node:crypto and RFC 8032 (`vectors/signature.json`),
//! Wycheproof.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use vcx_ghl::secret::{KeyError, Keyring, Secret, masked};
use vcx_ghl::signature::{
    GhlKeys, MacKey, OAuthState, WebhookRefused, WebhookSecrets, digest, event_id, hex, sign_state,
    verify_state,
};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;
use wycheproof::{TestResult, eddsa, mac};

#[test]
fn ghl_webhooks_are_let_in_only_with_one_good_signature_over_these_bytes() {
    for case in vectors().ghl.verify {
        let keys = GhlKeys::parse(&case.keys).unwrap();
        let outcome = keys.verify(case.header.as_deref(), &unhex(&case.body_hex));
        assert_eq!(
            code(outcome, WebhookRefused::code),
            case.expect,
            "{}",
            case.name
        );
    }
}

#[test]
fn ghl_keys_are_read_however_they_are_pasted() {
    let Ghl { signers, keys, .. } = vectors().ghl;
    for case in keys {
        let parsed = GhlKeys::parse(&case.setting);
        case.check(parsed.as_ref().err());
        for signer in &case.signed_by {
            let keys = parsed.as_ref().unwrap();
            assert_eq!(
                keys.verify(Some(&signers[signer].sign(b"any")), b"any"),
                Ok(()),
                "{}",
                case.name
            );
        }
    }
}

#[test]
fn ghls_published_key_is_built_in() {
    let published = vectors().ghl.published;
    let parsed = GhlKeys::parse(&published.pem).unwrap();
    assert_eq!(format!("{:?}", GhlKeys::published()), format!("{parsed:?}"));
    assert!(
        format!("{parsed:?}").contains("VerifyingKey"),
        "there is a key in it"
    );
    let raw = STANDARD.encode(unhex(&published.raw_hex));
    assert_eq!(
        format!("{:?}", GhlKeys::parse(&raw).unwrap()),
        format!("{parsed:?}")
    );

    let stranger = vectors().ghl.signers["first"].sign(b"{}");
    assert_eq!(
        GhlKeys::published().verify(Some(&stranger), b"{}"),
        Err(WebhookRefused::WrongSignature)
    );
}

/// No disagreement: what Wycheproof calls valid is let in and what it calls invalid is refused, which
/// is every signature that is malleable (S ≥ L), truncated, extended or not canonically encoded.
#[test]
fn wycheproof_ed25519() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut seen = 0;
    for group in set.test_groups {
        let keys = GhlKeys::parse(&STANDARD.encode(&group.key.pk)).unwrap();
        let pem = GhlKeys::parse(&group.pem).unwrap();
        assert_eq!(format!("{keys:?}"), format!("{pem:?}"));
        for case in group.tests {
            let outcome = keys.verify(Some(&STANDARD.encode(&case.sig)), &case.msg);
            let expected = match (case.result, case.sig.len()) {
                (TestResult::Valid, 64) => Ok(()),
                (TestResult::Invalid, 64) => Err(WebhookRefused::WrongSignature),
                (TestResult::Invalid, 0) => Err(WebhookRefused::Empty),
                (TestResult::Invalid, _) => Err(WebhookRefused::WrongLength),
                other => panic!("{other:?} is new"),
            };
            assert_eq!(outcome, expected, "{} {}", case.tc_id, case.comment);
            seen += 1;
        }
    }
    assert_eq!(seen, 151);
}

/// One disagreement, on purpose: 33 of Wycheproof's valid tags are cut to 128 bits. Nothing spoken
/// here cuts tags (Standard Webhooks, HS256, our state), so a short one is refused, even if it is the
/// right beginning, as is checked here too.
#[test]
fn wycheproof_hmac_sha256() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    let (mut whole, mut truncated) = (0, 0);
    for group in set.test_groups {
        for case in group.tests {
            let key = MacKey::new(&case.key);
            let good = case.result == TestResult::Valid;
            let (left, right) = case.msg.split_at(case.msg.len() / 3);
            match group.tag_size {
                256 => {
                    assert_eq!(
                        key.verify(&[left, right], &case.tag),
                        good,
                        "{}",
                        case.tc_id
                    );
                    whole += 1;
                }
                128 => {
                    assert!(!key.verify(&[left, right], &case.tag), "{}", case.tc_id);
                    assert_eq!(
                        key.sign(&[left, right])[..16] == case.tag[..],
                        good,
                        "{}",
                        case.tc_id
                    );
                    truncated += 1;
                }
                bits => panic!("tags of {bits} bits are new"),
            }
        }
    }
    assert_eq!((whole, truncated), (87, 87));
}

#[test]
fn events_are_signed_as_standard_webhooks() {
    for case in vectors().webhooks.sign {
        let secrets = WebhookSecrets::parse(&case.secrets).ok().unwrap();
        let signature = secrets.sign(&case.id, case.timestamp, case.body.as_bytes());
        assert_eq!(signature, case.signature, "{}", case.name);
        // A receiver that knows one of them takes it, whichever that is.
        let timestamp = case.timestamp.to_string();
        let headers = [
            ("webhook-id", case.id.as_str()),
            ("webhook-timestamp", timestamp.as_str()),
            ("webhook-signature", signature.as_str()),
        ];
        for secret in case.secrets.split(',') {
            let receiver = WebhookSecrets::of_receiver(secret).ok().unwrap();
            let (body, now) = (case.body.as_bytes(), case.timestamp * 1000);
            assert_eq!(
                receiver.verify(&headers, body, now),
                Ok(()),
                "{}",
                case.name
            );
        }
    }
}

#[test]
fn events_are_verified_as_standard_webhooks() {
    for case in vectors().webhooks.verify {
        let secrets = WebhookSecrets::of_receiver(&case.secrets).ok().unwrap();
        let headers: Vec<(&str, &str)> = case
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let outcome = secrets.verify(&headers, case.body.as_bytes(), case.now);
        assert_eq!(
            code(outcome, |refused| refused.code()),
            case.expect,
            "{}",
            case.name
        );
    }
}

#[test]
fn webhook_secrets_say_which_entry_is_wrong() {
    for case in vectors().webhooks.secrets {
        case.check(WebhookSecrets::parse(&case.setting).err().as_ref());
    }
    for case in vectors().webhooks.receiver_secrets {
        case.check(WebhookSecrets::of_receiver(&case.setting).err().as_ref());
    }
}

#[test]
fn an_oauth_state_comes_back_unless_altered_or_late() {
    let State { sign, verify } = vectors().state;
    for case in sign {
        let state = case.state.into();
        assert_eq!(
            sign_state(&Secret::new(case.client_secret), &state),
            case.token,
            "{}",
            case.name
        );
    }
    for case in verify {
        let outcome = verify_state(&Secret::new(case.client_secret), &case.token, case.now);
        assert_eq!(
            code(outcome.clone(), |error| error.code()),
            case.expect,
            "{}",
            case.name
        );
        assert_eq!(outcome.ok(), case.state.map(Into::into), "{}", case.name);
    }
}

#[test]
fn an_oauth_state_needs_no_escaping_in_a_url_or_a_cookie() {
    let state = OAuthState {
        ref_: Some("a b;c,\"d\"&e=/?\u{1F600}".repeat(9)),
        nonce: [255; 16],
        issued_at: i64::MAX,
    };
    let token = sign_state(&Secret::new(""), &state);
    assert!(
        token
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)),
        "{token}"
    );
}

#[test]
fn digests_and_event_ids_are_what_anyone_computes() {
    let vectors = vectors();
    for case in vectors.digests {
        let parts: Vec<&[u8]> = case.parts.iter().map(|part| part.as_bytes()).collect();
        assert_eq!(hex(&digest(&parts)), case.hex);
    }
    for case in vectors.event_ids {
        assert_eq!(event_id(&case.location, &case.r#type, &case.key), case.id);
    }
}

#[test]
fn a_keyring_takes_each_of_its_keys_and_nothing_else() {
    let keys = Keyring::parse(" new-key ,, old-key,");
    assert!(!keys.is_empty());
    for good in ["new-key", "old-key"] {
        assert!(keys.accepts(good), "{good}");
    }
    for bad in [
        "",
        " ",
        "new-ke",
        "new-key ",
        "new-key,old-key",
        "NEW-KEY",
        "new-keyold-key",
        "other",
    ] {
        assert!(!keys.accepts(bad), "{bad:?}");
    }
    for none in ["", " , ,"] {
        assert!(Keyring::parse(none).is_empty());
        assert!(!Keyring::parse(none).accepts(""));
        assert!(!Keyring::parse(none).accepts(none));
    }
}

#[test]
fn a_secret_prints_nothing() {
    let secret = Secret::new("hunter2");
    assert_eq!(
        format!("{secret:?} {:#?}", Some(secret.clone())),
        "Secret(..) Some(\n    Secret(..),\n)"
    );
    assert_eq!(secret.expose(), "hunter2");
}

#[test]
fn words_from_outside_lose_what_may_be_a_secret() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJsb2MtMSJ9.4Hb3f0p9rTqk2m8W_x6cZy1uVn5sJd";
    for (words, shown) in [
        ("", ""),
        (
            "Authorization code not found",
            "Authorization code not found",
        ),
        (
            "The token is not authorized for conversations/message.readonly.",
            "The token is not authorized for conversations/message.readonly.",
        ),
        (
            "Contact conA1B2C3D4E5F6G7H8i not found",
            "Contact conA1B2C3D4E5F6G7H8i not found",
        ),
        (
            "app 65f0c1d2e3f4a5b6c7d8e9f0",
            "app 65f0c1d2e3f4a5b6c7d8e9f0",
        ),
        ("secret 0b9f7a52-8f5e-4c3c-9d0c-7f2a1e6b4d11", "secret …"),
        (&format!("Bearer {jwt}, expired"), "Bearer …, expired"),
        (&format!("{{\"token\":\"{jwt}\"}}"), "{\"token\":\"…\"}"),
        ("see <https://a.test/?code=1>.", "see <…>."),
        ("uri=https%3A%2F%2Fa.test", "…"),
        (
            "?code=5b3f7a9c2d1e4f60a8b7c6d5e4f3a2b1&state=x",
            "?code=…state=x",
        ),
        ("ein\u{a0}Wort mit 1 Zahl", "ein\u{a0}Wort mit 1 Zahl"),
    ] {
        assert_eq!(masked(words), shown);
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod whatever_comes {
    use proptest::prelude::*;
    use vcx_ghl::signature::{EventRefused, StateError};

    use super::*;

    proptest! {
        #[test]
        fn no_setting_panics_and_no_sentence_shows_what_was_set(setting in "\\PC{0,80}|[A-Za-z0-9+/:_,=-]{40,120}") {
            let errors = [GhlKeys::parse(&setting).err(), WebhookSecrets::parse(&setting).err(), WebhookSecrets::of_receiver(&setting).err()];
            for sentence in errors.into_iter().flatten().map(|error| error.to_string()) {
                for part in setting.split([',', ':']).map(str::trim).filter(|part| part.len() > 16) {
                    prop_assert!(!sentence.contains(part), "{}", sentence);
                }
            }
            let _ = Keyring::parse(&setting).accepts(&setting);
        }

        #[test]
        fn no_token_is_left_in_words_from_outside(before in "[ \\PC]{0,40}", token in "[A-Za-z0-9_.-]{12,60}[0-9][A-Za-z0-9_.-]{12,60}", after in "[ ,;\"')/&]{1}\\PC{0,40}") {
            let words = format!("{before} {token}{after}");
            let is_inside = before.contains(&token) || after.contains(&token);
            prop_assert!(is_inside || !masked(&words).contains(&token), "{}", masked(&words));
        }

        #[test]
        fn no_header_gets_in(header in "\\PC{0,100}|[A-Za-z0-9+/]{86}==", body: Vec<u8>) {
            prop_assert!(GhlKeys::published().verify(Some(&header), &body).is_err());
        }

        #[test]
        fn an_event_is_verified_within_five_minutes(id in "[a-z0-9_]{1,40}", body: Vec<u8>, sent in 0i64..1 << 42, late in -400_000i64..400_000) {
            let secrets = WebhookSecrets::parse(ONE_SECRET).ok().unwrap();
            let signature = secrets.sign(&id, sent, &body);
            let outcome = secrets.verify(&headers(&id, &sent.to_string(), &signature), &body, sent * 1000 + late);
            let expected = match late {
                ..-300_000 => Err(EventRefused::TooNew),
                301_000.. => Err(EventRefused::TooOld),
                _ => Ok(()),
            };
            prop_assert_eq!(outcome, expected);
        }

        #[test]
        fn no_event_header_panics(id in "\\PC*", timestamp in "\\PC*|-?[0-9]{1,20}", signatures in "\\PC*|(v1,[A-Za-z0-9+/]{43}= ?){1,3}", now: i64) {
            let secrets = WebhookSecrets::parse(ONE_SECRET).ok().unwrap();
            prop_assert!(secrets.verify(&headers(&id, &timestamp, &signatures), b"", now).is_err());
        }

        #[test]
        fn a_state_comes_back_as_it_was(ref_ in prop::option::of(any::<String>()), nonce: [u8; 16], issued_at: i64, age: i64) {
            let key = Secret::new("client secret");
            let state = OAuthState { ref_, nonce, issued_at };
            let token = sign_state(&key, &state);
            prop_assert_eq!(verify_state(&key, &token, issued_at), Ok(state.clone()));
            let expected = match issued_at.abs_diff(age) < 600_000 {
                true => Ok(state),
                false => Err(StateError::Expired),
            };
            prop_assert_eq!(verify_state(&key, &token, age), expected);
            prop_assert_eq!(verify_state(&Secret::new("another"), &token, issued_at), Err(StateError::Forged));
        }

        #[test]
        fn no_token_is_a_state(token in "\\PC*|[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{43}", now: i64) {
            prop_assert!(verify_state(&Secret::new("client secret"), &token, now).is_err());
        }

        #[test]
        fn parts_do_not_run_together(left: Vec<Vec<u8>>, right: Vec<Vec<u8>>) {
            fn slices(parts: &[Vec<u8>]) -> Vec<&[u8]> {
                parts.iter().map(Vec::as_slice).collect()
            }
            prop_assert_eq!(digest(&slices(&left)) == digest(&slices(&right)), left == right);
        }
    }

    proptest! {
        // A debug build takes 5 ms to verify one Ed25519 signature.
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn a_ghl_webhook_with_any_bit_flipped_stays_out(body in prop::collection::vec(any::<u8>(), 1..200), at: prop::sample::Index) {
            let signer = &vectors().ghl.signers["first"];
            let keys = GhlKeys::parse(&signer.raw).unwrap();
            let header = signer.sign(&body);
            prop_assert_eq!(keys.verify(Some(&header), &body), Ok(()));
            let (mut altered, bit) = (body.clone(), at.index(body.len() * 8));
            altered[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(keys.verify(Some(&header), &altered), Err(WebhookRefused::WrongSignature));
            let (mut signature, bit) = (STANDARD.decode(&header).unwrap(), at.index(512));
            signature[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(keys.verify(Some(&STANDARD.encode(signature)), &body), Err(WebhookRefused::WrongSignature));
        }
    }

    fn headers<'a>(id: &'a str, timestamp: &'a str, signature: &'a str) -> [(&'a str, &'a str); 3] {
        [
            ("webhook-id", id),
            ("webhook-timestamp", timestamp),
            ("webhook-signature", signature),
        ]
    }

    const ONE_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
}

fn code<T, E>(outcome: Result<T, E>, code: impl Fn(E) -> &'static str) -> &'static str {
    outcome.map_or_else(code, |_| "ok")
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("vectors/signature.json")).unwrap()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vectors {
    ghl: Ghl,
    webhooks: Webhooks,
    state: State,
    digests: Vec<DigestCase>,
    event_ids: Vec<EventIdCase>,
}

#[derive(Deserialize)]
struct Ghl {
    published: Published,
    signers: std::collections::BTreeMap<String, Signer>,
    keys: Vec<SettingCase>,
    verify: Vec<GhlCase>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Published {
    pem: String,
    raw_hex: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signer {
    seed_hex: String,
    #[cfg_attr(target_arch = "wasm32", expect(dead_code))]
    raw: String,
}

impl Signer {
    fn sign(&self, body: &[u8]) -> String {
        use ed25519_dalek::Signer as _;
        let key = ed25519_dalek::SigningKey::from_bytes(&unhex(&self.seed_hex).try_into().unwrap());
        STANDARD.encode(key.sign(body).to_bytes())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SettingCase {
    name: String,
    setting: String,
    expect: String,
    sentence: Option<String>,
    #[serde(default)]
    signed_by: Vec<String>,
}

impl SettingCase {
    fn check(&self, error: Option<&KeyError>) {
        let (code, sentence) = error.map(|error| (error.code(), error.to_string())).unzip();
        assert_eq!(code.unwrap_or("ok"), self.expect, "{}", self.name);
        assert_eq!(sentence, self.sentence, "{}", self.name);
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GhlCase {
    name: String,
    keys: String,
    header: Option<String>,
    body_hex: String,
    expect: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhooks {
    secrets: Vec<SettingCase>,
    receiver_secrets: Vec<SettingCase>,
    sign: Vec<SignCase>,
    verify: Vec<VerifyCase>,
}

#[derive(Deserialize)]
struct SignCase {
    name: String,
    secrets: String,
    id: String,
    timestamp: i64,
    body: String,
    signature: String,
}

#[derive(Deserialize)]
struct VerifyCase {
    name: String,
    secrets: String,
    headers: std::collections::BTreeMap<String, String>,
    body: String,
    now: i64,
    expect: String,
}

#[derive(Deserialize)]
struct State {
    sign: Vec<StateSignCase>,
    verify: Vec<StateVerifyCase>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StateSignCase {
    name: String,
    client_secret: String,
    state: StateFields,
    token: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StateVerifyCase {
    name: String,
    client_secret: String,
    token: String,
    now: i64,
    expect: String,
    state: Option<StateFields>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StateFields {
    r#ref: Option<String>,
    nonce_hex: String,
    issued_at: i64,
}

impl From<StateFields> for OAuthState {
    fn from(fields: StateFields) -> OAuthState {
        OAuthState {
            ref_: fields.r#ref,
            nonce: unhex(&fields.nonce_hex).try_into().unwrap(),
            issued_at: fields.issued_at,
        }
    }
}

#[derive(Deserialize)]
struct DigestCase {
    parts: Vec<String>,
    hex: String,
}

#[derive(Deserialize)]
struct EventIdCase {
    location: String,
    r#type: String,
    key: String,
    id: String,
}
