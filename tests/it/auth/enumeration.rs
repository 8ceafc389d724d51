//! Whether an address has an account is told by no answer. V8

use http::HeaderMap;
use serde_json::{Value, json};

use super::{SIGN_IN, set};
use crate::support::{PASSWORD, Reply, TestApp};

const KNOWN: &str = "known@example.com";
const UNKNOWN: &str = "nobody@example.com";

/// What is asked with an address by who wants to know whether it has an account.
fn questions(email: &str) -> Vec<(&'static str, Value)> {
    vec![
        (SIGN_IN, json!({ "email": email, "password": "a wrong password" })),
        ("/auth/v1/otp", json!({ "email": email, "create_user": false })),
        ("/auth/v1/magiclink", json!({ "email": email, "create_user": false })),
        ("/auth/v1/recover", json!({ "email": email })),
        ("/auth/v1/resend", json!({ "type": "signup", "email": email })),
        ("/auth/v1/resend", json!({ "type": "email_change", "email": email })),
        ("/auth/v1/verify", json!({ "type": "email", "email": email, "token": "123456" })),
        ("/auth/v1/verify", json!({ "type": "recovery", "email": email, "token": "123456" })),
        // Who signs up is known from then on.
        ("/auth/v1/signup", json!({ "email": email, "password": PASSWORD, "data": { "nick": "x" } })),
    ]
}

async fn app_with_somebody() -> TestApp {
    let app = TestApp::new().await;
    app.user(KNOWN, &[]).await;
    set(&app, json!({ "sign_up": { "email_autoconfirm": false, "tell_unknown": false }, "mail": { "resend_seconds": 0 } })).await;
    app
}

/// An answer without what differs between any two: ids, times, the address that was asked with.
fn leveled(reply: &Reply, email: &str) -> (u16, Vec<String>, String) {
    let mut body = reply.json();
    level(&mut body);
    let names = |headers: &HeaderMap| {
        let mut names: Vec<String> = headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    };
    (reply.status.as_u16(), names(&reply.headers), body.to_string().replace(email, "EMAIL"))
}

fn level(value: &mut Value) {
    match value {
        Value::String(text) if uuid::Uuid::parse_str(text).is_ok() => *value = json!("ID"),
        Value::Object(object) => {
            // The one tell that the wire has.
            object.shift_remove("identities");
            object.values_mut().for_each(level);
        }
        Value::Array(items) => items.iter_mut().for_each(level),
        _ => {}
    }
}

#[tokio::test]
async fn known_and_unknown_addresses_get_the_same_answer() {
    let app = app_with_somebody().await;
    for ((path, known), (_, unknown)) in questions(KNOWN).into_iter().zip(questions(UNKNOWN)) {
        let client = app.anonymous().at("203.0.113.9");
        let (known, unknown) = (client.post(path, known).await, client.post(path, unknown).await);
        assert_eq!(leveled(&known, KNOWN), leveled(&unknown, UNKNOWN), "{path}");
    }
}

// Asked for too often, too: what stands against it is the same.
#[tokio::test]
async fn known_and_unknown_addresses_are_refused_alike() {
    let app = app_with_somebody().await;
    let settings = json!({ "mail": { "resend_seconds": 60 }, "limits": { "emails_to_one": { "most": 1, "seconds": 3600, "burst": 3 } } });
    set(&app, settings).await;
    for ((path, known), (_, unknown)) in questions(KNOWN).into_iter().zip(questions(UNKNOWN)) {
        let client = app.anonymous().at("203.0.113.9");
        for _ in 0..7 {
            let (known, unknown) = (client.post(path, known.clone()).await, client.post(path, unknown.clone()).await);
            assert_eq!(leveled(&known, KNOWN), leveled(&unknown, UNKNOWN), "{path}");
            assert_eq!(known.headers.get("retry-after"), unknown.headers.get("retry-after"), "{path}");
        }
    }
}

// The work that takes nearly all the time is counted instead of timed: times tell of the machine's other work, too.
#[tokio::test]
async fn known_and_unknown_addresses_take_the_same_work() {
    let app = app_with_somebody().await;
    let work = async |path: &str, asked: Value| {
        let before = app.app.passwords.work_done();
        app.anonymous().at("203.0.113.9").post(path, asked).await;
        app.app.passwords.work_done() - before
    };
    for ((path, known), (_, unknown)) in questions(KNOWN).into_iter().zip(questions(UNKNOWN)) {
        // Who signs up is hashed, and compared with who came first and has not confirmed.
        let hashes = match path {
            SIGN_IN => 1,
            "/auth/v1/signup" => 2,
            _ => 0,
        };
        assert_eq!((work(path, known).await, work(path, unknown).await), (hashes, hashes), "{path}");
    }
}
