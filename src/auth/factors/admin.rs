//! What an admin does with a user's factors: sees them, gives them another name, takes them away from who has lost them.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    about,
    enroll::{check_name, name_taken},
    model::{Factor, FactorRow, FactorType},
    not_found, remove,
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    auth::{
        caller::{UserReader, UserWriter},
        error::{AuthError, AuthFailures},
        notice::Teller,
        phone::Phone,
        request::{JsonBody, default_if_null, path_id},
        sql,
    },
    error::{ConstraintKind, Error},
    tenants::TenantId,
};

/// Lists the factors of a user.
#[utoipa::path(get, path = "/auth/v1/admin/users/{user_id}/factors", tag = "auth", params(("user_id" = Uuid, Path)),
    responses((status = 200, body = Vec<Factor>, description = "The factors, oldest first"), AuthFailures), security(("apikey" = [])))]
pub(in crate::auth) async fn list_factors_of_user(
    State(app): State<App>,
    UserReader(tenant): UserReader,
    Path(user): Path<String>,
) -> Result<Json<Vec<Factor>>, AuthError> {
    let user = path_id("user_id", &user)?;
    let conn = app.db.read().await?;
    sql::find_user(&conn, tenant.id, user).await?.ok_or_else(AuthError::user_not_found)?;
    let factors = sql::factors_of(&conn, tenant.id, user).await?;
    Ok(Json(factors.into_iter().map(Factor::new).collect()))
}

/// What an admin changes of a factor.
#[derive(Deserialize, ToSchema)]
pub(in crate::auth) struct FactorChanges {
    /// What the user is to call it.
    #[serde(default, deserialize_with = "default_if_null")]
    friendly_name: String,
    /// The number that codes are sent to from now on, with its country.
    #[serde(default, deserialize_with = "default_if_null")]
    phone: String,
}

/// Gives a factor another name, and a phone another number.
#[utoipa::path(put, path = "/auth/v1/admin/users/{user_id}/factors/{factor_id}", tag = "auth", request_body = FactorChanges,
    params(("user_id" = Uuid, Path), ("factor_id" = Uuid, Path)),
    responses((status = 200, body = Factor, description = "The factor as it is now"), AuthFailures), security(("apikey" = [])))]
pub(in crate::auth) async fn update_factor_of_user(
    State(app): State<App>,
    UserWriter(tenant): UserWriter,
    Path((user, factor)): Path<(String, String)>,
    JsonBody(asked): JsonBody<FactorChanges>,
) -> Result<Json<Factor>, AuthError> {
    check_name(&asked.friendly_name)?;
    let mut factor = factor_of(&app, tenant.id, &user, &factor).await?;
    // Other factors have no number.
    let phone = Some(asked.phone).filter(|text| !text.is_empty() && factor.kind() == FactorType::Phone);
    let phone = phone.map(|text| text.parse::<Phone>()).transpose()?.map(String::from).filter(|digits| factor.phone.as_ref() != Some(digits));
    if asked.friendly_name.is_empty() && phone.is_none() {
        return Ok(Json(Factor::new(factor)));
    }
    if !asked.friendly_name.is_empty() {
        factor.friendly_name.clone_from(&asked.friendly_name);
    }
    let has_other_number = phone.is_some();
    factor.phone = phone.or(factor.phone);
    factor.updated_at = app.clock.now();
    let (id, row) = (tenant.id, factor.clone());
    let updated = about(Event::new(Action::FactorUpdated), &factor).with("phone", has_other_number);
    let written = app
        .db
        .write(move |tx| async move {
            sql::update_factor(&tx, id, &row).await?;
            // What was sent to the number before proves nothing of this one.
            if has_other_number {
                sql::delete_challenges(&tx, id, row.id).await?;
            }
            audit::note(&tx, id, row.updated_at, &updated).await
        })
        .await;
    match written {
        Err(Error::Constraint(constraint)) if constraint.kind == ConstraintKind::Unique => Err(name_taken(&asked.friendly_name)),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(Json(Factor::new(factor))),
    }
}

/// Takes a factor away. The sessions that it raised fall to `aal1`.
#[utoipa::path(delete, path = "/auth/v1/admin/users/{user_id}/factors/{factor_id}", tag = "auth",
    params(("user_id" = Uuid, Path), ("factor_id" = Uuid, Path)),
    responses((status = 200, body = Factor, description = "The factor that is gone"), AuthFailures), security(("apikey" = [])))]
pub(in crate::auth) async fn delete_factor_of_user(
    State(app): State<App>,
    UserWriter(tenant): UserWriter,
    Path((user, factor)): Path<(String, String)>,
) -> Result<Json<Factor>, AuthError> {
    let factor = factor_of(&app, tenant.id, &user, &factor).await?;
    let (id, row, now, teller) = (tenant.id, factor.clone(), app.clock.now(), Teller::of(&app, &tenant));
    let deleted = about(Event::new(Action::FactorDeleted), &factor);
    app.db
        .write(move |tx| async move {
            let Some(user) = sql::lock_user(&tx, id, row.user_id).await? else { return Ok(()) };
            remove::remove(&tx, id, now, &user, &row, &teller).await?;
            audit::note(&tx, id, now, &deleted).await
        })
        .await?;
    app.jobs.wake();
    Ok(Json(Factor::new(factor)))
}

async fn factor_of(app: &App, tenant: TenantId, user: &str, factor: &str) -> Result<FactorRow, AuthError> {
    let user = path_id("user_id", user)?;
    let conn = app.db.read().await?;
    sql::find_user(&conn, tenant, user).await?.ok_or_else(AuthError::user_not_found)?;
    let factor = path_id("factor_id", factor)?;
    sql::find_factor(&conn, tenant, user, factor).await?.ok_or_else(not_found)
}
