//! A tenant's own providers: `custom:…`, which an admin sets up by `/admin/custom-providers`.
//!
//! Of an OpenID provider the addresses are learnt when it is saved, from its own document; that it names the issuer which was asked for
//! is what makes it that issuer's. All addresses are called through `app.outbound`, which decides what may be called.

use axum::{
    Json,
    extract::{Path, State},
    http::{Request, StatusCode, header},
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Issuer, NEVER_ASKED, Provider, Verified, shown, table::STANDARD_FIELDS};
use crate::{
    app::App,
    audit::{self, Action, Event},
    auth::{
        caller::{UserReader, UserWriter},
        error::{AuthCode, AuthError, AuthFailures},
        request::JsonBody,
        sql::{custom_providers as sql, identities},
    },
    db::{Json as DbJson, Timestamp},
    error::Error,
    row_type,
    tenants::{Tenant, TenantId},
};

/// How its names begin.
const PREFIX: &str = "custom:";
/// Providers of one tenant at most.
const MOST: i64 = 100;
/// What may be mapped to a field of another name.
const MAPPED: [&str; 7] = ["sub", "email", "email_verified", "name", "user_name", "preferred_username", "picture"];

row_type! {
    /// A provider as it is stored.
    #[derive(Clone, Debug)]
    pub(in crate::auth) struct CustomProviderRow {
        pub(in crate::auth) id: Uuid,
        pub(in crate::auth) identifier: String,
        /// A [`Definition`].
        pub(in crate::auth) definition: DbJson,
        /// Sealed.
        pub(in crate::auth) client_secret: Option<Vec<u8>>,
        /// What the provider says of itself.
        pub(in crate::auth) discovery: Option<DbJson>,
        pub(in crate::auth) created_at: Timestamp,
        pub(in crate::auth) updated_at: Timestamp,
    }
}

/// How a provider speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::auth) enum CustomProviderType {
    /// OAuth 2.0: its user is read from a page.
    #[default]
    Oauth2,
    /// OpenID Connect: its user is read from a signed token.
    Oidc,
}

/// What is said of a provider, its secret apart.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
struct Definition {
    /// `oauth2` or `oidc`.
    provider_type: CustomProviderType,
    /// A name for people.
    name: String,
    /// What the provider calls the tenant.
    client_id: String,
    /// What it calls the tenant's other apps.
    acceptable_client_ids: Vec<String>,
    /// What it is asked for.
    scopes: Vec<String>,
    /// Whether it is given a challenge.
    pkce_enabled: bool,
    /// Where in its answer a field is: `{"sub": "user_id"}`.
    #[schema(value_type = HashMap<String, String>)]
    attribute_mapping: Map<String, Value>,
    /// Fields of its answer that identities keep, too.
    custom_claims_allowlist: Vec<String>,
    /// What else it is asked, always.
    #[schema(value_type = HashMap<String, String>)]
    authorization_params: Map<String, Value>,
    /// Whether users may sign in by it.
    enabled: bool,
    /// Take users of whom it tells no mail address.
    email_optional: bool,
    /// Whose tokens it makes.
    issuer: String,
    /// Where it describes itself; below the issuer if nothing else is said.
    discovery_url: String,
    /// Take ID tokens whatever their nonce.
    skip_nonce_check: bool,
    /// Where users are sent.
    authorization_url: String,
    /// Where codes are exchanged.
    token_url: String,
    /// Where it tells of a user.
    userinfo_url: String,
    /// Where its keys are.
    jwks_uri: String,
}

/// A provider to be made, or what is to be changed of one.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
pub(in crate::auth) struct CustomProviderChanges {
    /// Its name, which begins with `custom:` and stays.
    #[schema(example = "custom:acme")]
    identifier: Option<String>,
    /// What the tenant proves itself with.
    client_secret: Option<String>,
    /// Everything else, as it is shown.
    #[serde(flatten)]
    #[schema(value_type = HashMap<String, serde_json::Value>)]
    rest: Map<String, Value>,
}

/// A tenant's own provider.
#[derive(Serialize, ToSchema)]
pub(in crate::auth) struct CustomProvider {
    /// Its id.
    id: Uuid,
    /// Its name.
    identifier: String,
    #[serde(flatten)]
    definition: Definition,
    /// What it says of itself.
    discovery_document: Option<Value>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was changed last.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl CustomProvider {
    fn new(row: CustomProviderRow) -> Result<Self, AuthError> {
        let definition = serde_json::from_value(row.definition.0).map_err(Error::from)?;
        let discovery_document = row.discovery.map(|discovery| discovery.0);
        Ok(Self { id: row.id, identifier: row.identifier, definition, discovery_document, created_at: row.created_at, updated_at: row.updated_at })
    }
}

/// The tenant's own providers.
#[derive(Serialize, ToSchema)]
pub(in crate::auth) struct CustomProviders {
    /// They.
    providers: Vec<CustomProvider>,
}

/// Lists the tenant's own providers.
#[utoipa::path(get, path = "/auth/v1/admin/custom-providers", tag = "auth",
    responses((status = 200, body = CustomProviders, description = "They"), AuthFailures), security(("apikey" = [])))]
pub(in crate::auth) async fn list_custom_providers(
    State(app): State<App>,
    UserReader(tenant): UserReader,
) -> Result<Json<CustomProviders>, AuthError> {
    let rows = sql::list(&app.db.read().await?, tenant.id, MOST).await?;
    Ok(Json(CustomProviders { providers: rows.into_iter().map(CustomProvider::new).collect::<Result<_, _>>()? }))
}

/// Adds a provider.
#[utoipa::path(post, path = "/auth/v1/admin/custom-providers", tag = "auth", request_body = CustomProviderChanges,
    responses((status = 201, body = CustomProvider, description = "It"), AuthFailures), security(("apikey" = [])))]
pub(in crate::auth) async fn create_custom_provider(
    State(app): State<App>,
    UserWriter(tenant): UserWriter,
    JsonBody(asked): JsonBody<CustomProviderChanges>,
) -> Result<(StatusCode, Json<CustomProvider>), AuthError> {
    let identifier = checked_identifier(asked.identifier.as_deref().unwrap_or_default())?;
    let start = Definition { enabled: true, pkce_enabled: true, ..Definition::default() };
    let definition = changed(&start, asked.rest)?;
    let discovery = discover(&app, &definition).await?;
    let secret = asked.client_secret.filter(|secret| !secret.is_empty()).ok_or_else(|| AuthError::validation("client_secret is required"))?;
    let (now, id) = (app.clock.now(), Uuid::now_v7());
    let row = CustomProviderRow {
        id,
        identifier,
        definition: DbJson(json!(definition)),
        client_secret: Some(app.master_key.seal(&place(tenant.id, id), secret.as_bytes())),
        discovery: discovery.map(DbJson),
        created_at: now,
        updated_at: now,
    };
    let (tenant, stored) = (tenant.id, row.clone());
    let event = modified(&row.identifier, "created");
    let outcome = app.db.write(move |tx| async move {
        if sql::count(&tx, tenant).await? >= MOST {
            return Ok(Err(AuthError::bad_request(AuthCode::OverCustomProviderQuota, format!("There can be {MOST} custom providers"))));
        }
        if !sql::insert(&tx, tenant, &stored).await? {
            return Ok(Err(AuthError::new(StatusCode::CONFLICT, AuthCode::Conflict, "A provider with this identifier already exists")));
        }
        audit::note(&tx, tenant, now, &event).await?;
        Ok(Ok(()))
    });
    outcome.await??;
    Ok((StatusCode::CREATED, Json(CustomProvider::new(row)?)))
}

/// Shows a provider.
#[utoipa::path(get, path = "/auth/v1/admin/custom-providers/{identifier}", tag = "auth", params(("identifier" = String, Path)),
    responses((status = 200, body = CustomProvider, description = "It"), AuthFailures), security(("apikey" = [])))]
pub(in crate::auth) async fn get_custom_provider(
    State(app): State<App>,
    UserReader(tenant): UserReader,
    Path(identifier): Path<String>,
) -> Result<Json<CustomProvider>, AuthError> {
    let row = sql::find(&app.db.read().await?, tenant.id, &identifier).await?.ok_or_else(not_found)?;
    Ok(Json(CustomProvider::new(row)?))
}

/// Changes a provider; what is not named stays. What it says of itself is learnt anew.
#[utoipa::path(put, path = "/auth/v1/admin/custom-providers/{identifier}", tag = "auth", params(("identifier" = String, Path)),
    request_body = CustomProviderChanges,
    responses((status = 200, body = CustomProvider, description = "It as it is now"), AuthFailures), security(("apikey" = [])))]
pub(in crate::auth) async fn update_custom_provider(
    State(app): State<App>,
    UserWriter(tenant): UserWriter,
    Path(identifier): Path<String>,
    JsonBody(asked): JsonBody<CustomProviderChanges>,
) -> Result<Json<CustomProvider>, AuthError> {
    let mut row = sql::find(&app.db.read().await?, tenant.id, &identifier).await?.ok_or_else(not_found)?;
    if asked.identifier.is_some_and(|asked| asked != row.identifier) {
        return Err(AuthError::validation("identifier can't be changed"));
    }
    let before: Definition = serde_json::from_value(row.definition.0.clone()).map_err(Error::from)?;
    if asked.rest.get("provider_type").is_some_and(|kind| *kind != json!(before.provider_type)) {
        return Err(AuthError::validation("provider_type can't be changed"));
    }
    let definition = changed(&before, asked.rest)?;
    row.discovery = discover(&app, &definition).await?.map(DbJson);
    row.definition = DbJson(json!(definition));
    if let Some(secret) = asked.client_secret.filter(|secret| !secret.is_empty()) {
        row.client_secret = Some(app.master_key.seal(&place(tenant.id, row.id), secret.as_bytes()));
    }
    row.updated_at = app.clock.now();
    let (tenant, stored, now) = (tenant.id, row.clone(), row.updated_at);
    let event = modified(&row.identifier, "updated");
    let is_there = app.db.write(move |tx| async move {
        let is_there = sql::update(&tx, tenant, &stored).await?;
        if is_there {
            audit::note(&tx, tenant, now, &event).await?;
        }
        Ok(is_there)
    });
    let is_there = is_there.await?;
    if is_there { Ok(Json(CustomProvider::new(row)?)) } else { Err(not_found()) }
}

/// Removes a provider, and the identities by it: another one of this name would call other people by the same ids.
#[utoipa::path(delete, path = "/auth/v1/admin/custom-providers/{identifier}", tag = "auth", params(("identifier" = String, Path)),
    responses((status = 204, description = "It is gone"), AuthFailures), security(("apikey" = [])))]
pub(in crate::auth) async fn delete_custom_provider(
    State(app): State<App>,
    UserWriter(tenant): UserWriter,
    Path(identifier): Path<String>,
) -> Result<StatusCode, AuthError> {
    let (tenant, now, event) = (tenant.id, app.clock.now(), modified(&shown(&identifier), "deleted"));
    let deleted = app.db.write(move |tx| async move {
        let deleted = sql::delete(&tx, tenant, &identifier).await?;
        if deleted {
            identities::delete_by(&tx, tenant, &identifier).await?;
            audit::note(&tx, tenant, now, &event).await?;
        }
        Ok(deleted)
    });
    if deleted.await? { Ok(StatusCode::NO_CONTENT) } else { Err(not_found()) }
}

fn modified(identifier: &str, how: &str) -> Event {
    Event::new(Action::ProviderModified).with("provider", identifier).with("change", how)
}

fn not_found() -> AuthError {
    AuthError::new(StatusCode::NOT_FOUND, AuthCode::CustomProviderNotFound, "Custom provider not found")
}

fn place(tenant: TenantId, id: Uuid) -> String {
    format!("custom_providers/{}/{id}", tenant.number())
}

fn checked_identifier(identifier: &str) -> Result<String, AuthError> {
    let name = identifier.strip_prefix(PREFIX).unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_:".contains(&byte);
    if (1..=50).contains(&name.len()) && name.bytes().all(is_plain) {
        return Ok(identifier.to_owned());
    }
    Err(AuthError::validation(format!("identifier should be \"{PREFIX}\" and up to 50 of a-z, 0-9, \"-\", \"_\" and \":\"")))
}

/// Fields that are shown and not set.
const SHOWN_ONLY: [&str; 4] = ["id", "created_at", "updated_at", "discovery_document"];

/// A definition with some of it changed, and checked.
fn changed(before: &Definition, changes: Map<String, Value>) -> Result<Definition, AuthError> {
    let mut whole = json!(before);
    let Some(fields) = whole.as_object_mut() else { return Err(Error::internal("a definition is an object").into()) };
    for (name, value) in changes {
        if !fields.contains_key(&name) {
            if SHOWN_ONLY.contains(&name.as_str()) {
                continue;
            }
            return Err(AuthError::validation(format!("there is no field \"{}\"", shown(&name))));
        }
        if !value.is_null() {
            fields.insert(name, value);
        }
    }
    let definition: Definition = serde_json::from_value(whole).map_err(|error| AuthError::validation(error.to_string()))?;
    definition.check()?;
    Ok(definition)
}

impl Definition {
    fn check(&self) -> Result<(), AuthError> {
        let required = |name: &str, value: &str| {
            let is_good = !value.is_empty() && value.len() <= 512 && !value.chars().any(char::is_control);
            if is_good { Ok(()) } else { Err(AuthError::validation(format!("{name} is required, with up to 512 characters"))) }
        };
        required("name", &self.name)?;
        required("client_id", &self.client_id)?;
        match self.provider_type {
            CustomProviderType::Oidc => check_url("issuer", &self.issuer)?,
            CustomProviderType::Oauth2 => {
                check_url("authorization_url", &self.authorization_url)?;
                check_url("token_url", &self.token_url)?;
                check_url("userinfo_url", &self.userinfo_url)?;
            }
        }
        for (name, url) in [("discovery_url", &self.discovery_url), ("jwks_uri", &self.jwks_uri)] {
            if !url.is_empty() {
                check_url(name, url)?;
            }
        }
        let lists = [&self.acceptable_client_ids, &self.scopes, &self.custom_claims_allowlist];
        if lists
            .iter()
            .any(|list| list.len() > 50 || list.iter().any(|text| text.is_empty() || text.len() > 256 || text.chars().any(char::is_control)))
        {
            return Err(AuthError::validation("a list can have 50 texts of up to 256 characters"));
        }
        let params = &self.authorization_params;
        let is_own = |name: &String| !NEVER_ASKED.contains(&name.as_str());
        if params.len() > 20 || params.iter().any(|(name, value)| !is_own(name) || !value.is_string()) {
            return Err(AuthError::validation("authorization_params can have 20 texts, and none of what the flow itself says"));
        }
        let mapping = &self.attribute_mapping;
        match mapping.iter().find(|(name, value)| !MAPPED.contains(&name.as_str()) || !value.is_string()) {
            Some((name, _)) => Err(AuthError::validation(format!("\"{}\" can't be mapped; take one of {}", shown(name), MAPPED.join(", ")))),
            None => Ok(()),
        }
    }
}

fn check_url(name: &str, text: &str) -> Result<(), AuthError> {
    let is_good = Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "https" | "http") && url.username().is_empty() && url.password().is_none() && url.fragment().is_none()
    });
    if is_good && text.len() <= 2048 { Ok(()) } else { Err(AuthError::validation(format!("{name} should be an address that begins with https://"))) }
}

/// What an OpenID provider says of itself (OpenID Connect Discovery 1.0).
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

async fn discover(app: &App, definition: &Definition) -> Result<Option<Value>, AuthError> {
    if definition.provider_type == CustomProviderType::Oauth2 {
        return Ok(None);
    }
    let refuse = |why: &str| AuthError::validation(format!("the provider's OpenID configuration can't be used: {why}"));
    let below = || format!("{}/.well-known/openid-configuration", definition.issuer.trim_end_matches('/'));
    let url = if definition.discovery_url.is_empty() { below() } else { definition.discovery_url.clone() };
    let request = Request::get(url).header(header::ACCEPT, "application/json").body(Vec::new()).map_err(|_| refuse("its address is none"))?;
    let response = app.outbound.send(request).await.map_err(|error| refuse(&error.to_string()))?;
    if !response.status().is_success() {
        return Err(refuse("it is not where it should be"));
    }
    let document: Value = serde_json::from_slice(response.body()).map_err(|_| refuse("it is no JSON"))?;
    let discovery: Discovery =
        serde_json::from_value(document.clone()).map_err(|_| refuse("issuer, authorization_endpoint, token_endpoint or jwks_uri is missing"))?;
    if discovery.issuer != definition.issuer {
        return Err(refuse("it is of another issuer"));
    }
    for (name, url) in [
        ("authorization_endpoint", &discovery.authorization_endpoint),
        ("token_endpoint", &discovery.token_endpoint),
        ("jwks_uri", &discovery.jwks_uri),
    ] {
        check_url(name, url)?;
    }
    Ok(Some(document))
}

/// The provider of this name, if the tenant has it.
pub(super) async fn find(app: &App, tenant: &Tenant, name: &str) -> Result<Provider, AuthError> {
    let row = sql::find(&app.db.read().await?, tenant.id, name).await?;
    let row = row.ok_or_else(|| AuthError::validation(format!("Unsupported provider: Provider {} could not be found", shown(name))))?;
    let definition: Definition = serde_json::from_value(row.definition.0.clone()).map_err(Error::from)?;
    if !definition.enabled {
        return Err(AuthError::validation("Unsupported provider: provider is not enabled"));
    }
    let secret = row.client_secret.as_deref().map(|sealed| app.master_key.open(&place(tenant.id, row.id), sealed)).transpose()?;
    let secret: Option<SecretString> = secret.map(|secret| String::from_utf8_lossy(&secret).into_owned().into());
    let discovery: Option<Discovery> = row.discovery.map(|discovery| serde_json::from_value(discovery.0)).transpose().map_err(Error::from)?;
    Ok(Provider::custom(row.identifier, definition, secret, discovery))
}

impl Provider {
    fn custom(name: String, definition: Definition, secret: Option<SecretString>, discovery: Option<Discovery>) -> Self {
        let given = |text: String| (!text.is_empty()).then_some(text);
        let fields = fields(&definition);
        let verified =
            definition.attribute_mapping.get("email_verified").and_then(Value::as_str).map_or_else(|| "/email_verified".to_owned(), pointer);
        let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
        let is_oidc = discovery.is_some();
        let mut scopes = definition.scopes;
        if is_oidc && scopes.iter().all(|scope| scope != "openid") {
            scopes.insert(0, "openid".to_owned());
        }
        if is_oidc && scopes.len() == 1 {
            scopes.extend(["email".to_owned(), "profile".to_owned()]);
        }
        let only_basic = |methods: Vec<String>| {
            methods.iter().any(|method| method == "client_secret_basic") && methods.iter().all(|method| method != "client_secret_post")
        };
        let (authorize, token, jwks, names_itself, basic) = match discovery {
            Some(found) => {
                let basic = found.token_endpoint_auth_methods_supported.is_none_or(only_basic);
                (
                    found.authorization_endpoint,
                    found.token_endpoint,
                    Some(found.jwks_uri),
                    found.authorization_response_iss_parameter_supported,
                    basic,
                )
            }
            None => (definition.authorization_url, definition.token_url, given(definition.jwks_uri), false, false),
        };
        Self {
            name,
            client_ids: [definition.client_id].into_iter().chain(definition.acceptable_client_ids).collect(),
            secret,
            authorize,
            token,
            issuer: is_oidc.then_some(Issuer::Exactly(definition.issuer)),
            jwks,
            // An OpenID provider says everything in the token that it signs.
            userinfo: if is_oidc { None } else { given(definition.userinfo_url) },
            emails: None,
            headers: Vec::new(),
            scopes,
            parameters: definition.authorization_params.into_iter().map(|(name, value)| (name, text(value))).collect(),
            forwarded: Vec::new(),
            pkce: definition.pkce_enabled,
            basic,
            proof: false,
            fields,
            verified: Verified::Claim(verified),
            skip_nonce_check: definition.skip_nonce_check,
            email_optional: definition.email_optional,
            overwrite_metadata: false,
            names_itself,
        }
    }
}

/// `address.mail` or `/address/mail`.
fn pointer(place: &str) -> String {
    if place.starts_with('/') { place.to_owned() } else { format!("/{}", place.replace('.', "/")) }
}

fn fields(definition: &Definition) -> Vec<(String, Vec<String>)> {
    let mapped = |name: &str| definition.attribute_mapping.get(name).and_then(Value::as_str).map(|place| vec![pointer(place)]);
    let standard = STANDARD_FIELDS.iter().map(|(name, places)| {
        let own = mapped(name).or_else(|| (*name == "user_name").then(|| mapped("preferred_username")).flatten());
        ((*name).to_owned(), own.unwrap_or_else(|| places.iter().map(|place| (*place).to_owned()).collect()))
    });
    // OAuth 2.0 has no name for the user's id: most say `id`.
    let mut fields: Vec<(String, Vec<String>)> = standard.collect();
    if definition.provider_type == CustomProviderType::Oauth2 && mapped("sub").is_none() {
        fields[0].1.push("/id".to_owned());
    }
    let kept = definition.custom_claims_allowlist.iter().filter(|name| !KEPT_APART.contains(&name.as_str()));
    fields.extend(kept.map(|name| (name.clone(), vec![pointer(name)])));
    fields
}

/// What identities say of their own.
const KEPT_APART: [&str; 6] = ["iss", "sub", "provider_id", "email", "email_verified", "phone_verified"];
