//! ID tokens of others (OpenID Connect Core 1.0, 3.1.3.7; RFC 8725).
//!
//! Whose token it is, is known before it is looked at: keys and issuer are the provider's, never what the token says (V5).

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Issuer, keys};
use crate::{app::App, crypto::from_base64url};

/// Seconds by which two clocks may differ.
const LEEWAY: i64 = 30;
/// Longer tokens are not looked at.
const LONGEST: usize = 16 * 1024;
/// The directory of accounts that belong to persons, not to organisations.
const CONSUMERS: Uuid = Uuid::from_u128(0x9188_040d_6c67_4c5b_b112_36a3_04b6_6dad);

/// Why an ID token is not taken.
#[derive(Debug, thiserror::Error)]
pub(in crate::auth) enum BadIdToken {
    /// It is none, or names no key of the provider's.
    #[error("it is malformed")]
    Malformed,
    /// No key of the provider's has signed it.
    #[error("no key of the provider has signed it")]
    Signature,
    /// It is of another issuer.
    #[error("it is of another issuer")]
    Issuer,
    /// It is for another app: the audience it names.
    #[error("it is for another app")]
    Audience(Vec<String>),
    /// Its time is over, or has not come.
    #[error("its time is over, or has not come")]
    Time,
    /// It names no user.
    #[error("it names no user")]
    NoSubject,
    /// The provider's keys can't be had.
    #[error("the provider's keys can't be had")]
    NoKeys,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

impl Header {
    /// Access tokens, logout tokens and security events are signed with the same keys, for the same app, and say what they are
    /// (RFC 8725, 3.11).
    fn is_of_an_id_token(&self) -> bool {
        self.crit.is_none() && self.typ.as_deref().is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"))
    }
}

/// What is judged of the claims, with their types.
#[derive(Deserialize)]
struct Judged {
    iss: String,
    aud: Audience,
    azp: Option<String>,
    exp: i64,
    nbf: Option<i64>,
    iat: Option<i64>,
    tid: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Checks a token and reads its claims.
pub(super) async fn verify(app: &App, jwks: &str, issuer: &Issuer, client_ids: &[String], token: &str) -> Result<Value, BadIdToken> {
    if token.len() > LONGEST {
        return Err(BadIdToken::Malformed);
    }
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(BadIdToken::Malformed);
    };
    let header: Header = decode(header).ok_or(BadIdToken::Malformed)?;
    if !header.is_of_an_id_token() {
        return Err(BadIdToken::Malformed);
    }
    let judged: Judged = decode(claims).ok_or(BadIdToken::Malformed)?;
    let told: Value = decode(claims).ok_or(BadIdToken::Malformed)?;
    // What costs nothing is judged first: the keys may have to be fetched.
    if !is_issuer(issuer, &judged) {
        return Err(BadIdToken::Issuer);
    }
    check_audience(&judged, client_ids)?;
    check_times(&judged, app.clock.now().seconds())?;
    keys::check_signature(app, jwks, &header.alg, header.kid.as_deref(), token).await?;
    Ok(told)
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&from_base64url(part)?).ok()
}

fn is_issuer(issuer: &Issuer, judged: &Judged) -> bool {
    match issuer {
        // Google has had both spellings from the beginning.
        Issuer::Exactly(own) if own == "https://accounts.google.com" => judged.iss == *own || judged.iss == "accounts.google.com",
        Issuer::Exactly(own) => judged.iss == *own,
        Issuer::Directory { origin, directory } => {
            let Some(tid) = judged.tid.as_deref().and_then(|tid| Uuid::parse_str(tid).ok()) else { return false };
            let is_taken = match directory.as_str() {
                "common" => true,
                "organizations" => tid != CONSUMERS,
                "consumers" => tid == CONSUMERS,
                own => Uuid::parse_str(own).is_ok_and(|own| own == tid),
            };
            is_taken && judged.iss == format!("{origin}/{tid}/v2.0")
        }
    }
}

fn check_audience(judged: &Judged, client_ids: &[String]) -> Result<(), BadIdToken> {
    let is_ours = |id: &String| !id.is_empty() && client_ids.contains(id);
    let named = match &judged.aud {
        Audience::One(id) => std::slice::from_ref(id),
        Audience::Many(ids) => ids,
    };
    let is_for_us = named.iter().any(is_ours);
    // A token for several says who asked for it.
    let is_asked_by_us = judged.azp.as_ref().map_or(named.len() == 1, is_ours);
    if is_for_us && is_asked_by_us { Ok(()) } else { Err(BadIdToken::Audience(named.to_vec())) }
}

fn check_times(judged: &Judged, now: i64) -> Result<(), BadIdToken> {
    let is_early = |moment: Option<i64>| moment.is_some_and(|moment| moment > now.saturating_add(LEEWAY));
    let is_over = judged.exp.saturating_add(LEEWAY) <= now;
    if is_over || is_early(judged.nbf) || is_early(judged.iat) { Err(BadIdToken::Time) } else { Ok(()) }
}
