//! Mails to users on their way: what one is about is a job's payload, and it is written when it is sent.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    hooks::{self, EmailData},
    link, mails,
    model::UserRow,
    one_time_token::NewToken,
    redirect,
    session::shown_user,
    sql,
};
use crate::{
    app::App,
    error::Error,
    jobs::{Job, JobError},
    mail::Mail,
    tenants::{MailKind, Tenant, TenantId},
};

/// A mail to a user, still to be written.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct AuthMail {
    pub(super) kind: Option<MailKind>,
    pub(super) user: Uuid,
    /// Where it goes; the user may have another address by the time it does.
    pub(super) to: String,
    pub(super) email: String,
    pub(super) new_email: String,
    pub(super) new_phone: String,
    /// The digits of the number before.
    pub(super) old_phone: String,
    pub(super) token: Option<MailToken>,
    /// What the mail carries that goes to the other address, where two have to agree.
    pub(super) pair: Option<MailToken>,
    pub(super) redirect_to: String,
    /// What the client said of its languages.
    pub(super) languages: String,
    pub(super) device: String,
    pub(super) factor: String,
    pub(super) factor_type: String,
    pub(super) passkey: String,
    pub(super) provider: String,
}

/// What a mail carries.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct MailToken {
    pub(super) code: String,
    pub(super) hash: String,
    pub(super) wire_type: String,
}

impl MailToken {
    pub(super) fn of(token: &NewToken) -> Option<Self> {
        let wire_type = token.row.purpose()?.wire_type().to_owned();
        Some(Self { code: token.code.clone(), hash: token.hash.clone(), wire_type })
    }
}

impl AuthMail {
    /// A mail to the user's own address.
    pub(super) fn to_user(kind: MailKind, user: &UserRow) -> Self {
        let email = user.email.clone().unwrap_or_default();
        Self { kind: Some(kind), user: user.id, to: email.clone(), email, ..Self::default() }
    }

    fn values(&self, app: &App, tenant: &Tenant, user: &UserRow) -> Value {
        let token = self.token.as_ref();
        let site = redirect::site(app, tenant);
        json!({
            "confirmation_url": token.map(|token| link::confirmation(tenant, &site, token, &self.redirect_to)).unwrap_or_default(),
            "token": token.map_or("", |token| &token.code),
            "token_hash": token.map_or("", |token| &token.hash),
            "type": token.map_or("", |token| &token.wire_type),
            "site_url": site.as_str().trim_end_matches('/'),
            "redirect_to": self.redirect_to,
            "email": self.email,
            "new_email": self.new_email,
            "phone": user.phone.as_deref().map(|digits| format!("+{digits}")).unwrap_or_default(),
            "new_phone": self.new_phone,
            "data": user.user_metadata.0,
            "device": self.device,
            "factor": self.factor,
            "passkey": self.passkey,
            "provider": self.provider,
        })
    }
}

impl AuthMail {
    /// Has the tenant's hook send it.
    async fn hand_over(&self, app: &App, tenant: &Tenant, user: UserRow, kind: MailKind, id: Uuid) -> Result<(), JobError> {
        // One call names both codes: that of the mail to the address that is.
        if kind == MailKind::EmailChange && self.pair.is_some() {
            return Ok(());
        }
        let user = shown_user(&app.db.read().await?, tenant.id, user).await?;
        let nothing = MailToken::default();
        let own = self.token.as_ref().unwrap_or(&nothing);
        let (token_hash, token_new, token_hash_new) = match &self.pair {
            Some(new) => (&new.hash, &new.code, &own.hash),
            None => (&own.hash, &nothing.code, &nothing.hash),
        };
        let data = EmailData {
            token: &own.code,
            token_hash,
            redirect_to: &self.redirect_to,
            email_action_type: action_type(kind),
            site_url: &tenant.issuer,
            token_new,
            token_hash_new,
            old_email: if kind == MailKind::EmailChanged { &self.email } else { "" },
            old_phone: &self.old_phone,
            provider: &self.provider,
            factor_type: &self.factor_type,
        };
        hooks::send_email(app, tenant, id, &user, &data).await
    }
}

/// What upstream calls a mail, where upstream has one.
fn action_type(kind: MailKind) -> &'static str {
    match kind {
        MailKind::Confirmation => "signup",
        MailKind::Invite => "invite",
        MailKind::MagicLink => "magiclink",
        MailKind::Recovery => "recovery",
        MailKind::EmailChange | MailKind::EmailChangeCurrent => "email_change",
        MailKind::Reauthentication => "reauthentication",
        MailKind::AccountExists => "account_exists_notification",
        MailKind::PasswordChanged => "password_changed_notification",
        MailKind::EmailChanged => "email_changed_notification",
        MailKind::PhoneChanged => "phone_changed_notification",
        MailKind::NewDevice => "new_device_notification",
        MailKind::FactorAdded => "mfa_factor_enrolled_notification",
        MailKind::FactorRemoved => "mfa_factor_unenrolled_notification",
        MailKind::RecoveryCodesMade => "mfa_recovery_codes_made_notification",
        MailKind::PasskeyAdded => "passkey_added_notification",
        MailKind::PasskeyRemoved => "passkey_removed_notification",
        MailKind::IdentityLinked => "identity_linked_notification",
        MailKind::IdentityUnlinked => "identity_unlinked_notification",
    }
}

impl Job for AuthMail {
    const KIND: &'static str = "auth_mail";

    async fn run(self, app: &App, tenant: TenantId, id: Uuid) -> Result<(), JobError> {
        let tenant = active(app, tenant).await?;
        let Some(user) = sql::find_user(&app.db.read().await?, tenant.id, self.user).await? else { return Ok(()) };
        let kind = self.kind.ok_or_else(|| JobError::GiveUp("it says not what it is about".to_owned()))?;
        if hooks::sends_emails(&tenant) {
            return self.hand_over(app, &tenant, user, kind, id).await;
        }
        let languages = languages(&user, &self.languages);
        let written = mails::write(&tenant, kind, &languages, &self.values(app, &tenant, &user)).map_err(|error| match error {
            Error::Invalid { why, .. } => JobError::GiveUp(format!("its template can't be filled in: {why}")),
            error => error.into(),
        })?;
        let from = &tenant.settings.mail.from;
        let from = (!from.is_empty()).then(|| from.clone());
        Mail { to: self.to, from, subject: written.subject, text: written.text, html: written.html }.run(app, tenant.id, id).await
    }
}

/// The tenant of a job, if it is served.
pub(super) async fn active(app: &App, tenant: TenantId) -> Result<std::sync::Arc<Tenant>, JobError> {
    app.tenants.active_by_id(tenant).await?.ok_or_else(|| JobError::Retry("its tenant is not served".to_owned()))
}

/// The languages of a user, best first: what it says itself, then what its client says.
fn languages(user: &UserRow, accepted: &str) -> Vec<String> {
    let own = user.user_metadata.0["locale"].as_str().map(|locale| locale.replace('_', "-"));
    let mut asked: Vec<(f32, &str)> = accepted
        .split(',')
        .filter_map(|part| {
            let (language, weight) = part.split_once(';').unwrap_or((part, "q=1"));
            let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse().ok()).unwrap_or(0.0);
            Some((weight, language.trim())).filter(|(weight, language)| *weight > 0.0 && !language.is_empty())
        })
        .collect();
    asked.sort_by(|left, right| right.0.total_cmp(&left.0));
    own.into_iter().chain(asked.into_iter().map(|(_, language)| language.to_owned())).take(10).collect()
}
