//! A user's mail address and phone number, and the identities that follow them.

use serde_json::{Value, json};

use super::{
    email::Email,
    model::{EMAIL_PROVIDER, IdentityRow, Metadata, PHONE_PROVIDER, UserRow, email_claims, merge, phone_claims},
    sql,
};
use crate::{
    db::{Timestamp, Tx},
    error::Result,
    tenants::TenantId,
};

/// Gives a user another address, and its identity with it. The row itself is still to be written.
pub(super) async fn set_email(tx: &Tx, tenant: TenantId, now: Timestamp, user: &mut UserRow, email: &Email, is_confirmed: bool) -> Result<()> {
    user.email = Some(email.as_str().to_owned());
    user.new_email = None;
    // That the last address was confirmed says nothing of this one.
    user.email_confirmed_at = is_confirmed.then_some(now);
    user.email_is_unproved = false;
    let claims = email_claims(user.id, email.as_str(), is_confirmed);
    let new = IdentityRow::of_email(user.id, email.as_str(), is_confirmed, Metadata::new(), now);
    set_identity(tx, tenant, now, user, new, claims).await?;
    if is_confirmed {
        note_in_metadata(user, "email_verified", true);
    }
    Ok(())
}

/// Gives a user another phone number, and its identity with it. The row itself is still to be written.
pub(super) async fn set_phone(tx: &Tx, tenant: TenantId, now: Timestamp, user: &mut UserRow, phone: &str, is_confirmed: bool) -> Result<()> {
    user.phone = Some(phone.to_owned());
    user.new_phone = None;
    user.phone_confirmed_at = is_confirmed.then_some(now);
    let mut claims = phone_claims(user.id, phone, is_confirmed);
    claims.shift_remove("email_verified");
    let new = IdentityRow::of_phone(user.id, phone, is_confirmed, Metadata::new(), now);
    set_identity(tx, tenant, now, user, new, claims).await
}

/// Notes that the address of a user is its own. The row itself is still to be written.
pub(super) async fn confirm_email(tx: &Tx, tenant: TenantId, now: Timestamp, user: &mut UserRow) -> Result<()> {
    user.email_confirmed_at = Some(now);
    verify_identity(tx, tenant, now, user, EMAIL_PROVIDER, "email_verified").await?;
    note_in_metadata(user, "email_verified", true);
    Ok(())
}

/// Notes that the number of a user is its own. The row itself is still to be written.
pub(super) async fn confirm_phone(tx: &Tx, tenant: TenantId, now: Timestamp, user: &mut UserRow) -> Result<()> {
    user.phone_confirmed_at = Some(now);
    verify_identity(tx, tenant, now, user, PHONE_PROVIDER, "phone_verified").await?;
    if user.user_metadata.0.get("phone_verified").is_some() {
        note_in_metadata(user, "phone_verified", true);
    }
    Ok(())
}

async fn verify_identity(tx: &Tx, tenant: TenantId, now: Timestamp, user: &UserRow, provider: &str, claim: &str) -> Result<()> {
    let mut identities = sql::identities_of(tx, tenant, user.id).await?;
    let Some(identity) = identities.iter_mut().find(|identity| identity.provider == provider) else { return Ok(()) };
    merge(&mut identity.identity_data, [(claim.to_owned(), json!(true))].into_iter().collect());
    identity.updated_at = now;
    sql::update_identity(tx, tenant, identity).await
}

/// Brings the identity of this provider up to date, or adds it; and what the user's metadata repeats of it.
async fn set_identity(tx: &Tx, tenant: TenantId, now: Timestamp, user: &mut UserRow, new: IdentityRow, claims: Metadata) -> Result<()> {
    let mut identities = sql::identities_of(tx, tenant, user.id).await?;
    if let Some(identity) = identities.iter_mut().find(|identity| identity.provider == new.provider) {
        merge(&mut identity.identity_data, claims.clone());
        identity.email = new.email;
        identity.updated_at = now;
        sql::update_identity(tx, tenant, identity).await?;
    } else {
        add_provider(user, &new.provider);
        sql::insert_identity(tx, tenant, &new).await?;
    }
    // Only what a user who signed up has there already: an admin's user may have none of it.
    if let Value::Object(metadata) = &mut user.user_metadata.0 {
        for (key, value) in claims {
            if metadata.contains_key(&key) {
                metadata.insert(key, value);
            }
        }
    }
    Ok(())
}

/// Notes in `app_metadata` by what else a user signs in; what it began with stays its `provider`.
fn add_provider(user: &mut UserRow, provider: &str) {
    let Value::Object(metadata) = &mut user.app_metadata.0 else { return };
    metadata.entry("provider").or_insert_with(|| json!(provider));
    let providers = metadata.entry("providers").or_insert_with(|| json!([]));
    if let Value::Array(providers) = providers
        && !providers.iter().any(|known| known == provider)
    {
        providers.push(json!(provider));
    }
}

fn note_in_metadata(user: &mut UserRow, name: &str, value: bool) {
    merge(&mut user.user_metadata, [(name.to_owned(), json!(value))].into_iter().collect());
}
