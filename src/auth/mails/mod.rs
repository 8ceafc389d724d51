//! What mails to users look like: the tenant's own templates, and before them what comes with Basalt, in five languages.

mod de;
mod en;
mod es;
mod fr;
mod zh;

use serde_json::{Value, json};

use crate::{
    error::Result,
    mail::template::{Form, render},
    tenants::{MailKind, MailTemplate, Tenant},
};

/// What Basalt says in one language.
struct Texts {
    /// Before a code that does what the button does.
    or_code: &'static str,
    /// Before a code without a button.
    only_code: &'static str,
    /// Below what somebody asked for.
    not_asked: &'static str,
    /// Below what somebody did.
    not_you: &'static str,
    mails: fn(MailKind) -> Words,
}

/// What one mail says: its subject, what follows, and its button if it has one.
struct Words(&'static str, &'static str, &'static str);

/// The languages there are, English first: it is what is taken when nothing fits.
const LANGUAGES: [(&str, Texts); 5] = [("en", en::TEXTS), ("de", de::TEXTS), ("fr", fr::TEXTS), ("es", es::TEXTS), ("zh", zh::TEXTS)];

/// A mail, written.
pub(super) struct Written {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
}

/// Writes a mail in the first of these languages that it is there in.
pub(super) fn write(tenant: &Tenant, kind: MailKind, languages: &[String], values: &Value) -> Result<Written> {
    let own = tenant.settings.mail.templates.get(&kind);
    // `pt-br` is what clients say of `pt-BR`.
    let own_of = |language: &str| own.and_then(|own| own.iter().find(|(name, _)| name.eq_ignore_ascii_case(language)).map(|(_, template)| template));
    let is_there = |language: &str| own_of(language).is_some() || LANGUAGES.iter().any(|(name, _)| name.eq_ignore_ascii_case(language));
    let fallback = [tenant.settings.mail.default_locale.clone(), "en".to_owned()];
    let candidates = languages.iter().chain(&fallback).flat_map(|language| [language.clone(), primary(language)]);
    let language = candidates.into_iter().find(|language| is_there(language)).unwrap_or_else(|| "en".to_owned());
    let nothing = MailTemplate::default();
    let own = own_of(&language).unwrap_or(&nothing);
    let standard = standard(&primary(&language), kind, values)?;
    let part = |source: &str, form: Form, standard: String| if source.is_empty() { Ok(standard) } else { render(source, values, form) };
    Ok(Written {
        subject: clipped(part(&own.subject, Form::Line, standard.subject)?),
        text: part(&own.text, Form::Text, standard.text)?,
        html: part(&own.html, Form::Html, standard.html)?,
    })
}

/// A subject of which mail servers take no offence.
fn clipped(subject: String) -> String {
    if subject.chars().count() <= 200 { subject } else { subject.chars().take(200).collect() }
}

/// `de` of `de-AT`.
fn primary(language: &str) -> String {
    language.split('-').next().unwrap_or_default().to_owned()
}

fn standard(language: &str, kind: MailKind, values: &Value) -> Result<Written> {
    let (name, texts) = LANGUAGES.iter().find(|(name, _)| name.eq_ignore_ascii_case(language)).unwrap_or(&LANGUAGES[0]);
    let Words(subject, body, button) = (texts.mails)(kind);
    let has_token = values["token"].as_str().is_some_and(|token| !token.is_empty());
    let frame = json!({
        "language": name,
        "title": render(subject, values, Form::Line)?,
        "body": render(body, values, Form::Text)?,
        "button": button,
        "url": values["confirmation_url"],
        "code": values["token"],
        "code_line": if button.is_empty() { texts.only_code } else { texts.or_code },
        "footer": if has_token || kind == MailKind::AccountExists { texts.not_asked } else { texts.not_you },
        "site_url": values["site_url"],
    });
    let subject = frame["title"].as_str().unwrap_or_default().to_owned();
    Ok(Written { subject, text: render(TEXT, &frame, Form::Text)?, html: render(HTML, &frame, Form::Html)? })
}

const TEXT: &str = "{{ title }}

{{ body }}
{% if button and url %}
{{ url }}
{% endif %}{% if code %}
{{ code_line }} {{ code }}
{% endif %}
{{ footer }}

-- 
{{ site_url }}
";

/// Tables and inline styles: mail readers know little else.
const HTML: &str = r#"<!doctype html>
<html lang="{{ language }}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{ title }}</title></head>
<body style="margin:0;padding:0;background:#f4f4f5">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="background:#f4f4f5;padding:32px 12px">
<tr><td align="center">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="max-width:480px;background:#ffffff;border-radius:12px;border:1px solid #e4e4e7">
<tr><td style="padding:32px;font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-size:16px;line-height:24px;color:#27272a">
<h1 style="margin:0 0 16px;font-size:20px;line-height:28px;color:#18181b">{{ title }}</h1>
<p style="margin:0 0 24px">{{ body }}</p>
{% if button and url %}<p style="margin:0 0 24px"><a href="{{ url }}" style="display:inline-block;padding:12px 24px;border-radius:8px;background:#18181b;color:#ffffff;font-weight:600;text-decoration:none">{{ button }}</a></p>
{% endif %}{% if code %}<p style="margin:0 0 8px;color:#52525b">{{ code_line }}</p>
<p style="margin:0 0 24px;font-family:ui-monospace,Menlo,Consolas,monospace;font-size:28px;line-height:36px;letter-spacing:6px;color:#18181b">{{ code }}</p>
{% endif %}<p style="margin:0;font-size:14px;line-height:20px;color:#71717a">{{ footer }}</p>
</td></tr></table>
<p style="margin:16px 0 0;font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-size:12px;color:#a1a1aa">{{ site_url }}</p>
</td></tr></table>
</body>
</html>
"#;
