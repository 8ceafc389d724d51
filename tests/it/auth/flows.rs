//! Links and codes by mail: asked for, used once, over.

use std::time::Duration;

use serde_json::json;

use super::{
    SIGN_IN, assert_refused, holder,
    mails::{Carried, follow, fragment, newest, parameter, verify, verify_hash, wrong},
    set, sign_in,
};
use crate::support::{PASSWORD, TestApp};

const SIGN_UP: &str = "/auth/v1/signup";
const OTP: &str = "/auth/v1/otp";
const RECOVER: &str = "/auth/v1/recover";
const RESEND: &str = "/auth/v1/resend";
const USER: &str = "/auth/v1/user";
const ADA: &str = "ada@example.com";

/// The pair of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn confirming() -> TestApp {
    let app = TestApp::new().await;
    set(&app, json!({ "sign_up": { "email_autoconfirm": false } })).await;
    app
}

fn minute(app: &TestApp) {
    app.app.clock.advance(Duration::from_secs(61));
}

async fn ask(app: &TestApp, path: &str, body: serde_json::Value) -> Carried {
    let reply = app.anonymous().post(path, body.clone()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    newest(app, body["email"].as_str().unwrap()).await
}

/// 2b.8, 2b.9
#[tokio::test]
async fn a_sign_up_is_confirmed_by_its_link() {
    let app = confirming().await;
    let asked = json!({ "email": ADA, "password": PASSWORD });
    let mail = ask(&app, SIGN_UP, asked.clone()).await;
    assert_eq!((mail.mail["subject"].as_str(), &*mail.parameter("type")), (Some("Confirm your mail address"), "signup"));
    let reply = follow(&app, &mail).await;
    assert_eq!((reply.status.as_u16(), reply.header("cache-control"), reply.header("referrer-policy")), (303, "no-store", "no-referrer"));
    let session = fragment(reply.header("location"));
    let keys: Vec<&str> = session.keys().map(String::as_str).collect();
    assert_eq!(keys, ["access_token", "expires_at", "expires_in", "refresh_token", "sb", "token_type", "type"]);
    assert_eq!((&*session["type"], &*session["token_type"]), ("signup", "bearer"));
    let user = app.anonymous().bearer(&session["access_token"]).get(USER).await.json();
    assert!(user["email_confirmed_at"].is_string(), "{user}");
    assert_eq!(user["identities"][0]["identity_data"]["email_verified"], true);
    // Used once.
    let again = fragment(follow(&app, &mail).await.header("location"));
    assert_eq!((&*again["error"], &*again["error_code"]), ("access_denied", "otp_expired"));
    assert_eq!(again["error_description"], "Email link is invalid or has expired");
    sign_in(&app, ADA).await;
}

/// V13, V33
#[tokio::test]
async fn a_code_does_what_its_link_does_and_nothing_else() {
    let app = confirming().await;
    let mail = ask(&app, SIGN_UP, json!({ "email": ADA, "password": PASSWORD })).await;
    let anonymous = app.anonymous();
    // V13: each of purpose, address and code wrong alone.
    for (kind, email, code) in [
        ("recovery", ADA, mail.code.clone()),
        ("magiclink", ADA, mail.code.clone()),
        ("signup", "bob@example.com", mail.code.clone()),
        ("signup", ADA, wrong(&mail.code)),
    ] {
        assert_refused(&verify(&anonymous, kind, email, &code).await, 403, "otp_expired");
    }
    // V33: another tenant's key does not open it.
    let other = app.nobody().key(&app.other.publishable_key);
    assert_refused(&verify(&other, "signup", ADA, &mail.code).await, 403, "otp_expired");
    assert_refused(&verify_hash(&other, "signup", &mail.parameter("token")).await, 403, "otp_expired");
    for (asked, text) in [
        (json!({ "type": "signup" }), "Verify requires either a token or a token hash"),
        (json!({ "token": "1", "email": ADA }), "Verify requires a verification type"),
        (json!({ "type": "signup", "token": "123456" }), "Only an email address or phone number should be provided on verify"),
        (json!({ "type": "signup", "token_hash": "x", "email": ADA }), "Only the token_hash and type should be provided"),
        (json!({ "type": "nonsense", "token": "123456", "email": ADA }), "Unsupported verification type"),
    ] {
        let reply = anonymous.post("/auth/v1/verify", asked).await;
        assert_refused(&reply, 400, "validation_failed");
        assert_eq!(reply.json()["msg"], text);
    }
    let spaced = format!("{} {}", &mail.code[..3], &mail.code[3..]);
    let reply = verify(&anonymous, "email", "ADA@example.com", &spaced).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(holder(&app, &reply.json()).get(USER).await.status, 200);
    assert_refused(&verify(&anonymous, "email", ADA, &mail.code).await, 403, "otp_expired");
}

/// V13
#[tokio::test]
async fn a_link_is_redeemed_once_by_however_many() {
    let app = TestApp::new().await;
    app.user(ADA, &[]).await;
    let mail = ask(&app, OTP, json!({ "email": ADA })).await;
    // V13
    let many = (0..50).map(|n| {
        let (anonymous, hash, code) = (app.anonymous(), mail.parameter("token"), mail.code.clone());
        async move {
            let reply =
                if n % 2 == 0 { verify_hash(&anonymous, "magiclink", &hash).await } else { verify(&anonymous, "magiclink", ADA, &code).await };
            reply.status.as_u16()
        }
    });
    let statuses = futures_util::future::join_all(many).await;
    assert_eq!(statuses.iter().filter(|&&status| status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|&&status| status == 403).count(), 49, "{statuses:?}");
}

#[tokio::test]
async fn wrong_codes_burn_the_code_and_not_the_link() {
    let app = TestApp::new().await;
    app.user(ADA, &[]).await;
    let mail = ask(&app, OTP, json!({ "email": ADA })).await;
    let guesses = (0..20).map(|_| {
        let (anonymous, code) = (app.anonymous(), wrong(&mail.code));
        async move { verify(&anonymous, "magiclink", ADA, &code).await.status.as_u16() }
    });
    assert!(futures_util::future::join_all(guesses).await.iter().all(|&status| status == 403));
    assert_refused(&verify(&app.anonymous(), "magiclink", ADA, &mail.code).await, 403, "otp_expired");
    assert_eq!(verify_hash(&app.anonymous(), "magiclink", &mail.parameter("token")).await.status, 200);
}

#[tokio::test]
async fn links_and_codes_are_over_in_time() {
    let app = TestApp::new().await;
    app.user(ADA, &[]).await;
    let mail = ask(&app, RECOVER, json!({ "email": ADA })).await;
    app.app.clock.advance(Duration::from_hours(1));
    assert_refused(&verify(&app.anonymous(), "recovery", ADA, &mail.code).await, 403, "otp_expired");
    assert_refused(&verify_hash(&app.anonymous(), "recovery", &mail.parameter("token")).await, 403, "otp_expired");
    // Only the newest of a kind counts, and a sign-in ends all that waits.
    let first = ask(&app, RECOVER, json!({ "email": ADA })).await;
    minute(&app);
    let second = ask(&app, RECOVER, json!({ "email": ADA })).await;
    let magic = ask(&app, OTP, json!({ "email": ADA })).await;
    assert_refused(&verify_hash(&app.anonymous(), "recovery", &first.parameter("token")).await, 403, "otp_expired");
    assert_eq!(verify_hash(&app.anonymous(), "magiclink", &magic.parameter("token")).await.status, 200);
    assert_refused(&verify_hash(&app.anonymous(), "recovery", &second.parameter("token")).await, 403, "otp_expired");
}

#[tokio::test]
async fn who_only_looks_at_a_link_uses_nothing_up() {
    let app = TestApp::new().await;
    app.user(ADA, &[]).await;
    let mail = ask(&app, OTP, json!({ "email": ADA })).await;
    assert_eq!(app.nobody().head(&mail.link).await.status, 200);
    for (name, value) in [("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch"), ("x-moz", "prefetch")] {
        let reply = app.nobody().header(name, value).get(&mail.link).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (425, ""));
    }
    set(&app, json!({ "mail": { "confirm_page": true } })).await;
    let page = follow(&app, &mail).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("method=\"post\"") && page.header("content-security-policy").contains("frame-ancestors 'none'"));
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("token", &mail.parameter("token"))
        .append_pair("type", "magiclink")
        .append_pair("redirect_to", "https://evil.example.com")
        .finish();
    let reply = app.nobody().send(http::Method::POST, "/t/default/auth/v1/verify/confirm", form).await;
    assert_eq!(reply.status, 303, "{}", reply.text());
    let location = reply.header("location");
    assert!(!location.contains("evil") && fragment(location).contains_key("access_token"), "{location}");
    assert_refused(&app.nobody().get("/t/default/auth/v1/verify?type=signup").await, 400, "validation_failed");
    assert_refused(&app.nobody().get("/t/default/auth/v1/verify?token=x").await, 400, "validation_failed");
}

/// V13, 2b.3, 2b.4
#[tokio::test]
async fn a_link_of_the_pkce_flow_gives_a_code_for_who_asked() {
    let app = confirming().await;
    let pair = json!({ "email": ADA, "password": PASSWORD, "code_challenge": CHALLENGE, "code_challenge_method": "s256" });
    assert_refused(
        &app.anonymous().post(SIGN_UP, json!({ "email": ADA, "password": PASSWORD, "code_challenge": CHALLENGE })).await,
        400,
        "validation_failed",
    );
    let mail = ask(&app, SIGN_UP, pair).await;
    assert!(mail.parameter("token").starts_with("pkce_"));
    // As long as the mail's token: the flow does not end before (part 6, row 3).
    app.app.clock.advance(Duration::from_mins(50));
    let reply = follow(&app, &mail).await;
    assert_eq!(reply.status, 303);
    let location = reply.header("location").to_owned();
    assert!(!location.contains("access_token"), "{location}");
    let exchange = async |verifier: &str| {
        let asked = json!({ "auth_code": parameter(&location, "code"), "code_verifier": verifier });
        app.anonymous().post("/auth/v1/token?grant_type=pkce", asked).await
    };
    assert_refused(&exchange(CHALLENGE).await, 400, "bad_code_verifier");
    let reply = exchange(VERIFIER).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["user"]["email"], ADA);
    assert_refused(&exchange(VERIFIER).await, 404, "flow_state_not_found");
    let again = follow(&app, &mail).await;
    assert_eq!(parameter(again.header("location"), "error_code"), "otp_expired");
    // An app without the verifier shows the hash itself, also where it was mailed for the PKCE flow.
    let asked = json!({ "email": ADA, "code_challenge": CHALLENGE, "code_challenge_method": "S256" });
    let mail = ask(&app, RECOVER, asked.clone()).await;
    assert_eq!(verify_hash(&app.anonymous(), "recovery", &mail.parameter("token")).await.status, 200);
    minute(&app);
    let mail = ask(&app, RECOVER, asked).await;
    assert_eq!(verify(&app.anonymous(), "recovery", ADA, &mail.code).await.status, 200);
}

/// V1
#[tokio::test]
async fn links_are_made_of_what_is_configured() {
    let app = confirming().await;
    app.user_of(&app.other, "eve@example.org", &[]).await;
    let public = app.app.config.public_url();
    // V1
    let evil = ["host", "x-forwarded-host", "x-forwarded-proto", "forwarded", "x-original-host"];
    let client = evil[1..].iter().fold(app.anonymous(), |client, name| client.header(name, "evil.example.com"));
    for (path, body) in [(SIGN_UP, json!({ "email": ADA, "password": PASSWORD })), (RECOVER, json!({ "email": ADA })), (OTP, json!({ "email": ADA }))]
    {
        let reply = client.clone().header("redirect_to", "https://evil.example.com/x").post(path, body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let service = evil[1..].iter().fold(app.service(), |client, name| client.header(name, "evil.example.com"));
    assert_eq!(service.post("/auth/v1/invite", json!({ "email": "bob@example.com" })).await.status, 200);
    for mail in app.mails(ADA).await.into_iter().chain(app.mails("bob@example.com").await) {
        let (text, html) = (mail["text"].as_str().unwrap(), mail["html"].as_str().unwrap());
        assert!(text.contains(&format!("{public}/t/default/auth/v1/verify?token=")), "{text}");
        assert!(!text.contains("evil") && !html.contains("evil"), "{text}");
    }
}

/// V1: nor by the host of the request, nor by an address in its first line, on any route that sends a link.
#[tokio::test]
async fn no_request_names_the_host_of_a_link() {
    let app = TestApp::new().await;
    let user = app.user(ADA, &[]).await;
    let public = app.app.config.public_url();
    let headers = ["host", "x-forwarded-host", "x-forwarded-server", "x-original-host", "x-host", "x-http-host-override"];
    let evil = |client: crate::support::Client| {
        let client = headers.iter().fold(client, |client, name| client.header(name, "evil.example.com"));
        client
            .header("x-forwarded-proto", "gopher")
            .header("forwarded", "host=evil.example.com;proto=gopher")
            .header("referer", "https://evil.example.com/")
    };
    for base in ["", "http://evil.example.com"] {
        for (path, body) in [("recover", json!({ "email": ADA })), ("otp", json!({ "email": ADA })), ("magiclink", json!({ "email": ADA }))] {
            minute(&app);
            let reply = evil(app.anonymous()).post(&format!("{base}/auth/v1/{path}"), body).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            app.run_jobs().await;
        }
        minute(&app);
        let change = json!({ "email": "new@example.com" });
        assert_eq!(evil(user.client.clone()).put(&format!("{base}{USER}"), change).await.status, 200);
        minute(&app);
        let again = json!({ "type": "email_change", "email": ADA });
        assert_eq!(evil(app.anonymous()).post(&format!("{base}{RESEND}"), again).await.status, 200);
        let invited = json!({ "email": "bob@example.com" });
        assert_eq!(evil(app.service()).post(&format!("{base}/auth/v1/invite"), invited).await.status, 200);
        let link = json!({ "type": "magiclink", "email": ADA, "redirect_to": "https://evil.example.com" });
        let made = evil(app.service()).post(&format!("{base}/auth/v1/admin/generate_link"), link).await;
        assert!(!made.text().contains("evil.example") && made.json()["action_link"].as_str().unwrap().starts_with(&public), "{}", made.text());
    }
    let mut links = 0;
    for to in [ADA, "new@example.com", "bob@example.com"] {
        for mail in app.mails(to).await {
            let text = format!("{} {}", mail["text"], mail["html"]);
            assert!(!text.contains("evil") && !text.contains("gopher"), "{text}");
            links += usize::from(
                text.contains(&format!("{public}t/default/auth/v1/verify?token="))
                    || text.contains(&format!("{public}/t/default/auth/v1/verify?token=")),
            );
        }
    }
    assert!(links >= 12, "{links}");
}

#[tokio::test]
async fn asking_tells_nobody_who_has_an_account() {
    let app = confirming().await;
    let ada = app.anonymous().post(SIGN_UP, json!({ "email": ADA, "password": PASSWORD })).await;
    assert_eq!(ada.status, 200);
    let mail = newest(&app, ADA).await;
    assert_eq!(follow(&app, &mail).await.status, 303);
    minute(&app);
    // V8: known and unknown get the same answer, in the rule of a minute, too.
    for (path, extra) in [(RECOVER, json!({})), (OTP, json!({})), (RESEND, json!({ "type": "signup" }))] {
        for email in [ADA, "nobody@example.com"] {
            let mut body = extra.clone();
            body["email"] = json!(email);
            let first = app.anonymous().post(path, body.clone()).await;
            assert_eq!((first.status.as_u16(), first.json()), (200, json!({})), "{path} {email}");
            app.app.clock.advance(Duration::from_millis(500));
            let second = app.anonymous().post(path, body).await;
            assert_refused(&second, 429, "over_email_send_rate_limit");
            assert_eq!(second.json()["msg"], "For security purposes, you can only request this after 60 seconds.");
            assert_eq!(second.header("retry-after"), "60");
            minute(&app);
            app.run_jobs().await;
        }
    }
    let subjects: Vec<_> = app.mails("nobody@example.com").await.iter().map(|mail| mail["subject"].clone()).collect();
    assert_eq!(subjects, [json!("Confirm your mail address"), json!("Confirm your mail address")], "a newcomer by /otp, and once more by /resend");
    // Who signs up with an address that has an account gets a new one's answer, and the owner gets word.
    let fake = app.anonymous().post(SIGN_UP, json!({ "email": ADA, "password": PASSWORD })).await.json();
    assert_eq!(fake["identities"], json!([]));
    assert_eq!(newest(&app, ADA).await.mail["subject"], "You already have an account");
    minute(&app);
    set(&app, json!({ "sign_up": { "tell_existing": true } })).await;
    assert_refused(&app.anonymous().post(SIGN_UP, json!({ "email": ADA, "password": PASSWORD })).await, 422, "user_already_exists");
    let strangers = json!({ "email": "stranger@example.com", "create_user": false });
    assert_refused(&app.anonymous().post(OTP, strangers.clone()).await, 422, "otp_disabled");
    set(&app, json!({ "sign_up": { "tell_unknown": false } })).await;
    assert_eq!(app.anonymous().post(OTP, strangers).await.json(), json!({}));
    assert!(app.mails("stranger@example.com").await.is_empty());
}

#[tokio::test]
async fn asking_for_a_message_again_tells_nothing_even_where_nobody_sends_any() {
    let app = TestApp::new().await;
    set(&app, json!({ "sign_up": { "phone": true } })).await;
    let known = app.service().post("/auth/v1/admin/users", json!({ "phone": "+491512345678" })).await;
    assert_eq!(known.status, 200, "{}", known.text());
    for (kind, phone) in [("sms", "+491512345678"), ("sms", "+491512345679"), ("phone_change", "+491512345678"), ("phone_change", "+491512345679")] {
        let reply = app.anonymous().post(RESEND, json!({ "type": kind, "phone": phone })).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(reply.json()["message_id"].is_string());
    }
    app.run_jobs().await;
    // The operator sees that a message was due, and went nowhere.
    let failed = app.operator().get("/admin/v1/tenants/default/jobs").await.json();
    assert_eq!((failed["jobs"].as_array().unwrap().len(), &failed["jobs"][0]["kind"]), (1, &json!("sms")), "{failed}");
}

#[tokio::test]
async fn who_comes_in_by_a_link_inherits_no_strangers_password() {
    let app = confirming().await;
    // V2: somebody signs up with an address that is not theirs, and waits.
    assert_eq!(app.anonymous().post(SIGN_UP, json!({ "email": ADA, "password": PASSWORD })).await.status, 200);
    // Of two mails that are sent at the same time either can be the newer one.
    app.run_jobs().await;
    let mail = ask(&app, OTP, json!({ "email": ADA })).await;
    assert_eq!(mail.parameter("type"), "magiclink");
    assert_eq!(follow(&app, &mail).await.status, 303);
    assert_refused(&app.anonymous().post(SIGN_IN, json!({ "email": ADA, "password": PASSWORD })).await, 400, "invalid_credentials");
}

#[tokio::test]
async fn a_change_of_password_or_address_kills_what_was_mailed_before() {
    let app = TestApp::new().await;
    let user = app.user(ADA, &[]).await;
    let dead = async |mail: &Carried, kind: &str| {
        assert_refused(&verify_hash(&app.anonymous(), kind, &mail.parameter("token")).await, 403, "otp_expired");
    };
    // V6
    let reset = ask(&app, RECOVER, json!({ "email": ADA })).await;
    assert_eq!(user.client.put(USER, json!({ "password": "another password" })).await.status, 200);
    dead(&reset, "recovery").await;
    minute(&app);
    let reset = ask(&app, RECOVER, json!({ "email": ADA })).await;
    let path = format!("/auth/v1/admin/users/{}", user.id);
    assert_eq!(app.service().put(&path, json!({ "email": "lovelace@example.com" })).await.status, 200);
    dead(&reset, "recovery").await;
    minute(&app);
    // A change that was asked for by somebody who is out now is not taken up again.
    let session = app.anonymous().post(SIGN_IN, json!({ "email": "lovelace@example.com", "password": "another password" })).await.json();
    let thief = holder(&app, &session);
    assert_eq!(thief.put(USER, json!({ "email": "thief@example.com" })).await.status, 200);
    assert_eq!(app.service().put(&path, json!({ "password": PASSWORD })).await.status, 200);
    minute(&app);
    let sent = app.mails("thief@example.com").await.len();
    assert_eq!(app.anonymous().post(RESEND, json!({ "type": "email_change", "email": "lovelace@example.com" })).await.status, 200);
    assert_eq!(app.mails("thief@example.com").await.len(), sent);
    // A user whom a ban keeps out is kept out here, too.
    let mail = ask(&app, OTP, json!({ "email": "lovelace@example.com" })).await;
    assert_eq!(app.service().put(&path, json!({ "ban_duration": "24h" })).await.status, 200);
    assert_refused(&verify(&app.anonymous(), "magiclink", "lovelace@example.com", &mail.code).await, 403, "user_banned");
}

#[tokio::test]
async fn both_addresses_agree_to_a_change() {
    let app = TestApp::new().await;
    for code_way in [true, false] {
        let (old, new) = if code_way { ("a@example.com", "b@example.com") } else { ("c@example.com", "d@example.com") };
        let user = app.user(old, &[]).await;
        // V7: nothing of it can be said by the user itself.
        let asked = json!({ "email": new, "email_confirmed_at": "2020-01-01T00:00:00Z", "email_change_agreed": "new", "email_verified": true });
        let reply = user.client.put(USER, asked).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let shown = reply.json();
        assert_eq!((&shown["email"], &shown["new_email"]), (&json!(old), &json!(new)));
        assert!(shown["email_change_sent_at"].is_string());
        let (to_old, to_new) = (newest(&app, old).await, newest(&app, new).await);
        let anonymous = app.anonymous();
        if code_way {
            let half = verify(&anonymous, "email_change", new, &to_new.code).await;
            assert_eq!((half.status.as_u16(), &half.json()["code"]), (200, &json!("200")), "{}", half.text());
            assert_refused(&verify(&anonymous, "email_change", new, &to_new.code).await, 403, "otp_expired");
            let done = verify(&anonymous, "email_change", old, &to_old.code).await;
            assert_eq!(done.json()["user"]["email"], new, "{}", done.text());
        } else {
            let half = follow(&app, &to_old).await;
            assert!(fragment(half.header("location"))["message"].starts_with("Confirmation link accepted"), "{}", half.header("location"));
            assert_eq!(user.client.get(USER).await.json()["email"], old);
            let done = follow(&app, &to_new).await;
            assert_eq!(fragment(done.header("location"))["type"], "email_change");
        }
        let shown = user.client.get(USER).await.json();
        assert_eq!((&shown["email"], shown.get("new_email")), (&json!(new), None));
        assert_eq!(shown["identities"][0]["email"], new);
        let word = newest(&app, old).await;
        assert_eq!(word.mail["subject"], "Your mail address was changed");
        sign_in(&app, new).await;
        minute(&app);
    }
}

#[tokio::test]
async fn where_only_the_new_address_is_asked_it_decides() {
    let app = TestApp::new().await;
    set(&app, json!({ "mail": { "secure_email_change": false } })).await;
    let user = app.user(ADA, &[]).await;
    app.user("bob@example.com", &[]).await;
    assert_refused(&user.client.put(USER, json!({ "email": "bob@example.com" })).await, 422, "email_exists");
    let pair = json!({ "email": "b@example.com", "code_challenge": CHALLENGE, "code_challenge_method": "s256" });
    assert_eq!(user.client.put(USER, pair.clone()).await.status, 200);
    let refused = user.client.put(USER, pair).await;
    assert_refused(&refused, 429, "over_email_send_rate_limit");
    assert!(app.mails(ADA).await.is_empty());
    let done = follow(&app, &newest(&app, "b@example.com").await).await;
    let code = parameter(done.header("location"), "code");
    let reply = app.anonymous().post("/auth/v1/token?grant_type=pkce", json!({ "auth_code": code, "code_verifier": VERIFIER })).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["user"]["email"]), (200, &json!("b@example.com")), "{}", reply.text());
}

#[tokio::test]
async fn a_code_shows_once_more_who_it_is() {
    let app = TestApp::new().await;
    set(&app, json!({ "password": { "require_reauthentication": true }, "sessions": { "access_token_seconds": 86400 } })).await;
    let user = app.user(ADA, &[]).await;
    assert_eq!(user.client.put(USER, json!({ "password": "password of the first day" })).await.status, 200, "the session is young");
    app.app.clock.advance(Duration::from_secs(86_390));
    let session = super::refresh(&app, &user.session["refresh_token"]).await.json();
    let client = holder(&app, &session);
    app.app.clock.advance(Duration::from_secs(20));
    let change = |nonce: &str| json!({ "password": "password of the second day", "nonce": nonce });
    assert_refused(&client.put(USER, json!({ "password": "password of the second day" })).await, 400, "reauthentication_needed");
    assert_refused(&client.put(USER, change("123456")).await, 422, "reauthentication_not_valid");
    assert_eq!(client.get("/auth/v1/reauthenticate").await.json(), json!({}));
    let mail = newest(&app, ADA).await;
    assert_eq!((&*mail.link, mail.mail["subject"].as_str()), ("", Some("Your code")));
    assert_refused(&verify(&app.anonymous(), "email", ADA, &mail.code).await, 403, "otp_expired");
    assert_refused(&client.put(USER, change(&wrong(&mail.code))).await, 422, "reauthentication_not_valid");
    assert_eq!(client.put(USER, change(&mail.code)).await.status, 200);
    assert_refused(&client.get("/auth/v1/reauthenticate").await, 429, "over_email_send_rate_limit");
}

#[tokio::test]
async fn a_new_password_may_need_the_present_one() {
    let app = TestApp::new().await;
    set(&app, json!({ "password": { "require_current": true } })).await;
    let user = app.user(ADA, &[]).await;
    assert_refused(&user.client.put(USER, json!({ "password": "another password" })).await, 400, "current_password_required");
    let asked = json!({ "password": "another password", "current_password": PASSWORD });
    assert_eq!(user.client.put(USER, asked).await.status, 200);
    assert_eq!(newest(&app, ADA).await.mail["subject"], "Your password was changed");
    // Who has lost it can't tell it.
    let mail = ask(&app, RECOVER, json!({ "email": ADA })).await;
    let session = verify(&app.anonymous(), "recovery", ADA, &mail.code).await.json();
    assert_eq!(holder(&app, &session).put(USER, json!({ "password": "a third password" })).await.status, 200);
}

#[tokio::test]
async fn nobody_in_particular_becomes_somebody() {
    let app = TestApp::new().await;
    let anonymous = app.anonymous();
    assert_refused(&anonymous.post(SIGN_UP, json!({})).await, 422, "anonymous_provider_disabled");
    set(&app, json!({ "sign_up": { "anonymous": true, "email_autoconfirm": false } })).await;
    let session = anonymous.post(SIGN_UP, json!({ "data": { "theme": "dark" } })).await.json();
    let user = &session["user"];
    assert_eq!(
        (&user["is_anonymous"], &user["identities"], &user["email"], &user["app_metadata"]),
        (&json!(true), &json!([]), &json!(""), &json!({}))
    );
    let client = holder(&app, &session);
    assert_refused(&client.put(USER, json!({ "password": PASSWORD })).await, 422, "validation_failed");
    assert_refused(&client.get("/auth/v1/reauthenticate").await, 400, "validation_failed");
    for (locale, says) in
        [("en", "the address ada"), ("de", "Adresse ada"), ("es", "la dirección ada"), ("fr", "l’adresse ada"), ("zh", "您的账号邮箱将改为 ada")]
    {
        assert_eq!(client.put(USER, json!({ "data": { "locale": locale }, "email": ADA })).await.json()["new_email"], ADA);
        let text = newest(&app, ADA).await.mail["text"].as_str().unwrap().to_owned();
        // There is no address before it.
        let line = text.lines().find(|line| line.contains("@example.com")).unwrap();
        assert!(line.contains(says) && !line.contains("  ") && !line.contains(" ."), "{line}");
        minute(&app);
    }
    let done = verify(&anonymous, "email_change", ADA, &newest(&app, ADA).await.code).await.json();
    assert_eq!((&done["user"]["is_anonymous"], &done["user"]["id"], &done["user"]["email"]), (&json!(false), &user["id"], &json!(ADA)));
    assert_eq!(done["user"]["app_metadata"], json!({ "provider": "email", "providers": ["email"] }));
    assert_eq!(done["user"]["identities"][0]["provider"], "email");
}

/// What comes in a link is shown on the page before it as text, and nothing of it leads anywhere.
#[tokio::test]
async fn the_page_before_a_link_shows_no_markup_of_others() {
    let app = TestApp::new().await;
    set(&app, json!({ "mail": { "confirm_page": true } })).await;
    let evil = "%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E%3Cform%20action%3D%22https%3A%2F%2Fevil.example%22%3E";
    for query in [format!("token={evil}&type=x"), format!("token=x&type={evil}"), format!("token=x&type=x&redirect_to={evil}")] {
        let page = app.nobody().header("host", "evil.example").get(&format!("/t/default/auth/v1/verify?{query}")).await;
        assert_eq!(page.status, 200);
        let text = page.text().replace("&#x2f;", "/");
        assert!(!text.contains("<script") && text.matches("<form").count() == 1 && !text.contains("action=\"https://evil"), "{text}");
        assert!(
            text.contains(&format!("action=\"{}/t/default/auth/v1/verify/confirm\"", app.app.config.public_url().as_str().trim_end_matches('/')))
        );
        assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    }
}

/// What is refused has used nothing up and noted nothing.
#[tokio::test]
async fn a_change_that_is_refused_costs_nothing() {
    let app = TestApp::new().await;
    let settings = json!({
        "password": { "require_reauthentication": true }, "sessions": { "access_token_seconds": 86400 },
        "sign_up": { "phone": true }, "sms": { "provider": "webhook", "url": "https://sms.example.com/", "resend_seconds": 600 },
    });
    set(&app, settings).await;
    let user = app.user(ADA, &[]).await;
    app.app.clock.advance(Duration::from_secs(86_390));
    let client = holder(&app, &super::refresh(&app, &user.session["refresh_token"]).await.json());
    app.app.clock.advance(Duration::from_secs(20));
    assert_eq!(client.put(USER, json!({ "phone": "+4915112345678" })).await.status, 200);
    assert_eq!(client.get("/auth/v1/reauthenticate").await.status, 200);
    let nonce = newest(&app, ADA).await.code;
    let password = "password of the second day";
    // The number was asked for just before; the address was not, and may be asked for afterwards.
    let all = json!({ "phone": "+4915112345678", "email": "new@example.com", "password": password, "nonce": nonce });
    assert_refused(&client.put(USER, all).await, 429, "over_sms_send_rate_limit");
    assert_eq!(client.put(USER, json!({ "email": "new@example.com" })).await.status, 200, "nothing had been sent there");
    assert_eq!(client.put(USER, json!({ "password": password, "nonce": nonce })).await.status, 200, "the code is still good");
}

/// Failures are forgiven to who shows the right code, and to nobody whose code was not looked at.
#[tokio::test]
async fn a_code_that_is_not_looked_at_forgives_nothing() {
    let app = TestApp::new().await;
    let settings = json!({ "password": { "require_reauthentication": true }, "sessions": { "access_token_seconds": 86400 } });
    set(&app, settings).await;
    let user = app.user(ADA, &[]).await;
    app.app.clock.advance(Duration::from_secs(86_390));
    let client = holder(&app, &super::refresh(&app, &user.session["refresh_token"]).await.json()).at("203.0.113.9");
    app.app.clock.advance(Duration::from_secs(20));
    assert_eq!(client.put(USER, json!({ "email": "new@example.com" })).await.status, 200);
    let guess = |more: serde_json::Value| {
        let mut asked = json!({ "password": "password of the second day", "nonce": "123456" });
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        asked
    };
    for _ in 0..5 {
        assert_refused(&client.put(USER, guess(json!({}))).await, 422, "reauthentication_not_valid");
    }
    app.app.clock.advance(Duration::from_secs(1));
    assert_refused(&client.put(USER, guess(json!({ "email": "new@example.com" }))).await, 429, "over_email_send_rate_limit");
    assert_refused(&client.put(USER, guess(json!({}))).await, 429, "over_request_rate_limit");
}

/// A banned user's link and code are as good as before once the ban is over.
#[tokio::test]
async fn what_a_banned_user_shows_is_not_used_up() {
    let app = TestApp::new().await;
    let user = app.user(ADA, &[]).await;
    let path = format!("/auth/v1/admin/users/{}", user.id);
    let mail = ask(&app, OTP, json!({ "email": ADA })).await;
    assert_eq!(app.service().put(&path, json!({ "ban_duration": "24h" })).await.status, 200);
    assert_refused(&verify(&app.anonymous(), "magiclink", ADA, &mail.code).await, 403, "user_banned");
    assert_eq!(fragment(follow(&app, &mail).await.header("location"))["error_code"], "user_banned");
    // A wrong code is a wrong code.
    assert_refused(&verify(&app.anonymous(), "magiclink", ADA, &wrong(&mail.code)).await, 403, "otp_expired");
    assert_eq!(app.service().put(&path, json!({ "ban_duration": "none" })).await.status, 200);
    assert_eq!(verify(&app.anonymous(), "magiclink", ADA, &mail.code).await.status, 200);
}

#[tokio::test]
async fn the_page_before_a_link_says_where_it_leads() {
    let app = TestApp::new().await;
    let redirects = json!({ "site_url": "https://www.example.com", "allowed": ["https://app.example.org/**", "com.example.app://**"] });
    set(&app, json!({ "mail": { "confirm_page": true }, "redirects": redirects })).await;
    for (to, place) in [
        ("https://app.example.org/in?x=1", "app.example.org"),
        ("com.example.app://in", "com.example.app:"),
        ("https://evil.example/", "www.example.com"),
        ("", "www.example.com"),
    ] {
        let page = app.nobody().get(&format!("/t/default/auth/v1/verify?token=x&type=signup&redirect_to={to}")).await;
        assert!(page.text().contains(&format!("to continue to {place}.")), "{to}: {}", page.text());
    }
}
