//! Who else may vouch for a tenant's users, and how the tenant is known there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use super::SecretSetting;
use crate::error::{Error, Result};

/// Every provider that is known by name. What is to be known of each is in `auth/provider/table.rs`.
pub const PROVIDERS: [&str; 18] = [
    "apple",
    "azure",
    "bitbucket",
    "discord",
    "facebook",
    "figma",
    "github",
    "gitlab",
    "google",
    "keycloak",
    "linkedin_oidc",
    "notion",
    "slack_oidc",
    "spotify",
    "twitch",
    "twitter",
    "x",
    "zoom",
];

/// A provider, as the tenant uses it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct ProviderSettings {
    /// Whether users may sign in by it.
    pub enabled: bool,
    /// What the provider calls the tenant.
    pub client_id: String,
    /// What it calls the tenant's other apps: their ID tokens are taken, too.
    pub additional_client_ids: Vec<String>,
    /// What the tenant proves itself with. Not needed where only ID tokens are taken.
    pub secret: SecretSetting,
    /// Where it is, if one hosts it oneself: GitHub, GitLab, Keycloak (with the realm), Microsoft (with the directory).
    pub url: String,
    /// What it is asked for besides the usual.
    pub scopes: Vec<String>,
    /// What the app may pass on to it besides the usual parameters.
    pub forwarded_parameters: Vec<String>,
    /// Take ID tokens whatever their nonce, from apps that can't set one.
    pub skip_nonce_check: bool,
    /// Take users of whom it tells no mail address.
    pub email_optional: bool,
    /// At each sign-in, write what it tells into `user_metadata` over what is there. Otherwise only what is missing there.
    pub overwrite_metadata: bool,
}

/// Parameters that mean something to the flow itself, or that would let whoever made a link choose an account (V16).
const NEVER_FORWARDED: [&str; 18] = [
    "apikey",
    "claims",
    "client_id",
    "client_secret",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "id_token_hint",
    "login",
    "login_hint",
    "nonce",
    "redirect_to",
    "redirect_uri",
    "request",
    "request_uri",
    "response_mode",
    "response_type",
    "state",
];

pub(super) fn check(providers: &BTreeMap<String, ProviderSettings>) -> Result<()> {
    providers.iter().try_for_each(|(name, provider)| provider.check(name))
}

impl ProviderSettings {
    fn check(&self, name: &str) -> Result<()> {
        let refuse = |setting: &str, why: String| Err(Error::invalid(format!("providers.{name}{setting}"), why));
        if !PROVIDERS.contains(&name) {
            return refuse("", format!("\"{name}\" is no provider; take one of {}, or make it as a custom provider", PROVIDERS.join(", ")));
        }
        if self.enabled && self.client_id.is_empty() {
            return refuse(".client_id", "it is needed where the provider is enabled".to_owned());
        }
        if self.enabled && name == "keycloak" && self.url.is_empty() {
            return refuse(".url", "it is needed: the address of the realm, as in https://id.example.com/realms/main".to_owned());
        }
        if !self.url.is_empty() && !is_base(&self.url) {
            return refuse(".url", format!("\"{}\" should be an address as in https://id.example.com, without a query", self.url));
        }
        if name == "azure" && !self.url.is_empty() && !names_a_directory(&self.url) {
            let why = format!("\"{}\" should end with the directory's id (not a domain), or with common, organizations or consumers", self.url);
            return refuse(".url", why);
        }
        let texts = self.scopes.iter().chain(&self.forwarded_parameters).chain(&self.additional_client_ids).chain([&self.client_id]);
        if let Some(text) = texts.clone().find(|text| text.len() > 256 || text.bytes().any(|byte| !byte.is_ascii_graphic())) {
            return refuse("", format!("\"{text}\" should be at most 256 letters, digits and signs"));
        }
        if texts.count() > 100 {
            return refuse("", "there are more than 100 ids, scopes and parameters".to_owned());
        }
        match self.forwarded_parameters.iter().find(|parameter| NEVER_FORWARDED.contains(&parameter.as_str())) {
            Some(parameter) => refuse(".forwarded_parameters", format!("\"{parameter}\" is never passed on")),
            None => Ok(()),
        }
    }
}

/// An ID token names its directory by its id alone: only that can be compared.
fn names_a_directory(url: &str) -> bool {
    let last = url.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    matches!(last, "common" | "organizations" | "consumers") || uuid::Uuid::parse_str(last).is_ok()
}

fn is_base(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    })
}

/// Which identities a user may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IdentitySettings {
    /// Whether a user may link and unlink identities by itself.
    pub manual_linking: bool,
}
