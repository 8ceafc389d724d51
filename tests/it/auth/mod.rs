//! Sign-in, as clients of its wire see it.

mod admin;
mod audit;
mod authenticators;
mod captcha;
mod custom_providers;
mod enumeration;
mod errors;
mod factors;
mod fields;
mod flows;
mod forged;
mod general;
mod hooks;
mod id_token;
mod ids;
mod import;
mod invite;
mod limits;
mod linking;
mod mails;
mod notices;
mod odd_bodies;
mod off;
mod opaque;
mod outstanding;
mod passkeys;
mod passwords;
mod phone;
mod phone_factors;
mod providers;
mod refresh;
mod sessions;
mod sign_in;
mod sign_out;
mod sign_up;
mod sms;
mod sweep;
mod take_over;
mod templates;
mod tokens;
mod twice;
mod user;
mod ways_in;

use basalt::tenants::{self, TenantChange};
use serde_json::{Value, json};

use crate::support::{Client, PASSWORD, Reply, TENANT, TestApp};

const SIGN_IN: &str = "/auth/v1/token?grant_type=password";
const REFRESH: &str = "/auth/v1/token?grant_type=refresh_token";

/// Signs in with the password of every test user.
async fn sign_in(app: &TestApp, email: &str) -> Value {
    let reply = app.anonymous().post(SIGN_IN, json!({ "email": email, "password": PASSWORD })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// Shows a refresh token.
async fn refresh(app: &TestApp, token: &Value) -> Reply {
    app.anonymous().post(REFRESH, json!({ "refresh_token": token })).await
}

/// A caller with the access token of a session.
fn holder(app: &TestApp, session: &Value) -> Client {
    app.anonymous().bearer(session["access_token"].as_str().unwrap())
}

/// Status and code of a refusal, after a look at what every refusal has.
fn refusal(reply: &Reply) -> (u16, String) {
    let body = reply.json();
    let code = body["error_code"].as_str().unwrap_or_else(|| panic!("no refusal: {} {body}", reply.status)).to_owned();
    assert_eq!(body["code"], reply.status.as_u16(), "{body}");
    assert!(body["msg"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    assert_eq!(reply.header("x-sb-error-code"), code);
    assert_eq!(reply.header("content-type"), "application/json");
    (reply.status.as_u16(), code)
}

#[track_caller]
fn assert_refused(reply: &Reply, status: u16, code: &str) {
    assert_eq!(refusal(reply), (status, code.to_owned()), "{}", reply.text());
}

/// Has an admin vouch for a user's address, which counted without proof.
async fn proved(app: &TestApp, user: &str) {
    let reply = app.service().put(&format!("/auth/v1/admin/users/{user}"), json!({ "email_confirm": true })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// Has an address called that nobody could set here: it was set when the installation allowed it.
async fn set_url_of_old(app: &TestApp, place: &str, url: &str) {
    let mut settings = tenants::get_tenant(&app.app, TENANT).await.unwrap().settings;
    *settings.0.pointer_mut(place).unwrap() = json!(url);
    let change = async move |tx: basalt::db::Tx| {
        tx.query("UPDATE tenants SET settings = $1 WHERE reference = $2").bind(&settings).bind(TENANT).execute().await
    };
    app.app.db.write(change).await.unwrap();
    app.app.tenants.forget();
}

/// Changes settings of the default tenant, and waits for nobody: this process feels it at once.
async fn set(app: &TestApp, settings: Value) {
    let settings = settings.as_object().unwrap().clone();
    let change = TenantChange { settings: Some(settings), ..TenantChange::default() };
    tenants::update_tenant(&app.app, TENANT, change).await.unwrap();
}
