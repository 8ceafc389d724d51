//! Text messages on their way: by a webhook, by Twilio or who takes what Twilio takes, and what becomes of those that are not taken.

use std::time::Duration;

use axum::body::Body;
use basalt::crypto::base64;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

use super::{assert_refused, set};
use crate::support::{Reply, StandIn, TestApp};

pub(super) const NUMBER: &str = "+4915112345678";
const OTP: &str = "/auth/v1/otp";

/// An app whose users sign up and in by phone.
async fn by_phone() -> TestApp {
    let app = TestApp::with(|config| config.outbound.allow = vec!["127.0.0.1".parse().unwrap()]).await;
    set(&app, json!({ "sign_up": { "phone": true } })).await;
    app
}

/// Who takes the messages of an app, and answers as it is told.
pub(super) async fn receiver(answer: impl Fn(&Request<Bytes>) -> Response<Body> + Send + Sync + 'static) -> (TestApp, StandIn) {
    let (app, server) = (by_phone().await, StandIn::new(answer).await);
    set(&app, json!({ "sms": { "provider": "webhook", "url": server.url("/sms"), "auth_token": "token of the webhook" } })).await;
    (app, server)
}

/// Who takes every message.
pub(super) async fn with_webhook() -> (TestApp, StandIn) {
    receiver(|_| Response::new(Body::empty())).await
}

/// The messages that were sent since the last look, after the jobs were done.
pub(super) async fn messages(app: &TestApp, server: &StandIn) -> Vec<Value> {
    app.run_jobs().await;
    server.asked().iter().map(|request| serde_json::from_slice(request.body()).unwrap()).collect()
}

/// The code of the one message that was sent since the last look.
pub(super) async fn code(app: &TestApp, server: &StandIn) -> String {
    let sent = messages(app, server).await;
    let [message] = &sent[..] else { panic!("{sent:?}") };
    message["text"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned()
}

async fn ask(app: &TestApp) -> Reply {
    let reply = app.anonymous().post(OTP, json!({ "phone": NUMBER })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    app.run_jobs().await;
    reply
}

async fn later(app: &TestApp, seconds: u64) {
    app.app.clock.advance(Duration::from_secs(seconds));
    app.run_jobs().await;
}

fn status(status: StatusCode) -> Response<Body> {
    Response::builder().status(status).body(Body::from("no address is repeated from here: +4915112345678")).unwrap()
}

#[tokio::test]
async fn a_webhook_gets_number_text_and_channel() {
    let (app, server) = with_webhook().await;
    set(&app, json!({ "sms": { "template": "{{ code }} is your code for Acme" } })).await;
    ask(&app).await;
    let asked = server.asked();
    let [request] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/sms"));
    assert_eq!(request.headers()["authorization"], "Bearer token of the webhook");
    let id: uuid::Uuid = request.headers()["webhook-id"].to_str().unwrap().parse().unwrap();
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    assert_eq!((&body["to"], &body["channel"]), (&json!(NUMBER), &json!("sms")));
    let (code, rest) = body["text"].as_str().unwrap().split_once(' ').unwrap();
    assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()) && rest == "is your code for Acme", "{body}");
    assert!(!id.is_nil());
}

#[tokio::test]
async fn twilio_gets_a_form() {
    let app = by_phone().await;
    let server = StandIn::new(|_| status(StatusCode::CREATED)).await;
    let settings = |from: &str| json!({ "sms": { "provider": "twilio", "url": server.url("/"), "account_sid": "AC123", "auth_token": "hunter2", "from": from, "resend_seconds": 0 } });
    let form = |request: &Request<Bytes>| url::form_urlencoded::parse(request.body()).into_owned().collect::<Vec<(String, String)>>();
    set(&app, settings("+15005550006")).await;
    ask(&app).await;
    let asked = server.asked();
    let [request] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(request.uri().path(), "/2010-04-01/Accounts/AC123/Messages.json");
    assert_eq!(request.headers()["authorization"], format!("Basic {}", base64(b"AC123:hunter2")).as_str());
    let told = form(request);
    assert_eq!(told[0], ("To".to_owned(), NUMBER.to_owned()));
    assert!(told[1].0 == "Body" && told[1].1.starts_with("Your code is "), "{told:?}");
    assert_eq!(told[2..], [("Channel".to_owned(), "sms".to_owned()), ("From".to_owned(), "+15005550006".to_owned())]);
    // By the other channel, and by a service that has the numbers.
    let reply = app.anonymous().post(OTP, json!({ "phone": NUMBER, "channel": "whatsapp" })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    app.run_jobs().await;
    let told = form(&server.asked()[0]);
    assert_eq!((told[0].1.as_str(), told[3].1.as_str()), ("whatsapp:+4915112345678", "whatsapp:+15005550006"));
    set(&app, settings("MG0123456789abcdef0123456789abcdef")).await;
    ask(&app).await;
    assert_eq!(form(&server.asked()[0])[3], ("MessagingServiceSid".to_owned(), "MG0123456789abcdef0123456789abcdef".to_owned()));
}

#[tokio::test]
async fn what_is_not_taken_now_is_sent_again_under_the_same_name() {
    for trouble in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::TOO_MANY_REQUESTS, StatusCode::BAD_GATEWAY] {
        let (app, server) = receiver(move |_| status(trouble)).await;
        ask(&app).await;
        later(&app, 5).await;
        later(&app, 30).await;
        let asked = server.asked();
        assert_eq!(asked.len(), 3, "{trouble}");
        assert!(asked.iter().all(|request| request.headers()["webhook-id"] == asked[0].headers()["webhook-id"] && request.body() == asked[0].body()));
        assert_eq!(app.failed_jobs().await.len(), 0);
        // Nobody wants a code that is over.
        later(&app, 120).await;
        assert_eq!((server.asked().len(), app.failed_jobs().await.len()), (0, 1), "{trouble}");
    }
}

#[tokio::test]
async fn what_is_refused_is_given_up_and_shown() {
    for trouble in [StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN, StatusCode::FOUND] {
        let (app, server) = receiver(move |_| status(trouble)).await;
        ask(&app).await;
        later(&app, 5).await;
        assert_eq!(server.asked().len(), 1, "{trouble}");
        let failed = app.failed_jobs().await;
        assert_eq!((failed.len(), &failed[0]["kind"]), (1, &json!("sms")));
        let why = failed[0]["last_error"].as_str().unwrap();
        assert!(why.contains(trouble.as_str()) && !why.contains("4915112345678"), "{why}");
    }
}

#[tokio::test]
async fn who_answers_endlessly_or_without_end_holds_nothing_up() {
    let huge = |_: &Request<Bytes>| Response::new(Body::from(vec![b'x'; 2 << 20]));
    let silent = |_: &Request<Bytes>| Response::new(Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>()));
    let (huge, silent) = (receiver(huge).await, receiver(silent).await);
    let both = [&huge, &silent].map(|(app, server)| async move {
        ask(app).await;
        assert_eq!((server.asked().len(), app.failed_jobs().await.len()), (1, 0));
        app.app.clock.advance(Duration::from_mins(2));
        app.run_jobs().await;
        assert_eq!((server.asked().len(), app.failed_jobs().await.len()), (0, 1), "its code is over");
    });
    futures_util::future::join_all(both).await;
}

#[tokio::test]
async fn a_message_goes_to_no_address_that_may_not_be_called() {
    let (app, server) = with_webhook().await;
    super::set_url_of_old(&app, "/sms/url", &format!("http://10.0.0.1:{}/sms", server.port())).await;
    ask(&app).await;
    assert_eq!(server.asked().len(), 0);
    later(&app, 60).await;
    let failed = app.failed_jobs().await;
    assert!(!failed[0].to_string().contains("10.0.0.1"), "{failed:?}");
}

#[tokio::test]
async fn what_can_not_be_sent_is_refused_at_once() {
    let app = by_phone().await;
    assert_refused(&app.anonymous().post(OTP, json!({ "phone": NUMBER })).await, 422, "sms_send_failed");
    let (app, _server) = with_webhook().await;
    for channel in ["whatsapp", "pigeon"] {
        assert_refused(&app.anonymous().post(OTP, json!({ "phone": NUMBER, "channel": channel })).await, 400, "validation_failed");
    }
    assert_refused(&app.anonymous().post(OTP, json!({ "email": "a@example.com", "channel": "sms" })).await, 400, "validation_failed");
    for phone in ["0151", "+49 151 abc", "+49\r\n151", "+"] {
        assert_refused(&app.anonymous().post(OTP, json!({ "phone": phone })).await, 400, "validation_failed");
    }
    set(&app, json!({ "sign_up": { "phone": false } })).await;
    assert_refused(&app.anonymous().post(OTP, json!({ "phone": NUMBER })).await, 400, "phone_provider_disabled");
    let operator = app.operator();
    for (settings, name) in [
        (json!({ "template": "{{ token }}" }), "sms.template"),
        (json!({ "provider": "twilio" }), "sms.provider"),
        (json!({ "url": "ftp://example.com" }), "sms.url"),
        (json!({ "test_codes": { "0151": "123" } }), "sms.test_codes"),
    ] {
        let reply = operator.patch("/admin/v1/tenants/default", json!({ "settings": { "sms": settings } })).await;
        assert_eq!(reply.status, 422, "{}", reply.text());
        assert!(reply.text().contains(name), "{}", reply.text());
    }
}
