//! Groups of employees, and the writing of users and groups.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::{
    Page, Place,
    discovery::GROUP,
    error::ScimError,
    filter::{Attribute, Filter, Operator},
    user::{self, Said, status},
};
use crate::{
    db::{Conn, Tx, Value},
    records::{
        parse::{IfMatch, QueryString},
        plan::{Comparison, Expr, Scalar},
    },
};

impl Place {
    fn is(table: &str, column: &str, value: Value) -> Result<Expr, ScimError> {
        let column = Self::table(table)?.column(column);
        Ok(column.map_or(Expr::Never, |column| Expr::Compare(Scalar::column(column), Comparison::Equal, value)))
    }

    /// The condition that a directory has not removed somebody.
    fn is_there() -> Result<Expr, ScimError> {
        Ok(Self::table("employees")?.column("deleted_at").map_or(Expr::Always, |column| Expr::IsNull(Scalar::column(column))))
    }

    /// The row of one user.
    pub(super) async fn user(&self, conn: &Conn, id: Uuid) -> Result<Json, ScimError> {
        let fits = Self::is("employees", "id", Value::Uuid(id))?.and(Self::is_there()?);
        let (rows, _) = self.rows(conn, "employees", &user::query()?, fits, Some((0, 1))).await?;
        rows.into_iter().next().ok_or_else(|| ScimError::missing(&id.to_string()))
    }

    /// A page of users.
    pub(super) async fn users(&self, conn: &Conn, page: &Page) -> Result<(Vec<Map<String, Json>>, i64), ScimError> {
        let asked = page.filter.as_ref().map_or(Ok(Expr::Always), |filter| user::condition(Self::table("employees")?, filter))?;
        let fits = Self::is_there()?.and(asked);
        let (rows, total) = self.rows(conn, "employees", &user::query()?, fits, Some((page.start - 1, page.count))).await?;
        Ok((rows.iter().map(|row| user::shown(row, &self.base)).collect(), total))
    }

    /// Makes an employee, or brings back one that the directory had removed.
    pub(super) async fn create_user(&self, tx: &Tx, resource: &Map<String, Json>) -> Result<Uuid, ScimError> {
        let said = Said::read(resource)?;
        let attribute = Attribute { enterprise: false, name: "username".to_owned(), part: None };
        let same = Filter::Compare(attribute, Operator::Equal, said.employee["user_name"].clone());
        let fits = Self::is_there()?.and(user::condition(Self::table("employees")?, &same)?);
        let (taken, _) = self.rows(tx, "employees", &user::query()?, fits, Some((0, 1))).await?;
        if !taken.is_empty() {
            let error = crate::records::error::RestError::new("23505", format!("userName {} already exists", said.employee["user_name"]));
            return Err(error.into());
        }
        if let Some(gone) = self.removed(tx, &said).await? {
            self.write_user(tx, gone, &Json::Null, said, None).await?;
            return Ok(gone);
        }
        let mut row = said.employee.clone();
        row.retain(|_, value| !value.is_null());
        let id = Uuid::now_v7();
        row.insert("id".to_owned(), id.to_string().into());
        if let Some(status) = status(None, said.active) {
            row.insert("status".to_owned(), status.into());
        }
        if !row.contains_key("employee_number") {
            let digits = id.simple().to_string().to_uppercase();
            row.insert("employee_number".to_owned(), format!("D-{}", &digits[digits.len() - 12..]).into());
        }
        self.place_user(tx, &said, &mut row).await?;
        row.retain(|_, value| !value.is_null());
        self.insert(tx, "employees", row, false).await?;
        self.write_private(tx, id, &Json::Null, &said).await?;
        Ok(id)
    }

    /// Somebody whom the directory had removed, and who comes back with the same address or number.
    async fn removed(&self, tx: &Tx, said: &Said) -> Result<Option<Uuid>, ScimError> {
        let mut any = Vec::new();
        for column in ["work_email", "employee_number"] {
            if let Some(text) = said.employee.get(column).and_then(Json::as_str) {
                let text = if column == "work_email" { text.to_lowercase() } else { text.to_owned() };
                any.push(Self::is("employees", column, Value::Text(text))?);
            }
        }
        let fits = Expr::Not(Box::new(Self::is_there()?)).and(Expr::Or(any));
        let (rows, _) = self.rows(tx, "employees", &QueryString::parse("select=id", &[])?.0, fits, Some((0, 1))).await?;
        Ok(rows.first().and_then(|row| row["id"].as_str()?.parse().ok()))
    }

    /// Changes an employee to what the resource says.
    pub(super) async fn change_user(&self, tx: &Tx, id: Uuid, resource: &Map<String, Json>, if_match: Option<IfMatch>) -> Result<(), ScimError> {
        let now = self.user(tx, id).await?;
        let said = Said::read(resource)?;
        self.write_user(tx, id, &now, said, if_match).await
    }

    /// Writes what is said of an employee who is there, as far as it is not so already. Who was removed is there again.
    async fn write_user(&self, tx: &Tx, id: Uuid, now: &Json, mut said: Said, if_match: Option<IfMatch>) -> Result<(), ScimError> {
        // A number once given stays.
        if said.employee.get("employee_number").is_none_or(Json::is_null) {
            said.employee.shift_remove("employee_number");
        }
        let mut row = said.employee.clone();
        let was_removed = now.is_null();
        if was_removed {
            row.insert("deleted_at".to_owned(), Json::Null);
            row.insert("terminated_on".to_owned(), Json::Null);
            row.insert("status".to_owned(), if said.active == Some(false) { "suspended" } else { "active" }.into());
        } else if let Some(status) = status(now["status"].as_str(), said.active) {
            row.insert("status".to_owned(), status.into());
        }
        self.place_user(tx, &said, &mut row).await?;
        let folded = |name: &str, value: &Json| match value.as_str() {
            Some(text) if matches!(name, "work_email" | "user_name") => Json::from(text.to_lowercase()),
            _ => value.clone(),
        };
        // Who goes by the address at work needs no name of its own.
        let shown = |name: &str| match name {
            "user_name" if now[name].is_null() => now["work_email"].as_str().or(now["employee_number"].as_str()).map_or(Json::Null, Json::from),
            name => now[name].clone(),
        };
        row.retain(|name, value| was_removed || folded(name, value) != shown(name));
        let private = self.write_private(tx, id, now, &said).await?;
        // The version of a user is that of the employee.
        if row.is_empty() && private {
            row.insert("display_name".to_owned(), now["display_name"].clone());
        }
        if row.is_empty() && if_match.is_none() {
            return Ok(());
        }
        self.update(tx, "employees", id, row, if_match).await
    }

    /// Where somebody works, by name: what is not there yet is made.
    async fn place_user(&self, tx: &Tx, said: &Said, row: &mut Map<String, Json>) -> Result<(), ScimError> {
        let division = match (&said.department, &said.division) {
            (Some(_), Some(division)) => Some(self.named(tx, "departments", division, None).await?),
            _ => None,
        };
        let department = match &said.department {
            Some(name) => self.named(tx, "departments", name, division).await?.to_string().into(),
            None => Json::Null,
        };
        row.insert("department_id".to_owned(), department);
        let organization = match &said.organization {
            Some(name) => self.named(tx, "legal_entities", name, None).await?.to_string().into(),
            None => Json::Null,
        };
        row.insert("legal_entity_id".to_owned(), organization);
        Ok(())
    }

    async fn named(&self, tx: &Tx, table: &str, name: &str, parent: Option<Uuid>) -> Result<Uuid, ScimError> {
        let fits = Self::is(table, "name", Value::Text(name.to_owned()))?;
        let (rows, _) = self.rows(tx, table, &QueryString::parse("select=id", &[])?.0, fits, Some((0, 1))).await?;
        if let Some(id) = rows.first().and_then(|row| row["id"].as_str()?.parse().ok()) {
            return Ok(id);
        }
        let mut row: Map<String, Json> = [("code", name), ("name", name)].into_iter().map(|(key, name)| (key.to_owned(), json!(name))).collect();
        if let Some(parent) = parent {
            row.insert("parent_id".to_owned(), parent.to_string().into());
        }
        self.insert(tx, table, row, false).await
    }

    /// Writes what concerns the person, if it is not so already.
    async fn write_private(&self, tx: &Tx, id: Uuid, now: &Json, said: &Said) -> Result<bool, ScimError> {
        let now = &now["employee_private"];
        if said.private.iter().all(|(name, value)| now[name] == *value) {
            return Ok(false);
        }
        let mut row = said.private.clone();
        row.insert("employee_id".to_owned(), id.to_string().into());
        self.insert(tx, "employee_private", row, true).await?;
        Ok(true)
    }

    /// Terminates an employee, who is gone for the directory.
    pub(super) async fn remove_user(&self, tx: &Tx, id: Uuid, if_match: Option<IfMatch>) -> Result<(), ScimError> {
        self.user(tx, id).await?;
        let row = json!({
            "status": "terminated", "terminated_on": self.context.now.date_time().date_naive().to_string(),
            "deleted_at": self.context.now.rfc3339(), "user_name": null, "external_id": null,
        });
        self.delete(tx, "employee_group_members", &format!("employee_id=eq.{id}"), None).await?;
        self.update(tx, "employees", id, row.as_object().cloned().unwrap_or_default(), if_match).await
    }

    async fn members(&self, conn: &Conn, group: Uuid) -> Result<Vec<Json>, ScimError> {
        let query = QueryString::parse("select=employee_id,employees(display_name)", &[])?.0;
        let fits = Self::is("employee_group_members", "group_id", Value::Uuid(group))?;
        let (rows, _) = self.rows(conn, "employee_group_members", &query, fits, None).await?;
        let shown = |row: &Json| {
            let id = row["employee_id"].as_str().unwrap_or_default();
            json!({ "value": id, "$ref": format!("{}/Users/{id}", self.base), "display": row["employees"]["display_name"], "type": "User" })
        };
        Ok(rows.iter().map(shown).collect())
    }

    async fn shown_group(&self, conn: &Conn, row: &Json, with_members: bool) -> Result<Map<String, Json>, ScimError> {
        let id = row["id"].as_str().unwrap_or_default();
        let mut group = json!({
            "schemas": [GROUP], "id": id, "externalId": row["external_id"], "displayName": row["display_name"],
            "meta": {
                "resourceType": "Group", "created": row["created_at"], "lastModified": row["updated_at"],
                "location": format!("{}/Groups/{id}", self.base), "version": format!("\"{}\"", row["version"]),
            },
        });
        if with_members {
            group["members"] = self.members(conn, id.parse().unwrap_or_default()).await?.into();
        }
        let mut group = group.as_object().cloned().unwrap_or_default();
        group.retain(|_, value| !value.is_null());
        Ok(group)
    }

    /// One group.
    pub(super) async fn group(&self, conn: &Conn, id: Uuid, with_members: bool) -> Result<Map<String, Json>, ScimError> {
        let fits = Self::is("employee_groups", "id", Value::Uuid(id))?;
        let (rows, _) = self.rows(conn, "employee_groups", &QueryString::default(), fits, Some((0, 1))).await?;
        let row = rows.first().ok_or_else(|| ScimError::missing(&id.to_string()))?;
        self.shown_group(conn, row, with_members).await
    }

    /// A page of groups.
    pub(super) async fn groups(&self, conn: &Conn, page: &Page) -> Result<(Vec<Map<String, Json>>, i64), ScimError> {
        let fits = page.filter.as_ref().map_or(Ok(Expr::Always), group_condition)?;
        let (rows, total) = self.rows(conn, "employee_groups", &QueryString::default(), fits, Some((page.start - 1, page.count))).await?;
        let mut groups = Vec::with_capacity(rows.len());
        for row in &rows {
            groups.push(self.shown_group(conn, row, page.wanted.has("members")).await?);
        }
        Ok((groups, total))
    }

    /// Makes a group, or changes one to what the resource says.
    pub(super) async fn write_group(
        &self,
        tx: &Tx,
        id: Option<Uuid>,
        resource: &Map<String, Json>,
        if_match: Option<IfMatch>,
    ) -> Result<Uuid, ScimError> {
        let get = |name: &str| resource.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let name = get("displayName").and_then(Json::as_str).map(str::trim).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| ScimError::value("displayName is required"))?;
        let wanted = wanted_members(get("members"))?;
        let row = json!({ "display_name": name, "external_id": get("externalId").and_then(Json::as_str) }).as_object().cloned().unwrap_or_default();
        let (id, there) = match id {
            None => (self.insert(tx, "employee_groups", row, false).await?, BTreeSet::new()),
            Some(id) => {
                let now = self.members(tx, id).await?;
                // The version of a group tells of its members, too.
                self.update(tx, "employee_groups", id, row, if_match).await?;
                (id, now.iter().filter_map(|member| member["value"].as_str()?.parse().ok()).collect())
            }
        };
        let gone: Vec<String> = there.difference(&wanted).map(Uuid::to_string).collect();
        if !gone.is_empty() {
            self.delete(tx, "employee_group_members", &format!("group_id=eq.{id}&employee_id=in.({})", gone.join(",")), None).await?;
        }
        for employee in wanted.difference(&there) {
            self.user(tx, *employee).await.map_err(|_| ScimError::value(format!("there is no user {employee}")))?;
            let row = json!({ "group_id": id, "employee_id": employee }).as_object().cloned().unwrap_or_default();
            self.insert(tx, "employee_group_members", row, false).await?;
        }
        Ok(id)
    }
}

fn wanted_members(members: Option<&Json>) -> Result<BTreeSet<Uuid>, ScimError> {
    let list = match members {
        None | Some(Json::Null) => return Ok(BTreeSet::new()),
        Some(Json::Array(list)) => list,
        Some(other) => return Err(ScimError::value(format!("members is a list, not {other}"))),
    };
    let id = |member: &Json| {
        let text = member["value"].as_str().unwrap_or_default();
        text.parse().map_err(|_| ScimError::value(format!("the value of a member is the id of a user, not \"{text}\"")))
    };
    list.iter().map(id).collect()
}

fn group_condition(filter: &Filter) -> Result<Expr, ScimError> {
    Ok(match filter {
        Filter::And(left, right) => Expr::And(vec![group_condition(left)?, group_condition(right)?]),
        Filter::Or(left, right) => Expr::Or(vec![group_condition(left)?, group_condition(right)?]),
        Filter::Not(of) => Expr::Not(Box::new(group_condition(of)?)),
        Filter::Present(attribute) => Expr::Not(Box::new(Expr::IsNull(group_scalar(attribute)?))),
        Filter::Compare(attribute, operator, value) => user::compare_column(&group_scalar(attribute)?, *operator, value)
            .ok_or_else(|| ScimError::filter(format!("{} can't be compared so", attribute.name)))?,
        Filter::Has(attribute, _) => return Err(ScimError::filter(format!("{} can't be searched for", attribute.name))),
    })
}

fn group_scalar(attribute: &Attribute) -> Result<Scalar, ScimError> {
    let name = match (attribute.name.as_str(), attribute.part.as_deref()) {
        ("id", None) => "id",
        ("displayname", None) => "display_name",
        ("externalid", None) => "external_id",
        ("meta", Some("created")) => "created_at",
        ("meta", Some("lastmodified")) => "updated_at",
        (name, _) => return Err(ScimError::filter(format!("{name} can't be searched for"))),
    };
    let column = Place::table("employee_groups")?.column(name);
    column.map(Scalar::column).ok_or_else(|| ScimError::filter(format!("{name} can't be searched for")))
}
