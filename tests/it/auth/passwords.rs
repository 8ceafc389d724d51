//! Which passwords are taken, and what is said of those that are not.

use axum::body::Body;
use basalt::auth::build_password_list;
use http::{Method, Response};
use serde_json::json;

use super::{SIGN_IN, assert_refused, holder, set, sign_in};
use crate::support::{PASSWORD, Reply, StandIn, TestApp};

const SIGN_UP: &str = "/auth/v1/signup";
const USER: &str = "/auth/v1/user";
const USERS: &str = "/auth/v1/admin/users";
const GUESSED: &str = "Password is known to be weak and easy to guess, please choose a different one.";

async fn sign_up(app: &TestApp, email: &str, password: &str) -> Reply {
    app.anonymous().post(SIGN_UP, json!({ "email": email, "password": password })).await
}

#[track_caller]
fn assert_weak(reply: &Reply, reasons: &[&str], message: &str) {
    assert_refused(reply, 422, "weak_password");
    let body = reply.json();
    assert_eq!((&body["weak_password"], &body["msg"]), (&json!({ "reasons": reasons }), &json!(message)));
}

async fn stored(app: &TestApp) -> i64 {
    let conn = app.app.db.read().await.unwrap();
    conn.query("SELECT count(*) FROM past_passwords").fetch_one::<(i64,)>().await.unwrap().0
}

#[tokio::test]
async fn what_is_guessed_first_is_refused_wherever_a_password_is_chosen() {
    let app = TestApp::new().await;
    set(&app, json!({ "password": { "words": ["Wolpertinger"] }, "redirects": { "site_url": "https://portal.widgets.example" } })).await;
    for common in ["password123", "P@ssw0rd", "DRAGONFLY2024", "aaaaaaaaaaaaaaaaaaaa"] {
        assert_weak(&sign_up(&app, "ada@example.com", common).await, &["pwned"], GUESSED);
    }
    let made_of = |word: &str| format!("Password is little more than \"{word}\", which is guessed first; please choose a different one.");
    for (password, word) in [
        ("basalt-2026!", "basalt"),
        ("default-2026!", "default"),
        ("widgets-2026!", "widgets"),
        ("wolpertinger!", "wolpertinger"),
        ("ada.byron@example.com", "ada.byron@example.com"),
        ("Byron1815", "byron"),
        ("example-1815", "example"),
        ("lovelace 1815", "lovelace"),
    ] {
        let asked = json!({ "email": "ada.byron@example.com", "password": password, "data": { "full_name": "Ada Lovelace" } });
        assert_weak(&app.anonymous().post(SIGN_UP, asked).await, &["pwned"], &made_of(word));
    }
    // As newer clients read it.
    let dated = app.anonymous().header("x-supabase-api-version", "2024-01-01");
    let reply = dated.post(SIGN_UP, json!({ "email": "ada@example.com", "password": "password123" })).await;
    assert_eq!(reply.json(), json!({ "code": "weak_password", "message": GUESSED, "weak_password": { "reasons": ["pwned"] } }));
    assert_eq!(app.service().get(USERS).await.header("x-total-count"), "0");

    let ada = app.user("ada.byron@example.com", &[]).await;
    let at = format!("{USERS}/{}", ada.id);
    assert_weak(&ada.client.put(USER, json!({ "password": "byron-1815" })).await, &["pwned"], &made_of("byron"));
    let moving = json!({ "email": "countess@example.com", "password": "countess-1815" });
    assert_weak(&ada.client.put(USER, moving).await, &["pwned"], &made_of("countess"));
    assert_weak(&app.service().put(&at, json!({ "password": "byron-1815" })).await, &["pwned"], &made_of("byron"));
    let link = json!({ "type": "signup", "email": "bob@example.com", "password": "password123" });
    assert_weak(&app.service().post("/auth/v1/admin/generate_link", link).await, &["pwned"], GUESSED);
    // Whoever makes a user answers for its first password; at sign-in it is told.
    let made = json!({ "email": "bob@example.com", "password": "password123", "email_confirm": true });
    assert_eq!(app.service().post(USERS, made.clone()).await.status, 200);
    let session = app.anonymous().post(SIGN_IN, made).await;
    assert_eq!(session.status, 200, "{}", session.text());
    assert_eq!(session.json()["weak_password"], json!({ "message": GUESSED, "reasons": ["pwned"] }));
    assert_eq!(sign_in(&app, "ada.byron@example.com").await.get("weak_password"), None);

    set(&app, json!({ "password": { "refuse_common": false } })).await;
    assert_eq!(sign_up(&app, "cy@example.com", "password123").await.status, 200);
    let reply = app.anonymous().post(SIGN_IN, json!({ "email": "cy@example.com", "password": "password123" })).await.json();
    assert_eq!(reply.get("weak_password"), None);
    assert_weak(&sign_up(&app, "di@example.com", "passwor").await, &["length"], "Password should be at least 8 characters.");
}

#[tokio::test]
async fn a_tenant_can_ask_for_kinds_of_characters() {
    let app = TestApp::new().await;
    set(&app, json!({ "password": { "min_length": 10, "required_characters": ["symbol", "digit", "upper"] } })).await;
    let kinds = "Password should contain at least one of each: a capital letter, a digit, a symbol.";
    assert_weak(&sign_up(&app, "ada@example.com", "a quiet lake 7").await, &["characters"], kinds);
    let both = format!("Password should be at least 10 characters. {kinds}");
    assert_weak(&sign_up(&app, "ada@example.com", "Lake7777").await, &["length", "characters"], &both);
    assert_eq!(sign_up(&app, "ada@example.com", "À quiet lake 7").await.status, 200);
    set(&app, json!({ "password": { "required_characters": ["lower", "letter"] } })).await;
    let told = app.anonymous().post(SIGN_IN, json!({ "email": "ada@example.com", "password": "À quiet lake 7" })).await.json();
    assert_eq!(told.get("weak_password"), None);
    set(&app, json!({ "password": { "min_length": 20, "required_characters": ["digit", "symbol", "upper"] } })).await;
    let told = app.anonymous().post(SIGN_IN, json!({ "email": "ada@example.com", "password": "À quiet lake 7" })).await.json();
    assert_eq!(told["weak_password"], json!({ "message": "Password should be at least 20 characters.", "reasons": ["length"] }));

    let at = "/admin/v1/tenants/default/settings";
    for (wrong, word) in [
        (json!({ "min_length": 5 }), "password.min_length"),
        (json!({ "history": 11 }), "password.history"),
        (json!({ "words": ["abc"] }), "password.words"),
        (json!({ "words": vec!["word"; 101] }), "password.words"),
        (json!({ "required_characters": ["emoji"] }), "emoji"),
        (json!({ "pwned": "sometimes" }), "sometimes"),
    ] {
        let refused = app.operator().patch(at, json!({ "password": wrong })).await;
        assert!(refused.status == 422 && refused.text().contains(word), "{}", refused.text());
    }
}

#[tokio::test]
async fn the_operators_lists_hold_for_every_tenant_and_are_felt_at_once() {
    let place = tempfile::tempdir().unwrap();
    let (text, list) = (place.path().join("breached.txt"), place.path().join("breached.list"));
    let build = |passwords: &str| {
        std::fs::write(&text, passwords).unwrap();
        build_password_list(std::slice::from_ref(&text), &list, 1, |_| ()).unwrap();
    };
    build("the quiet lake at dawn\ncafe\u{301} au lait s'il vous plait\n");
    let app = TestApp::with(|config| config.auth.password_lists = vec![list.clone()]).await;
    assert_weak(&sign_up(&app, "ada@example.com", "the quiet lake at dawn").await, &["pwned"], GUESSED);
    assert_weak(&sign_up(&app, "ada@example.com", "caf\u{e9} au lait s'il vous plait").await, &["pwned"], GUESSED);
    let other = app.nobody().key(&app.other.publishable_key);
    let asked = json!({ "email": "ada@example.com", "password": "the quiet lake at dawn" });
    assert_weak(&other.post(SIGN_UP, asked).await, &["pwned"], GUESSED);
    assert_eq!(sign_up(&app, "ada@example.com", PASSWORD).await.status, 200);

    build(PASSWORD);
    assert_eq!(sign_up(&app, "bob@example.com", "the quiet lake at dawn").await.status, 200);
    assert_eq!(sign_in(&app, "ada@example.com").await["weak_password"]["reasons"], json!(["pwned"]));
    set(&app, json!({ "password": { "refuse_common": false } })).await;
    assert_eq!(sign_up(&app, "cy@example.com", PASSWORD).await.status, 200);

    // A list that is broken refuses what it can't judge, and keeps nobody out who has a password.
    set(&app, json!({ "password": { "refuse_common": true } })).await;
    std::fs::write(&list, "no list").unwrap();
    assert_refused(&sign_up(&app, "di@example.com", PASSWORD).await, 500, "unexpected_failure");
    assert_eq!(sign_in(&app, "ada@example.com").await.get("weak_password"), None);
}

/// A stand-in for Have I Been Pwned that knows one password.
async fn knows(password: &str) -> StandIn {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    let hash = basalt::crypto::hex(digest.as_ref()).to_uppercase();
    StandIn::new(move |request| {
        let own = if request.uri().path() == format!("/range/{}", &hash[..5]) { format!("{}:42\r\n", &hash[5..]) } else { String::new() };
        Response::new(Body::from(format!("0018A45C4D1DEF81644B54AB7F969B88D65:0\r\n{own}FFF8A45C4D1DEF81644B54AB7F969B88D65:9")))
    })
    .await
}

async fn with_pwned(server: &StandIn, setting: &str) -> TestApp {
    let url = server.url("/range/");
    let app = TestApp::with(|config| {
        config.outbound.allow = vec!["127.0.0.1".parse().unwrap()];
        config.auth.pwned_passwords_url = url;
    })
    .await;
    set(&app, json!({ "password": { "pwned": setting } })).await;
    app
}

#[tokio::test]
async fn have_i_been_pwned_is_told_five_digits_where_a_tenant_wants_it_asked() {
    let server = knows("the quiet lake at dawn").await;
    let app = with_pwned(&server, "off").await;
    assert_eq!(sign_up(&app, "ada@example.com", "the quiet lake at dawn").await.status, 200);
    assert!(server.asked().is_empty(), "it is off unless a tenant turns it on");

    set(&app, json!({ "password": { "pwned": "fail_open" } })).await;
    assert_weak(&sign_up(&app, "bob@example.com", "the quiet lake at dawn").await, &["pwned"], GUESSED);
    let asked = server.asked();
    // SHA-1 of "the quiet lake at dawn".
    assert_eq!((asked.len(), asked[0].uri().path()), (1, "/range/093A3"));
    assert_eq!((asked[0].headers()["add-padding"].to_str().unwrap(), asked[0].body().len()), ("true", 0));
    assert_eq!(sign_up(&app, "bob@example.com", PASSWORD).await.status, 200);
    assert_eq!(server.asked().len(), 1);
    // What is too short or common anyway is nobody else's business.
    assert_refused(&sign_up(&app, "cy@example.com", "short").await, 422, "weak_password");
    assert_refused(&sign_up(&app, "cy@example.com", "password123").await, 422, "weak_password");
    assert!(server.asked().is_empty());
    let told = app.anonymous().post(SIGN_IN, json!({ "email": "ada@example.com", "password": "the quiet lake at dawn" })).await;
    assert_eq!(told.json()["weak_password"], json!({ "message": GUESSED, "reasons": ["pwned"] }));
}

#[tokio::test]
async fn without_an_answer_a_tenant_has_it_one_way_or_the_other() {
    let broken = StandIn::new(|_| Response::builder().status(500).body(Body::empty()).unwrap()).await;
    let app = with_pwned(&broken, "fail_open").await;
    assert_eq!(sign_up(&app, "ada@example.com", PASSWORD).await.status, 200);
    assert_eq!(broken.asked().len(), 1);
    set(&app, json!({ "password": { "pwned": "fail_closed" } })).await;
    let refused = sign_up(&app, "bob@example.com", PASSWORD).await;
    assert_refused(&refused, 503, "unexpected_failure");
    assert_eq!(refused.header("retry-after"), "1");
    assert!(refused.text().contains("seen in breaches"), "{}", refused.text());
    assert_eq!(sign_in(&app, "ada@example.com").await.get("weak_password"), None, "who has a password is let in");
    drop(broken);
    assert_refused(&sign_up(&app, "bob@example.com", PASSWORD).await, 503, "unexpected_failure");
    set(&app, json!({ "password": { "pwned": "fail_open" } })).await;
    assert_eq!(sign_up(&app, "bob@example.com", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn passwords_of_before_stay_away_as_long_as_a_tenant_wants() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let change = async |number: u32| user.client.put(USER, json!({ "password": format!("password of day {number}") })).await;
    assert_eq!(change(1).await.status, 200);
    assert_eq!(stored(&app).await, 0, "by default nothing is remembered");
    assert_refused(&change(1).await, 422, "same_password");

    set(&app, json!({ "password": { "history": 2 } })).await;
    for number in 2..=4 {
        assert_eq!(change(number).await.status, 200);
    }
    assert_eq!(stored(&app).await, 2);
    for (number, message) in [
        (4, "New password should be different from the old password."),
        (3, "New password should be different from the last 3 passwords."),
        (2, "New password should be different from the last 3 passwords."),
    ] {
        let refused = change(number).await;
        assert_refused(&refused, 422, "same_password");
        assert_eq!(refused.json()["msg"], message);
    }
    assert_eq!(change(1).await.status, 200, "it is long ago");
    // What an admin sets is remembered like any other, and may be one of before.
    let at = format!("{USERS}/{}", user.id);
    assert_eq!(app.service().put(&at, json!({ "password": "password of day 4" })).await.status, 200);
    let again = app.anonymous().post(SIGN_IN, json!({ "email": "ada@example.com", "password": "password of day 4" })).await.json();
    let client = holder(&app, &again);
    assert_refused(&client.put(USER, json!({ "password": "password of day 1" })).await, 422, "same_password");
    // Of a neighbour's passwords nothing is known.
    let bob = app.user("bob@example.com", &[]).await;
    assert_eq!(bob.client.put(USER, json!({ "password": "password of day 1" })).await.status, 200);
    assert_eq!(stored(&app).await, 3);

    assert_eq!(app.service().json(Method::DELETE, &at, &json!({ "should_soft_delete": true })).await.status, 200);
    assert_eq!(stored(&app).await, 1, "they go with the person");
    set(&app, json!({ "password": { "history": 0 } })).await;
    assert_eq!(bob.client.put(USER, json!({ "password": "password of day 2" })).await.status, 200);
    assert_eq!(stored(&app).await, 0);
}

#[tokio::test]
async fn another_password_is_told_by_mail_unless_a_tenant_wants_quiet() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let at = format!("{USERS}/{}", user.id);
    assert_eq!(user.client.put(USER, json!({ "password": "another password" })).await.status, 200);
    assert_eq!(app.service().put(&at, json!({ "password": "a third password" })).await.status, 200);
    let subjects = async || app.mails("ada@example.com").await.iter().map(|mail| mail["subject"].clone()).collect::<Vec<_>>();
    let told = subjects().await.into_iter().filter(|subject| subject == "Your password was changed").count();
    assert_eq!(told, 2);
    set(&app, json!({ "mail": { "notices": { "password_changed": false } } })).await;
    assert_eq!(app.service().put(&at, json!({ "password": "a fourth password" })).await.status, 200);
    assert_eq!(subjects().await.into_iter().filter(|subject| subject == "Your password was changed").count(), 2);
}
