//! Codes of an authenticator app (RFC 6238): SHA-1, six digits, half a minute each, one step late or early.

use qrcode::{EcLevel, QrCode, render::svg};
use serde::Serialize;
use totp_rs::{Builder, Totp};
use utoipa::ToSchema;
use uuid::Uuid;

use super::model::FactorRow;
use crate::{
    app::App,
    crypto::random,
    db::Timestamp,
    error::{Error, Result},
    tenants::TenantId,
};

/// What an authenticator app is set up with. Shown once.
#[derive(Serialize, ToSchema)]
pub(in crate::auth) struct TotpSetup {
    /// The `uri` as a QR code: the text of an SVG picture.
    qr_code: String,
    /// The secret in base32, for who can't scan.
    secret: String,
    /// `otpauth://totp/…`
    uri: String,
}

/// A new secret for a factor: sealed, and as the user's app is to be set up with it.
pub(super) fn set_up(app: &App, tenant: TenantId, factor: Uuid, issuer: &str, account: &str) -> Result<(Vec<u8>, TotpSetup)> {
    let secret = random::<20>();
    let totp = builder(&secret)
        // The form of the URI has a colon between the two.
        .with_issuer(Some(issuer.replace(':', " ")))
        .with_account_name(account.replace(':', " "))
        .build()
        .map_err(Error::internal)?;
    let uri = totp.to_url().map_err(Error::internal)?;
    let code = QrCode::with_error_correction_level(&uri, EcLevel::M).map_err(Error::internal)?;
    // Named colours: a `#` would end the `data:` URL that clients make of this.
    let picture = code.render().dark_color(svg::Color("black")).light_color(svg::Color("white")).min_dimensions(200, 200).build();
    let setup = TotpSetup { qr_code: picture, secret: totp.secret().to_base32(), uri };
    Ok((app.master_key.seal(&place(tenant, factor), &secret), setup))
}

/// The time step whose code this is, if it is one of now.
pub(super) fn step_of(app: &App, tenant: TenantId, now: Timestamp, factor: &FactorRow, code: &str) -> Result<Option<i64>> {
    let sealed = factor.secret.as_deref().ok_or_else(|| Error::internal("a TOTP factor has no secret"))?;
    let secret = app.master_key.open(&place(tenant, factor.id), sealed)?;
    let code: String = code.split_whitespace().collect();
    let now = u64::try_from(now.seconds()).unwrap_or_default();
    // Secrets that were imported may be shorter than we make them.
    let totp: Totp = builder(&secret).build_noncompliant();
    Ok(totp.check(&code, now).and_then(|step| i64::try_from(step).ok()))
}

fn builder(secret: &[u8]) -> Builder {
    Builder::new().with_secret(secret.to_vec())
}

/// Where the secret of a factor is sealed for.
pub(in crate::auth) fn place(tenant: TenantId, factor: Uuid) -> String {
    format!("factors/{}/{factor}", tenant.number())
}
