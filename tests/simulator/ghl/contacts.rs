//! Contacts, their location and its custom fields (FACTS §2).

use super::server::Call;
use super::state::{Contact, CustomField};
use super::{Answer, Answered, Ghl};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use vcx_ghl::map::iso;

/// `POST /contacts/` (FACTS §2.1).
pub fn create(ghl: &mut Ghl, call: &Call) -> Answered {
    let location_id = call.location();
    let written = Written::read(ghl, &location_id, &call.body)?;
    refuse_duplicate(ghl, &location_id, &written, None)?;
    let contact = blank(ghl, &location_id);
    let contact = store(ghl, contact, written, "ContactCreate");
    Ok(Answer::new(
        201,
        json!({ "contact": view(&contact, false), "traceId": "trace" }),
    ))
}

/// `POST /contacts/upsert` (FACTS §2.2).
pub fn upsert(ghl: &mut Ghl, call: &Call) -> Answered {
    let location_id = call.location();
    let mut written = Written::read(ghl, &location_id, &call.body)?;
    let location = &ghl.locations[&location_id];
    let always = call.body["createNewIfDuplicateAllowed"] == true && location.allow_duplicates;
    let unique = location.unique.clone();
    let found = if always {
        None
    } else {
        matching(ghl, &location_id, &unique, &written.fields)
    };
    let Some((by, id)) = found else {
        let contact = blank(ghl, &location_id);
        let contact = store(ghl, contact, written, "ContactCreate");
        let body = json!({ "new": true, "contact": view(&contact, true), "traceId": "trace" });
        return Ok(Answer::new(200, body));
    };
    // The field of lower rank that belongs to somebody else is dropped, without an error.
    for field in unique.iter().filter(|field| **field != by) {
        let owner = owners(ghl, &location_id, field, &written.fields);
        if !owner.is_empty() && !owner.contains(&id) {
            written.fields.remove(field);
        }
    }
    let known = ghl.contacts[&id].clone();
    let contact = store(ghl, known, written, "ContactUpdate");
    let body = json!({ "new": false, "contact": view(&contact, true), "traceId": "trace" });
    Ok(Answer::new(200, body))
}

/// `GET /contacts/{contactId}`.
pub fn get(ghl: &mut Ghl, call: &Call) -> Answered {
    let contact = contact_of(ghl, &call.id, &call.location())?;
    Ok(Answer::new(
        200,
        json!({ "contact": view(&contact, true), "traceId": "trace" }),
    ))
}

/// `PUT /contacts/{contactId}` (FACTS §2.5).
pub fn update(ghl: &mut Ghl, call: &Call) -> Answered {
    let location_id = call.location();
    let known = contact_of(ghl, &call.id, &location_id)?;
    let written = Written::read(ghl, &location_id, &call.body)?;
    refuse_duplicate(ghl, &location_id, &written, Some(&known.id))?;
    let contact = store(ghl, known, written, "ContactUpdate");
    // GHL's spelling.
    let body = json!({ "succeded": true, "contact": view(&contact, true), "traceId": "trace" });
    Ok(Answer::new(200, body))
}

/// `DELETE /contacts/{contactId}`.
pub fn remove(ghl: &mut Ghl, call: &Call) -> Answered {
    contact_of(ghl, &call.id, &call.location())?;
    ghl.delete_contact(&call.id);
    Ok(Answer::new(
        200,
        json!({ "succeded": true, "traceId": "trace" }),
    ))
}

/// `POST /contacts/{contactId}/tags`.
pub fn add_tags(ghl: &mut Ghl, call: &Call) -> Answered {
    let mut contact = contact_of(ghl, &call.id, &call.location())?;
    for tag in tags_of(&call.body["tags"]) {
        if !contact.tags.contains(&tag) {
            contact.tags.push(tag);
        }
    }
    let contact = store(ghl, contact, Written::default(), "ContactTagUpdate");
    Ok(Answer::new(
        201,
        json!({ "tags": contact.tags, "traceId": "trace" }),
    ))
}

/// `DELETE /contacts/{contactId}/tags`, with a body.
pub fn remove_tags(ghl: &mut Ghl, call: &Call) -> Answered {
    let mut contact = contact_of(ghl, &call.id, &call.location())?;
    let tags = tags_of(&call.body["tags"]);
    contact.tags.retain(|tag| !tags.contains(tag));
    let contact = store(ghl, contact, Written::default(), "ContactTagUpdate");
    Ok(Answer::new(
        200,
        json!({ "tags": contact.tags, "traceId": "trace" }),
    ))
}

/// `GET /contacts/search/duplicate` (FACTS §2.3).
pub fn duplicate(ghl: &mut Ghl, call: &Call) -> Answered {
    let location_id = call.location();
    let value = |name: &str| json!(call.query.get(name));
    let fields = BTreeMap::from([
        ("email".to_owned(), value("email")),
        ("phone".to_owned(), value("number")),
    ]);
    let unique = ghl.locations[&location_id].unique.clone();
    let found = matching(ghl, &location_id, &unique, &fields);
    let contact = found.map(|(_, id)| view(&ghl.contacts[&id], true));
    Ok(Answer::new(
        200,
        json!({ "contact": contact, "traceId": "trace" }),
    ))
}

/// `GET /locations/{locationId}`.
pub fn location(ghl: &mut Ghl, call: &Call) -> Answered {
    let Some(location) = ghl.locations.get(&call.id) else {
        return Err(Answer::unknown("Location", &call.id));
    };
    let settings = json!({ "allowDuplicateContact": location.allow_duplicates });
    let body = json!({
        "location": { "id": call.id, "companyId": location.company_id, "settings": settings },
        "traceId": "trace",
    });
    Ok(Answer::new(200, body))
}

/// `GET /locations/{locationId}/customFields` (FACTS §2.6).
pub fn fields(ghl: &mut Ghl, call: &Call) -> Answered {
    let model = call.query.get("model").map_or("contact", String::as_str);
    let found: Vec<Value> = ghl
        .fields
        .iter()
        .filter(|field| field.location_id == call.id && (model == "all" || field.model == model))
        .map(field_view)
        .collect();
    Ok(Answer::new(
        200,
        json!({ "customFields": found, "traceId": "trace" }),
    ))
}

/// `POST /locations/{locationId}/customFields`.
pub fn create_field(ghl: &mut Ghl, call: &Call) -> Answered {
    let text = |name: &str| call.body[name].as_str().unwrap_or_default().to_owned();
    let model = call.body["model"].as_str().unwrap_or("contact").to_owned();
    let name = text("name");
    let word: String = name.trim().to_lowercase();
    let words: Vec<&str> = word
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let key = format!("{model}.{}", words.join("_"));
    if ghl
        .fields
        .iter()
        .any(|field| field.location_id == call.id && field.key == key)
    {
        let words = format!("A custom field with the key {key} already exists");
        return Err(Answer::bad_request(&words));
    }
    let id = ghl.id("cf");
    let data_type = text("dataType");
    let location_id = call.id.clone();
    let field = CustomField {
        id,
        location_id,
        name,
        key,
        data_type,
        model,
    };
    let answer = json!({ "customField": field_view(&field), "traceId": "trace" });
    ghl.fields.push(field);
    Ok(Answer::new(201, answer))
}

impl Ghl {
    /// A contact goes, and its conversation with it.
    pub fn delete_contact(&mut self, id: &str) {
        let Some(contact) = self.contacts.remove(id) else {
            return;
        };
        let (now, location_id) = (self.now, contact.location_id.clone());
        if let Some(location) = self.locations.get_mut(&location_id) {
            location.late.push((now, id.to_owned(), None));
        }
        self.conversations
            .retain(|_, conversation| conversation.contact_id != id);
        self.emit("ContactDelete", event(&contact));
    }
}

impl Ghl {
    /// A contact that somebody makes in GHL by hand.
    pub fn stranger(&mut self, now: i64, location_id: &str, name: &str) -> String {
        self.now = now;
        let contact = blank(self, location_id);
        let fields = BTreeMap::from([("firstName".to_owned(), json!(name))]);
        let written = Written {
            fields,
            ..Written::default()
        };
        store(self, contact, written, "ContactCreate").id
    }
}

impl Call {
    /// The token's location.
    pub fn location(&self) -> String {
        let holder = self.access.as_ref().map(|access| &access.holder);
        holder
            .and_then(|holder| holder.location_id.clone())
            .unwrap_or_default()
    }
}

/// A contact of the token's location.
pub fn contact_of(ghl: &Ghl, id: &str, location_id: &str) -> Result<Contact, Answer> {
    match ghl.contacts.get(id) {
        None => Err(Answer::unknown("Contact", id)),
        Some(contact) if contact.location_id != location_id => Err(Answer::other_tenant()),
        Some(contact) => Ok(contact.clone()),
    }
}

/// What a body writes; what is left out stays.
#[derive(Default)]
struct Written {
    fields: BTreeMap<String, Value>,
    tags: Option<Vec<String>>,
    custom: Vec<(String, Value)>,
}

impl Written {
    fn read(ghl: &Ghl, location_id: &str, body: &Value) -> Result<Self, Answer> {
        let mut written = Self::default();
        for (name, value) in body.as_object().into_iter().flatten() {
            match name.as_str() {
                // `gender` is documented and ignored (FACTS §2.1).
                "locationId" | "gender" | "name" | "createNewIfDuplicateAllowed" => {}
                "tags" => written.tags = Some(tags_of(value)),
                "customFields" => written.custom = custom_of(ghl, location_id, value)?,
                _ if value == "" => {
                    written.fields.insert(name.clone(), Value::Null);
                }
                _ => {
                    written.fields.insert(name.clone(), value.clone());
                }
            }
        }
        let is_split = ["firstName", "lastName"]
            .iter()
            .any(|name| written.fields.contains_key(*name));
        if let (Some(name), false) = (body["name"].as_str(), is_split) {
            let (first, last) = name.trim().split_once(' ').unwrap_or((name.trim(), ""));
            let text = |text: &str| {
                if text.is_empty() {
                    Value::Null
                } else {
                    json!(text)
                }
            };
            written.fields.insert("firstName".into(), text(first));
            written.fields.insert("lastName".into(), text(last.trim()));
        }
        Ok(written)
    }
}

/// Written `field_value`, by id or key (FACTS §2.6).
fn custom_of(ghl: &Ghl, location_id: &str, list: &Value) -> Result<Vec<(String, Value)>, Answer> {
    let list = list.as_array().map_or(&[][..], Vec::as_slice);
    list.iter()
        .map(|item| {
            let key = item["key"]
                .as_str()
                .unwrap_or_default()
                .trim_start_matches("contact.");
            let is_it = |field: &&CustomField| match item["id"].as_str() {
                Some(id) => field.id == id,
                None => field.key == format!("contact.{key}"),
            };
            let mine = ghl
                .fields
                .iter()
                .filter(|field| field.location_id == location_id);
            match mine.clone().find(is_it) {
                Some(field) => Ok((field.id.clone(), item["field_value"].clone())),
                None => {
                    let words = format!("customFields: no field has the id {item}");
                    Err(Answer::unprocessable(&[words]))
                }
            }
        })
        .collect()
}

fn tags_of(value: &Value) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for tag in value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if !tags.iter().any(|known| known == tag) {
            tags.push(tag.to_owned());
        }
    }
    tags
}

fn blank(ghl: &mut Ghl, location_id: &str) -> Contact {
    let (id, now) = (ghl.id("con"), ghl.now);
    Contact {
        id,
        location_id: location_id.to_owned(),
        fields: BTreeMap::new(),
        tags: Vec::new(),
        custom: Vec::new(),
        added_at: now,
        updated_at: now,
    }
}

fn store(ghl: &mut Ghl, mut contact: Contact, written: Written, event_type: &str) -> Contact {
    contact.fields.extend(written.fields);
    if let Some(tags) = written.tags {
        contact.tags = tags;
    }
    contact
        .custom
        .retain(|(id, _)| !written.custom.iter().any(|(other, _)| other == id));
    contact.custom.extend(written.custom);
    contact.updated_at = ghl.now;
    if let Some(location) = ghl.locations.get_mut(&contact.location_id) {
        location
            .late
            .push((ghl.now, contact.id.clone(), Some(contact.clone())));
    }
    ghl.contacts.insert(contact.id.clone(), contact.clone());
    ghl.emit(event_type, event(&contact));
    contact
}

/// By e-mail and phone in the location's order (FACTS §2.2): the field, and the contact.
fn matching(
    ghl: &Ghl,
    location_id: &str,
    unique: &[String],
    fields: &BTreeMap<String, Value>,
) -> Option<(String, String)> {
    unique.iter().find_map(|field| {
        let id = owners(ghl, location_id, field, fields).into_iter().next()?;
        Some((field.clone(), id))
    })
}

fn owners(
    ghl: &Ghl,
    location_id: &str,
    field: &str,
    fields: &BTreeMap<String, Value>,
) -> Vec<String> {
    let Some(value) = fields.get(field).and_then(Value::as_str) else {
        return Vec::new();
    };
    let is_owner = |contact: &&Contact| {
        contact.location_id == location_id && contact.text(field).eq_ignore_ascii_case(value)
    };
    ghl.contacts
        .values()
        .filter(is_owner)
        .map(|contact| contact.id.clone())
        .collect()
}

fn refuse_duplicate(
    ghl: &Ghl,
    location_id: &str,
    written: &Written,
    own: Option<&str>,
) -> Result<(), Answer> {
    let location = &ghl.locations[location_id];
    if location.allow_duplicates {
        return Ok(());
    }
    for field in &location.unique {
        let owners = owners(ghl, location_id, field, &written.fields);
        if let Some(other) = owners.iter().find(|id| Some(id.as_str()) != own) {
            let name = ghl.contacts[other].name();
            let body = json!({
                "statusCode": 400,
                "message": "This location does not allow duplicated contacts.",
                "meta": { "contactId": other, "contactName": name, "matchingField": field },
            });
            return Err(Answer::new(400, body));
        }
    }
    Ok(())
}

/// A contact as GHL shows it; `name` is not in what create answers (FACTS §2.2).
pub fn view(contact: &Contact, full: bool) -> Value {
    let mut view = json!({
        "firstName": null, "lastName": null, "email": null, "phone": null,
        "id": contact.id,
        "locationId": contact.location_id,
        "tags": contact.tags,
        "customFields": custom_view(contact),
        "type": "lead",
        "deleted": false,
        "dateAdded": iso(contact.added_at),
        "dateUpdated": iso(contact.updated_at),
    });
    for (name, value) in &contact.fields {
        view[name] = value.clone();
    }
    let lower = |text: &str| {
        if text.is_empty() {
            Value::Null
        } else {
            json!(text.to_lowercase())
        }
    };
    view["firstNameLowerCase"] = lower(contact.text("firstName"));
    view["lastNameLowerCase"] = lower(contact.text("lastName"));
    view["fullNameLowerCase"] = lower(&contact.name());
    view["emailLowerCase"] = lower(contact.text("email"));
    if full {
        view["name"] = json!(contact.name());
    }
    view
}

/// What its webhooks say (FACTS §4.5).
fn event(contact: &Contact) -> Value {
    let mut event = json!({
        "locationId": contact.location_id,
        "id": contact.id,
        "name": contact.name(),
        "tags": contact.tags,
        "attachments": [],
        "dateAdded": iso(contact.added_at),
        "customFields": custom_view(contact),
    });
    for (name, value) in contact.fields.iter().filter(|(_, value)| !value.is_null()) {
        event[name] = value.clone();
    }
    event
}

/// Read `value`.
fn custom_view(contact: &Contact) -> Value {
    let one = |(id, value): &(String, Value)| json!({ "id": id, "value": value });
    contact.custom.iter().map(one).collect()
}

fn field_view(field: &CustomField) -> Value {
    json!({
        "id": field.id, "name": field.name, "fieldKey": field.key, "dataType": field.data_type,
        "model": field.model, "locationId": field.location_id, "picklistOptions": [],
    })
}
