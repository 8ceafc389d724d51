//! Employees as users of SCIM (RFC 7643, 4.1 and 4.3), and back.

use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::{
    discovery::USER,
    error::ScimError,
    filter::{Attribute, Filter, Operator},
    patch::ENTERPRISE,
};
use crate::{
    db::Value,
    records::{
        catalog::Table,
        parse::QueryString,
        plan::{Comparison, Expr, Scalar},
    },
};

/// What is read of an employee to show it as a user.
pub(super) const SELECT: &str = "id,user_name,external_id,employee_number,given_name,family_name,middle_name,honorific,display_name,preferred_name,\
    work_email,work_phone,locale,timezone,status,employment_type,job_title,cost_center,department_id,legal_entity_id,manager_id,version,created_at,\
    updated_at,departments(name,parent:parent_id(name)),legal_entities(name),manager:manager_id(display_name),\
    employee_private(personal_email,mobile,home_address),employee_group_members(employee_groups(id,display_name))";

/// The query that reads users.
pub(super) fn query() -> Result<QueryString, ScimError> {
    Ok(QueryString::parse(&format!("select={SELECT}"), &[])?.0)
}

/// Whether somebody in this state works here.
fn is_active(status: &str) -> bool {
    !matches!(status, "suspended" | "terminated")
}

/// An employee as a user.
pub(super) fn shown(row: &Json, base: &str) -> Map<String, Json> {
    let text = |name: &str| row[name].as_str();
    let id = text("id").unwrap_or_default();
    let version = row["version"].as_i64().unwrap_or_default();
    let mut user = json!({
        "schemas": [USER, ENTERPRISE],
        "id": id,
        "externalId": text("external_id"),
        "userName": text("user_name").or(text("work_email")).or(text("employee_number")),
        "name": {
            "formatted": text("display_name"), "familyName": text("family_name"), "givenName": text("given_name"),
            "middleName": text("middle_name"), "honorificPrefix": text("honorific"),
        },
        "displayName": text("display_name"),
        "nickName": text("preferred_name"),
        "title": text("job_title"),
        "userType": text("employment_type"),
        "preferredLanguage": text("locale"),
        "locale": text("locale"),
        "timezone": text("timezone"),
        "active": is_active(text("status").unwrap_or_default()),
        "emails": kinds(&[("work", row["work_email"].as_str()), ("home", row["employee_private"]["personal_email"].as_str())]),
        "phoneNumbers": kinds(&[("work", row["work_phone"].as_str()), ("mobile", row["employee_private"]["mobile"].as_str())]),
        "addresses": addresses(&row["employee_private"]["home_address"]),
        "groups": groups(row, base),
        ENTERPRISE: {
            "employeeNumber": text("employee_number"),
            "costCenter": text("cost_center"),
            "organization": row["legal_entities"]["name"].as_str(),
            "division": row["departments"]["parent"]["name"].as_str(),
            "department": row["departments"]["name"].as_str(),
            "manager": text("manager_id").map(|manager| json!({
                "value": manager, "$ref": format!("{base}/Users/{manager}"), "displayName": row["manager"]["display_name"].as_str(),
            })),
        },
        "meta": {
            "resourceType": "User", "created": text("created_at"), "lastModified": text("updated_at"),
            "location": format!("{base}/Users/{id}"), "version": format!("\"{version}\""),
        },
    });
    drop_nothing(&mut user);
    user.as_object().cloned().unwrap_or_default()
}

/// What is not there is not shown.
fn drop_nothing(value: &mut Json) {
    if let Json::Object(members) = value {
        for member in members.values_mut() {
            drop_nothing(member);
        }
        members.retain(|_, member| !member.is_null() && member.as_array().is_none_or(|list| !list.is_empty()));
    }
}

fn kinds(values: &[(&str, Option<&str>)]) -> Vec<Json> {
    let one = |(index, (kind, value)): (usize, &(&str, Option<&str>))| {
        value.map(|value| if index == 0 { json!({ "value": value, "type": kind, "primary": true }) } else { json!({ "value": value, "type": kind }) })
    };
    values.iter().enumerate().filter_map(one).collect()
}

fn addresses(home: &Json) -> Vec<Json> {
    let Json::Object(parts) = home else { return Vec::new() };
    let mut address = parts.clone();
    address.insert("type".to_owned(), json!("home"));
    vec![Json::Object(address)]
}

fn groups(row: &Json, base: &str) -> Vec<Json> {
    let of = |member: &Json| {
        let group = &member["employee_groups"];
        let id = group["id"].as_str()?;
        Some(json!({ "value": id, "display": group["display_name"], "$ref": format!("{base}/Groups/{id}") }))
    };
    row["employee_group_members"].as_array().into_iter().flatten().filter_map(of).collect()
}

/// What a user says of an employee.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Columns of the employee.
    pub employee: Map<String, Json>,
    /// Columns of what concerns the person.
    pub private: Map<String, Json>,
    /// The department by name, and the one that it is part of.
    pub department: Option<String>,
    pub division: Option<String>,
    /// The company by name.
    pub organization: Option<String>,
    /// Whether they work here, if that was said.
    pub active: Option<bool>,
}

/// The names of text attributes, and of the columns they are.
const TEXTS: [(&str, &str); 6] = [
    ("externalId", "external_id"),
    ("userName", "user_name"),
    ("displayName", "display_name"),
    ("nickName", "preferred_name"),
    ("title", "job_title"),
    ("timezone", "timezone"),
];
const NAMES: [(&str, &str); 4] =
    [("familyName", "family_name"), ("givenName", "given_name"), ("middleName", "middle_name"), ("honorificPrefix", "honorific")];

impl Said {
    /// Reads a user.
    pub(super) fn read(user: &Map<String, Json>) -> Result<Self, ScimError> {
        let mut said = Self::default();
        for (name, column) in TEXTS {
            said.employee.insert(column.to_owned(), text(get(user, name), name)?.into());
        }
        let name = get(user, "name").and_then(Json::as_object).cloned().unwrap_or_default();
        for (part, column) in NAMES {
            said.employee.insert(column.to_owned(), text(get(&name, part), part)?.into());
        }
        let locale = text(get(user, "locale"), "locale")?.or(text(get(user, "preferredLanguage"), "preferredLanguage")?);
        said.employee.insert("locale".to_owned(), locale.into());
        let formatted = text(get(&name, "formatted"), "name.formatted")?;
        said.name_whole(formatted)?;
        if let Some(kind) = text(get(user, "userType"), "userType")?.and_then(|kind| employment(&kind)) {
            said.employee.insert("employment_type".to_owned(), kind.into());
        }
        said.active = get(user, "active").map(truth).transpose()?;
        said.read_contacts(user)?;
        said.read_enterprise(get(user, ENTERPRISE).and_then(Json::as_object).unwrap_or(&Map::new()))?;
        Ok(said)
    }

    /// There is always a name to show.
    fn name_whole(&mut self, formatted: Option<String>) -> Result<(), ScimError> {
        let get = |column: &str| self.employee.get(column).and_then(Json::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
        let user_name = get("user_name").ok_or_else(|| ScimError::value("userName is required"))?;
        let both = crate::records::search::display_name(get("given_name").as_deref(), get("family_name").as_deref());
        let shown = get("display_name").or(formatted).or(both).unwrap_or(user_name);
        self.employee.insert("display_name".to_owned(), shown.into());
        Ok(())
    }

    fn read_contacts(&mut self, user: &Map<String, Json>) -> Result<(), ScimError> {
        let emails = valued(user, "emails")?;
        let work = of_kind(&emails, &["work"]).or_else(|| of_kind(&emails, &["other", ""]));
        self.employee.insert("work_email".to_owned(), work.into());
        self.private.insert("personal_email".to_owned(), of_kind(&emails, &["home"]).into());
        let phones = valued(user, "phoneNumbers")?;
        let work = of_kind(&phones, &["work"]).or_else(|| of_kind(&phones, &["other", ""]));
        self.employee.insert("work_phone".to_owned(), work.into());
        self.private.insert("mobile".to_owned(), of_kind(&phones, &["mobile"]).into());
        let is_home = |address: &&Json| address["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("home"));
        let home = get(user, "addresses").and_then(Json::as_array).into_iter().flatten().find(is_home).and_then(Json::as_object).cloned();
        let home = home.map(|mut home| {
            home.retain(|part, _| part != "type" && part != "primary");
            Json::Object(home)
        });
        self.private.insert("home_address".to_owned(), home.into());
        Ok(())
    }

    fn read_enterprise(&mut self, extension: &Map<String, Json>) -> Result<(), ScimError> {
        for (name, column) in [("employeeNumber", "employee_number"), ("costCenter", "cost_center")] {
            self.employee.insert(column.to_owned(), text(get(extension, name), name)?.into());
        }
        self.department = text(get(extension, "department"), "department")?;
        self.division = text(get(extension, "division"), "division")?;
        self.organization = text(get(extension, "organization"), "organization")?;
        // Some directories send the id alone.
        let manager = match get(extension, "manager") {
            Some(Json::Object(manager)) => text(get(manager, "value"), "manager.value")?,
            other => text(other, "manager")?,
        };
        if let Some(id) = &manager {
            id.parse::<Uuid>().map_err(|_| ScimError::value(format!("manager.value is the id of a user, not \"{id}\"")))?;
        }
        self.employee.insert("manager_id".to_owned(), manager.into());
        Ok(())
    }
}

/// A member, however its name is spelled.
fn get<'j>(object: &'j Map<String, Json>, name: &str) -> Option<&'j Json> {
    object.get(name).or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// A text; an empty one is none.
fn text(value: Option<&Json>, name: &str) -> Result<Option<String>, ScimError> {
    match value {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Some(other) => Err(ScimError::value(format!("{name} is a text, not {other}"))),
    }
}

/// A truth value, which some directories send as a text.
fn truth(value: &Json) -> Result<bool, ScimError> {
    let said = value.as_bool().or_else(|| value.as_str()?.to_lowercase().parse().ok());
    said.ok_or_else(|| ScimError::value(format!("active is true or false, not {value}")))
}

/// Type and value of what a user has several of.
fn valued(user: &Map<String, Json>, name: &str) -> Result<Vec<(String, String)>, ScimError> {
    let list = match get(user, name) {
        None | Some(Json::Null) => return Ok(Vec::new()),
        Some(Json::Array(list)) => list,
        Some(other) => return Err(ScimError::value(format!("{name} is a list, not {other}"))),
    };
    let mut values = Vec::with_capacity(list.len());
    for one in list {
        let kind = text(one.get("type"), "type")?.unwrap_or_default().to_lowercase();
        if let Some(value) = text(one.get("value"), name)? {
            values.push((kind, value));
        }
    }
    Ok(values)
}

fn of_kind(values: &[(String, String)], kinds: &[&str]) -> Option<String> {
    kinds.iter().find_map(|kind| values.iter().find(|(own, _)| own == kind)).map(|(_, value)| value.clone())
}

/// How somebody is employed, as directories say it; what has no word here changes nothing.
fn employment(kind: &str) -> Option<&'static str> {
    match kind.to_lowercase().replace([' ', '-'], "_").as_str() {
        "full_time" | "employee" | "member" => Some("full_time"),
        "part_time" => Some("part_time"),
        "contractor" | "contract" | "external" => Some("contractor"),
        "intern" => Some("intern"),
        "temporary" | "temp" => Some("temporary"),
        _ => None,
    }
}

/// The state that somebody comes to have.
pub(super) fn status(now: Option<&str>, active: Option<bool>) -> Option<&'static str> {
    let works = now.is_none_or(is_active);
    match active {
        Some(true) if !works => Some("active"),
        Some(false) if works => Some("suspended"),
        _ => None,
    }
}

/// The condition that a filter is.
pub(super) fn condition(table: &Table, filter: &Filter) -> Result<Expr, ScimError> {
    Ok(match filter {
        Filter::And(left, right) => Expr::And(vec![condition(table, left)?, condition(table, right)?]),
        Filter::Or(left, right) => Expr::Or(vec![condition(table, left)?, condition(table, right)?]),
        Filter::Not(of) => Expr::Not(Box::new(condition(table, of)?)),
        Filter::Present(attribute) => Expr::Not(Box::new(Expr::IsNull(scalar(table, attribute)?))),
        Filter::Has(attribute, of) => {
            let values = Attribute { part: Some("value".to_owned()), ..attribute.clone() };
            scalar(table, &values)?;
            within(table, &values, of)?
        }
        Filter::Compare(attribute, operator, value) => compare(table, attribute, *operator, value)?,
    })
}

/// A condition on the one value that is searched of an attribute that has several: that of the type work.
fn within(table: &Table, values: &Attribute, filter: &Filter) -> Result<Expr, ScimError> {
    Ok(match filter {
        Filter::And(left, right) => Expr::And(vec![within(table, values, left)?, within(table, values, right)?]),
        Filter::Or(left, right) => Expr::Or(vec![within(table, values, left)?, within(table, values, right)?]),
        Filter::Compare(attribute, Operator::Equal, kind) if attribute.name == "type" => {
            if kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("work")) { Expr::Always } else { Expr::Never }
        }
        Filter::Compare(attribute, Operator::Equal, _) if attribute.name == "primary" => Expr::Always,
        Filter::Compare(attribute, operator, value) if attribute.name == "value" => compare(table, values, *operator, value)?,
        _ => return Err(ScimError::filter("inside of [ ] compare type, primary and value".to_owned())),
    })
}

fn compare(table: &Table, attribute: &Attribute, operator: Operator, value: &Json) -> Result<Expr, ScimError> {
    let refused = || ScimError::filter(format!("{} can't be compared so", attribute.name));
    if !attribute.enterprise && attribute.name == "active" {
        let active = truth(value).map_err(|_| refused())?;
        let status = Scalar::column(table.column("status").ok_or_else(refused)?);
        let gone = Expr::In(status, ["suspended", "terminated"].map(|word| Value::Text(word.to_owned())).to_vec());
        return match operator {
            Operator::Equal => Ok(gone.negated(active)),
            Operator::NotEqual => Ok(gone.negated(!active)),
            _ => Err(refused()),
        };
    }
    if !attribute.enterprise && attribute.name == "username" && attribute.part.is_none() {
        return user_name(table, operator, value).ok_or_else(refused);
    }
    compare_column(&scalar(table, attribute)?, operator, value).ok_or_else(refused)
}

/// Without a name of its own somebody goes by the address at work, and without one by the number.
fn user_name(table: &Table, operator: Operator, value: &Json) -> Option<Expr> {
    let (positive, negated) = if operator == Operator::NotEqual { (Operator::Equal, true) } else { (operator, false) };
    let column = |name: &str| table.column(name).map(Scalar::column);
    let (name, email, number) = (column("user_name")?, column("work_email")?, column("employee_number")?);
    let by = |scalar: &Scalar| compare_column(scalar, positive, value);
    let nameless = || Expr::IsNull(name.clone());
    let any =
        Expr::Or(vec![by(&name)?, Expr::And(vec![nameless(), by(&email)?]), Expr::And(vec![nameless(), Expr::IsNull(email.clone()), by(&number)?])]);
    Some(any.negated(negated))
}

/// A value of a row against one of a filter. Texts are compared without minding case, except ids.
pub(super) fn compare_column(scalar: &Scalar, operator: Operator, value: &Json) -> Option<Expr> {
    let text = value.as_str()?;
    let name = scalar.column.name.as_str();
    let ordered = |comparison| {
        let value = crate::records::resolve::parse_value(scalar.column.kind, text).ok()?;
        Some(Expr::Compare(scalar.clone(), comparison, value))
    };
    if scalar.column.kind != crate::db::Type::Text {
        return match operator {
            // What is no id is nobody's.
            Operator::Equal => Some(ordered(Comparison::Equal).unwrap_or(Expr::Never)),
            Operator::NotEqual => Some(ordered(Comparison::NotEqual).unwrap_or(Expr::Always)),
            Operator::Greater => ordered(Comparison::Greater),
            Operator::GreaterOrEqual => ordered(Comparison::GreaterOrEqual),
            Operator::Less => ordered(Comparison::Less),
            Operator::LessOrEqual => ordered(Comparison::LessOrEqual),
            _ => None,
        };
    }
    let like = |before: &str, after: &str| {
        let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        Some(Expr::Like(scalar.clone(), format!("{before}{escaped}{after}"), true))
    };
    match operator {
        // These are kept in lower case, and an index finds them.
        Operator::Equal if matches!(name, "work_email" | "user_name") => {
            Some(Expr::Compare(scalar.clone(), Comparison::Equal, Value::Text(text.to_lowercase())))
        }
        Operator::Equal if name == "external_id" => ordered(Comparison::Equal),
        Operator::Equal => like("", ""),
        Operator::NotEqual => Some(Expr::Or(vec![Expr::IsNull(scalar.clone()), like("", "")?.negated(true)])),
        Operator::Contains => like("%", "%"),
        Operator::StartsWith => like("", "%"),
        Operator::EndsWith => like("%", ""),
        Operator::Greater => ordered(Comparison::Greater),
        Operator::GreaterOrEqual => ordered(Comparison::GreaterOrEqual),
        Operator::Less => ordered(Comparison::Less),
        Operator::LessOrEqual => ordered(Comparison::LessOrEqual),
    }
}

/// The column that an attribute is.
fn scalar(table: &Table, attribute: &Attribute) -> Result<Scalar, ScimError> {
    let name = match (attribute.enterprise, attribute.name.as_str(), attribute.part.as_deref()) {
        (false, "id", None) => "id",
        (false, "username", None) => "user_name",
        (false, "externalid", None) => "external_id",
        (false, "displayname", None) | (false, "name", Some("formatted")) => "display_name",
        (false, "name", Some("familyname")) => "family_name",
        (false, "name", Some("givenname")) => "given_name",
        (false, "name", Some("middlename")) => "middle_name",
        (false, "nickname", None) => "preferred_name",
        (false, "title", None) => "job_title",
        (false, "usertype", None) => "employment_type",
        (false, "locale" | "preferredlanguage", None) => "locale",
        (false, "timezone", None) => "timezone",
        (false, "emails", None | Some("value")) => "work_email",
        (false, "phonenumbers", None | Some("value")) => "work_phone",
        (false, "meta", Some("created")) => "created_at",
        (false, "meta", Some("lastmodified")) => "updated_at",
        (true, "employeenumber", None) => "employee_number",
        (true, "costcenter", None) => "cost_center",
        (true, "manager", None | Some("value")) => "manager_id",
        (_, name, _) => return Err(ScimError::filter(format!("{name} can't be searched for"))),
    };
    table.column(name).map(Scalar::column).ok_or_else(|| ScimError::filter(format!("{name} can't be searched for")))
}
