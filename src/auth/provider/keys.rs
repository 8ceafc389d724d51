//! The keys that providers sign with, fetched when they are needed and kept for an hour.
//!
//! A key that is not known may be new: the set is fetched again, but not more often than every ten seconds, so that tokens nobody has
//! signed make no traffic.

use std::{sync::Arc, time::Duration};

use http::{Request, header};
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use moka::sync::Cache;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::id_token::BadIdToken;
use crate::{app::App, crypto::from_base64url, db::Timestamp};

/// Seconds for which a set is believed.
const FRESH: i64 = 3600;
/// Seconds that lie between two looks for a new key.
const PAUSE: i64 = 10;
/// Keys of a set at most.
const MOST_KEYS: usize = 100;

/// The key sets of providers, by where they are.
pub struct ProviderKeys(Cache<String, Arc<KeySet>>);

impl Default for ProviderKeys {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(1_000).time_to_idle(Duration::from_hours(24)).build())
    }
}

struct KeySet {
    fetched_at: Timestamp,
    keys: Vec<ProviderKey>,
}

struct ProviderKey {
    id: Option<String>,
    algorithms: &'static [Algorithm],
    key: DecodingKey,
}

/// Refuses a token that no key of the set has signed.
pub(super) async fn check_signature(app: &App, jwks: &str, algorithm: &str, key_id: Option<&str>, token: &str) -> Result<(), BadIdToken> {
    let algorithm: Algorithm = algorithm.parse().map_err(|_| BadIdToken::Malformed)?;
    let now = app.clock.now();
    let is_young = |set: &KeySet, seconds: i64| now < set.fetched_at.plus_seconds(seconds);
    let kept = app.provider_keys.0.get(jwks).filter(|set| is_young(set, FRESH));
    let set = match kept {
        Some(set) if set.find(algorithm, key_id).is_some() || is_young(&set, PAUSE) => set,
        _ => {
            let set = Arc::new(KeySet { fetched_at: now, keys: fetch(app, jwks).await? });
            app.provider_keys.0.insert(jwks.to_owned(), Arc::clone(&set));
            set
        }
    };
    let key = set.find(algorithm, key_id).ok_or(BadIdToken::Signature)?;
    let mut validation = Validation::new(algorithm);
    // Times and claims were judged already, by our own clock and with their types.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    jsonwebtoken::decode::<IgnoredAny>(token, key, &validation).map(drop).map_err(|_| BadIdToken::Signature)
}

impl KeySet {
    /// The key that a header names; without a name the only one there is.
    fn find(&self, algorithm: Algorithm, key_id: Option<&str>) -> Option<&DecodingKey> {
        let mut fitting = self.keys.iter().filter(|key| key.algorithms.contains(&algorithm));
        let found = match key_id {
            Some(_) => fitting.find(|key| key.id.as_deref() == key_id),
            None => fitting.next().filter(|_| fitting.next().is_none()),
        };
        found.map(|found| &found.key)
    }
}

async fn fetch(app: &App, jwks: &str) -> Result<Vec<ProviderKey>, BadIdToken> {
    let refuse = |why: String| {
        tracing::warn!(jwks, why, "a provider's keys can't be had");
        BadIdToken::NoKeys
    };
    let request = Request::get(jwks).header(header::ACCEPT, "application/json").body(Vec::new()).map_err(|error| refuse(error.to_string()))?;
    let response = app.outbound.send(request).await.map_err(|error| refuse(error.to_string()))?;
    if !response.status().is_success() {
        return Err(refuse(format!("it answered {}", response.status())));
    }
    let set: Value = serde_json::from_slice(response.body()).map_err(|_| refuse("the answer is no JSON".to_owned()))?;
    let keys = set["keys"].as_array().ok_or_else(|| refuse("the answer is no key set".to_owned()))?;
    // A key of a kind that is not known here is none of the others' fault.
    Ok(keys.iter().take(MOST_KEYS).filter_map(read_key).collect())
}

fn read_key(jwk: &Value) -> Option<ProviderKey> {
    let said = jwk["alg"].as_str();
    let jwk: Jwk = serde_json::from_value(jwk.clone()).ok()?;
    if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption)) {
        return None;
    }
    // The algorithm is the key's, not the token's.
    let algorithms: &'static [Algorithm] = match (&jwk.algorithm, said) {
        (AlgorithmParameters::RSA(rsa), _) if from_base64url(&rsa.n).is_none_or(|modulus| modulus.len() < 256) => return None,
        (AlgorithmParameters::RSA(_), Some("RS256")) => &[Algorithm::RS256],
        (AlgorithmParameters::RSA(_), Some("PS256")) => &[Algorithm::PS256],
        (AlgorithmParameters::RSA(_), None) => &[Algorithm::RS256, Algorithm::PS256],
        (AlgorithmParameters::EllipticCurve(curve), Some("ES256") | None) if curve.curve == EllipticCurve::P256 => &[Algorithm::ES256],
        _ => return None,
    };
    Some(ProviderKey { id: jwk.common.key_id.clone(), algorithms, key: DecodingKey::from_jwk(&jwk).ok()? })
}
