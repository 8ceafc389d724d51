//! Text messages, sent as jobs by whoever the tenant has chosen.

use http::{Request, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{
    error::{AuthCode, AuthError},
    hooks, message,
    one_time_token::NewToken,
    phone::Phone,
    session::shown_user,
    sql,
};
use crate::{
    app::App,
    crypto::base64,
    db::Timestamp,
    error::{Error, Result},
    jobs::{Job, JobError, NewJob},
    mail::template::{Form, render},
    tenants::{SmsProvider, Tenant, TenantId},
};

const TWILIO: &str = "https://api.twilio.com";

/// A message on its way.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sms {
    /// The number, with its plus.
    to: String,
    text: String,
    /// `sms` or `whatsapp`.
    channel: String,
    /// When its code is over, and it need not be sent any more.
    expires_at: i64,
    /// Whose it is.
    user: Uuid,
    code: String,
    /// What the code is for.
    kind: String,
}

/// The job that sends a token's code to the number that it is for, to be enqueued in the transaction that stores the token. `None` for the
/// numbers of tests, which have their code.
pub(super) fn prepare(app: &App, tenant: &Tenant, token: &NewToken, channel: &str) -> Result<Option<NewJob>> {
    let digits = &token.row.address;
    if tenant.settings.sms.test_code(digits).is_some() {
        return Ok(None);
    }
    let message = Message { user: token.row.user_id, digits, code: &token.code, kind: &token.row.purpose, expires_at: token.row.expires_at };
    prepare_message(app, tenant, &message, channel).map(Some)
}

/// A code for a number.
pub(super) struct Message<'m> {
    /// Whose it is.
    pub(super) user: Uuid,
    /// The number, without its plus.
    pub(super) digits: &'m str,
    pub(super) code: &'m str,
    /// What it is for, as a hook is told.
    pub(super) kind: &'m str,
    pub(super) expires_at: Timestamp,
}

/// The job that sends a code to its number.
pub(super) fn prepare_message(app: &App, tenant: &Tenant, message: &Message<'_>, channel: &str) -> Result<NewJob> {
    let text = render(&tenant.settings.sms.template, &json!({ "code": message.code }), Form::Text)?;
    let sms = Sms {
        to: format!("+{}", message.digits),
        text,
        channel: channel.to_owned(),
        expires_at: message.expires_at.seconds(),
        user: message.user,
        code: message.code.to_owned(),
        kind: message.kind.to_owned(),
    };
    app.jobs.prepare(tenant.id, &sms)
}

/// Refuses a number that nobody could send a message to, and a channel that there is not. The channel as it is meant.
pub(super) fn check_channel(tenant: &Tenant, phone: &Phone, channel: Option<&str>) -> Result<String, AuthError> {
    let sms = &tenant.settings.sms;
    let channel = channel.filter(|channel| !channel.is_empty()).unwrap_or("sms");
    if !(channel == "sms" || channel == "whatsapp" && sms.provider == SmsProvider::Twilio) {
        let message = "Invalid channel, supported values are 'sms' or 'whatsapp'. 'whatsapp' is only supported if Twilio is used as the provider.";
        return Err(AuthError::validation(message));
    }
    if sms.provider == SmsProvider::None && !hooks::sends_sms(tenant) && sms.test_code(phone.as_str()).is_none() {
        return Err(AuthError::unprocessable(AuthCode::SmsSendFailed, "Unable to get SMS provider"));
    }
    Ok(channel.to_owned())
}

impl Job for Sms {
    const KIND: &'static str = "sms";

    async fn run(self, app: &App, tenant: TenantId, id: Uuid) -> Result<(), JobError> {
        if app.clock.now().seconds() >= self.expires_at {
            return Err(JobError::GiveUp("its code is over".to_owned()));
        }
        let tenant = message::active(app, tenant).await?;
        if hooks::sends_sms(&tenant) {
            return self.hand_over(app, &tenant, id).await;
        }
        let request = self.request(app, &tenant, id)?.ok_or_else(|| JobError::GiveUp("the tenant has nobody who sends messages".to_owned()))?;
        let answer = app.outbound.send(request).await.map_err(|error| JobError::Retry(format!("the sender of messages: {error}")))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status @ (StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) => Err(JobError::Retry(format!("it was answered with {status}"))),
            status if status.is_client_error() || status.is_redirection() => Err(JobError::GiveUp(format!("it was answered with {status}"))),
            status => Err(JobError::Retry(format!("it was answered with {status}"))),
        }
    }
}

impl Sms {
    /// Has the tenant's hook send it.
    async fn hand_over(&self, app: &App, tenant: &Tenant, id: Uuid) -> Result<(), JobError> {
        let conn = app.db.read().await?;
        let Some(user) = sql::find_user(&conn, tenant.id, self.user).await? else { return Ok(()) };
        let user = shown_user(&conn, tenant.id, user).await?;
        drop(conn);
        let sms = json!({ "otp": self.code, "phone": self.to.trim_start_matches('+'), "sms_type": self.kind });
        hooks::send_sms(app, tenant, id, &user, &sms).await
    }

    fn request(&self, app: &App, tenant: &Tenant, id: Uuid) -> Result<Option<Request<Vec<u8>>>> {
        let settings = &tenant.settings.sms;
        let secret = settings.auth_token.open(&app.master_key, tenant.id)?;
        let secret = secret.as_ref().map(secrecy::ExposeSecret::expose_secret).unwrap_or_default();
        let request = match settings.provider {
            SmsProvider::None => return Ok(None),
            SmsProvider::Webhook => {
                let body = json!({ "to": self.to, "text": self.text, "channel": self.channel });
                let builder = Request::post(&settings.url).header(header::CONTENT_TYPE, "application/json").header("webhook-id", id.to_string());
                let builder = if secret.is_empty() { builder } else { builder.header(header::AUTHORIZATION, format!("Bearer {secret}")) };
                builder.body(serde_json::to_vec(&body)?)
            }
            SmsProvider::Twilio => {
                let base = if settings.url.is_empty() { TWILIO } else { settings.url.trim_end_matches('/') };
                let url = format!("{base}/2010-04-01/Accounts/{}/Messages.json", settings.account_sid);
                let credentials = base64(format!("{}:{secret}", settings.account_sid).as_bytes());
                Request::post(url)
                    .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .header(header::AUTHORIZATION, format!("Basic {credentials}"))
                    .body(self.twilio_form(&settings.from).into_bytes())
            }
        };
        request.map(Some).map_err(Error::internal)
    }

    fn twilio_form(&self, from: &str) -> String {
        let prefix = if self.channel == "whatsapp" { "whatsapp:" } else { "" };
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("To", &format!("{prefix}{}", self.to)).append_pair("Body", &self.text).append_pair("Channel", &self.channel);
        // The name of a messaging service, which has numbers of its own.
        if from.starts_with("MG") && from.len() > 20 {
            form.append_pair("MessagingServiceSid", from);
        } else {
            form.append_pair("From", &format!("{prefix}{from}"));
        }
        form.finish()
    }
}
