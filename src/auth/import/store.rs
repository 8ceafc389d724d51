//! Checks a piece, and writes it.

use std::{
    collections::{HashSet, hash_map::RandomState},
    hash::BuildHasher as _,
};

use uuid::Uuid;

use super::piece::{Incoming, IncomingFactor, IncomingIdentity, IncomingPassword, IncomingToken, Piece};
use crate::{
    app::App,
    auth::{
        create_user::checked_role,
        email::Email,
        model::{AUTHENTICATED, Metadata},
        request::{check_app_metadata, check_user_metadata},
        session::imported_session_key,
        sql::import as sql,
    },
    crypto::{Passwords, sha256},
    db::{Conn, Timestamp, Tx},
    error::Result,
    tenants::{Tenant, TenantId},
};

/// What became of a piece.
pub(super) enum Outcome {
    /// A user was made.
    Made {
        is_id_derived: bool,
        factors: usize,
    },
    /// The user was there.
    Kept,
    Identity,
    Factor,
    Session,
    Token,
    /// It was there, or there is nothing to do.
    Nothing,
    Refused(String),
}

/// A piece that was checked, its secrets sealed: all that is left is to write it.
pub(super) struct Ready {
    piece: Piece,
    /// The refresh key of a session.
    sealed: Vec<u8>,
}

/// Whom a dry run would have made so far, since it finds no rows of them: hashes of ids, addresses and numbers, eight bytes each.
#[derive(Default)]
pub(super) struct Foreseen {
    hasher: RandomState,
    seen: HashSet<u64>,
}

impl Foreseen {
    fn has_user(&self, id: Uuid) -> bool {
        self.seen.contains(&self.hasher.hash_one(id))
    }

    /// Remembers a user; false when its address or number was another's before.
    fn take(&mut self, user: &Incoming) -> bool {
        let contacts = [("email", &user.email), ("phone", &user.phone)].into_iter().filter_map(|(kind, text)| Some((kind, text.as_ref()?)));
        let hashes: Vec<u64> = contacts.map(|contact| self.hasher.hash_one(contact)).collect();
        if hashes.iter().any(|hash| self.seen.contains(hash)) {
            return false;
        }
        self.seen.extend(hashes);
        self.seen.insert(self.hasher.hash_one(user.id))
    }
}

impl Ready {
    pub(super) fn new(app: &App, tenant: &Tenant, now: Timestamp, mut piece: Piece) -> std::result::Result<Self, String> {
        let mut sealed = Vec::new();
        match &mut piece {
            Piece::User(user) => {
                check_user(user, now)?;
                user.factors.iter_mut().for_each(|factor| factor.seal(app, tenant.id));
            }
            Piece::Identity(identity) => check_identity(identity)?,
            Piece::Factor(factor) => {
                check_factor(factor)?;
                factor.seal(app, tenant.id);
            }
            Piece::Password(IncomingPassword { hash, .. }) => *hash = Passwords::take_over(hash).map_err(|error| error.to_string())?,
            Piece::Session(session) => {
                if !["aal1", "aal2", "aal3"].contains(&session.aal.as_str()) {
                    return Err(format!("aal \"{}\" is not known", session.aal));
                }
                sealed = imported_session_key(app, tenant, session.id);
            }
            Piece::Token(IncomingToken { text, .. }) => {
                if !is_refresh_token(text) {
                    return Err("token is no refresh token of Supabase".to_owned());
                }
            }
        }
        Ok(Self { piece, sealed })
    }

    /// Why a user is made without the password it had.
    pub(super) fn missing(&self) -> Option<String> {
        match &self.piece {
            Piece::User(user) => user.password_problem.clone(),
            _ => None,
        }
    }

    /// What would become of it.
    pub(super) async fn foresee(&self, conn: &Conn, tenant: TenantId, foreseen: &mut Foreseen) -> Result<Outcome> {
        let (user, outcome) = match &self.piece {
            Piece::User(user) if foreseen.has_user(user.id) || sql::user_exists(conn, tenant, user.id).await? => return Ok(was_there(user)),
            Piece::User(user) if sql::is_taken(conn, tenant, user.email.as_deref(), user.phone.as_deref()).await? => return Ok(refused_as_taken()),
            Piece::User(user) if !foreseen.take(user) => return Ok(refused_as_taken()),
            Piece::User(user) => return Ok(Outcome::Made { is_id_derived: user.is_id_derived, factors: user.factors.len() }),
            Piece::Identity(identity) => (identity.user, Outcome::Identity),
            Piece::Factor(factor) => (factor.user, Outcome::Factor),
            Piece::Session(session) => (session.user, Outcome::Session),
            Piece::Password(_) => return Ok(Outcome::Nothing),
            Piece::Token(_) => return Ok(Outcome::Token),
        };
        let is_there = foreseen.has_user(user) || sql::user_exists(conn, tenant, user).await?;
        Ok(if is_there { outcome } else { refused_without_user(user) })
    }

    pub(super) async fn store(&self, tx: &Tx, tenant: TenantId, now: Timestamp) -> Result<Outcome> {
        match &self.piece {
            Piece::User(user) => store_user(tx, tenant, now, user).await,
            Piece::Identity(identity) => {
                if sql::insert_identity(tx, tenant, now, identity).await? {
                    sql::note_provider(tx, tenant, identity.user, &identity.provider).await?;
                    return Ok(Outcome::Identity);
                }
                there_or_no_user(tx, tenant, identity.user).await
            }
            Piece::Factor(factor) => {
                let made = sql::insert_factor(tx, tenant, now, factor).await?;
                if made { Ok(Outcome::Factor) } else { there_or_no_user(tx, tenant, factor.user).await }
            }
            Piece::Password(IncomingPassword { user, hash }) => {
                sql::set_missing_password(tx, tenant, *user, hash).await?;
                Ok(Outcome::Nothing)
            }
            Piece::Session(session) => {
                let made = sql::insert_session(tx, tenant, now, session, &self.sealed).await?;
                if made { Ok(Outcome::Session) } else { there_or_no_user(tx, tenant, session.user).await }
            }
            Piece::Token(IncomingToken { session, text }) => {
                // Without its session, which has ended, it is good for nothing.
                let made = sql::insert_token(tx, tenant, *session, &sha256(text.as_bytes())).await?;
                Ok(if made { Outcome::Token } else { Outcome::Nothing })
            }
        }
    }
}

async fn store_user(tx: &Tx, tenant: TenantId, now: Timestamp, user: &Incoming) -> Result<Outcome> {
    if !sql::insert_user(tx, tenant, now, user).await? {
        return Ok(if sql::user_exists(tx, tenant, user.id).await? { was_there(user) } else { refused_as_taken() });
    }
    let mut factors = 0;
    for identity in &user.identities {
        sql::insert_identity(tx, tenant, now, identity).await?;
    }
    for factor in &user.factors {
        factors += usize::from(sql::insert_factor(tx, tenant, now, factor).await?);
    }
    Ok(Outcome::Made { is_id_derived: user.is_id_derived, factors })
}

/// A user is counted once, whatever else there is of it.
fn was_there(user: &Incoming) -> Outcome {
    if user.is_of_hashes { Outcome::Nothing } else { Outcome::Kept }
}

async fn there_or_no_user(tx: &Tx, tenant: TenantId, user: Uuid) -> Result<Outcome> {
    let is_there = sql::user_exists(tx, tenant, user).await?;
    Ok(if is_there { Outcome::Nothing } else { refused_without_user(user) })
}

fn refused_without_user(user: Uuid) -> Outcome {
    Outcome::Refused(format!("there is no user {user}"))
}

fn refused_as_taken() -> Outcome {
    Outcome::Refused("another user has its mail address or phone number".to_owned())
}

/// Brings a user to the form in which it is stored, or says why it can't be.
fn check_user(user: &mut Incoming, now: Timestamp) -> std::result::Result<(), String> {
    let told = |error: crate::auth::AuthError| error.to_string();
    user.email = user.email.take().map(|email| email.trim().parse::<Email>().map(String::from)).transpose().map_err(told)?;
    user.phone = user.phone.take().map(|phone| digits_of(&phone)).transpose()?;
    if user.email.is_none() && user.phone.is_none() && !user.is_anonymous && user.identities.is_empty() {
        return Err("it has neither a mail address nor a phone number".to_owned());
    }
    user.role = user.role.take().map(checked_role).transpose().map_err(told)?.or_else(|| Some(AUTHENTICATED.to_owned()));
    if let Some(hash) = user.password_hash.take() {
        match Passwords::take_over(&hash) {
            Ok(hash) => user.password_hash = Some(hash),
            Err(error) => user.password_problem = Some(error.to_string()),
        }
    }
    user.complete(now);
    check_user_metadata(&user.user_metadata).map_err(told)?;
    check_app_metadata(&user.app_metadata).map_err(told)?;
    user.factors.iter().try_for_each(check_factor)?;
    user.identities.iter().try_for_each(check_identity)
}

fn check_identity(identity: &IncomingIdentity) -> std::result::Result<(), String> {
    let is_short = |text: &str| (1..=255).contains(&text.len()) && !text.contains('\0');
    if !is_short(&identity.provider) || !is_short(&identity.subject) {
        return Err("an identity has no provider or no id, or one that is too long".to_owned());
    }
    check_claims(&identity.claims)
}

fn check_claims(claims: &Metadata) -> std::result::Result<(), String> {
    check_user_metadata(claims).map_err(|_| "what the identity's provider tells is too long, or has a NUL in it".to_owned())
}

fn check_factor(factor: &IncomingFactor) -> std::result::Result<(), String> {
    let is_fine = factor.name.chars().count() <= 255 && !factor.name.contains('\0') && (10..=128).contains(&factor.secret.len());
    if is_fine { Ok(()) } else { Err("a factor's name is too long, or its secret too short or too long".to_owned()) }
}

/// E.164 without its plus.
fn digits_of(phone: &str) -> std::result::Result<String, String> {
    let digits: String = phone.trim().trim_start_matches('+').chars().filter(|letter| !" -()".contains(*letter)).collect();
    let is_number = (2..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    if is_number { Ok(digits) } else { Err("Invalid phone number format (E.164 required)".to_owned()) }
}

/// Twelve letters of base32 today; older ones have 22 of base64url.
pub(in crate::auth) fn is_refresh_token(text: &str) -> bool {
    match text.len() {
        12 => text.bytes().all(|byte| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte)),
        22 => text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
        _ => false,
    }
}
