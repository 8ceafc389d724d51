//! What mails say, and in which language.

use std::time::Duration;

use serde_json::{Value, json};

use super::set;
use crate::support::{PASSWORD, TestApp};

const RECOVER: &str = "/auth/v1/recover";
const ADA: &str = "ada@example.com";

/// The mail that somebody gets who has lost the password, whose client asks for these languages.
async fn recovery(app: &TestApp, languages: &str) -> Value {
    app.app.clock.advance(Duration::from_secs(61));
    let client = if languages.is_empty() { app.anonymous() } else { app.anonymous().header("accept-language", languages) };
    let reply = client.post(RECOVER, json!({ "email": ADA })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    app.mails(ADA).await.into_iter().next().unwrap()
}

async fn subject(app: &TestApp, languages: &str) -> String {
    recovery(app, languages).await["subject"].as_str().unwrap().to_owned()
}

const ENGLISH: &str = "Choose a new password";
const GERMAN: &str = "Wählen Sie ein neues Passwort";
const FRENCH: &str = "Choisissez un nouveau mot de passe";
const SPANISH: &str = "Elija otra contraseña";
const CHINESE: &str = "设置新密码";

#[tokio::test]
async fn a_mail_is_in_the_readers_language() {
    let app = TestApp::new().await;
    // So many mails to one address are more than a tenant lets go out.
    set(&app, json!({ "limits": { "enabled": false } })).await;
    let user = app.user(ADA, &[]).await;
    for (languages, expected) in [
        ("", ENGLISH),
        ("de", GERMAN),
        ("de-AT, en;q=0.5", GERMAN),
        ("DE-at", GERMAN),
        ("en;q=0.4, fr;q=0.9", FRENCH),
        ("pt-BR, es;q=0.8, en;q=0.1", SPANISH),
        ("zh-Hans-CN", CHINESE),
        ("tlh, *", ENGLISH),
        ("fr;q=0, de;q=0.1", GERMAN),
        ("fr;q=nonsense", ENGLISH),
        (",;=,;q=1,,", ENGLISH),
    ] {
        assert_eq!(subject(&app, languages).await, expected, "{languages:?}");
    }
    let mail = recovery(&app, "de").await;
    assert!(
        mail["html"].as_str().unwrap().contains("<html lang=\"de\">") && mail["text"].as_str().unwrap().contains("Oder geben Sie diesen Code ein"),
        "{mail}"
    );
    // What nobody knows is as the tenant wants it.
    set(&app, json!({ "mail": { "default_locale": "es" } })).await;
    assert_eq!((subject(&app, "tlh").await, subject(&app, "").await, subject(&app, "fr").await), (SPANISH.into(), SPANISH.into(), FRENCH.into()));
    // What the user says of itself goes before what its client says.
    assert_eq!(user.client.put("/auth/v1/user", json!({ "data": { "locale": "zh_CN" } })).await.status, 200);
    assert_eq!(subject(&app, "fr").await, CHINESE);
    assert_eq!(user.client.put("/auth/v1/user", json!({ "data": { "locale": 7 } })).await.status, 200);
    assert_eq!(subject(&app, "fr").await, FRENCH);
}

#[tokio::test]
async fn a_tenant_writes_its_own_mails() {
    let app = TestApp::new().await;
    let asked = json!({ "email": ADA, "password": PASSWORD, "data": { "name": "<script>alert(1)</script>" } });
    assert_eq!(app.anonymous().post("/auth/v1/signup", asked).await.status, 200);
    let templates = json!({ "recovery": {
        "pt-BR": { "subject": "Olá {{ data.name }}", "html": "<p title=\"{{ data.name }}\">{{ email }} {{ token }} {{ confirmation_url }}</p>", "text": "{{ token_hash }} {{ type }}" },
        "de": { "subject": "Neues Passwort bei Acme" },
    } });
    set(&app, json!({ "mail": { "templates": templates, "from": "Acme <hi@acme.example>" } })).await;
    let mail = recovery(&app, "pt-br").await;
    assert_eq!((&mail["subject"], &mail["from"]), (&json!("Olá <script>alert(1)</script>"), &json!("Acme <hi@acme.example>")));
    let (html, text) = (mail["html"].as_str().unwrap(), mail["text"].as_str().unwrap());
    assert!(
        html.starts_with("<p title=\"&lt;script&gt;") && html.contains(ADA) && html.contains("&#x2f;auth&#x2f;v1&#x2f;verify?token=")
            || html.contains("/auth/v1/verify?token="),
        "{html}"
    );
    assert!(!html.contains("<script>"), "{html}");
    let (hash, kind) = text.split_once(' ').unwrap();
    assert_eq!((hash.len(), kind), (56, "recovery"));
    // What it says nothing of is as it comes with Basalt, part by part and language by language.
    let mail = recovery(&app, "de").await;
    assert_eq!(mail["subject"], "Neues Passwort bei Acme");
    assert!(mail["text"].as_str().unwrap().contains(GERMAN), "{mail}");
    assert_eq!(subject(&app, "fr").await, FRENCH);
    // Links to the app survive whoever looks at them.
    set(&app, json!({ "redirects": { "site_url": "https://app.acme.example" }, "mail": { "link_path": "/auth/confirm" } })).await;
    let text = recovery(&app, "fr").await["text"].as_str().unwrap().to_owned();
    assert!(text.contains("https://app.acme.example/auth/confirm?token_hash=") && text.contains("&type=recovery"), "{text}");
}

#[tokio::test]
async fn a_template_that_can_not_be_filled_in_is_refused_when_it_is_set() {
    let app = TestApp::new().await;
    let huge = "x".repeat(64 * 1024 + 1);
    for (templates, name, why) in [
        (json!({ "recovery": { "de": { "html": "{{ token" } } }), "mail.templates.recovery.de.html", "line 1"),
        (json!({ "recovery": { "de": { "html": "<p>{{ .Token }}</p>" } } }), "mail.templates.recovery.de.html", "line 1"),
        (json!({ "invite": { "en": { "text": "{{ password }}" } } }), "mail.templates.invite.en.text", "there is no \\\"password\\\""),
        (json!({ "invite": { "en": { "subject": "{% include 'x' %}" } } }), "mail.templates.invite.en.subject", "include"),
        (json!({ "invite": { "en": { "text": "{{ token|nonsense }}" } } }), "mail.templates.invite.en.text", "nonsense"),
        (
            json!({ "invite": { "en": { "text": "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}" } } }),
            "mail.templates.invite.en.text",
            "",
        ),
        (json!({ "invite": { "en": { "text": huge } } }), "mail.templates.invite.en.text", "65536"),
        (json!({ "invite": { "not a language": { "text": "x" } } }), "mail.templates.invite.not a language", "is no language"),
        (json!({ "nonsense": { "en": { "text": "x" } } }), "nonsense", "unknown variant"),
        (json!({ "invite": { "en": { "body": "x" } } }), "body", "unknown field"),
    ] {
        let reply = app.operator().patch("/admin/v1/tenants/default", json!({ "settings": { "mail": { "templates": templates } } })).await;
        assert_eq!(reply.status, 422, "{name}: {}", reply.text());
        assert!(reply.text().contains(name) && reply.text().contains(why), "{name} {why}: {}", reply.text());
    }
    // Nothing of it was kept.
    app.user(ADA, &[]).await;
    assert_eq!(subject(&app, "de").await, GERMAN);
    let reply = app.operator().patch("/admin/v1/tenants/default", json!({ "settings": { "mail": { "default_locale": "no language" } } })).await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert!(reply.text().contains("mail.default_locale"), "{}", reply.text());
}

#[tokio::test]
async fn every_mail_can_name_all_there_is() {
    let app = TestApp::new().await;
    let all = "{{ confirmation_url }}{{ token }}{{ token_hash }}{{ type }}{{ site_url }}{{ redirect_to }}{{ email }}{{ new_email }}{{ phone }}\
               {{ new_phone }}{{ data.anything }}{{ device }}{{ factor }}{{ passkey }}{{ provider }}";
    for kind in [
        "confirmation",
        "invite",
        "magic_link",
        "recovery",
        "email_change",
        "email_change_current",
        "reauthentication",
        "account_exists",
        "password_changed",
        "email_changed",
        "phone_changed",
        "new_device",
        "factor_added",
        "factor_removed",
        "recovery_codes_made",
        "passkey_added",
        "passkey_removed",
        "identity_linked",
        "identity_unlinked",
    ] {
        let templates = json!({ kind: { "en": { "subject": all, "text": all, "html": all } } });
        set(&app, json!({ "mail": { "templates": templates } })).await;
    }
}
