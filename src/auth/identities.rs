//! A user gives up an identity.

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    authorize::{manual_linking_disabled, refuse_low},
    caller::CurrentUser,
    error::{AuthCode, AuthError, AuthFailures},
    linking::note_providers,
    model::{EMAIL_PROVIDER, IdentityRow, PHONE_PROVIDER, UserRow},
    notice::{Notice, Teller},
    one_time_token::revoke_all,
    sql::{self, identities},
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    db::{Timestamp, Tx},
    error::{ConstraintKind, Error, Result as DbResult},
    tenants::TenantId,
};

/// Takes an identity from the signed-in user, who has to keep one.
#[utoipa::path(delete, path = "/auth/v1/user/identities/{identity_id}", tag = "auth", params(("identity_id" = Uuid, Path)),
    responses((status = 200, body = serde_json::Value, description = "It is gone"), AuthFailures), security(("apikey" = [], "user" = [])))]
pub(super) async fn unlink_identity(
    State(app): State<App>,
    current: CurrentUser,
    Path(identity): Path<String>,
) -> Result<Json<Map<String, Value>>, AuthError> {
    let tenant = &current.tenant;
    if !tenant.settings.identities.manual_linking {
        return Err(manual_linking_disabled());
    }
    refuse_low(&app, tenant, &current.user).await?;
    let identity = identity.parse().map_err(|_| AuthError::new(StatusCode::NOT_FOUND, AuthCode::ValidationFailed, "identity_id must be an UUID"))?;
    let (id, user, now) = (tenant.id, current.user.user_id, app.clock.now());
    let (unlinked, teller) = (Event::new(Action::IdentityUnlinked).about(user), Teller::of(&app, tenant));
    let outcome = app.db.write(move |tx| async move { unlink(&tx, id, now, (user, identity), unlinked, &teller).await }).await;
    app.jobs.wake();
    match outcome {
        Err(Error::Constraint(constraint)) if constraint.kind == ConstraintKind::Unique => Err(email_conflict()),
        Err(error) => Err(error.into()),
        Ok(outcome) => outcome.map(|()| Json(Map::new())),
    }
}

fn email_conflict() -> AuthError {
    AuthError::unprocessable(AuthCode::EmailConflictIdentityNotDeletable, "Unable to unlink identity due to email conflict")
}

async fn unlink(
    tx: &Tx,
    tenant: TenantId,
    now: Timestamp,
    (user, identity): (Uuid, Uuid),
    event: Event,
    teller: &Teller,
) -> DbResult<Result<(), AuthError>> {
    let Some(mut user) = sql::lock_user(tx, tenant, user).await? else { return Ok(Err(AuthError::user_not_found())) };
    let before = user.clone();
    let all = sql::identities_of(tx, tenant, user.id).await?;
    if all.len() < 2 {
        let message = "User must have at least 1 identity after unlinking";
        return Ok(Err(AuthError::unprocessable(AuthCode::SingleIdentityNotDeletable, message)));
    }
    let (gone, left): (Vec<IdentityRow>, Vec<IdentityRow>) = all.into_iter().partition(|known| known.id == identity);
    let Some(gone) = gone.first() else {
        return Ok(Err(AuthError::unprocessable(AuthCode::IdentityNotFound, "Identity doesn't exist")));
    };
    if gone.provider == PHONE_PROVIDER {
        // Else a code to the number would still be a way in.
        user.phone = None;
        user.phone_confirmed_at = None;
    } else if gone.email == user.email
        && let Some(refusal) = move_address(tx, tenant, &mut user, &left).await?
    {
        return Ok(Err(refusal));
    }
    // A user who gives up the mail address as a way in gives up its password.
    if gone.provider == EMAIL_PROVIDER {
        user.encrypted_password = None;
    }
    identities::delete(tx, tenant, gone.id).await?;
    audit::note(tx, tenant, now, &event.with("provider", gone.provider.clone())).await?;
    teller.tell(tx, now, &before, Notice::IdentityUnlinked { provider: gone.provider.clone() }).await?;
    // What was mailed to an address that may not be the user's any more.
    revoke_all(tx, tenant, &mut user).await?;
    note_providers(tx, tenant, &mut user).await?;
    user.updated_at = now;
    sql::update_user(tx, tenant, &user).await?;
    Ok(Ok(()))
}

/// The user's address stays if another identity has it too; else a verified one of theirs takes its place.
async fn move_address(tx: &Tx, tenant: TenantId, user: &mut UserRow, left: &[IdentityRow]) -> DbResult<Option<AuthError>> {
    if left.iter().any(|identity| identity.email == user.email) {
        return Ok(None);
    }
    let is_verified = |identity: &&IdentityRow| identity.identity_data.0["email_verified"] == true;
    let Some(next) = left.iter().filter(is_verified).find_map(|identity| identity.email.clone()) else {
        user.email = None;
        user.email_confirmed_at = None;
        user.email_is_unproved = false;
        return Ok(None);
    };
    let is_taken = match next.parse() {
        Ok(email) => sql::find_user_by_email(tx, tenant, &email).await?.is_some_and(|other| other.id != user.id),
        Err(_) => true,
    };
    if is_taken {
        return Ok(Some(email_conflict()));
    }
    user.email = Some(next);
    // A provider vouches for this one.
    user.email_is_unproved = false;
    Ok(None)
}
