//! What must hold between rows, looked at in the transaction that writes them: dated rows that don't overlap, runs that stay as they were
//! approved, slips that stay with them, trees without circles.
//!
//! Whatever of it another transaction may be changing at the same moment is held until this one ends.

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    catalog::Table,
    error::{RestError, RestResult},
    execute::Context,
    history::Change,
    sql::rules as sql,
};
use crate::db::Tx;

/// States of a run in which it, and its slips, stay as they are.
const APPROVED: [&str; 3] = ["approved", "paid", "closed"];

/// Refuses changes after which something would not hold.
pub(super) async fn check(tx: &Tx, context: &Context, table: &Table, done: &[Change]) -> RestResult<()> {
    match table.name.as_str() {
        "payslips" => slips(tx, context, table, done).await,
        "payslip_lines" => lines(tx, context, done).await,
        "payroll_runs" => done.iter().try_for_each(|change| run(table, change)),
        "compensations" | "job_assignments" => ranges(tx, context, table, done).await,
        "employees" => tree(tx, context, table, "manager_id", done).await,
        "departments" => tree(tx, context, table, "parent_id", done).await,
        _ => Ok(()),
    }
}

fn is_approved(status: &str) -> bool {
    APPROVED.contains(&status)
}

fn stays(what: &str) -> RestError {
    RestError::new("PT409", format!("{what} can't be changed")).hint("Make a run of the type correction.")
}

/// An approved run goes on to be paid and closed, and changes in nothing else.
fn run(table: &Table, change: &Change) -> RestResult<()> {
    let Some(before) = change.before("status").filter(|status| is_approved(status)) else { return Ok(()) };
    let place = |status: &str| APPROVED.iter().position(|own| *own == status);
    let goes_on = change.now("status").is_some_and(|now| place(now) >= place(before));
    if goes_on && change.columns(table).all(|column| matches!(column, "status" | "pay_date")) {
        Ok(())
    } else {
        Err(stays("a run that was approved"))
    }
}

fn ids<'c>(values: impl Iterator<Item = Option<&'c str>>) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = values.flatten().filter_map(|id| id.parse().ok()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

async fn slips(tx: &Tx, context: &Context, table: &Table, done: &[Change]) -> RestResult<()> {
    let named = ids(done.iter().flat_map(|change| [change.before("run_id"), change.now("run_id")]));
    let runs: HashMap<String, (String, String)> =
        sql::hold_runs(tx, context.tenant, &named).await?.into_iter().map(|(id, kind, status)| (id.to_string(), (kind, status))).collect();
    let is_closed = |run: Option<&str>| run.and_then(|run| runs.get(run)).is_some_and(|(_, status)| is_approved(status));
    for change in done {
        // Where the document lies is known only once it is made.
        let only_filed = change.old.is_some() && change.new.is_some() && change.columns(table).all(|column| column == "document_path");
        if !only_filed && (is_closed(change.before("run_id")) || is_closed(change.now("run_id"))) {
            return Err(stays("a slip of a run that was approved"));
        }
    }
    let replacing: Vec<&Change> = done.iter().filter(|change| change.now("replaces_id").is_some()).collect();
    if replacing.is_empty() {
        return Ok(());
    }
    let replaced = sql::slips(tx, context.tenant, &ids(replacing.iter().map(|change| change.now("replaces_id")))).await?;
    for change in replacing {
        let id = change.now("replaces_id").unwrap_or_default();
        let Some((_, employee, status)) = replaced.iter().find(|(own, ..)| own.to_string() == id) else {
            return Err(RestError::new(
                "23503",
                "insert or update on table \"payslips\" violates foreign key constraint \"payslips_replaces_id_fkey\"",
            )
            .details(format!("Key (replaces_id)=({id}) is not present in table \"payslips\".")));
        };
        let is_correction = change.now("run_id").and_then(|run| runs.get(run)).is_some_and(|(kind, _)| kind == "correction");
        if !is_correction || !is_approved(status) || change.now("employee_id") != Some(employee.to_string().as_str()) {
            return Err(RestError::new("23514", "new row for relation \"payslips\" violates check constraint \"payslips_replaces_id_check\"")
                .details("A slip replaces one of the same employee in an approved run, and is itself in a run of the type correction."));
        }
    }
    Ok(())
}

/// What a slip of an approved run is made of stays as it is, too.
async fn lines(tx: &Tx, context: &Context, done: &[Change]) -> RestResult<()> {
    let of = ids(done.iter().flat_map(|change| [change.before("payslip_id"), change.now("payslip_id")]));
    let runs: Vec<Uuid> = sql::runs_of(tx, context.tenant, &of).await?.into_iter().map(|(_, run)| run).collect();
    if sql::hold_runs(tx, context.tenant, &runs).await?.iter().any(|(_, _, status)| is_approved(status)) {
        return Err(stays("a line of a slip of a run that was approved"));
    }
    Ok(())
}

/// Nobody has two pays, or the same department twice, on one day.
async fn ranges(tx: &Tx, context: &Context, table: &Table, done: &[Change]) -> RestResult<()> {
    let touched: Vec<Uuid> = done.iter().filter(|change| change.new.is_some()).map(|change| change.id).collect();
    if touched.is_empty() {
        return Ok(());
    }
    sql::hold_employees(tx, context.tenant, &ids(done.iter().map(|change| change.now("employee_id")))).await?;
    let by_department = table.name == "job_assignments";
    let Some((employee, from)) = sql::first_overlap(tx, context.tenant, &table.name, by_department, &touched).await? else { return Ok(()) };
    let message = format!("conflicting key value violates exclusion constraint \"{}_effective_from_excl\"", table.name);
    let details = format!("Key (employee_id, effective_from)=({employee}, {from}) overlaps with another row of the employee.");
    Err(RestError::new("23P01", message).details(details).hint("End one with effective_to, which is the first day that it no longer holds."))
}

/// Nobody is above itself.
async fn tree(tx: &Tx, context: &Context, table: &Table, above: &'static str, done: &[Change]) -> RestResult<()> {
    // What is new has nobody below it, unless it came with the same statement.
    let may_close = |change: &&Change| {
        let parent = change.now(above);
        let is_moved = change.old.is_some() && parent != change.before(above);
        parent.is_some() && (is_moved || done.iter().any(|other| parent == Some(other.id.to_string().as_str())))
    };
    let moved: Vec<Uuid> = done.iter().filter(may_close).map(|change| change.id).collect();
    if moved.is_empty() {
        return Ok(());
    }
    sql::hold_tree(tx, context.tenant, &table.name).await?;
    match sql::first_circle(tx, context.tenant, &table.name, above, &moved).await? {
        None => Ok(()),
        Some(id) => Err(RestError::new("23514", format!("new row for relation \"{0}\" violates check constraint \"{0}_{above}_check\"", table.name))
            .details(format!("{id} would be above itself."))),
    }
}
