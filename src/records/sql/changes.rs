//! The history of rows, and employees that were deleted.

use serde_json::Value as Json;
use uuid::Uuid;

use crate::{
    db::{SqlBuf, Timestamp, Tx, Value},
    error::Result,
    tenants::TenantId,
};

/// Writes entries: id, table, row, action, actor, its id, request, changes.
pub(in crate::records) async fn insert(tx: &Tx, tenant: TenantId, now: Timestamp, table: &'static str, entries: &Json) -> Result<()> {
    let mut sql = SqlBuf::new(tx.dialect());
    sql.push("INSERT INTO ").push_ident(table);
    sql.push(" (tenant_id, id, table_name, row_id, action, actor, actor_id, request_id, changes, changed_at) SELECT ").push_value(tenant);
    // Reading a list of rows is spelled differently.
    sql.pick(
        ", e.value ->> 0, e.value ->> 1, e.value ->> 2, e.value ->> 3, e.value ->> 4, e.value ->> 5, e.value ->> 6, e.value ->> 7, ",
        "::bigint, (e.v ->> 0)::uuid, e.v ->> 1, (e.v ->> 2)::uuid, e.v ->> 3, e.v ->> 4, (e.v ->> 5)::uuid, e.v ->> 6, (e.v ->> 7)::jsonb, ",
    );
    sql.push_value(now).pick(" FROM json_each(", "::timestamptz FROM jsonb_array_elements(");
    sql.push_value(Value::Json(entries.to_string())).pick(") AS e", ") AS e (v)");
    tx.query_built(sql).execute().await.map(drop)
}

/// Keeps an employee that is being deleted.
pub(in crate::records) async fn keep_deleted(tx: &Tx, tenant: TenantId, now: Timestamp, id: Uuid, contents: Vec<u8>) -> Result<()> {
    tx.query(
        "INSERT INTO deleted_employees (tenant_id, id, deleted_at, contents) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (tenant_id, id) DO UPDATE SET deleted_at = excluded.deleted_at, contents = excluded.contents",
    )
    .bind(tenant)
    .bind(id)
    .bind(now)
    .bind(contents)
    .execute()
    .await
    .map(drop)
}

/// Takes an employee that was deleted out of where it was kept.
pub(in crate::records) async fn take_deleted(tx: &Tx, tenant: TenantId, id: Uuid) -> Result<Option<Vec<u8>>> {
    let taken = tx.query("DELETE FROM deleted_employees WHERE tenant_id = $1 AND id = $2 RETURNING contents").bind(tenant).bind(id);
    Ok(taken.fetch_optional::<(Vec<u8>,)>().await?.map(|(contents,)| contents))
}

/// Forgets every tenant's employees that were deleted before.
pub(in crate::records) async fn forget_deleted_before(tx: &Tx, before: Timestamp) -> Result<()> {
    tx.query("DELETE FROM deleted_employees WHERE deleted_at <= $1").bind(before).execute().await.map(drop)
}
