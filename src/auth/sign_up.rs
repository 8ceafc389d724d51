//! A stranger becomes a user: by mail address, by phone number, or without telling either.
//!
//! Whether an address has an account is not told where addresses are to be confirmed: the answer, and the time it takes, are those of a
//! new one. Where they count as confirmed at once it can't be hidden, and a tenant may choose not to.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    ask::{Ask, Asked, Pkce, TooSoon},
    caller::Visitor,
    captcha::{self, MetaSecurity},
    create_user::{blank_user, user_with_email, user_with_phone},
    email::Email,
    error::{AuthCode, AuthError, AuthFailures},
    hooks,
    limits::{self, Bucket, Peer},
    link::Languages,
    model::{EMAIL_PROVIDER, IdentityRow, Metadata, PHONE_PROVIDER, Session, User, UserRow, merge, own_words},
    notice::Teller,
    password::{Owner, check_password},
    phone::Phone,
    redirect::AskedRedirect,
    request::{JsonBody, check_user_metadata},
    session::{self, Client, Proof},
    sms, sql,
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    db::{Conn, Json as DbJson, Timestamp, Tx},
    error::Result as DbResult,
    jobs,
    tenants::{Tenant, TenantId},
};

/// Who wants to become a user.
#[derive(Deserialize, ToSchema)]
pub(super) struct SignUp {
    /// The mail address.
    #[schema(example = "ada@example.com")]
    email: Option<String>,
    /// The phone number, with its country.
    phone: Option<String>,
    /// The password, at least as long as the tenant asks for.
    #[schema(example = "correct horse battery")]
    password: Option<String>,
    /// What the user notes of itself: its `user_metadata`.
    #[schema(value_type = Option<HashMap<String, serde_json::Value>>)]
    data: Option<Metadata>,
    /// How a message is sent: `sms` or `whatsapp`.
    channel: Option<String>,
    /// The challenge of the PKCE flow, with its method.
    code_challenge: Option<String>,
    /// `s256` or `plain`.
    code_challenge_method: Option<String>,
    /// Proof that no program asks, where the tenant wants one.
    gotrue_meta_security: Option<MetaSecurity>,
}

impl SignUp {
    /// Who gives no address and no number stays anonymous.
    fn is_anonymous(&self) -> bool {
        let is_given = |field: &Option<String>| field.as_deref().is_some_and(|text| !text.is_empty());
        !is_given(&self.email) && !is_given(&self.phone)
    }
}

/// A session where addresses count as confirmed at once; else the user alone.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum SignedUp {
    /// The user is signed in.
    Session(Box<Session>),
    /// The user has to confirm its address first.
    User(Box<User>),
}

/// Signs up. Without address and number the user is anonymous, where there are such users.
#[utoipa::path(post, path = "/auth/v1/signup", tag = "auth", request_body = SignUp,
    responses((status = 200, body = SignedUp, description = "The user, signed in where no confirmation is asked for"), AuthFailures),
    security(("apikey" = [])))]
pub(super) async fn sign_up_user(
    State(app): State<App>,
    visitor: Visitor,
    client: Client,
    redirect: AskedRedirect,
    languages: Languages,
    JsonBody(asked): JsonBody<SignUp>,
) -> Result<Json<SignedUp>, AuthError> {
    let Visitor { tenant, peer } = visitor;
    let bucket = if asked.is_anonymous() { Bucket::Anonymous } else { Bucket::SignUp };
    limits::count(&app, &tenant, bucket, &peer).await?;
    captcha::check(&app, &tenant, &peer, asked.gotrue_meta_security.as_ref()).await?;
    if !tenant.settings.sign_up.enabled {
        return Err(AuthError::signup_disabled());
    }
    if asked.is_anonymous() {
        let session = sign_up_anonymously(&app, &tenant, own_words(asked.data.unwrap_or_default()), client).await?;
        return Ok(Json(SignedUp::Session(Box::new(session))));
    }
    let candidate = Candidate::check(&app, &tenant, asked).await?;
    let at_once = match &candidate.contact {
        Contact::Email(_) => tenant.settings.sign_up.email_autoconfirm,
        Contact::Phone(..) => tenant.settings.sms.autoconfirm,
    };
    if at_once {
        return sign_up_at_once(&app, &tenant, candidate, client).await.map(|session| Json(SignedUp::Session(Box::new(session))));
    }
    let redirect_to = redirect.decide(&app, &tenant).to.to_string();
    let user = sign_up_unconfirmed(&app, &tenant, &peer, candidate, redirect_to, languages.0).await?;
    Ok(Json(SignedUp::User(Box::new(user))))
}

/// By what a stranger will be known.
#[derive(Clone)]
enum Contact {
    Email(Email),
    /// The number, and how messages get there.
    Phone(Phone, String),
}

impl Contact {
    async fn find(&self, conn: &Conn, tenant: TenantId) -> DbResult<Option<UserRow>> {
        match self {
            Self::Email(email) => sql::find_user_by_email(conn, tenant, email).await,
            Self::Phone(phone, _) => sql::find_user_by_phone(conn, tenant, phone).await,
        }
    }

    /// Who a password is for.
    fn owner<'o>(&'o self, metadata: &'o Metadata) -> Owner<'o> {
        match self {
            Self::Email(email) => Owner { email: email.as_str(), phone: "", metadata: Some(metadata) },
            Self::Phone(phone, _) => Owner { email: "", phone: phone.as_str(), metadata: Some(metadata) },
        }
    }

    fn provider(&self) -> &'static str {
        match self {
            Self::Email(_) => EMAIL_PROVIDER,
            Self::Phone(..) => PHONE_PROVIDER,
        }
    }

    fn is_confirmed(&self, user: &UserRow) -> bool {
        match self {
            Self::Email(_) => user.email_confirmed_at.is_some(),
            Self::Phone(..) => user.phone_confirmed_at.is_some(),
        }
    }

    fn ask(self, challenge: Pkce, redirect_to: String, languages: String) -> Ask {
        match self {
            Self::Email(email) => Ask::by_mail(Asked::SignUp, email, challenge, redirect_to, languages),
            Self::Phone(phone, channel) => Ask::by_phone(Asked::SignUp, phone, channel),
        }
    }
}

/// A stranger whose words were checked.
struct Candidate {
    contact: Contact,
    password: String,
    metadata: Metadata,
    challenge: Pkce,
}

impl Candidate {
    async fn check(app: &App, tenant: &Tenant, asked: SignUp) -> Result<Self, AuthError> {
        let metadata = asked.data.unwrap_or_default();
        let given = |field: Option<String>| field.filter(|text| !text.is_empty());
        let challenge = Pkce { code_challenge: asked.code_challenge, code_challenge_method: asked.code_challenge_method };
        let has_challenge = challenge.read()?.is_some();
        let (email, phone) = (given(asked.email), given(asked.phone));
        if email.is_some() && phone.is_some() {
            return Err(AuthError::validation("Only an email address or phone number should be provided on signup."));
        }
        if email.is_some() && !tenant.settings.sign_up.email {
            return Err(AuthError::bad_request(AuthCode::EmailProviderDisabled, "Email signups are disabled"));
        }
        if phone.is_some() && !tenant.settings.sign_up.phone {
            return Err(AuthError::bad_request(AuthCode::PhoneProviderDisabled, "Phone signups are disabled"));
        }
        if phone.is_some() && has_challenge {
            return Err(AuthError::validation("PKCE not supported for phone signups"));
        }
        let password = given(asked.password).ok_or_else(|| AuthError::validation("Signup requires a valid password"))?;
        let contact = match (email, phone) {
            (Some(email), _) => Contact::Email(email.parse()?),
            (None, phone) => {
                let phone: Phone = phone.unwrap_or_default().parse()?;
                let channel =
                    if tenant.settings.sms.autoconfirm { String::new() } else { sms::check_channel(tenant, &phone, asked.channel.as_deref())? };
                Contact::Phone(phone, channel)
            }
        };
        check_user_metadata(&metadata)?;
        check_password(app, tenant, &password, contact.owner(&metadata)).await?;
        Ok(Self { contact, password, metadata, challenge })
    }

    /// The user and what it signs in with. What it notes of itself is joined by what its identity says.
    fn rows(self, app: &App, encrypted_password: String, is_confirmed: bool) -> (UserRow, IdentityRow) {
        let (now, id) = (app.clock.now(), Uuid::new_v4());
        let (mut user, identity) = match &self.contact {
            Contact::Email(email) => {
                (user_with_email(id, email, is_confirmed, now), IdentityRow::of_email(id, email.as_str(), is_confirmed, self.metadata, now))
            }
            Contact::Phone(phone, _) => {
                (user_with_phone(id, phone, is_confirmed, now), IdentityRow::of_phone(id, phone.as_str(), is_confirmed, self.metadata, now))
            }
        };
        user.encrypted_password = Some(encrypted_password);
        user.user_metadata = identity.identity_data.clone();
        (user, identity)
    }
}

async fn sign_up_at_once(app: &App, tenant: &Tenant, candidate: Candidate, client: Client) -> Result<Session, AuthError> {
    if candidate.contact.find(&app.db.read().await?, tenant.id).await?.is_some() {
        return Err(AuthError::user_already_exists());
    }
    let hash = app.passwords.hash(&candidate.password).await?;
    let (user, identity) = candidate.rows(app, hash, true);
    let user = UserRow { email_is_unproved: user.email.is_some(), ..user };
    store_signed_in(app, tenant, user, Some(identity), "password", client).await?.ok_or_else(AuthError::user_already_exists)
}

async fn sign_up_anonymously(app: &App, tenant: &Tenant, metadata: Metadata, client: Client) -> Result<Session, AuthError> {
    if !tenant.settings.sign_up.anonymous {
        return Err(AuthError::unprocessable(AuthCode::AnonymousProviderDisabled, "Anonymous sign-ins are disabled"));
    }
    check_user_metadata(&metadata)?;
    let user_metadata = DbJson(Value::Object(metadata));
    let user = UserRow { is_anonymous: true, user_metadata, ..blank_user(Uuid::new_v4(), app.clock.now()) };
    let session = store_signed_in(app, tenant, user, None, "anonymous", client).await?;
    session.ok_or_else(|| AuthError::from(crate::error::Error::unavailable("the new user was removed at once; try again")))
}

/// Stores a new user with a session; `None` when the address was taken meanwhile.
async fn store_signed_in(
    app: &App,
    tenant: &Tenant,
    user: UserRow,
    identity: Option<IdentityRow>,
    method: &'static str,
    client: Client,
) -> Result<Option<Session>, AuthError> {
    let new = User::new(user.clone(), identity.iter().cloned().collect());
    hooks::before_user_created(app, tenant, &new).await?;
    let told = hooks::after_user_created(app, tenant, &new)?;
    let now = user.created_at;
    let session = session::begin(app, tenant, now, user.id, &Proof::by(method));
    let (id, row, teller) = (tenant.id, session.clone(), Teller::of(app, tenant));
    let made =
        Event::new(Action::UserSignedUp).by_user(user.id).with("provider", identity.as_ref().map_or("anonymous", |identity| &identity.provider));
    let opened = app
        .db
        .write(move |tx| async move {
            if !sql::insert_user(&tx, id, &user).await? {
                return Ok(None);
            }
            if let Some(identity) = &identity {
                sql::insert_identity(&tx, id, identity).await?;
            }
            audit::note(&tx, id, now, &made).await?;
            jobs::enqueue_all(&tx, now, told.as_slice()).await?;
            session::store(&tx, id, now, &row, &client, &teller).await
        })
        .await?;
    app.jobs.wake();
    match opened {
        Some(opened) => session::answer(app, tenant, now, &session, opened).await.map(Some),
        None => Ok(None),
    }
}

/// What came of a sign-up that is to be confirmed.
enum Outcome {
    Shown(Box<User>),
    TooSoon(TooSoon),
    Exists,
}

/// The same work and the same answer whether or not the address has an account; a confirmed one is told by its empty `identities`. What its
/// owner gets, a confirmation or word of the attempt, is found out later.
async fn sign_up_unconfirmed(
    app: &App,
    tenant: &Tenant,
    peer: &Peer,
    candidate: Candidate,
    redirect_to: String,
    languages: String,
) -> Result<User, AuthError> {
    let hash = app.passwords.hash(&candidate.password).await?;
    let first = candidate.contact.find(&app.db.read().await?, tenant.id).await?.filter(|first| !candidate.contact.is_confirmed(first));
    // Where there is nothing to compare with it takes as long, so that the time tells nothing.
    let is_repeated = app.passwords.verify(&candidate.password, first.as_ref().and_then(|first| first.encrypted_password.as_deref())).await?.ok;
    let (contact, tells) = (candidate.contact.clone(), tenant.settings.sign_up.tell_existing);
    let ask = contact.clone().ask(candidate.challenge.clone(), redirect_to, languages);
    let (user, identity) = candidate.rows(app, hash, false);
    let now: Timestamp = user.created_at;
    let user = UserRow { confirmation_sent_at: Some(now), ..user };
    // Asked whether or not there is such a user: the answer is one, and so is the time that it takes.
    let new = User::new(user.clone(), vec![identity.clone()]);
    hooks::before_user_created(app, tenant, &new).await?;
    let told = hooks::after_user_created(app, tenant, &new)?;
    let frequency = ask.frequency(app, tenant, now);
    let sent = limits::message(app, tenant, &ask.address, peer).await?;
    let job = app.jobs.prepare(tenant.id, &ask)?;
    let tenant = tenant.id;
    let made = Event::new(Action::UserSignedUp).by_user(user.id).with("provider", contact.provider());
    let repeated = Event::new(Action::UserRepeatedSignUp).with("provider", contact.provider());
    let outcome = app
        .db
        .write(move |tx| async move {
            if let Some(wait) = frequency.note(&tx).await? {
                return Ok(Outcome::TooSoon(wait));
            }
            jobs::enqueue(&tx, now, &job).await?;
            if sql::insert_user(&tx, tenant, &user).await? {
                sql::insert_identity(&tx, tenant, &identity).await?;
                audit::note(&tx, tenant, now, &made).await?;
                jobs::enqueue_all(&tx, now, told.as_slice()).await?;
                return Ok(Outcome::Shown(Box::new(new)));
            }
            let known = contact.find(&tx, tenant).await?;
            audit::note(&tx, tenant, now, &known.iter().fold(repeated, |event, known| event.about(known.id))).await?;
            match known {
                Some(known) if !contact.is_confirmed(&known) => {
                    let seen = seen_again(&tx, tenant, contact.provider(), &known, &user, &identity).await?;
                    // Two passwords, and nobody knows yet whose the address is: whoever confirms it chooses anew.
                    if !is_repeated {
                        forget_password(&tx, tenant, now, &contact, known.id).await?;
                    }
                    Ok(Outcome::Shown(Box::new(seen)))
                }
                _ if tells => Ok(Outcome::Exists),
                _ => Ok(Outcome::Shown(Box::new(User { identities: Vec::new(), ..new }))),
            }
        })
        .await?;
    app.jobs.wake();
    match outcome {
        Outcome::Shown(user) => Ok(*user),
        Outcome::TooSoon(wait) => {
            sent.take_back(app).await?;
            Err(wait.into())
        }
        Outcome::Exists => Err(AuthError::user_already_exists()),
    }
}

/// Takes an account its password, unless its address was confirmed at this moment.
async fn forget_password(tx: &Tx, tenant: TenantId, now: Timestamp, contact: &Contact, user: Uuid) -> DbResult<()> {
    let known = sql::lock_user(tx, tenant, user).await?.filter(|known| !contact.is_confirmed(known));
    let Some(known) = known.filter(|known| known.encrypted_password.is_some()) else { return Ok(()) };
    sql::update_user(tx, tenant, &UserRow { encrypted_password: None, updated_at: now, ..known }).await
}

/// What somebody sees who signs up again before the address is confirmed: the account of before, as somebody new would find it. What is
/// noted there may be another's.
async fn seen_again(tx: &Tx, tenant: TenantId, provider: &str, known: &UserRow, asked: &UserRow, identity: &IdentityRow) -> DbResult<User> {
    let identities = sql::identities_of(tx, tenant, known.id).await?;
    let own = identities.into_iter().find(|own| own.provider == provider).unwrap_or_else(|| identity.clone());
    let identity_data = of(known.id, identity.identity_data.clone());
    let own = IdentityRow { user_id: known.id, provider_id: known.id.to_string(), identity_data, ..own };
    let user_metadata = of(known.id, asked.user_metadata.clone());
    let shown = UserRow { id: known.id, created_at: known.created_at, updated_at: known.updated_at, user_metadata, ..asked.clone() };
    Ok(User::new(shown, vec![own]))
}

/// Claims with the id of the user whom they are of.
fn of(user: Uuid, mut claims: DbJson) -> DbJson {
    merge(&mut claims, [("sub".to_owned(), serde_json::json!(user))].into_iter().collect());
    claims
}
