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

/// V36
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

/// Runs them all at once, so that they share commits, and answers the ids of those that were acknowledged.
async fn insert_words(app: &TestApp, words: impl Iterator<Item = (i64, String)>) -> Vec<i64> {
    let writes = words.map(|(id, word)| {
        let write =
            app.app.db.write(move |tx| async move { tx.query("INSERT INTO scratch (id, word) VALUES ($1, $2)").bind(id).bind(word).execute().await });
        async move { (id, write.await) }
    });
    join_all(writes).await.into_iter().filter_map(|(id, outcome)| outcome.ok().map(|_| id)).collect()
}

#[tokio::test]
async fn on_a_full_disk_what_is_acknowledged_is_there_and_nothing_else() {
    let app = with_scratch().await;
    if app.app.db.dialect() != Dialect::Sqlite {
        return;
    }
    let limit_pages = |sql: &'static str| {
        let db = app.app.db.clone();
        async move { db.write(move |tx| async move { tx.query(sql).fetch_one::<(i64,)>().await }).await.unwrap() }
    };
    let (pages,) = limit_pages("PRAGMA page_count").await;
    assert!(pages < 250, "the limit below leaves room for some");
    limit_pages("PRAGMA max_page_count = 300").await;
    let small = |id: i64| if id % 10 == 9 { "x".repeat(400_000) } else { "x".to_owned() };
    let kept = insert_words(&app, (0..60).map(|id| (id, small(id)))).await;
    assert!(kept.len() < 60, "the disk was full");
    assert_eq!(ids(&app).await, kept);
    limit_pages("PRAGMA max_page_count = 100000").await;
    assert_eq!(insert_words(&app, [(100, "x".to_owned())].into_iter()).await, [100]);
}

#[tokio::test]
async fn a_write_that_takes_too_long_takes_no_acknowledged_one_with_it() {
    let app = with_scratch().await;
    let runaway = app.app.db.write(|tx| async move {
        let sql = "INSERT INTO scratch (id, word) WITH RECURSIVE n (i) AS (SELECT CAST(1 AS bigint) UNION ALL SELECT i + 1 FROM n WHERE i < 10000000000) \
                   SELECT max(i), 'x' FROM n";
        tx.query(sql).execute().await
    });
    let words = |from: i64| (from..from + 20).map(|id| (id, "x".to_owned()));
    let (before, outcome, after) = tokio::join!(biased; insert_words(&app, words(0)), runaway, insert_words(&app, words(20)));
    assert!(matches!(outcome, Err(Error::Timeout)), "{outcome:?}");
    assert_eq!(ids(&app).await, [before, after].concat());
}

#[tokio::test]
async fn a_write_that_goes_on_after_a_refusal_is_kept_or_is_an_error() {
    let app = with_scratch().await;
    insert(&app, 1).await.unwrap();
    let goes_on = app.app.db.write(|tx| async move {
        tx.query("INSERT INTO scratch (id, word) VALUES (2, 'x')").execute().await?;
        let refused = tx.query("INSERT INTO scratch (id, word) VALUES (1, 'x')").execute().await;
        assert!(matches!(refused, Err(Error::Constraint(_))));
        Ok(())
    });
    let kept = if goes_on.await.is_ok() { vec![1, 2] } else { vec![1] };
    assert_eq!(ids(&app).await, kept);
}

#[tokio::test]
async fn a_rule_that_is_checked_last_refuses_the_statement_that_broke_it() {
    let app = with_scratch().await;
    let made = app.app.db.write(|tx| async move {
        tx.query("CREATE TABLE child (id bigint NOT NULL PRIMARY KEY, parent bigint NOT NULL REFERENCES scratch (id))").execute().await
    });
    made.await.unwrap();
    let orphan = app.app.db.write(|tx| async move {
        let first = tx.query("INSERT INTO child (id, parent) VALUES (1, 7) RETURNING id").fetch_optional::<(i64,)>().await;
        Ok(first.map_err(|error| matches!(error, Error::Constraint(constraint) if constraint.kind == ConstraintKind::ForeignKey)))
    });
    let told = orphan.await;
    // Kept (SQLite) or rolled back as a whole (PostgreSQL): but it was told at once, and no row is there.
    assert!(matches!(told, Ok(Err(true)) | Err(Error::Internal(_))), "{told:?}");
    let conn = app.app.db.read().await.unwrap();
    assert_eq!(conn.query("SELECT count(*) FROM child").fetch_one::<(i64,)>().await.unwrap(), (0,));
}
