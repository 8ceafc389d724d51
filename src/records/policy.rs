//! A tenant's rules about records: shown, replaced, and explained, for the operator and the command line.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, Request, State, rejection::QueryRejection},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    catalog::{Catalog, Column, Table},
    execute,
    plan::{Comparison, Expr, Scalar},
    resolve::Resolver,
    rights::{self, Action, Asker, Bound, Miss, Rows, Scope},
};
use crate::{
    app::App,
    auth::{Principal, Roles, ScopedKey, SignedIn},
    db::Value,
    error::{Error, Result},
    http::{Problem, body},
    tenants::{self, Operator, RecordRule, RowCondition, Tenant, TenantChange},
};

/// The routes of rules.
pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_rules, replace_rules)).routes(routes!(explain_rights))
}

/// A tenant's rules about records.
#[derive(Serialize, ToSchema)]
pub struct RuleBook {
    /// Whether the rules that every tenant begins with hold.
    pub default_rules: bool,
    /// The tenant's own.
    pub rules: Vec<RecordRule>,
    /// The rules that every tenant begins with, to be copied from.
    pub defaults: Vec<RecordRule>,
}

/// Rules to hold from now on.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRules {
    /// Whether the rules that every tenant begins with hold as well; they do unless this is false.
    #[serde(default = "holds")]
    pub default_rules: bool,
    /// The tenant's own.
    pub rules: Vec<RecordRule>,
}

fn holds() -> bool {
    true
}

/// The rules of a tenant.
pub async fn rules_of(app: &App, reference: &str) -> Result<RuleBook> {
    let tenant = app.tenants.active(reference).await?;
    let settings = &tenant.settings.records;
    let defaults = rights::default_rules().iter().map(|rule| RecordRule::clone(rule)).collect();
    Ok(RuleBook { default_rules: settings.default_rules, rules: settings.rules.clone(), defaults })
}

/// Replaces the rules of a tenant, if they speak of what there is.
pub async fn replace_rules_of(app: &App, reference: &str, new: NewRules) -> Result<RuleBook> {
    for rule in &new.rules {
        rule.check()?;
        check_names(Catalog::built_in(), rule)?;
    }
    let settings = json!({ "records": new });
    let change = TenantChange { settings: settings.as_object().cloned(), ..TenantChange::default() };
    tenants::update_tenant(app, reference, change).await?;
    rules_of(app, reference).await
}

/// Every table, column and value that a rule names must be there.
fn check_names(catalog: &Catalog, rule: &RecordRule) -> Result<()> {
    let wrong = |why: String| Error::invalid("rules", format!("\"{}\": {why}", rule.name));
    let named: Vec<&Arc<Table>> = match &rule.tables[..] {
        [] => catalog.tables().iter().collect(),
        names => {
            let find = |name: &String| catalog.table(name).ok_or_else(|| wrong(format!("there is no table \"{name}\"")));
            names.iter().map(find).collect::<Result<_>>()?
        }
    };
    let has = |table: &Table, name: &str| table.shown().any(|column| column.name == name && rule.groups.contains(&column.group));
    if let Some(name) = rule.columns.iter().find(|name| !named.iter().any(|table| has(table, name))) {
        return Err(wrong(format!("no table of the rule has a column \"{name}\" in its groups")));
    }
    let about: Vec<&Arc<Table>> = named.into_iter().filter(|table| table.columns.iter().any(|column| rule.groups.contains(&column.group))).collect();
    if about.is_empty() {
        return Err(wrong("no table of the rule has fields of its groups".to_owned()));
    }
    if let Some(condition) = &rule.when {
        about.iter().try_for_each(|table| check_condition(catalog, table, condition)).map_err(wrong)?;
    }
    Ok(())
}

fn check_condition(catalog: &Catalog, table: &Table, condition: &RowCondition) -> Result<(), String> {
    match condition {
        RowCondition::All { all: of } | RowCondition::Any { any: of } => of.iter().try_for_each(|one| check_condition(catalog, table, one)),
        RowCondition::Not { not } => check_condition(catalog, table, not),
        RowCondition::Employee { employee } => {
            if table.owner.is_none() && table.part_of.is_none() {
                return Err(format!("rows of {} belong to no employee", table.name));
            }
            catalog.table("employees").map_or(Ok(()), |employees| check_condition(catalog, employees, employee))
        }
        RowCondition::Compare { column, value, .. } => {
            let found = table.shown().find(|own| own.name == *column && !own.sealed);
            let found = found.ok_or_else(|| format!("{} has no column \"{column}\" that can be compared", table.name))?;
            check_values(found, value)
        }
    }
}

fn check_values(column: &Column, value: &serde_json::Value) -> Result<(), String> {
    if value.is_null() || tenants::claim_of(value).is_some() {
        return Ok(());
    }
    let values = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    let fits = |value: &serde_json::Value| super::resolve::Cell::Json(value.clone()).typed(column.kind).is_ok();
    values.iter().all(fits).then_some(()).ok_or_else(|| format!("{value} is no value of {}", column.name))
}

/// The rules about records, and those that every tenant begins with.
#[utoipa::path(get, path = "/admin/v1/tenants/{ref}/rules", tag = "admin", params(("ref" = String, Path)), security(("operator" = [])), responses(
    (status = 200, body = RuleBook), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn get_rules(_: Operator, State(app): State<App>, Path(reference): Path<String>) -> Result<Json<RuleBook>, Problem> {
    Ok(Json(rules_of(&app, &reference).await?))
}

/// Replaces the rules about records. They hold within a second, and are refused as a whole when one names what is not there.
#[utoipa::path(put, path = "/admin/v1/tenants/{ref}/rules", tag = "admin", params(("ref" = String, Path)), request_body = NewRules, security(("operator" = [])), responses(
    (status = 200, body = RuleBook), (status = 400, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn replace_rules(_: Operator, State(app): State<App>, Path(reference): Path<String>, request: Request) -> Result<Json<RuleBook>, Problem> {
    let new: NewRules = body::read_json(request, app.config.http.max_json_bytes).await?;
    Ok(Json(replace_rules_of(&app, &reference, new).await?))
}

/// What is asked about rights.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Question {
    /// The table.
    table: String,
    /// What would be done.
    #[param(inline)]
    action: Action,
    /// The columns, divided by commas; all of the table when absent.
    columns: Option<String>,
    /// The key of a row that is there: whether it is among those that a rule is about.
    row: Option<Uuid>,
    /// The roles of the user who would do it, divided by commas.
    roles: Option<String>,
    /// The employee whom the user is linked to.
    employee: Option<Uuid>,
    /// The user, where a rule asks who it is.
    user: Option<Uuid>,
    /// Instead of a user: the scopes of a function key, divided by commas.
    scopes: Option<String>,
}

/// Whether it is allowed, and by what.
#[derive(Serialize, ToSchema)]
struct Explanation {
    /// Whether it is allowed: for all of the columns, in some rows at least, and in the row that was named.
    allowed: bool,
    /// What it comes to, in a sentence.
    because: String,
    columns: Vec<ColumnRights>,
    /// Every rule, and what it says to it.
    rules: Vec<RuleVerdict>,
}

/// What may be done with a column.
#[derive(Serialize, ToSchema)]
struct ColumnRights {
    column: String,
    /// `all` rows, `some` or `none`.
    rows: &'static str,
    /// The rules that allow it.
    allowed_by: Vec<String>,
}

/// What a rule says.
#[derive(Serialize, ToSchema)]
struct RuleVerdict {
    rule: String,
    allows: bool,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    miss: Option<Miss>,
    /// The rows that it is about.
    rows: Scope,
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<RowCondition>,
}

/// Tells which rule allows something, or why none does, without doing it. It shows no row, and needs none.
#[utoipa::path(get, path = "/admin/v1/tenants/{ref}/explain", tag = "admin", params(("ref" = String, Path), Question), security(("operator" = [])), responses(
    (status = 200, body = Explanation), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn explain_rights(
    _: Operator,
    State(app): State<App>,
    Path(reference): Path<String>,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Json<Explanation>, Problem> {
    let Query(question) = question.map_err(|error| Error::invalid("query", error.body_text()))?;
    let tenant = app.tenants.active(&reference).await?;
    Ok(Json(explain(&app, &tenant, &question).await?))
}

async fn explain(app: &App, tenant: &Tenant, question: &Question) -> Result<Explanation> {
    let settings = &tenant.settings.records;
    let asker = Asker::of(&question.principal()?, settings);
    let catalog = Catalog::built_in();
    let table = catalog.table(&question.table).ok_or_else(|| Error::not_found(format!("table \"{}\"", question.table)))?;
    let resolver = Resolver {
        catalog,
        asker: &asker,
        tenant: tenant.id.number(),
        now: app.clock.now(),
        aggregates: settings.aggregates,
        key: &app.master_key,
        custom_schema: None,
        max_rows: app.config.records.max_rows,
    };
    let columns = question.columns(table)?;
    let mut rules = Vec::new();
    for (rule, miss) in asker.rules(table) {
        let mut miss = miss.or_else(|| question.miss(rule, table, &columns));
        if let (None, Some(row)) = (miss, question.row) {
            let rows = Rows::In(vec![Bound::of(rule)]);
            miss = (!is_within(app, tenant, &resolver, table, &rows, row).await?).then_some(Miss::Row);
        }
        rules.push(RuleVerdict { rule: rule.name.clone(), allows: miss.is_none(), miss, rows: rule.rows, when: rule.when.clone() });
    }
    let access = asker.access(table);
    let about = |column: &Column| -> Vec<String> {
        let by = |rule: &RecordRule| question.makes_rows() || rights::is_about(rule, column);
        let verdicts = asker.rules(table).zip(&rules);
        verdicts.filter(|((rule, _), verdict)| verdict.allows && by(rule)).map(|((rule, _), _)| rule.name.clone()).collect()
    };
    let columns: Vec<ColumnRights> = columns
        .iter()
        .map(|column| {
            let rows = if question.makes_rows() { access.row(question.action, table) } else { access.column(question.action, column) };
            let rows = match rows {
                Rows::None => "none",
                Rows::In(_) => "some",
                Rows::All => "all",
            };
            ColumnRights { column: column.name.clone(), rows, allowed_by: about(column) }
        })
        .collect();
    let refused: Vec<&str> =
        columns.iter().filter(|rights| !asker.is_service() && rights.allowed_by.is_empty()).map(|rights| rights.column.as_str()).collect();
    let is_off = table.group == super::catalog::Group::Special && !settings.special;
    let because = match &refused[..] {
        _ if is_off => "the tenant has no such data; records.special opens it".to_owned(),
        [] if asker.is_service() => "a secret key without scopes may do everything".to_owned(),
        [] => "rules allow it".to_owned(),
        refused => format!("no rule allows it for {}", refused.join(", ")),
    };
    Ok(Explanation { allowed: refused.is_empty() && !is_off, because, columns, rules })
}

async fn is_within(app: &App, tenant: &Tenant, resolver: &Resolver<'_>, table: &Arc<Table>, rows: &Rows, row: Uuid) -> Result<bool> {
    let Some(key) = table.primary_key.first().and_then(|key| table.column(key)) else { return Ok(false) };
    let is_it = Expr::Compare(Scalar::column(key), Comparison::Equal, Value::Uuid(row));
    let filter = is_it.and(resolver.within(table, rows));
    Ok(execute::count(&app.db.read().await?, tenant.id, table, &filter, true).await? > 0)
}

fn words(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

impl Question {
    fn principal(&self) -> Result<Principal> {
        if let Some(scopes) = &self.scopes {
            return Ok(Principal::Key(ScopedKey { key_id: Uuid::nil(), scopes: scopes.parse()? }));
        }
        let app_metadata = json!({ "roles": words(self.roles.as_deref()) });
        Ok(Principal::User(SignedIn {
            user_id: self.user.unwrap_or_default(),
            session_id: Uuid::nil(),
            email: None,
            aal: "aal1".to_owned(),
            roles: Roles::of(&app_metadata),
            employee_id: self.employee,
            is_anonymous: false,
            app_metadata,
        }))
    }

    fn columns(&self, table: &Table) -> Result<Vec<Arc<Column>>> {
        let names = words(self.columns.as_deref());
        if names.is_empty() {
            let asked = table.shown().filter(|column| self.action != Action::Reveal || column.sealed);
            return Ok(asked.filter(|column| self.action == Action::Read || !column.kept_by_server()).cloned().collect());
        }
        let find = |name: &String| {
            let found = table.shown().find(|column| column.name == *name).cloned();
            found.ok_or_else(|| Error::invalid("columns", format!("{} has no column \"{name}\"", table.name)))
        };
        names.iter().map(find).collect()
    }

    /// Whether it is about whole rows.
    fn makes_rows(&self) -> bool {
        self.action == Action::Delete
    }

    /// Why a rule that is about the asker and the table does not allow this.
    fn miss(&self, rule: &RecordRule, table: &Table, columns: &[Arc<Column>]) -> Option<Miss> {
        if !rule.actions.contains(&self.action) {
            return Some(Miss::Action);
        }
        let is_about = if self.makes_rows() {
            rule.groups.contains(&table.group) && rule.columns.is_empty()
        } else {
            columns.iter().any(|column| rights::is_about(rule, column))
        };
        (!is_about).then_some(Miss::Column)
    }
}
