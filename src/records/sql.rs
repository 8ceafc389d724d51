//! The statements that no plan makes: the search's own tables, and what tells why SQLite refused.

pub(super) mod answers;
pub(super) mod changes;
pub(super) mod rules;
pub(super) mod upkeep;

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::search::{Entry, FORM, Names, name_sort, variants};
use crate::{
    db::{Conn, SqlBuf, Timestamp, Value},
    error::Result,
    row_type,
    tenants::TenantId,
};

row_type! {
    /// What the search knows an employee by.
    pub(super) struct NamesRow {
        /// The employee.
        pub id: Uuid,
        /// The number.
        pub employee_number: String,
        /// The name as shown.
        pub display_name: String,
        /// The given name.
        pub given_name: Option<String>,
        /// The family name.
        pub family_name: Option<String>,
        /// The middle name.
        pub middle_name: Option<String>,
        /// What they want to be called.
        pub preferred_name: Option<String>,
        /// How the name is said.
        pub name_phonetic: Option<String>,
        /// The address at work.
        pub work_email: Option<String>,
    }
}

impl NamesRow {
    fn names(&self) -> Names<'_> {
        Names {
            employee_number: &self.employee_number,
            display_name: &self.display_name,
            given_name: self.given_name.as_deref(),
            family_name: self.family_name.as_deref(),
            middle_name: self.middle_name.as_deref(),
            preferred_name: self.preferred_name.as_deref(),
            name_phonetic: self.name_phonetic.as_deref(),
            work_email: self.work_email.as_deref(),
        }
    }
}

/// A list of ids as one value to bind.
pub(super) fn id_list(ids: &[Uuid]) -> String {
    Json::from(ids.iter().map(Uuid::to_string).collect::<Vec<_>>()).to_string()
}

async fn names(conn: &Conn, tenant: TenantId, ids: &str) -> Result<Vec<NamesRow>> {
    // A list of values is spelled differently.
    let sql = conn.pick(
        "SELECT id, employee_number, display_name, given_name, family_name, middle_name, preferred_name, name_phonetic, work_email FROM employees WHERE tenant_id = $1 AND id IN (SELECT value FROM json_each($2))",
        "SELECT id, employee_number, display_name, given_name, family_name, middle_name, preferred_name, name_phonetic, work_email FROM employees WHERE tenant_id = $1 AND id = ANY (ARRAY(SELECT e.v::uuid FROM jsonb_array_elements_text($2) AS e (v)))",
    );
    conn.query(sql).bind(tenant).bind(Value::Json(ids.to_owned())).fetch_all().await
}

/// Writes anew what the search, and the order of names, know of these employees.
pub(super) async fn index_employees(conn: &Conn, tenant: TenantId, ids: &[Uuid], names_changed: bool) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let list = id_list(ids);
    let rows = names(conn, tenant, &list).await?;
    forget_employees(conn, tenant, ids).await?;
    let entries: Vec<(Uuid, Entry)> = rows.iter().map(|row| (row.id, Entry::of(tenant.number(), &row.names()))).collect();
    let kept: Json = entries.iter().map(|(id, entry)| as_json(*id, entry)).collect();
    // Reading a list of rows is spelled differently, and the terms are an array there and a text here.
    let sql = conn.pick(
        "INSERT INTO employee_search (tenant_id, employee_id, number, email, name, family_first, initials, terms, sound, form) SELECT $1, e.value ->> 0, e.value ->> 1, e.value ->> 2, e.value ->> 3, e.value ->> 4, e.value ->> 5, e.value ->> 6, e.value ->> 7, $3 FROM json_each($2) AS e",
        "INSERT INTO employee_search (tenant_id, employee_id, number, email, name, family_first, initials, terms, sound, form) SELECT $1, (e.v ->> 0)::uuid, e.v ->> 1, e.v ->> 2, e.v ->> 3, e.v ->> 4, e.v ->> 5, array_to_tsvector(string_to_array(e.v ->> 6, ' ')), e.v ->> 7, $3 FROM jsonb_array_elements($2) AS e (v)",
    );
    conn.query(sql).bind(tenant).bind(Value::Json(kept.to_string())).bind(FORM).execute().await?;
    if conn.dialect() == crate::db::Dialect::Sqlite {
        let mut sql = SqlBuf::new(conn.dialect());
        sql.push("INSERT INTO employee_search_index (rowid, terms) SELECT doc_id, terms FROM employee_search WHERE tenant_id = ")
            .push_value(tenant)
            .push(" AND employee_id IN (SELECT value FROM json_each(")
            .push_value(list.as_str())
            .push("))");
        conn.query_built(sql).execute().await?;
    }
    learn_words(conn, tenant, entries.into_iter().flat_map(|(_, entry)| entry.words).collect()).await?;
    if names_changed { sort_names(conn, tenant, &rows).await } else { Ok(()) }
}

fn as_json(id: Uuid, entry: &Entry) -> Json {
    json!([id, entry.number, entry.email, entry.name, entry.family_first, entry.initials, entry.terms.join(" "), entry.sound])
}

/// Keeps the words that are new, with their variants.
async fn learn_words(conn: &Conn, tenant: TenantId, mut words: BTreeSet<String>) -> Result<()> {
    let asked: Json = words.iter().map(|word| json!([variants(word).pop_last(), word])).collect();
    // Reading a list of rows is spelled differently; `CROSS JOIN` keeps SQLite from going through all known words for each asked one.
    let sql = conn.pick(
        "SELECT DISTINCT s.word FROM json_each($2) AS e CROSS JOIN search_words AS s ON s.tenant_id = $1 AND s.variant = e.value ->> 0 AND s.word = e.value ->> 1",
        "SELECT DISTINCT s.word FROM jsonb_array_elements($2) AS e (v) JOIN search_words AS s ON s.tenant_id = $1 AND s.variant = e.v ->> 0 AND s.word = e.v ->> 1",
    );
    for (known,) in conn.query(sql).bind(tenant).bind(Value::Json(asked.to_string())).fetch_all::<(String,)>().await? {
        words.remove(&known);
    }
    if words.is_empty() {
        return Ok(());
    }
    let pairs: Json = words.iter().flat_map(|word| variants(word).into_iter().map(move |variant| json!([variant, word]))).collect();
    // Reading a list of rows is spelled differently.
    let sql = conn.pick(
        "INSERT INTO search_words (tenant_id, variant, word, id) SELECT $1, e.value ->> 0, e.value ->> 1, $3 FROM json_each($2) AS e",
        "INSERT INTO search_words (tenant_id, variant, word, id) SELECT $1, e.v ->> 0, e.v ->> 1, $3 FROM jsonb_array_elements($2) AS e (v)",
    );
    conn.query(sql).bind(tenant).bind(Value::Json(pairs.to_string())).bind(Uuid::now_v7()).execute().await.map(drop)
}

/// The words that have one of these variants.
pub(super) async fn words_near(conn: &Conn, tenant: TenantId, variants: &[String]) -> Result<Vec<String>> {
    // A list of values is spelled differently.
    let sql = conn.pick(
        "SELECT DISTINCT word FROM search_words WHERE tenant_id = $1 AND variant IN (SELECT value FROM json_each($2))",
        "SELECT DISTINCT word FROM search_words WHERE tenant_id = $1 AND variant = ANY (ARRAY(SELECT jsonb_array_elements_text($2)))",
    );
    let rows = conn.query(sql).bind(tenant).bind(Value::Json(json!(variants).to_string())).fetch_all::<(String,)>().await?;
    Ok(rows.into_iter().map(|(word,)| word).collect())
}

/// Some employees whose entries have an older form.
pub(super) async fn outdated_entries(conn: &Conn, tenant: TenantId, most: i64) -> Result<Vec<Uuid>> {
    let rows = conn
        .query("SELECT employee_id FROM employee_search WHERE tenant_id = $1 AND form < $2 LIMIT $3")
        .bind(tenant)
        .bind(FORM)
        .bind(most)
        .fetch_all::<(Uuid,)>()
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Removes what the search knows of these employees, before they change or go.
pub(super) async fn forget_employees(conn: &Conn, tenant: TenantId, ids: &[Uuid]) -> Result<()> {
    let list = id_list(ids);
    if conn.dialect() == crate::db::Dialect::Sqlite {
        let mut sql = SqlBuf::new(conn.dialect());
        sql.push("DELETE FROM employee_search_index WHERE rowid IN (SELECT doc_id FROM employee_search WHERE tenant_id = ")
            .push_value(tenant)
            .push(" AND employee_id IN (SELECT value FROM json_each(")
            .push_value(list.as_str())
            .push(")))");
        conn.query_built(sql).execute().await?;
    }
    // A list of values is spelled differently.
    let sql = conn.pick(
        "DELETE FROM employee_search WHERE tenant_id = $1 AND employee_id IN (SELECT value FROM json_each($2))",
        "DELETE FROM employee_search WHERE tenant_id = $1 AND employee_id = ANY (ARRAY(SELECT e.v::uuid FROM jsonb_array_elements_text($2) AS e (v)))",
    );
    conn.query(sql).bind(tenant).bind(Value::Json(list)).execute().await?;
    Ok(())
}

/// What names are sorted by follows the names.
async fn sort_names(conn: &Conn, tenant: TenantId, rows: &[NamesRow]) -> Result<()> {
    let sort = |row: &NamesRow| name_sort(row.given_name.as_deref(), row.family_name.as_deref(), &row.display_name);
    let sorted: Json = rows.iter().map(|row| (row.id.to_string(), Json::from(sort(row)))).collect::<Map<_, _>>().into();
    // Reading a list of rows is spelled differently; SQLite would go through the list for every employee there is.
    let sql = conn.pick(
        "UPDATE employees SET name_sort = $2 ->> ('$.\"' || id || '\"') WHERE tenant_id = $1 AND id IN (SELECT key FROM json_each($2))",
        "UPDATE employees SET name_sort = e.value FROM jsonb_each_text($2) AS e WHERE tenant_id = $1 AND id = e.key::uuid",
    );
    conn.query(sql).bind(tenant).bind(Value::Json(sorted.to_string())).execute().await?;
    Ok(())
}

/// SQLite: the first of these ids that a table does not have.
pub(super) async fn first_missing(conn: &Conn, tenant: TenantId, table: &str, ids: &[Uuid]) -> Result<Option<Uuid>> {
    let mut sql = SqlBuf::new(conn.dialect());
    sql.push("SELECT e.value FROM json_each(").push_value(id_list(ids)).push(") AS e WHERE NOT EXISTS (SELECT 1 FROM ").push_ident(table);
    sql.push(" AS t WHERE t.tenant_id = ").push_value(tenant).push(" AND t.id = e.value) ORDER BY e.id LIMIT 1");
    Ok(conn.query_built(sql).fetch_optional::<(Uuid,)>().await?.map(|(id,)| id))
}

/// SQLite: the first of these ids that a column of a table still names.
pub(super) async fn first_referenced(conn: &Conn, tenant: TenantId, table: &str, column: &str, ids: &[Uuid]) -> Result<Option<Uuid>> {
    let mut sql = SqlBuf::new(conn.dialect());
    sql.push("SELECT t.").push_ident(column).push(" FROM ").push_ident(table).push(" AS t WHERE t.tenant_id = ").push_value(tenant);
    sql.push(" AND t.").push_ident(column).push(" IN (SELECT value FROM json_each(").push_value(id_list(ids)).push(")) LIMIT 1");
    Ok(conn.query_built(sql).fetch_optional::<(Uuid,)>().await?.map(|(id,)| id))
}

/// SQLite: whether a table has a row with these values.
pub(super) async fn has_row(conn: &Conn, tenant: TenantId, table: &str, values: &[(&str, &Value)]) -> Result<bool> {
    let mut sql = SqlBuf::new(conn.dialect());
    sql.push("SELECT 1 FROM ").push_ident(table).push(" AS t WHERE t.tenant_id = ").push_value(tenant);
    for (column, value) in values {
        sql.push(" AND t.").push_ident(column).push(" = ").push_value((*value).clone());
    }
    sql.push(" LIMIT 1");
    Ok(conn.query_built(sql).fetch_optional::<(i64,)>().await?.is_some())
}

/// Removes a deleted tenant's records.
pub async fn delete_rows_of(tx: &Conn, tenant: TenantId) -> Result<()> {
    if tx.dialect() == crate::db::Dialect::Sqlite {
        let mut sql = SqlBuf::new(tx.dialect());
        sql.push("DELETE FROM employee_search_index WHERE rowid IN (SELECT doc_id FROM employee_search WHERE tenant_id = ")
            .push_value(tenant)
            .push(")");
        tx.query_built(sql).execute().await?;
    }
    // The two tables name each other.
    tx.query("UPDATE departments SET head_employee_id = NULL WHERE tenant_id = $1").bind(tenant).execute().await?;
    for sql in [
        "DELETE FROM record_answers WHERE tenant_id = $1",
        "DELETE FROM changes WHERE tenant_id = $1",
        "DELETE FROM personal_changes WHERE tenant_id = $1",
        "DELETE FROM identity_changes WHERE tenant_id = $1",
        "DELETE FROM special_changes WHERE tenant_id = $1",
        "DELETE FROM pay_changes WHERE tenant_id = $1",
        "DELETE FROM deleted_employees WHERE tenant_id = $1",
        "DELETE FROM employee_search WHERE tenant_id = $1",
        "DELETE FROM payslip_lines WHERE tenant_id = $1",
        "DELETE FROM search_words WHERE tenant_id = $1",
        "DELETE FROM payslips WHERE tenant_id = $1",
        "DELETE FROM pay_adjustments WHERE tenant_id = $1",
        "DELETE FROM payroll_runs WHERE tenant_id = $1",
        "DELETE FROM compensation_items WHERE tenant_id = $1",
        "DELETE FROM compensations WHERE tenant_id = $1",
        "DELETE FROM salary_components WHERE tenant_id = $1",
        "DELETE FROM job_assignments WHERE tenant_id = $1",
        "DELETE FROM employee_private WHERE tenant_id = $1",
        "DELETE FROM employee_identity WHERE tenant_id = $1",
        "DELETE FROM employee_bank_accounts WHERE tenant_id = $1",
        "DELETE FROM employee_special WHERE tenant_id = $1",
        "DELETE FROM employee_group_members WHERE tenant_id = $1",
        "DELETE FROM employee_groups WHERE tenant_id = $1",
        "DELETE FROM employees WHERE tenant_id = $1",
        "DELETE FROM positions WHERE tenant_id = $1",
        "DELETE FROM locations WHERE tenant_id = $1",
        "DELETE FROM legal_entities WHERE tenant_id = $1",
        "DELETE FROM departments WHERE tenant_id = $1",
    ] {
        tx.query(sql).bind(tenant).execute().await?;
    }
    Ok(())
}

/// The ids of a table's rows by another key of theirs.
pub(super) async fn ids_by(conn: &Conn, tenant: TenantId, table: &str, key: &str) -> Result<Vec<(String, Uuid)>> {
    let mut sql = SqlBuf::new(conn.dialect());
    sql.push("SELECT ").push_ident(key).push(", id FROM ").push_ident(table).push(" WHERE tenant_id = ").push_value(tenant);
    conn.query_built(sql).heavy().fetch_all().await
}

/// Says who leads departments that nobody leads yet.
pub(super) async fn appoint_heads(tx: &Conn, tenant: TenantId, now: Timestamp, heads: &[(Uuid, Uuid)]) -> Result<()> {
    for (department, head) in heads {
        tx.query("UPDATE departments SET head_employee_id = $3, version = version + 1, updated_at = $4 WHERE tenant_id = $1 AND id = $2 AND head_employee_id IS NULL")
            .bind(tenant)
            .bind(department)
            .bind(head)
            .bind(now)
            .execute()
            .await?;
    }
    Ok(())
}

/// Has PostgreSQL count what an import brought: until it does so by itself, minutes later, it plans as if the tables were empty. SQLite
/// plans by its indexes alone.
pub(super) async fn count_rows(tx: &Conn) -> Result<()> {
    let sql = tx.pick("SELECT 1", "ANALYZE departments, employees, employee_private, job_assignments, compensations, employee_search");
    tx.query(sql).execute().await.map(drop)
}

/// The same of one table.
pub(super) async fn count_rows_of(tx: &Conn, table: &str, searchable: bool) -> Result<()> {
    if tx.dialect() == crate::db::Dialect::Sqlite {
        return Ok(());
    }
    let mut sql = SqlBuf::new(tx.dialect());
    sql.push("ANALYZE ").push_ident(table).push(if searchable { ", employee_search" } else { "" });
    tx.query_built(sql).execute().await.map(drop)
}
