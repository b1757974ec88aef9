//! GHL's validation: class-validator's messages, all of them at once, and no key that it does not
//! know (FACTS §3.3, §5).

use serde_json::Value;
use std::collections::BTreeMap;
use vcx_ghl::ghl::webhook::millis;

/// What is wrong with a route's body and query, in GHL's words.
pub fn problems(route: &str, body: &Value, query: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(fields) = fields(BODIES, route) {
        let empty = serde_json::Map::new();
        let body = body.as_object().unwrap_or(&empty);
        for (name, value) in body {
            match fields.iter().find(|field| field.name == name) {
                Some(field) => found.extend(field.problem(value)),
                None => found.push(format!("property {name} should not exist")),
            }
        }
        let missing =
            |name: &str| matches!(body.get(name), None | Some(Value::Null)) || body[name] == "";
        found.extend(absent(&fields, missing));
    }
    if let Some(fields) = fields(QUERIES, route) {
        for field in &fields {
            let value = query.get(field.name).map(|text| Value::from(text.as_str()));
            found.extend(value.and_then(|value| field.problem(&value)));
        }
        let missing = |name: &str| query.get(name).is_none_or(String::is_empty);
        found.extend(absent(&fields, missing));
    }
    found
}

fn absent(fields: &[Field], missing: impl Fn(&str) -> bool) -> Vec<String> {
    let required = fields.iter().filter(|field| field.required);
    required
        .filter(|field| missing(field.name))
        .map(|field| format!("{} should not be empty", field.name))
        .collect()
}

struct Field {
    name: &'static str,
    required: bool,
    kind: &'static str,
}

fn fields(table: &[(&str, &'static str)], route: &str) -> Option<Vec<Field>> {
    let (_, fields) = table.iter().find(|(name, _)| *name == route)?;
    let read = |text: &'static str| {
        let (name, kind) = text.split_once(':').unwrap_or((text, "string"));
        Field {
            name: name.trim_end_matches('*'),
            required: name.ends_with('*'),
            kind,
        }
    };
    Some(fields.split_whitespace().map(read).collect())
}

impl Field {
    fn problem(&self, value: &Value) -> Option<String> {
        let name = self.name;
        // @IsOptional lets null pass.
        if value.is_null() {
            return None;
        }
        let is_text_list = |list: &Vec<Value>| list.iter().all(Value::is_string);
        match self.kind {
            "any" => None,
            "number" => (!value.is_number()).then(|| {
                format!("{name} must be a number conforming to the specified constraints")
            }),
            "boolean" => (!value.is_boolean()).then(|| format!("{name} must be a boolean value")),
            "array" => (!value.is_array()).then(|| format!("{name} must be an array")),
            "object" => (!value.is_object()).then(|| format!("{name} must be an object")),
            "strings" => match value.as_array() {
                None => Some(format!("{name} must be an array")),
                Some(list) if is_text_list(list) => None,
                Some(_) => Some(format!("each value in {name} must be a string")),
            },
            kind => match (value.as_str(), kind) {
                (None, _) => Some(format!("{name} must be a string")),
                (Some(_), "string") => None,
                (Some(text), "date") => millis(text)
                    .is_none()
                    .then(|| format!("{name} must be a valid ISO 8601 date string")),
                (Some(text), words) => (!words.split('|').any(|word| word == text))
                    .then(|| format!("{name} must be a valid enum value")),
            },
        }
    }
}

const CONTACT: &str = "firstName lastName name email phone address1 city state postalCode website \
    timezone dnd:boolean dndSettings:object inboundDndSettings:object tags:strings \
    customFields:array source dateOfBirth country assignedTo locationId* gender companyName";

/// Method and path, and the fields of the body: `name`, `*` when it is required, `:` and its type
/// unless it is text; words with `|` between are the ones that are taken.
const BODIES: &[(&str, &str)] = &[
    ("POST /oauth/locationToken", "companyId* locationId*"),
    ("POST /contacts/", CONTACT),
    (
        "POST /contacts/upsert",
        "createNewIfDuplicateAllowed:boolean firstName lastName name email phone address1 city \
         state postalCode website timezone dnd:boolean dndSettings:object \
         inboundDndSettings:object tags:strings customFields:array source dateOfBirth country \
         assignedTo locationId* gender companyName",
    ),
    (
        "PUT /contacts/{}",
        "firstName lastName name email phone address1 city state postalCode website timezone \
         dnd:boolean dndSettings:object inboundDndSettings:object tags:strings \
         customFields:array source dateOfBirth country assignedTo",
    ),
    ("POST /contacts/{}/tags", "tags*:strings"),
    ("DELETE /contacts/{}/tags", "tags*:strings"),
    (
        "POST /contacts/search",
        "locationId* page:number pageLimit*:number searchAfter:array filters:array sort:array query",
    ),
    (
        "POST /locations/{}/customFields",
        "name* dataType* placeholder acceptedFormat:strings isMultipleFile:boolean \
         maxNumberOfFiles:number textBoxListOptions:array position:number \
         model:contact|opportunity",
    ),
    ("POST /conversations/", "locationId* contactId*"),
    (
        "PUT /conversations/{}",
        "locationId* unreadCount:number starred:boolean feedback:any",
    ),
    (
        "POST /conversations/messages/inbound",
        "type*:SMS|RCS|Email|WhatsApp|GMB|IG|FB|Custom|WebChat|Live_Chat|Call|IVR_Call|Campaign_Call|Campaign_VoiceMail|TIKTOK|ALL_IN_ONE_CHAT|FORM_SUBMISSION \
         attachments:strings message conversationId contactId conversationProviderId html subject \
         emailFrom emailTo emailCc:strings emailBcc:strings emailMessageId altId \
         direction:inbound|outbound date:date call:object",
    ),
    (
        "POST /conversations/messages",
        "type*:SMS|RCS|Email|WhatsApp|IG|FB|Custom|Live_Chat|TIKTOK|InternalComment subType:any \
         contactId* appointmentId attachments:strings emailFrom emailCc:strings \
         emailBcc:strings html message subject replyMessageId templateId threadId \
         scheduledTimestamp:number conversationProviderId emailTo customSubtypeId \
         emailReplyMode:reply|reply_all fromNumber toNumber forward:object \
         status*:delivered|failed|pending|read usesNativeSchedulingAi:boolean \
         optimizationPeriod:24h|48h|72h mentions:strings userId",
    ),
    (
        "PUT /conversations/messages/{}/status",
        "status*:delivered|failed|pending|read error:object emailMessageId recipients:strings",
    ),
];

/// The same of the query; other keys are ignored.
const QUERIES: &[(&str, &str)] = &[
    ("GET /oauth/installedLocations", "companyId* appId*"),
    ("GET /contacts/search/duplicate", "locationId*"),
    (
        "GET /locations/{}/customFields",
        "model:contact|opportunity|all",
    ),
    (
        "GET /conversations/search",
        "locationId* sort:asc|desc status:all|read|unread|starred|recents",
    ),
];
