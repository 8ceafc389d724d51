//! Every statement of an import of users. What is there is left as it is.

use serde_json::json;
use uuid::Uuid;

use crate::{
    auth::{
        import::{Incoming, IncomingFactor, IncomingIdentity, IncomingSession},
        model::AUTHENTICATED,
    },
    db::{Conn, Json, Timestamp, Tx},
    error::Result,
    tenants::TenantId,
};

/// Whether there is a user with this id.
pub(in crate::auth) async fn user_exists(conn: &Conn, tenant: TenantId, id: Uuid) -> Result<bool> {
    let found: Option<(Uuid,)> = conn.query("SELECT id FROM users WHERE tenant_id = $1 AND id = $2").bind(tenant).bind(id).fetch_optional().await?;
    Ok(found.is_some())
}

/// Whether a user has this address or this number.
pub(in crate::auth) async fn is_taken(conn: &Conn, tenant: TenantId, email: Option<&str>, phone: Option<&str>) -> Result<bool> {
    let found: Option<(Uuid,)> = conn
        .query("SELECT id FROM users WHERE tenant_id = $1 AND (email = $2 OR phone = $3) LIMIT 1")
        .bind(tenant)
        .bind(email)
        .bind(phone)
        .fetch_optional()
        .await?;
    Ok(found.is_some())
}

/// Adds a user; false when its id, address or number is taken.
pub(in crate::auth) async fn insert_user(tx: &Tx, tenant: TenantId, now: Timestamp, user: &Incoming) -> Result<bool> {
    let added = tx
        .query(
            "INSERT INTO users (tenant_id, id, aud, role, email, phone, encrypted_password, email_confirmed_at, phone_confirmed_at, invited_at, \
             last_sign_in_at, app_metadata, user_metadata, is_anonymous, is_sso_user, banned_until, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) ON CONFLICT DO NOTHING",
        )
        .bind(tenant)
        .bind(user.id)
        .bind(AUTHENTICATED)
        .bind(user.role.as_deref().unwrap_or(AUTHENTICATED))
        .bind(user.email.as_deref())
        .bind(user.phone.as_deref())
        .bind(user.password_hash.as_deref())
        .bind(user.email_confirmed_at)
        .bind(user.phone_confirmed_at)
        .bind(user.invited_at)
        .bind(user.last_sign_in_at)
        .bind(Json(user.app_metadata.clone().into()))
        .bind(Json(user.user_metadata.clone().into()))
        .bind(user.is_anonymous)
        .bind(user.is_sso_user)
        .bind(user.banned_until)
        .bind(user.created_at.unwrap_or(now))
        .bind(now)
        .execute()
        .await?;
    Ok(added == 1)
}

/// Adds a way to sign in; false when it is somebody's already, or there is no such user.
pub(in crate::auth) async fn insert_identity(tx: &Tx, tenant: TenantId, now: Timestamp, identity: &IncomingIdentity) -> Result<bool> {
    let added = tx
        .query(
            "INSERT INTO identities (tenant_id, id, user_id, provider, provider_id, identity_data, email, last_sign_in_at, created_at, updated_at) \
             SELECT tenant_id, $2, id, $4, $5, $6, $7, $8, $9, $10 FROM users WHERE tenant_id = $1 AND id = $3 ON CONFLICT DO NOTHING",
        )
        .bind(tenant)
        .bind(identity.id)
        .bind(identity.user)
        .bind(&identity.provider)
        .bind(&identity.subject)
        .bind(Json(identity.claims.clone().into()))
        .bind(identity.email.as_deref())
        .bind(identity.last_sign_in_at)
        .bind(identity.created_at.unwrap_or(now))
        .bind(now)
        .execute()
        .await?;
    Ok(added == 1)
}

/// Notes among a user's providers that there is one more.
pub(in crate::auth) async fn note_provider(tx: &Tx, tenant: TenantId, user: Uuid, provider: &str) -> Result<()> {
    let found: Option<(Json,)> =
        tx.query("SELECT app_metadata FROM users WHERE tenant_id = $1 AND id = $2").bind(tenant).bind(user).fetch_optional().await?;
    let Some((Json(mut metadata),)) = found else { return Ok(()) };
    let mut providers = metadata["providers"].as_array().cloned().unwrap_or_default();
    if providers.iter().any(|known| known == provider) {
        return Ok(());
    }
    providers.push(json!(provider));
    if !metadata["provider"].is_string() {
        metadata["provider"] = json!(provider);
    }
    metadata["providers"] = json!(providers);
    tx.query("UPDATE users SET app_metadata = $3 WHERE tenant_id = $1 AND id = $2").bind(tenant).bind(user).bind(metadata).execute().await?;
    Ok(())
}

/// Adds the secret of an authenticator app; false when it is there, or its user is not.
pub(in crate::auth) async fn insert_factor(tx: &Tx, tenant: TenantId, now: Timestamp, factor: &IncomingFactor) -> Result<bool> {
    let added = tx
        .query(
            "INSERT INTO factors (tenant_id, id, user_id, friendly_name, factor_type, status, secret, failures, created_at, updated_at) \
             SELECT tenant_id, $2, id, $4, 'totp', $5, $6, 0, $7, $8 FROM users WHERE tenant_id = $1 AND id = $3 ON CONFLICT DO NOTHING",
        )
        .bind(tenant)
        .bind(factor.id)
        .bind(factor.user)
        .bind(&factor.name)
        .bind(if factor.is_verified { "verified" } else { "unverified" })
        .bind(factor.secret.as_slice())
        .bind(factor.created_at.unwrap_or(now))
        .bind(now)
        .execute()
        .await?;
    Ok(added == 1)
}

/// Gives a user that has no password the one it had.
pub(in crate::auth) async fn set_missing_password(tx: &Tx, tenant: TenantId, user: Uuid, hash: &str) -> Result<()> {
    tx.query("UPDATE users SET encrypted_password = $3 WHERE tenant_id = $1 AND id = $2 AND encrypted_password IS NULL")
        .bind(tenant)
        .bind(user)
        .bind(hash)
        .execute()
        .await?;
    Ok(())
}

/// Adds a session that goes on; false when it is there, or its user is not.
pub(in crate::auth) async fn insert_session(tx: &Tx, tenant: TenantId, now: Timestamp, session: &IncomingSession, key: &[u8]) -> Result<bool> {
    let added = tx
        .query(
            "INSERT INTO sessions (tenant_id, id, user_id, refresh_key, refresh_counter, aal, amr, user_agent, ip, created_at, refreshed_at, not_after, \
             refresh_floor) SELECT tenant_id, $2, id, $4, 0, $5, $6, $7, $8, $9, $10, $11, -1 FROM users WHERE tenant_id = $1 AND id = $3 ON CONFLICT DO NOTHING",
        )
        .bind(tenant)
        .bind(session.id)
        .bind(session.user)
        .bind(key)
        .bind(&session.aal)
        // How it began is not in the row.
        .bind(Json(json!([])))
        .bind(session.user_agent.as_deref())
        .bind(session.ip.as_deref())
        .bind(session.created_at.unwrap_or(now))
        .bind(session.refreshed_at)
        .bind(session.not_after)
        .execute()
        .await?;
    Ok(added == 1)
}

/// Adds a refresh token of a session; false when it is there, or its session is not.
pub(in crate::auth) async fn insert_token(tx: &Tx, tenant: TenantId, session: Uuid, hash: &[u8; 32]) -> Result<bool> {
    let added = tx
        .query(
            "INSERT INTO imported_refresh_tokens (tenant_id, hash, session_id) \
             SELECT tenant_id, $2, id FROM sessions WHERE tenant_id = $1 AND id = $3 ON CONFLICT DO NOTHING",
        )
        .bind(tenant)
        .bind(hash.as_slice())
        .bind(session)
        .execute()
        .await?;
    Ok(added == 1)
}

/// The session of an imported refresh token.
pub(in crate::auth) async fn session_of_token(conn: &Conn, tenant: TenantId, hash: &[u8; 32]) -> Result<Option<Uuid>> {
    let found: Option<(Uuid,)> = conn
        .query("SELECT session_id FROM imported_refresh_tokens WHERE tenant_id = $1 AND hash = $2")
        .bind(tenant)
        .bind(hash.as_slice())
        .fetch_optional()
        .await?;
    Ok(found.map(|(session,)| session))
}
