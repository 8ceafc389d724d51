//! Whose user a profile is: the rules by which what a provider tells becomes a user, joins one, or is refused.
//!
//! An identity that is known signs its user in. A mail address joins a user only if the provider says that it is the person's, and the
//! user has confirmed the same one. An account that nobody has confirmed, or that counts as confirmed without proof, may have been made by
//! somebody who waits for its owner (V2, V3): the owner gets it without anything that was put there before. An address that the provider does not vouch for proves nothing (V4).
//!
//! All of this happens in one transaction, after everything that others are asked.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    ask::{Ask, Asked, Frequency, Pkce},
    contact::confirm_email,
    create_user::{blank_user, user_with_email},
    email::Email,
    error::{AuthCode, AuthError},
    flow_state::code_ends,
    hooks::{self, NewUsers},
    limits::{self, CountedMessage, Peer},
    model::{EMAIL_PROVIDER, IdentityRow, Metadata, Session, SessionRow, User, UserRow, merge, object},
    notice::{Notice, Teller},
    one_time_token::{find_invitation, revoke_all},
    provider::Profile,
    request::check_user_metadata,
    session::{self, Client, Opened, Proof},
    sql::{self, flow_states, identities},
    take_over::{shut_out_first_factors, shut_out_others},
};
use crate::{
    app::App,
    audit::{self, Action, Event, Origin},
    db::{Json, Timestamp, Tx},
    error::{ConstraintKind, Error, Result as DbResult},
    jobs::{self, NewJob},
    tenants::{Tenant, TenantId},
};

/// What a tenant has to say about who becomes a user, and what is to be known of the request inside the transaction.
struct Rules {
    is_sign_up_enabled: bool,
    is_autoconfirmed: bool,
    /// Where the profile came from, for the audit log.
    origin: Origin,
    /// The tenant's hook that is told of new users.
    new_users: NewUsers,
    teller: Teller,
    /// What asks the owner of the profile's address to confirm it, and how often that may be; nothing where no mail may go there now.
    confirmation: Option<(Frequency, NewJob)>,
}

impl Rules {
    fn of(app: &App, tenant: &Tenant, now: Timestamp, visit: &Visit<'_>, may_mail: bool) -> DbResult<Self> {
        let confirmation = match visit.unproved_address() {
            Some(email) if may_mail => {
                let (redirect_to, languages) = (visit.redirect_to.clone(), visit.languages.clone());
                let ask = Ask::by_mail(Asked::SignUp, email.clone(), Pkce::default(), redirect_to, languages);
                Some((ask.frequency(app, tenant, now), app.jobs.prepare(tenant.id, &ask)?))
            }
            _ => None,
        };
        Ok(Self {
            is_sign_up_enabled: tenant.settings.sign_up.enabled,
            is_autoconfirmed: tenant.settings.sign_up.email_autoconfirm,
            origin: Origin::here(),
            new_users: NewUsers::of(app, tenant),
            teller: Teller::of(app, tenant),
            confirmation,
        })
    }

    /// Has the owner of the address asked whether it is theirs, unless that was so just before. Who has a confirmed account gets word of the
    /// attempt instead, as at a sign-up. Whether anybody was asked.
    async fn ask_to_confirm(&self, tx: &Tx, now: Timestamp) -> DbResult<bool> {
        match &self.confirmation {
            Some((frequency, job)) if frequency.note(tx).await?.is_none() => jobs::enqueue(tx, now, job).await.map(|()| true),
            _ => Ok(false),
        }
    }

    /// Notes that an identity joins a user, and tells the user, who is as it was before.
    async fn note_linked(&self, tx: &Tx, tenant: TenantId, now: Timestamp, user: &UserRow, profile: &Profile) -> DbResult<()> {
        audit::note(tx, tenant, now, &self.event(Action::IdentityLinked, user.id, profile)).await?;
        self.teller.tell(tx, now, user, Notice::IdentityLinked { provider: profile.provider.clone() }).await
    }

    fn event(&self, action: Action, user: Uuid, profile: &Profile) -> Event {
        Event::of(action, self.origin.clone()).by_user(user).about(user).with("provider", profile.provider.clone())
    }
}

/// What became of a profile.
enum Joined {
    /// It is this user, who may be signed in.
    User(Uuid),
    /// It is a user whose mail address has to be confirmed first.
    Unconfirmed,
    /// Somebody else has taken the address at this moment: who looks again finds that user.
    Met,
}

type Outcome = DbResult<Result<Joined, AuthError>>;

/// What somebody comes for.
#[derive(Clone)]
pub(super) enum Errand {
    /// To sign in.
    SignIn,
    /// To add the identity to the user who is signed in.
    Link { user: Uuid, session: Uuid },
    /// To accept an invitation, which is named by the hash of its link.
    Accept { invitation: String },
}

/// Somebody who comes with what a provider tells.
pub(super) struct Visit<'v> {
    pub(super) profile: &'v Profile,
    pub(super) errand: Errand,
    /// Where a mail that confirms the address leads back to.
    pub(super) redirect_to: String,
    pub(super) languages: String,
    /// Who comes, as far as mails are counted.
    pub(super) peer: &'v Peer,
}

impl Visit<'_> {
    /// The address that its owner may have to confirm.
    fn unproved_address(&self) -> Option<&Email> {
        self.profile.email.as_ref().filter(|_| !self.profile.is_verified && matches!(self.errand, Errand::SignIn))
    }
}

/// The code of a flow, to be stored with what the provider gave.
#[derive(Clone)]
pub(super) struct CodeOf {
    pub(super) flow: Uuid,
    pub(super) code_hash: [u8; 32],
    pub(super) secret: Vec<u8>,
}

/// What follows when it is known whose profile it is, in the same transaction.
#[derive(Clone)]
enum Then {
    Open(Box<SessionRow>, Client),
    Issue(CodeOf),
}

/// Signs the user of a profile in.
pub(super) async fn sign_in(app: &App, tenant: &Tenant, visit: &Visit<'_>, method: &'static str, client: Client) -> Result<Session, AuthError> {
    let now = app.clock.now();
    // Whose session it is, only the transaction finds out.
    let row = session::begin(app, tenant, now, Uuid::nil(), &Proof { method, provider: Some(visit.profile.provider.clone()) });
    let (user, opened) = settle(app, tenant, now, visit, Then::Open(Box::new(row.clone()), client)).await?;
    let opened = opened.ok_or_else(banned)?;
    session::answer(app, tenant, now, &SessionRow { user_id: user, ..row }, opened).await
}

/// Gives a flow the code that signs the user of a profile in.
pub(super) async fn issue_code(app: &App, tenant: &Tenant, visit: &Visit<'_>, code: CodeOf) -> Result<(), AuthError> {
    settle(app, tenant, app.clock.now(), visit, Then::Issue(code)).await.map(drop)
}

/// Gives a flow the code by which the app that asked for it links the profile to this user. What can't be linked is told at once.
pub(super) async fn issue_code_to_link(app: &App, tenant: &Tenant, user: Uuid, profile: &Profile, code: CodeOf) -> Result<(), AuthError> {
    if let Some(identity) = identities::find(&app.db.read().await?, tenant.id, &profile.provider, &profile.subject).await? {
        return Err(already_linked(identity.user_id == user));
    }
    let (id, ends, CodeOf { flow, code_hash, secret }) = (tenant.id, code_ends(app.clock.now()), code);
    app.db.write(move |tx| async move { flow_states::set_code(&tx, id, flow, user, &code_hash, &secret, ends).await }).await?;
    Ok(())
}

fn already_linked(is_own: bool) -> AuthError {
    let message = if is_own { "Identity is already linked" } else { "Identity is already linked to another user" };
    AuthError::unprocessable(AuthCode::IdentityAlreadyExists, message)
}

fn banned() -> AuthError {
    AuthError::forbidden(AuthCode::UserBanned, "User is banned")
}

async fn settle(app: &App, tenant: &Tenant, now: Timestamp, visit: &Visit<'_>, then: Then) -> Result<(Uuid, Option<Opened>), AuthError> {
    if matches!(visit.errand, Errand::SignIn) {
        ask_before(app, tenant, now, visit.profile).await?;
    }
    // Counted before it is known whether a mail is due. Who needs none is not kept out by mails.
    let counted = match visit.unproved_address() {
        Some(email) => limits::message(app, tenant, email.as_str(), visit.peer).await,
        None => Ok(CountedMessage::default()),
    };
    let may_mail = counted.is_ok();
    // Two first visits at the same moment can meet: then the second finds what the first has made.
    let settled = match attempt(app, tenant, now, visit, then.clone(), may_mail).await {
        Err(Error::Constraint(constraint)) if constraint.kind == ConstraintKind::Unique => attempt(app, tenant, now, visit, then, may_mail).await,
        outcome => outcome,
    };
    app.jobs.wake();
    let too_many = match counted {
        Ok(_) if matches!(settled, Ok(Settled::Unconfirmed { is_asked: true })) => None,
        Ok(unused) => {
            unused.take_back(app).await?;
            None
        }
        Err(error) => Some(error),
    };
    match settled? {
        Settled::User(user, opened) => Ok((user, opened.map(|opened| *opened))),
        Settled::Unconfirmed { .. } => Err(too_many.unwrap_or_else(|| unconfirmed(visit.profile))),
        Settled::Refused(error) => Err(error),
    }
}

/// Asks the tenant's hook about somebody who is to become a user, as far as can be seen before the transaction.
async fn ask_before(app: &App, tenant: &Tenant, now: Timestamp, profile: &Profile) -> Result<(), AuthError> {
    if !tenant.settings.hooks.before_user_created.enabled || !tenant.settings.sign_up.enabled {
        return Ok(());
    }
    let conn = app.db.read().await?;
    if identities::find(&conn, tenant.id, &profile.provider, &profile.subject).await?.is_some() {
        return Ok(());
    }
    let known = match &profile.email {
        Some(email) => sql::find_user_by_email(&conn, tenant.id, email).await?,
        None => None,
    };
    drop(conn);
    if known.is_some() && (profile.is_verified || !tenant.settings.sign_up.email_autoconfirm) {
        return Ok(());
    }
    let (user, identity) = newcomer(profile, known.is_none(), now);
    hooks::before_user_created(app, tenant, &User::new(user, vec![identity])).await
}

/// What came of a visit.
enum Settled {
    /// It is this user, with a session if one was to be opened and may be.
    User(Uuid, Option<Box<Opened>>),
    /// The owner of the address has to confirm it first, and is asked to unless that was so just before or is too often.
    Unconfirmed {
        is_asked: bool,
    },
    Refused(AuthError),
}

async fn attempt(app: &App, tenant: &Tenant, now: Timestamp, visit: &Visit<'_>, then: Then, may_mail: bool) -> DbResult<Settled> {
    let rules = Rules::of(app, tenant, now, visit, may_mail)?;
    let (id, profile, errand) = (tenant.id, visit.profile.clone(), visit.errand.clone());
    app.db
        .write(move |tx| async move {
            let joined = match errand {
                Errand::Link { user, session } => link_to(&tx, id, now, &rules, (user, session), &profile).await?,
                Errand::Accept { invitation } => accept(&tx, id, now, &rules, &invitation, &profile).await?,
                Errand::SignIn => match join(&tx, id, now, &rules, &profile).await? {
                    Ok(Joined::Met) => join(&tx, id, now, &rules, &profile).await?,
                    joined => joined,
                },
            };
            let user = match joined {
                Ok(Joined::User(user)) => user,
                Ok(Joined::Met) => return Err(Error::unavailable("the account was made at the same moment; try again")),
                Ok(Joined::Unconfirmed) => return Ok(Settled::Unconfirmed { is_asked: rules.ask_to_confirm(&tx, now).await? }),
                Err(error) => return Ok(Settled::Refused(error)),
            };
            match then {
                Then::Open(mut row, client) => {
                    row.user_id = user;
                    let opened = session::store(&tx, id, now, &row, &client, &rules.teller).await?;
                    Ok(Settled::User(user, opened.map(Box::new)))
                }
                Then::Issue(CodeOf { flow, code_hash, secret }) => {
                    flow_states::set_code(&tx, id, flow, user, &code_hash, &secret, code_ends(now)).await?;
                    Ok(Settled::User(user, None))
                }
            }
        })
        .await
}

fn unconfirmed(profile: &Profile) -> AuthError {
    let provider = &profile.provider;
    let message = format!("Unverified email with {provider}. A confirmation email has been sent to your {provider} email");
    AuthError::unprocessable(AuthCode::ProviderEmailNeedsVerification, message)
}

/// Finds or makes the user of a profile.
async fn join(tx: &Tx, tenant: TenantId, now: Timestamp, rules: &Rules, profile: &Profile) -> Outcome {
    if let Some(identity) = identities::find(tx, tenant, &profile.provider, &profile.subject).await? {
        return come_again(tx, tenant, now, rules, profile, identity).await;
    }
    let Some(email) = &profile.email else {
        if !profile.email_optional {
            return Ok(Err(no_email()));
        }
        return sign_up(tx, tenant, now, rules, profile, false).await;
    };
    match sql::find_user_by_email(tx, tenant, email).await? {
        Some(user) if profile.is_verified => link_by_email(tx, tenant, now, rules, user.id, profile).await,
        // Where addresses are to be confirmed it waits for that, and its owner's account is left alone.
        Some(_) if !rules.is_autoconfirmed => Ok(Ok(Joined::Unconfirmed)),
        // The address is another's, as far as anybody knows: this user has none.
        Some(_) => sign_up(tx, tenant, now, rules, profile, false).await,
        None => sign_up(tx, tenant, now, rules, profile, true).await,
    }
}

fn no_email() -> AuthError {
    AuthError::unprocessable(AuthCode::EmailAddressNotProvided, "Error getting user email from external provider")
}

/// An identity that is known.
async fn come_again(tx: &Tx, tenant: TenantId, now: Timestamp, rules: &Rules, profile: &Profile, mut identity: IdentityRow) -> Outcome {
    let Some(mut user) = sql::lock_user(tx, tenant, identity.user_id).await? else { return Ok(Err(AuthError::user_not_found())) };
    if user.is_banned(now) {
        return Ok(Err(banned()));
    }
    if profile.is_verified && is_of(&user, profile) && user.email_confirmed_at.is_none() {
        take_over(tx, tenant, &mut user, Some(identity.id)).await?;
        confirm(&mut user, now);
    }
    identity.identity_data = Json(Value::Object(profile.claims.clone()));
    identity.email = profile.email.clone().map(String::from);
    identity.last_sign_in_at = Some(now);
    identity.updated_at = now;
    identities::note_sign_in(tx, tenant, &identity).await?;
    write(tx, tenant, now, &mut user, profile).await?;
    Ok(Ok(standing(&user, rules, profile)))
}

/// The owner of an address comes with proof of it.
async fn link_by_email(tx: &Tx, tenant: TenantId, now: Timestamp, rules: &Rules, user: Uuid, profile: &Profile) -> Outcome {
    let Some(mut user) = sql::lock_user(tx, tenant, user).await? else { return Ok(Err(AuthError::user_not_found())) };
    if user.is_banned(now) {
        return Ok(Err(banned()));
    }
    let before = user.clone();
    if user.email_confirmed_at.is_none() || user.email_is_unproved {
        take_over(tx, tenant, &mut user, None).await?;
        confirm(&mut user, now);
    }
    sql::insert_identity(tx, tenant, &identity_of(profile, user.id, now)).await?;
    rules.note_linked(tx, tenant, now, &before, profile).await?;
    write(tx, tenant, now, &mut user, profile).await?;
    Ok(Ok(Joined::User(user.id)))
}

/// Somebody new, who has the address of the profile or none.
async fn sign_up(tx: &Tx, tenant: TenantId, now: Timestamp, rules: &Rules, profile: &Profile, has_address: bool) -> Outcome {
    if !rules.is_sign_up_enabled {
        return Ok(Err(AuthError::unprocessable(AuthCode::SignupDisabled, "Signups not allowed for this instance")));
    }
    let (user, identity) = newcomer(profile, has_address, now);
    if !sql::insert_user(tx, tenant, &user).await? {
        return Ok(Ok(Joined::Met));
    }
    sql::insert_identity(tx, tenant, &identity).await?;
    audit::note(tx, tenant, now, &rules.event(Action::UserSignedUp, user.id, profile)).await?;
    let joined = standing(&user, rules, profile);
    rules.new_users.tell(tx, now, &User::new(user, vec![identity])).await?;
    Ok(Ok(joined))
}

/// The user that a profile becomes, with the address of the profile or none.
fn newcomer(profile: &Profile, has_address: bool, now: Timestamp) -> (UserRow, IdentityRow) {
    let id = Uuid::new_v4();
    let mut user = match (&profile.email, has_address) {
        (Some(email), true) => user_with_email(id, email, profile.is_verified, now),
        _ => blank_user(id, now),
    };
    user.app_metadata = Json(json!({ "provider": profile.provider, "providers": [profile.provider] }));
    user.user_metadata = Json(Value::Object(profile.claims.clone()));
    let identity = identity_of(profile, id, now);
    (user, identity)
}

/// Whether the user may be signed in, or has an address to confirm.
fn standing(user: &UserRow, rules: &Rules, profile: &Profile) -> Joined {
    let is_confirmed = user.email_confirmed_at.is_some() || user.phone_confirmed_at.is_some();
    let needs_no_address = user.email.is_none() && profile.email_optional;
    if is_confirmed || needs_no_address || rules.is_autoconfirmed { Joined::User(user.id) } else { Joined::Unconfirmed }
}

/// Gives an account to the owner of its address, without anything that was put there before.
async fn take_over(tx: &Tx, tenant: TenantId, user: &mut UserRow, keep: Option<Uuid>) -> DbResult<()> {
    let is_kept = |identity: &IdentityRow| Some(identity.id) == keep;
    if user.email_confirmed_at.is_some() {
        // Who signed up where addresses count without proof may well be the owner, and keeps its own words. And a second factor, if there
        // is one, so that nobody gets past it by way of a provider.
        shut_out_first_factors(tx, tenant, user, is_kept).await?;
    } else {
        user.user_metadata = Json(json!({}));
        shut_out_others(tx, tenant, user, is_kept).await?;
    }
    revoke_all(tx, tenant, user).await
}

/// Whether a profile has the user's address.
fn is_of(user: &UserRow, profile: &Profile) -> bool {
    profile.email.as_ref().is_some_and(|email| user.email.as_deref() == Some(email.as_str()))
}

fn confirm(user: &mut UserRow, now: Timestamp) {
    user.email_confirmed_at = user.email_confirmed_at.or(Some(now));
    user.email_is_unproved = false;
}

fn identity_of(profile: &Profile, user: Uuid, now: Timestamp) -> IdentityRow {
    IdentityRow {
        id: Uuid::now_v7(),
        user_id: user,
        provider: profile.provider.clone(),
        provider_id: profile.subject.clone(),
        identity_data: Json(Value::Object(profile.claims.clone())),
        email: profile.email.clone().map(String::from),
        last_sign_in_at: Some(now),
        created_at: now,
        updated_at: now,
    }
}

/// Writes the user with what the profile adds to it.
async fn write(tx: &Tx, tenant: TenantId, now: Timestamp, user: &mut UserRow, profile: &Profile) -> DbResult<()> {
    add_claims(user, profile);
    note_providers(tx, tenant, user).await?;
    user.updated_at = now;
    sql::update_user(tx, tenant, user).await
}

/// What the user has noted of itself stays, unless the tenant wants it otherwise.
fn add_claims(user: &mut UserRow, profile: &Profile) {
    let own = object(user.user_metadata.clone());
    let is_new = |name: &String| profile.overwrite_metadata || !own.contains_key(name);
    let mut added: Metadata = profile.claims.iter().filter(|(name, _)| is_new(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    if user.email_confirmed_at.is_some() && profile.is_verified {
        added.insert("email_verified".to_owned(), json!(true));
    }
    let mut metadata = user.user_metadata.clone();
    merge(&mut metadata, added);
    // Every token carries it: what does not fit is left out rather than to lock the user out.
    if check_user_metadata(&object(metadata.clone())).is_ok() {
        user.user_metadata = metadata;
    }
}

/// Notes in `app_metadata` what the user signs in with.
pub(super) async fn note_providers(tx: &Tx, tenant: TenantId, user: &mut UserRow) -> DbResult<()> {
    let mut providers: Vec<String> = Vec::new();
    for identity in sql::identities_of(tx, tenant, user.id).await? {
        if !providers.contains(&identity.provider) {
            providers.push(identity.provider);
        }
    }
    let before = user.app_metadata.0["provider"].as_str().filter(|before| providers.iter().any(|provider| provider == before)).map(str::to_owned);
    let first = before.or_else(|| providers.first().cloned());
    merge(&mut user.app_metadata, [("provider".to_owned(), json!(first)), ("providers".to_owned(), json!(providers))].into_iter().collect());
    Ok(())
}

/// Somebody who was invited comes by way of a provider. The invitation shows that its address is the person's, whatever the provider says of
/// it; but it has to be the provider's, too.
async fn accept(tx: &Tx, tenant: TenantId, now: Timestamp, rules: &Rules, invitation: &str, profile: &Profile) -> Outcome {
    let gone = || Ok(Err(AuthError::invite_not_found()));
    let Some(token) = find_invitation(tx, tenant, now, invitation).await? else { return gone() };
    if profile.email.as_ref().map(Email::as_str) != Some(token.address.as_str()) {
        return Ok(Err(AuthError::validation("Invited email does not match emails from external provider")));
    }
    let Some(mut user) = sql::lock_user(tx, tenant, token.user_id).await? else { return gone() };
    if user.is_banned(now) {
        return Ok(Err(banned()));
    }
    // Of two who come at the same moment the second finds it used.
    let is_open = find_invitation(tx, tenant, now, invitation).await?.is_some();
    if !is_open || user.deleted_at.is_some() || user.email.as_deref() != Some(token.address.as_str()) {
        return gone();
    }
    if let Some(known) = identities::find(tx, tenant, &profile.provider, &profile.subject).await?
        && known.user_id != user.id
    {
        return Ok(Err(already_linked(false)));
    }
    if user.email_confirmed_at.is_none() {
        shut_out_others(tx, tenant, &mut user, |identity| identity.provider == EMAIL_PROVIDER).await?;
        confirm_email(tx, tenant, now, &mut user).await?;
        user.email_is_unproved = false;
    }
    if identities::find(tx, tenant, &profile.provider, &profile.subject).await?.is_none() {
        sql::insert_identity(tx, tenant, &identity_of(profile, user.id, now)).await?;
    }
    revoke_all(tx, tenant, &mut user).await?;
    audit::note(tx, tenant, now, &rules.event(Action::InviteAccepted, user.id, profile)).await?;
    write(tx, tenant, now, &mut user, profile).await?;
    Ok(Ok(Joined::User(user.id)))
}

/// Adds an identity to a user who is signed in and asked for it.
async fn link_to(tx: &Tx, tenant: TenantId, now: Timestamp, rules: &Rules, (user, session): (Uuid, Uuid), profile: &Profile) -> Outcome {
    // Who signed out meanwhile does not want it any more.
    let asked = sql::find_session(tx, tenant, session).await?.is_some_and(|session| session.user_id == user);
    let Some(mut user) = sql::lock_user(tx, tenant, user).await?.filter(|user| asked && user.deleted_at.is_none()) else {
        return Ok(Err(AuthError::forbidden(AuthCode::SessionNotFound, "Session from session_id claim in JWT does not exist")));
    };
    if let Some(identity) = identities::find(tx, tenant, &profile.provider, &profile.subject).await? {
        return Ok(Err(already_linked(identity.user_id == user.id)));
    }
    let before = user.clone();
    if let Some(email) = profile.email.as_ref().filter(|_| user.email.is_none()) {
        if sql::find_user_by_email(tx, tenant, email).await?.is_some() {
            return Ok(Err(AuthError::bad_request(AuthCode::EmailExists, "A user with this email address has already been registered")));
        }
        // An address that the provider does not vouch for stays with the identity.
        if profile.is_verified {
            user.email = Some(email.as_str().to_owned());
            confirm(&mut user, now);
        }
    }
    if profile.is_verified && is_of(&user, profile) {
        confirm(&mut user, now);
    }
    sql::insert_identity(tx, tenant, &identity_of(profile, user.id, now)).await?;
    rules.note_linked(tx, tenant, now, &before, profile).await?;
    write(tx, tenant, now, &mut user, profile).await?;
    if user.is_anonymous {
        identities::set_known(tx, tenant, user.id).await?;
    }
    Ok(Ok(Joined::User(user.id)))
}
