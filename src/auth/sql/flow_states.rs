//! Statements about flows that come back.

use uuid::Uuid;

use crate::{
    auth::flow_state::FlowStateRow,
    db::{Conn, Timestamp, Tx},
    error::Result,
    tenants::TenantId,
};

pub(in crate::auth) async fn insert(tx: &Tx, tenant: TenantId, flow: &FlowStateRow) -> Result<()> {
    tx.query(
        "INSERT INTO flow_states (tenant_id, id, method, user_id, mail_token_id, challenge, challenge_method, code_hash, provider, \
         state_hash, browser_hash, linking_session_id, redirect_to, secret, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
    .bind(tenant)
    .bind(flow.id)
    .bind(&flow.method)
    .bind(flow.user_id)
    .bind(flow.mail_token_id)
    .bind(flow.challenge.as_deref())
    .bind(flow.challenge_method.as_deref())
    .bind(flow.code_hash.clone())
    .bind(flow.provider.as_deref())
    .bind(flow.state_hash.clone())
    .bind(flow.browser_hash.clone())
    .bind(flow.linking_session_id)
    .bind(flow.redirect_to.as_deref())
    .bind(flow.secret.clone())
    .bind(flow.created_at)
    .bind(flow.expires_at)
    .execute()
    .await?;
    Ok(())
}

/// Removes the flows of all tenants that ended before a moment.
pub(in crate::auth) async fn delete_ended_before(tx: &Tx, moment: Timestamp) -> Result<()> {
    tx.query("DELETE FROM flow_states WHERE expires_at < $1").bind(moment).execute().await?;
    Ok(())
}

/// The flow that a code belongs to.
pub(in crate::auth) async fn find_by_code(conn: &Conn, tenant: TenantId, code_hash: &[u8; 32]) -> Result<Option<FlowStateRow>> {
    conn.query(
        "SELECT id, method, user_id, mail_token_id, challenge, challenge_method, code_hash, provider, state_hash, browser_hash, claimed_at, \
         linking_session_id, redirect_to, secret, created_at, expires_at FROM flow_states WHERE tenant_id = $1 AND code_hash = $2",
    )
    .bind(tenant)
    .bind(code_hash.as_slice())
    .fetch_optional()
    .await
}

/// The flow that a provider's answer belongs to.
pub(in crate::auth) async fn find_by_state(conn: &Conn, tenant: TenantId, state_hash: &[u8; 32]) -> Result<Option<FlowStateRow>> {
    conn.query(
        "SELECT id, method, user_id, mail_token_id, challenge, challenge_method, code_hash, provider, state_hash, browser_hash, claimed_at, \
         linking_session_id, redirect_to, secret, created_at, expires_at FROM flow_states WHERE tenant_id = $1 AND state_hash = $2",
    )
    .bind(tenant)
    .bind(state_hash.as_slice())
    .fetch_optional()
    .await
}

/// Says that the user has come back; false when somebody was here before.
pub(in crate::auth) async fn claim(tx: &Tx, tenant: TenantId, now: Timestamp, id: Uuid) -> Result<bool> {
    let claimed = tx
        .query("UPDATE flow_states SET claimed_at = $3 WHERE tenant_id = $1 AND id = $2 AND claimed_at IS NULL")
        .bind(tenant)
        .bind(id)
        .bind(now)
        .execute()
        .await?;
    Ok(claimed == 1)
}

/// Gives the flow of a mail token a code. A token has one flow at most, and the flow one code.
pub(in crate::auth) async fn set_code_of_mail(tx: &Tx, tenant: TenantId, mail_token: Uuid, code_hash: &[u8; 32], ends: Timestamp) -> Result<bool> {
    let set = tx
        .query("UPDATE flow_states SET code_hash = $3, expires_at = $4 WHERE tenant_id = $1 AND mail_token_id = $2 AND code_hash IS NULL")
        .bind(tenant)
        .bind(mail_token)
        .bind(code_hash.as_slice())
        .bind(ends)
        .execute()
        .await?;
    Ok(set == 1)
}

/// Gives a flow its user, its code, and what the provider gave, sealed.
pub(in crate::auth) async fn set_code(
    tx: &Tx,
    tenant: TenantId,
    id: Uuid,
    user: Uuid,
    code_hash: &[u8; 32],
    secret: &[u8],
    ends: Timestamp,
) -> Result<()> {
    tx.query("UPDATE flow_states SET user_id = $3, code_hash = $4, secret = $5, expires_at = $6 WHERE tenant_id = $1 AND id = $2")
        .bind(tenant)
        .bind(id)
        .bind(user)
        .bind(code_hash.as_slice())
        .bind(secret)
        .bind(ends)
        .execute()
        .await?;
    Ok(())
}

/// Removes a flow by its code; false when somebody was here before.
pub(in crate::auth) async fn delete_by_code(tx: &Tx, tenant: TenantId, id: Uuid, code_hash: &[u8; 32]) -> Result<bool> {
    let deleted = tx
        .query("DELETE FROM flow_states WHERE tenant_id = $1 AND id = $2 AND code_hash = $3")
        .bind(tenant)
        .bind(id)
        .bind(code_hash.as_slice())
        .execute()
        .await?;
    Ok(deleted == 1)
}

pub(in crate::auth) async fn delete_of_user(tx: &Tx, tenant: TenantId, user: Uuid) -> Result<()> {
    tx.query("DELETE FROM flow_states WHERE tenant_id = $1 AND user_id = $2").bind(tenant).bind(user).execute().await?;
    Ok(())
}

/// Removes every flow of a user but that of one mail token.
pub(in crate::auth) async fn delete_of_user_but(tx: &Tx, tenant: TenantId, user: Uuid, mail_token: Uuid) -> Result<()> {
    tx.query("DELETE FROM flow_states WHERE tenant_id = $1 AND user_id = $2 AND (mail_token_id IS NULL OR mail_token_id <> $3)")
        .bind(tenant)
        .bind(user)
        .bind(mail_token)
        .execute()
        .await?;
    Ok(())
}
