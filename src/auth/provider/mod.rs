//! Providers: who else may vouch for a user, and how they are asked (OAuth 2.0, OpenID Connect Core 1.0).
//!
//! All are one engine. What is to be known of each is data: those that are known by name in `table.rs`, a tenant's own in
//! `custom.rs`. What they tell becomes a [`Profile`]; what follows from it is decided in `auth/linking.rs`.
//!
//! What a provider sends is believed in so far as it is signed by its keys, or came over a connection that we made to it. Its words never
//! reach an answer of ours.

pub(super) mod custom;
mod id_token;
mod keys;
mod profile;
mod table;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::{Url, form_urlencoded};

pub use self::keys::ProviderKeys;
pub(super) use self::{id_token::BadIdToken, profile::Profile};
use self::{
    profile::{Verified, claims, field},
    table::{Builtin, DIRECTORY, TABLE},
};
use super::error::{AuthCode, AuthError};
use crate::{
    app::App,
    crypto::{base64, base64url, hex, random, sha256},
    error::Error,
    tenants::{ProviderSettings, Tenant},
};

/// A provider as a tenant uses it.
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub(super) struct Provider {
    /// `google`, or `custom:…`.
    pub(super) name: String,
    /// What it calls the tenant's apps. The first is the one that signs in by redirect.
    client_ids: Vec<String>,
    secret: Option<SecretString>,
    authorize: String,
    token: String,
    issuer: Option<Issuer>,
    jwks: Option<String>,
    userinfo: Option<String>,
    emails: Option<&'static table::Emails>,
    headers: Vec<(&'static str, String)>,
    scopes: Vec<String>,
    parameters: Vec<(String, String)>,
    forwarded: Vec<String>,
    pkce: bool,
    basic: bool,
    proof: bool,
    fields: Vec<(String, Vec<String>)>,
    verified: Verified<String>,
    /// Whether ID tokens are taken whatever their nonce.
    pub(super) skip_nonce_check: bool,
    email_optional: bool,
    overwrite_metadata: bool,
    /// Whether its answer must say who it is (RFC 9207).
    names_itself: bool,
}

/// What an ID token of a provider has as `iss`.
#[derive(Clone, Debug)]
enum Issuer {
    Exactly(String),
    /// Microsoft: below `origin`, the directory that the token names in `tid`; which ones are taken says the address.
    Directory {
        origin: String,
        directory: String,
    },
}

/// What is kept of a flow while its user is at the provider.
#[derive(Serialize, Deserialize)]
pub(super) struct FlowSecret {
    nonce: String,
    verifier: String,
    /// The hash of the invitation that the user accepts by it.
    #[serde(default)]
    pub(super) invite_token: Option<String>,
}

impl FlowSecret {
    pub(super) fn new() -> Self {
        Self { nonce: base64url(&random::<24>()), verifier: base64url(&random::<32>()), invite_token: None }
    }
}

/// What a provider gives for a code.
#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "so the wire names them")]
pub(super) struct TokenAnswer {
    pub(super) access_token: String,
    pub(super) refresh_token: Option<String>,
    id_token: Option<String>,
}

/// Parameters of `/authorize` that are passed on to any provider. Nobody can choose an account with them (V16).
const FORWARDED: [&str; 15] = [
    "access_type",
    "acr_values",
    "allow_signup",
    "audience",
    "auth_type",
    "display",
    "force_verify",
    "hd",
    "include_granted_scopes",
    "kc_idp_hint",
    "max_age",
    "prompt",
    "show_dialog",
    "team",
    "ui_locales",
];

/// What a flow says itself, whatever a tenant would like.
const NEVER_ASKED: [&str; 11] = [
    "client_id",
    "client_secret",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "nonce",
    "redirect_uri",
    "request",
    "response_type",
    "scope",
    "state",
];

/// Scopes of a request at most, in bytes.
const MOST_SCOPES: usize = 1024;

impl Provider {
    /// The provider of this name, if the tenant uses it.
    pub(super) async fn find(app: &App, tenant: &Tenant, name: &str) -> Result<Self, AuthError> {
        if name.starts_with("custom:") {
            return custom::find(app, tenant, name).await;
        }
        let builtin = TABLE.iter().find(|builtin| builtin.name == name);
        let builtin = builtin.ok_or_else(|| AuthError::validation(format!("Unsupported provider: Provider {} could not be found", shown(name))))?;
        match tenant.settings.providers.get(name).filter(|settings| settings.enabled) {
            Some(settings) => Ok(Self::builtin(builtin, settings, settings.secret.open(&app.master_key, tenant.id)?)),
            None => Err(AuthError::validation("Unsupported provider: provider is not enabled")),
        }
    }

    fn builtin(builtin: &'static Builtin, settings: &ProviderSettings, secret: Option<SecretString>) -> Self {
        let base = if settings.url.is_empty() { builtin.base } else { settings.url.trim_end_matches('/') };
        let at = |template: &str| template.replace("{url}", base);
        let some = |template: &str| (!template.is_empty()).then(|| at(template));
        let is_hosted = !settings.url.is_empty() && !builtin.hosted_userinfo.is_empty();
        let client_ids: Vec<String> = [&settings.client_id].into_iter().chain(&settings.additional_client_ids).cloned().collect();
        Self {
            name: builtin.name.to_owned(),
            authorize: at(builtin.authorize),
            token: at(builtin.token),
            issuer: match builtin.issuer {
                "" => None,
                DIRECTORY => {
                    base.rsplit_once('/').map(|(origin, directory)| Issuer::Directory { origin: origin.to_owned(), directory: directory.to_owned() })
                }
                template => Some(Issuer::Exactly(at(template))),
            },
            jwks: some(builtin.jwks),
            userinfo: some(if is_hosted { builtin.hosted_userinfo } else { builtin.userinfo }),
            emails: builtin.emails.as_ref(),
            headers: builtin.headers.iter().map(|(name, value)| (*name, value.replace("{client_id}", &settings.client_id))).collect(),
            scopes: builtin.scopes.iter().map(|scope| (*scope).to_owned()).chain(settings.scopes.iter().cloned()).collect(),
            parameters: builtin.parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            forwarded: settings.forwarded_parameters.clone(),
            pkce: builtin.pkce,
            basic: builtin.basic,
            proof: builtin.proof,
            fields: builtin
                .fields
                .iter()
                .map(|(name, places)| ((*name).to_owned(), places.iter().map(|place| (*place).to_owned()).collect()))
                .collect(),
            verified: builtin.verified.owned(),
            skip_nonce_check: settings.skip_nonce_check,
            email_optional: settings.email_optional,
            overwrite_metadata: settings.overwrite_metadata,
            names_itself: false,
            client_ids,
            secret,
        }
    }

    /// Where the user is sent, to come back to `callback` with `state`.
    pub(super) fn authorize_url(
        &self,
        callback: &str,
        state: &str,
        secret: &FlowSecret,
        scopes: Option<&str>,
        asked: &[(String, String)],
    ) -> Result<Url, AuthError> {
        let mut url = Url::parse(&self.authorize).map_err(|_| Error::invalid("provider", "its address can't be used"))?;
        let more = scopes.unwrap_or_default();
        if more.len() > MOST_SCOPES {
            return Err(AuthError::validation(format!("scopes can have {MOST_SCOPES} bytes")));
        }
        let mut scopes: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        for scope in more.split([' ', ',']).filter(|scope| !scope.is_empty()) {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        let forwarded = asked.iter().filter(|(name, _)| FORWARDED.contains(&name.as_str()) || self.forwarded.contains(name));
        let mut query = url.query_pairs_mut();
        query.append_pair("client_id", self.client_id()).append_pair("redirect_uri", callback).append_pair("response_type", "code");
        query.append_pair("scope", &scopes.join(" ")).append_pair("state", state);
        if self.issuer.is_some() {
            query.append_pair("nonce", &secret.nonce);
        }
        if self.pkce {
            query.append_pair("code_challenge", &base64url(&sha256(secret.verifier.as_bytes()))).append_pair("code_challenge_method", "S256");
        }
        query.extend_pairs(forwarded.filter(|(name, _)| self.parameters.iter().all(|(own, _)| own != name)));
        query.extend_pairs(&self.parameters);
        drop(query);
        Ok(url)
    }

    fn client_id(&self) -> &str {
        self.client_ids.first().map_or("", String::as_str)
    }

    /// Whether an answer that says it comes from `issuer` can be this provider's: with two of them, one could pass the other's user on
    /// (RFC 9700, 4.4).
    pub(super) fn may_have_sent(&self, issuer: Option<&str>) -> bool {
        match (issuer, &self.issuer) {
            (None, _) => !self.names_itself,
            (Some(named), Some(Issuer::Exactly(own))) => named == own,
            (Some(named), Some(Issuer::Directory { origin, .. })) => named.starts_with(&format!("{origin}/")),
            // Who has told us no issuer of its own can't be mistaken for who names one.
            (Some(_), None) => false,
        }
    }

    /// Gives the provider its code back, for tokens.
    pub(super) async fn exchange(&self, app: &App, callback: &str, code: &str, secret: &FlowSecret) -> Result<TokenAnswer, AuthError> {
        let request = self.exchange_request(callback, code, secret)?;
        let body = self.ask(app, request).await.map_err(|why| self.failed("exchange", &why))?;
        let answer: Value = serde_json::from_slice(&body).map_err(|_| self.failed("exchange", "the answer is no JSON"))?;
        if let Some(error) = answer["error"].as_str() {
            return Err(self.failed("exchange", &format!("it says {}", shown(error))));
        }
        serde_json::from_value(answer).map_err(|_| self.failed("exchange", "there is no access token in the answer"))
    }

    fn exchange_request(&self, callback: &str, code: &str, secret: &FlowSecret) -> Result<Request<Vec<u8>>, AuthError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code").append_pair("code", code).append_pair("redirect_uri", callback);
        if self.pkce {
            form.append_pair("code_verifier", &secret.verifier);
        }
        let own = self.secret.as_ref().map_or("", |secret| secret.expose_secret());
        let mut request =
            Request::post(&self.token).header(header::ACCEPT, "application/json").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if self.basic {
            let escaped = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!("{}:{}", escaped(self.client_id()), escaped(own));
            request = request.header(header::AUTHORIZATION, format!("Basic {}", base64(pair.as_bytes())));
        } else {
            form.append_pair("client_id", self.client_id());
            if !own.is_empty() {
                form.append_pair("client_secret", own);
            }
        }
        request.body(form.finish().into_bytes()).map_err(|error| self.failed("exchange", &error.to_string()))
    }

    /// What the provider tells of the user whom these tokens are of.
    pub(super) async fn profile(&self, app: &App, tokens: &TokenAnswer, secret: &FlowSecret, posted: Option<&str>) -> Result<Profile, AuthError> {
        let mut told = Value::Null;
        let mut issuer = None;
        if let (Some(_), Some(_), Some(token)) = (&self.issuer, &self.jwks, &tokens.id_token) {
            told = self.verify(app, token).await.map_err(|why| self.failed("the ID token", &why.to_string()))?;
            if told["nonce"].as_str() != Some(&secret.nonce) {
                return Err(self.failed("the ID token", "it has the nonce of another flow"));
            }
            issuer = told["iss"].as_str().map(str::to_owned);
        }
        // A provider with a user's page is asked there; the ID token, if there is one, says who it must be.
        if let Some(url) = &self.userinfo {
            let found = self.get(app, url, &tokens.access_token).await?;
            if !told.is_null() && self.field(&found, "sub") != self.field(&told, "sub") {
                return Err(self.failed("the user's page", "it is of another user than the ID token"));
            }
            told = found;
        }
        if told.is_null() {
            return Err(self.failed("the user", "there is no ID token in the answer"));
        }
        let (email, is_verified) = match (self.emails, &self.userinfo) {
            (Some(emails), Some(url)) => chosen_email(&self.get(app, &format!("{url}{}", emails.path), &tokens.access_token).await?, emails),
            _ => (self.field(&told, "email"), self.verified.holds(&told)),
        };
        if let Some(name) = posted.and_then(posted_name) {
            // Apple tells the name once, beside the token, from the user's own hand.
            if let Some(told) = told.as_object_mut() {
                told.entry("name").or_insert(name.into());
            }
        }
        self.read(&told, issuer.as_deref(), email.as_deref(), is_verified)
    }

    /// Reads an ID token that an app got by itself.
    pub(super) async fn profile_of_id_token(&self, app: &App, token: &str) -> Result<(Value, Profile), BadIdToken> {
        let told = self.verify(app, token).await?;
        let (email, is_verified) = (self.field(&told, "email"), self.verified.holds(&told));
        let profile = self.read(&told, told["iss"].as_str(), email.as_deref(), is_verified).map_err(|_| BadIdToken::NoSubject)?;
        Ok((told, profile))
    }

    /// Whether it gives ID tokens that an app may bring.
    pub(super) fn has_id_tokens(&self) -> bool {
        self.issuer.is_some() && self.jwks.is_some()
    }

    /// Whether its ID tokens say that they come from `issuer`.
    pub(super) fn is_issued_by(&self, issuer: &str) -> bool {
        matches!(&self.issuer, Some(Issuer::Exactly(own)) if own == issuer)
    }

    async fn verify(&self, app: &App, token: &str) -> Result<Value, BadIdToken> {
        let (Some(issuer), Some(jwks)) = (&self.issuer, &self.jwks) else { return Err(BadIdToken::Malformed) };
        id_token::verify(app, jwks, issuer, &self.client_ids, token).await
    }

    fn read(&self, told: &Value, issuer: Option<&str>, email: Option<&str>, is_verified: bool) -> Result<Profile, AuthError> {
        let subject = self.field(told, "sub").filter(|subject| subject.len() <= 255).ok_or_else(|| self.failed("the user", "it has no id"))?;
        let email = email.and_then(|email| email.parse().ok());
        let is_verified = is_verified && email.is_some();
        let others = self.fields.iter().filter(|(name, _)| !matches!(name.as_str(), "sub" | "email" | "email_verified"));
        let found: Vec<_> = others.filter_map(|(name, _)| Some((name.clone(), self.field(told, name)?))).collect();
        Ok(Profile {
            provider: self.name.clone(),
            claims: claims(&subject, issuer, email.as_ref(), is_verified, &found),
            subject,
            email,
            is_verified,
            email_optional: self.email_optional,
            overwrite_metadata: self.overwrite_metadata,
        })
    }

    fn field(&self, told: &Value, name: &str) -> Option<String> {
        let (_, places) = self.fields.iter().find(|(known, _)| known == name)?;
        places.iter().find_map(|place| field(told, place))
    }

    async fn get(&self, app: &App, url: &str, access_token: &str) -> Result<Value, AuthError> {
        let failed = |why: &str| self.failed("the user's page", why);
        let mut url = Url::parse(url).map_err(|_| failed("its address can't be used"))?;
        if let (true, Some(secret)) = (self.proof, &self.secret) {
            url.query_pairs_mut().append_pair("appsecret_proof", &proof_of(access_token, secret));
        }
        let bearer = HeaderValue::from_str(&format!("Bearer {access_token}")).map_err(|_| failed("the token can't be sent"))?;
        let mut request = Request::get(url.as_str()).header(header::AUTHORIZATION, bearer);
        if self.headers.iter().all(|(name, _)| *name != header::ACCEPT) {
            request = request.header(header::ACCEPT, "application/json");
        }
        let request = self.headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let request = request.body(Vec::new()).map_err(|error| failed(&error.to_string()))?;
        let body = self.ask(app, request).await.map_err(|why| failed(&why))?;
        serde_json::from_slice(&body).map_err(|_| failed("the answer is no JSON"))
    }

    async fn ask(&self, app: &App, request: Request<Vec<u8>>) -> Result<Bytes, String> {
        let response = app.outbound.send(request).await.map_err(|error| error.to_string())?;
        let (status, body) = (response.status(), response.into_body());
        if status.is_success() {
            return Ok(body);
        }
        let error = serde_json::from_slice::<Value>(&body).ok().and_then(|body| body["error"].as_str().map(shown)).unwrap_or_default();
        Err(format!("it answered {status} {error}"))
    }

    /// What the user is told, which is the same whatever went wrong: the log says that.
    fn failed(&self, at: &str, why: &str) -> AuthError {
        tracing::warn!(provider = self.name, at, why, "a provider did not vouch for a user");
        let text = if at == "exchange" { "Unable to exchange external code" } else { "Error getting user profile from external provider" };
        AuthError::new(http::StatusCode::INTERNAL_SERVER_ERROR, AuthCode::UnexpectedFailure, text)
    }
}

impl Verified<&'static str> {
    fn owned(self) -> Verified<String> {
        match self {
            Self::Never => Verified::Never,
            Self::Claim(place) => Verified::Claim(place.to_owned()),
            Self::Number(place) => Verified::Number(place.to_owned()),
            Self::Moment(place) => Verified::Moment(place.to_owned()),
            Self::ByField => Verified::ByField,
        }
    }
}

/// The primary address if it is verified, else any that is, else the primary.
fn chosen_email(told: &Value, emails: &table::Emails) -> (Option<String>, bool) {
    let list: Vec<&Value> = told.pointer(emails.list).and_then(Value::as_array).into_iter().flatten().collect();
    let is = |email: &Value, place: &str| email.pointer(place) == Some(&Value::Bool(true));
    let verified = |email: &&&Value| is(email, emails.verified);
    let primary = |email: &&&Value| is(email, emails.primary);
    let chosen = list.iter().filter(verified).find(primary).or_else(|| list.iter().find(verified)).or_else(|| list.iter().find(primary));
    (chosen.and_then(|email| field(email, emails.address)), chosen.is_some_and(|email| is(email, emails.verified)))
}

/// `{"name":{"firstName":"Ada","lastName":"Lovelace"}}`
fn posted_name(posted: &str) -> Option<String> {
    let posted: Value = serde_json::from_str(posted).ok()?;
    let parts = ["/name/firstName", "/name/lastName"].into_iter().filter_map(|part| field(&posted, part));
    Some(parts.collect::<Vec<_>>().join(" ")).filter(|name| !name.is_empty())
}

fn proof_of(access_token: &str, secret: &SecretString) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    hex(aws_lc_rs::hmac::sign(&key, access_token.as_bytes()).as_ref())
}

/// A word of somebody else's, fit for a log and an error text.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(60).collect()
}
