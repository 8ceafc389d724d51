//! Tenants, their settings and keys, as the rest of the house sees them.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{settings::TenantSettings, signing::SigningKeys};
use crate::{
    db::{TenantId, Timestamp},
    error::{Error, Result},
};

/// A tenant that may be served.
#[derive(Debug)]
pub struct Tenant {
    /// Its name in the database.
    pub id: TenantId,
    /// Its name outside: `acme`.
    pub reference: String,
    /// Where its tokens say they come from: `{public url}/t/{reference}/auth/v1`, or at its own domain.
    pub issuer: String,
    /// What it has chosen.
    pub settings: TenantSettings,
    /// What signs its tokens, and what they are checked with.
    pub keys: SigningKeys,
}

/// Whether a tenant is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TenantStatus {
    /// It is served.
    Active,
    /// Every request of it is refused until it is active again.
    Suspended,
    /// It is gone; its reference is never used again.
    Deleted,
}

impl TenantStatus {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }
}

impl FromStr for TenantStatus {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "active" => Ok(Self::Active),
            "suspended" => Ok(Self::Suspended),
            "deleted" => Ok(Self::Deleted),
            other => Err(Error::invalid("status", format!("\"{other}\" is no status; take active or suspended"))),
        }
    }
}

/// A tenant's name outside: 2 to 40 of `a-z`, `0-9` and inner `-`, so that it can be a DNS label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(transparent)]
pub struct Reference(String);

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if (2..=40).contains(&text.len()) && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-') {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::invalid("ref", format!("\"{text}\" can't be a tenant's name; take 2 to 40 of a-z, 0-9 and inner \"-\"")))
        }
    }
}

impl Reference {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an API key opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyGrant {
    /// Names the tenant and nothing more; safe in a browser.
    Publishable,
    /// All of the tenant.
    Service,
    /// Only what its scopes say.
    Scoped(Scopes),
}

/// An API key that is known and in force.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// The key's id.
    pub id: Uuid,
    /// Whose it is.
    pub tenant: TenantId,
    /// What it opens.
    pub grant: KeyGrant,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
}

/// What a scope lets its holder do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// See.
    Read,
    /// Make, change and remove.
    Write,
}

/// The scopes of a function key: `employees:read`, `storage.slips:write`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(BTreeSet<(String, Action)>);

/// What a scope may name, besides `storage.{bucket}` and `records.{name}`, which a tenant's own rules are about.
pub const SCOPE_RESOURCES: [&str; 10] =
    ["audit", "employees", "employees.identity", "employees.numbers", "employees.personal", "employees.special", "pay", "payslips", "scim", "users"];

impl Scopes {
    /// Whether one of these scopes lets its holder do this.
    pub fn allow(&self, resource: &str, action: Action) -> bool {
        self.0.iter().any(|(name, allowed)| name == resource && *allowed == action)
    }

    /// No scopes at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Scopes {
    type Err = Error;

    /// Reads scopes divided by commas or blanks.
    fn from_str(text: &str) -> Result<Self> {
        text.split([',', ' ']).filter(|scope| !scope.is_empty()).map(read_scope).collect::<Result<_>>().map(Self)
    }
}

fn read_scope(scope: &str) -> Result<(String, Action)> {
    let named = |resource: &str, room: &str| resource.strip_prefix(room).is_some_and(|name| !name.is_empty());
    let known = |resource: &str| SCOPE_RESOURCES.contains(&resource) || named(resource, "storage.") || named(resource, "records.");
    let read = scope.rsplit_once(':').filter(|(resource, _)| known(resource)).and_then(|(resource, action)| match action {
        "read" => Some((resource.to_owned(), Action::Read)),
        "write" => Some((resource.to_owned(), Action::Write)),
        _ => None,
    });
    read.ok_or_else(|| {
        let known = SCOPE_RESOURCES.join(", ");
        Error::invalid(
            "scopes",
            format!(
                "\"{scope}\" is no scope; take RESOURCE:read or RESOURCE:write, where RESOURCE is one of {known}, storage.BUCKET or records.NAME"
            ),
        )
    })
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (resource, action)) in self.0.iter().enumerate() {
            let blank = if index == 0 { "" } else { " " };
            let action = match action {
                Action::Read => "read",
                Action::Write => "write",
            };
            write!(f, "{blank}{resource}:{action}")?;
        }
        Ok(())
    }
}
