//! A user enrols a factor. It counts for nothing until it is verified.

use axum::{Json, extract::State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    CHALLENGE_SECONDS, RAISED, about, insufficient,
    model::{FactorRow, FactorType},
    refuse_anonymous,
    totp::{self, TotpSetup},
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    auth::{
        caller::{CurrentUser, SignedIn},
        error::{AuthCode, AuthError, AuthFailures},
        limits::{self, Bucket},
        model::UserRow,
        phone::Phone,
        request::{JsonBody, default_if_null},
        sql,
    },
    db::Tx,
    error::Result as DbResult,
    tenants::{Tenant, TenantId},
};

/// Characters of a factor's name at most.
pub(super) const LONGEST_NAME: usize = 120;

/// The factor that a user wants to enrol.
#[derive(Deserialize, ToSchema)]
pub(in crate::auth) struct FactorEnrolment {
    /// `totp`, `phone` or `webauthn`.
    #[serde(default, deserialize_with = "default_if_null")]
    #[schema(example = "totp")]
    factor_type: String,
    /// What the user calls it; no two of a user's factors are called the same.
    #[serde(default, deserialize_with = "default_if_null")]
    friendly_name: String,
    /// What the authenticator app shows as the service; the site's host if nothing is said.
    #[serde(default, deserialize_with = "default_if_null")]
    issuer: String,
    /// The number that codes are sent to, with its country, for `phone`.
    #[serde(default, deserialize_with = "default_if_null")]
    phone: String,
}

/// A factor that is still to be verified.
#[derive(Serialize, ToSchema)]
pub(in crate::auth) struct EnrolledFactor {
    /// The factor.
    id: Uuid,
    /// What it is.
    #[serde(rename = "type")]
    factor_type: FactorType,
    /// What the user calls it.
    friendly_name: String,
    /// What to set up the authenticator app with.
    #[serde(skip_serializing_if = "Option::is_none")]
    totp: Option<TotpSetup>,
    /// The number, as it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
}

/// Enrols a second factor.
#[utoipa::path(post, path = "/auth/v1/factors", tag = "auth", request_body = FactorEnrolment,
    responses((status = 200, body = EnrolledFactor, description = "The factor, to be challenged and verified next"), AuthFailures),
    security(("apikey" = [], "user" = [])))]
pub(in crate::auth) async fn enroll_factor(
    State(app): State<App>,
    current: CurrentUser,
    JsonBody(asked): JsonBody<FactorEnrolment>,
) -> Result<Json<EnrolledFactor>, AuthError> {
    limits::count(&app, &current.tenant, Bucket::UpdateUser, &current.peer).await?;
    refuse_anonymous(&current.user)?;
    let (tenant, settings) = (&current.tenant, &current.tenant.settings.mfa);
    let kind = match asked.factor_type.as_str() {
        "totp" if settings.totp_enroll_enabled => FactorType::Totp,
        "phone" if settings.phone_enroll_enabled => FactorType::Phone,
        "webauthn" if settings.webauthn_enroll_enabled => FactorType::Webauthn,
        "totp" => return Err(AuthError::unprocessable(AuthCode::MfaTotpEnrollNotEnabled, "MFA enroll is disabled for TOTP")),
        "webauthn" => return Err(AuthError::unprocessable(AuthCode::MfaWebauthnEnrollNotEnabled, "MFA enroll is disabled for WebAuthn")),
        "phone" => return Err(AuthError::unprocessable(AuthCode::MfaPhoneEnrollNotEnabled, "MFA enroll is disabled for Phone")),
        _ => return Err(AuthError::validation("factor_type needs to be totp, phone, or webauthn")),
    };
    check_name(&asked.friendly_name)?;
    let user = sql::find_user(&app.db.read().await?, tenant.id, current.user.user_id).await?.ok_or_else(AuthError::user_not_found)?;
    let mut factor = FactorRow::new(user.id, kind, asked.friendly_name, app.clock.now());
    let mut setup = None;
    if kind == FactorType::Totp {
        let issuer = if asked.issuer.is_empty() { site_host(tenant) } else { asked.issuer };
        let (sealed, shown) = totp::set_up(&app, tenant.id, factor.id, &issuer, &account_of(&user))?;
        (factor.secret, setup) = (Some(sealed), Some(shown));
    }
    if kind == FactorType::Phone {
        factor.phone = Some(read_phone(&asked.phone)?.into());
    }
    let phone = factor.phone.is_some().then_some(asked.phone);
    let enrolled = EnrolledFactor { id: factor.id, factor_type: kind, friendly_name: factor.friendly_name.clone(), totp: setup, phone };
    store(&app, tenant, &current.user, factor).await?;
    Ok(Json(enrolled))
}

pub(super) fn check_name(name: &str) -> Result<(), AuthError> {
    if name.chars().count() > LONGEST_NAME {
        return Err(AuthError::validation(format!("friendly_name must be {LONGEST_NAME} characters or less")));
    }
    Ok(())
}

fn read_phone(text: &str) -> Result<Phone, AuthError> {
    if text.is_empty() {
        return Err(AuthError::validation("Phone number required to enroll Phone factor"));
    }
    text.parse()
}

fn site_host(tenant: &Tenant) -> String {
    tenant.settings.redirects.site(&tenant.issuer).host_str().map_or_else(|| tenant.reference.clone(), str::to_owned)
}

/// What the authenticator app shows as the account.
fn account_of(user: &UserRow) -> String {
    user.email.clone().or_else(|| user.phone.clone()).unwrap_or_else(|| user.id.to_string())
}

async fn store(app: &App, tenant: &Tenant, signed_in: &SignedIn, factor: FactorRow) -> Result<(), AuthError> {
    let (id, most, is_raised) = (tenant.id, tenant.settings.mfa.max_enrolled_factors, signed_in.aal == RAISED);
    let name = factor.friendly_name.clone();
    let begun = about(Event::new(Action::FactorInProgress), &factor);
    let enrolled = app
        .db
        .write(move |tx| async move {
            let enrolled = enroll(&tx, id, &factor, most, is_raised).await?;
            if enrolled == Enrolled::Done {
                audit::note(&tx, id, factor.created_at, &begun).await?;
            }
            Ok(enrolled)
        })
        .await?;
    enrolled.or_refuse(&name)
}

/// What became of an enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Enrolled {
    Done,
    Gone,
    NameTaken,
    TooMany,
    LowSession,
    HasNumber,
}

impl Enrolled {
    pub(super) fn or_refuse(self, name: &str) -> Result<(), AuthError> {
        match self {
            Self::Done => Ok(()),
            Self::Gone => Err(AuthError::user_not_found()),
            Self::NameTaken => Err(name_taken(name)),
            Self::TooMany => {
                let message = "Maximum number of verified factors reached, unenroll to continue";
                Err(AuthError::unprocessable(AuthCode::TooManyEnrolledMfaFactors, message))
            }
            Self::LowSession => Err(insufficient(StatusCode::FORBIDDEN, "AAL2 required to enroll a new factor")),
            Self::HasNumber => {
                let message = "A verified phone factor already exists, unenroll the existing factor to continue";
                Err(AuthError::unprocessable(AuthCode::MfaVerifiedFactorExists, message))
            }
        }
    }
}

/// Adds a factor, if the user may have it.
pub(super) async fn enroll(tx: &Tx, tenant: TenantId, factor: &FactorRow, most: u32, is_raised: bool) -> DbResult<Enrolled> {
    if sql::lock_user(tx, tenant, factor.user_id).await?.is_none() {
        return Ok(Enrolled::Gone);
    }
    sql::delete_stale_factors(tx, tenant, factor.user_id, factor.created_at.plus_seconds(-CHALLENGE_SECONDS)).await?;
    let mut factors = sql::factors_of(tx, tenant, factor.user_id).await?;
    // Who begins once more with a number that was not verified goes on with that.
    let has_same_number = |other: &FactorRow| factor.phone.is_some() && other.phone == factor.phone;
    if factors.iter().any(|other| has_same_number(other) && other.is_verified()) {
        return Ok(Enrolled::HasNumber);
    }
    for same in factors.extract_if(.., |other| has_same_number(other)) {
        sql::delete_factor(tx, tenant, same.id).await?;
    }
    if factors.iter().any(|other| other.friendly_name == factor.friendly_name) {
        return Ok(Enrolled::NameTaken);
    }
    if factors.len() >= usize::try_from(most).unwrap_or(usize::MAX) {
        return Ok(Enrolled::TooMany);
    }
    if !is_raised && factors.iter().any(FactorRow::is_verified) {
        return Ok(Enrolled::LowSession);
    }
    let is_added = sql::insert_factor(tx, tenant, factor).await?;
    Ok(if is_added { Enrolled::Done } else { Enrolled::NameTaken })
}

pub(super) fn name_taken(name: &str) -> AuthError {
    AuthError::unprocessable(AuthCode::MfaFactorNameConflict, format!("A factor with the friendly name \"{name}\" for this user already exists"))
}
