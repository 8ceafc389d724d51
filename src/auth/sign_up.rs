//! A stranger becomes a user.
//!
//! Whether an address has an account is not told where addresses are to be confirmed: the answer, and the time it takes, are those of a
//! new one. Where they count as confirmed at once it can't be hidden.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    caller::Visitor,
    create_user::user_with_email,
    email::Email,
    error::{AuthCode, AuthError, AuthFailures},
    model::{EMAIL_PROVIDER, IdentityRow, Metadata, Session, User, UserRow},
    request::{JsonBody, check_password, check_user_metadata},
    session::{self, Client, Proof},
    sql,
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    db::Json as DbJson,
    tenants::Tenant,
};

/// Who wants to become a user.
#[derive(Deserialize, ToSchema)]
pub(super) struct SignUp {
    /// The mail address.
    #[schema(example = "ada@example.com")]
    email: Option<String>,
    /// A phone number; sign-up by phone is not offered.
    phone: Option<String>,
    /// The password, at least as long as the tenant asks for.
    #[schema(example = "correct horse battery")]
    password: Option<String>,
    /// What the user notes of itself: its `user_metadata`.
    #[schema(value_type = Option<HashMap<String, serde_json::Value>>)]
    data: Option<Metadata>,
}

/// A session where addresses count as confirmed at once; else the user alone.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum SignedUp {
    /// The user is signed in.
    Session(Session),
    /// The user has to confirm its address first.
    User(User),
}

/// Signs up.
#[utoipa::path(post, path = "/auth/v1/signup", tag = "auth", request_body = SignUp,
    responses((status = 200, body = SignedUp, description = "The user, signed in where no confirmation is asked for"), AuthFailures),
    security(("apikey" = [])))]
pub(super) async fn sign_up_user(
    State(app): State<App>,
    visitor: Visitor,
    client: Client,
    JsonBody(asked): JsonBody<SignUp>,
) -> Result<Json<SignedUp>, AuthError> {
    let tenant = visitor.tenant;
    if !tenant.settings.sign_up.enabled {
        return Err(AuthError::unprocessable(AuthCode::SignupDisabled, "Signups not allowed for this instance"));
    }
    let candidate = Candidate::check(&tenant, asked)?;
    let signed_up = if tenant.settings.sign_up.email_autoconfirm {
        SignedUp::Session(sign_up_at_once(&app, &tenant, candidate, client).await?)
    } else {
        SignedUp::User(sign_up_unconfirmed(&app, &tenant, candidate).await?)
    };
    Ok(Json(signed_up))
}

/// A stranger whose words were checked.
struct Candidate {
    email: Email,
    password: String,
    metadata: Metadata,
}

impl Candidate {
    fn check(tenant: &Tenant, asked: SignUp) -> Result<Self, AuthError> {
        let metadata = asked.data.unwrap_or_default();
        let given = |field: Option<String>| field.filter(|text| !text.is_empty());
        let Some(email) = given(asked.email) else {
            return Err(match given(asked.phone) {
                Some(_) => AuthError::bad_request(AuthCode::PhoneProviderDisabled, "Phone signups are disabled"),
                None => AuthError::unprocessable(AuthCode::AnonymousProviderDisabled, "Anonymous sign-ins are disabled"),
            });
        };
        let password = given(asked.password).ok_or_else(|| AuthError::validation("Signup requires a valid password"))?;
        let email = email.parse()?;
        check_password(tenant, &password)?;
        check_user_metadata(&metadata)?;
        Ok(Self { email, password, metadata })
    }

    /// The user and what it signs in with. What it notes of itself is joined by what its identity says.
    fn rows(self, app: &App, encrypted_password: String, is_confirmed: bool) -> (UserRow, IdentityRow) {
        let (now, id) = (app.clock.now(), Uuid::new_v4());
        let mut user = user_with_email(id, &self.email, is_confirmed, now);
        let identity = IdentityRow::of_email(id, self.email.as_str(), is_confirmed, self.metadata, now);
        user.encrypted_password = Some(encrypted_password);
        user.user_metadata = identity.identity_data.clone();
        (user, identity)
    }
}

async fn sign_up_at_once(app: &App, tenant: &Tenant, candidate: Candidate, client: Client) -> Result<Session, AuthError> {
    let taken = || AuthError::unprocessable(AuthCode::UserAlreadyExists, "User already registered");
    if sql::find_user_by_email(&app.db.read().await?, tenant.id, &candidate.email).await?.is_some() {
        return Err(taken());
    }
    let hash = app.passwords.hash(&candidate.password).await?;
    let (user, identity) = candidate.rows(app, hash, true);
    let now = user.created_at;
    let session = session::begin(app, tenant, now, user.id, &Proof::by("password"));
    let (id, row) = (tenant.id, session.clone());
    let made = Event::new(Action::UserSignedUp).by_user(user.id).with("provider", EMAIL_PROVIDER);
    let opened = app
        .db
        .write(move |tx| async move {
            if !sql::insert_user(&tx, id, &user).await? {
                return Ok(None);
            }
            sql::insert_identity(&tx, id, &identity).await?;
            audit::note(&tx, id, now, &made).await?;
            session::store(&tx, id, now, &row, &client).await
        })
        .await?;
    session::answer(app, tenant, now, &session, opened.ok_or_else(taken)?).await
}

/// The same work and the same answer whether or not the address has an account; a confirmed one is told by its empty `identities`.
async fn sign_up_unconfirmed(app: &App, tenant: &Tenant, candidate: Candidate) -> Result<User, AuthError> {
    let hash = app.passwords.hash(&candidate.password).await?;
    let (email, metadata) = (candidate.email.clone(), candidate.metadata.clone());
    let (user, identity) = candidate.rows(app, hash, false);
    let (tenant, now) = (tenant.id, user.created_at);
    let made = Event::new(Action::UserSignedUp).by_user(user.id).with("provider", EMAIL_PROVIDER);
    let repeated = Event::new(Action::UserRepeatedSignUp).with("provider", EMAIL_PROVIDER);
    let shown = app
        .db
        .write(move |tx| async move {
            if sql::insert_user(&tx, tenant, &user).await? {
                sql::insert_identity(&tx, tenant, &identity).await?;
                audit::note(&tx, tenant, now, &made).await?;
                return Ok(User::new(user, vec![identity]));
            }
            let known = sql::find_user_by_email(&tx, tenant, &email).await?;
            audit::note(&tx, tenant, now, &known.iter().fold(repeated, |event, known| event.about(known.id))).await?;
            match known {
                // Whoever comes again before confirming is told the same; the password stays what it was.
                Some(known) if known.email_confirmed_at.is_none() => {
                    let identities = sql::identities_of(&tx, tenant, known.id).await?;
                    Ok(User::new(known, identities))
                }
                _ => Ok(User::new(UserRow { user_metadata: DbJson(Value::Object(metadata)), ..user }, Vec::new())),
            }
        })
        .await?;
    Ok(shown)
}
