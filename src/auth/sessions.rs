//! The sessions of a user, to be seen and ended one by one.
//!
//! Whoever has a second factor needs it to see them: where a user is signed in is worth knowing to who has only its password.

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    caller::{CurrentUser, UserReader, UserWriter},
    error::{AuthCode, AuthError, AuthFailures},
    factors::{insufficient, is_short_of_a_factor},
    request::path_id,
    session_end::is_over,
    sql,
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    db::{Conn, Timestamp},
    row_type,
    tenants::{Tenant, TenantId},
};

/// The routes of sessions.
pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_sessions))
        .routes(routes!(delete_session))
        .routes(routes!(list_sessions_of_user, delete_sessions_of_user))
        .routes(routes!(delete_session_of_user))
}

row_type! {
    /// What is known of a session.
    #[derive(Serialize, ToSchema)]
    pub(super) struct SessionEntry {
        /// The session's id, as its tokens name it.
        pub(super) id: Uuid,
        /// When the user signed in.
        #[schema(value_type = String, format = DateTime)]
        pub(super) created_at: Timestamp,
        /// When it was refreshed last.
        #[schema(value_type = Option<String>, format = DateTime)]
        pub(super) refreshed_at: Option<Timestamp>,
        /// When it ends, if that is fixed.
        #[schema(value_type = Option<String>, format = DateTime)]
        pub(super) not_after: Option<Timestamp>,
        /// What it was used with last.
        pub(super) user_agent: Option<String>,
        /// Where it was used from last.
        pub(super) ip: Option<String>,
        /// `aal1`, or `aal2` when a second factor has raised it.
        #[schema(example = "aal1")]
        pub(super) aal: String,
    }
}

/// A session of the user who asks.
#[derive(Serialize, ToSchema)]
pub(super) struct OwnSession {
    /// What is known of it.
    #[serde(flatten)]
    session: SessionEntry,
    /// Whether it is the one that asks.
    current: bool,
}

/// Lists where the signed-in user is signed in, newest first.
#[utoipa::path(get, path = "/auth/v1/user/sessions", tag = "auth",
    responses((status = 200, body = Vec<OwnSession>, description = "The sessions"), AuthFailures), security(("apikey" = [], "user" = [])))]
pub(super) async fn list_sessions(State(app): State<App>, current: CurrentUser) -> Result<Json<Vec<OwnSession>>, AuthError> {
    let conn = app.db.read().await?;
    check_can_see(&conn, &current).await?;
    let sessions = alive(&conn, &current.tenant, app.clock.now(), current.user.user_id).await?;
    let own = |session: SessionEntry| OwnSession { current: session.id == current.user.session_id, session };
    Ok(Json(sessions.into_iter().map(own).collect()))
}

/// Ends a session of the signed-in user.
#[utoipa::path(delete, path = "/auth/v1/user/sessions/{session_id}", tag = "auth", params(("session_id" = Uuid, Path)),
    responses((status = 204, description = "It is ended"), AuthFailures), security(("apikey" = [], "user" = [])))]
pub(super) async fn delete_session(State(app): State<App>, current: CurrentUser, Path(id): Path<String>) -> Result<StatusCode, AuthError> {
    let id = path_id("session_id", &id)?;
    if id != current.user.session_id {
        check_can_see(&app.db.read().await?, &current).await?;
    }
    end(&app, current.tenant.id, current.user.user_id, id).await
}

/// Lists where a user is signed in, newest first.
#[utoipa::path(get, path = "/auth/v1/admin/users/{user_id}/sessions", tag = "auth", params(("user_id" = Uuid, Path)),
    responses((status = 200, body = Vec<SessionEntry>, description = "The sessions"), AuthFailures), security(("apikey" = [])))]
pub(super) async fn list_sessions_of_user(
    State(app): State<App>,
    UserReader(tenant): UserReader,
    Path(user): Path<String>,
) -> Result<Json<Vec<SessionEntry>>, AuthError> {
    let conn = app.db.read().await?;
    let user = find(&conn, tenant.id, &user).await?;
    Ok(Json(alive(&conn, &tenant, app.clock.now(), user).await?))
}

/// Ends all sessions of a user.
#[utoipa::path(delete, path = "/auth/v1/admin/users/{user_id}/sessions", tag = "auth", params(("user_id" = Uuid, Path)),
    responses((status = 204, description = "They are ended"), AuthFailures), security(("apikey" = [])))]
pub(super) async fn delete_sessions_of_user(
    State(app): State<App>,
    UserWriter(tenant): UserWriter,
    Path(user): Path<String>,
) -> Result<StatusCode, AuthError> {
    let user = find(&app.db.read().await?, tenant.id, &user).await?;
    let (tenant, now, revoked) = (tenant.id, app.clock.now(), Event::new(Action::TokenRevoked).about(user));
    app.db
        .write(move |tx| async move {
            sql::delete_sessions_of(&tx, tenant, user).await?;
            audit::note(&tx, tenant, now, &revoked).await
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a session of a user.
#[utoipa::path(delete, path = "/auth/v1/admin/users/{user_id}/sessions/{session_id}", tag = "auth",
    params(("user_id" = Uuid, Path), ("session_id" = Uuid, Path)),
    responses((status = 204, description = "It is ended"), AuthFailures), security(("apikey" = [])))]
pub(super) async fn delete_session_of_user(
    State(app): State<App>,
    UserWriter(tenant): UserWriter,
    Path((user, id)): Path<(String, String)>,
) -> Result<StatusCode, AuthError> {
    let user = find(&app.db.read().await?, tenant.id, &user).await?;
    end(&app, tenant.id, user, path_id("session_id", &id)?).await
}

async fn check_can_see(conn: &Conn, current: &CurrentUser) -> Result<(), AuthError> {
    if is_short_of_a_factor(conn, current.tenant.id, &current.user).await? {
        return Err(insufficient(StatusCode::FORBIDDEN, "AAL2 session is required to manage sessions when MFA is enabled"));
    }
    Ok(())
}

async fn find(conn: &Conn, tenant: TenantId, user: &str) -> Result<Uuid, AuthError> {
    let user = path_id("user_id", user)?;
    sql::find_user(conn, tenant, user).await?.ok_or_else(AuthError::user_not_found)?;
    Ok(user)
}

/// The sessions that have not ended by themselves.
async fn alive(conn: &Conn, tenant: &Tenant, now: Timestamp, user: Uuid) -> Result<Vec<SessionEntry>, AuthError> {
    let mut sessions = sql::sessions_of(conn, tenant.id, user).await?;
    let settings = &tenant.settings.sessions;
    sessions.retain(|session| !is_over(settings, now, session.created_at, session.not_after));
    if settings.single_per_user {
        sessions.truncate(1);
    }
    Ok(sessions)
}

async fn end(app: &App, tenant: TenantId, user: Uuid, id: Uuid) -> Result<StatusCode, AuthError> {
    let (now, revoked) = (app.clock.now(), Event::new(Action::TokenRevoked).about(user).with("session_id", id.to_string()));
    let ended = app
        .db
        .write(move |tx| async move {
            let ended = sql::delete_session_of(&tx, tenant, user, id).await?;
            if ended {
                audit::note(&tx, tenant, now, &revoked).await?;
            }
            Ok(ended)
        })
        .await?;
    if ended { Ok(StatusCode::NO_CONTENT) } else { Err(AuthError::new(StatusCode::NOT_FOUND, AuthCode::SessionNotFound, "Session not found")) }
}
