//! `POST /contacts/search` (FACTS §2.4): a little behind the writes.

use super::contacts::view;
use super::server::Call;
use super::state::Contact;
use super::{Answer, Answered, Ghl};
use serde_json::{Value, json};
use std::cmp::Ordering;

pub fn search(ghl: &mut Ghl, call: &Call) -> Answered {
    let until = ghl.now - ghl.options.search_lag;
    let Some(location) = ghl.locations.get_mut(&call.location()) else {
        return Err(Answer::other_tenant());
    };
    while location.late.first().is_some_and(|(at, ..)| *at <= until) {
        match location.late.remove(0) {
            (_, id, Some(contact)) => location.found.insert(id, contact),
            (_, id, None) => location.found.remove(&id),
        };
    }
    let filter = json!({ "group": "AND", "filters": call.body["filters"].as_array().cloned().unwrap_or_default() });
    let sort = Sort::read(&call.body["sort"]);
    let mut found: Vec<(Value, &Contact)> = Vec::new();
    for contact in location.found.values() {
        if fits(&filter, contact)? {
            found.push((sort.key(contact), contact));
        }
    }
    // A filter is looked at even where there is nobody to compare with it.
    fits(&filter, &nobody())?;
    found.sort_by(|(a, _), (b, _)| sort.compare(a, b));
    let total = found.len();
    let contacts: Vec<Value> = page(&found, &call.body, &sort)?
        .iter()
        .map(|(key, contact)| {
            let mut view = view(contact, true);
            view["searchAfter"] = key.clone();
            view
        })
        .collect();
    Ok(Answer::new(
        200,
        json!({ "contacts": contacts, "total": total, "traceId": "trace" }),
    ))
}

type Found<'a> = (Value, &'a Contact);

fn page<'a, 'b>(
    found: &'b [Found<'a>],
    query: &Value,
    sort: &Sort,
) -> Result<&'b [Found<'a>], Answer> {
    let limit = query["pageLimit"].as_u64().unwrap_or(0) as usize;
    if !(1..=500).contains(&limit) {
        return Err(refusal("pageLimit must be between 1 and 500"));
    }
    let start = if query["searchAfter"].is_array() {
        let after =
            |(key, _): &Found<'_>| sort.compare(key, &query["searchAfter"]) == Ordering::Greater;
        found.iter().position(after).unwrap_or(found.len())
    } else {
        let end = query["page"].as_u64().unwrap_or(1) as usize * limit;
        if end > 10_000 {
            return Err(refusal("page reaches the first 10000 records only"));
        }
        (end - limit).min(found.len())
    };
    Ok(&found[start..(start + limit).min(found.len())])
}

/// By `dateAdded`, newest first, or by what is asked for; then by id.
struct Sort {
    field: String,
    descending: bool,
}

impl Sort {
    fn read(sort: &Value) -> Self {
        let first = &sort[0];
        Self {
            field: first["field"].as_str().unwrap_or("dateAdded").to_owned(),
            descending: first["direction"].as_str().unwrap_or("desc") == "desc",
        }
    }

    fn key(&self, contact: &Contact) -> Value {
        match self.field.as_str() {
            "dateAdded" => json!([contact.added_at, contact.id]),
            "dateUpdated" => json!([contact.updated_at, contact.id]),
            field => json!([contact.text(field), contact.id]),
        }
    }

    fn compare(&self, a: &Value, b: &Value) -> Ordering {
        let first = match (a[0].as_i64(), b[0].as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a[0].as_str().cmp(&b[0].as_str()),
        };
        let first = if self.descending {
            first.reverse()
        } else {
            first
        };
        first.then_with(|| a[1].as_str().cmp(&b[1].as_str()))
    }
}

fn fits(filter: &Value, contact: &Contact) -> Result<bool, Answer> {
    let Some(group) = filter["group"].as_str() else {
        return condition(filter, contact);
    };
    let parts = filter["filters"]
        .as_array()
        .ok_or_else(|| refusal("filters must be an array"))?;
    let fit: Vec<bool> = parts
        .iter()
        .map(|part| fits(part, contact))
        .collect::<Result<_, _>>()?;
    match group {
        "AND" => Ok(fit.iter().all(|fits| *fits)),
        "OR" => Ok(fit.iter().any(|fits| *fits)),
        _ => Err(refusal("group must be AND or OR")),
    }
}

fn condition(condition: &Value, contact: &Contact) -> Result<bool, Answer> {
    let field = condition["field"]
        .as_str()
        .ok_or_else(|| refusal("filters.field must be a string"))?;
    let operator = condition["operator"].as_str().unwrap_or_default();
    let wanted = condition["value"]
        .as_str()
        .unwrap_or_default()
        .to_lowercase();
    if condition["value"]
        .as_str()
        .is_some_and(|value| value.chars().count() > 75)
    {
        return Err(refusal("filter value must be at most 75 characters"));
    }
    if operator.ends_with("contains") && ["email", "website", "id"].contains(&field) {
        return Err(refusal("filter operator is not supported for this field"));
    }
    let actual = match field.strip_prefix("customFields.") {
        Some(id) => contact
            .custom(id)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        None => match field {
            "id" => contact.id.clone(),
            "contactName" => contact.name(),
            "tags" => contact.tags.join(","),
            field => contact.text(field.trim_end_matches("LowerCase")).to_owned(),
        },
    };
    let actual = actual.to_lowercase();
    match operator {
        "eq" => Ok(actual == wanted && !actual.is_empty()),
        "not_eq" => Ok(actual != wanted),
        "contains" => Ok(actual.contains(&wanted)),
        "not_contains" => Ok(!actual.contains(&wanted)),
        "exists" => Ok(!actual.is_empty()),
        "not_exists" => Ok(actual.is_empty()),
        _ => Err(refusal("filter operator is not supported")),
    }
}

fn nobody() -> Contact {
    Contact {
        id: String::new(),
        location_id: String::new(),
        fields: Default::default(),
        tags: Vec::new(),
        custom: Vec::new(),
        added_at: 0,
        updated_at: 0,
    }
}

fn refusal(message: &str) -> Answer {
    Answer::unprocessable(&[message.to_owned()])
}
