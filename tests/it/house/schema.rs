//! What schema and document must keep to.

use std::collections::{BTreeMap, BTreeSet};

use basalt::{config::DatabaseLocation, db::MIGRATIONS};
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};

use super::source::statements;
use crate::support::TestApp;

#[tokio::test]
async fn every_statement_prepares() {
    let app = TestApp::new().await;
    let mut wrong = Vec::new();
    match app.app.config.database_location() {
        DatabaseLocation::Sqlite(path) => {
            let connection = rusqlite::Connection::open(path).unwrap();
            for text in statements(true) {
                wrong.extend(connection.prepare(&text).err().map(|error| format!("{error}: {text}")));
            }
        }
        DatabaseLocation::Postgres(url) => {
            let mut connection = PgConnection::connect(&url).await.unwrap();
            for text in statements(false) {
                let sql = sqlx::SqlSafeStr::into_sql_str(sqlx::AssertSqlSafe(text.clone()));
                wrong.extend(connection.prepare(sql).await.err().map(|error| format!("{error}: {text}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(statements(true).len() > 20, "the statements are no longer found");
}

#[test]
fn sqlite_has_the_fix_for_its_write_ahead_log() {
    assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
}

#[test]
fn the_document_is_current() {
    let written = include_str!("../../../openapi/openapi.json");
    let current = basalt::router::document().to_pretty_json().unwrap();
    assert!(written.trim() == current.trim(), "openapi/openapi.json is out of date; run: cargo run -- openapi > openapi/openapi.json");
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    let document = serde_json::to_value(basalt::router::document()).unwrap();
    let mut references = BTreeSet::new();
    collect_references(&document, &mut references);
    let dangling: Vec<_> = references.iter().filter(|name| document.pointer(name.trim_start_matches('#')).is_none()).collect();
    assert!(dangling.is_empty(), "{dangling:?}");
}

fn collect_references(value: &serde_json::Value, into: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => {
            into.extend(object.get("$ref").and_then(|name| name.as_str()).map(str::to_owned));
            object.values().for_each(|value| collect_references(value, into));
        }
        serde_json::Value::Array(array) => array.iter().for_each(|value| collect_references(value, into)),
        _ => {}
    }
}

/// V35
#[test]
fn every_key_of_a_tenants_table_begins_with_the_tenant() {
    let connection = sqlite();
    for (table, columns) in tables_of_sqlite(&connection) {
        if !columns.contains_key("tenant_id") {
            continue;
        }
        for index in indexes_of_sqlite(&connection, &table) {
            // What finds the tenant can't begin with it.
            let finds_the_tenant = table == "api_keys" && index == ["hash"];
            // The full-text index of SQLite knows a row by a number alone.
            let finds_the_tenant = finds_the_tenant || (table == "employee_search" && index == ["doc_id"]);
            // The worker takes what is due, whoever's it is.
            let finds_the_tenant = finds_the_tenant || (table == "jobs" && index == ["failed_at", "run_at"]);
            assert!(finds_the_tenant || index[0] == "tenant_id", "{table}: an index begins with {}", index[0]);
        }
    }
}

/// V33, V35: no statement about a tenant's rows goes without its tenant, in any table that it joins.
#[test]
fn every_statement_about_a_tenants_rows_names_the_tenant() {
    let connection = sqlite();
    let of_tenants: BTreeSet<String> =
        tables_of_sqlite(&connection).into_iter().filter(|(_, columns)| columns.contains_key("tenant_id")).map(|(table, _)| table).collect();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for text in statements(true) {
        let words: Vec<&str> = text.split_whitespace().collect();
        let is_about = words.windows(2).any(|pair| ["FROM", "INTO", "UPDATE", "JOIN"].contains(&pair[0]) && of_tenants.contains(pair[1]));
        if !is_about || is_about_all_tenants(&text) {
            continue;
        }
        seen += 1;
        let insert =
            text.strip_prefix("INSERT INTO ").is_some_and(|rest| rest.split_once(' ').is_some_and(|(_, columns)| columns.starts_with("(tenant_id")));
        let joins_one = text
            .split("JOIN ")
            .skip(1)
            .all(|joined| joined.split_once(" ON ").is_some_and(|(_, on)| on.split("JOIN").next().unwrap().contains("tenant_id")));
        if !(insert || text.contains("tenant_id = $1")) || !joins_one {
            wrong.push(text);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 100, "the statements are no longer found: {seen}");
}

/// What is swept by its age alone, what the worker takes whoever's it is, and what finds out whose it is.
fn is_about_all_tenants(text: &str) -> bool {
    let finds = ["FROM api_keys WHERE hash = $1", "FROM signing_keys WHERE secret IS NOT NULL ORDER BY tenant_id, id LIMIT 1"];
    let swept = text
        .split_once(" WHERE ")
        .is_some_and(|(_, what)| what.split(" AND ").last().is_some_and(|last| last.contains("< $1") || last.contains("<= $1")));
    finds.iter().any(|find| text.contains(find))
        || swept && !text.starts_with("SELECT")
        || text.contains("FROM jobs WHERE failed_at IS NULL")
        || text.contains("FROM loose_blobs WHERE state = 'garbage'")
        || text.contains("FROM uploads WHERE expires_at < $1")
}

type Columns = BTreeMap<String, (String, bool)>;

#[tokio::test]
async fn twin_migrations_agree() {
    let Some(app) = on_postgres().await else { return };
    let sqlite = sqlite();
    let mut ours = tables_of_sqlite(&sqlite);
    let mut theirs = tables_of_postgres(&app).await;
    // The search index has another form on each engine.
    for tables in [&mut ours, &mut theirs] {
        tables.retain(|table, _| table != "schema_migrations" && !table.starts_with("employee_search"));
    }
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (table, columns) in &ours {
        assert_eq!(columns, &theirs[table], "{table}");
    }
    for table in ours.keys() {
        let here: BTreeSet<Vec<String>> = indexes_of_sqlite(&sqlite, table).into_iter().collect();
        assert_eq!(here, indexes_of_postgres(&app, table).await, "{table}");
    }
}

async fn on_postgres() -> Option<TestApp> {
    let app = TestApp::new().await;
    matches!(app.app.config.database_location(), DatabaseLocation::Postgres(_)).then_some(app)
}

fn sqlite() -> rusqlite::Connection {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    for migration in MIGRATIONS {
        connection.execute_batch(migration.sqlite).unwrap();
    }
    connection
}

fn tables_of_sqlite(connection: &rusqlite::Connection) -> BTreeMap<String, Columns> {
    let mut statement = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").unwrap();
    let names: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let columns = |table: &str| {
        let mut statement = connection.prepare("SELECT name, lower(type), \"notnull\" OR pk > 0 FROM pragma_table_info(?1)").unwrap();
        let rows = statement.query_map([table], |row| Ok((row.get(0)?, (kind(&row.get::<_, String>(1)?), row.get(2)?)))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    names.into_iter().map(|name| (name.clone(), columns(&name))).collect()
}

fn indexes_of_sqlite(connection: &rusqlite::Connection, table: &str) -> Vec<Vec<String>> {
    let mut statement = connection.prepare("SELECT name FROM pragma_index_list(?1)").unwrap();
    let names: Vec<String> = statement.query_map([table], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let columns = |index: &str| {
        let mut statement = connection.prepare("SELECT coalesce(name, '(expression)') FROM pragma_index_info(?1) ORDER BY seqno").unwrap();
        statement.query_map([index], |row| row.get(0)).unwrap().map(Result::unwrap).collect::<Vec<String>>()
    };
    let mut indexes: Vec<Vec<String>> = names.iter().map(|name| columns(name)).collect();
    // A whole-number key is the table itself and no index.
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk").unwrap();
    let key: Vec<String> = statement.query_map([table], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    if !key.is_empty() && !indexes.contains(&key) {
        indexes.push(key);
    }
    indexes
}

async fn connection(app: &TestApp) -> PgConnection {
    let DatabaseLocation::Postgres(url) = app.app.config.database_location() else { panic!("this test is for PostgreSQL") };
    PgConnection::connect(&url).await.unwrap()
}

async fn tables_of_postgres(app: &TestApp) -> BTreeMap<String, Columns> {
    let sql = "SELECT table_name::text, column_name::text, data_type::text, is_nullable = 'NO' FROM information_schema.columns WHERE table_schema = 'public'";
    let mut tables: BTreeMap<String, Columns> = BTreeMap::new();
    for row in connection(app).await.fetch_all(sql).await.unwrap() {
        let columns = tables.entry(row.get(0)).or_default();
        columns.insert(row.get(1), (kind(&row.get::<String, _>(2)), row.get(3)));
    }
    tables
}

async fn indexes_of_postgres(app: &TestApp, table: &str) -> BTreeSet<Vec<String>> {
    let sql = "SELECT (SELECT array_agg(pg_get_indexdef(indexrelid, n, true) ORDER BY n) FROM generate_series(1, indnkeyatts) n) \
               FROM pg_index WHERE indrelid = $1::regclass";
    let rows = sqlx::query(sql).bind(table).fetch_all(&mut connection(app).await).await.unwrap();
    let plain = |column: String| if column.contains('(') { "(expression)".to_owned() } else { column.trim_matches('"').to_owned() };
    rows.iter().map(|row| row.get::<Vec<String>, _>(0).into_iter().map(plain).collect()).collect()
}

/// One word for the type that a column has on both engines.
fn kind(name: &str) -> String {
    match name {
        "integer" | "bigint" | "boolean" => "number",
        "blob" | "bytea" => "bytes",
        "real" | "double precision" => "fraction",
        // SQLite has text for all of these.
        "text" | "uuid" | "timestamp with time zone" | "date" | "jsonb" => "text",
        other => other,
    }
    .to_owned()
}
