//! Loads a company from CSV files: departments, employees, assignments, titles, salaries, managers.
//!
//! Every row gets an id made of the tenant and its natural key, and a row that is there is left as it is: an import that was stopped is
//! simply run again, and one that was done changes nothing. A line that can't be used is reported with its file and number and loses
//! nothing else. Assignments and titles become one history (`job_assignments`), cut wherever one of them changes; what holds now is copied
//! onto the employee. Who has no open assignment has left: the end of the last one is the day of leaving.
//!
//! `read.rs` knows the files, `history.rs` puts assignments and titles together.

mod history;
mod read;

use std::{collections::HashMap, path::Path, sync::Arc};

use aws_lc_rs::digest;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use self::{
    history::{Stretch, stretches},
    read::{Files, Span},
};
use super::{
    catalog::Catalog,
    execute,
    parse::{Missing, QueryString, Resolution},
    resolve::{Body, Cell, Resolver, Upsert},
    rights::Asker,
    sql,
};
use crate::{
    app::App,
    db::Timestamp,
    error::{Error, Result},
    tenants::TenantId,
};

/// Rows in one transaction, and one statement: a slow machine must get through it before the time of a statement is over.
const CHUNK: usize = 250;

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The table that is being filled.
    pub table: &'static str,
    /// Rows that are done.
    pub done: usize,
    /// Rows in all.
    pub total: usize,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows made, by table.
    pub made: Vec<(&'static str, usize)>,
    /// Rows that were there already, by table.
    pub kept: Vec<(&'static str, usize)>,
    /// Lines that could not be used.
    pub refused: Vec<Refused>,
}

/// A line that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The file.
    pub file: &'static str,
    /// The line, from 1; the header is line 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: String,
}

/// Loads the CSV files in `directory` into a tenant, telling `progress` after every chunk.
pub async fn import_employees(app: &App, tenant: &str, directory: &Path, progress: impl FnMut(Progress) + Send) -> Result<Report> {
    let tenant = app.tenants.active(tenant).await?;
    let directory = directory.to_owned();
    let files = tokio::task::spawn_blocking(move || Files::read(&directory)).await??;
    let mut import = Import { app, tenant: tenant.id, now: app.clock.now(), report: Report::default(), progress };
    import.run(files).await?;
    Ok(import.report)
}

struct Import<'a, P> {
    app: &'a App,
    tenant: TenantId,
    now: Timestamp,
    report: Report,
    progress: P,
}

impl<P: FnMut(Progress) + Send> Import<'_, P> {
    async fn run(&mut self, files: Files) -> Result<()> {
        let Files { departments, employees, assignments, titles, salaries, managers, refused } = files;
        self.report.refused = refused;
        let number = self.tenant.number();
        let id = |kind: &str, key: &str| stable_id(number, kind, key);

        let rows = departments.iter().map(|row| vec![json!(id("department", &row.code)), json!(row.code), json!(row.name)]).collect();
        self.fill("departments", &["id", "code", "name"], "code", rows).await?;
        let department_ids = self.ids_by("departments", "code").await?;

        let history = stretches(assignments, titles);
        let now: HashMap<&str, &Stretch> =
            history.iter().filter(|stretch| stretch.to.is_none()).map(|stretch| (&*stretch.employee, stretch)).collect();
        let left: HashMap<&str, Span> = history::left(&history);
        // Who leads a department comes first, so that the others can name them.
        let heads: HashMap<&str, &str> = managers.iter().filter(|row| row.span.to.is_none()).map(|row| (&*row.department, &*row.employee)).collect();
        let person = |row: &read::Employee, heads_ids: &HashMap<String, Uuid>| {
            let stretch = now.get(&*row.number);
            let department = stretch.and_then(|stretch| stretch.department.as_deref());
            let manager =
                department.and_then(|code| heads.get(code)).filter(|head| **head != row.number.as_str()).and_then(|head| heads_ids.get(*head));
            let gone = if stretch.is_none() { left.get(&*row.number).and_then(|span| span.to) } else { None };
            vec![
                json!(id("employee", &row.number)),
                json!(row.number),
                json!(row.given_name),
                json!(row.family_name),
                json!(row.hired_on),
                json!(if gone.is_some() { "terminated" } else { "active" }),
                json!(gone),
                json!(department.and_then(|code| department_ids.get(code))),
                json!(stretch.and_then(|stretch| stretch.title.as_deref())),
                json!(manager),
            ]
        };
        let columns =
            ["id", "employee_number", "given_name", "family_name", "hired_on", "status", "terminated_on", "department_id", "job_title", "manager_id"];
        let leads = |row: &&read::Employee| heads.values().any(|head| *head == row.number.as_str());
        let first = employees.iter().filter(leads).map(|row| person(row, &HashMap::new())).collect();
        self.fill("employees", &columns, "employee_number", first).await?;
        let head_ids = self.ids_by("employees", "employee_number").await?;
        let others = employees.iter().filter(|row| !leads(row)).map(|row| person(row, &head_ids)).collect();
        self.fill("employees", &columns, "employee_number", others).await?;
        let ids = Arc::new(self.ids_by("employees", "employee_number").await?);

        let known = |number: &str| ids.get(number).map(|id| json!(id));
        let rows = employees.iter().filter_map(|row| Some(vec![known(&row.number)?, json!(row.birth_date), json!(row.gender)])).collect();
        self.fill("employee_private", &["employee_id", "date_of_birth", "gender"], "employee_id", rows).await?;

        let mut rows = Vec::new();
        for stretch in &history {
            let Some(employee) = known(&stretch.employee) else { continue };
            let department = stretch.department.as_deref();
            let key = format!("{}/{}/{}", stretch.employee, department.unwrap_or_default(), stretch.from);
            rows.push(vec![
                json!(id("assignment", &key)),
                employee,
                json!(stretch.from),
                json!(stretch.to),
                json!(department.and_then(|code| department_ids.get(code))),
                json!(stretch.title),
            ]);
        }
        self.fill("job_assignments", &["id", "employee_id", "effective_from", "effective_to", "department_id", "job_title"], "id", rows).await?;

        let mut rows = Vec::new();
        for salary in &salaries {
            let Some(employee) = known(&salary.employee) else { continue };
            let key = format!("{}/{}", salary.employee, salary.span.from);
            let values = [json!(salary.span.from), json!(salary.span.to), json!("USD"), json!("year"), json!("monthly"), json!(salary.cents)];
            rows.push([json!(id("compensation", &key)), employee].into_iter().chain(values).collect());
        }
        let columns = ["id", "employee_id", "effective_from", "effective_to", "currency", "pay_basis", "pay_frequency", "base_minor"];
        self.fill("compensations", &columns, "employee_id,effective_from", rows).await?;

        let leaders = heads.iter().filter_map(|(code, head)| Some((*department_ids.get(*code)?, *ids.get(*head)?))).collect::<Vec<_>>();
        let (tenant, now) = (self.tenant, self.now);
        self.app.db.write(move |tx| async move { sql::appoint_heads(&tx, tenant, now, &leaders).await }).await?;
        self.app.db.write(|tx| async move { sql::count_rows(&tx).await }).await
    }

    /// Makes the rows that are not there, chunk by chunk.
    async fn fill(&mut self, table: &'static str, columns: &[&str], key: &str, rows: Vec<Vec<Json>>) -> Result<()> {
        let total = rows.len();
        let (mut done, mut made) = (0, 0);
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let chunk: Vec<Vec<Option<Cell>>> =
                rows.by_ref().take(CHUNK).map(|row| row.into_iter().map(|value| Some(Cell::Json(value))).collect()).collect();
            done += chunk.len();
            made += self.fill_chunk(table, columns, key, chunk).await?;
            (self.progress)(Progress { table, done, total });
        }
        add(&mut self.report.made, table, made);
        add(&mut self.report.kept, table, total - made);
        Ok(())
    }

    async fn fill_chunk(&self, table: &str, columns: &[&str], key: &str, rows: Vec<Vec<Option<Cell>>>) -> Result<usize> {
        let catalog = Catalog::built_in();
        let resolver = Resolver {
            catalog,
            asker: &Asker::service(),
            tenant: self.tenant.number(),
            now: self.now,
            aggregates: false,
            key: &self.app.master_key,
            custom_schema: None,
            max_rows: self.app.config.records.max_rows,
        };
        let table = catalog.table(table).ok_or_else(|| Error::internal("an import fills a table that the catalog does not have"))?;
        let query = QueryString { on_conflict: Some(key.split(',').map(str::to_owned).collect()), ..QueryString::default() };
        let body = Body { keys: columns.iter().map(ToString::to_string).collect(), rows };
        let plan = resolver.insert(table, &query, body, Upsert { resolution: Some(Resolution::Ignore), missing: Missing::Default })?;
        let context = execute::Context { tenant: self.tenant, now: self.now, author: None, key: Arc::clone(&self.app.master_key) };
        self.app.db.write(move |tx| async move { Ok(execute::insert(&tx, &context, &plan).await?.len()) }).await
    }

    async fn ids_by(&self, table: &str, key: &str) -> Result<HashMap<String, Uuid>> {
        let conn = self.app.db.read().await?;
        Ok(sql::ids_by(&conn, self.tenant, table, key).await?.into_iter().collect())
    }
}

/// The same id for the same thing, however often it is imported.
fn stable_id(tenant: i64, kind: &str, key: &str) -> Uuid {
    let hash = digest::digest(&digest::SHA256, format!("{tenant}/{kind}/{key}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_ref()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

fn add(counts: &mut Vec<(&'static str, usize)>, table: &'static str, count: usize) {
    match counts.iter_mut().find(|(name, _)| *name == table) {
        Some((_, sum)) => *sum += count,
        None => counts.push((table, count)),
    }
}
