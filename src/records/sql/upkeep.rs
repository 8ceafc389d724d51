//! The statements of what is done now and then.

use uuid::Uuid;

use crate::{
    db::{Conn, Dialect, SqlBuf, Timestamp, Tx, Value},
    error::Result,
    tenants::TenantId,
};

/// Employees of whom an assignment begins between two days.
pub(in crate::records) async fn begun_since(conn: &Conn, tenant: TenantId, from: Timestamp, to: Timestamp) -> Result<Vec<Uuid>> {
    let day = |moment: Timestamp| Value::Date(moment.date_time().date_naive());
    let sql = "SELECT DISTINCT employee_id FROM job_assignments WHERE tenant_id = $1 AND effective_from >= $2 AND effective_from <= $3";
    let found = conn.query(sql).bind(tenant).bind(day(from)).bind(day(to)).heavy().fetch_all::<(Uuid,)>().await?;
    Ok(found.into_iter().map(|(id,)| id).collect())
}

/// Makes the index by which `custom->>field` is found, spelled as `render/` spells the field. PostgreSQL's ordered indexes refuse long texts,
/// and a tenant that indexes a field must not keep another from writing one, so there it is an index of hashes.
pub(in crate::records) async fn index_field(tx: &Tx, field: &str) -> Result<()> {
    let mut sql = SqlBuf::new(tx.dialect());
    sql.push("CREATE INDEX IF NOT EXISTS ").push_ident(&format!("employees_custom_{field}_idx")).push(" ON employees ");
    if tx.dialect() == Dialect::Sqlite {
        let path = format!("$.\"{field}\"");
        sql.push("(tenant_id, CASE json_type(custom, ").push_literal(&path);
        sql.push(") WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST((custom ->> ").push_literal(&path).push(") AS TEXT) END)");
    } else {
        sql.push("USING hash ((custom ->> ").push_literal(field).push("))");
    }
    tx.query_built(sql).execute().await.map(drop)
}
