//! Every statement about users and sessions.

pub(super) mod audit;
pub(super) mod custom_providers;
mod factors;
pub(super) mod flow_states;
pub(super) mod identities;
pub(super) mod import;
pub(super) mod limits;
pub(super) mod messages;
pub(super) mod one_time_tokens;
mod passkeys;
pub(super) mod past_passwords;
mod sessions;

use uuid::Uuid;

pub(super) use self::{factors::*, passkeys::*, sessions::*};
use super::{
    email::Email,
    model::{IdentityRow, SessionRow, UserRow},
    phone::Phone,
    session::Client,
};
use crate::{
    db::{Conn, Json, Timestamp, Tx},
    error::Result,
    row_type,
    tenants::TenantId,
};

row_type! {
    /// Who is behind a session, as of now.
    pub(super) struct LiveSession {
        pub(super) email: Option<String>,
        pub(super) app_metadata: Json,
        pub(super) banned_until: Option<Timestamp>,
        pub(super) aal: Option<String>,
        pub(super) is_anonymous: bool,
        pub(super) employee_id: Option<Uuid>,
        pub(super) created_at: Option<Timestamp>,
        pub(super) not_after: Option<Timestamp>,
    }
}

/// The user, whether the session is alive (`aal` is there), and the employee record, in one look.
pub(super) async fn live_session(conn: &Conn, tenant: TenantId, user: Uuid, session: Uuid) -> Result<Option<LiveSession>> {
    conn.query(
        "SELECT u.email, u.app_metadata, u.banned_until, s.aal, u.is_anonymous, e.id, s.created_at, s.not_after FROM users u \
         LEFT JOIN sessions s ON s.tenant_id = u.tenant_id AND s.id = $3 AND s.user_id = u.id \
         LEFT JOIN employees e ON e.tenant_id = u.tenant_id AND e.user_id = u.id \
         WHERE u.tenant_id = $1 AND u.id = $2 AND u.deleted_at IS NULL",
    )
    .bind(tenant)
    .bind(user)
    .bind(session)
    .fetch_optional()
    .await
}

/// The user with this id, deleted or not.
pub(super) async fn find_user(conn: &Conn, tenant: TenantId, id: Uuid) -> Result<Option<UserRow>> {
    conn.query(
        "SELECT id, aud, role, email, phone, encrypted_password, email_confirmed_at, email_is_unproved, phone_confirmed_at, invited_at, confirmation_sent_at, \
         recovery_sent_at, new_email, email_change_sent_at, email_change_agreed, new_phone, phone_change_sent_at, reauthentication_sent_at, \
         last_sign_in_at, app_metadata, user_metadata, is_anonymous, banned_until, \
         created_at, updated_at, deleted_at FROM users WHERE tenant_id = $1 AND id = $2",
    )
    .bind(tenant)
    .bind(id)
    .fetch_optional()
    .await
}

/// The user with this mail address. A deleted one has none.
pub(super) async fn find_user_by_email(conn: &Conn, tenant: TenantId, email: &Email) -> Result<Option<UserRow>> {
    conn.query(
        "SELECT id, aud, role, email, phone, encrypted_password, email_confirmed_at, email_is_unproved, phone_confirmed_at, invited_at, confirmation_sent_at, \
         recovery_sent_at, new_email, email_change_sent_at, email_change_agreed, new_phone, phone_change_sent_at, reauthentication_sent_at, \
         last_sign_in_at, app_metadata, user_metadata, is_anonymous, banned_until, \
         created_at, updated_at, deleted_at FROM users WHERE tenant_id = $1 AND email = $2",
    )
    .bind(tenant)
    .bind(email.as_str())
    .fetch_optional()
    .await
}

/// The user with this phone number.
pub(super) async fn find_user_by_phone(conn: &Conn, tenant: TenantId, phone: &Phone) -> Result<Option<UserRow>> {
    conn.query(
        "SELECT id, aud, role, email, phone, encrypted_password, email_confirmed_at, email_is_unproved, phone_confirmed_at, invited_at, confirmation_sent_at, \
         recovery_sent_at, new_email, email_change_sent_at, email_change_agreed, new_phone, phone_change_sent_at, reauthentication_sent_at, \
         last_sign_in_at, app_metadata, user_metadata, is_anonymous, banned_until, \
         created_at, updated_at, deleted_at FROM users WHERE tenant_id = $1 AND phone = $2",
    )
    .bind(tenant)
    .bind(phone.as_str())
    .fetch_optional()
    .await
}

/// The user with this mail address or, if it is none, with these digits of a phone number.
pub(super) async fn find_user_by_address(conn: &Conn, tenant: TenantId, address: &str) -> Result<Option<UserRow>> {
    match (address.parse::<Email>(), address.parse::<Phone>()) {
        (Ok(email), _) => find_user_by_email(conn, tenant, &email).await,
        (_, Ok(phone)) => find_user_by_phone(conn, tenant, &phone).await,
        _ => Ok(None),
    }
}

/// Which users a list shows, and where in it they stand.
pub(super) struct UserPage<'p> {
    /// A pattern for `LIKE` in lower case, its wildcards escaped by `\`.
    pub(super) pattern: Option<&'p str>,
    pub(super) newest_first: bool,
    pub(super) limit: i64,
    pub(super) offset: i64,
}

/// A page of the tenant's users.
pub(super) async fn page_of_users(conn: &Conn, tenant: TenantId, page: &UserPage<'_>) -> Result<Vec<UserRow>> {
    let sql = if page.newest_first {
        "SELECT id, aud, role, email, phone, encrypted_password, email_confirmed_at, email_is_unproved, phone_confirmed_at, invited_at, confirmation_sent_at, \
         recovery_sent_at, new_email, email_change_sent_at, email_change_agreed, new_phone, phone_change_sent_at, reauthentication_sent_at, \
         last_sign_in_at, app_metadata, user_metadata, is_anonymous, banned_until, \
         created_at, updated_at, deleted_at FROM users WHERE tenant_id = $1 \
         AND (CAST($2 AS text) IS NULL OR email LIKE $2 ESCAPE '\\' OR lower(user_metadata ->> 'full_name') LIKE $2 ESCAPE '\\') \
         ORDER BY created_at DESC, id DESC LIMIT $3 OFFSET $4"
    } else {
        "SELECT id, aud, role, email, phone, encrypted_password, email_confirmed_at, email_is_unproved, phone_confirmed_at, invited_at, confirmation_sent_at, \
         recovery_sent_at, new_email, email_change_sent_at, email_change_agreed, new_phone, phone_change_sent_at, reauthentication_sent_at, \
         last_sign_in_at, app_metadata, user_metadata, is_anonymous, banned_until, \
         created_at, updated_at, deleted_at FROM users WHERE tenant_id = $1 \
         AND (CAST($2 AS text) IS NULL OR email LIKE $2 ESCAPE '\\' OR lower(user_metadata ->> 'full_name') LIKE $2 ESCAPE '\\') \
         ORDER BY created_at, id LIMIT $3 OFFSET $4"
    };
    conn.query(sql).bind(tenant).bind(page.pattern).bind(page.limit).bind(page.offset).heavy().fetch_all().await
}

/// How many users a list shows on all its pages together.
pub(super) async fn count_users(conn: &Conn, tenant: TenantId, pattern: Option<&str>) -> Result<i64> {
    let (count,) = conn
        .query(
            "SELECT count(*) FROM users WHERE tenant_id = $1 \
             AND (CAST($2 AS text) IS NULL OR email LIKE $2 ESCAPE '\\' OR lower(user_metadata ->> 'full_name') LIKE $2 ESCAPE '\\')",
        )
        .bind(tenant)
        .bind(pattern)
        .heavy()
        .fetch_one::<(i64,)>()
        .await?;
    Ok(count)
}

/// Adds a user; false when the id or the mail address is taken.
pub(super) async fn insert_user(tx: &Tx, tenant: TenantId, user: &UserRow) -> Result<bool> {
    let added = tx
        .query(
            "INSERT INTO users (tenant_id, id, aud, role, email, phone, encrypted_password, email_confirmed_at, phone_confirmed_at, \
             last_sign_in_at, app_metadata, user_metadata, is_anonymous, is_sso_user, banned_until, created_at, updated_at, \
             invited_at, confirmation_sent_at, email_is_unproved) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20) ON CONFLICT DO NOTHING",
        )
        .bind(tenant)
        .bind(user.id)
        .bind(&user.aud)
        .bind(&user.role)
        .bind(user.email.as_deref())
        .bind(user.phone.as_deref())
        .bind(user.encrypted_password.as_deref())
        .bind(user.email_confirmed_at)
        .bind(user.phone_confirmed_at)
        .bind(user.last_sign_in_at)
        .bind(&user.app_metadata)
        .bind(&user.user_metadata)
        .bind(user.is_anonymous)
        .bind(false)
        .bind(user.banned_until)
        .bind(user.created_at)
        .bind(user.updated_at)
        .bind(user.invited_at)
        .bind(user.confirmation_sent_at)
        .bind(user.email_is_unproved)
        .execute()
        .await?;
    Ok(added == 1)
}

/// Writes what can change of a user.
pub(super) async fn update_user(tx: &Tx, tenant: TenantId, user: &UserRow) -> Result<()> {
    tx.query(
        "UPDATE users SET role = $3, email = $4, phone = $5, encrypted_password = $6, email_confirmed_at = $7, phone_confirmed_at = $8, \
         new_email = $9, app_metadata = $10, user_metadata = $11, banned_until = $12, updated_at = $13, deleted_at = $14, \
         invited_at = $15, confirmation_sent_at = $16, recovery_sent_at = $17, email_change_sent_at = $18, email_change_agreed = $19, \
         new_phone = $20, phone_change_sent_at = $21, reauthentication_sent_at = $22, is_anonymous = $23, \
         email_is_unproved = $24 \
         WHERE tenant_id = $1 AND id = $2",
    )
    .bind(tenant)
    .bind(user.id)
    .bind(&user.role)
    .bind(user.email.as_deref())
    .bind(user.phone.as_deref())
    .bind(user.encrypted_password.as_deref())
    .bind(user.email_confirmed_at)
    .bind(user.phone_confirmed_at)
    .bind(user.new_email.as_deref())
    .bind(&user.app_metadata)
    .bind(&user.user_metadata)
    .bind(user.banned_until)
    .bind(user.updated_at)
    .bind(user.deleted_at)
    .bind(user.invited_at)
    .bind(user.confirmation_sent_at)
    .bind(user.recovery_sent_at)
    .bind(user.email_change_sent_at)
    .bind(user.email_change_agreed.as_deref())
    .bind(user.new_phone.as_deref())
    .bind(user.phone_change_sent_at)
    .bind(user.reauthentication_sent_at)
    .bind(user.is_anonymous)
    .bind(user.email_is_unproved)
    .execute()
    .await?;
    Ok(())
}

/// Locks a user's row until the transaction ends, so that two changes of it follow one another. SQLite has one writer anyway, and
/// no such words.
pub(super) async fn lock_user(tx: &Tx, tenant: TenantId, id: Uuid) -> Result<Option<UserRow>> {
    let sql = tx.pick("SELECT id FROM users WHERE tenant_id = $1 AND id = $2", "SELECT id FROM users WHERE tenant_id = $1 AND id = $2 FOR UPDATE");
    let found: Option<(Uuid,)> = tx.query(sql).bind(tenant).bind(id).fetch_optional().await?;
    if found.is_some() { find_user(tx, tenant, id).await } else { Ok(None) }
}

/// Whether the password is still what was verified; brings its hash up to date. False when it was changed meanwhile.
pub(super) async fn keep_password(tx: &Tx, tenant: TenantId, id: Uuid, verified: &str, rehashed: Option<&str>) -> Result<bool> {
    let kept = tx
        .query("UPDATE users SET encrypted_password = coalesce($4, encrypted_password) WHERE tenant_id = $1 AND id = $2 AND encrypted_password = $3")
        .bind(tenant)
        .bind(id)
        .bind(verified)
        .bind(rehashed)
        .execute()
        .await?;
    Ok(kept == 1)
}

/// Notes that a user has signed in.
pub(super) async fn note_sign_in(tx: &Tx, tenant: TenantId, now: Timestamp, id: Uuid) -> Result<()> {
    tx.query("UPDATE users SET last_sign_in_at = $3, updated_at = $3 WHERE tenant_id = $1 AND id = $2")
        .bind(tenant)
        .bind(id)
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

/// Removes a user, its identities and sessions; false when there was none.
pub(super) async fn delete_user(tx: &Tx, tenant: TenantId, id: Uuid) -> Result<bool> {
    let deleted = tx.query("DELETE FROM users WHERE tenant_id = $1 AND id = $2").bind(tenant).bind(id).execute().await?;
    Ok(deleted == 1)
}

/// What a user signs in with, oldest first.
pub(super) async fn identities_of(conn: &Conn, tenant: TenantId, user: Uuid) -> Result<Vec<IdentityRow>> {
    conn.query(
        "SELECT id, user_id, provider, provider_id, identity_data, email, last_sign_in_at, created_at, updated_at FROM identities \
         WHERE tenant_id = $1 AND user_id = $2 ORDER BY created_at, id",
    )
    .bind(tenant)
    .bind(user)
    .fetch_all()
    .await
}

pub(super) async fn insert_identity(tx: &Tx, tenant: TenantId, identity: &IdentityRow) -> Result<()> {
    tx.query(
        "INSERT INTO identities (tenant_id, id, user_id, provider, provider_id, identity_data, email, last_sign_in_at, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(tenant)
    .bind(identity.id)
    .bind(identity.user_id)
    .bind(&identity.provider)
    .bind(&identity.provider_id)
    .bind(&identity.identity_data)
    .bind(identity.email.as_deref())
    .bind(identity.last_sign_in_at)
    .bind(identity.created_at)
    .bind(identity.updated_at)
    .execute()
    .await?;
    Ok(())
}

pub(super) async fn update_identity(tx: &Tx, tenant: TenantId, identity: &IdentityRow) -> Result<()> {
    tx.query("UPDATE identities SET identity_data = $3, email = $4, updated_at = $5 WHERE tenant_id = $1 AND id = $2")
        .bind(tenant)
        .bind(identity.id)
        .bind(&identity.identity_data)
        .bind(identity.email.as_deref())
        .bind(identity.updated_at)
        .execute()
        .await?;
    Ok(())
}

pub(super) async fn delete_identities_of(tx: &Tx, tenant: TenantId, user: Uuid) -> Result<()> {
    tx.query("DELETE FROM identities WHERE tenant_id = $1 AND user_id = $2").bind(tenant).bind(user).execute().await?;
    Ok(())
}

pub(super) async fn find_session(conn: &Conn, tenant: TenantId, id: Uuid) -> Result<Option<SessionRow>> {
    conn.query(
        "SELECT id, user_id, refresh_key, refresh_counter, aal, amr, created_at, refreshed_at, not_after, refresh_floor FROM sessions \
         WHERE tenant_id = $1 AND id = $2",
    )
    .bind(tenant)
    .bind(id)
    .fetch_optional()
    .await
}

pub(super) async fn insert_session(tx: &Tx, tenant: TenantId, session: &SessionRow, client: &Client) -> Result<()> {
    tx.query(
        "INSERT INTO sessions (tenant_id, id, user_id, refresh_key, refresh_counter, aal, amr, user_agent, ip, created_at, not_after) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(tenant)
    .bind(session.id)
    .bind(session.user_id)
    .bind(session.refresh_key.as_slice())
    .bind(session.refresh_counter)
    .bind(&session.aal)
    .bind(&session.amr)
    .bind(client.user_agent.as_deref())
    .bind(client.ip.as_deref())
    .bind(session.created_at)
    .bind(session.not_after)
    .execute()
    .await?;
    Ok(())
}

/// Moves a session's counter on from `counter`; false when somebody else did, or ended it.
pub(super) async fn advance_session(tx: &Tx, tenant: TenantId, now: Timestamp, id: Uuid, counter: i64, client: &Client) -> Result<bool> {
    let advanced = tx
        .query(
            "UPDATE sessions SET refresh_counter = refresh_counter + 1, refreshed_at = $4, user_agent = $5, ip = $6 \
             WHERE tenant_id = $1 AND id = $2 AND refresh_counter = $3",
        )
        .bind(tenant)
        .bind(id)
        .bind(counter)
        .bind(now)
        .bind(client.user_agent.as_deref())
        .bind(client.ip.as_deref())
        .execute()
        .await?;
    Ok(advanced == 1)
}

pub(super) async fn delete_session(tx: &Tx, tenant: TenantId, id: Uuid) -> Result<()> {
    tx.query("DELETE FROM sessions WHERE tenant_id = $1 AND id = $2").bind(tenant).bind(id).execute().await?;
    Ok(())
}

pub(super) async fn delete_sessions_of(tx: &Tx, tenant: TenantId, user: Uuid) -> Result<()> {
    tx.query("DELETE FROM sessions WHERE tenant_id = $1 AND user_id = $2").bind(tenant).bind(user).execute().await?;
    Ok(())
}

/// Ends a user's sessions but for one.
pub(super) async fn delete_other_sessions(tx: &Tx, tenant: TenantId, user: Uuid, keep: Uuid) -> Result<()> {
    tx.query("DELETE FROM sessions WHERE tenant_id = $1 AND user_id = $2 AND id <> $3").bind(tenant).bind(user).bind(keep).execute().await?;
    Ok(())
}

/// Removes a deleted tenant's users, and with them their identities and sessions.
pub async fn delete_rows_of(conn: &Conn, tenant: TenantId) -> Result<()> {
    conn.query("DELETE FROM flow_states WHERE tenant_id = $1").bind(tenant).execute().await?;
    messages::delete_requests_of(conn, tenant).await?;
    limits::delete_counts_of(conn, tenant).await?;
    conn.query("DELETE FROM custom_providers WHERE tenant_id = $1").bind(tenant).execute().await?;
    conn.query("DELETE FROM users WHERE tenant_id = $1").bind(tenant).execute().await?;
    Ok(())
}
