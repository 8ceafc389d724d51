//! Runs plans: reads on a connection of their own, each write in one transaction with everything that hangs on it.

mod explain;

use std::{collections::HashMap, num::NonZero, sync::Arc};

use serde_json::{Value as Json, json};
use uuid::Uuid;

use self::explain::{Attempt, explain};
use super::{
    catalog::{Catalog, Column, Table},
    error::{RestError, RestResult},
    history::{self, Author, Change, Row},
    parse::Count,
    plan::{Comparison, Delete, Expr, Guard, Insert, Missing, OnConflict, Read, Scalar, Update},
    ranked,
    render::{self, Beside},
    resolve::{Cell, default_value, open},
    rules, sql,
};
use crate::{
    crypto::MasterKey,
    db::{Conn, Dialect, Timestamp, Tx, Value},
    error::{Error, Result},
    tenants::TenantId,
};

/// Rows that were found, each a JSON text, and how many there are in all when that was asked.
pub(super) struct Found {
    /// The rows.
    pub rows: Vec<String>,
    /// How many there are without the page.
    pub total: Option<i64>,
    /// The version of the row, when there is one row and its version was asked for and may be seen.
    pub version: Option<i64>,
    /// What the cursor of the last row holds, when rows are paged by key.
    pub last: Option<String>,
}

/// Reads rows, and counts them when asked to.
pub(super) async fn read(conn: &Conn, tenant: TenantId, read: &Read, counted: Option<Count>, wanted: bool) -> RestResult<Found> {
    if let Some(ranking) = &read.ranking {
        return ranked::read(conn, tenant, read, ranking, counted, wanted).await;
    }
    let heavy = read.filter.is_heavy();
    let total = match counted {
        None => None,
        Some(Count::Exact) => Some(count(conn, tenant, &read.table, &read.filter, heavy).await?),
        Some(Count::Planned | Count::Estimated) => Some(estimate(conn, tenant, &read.table, &read.filter).await?),
    };
    // HEAD wants no rows, but without a total it still says how many the page has.
    if !wanted && total.is_some() {
        return Ok(Found { rows: Vec::new(), total, version: None, last: None });
    }
    let query = conn.query_built(render::select(conn.dialect(), tenant, read, &Beside::Page));
    let query = if heavy { query.heavy() } else { query };
    let found = query.fetch_all::<(String, Option<i64>, Option<String>)>().await?;
    let version = if let [(_, version, _)] = found[..] { version } else { None };
    let last = found.last().and_then(|(.., values)| values.clone());
    let rows = found.into_iter().map(|(row, _, values)| match (&read.keyset, values) {
        (Some(keyset), Some(values)) if read.shows_cursor => with_cursor(row, &keyset.cursor(&values)),
        _ => row,
    });
    Ok(Found { rows: rows.collect(), total, version, last })
}

fn with_cursor(mut row: String, cursor: &str) -> String {
    row.pop();
    if row.len() > 1 {
        row.push(',');
    }
    row.push_str(&format!("\"_cursor\":\"{cursor}\"}}"));
    row
}

/// How many rows there are.
pub(super) async fn count(conn: &Conn, tenant: TenantId, table: &Table, filter: &Expr, heavy: bool) -> Result<i64> {
    let query = conn.query_built(render::count(conn.dialect(), tenant, table, filter));
    let query = if heavy { query.heavy() } else { query };
    Ok(query.fetch_one::<(i64,)>().await?.0)
}

/// Rows up to which even an estimate counts: what a planner supposes of few rows may rest on rows that the caller can't see.
const COUNTED: i64 = 10_000;

async fn estimate(conn: &Conn, tenant: TenantId, table: &Table, filter: &Expr) -> Result<i64> {
    let query = conn.query_built(render::count_up_to(conn.dialect(), tenant, table, filter, COUNTED + 1));
    let counted = query.heavy().fetch_one::<(i64,)>().await?.0;
    if counted <= COUNTED {
        return Ok(counted);
    }
    if conn.dialect() == Dialect::Sqlite {
        return count(conn, tenant, table, filter, true).await;
    }
    let (plan,) = conn.query_built(render::estimate(tenant, table, filter)).fetch_one::<(crate::db::Json,)>().await?;
    Ok(plan.0[0]["Plan"]["Plan Rows"].as_i64().unwrap_or_default().max(counted))
}

/// A write, ready to be run.
pub(super) enum Write {
    /// Makes rows.
    Insert(Insert),
    /// Changes rows.
    Update(Update),
    /// Changes rows, each in its own way.
    UpdateEach(Vec<Update>),
    /// Removes rows.
    Delete(Delete),
    /// Brings back an employee that was removed.
    Undelete(Uuid),
    /// Shows numbers whole that are masked elsewhere.
    Reveal(Reveal),
}

/// Numbers to be shown whole.
pub(super) struct Reveal {
    /// In which table.
    pub table: Arc<Table>,
    /// In which column.
    pub column: Arc<Column>,
    /// Which rows were named, of those that may be seen.
    pub filter: Expr,
    /// In which of them it may be shown.
    pub allowed: Expr,
    /// Why, as the asker says.
    pub reason: String,
}

/// What is asked of a write besides what it does.
pub(super) struct Wishes {
    /// What of the rows is to be answered.
    pub representation: Option<Read>,
    /// Whether exactly one row must be touched.
    pub single: bool,
    /// How many rows may be touched.
    pub max_affected: Option<i64>,
}

/// What a write did.
pub(super) struct Written {
    /// The keys of the rows it touched, with the versions that they have now, or had.
    pub touched: Vec<(Uuid, i64)>,
    /// Whether it made at least one row.
    pub made_any: bool,
    /// The rows, when they were asked for.
    pub rows: Option<Vec<String>>,
}

/// In which tenant and when something is written.
#[derive(Clone)]
pub(super) struct Context {
    /// The tenant.
    pub tenant: TenantId,
    /// The present moment.
    pub now: Timestamp,
    /// Who writes; none where no history is kept.
    pub author: Option<Author>,
    /// What hashes, and seals, what is kept of it.
    pub key: Arc<MasterKey>,
}

/// Runs a write inside a transaction, which is to be undone as a whole when this fails: when it touches what it may not, or more than it
/// was allowed.
pub(super) async fn write(tx: &Tx, context: &Context, write: &Write, wishes: &Wishes) -> RestResult<Written> {
    let tenant = context.tenant;
    let (touched, made_any) = match write {
        Write::Insert(plan) => {
            let inserted = insert(tx, context, plan).await?;
            let made_any = inserted.iter().any(|(_, version)| *version == 1);
            (inserted, made_any)
        }
        Write::Update(plan) => (update(tx, context, plan, wishes).await?, false),
        Write::UpdateEach(plans) => {
            let mut touched = Vec::with_capacity(plans.len());
            for plan in plans {
                touched.extend(update(tx, context, plan, wishes).await?);
            }
            (touched, false)
        }
        Write::Delete(plan) => {
            let found = targets(tx, tenant, &plan.table, &plan.filter, &plan.allowed, &plan.guard).await?;
            check_wishes(found.len(), wishes)?;
            let touched: Vec<(Uuid, i64)> = found.iter().map(|(id, version, _)| (*id, *version)).collect();
            let rows = represent(tx, tenant, &ids_of(&touched), wishes).await?;
            delete(tx, context, plan, found).await?;
            return Ok(Written { touched, made_any: false, rows });
        }
        Write::Undelete(id) => (undelete(tx, context, *id).await?, false),
        Write::Reveal(plan) => return reveal(tx, context, plan).await,
    };
    check_wishes(touched.len(), wishes)?;
    let rows = represent(tx, tenant, &ids_of(&touched), wishes).await?;
    Ok(Written { touched, made_any, rows })
}

fn ids_of(rows: &[(Uuid, i64)]) -> Vec<Uuid> {
    rows.iter().map(|(id, _)| *id).collect()
}

fn check_wishes(rows: usize, wishes: &Wishes) -> RestResult<()> {
    check_most(rows, wishes)?;
    if wishes.single && rows != 1 { Err(not_single(rows)) } else { Ok(()) }
}

fn check_most(rows: usize, wishes: &Wishes) -> RestResult<()> {
    let count = i64::try_from(rows).unwrap_or(i64::MAX);
    if wishes.max_affected.is_some_and(|most| count > most) {
        return Err(
            RestError::new("PGRST124", "Query result exceeds max-affected preference constraint").details(format!("The query affects {count} rows"))
        );
    }
    Ok(())
}

/// The refusal where one row was asked for and there is none or more.
pub(super) fn not_single(rows: usize) -> RestError {
    RestError::new("PGRST116", "Cannot coerce the result to a single JSON object").details(format!("The result contains {rows} rows"))
}

/// Makes rows and what hangs on them.
pub(super) async fn insert(tx: &Tx, context: &Context, plan: &Insert) -> RestResult<Vec<(Uuid, i64)>> {
    if plan.rows.is_empty() {
        return Ok(Vec::new());
    }
    let tenant = context.tenant;
    let merges = matches!(&plan.conflict, Some(conflict) if matches!(conflict.then, OnConflict::Update(..)));
    let before = if merges { existing(tx, tenant, plan).await? } else { HashMap::new() };
    let query = tx.query_built(render::insert(tx.dialect(), tenant, context.now, plan));
    let inserted = match query.fetch_all::<(Uuid, i64, String)>().await {
        Ok(inserted) => inserted,
        Err(error) => return Err(explain(tx, tenant, error, Attempt::Insert(plan)).await),
    };
    let ids: Vec<Uuid> = inserted.iter().map(|(id, ..)| *id).collect();
    if plan.table.searchable {
        sql::index_employees(tx, tenant, &ids, merges).await?;
    }
    if merges && ids.len() < plan.rows.len() {
        return Err(policy(&plan.table));
    }
    check_new(tx, tenant, &plan.table, &ids, &plan.check).await?;
    written(tx, context, &plan.table, before, inserted).await
}

/// The rows that are there already of those that are to be made, held until they are changed.
async fn existing(tx: &Tx, tenant: TenantId, plan: &Insert) -> RestResult<HashMap<Uuid, Row>> {
    let Some(conflict) = &plan.conflict else { return Ok(HashMap::new()) };
    let mut filter = Expr::Always;
    for name in &conflict.columns {
        let Some(place) = plan.columns.iter().position(|column| column.name == *name) else { return Ok(HashMap::new()) };
        let values = plan.rows.iter().map(|row| row[place].clone()).filter(|value| !matches!(value, Value::Null(_))).collect();
        filter = filter.and(Expr::In(Scalar::column(&plan.columns[place]), values));
    }
    let found = targets(tx, tenant, &plan.table, &filter, &Expr::Always, &Guard::default()).await?;
    Ok(found.into_iter().map(|(id, _, row)| (id, row)).collect())
}

/// Keys and versions of rows that were written, once they and what they were have passed.
async fn written(
    tx: &Tx,
    context: &Context,
    table: &Table,
    mut before: HashMap<Uuid, Row>,
    rows: Vec<(Uuid, i64, String)>,
) -> RestResult<Vec<(Uuid, i64)>> {
    let (mut touched, mut done) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for (id, version, row) in rows {
        touched.push((id, version));
        done.push(Change { id, old: before.remove(&id), new: Some(serde_json::from_str(&row).map_err(Error::from)?) });
    }
    settle(tx, context, table, &done).await?;
    Ok(touched)
}

/// What every change must pass, and what is kept of it and follows from it.
async fn settle(tx: &Tx, context: &Context, table: &Table, done: &[Change]) -> RestResult<()> {
    rules::check(tx, context, table, done).await?;
    history::note(tx, context, table, done).await?;
    if table.name == "payroll_runs" {
        let is_approved = |status: Option<&str>| status == Some("approved");
        let newly = done.iter().filter(|change| is_approved(change.now("status")) && !is_approved(change.before("status")));
        let runs: Vec<Uuid> = newly.map(|change| change.id).collect();
        if !runs.is_empty() {
            sql::rules::approve(tx, context.tenant, &runs, context.author.as_ref().and_then(Author::user), context.now).await?;
        }
    }
    if table.name == "job_assignments" && context.author.is_some() {
        let of = done.iter().flat_map(|change| [change.before("employee_id"), change.now("employee_id")]);
        let employees: Vec<Uuid> = of.flatten().filter_map(|id| id.parse().ok()).collect();
        Box::pin(assign(tx, context, &employees)).await?;
    }
    Ok(())
}

/// Employees do what their assignment of today says. An assignment that leaves something open leaves it as it is; an import brings both.
pub(super) async fn assign(tx: &Tx, context: &Context, employees: &[Uuid]) -> RestResult<()> {
    let Some(table) = Catalog::built_in().table("employees") else { return Ok(()) };
    for (id, row) in sql::rules::assigned(tx, context.tenant, context.now, employees).await? {
        let row: Row = serde_json::from_str(&row).map_err(Error::from)?;
        let mut set = Vec::new();
        for (name, value) in row.into_iter().filter(|(_, value)| !value.is_null()) {
            if let Some(column) = table.column(&name) {
                set.push((Arc::clone(column), Cell::Json(value).typed(column.kind)?));
            }
        }
        let is_other = |(column, value): &(Arc<Column>, Value)| Expr::Compare(Scalar::column(column), Comparison::DistinctFrom, value.clone());
        let filter = touched(table, &[id]).and(Expr::Or(set.iter().map(is_other).collect()));
        let plan = Update { table: Arc::clone(table), set, filter, allowed: Expr::Always, guard: Guard::default() };
        update(tx, context, &plan, &Wishes { representation: None, single: false, max_affected: None }).await?;
    }
    Ok(())
}

/// Every new row must be one that the caller may make.
async fn check_new(tx: &Conn, tenant: TenantId, table: &Arc<Table>, ids: &[Uuid], check: &Expr) -> RestResult<()> {
    if matches!(check, Expr::Always) || ids.is_empty() {
        return Ok(());
    }
    let fit = count(tx, tenant, table, &touched(table, ids).and(check.clone()), false).await?;
    if usize::try_from(fit).is_ok_and(|fit| fit == ids.len()) { Ok(()) } else { Err(policy(table)) }
}

fn policy(table: &Table) -> RestError {
    RestError::new("42501", format!("new row violates row-level security policy for table \"{}\"", table.name))
}

async fn update(tx: &Tx, context: &Context, plan: &Update, wishes: &Wishes) -> RestResult<Vec<(Uuid, i64)>> {
    let tenant = context.tenant;
    if plan.set.is_empty() && plan.guard.must_exist.is_none() {
        return Ok(Vec::new());
    }
    let found = targets(tx, tenant, &plan.table, &plan.filter, &plan.allowed, &plan.guard).await?;
    check_most(found.len(), wishes)?;
    if found.is_empty() || plan.set.is_empty() {
        return Ok(found.into_iter().map(|(id, version, _)| (id, version)).collect());
    }
    let ids: Vec<Uuid> = found.iter().map(|(id, ..)| *id).collect();
    let query = tx.query_built(render::update(tx.dialect(), tenant, context.now, plan, &sql::id_list(&ids)));
    let updated = match query.fetch_all::<(Uuid, i64, String)>().await {
        Ok(updated) => updated,
        Err(error) => return Err(explain(tx, tenant, error, Attempt::Update(plan)).await),
    };
    if plan.table.searchable && plan.set.iter().any(|(column, _)| is_searched(column)) {
        let names_changed = plan.set.iter().any(|(column, _)| matches!(column.name.as_str(), "given_name" | "family_name" | "display_name"))
            && !plan.set.iter().any(|(column, _)| column.name == "name_sort");
        sql::index_employees(tx, tenant, &ids, names_changed).await?;
    }
    // What may be changed must not be changed into what may not.
    check_new(tx, tenant, &plan.table, &ids, &plan.allowed).await?;
    let before = found.into_iter().map(|(id, _, row)| (id, row)).collect();
    written(tx, context, &plan.table, before, updated).await
}

fn is_searched(column: &Column) -> bool {
    column.name.ends_with("_name") || matches!(column.name.as_str(), "employee_number" | "name_phonetic" | "work_email")
}

fn denied_rows(table: &Table) -> RestError {
    RestError::new("42501", format!("permission denied for table {}", table.name)).details("You can see rows that you named but may not change them.")
}

/// The rows that a write names, held until it is done: each must be one that may be written, in the state that was asked for. Rows that can
/// be seen and not be written are refused, not passed over in silence.
async fn targets(tx: &Conn, tenant: TenantId, table: &Table, filter: &Expr, allowed: &Expr, guard: &Guard) -> RestResult<Vec<(Uuid, i64, Row)>> {
    let query = tx.query_built(render::select_targets(tx.dialect(), tenant, table, filter, allowed, guard.version.as_ref()));
    let found = query.fetch_all::<(Uuid, i64, bool, Option<i64>, String)>().await?;
    if let Some(versions) = &guard.versions
        && let Some((.., version, _)) = found.iter().find(|(.., version, _)| !version.is_some_and(|version| versions.contains(&version)))
    {
        return Err(changed(*version));
    }
    match &guard.must_exist {
        Some(Missing::Precondition) if found.is_empty() => return Err(changed(None)),
        Some(Missing::Key(key)) if found.is_empty() => {
            return Err(
                RestError::new("PT404", format!("there is no such row in table \"{}\"", table.name)).details(format!("Key {key} is not there."))
            );
        }
        _ => {}
    }
    if found.iter().any(|(_, _, allowed, ..)| !allowed) {
        return Err(denied_rows(table));
    }
    found.into_iter().map(|(id, version, .., row)| Ok((id, version, serde_json::from_str(&row).map_err(Error::from)?))).collect()
}

/// The refusal of a write whose row is not in the state that it was asked for.
fn changed(version: Option<i64>) -> RestError {
    let mut error = RestError::new("PT412", "the row is not in the version that was asked for");
    error = match version {
        Some(version) => error.details(format!("The current version is {version}.")).hint("Read the row again, and decide again."),
        None => error.details("There is no such row."),
    };
    error.version = version.and_then(NonZero::new);
    error
}

async fn delete(tx: &Tx, context: &Context, plan: &Delete, found: Vec<(Uuid, i64, Row)>) -> RestResult<()> {
    if found.is_empty() {
        return Ok(());
    }
    let tenant = context.tenant;
    let ids: Vec<Uuid> = found.iter().map(|(id, ..)| *id).collect();
    if plan.table.searchable {
        keep_employees(tx, context, &found).await?;
        sql::forget_employees(tx, tenant, &ids).await?;
    }
    if let Err(error) = tx.query_built(render::delete(tx.dialect(), tenant, &plan.table, &sql::id_list(&ids))).execute().await {
        return Err(explain(tx, tenant, error, Attempt::Delete(plan, &ids)).await);
    }
    let done: Vec<Change> = found.into_iter().map(|(id, _, row)| Change { id, old: Some(row), new: None }).collect();
    settle(tx, context, &plan.table, &done).await
}

/// The tables whose rows go with their employee, and come back with it.
const GOING: [&str; 4] = ["employee_private", "employee_identity", "employee_bank_accounts", "employee_special"];

fn going() -> impl Iterator<Item = &'static Arc<Table>> {
    GOING.iter().filter_map(|name| Catalog::built_in().table(name))
}

fn place_of_deleted(tenant: TenantId, id: Uuid) -> String {
    format!("deleted_employees/{}/{id}", tenant.number())
}

/// Puts aside what employees were, with what goes with them, for who wants them back.
async fn keep_employees(tx: &Tx, context: &Context, found: &[(Uuid, i64, Row)]) -> RestResult<()> {
    let tenant = context.tenant;
    let ids: Vec<Uuid> = found.iter().map(|(id, ..)| *id).collect();
    let mut kept: HashMap<Uuid, Row> =
        found.iter().map(|(id, _, row)| (*id, [("employees".to_owned(), json!([row]))].into_iter().collect())).collect();
    for table in going() {
        let of_them = table.column("employee_id").map_or(Expr::Never, |column| Expr::Touched(Arc::clone(column), sql::id_list(&ids)));
        let rows = targets(tx, tenant, table, &of_them, &Expr::Always, &Guard::default()).await?;
        for (_, _, row) in &rows {
            let id = row.get("employee_id").and_then(Json::as_str).and_then(|id| id.parse().ok());
            if let Some(contents) = id.and_then(|id: Uuid| kept.get_mut(&id)) {
                let of_table = contents.entry(table.name.clone()).or_insert_with(|| json!([]));
                if let Json::Array(list) = of_table {
                    list.push(Json::Object(row.clone()));
                }
            }
        }
        let gone: Vec<Change> = rows.into_iter().map(|(id, _, row)| Change { id, old: Some(row), new: None }).collect();
        history::note(tx, context, table, &gone).await?;
    }
    for (id, contents) in kept {
        let sealed = context.key.seal(&place_of_deleted(tenant, id), Json::Object(contents).to_string().as_bytes());
        sql::changes::keep_deleted(tx, tenant, context.now, id, sealed).await?;
    }
    Ok(())
}

/// Makes an employee again as it was, if what it refers to is still there and nobody has its keys.
async fn undelete(tx: &Tx, context: &Context, id: Uuid) -> RestResult<Vec<(Uuid, i64)>> {
    let tenant = context.tenant;
    let Some(sealed) = sql::changes::take_deleted(tx, tenant, id).await? else {
        return Err(RestError::new("PT404", "no employee with this id was deleted").details(format!("Key (id)=({id}) is not there.")));
    };
    let contents: Json = serde_json::from_slice(&context.key.open(&place_of_deleted(tenant, id), &sealed)?).map_err(Error::from)?;
    let mut touched = Vec::new();
    for table in Catalog::built_in().table("employees").into_iter().chain(going()) {
        // One row was kept by itself once.
        let rows = match &contents[&table.name] {
            Json::Array(rows) => rows.as_slice(),
            row => std::slice::from_ref(row),
        };
        for row in rows.iter().filter_map(Json::as_object) {
            let plan = as_it_was(table, row, context.now)?;
            touched.push(insert(tx, context, &plan).await?);
        }
    }
    Ok(touched.into_iter().next().unwrap_or_default())
}

/// Shows numbers whole, and writes down who saw them and why: one is not done without the other.
async fn reveal(tx: &Tx, context: &Context, plan: &Reveal) -> RestResult<Written> {
    let found = targets(tx, context.tenant, &plan.table, &plan.filter, &plan.allowed, &Guard::default()).await?;
    let key = plan.table.primary_key.first().map_or("id", String::as_str);
    let sealed_in = plan.table.beside(&plan.column).map(|(sealed, _)| sealed.name.as_str()).unwrap_or_default();
    let (mut touched, mut rows) = (Vec::with_capacity(found.len()), Vec::with_capacity(found.len()));
    for (id, version, row) in &found {
        let sealed = row.get(sealed_in).and_then(Json::as_str);
        let number = sealed.map(|sealed| open(context, &plan.table, &plan.column, sealed)).transpose()?;
        touched.push((*id, *version));
        rows.push(json!({ key: id, &plan.column.name: number }).to_string());
    }
    let ids = ids_of(&touched);
    if !ids.is_empty() {
        history::note_revealed(tx, context, &plan.table, &plan.column.name, &ids, &plan.reason).await?;
    }
    Ok(Written { touched, made_any: false, rows: Some(rows) })
}

fn as_it_was(table: &Arc<Table>, row: &Row, now: Timestamp) -> RestResult<Insert> {
    let value = |column: &Arc<Column>| match column.name.as_str() {
        "version" => Ok(Value::I64(row.get("version").and_then(Json::as_i64).unwrap_or_default() + 1)),
        "updated_at" => Ok(Value::Timestamp(now)),
        // What was deleted before the column was there has what a new row has.
        name => match row.get(name) {
            Some(value) => Cell::Json(value.clone()).typed(column.kind),
            None => Ok(default_value(column, now)),
        },
    };
    let values = table.columns.iter().map(value).collect::<RestResult<Vec<_>>>()?;
    Ok(Insert { table: Arc::clone(table), columns: table.columns.clone(), rows: vec![values], conflict: None, check: Expr::Always })
}

fn touched(table: &Table, ids: &[Uuid]) -> Expr {
    match table.primary_key.first().and_then(|key| table.column(key)) {
        Some(key) => Expr::Touched(Arc::clone(key), sql::id_list(ids)),
        None => Expr::Never,
    }
}

/// The touched rows as they were asked for; in the order they were touched unless another was asked for.
async fn represent(tx: &Conn, tenant: TenantId, ids: &[Uuid], wishes: &Wishes) -> RestResult<Option<Vec<String>>> {
    let Some(read) = &wishes.representation else { return Ok(None) };
    let read = Read { filter: touched(&read.table, ids).and(read.filter.clone()), ..read.clone() };
    let key = read.table.primary_key.first().and_then(|key| read.table.column(key)).map(Scalar::column);
    let key = key.ok_or_else(|| Error::internal("a table has no key"))?;
    let query = tx.query_built(render::select(tx.dialect(), tenant, &read, &Beside::Value(&key)));
    let mut rows = query.fetch_all::<(String, Uuid)>().await?;
    if read.order.is_empty() {
        let place: HashMap<Uuid, usize> = ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
        rows.sort_by_key(|(_, id)| place.get(id).copied());
    }
    Ok(Some(rows.into_iter().map(|(row, _)| row).collect()))
}
