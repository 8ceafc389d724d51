//! Ends sessions. Their access tokens end with them: every request asks whether its session is alive.

use axum::extract::{Query, State, rejection::QueryRejection};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::{
    caller::CurrentUser,
    error::{AuthError, AuthFailures},
    sql,
};
use crate::{
    app::App,
    audit::{self, Action, Event},
};

/// Which sessions end.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum SignOutScope {
    /// All sessions of the user.
    #[default]
    Global,
    /// This one.
    Local,
    /// All but this one.
    Others,
}

/// Which sessions end.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SignOut {
    /// Without it, all of them.
    #[param(inline)]
    scope: Option<SignOutScope>,
}

/// Signs out.
#[utoipa::path(post, path = "/auth/v1/logout", tag = "auth", params(SignOut),
    responses((status = 204, description = "The sessions are ended"), AuthFailures), security(("apikey" = [], "user" = [])))]
pub(super) async fn delete_sessions(
    State(app): State<App>,
    current: CurrentUser,
    asked: Result<Query<SignOut>, QueryRejection>,
) -> Result<StatusCode, AuthError> {
    let Ok(Query(asked)) = asked else {
        return Err(AuthError::validation("Unsupported logout scope; take global, local or others"));
    };
    let (tenant, user, session) = (current.tenant.id, current.user.user_id, current.user.session_id);
    let (now, scope) = (app.clock.now(), asked.scope.unwrap_or_default());
    let left = Event::new(Action::Logout).with("scope", json!(scope)).with("session_id", session.to_string());
    app.db
        .write(move |tx| async move {
            match scope {
                SignOutScope::Global => sql::delete_sessions_of(&tx, tenant, user).await?,
                SignOutScope::Local => sql::delete_session(&tx, tenant, session).await?,
                SignOutScope::Others => sql::delete_other_sessions(&tx, tenant, user, session).await?,
            }
            audit::note(&tx, tenant, now, &left).await
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
