//! A refresh token for the next pair of tokens, without ever signing an honest client out.
//!
//! A session counts its refreshes. The token of the present count is exchanged: the count goes up. Its parent is a client that did not get
//! its answer, or one of many that asked at once: it gets what the first one got, for the child is computed, not stored. What is older was
//! stolen, from the client or by it: the session ends, unless it was refreshed so short a time ago that the client is merely late.
//!
//! Trouble that passes is answered 503: a stock client throws its session away at 409 and 429.

use super::{
    error::{AuthCode, AuthError},
    import::is_refresh_token,
    model::{Session, SessionRow},
    refresh_token::RefreshToken,
    session::{self, Client},
    session_end::end_of,
    sql::{self, import::session_of_token},
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    crypto::sha256,
    db::Timestamp,
    error::{Error, Result as DbResult},
    tenants::Tenant,
};

/// How often the count is read again when others move it at the same moment. Each time somebody else has succeeded.
const ATTEMPTS: usize = 8;

/// What a refresh token means for its session.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It is the present one: the count goes up.
    Exchange,
    /// Its child was made already, and is shown again.
    ShowAgain,
    /// It was used long ago.
    Reused,
    /// It was given out before a second factor raised the session, and a moment ago only: it shows nothing, and harms nobody.
    Outgrown,
    /// It is not one of ours.
    Unknown,
}

/// Exchanges a refresh token.
pub(super) async fn exchange(app: &App, tenant: &Tenant, text: &str, client: Client) -> Result<Session, AuthError> {
    let token = find(app, tenant, text).await?;
    for _ in 0..ATTEMPTS {
        let now = app.clock.now();
        let conn = app.db.read().await?;
        let session = sql::find_session(&conn, tenant.id, token.session).await?.ok_or_else(unknown)?;
        let verdict = judge(app, tenant, now, &session, &token)?;
        if verdict != Verdict::Unknown
            && let Some(end) = end_of(&conn, tenant.id, &tenant.settings.sessions, now, &session).await?
        {
            return Err(end.refusal());
        }
        drop(conn);
        let counter = match verdict {
            Verdict::Exchange => {
                if !advance(app, tenant, now, &session, client.clone()).await? {
                    continue;
                }
                session.refresh_counter + 1
            }
            Verdict::ShowAgain => session.refresh_counter,
            Verdict::Reused => return Err(end(app, tenant, &session).await?),
            Verdict::Unknown => return Err(unknown()),
            Verdict::Outgrown => return Err(used()),
        };
        return answer(app, tenant, now, SessionRow { refresh_counter: counter, ..session }).await;
    }
    Err(Error::unavailable("this session is refreshed too often at the same moment; try again").into())
}

/// What a text claims to be: a token of ours, or one that came with its session from elsewhere.
async fn find(app: &App, tenant: &Tenant, text: &str) -> Result<RefreshToken, AuthError> {
    if let Some(token) = RefreshToken::read(text) {
        return Ok(token);
    }
    let malformed = || AuthError::validation("Refresh token is not valid");
    if !is_refresh_token(text) {
        return Err(malformed());
    }
    let session = session_of_token(&app.db.read().await?, tenant.id, &sha256(text.as_bytes())).await?;
    // Of the longer form there are only those that are known: a token of ours that was cut looks like one.
    session.map(RefreshToken::from_elsewhere).ok_or_else(|| if text.len() == 12 { unknown() } else { malformed() })
}

fn judge(app: &App, tenant: &Tenant, now: Timestamp, session: &SessionRow, token: &RefreshToken) -> DbResult<Verdict> {
    let key = session::refresh_key(app, tenant, session)?;
    if !token.is_from_elsewhere() && !token.is_signed_by(tenant.id, &key) {
        return Ok(Verdict::Unknown);
    }
    let reuse_seconds = i64::from(tenant.settings.sessions.refresh_reuse_seconds);
    let is_late = session.refreshed_at.is_some_and(|last| now <= last.plus_seconds(reuse_seconds));
    if token.counter < session.refresh_floor {
        return Ok(if is_late { Verdict::Outgrown } else { Verdict::Reused });
    }
    Ok(match session.refresh_counter - token.counter {
        0 => Verdict::Exchange,
        1 => Verdict::ShowAgain,
        2.. if is_late && reuse_seconds > 0 => Verdict::ShowAgain,
        2.. => Verdict::Reused,
        // A token of a count that was never reached: made from a restored database, or with a stolen key.
        _ => Verdict::Unknown,
    })
}

/// Moves the count on, if nobody did meanwhile and the user may still sign in.
async fn advance(app: &App, tenant: &Tenant, now: Timestamp, session: &SessionRow, client: Client) -> Result<bool, AuthError> {
    let (tenant, id, user, counter) = (tenant.id, session.id, session.user_id, session.refresh_counter);
    let advanced = app
        .db
        .write(move |tx| async move {
            let user = sql::find_user(&tx, tenant, user).await?;
            if user.is_none_or(|user| user.is_banned(now)) {
                return Ok(None);
            }
            sql::advance_session(&tx, tenant, now, id, counter, &client).await.map(Some)
        })
        .await?;
    advanced.ok_or_else(banned)
}

async fn answer(app: &App, tenant: &Tenant, now: Timestamp, session: SessionRow) -> Result<Session, AuthError> {
    let conn = app.db.read().await?;
    let user = sql::find_user(&conn, tenant.id, session.user_id).await?.ok_or_else(unknown)?;
    if user.is_banned(now) {
        return Err(banned());
    }
    let opened = session::opened(&conn, tenant.id, user).await?;
    drop(conn);
    session::answer_to(app, tenant, now, &session, opened, "token_refresh").await.map_err(|error| {
        // The client comes again with the token it has, and gets what this one would have got.
        if error.is_passing() { Error::unavailable("what a token should say can't be asked at the moment; try again").into() } else { error }
    })
}

/// Ends a session whose token was stolen: the thief and the owner both have to sign in again, and only one of them can.
async fn end(app: &App, tenant: &Tenant, session: &SessionRow) -> DbResult<AuthError> {
    tracing::warn!(tenant = tenant.reference, session = %session.id, user = %session.user_id, "an old refresh token was used again: its session ends");
    let (tenant, id, now) = (tenant.id, session.id, app.clock.now());
    let ended = Event::new(Action::TokenRevoked).about(session.user_id).with("session_id", id.to_string());
    let ended = ended.with("reason", AuthCode::RefreshTokenAlreadyUsed.as_str());
    app.db
        .write(move |tx| async move {
            sql::delete_session(&tx, tenant, id).await?;
            audit::note(&tx, tenant, now, &ended).await
        })
        .await?;
    Ok(used())
}

fn used() -> AuthError {
    AuthError::bad_request(AuthCode::RefreshTokenAlreadyUsed, "Invalid Refresh Token: Already Used")
}

fn unknown() -> AuthError {
    AuthError::bad_request(AuthCode::RefreshTokenNotFound, "Invalid Refresh Token: Refresh Token Not Found")
}

fn banned() -> AuthError {
    AuthError::bad_request(AuthCode::UserBanned, "Invalid Refresh Token: User Banned")
}
