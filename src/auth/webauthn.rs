//! What is asked of authenticators, and whether they answered it (W3C `WebAuthn` Level 2, sections 7.1 and 7.2).
//!
//! What makes an authenticator is not asked for (attestation `none`), so nothing is believed of it: what counts is who holds the key. The
//! signatures are checked by aws-lc-rs. The callers see to the rest: a challenge is good once, for one user and one purpose, and a
//! credential belongs to one user of a tenant. (`webauthn-rs` would do the same with a second set of cryptography, a hundred crates.)

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents, VerificationAlgorithm};
use ciborium::Value as Cbor;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::model::UserRow;
use crate::{
    crypto::{base64url, from_base64url, random, same, sha256},
    db::Json,
    error::{Error, Result},
    tenants::Tenant,
};

/// Milliseconds that an authenticator may wait for its user: as long as a challenge is good.
const PATIENCE: u32 = 300_000;

/// What an authenticator is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Ceremony {
    /// A new credential.
    Create,
    /// A signature by one that it has.
    Request,
}

impl Ceremony {
    pub(super) fn read(text: &str) -> Option<Self> {
        match text {
            "create" => Some(Self::Create),
            "request" => Some(Self::Request),
            _ => None,
        }
    }

    /// What the browser calls it.
    fn client_type(self) -> &'static str {
        match self {
            Self::Create => "webauthn.create",
            Self::Request => "webauthn.get",
        }
    }
}

/// For whom the tenant's authenticators sign.
pub(super) struct RelyingParty {
    id: String,
    name: String,
    origins: Vec<String>,
}

/// For whom the tenant's authenticators sign: what it has set, or its site.
pub(super) fn relying_party(tenant: &Tenant) -> RelyingParty {
    let settings = &tenant.settings.mfa;
    let site = tenant.settings.redirects.site(&tenant.issuer);
    let or = |given: &str, otherwise: &str| if given.is_empty() { otherwise.to_owned() } else { given.to_owned() };
    let id = or(&settings.rp_id, site.host_str().unwrap_or_default());
    let origins = if settings.origins.is_empty() { vec![site.origin().ascii_serialization()] } else { settings.origins.clone() };
    RelyingParty { name: or(&settings.rp_name, &id), id, origins }
}

/// What was asked of an authenticator, as it is stored until it is answered.
#[derive(Serialize, Deserialize)]
struct Asked {
    ceremony: Ceremony,
    challenge: String,
}

impl Asked {
    fn new(ceremony: Ceremony) -> Self {
        Self { ceremony, challenge: base64url(&random::<32>()) }
    }

    fn stored(&self) -> Result<Json> {
        Ok(Json(serde_json::to_value(self)?))
    }
}

/// A key that an authenticator holds, as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Credential {
    /// The authenticator's name for it, in base64url.
    id: String,
    key: PublicKey,
    /// How often it has signed, if it counts.
    counter: u32,
    /// Whether it made sure of its user when it was made. One that did does so each time.
    user_verified: bool,
    /// Whether it may be on several devices, and whether it is.
    backup_eligible: bool,
    backed_up: bool,
    transports: Vec<String>,
}

impl Credential {
    /// The authenticator's name for it.
    pub(super) fn id(&self) -> Result<Vec<u8>> {
        from_base64url(&self.id).ok_or_else(|| Error::internal("a stored credential has no id"))
    }
}

/// A credential as it is stored.
pub(super) fn stored(credential: &Credential) -> Result<Json> {
    Ok(Json(serde_json::to_value(credential)?))
}

/// A credential that was stored.
pub(super) fn credential(stored: &Json) -> Result<Credential> {
    Ok(serde_json::from_value(stored.0.clone())?)
}

/// What authenticators call a user.
pub(super) fn handle(user: &UserRow) -> String {
    user.id.to_string()
}

/// Asks for a new credential of a user. `known` are those that it has; a resident one can be found without knowing the user.
pub(super) fn begin_registration(party: &RelyingParty, user: &UserRow, known: &[Credential], is_resident: bool) -> Result<(Value, Json)> {
    let asked = Asked::new(Ceremony::Create);
    let handle = handle(user);
    let name = user.email.as_deref().or(user.phone.as_deref()).unwrap_or(&handle);
    let shown = user.user_metadata.0["name"].as_str().filter(|name| !name.is_empty()).unwrap_or(name);
    let algorithms = PublicKey::ALGORITHMS.map(|algorithm| json!({ "type": "public-key", "alg": algorithm }));
    let resident = if is_resident { "required" } else { "discouraged" };
    let options = json!({ "publicKey": {
        "rp": { "name": party.name, "id": party.id },
        "user": { "id": base64url(handle.as_bytes()), "name": name, "displayName": shown },
        "challenge": asked.challenge,
        "pubKeyCredParams": algorithms,
        "timeout": PATIENCE,
        "excludeCredentials": described(known),
        "authenticatorSelection": { "residentKey": resident, "requireResidentKey": is_resident, "userVerification": "preferred" },
        "attestation": "none",
    } });
    Ok((options, asked.stored()?))
}

/// Asks for a signature by one of these credentials; by any that the authenticator has for us when there is none.
pub(super) fn begin_authentication(party: &RelyingParty, credentials: &[Credential]) -> Result<(Value, Json)> {
    let asked = Asked::new(Ceremony::Request);
    let options = json!({ "publicKey": {
        "challenge": asked.challenge,
        "timeout": PATIENCE,
        "rpId": party.id,
        "allowCredentials": described(credentials),
        "userVerification": "preferred",
    } });
    Ok((options, asked.stored()?))
}

fn described(credentials: &[Credential]) -> Vec<Value> {
    let described = |credential: &Credential| match credential.transports.as_slice() {
        [] => json!({ "type": "public-key", "id": credential.id }),
        transports => json!({ "type": "public-key", "id": credential.id, "transports": transports }),
    };
    credentials.iter().map(described).collect()
}

/// What a browser says of a new credential.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Creation {
    raw_id: String,
    #[serde(rename = "type")]
    kind: String,
    response: CreationResponse,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreationResponse {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    attestation_object: String,
    #[serde(default)]
    transports: Option<Vec<String>>,
}

/// What a browser says of a signature.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Assertion {
    raw_id: String,
    #[serde(rename = "type")]
    kind: String,
    response: AssertionResponse,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AssertionResponse {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    authenticator_data: String,
    signature: String,
    #[serde(default)]
    user_handle: Option<String>,
}

/// Which credential an answer is by, and whose it says that is.
pub(super) fn names(response: &Value) -> Option<(Vec<u8>, String)> {
    let answer: Assertion = serde_json::from_value(response.clone()).ok()?;
    let user = String::from_utf8(from_base64url(answer.response.user_handle.as_deref()?)?).ok()?;
    Some((from_base64url(&answer.raw_id)?, user))
}

/// The credential that an authenticator made; `None` when the answer is not what was asked for.
pub(super) fn finish_registration(party: &RelyingParty, state: &Json, response: Value) -> Result<Option<Credential>> {
    let asked: Asked = serde_json::from_value(state.0.clone())?;
    Ok(serde_json::from_value(response).ok().and_then(|answer| created(party, &asked, answer)))
}

fn created(party: &RelyingParty, asked: &Asked, answer: Creation) -> Option<Credential> {
    from_our_page(party, asked, Ceremony::Create, &from_base64url(&answer.response.client_data)?)?;
    let object: Cbor = read_cbor(&mut from_base64url(&answer.response.attestation_object)?.as_slice())?;
    let data = AuthenticatorData::read(party, entry(&object, &Cbor::from("authData"))?.as_bytes()?)?;
    let (id, key) = data.attested.as_ref()?;
    if answer.kind != "public-key" || from_base64url(&answer.raw_id)? != *id {
        return None;
    }
    let known = ["usb", "nfc", "ble", "internal", "hybrid", "smart-card"];
    let mut transports = answer.response.transports.unwrap_or_default();
    transports.retain(|transport| known.contains(&transport.as_str()));
    transports.truncate(known.len());
    Some(Credential {
        id: base64url(id),
        key: key.clone(),
        counter: data.counter,
        user_verified: data.is(USER_VERIFIED),
        backup_eligible: data.is(BACKUP_ELIGIBLE),
        backed_up: data.is(BACKED_UP),
        transports,
    })
}

/// The credential as it is after it has signed; `None` when it did not sign what was asked for.
pub(super) fn finish_authentication(party: &RelyingParty, state: &Json, response: Value, known: &Json) -> Result<Option<Credential>> {
    let asked: Asked = serde_json::from_value(state.0.clone())?;
    let credential = credential(known)?;
    Ok(serde_json::from_value(response).ok().and_then(|answer| signed(party, &asked, &answer, credential)))
}

fn signed(party: &RelyingParty, asked: &Asked, answer: &Assertion, credential: Credential) -> Option<Credential> {
    if answer.kind != "public-key" || answer.raw_id != credential.id {
        return None;
    }
    let client_data = from_base64url(&answer.response.client_data)?;
    from_our_page(party, asked, Ceremony::Request, &client_data)?;
    let told = from_base64url(&answer.response.authenticator_data)?;
    let data = AuthenticatorData::read(party, &told)?;
    let message = [told.as_slice(), &sha256(&client_data)].concat();
    let is_signed = credential.key.has_signed(&message, &from_base64url(&answer.response.signature)?);
    let is_sure_enough = data.is(USER_VERIFIED) || !credential.user_verified;
    // What could be copied when it was made can be for ever, and what could not never.
    let is_same_kind = data.is(BACKUP_ELIGIBLE) == credential.backup_eligible;
    // A count that does not grow is that of a copy. Many authenticators don't count.
    let is_original = (data.counter == 0 && credential.counter == 0) || data.counter > credential.counter;
    let is_good = is_signed && is_sure_enough && is_same_kind && is_original;
    is_good.then(|| Credential { counter: data.counter, backed_up: data.is(BACKED_UP), ..credential })
}

/// What the browser says of the page that asked.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
}

/// Whether a page of ours asked, and asked just this.
fn from_our_page(party: &RelyingParty, asked: &Asked, ceremony: Ceremony, client_data: &[u8]) -> Option<()> {
    let data: ClientData = serde_json::from_slice(client_data).ok()?;
    let is_asked = asked.ceremony == ceremony && data.kind == ceremony.client_type() && same(data.challenge.as_bytes(), asked.challenge.as_bytes());
    let is_ours = party.origins.contains(&data.origin) && !data.cross_origin;
    (is_asked && is_ours).then_some(())
}

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const BACKUP_ELIGIBLE: u8 = 0x08;
const BACKED_UP: u8 = 0x10;
const HAS_CREDENTIAL: u8 = 0x40;
const HAS_EXTENSIONS: u8 = 0x80;

/// Bytes of a credential's id at most.
const LONGEST_ID: usize = 1023;

/// What an authenticator says: for whom, whether its user was there, and the credential if it is new.
struct AuthenticatorData {
    flags: u8,
    counter: u32,
    attested: Option<(Vec<u8>, PublicKey)>,
}

impl AuthenticatorData {
    /// Reads what is meant for us and was done by somebody who was there.
    fn read(party: &RelyingParty, bytes: &[u8]) -> Option<Self> {
        let (party_hash, rest) = bytes.split_first_chunk::<32>()?;
        let (&[flags], rest) = rest.split_first_chunk::<1>()?;
        let (counter, mut rest) = rest.split_first_chunk::<4>()?;
        if *party_hash != sha256(party.id.as_bytes()) {
            return None;
        }
        let mut data = Self { flags, counter: u32::from_be_bytes(*counter), attested: None };
        if !data.is(USER_PRESENT) || (data.is(BACKED_UP) && !data.is(BACKUP_ELIGIBLE)) {
            return None;
        }
        if data.is(HAS_CREDENTIAL) {
            let (_model, after) = rest.split_first_chunk::<16>()?;
            let (length, after) = after.split_first_chunk::<2>()?;
            let (id, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            rest = after;
            let key = PublicKey::read(&read_cbor(&mut rest)?)?;
            data.attested = (1..=LONGEST_ID).contains(&id.len()).then(|| (id.to_vec(), key));
        }
        if data.is(HAS_EXTENSIONS) {
            // None was asked for; what is said all the same is read past.
            read_cbor(&mut rest)?;
        }
        rest.is_empty().then_some(data)
    }

    fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// A public key, by COSE's number of its algorithm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "alg")]
enum PublicKey {
    /// ECDSA over P-256: the point, uncompressed.
    #[serde(rename = "ES256")]
    Es256 { point: String },
    #[serde(rename = "EdDSA")]
    Ed25519 { point: String },
    /// RSA as TPMs have it.
    #[serde(rename = "RS256")]
    Rs256 { n: String, e: String },
}

impl PublicKey {
    /// Those that are asked for, the best first.
    const ALGORITHMS: [i64; 3] = [-7, -8, -257];

    /// Reads a `COSE_Key` (RFC 9052, 7).
    fn read(cose: &Cbor) -> Option<Self> {
        let number = |label: i64| entry(cose, &Cbor::from(label)).and_then(Cbor::as_integer).and_then(|number| i64::try_from(number).ok());
        let bytes = |label: i64| entry(cose, &Cbor::from(label)).and_then(Cbor::as_bytes);
        let coordinate = |label: i64| bytes(label).filter(|bytes| bytes.len() == 32);
        let key = match (number(1)?, number(3)?) {
            (2, -7) if number(-1)? == 1 => Self::Es256 { point: base64url(&[&[0x04][..], coordinate(-2)?, coordinate(-3)?].concat()) },
            (1, -8) if number(-1)? == 6 => Self::Ed25519 { point: base64url(coordinate(-2)?) },
            (3, -257) => Self::Rs256 { n: base64url(bytes(-1)?), e: base64url(bytes(-2)?) },
            _ => return None,
        };
        key.is_a_key().then_some(key)
    }

    /// Whether a signature could be checked with it.
    fn is_a_key(&self) -> bool {
        let parses = |algorithm: &'static dyn VerificationAlgorithm, point: &str| {
            from_base64url(point).is_some_and(|point| ParsedPublicKey::new(algorithm, point).is_ok())
        };
        match self {
            Self::Es256 { point } => parses(&signature::ECDSA_P256_SHA256_ASN1, point),
            Self::Ed25519 { point } => parses(&signature::ED25519, point),
            // 2048 to 8192 bits, and no exponent that makes work.
            Self::Rs256 { n, e } => {
                let length = |number: &str| from_base64url(number).map_or(0, |bytes| bytes.len());
                (256..=1024).contains(&length(n)) && (1..=4).contains(&length(e))
            }
        }
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let checked = match self {
            Self::Es256 { point } => from_base64url(point)
                .map(|point| signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, point).verify(message, signature)),
            Self::Ed25519 { point } => {
                from_base64url(point).map(|point| signature::UnparsedPublicKey::new(&signature::ED25519, point).verify(message, signature))
            }
            Self::Rs256 { n, e } => from_base64url(n)
                .zip(from_base64url(e))
                .map(|(n, e)| RsaPublicKeyComponents { n, e }.verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature)),
        };
        matches!(checked, Some(Ok(())))
    }
}

/// One CBOR item off the front of some bytes.
fn read_cbor(bytes: &mut &[u8]) -> Option<Cbor> {
    ciborium::de::from_reader_with_recursion_limit(bytes, 8).ok()
}

/// What a CBOR map has under a key. A key that is there twice is there not at all.
fn entry<'c>(map: &'c Cbor, key: &Cbor) -> Option<&'c Cbor> {
    let mut found = map.as_map()?.iter().filter(|(name, _)| name == key);
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        rand::SystemRandom,
        rsa,
        signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
    };
    use proptest::prelude::*;

    use super::*;

    fn party() -> RelyingParty {
        RelyingParty { id: "example.com".to_owned(), name: "Example".to_owned(), origins: vec!["https://example.com".to_owned()] }
    }

    fn cose(entries: Vec<(i64, Cbor)>) -> Cbor {
        Cbor::Map(entries.into_iter().map(|(label, value)| (Cbor::from(label), value)).collect())
    }

    #[test]
    fn keys_of_each_algorithm_check_their_signatures() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let x = pair.public_key().as_ref().to_vec();
        let key = PublicKey::read(&cose(vec![(1, 1.into()), (3, (-8).into()), (-1, 6.into()), (-2, x.into())])).unwrap();
        let signature = pair.sign(b"message");
        assert!(key.has_signed(b"message", signature.as_ref()) && !key.has_signed(b"massage", signature.as_ref()));

        let pair = RsaKeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
        let components = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        let key = PublicKey::read(&cose(vec![(1, 3.into()), (3, (-257).into()), (-1, components.n.into()), (-2, components.e.into())])).unwrap();
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), b"message", &mut signature).unwrap();
        assert!(key.has_signed(b"message", &signature) && !key.has_signed(b"massage", &signature));
        assert_eq!(serde_json::from_value::<PublicKey>(serde_json::to_value(&key).unwrap()).unwrap(), key);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let zeros = || Cbor::from(vec![0; 32]);
        for wrong in [
            vec![(1, 2.into()), (3, (-7).into()), (-1, 1.into()), (-2, zeros()), (-3, zeros())],
            vec![(1, 2.into()), (3, (-7).into()), (-1, 1.into()), (-2, zeros())],
            vec![(1, 2.into()), (3, (-35).into()), (-1, 2.into()), (-2, zeros()), (-3, zeros())],
            vec![(1, 3.into()), (3, (-257).into()), (-1, vec![1; 128].into()), (-2, vec![1, 0, 1].into())],
            vec![(1, 1.into()), (1, 1.into()), (3, (-8).into()), (-1, 6.into()), (-2, zeros())],
            vec![],
        ] {
            assert_eq!(PublicKey::read(&cose(wrong)), None);
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let own = [&sha256(b"example.com")[..], &bytes].concat();
            let _ = AuthenticatorData::read(&party(), &own);
            let _ = read_cbor(&mut bytes.as_slice());
        }
    }
}
