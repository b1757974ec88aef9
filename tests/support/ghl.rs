//! What a GHL (and a vCX) that has nothing against us answers. It remembers nothing: ids are made
//! from what it is asked.

use super::{Call, What};
use serde_json::{Value, json};
use vcx_ghl::http::Response;

pub fn answer(call: &Call) -> Response {
    if let What::Tell { .. } = call.what {
        return Response::json(200, &json!({ "received": true }));
    }
    let label = call.label();
    let path: Vec<&str> = label.split('/').collect();
    let (status, body) = match path.as_slice() {
        ["vCX message.created" | "vCX message.failed" | "vCX conversation.updated"]
        | ["vCX location.connected" | "vCX location.disconnected"] => (204, Value::Null),
        ["GET ", "locations", _, "customFields"] => (
            200,
            json!({ "customFields": [
                { "id": "field-0", "name": "Shoe size", "fieldKey": "contact.shoe_size" },
                { "id": "field-1", "name": "vCX Client Id", "fieldKey": "contact.vcx_client_id" },
            ]}),
        ),
        ["POST ", "contacts", "search"] => (200, json!({ "contacts": [], "total": 0 })),
        ["POST ", "contacts", "upsert"] => (
            200,
            json!({ "new": true, "contact": { "id": contact_of(call) } }),
        ),
        ["POST ", "contacts", ""] => (201, json!({ "contact": { "id": contact_of(call) } })),
        ["PUT ", "contacts", id] => (200, json!({ "succeded": true, "contact": { "id": id } })),
        ["POST ", "contacts", _, "tags"] => (201, json!({ "tags": ["vCX"] })),
        ["POST ", "conversations", ""] => {
            let id = conversation_of(&call.json()["contactId"]);
            (
                201,
                json!({ "success": true, "conversation": { "id": id } }),
            )
        }
        ["POST ", "conversations", "messages", "inbound"] => {
            let message = call.json();
            let body = json!({
                "success": true,
                "conversationId": conversation_of(&message["contactId"]),
                "messageId": format!("ghl-{}", message["altId"].as_str().unwrap()),
                "message": "created",
            });
            (200, body)
        }
        ["PUT ", "conversations", "messages", id, "status"] => (
            200,
            json!({ "messageId": id, "conversationId": "cnv", "status": "ok" }),
        ),
        ["POST ", "oauth", "token"] => {
            let old = call.form("refresh_token").unwrap();
            let n: u32 = old.trim_start_matches("refresh-").parse().unwrap();
            let (access, refresh) = (format!("access-{}", n + 1), format!("refresh-{}", n + 1));
            (200, super::grant(super::LOCATION, &access, &refresh))
        }
        _ => panic!("no answer prepared for {label}"),
    };
    if status == 204 {
        return Response {
            status,
            headers: Default::default(),
            body: String::new(),
        };
    }
    Response::json(status, &body)
}

/// `con-` and the client, by the custom field.
fn contact_of(call: &Call) -> String {
    let body = call.json();
    let client = body["customFields"][0]["field_value"]
        .as_str()
        .unwrap_or("nobody");
    format!("con-{client}")
}

/// `cnv-` and the client: one conversation for each contact.
fn conversation_of(contact: &Value) -> String {
    contact.as_str().unwrap().replace("con-", "cnv-")
}
