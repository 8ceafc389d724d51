//! Mails on their way by SMTP: taken, put off, given up, and never more than what was written.

use std::time::Duration;

use basalt::config::{Config, SmtpEncryption};
use http::Method;
use serde_json::{Value, json};

use crate::support::{MailServer, PASSWORD, ReceivedMail, Speech, TestApp};

const SIGN_UP: &str = "/auth/v1/signup";
const ADA: &str = "ada@example.com";

fn by_smtp(config: &mut Config, port: u16) {
    "localhost".clone_into(&mut config.mail.smtp_host);
    config.mail.smtp_port = port;
    config.mail.smtp_encryption = SmtpEncryption::None;
    "Basalt <no-reply@basalt.example>".clone_into(&mut config.mail.from);
}

async fn app_of(port: u16) -> TestApp {
    confirming(TestApp::with(|config| by_smtp(config, port)).await).await
}

/// The same, where who signs up gets a mail.
async fn confirming(app: TestApp) -> TestApp {
    set(&app, json!({ "sign_up": { "email_autoconfirm": false } })).await;
    app
}

async fn set(app: &TestApp, settings: Value) {
    let reply = app.operator().patch("/admin/v1/tenants/default", json!({ "settings": settings })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// Signs up, which sends a mail, and does the jobs.
async fn sign_up(app: &TestApp) {
    let reply = app.anonymous().post(SIGN_UP, json!({ "email": ADA, "password": PASSWORD })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    app.run_jobs().await;
}

fn header(mail: &ReceivedMail, name: &str) -> String {
    let head = mail.content.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
    let line = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:"))).unwrap_or_else(|| panic!("no {name}: {head}"));
    line[name.len() + 1..].trim().to_owned()
}

async fn later(app: &TestApp, seconds: u64) {
    app.app.clock.advance(Duration::from_secs(seconds));
    app.run_jobs().await;
}

async fn retry(app: &TestApp, job: &Value) {
    let path = format!("/admin/v1/tenants/default/jobs/{}/retry", job["id"].as_str().unwrap());
    assert_eq!(app.operator().send(Method::POST, &path, "").await.status, 202);
    app.run_jobs().await;
}

#[tokio::test]
async fn a_mail_comes_as_text_and_html() {
    let server = MailServer::new(Speech::default()).await;
    let app = app_of(server.port()).await;
    set(&app, json!({ "mail": { "from": "Acme Payroll <pay@acme.example>" } })).await;
    sign_up(&app).await;
    let received = server.received();
    let [mail] = &received[..] else { panic!("{received:?}") };
    assert_eq!((mail.from.as_str(), &mail.to), ("pay@acme.example", &vec![ADA.to_owned()]));
    assert_eq!(
        (header(mail, "from"), header(mail, "subject")),
        ("Acme Payroll <pay@acme.example>".replace("Acme Payroll", "\"Acme Payroll\""), "Confirm your mail address".to_owned())
    );
    assert!(header(mail, "message-id").ends_with("@basalt.example>"), "{}", mail.content);
    assert!(header(mail, "content-type").starts_with("multipart/alternative"));
    assert!(mail.content.contains("text/plain") && mail.content.contains("text/html"));
    assert_eq!(app.failed_jobs().await.len(), 0);
}

#[tokio::test]
async fn what_is_refused_for_a_while_is_tried_again() {
    let server = MailServer::new(Speech::default()).await;
    let app = app_of(server.port()).await;
    server.answer("RCPT", "450 4.2.1 come again");
    sign_up(&app).await;
    server.answer(".", "451 4.3.0 out of space");
    later(&app, 4).await;
    assert_eq!((server.received().len(), app.failed_jobs().await.len()), (0, 0), "not yet, and not given up");
    later(&app, 1).await;
    assert_eq!(server.received().len(), 0, "put off once more");
    later(&app, 29).await;
    assert_eq!(server.received().len(), 0, "for longer than before");
    later(&app, 1).await;
    assert_eq!(server.received().len(), 1);
    later(&app, 86_400).await;
    assert_eq!((server.received().len(), app.failed_jobs().await.len()), (0, 0), "once");
}

#[tokio::test]
async fn what_is_refused_for_good_is_given_up_and_can_be_retried() {
    let server = MailServer::new(Speech::default()).await;
    let app = app_of(server.port()).await;
    server.answer("RCPT", "550 5.1.1 <ada@example.com> is nobody here");
    sign_up(&app).await;
    let failed = app.failed_jobs().await;
    assert_eq!((failed.len(), &failed[0]["kind"], &failed[0]["attempts"]), (1, &json!("auth_mail"), &json!(1)));
    let why = failed[0]["last_error"].as_str().unwrap();
    assert!(why.contains("550") && why.contains("is nobody here") && !why.contains(ADA), "{why}");
    assert!(failed[0]["failed_at"].is_string(), "{failed:?}");
    later(&app, 86_400).await;
    assert_eq!(server.received().len(), 0);
    assert_eq!(app.operator().get("/admin/v1/tenants/other/jobs").await.json(), json!({ "jobs": [] }));
    retry(&app, &failed[0]).await;
    assert_eq!((server.received().len(), app.failed_jobs().await.len()), (1, 0));
    // Gone, it can't be retried; nor by somebody else.
    let path = format!("/admin/v1/tenants/default/jobs/{}/retry", failed[0]["id"].as_str().unwrap());
    assert_eq!(app.operator().send(Method::POST, &path, "").await.status, 404);
    assert_eq!(app.service().send(Method::POST, &path, "").await.status, 401);
}

#[tokio::test]
async fn where_nobody_listens_a_mail_waits_for_half_a_day() {
    let port = MailServer::new(Speech::default()).await.port();
    let app = app_of(port).await;
    sign_up(&app).await;
    for seconds in [5, 30, 120, 600, 1800, 3600, 3 * 3600] {
        later(&app, seconds).await;
        assert_eq!(app.failed_jobs().await.len(), 0, "after {seconds} more seconds");
    }
    later(&app, 6 * 3600).await;
    let failed = app.failed_jobs().await;
    assert_eq!((failed.len(), &failed[0]["attempts"]), (1, &json!(9)));
    let server = MailServer::at(port, Speech::default()).await;
    retry(&app, &failed[0]).await;
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_silent_server_is_left_and_asked_again() {
    let server = MailServer::new(Speech::default()).await;
    let app = TestApp::with(|config| {
        by_smtp(config, server.port());
        config.mail.smtp_timeout_seconds = 1;
    })
    .await;
    let app = confirming(app).await;
    server.answer("MAIL", "");
    sign_up(&app).await;
    assert_eq!((server.received().len(), app.failed_jobs().await.len()), (0, 0));
    later(&app, 5).await;
    assert_eq!(server.received().len(), 1);
}

const CREDENTIALS: (&str, &str) = ("basalt", "correct horse");

async fn with_starttls(server: &MailServer, password: &str, certificate: Option<&str>) -> TestApp {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certificate.unwrap_or_default()).unwrap();
    let app = TestApp::with(|config| {
        by_smtp(config, server.port());
        config.mail.smtp_encryption = SmtpEncryption::Starttls;
        (config.mail.smtp_username, config.mail.smtp_password) = (CREDENTIALS.0.to_owned(), password.to_owned());
        if certificate.is_some() {
            file.path().clone_into(&mut config.mail.smtp_ca_file);
        }
    })
    .await;
    confirming(app).await
}

#[tokio::test]
async fn mails_and_passwords_go_by_tls_where_it_is_asked_for() {
    let server = MailServer::new(Speech { credentials: Some(CREDENTIALS), starttls: true }).await;
    let app = with_starttls(&server, CREDENTIALS.1, Some(server.certificate())).await;
    sign_up(&app).await;
    assert_eq!(server.received().len(), 1);
    let heard = server.heard_in_clear();
    assert!(heard.iter().all(|line| line.starts_with("EHLO") || line == "STARTTLS"), "{heard:?}");
}

#[tokio::test]
async fn nothing_is_told_to_a_server_that_may_be_another() {
    // A certificate that nobody vouches for, and somebody on the way who hides that there is TLS.
    for speech in [Speech { credentials: Some(CREDENTIALS), starttls: true }, Speech { credentials: Some(CREDENTIALS), starttls: false }] {
        let server = MailServer::new(speech).await;
        let other = MailServer::new(Speech::default()).await;
        let app = with_starttls(&server, CREDENTIALS.1, Some(other.certificate())).await;
        sign_up(&app).await;
        assert_eq!(server.received().len(), 0);
        let heard = server.heard_in_clear();
        assert!(!heard.is_empty() && !heard.iter().any(|line| line.starts_with("AUTH") || line.starts_with("MAIL")), "{heard:?}");
        assert_eq!(app.failed_jobs().await.len(), 0, "the operator mends it");
    }
}

#[tokio::test]
async fn a_wrong_password_of_the_operators_gives_no_mail_up() {
    let server = MailServer::new(Speech { credentials: Some(CREDENTIALS), starttls: true }).await;
    let app = with_starttls(&server, "wrong", Some(server.certificate())).await;
    sign_up(&app).await;
    assert_eq!((server.received().len(), app.failed_jobs().await.len()), (0, 0));
    server.answer("AUTH", "235 welcome after all");
    later(&app, 5).await;
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_file_without_a_certificate_is_refused_at_the_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "no certificate").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let flags = vec![
        ("data_dir".to_owned(), directory.path().join("data").display().to_string()),
        ("mail.smtp_host".to_owned(), "localhost".to_owned()),
        ("mail.smtp_ca_file".to_owned(), file.path().display().to_string()),
    ];
    let config = Config::load(basalt::config::Sources { file: None, environment: Vec::new(), flags }).unwrap();
    let error = basalt::app::App::open(config, basalt::clock::Clock::manual()).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("mail.smtp_ca_file") && error.contains("no certificate"), "{error}");
}

// ASVS 1.3.11
#[tokio::test]
async fn nobody_writes_a_header_into_a_mail() {
    let server = MailServer::new(Speech::default()).await;
    let app = app_of(server.port()).await;
    let evil = "Ada\r\nBcc: eve@example.org\r\n\r\n<b>Hi</b>\u{2028}Cc: eve@example.org";
    for address in
        ["ada@example.com\r\nBcc: eve@example.org", "ada@example.com\nRCPT TO:<eve@example.org>", "\r\nada@example.com", "ada@exa\rmple.com"]
    {
        for (path, body) in [
            (SIGN_UP, json!({ "email": address, "password": PASSWORD })),
            ("/auth/v1/otp", json!({ "email": address })),
            ("/auth/v1/recover", json!({ "email": address })),
        ] {
            assert_eq!(app.anonymous().post(path, body).await.status, 400, "{path} {address:?}");
        }
        for path in ["/auth/v1/invite", "/auth/v1/admin/users"] {
            assert_eq!(app.service().post(path, json!({ "email": address })).await.status, 400, "{path} {address:?}");
        }
    }
    for from in ["Acme\r\nBcc: eve@example.org <pay@acme.example>", "pay@acme.example\r\nBcc: eve@example.org"] {
        let reply = app.operator().patch("/admin/v1/tenants/default", json!({ "settings": { "mail": { "from": from } } })).await;
        assert_eq!(reply.status, 422, "{from:?}: {}", reply.text());
    }
    let template =
        json!({ "confirmation": { "en": { "subject": "Hi {{ data.name }}", "text": "{{ data.name }}", "html": "<p>{{ data.name }}</p>" } } });
    set(&app, json!({ "mail": { "templates": template } })).await;
    let asked = json!({ "email": ADA, "password": PASSWORD, "data": { "name": evil } });
    let client = app.anonymous().header("redirect_to", "https://app.example.com/x");
    assert_eq!(client.post(SIGN_UP, asked).await.status, 200);
    app.run_jobs().await;
    let received = server.received();
    let [mail] = &received[..] else { panic!("{received:?}") };
    assert_eq!(mail.to, [ADA]);
    let head = mail.content.split("\r\n\r\n").next().unwrap();
    assert!(!head.lines().any(|line| line.to_lowercase().starts_with("bcc") || line.to_lowercase().starts_with("cc")), "{head}");
    assert_eq!(header(mail, "subject"), "Hi Ada Bcc: eve@example.org <b>Hi</b> Cc: eve@example.org");
    let html = mail.content.split("text/html").nth(1).unwrap();
    assert!(html.contains("&lt;b&gt;Hi&lt;") && !html.contains("<b>"), "{html}");
}
