//! Objects in the order of their names or times, a page at a time.

use super::{push_beginning, push_bucket};
use crate::{
    db::{Conn, SqlBuf, Timestamp},
    error::Result,
    storage::{model::Object, rules::Filter, sql::SortColumn},
    tenants::TenantId,
};

/// Which objects there are to page through.
#[derive(Clone, Copy)]
pub(in crate::storage) struct Scope<'a> {
    pub(in crate::storage) tenant: TenantId,
    pub(in crate::storage) bucket: &'a str,
    /// What their names begin with.
    pub(in crate::storage) beginning: &'a str,
    pub(in crate::storage) filter: &'a Filter,
}

/// Where a page begins.
#[derive(Clone, Debug)]
pub(in crate::storage) enum Edge {
    Start,
    After(String),
    /// This name and those after it.
    From(String),
    Before(String),
}

fn push_scope(sql: &mut SqlBuf, scope: Scope<'_>) {
    push_bucket(sql, scope.tenant, scope.bucket, scope.filter);
    if !scope.beginning.is_empty() {
        sql.push(" AND ");
        push_beginning(sql, scope.beginning);
    }
}

/// The next objects by name.
pub(in crate::storage) async fn by_name(conn: &Conn, scope: Scope<'_>, edge: &Edge, descending: bool, limit: i64) -> Result<Vec<Object>> {
    let mut sql = SqlBuf::new(conn.dialect());
    sql.push(
        "SELECT name, id, blob_id, owner_id, size, sha256, content_type, cache_control, robots_tag, user_metadata, created_at, updated_at,
             found_type
         FROM objects WHERE ",
    );
    push_scope(&mut sql, scope);
    match edge {
        Edge::Start => {}
        Edge::After(name) => {
            sql.push(" AND name > ").push_value(name);
        }
        Edge::From(name) => {
            sql.push(" AND name >= ").push_value(name);
        }
        Edge::Before(name) => {
            sql.push(" AND name < ").push_value(name);
        }
    }
    sql.push(if descending { " ORDER BY name DESC LIMIT " } else { " ORDER BY name LIMIT " }).push_value(limit);
    conn.query_built(sql).fetch_all().await
}

/// The next entries by time: files, and with `is_folded` folders, each with the time of what is in it: the first for the creation, the
/// last for the change. `after` is the time and the name of the last entry before the page.
pub(in crate::storage) async fn by_time(
    conn: &Conn,
    scope: Scope<'_>,
    is_folded: bool,
    (column, descending): (SortColumn, bool),
    after: Option<(Timestamp, &str)>,
    limit: i64,
) -> Result<Vec<(String, Timestamp)>> {
    let mut sql = SqlBuf::new(conn.dialect());
    sql.push("SELECT entry, moment FROM (SELECT entry, ");
    sql.push(match column {
        SortColumn::UpdatedAt => "max(updated_at)",
        SortColumn::CreatedAt | SortColumn::Name => "min(created_at)",
    });
    sql.push(" AS moment FROM (SELECT created_at, updated_at, ");
    if is_folded {
        push_entry(&mut sql, scope.beginning);
    } else {
        sql.push("name");
    }
    sql.push(" AS entry FROM objects WHERE ");
    push_scope(&mut sql, scope);
    sql.push(") AS inside GROUP BY entry) AS entries");
    if let Some((moment, name)) = after {
        sql.push(if descending { " WHERE (moment, entry) < (" } else { " WHERE (moment, entry) > (" });
        sql.push_value(moment).push(", ").push_value(name).push(")");
    }
    sql.push(if descending { " ORDER BY moment DESC, entry DESC LIMIT " } else { " ORDER BY moment, entry LIMIT " }).push_value(limit);
    conn.query_built(sql).heavy().fetch_all().await
}

/// The name up to the first slash after the beginning, with it; else the whole name.
fn push_entry(sql: &mut SqlBuf, beginning: &str) {
    let length = i64::try_from(beginning.chars().count()).unwrap_or(i64::MAX - 1);
    let place = sql.dialect();
    // The engines have no word in common for where a text is in another.
    let find = match place {
        crate::db::Dialect::Sqlite => "instr(substr(name, ",
        crate::db::Dialect::Postgres => "strpos(substr(name, ",
    };
    sql.push("CASE WHEN ").push(find).push_number(length + 1).push("), '/') > 0 THEN substr(name, 1, ").push_number(length).push(" + ");
    sql.push(find).push_number(length + 1).push("), '/')) ELSE name END");
}

/// How many objects there are.
pub(in crate::storage) async fn count(conn: &Conn, scope: Scope<'_>) -> Result<i64> {
    let mut sql = SqlBuf::new(conn.dialect());
    sql.push("SELECT count(*) FROM objects WHERE ");
    push_scope(&mut sql, scope);
    let (count,) = conn.query_built(sql).heavy().fetch_one::<(i64,)>().await?;
    Ok(count)
}
