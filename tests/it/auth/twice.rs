//! What is said twice: of two, one reader takes the first and another the last.

use http::Method;
use serde_json::json;

use super::{SIGN_IN, assert_refused, mails::newest, set};
use crate::support::{PASSWORD, Reply, TestApp};

const ADA: &str = "ada@example.com";

/// V12: parameters of a query.
#[tokio::test]
async fn a_parameter_of_a_query_is_there_once() {
    let app = TestApp::new().await;
    let user = app.user(ADA, &[]).await;
    let places = "redirect_to=http%3A%2F%2F127.0.0.1%3A8787&redirect_to=https%3A%2F%2Fevil.example";
    for path in ["signup", "otp", "magiclink", "recover", "resend"] {
        let body = json!({ "email": "bob@example.com", "password": PASSWORD, "type": "signup" });
        assert_refused(&app.anonymous().post(&format!("/auth/v1/{path}?{places}"), body.clone()).await, 400, "validation_failed");
        let twice = app.anonymous().also("redirect_to", "http://127.0.0.1:8787").also("redirect_to", "https://evil.example");
        assert_refused(&twice.post(&format!("/auth/v1/{path}"), body).await, 400, "validation_failed");
    }
    for path in ["invite", "admin/generate_link"] {
        let body = json!({ "email": "bob@example.com", "type": "invite" });
        assert_refused(&app.service().post(&format!("/auth/v1/{path}?{places}"), body).await, 400, "validation_failed");
    }
    assert_refused(&user.client.put(&format!("/auth/v1/user?{places}"), json!({ "email": "bob@example.com" })).await, 400, "validation_failed");
    let password = json!({ "email": ADA, "password": PASSWORD, "refresh_token": user.session["refresh_token"] });
    for grant in ["grant_type=password&grant_type=refresh_token", "grant_type=refresh_token&grant_type=password"] {
        assert_refused(&app.anonymous().post(&format!("/auth/v1/token?{grant}"), password.clone()).await, 400, "invalid_credentials");
    }
    assert_refused(&user.client.post("/auth/v1/logout?scope=local&scope=global", json!({})).await, 400, "validation_failed");
    for query in ["page=1&page=2", "per_page=1&per_page=2", "filter=a&filter=b", "sort=&sort="] {
        assert_refused(&app.service().get(&format!("/auth/v1/admin/users?{query}")).await, 400, "validation_failed");
    }
    assert!(app.mails("bob@example.com").await.is_empty(), "nothing was done");
    assert_eq!(app.service().get("/auth/v1/admin/users").await.header("x-total-count"), "1");
    assert_eq!(user.client.get("/auth/v1/user").await.status, 200);
}

/// V12: the link of a mail, and the form of the page before it.
#[tokio::test]
async fn a_link_says_everything_once() {
    let app = TestApp::new().await;
    app.user(ADA, &[]).await;
    assert_eq!(app.anonymous().post("/auth/v1/otp", json!({ "email": ADA })).await.status, 200);
    let mail = newest(&app, ADA).await;
    for more in ["token=x", "type=recovery", "redirect_to=https%3A%2F%2Fevil.example"] {
        assert_refused(&app.nobody().get(&format!("{}&{more}", mail.link)).await, 400, "validation_failed");
    }
    let query = mail.link.split_once('?').unwrap().1;
    for more in ["token=x", "type=recovery", "redirect_to=https%3A%2F%2Fevil.example"] {
        let form = format!("{query}&{more}");
        assert_refused(&app.nobody().send(Method::POST, "/t/default/auth/v1/verify/confirm", form).await, 400, "validation_failed");
    }
    assert_eq!(app.nobody().get(&mail.link).await.status, 303, "none of this used it up");
}

/// V12: a query and a body that want two things.
#[tokio::test]
async fn a_body_says_nothing_else_than_the_query() {
    let app = TestApp::new().await;
    set(&app, json!({ "redirects": { "site_url": "https://www.example.com", "allowed": ["https://a.example/**", "https://b.example/**"] } })).await;
    let link = async |query: &str, body: &str| {
        let asked = json!({ "type": "invite", "email": "bob@example.com", "redirect_to": body });
        app.service().post(&format!("/auth/v1/admin/generate_link?redirect_to={query}"), asked).await
    };
    assert_refused(&link("https%3A%2F%2Fa.example%2F1", "https://b.example/1").await, 400, "validation_failed");
    assert_eq!(app.service().get("/auth/v1/admin/users").await.header("x-total-count"), "0");
    assert_eq!(link("https%3A%2F%2Fa.example%2F1", "https://a.example/1").await.json()["redirect_to"], "https://a.example/1");
    assert_eq!(link("", "https://b.example/1").await.json()["redirect_to"], "https://b.example/1");
}

async fn raw(app: &TestApp, path: &str, body: &str) -> Reply {
    app.anonymous().header("content-type", "application/json").send(Method::POST, path, body.to_owned()).await
}

/// V12: names of a JSON body.
#[tokio::test]
async fn a_name_of_a_body_is_there_once() {
    let app = TestApp::new().await;
    let user = app.user(ADA, &[]).await;
    let refresh = user.session["refresh_token"].as_str().unwrap();
    let own = format!(r#""email":"{ADA}","password":"{PASSWORD}""#);
    let bodies = [
        ("/auth/v1/signup", format!(r#"{{"email":"bob@example.com","email":"eve@example.com","password":"{PASSWORD}"}}"#)),
        ("/auth/v1/signup", format!(r#"{{"email":"bob@example.com","password":"{PASSWORD}","password":"x"}}"#)),
        ("/auth/v1/signup", format!(r#"{{"email":"bob@example.com","password":"{PASSWORD}","data":{{}},"data":{{"a":1}}}}"#)),
        (SIGN_IN, format!(r#"{{{own},"email":"eve@example.com"}}"#)),
        (SIGN_IN, format!(r#"{{"password":"x",{own}}}"#)),
        (super::REFRESH, format!(r#"{{"refresh_token":"x","refresh_token":"{refresh}"}}"#)),
        ("/auth/v1/token?grant_type=pkce", r#"{"auth_code":"a","auth_code":"b","code_verifier":"c"}"#.to_owned()),
        ("/auth/v1/token?grant_type=pkce", r#"{"auth_code":"a","code_verifier":"b","code_verifier":"c"}"#.to_owned()),
        ("/auth/v1/token?grant_type=id_token", r#"{"provider":"google","provider":"apple","id_token":"x"}"#.to_owned()),
        ("/auth/v1/token?grant_type=id_token", r#"{"provider":"google","id_token":"x","id_token":"y"}"#.to_owned()),
        ("/auth/v1/otp", format!(r#"{{"email":"{ADA}","email":"eve@example.com"}}"#)),
        ("/auth/v1/otp", format!(r#"{{"email":"{ADA}","create_user":false,"create_user":true}}"#)),
        ("/auth/v1/recover", format!(r#"{{"email":"{ADA}","email":"eve@example.com"}}"#)),
        ("/auth/v1/recover", format!(r#"{{"email":"{ADA}","code_challenge":"a","code_challenge":"b"}}"#)),
        ("/auth/v1/resend", format!(r#"{{"type":"signup","type":"email_change","email":"{ADA}"}}"#)),
        ("/auth/v1/verify", r#"{"type":"magiclink","type":"recovery","token_hash":"x"}"#.to_owned()),
        ("/auth/v1/verify", format!(r#"{{"type":"email","email":"{ADA}","token":"123456","token":"654321"}}"#)),
        ("/auth/v1/verify", format!(r#"{{"type":"email","email":"{ADA}","email":"eve@example.com","token":"123456"}}"#)),
    ];
    for (path, body) in bodies {
        let reply = raw(&app, path, &body).await;
        assert_refused(&reply, 400, "bad_json");
        assert!(reply.json()["msg"].as_str().unwrap().contains("duplicate field"), "{path} {body}: {}", reply.text());
    }
    let put = user.client.clone().header("content-type", "application/json");
    for body in
        [r#"{"email":"a@example.com","email":"b@example.com"}"#, r#"{"password":"one long password","password":"x"}"#, r#"{"data":{},"data":{}}"#]
    {
        assert_refused(&put.send(Method::PUT, "/auth/v1/user", body).await, 400, "bad_json");
    }
    assert_eq!(raw(&app, SIGN_IN, &format!("{{{own}}}")).await.status, 200);
    assert!(app.mails(ADA).await.is_empty(), "nothing was sent");
}
