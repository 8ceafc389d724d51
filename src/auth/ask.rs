//! A mail or a message that somebody asks for by an address.
//!
//! Whether anybody has the address must not be seen, neither in the answer nor in the time it takes. So a request only writes down what is
//! asked for and how lately it was asked for before; a job finds out who has the address, and what is due to them.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{
    email::Email,
    error::{AuthCode, AuthError},
    flow_state::Challenge,
    limits::{self, CountedMessage, Peer},
    message::{self, AuthMail, MailToken},
    model::{EMAIL_PROVIDER, IdentityRow, UserRow},
    one_time_token::{self, NewToken, Purpose, Wanted, address_digest},
    phone::Phone,
    sms,
    sql::{self, messages},
};
use crate::{
    app::App,
    audit::{self, Action, Event, Origin},
    db::{Conn, Timestamp, Tx},
    error::Result as DbResult,
    jobs::{self, Job, JobError, NewJob},
    tenants::{MailKind, Tenant, TenantId},
};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Asked {
    /// To confirm the address of somebody who signed up, who may have done so before.
    SignUp,
    /// The same mail once more.
    ConfirmationAgain,
    /// To sign in without a password.
    SignIn,
    /// To choose another password.
    Recovery,
    /// The mails of a change of address once more.
    EmailChangeAgain,
    /// The message of a change of number once more.
    PhoneChangeAgain,
}

impl Asked {
    /// Things of one kind count together when it is said how often they may be asked for.
    fn kind(self) -> &'static str {
        match self {
            Self::SignUp | Self::ConfirmationAgain => "confirmation",
            Self::SignIn => "sign_in",
            Self::Recovery => "recovery",
            Self::EmailChangeAgain => EMAIL_CHANGE,
            Self::PhoneChangeAgain => PHONE_CHANGE,
        }
    }
}

/// The kinds that a signed-in user can ask for, too.
pub(super) const EMAIL_CHANGE: &str = "email_change";
pub(super) const PHONE_CHANGE: &str = "phone_change";
pub(super) const REAUTHENTICATION: &str = "reauthentication";
pub(super) const PHONE_FACTOR: &str = "phone_factor";

/// `code_challenge` and `code_challenge_method` of a request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Pkce {
    pub(super) code_challenge: Option<String>,
    pub(super) code_challenge_method: Option<String>,
}

impl Pkce {
    /// The challenge, if there is one; refused when it is half of one.
    pub(super) fn read(&self) -> Result<Option<Challenge>, AuthError> {
        Challenge::read(self.code_challenge.as_deref(), self.code_challenge_method.as_deref())
    }
}

/// Something that was asked for by an address.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ask {
    pub(super) asked: Asked,
    /// The mail address, or the digits of the phone number.
    pub(super) address: String,
    /// `code_challenge` and its method, as they came.
    pub(super) challenge: Pkce,
    pub(super) redirect_to: String,
    pub(super) languages: String,
    /// `sms` or `whatsapp`.
    pub(super) channel: String,
    /// Where it was asked.
    #[serde(default = "Origin::here")]
    origin: Origin,
    /// Whether a server of the tenant asks, which may send as many messages as it likes.
    #[serde(default)]
    by_server: bool,
}

/// What a tenant says of how often something may be asked for.
fn pause(tenant: &Tenant, address: &str) -> u32 {
    if address.contains('@') { tenant.settings.mail.resend_seconds } else { tenant.settings.sms.resend_seconds }
}

/// How often something may be asked for by one address.
pub(super) struct Frequency {
    tenant: TenantId,
    now: Timestamp,
    kind: &'static str,
    address: [u8; 32],
    pause: i64,
    is_mail: bool,
}

impl Frequency {
    pub(super) fn of(app: &App, tenant: &Tenant, now: Timestamp, kind: &'static str, address: &str) -> Self {
        let is_mail = address.contains('@');
        let digest = address_digest(&app.master_key, tenant.id, address);
        Self { tenant: tenant.id, now, kind, address: digest, pause: i64::from(pause(tenant, address)), is_mail }
    }

    /// Notes that it is asked for now; or tells in how many seconds it may be.
    pub(super) async fn note(&self, tx: &Tx) -> DbResult<Option<TooSoon>> {
        let since = self.now.plus_seconds(-self.pause);
        if messages::request(tx, self.tenant, self.now, self.kind, &self.address, since).await? {
            return Ok(None);
        }
        let last = messages::requested_at(tx, self.tenant, self.kind, &self.address).await?;
        Ok(Some(self.too_soon_after(last.unwrap_or(self.now))))
    }

    /// Tells in how many seconds it may be asked for, if not now, and notes nothing.
    pub(super) async fn wait(&self, conn: &Conn) -> DbResult<Option<TooSoon>> {
        let last = messages::requested_at(conn, self.tenant, self.kind, &self.address).await?;
        Ok(last.filter(|last| *last > self.now.plus_seconds(-self.pause)).map(|last| self.too_soon_after(last)))
    }

    fn too_soon_after(&self, last: Timestamp) -> TooSoon {
        let micros = last.plus_seconds(self.pause).micros() - self.now.micros();
        TooSoon { seconds: (micros + 999_999).div_euclid(1_000_000).max(1), is_mail: self.is_mail }
    }
}

/// It was asked for just before.
pub(super) struct TooSoon {
    seconds: i64,
    is_mail: bool,
}

impl From<TooSoon> for AuthError {
    fn from(wait: TooSoon) -> Self {
        let code = if wait.is_mail { AuthCode::OverEmailSendRateLimit } else { AuthCode::OverSmsSendRateLimit };
        let message = format!("For security purposes, you can only request this after {} seconds.", wait.seconds);
        Self::too_many(code, message, wait.seconds)
    }
}

impl Ask {
    /// By a mail address.
    pub(super) fn by_mail(asked: Asked, email: Email, challenge: Pkce, redirect_to: String, languages: String) -> Self {
        let (address, channel) = (email.into(), String::new());
        Self { asked, address, challenge, redirect_to, languages, channel, origin: Origin::here(), by_server: false }
    }

    /// By a phone number.
    pub(super) fn by_phone(asked: Asked, phone: Phone, channel: String) -> Self {
        let (address, challenge, redirect_to, languages) = (phone.into(), Pkce::default(), String::new(), String::new());
        Self { asked, address, challenge, redirect_to, languages, channel, origin: Origin::here(), by_server: false }
    }

    /// How often it may be asked for.
    pub(super) fn frequency(&self, app: &App, tenant: &Tenant, now: Timestamp) -> Frequency {
        Frequency::of(app, tenant, now, self.asked.kind(), &self.address)
    }

    /// Writes down what is asked for. The job that does it is named.
    pub(super) async fn submit(self, app: &App, tenant: &Tenant, peer: &Peer) -> Result<Uuid, AuthError> {
        self.submit_for(app, tenant, peer, None).await
    }

    /// The same, for somebody who becomes a user if nobody has the address.
    pub(super) async fn submit_for(mut self, app: &App, tenant: &Tenant, peer: &Peer, newcomer: Option<Newcomer>) -> Result<Uuid, AuthError> {
        let (now, id) = (app.clock.now(), tenant.id);
        let frequency = self.frequency(app, tenant, now);
        let sent = limits::message(app, tenant, &self.address, peer).await?;
        self.by_server = peer.is_service();
        let job = app.jobs.prepare(tenant.id, &self)?;
        let (job_id, signed_up) = (job.id(), Event::of(Action::UserSignedUp, self.origin));
        let refused = app
            .db
            .write(move |tx| async move {
                if let Some(wait) = frequency.note(&tx).await? {
                    return Ok(Some(wait));
                }
                if let Some(newcomer) = newcomer
                    && sql::insert_user(&tx, id, &newcomer.user).await?
                {
                    sql::insert_identity(&tx, id, &newcomer.identity).await?;
                    let signed_up = signed_up.by_user(newcomer.user.id).with("provider", newcomer.identity.provider);
                    audit::note(&tx, id, now, &signed_up).await?;
                    jobs::enqueue_all(&tx, now, newcomer.told.as_slice()).await?;
                }
                jobs::enqueue(&tx, now, &job).await?;
                Ok(None)
            })
            .await?;
        app.jobs.wake();
        let Some(wait) = refused else { return Ok(job_id) };
        sent.take_back(app).await?;
        Err(wait.into())
    }
}

/// Who becomes a user if nobody has the address.
pub(super) struct Newcomer {
    pub(super) user: UserRow,
    pub(super) identity: IdentityRow,
    /// Tells the tenant's hook that there is a new user.
    pub(super) told: Option<NewJob>,
}

impl Job for Ask {
    const KIND: &'static str = "auth_ask";

    async fn run(self, app: &App, tenant: TenantId, _: Uuid) -> Result<(), JobError> {
        let tenant = message::active(app, tenant).await?;
        let user = sql::find_user_by_address(&app.db.read().await?, tenant.id, &self.address).await?;
        let now = app.clock.now();
        let mut due = match &user {
            Some(user) => self.due(app, &tenant, now, user)?,
            None => None,
        };
        let counted = self.count_elsewhere(app, &tenant, due.as_ref()).await?;
        // Who asked is not told: it would show that there is a change to be confirmed.
        due = due.filter(|_| counted.is_some());
        let event = self.event(user.as_ref(), due.as_ref());
        let id = tenant.id;
        let stored = app
            .db
            .write(move |tx| async move {
                if let Some(due) = due {
                    due.store(&tx, id, now).await?;
                }
                audit::note(&tx, id, now, &event).await
            })
            .await;
        if let (Err(_), Some(counted)) = (&stored, counted) {
            counted.take_back(app).await?;
        }
        app.jobs.wake();
        Ok(stored?)
    }
}

impl Ask {
    /// Counts what goes to another address than the one that it was asked for by, which was counted when it was. `None` if that address has
    /// had too many.
    async fn count_elsewhere(&self, app: &App, tenant: &Tenant, due: Option<&Due>) -> Result<Option<CountedMessage>, JobError> {
        let addresses = due.into_iter().flat_map(|due| &due.tokens).map(|token| token.row.address.as_str());
        let elsewhere: Vec<&str> = addresses.filter(|address| !self.by_server && *address != self.address).collect();
        match limits::messages_of_anybody(app, tenant, &elsewhere).await {
            Ok(counted) => Ok(Some(counted)),
            Err(error) if error.status() == StatusCode::TOO_MANY_REQUESTS => Ok(None),
            Err(error) => Err(JobError::Retry(format!("what it would send can't be counted: {error}"))),
        }
    }

    /// What the audit log says of it.
    fn event(&self, user: Option<&UserRow>, due: Option<&Due>) -> Event {
        let action = match self.asked {
            Asked::SignIn | Asked::Recovery => Action::UserRecoveryRequested,
            Asked::SignUp | Asked::ConfirmationAgain | Asked::EmailChangeAgain | Asked::PhoneChangeAgain => Action::UserConfirmationRequested,
        };
        let is_sent = due.is_some_and(|due| !due.tokens.is_empty() || !due.jobs.is_empty());
        let event = Event::of(action, self.origin.clone()).with("asked", self.asked.kind()).with("sent", is_sent);
        user.map(|user| user.id).into_iter().fold(event, Event::about)
    }

    /// What the user gets, if anything.
    fn due(&self, app: &App, tenant: &Tenant, now: Timestamp, user: &UserRow) -> DbResult<Option<Due>> {
        if !self.address.contains('@') {
            return self.due_by_phone(app, tenant, now, user);
        }
        let is_confirmed = user.email_confirmed_at.is_some();
        // It was read when it came.
        let challenge = self.challenge.read().unwrap_or_default();
        // Who gets in by a link that was asked for by the address alone has shown nothing of the password that somebody chose for it, or of the
        // provider that somebody came by.
        let is_bare = user.encrypted_password.is_none() && user.app_metadata.0["providers"] == json!([EMAIL_PROVIDER]);
        let has_only_address = is_bare && !tenant.settings.sign_up.email_autoconfirm;
        let (kind, purpose) = match self.asked {
            Asked::SignUp if is_confirmed => {
                let mail = self.mail(MailKind::AccountExists, user);
                let jobs = if tenant.settings.mail.notices.account_exists { vec![app.jobs.prepare(tenant.id, &mail)?] } else { Vec::new() };
                return Ok(Some(Due { user: user.id, address: self.address.clone(), tokens: Vec::new(), jobs }));
            }
            Asked::ConfirmationAgain if is_confirmed => return Ok(None),
            Asked::SignUp | Asked::ConfirmationAgain => (MailKind::Confirmation, Purpose::Confirmation),
            Asked::SignIn if !is_confirmed && has_only_address => (MailKind::Confirmation, Purpose::Confirmation),
            Asked::SignIn => (MailKind::MagicLink, Purpose::MagicLink),
            Asked::Recovery => (MailKind::Recovery, Purpose::Recovery),
            Asked::EmailChangeAgain => {
                let Some(new) = user.new_email.clone() else { return Ok(None) };
                let mut due = Due { user: user.id, address: self.address.clone(), tokens: Vec::new(), jobs: Vec::new() };
                for (token, mail) in email_change(app, tenant, now, user, &new, challenge.as_ref()) {
                    let mail = AuthMail { redirect_to: self.redirect_to.clone(), languages: self.languages.clone(), ..mail };
                    due.jobs.push(app.jobs.prepare(tenant.id, &mail)?);
                    due.tokens.push(token);
                }
                return Ok(Some(due));
            }
            Asked::PhoneChangeAgain => return Ok(None),
        };
        let wanted = Wanted { user: user.id, purpose, address: &self.address, new_address: None, challenge: challenge.as_ref() };
        let token = one_time_token::make(app, tenant, now, wanted);
        let mail = AuthMail { token: MailToken::of(&token), ..self.mail(kind, user) };
        let jobs = vec![app.jobs.prepare(tenant.id, &mail)?];
        Ok(Some(Due { user: user.id, address: self.address.clone(), tokens: vec![token], jobs }))
    }

    fn due_by_phone(&self, app: &App, tenant: &Tenant, now: Timestamp, user: &UserRow) -> DbResult<Option<Due>> {
        let is_confirmed = user.phone_confirmed_at.is_some();
        let (purpose, number, new_address) = match self.asked {
            // Nobody can be told by a message that there is an account: it would cost the tenant, and tell nothing that signs in.
            Asked::SignUp | Asked::ConfirmationAgain if is_confirmed => return Ok(None),
            Asked::SignUp | Asked::ConfirmationAgain => (Purpose::Sms, &self.address, None),
            Asked::SignIn => (Purpose::SmsSignIn, &self.address, None),
            Asked::PhoneChangeAgain => {
                let Some(new) = &user.new_phone else { return Ok(None) };
                (Purpose::PhoneChange, new, Some(new.as_str()))
            }
            Asked::Recovery | Asked::EmailChangeAgain => return Ok(None),
        };
        let wanted = Wanted { user: user.id, purpose, address: number, new_address, challenge: None };
        let token = one_time_token::make(app, tenant, now, wanted);
        let job = sms::prepare(app, tenant, &token, &self.channel)?;
        Ok(Some(Due { user: user.id, address: self.address.clone(), tokens: vec![token], jobs: job.into_iter().collect() }))
    }

    fn mail(&self, kind: MailKind, user: &UserRow) -> AuthMail {
        AuthMail { redirect_to: self.redirect_to.clone(), languages: self.languages.clone(), ..AuthMail::to_user(kind, user) }
    }
}

/// The tokens and mails by which a user changes its address: to the new one, and to the one that is where that has to agree, too.
pub(super) fn email_change(
    app: &App,
    tenant: &Tenant,
    now: Timestamp,
    user: &UserRow,
    new: &str,
    challenge: Option<&Challenge>,
) -> Vec<(NewToken, AuthMail)> {
    let current = user.email.as_deref().filter(|_| tenant.settings.mail.secure_email_change);
    let to_current = current.map(|current| (Purpose::EmailChangeCurrent, MailKind::EmailChangeCurrent, current));
    let to_new = (Purpose::EmailChangeNew, MailKind::EmailChange, new);
    let both = to_current.into_iter().chain([to_new]).map(|(purpose, kind, address)| {
        let wanted = Wanted { user: user.id, purpose, address, new_address: Some(new), challenge };
        let token = one_time_token::make(app, tenant, now, wanted);
        let mail = AuthMail::to_user(kind, user);
        let mail = AuthMail { to: address.to_owned(), new_email: new.to_owned(), token: MailToken::of(&token), ..mail };
        (token, mail)
    });
    let mut both: Vec<(NewToken, AuthMail)> = both.collect();
    if let [(_, current), (_, new)] = both.as_mut_slice() {
        (current.pair, new.pair) = (new.token.clone(), current.token.clone());
    }
    both
}

/// What a user gets: to be stored together.
struct Due {
    user: Uuid,
    /// The address by which it was asked for.
    address: String,
    tokens: Vec<NewToken>,
    jobs: Vec<NewJob>,
}

impl Due {
    async fn store(self, tx: &Tx, tenant: TenantId, now: Timestamp) -> DbResult<()> {
        let Some(mut user) = sql::lock_user(tx, tenant, self.user).await? else { return Ok(()) };
        // Between the look and now the user may have got another address.
        let is_still_theirs = [user.email.as_deref(), user.phone.as_deref()].contains(&Some(self.address.as_str()));
        if !is_still_theirs || user.deleted_at.is_some() {
            return Ok(());
        }
        for token in &self.tokens {
            note_sent(&mut user, now, token);
            token.store(tx, tenant).await?;
        }
        if !self.tokens.is_empty() {
            sql::update_user(tx, tenant, &user).await?;
        }
        for job in &self.jobs {
            jobs::enqueue(tx, now, job).await?;
        }
        Ok(())
    }
}

/// Notes on the user when something was sent.
pub(super) fn note_sent(user: &mut UserRow, now: Timestamp, token: &NewToken) {
    let Some(purpose) = token.row.purpose() else { return };
    let noted = match purpose {
        Purpose::Confirmation | Purpose::Sms | Purpose::SmsSignIn => &mut user.confirmation_sent_at,
        Purpose::Invite => {
            user.invited_at = Some(now);
            &mut user.confirmation_sent_at
        }
        Purpose::MagicLink | Purpose::Recovery => &mut user.recovery_sent_at,
        Purpose::EmailChangeCurrent | Purpose::EmailChangeNew => &mut user.email_change_sent_at,
        Purpose::Reauthentication => &mut user.reauthentication_sent_at,
        Purpose::PhoneChange => &mut user.phone_change_sent_at,
    };
    *noted = Some(now);
}
