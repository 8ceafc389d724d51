//! The first start, and those after it.

use std::fs;

use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use super::{Place, files, words};

const PASSWORD: &str = "a-canary-for-a-password";
const IMPORTED: &str = "a-canary-for-an-imported-signing-secret";

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_shown_once_and_kept_nowhere() {
    let place = Place::new().await;
    let server = place.serve().await;
    let http = reqwest::Client::new();
    let url = server.url.clone();
    let (shown, log) = server.stop().await;

    let one = |beginning| match words(&shown, beginning)[..] {
        [key] => key,
        _ => panic!("{shown}"),
    };
    let keys = [one("sb_publishable_"), one("sb_secret_"), one("basalt_operator_")];
    assert_eq!(shown.lines().filter(|line| line.starts_with(&format!("curl '{url}/"))).count(), 3, "{shown}");

    let server = place.serve().await;
    let credentials = json!({ "email": "canary@example.org", "password": PASSWORD });
    let reply = http.post(format!("{}/auth/v1/signup", server.url)).header("apikey", keys[0]).json(&credentials).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let session: Value = reply.json().await.unwrap();
    assert_eq!(server.get(keys[1], "/rest/v1/employees/_search?q=ada").await, 200);
    assert_eq!(server.get(keys[2], "/admin/v1/tenants").await, 200);
    assert_eq!(server.get(keys[0], "/rest/v1/employees?apikey=x").await, 401);
    fs::write(place.path("hs256"), IMPORTED).unwrap();
    place.say(&["signing-key", "import", "--hs256", "hs256"]).await;
    fs::remove_file(place.path("hs256")).unwrap();
    let made = place.say(&["key", "create", "--secret"]).await;
    let (again, second_log) = server.stop().await;
    assert_eq!(again, "", "the second start shows nothing");

    // Everybody is still there.
    let server = place.serve().await;
    let reply =
        http.post(format!("{}/auth/v1/token?grant_type=password", server.url)).header("apikey", keys[0]).json(&credentials).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let (_, third_log) = server.stop().await;

    let secrets = [keys[0], keys[1], keys[2], made.trim(), PASSWORD, IMPORTED]
        .into_iter()
        .chain([&session["access_token"], &session["refresh_token"]].map(|token| token.as_str().unwrap()))
        .collect::<Vec<_>>();
    for secret in &secrets {
        assert!(![&log, &second_log, &third_log].iter().any(|log| log.contains(secret)), "the log has {secret}");
    }
    for log in [&log, &second_log, &third_log] {
        assert!(!log.contains("canary@"), "the log has a mail address");
    }
    let kept = everything_kept(&place).await;
    for secret in secrets {
        for (name, bytes) in &kept {
            let is_in = |text: &str| memchr::memmem::find(bytes, text.as_bytes()).is_some();
            assert!(!is_in(secret) && !is_in(&basalt::crypto::hex(secret.as_bytes())), "{name} has {secret}");
        }
    }
    // How a private key of an elliptic curve begins in PKCS#8, as bytes and as hexadecimal.
    let pkcs8 = [0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    for (name, bytes) in &kept {
        let is_in = |text: &[u8]| memchr::memmem::find(bytes, text).is_some();
        assert!(!is_in(&pkcs8) && !is_in(basalt::crypto::hex(&pkcs8).as_bytes()), "{name} has a private key in clear");
    }
}

/// What is on the disk, the master key apart, and in the tables of PostgreSQL.
async fn everything_kept(place: &Place) -> Vec<(String, Vec<u8>)> {
    let data = files(&place.path("basalt-data")).into_iter().filter(|path| !path.ends_with("master.key"));
    let mut kept: Vec<_> = data.map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect();
    if let Some(url) = &place.database {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let tables: Vec<(String,)> =
            sqlx::query_as("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'").fetch_all(&mut connection).await.unwrap();
        for (table,) in tables {
            let sql = sqlx::AssertSqlSafe(format!("SELECT coalesce(string_agg(t::text, ' '), '') FROM \"{table}\" t"));
            let (text,): (String,) = sqlx::query_as(sql).fetch_one(&mut connection).await.unwrap();
            kept.push((table, text.into_bytes()));
        }
    }
    assert!(kept.iter().any(|(_, bytes)| memchr::memmem::find(bytes, b"canary@example.org").is_some()), "the search finds nothing at all");
    kept
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new().await;
    place.say(&["tenant", "create", "acme"]).await;
    let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("basalt-data"), 0o700);
    assert_eq!(mode("basalt-data/master.key"), 0o600);
    if place.database.is_none() {
        assert_eq!(mode("basalt-data/basalt.db"), 0o600);
    }
}
