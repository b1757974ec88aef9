//! The JavaScript seam, run by Node: real `Request`s and `Headers`, real random numbers, values
//! that cross, and a database that is not there.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

use js_sys::{Array, Function, JSON, Object, Reflect};
use vcx_ghl::wasm::{
    Database, body_limit, configure, handle, proceed, route, setting_names, shared_with,
};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
fn settings_that_are_missing_are_named() {
    configure("{}").unwrap();
    let answer = get("https://sync.example/health");
    assert_eq!(answer["response"]["status"], 503);
    let body: serde_json::Value =
        serde_json::from_str(answer["response"]["body"].as_str().unwrap()).unwrap();
    assert!(
        body["missing"]
            .as_array()
            .unwrap()
            .contains(&"SEAL_KEYS".into()),
        "{body}"
    );
    assert!(setting_names().contains(&"SEAL_KEYS".to_owned()));
}

#[wasm_bindgen_test]
fn headers_of_a_request_are_read() {
    set_up();
    let url = "https://sync.example/locations/loc-1";
    let refused = get(url);
    assert_eq!(refused["response"]["status"], 401);

    let allowed =
        from_text(&route(&request(url, "GET", "Bearer key-1"), Some(Vec::new()), NOW).unwrap());
    assert_eq!(allowed["ask"]["object"], "location:loc-1");
    assert_eq!(allowed["ask"]["ask"], "health");
}

/// `Headers` joins what comes twice, and that is no signature, not even twice the right one. The
/// header that GHL signed with before is not looked at.
#[wasm_bindgen_test]
fn a_webhook_needs_one_signature_under_the_right_name() {
    set_up();
    let body = br#"{"type":"UNINSTALL","locationId":"loc-1"}"#;
    // Made by node:crypto with the key that `set_up` names.
    let good =
        "Zu3QWKbXK/EPiumaNlR41Q3pHDNDloa4mYZmhPmWC5AJqSPiWkfGTXOM/+Ri8eDPb72DqiZd3hsNRpoMUFQ8BQ==";
    let outcome = |signatures: &[(&str, &str)]| {
        let headers = web_sys::Headers::new().unwrap();
        for (name, value) in signatures {
            headers.append(name, value).unwrap();
        }
        let init = web_sys::RequestInit::new();
        init.set_method("POST");
        init.set_headers(&headers);
        let url = "https://sync.example/webhook";
        let request = web_sys::Request::new_with_str_and_init(url, &init).unwrap();
        let step = from_text(&route(&request, Some(body.to_vec()), NOW).unwrap());
        match step["ask"]["object"].as_str() {
            Some(object) => object.to_owned(),
            None => {
                assert_eq!(step["respond"]["response"]["status"], 401);
                let log = step["respond"]["log"].as_str().unwrap();
                let log: serde_json::Value = serde_json::from_str(log).unwrap();
                log["code"].as_str().unwrap().to_owned()
            }
        }
    };
    let name = "X-GHL-Signature";
    assert_eq!(outcome(&[(name, good)]), "location:loc-1");
    assert_eq!(outcome(&[(name, good), (name, good)]), "signature_doubled");
    assert_eq!(outcome(&[(name, "N/A"), (name, good)]), "signature_doubled");
    assert_eq!(outcome(&[(name, "N/A")]), "signature_not_applicable");
    assert_eq!(outcome(&[(name, "")]), "signature_empty");
    assert_eq!(outcome(&[]), "signature_absent");
    assert_eq!(outcome(&[("X-WH-Signature", good)]), "signature_absent");
    let both = [(name, "N/A"), ("X-WH-Signature", good)];
    assert_eq!(outcome(&both), "signature_not_applicable");
}

#[wasm_bindgen_test]
fn the_page_s_origin_is_read_and_answered() {
    set_up();
    let ask = |origin: &str| {
        let headers = object(&serde_json::json!({ "origin": origin }).to_string());
        let init = web_sys::RequestInit::new();
        init.set_method("OPTIONS");
        init.set_headers(&headers);
        let url = "https://sync.example/push-message";
        let request = web_sys::Request::new_with_str_and_init(url, &init).unwrap();
        let step = from_text(&route(&request, Some(Vec::new()), NOW).unwrap());
        let status = step["respond"]["response"]["status"].clone();
        (status, from_text(&shared_with(&request).unwrap()))
    };
    let (status, headers) = ask("https://chat.example");
    assert_eq!(status, 204);
    assert_eq!(
        headers["access-control-allow-origin"],
        "https://chat.example"
    );
    let (status, headers) = ask("https://evil.example");
    assert_eq!(status, 403);
    assert_eq!(headers, serde_json::json!({ "vary": "Origin" }));
}

#[wasm_bindgen_test]
fn a_body_over_the_limit_is_not_handed_in_and_answered_with_413() {
    set_up();
    assert_eq!(body_limit(), 262_144);
    let request = request("https://sync.example/contact", "POST", "Bearer key-1");
    let answer = from_text(&route(&request, None, NOW).unwrap());
    assert_eq!(answer["respond"]["response"]["status"], 413);
}

#[wasm_bindgen_test]
fn every_installation_has_a_state_of_its_own() {
    set_up();
    let location = |answer: serde_json::Value| {
        answer["response"]["headers"]["location"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let first = location(get("https://sync.example/install"));
    let second = location(get("https://sync.example/install"));
    assert!(first.contains("&state="), "{first}");
    assert_ne!(first, second);
}

#[wasm_bindgen_test]
fn what_a_step_brought_goes_on() {
    set_up();
    let then = r#""listed""#;
    let brought = r#"{"page":{"keys":[{"name":"location:loc-1","metadata":{"state":"connected"}}],"cursor":null}}"#;
    let answer = from_text(&proceed(then, brought, NOW).unwrap());
    let body: serde_json::Value =
        serde_json::from_str(answer["respond"]["response"]["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["locations"][0]["locationId"], "loc-1");
}

#[wasm_bindgen_test]
fn an_object_without_a_database_asks_kv_and_writes_nothing() {
    set_up();
    let statements = Array::new();
    let database = database(&statements);
    let input = r#"{"asked":{"caller":"c1","object":"location:loc-1","ask":"health"}}"#;
    let thrown = handle(&database, input, "{}", NOW, 500).unwrap_err();
    assert_eq!(
        to_json(&thrown)["recall"],
        serde_json::json!(["token:loc-1"])
    );

    let recalled = r#"{"token:loc-1":null}"#;
    let outputs = from_text(&handle(&database, input, recalled, NOW, 500).unwrap());
    assert_eq!(outputs[0]["answer"]["caller"], "c1");
    assert_eq!(outputs[0]["answer"]["response"]["status"], 404);
    for statement in statements.iter() {
        let statement = statement.as_string().unwrap();
        assert!(statement.starts_with("SELECT"), "{statement}");
    }
}

fn set_up() {
    configure(
        r#"{
            "GHL_CLIENT_ID": "app-1", "GHL_CLIENT_SECRET": "secret", "GHL_PROVIDER_ID": "provider",
            "GHL_REDIRECT_URI": "https://sync.example/auth/callback", "VCX_API_KEY": "key-1",
            "VCX_ALLOWED_ORIGINS": "https://chat.example",
            "GHL_PUBLIC_KEYS": "TZYPR9JaClkwxjXJqbZIX1Ge3L6y4SsJHlsx8hz2Uzo=",
            "SEAL_KEYS": "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
        }"#,
    )
    .unwrap();
}

fn get(url: &str) -> serde_json::Value {
    let request = web_sys::Request::new_with_str(url).unwrap();
    from_text(&route(&request, Some(Vec::new()), NOW).unwrap())["respond"].clone()
}

fn request(url: &str, method: &str, authorization: &str) -> web_sys::Request {
    let headers = web_sys::Headers::new().unwrap();
    headers.set("authorization", authorization).unwrap();
    let init = web_sys::RequestInit::new();
    init.set_method(method);
    init.set_headers(&headers);
    web_sys::Request::new_with_str_and_init(url, &init).unwrap()
}

/// A database in which nothing exists, and which notes what it was asked.
fn database(statements: &Array) -> Database {
    let refuse = Function::new_with_args(
        "sql",
        "this.statements.push(sql); throw new Error('no such table: location')",
    );
    let database = Object::new();
    Reflect::set(&database, &"statements".into(), statements).unwrap();
    for name in ["query", "run"] {
        Reflect::set(&database, &name.into(), &refuse).unwrap();
    }
    database.unchecked_into()
}

fn object(json: &str) -> JsValue {
    JSON::parse(json).unwrap()
}

fn from_text(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

fn to_json(value: &JsValue) -> serde_json::Value {
    let text = JSON::stringify(value).unwrap();
    serde_json::from_str(&String::from(text)).unwrap()
}

const NOW: f64 = 1_760_000_000_000.0;
