//! Changes of a resource (RFC 7644, 3.5.2), made on its JSON, as directories send them: operations with a capital, truth values as texts,
//! values without a path whose members are paths.

use serde_json::{Map, Value as Json, json};

use super::{
    error::ScimError,
    filter::{Attribute, Filter, Operator, Path},
};

/// The schema of the extension.
pub(super) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// Changes in one request at most.
const MOST: usize = 1000;

/// The attributes that there are: with a capital in their names or not, they are these.
const ATTRIBUTES: [&str; 30] = [
    "schemas",
    "id",
    "externalId",
    "meta",
    "userName",
    "name",
    "displayName",
    "nickName",
    "profileUrl",
    "title",
    "userType",
    "preferredLanguage",
    "locale",
    "timezone",
    "active",
    "password",
    "emails",
    "phoneNumbers",
    "ims",
    "photos",
    "addresses",
    "groups",
    "entitlements",
    "roles",
    "x509Certificates",
    "members",
    "employeeNumber",
    "costCenter",
    "organization",
    "division",
];
const MORE_ATTRIBUTES: [&str; 2] = ["department", "manager"];
/// The parts of attributes.
const PARTS: [&str; 20] = [
    "formatted",
    "familyName",
    "givenName",
    "middleName",
    "honorificPrefix",
    "honorificSuffix",
    "value",
    "display",
    "type",
    "primary",
    "$ref",
    "streetAddress",
    "locality",
    "region",
    "postalCode",
    "country",
    "displayName",
    "resourceType",
    "location",
    "version",
];
/// The attributes that have several values.
const MANY: [&str; 10] = ["emails", "phoneNumbers", "ims", "photos", "addresses", "groups", "entitlements", "roles", "x509Certificates", "members"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Add,
    Replace,
    Remove,
}

/// Makes the changes of a request.
pub(super) fn apply(resource: &mut Map<String, Json>, request: &Json) -> Result<(), ScimError> {
    let operations = member(request, "Operations").and_then(Json::as_array).ok_or_else(|| ScimError::syntax("Operations is a list of changes"))?;
    if operations.len() > MOST {
        return Err(ScimError::value(format!("a request has at most {MOST} changes")));
    }
    for operation in operations {
        let verb = match member(operation, "op").and_then(Json::as_str).unwrap_or_default().to_ascii_lowercase().as_str() {
            "add" => Verb::Add,
            "replace" => Verb::Replace,
            "remove" => Verb::Remove,
            other => return Err(ScimError::syntax(format!("op is add, replace or remove, not \"{other}\""))),
        };
        let value = member(operation, "value").cloned().unwrap_or_default();
        match member(operation, "path").and_then(Json::as_str).filter(|path| !path.is_empty()) {
            Some(path) => change(resource, verb, &Path::parse(path)?, value)?,
            None => change_all(resource, verb, value)?,
        }
    }
    Ok(())
}

fn member<'j>(object: &'j Json, name: &str) -> Option<&'j Json> {
    object.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// A change without a path: each member of its value is one.
fn change_all(resource: &mut Map<String, Json>, verb: Verb, value: Json) -> Result<(), ScimError> {
    if verb == Verb::Remove {
        return Err(ScimError::path("what is removed is named by a path".to_owned()));
    }
    let Json::Object(members) = value else { return Err(ScimError::value("without a path the value is an object")) };
    for (name, value) in members {
        if name.eq_ignore_ascii_case("schemas") {
            continue;
        }
        change(resource, verb, &Path::parse(&name)?, value)?;
    }
    Ok(())
}

/// The name of an attribute, or of a part of one, as it is spelled.
fn spelled(names: impl IntoIterator<Item = &'static str>, lower: &str) -> Result<&'static str, ScimError> {
    names.into_iter().find(|name| name.eq_ignore_ascii_case(lower)).ok_or_else(|| ScimError::path(format!("there is no attribute \"{lower}\"")))
}

fn change(resource: &mut Map<String, Json>, verb: Verb, path: &Path, value: Json) -> Result<(), ScimError> {
    let Attribute { enterprise, name, part } = &path.attribute;
    if *enterprise && name.is_empty() {
        return change_extension(resource, verb, value);
    }
    let name = spelled(ATTRIBUTES.into_iter().chain(MORE_ATTRIBUTES), name)?;
    let part = part.as_deref().map(|part| spelled(PARTS, part)).transpose()?;
    let holder = if *enterprise {
        let extension = resource.entry(ENTERPRISE).or_insert_with(|| json!({}));
        extension.as_object_mut().ok_or_else(|| ScimError::value("the extension is an object"))?
    } else {
        resource
    };
    if MANY.contains(&name) {
        return change_many(holder, verb, name, path.filter.as_ref(), part, value);
    }
    match (verb, part) {
        (Verb::Remove, None) => drop(holder.shift_remove(name)),
        (Verb::Remove, Some(part)) => {
            if let Some(Json::Object(whole)) = holder.get_mut(name) {
                whole.shift_remove(part);
            }
        }
        (_, Some(part)) => {
            let whole = holder.entry(name).or_insert_with(|| json!({}));
            if !whole.is_object() {
                *whole = json!({});
            }
            whole[part] = value;
        }
        (_, None) => match (holder.get_mut(name), value) {
            (Some(Json::Object(whole)), Json::Object(parts)) => {
                for (part, value) in parts {
                    whole.insert(spelled(PARTS, &part)?.to_owned(), value);
                }
            }
            (_, value) => drop(holder.insert(name.to_owned(), value)),
        },
    }
    Ok(())
}

fn change_extension(resource: &mut Map<String, Json>, verb: Verb, value: Json) -> Result<(), ScimError> {
    if verb == Verb::Remove {
        resource.shift_remove(ENTERPRISE);
        return Ok(());
    }
    let Json::Object(members) = value else { return Err(ScimError::value("the extension is an object")) };
    for (name, value) in members {
        let attribute = Attribute { enterprise: true, name: name.to_lowercase(), part: None };
        change(resource, verb, &Path { attribute, filter: None }, value)?;
    }
    Ok(())
}

fn change_many(
    holder: &mut Map<String, Json>,
    verb: Verb,
    name: &'static str,
    filter: Option<&Filter>,
    part: Option<&'static str>,
    value: Json,
) -> Result<(), ScimError> {
    let list = holder.entry(name).or_insert_with(|| json!([]));
    if !list.is_array() {
        *list = json!([]);
    }
    let Json::Array(list) = list else { return Ok(()) };
    match (verb, filter, part) {
        // Some directories say in the value which ones are removed.
        (Verb::Remove, None, None) if !value.is_null() => {
            let gone = values(value);
            list.retain(|own| !gone.iter().any(|gone| is_same(own, gone)));
        }
        (Verb::Remove, None, None) => list.clear(),
        (Verb::Remove, Some(filter), None) => list.retain(|own| !fits(own, filter)),
        (Verb::Remove, filter, Some(part)) => {
            for own in list.iter_mut().filter(|own| filter.is_none_or(|filter| fits(own, filter))) {
                own.as_object_mut().map(|own| own.shift_remove(part));
            }
        }
        (Verb::Replace, None, None) => *list = values(value),
        (Verb::Add, None, None) => {
            for new in values(value) {
                if !list.iter().any(|own| is_same(own, &new)) {
                    list.push(new);
                }
            }
        }
        (_, filter, part) => {
            // Where there is none yet, directories mean that there should be one.
            if !list.iter().any(|own| filter.is_none_or(|filter| fits(own, filter))) {
                list.push(filter.map_or_else(|| json!({}), said_by));
            }
            for own in list.iter_mut().filter(|own| filter.is_none_or(|filter| fits(own, filter))) {
                match (part, &value) {
                    (Some(part), value) => own[part] = value.clone(),
                    (None, Json::Object(parts)) => {
                        for (part, value) in parts {
                            own[spelled(PARTS, part)?] = value.clone();
                        }
                    }
                    (None, _) => return Err(ScimError::value(format!("a value of {name} is an object"))),
                }
            }
        }
    }
    Ok(())
}

/// Values of an attribute that has several; a plain one is its `value`.
fn values(value: Json) -> Vec<Json> {
    let of_one = |value: Json| if value.is_object() { value } else { json!({ "value": value }) };
    match value {
        Json::Array(values) => values.into_iter().map(of_one).collect(),
        Json::Null => Vec::new(),
        one => vec![of_one(one)],
    }
}

fn is_same(own: &Json, other: &Json) -> bool {
    own["value"] == other["value"] && (own["type"] == other["type"] || other["type"].is_null())
}

/// A value that fits a filter, as far as it says what is equal to what.
fn said_by(filter: &Filter) -> Json {
    let mut value = json!({});
    say(filter, &mut value);
    value
}

fn say(filter: &Filter, value: &mut Json) {
    match filter {
        Filter::And(left, right) => {
            say(left, value);
            say(right, value);
        }
        Filter::Compare(attribute, Operator::Equal, said) => value[attribute.name.as_str()] = said.clone(),
        _ => {}
    }
}

/// Whether a value of several fits.
pub(super) fn fits(value: &Json, filter: &Filter) -> bool {
    let get = |attribute: &Attribute| member(value, &attribute.name).cloned().unwrap_or_default();
    match filter {
        Filter::And(left, right) => fits(value, left) && fits(value, right),
        Filter::Or(left, right) => fits(value, left) || fits(value, right),
        Filter::Not(of) => !fits(value, of),
        Filter::Present(attribute) => !get(attribute).is_null(),
        Filter::Has(..) => false,
        Filter::Compare(attribute, operator, wanted) => compares(&get(attribute), *operator, wanted),
    }
}

fn compares(own: &Json, operator: Operator, wanted: &Json) -> bool {
    let text = |value: &Json| value.as_str().map(str::to_lowercase);
    let (Some(own_text), Some(wanted_text)) = (text(own), text(wanted)) else {
        let truth = |value: &Json| value.as_bool().or_else(|| text(value)?.parse().ok());
        let same = own == wanted || (truth(own).is_some() && truth(own) == truth(wanted));
        return if operator == Operator::NotEqual { !same } else { operator == Operator::Equal && same };
    };
    match operator {
        Operator::Equal => own_text == wanted_text,
        Operator::NotEqual => own_text != wanted_text,
        Operator::Contains => own_text.contains(&wanted_text),
        Operator::StartsWith => own_text.starts_with(&wanted_text),
        Operator::EndsWith => own_text.ends_with(&wanted_text),
        Operator::Greater => own_text > wanted_text,
        Operator::GreaterOrEqual => own_text >= wanted_text,
        Operator::Less => own_text < wanted_text,
        Operator::LessOrEqual => own_text <= wanted_text,
    }
}
