//! An admin makes an account for somebody, who takes it over by a mail.

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    ask::note_sent,
    caller::CountedUserWriter,
    create_user::user_with_email,
    email::Email,
    error::{AuthError, AuthFailures},
    hooks, limits,
    link::Languages,
    message::{AuthMail, MailToken},
    model::{IdentityRow, Metadata, User, UserRow},
    one_time_token::{self, Purpose, Wanted},
    redirect::AskedRedirect,
    request::{JsonBody, check_user_metadata},
    session::shown_user,
    sql,
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    db::Json as DbJson,
    jobs,
    tenants::MailKind,
};

/// Who is invited.
#[derive(Deserialize, ToSchema)]
pub(super) struct Invitation {
    /// The mail address.
    #[schema(example = "ada@example.com")]
    email: Option<String>,
    /// What a new user notes of itself.
    #[schema(value_type = Option<HashMap<String, serde_json::Value>>)]
    data: Option<Metadata>,
}

/// Invites somebody. Who has confirmed the address already is none to be invited.
#[utoipa::path(post, path = "/auth/v1/invite", tag = "auth", request_body = Invitation,
    responses((status = 200, body = User, description = "The user, still to come"), AuthFailures), security(("apikey" = [])))]
pub(super) async fn invite_user(
    State(app): State<App>,
    CountedUserWriter { tenant, peer }: CountedUserWriter,
    redirect: AskedRedirect,
    languages: Languages,
    JsonBody(asked): JsonBody<Invitation>,
) -> Result<Json<User>, AuthError> {
    let email: Email = asked.email.unwrap_or_default().parse()?;
    let data = asked.data.unwrap_or_default();
    check_user_metadata(&data)?;
    let now = app.clock.now();
    let known = sql::find_user_by_email(&app.db.read().await?, tenant.id, &email).await?;
    if known.as_ref().is_some_and(|known| known.email_confirmed_at.is_some()) {
        return Err(AuthError::email_exists());
    }
    let id = known.as_ref().map_or_else(Uuid::new_v4, |known| known.id);
    let identity = IdentityRow::of_email(id, email.as_str(), false, Metadata::new(), now);
    let newcomer = UserRow { user_metadata: DbJson(Value::Object(data)), ..user_with_email(id, &email, false, now) };
    let new = User::new(newcomer.clone(), vec![identity.clone()]);
    if known.is_none() {
        hooks::before_user_created(&app, &tenant, &new).await?;
    }
    let told = hooks::after_user_created(&app, &tenant, &new)?;
    let wanted = Wanted { user: id, purpose: Purpose::Invite, address: email.as_str(), new_address: None, challenge: None };
    let token = one_time_token::make(&app, &tenant, now, wanted);
    let redirect_to = redirect.decide(&app, &tenant).to.to_string();
    let mail = AuthMail { token: MailToken::of(&token), redirect_to, languages: languages.0, ..AuthMail::to_user(MailKind::Invite, &newcomer) };
    let job = app.jobs.prepare(tenant.id, &mail)?;
    limits::message(&app, &tenant, email.as_str(), &peer).await?;
    let tenant = tenant.id;
    let event = Event::new(Action::UserInvited).about(id);
    let invited = app
        .db
        .write(move |tx| async move {
            if sql::insert_user(&tx, tenant, &newcomer).await? {
                sql::insert_identity(&tx, tenant, &identity).await?;
                jobs::enqueue_all(&tx, now, told.as_slice()).await?;
            }
            let Some(mut user) = sql::lock_user(&tx, tenant, id).await? else { return Ok(None) };
            if user.email_confirmed_at.is_some() || user.email != newcomer.email {
                return Ok(None);
            }
            note_sent(&mut user, now, &token);
            user.updated_at = now;
            sql::update_user(&tx, tenant, &user).await?;
            token.store(&tx, tenant).await?;
            audit::note(&tx, tenant, now, &event).await?;
            jobs::enqueue(&tx, now, &job).await?;
            shown_user(&tx, tenant, user).await.map(Some)
        })
        .await?;
    app.jobs.wake();
    invited.map(Json).ok_or_else(AuthError::email_exists)
}
