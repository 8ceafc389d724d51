//! How each product writes its users down, as far as its exports have it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    fields::{Fields, Read},
    piece::{Incoming, IncomingFactor, IncomingIdentity, IncomingPassword, IncomingSession, IncomingToken, Piece, derived_id},
};
use crate::{
    crypto::{pbkdf2_text, scrypt_text},
    db::Timestamp,
};

/// Where users come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Supabase: rows of `auth.users`, `auth.identities`, `auth.mfa_factors`, `auth.sessions` and `auth.refresh_tokens`, as CSV, as JSON, or in a
    /// plain `pg_dump`.
    Supabase,
    /// Firebase: `firebase auth:export users.json`, with the project's hash parameters.
    Firebase(Option<FirebaseHash>),
    /// Auth0: its export of users, and the file of password hashes that its support gives, or files for its bulk import.
    Auth0,
    /// Keycloak: a realm's export with its users.
    Keycloak,
    /// `PocketBase`: the records of a collection of users and of `_externalAuths`, as CSV or JSON.
    PocketBase,
    /// A CSV file with our own columns.
    Csv,
}

/// How a Firebase project hashes passwords: what its console shows under "Password hash parameters".
#[derive(Clone, Debug)]
pub struct FirebaseHash {
    signer: String,
    separator: String,
    rounds: u32,
    memory: u32,
}

impl FirebaseHash {
    /// Reads what the console shows: `base64_signer_key: …, base64_salt_separator: …, rounds: 8, mem_cost: 14`.
    pub fn read(text: &str) -> Option<Self> {
        let plain = text.replace(['{', '}', '"', ',', '=', ';'], " ").replace(':', " ");
        let words: Vec<&str> = plain.split_whitespace().collect();
        let after = |name: &str| words.iter().position(|word| word.eq_ignore_ascii_case(name)).and_then(|at| words.get(at + 1)).copied();
        // The signs that end a key in base64 were taken for signs of punctuation.
        let key = |name: &str| after(name).map(padded);
        Some(Self {
            signer: key("base64_signer_key")?,
            separator: key("base64_salt_separator").unwrap_or_default(),
            rounds: after("rounds")?.parse().ok()?,
            memory: after("mem_cost")?.parse().ok()?,
        })
    }
}

fn padded(text: &str) -> String {
    let missing = text.len().next_multiple_of(4) - text.len();
    format!("{text}{}", "=".repeat(missing))
}

impl Source {
    /// The name under which the product wraps its list of users, in JSON.
    pub(super) fn list_name(&self) -> Option<&'static str> {
        match self {
            Self::Supabase | Self::Firebase(_) | Self::Auth0 | Self::Keycloak => Some("users"),
            Self::PocketBase => Some("items"),
            Self::Csv => None,
        }
    }

    /// What a record of this product is. `table` is what the file calls it.
    pub(super) fn read(&self, table: Option<&str>, fields: &Fields) -> Read<Vec<Piece>> {
        match self {
            Self::Supabase => supabase(table, fields),
            Self::Firebase(hash) => firebase(hash.as_ref(), fields).map(user),
            Self::Auth0 => auth0(fields),
            Self::Keycloak => keycloak(fields).map(user),
            Self::PocketBase => pocketbase(fields),
            Self::Csv => plain(fields).map(user),
        }
    }
}

fn user(user: Incoming) -> Vec<Piece> {
    vec![Piece::User(Box::new(user))]
}

/// Somebody who was shut out elsewhere is shut out here until an admin says otherwise.
fn for_good() -> Option<Timestamp> {
    "9999-12-31T00:00:00Z".parse().ok()
}

fn supabase(table: Option<&str>, fields: &Fields) -> Read<Vec<Piece>> {
    // A file of rows does not name its table; its columns do.
    let table = table.unwrap_or(match () {
        () if fields.has("identity_data") && fields.has("provider") => "identities",
        () if fields.has("factor_type") => "mfa_factors",
        () if fields.has("aal") && fields.has("user_id") => "sessions",
        () if fields.has("token") && fields.has("session_id") => "refresh_tokens",
        () => "users",
    });
    let required = |name: &str| fields.uuid(&[name]).ok_or_else(|| format!("{name} is missing or no UUID"));
    Ok(match table {
        "users" => user(supabase_user(fields)?),
        "identities" => vec![Piece::Identity(supabase_identity(required("user_id")?, fields)?)],
        "mfa_factors" => supabase_factor(required("user_id")?, fields)?.into_iter().map(Piece::Factor).collect(),
        "sessions" => vec![Piece::Session(IncomingSession {
            id: required("id")?,
            user: required("user_id")?,
            aal: fields.text(&["aal"]).unwrap_or_else(|| "aal1".to_owned()),
            created_at: fields.moment(&["created_at"])?,
            refreshed_at: fields.moment(&["refreshed_at"])?,
            not_after: fields.moment(&["not_after"])?,
            user_agent: fields.text(&["user_agent"]),
            ip: fields.text(&["ip"]),
        })],
        // What was used up already is good for nothing but to look stolen.
        "refresh_tokens" if fields.flag(&["revoked"]) => Vec::new(),
        "refresh_tokens" => {
            vec![Piece::Token(IncomingToken { session: required("session_id")?, text: fields.text(&["token"]).ok_or("token is missing")? })]
        }
        _ => Vec::new(),
    })
}

fn supabase_user(fields: &Fields) -> Read<Incoming> {
    if fields.any(&["deleted_at"]).is_some() {
        return Err("the user was deleted".to_owned());
    }
    let id = fields.uuid(&["id"]).ok_or("id is missing or no UUID")?;
    let mut user = Incoming {
        id,
        email: fields.text(&["email"]),
        email_confirmed_at: fields.moment(&["email_confirmed_at"])?,
        phone: fields.text(&["phone"]),
        phone_confirmed_at: fields.moment(&["phone_confirmed_at"])?,
        password_hash: fields.text(&["encrypted_password"]),
        role: fields.text(&["role"]).filter(|role| role != "authenticated"),
        app_metadata: fields.object(&["raw_app_meta_data", "app_metadata"])?,
        user_metadata: fields.object(&["raw_user_meta_data", "user_metadata"])?,
        banned_until: fields.moment(&["banned_until"]).unwrap_or_else(|_| for_good()),
        is_anonymous: fields.flag(&["is_anonymous"]),
        is_sso_user: fields.flag(&["is_sso_user"]),
        invited_at: fields.moment(&["invited_at"])?,
        last_sign_in_at: fields.moment(&["last_sign_in_at"])?,
        created_at: fields.moment(&["created_at"])?,
        ..Incoming::default()
    };
    for identity in fields.list(&["identities"])? {
        user.identities.push(supabase_identity(id, &identity)?);
    }
    for factor in fields.list(&["factors"])? {
        user.factors.extend(supabase_factor(id, &factor)?);
    }
    Ok(user)
}

fn supabase_identity(user: Uuid, fields: &Fields) -> Read<IncomingIdentity> {
    let claims = fields.object(&["identity_data"])?;
    let provider = fields.text(&["provider"]).ok_or("provider is missing")?;
    let sub = claims.get("sub").and_then(Value::as_str).map(str::to_owned);
    let subject = fields.text(&["provider_id"]).or(sub).or_else(|| fields.text(&["id"])).ok_or("provider_id is missing")?;
    let email = claims.get("email").and_then(Value::as_str).map(str::to_lowercase);
    let mut identity = IncomingIdentity::new(user, &provider, &subject, email, claims);
    // Where a row's id was the provider's name for the user (before 2023), `provider_id` was not there.
    identity.id = fields.uuid(&["identity_id"]).or_else(|| fields.uuid(&["id"]).filter(|_| fields.has("provider_id"))).unwrap_or(identity.id);
    identity.last_sign_in_at = fields.moment(&["last_sign_in_at"])?;
    identity.created_at = fields.moment(&["created_at"])?;
    Ok(identity)
}

fn supabase_factor(user: Uuid, fields: &Fields) -> Read<Option<IncomingFactor>> {
    // Other kinds of factors can't be moved: a passkey belongs to its domain, and a phone is asked again.
    if fields.text(&["factor_type"]).as_deref() != Some("totp") {
        return Ok(None);
    }
    let Some(secret) = fields.text(&["secret"]) else { return Ok(None) };
    let id = fields.uuid(&["id"]).ok_or("the factor's id is missing or no UUID")?;
    Ok(Some(IncomingFactor {
        id,
        user,
        name: fields.text(&["friendly_name"]).unwrap_or_default(),
        secret: base32(&secret).ok_or("the factor's secret is no base32; it may be encrypted")?,
        is_verified: fields.text(&["status"]).as_deref() == Some("verified"),
        created_at: fields.moment(&["created_at"])?,
    }))
}

fn firebase(hash: Option<&FirebaseHash>, fields: &Fields) -> Read<Incoming> {
    let uid = fields.text(&["localId", "uid"]).ok_or("localId is missing; take the export as JSON: firebase auth:export users.json")?;
    let id = Uuid::parse_str(&uid).ok().filter(|_| uid.len() == 36);
    let is_verified = fields.flag(&["emailVerified"]);
    let created_at = fields.moment(&["createdAt"])?;
    let last_sign_in_at = fields.moment(&["lastSignedInAt", "lastLoginAt"])?;
    let phone = fields.text(&["phoneNumber"]);
    let mut user = Incoming {
        id: id.unwrap_or_else(|| derived_id("firebase", &uid)),
        is_id_derived: id.is_none(),
        email: fields.text(&["email"]),
        email_confirmed_at: created_at.or(last_sign_in_at).filter(|_| is_verified),
        phone_confirmed_at: created_at.filter(|_| phone.is_some()),
        phone,
        app_metadata: fields.object(&["customAttributes", "customClaims"])?,
        banned_until: if fields.flag(&["disabled"]) { for_good() } else { None },
        last_sign_in_at,
        created_at,
        ..Incoming::default()
    };
    user.note("full_name", fields.text(&["displayName"]));
    user.note("avatar_url", fields.text(&["photoUrl", "photoURL"]));
    user.note("firebase_uid", user.is_id_derived.then_some(uid));
    match (fields.text(&["passwordHash"]), fields.text(&["salt"]), hash) {
        (Some(found), Some(salt), Some(hash)) => {
            let standard = |text: String| padded(text.replace('-', "+").replace('_', "/").trim_end_matches('='));
            let FirebaseHash { signer, separator, rounds, memory } = hash;
            let (salt, found) = (standard(salt), standard(found));
            user.password_hash = Some(format!("$fbscrypt$v=1,n={memory},r={rounds},p=1,ss={separator},sk={signer}${salt}${found}"));
        }
        (Some(_), Some(_), None) => user.password_problem = Some("the project's hash parameters are needed: --hash-config FILE".to_owned()),
        (Some(_), None, _) => user.password_problem = Some("its hash has no salt".to_owned()),
        (None, ..) => {}
    }
    for provider in fields.list(&["providerUserInfo", "providerData"])? {
        let (Some(name), Some(subject)) = (provider.text(&["providerId"]), provider.text(&["rawId", "uid", "federatedId"])) else { continue };
        let name = match name.as_str() {
            "password" | "phone" => continue,
            "microsoft.com" => "azure",
            name => name.strip_suffix(".com").unwrap_or(name),
        };
        let claims = json!({ "full_name": provider.text(&["displayName"]), "avatar_url": provider.text(&["photoUrl", "photoURL"]) });
        let email = provider.text(&["email"]).map(|email| email.to_lowercase());
        user.identities.push(IncomingIdentity::new(user.id, name, &subject, email, claims.as_object().cloned().unwrap_or_default()));
    }
    Ok(user)
}

fn auth0(fields: &Fields) -> Read<Vec<Piece>> {
    // The file of hashes names users by an id of their own, or by the database's.
    let bare = fields.text(&["alt_id", "_id"]);
    let is_of_hashes = bare.is_some();
    let name = fields.text(&["user_id", "Id", "id"]).or_else(|| bare.map(|bare| format!("auth0|{bare}")));
    // And it may have their addresses there alone.
    let identifiers = fields.list(&["identifiers"])?;
    let identifier = identifiers.iter().find(|identifier| identifier.text(&["type"]).as_deref() == Some("email"));
    let email = fields.text(&["email"]).or_else(|| identifier?.text(&["value"]));
    let is_verified = fields.flag(&["email_verified"]) || identifier.is_some_and(|identifier| identifier.flag(&["verified"]));
    // A file for the bulk import need not name its users.
    let name = name.or_else(|| email.clone()).ok_or("user_id is missing")?;
    let bare = name.rsplit_once('|').map_or(name.as_str(), |(_, id)| id);
    // A bulk import puts the connection before an id that is there.
    let known = Uuid::parse_str(bare).ok().filter(|_| bare.len() == 36);
    let id = known.unwrap_or_else(|| derived_id("auth0", if name.contains('|') { name.clone() } else { format!("auth0|{name}") }.as_str()));
    let created_at = fields.moment(&["created_at"])?;
    let phone = fields.text(&["phone_number"]);
    let confirmed = |is: bool| is.then_some(created_at).flatten().or_else(|| is.then(|| Timestamp::from_seconds(0)));
    let mut user = Incoming {
        id,
        is_id_derived: known.is_none(),
        is_of_hashes,
        email_confirmed_at: confirmed(email.is_some() && is_verified),
        email,
        phone_confirmed_at: confirmed(phone.is_some() && fields.flag(&["phone_verified"])),
        phone,
        app_metadata: fields.object(&["app_metadata"])?,
        user_metadata: fields.object(&["user_metadata"])?,
        banned_until: if fields.flag(&["blocked"]) { for_good() } else { None },
        last_sign_in_at: fields.moment(&["last_login"])?,
        created_at,
        ..Incoming::default()
    };
    for (to, from) in [
        ("full_name", "name"),
        ("given_name", "given_name"),
        ("family_name", "family_name"),
        ("nickname", "nickname"),
        ("avatar_url", "picture"),
        ("username", "username"),
    ] {
        user.note(to, fields.text(&[from]));
    }
    match auth0_hash(fields) {
        Ok(hash) => user.password_hash = hash,
        Err(why) => user.password_problem = Some(why),
    }
    for identity in fields.list(&["identities"])? {
        let (Some(provider), Some(subject)) = (identity.text(&["provider"]), identity.text(&["user_id"])) else { continue };
        let provider = match provider.as_str() {
            "auth0" | "email" | "sms" => continue,
            "google-oauth2" => "google",
            "windowslive" | "waad" => "azure",
            other => other,
        };
        let claims = identity.object(&["profileData"])?;
        let email = claims.get("email").and_then(Value::as_str).map(str::to_lowercase).or_else(|| user.email.clone());
        user.identities.push(IncomingIdentity::new(id, provider, &subject, email, claims));
    }
    for factor in fields.list(&["mfa_factors"])? {
        let totp = Fields(factor.object(&["totp"])?);
        let Some(secret) = totp.text(&["secret"]) else { continue };
        user.factors.push(IncomingFactor {
            id: derived_id("auth0-totp", &id.to_string()),
            user: id,
            name: String::new(),
            secret: base32(&secret).ok_or("the TOTP secret is no base32")?,
            is_verified: true,
            created_at,
        });
    }
    // The file of hashes has users whom another file knows better.
    let password = user.password_hash.clone().map(|hash| Piece::Password(IncomingPassword { user: id, hash }));
    Ok(std::iter::once(Piece::User(Box::new(user))).chain(password).collect())
}

fn auth0_hash(fields: &Fields) -> Read<Option<String>> {
    if let Some(hash) = fields.text(&["passwordHash", "password_hash"]) {
        return Ok(Some(hash));
    }
    let custom = Fields(fields.object(&["custom_password_hash"])?);
    let Some(algorithm) = custom.text(&["algorithm"]) else { return Ok(None) };
    let hash = Fields(custom.object(&["hash"])?);
    let value = hash.text(&["value"]).ok_or("custom_password_hash.hash.value is missing")?;
    match algorithm.as_str() {
        "bcrypt" | "argon2" | "pbkdf2" => Ok(Some(value)),
        "scrypt" => {
            let salt = Fields(custom.object(&["salt"])?);
            let bytes = |fields: &Fields, value: &str| decoded(value, fields.text(&["encoding"]).as_deref());
            let salt_text = salt.text(&["value"]).unwrap_or_default();
            let number = |name: &str, otherwise: u32| {
                custom.text(&[name]).map_or(Ok(otherwise), |text| text.parse().map_err(|_| format!("{name} is no number")))
            };
            let n = number("cost", 16_384)?;
            if !n.is_power_of_two() {
                return Err("cost is no power of two".to_owned());
            }
            let (r, p) = (number("blockSize", 8)?, number("parallelization", 1)?);
            let text = scrypt_text(n.ilog2(), r, p, &bytes(&salt, &salt_text)?, &bytes(&hash, &value)?);
            text.map(Some).map_err(|error| error.to_string())
        }
        other => Err(format!("its hash is by {other}, which no longer keeps a password safe")),
    }
}

fn decoded(text: &str, encoding: Option<&str>) -> Read<Vec<u8>> {
    let wrong = || "a part of the hash is not of its encoding".to_owned();
    match encoding {
        Some("hex") => {
            (0..text.len()).step_by(2).map(|at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(wrong)).collect()
        }
        Some("utf8") => Ok(text.as_bytes().to_vec()),
        _ => STANDARD.decode(padded(text.trim_end_matches('='))).map_err(|_| wrong()),
    }
}

fn keycloak(fields: &Fields) -> Read<Incoming> {
    if fields.has("realm") && !fields.has("username") {
        return Err("it is a realm without its users; export them with it: kc.sh export --users same_file".to_owned());
    }
    let id_text = fields.text(&["id"]).or_else(|| fields.text(&["username"])).ok_or("id is missing")?;
    let known = Uuid::parse_str(&id_text).ok().filter(|_| id_text.len() == 36);
    let id = known.unwrap_or_else(|| derived_id("keycloak", &id_text));
    let created_at = fields.moment(&["createdTimestamp"])?;
    let email = fields.text(&["email"]).or_else(|| fields.text(&["username"]).filter(|name| name.contains('@')));
    let is_enabled = !fields.has("enabled") || fields.flag(&["enabled"]);
    let mut user = Incoming {
        id,
        is_id_derived: known.is_none(),
        email_confirmed_at: fields
            .flag(&["emailVerified"])
            .then(|| created_at.unwrap_or_else(|| Timestamp::from_seconds(0)))
            .filter(|_| email.is_some()),
        email,
        banned_until: if is_enabled { None } else { for_good() },
        created_at,
        ..Incoming::default()
    };
    user.note("given_name", fields.text(&["firstName"]));
    user.note("family_name", fields.text(&["lastName"]));
    user.note("username", fields.text(&["username"]));
    let names: Vec<String> = ["firstName", "lastName"].iter().filter_map(|name| fields.text(&[name])).collect();
    user.note("full_name", (!names.is_empty()).then(|| names.join(" ")));
    let attributes = fields.object(&["attributes"])?;
    if !attributes.is_empty() {
        user.user_metadata.insert("attributes".to_owned(), Value::Object(attributes));
    }
    // Roles of a realm are no roles here, whatever they are called: who should have one is given it.
    for (to, from) in [("realm_roles", "realmRoles"), ("groups", "groups")] {
        if let Some(value) = fields.any(&[from]) {
            user.app_metadata.insert(to.to_owned(), value.clone());
        }
    }
    for credential in fields.list(&["credentials"])? {
        let (data, secret) = (Fields(credential.object(&["credentialData"])?), Fields(credential.object(&["secretData"])?));
        match credential.text(&["type"]).as_deref() {
            Some("password") => match keycloak_hash(&data, &secret) {
                Ok(hash) => user.password_hash = Some(hash),
                Err(why) => user.password_problem = Some(why),
            },
            Some("otp") => user.factors.extend(keycloak_factor(id, created_at, &credential, &data, &secret)?),
            _ => {}
        }
    }
    for identity in fields.list(&["federatedIdentities"])? {
        if let (Some(provider), Some(subject)) = (identity.text(&["identityProvider"]), identity.text(&["userId"])) {
            let claims = json!({ "user_name": identity.text(&["userName"]) });
            let email = user.email.clone().map(|email| email.to_lowercase());
            user.identities.push(IncomingIdentity::new(id, &provider, &subject, email, claims.as_object().cloned().unwrap_or_default()));
        }
    }
    Ok(user)
}

fn keycloak_hash(data: &Fields, secret: &Fields) -> Read<String> {
    let algorithm = data.text(&["algorithm"]).ok_or("the password's algorithm is missing")?;
    let rounds = data.text(&["hashIterations"]).unwrap_or_default();
    let part = |name: &str| decoded(&secret.text(&[name]).unwrap_or_default(), None);
    let (salt, hash) = (part("salt")?, part("value")?);
    let name = match algorithm.as_str() {
        "pbkdf2" => "pbkdf2-sha1",
        "pbkdf2-sha256" | "pbkdf2-sha512" => algorithm.as_str(),
        "argon2" => {
            let more = Fields(data.object(&["additionalParameters"])?);
            let first = |name: &str| more.any(&[name]).and_then(|value| value.get(0).unwrap_or(value).as_str().map(str::to_owned));
            let (kind, memory, lanes) = (first("type").unwrap_or_else(|| "id".to_owned()), first("memory"), first("parallelism"));
            if first("version").is_some_and(|version| version != "1.3") {
                return Err("its hash is by an old version of Argon2".to_owned());
            }
            let (memory, lanes) = (memory.ok_or("memory is missing")?, lanes.unwrap_or_else(|| "1".to_owned()));
            let bare = |bytes: &[u8]| STANDARD.encode(bytes).trim_end_matches('=').to_owned();
            return Ok(format!("$argon2{kind}$v=19$m={memory},t={rounds},p={lanes}${}${}", bare(&salt), bare(&hash)));
        }
        other => return Err(format!("its hash is by {other}, which is not known here")),
    };
    pbkdf2_text(name, &rounds, &salt, &hash).map_err(|error| error.to_string())
}

fn keycloak_factor(user: Uuid, created_at: Option<Timestamp>, credential: &Fields, data: &Fields, secret: &Fields) -> Read<Option<IncomingFactor>> {
    let is = |name: &str, usual: &str| data.text(&[name]).is_none_or(|value| value == usual);
    // Others are not verified here: such a user sets up its app anew.
    if !(is("subType", "totp") && is("digits", "6") && is("period", "30") && is("algorithm", "HmacSHA1")) {
        return Ok(None);
    }
    let Some(text) = secret.text(&["value"]) else { return Ok(None) };
    let bytes = match data.text(&["secretEncoding"]).or_else(|| secret.text(&["secretEncoding"])).as_deref() {
        Some("BASE32") => base32(&text).ok_or("the TOTP secret is no base32")?,
        // Keycloak takes the letters themselves for the secret.
        _ => text.into_bytes(),
    };
    let id = credential.uuid(&["id"]).unwrap_or_else(|| derived_id("keycloak-totp", &user.to_string()));
    Ok(Some(IncomingFactor { id, user, name: credential.text(&["userLabel"]).unwrap_or_default(), secret: bytes, is_verified: true, created_at }))
}

fn pocketbase(fields: &Fields) -> Read<Vec<Piece>> {
    if let (Some(provider), Some(subject)) = (fields.text(&["provider"]), fields.text(&["providerId"])) {
        let record = fields.text(&["recordRef", "recordId"]).ok_or("recordRef is missing")?;
        let provider = if provider == "microsoft" { "azure" } else { &provider };
        let mut identity = IncomingIdentity::new(derived_id("pocketbase", &record), provider, &subject, None, serde_json::Map::new());
        identity.created_at = fields.moment(&["created"])?;
        return Ok(vec![Piece::Identity(identity)]);
    }
    let record = fields.text(&["id"]).ok_or("id is missing")?;
    let created_at = fields.moment(&["created"])?;
    let email = fields.text(&["email"]);
    let mut incoming = Incoming {
        id: derived_id("pocketbase", &record),
        is_id_derived: true,
        email_confirmed_at: fields.flag(&["verified"]).then(|| created_at.unwrap_or_else(|| Timestamp::from_seconds(0))).filter(|_| email.is_some()),
        email,
        // In the database it is `password`; older versions called it `passwordHash`.
        password_hash: fields.text(&["password", "passwordHash", "password:hash"]),
        created_at,
        ..Incoming::default()
    };
    incoming.note("full_name", fields.text(&["name"]));
    incoming.note("username", fields.text(&["username"]));
    let own = ["id", "email", "verified", "password", "passwordHash", "password:hash", "tokenKey", "created", "updated", "name", "username"];
    let hidden = ["emailVisibility", "collectionId", "collectionName", "lastResetSentAt", "lastVerificationSentAt", "lastLoginAlertSentAt", "expand"];
    for (name, value) in fields.0.iter().filter(|(name, _)| !own.contains(&name.as_str()) && !hidden.contains(&name.as_str())) {
        if !value.is_null() && value != "" {
            incoming.user_metadata.insert(name.clone(), value.clone());
        }
    }
    incoming.user_metadata.insert("pocketbase_id".to_owned(), json!(record));
    Ok(user(incoming))
}

/// The columns of our own CSV; besides them, `user_metadata.NAME`.
const COLUMNS: [&str; 15] = [
    "id",
    "email",
    "email_confirmed",
    "email_confirmed_at",
    "phone",
    "phone_confirmed",
    "phone_confirmed_at",
    "password_hash",
    "role",
    "app_metadata",
    "user_metadata",
    "banned_until",
    "created_at",
    "last_sign_in_at",
    "totp_secret",
];

fn plain(fields: &Fields) -> Read<Incoming> {
    if let Some(unknown) = fields.0.keys().find(|name| !COLUMNS.contains(&name.as_str()) && !name.starts_with("user_metadata.")) {
        return Err(format!("\"{unknown}\" is no column; take {}, or user_metadata.NAME", COLUMNS.join(", ")));
    }
    let created_at = fields.moment(&["created_at"])?;
    let (email, phone) = (fields.text(&["email"]), fields.text(&["phone"]));
    let name = fields.text(&["id"]).or_else(|| email.clone()).or_else(|| phone.clone()).ok_or("id, email or phone is missing")?;
    let known = fields.uuid(&["id"]);
    let confirmed = |flag: &str, moment: &str| -> Read<Option<Timestamp>> {
        let at = fields.moment(&[moment])?;
        Ok(at.or_else(|| fields.flag(&[flag]).then(|| created_at.unwrap_or_else(|| Timestamp::from_seconds(0)))))
    };
    let id = known.unwrap_or_else(|| derived_id("csv", &name.to_lowercase()));
    let mut user = Incoming {
        id,
        is_id_derived: known.is_none(),
        email_confirmed_at: confirmed("email_confirmed", "email_confirmed_at")?.filter(|_| email.is_some()),
        email,
        phone_confirmed_at: confirmed("phone_confirmed", "phone_confirmed_at")?.filter(|_| phone.is_some()),
        phone,
        password_hash: fields.text(&["password_hash"]),
        role: fields.text(&["role"]),
        app_metadata: fields.object(&["app_metadata"])?,
        user_metadata: fields.object(&["user_metadata"])?,
        banned_until: fields.moment(&["banned_until"])?,
        last_sign_in_at: fields.moment(&["last_sign_in_at"])?,
        created_at,
        ..Incoming::default()
    };
    if let Some(secret) = fields.text(&["totp_secret"]) {
        let secret = base32(&secret).ok_or("totp_secret is no base32")?;
        user.factors.push(IncomingFactor {
            id: derived_id("csv-totp", &id.to_string()),
            user: id,
            name: String::new(),
            secret,
            is_verified: true,
            created_at,
        });
    }
    for (name, value) in &fields.0 {
        if let (Some(name), Some(value)) = (name.strip_prefix("user_metadata."), value.as_str().filter(|value| !value.is_empty())) {
            user.user_metadata.insert(name.to_owned(), json!(value));
        }
    }
    Ok(user)
}

/// RFC 4648, 6, as authenticator apps take it: any case, blanks and padding left aside.
fn base32(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for letter in text.trim_end_matches('=').bytes().filter(|byte| *byte != b' ') {
        let value = match letter.to_ascii_uppercase() {
            letter @ b'A'..=b'Z' => letter - b'A',
            letter @ b'2'..=b'7' => letter - b'2' + 26,
            _ => return None,
        };
        bits = (bits << 5 | u32::from(value)) & 0xfff;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    (bytes.len() >= 10).then_some(bytes)
}
