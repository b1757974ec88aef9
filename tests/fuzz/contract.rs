//! What `openapi.json` allows to be answered.

use serde_json::Value;
use std::sync::LazyLock;
use vcx_ghl::http::Response;

/// Fails unless the document has the response, with its media type and its code.
#[track_caller]
pub fn check(method: &str, path: &str, response: &Response) {
    if let Err(wrong) = fits(method, path, response) {
        panic!("{method} {path}: {wrong}: {response:?}");
    }
}

fn fits(method: &str, path: &str, response: &Response) -> Result<(), String> {
    let problem = serde_json::from_str::<Value>(&response.body).unwrap_or_default();
    let code = problem["code"].as_str();
    // What comes before the route is looked at.
    let first = match code {
        Some("url_too_long") => response.status == 414,
        Some("header_too_large") => response.status == 431,
        Some("not_found") => response.status == 404,
        Some(_) | None => false,
    };
    let Some(item) = item(path) else {
        return first.then_some(()).ok_or("is no route".into());
    };
    let Some(operation) = item.get(method.to_lowercase()) else {
        let said = match code {
            Some("method_not_allowed") => response.status == 405,
            Some("not_configured") => response.status == 500,
            Some("origin_not_allowed") => response.status == 403 && method == "OPTIONS",
            Some(_) => first,
            // A preflight, and HEAD for GET.
            None if method == "OPTIONS" => response.status == 204,
            None => method == "HEAD" && item.get("get").is_some(),
        };
        return said.then_some(()).ok_or("takes no such method".into());
    };
    let described = resolved(&operation["responses"][response.status.to_string()]);
    if described.is_null() {
        return Err("the status is not described".into());
    }
    // What comes over a socket is described with the answer that opens it.
    let opens = response.status == 101;
    let Some(content) = described["content"].as_object().filter(|_| !opens) else {
        return match response.body.is_empty() {
            true => Ok(()),
            false => Err("a body is not described".into()),
        };
    };
    let media_type = response
        .headers
        .get("content-type")
        .map_or("", String::as_str);
    let media_type = media_type.split(';').next().unwrap_or_default();
    let Some(media) = content.get(media_type) else {
        return Err(format!("the media type {media_type} is not described"));
    };
    if media_type == "application/problem+json" {
        let schema = &media["schema"]["properties"]["code"];
        let mut codes = schema["enum"].as_array().into_iter().flatten();
        let known = schema["const"].as_str() == code || codes.any(|word| word.as_str() == code);
        return known
            .then_some(())
            .ok_or("the code is not described".into());
    }
    Ok(())
}

/// The path item whose template a path fits.
fn item(path: &str) -> Option<&'static Value> {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let paths = DOCUMENT["paths"].as_object().unwrap();
    paths.iter().find_map(|(template, item)| {
        let parts: Vec<&str> = template.trim_matches('/').split('/').collect();
        let fits = |(part, segment): (&&str, &&str)| part.starts_with('{') || part == segment;
        let same = parts.len() == segments.len() && parts.iter().zip(&segments).all(fits);
        same.then_some(item)
    })
}

fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => DOCUMENT.pointer(&reference[1..]).unwrap(),
        None => value,
    }
}

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../src/openapi.json")).unwrap());
