//! How often who may ask for what.

use std::time::Duration;

use basalt::db::Dialect;
use http::Method;
use serde_json::{Value, json};

use super::{
    REFRESH, SIGN_IN, assert_refused,
    factors::enroll,
    mails::{newest, verify, wrong},
    set,
};
use crate::support::{Client, PASSWORD, Reply, TestApp};

const SIGN_UP: &str = "/auth/v1/signup";

async fn try_password(client: &Client, email: &str, password: &str) -> Reply {
    client.post(SIGN_IN, json!({ "email": email, "password": password })).await
}

/// Signs up over and over until that is refused, and tells how often it was not.
async fn sign_ups(client: &Client, most: usize) -> usize {
    for made in 0..most {
        if client.post(SIGN_UP, json!({ "email": "no address" })).await.status == 429 {
            return made;
        }
    }
    most
}

#[tokio::test]
async fn a_network_has_a_burst_and_then_a_rate_and_is_told_when_to_come_back() {
    let app = TestApp::new().await;
    let client = app.anonymous().at("203.0.113.9");
    assert_eq!(sign_ups(&client, 40).await, 30);
    let refused = client.post(SIGN_UP, json!({ "email": "ada@example.com", "password": PASSWORD })).await;
    assert_refused(&refused, 429, "over_request_rate_limit");
    assert_eq!((refused.header("retry-after"), &refused.json()["msg"]), ("10", &json!("Request rate limit reached")));
    app.app.clock.advance(Duration::from_secs(10));
    assert_eq!(sign_ups(&client, 2).await, 1);
    // Others, and other things, have counts of their own.
    assert_eq!(sign_ups(&app.anonymous().at("203.0.113.8"), 1).await, 1);
    assert_eq!(sign_ups(&app.nobody().key(&app.other.publishable_key).at("203.0.113.9"), 1).await, 1);
    assert_eq!(try_password(&client, "ada@example.com", PASSWORD).await.status, 400);
    // A server of the tenant's is not counted.
    assert_eq!(sign_ups(&app.service().at("203.0.113.9"), 40).await, 40);
    set(&app, json!({ "limits": { "enabled": false } })).await;
    assert_eq!(sign_ups(&client, 40).await, 40);
}

// V55
#[tokio::test]
async fn no_header_and_no_spelling_makes_a_second_client() {
    let app = TestApp::new().await;
    set(&app, json!({ "limits": { "sign_up": { "most": 1, "seconds": 3600, "burst": 4 } } })).await;
    let mut let_through = 0;
    for (index, header) in
        ["x-forwarded-for", "forwarded", "x-real-ip", "sb-forwarded-for", "cf-connecting-ip", "true-client-ip", "x-client-ip", "via"]
            .into_iter()
            .enumerate()
    {
        let value = if header == "forwarded" { format!("for=198.51.100.{index}") } else { format!("198.51.100.{index}") };
        let client = app.anonymous().header(header, &value).at("203.0.113.9");
        let_through += sign_ups(&client, 1).await;
    }
    assert_eq!(let_through, 4);
    // Ways to write the path, and fields more, neither.
    for path in ["/t/default/auth/v1/signup", "/auth/v1/signup?x=1", "/auth/v1/signup?redirect_to=x"] {
        let reply = app.anonymous().at("203.0.113.9").post(path, json!({ "email": "a@b.de", "id": "1", "ip": "1.1.1.1" })).await;
        assert_refused(&reply, 429, "over_request_rate_limit");
    }
    // Other spellings of the path lead nowhere.
    for path in
        ["/auth/v1/signup/", "/auth/v1//signup", "//auth/v1/signup", "/AUTH/v1/signup", "/auth/v1/SIGNUP", "/auth/v1/%73ignup", "/auth/v1/./signup"]
    {
        let reply = app.anonymous().at("203.0.113.9").post(path, json!({ "email": "a@b.de" })).await;
        assert!(matches!(reply.status.as_u16(), 404 | 429), "{path}: {} {}", reply.status, reply.text());
    }
    let spellings = [
        "2001:db8:0:1::1",
        "2001:DB8::1:0:0:0:2",
        "2001:0db8:0000:0001:ffff::",
        "2001:db8:0:1:2::",
        "2001:db8:0:1:0:0:1.2.3.4",
        "2001:db8:0:1:9:9:9:9",
    ];
    let mut let_through = 0;
    for address in spellings {
        let_through += sign_ups(&app.anonymous().at(address), 1).await;
    }
    assert_eq!(let_through, 4);
    let mut let_through = 0;
    for address in ["192.0.2.7", "::ffff:192.0.2.7", "::ffff:c000:207", "0:0:0:0:0:ffff:192.0.2.7", "192.0.2.7"] {
        let_through += sign_ups(&app.anonymous().at(address), 1).await;
    }
    assert_eq!(let_through, 4);
}

#[tokio::test]
async fn a_server_may_say_whom_it_calls_for() {
    let app = TestApp::new().await;
    set(&app, json!({ "limits": { "sign_up": { "most": 1, "seconds": 3600, "burst": 4 } } })).await;
    let client = app.service().header("sb-forwarded-for", "198.51.100.1").at("203.0.113.9");
    assert_eq!(sign_ups(&client, 9).await, 4);
    assert_eq!(sign_ups(&app.anonymous().at("198.51.100.1"), 1).await, 0);
    assert_eq!(sign_ups(&client.header("sb-forwarded-for", "198.51.100.2"), 9).await, 4);
}

#[tokio::test]
async fn too_many_refreshes_are_trouble_that_passes() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    set(&app, json!({ "limits": { "refresh": { "most": 1, "seconds": 60, "burst": 2 } } })).await;
    let client = app.anonymous().at("203.0.113.9");
    let mut token = user.session["refresh_token"].clone();
    for _ in 0..2 {
        let reply = client.post(REFRESH, json!({ "refresh_token": token })).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        token = reply.json()["refresh_token"].clone();
    }
    let reply = client.post(REFRESH, json!({ "refresh_token": token })).await;
    assert_refused(&reply, 503, "unexpected_failure");
    assert_eq!(reply.header("retry-after"), "60");
    app.app.clock.advance(Duration::from_mins(1));
    assert_eq!(client.post(REFRESH, json!({ "refresh_token": token })).await.status, 200);
}

#[tokio::test]
async fn each_wrong_password_from_the_fifth_on_costs_a_longer_wait() {
    let app = TestApp::new().await;
    app.user("ada@example.com", &[]).await;
    set(&app, json!({ "limits": { "enabled": false } })).await;
    for email in ["ada@example.com", "nobody@example.com"] {
        let stranger = app.anonymous().at("203.0.113.9");
        for _ in 0..5 {
            assert_refused(&try_password(&stranger, email, "wrong").await, 400, "invalid_credentials");
        }
        for wait in [1, 2, 4, 8, 16] {
            // Refused before it is looked at, so that the answer does not tell whether it was right.
            let refused = try_password(&stranger, email, PASSWORD).await;
            assert_refused(&refused, 429, "over_request_rate_limit");
            assert_eq!(refused.header("retry-after"), wait.to_string());
            app.app.clock.advance(Duration::from_secs(wait));
            assert_refused(&try_password(&stranger, email, "wrong").await, 400, "invalid_credentials");
        }
        assert_refused(&try_password(&stranger, &email.to_uppercase(), PASSWORD).await, 429, "over_request_rate_limit");
    }
    // The owner comes from elsewhere.
    assert_eq!(try_password(&app.anonymous().at("198.51.100.1"), "ada@example.com", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn what_was_wrong_before_is_forgiven_to_who_knows_the_password() {
    let app = TestApp::new().await;
    app.user("ada@example.com", &[]).await;
    let owner = app.anonymous().at("203.0.113.9");
    for _ in 0..3 {
        for _ in 0..4 {
            assert_eq!(try_password(&owner, "ada@example.com", "wrong").await.status, 400);
        }
        assert_eq!(try_password(&owner, "ada@example.com", PASSWORD).await.status, 200);
    }
}

#[tokio::test]
async fn many_networks_together_shut_out_strangers_and_not_the_owner() {
    let app = TestApp::new().await;
    app.user("ada@example.com", &[]).await;
    let home = app.anonymous().at("2001:db8:0:7::1");
    assert_eq!(try_password(&home, "ada@example.com", PASSWORD).await.status, 200);
    let mut guesses = 0;
    // An hour of guessing from ever other networks.
    for minute in 0..60 {
        for index in 0..5 {
            let stranger = app.anonymous().at(&format!("198.18.{minute}.{index}"));
            match try_password(&stranger, "ada@example.com", "wrong").await.status.as_u16() {
                400 => guesses += 1,
                status => assert_eq!(status, 429),
            }
        }
        app.app.clock.advance(Duration::from_mins(1));
    }
    assert!((50..=100).contains(&guesses), "{guesses}");
    for index in 0..5 {
        // The last minute made a little room, which they use up.
        try_password(&app.anonymous().at(&format!("198.19.0.{index}")), "ada@example.com", "wrong").await;
    }
    let refused = try_password(&app.anonymous().at("192.0.2.1"), "ada@example.com", PASSWORD).await;
    assert_refused(&refused, 429, "over_request_rate_limit");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    // Where the owner was before, it comes in as ever; with another address of the same network, too.
    assert_eq!(try_password(&home, "ada@example.com", PASSWORD).await.status, 200);
    assert_eq!(try_password(&app.anonymous().at("2001:db8:0:7:ffff::9"), "ada@example.com", PASSWORD).await.status, 200);
    app.app.clock.advance(Duration::from_secs(wait));
    assert_eq!(try_password(&app.anonymous().at("192.0.2.1"), "ada@example.com", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn guesses_made_at_once_are_counted_as_those_made_in_turn() {
    let app = TestApp::new().await;
    app.user("ada@example.com", &[]).await;
    set(&app, json!({ "limits": { "enabled": false } })).await;
    let many = (0..120).map(|index| {
        let stranger = app.anonymous().at(&format!("198.18.0.{index}"));
        async move { try_password(&stranger, "ada@example.com", "wrong").await.status.as_u16() }
    });
    let statuses = futures_util::future::join_all(many).await;
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!(refused, 70, "{statuses:?}");
}

#[tokio::test]
async fn limits_are_checked_and_changed_in_part() {
    let app = TestApp::new().await;
    let change = async |settings: Value| app.operator().patch("/admin/v1/tenants/default", json!({ "settings": settings })).await;
    let reply = change(json!({ "limits": { "token": { "most": 7 } } })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["settings"]["limits"]["token"], json!({ "most": 7, "seconds": 300, "burst": 30 }));
    for wrong in [
        json!({ "most": 0 }),
        json!({ "seconds": 0 }),
        json!({ "burst": 0 }),
        json!({ "burst": 100_000 }),
        json!({ "seconds": 86_401 }),
        json!({ "many": 1 }),
        json!(7),
    ] {
        let reply = change(json!({ "limits": { "token": wrong } })).await;
        assert_eq!(reply.status.as_u16() / 100, 4, "{wrong}");
    }
}

/// A way to ask for something that is counted.
struct Counted {
    /// The setting.
    limit: &'static str,
    method: Method,
    path: &'static str,
    body: Value,
    /// Who asks.
    client: Client,
}

/// Every route that strangers or users can ask for over and over.
async fn counted(app: &TestApp) -> Vec<Counted> {
    let anonymous = app.anonymous().at("203.0.113.9");
    let nobody = app.nobody().at("203.0.113.9");
    set(app, json!({ "sessions": { "access_token_seconds": 86_400 }, "mail": { "resend_seconds": 0 } })).await;
    let user = app.user("ada@example.com", &[]).await;
    let user = user.client.at("203.0.113.9");
    let post = |limit, path, body, client: &Client| Counted { limit, method: Method::POST, path, body, client: client.clone() };
    let get = |limit, path, client: &Client| Counted { limit, method: Method::GET, path, body: Value::Null, client: client.clone() };
    let id = "00000000-0000-4000-8000-000000000000";
    let factor = |what: &str| -> &'static str { format!("/auth/v1/factors/{id}/{what}").leak() };
    vec![
        post("token", SIGN_IN, json!({ "email": "ada@example.com", "password": "wrong" }), &anonymous),
        post("token", "/auth/v1/token?grant_type=pkce", json!({}), &anonymous),
        post("token", "/auth/v1/token?grant_type=id_token", json!({}), &anonymous),
        post("token", "/auth/v1/token?grant_type=web3", json!({}), &anonymous),
        post("sign_up", SIGN_UP, json!({ "email": "x" }), &anonymous),
        post("sign_up", SIGN_UP, json!({ "phone": "x" }), &anonymous),
        post("anonymous", SIGN_UP, json!({}), &anonymous),
        post("otp", "/auth/v1/otp", json!({}), &anonymous),
        post("magic_link", "/auth/v1/magiclink", json!({}), &anonymous),
        post("recover", "/auth/v1/recover", json!({}), &anonymous),
        post("resend", "/auth/v1/resend", json!({}), &anonymous),
        post("verify", "/auth/v1/verify", json!({}), &anonymous),
        get("verify", "/t/default/auth/v1/verify?token=x&type=signup", &nobody),
        post("verify", "/t/default/auth/v1/verify/confirm", json!({}), &nobody),
        get("otp", "/auth/v1/reauthenticate", &user),
        Counted { limit: "update_user", method: Method::PUT, path: "/auth/v1/user", body: json!({}), client: user.clone() },
        get("provider", "/t/default/auth/v1/authorize?provider=x", &nobody),
        get("provider", "/t/default/auth/v1/callback?code=x", &nobody),
        post("provider", "/t/default/auth/v1/callback", json!({}), &nobody),
        get("provider", "/auth/v1/user/identities/authorize?provider=x", &user),
        post("update_user", "/auth/v1/factors", json!({}), &user),
        post("update_user", "/auth/v1/factors/recovery-codes", json!({}), &user),
        post("update_user", "/auth/v1/factors/recovery-codes/regenerate", json!({}), &user),
        post("factor_challenge", factor("challenge"), json!({}), &user),
        post("factor_verify", factor("verify"), json!({}), &user),
        post("factor_verify", "/auth/v1/factors/recovery-codes/verify", json!({}), &user),
        post("passkey", "/auth/v1/passkeys/registration/options", json!({}), &user),
        post("passkey", "/auth/v1/passkeys/registration/verify", json!({}), &user),
        post("passkey", "/auth/v1/passkeys/authentication/options", json!({}), &anonymous),
        post("passkey", "/auth/v1/passkeys/authentication/verify", json!({}), &anonymous),
    ]
}

#[tokio::test]
async fn every_route_has_its_limit_and_says_truly_when_to_come_again() {
    let app = TestApp::new().await;
    for Counted { limit, method, path, body, client } in counted(&app).await {
        // What was counted before is over.
        app.app.clock.advance(Duration::from_mins(2));
        let few = json!({ "most": 1, "seconds": 60, "burst": 2 });
        set(&app, json!({ "limits": null })).await;
        set(&app, json!({ "limits": { limit: few } })).await;
        let ask = async || client.send(method.clone(), path, if body.is_null() { String::new() } else { body.to_string() }).await;
        for _ in 0..2 {
            let reply = ask().await;
            assert_ne!(reply.status, 429, "{path} {body}: {}", reply.text());
        }
        let refused = ask().await;
        assert_refused(&refused, 429, "over_request_rate_limit");
        assert_eq!(refused.header("retry-after"), "60", "{path}");
        app.app.clock.advance(Duration::from_secs(59));
        assert_eq!(ask().await.header("retry-after"), "1", "{path}");
        app.app.clock.advance(Duration::from_secs(1));
        assert_ne!(ask().await.status, 429, "{path}");
    }
}

#[tokio::test]
async fn a_limit_that_is_changed_holds_at_once() {
    let app = TestApp::new().await;
    let client = app.anonymous().at("203.0.113.9");
    set(&app, json!({ "limits": { "sign_up": { "most": 1, "seconds": 3600, "burst": 5 } } })).await;
    assert_eq!(sign_ups(&client, 9).await, 5);
    set(&app, json!({ "limits": { "sign_up": { "most": 1, "seconds": 10, "burst": 3 } } })).await;
    let refused = client.post(SIGN_UP, json!({ "email": "no address" })).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, "10"));
    app.app.clock.advance(Duration::from_secs(10));
    assert_eq!(sign_ups(&client, 9).await, 1);
}

#[tokio::test]
async fn what_looks_at_a_link_before_its_reader_is_not_counted() {
    let app = TestApp::new().await;
    set(&app, json!({ "limits": { "verify": { "most": 1, "seconds": 60, "burst": 1 } } })).await;
    let nobody = app.nobody().at("203.0.113.9");
    let path = "/t/default/auth/v1/verify?token=x&type=signup";
    for _ in 0..3 {
        assert_eq!(nobody.send(Method::HEAD, path, String::new()).await.status, 200);
        assert_eq!(nobody.clone().header("sec-purpose", "prefetch").get(path).await.status, 425);
    }
    assert_eq!(nobody.get(path).await.status, 303);
    assert_eq!(nobody.get(path).await.status, 429);
}

#[tokio::test]
async fn what_a_server_says_of_its_client_can_not_be_garbled() {
    let app = TestApp::new().await;
    set(&app, json!({ "limits": { "sign_up": { "most": 1, "seconds": 3600, "burst": 4 } } })).await;
    let service = app.service().at("203.0.113.9");
    for (index, value) in
        ["198.51.100.1", "198.51.100.1:4711", "198.51.100.1, 10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"].into_iter().enumerate()
    {
        assert_eq!(sign_ups(&service.clone().header("sb-forwarded-for", value), 1).await, usize::from(index < 4), "{value}");
    }
    // What is no address is the server itself.
    assert_eq!(sign_ups(&service.clone().header("sb-forwarded-for", "unknown"), 9).await, 4);
    // So it is with a function's key; and what is done for somebody is noted as that one's.
    let function = app.function("users:read").await.at("203.0.113.7").header("sb-forwarded-for", "2001:db8::1");
    assert_eq!(sign_ups(&function, 9).await, 4);
    set(&app, json!({ "limits": { "enabled": false } })).await;
    assert_eq!(function.post(SIGN_UP, json!({ "email": "ada@example.com", "password": PASSWORD })).await.status, 200);
    let entries = app.operator().get("/admin/v1/tenants/default/audit?action=user_signedup").await.json();
    assert_eq!(entries["entries"][0]["ip"], "2001:db8::1", "{entries}");
}

#[tokio::test]
async fn nodes_count_together_where_they_share_a_database() {
    let app = TestApp::new().await;
    app.user("ada@example.com", &[]).await;
    set(&app, json!({ "limits": { "sign_up": { "most": 1, "seconds": 3600, "burst": 4 } } })).await;
    let (here, there) = (app.anonymous().at("203.0.113.9"), app.restarted().await.at("203.0.113.9"));
    let is_shared = app.app.db.dialect() == Dialect::Postgres;
    assert_eq!(sign_ups(&here, 4).await, 4);
    assert_eq!(sign_ups(&there, 4).await, if is_shared { 0 } else { 4 });
    for _ in 0..5 {
        assert_eq!(try_password(&here, "ada@example.com", "wrong").await.status, 400);
    }
    assert_eq!(try_password(&there, "ada@example.com", "wrong").await.status, if is_shared { 429 } else { 400 });
    // Who is let in at one is forgiven at all.
    app.app.clock.advance(Duration::from_secs(10));
    assert_eq!(try_password(&here, "ada@example.com", PASSWORD).await.status, 200);
    assert_eq!(try_password(&there, "ada@example.com", "wrong").await.status, 400);
}

/// The ways to have a mail sent to an address.
fn askings(email: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("/auth/v1/otp", json!({ "email": email, "create_user": false })),
        ("/auth/v1/magiclink", json!({ "email": email, "create_user": false })),
        ("/auth/v1/recover", json!({ "email": email })),
        ("/auth/v1/resend", json!({ "type": "signup", "email": email })),
        (SIGN_UP, json!({ "email": email, "password": PASSWORD })),
    ]
}

#[tokio::test]
async fn one_address_gets_so_many_mails_whether_or_not_it_has_an_account() {
    let app = TestApp::new().await;
    app.user("ada@example.com", &[]).await;
    let settings = json!({
        "sign_up": { "email_autoconfirm": false, "tell_unknown": false }, "mail": { "resend_seconds": 0 },
        "limits": { "emails_to_one": { "most": 1, "seconds": 60, "burst": 2 } },
    });
    set(&app, settings).await;
    for email in ["ada@example.com", "nobody@example.com"] {
        for (path, body) in askings(email) {
            app.app.clock.advance(Duration::from_mins(10));
            for _ in 0..2 {
                let reply = app.anonymous().post(path, body.clone()).await;
                assert_eq!(reply.status, 200, "{path}: {}", reply.text());
            }
            let refused = app.anonymous().post(path, body.clone()).await;
            assert_refused(&refused, 429, "over_email_send_rate_limit");
            assert_eq!(refused.json()["msg"], "email rate limit exceeded: one address can have 1 in 60 seconds");
            assert_eq!(refused.header("retry-after"), "60");
            app.app.clock.advance(Duration::from_mins(1));
            assert_eq!(app.anonymous().post(path, body.clone()).await.status, 200, "{path}");
            // A server of the tenant's is not counted.
            assert_eq!(app.service().post(path, body).await.status, 200, "{path}");
        }
    }
    let invite = json!({ "email": "carol@example.com" });
    let function = app.function("users:write").await;
    for status in [200, 200, 429] {
        assert_eq!(function.post("/auth/v1/invite", invite.clone()).await.status, status);
    }
    assert_eq!(app.service().post("/auth/v1/invite", invite).await.status, 200);
}

#[tokio::test]
async fn a_tenant_sends_so_many_mails() {
    let app = TestApp::new().await;
    let settings = json!({
        "sign_up": { "tell_unknown": false },
        "limits": { "emails": { "most": 1, "seconds": 300, "burst": 3 }, "emails_to_one": { "most": 1, "seconds": 60, "burst": 1 } },
    });
    set(&app, settings).await;
    let recover = async |email: &str| app.anonymous().post("/auth/v1/recover", json!({ "email": email })).await;
    assert_eq!(recover("a@example.com").await.status, 200);
    // What was asked for just before is not sent, and not counted.
    for _ in 0..5 {
        let reply = recover("a@example.com").await;
        assert_refused(&reply, 429, "over_email_send_rate_limit");
        assert_eq!(reply.header("retry-after"), "60");
    }
    assert_eq!(recover("b@example.com").await.status, 200);
    assert_eq!(recover("c@example.com").await.status, 200);
    let refused = recover("d@example.com").await;
    assert_refused(&refused, 429, "over_email_send_rate_limit");
    assert_eq!(refused.json()["msg"], "email rate limit exceeded: all addresses together can have 1 in 300 seconds");
    assert_eq!(refused.header("retry-after"), "300");
    // Of two waits the longer one is told.
    assert_eq!(recover("a@example.com").await.header("retry-after"), "300");
    // The other tenant has a count of its own.
    let other = app.nobody().key(&app.other.publishable_key);
    assert_eq!(other.post("/auth/v1/recover", json!({ "email": "d@example.com" })).await.status, 200);
    app.app.clock.advance(Duration::from_mins(5));
    assert_eq!(recover("d@example.com").await.status, 200);
    assert_eq!(recover("e@example.com").await.status, 429);
    // Where a hook sends them, none is counted.
    let hook = json!({ "enabled": true, "url": "https://hooks.example.com", "secrets": "v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" });
    set(&app, json!({ "hooks": { "send_email": hook } })).await;
    for index in 0..9 {
        assert_eq!(recover(&format!("{index}@example.com")).await.status, 200);
    }
}

#[tokio::test]
async fn a_tenant_sends_so_many_text_messages() {
    let app = TestApp::new().await;
    let settings = json!({
        "sign_up": { "phone": true },
        "sms": { "provider": "webhook", "url": "https://sms.example.com", "test_codes": { "+491510000000": "123456" }, "resend_seconds": 0 },
        "limits": { "sms": { "most": 1, "seconds": 300, "burst": 2 } },
    });
    set(&app, settings).await;
    let otp = async |phone: &str| app.anonymous().post("/auth/v1/otp", json!({ "phone": phone })).await;
    // To numbers of tests nothing is sent.
    for phone in ["+491510000000", "+491510000000", "+491510000000", "+491511111111", "+491512222222"] {
        let reply = otp(phone).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let refused = otp("+491513333333").await;
    assert_refused(&refused, 429, "over_sms_send_rate_limit");
    assert_eq!(refused.json()["msg"], "SMS rate limit exceeded: all addresses together can have 1 in 300 seconds");
    app.app.clock.advance(Duration::from_secs(refused.header("retry-after").parse().unwrap()));
    assert_eq!(otp("+491513333333").await.status, 200);
}

#[tokio::test]
async fn what_a_user_has_sent_to_another_address_is_counted() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let settings = json!({
        "sign_up": { "email_autoconfirm": false }, "mail": { "resend_seconds": 0, "secure_email_change": false },
        "limits": { "emails_to_one": { "most": 1, "seconds": 60, "burst": 1 } },
    });
    set(&app, settings).await;
    let change = async || user.client.put("/auth/v1/user", json!({ "email": "victim@example.com" })).await;
    assert_eq!(change().await.status, 200);
    assert_refused(&change().await, 429, "over_email_send_rate_limit");
    assert_eq!(user.client.get("/auth/v1/reauthenticate").await.status, 200);
    assert_refused(&user.client.get("/auth/v1/reauthenticate").await, 429, "over_email_send_rate_limit");
}

#[tokio::test]
async fn codes_are_not_guessed_either() {
    let app = TestApp::new().await;
    app.user("ada@example.com", &[]).await;
    set(&app, json!({ "limits": { "enabled": false }, "otp": { "attempts": 20 } })).await;
    assert_eq!(app.anonymous().post("/auth/v1/otp", json!({ "email": "ada@example.com" })).await.status, 200);
    let code = newest(&app, "ada@example.com").await.code;
    for email in ["ada@example.com", "nobody@example.com"] {
        let stranger = app.anonymous().at("203.0.113.9");
        for _ in 0..5 {
            assert_refused(&verify(&stranger, "email", email, &wrong(&code)).await, 403, "otp_expired");
        }
        let refused = verify(&stranger, "email", &email.to_uppercase(), &code).await;
        assert_refused(&refused, 429, "over_request_rate_limit");
        assert_eq!(refused.header("retry-after"), "1");
    }
    let owner = app.anonymous().at("198.51.100.1");
    assert_eq!(verify(&owner, "email", "ada@example.com", &code).await.status, 200);
}

#[tokio::test]
async fn the_present_password_is_not_guessed_in_an_open_session() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let client = user.client.at("203.0.113.9");
    let change = async |current: &str| client.put("/auth/v1/user", json!({ "password": "another long password", "current_password": current })).await;
    for _ in 0..5 {
        assert_refused(&change("wrong").await, 400, "current_password_invalid");
    }
    assert_refused(&change(PASSWORD).await, 429, "over_request_rate_limit");
    // The guesses count where the same password is asked for at sign-in.
    assert_eq!(try_password(&app.anonymous().at("203.0.113.9"), "ada@example.com", PASSWORD).await.status, 429);
    app.app.clock.advance(Duration::from_secs(1));
    assert_eq!(change(PASSWORD).await.status, 200);
}

#[tokio::test]
async fn the_code_before_another_password_is_not_guessed_in_an_open_session() {
    let app = TestApp::new().await;
    set(&app, json!({ "password": { "require_reauthentication": true }, "sessions": { "access_token_seconds": 86_400 } })).await;
    let user = app.user("ada@example.com", &[]).await;
    app.app.clock.advance(Duration::from_secs(86_390));
    let session = super::refresh(&app, &user.session["refresh_token"]).await.json();
    app.app.clock.advance(Duration::from_secs(20));
    let client = super::holder(&app, &session).at("203.0.113.9");
    let change = async |nonce: &str| client.put("/auth/v1/user", json!({ "password": "another long password", "nonce": nonce })).await;
    for _ in 0..5 {
        assert_refused(&change("000000").await, 422, "reauthentication_not_valid");
    }
    let refused = change("000000").await;
    assert_refused(&refused, 429, "over_request_rate_limit");
    assert_eq!(refused.header("retry-after"), "1");
    app.app.clock.advance(Duration::from_secs(1));
    assert_eq!(client.get("/auth/v1/reauthenticate").await.status, 200);
    let code = newest(&app, "ada@example.com").await.code;
    assert_eq!(change(&code).await.status, 200);
}

#[tokio::test]
async fn who_is_locked_out_of_a_factor_is_told_for_how_long() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let totp = enroll(&user.client, "phone").await;
    let path = format!("/auth/v1/factors/{}", totp.id);
    let attempt = async |code: String| {
        let challenge = user.client.post(&format!("{path}/challenge"), json!({})).await.json();
        user.client.post(&format!("{path}/verify"), json!({ "challenge_id": challenge["id"], "code": code })).await
    };
    let wrong = wrong(&totp.code(&app));
    for _ in 0..10 {
        assert_refused(&attempt(wrong.clone()).await, 422, "mfa_verification_failed");
    }
    let refused = attempt(totp.code(&app)).await;
    assert_refused(&refused, 429, "over_request_rate_limit");
    assert_eq!(refused.header("retry-after"), "300");
    app.app.clock.advance(Duration::from_mins(5));
    assert_eq!(attempt(totp.code(&app)).await.status, 200);
}

/// What counts is where a mail goes, whoever's address it was asked for by.
#[tokio::test]
async fn mails_of_a_change_of_address_are_counted_where_they_go() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let limits = json!({ "emails_to_one": { "most": 1, "seconds": 3600, "burst": 2 } });
    set(&app, json!({ "mail": { "secure_email_change": false, "resend_seconds": 0 }, "limits": limits })).await;
    let resend = async || app.anonymous().post("/auth/v1/resend", json!({ "type": "email_change", "email": "ada@example.com" })).await;
    assert_eq!(user.client.put("/auth/v1/user", json!({ "email": "new@example.com" })).await.status, 200);
    for mails in [2, 2] {
        assert_eq!(resend().await.status, 200, "what the new address has had is nobody's to know");
        assert_eq!(app.mails("new@example.com").await.len(), mails);
    }
    assert_refused(&resend().await, 429, "over_email_send_rate_limit");
    let log = app.service().get("/auth/v1/admin/audit?query=action:user_confirmation_requested").await.json();
    let sent: Vec<&Value> = log.as_array().unwrap().iter().map(|entry| &entry["payload"]["traits"]["sent"]).collect();
    assert_eq!(sent, [&json!(false), &json!(true)], "{log}");
    // Where the present address has to agree, it is counted, too: here the third time, whatever the new one is.
    let bob = app.user("bob@example.com", &[]).await;
    set(&app, json!({ "mail": { "secure_email_change": true } })).await;
    let change = async |new: &str| bob.client.put("/auth/v1/user", json!({ "email": new })).await;
    assert_eq!((change("b1@example.com").await.status.as_u16(), change("b2@example.com").await.status.as_u16()), (200, 200));
    assert_refused(&change("b3@example.com").await, 429, "over_email_send_rate_limit");
    assert_eq!((app.mails("bob@example.com").await.len(), app.mails("b3@example.com").await.len()), (2, 0));
    // Nothing is counted of what was refused: the new address has all its mails before it.
    let carol = app.user("carol@example.com", &[]).await;
    for _ in 0..2 {
        assert_eq!(carol.client.put("/auth/v1/user", json!({ "email": "b3@example.com" })).await.status, 200);
    }
}

/// The present address has its mails, and whoever asks with a secret key may have as many sent as it likes.
#[tokio::test]
async fn a_server_of_the_tenants_sends_as_many_as_it_likes() {
    let app = TestApp::new().await;
    let user = app.user("ada@example.com", &[]).await;
    let limits = json!({ "emails_to_one": { "most": 1, "seconds": 3600, "burst": 1 } });
    set(&app, json!({ "mail": { "secure_email_change": false, "resend_seconds": 0 }, "limits": limits })).await;
    assert_eq!(user.client.put("/auth/v1/user", json!({ "email": "new@example.com" })).await.status, 200);
    for _ in 0..3 {
        let reply = app.service().post("/auth/v1/resend", json!({ "type": "email_change", "email": "ada@example.com" })).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        app.run_jobs().await;
    }
    assert_eq!(app.mails("new@example.com").await.len(), 4);
}

/// A setting that is out of its form is named, and `null` is the default of that very setting again.
#[tokio::test]
async fn a_part_of_a_limit_goes_back_to_its_default() {
    let app = TestApp::new().await;
    let change = async |settings: Value| app.operator().patch("/admin/v1/tenants/default", json!({ "settings": settings })).await;
    assert_eq!(change(json!({ "limits": { "token": { "most": 7, "burst": 3 } } })).await.status, 200);
    let reply = change(json!({ "limits": { "token": { "most": null } } })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["settings"]["limits"]["token"], json!({ "most": 150, "seconds": 300, "burst": 3 }));
    for (settings, name) in [
        (json!({ "limits": { "token": { "most": "many" } } }), "limits.token.most"),
        (json!({ "limits": { "token": { "many": 1 } } }), "limits.token.many"),
        (json!({ "sign_up": { "enabled": 1 } }), "sign_up.enabled"),
    ] {
        let reply = change(settings).await;
        assert_eq!((reply.status.as_u16(), reply.text().contains(name)), (422, true), "{name}: {}", reply.text());
    }
}
