//! Servers of the tenant's that are asked, or told, when something happens to users.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};

use super::{
    REFRESH, SIGN_IN, assert_refused,
    factors::{enroll, next_step, raise},
    mails::{verify, verify_hash},
    providers::{Visit, ada, fragment, user_of, visit, with_provider},
    set, set_url_of_old, sign_in,
};
use crate::support::{PASSWORD, Reply, StandIn, TestApp};

const SECRET: &str = "v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A hook's server that answers with what `answer` makes of the body.
async fn server(answer: impl Fn(Value) -> Value + Send + Sync + 'static) -> StandIn {
    StandIn::new(move |request| {
        let body = answer(serde_json::from_slice(request.body()).unwrap());
        Response::builder().header("content-type", "application/json; charset=utf-8").body(Body::from(body.to_string())).unwrap()
    })
    .await
}

/// An app of whose default tenant one hook is called.
async fn with_hook(name: &str, url: &str) -> TestApp {
    let app = TestApp::with(|config| config.outbound.allow = vec!["127.0.0.0/8".parse().unwrap()]).await;
    set_hook(&app, name, url).await;
    app
}

async fn set_hook(app: &TestApp, name: &str, url: &str) {
    set(app, json!({ "hooks": { name: { "enabled": true, "url": url, "secrets": SECRET } } })).await;
}

/// An address that is not called, so that nothing answers.
const SILENT: &str = "https://10.0.0.1/";

/// A hook at an address that may have been called before, and may not now.
async fn set_silent_hook(app: &TestApp, name: &str, url: &str) {
    set_hook(app, name, "https://hooks.example.com/").await;
    set_url_of_old(app, &format!("/hooks/{name}/url"), url).await;
}

async fn sign_up(app: &TestApp, email: &str) -> Reply {
    app.anonymous().at("203.0.113.9").post("/auth/v1/signup", json!({ "email": email, "password": PASSWORD })).await
}

async fn try_password(app: &TestApp, password: &str) -> Reply {
    app.anonymous().post(SIGN_IN, json!({ "email": "ada@example.com", "password": password })).await
}

fn body(request: &Request<Bytes>) -> Value {
    serde_json::from_slice(request.body()).unwrap()
}

fn claims(session: &Value) -> Value {
    let token = session["access_token"].as_str().unwrap();
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn a_call_is_signed_and_says_what_it_is() {
    let server = server(|_| json!({})).await;
    let app = with_hook("before_user_created", &server.url("/hook")).await;
    set(&app, json!({ "hooks": { "before_user_created": { "secrets": format!("{SECRET}|v1,whsec_YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh") } } })).await;
    assert_eq!(sign_up(&app, "ada@example.com").await.status, 200);
    let asked = server.asked().remove(0);
    let header = |name: &str| asked.headers()[name].to_str().unwrap().to_owned();
    assert_eq!((asked.uri().path(), header("content-type")), ("/hook", "application/json".to_owned()));
    let signed = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), std::str::from_utf8(asked.body()).unwrap());
    let signatures: Vec<String> = ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh"]
        .map(|secret| {
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &STANDARD.decode(secret).unwrap());
            format!("v1,{}", STANDARD.encode(aws_lc_rs::hmac::sign(&key, signed.as_bytes())))
        })
        .into();
    assert_eq!(header("webhook-signature"), signatures.join(" "));
    assert_eq!(header("webhook-timestamp"), app.app.clock.now().seconds().to_string());
    let body = body(&asked);
    assert_eq!(body["metadata"]["uuid"], header("webhook-id"));
    assert_eq!((&body["metadata"]["name"], &body["metadata"]["ip_address"]), (&json!("before-user-created"), &json!("203.0.113.9")));
    assert_eq!((&body["user"]["email"], body["user"].get("encrypted_password")), (&json!("ada@example.com"), None));
}

#[tokio::test]
async fn a_hook_that_says_no_is_heard_in_its_own_words() {
    let server = server(|asked| match asked["user"]["email"].as_str() {
        Some("a@example.com") => json!({ "error": { "http_code": 403, "message": "not from there" } }),
        Some("b@example.com") => json!({ "error": { "message": "broken" } }),
        Some("c@example.com") => json!({ "decision": "reject", "message": "no" }),
        Some("d@example.com") => json!({ "error": { "http_code": 200, "message": "odd" } }),
        _ => json!({ "decision": "continue" }),
    })
    .await;
    let app = with_hook("before_user_created", &server.url("/")).await;
    for autoconfirm in [true, false] {
        set(&app, json!({ "sign_up": { "email_autoconfirm": autoconfirm } })).await;
        for (email, status, code, text) in [
            ("a@example.com", 403, "unknown", "not from there"),
            ("b@example.com", 500, "unexpected_failure", "broken"),
            ("c@example.com", 403, "unknown", "no"),
            ("d@example.com", 500, "unexpected_failure", "odd"),
        ] {
            let reply = sign_up(&app, email).await;
            assert_refused(&reply, status, code);
            assert_eq!(reply.json()["msg"], text);
        }
        assert_eq!(sign_up(&app, &format!("good-{autoconfirm}@example.com")).await.status, 200);
    }
    let users = app.service().get("/auth/v1/admin/users").await.json();
    assert_eq!(users["users"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn without_an_answer_that_can_be_used_nothing_happens() {
    let answers = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&answers);
    let server = StandIn::new(move |request| {
        count.fetch_add(1, Ordering::Relaxed);
        let answer = Response::builder();
        let json = "application/json";
        match request.uri().path() {
            "/busy" => answer.status(503).body(Body::empty()),
            "/many" => answer.status(429).header("retry-after", "1").body(Body::empty()),
            "/large" => answer.header("content-type", json).body(Body::from(vec![b' '; 200 * 1024 + 1])),
            "/text" => answer.header("content-type", "text/html").body(Body::from("{}")),
            "/none" => answer.body(Body::from("{}")),
            "/broken" => answer.header("content-type", json).body(Body::from("{")),
            "/list" => answer.header("content-type", json).body(Body::from("[1]")),
            "/away" => answer.status(302).header("location", "/fine").body(Body::empty()),
            "/error" => answer.status(500).body(Body::empty()),
            "/once" if count.load(Ordering::Relaxed) == 1 => answer.status(503).body(Body::empty()),
            "/empty" => answer.status(204).body(Body::empty()),
            _ => answer.header("content-type", json).body(Body::from("{}")),
        }
        .unwrap()
    })
    .await;
    let app = with_hook("before_user_created", &server.url("/")).await;
    for (path, status, code, calls) in [
        ("/busy", 422, "hook_timeout_after_retry", 3),
        ("/many", 422, "hook_timeout_after_retry", 3),
        ("/large", 422, "hook_payload_over_size_limit", 1),
        ("/text", 400, "hook_payload_invalid_content_type", 1),
        ("/none", 400, "hook_payload_invalid_content_type", 1),
        ("/broken", 500, "unexpected_failure", 1),
        ("/list", 500, "unexpected_failure", 1),
        ("/away", 500, "unexpected_failure", 1),
        ("/error", 500, "unexpected_failure", 1),
    ] {
        set_hook(&app, "before_user_created", &server.url(path)).await;
        answers.store(0, Ordering::Relaxed);
        assert_refused(&sign_up(&app, "ada@example.com").await, status, code);
        assert_eq!(answers.load(Ordering::Relaxed), calls, "{path}");
    }
    // V54: what may not be called and what does not answer is one answer.
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut refusals = Vec::new();
    for url in [format!("http://{closed}/"), SILENT.to_owned(), "http://169.254.169.254/latest/meta-data".to_owned()] {
        set_silent_hook(&app, "before_user_created", &url).await;
        let reply = sign_up(&app, "ada@example.com").await;
        assert_refused(&reply, 422, "hook_timeout");
        refusals.push(reply.json());
    }
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]));
    for (path, email) in [("/once", "ada@example.com"), ("/empty", "bob@example.com")] {
        set_hook(&app, "before_user_created", &server.url(path)).await;
        answers.store(0, Ordering::Relaxed);
        assert_eq!(sign_up(&app, email).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_new_user_is_told_of_once_it_is_there() {
    let server = server(|_| json!({})).await;
    let app = with_hook("after_user_created", &server.url("/")).await;
    assert_eq!(sign_up(&app, "ada@example.com").await.status, 200);
    assert_eq!(sign_up(&app, "ada@example.com").await.status, 422);
    let reply = app.service().post("/auth/v1/admin/users", json!({ "email": "bob@example.com", "email_confirm": true })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    app.run_jobs().await;
    let told: Vec<Value> = server.asked().iter().map(body).collect();
    let mut emails: Vec<&str> = told.iter().map(|told| told["user"]["email"].as_str().unwrap()).collect();
    emails.sort_unstable();
    assert_eq!(emails, ["ada@example.com", "bob@example.com"]);
    assert!(told.iter().all(|told| told["metadata"]["name"] == "after-user-created"));
}

#[tokio::test]
async fn a_token_says_what_its_hook_makes_of_it() {
    let server = server(|mut asked| {
        asked["claims"]["plan"] = json!(asked["authentication_method"]);
        asked["claims"]["app_metadata"]["more"] = json!([1]);
        json!({ "claims": asked["claims"] })
    })
    .await;
    let app = with_hook("custom_access_token", &server.url("/")).await;
    let session = sign_up(&app, "ada@example.com").await.json();
    assert_eq!((&claims(&session)["plan"], &claims(&session)["app_metadata"]["more"]), (&json!("password"), &json!([1])));
    let asked = body(&server.asked()[0]);
    assert_eq!(asked["user_id"], session["user"]["id"]);
    assert_eq!(asked["claims"]["session_id"], claims(&session)["session_id"]);
    let me = super::holder(&app, &session).get("/auth/v1/user").await;
    assert_eq!((me.status.as_u16(), me.json()["app_metadata"].get("more")), (200, None));
    let refreshed = super::refresh(&app, &session["refresh_token"]).await.json();
    assert_eq!(claims(&refreshed)["plan"], "token_refresh");
}

#[tokio::test]
async fn a_token_is_not_made_somebody_elses() {
    let server = server(|mut asked| {
        let name = asked["claims"]["email"].as_str().unwrap().split('@').next().unwrap().to_owned();
        match name.as_str() {
            "role" => asked["claims"]["role"] = json!("service_role"),
            "sub" => asked["claims"]["sub"] = json!("00000000-0000-7000-8000-000000000000"),
            "session" => drop(asked["claims"].as_object_mut().unwrap().remove("session_id")),
            "exp" => asked["claims"]["exp"] = json!(asked["claims"]["exp"].as_i64().unwrap() + 1),
            "aal" => asked["claims"]["aal"] = json!("aal2"),
            "aud" => asked["claims"]["aud"] = json!("elsewhere"),
            "none" => return json!({}),
            "no" => return json!({ "error": { "http_code": 402, "message": "pay first" } }),
            _ => {}
        }
        json!({ "claims": asked["claims"] })
    })
    .await;
    let app = with_hook("custom_access_token", &server.url("/")).await;
    for name in ["role", "sub", "session", "exp", "aal", "aud", "none"] {
        assert_refused(&sign_up(&app, &format!("{name}@example.com")).await, 500, "unexpected_failure");
    }
    assert_refused(&sign_up(&app, "no@example.com").await, 402, "unknown");
    assert_eq!(sign_up(&app, "good@example.com").await.status, 200);
}

#[tokio::test]
async fn a_refresh_whose_hook_does_not_answer_is_trouble_that_passes() {
    let server = server(|asked| json!({ "claims": asked["claims"] })).await;
    let app = with_hook("custom_access_token", &server.url("/")).await;
    let session = sign_up(&app, "ada@example.com").await.json();
    set_silent_hook(&app, "custom_access_token", SILENT).await;
    let asked = json!({ "refresh_token": session["refresh_token"] });
    let reply = app.anonymous().post(REFRESH, asked.clone()).await;
    assert_refused(&reply, 503, "unexpected_failure");
    assert_eq!(reply.header("retry-after"), "1");
    assert_refused(&try_password(&app, PASSWORD).await, 422, "hook_timeout");
    let own = super::holder(&app, &session).get("/auth/v1/user/sessions").await.json();
    assert_eq!(own.as_array().unwrap().len(), 1, "a session whose tokens nobody has is none: {own}");
    // Whatever else is wrong with its answers: a client would give its session up at any other status.
    let odd = StandIn::new(|request| match request.uri().path() {
        "/page" => Response::builder().header("content-type", "text/html").body(Body::from("sorry")).unwrap(),
        "/large" => Response::builder().header("content-type", "application/json").body(Body::from(vec![b' '; 200 * 1024 + 1])).unwrap(),
        _ => {
            let body = json!({ "error": { "http_code": 429, "message": "slowly" } });
            Response::builder().header("content-type", "application/json").body(Body::from(body.to_string())).unwrap()
        }
    })
    .await;
    for path in ["/page", "/large", "/"] {
        set_hook(&app, "custom_access_token", &odd.url(path)).await;
        assert_refused(&app.anonymous().post(REFRESH, asked.clone()).await, 503, "unexpected_failure");
    }
    set_hook(&app, "custom_access_token", &server.url("/")).await;
    assert_eq!(app.anonymous().post(REFRESH, asked).await.status, 200);
}

#[tokio::test]
async fn a_hook_has_its_say_on_passwords() {
    let server = server(|asked| match asked["valid"].as_bool() {
        Some(true) => json!({ "decision": "reject", "message": "not at night", "should_logout_user": true }),
        _ => json!({ "decision": "continue" }),
    })
    .await;
    let app = TestApp::with(|config| config.outbound.allow = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let user = app.user("ada@example.com", &[]).await;
    set_hook(&app, "password_verification_attempt", &server.url("/")).await;
    assert_eq!(try_password(&app, "wrong").await.json()["msg"], "Invalid login credentials");
    let asked = body(&server.asked()[0]);
    assert_eq!((&asked["user_id"], &asked["valid"]), (&json!(user.id), &json!(false)));
    assert_eq!(user.client.get("/auth/v1/user").await.status, 200);
    let reply = try_password(&app, PASSWORD).await;
    assert_refused(&reply, 400, "invalid_credentials");
    assert_eq!(reply.json()["msg"], "not at night");
    assert_eq!(user.client.get("/auth/v1/user").await.status, 403);
    // Who is nobody is not asked about.
    server.asked();
    let unknown = app.anonymous().post(SIGN_IN, json!({ "email": "nobody@example.com", "password": "wrong" })).await;
    assert_refused(&unknown, 400, "invalid_credentials");
    assert!(server.asked().is_empty());
    // While it is down nobody comes in, and a wrong password reads as ever.
    set_silent_hook(&app, "password_verification_attempt", SILENT).await;
    assert_refused(&try_password(&app, PASSWORD).await, 422, "hook_timeout");
    assert_eq!(try_password(&app, "wrong").await.json(), unknown.json());
}

#[tokio::test]
async fn a_hook_has_its_say_on_second_factors() {
    let server = server(|asked| match asked["valid"].as_bool() {
        Some(true) => json!({ "decision": "reject" }),
        _ => json!({ "decision": "continue" }),
    })
    .await;
    let app = TestApp::with(|config| config.outbound.allow = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let user = app.user("ada@example.com", &[]).await;
    let totp = enroll(&user.client, "phone").await;
    let path = format!("/auth/v1/factors/{}", totp.id);
    let attempt = async || {
        let challenge = user.client.post(&format!("{path}/challenge"), json!({})).await.json();
        user.client.post(&format!("{path}/verify"), json!({ "challenge_id": challenge["id"], "code": totp.code(&app) })).await
    };
    set_silent_hook(&app, "mfa_verification_attempt", SILENT).await;
    assert_refused(&attempt().await, 422, "hook_timeout");
    assert_eq!(user.client.get("/auth/v1/user").await.status, 200);
    set_hook(&app, "mfa_verification_attempt", &server.url("/")).await;
    let reply = attempt().await;
    assert_refused(&reply, 403, "mfa_verification_rejected");
    assert_eq!(reply.json()["msg"], "Further MFA verification attempts will be rejected.");
    let asked = body(&server.asked()[0]);
    assert_eq!((&asked["user_id"], &asked["factor_id"], &asked["factor_type"]), (&json!(user.id), &json!(totp.id), &json!("totp")));
    // A rejected user is signed out everywhere.
    assert_eq!(user.client.get("/auth/v1/user").await.status, 403);
    // Both attempts left their mark.
    let log = app.service().get("/auth/v1/admin/audit?query=action:verification_attempted").await.json();
    let traits: Vec<&Value> = log.as_array().unwrap().iter().map(|entry| &entry["payload"]["traits"]).collect();
    assert_eq!(traits.len(), 2, "{log}");
    assert!(traits.iter().all(|traits| traits["success"] == false && traits["reason"] == "hook" && traits["factor_type"] == "totp"), "{log}");
}

#[tokio::test]
async fn a_hook_needs_an_address_and_a_secret() {
    let app = TestApp::new().await;
    for hook in [
        json!({ "enabled": true }),
        json!({ "enabled": true, "url": "https://a.example" }),
        json!({ "enabled": true, "url": "ftp://a.example", "secrets": SECRET }),
        json!({ "enabled": true, "url": "https://me:pw@a.example", "secrets": SECRET }),
        json!({ "enabled": true, "url": "nonsense", "secrets": SECRET }),
        json!({ "enabled": true, "url": "https://a.example", "secrets": "hunter2" }),
        json!({ "secrets": "v1,whsec_c2hvcnQ=" }),
    ] {
        let reply = app.operator().patch("/admin/v1/tenants/default", json!({ "settings": { "hooks": { "send_email": hook } } })).await;
        assert_eq!(reply.status, 422, "{hook} {}", reply.text());
    }
    let hook = json!({ "enabled": true, "url": "https://a.example", "secrets": SECRET });
    let reply = app.operator().patch("/admin/v1/tenants/default", json!({ "settings": { "hooks": { "send_email": hook } } })).await;
    assert_eq!(reply.json()["settings"]["hooks"]["send_email"], json!({ "enabled": true, "url": "https://a.example", "secrets": "[set]" }));
}

#[tokio::test]
async fn an_address_that_would_never_be_called_is_refused_with_the_cure() {
    let app = TestApp::new().await;
    let change = async |settings: Value| app.operator().patch("/admin/v1/tenants/default", json!({ "settings": settings })).await;
    let hook = |url: &str| json!({ "hooks": { "send_email": { "enabled": true, "url": url, "secrets": SECRET } } });
    for url in
        ["https://127.0.0.1/", "https://10.0.0.1:9000/x", "https://localhost/", "https://[::1]/", "http://hooks.example.com/", "http://1.1.1.1/"]
    {
        let reply = change(hook(url)).await;
        assert_eq!(reply.status, 422, "{url}: {}", reply.text());
        assert!(reply.text().contains("hooks.send_email.url") && reply.text().contains("outbound.allow"), "{}", reply.text());
    }
    for (settings, name) in [
        (json!({ "providers": { "github": { "url": "https://192.168.1.2" } } }), "providers.github.url"),
        (json!({ "sms": { "provider": "webhook", "url": "http://127.0.0.1:9/" } }), "sms.url"),
        (json!({ "captcha": { "verify_url": "http://127.0.0.1:9/" } }), "captcha.verify_url"),
    ] {
        let reply = change(settings).await;
        assert_eq!((reply.status.as_u16(), reply.text().contains(name)), (422, true), "{}", reply.text());
    }
    assert_eq!(change(hook("https://hooks.example.com/")).await.status, 200);
    // One that was set before stands in the way of no other change.
    set_url_of_old(&app, "/hooks/send_email/url", SILENT).await;
    assert_eq!(change(json!({ "sign_up": { "phone": true } })).await.status, 200);
    let open = TestApp::with(|config| config.outbound.allow = vec!["127.0.0.1".parse().unwrap()]).await;
    for url in ["http://127.0.0.1:9000/", "http://localhost:9000/", "http://hooks.internal/"] {
        assert_eq!(open.operator().patch("/admin/v1/tenants/default", json!({ "settings": hook(url) })).await.status, 200, "{url}");
    }
}

/// A hook that is down, or says no, while a second factor is shown: nothing is used up, and the session goes on as it was.
#[tokio::test]
async fn a_session_outlives_a_hook_that_fails_while_a_factor_raises_it() {
    let server = server(|asked| json!({ "claims": asked["claims"] })).await;
    let app = TestApp::with(|config| config.outbound.allow = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let user = app.user("ada@example.com", &[]).await;
    let totp = enroll(&user.client, "phone").await;
    let path = format!("/auth/v1/factors/{}", totp.id);
    let challenge = user.client.post(&format!("{path}/challenge"), json!({})).await.json();
    let proof = json!({ "challenge_id": challenge["id"], "code": totp.code(&app) });
    set_silent_hook(&app, "custom_access_token", SILENT).await;
    assert_refused(&user.client.post(&format!("{path}/verify"), proof.clone()).await, 422, "hook_timeout");
    assert_eq!(user.client.get("/auth/v1/user").await.json()["factors"][0]["status"], "unverified");
    set_hook(&app, "custom_access_token", &server.url("/")).await;
    let refreshed = super::refresh(&app, &user.session["refresh_token"]).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text());
    let raised = super::holder(&app, &refreshed.json()).post(&format!("{path}/verify"), proof).await;
    assert_eq!(raised.status, 200, "{}", raised.text());
    let asked = body(server.asked().last().unwrap());
    assert_eq!((&asked["claims"]["aal"], &asked["authentication_method"]), (&json!("aal2"), &json!("totp")));
    assert_eq!(claims(&raised.json())["aal"], "aal2");
    // By a recovery code, too.
    let codes = super::holder(&app, &raised.json()).post("/auth/v1/factors/recovery-codes", json!({})).await.json();
    let low = sign_in(&app, "ada@example.com").await;
    let verify = async |session: &Value| {
        super::holder(&app, session).post("/auth/v1/factors/recovery-codes/verify", json!({ "code": codes["codes"][0] })).await
    };
    set_silent_hook(&app, "custom_access_token", SILENT).await;
    assert_refused(&verify(&low).await, 422, "hook_timeout");
    set_hook(&app, "custom_access_token", &server.url("/")).await;
    let refreshed = super::refresh(&app, &low["refresh_token"]).await.json();
    let raised = verify(&refreshed).await;
    assert_eq!((raised.status.as_u16(), &claims(&raised.json())["aal"]), (200, &json!("aal2")), "{}", raised.text());
}

/// V8: where it is kept to the tenant who is known, its hook tells nobody either.
#[tokio::test]
async fn a_hook_tells_nobody_who_is_known() {
    let server = server(|_| json!({ "decision": "reject", "message": "only employees" })).await;
    let app = TestApp::with(|config| config.outbound.allow = vec!["127.0.0.0/8".parse().unwrap()]).await;
    app.user("ada@example.com", &[]).await;
    set(&app, json!({ "sign_up": { "email_autoconfirm": false, "tell_unknown": false }, "mail": { "resend_seconds": 0 } })).await;
    let ask = async |email: &str| app.anonymous().post("/auth/v1/otp", json!({ "email": email })).await;
    for (round, url) in [server.url("/"), SILENT.to_owned()].iter().enumerate() {
        set_silent_hook(&app, "before_user_created", url).await;
        for email in ["ada@example.com", "nobody@example.com"] {
            let reply = ask(email).await;
            assert_eq!((reply.status.as_u16(), reply.json()), (200, json!({})), "{email}");
        }
        assert_eq!((app.mails("ada@example.com").await.len(), app.mails("nobody@example.com").await.len()), (round + 1, 0));
    }
    assert_eq!(server.asked().len(), 2, "it is asked about both");
    assert_eq!(app.service().get("/auth/v1/admin/users").await.json()["users"].as_array().unwrap().len(), 1);
    // Where who is unknown is told so, the hook is heard, and not asked about who is known.
    set(&app, json!({ "sign_up": { "tell_unknown": true } })).await;
    set_hook(&app, "before_user_created", &server.url("/")).await;
    assert_eq!(ask("ada@example.com").await.status, 200);
    let reply = ask("nobody@example.com").await;
    assert_refused(&reply, 403, "unknown");
    assert_eq!((&reply.json()["msg"], server.asked().len()), (&json!("only employees"), 1));
}

#[tokio::test]
async fn a_notice_says_what_changed() {
    let (server, app) = sending().await;
    set(&app, json!({ "sign_up": { "email_autoconfirm": true }, "sms": { "autoconfirm": true } })).await;
    let user = app.user("ada@example.com", &[]).await;
    let totp = enroll(&user.client, "my phone").await;
    let raised = super::holder(&app, &raise(&app, &user.client, &totp).await);
    for number in ["+4915112345678", "+33612345678"] {
        assert_eq!(raised.put("/auth/v1/user", json!({ "phone": number })).await.status, 200);
    }
    let told = sent(&app, &server).await;
    let data = |action: &str| -> Vec<Value> {
        told.iter().map(|told| told["email_data"].clone()).filter(|data| data["email_action_type"] == action).collect()
    };
    assert_eq!(data("mfa_factor_enrolled_notification")[0]["factor_type"], "totp");
    let mut numbers: Vec<Value> = data("phone_changed_notification").iter().map(|data| data["old_phone"].clone()).collect();
    numbers.sort_by_key(ToString::to_string);
    assert_eq!(numbers, [json!(""), json!("4915112345678")]);
    let (with, provider) = with_provider().await;
    set_hook(&with, "send_email", &server.url("/mail")).await;
    set(&with, json!({ "identities": { "manual_linking": true } })).await;
    let bob = with.user("bob@example.com", &[]).await;
    let reply = bob.client.get("/auth/v1/user/identities/authorize?provider=keycloak&skip_http_redirect=true").await;
    let back = provider.consent(reply.json()["url"].as_str().unwrap(), ada());
    super::providers::come_back(&with, "", &back).await;
    let told = sent(&with, &server).await;
    let linked = told.iter().find(|told| told["email_data"]["email_action_type"] == "identity_linked_notification").unwrap();
    assert_eq!((&linked["email_data"]["provider"], &linked["email_data"]["factor_type"]), (&json!("keycloak"), &json!("")));
}

/// A hook's server for all that is sent, and an app of whose default tenant it sends everything.
async fn sending() -> (StandIn, TestApp) {
    let server = server(|_| json!({})).await;
    let app = with_hook("send_email", &server.url("/mail")).await;
    set_hook(&app, "send_sms", &server.url("/sms")).await;
    set(&app, json!({ "sign_up": { "email_autoconfirm": false, "phone": true }, "mail": { "resend_seconds": 0 } })).await;
    (server, app)
}

/// What the hook's server was given to send since the last look.
async fn sent(app: &TestApp, server: &StandIn) -> Vec<Value> {
    app.run_jobs().await;
    let asked = server.asked();
    for request in &asked {
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        let signed = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), std::str::from_utf8(request.body()).unwrap());
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &STANDARD.decode(SECRET.strip_prefix("v1,whsec_").unwrap()).unwrap());
        let signature = STANDARD.decode(header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
        aws_lc_rs::hmac::verify(&key, signed.as_bytes(), &signature).unwrap();
    }
    asked.iter().map(body).collect()
}

#[tokio::test]
async fn mails_are_sent_by_their_hook_and_carry_what_works() {
    let (server, app) = sending().await;
    assert_eq!(sign_up(&app, "ada@example.com").await.status, 200);
    let told = sent(&app, &server).await;
    assert_eq!(told.len(), 1);
    let (user, data) = (&told[0]["user"], &told[0]["email_data"]);
    assert_eq!((&told[0]["metadata"]["name"], &user["email"]), (&json!("send-email"), &json!("ada@example.com")));
    assert!(user.get("encrypted_password").is_none());
    assert_eq!((&data["email_action_type"], &data["token_new"], &data["token_hash_new"]), (&json!("signup"), &json!(""), &json!("")));
    assert!(data["site_url"].as_str().unwrap().ends_with("/t/default/auth/v1"), "{data}");
    assert!(data["redirect_to"].is_string());
    let reply = verify(&app.anonymous(), "signup", "ada@example.com", data["token"].as_str().unwrap()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    for (path, body, action, kind) in [
        ("/auth/v1/recover", json!({ "email": "ada@example.com" }), "recovery", "recovery"),
        ("/auth/v1/otp", json!({ "email": "ada@example.com" }), "magiclink", "magiclink"),
        ("/auth/v1/invite", json!({ "email": "bob@example.com" }), "invite", "invite"),
    ] {
        assert_eq!(app.service().post(path, body).await.status, 200);
        let told = sent(&app, &server).await;
        assert_eq!(told[0]["email_data"]["email_action_type"], action);
        let hash = told[0]["email_data"]["token_hash"].as_str().unwrap();
        assert_eq!(verify_hash(&app.anonymous(), kind, hash).await.status, 200, "{path}");
    }
    // Basalt sends none besides.
    app.run_jobs().await;
    let inbox = app.operator().get("/admin/v1/inbox").await.json();
    assert_eq!(inbox["mails"], json!([]));
}

#[tokio::test]
async fn a_change_of_address_is_one_call_with_both_codes() {
    let (server, app) = sending().await;
    set(&app, json!({ "sign_up": { "email_autoconfirm": true } })).await;
    let user = app.user("ada@example.com", &[]).await;
    for is_secure in [true, false] {
        set(&app, json!({ "sign_up": { "email_autoconfirm": false }, "mail": { "secure_email_change": is_secure } })).await;
        let new = format!("new-{is_secure}@example.com");
        let old = user.client.get("/auth/v1/user").await.json()["email"].as_str().unwrap().to_owned();
        sent(&app, &server).await;
        assert_eq!(user.client.put("/auth/v1/user", json!({ "email": new })).await.status, 200);
        let told = sent(&app, &server).await;
        assert_eq!(told.len(), 1, "{told:?}");
        let data = |name: &str| told[0]["email_data"][name].as_str().unwrap().to_owned();
        assert_eq!((data("email_action_type").as_str(), &told[0]["user"]["new_email"]), ("email_change", &json!(new)));
        let client = app.anonymous();
        if is_secure {
            // As upstream pairs them: the code of one address beside the hash of the other.
            assert_eq!(verify(&client, "email_change", &old, &data("token")).await.json()["code"], "200");
            assert_eq!(verify_hash(&client, "email_change", &data("token_hash")).await.status, 200);
            assert!(!data("token_new").is_empty() && !data("token_hash_new").is_empty());
        } else {
            assert_eq!((data("token_new"), data("token_hash_new")), (String::new(), String::new()));
            assert_eq!(verify(&client, "email_change", &new, &data("token")).await.status, 200);
        }
        assert_eq!(user.client.get("/auth/v1/user").await.json()["email"], json!(new));
    }
    // The old address is told.
    let told = sent(&app, &server).await;
    let notice = told.iter().find(|told| told["email_data"]["email_action_type"] == "email_changed_notification").unwrap();
    assert_eq!(notice["email_data"]["old_email"], "new-true@example.com");
}

#[tokio::test]
async fn text_messages_are_sent_by_their_hook() {
    let (server, app) = sending().await;
    let reply = app.anonymous().post("/auth/v1/signup", json!({ "phone": "+49 151 1111111", "password": PASSWORD })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let told = sent(&app, &server).await;
    assert_eq!((&told[0]["metadata"]["name"], &told[0]["user"]["phone"]), (&json!("send-sms"), &json!("491511111111")));
    assert_eq!((&told[0]["sms"]["phone"], &told[0]["sms"]["sms_type"]), (&json!("491511111111"), &json!("sms")));
    let asked = json!({ "type": "sms", "phone": "+491511111111", "token": told[0]["sms"]["otp"] });
    let reply = app.anonymous().post("/auth/v1/verify", asked).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let client = super::holder(&app, &reply.json());
    assert_eq!(client.put("/auth/v1/user", json!({ "phone": "+491512222222" })).await.status, 200);
    let told = sent(&app, &server).await;
    assert_eq!((&told[0]["user"]["phone"], &told[0]["sms"]["phone"]), (&json!("491511111111"), &json!("491512222222")));
    let asked = json!({ "type": "phone_change", "phone": "+491512222222", "token": told[0]["sms"]["otp"] });
    assert_eq!(app.anonymous().post("/auth/v1/verify", asked).await.status, 200);
}

#[tokio::test]
async fn what_a_hook_does_not_hear_is_said_again_and_what_it_refuses_is_given_up() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let server = StandIn::new(move |_| {
        let json = Response::builder().header("content-type", "application/json");
        match count.fetch_add(1, Ordering::Relaxed) {
            0 => Response::builder().status(500).body(Body::empty()).unwrap(),
            1 => json.body(Body::from("{}")).unwrap(),
            _ => json.body(Body::from(r#"{"error":{"http_code":422,"message":"no such mailbox"}}"#)).unwrap(),
        }
    })
    .await;
    let app = with_hook("send_email", &server.url("/")).await;
    set(&app, json!({ "sign_up": { "email_autoconfirm": false } })).await;
    // A hook that is down keeps nobody from signing up.
    assert_eq!(sign_up(&app, "ada@example.com").await.status, 200);
    app.run_jobs().await;
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    app.app.clock.advance(std::time::Duration::from_hours(1));
    app.run_jobs().await;
    let asked = server.asked();
    assert_eq!((asked.len(), asked[0].headers()["webhook-id"].clone()), (2, asked[1].headers()["webhook-id"].clone()));
    let without_time = |request: &Request<Bytes>| {
        let mut told = body(request);
        told["metadata"]["time"] = Value::Null;
        told
    };
    assert_eq!(without_time(&asked[0]), without_time(&asked[1]));
    assert_eq!(sign_up(&app, "bob@example.com").await.status, 200);
    for _ in 0..3 {
        app.run_jobs().await;
        app.app.clock.advance(std::time::Duration::from_hours(1));
    }
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_hook_has_its_say_on_every_new_user() {
    let (app, provider) = with_provider().await;
    let refusing = server(|_| json!({ "error": { "http_code": 403, "message": "nobody new" } })).await;
    let hearing = server(|_| json!({})).await;
    set(&app, json!({ "sign_up": { "anonymous": true, "phone": true, "email_autoconfirm": false }, "mail": { "resend_seconds": 0 } })).await;
    app.service().post("/auth/v1/admin/users", json!({ "email": "old@example.com", "email_confirm": true, "password": PASSWORD })).await;
    set_hook(&app, "before_user_created", &refusing.url("/")).await;
    set_hook(&app, "after_user_created", &hearing.url("/")).await;
    set_hook(&app, "send_sms", &hearing.url("/")).await;
    let by_server = json!({ "type": "signup", "email": "link@example.com", "password": PASSWORD });
    let ways = [
        ("/auth/v1/signup", json!({ "email": "ada@example.com", "password": PASSWORD })),
        ("/auth/v1/signup", json!({ "phone": "+491511111111", "password": PASSWORD })),
        ("/auth/v1/signup", json!({})),
        ("/auth/v1/otp", json!({ "email": "otp@example.com" })),
        ("/auth/v1/otp", json!({ "phone": "+491512222222" })),
        ("/auth/v1/magiclink", json!({ "email": "magic@example.com" })),
        ("/auth/v1/invite", json!({ "email": "invited@example.com" })),
        ("/auth/v1/admin/generate_link", by_server),
    ];
    for (path, body) in &ways {
        let reply = app.service().post(path, body.clone()).await;
        assert_refused(&reply, 403, "unknown");
        assert_eq!(reply.json()["msg"], "nobody new", "{path}");
    }
    let by_provider = visit(&app, &provider);
    assert_eq!(fragment(&by_provider.go(ada()).await)["error_description"], "nobody new");
    assert_eq!(app.service().get("/auth/v1/admin/users").await.header("x-total-count"), "1");
    // Who is a user already goes on signing in.
    assert_eq!(app.anonymous().post("/auth/v1/otp", json!({ "email": "old@example.com" })).await.status, 200);
    sign_in(&app, "old@example.com").await;
    refusing.asked();
    // What an admin makes it is not asked about.
    assert_eq!(app.service().post("/auth/v1/admin/users", json!({ "email": "made@example.com" })).await.status, 200);
    assert!(refusing.asked().is_empty());
    app.run_jobs().await;
    hearing.asked();

    set_hook(&app, "before_user_created", &hearing.url("/")).await;
    for (path, body) in &ways {
        let reply = app.service().post(path, body.clone()).await;
        assert_eq!(reply.status, 200, "{path} {}", reply.text());
    }
    let id = user_of(&app, &by_provider.go(json!({ "sub": "n", "email": "new@example.com", "email_verified": true })).await).await["id"].clone();
    let again: &Visit<'_> = &by_provider;
    again.go(json!({ "sub": "n", "email": "new@example.com", "email_verified": true })).await;
    app.run_jobs().await;
    let asked: Vec<Value> = hearing.asked().iter().map(body).collect();
    let count = |name: &str| asked.iter().filter(|asked| asked["metadata"]["name"] == name).count();
    assert_eq!((count("before-user-created"), count("after-user-created")), (9, 9), "each once");
    assert!(asked.iter().any(|asked| asked["metadata"]["name"] == "after-user-created" && asked["user"]["id"] == id));
}

#[tokio::test]
async fn a_factor_that_a_hook_refuses_raises_nothing() {
    let server = server(|_| json!({ "decision": "reject", "message": "not from there" })).await;
    let app = TestApp::with(|config| config.outbound.allow = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let user = app.user("ada@example.com", &[]).await;
    let totp = enroll(&user.client, "phone").await;
    let raised = super::holder(&app, &raise(&app, &user.client, &totp).await);
    let codes = raised.post("/auth/v1/factors/recovery-codes", json!({})).await.json();
    let low = super::holder(&app, &sign_in(&app, "ada@example.com").await);
    next_step(&app);
    set_hook(&app, "mfa_verification_attempt", &server.url("/")).await;
    let reply = low.post("/auth/v1/factors/recovery-codes/verify", json!({ "code": codes["codes"][0] })).await;
    assert_refused(&reply, 403, "mfa_verification_rejected");
    let asked = body(&server.asked()[0]);
    assert_eq!((&asked["factor_type"], &asked["valid"]), (&json!("recovery_code"), &json!(true)));
    assert_eq!(low.get("/auth/v1/user").await.status, 403);
    let log = app.service().get("/auth/v1/admin/audit?query=action:verification_attempted").await.json();
    assert_eq!((&log[0]["payload"]["traits"]["success"], &log[0]["payload"]["traits"]["reason"]), (&json!(false), &json!("hook")), "{log}");
    // The code is as good as before.
    set(&app, json!({ "hooks": { "mfa_verification_attempt": { "enabled": false } } })).await;
    let low = super::holder(&app, &sign_in(&app, "ada@example.com").await);
    let reply = low.post("/auth/v1/factors/recovery-codes/verify", json!({ "code": codes["codes"][0] })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test]
async fn wrong_codes_lock_a_factor_whatever_its_hook_does() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let totp = enroll(&user.client, "phone").await;
    set_silent_hook(&app, "mfa_verification_attempt", SILENT).await;
    let path = format!("/auth/v1/factors/{}", totp.id);
    for status in [422, 422, 422, 422, 422, 422, 422, 422, 422, 422, 429] {
        let challenge = user.client.post(&format!("{path}/challenge"), json!({})).await.json();
        let code = super::mails::wrong(&totp.code(&app));
        let reply = user.client.post(&format!("{path}/verify"), json!({ "challenge_id": challenge["id"], "code": code })).await;
        assert_eq!(reply.status, status, "{}", reply.text());
    }
}

#[tokio::test]
async fn wrong_recovery_codes_count_whatever_the_hook_does() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let totp = enroll(&user.client, "phone").await;
    let raised = super::holder(&app, &raise(&app, &user.client, &totp).await);
    assert_eq!(raised.post("/auth/v1/factors/recovery-codes", json!({})).await.status, 200);
    set(&app, json!({ "limits": { "enabled": false } })).await;
    set_silent_hook(&app, "mfa_verification_attempt", SILENT).await;
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(raised.post("/auth/v1/factors/recovery-codes/verify", json!({ "code": "aaaa-aaaa-aaaa-aaaa" })).await.status.as_u16());
    }
    assert!(statuses.ends_with(&[429]) && statuses[0] == 422, "{statuses:?}");
}
