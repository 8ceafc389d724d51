//! What rules between rows look at.

use chrono::NaiveDate;
use uuid::Uuid;

use super::id_list;
use crate::{
    db::{Dialect, SqlBuf, Timestamp, Tx, Type, Value},
    error::Result,
    tenants::TenantId,
};

/// ` IN` these ids.
fn push_ids(sql: &mut SqlBuf, ids: &[Uuid]) {
    sql.pick(" IN (SELECT value FROM json_each(", " = ANY (ARRAY(SELECT e.v::uuid FROM jsonb_array_elements_text(");
    sql.push_value(Value::Json(id_list(ids))).pick("))", ") AS e (v)))");
}

/// Type and status of runs, which stay as they are until the transaction ends.
pub(in crate::records) async fn hold_runs(tx: &Tx, tenant: TenantId, ids: &[Uuid]) -> Result<Vec<(Uuid, String, String)>> {
    let mut sql = SqlBuf::new(tx.dialect());
    sql.push("SELECT r.id, r.type, r.status FROM payroll_runs AS r WHERE r.tenant_id = ").push_value(tenant).push(" AND r.id");
    push_ids(&mut sql, ids);
    // SQLite has one writer.
    sql.push(" ORDER BY r.id").pick("", " FOR SHARE");
    tx.query_built(sql).fetch_all().await
}

/// Writes down who approved runs, and when.
pub(in crate::records) async fn approve(tx: &Tx, tenant: TenantId, ids: &[Uuid], by: Option<Uuid>, now: Timestamp) -> Result<()> {
    let mut sql = SqlBuf::new(tx.dialect());
    sql.push("UPDATE payroll_runs SET approved_by = ").push_value(by.map_or(Value::Null(Type::Uuid), Value::Uuid)).push(", approved_at = ");
    sql.push_value(now).push(" WHERE tenant_id = ").push_value(tenant).push(" AND id");
    push_ids(&mut sql, ids);
    tx.query_built(sql).execute().await.map(drop)
}

/// Runs of slips, by slip.
pub(in crate::records) async fn runs_of(tx: &Tx, tenant: TenantId, slips: &[Uuid]) -> Result<Vec<(Uuid, Uuid)>> {
    let mut sql = SqlBuf::new(tx.dialect());
    sql.push("SELECT s.id, s.run_id FROM payslips AS s WHERE s.tenant_id = ").push_value(tenant).push(" AND s.id");
    push_ids(&mut sql, slips);
    tx.query_built(sql).fetch_all().await
}

/// Of these employees what their newest assignment that holds today says, as JSON of columns of employees.
pub(in crate::records) async fn assigned(tx: &Tx, tenant: TenantId, now: Timestamp, employees: &[Uuid]) -> Result<Vec<(Uuid, String)>> {
    let today = Value::Date(now.date_time().date_naive());
    let mut sql = SqlBuf::new(tx.dialect());
    sql.push("SELECT a.employee_id, ").pick("json_object(", "json_build_object(");
    for (index, name) in ["department_id", "position_id", "job_title", "manager_id", "location_id"].into_iter().enumerate() {
        sql.push(if index == 0 { "'" } else { ", '" }).push(name).push("', a.").push(name);
    }
    sql.pick(")", ")::text").push(" FROM job_assignments AS a WHERE a.tenant_id = ").push_value(tenant).push(" AND a.employee_id");
    push_ids(&mut sql, employees);
    sql.push(" AND a.effective_from <= ").push_value(today.clone()).push(" AND (a.effective_to IS NULL OR a.effective_to > ");
    sql.push_value(today.clone()).push(") AND NOT EXISTS (SELECT 1 FROM job_assignments AS b WHERE b.tenant_id = ").push_value(tenant);
    sql.push(" AND b.employee_id = a.employee_id AND b.effective_from <= ").push_value(today.clone());
    sql.push(" AND (b.effective_to IS NULL OR b.effective_to > ").push_value(today);
    sql.push(") AND (b.effective_from > a.effective_from OR b.effective_from = a.effective_from AND b.id > a.id)) ORDER BY a.employee_id");
    tx.query_built(sql).fetch_all().await
}

/// Employee of slips, and the status of the runs they are in.
pub(in crate::records) async fn slips(tx: &Tx, tenant: TenantId, ids: &[Uuid]) -> Result<Vec<(Uuid, Uuid, String)>> {
    let mut sql = SqlBuf::new(tx.dialect());
    sql.push("SELECT s.id, s.employee_id, r.status FROM payslips AS s JOIN payroll_runs AS r ON r.tenant_id = s.tenant_id AND r.id = s.run_id WHERE s.tenant_id = ");
    sql.push_value(tenant).push(" AND s.id");
    push_ids(&mut sql, ids);
    tx.query_built(sql).fetch_all().await
}

/// PostgreSQL: holds employees whose dated rows are written. Who else writes some waits here, and then sees these. References to an
/// employee hold it too, and don't mind this.
pub(in crate::records) async fn hold_employees(tx: &Tx, tenant: TenantId, ids: &[Uuid]) -> Result<()> {
    if tx.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    let mut sql = SqlBuf::new(tx.dialect());
    sql.push("SELECT e.id FROM employees AS e WHERE e.tenant_id = ").push_value(tenant).push(" AND e.id");
    push_ids(&mut sql, ids);
    sql.push(" ORDER BY e.id FOR NO KEY UPDATE");
    tx.query_built(sql).execute().await.map(drop)
}

/// Of these dated rows the first that holds on a day on which another of the employee does, too.
pub(in crate::records) async fn first_overlap(
    tx: &Tx,
    tenant: TenantId,
    table: &str,
    by_department: bool,
    ids: &[Uuid],
) -> Result<Option<(Uuid, NaiveDate)>> {
    let mut sql = SqlBuf::new(tx.dialect());
    sql.push("SELECT a.employee_id, a.effective_from FROM ").push_ident(table).push(" AS a JOIN ").push_ident(table);
    sql.push(" AS b ON b.tenant_id = a.tenant_id AND b.employee_id = a.employee_id AND b.id <> a.id");
    if by_department {
        sql.push(" AND b.department_id IS NOT DISTINCT FROM a.department_id");
    }
    sql.push(" AND (b.effective_to IS NULL OR b.effective_to > a.effective_from) AND (a.effective_to IS NULL OR a.effective_to > b.effective_from)");
    sql.push(" WHERE a.tenant_id = ").push_value(tenant).push(" AND a.id");
    push_ids(&mut sql, ids);
    sql.push(" ORDER BY a.effective_from, a.id LIMIT 1");
    tx.query_built(sql).fetch_optional().await
}

/// PostgreSQL: who hangs rows of a tree elsewhere takes turns, because two moves that are harmless alone may close a circle.
pub(in crate::records) async fn hold_tree(tx: &Tx, tenant: TenantId, table: &str) -> Result<()> {
    if tx.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    let mut sql = SqlBuf::new(tx.dialect());
    sql.push("SELECT pg_advisory_xact_lock(hashtextextended(").push_value(format!("{table}/{}", tenant.number())).push(", 0))");
    tx.query_built(sql).execute().await.map(drop)
}

/// Of these rows the first that is above itself. Steps are counted, so that a circle elsewhere ends too.
pub(in crate::records) async fn first_circle(tx: &Tx, tenant: TenantId, table: &str, above: &str, ids: &[Uuid]) -> Result<Option<Uuid>> {
    let mut sql = SqlBuf::new(tx.dialect());
    sql.push("WITH RECURSIVE up (start, id, steps) AS (SELECT t.id, t.").push_ident(above).push(", 1 FROM ").push_ident(table);
    sql.push(" AS t WHERE t.tenant_id = ").push_value(tenant).push(" AND t.id");
    push_ids(&mut sql, ids);
    sql.push(" UNION SELECT u.start, t.").push_ident(above).push(", u.steps + 1 FROM ").push_ident(table);
    sql.push(" AS t JOIN up AS u ON t.id = u.id WHERE t.tenant_id = ").push_value(tenant);
    sql.push(" AND u.id <> u.start AND u.steps < 1000) SELECT u.start FROM up AS u WHERE u.id = u.start LIMIT 1");
    Ok(tx.query_built(sql).fetch_optional::<(Uuid,)>().await?.map(|(id,)| id))
}
