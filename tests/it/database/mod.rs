//! What every room relies on: a write is whole or not there, whoever stops waiting for it.

use basalt::{
    db::Dialect,
    error::{ConstraintKind, Error},
};
use futures_util::{FutureExt as _, future::join_all};

use crate::support::TestApp;

const RUNAWAY: &str = "WITH RECURSIVE n (i) AS (SELECT CAST(1 AS bigint) UNION ALL SELECT i + 1 FROM n WHERE i < 10000000000) SELECT max(i) FROM n";
const SLOW: &str = "WITH RECURSIVE n (i) AS (SELECT CAST(1 AS bigint) UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT max(i) FROM n";

async fn with_scratch() -> TestApp {
    let app = TestApp::with(|config| config.database.statement_timeout_seconds = 1).await;
    app.app
        .db
        .write(|tx| async move { tx.query("CREATE TABLE scratch (id bigint NOT NULL PRIMARY KEY, word text NOT NULL)").execute().await })
        .await
        .unwrap_or(0);
    app
}

async fn insert(app: &TestApp, id: i64) -> Result<u64, Error> {
    let insert =
        move |tx: basalt::db::Tx| async move { tx.query("INSERT INTO scratch (id, word) VALUES ($1, $2)").bind(id).bind("x").execute().await };
    app.app.db.write(insert).await
}

async fn ids(app: &TestApp) -> Vec<i64> {
    let conn = app.app.db.read().await.unwrap();
    let rows: Vec<(i64,)> = conn.query("SELECT id FROM scratch ORDER BY id").fetch_all().await.unwrap();
    rows.into_iter().map(|(id,)| id).collect()
}

#[tokio::test]
async fn a_write_that_nobody_waits_for_is_whole_and_takes_no_later_one_with_it() {
    let app = with_scratch().await;
    for id in 0..20 {
        let two_rows = app.app.db.write(move |tx| async move {
            tx.query("INSERT INTO scratch (id, word) VALUES ($1, $2)").bind(id * 2).bind("x").execute().await?;
            tx.query("INSERT INTO scratch (id, word) VALUES ($1, $2)").bind(id * 2 + 1).bind("x").execute().await
        });
        // Polled once, then dropped: as when a client goes away.
        let _ = two_rows.now_or_never();
    }
    for id in 100..105 {
        insert(&app, id).await.unwrap();
    }
    let ids = ids(&app).await;
    assert_eq!(ids[ids.len() - 5..], [100, 101, 102, 103, 104], "what was acknowledged is there");
    for pair in ids.iter().filter(|id| **id < 100 && **id % 2 == 0) {
        assert!(ids.contains(&(pair + 1)), "a write is whole");
    }
}

#[tokio::test]
async fn writes_that_share_a_commit_fail_alone() {
    let app = with_scratch().await;
    insert(&app, 7).await.unwrap();
    let results = join_all((0..200).map(|id| insert(&app, id))).await;
    for (id, result) in results.iter().enumerate() {
        match (id, result) {
            (7, Err(Error::Constraint(constraint))) => assert_eq!(constraint.kind, ConstraintKind::Unique),
            (7, _) => panic!("the key was taken"),
            (_, Ok(1)) => {}
            (id, other) => panic!("{id}: {other:?}"),
        }
    }
    assert_eq!(ids(&app).await, (0..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_write_that_panics_is_undone_and_the_next_one_works() {
    let app = with_scratch().await;
    let panics = app.app.db.write(|tx| async move {
        tx.query("INSERT INTO scratch (id, word) VALUES (1, 'x')").execute().await?;
        let nowhere = usize::try_from(tx.query("DELETE FROM scratch WHERE id = 2").execute().await?).unwrap_or_default();
        Ok([1_u64][nowhere + 1])
    });
    assert!(matches!(panics.await, Err(Error::Internal(_))));
    insert(&app, 2).await.unwrap();
    assert_eq!(ids(&app).await, [2]);
}

#[tokio::test]
async fn a_write_may_wait_for_nothing_but_its_transaction() {
    let app = with_scratch().await;
    let waits = app.app.db.write(|tx| async move {
        tx.query("INSERT INTO scratch (id, word) VALUES (1, 'x')").execute().await?;
        tokio::task::yield_now().await;
        Ok(())
    });
    let outcome = waits.await;
    if app.app.db.dialect() == Dialect::Sqlite {
        assert!(matches!(outcome, Err(Error::Internal(_))));
        assert!(ids(&app).await.is_empty());
    }
}

#[tokio::test]
async fn a_forgotten_value_is_an_error_and_not_null() {
    let app = with_scratch().await;
    let forgets =
        |tx: basalt::db::Tx| async move { tx.query("INSERT INTO scratch (id, word) VALUES ($1, coalesce($2, 'null'))").bind(1_i64).execute().await };
    assert!(app.app.db.write(forgets).await.is_err());
    let too_many =
        |tx: basalt::db::Tx| async move { tx.query("INSERT INTO scratch (id, word) VALUES ($1, 'x')").bind(1_i64).bind("more").execute().await };
    assert!(app.app.db.write(too_many).await.is_err());
    assert!(ids(&app).await.is_empty());
}

#[tokio::test]
async fn a_slow_statement_is_finished_and_a_runaway_one_is_ended() {
    let app = with_scratch().await;
    let conn = app.app.db.read().await.unwrap();
    let (most,): (i64,) = conn.query(SLOW).fetch_one().await.unwrap();
    assert_eq!(most, 300_000);
    drop(conn);
    let conn = app.app.db.read().await.unwrap();
    assert!(matches!(conn.query(RUNAWAY).fetch_one::<(i64,)>().await, Err(Error::Timeout)));
    drop(conn);
    insert(&app, 1).await.unwrap();
    assert_eq!(ids(&app).await, [1]);
}

#[tokio::test]
async fn a_reader_can_not_write() {
    let app = with_scratch().await;
    let conn = app.app.db.read().await.unwrap();
    let outcome = conn.query("INSERT INTO scratch (id, word) VALUES (1, 'x')").execute().await;
    assert!(outcome.is_err());
    drop(conn);
    assert!(ids(&app).await.is_empty());
}
