//! A database whose disk is full.

use basalt::{config::DatabaseLocation, db::Tx};
use insta::assert_snapshot;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::{app, get, put, put_ok, refusal};
use crate::support::{Reply, TestApp};

/// Lets the database take no more, or takes that back.
async fn fill(app: &TestApp, is_full: bool) {
    match app.app.config.database_location() {
        DatabaseLocation::Sqlite(_) => {
            let limit = move |tx: Tx| async move {
                let sql = if is_full { "PRAGMA max_page_count = 1" } else { "PRAGMA max_page_count = 4294967294" };
                tx.query(sql).fetch_one::<(i64,)>().await
            };
            app.app.db.write(limit).await.unwrap();
        }
        DatabaseLocation::Postgres(url) => {
            let mut connection = PgConnection::connect(&url).await.unwrap();
            let sql = if is_full {
                "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                     RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
                 CREATE TRIGGER no_room BEFORE INSERT ON objects FOR EACH ROW EXECUTE FUNCTION no_room();"
            } else {
                "DROP TRIGGER no_room ON objects"
            };
            connection.execute(sql).await.unwrap();
        }
    }
}

/// Uploads until there is no room: pages that are free are used first.
async fn put_until_full(app: &TestApp) -> Reply {
    let metadata = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("{{\"a\":\"{}\"}}", "x".repeat(30_000)));
    let client = app.service().header("x-metadata", &metadata);
    for n in 0..200 {
        let reply = put(&client, &format!("files/{n}"), "more").await;
        if reply.status != 200 {
            return reply;
        }
    }
    panic!("there is always room");
}

#[tokio::test]
async fn a_full_database_is_told_and_reads_go_on() {
    let app = app().await;
    put_ok(&app.service(), "files/before", "before").await;
    fill(&app, true).await;
    assert_snapshot!(refusal(&put_until_full(&app).await), @"503 503 SlowDown SlowDown: the disk of the database is full");
    assert_eq!(get(&app.service(), "files/before").await.text(), "before");
    assert_eq!(app.service().post("/storage/v1/object/list/files", serde_json::json!({ "prefix": "" })).await.status, 200);
    fill(&app, false).await;
    put_ok(&app.service(), "files/after", "after").await;
    assert_eq!(get(&app.service(), "files/after").await.text(), "after");
}
