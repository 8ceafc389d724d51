//! What signs a tenant's tokens, and what they are checked with (RFC 7515, RFC 7519, and the list of RFC 8725).
//!
//! The algorithm belongs to the key, never to the token's header; `jku`, `jwk`, `x5u` and `x5c` are not read; `crit` is refused; each kind
//! of token has its own `typ` and is good for nothing else. The key pair is held parsed: `jsonwebtoken` would parse it for every signature.

use std::collections::HashMap;

use aws_lc_rs::{
    encoding::AsDer as _,
    hmac,
    rand::SystemRandom,
    rsa::KeyPairComponents,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::json;

use super::sql::{self, StoredSigningKey};
use crate::{
    crypto::{MasterKey, base64url, from_base64url, hex, random, sha256},
    db::Timestamp,
    error::{Error, Result},
};

/// Seconds by which two clocks may differ.
const LEEWAY: i64 = 10;
/// Longer tokens are not looked at.
const LONGEST_TOKEN: usize = 16 * 1024;

/// What a token is for. One kind is never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A user's access token, or a long-lived key in token form.
    Access,
    /// A signed URL of a file.
    StorageUrl,
}

impl TokenKind {
    fn typ(self) -> &'static str {
        match self {
            Self::Access => "JWT",
            Self::StorageUrl => "url+jwt",
        }
    }
}

/// Why a token was refused. The words are for the client: they tell nothing that the token does not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not a signed token at all.
    #[error("token is malformed")]
    Malformed,
    /// No key of the tenant has this `kid` and algorithm.
    #[error("unrecognized JWT kid or algorithm")]
    UnknownKey,
    /// The signature is not the key's.
    #[error("signature is invalid")]
    Signature,
    /// Its time is over.
    #[error("token is expired")]
    Expired,
    /// Its time has not come.
    #[error("token is not valid yet")]
    NotYet,
    /// A claim is missing or of the wrong type.
    #[error("token has invalid claims")]
    Claims,
}

/// The keys of one tenant.
pub struct SigningKeys {
    signer: Signer,
    verifiers: HashMap<String, Verifier>,
    jwks: String,
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKeys").field("kids", &self.verifiers.keys()).finish_non_exhaustive()
    }
}

struct Signer {
    id: String,
    key: SignerKey,
}

enum SignerKey {
    Es256(Box<EcdsaKeyPair>),
    Rs256(Box<RsaKeyPair>),
    Hs256(Box<hmac::Key>),
}

struct Verifier {
    algorithm: Algorithm,
    key: DecodingKey,
    print: KeyPrint,
    retires_at: Option<Timestamp>,
}

/// By what a key is known again. Not its `kid`: a key that is taken away can be followed by another of that name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyPrint([u8; 32]);

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Times {
    #[serde(default, deserialize_with = "if_there")]
    exp: Option<i64>,
    #[serde(default, deserialize_with = "if_there")]
    nbf: Option<i64>,
    #[serde(default, deserialize_with = "if_there")]
    iat: Option<i64>,
}

/// Reads a claim that may be missing. One that is there has its type: `null`, or anything else, is not as if it were not there.
pub fn if_there<'de, D: Deserializer<'de>, C: Deserialize<'de>>(deserializer: D) -> Result<Option<C>, D::Error> {
    C::deserialize(deserializer).map(Some)
}

impl SigningKeys {
    /// Opens the stored keys of a tenant.
    pub(super) fn open(master: &MasterKey, stored: &[StoredSigningKey]) -> Result<Self> {
        let mut signer = None;
        let mut verifiers = HashMap::new();
        let mut public = Vec::new();
        for key in stored {
            let secret = key.secret.as_deref().map(|sealed| master.open(&sql::signing_key_place(key.tenant, &key.id), sealed)).transpose()?;
            if let Some(jwk) = &key.public_jwk {
                public.push(&jwk.0);
            }
            verifiers.insert(key.id.clone(), verifier(key, secret.as_deref())?);
            if key.status == "current"
                && let Some(secret) = secret
            {
                signer = Some(Signer { id: key.id.clone(), key: signer_key(&key.algorithm, &secret)? });
            }
        }
        let signer = signer.ok_or_else(|| Error::internal("the tenant has no signing key; run: basalt signing-key rotate"))?;
        Ok(Self { signer, verifiers, jwks: json!({ "keys": public }).to_string() })
    }

    /// The public keys as a JWK set, ready to be sent.
    pub fn jwks(&self) -> &str {
        &self.jwks
    }

    /// Signs claims as a compact token.
    pub fn sign(&self, kind: TokenKind, claims: &impl Serialize) -> Result<String> {
        let algorithm = match self.signer.key {
            SignerKey::Es256(_) => "ES256",
            SignerKey::Rs256(_) => "RS256",
            SignerKey::Hs256(_) => "HS256",
        };
        let header = json!({ "alg": algorithm, "kid": self.signer.id, "typ": kind.typ() });
        let mut token = format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(&serde_json::to_vec(claims)?));
        let signature = match &self.signer.key {
            SignerKey::Es256(pair) => pair.sign(&SystemRandom::new(), token.as_bytes()).map_err(Error::internal)?.as_ref().to_vec(),
            SignerKey::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature).map_err(Error::internal)?;
                signature
            }
            SignerKey::Hs256(key) => hmac::sign(key, token.as_bytes()).as_ref().to_vec(),
        };
        token.push('.');
        token.push_str(&base64url(&signature));
        Ok(token)
    }

    /// Whether a key still verifies: for who remembers that it found a signature good.
    pub fn is_in_force(&self, key: KeyPrint, now: Timestamp) -> bool {
        self.verifiers.values().any(|verifier| verifier.print == key && verifier.is_in_force(now))
    }

    /// Checks a token's form, kind, key, signature and times, and reads its claims.
    pub fn verify<C: DeserializeOwned>(&self, kind: TokenKind, token: &str, now: Timestamp) -> Result<C, TokenError> {
        let verified = self.check(kind, token, now)?;
        if verified.expires_at.is_none() {
            return Err(TokenError::Claims);
        }
        verified.claims()
    }

    /// The same for who has a use for a token that never ends, and for the key it was signed with.
    pub fn check(&self, kind: TokenKind, token: &str, now: Timestamp) -> Result<VerifiedClaims, TokenError> {
        let (header, claims) = split(token)?;
        let typ_fits = match (&header.typ, kind) {
            // Tokens made elsewhere often have none.
            (None, TokenKind::Access) => true,
            (typ, kind) => typ.as_deref() == Some(kind.typ()),
        };
        if !typ_fits || header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let candidates = self.candidates(&header, now)?;
        let key = candidates.into_iter().find(|verifier| verifier.signed(token)).ok_or(TokenError::Signature)?.print;
        let times: Times = serde_json::from_slice(&claims).map_err(|_| TokenError::Claims)?;
        check_times(&times, now.seconds())?;
        Ok(VerifiedClaims { key, expires_at: times.exp, claims })
    }

    /// The keys that may have signed a token with this header: the one that it names. Without a `kid`, or with one that nobody here has, it can
    /// only be by an HMAC secret of the tenant's: long-lived keys have none, and tokens from elsewhere have a `kid` that came with no secret.
    fn candidates(&self, header: &Header, now: Timestamp) -> Result<Vec<&Verifier>, TokenError> {
        let algorithm: Algorithm = header.alg.parse().map_err(|_| TokenError::UnknownKey)?;
        let named = header.kid.as_ref().and_then(|kid| self.verifiers.get(kid));
        let asked: Vec<&Verifier> = match named {
            Some(named) => vec![named],
            None if algorithm == Algorithm::HS256 => self.verifiers.values().collect(),
            None => Vec::new(),
        };
        let fits = |verifier: &&Verifier| verifier.algorithm == algorithm && verifier.is_in_force(now);
        let found: Vec<_> = asked.into_iter().filter(fits).collect();
        if found.is_empty() { Err(TokenError::UnknownKey) } else { Ok(found) }
    }
}

/// What a token says whose signature and times are good.
pub struct VerifiedClaims {
    /// The key that signed it.
    pub key: KeyPrint,
    /// When it ends, in seconds since 1970; `None` for one that never does.
    pub expires_at: Option<i64>,
    claims: Vec<u8>,
}

impl VerifiedClaims {
    /// Reads them.
    pub fn claims<C: DeserializeOwned>(&self) -> Result<C, TokenError> {
        serde_json::from_slice(&self.claims).map_err(|_| TokenError::Claims)
    }
}

impl Verifier {
    /// Whether this key signed the token.
    fn signed(&self, token: &str) -> bool {
        let mut validation = Validation::new(self.algorithm);
        // Times and claims are checked apart, against our own clock and with their types.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        jsonwebtoken::decode::<serde::de::IgnoredAny>(token, &self.key, &validation).is_ok()
    }

    fn is_in_force(&self, now: Timestamp) -> bool {
        self.retires_at.is_none_or(|end| now < end)
    }
}

fn split(token: &str) -> Result<(Header, Vec<u8>), TokenError> {
    if token.len() > LONGEST_TOKEN {
        return Err(TokenError::Malformed);
    }
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(TokenError::Malformed);
    };
    let header = from_base64url(header).and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or(TokenError::Malformed)?;
    Ok((header, from_base64url(claims).ok_or(TokenError::Malformed)?))
}

fn check_times(times: &Times, now: i64) -> Result<(), TokenError> {
    if times.exp.is_some_and(|end| end.saturating_add(LEEWAY) <= now) {
        return Err(TokenError::Expired);
    }
    let early = |moment: Option<i64>| moment.is_some_and(|moment| moment > now.saturating_add(LEEWAY));
    if early(times.nbf) || early(times.iat) {
        return Err(TokenError::NotYet);
    }
    Ok(())
}

/// Whether a token claims to be a key that may do everything, unchecked: good only for refusing it where such a key has no place.
pub(super) fn claims_all_rights(token: &str) -> bool {
    #[derive(Deserialize)]
    struct Role {
        role: String,
    }
    let role = split(token).ok().and_then(|(_, claims)| serde_json::from_slice::<Role>(&claims).ok());
    role.is_some_and(|claims| ["service_role", "supabase_admin"].contains(&claims.role.as_str()))
}

/// The `iss` a token claims, unchecked: good only for finding whose keys to check it with.
pub(super) fn claimed_issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
    }
    let (_, claims) = split(token).ok()?;
    serde_json::from_slice::<Issuer>(&claims).ok().map(|claims| claims.iss)
}

fn verifier(key: &StoredSigningKey, secret: Option<&[u8]>) -> Result<Verifier> {
    let (algorithm, decoding) = match (key.algorithm.as_str(), secret, &key.public_jwk) {
        ("HS256", Some(secret), _) => (Algorithm::HS256, DecodingKey::from_secret(secret)),
        ("ES256", _, Some(jwk)) => {
            let part = |name: &str| jwk.0[name].as_str().unwrap_or_default().to_owned();
            (Algorithm::ES256, DecodingKey::from_ec_components(&part("x"), &part("y")).map_err(Error::internal)?)
        }
        ("RS256", _, Some(jwk)) => {
            let part = |name: &str| jwk.0[name].as_str().unwrap_or_default().to_owned();
            (Algorithm::RS256, DecodingKey::from_rsa_components(&part("n"), &part("e")).map_err(Error::internal)?)
        }
        _ => return Err(Error::internal(format!("signing key {} is incomplete", key.id))),
    };
    let print = match (&key.public_jwk, secret) {
        (Some(jwk), _) => sha256(jwk.0.to_string().as_bytes()),
        (None, secret) => sha256(secret.unwrap_or_default()),
    };
    Ok(Verifier { algorithm, key: decoding, print: KeyPrint(print), retires_at: key.retires_at })
}

fn signer_key(algorithm: &str, secret: &[u8]) -> Result<SignerKey> {
    match algorithm {
        "ES256" => Ok(SignerKey::Es256(Box::new(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, secret).map_err(Error::internal)?))),
        "RS256" => Ok(SignerKey::Rs256(Box::new(RsaKeyPair::from_pkcs8(secret).map_err(Error::internal)?))),
        "HS256" => Ok(SignerKey::Hs256(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret)))),
        other => Err(Error::internal(format!("a key of {other} can't sign here"))),
    }
}

/// A key to be stored: not yet sealed, since its place has the tenant in it.
pub(super) struct NewSigningKey {
    pub(super) id: String,
    pub(super) algorithm: &'static str,
    pub(super) secret: Option<Vec<u8>>,
    pub(super) public_jwk: Option<serde_json::Value>,
    /// Whether it says of itself that it is for signing.
    pub(super) is_meant_to_sign: bool,
}

impl NewSigningKey {
    /// A fresh ES256 key.
    pub(super) fn generate() -> Result<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(Error::internal)?;
        Self::es256(&pair, None)
    }

    fn es256(pair: &EcdsaKeyPair, id: Option<String>) -> Result<Self> {
        let id = id.unwrap_or_else(|| hex(&random::<8>()));
        // An uncompressed point: 4, then x and y of 32 bytes each (SEC 1, 2.3.3).
        let point = pair.public_key().as_ref();
        let jwk = json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "key_ops": ["verify"], "kid": id,
            "x": base64url(&point[1..33]), "y": base64url(&point[33..65]),
        });
        let secret = pair.to_pkcs8v1().map_err(Error::internal)?.as_ref().to_vec();
        Ok(Self { id, algorithm: "ES256", secret: Some(secret), public_jwk: Some(jwk), is_meant_to_sign: false })
    }

    /// An HMAC secret that came from elsewhere, used as its text's bytes, as Supabase does.
    pub(super) fn from_hmac_secret(secret: &str) -> Result<Self> {
        if secret.len() < 32 {
            return Err(Error::invalid("secret", "an HS256 secret has at least 32 bytes (RFC 7518, 3.2)"));
        }
        Ok(Self::hs256(hex(&random::<8>()), secret.as_bytes().to_vec()))
    }

    fn hs256(id: String, secret: Vec<u8>) -> Self {
        Self { id, algorithm: "HS256", secret: Some(secret), public_jwk: None, is_meant_to_sign: false }
    }

    /// The keys of a JWK set (RFC 7517, 5), or of a list of JWKs.
    pub(super) fn from_jwks(set: &serde_json::Value) -> Result<Vec<Self>> {
        let jwks = set.as_array().or_else(|| set["keys"].as_array()).filter(|jwks| !jwks.is_empty());
        let jwks = jwks.ok_or_else(|| Error::invalid("jwks", "take {\"keys\": […]} or a list, with at least one key"))?;
        jwks.iter().map(Self::from_jwk).collect()
    }

    /// A JWK (RFC 7517): EC P-256 or RSA with or without its private part, or `oct`.
    pub(super) fn from_jwk(jwk: &serde_json::Value) -> Result<Self> {
        let id = jwk["kid"].as_str().map_or_else(|| hex(&random::<8>()), str::to_owned);
        let key = match jwk["kty"].as_str() {
            Some("EC") if jwk["crv"] == "P-256" => Self::from_ec_jwk(jwk, id)?,
            Some("RSA") => Self::from_rsa_jwk(jwk, id)?,
            Some("oct") => {
                let secret = jwk_bytes(jwk, "k")?;
                if secret.len() < 32 {
                    return Err(Error::invalid("jwk", "an HS256 secret has at least 32 bytes (RFC 7518, 3.2)"));
                }
                Self::hs256(id, secret)
            }
            _ => return Err(Error::invalid("jwk", "take a key of type EC (P-256), RSA or oct")),
        };
        if let Some(algorithm) = jwk["alg"].as_str().filter(|algorithm| *algorithm != key.algorithm) {
            let why = format!("its \"alg\" is {algorithm}; keys of its type are taken for {} alone", key.algorithm);
            return Err(Error::invalid("jwk", why));
        }
        let is_meant_to_sign = jwk["key_ops"].as_array().is_some_and(|uses| uses.iter().any(|one| one == "sign"));
        Ok(Self { is_meant_to_sign, ..key })
    }

    fn from_ec_jwk(jwk: &serde_json::Value, id: String) -> Result<Self> {
        let point = [[4].as_slice(), &jwk_bytes(jwk, "x")?, &jwk_bytes(jwk, "y")?].concat();
        if point.len() != 65 {
            return Err(Error::invalid("jwk", "\"x\" and \"y\" have 32 bytes each"));
        }
        if jwk["d"].is_string() {
            let pair = EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &jwk_bytes(jwk, "d")?, &point)
                .map_err(|_| Error::invalid("jwk", "\"d\" is not the private key of \"x\" and \"y\""))?;
            return Self::es256(&pair, Some(id));
        }
        let public = json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "key_ops": ["verify"], "kid": id,
            "x": jwk["x"], "y": jwk["y"],
        });
        Ok(Self { id, algorithm: "ES256", secret: None, public_jwk: Some(public), is_meant_to_sign: false })
    }

    fn from_rsa_jwk(jwk: &serde_json::Value, id: String) -> Result<Self> {
        if jwk_bytes(jwk, "n")?.len() < 256 {
            return Err(Error::invalid("jwk", "an RSA key has at least 2,048 bits"));
        }
        jwk_bytes(jwk, "e")?;
        let public = json!({ "kty": "RSA", "alg": "RS256", "use": "sig", "key_ops": ["verify"], "kid": id, "n": jwk["n"], "e": jwk["e"] });
        let secret = if jwk["d"].is_string() { Some(rsa_pkcs8(jwk)?) } else { None };
        Ok(Self { id, algorithm: "RS256", secret, public_jwk: Some(public), is_meant_to_sign: false })
    }

    /// Whether this key can sign, or only check.
    pub(super) fn can_sign(&self) -> bool {
        self.secret.is_some()
    }
}

fn jwk_bytes(jwk: &serde_json::Value, name: &str) -> Result<Vec<u8>> {
    let bytes = jwk[name].as_str().and_then(from_base64url);
    bytes.ok_or_else(|| Error::invalid("jwk", format!("\"{name}\" is missing or not base64url")))
}

/// The private RSA key of a JWK, in the form that is stored.
fn rsa_pkcs8(jwk: &serde_json::Value) -> Result<Vec<u8>> {
    let bytes = |name: &str| jwk_bytes(jwk, name);
    let components = KeyPairComponents {
        public_key: RsaPublicKeyComponents { n: bytes("n")?, e: bytes("e")? },
        d: bytes("d")?,
        p: bytes("p")?,
        q: bytes("q")?,
        dP: bytes("dp")?,
        dQ: bytes("dq")?,
        qInv: bytes("qi")?,
    };
    let pair = RsaKeyPair::from_components(&components).map_err(|_| Error::invalid("jwk", "its private part is not that of \"n\" and \"e\""))?;
    Ok(pair.as_der().map_err(Error::internal)?.as_ref().to_vec())
}
