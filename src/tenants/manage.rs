//! What an operator does to tenants and their keys. The command line and `/admin/v1` both come here.

use std::str::FromStr as _;

use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    key::{KeyKind, NewKey, make_key},
    model::{Reference, Scopes, TenantStatus},
    settings::TenantSettings,
    signing::NewSigningKey,
    sql::{self, KeyRow, OperatorKeyRow, SigningKeyRow, TenantRow},
};
use crate::{
    app::App,
    audit::{self, Action, Event},
    db::{Conn, Db, Json, TenantId, Timestamp, Tx},
    error::{Error, Result},
};

/// Seconds for which a replaced signing key still verifies, unless said otherwise: longer than the longest access token lives.
const OVERLAP_SECONDS: i64 = 2 * 86_400;

/// What the very first start made; shown once.
pub struct FirstStart {
    /// Opens `/admin/v1`.
    pub operator_key: NewKey,
    /// Of the default tenant.
    pub publishable_key: NewKey,
    /// Of the default tenant.
    pub secret_key: NewKey,
}

/// Makes the default tenant, its keys and an operator key, unless there is a tenant already.
pub async fn first_start(app: &App) -> Result<Option<FirstStart>> {
    if app.config.default_tenant.is_empty() {
        return Ok(None);
    }
    let conn = app.db.read().await?;
    if sql::find_tenant_by_reference(&conn, &app.config.default_tenant).await?.is_some() {
        return Ok(None);
    }
    drop(conn);
    let (now, writer) = (app.clock.now(), app.clone());
    let reference = Reference::from_str(&app.config.default_tenant)?;
    let signing_key = NewSigningKey::generate()?;
    let made = FirstStart {
        operator_key: make_key(KeyKind::Operator),
        publishable_key: make_key(KeyKind::Publishable),
        secret_key: make_key(KeyKind::Secret),
    };
    let operator = (made.operator_key.hash, made.operator_key.hint.clone());
    let keys = [(KeyKind::Publishable, &made.publishable_key), (KeyKind::Secret, &made.secret_key)];
    let keys = keys.map(|(kind, key)| (kind, key.hash, key.hint.clone()));
    // All or nothing: a start that is cut short leaves the next one to be the first.
    let is_first = app
        .db
        .write(move |tx| async move {
            let settings = serde_json::to_value(TenantSettings::default())?;
            let Some(tenant) = sql::insert_tenant(&tx, now, reference.as_str(), "Default", None, &settings).await? else {
                // Another process was quicker; it has shown the keys.
                return Ok(false);
            };
            store_signing_key(&writer, &tx, tenant, now, signing_key, "current").await?;
            for (kind, hash, hint) in &keys {
                let row = sql::NewKeyRow { id: Uuid::now_v7(), kind: kind.as_str(), name: "first start", hint, hash, scopes: "", expires_at: None };
                sql::insert_key(&tx, tenant, now, &row).await?;
            }
            sql::insert_operator_key(&tx, now, Uuid::now_v7(), &operator.1, &operator.0).await?;
            Ok(true)
        })
        .await?;
    app.tenants.forget();
    Ok(is_first.then_some(made))
}

/// The place and the text of some secret that the master key sealed, to see whether it fits.
pub async fn sealed_secret(db: &Db) -> Result<Option<(String, Vec<u8>)>> {
    sql::any_sealed_secret(&db.read().await?).await
}

/// Makes a tenant with a signing key of its own.
///
/// # Errors
/// A reference that was ever used, or a domain that is taken, is a conflict.
pub async fn create_tenant(app: &App, reference: &Reference, name: &str, domain: Option<&str>, settings: TenantSettings) -> Result<TenantRow> {
    settings.check()?;
    check_can_call(app, &TenantSettings::default(), &settings)?;
    let domain = domain.map(check_domain).transpose()?;
    let name = check_name(name)?;
    let (now, app_for_write, reference) = (app.clock.now(), app.clone(), reference.clone());
    let key = NewSigningKey::generate()?;
    let event = Event::new(Action::TenantCreated);
    let row = app
        .db
        .write(move |tx| async move {
            let plain = serde_json::to_value(TenantSettings::default())?;
            let added = sql::insert_tenant(&tx, now, reference.as_str(), &name, domain.as_deref(), &plain).await?;
            let taken = || Error::conflict(format!("tenant \"{}\" exists, existed before, or its domain is taken", reference.as_str()));
            let id = added.ok_or_else(taken)?;
            // Secrets are sealed for the tenant, which has its number only now.
            let settings = settings.stored(&app_for_write.master_key, id)?;
            sql::update_tenant(&tx, id, now, &name, TenantStatus::Active.as_str(), domain.as_deref(), &settings).await?;
            store_signing_key(&app_for_write, &tx, id, now, key, "current").await?;
            audit::note(&tx, id, now, &event).await?;
            sql::find_tenant(&tx, id).await?.ok_or_else(|| Error::not_found("tenant"))
        })
        .await?;
    app.tenants.forget();
    Ok(row)
}

/// Tenants by reference, after `after`.
pub async fn list_tenants(db: &Db, after: &str, limit: i64) -> Result<Vec<TenantRow>> {
    sql::page_of_tenants(&db.read().await?, after, limit).await
}

/// The tenant with this reference.
pub async fn get_tenant(app: &App, reference: &str) -> Result<TenantRow> {
    existing(&app.db.read().await?, reference).await
}

/// What may be changed of a tenant; what is absent stays.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantChange {
    /// A name for people.
    pub name: Option<String>,
    /// `active` or `suspended`.
    pub status: Option<TenantStatus>,
    /// A domain of its own.
    pub domain: Option<String>,
    /// Settings to change; those not named stay.
    #[schema(value_type = Option<TenantSettings>)]
    pub settings: Option<serde_json::Map<String, serde_json::Value>>,
}

impl TenantChange {
    /// What is to be changed, by name, settings as `settings.group.name`: the audit log is told what, not to what.
    fn names(&self) -> Vec<String> {
        let own = [("name", self.name.is_some()), ("status", self.status.is_some()), ("domain", self.domain.is_some())];
        let mut names: Vec<String> = own.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name.to_owned()).collect();
        // Names of settings have an end; what a request calls one may have none.
        let groups = self.settings.iter().flatten().take(100);
        for (group, values) in groups {
            match values.as_object() {
                Some(values) => names.extend(values.keys().take(100).map(|name| format!("settings.{group}.{name}"))),
                None => names.push(format!("settings.{group}")),
            }
        }
        names
    }
}

/// Changes a tenant.
pub async fn update_tenant(app: &App, reference: &str, change: TenantChange) -> Result<TenantRow> {
    if change.status == Some(TenantStatus::Deleted) {
        return Err(Error::invalid("status", "take active or suspended; a tenant is deleted by a call of its own"));
    }
    let name = change.name.as_deref().map(check_name).transpose()?;
    let domain = change.domain.as_deref().map(check_domain).transpose()?;
    let (now, keeper, reference) = (app.clock.now(), app.clone(), reference.to_owned());
    let event = Event::new(Action::TenantModified).with("changed", change.names());
    let row = app
        .db
        .write(move |tx| async move {
            let old = locked(&tx, &reference).await?;
            let before = serde_json::from_value(old.settings.0.clone())?;
            let settings = TenantSettings::changed(old.settings.0, change.settings.unwrap_or_default())?;
            check_can_call(&keeper, &before, &settings)?;
            let settings = settings.stored(&keeper.master_key, old.id)?;
            let status = change.status.map_or_else(|| old.status.clone(), |status| status.as_str().to_owned());
            let domain = domain.or(old.domain);
            sql::update_tenant(&tx, old.id, now, &name.unwrap_or(old.name), &status, domain.as_deref(), &settings).await?;
            audit::note(&tx, old.id, now, &event).await?;
            sql::find_tenant(&tx, old.id).await?.ok_or_else(|| Error::not_found("tenant"))
        })
        .await?;
    app.tenants.forget();
    Ok(row)
}

/// Refuses an address to be called that never would be. One that was there before is left alone: the installation may have allowed it then.
fn check_can_call(app: &App, before: &TenantSettings, settings: &TenantSettings) -> Result<()> {
    let known = before.called();
    for (name, address) in settings.called().into_iter().filter(|called| !called.1.is_empty() && !known.contains(called)) {
        // What is no address at all is refused by the setting's own rule.
        if let Some(why) = url::Url::parse(address).ok().and_then(|url| app.outbound.why_never(&url)) {
            return Err(Error::invalid(name, why));
        }
    }
    Ok(())
}

/// Suspends a tenant, or serves it again.
pub async fn set_status(app: &App, reference: &str, status: TenantStatus) -> Result<TenantRow> {
    update_tenant(app, reference, TenantChange { status: Some(status), ..TenantChange::default() }).await
}

/// Deletes a tenant with its users, records and files. Its reference is never used again.
pub async fn delete_tenant(app: &App, reference: &str) -> Result<()> {
    let (now, reference, event) = (app.clock.now(), reference.to_owned(), Event::new(Action::TenantDeleted));
    app.db
        .write(move |tx| async move {
            let old = locked(&tx, &reference).await?;
            sql::update_tenant(&tx, old.id, now, &old.name, TenantStatus::Deleted.as_str(), None, &old.settings.0).await?;
            sql::delete_keys_of(&tx, old.id).await?;
            App::erase_tenant(&tx, old.id, now).await?;
            // All that is left of it: that it was there, and who ended it.
            audit::note(&tx, old.id, now, &event).await
        })
        .await?;
    app.tenants.forget();
    Ok(())
}

/// What a new API key is to be.
pub struct KeyRequest {
    /// Publishable or secret.
    pub kind: KeyKind,
    /// What its maker calls it.
    pub name: String,
    /// What it may do; none means all of the tenant for a secret key.
    pub scopes: Scopes,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// Makes an API key of a tenant. Its text is in the answer and nowhere else.
pub async fn create_key(app: &App, reference: &str, request: KeyRequest) -> Result<(Uuid, NewKey)> {
    if request.kind == KeyKind::Operator {
        return Err(Error::invalid("kind", "take publishable or secret"));
    }
    if request.kind == KeyKind::Publishable && !request.scopes.is_empty() {
        return Err(Error::invalid("scopes", "a publishable key has none; make a secret key"));
    }
    let now = app.clock.now();
    if request.expires_at.is_some_and(|end| end <= now) {
        return Err(Error::invalid("expires_at", "is over already"));
    }
    let name = check_name(&request.name)?;
    let (id, key, reference) = (Uuid::now_v7(), make_key(request.kind), reference.to_owned());
    let (hash, hint) = (key.hash, key.hint.clone());
    let event = Event::new(Action::KeyCreated).with("key_id", id.to_string()).with("kind", request.kind.as_str());
    let event = event.with("scopes", request.scopes.to_string());
    app.db
        .write(move |tx| async move {
            let tenant = locked(&tx, &reference).await?;
            let scopes = request.scopes.to_string();
            let row = sql::NewKeyRow {
                id,
                kind: request.kind.as_str(),
                name: &name,
                hint: &hint,
                hash: &hash,
                scopes: &scopes,
                expires_at: request.expires_at,
            };
            sql::insert_key(&tx, tenant.id, now, &row).await?;
            audit::note(&tx, tenant.id, now, &event).await
        })
        .await?;
    app.tenants.forget();
    Ok((id, key))
}

/// The API keys of a tenant, revoked ones too.
pub async fn list_keys(app: &App, reference: &str) -> Result<Vec<KeyRow>> {
    let conn = app.db.read().await?;
    let tenant = existing(&conn, reference).await?;
    sql::keys_of(&conn, tenant.id).await
}

/// Ends an API key.
pub async fn revoke_key(app: &App, reference: &str, id: Uuid) -> Result<()> {
    let (now, reference) = (app.clock.now(), reference.to_owned());
    let event = Event::new(Action::KeyRevoked).with("key_id", id.to_string());
    app.db
        .write(move |tx| async move {
            let tenant = locked(&tx, &reference).await?;
            let revoked = sql::revoke_key(&tx, tenant.id, now, id).await?;
            revoked.then_some(()).ok_or_else(|| Error::not_found(format!("key {id} in force")))?;
            audit::note(&tx, tenant.id, now, &event).await
        })
        .await?;
    app.tenants.forget();
    Ok(())
}

/// Makes a key that opens `/admin/v1`.
pub async fn create_operator_key(app: &App) -> Result<(Uuid, NewKey)> {
    let (now, id, key) = (app.clock.now(), Uuid::now_v7(), make_key(KeyKind::Operator));
    let (hash, hint) = (key.hash, key.hint.clone());
    app.db.write(move |tx| async move { sql::insert_operator_key(&tx, now, id, &hint, &hash).await }).await?;
    Ok((id, key))
}

/// The keys that open `/admin/v1`, revoked ones too.
pub async fn list_operator_keys(app: &App) -> Result<Vec<OperatorKeyRow>> {
    sql::operator_keys(&app.db.read().await?).await
}

/// Ends an operator key.
pub async fn revoke_operator_key(app: &App, id: Uuid) -> Result<()> {
    let now = app.clock.now();
    let revoked = app.db.write(move |tx| async move { sql::revoke_operator_key(&tx, now, id).await }).await?;
    revoked.then_some(()).ok_or_else(|| Error::not_found(format!("operator key {id} in force")))
}

/// Replaces a tenant's signing key by a fresh one; the old one verifies for two days more. Answers the new key's id.
pub async fn rotate_signing_key(app: &App, reference: &str) -> Result<String> {
    let key = NewSigningKey::generate()?;
    let id = key.id.clone();
    add_signing_keys(app, reference, vec![key], Some(id.clone())).await?;
    Ok(id)
}

/// A signing key from elsewhere.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SigningKeyImport {
    /// The text of an HS256 secret, as Supabase calls its "JWT secret".
    Hs256Secret(String),
    /// A JWK (RFC 7517): EC P-256, RSA or oct, with or without its private part.
    Jwk(serde_json::Value),
    /// Several of them: a JWK set, as a `jwks.json` has it, or a list.
    Jwks(serde_json::Value),
}

/// Takes over signing keys from elsewhere, all of them or none: tokens signed with them are believed. With `sign`, new tokens are signed
/// with the one that can sign; of several, with the one that is meant to (`"key_ops": ["sign"]`). Answers their ids.
pub async fn import_signing_keys(app: &App, reference: &str, import: &SigningKeyImport, sign: bool) -> Result<Vec<String>> {
    let keys = match import {
        SigningKeyImport::Hs256Secret(secret) => vec![NewSigningKey::from_hmac_secret(secret)?],
        SigningKeyImport::Jwk(jwk) => vec![NewSigningKey::from_jwk(jwk)?],
        SigningKeyImport::Jwks(set) => NewSigningKey::from_jwks(set)?,
    };
    let signer = if sign { Some(only_signer(&keys)?) } else { None };
    add_signing_keys(app, reference, keys, signer).await
}

/// The one key that new tokens can be signed with.
fn only_signer(keys: &[NewSigningKey]) -> Result<String> {
    let able: Vec<&NewSigningKey> = keys.iter().filter(|key| key.can_sign()).collect();
    let meant: Vec<&NewSigningKey> = able.iter().copied().filter(|key| key.is_meant_to_sign).collect();
    match (able.as_slice(), meant.as_slice()) {
        ([key], _) | (_, [key]) => Ok(key.id.clone()),
        ([], _) => Err(Error::invalid("jwk", "has no private part this version can sign with; import it for checking only")),
        _ => Err(Error::invalid("jwks", "several keys could sign; mark one of them with \"key_ops\": [\"sign\"]")),
    }
}

/// The signing keys of a tenant, in the order they came.
pub async fn list_signing_keys(app: &App, reference: &str) -> Result<Vec<SigningKeyRow>> {
    let conn = app.db.read().await?;
    let tenant = existing(&conn, reference).await?;
    sql::shown_signing_keys_of(&conn, tenant.id).await
}

/// Takes a signing key away: what it signed is believed no longer.
///
/// # Errors
/// The key that signs now is a conflict: it has to be replaced first.
pub async fn remove_signing_key(app: &App, reference: &str, kid: &str) -> Result<()> {
    let (now, reference, kid) = (app.clock.now(), reference.to_owned(), kid.to_owned());
    let event = Event::new(Action::SigningKeyRemoved).with("kid", kid.clone());
    app.db
        .write(move |tx| async move {
            let tenant = locked(&tx, &reference).await?.id;
            let keys = sql::shown_signing_keys_of(&tx, tenant).await?;
            match keys.iter().find(|key| key.kid == kid) {
                None => return Err(Error::not_found("signing key")),
                Some(key) if key.status == "current" => {
                    return Err(Error::conflict("this key signs now; replace it first, with: basalt signing-key rotate"));
                }
                Some(_) => {}
            }
            sql::delete_signing_key(&tx, tenant, &kid).await?;
            audit::note(&tx, tenant, now, &event).await
        })
        .await?;
    app.tenants.forget();
    Ok(())
}

/// Adds keys; the one of them that `signer` names signs from now on.
async fn add_signing_keys(app: &App, reference: &str, keys: Vec<NewSigningKey>, signer: Option<String>) -> Result<Vec<String>> {
    let (now, app_for_write, reference) = (app.clock.now(), app.clone(), reference.to_owned());
    let ids = keys.iter().map(|key| key.id.clone()).collect();
    let added: Vec<(NewSigningKey, Event)> = keys
        .into_iter()
        .map(|key| {
            let event = Event::new(Action::SigningKeyAdded).with("kid", key.id.clone()).with("algorithm", key.algorithm);
            let signs = signer.as_ref() == Some(&key.id);
            (key, event.with("signs", signs))
        })
        .collect();
    app.db
        .write(move |tx| async move {
            let tenant = locked(&tx, &reference).await?.id;
            if signer.is_some() {
                sql::retire_current_signing_key(&tx, tenant, now.plus_seconds(OVERLAP_SECONDS)).await?;
            }
            for (key, event) in added {
                let status = if signer.as_ref() == Some(&key.id) { "current" } else { "previous" };
                store_signing_key(&app_for_write, &tx, tenant, now, key, status).await?;
                audit::note(&tx, tenant, now, &event).await?;
            }
            Ok(())
        })
        .await?;
    app.tenants.forget();
    Ok(ids)
}

async fn store_signing_key(app: &App, tx: &Tx, tenant: TenantId, now: Timestamp, key: NewSigningKey, status: &str) -> Result<()> {
    let sealed = key.secret.as_deref().map(|secret| app.master_key.seal(&sql::signing_key_place(tenant, &key.id), secret));
    let row = sql::NewSigningKeyRow { id: &key.id, algorithm: key.algorithm, status, sealed, public_jwk: key.public_jwk.map(Json) };
    let added = sql::insert_signing_key(tx, tenant, now, row).await?;
    added.then_some(()).ok_or_else(|| Error::conflict(format!("the tenant has a signing key \"{}\" already", key.id)))
}

/// The tenant with this reference, unless it is deleted.
async fn existing(conn: &Conn, reference: &str) -> Result<TenantRow> {
    unless_deleted(sql::find_tenant_by_reference(conn, reference).await?, reference)
}

/// The same for who changes it: two changes at once must not undo each other, least of all a suspension.
async fn locked(tx: &Tx, reference: &str) -> Result<TenantRow> {
    unless_deleted(sql::lock_tenant_by_reference(tx, reference).await?, reference)
}

fn unless_deleted(row: Option<TenantRow>, reference: &str) -> Result<TenantRow> {
    row.filter(|row| row.status != TenantStatus::Deleted.as_str()).ok_or_else(|| Error::not_found(format!("tenant \"{reference}\"")))
}

fn check_name(name: &str) -> Result<String> {
    let name = name.trim();
    match name.chars().count() {
        1..=100 if !name.chars().any(char::is_control) => Ok(name.to_owned()),
        _ => Err(Error::invalid("name", "take 1 to 100 characters, no control characters")),
    }
}

fn check_domain(domain: &str) -> Result<String> {
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if domain.len() <= 253 && domain.contains('.') && domain.split('.').all(label) {
        Ok(domain.to_owned())
    } else {
        Err(Error::invalid("domain", format!("\"{domain}\" is no domain in lower case, as api.example.org")))
    }
}
