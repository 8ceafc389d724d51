//! The text of a refresh token: which session, the how manieth of it, and a proof that we made it.
//!
//! There is no row for a token. What a token says is computed from its session alone, so whoever asks for the child of one token gets the
//! same text every time, from every node.

use aws_lc_rs::hmac;
use uuid::Uuid;

use crate::{
    crypto::{base64url, from_base64url, same},
    tenants::TenantId,
};

const VERSION: u8 = 1;
const MAC_LENGTH: usize = 16;
/// Version, session, counter.
const CLAIM_LENGTH: usize = 1 + 16 + 4;

/// What a refresh token claims to be; only [`RefreshToken::is_signed_by`] tells whether it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RefreshToken {
    pub(super) session: Uuid,
    pub(super) counter: i64,
    mac: [u8; MAC_LENGTH],
}

impl RefreshToken {
    /// The token of a session with this counter, as text.
    pub(super) fn write(tenant: TenantId, session: Uuid, counter: i64, key: &[u8]) -> String {
        // Four billion refreshes of one session are not reached in a session's life; past them no token is good any more.
        let counter = u32::try_from(counter).unwrap_or(u32::MAX);
        let claim = claim(session, counter);
        base64url(&[claim.as_slice(), &mac(tenant, &claim, key)].concat())
    }

    /// Reads a text that has the form of a refresh token.
    pub(super) fn read(text: &str) -> Option<Self> {
        // Longer than any token: not worth decoding.
        let bytes = from_base64url(text).filter(|_| text.len() < 64)?;
        let (claim, mac) = bytes.split_at_checked(CLAIM_LENGTH)?;
        let (version, rest) = claim.split_first()?;
        let (session, counter) = rest.split_first_chunk::<16>()?;
        let counter = u32::from_be_bytes(counter.try_into().ok()?);
        let token = Self { session: Uuid::from_bytes(*session), counter: i64::from(counter), mac: mac.try_into().ok()? };
        (*version == VERSION).then_some(token)
    }

    /// What a refresh token from elsewhere is to its session: the parent of our first. It proves itself by being known, not by a signature.
    pub(super) fn from_elsewhere(session: Uuid) -> Self {
        Self { session, counter: -1, mac: [0; MAC_LENGTH] }
    }

    /// Whether it came from elsewhere.
    pub(super) fn is_from_elsewhere(&self) -> bool {
        self.counter < 0
    }

    /// Whether this token was made with the key of its session.
    pub(super) fn is_signed_by(&self, tenant: TenantId, key: &[u8]) -> bool {
        let counter = u32::try_from(self.counter).unwrap_or(u32::MAX);
        same(&mac(tenant, &claim(self.session, counter), key), &self.mac)
    }
}

fn claim(session: Uuid, counter: u32) -> [u8; CLAIM_LENGTH] {
    let mut claim = [VERSION; CLAIM_LENGTH];
    claim[1..17].copy_from_slice(session.as_bytes());
    claim[17..].copy_from_slice(&counter.to_be_bytes());
    claim
}

fn mac(tenant: TenantId, claim: &[u8; CLAIM_LENGTH], key: &[u8]) -> [u8; MAC_LENGTH] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    context.update(b"refresh");
    context.update(&tenant.number().to_be_bytes());
    context.update(claim);
    let mut mac = [0; MAC_LENGTH];
    mac.copy_from_slice(&context.sign().as_ref()[..MAC_LENGTH]);
    mac
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::db::Column as _;

    fn tenant(number: i64) -> TenantId {
        TenantId::from_sqlite(rusqlite::types::ValueRef::Integer(number)).unwrap()
    }

    #[test]
    fn a_token_is_good_only_as_it_was_made() {
        let (session, key) = (Uuid::from_bytes([7; 16]), [9; 32]);
        let text = RefreshToken::write(tenant(1), session, 3, &key);
        assert_eq!(text, RefreshToken::write(tenant(1), session, 3, &key));
        let token = RefreshToken::read(&text).unwrap();
        assert_eq!((token.session, token.counter), (session, 3));
        assert!(token.is_signed_by(tenant(1), &key));
        assert!(!token.is_signed_by(tenant(2), &key));
        assert!(!token.is_signed_by(tenant(1), &[8; 32]));
        assert!(!RefreshToken { counter: 4, ..token }.is_signed_by(tenant(1), &key));
        for length in 0..text.len() {
            assert_eq!(RefreshToken::read(&text[..length]), None, "cut at {length}");
        }
        for changed in [format!("{text}A"), format!("{text}="), format!(" {text}"), format!("{text}\n"), text.to_lowercase()] {
            assert!(RefreshToken::read(&changed).is_none_or(|token| !token.is_signed_by(tenant(1), &key)), "{changed:?}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_takes_one_spelling_only(text in "[A-Za-z0-9_-]{0,80}") {
            if let Some(token) = RefreshToken::read(&text) {
                let counter = u32::try_from(token.counter).unwrap();
                prop_assert_eq!(base64url(&[claim(token.session, counter).as_slice(), &token.mac].concat()), text);
            }
        }
    }
}
