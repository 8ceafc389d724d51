//! A secret among the settings: a password or token of another service, which is needed in plain when that service is called.

use std::fmt;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema, schema::ObjectBuilder},
};

use crate::{
    crypto::{MasterKey, base64url, from_base64url},
    db::TenantId,
    error::{Error, Result},
};

/// How a sealed secret begins where it is stored.
const SEALED: &str = "sealed:";
/// How a secret that is there is shown. Given back, it means that the secret stays.
pub(super) const SET: &str = "[set]";
/// Bytes of a secret at most: a PEM file fits.
const LONGEST: usize = 8 * 1024;

/// A secret. It is shown as `[set]`, stored sealed, and opened only where it is used.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretSetting(State);

#[derive(Clone, Default, PartialEq, Eq)]
enum State {
    #[default]
    Unset,
    /// As it came, not stored yet.
    Plain(String),
    Sealed(Vec<u8>),
    /// Only to be shown.
    Hidden,
}

impl SecretSetting {
    /// Whether there is one.
    pub fn is_set(&self) -> bool {
        self.0 != State::Unset
    }

    /// The secret in plain; `None` when there is none.
    pub fn open(&self, key: &MasterKey, tenant: TenantId) -> Result<Option<SecretString>> {
        match &self.0 {
            State::Unset => Ok(None),
            State::Plain(text) => Ok(Some(text.clone().into())),
            State::Sealed(sealed) => {
                let opened = String::from_utf8(key.open(&place(tenant), sealed)?).map_err(Error::internal)?;
                Ok(Some(opened.into()))
            }
            State::Hidden => Err(Error::internal("a setting that was made to be shown was used")),
        }
    }

    /// What came in plain just now and was not stored yet: it can be looked at.
    pub(super) fn plain(&self) -> Option<&str> {
        match &self.0 {
            State::Plain(text) => Some(text),
            State::Unset | State::Sealed(_) | State::Hidden => None,
        }
    }

    /// Seals what came in plain, so that it can be stored. A sealed text of another tenant's is refused.
    pub(super) fn seal(&mut self, key: &MasterKey, tenant: TenantId) -> Result<()> {
        match &self.0 {
            State::Plain(text) => self.0 = State::Sealed(key.seal(&place(tenant), text.as_bytes())),
            State::Sealed(sealed) => {
                key.open(&place(tenant), sealed).map_err(|_| Error::invalid("settings", "a secret was sealed elsewhere; give it in plain"))?;
            }
            State::Unset | State::Hidden => {}
        }
        Ok(())
    }

    /// Makes it a thing that can be shown.
    pub(super) fn hide(&mut self) {
        if self.is_set() {
            self.0 = State::Hidden;
        }
    }
}

fn place(tenant: TenantId) -> String {
    format!("tenants/{}/settings", tenant.number())
}

impl fmt::Debug for SecretSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_set() { SET } else { "[none]" })
    }
}

impl Serialize for SecretSetting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            State::Unset => serializer.serialize_str(""),
            State::Sealed(sealed) => serializer.serialize_str(&format!("{SEALED}{}", base64url(sealed))),
            State::Hidden => serializer.serialize_str(SET),
            State::Plain(_) => Err(ser::Error::custom("a secret must be sealed before it is stored")),
        }
    }
}

impl<'de> Deserialize<'de> for SecretSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Some(sealed) = text.strip_prefix(SEALED) {
            let sealed = from_base64url(sealed).ok_or_else(|| de::Error::custom(format!("a secret can't begin with \"{SEALED}\"")))?;
            return Ok(Self(State::Sealed(sealed)));
        }
        match text.len() {
            0 => Ok(Self::default()),
            1..=LONGEST => Ok(Self(State::Plain(text))),
            _ => Err(de::Error::custom(format!("a secret can have {LONGEST} bytes"))),
        }
    }
}

impl PartialSchema for SecretSetting {
    fn schema() -> RefOr<Schema> {
        let text = utoipa::openapi::schema::Type::String;
        ObjectBuilder::new().schema_type(text).description(Some("A secret: shown as \"[set]\" when there is one; \"\" takes it away")).into()
    }
}

impl ToSchema for SecretSetting {}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn tenant(number: i64) -> TenantId {
        TenantId::for_test(number)
    }

    #[test]
    fn a_secret_is_stored_sealed_and_shown_hidden() {
        let key = MasterKey::new(&[7; 32]);
        let mut secret: SecretSetting = serde_json::from_value(json!("hunter2 hunter2")).unwrap();
        assert!(serde_json::to_value(&secret).is_err(), "in plain it is not stored");
        assert_eq!(format!("{secret:?}"), SET);
        secret.seal(&key, tenant(1)).unwrap();
        let stored = serde_json::to_value(&secret).unwrap();
        assert!(stored.as_str().unwrap().starts_with(SEALED) && !stored.to_string().contains("hunter2"));
        let mut again: SecretSetting = serde_json::from_value(stored).unwrap();
        assert_eq!(secrecy::ExposeSecret::expose_secret(&again.open(&key, tenant(1)).unwrap().unwrap()), "hunter2 hunter2");
        assert!(again.open(&key, tenant(2)).is_err() && again.seal(&key, tenant(2)).is_err());
        again.hide();
        assert_eq!(serde_json::to_value(&again).unwrap(), Value::from(SET));
    }
}
