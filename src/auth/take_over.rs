//! An address comes to its owner later than to somebody else.
//!
//! Whoever makes an account under an address that is not theirs, and waits for its owner, must gain nothing by it (V2, V3): when the owner
//! comes with proof, everything goes by which somebody else could come in again. What an admin noted stays.

use super::{
    model::{IdentityRow, UserRow},
    sql::{self, identities},
};
use crate::{db::Tx, error::Result, tenants::TenantId};

/// Takes away password, number, sessions, passkeys and second factors, and the identities that are not to be kept. The row itself is still to
/// be written.
pub(super) async fn shut_out_others(tx: &Tx, tenant: TenantId, user: &mut UserRow, is_kept: impl Fn(&IdentityRow) -> bool) -> Result<()> {
    shut_out_first_factors(tx, tenant, user, is_kept).await?;
    sql::delete_factors_of(tx, tenant, user.id).await
}

/// The same, but that who has a second factor still needs it.
pub(super) async fn shut_out_first_factors(tx: &Tx, tenant: TenantId, user: &mut UserRow, is_kept: impl Fn(&IdentityRow) -> bool) -> Result<()> {
    user.encrypted_password = None;
    user.phone = None;
    user.phone_confirmed_at = None;
    for identity in sql::identities_of(tx, tenant, user.id).await? {
        if !is_kept(&identity) {
            identities::delete(tx, tenant, identity.id).await?;
        }
    }
    sql::delete_passkeys_of(tx, tenant, user.id).await?;
    sql::delete_sessions_of(tx, tenant, user.id).await
}
