//! Tokens that a mail or a text message carries: good once, for one purpose, at one address, for a while.
//!
//! A token has two faces: the code, which is typed, and the hash in a link. The hash is computed from the code with a key that is not in the
//! database, so it can't be guessed by trying all codes, and of itself only a digest is stored. A code is short: after some wrong ones it is
//! burnt, while the link goes on, so that a stranger who guesses locks nobody out.

use uuid::Uuid;

use super::{
    flow_state::{self, Challenge, FlowKind, FlowStateRow},
    model::UserRow,
    sql::{flow_states, one_time_tokens as sql},
};
use crate::{
    app::App,
    crypto::{MasterKey, hex, random, same, sha256},
    db::{Conn, Timestamp, Tx},
    error::Result,
    row_type,
    tenants::{Tenant, TenantId},
};

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Confirm the mail address of a new account.
    Confirmation,
    /// Take over an account that an admin made.
    Invite,
    /// Sign in.
    MagicLink,
    /// Sign in to choose another password.
    Recovery,
    /// Agree to another mail address, at the one that is.
    EmailChangeCurrent,
    /// Agree to another mail address, at that one.
    EmailChangeNew,
    /// Show who it is once more.
    Reauthentication,
    /// Confirm the phone number of a new account.
    Sms,
    /// Sign in by phone.
    SmsSignIn,
    /// Confirm another phone number.
    PhoneChange,
}

impl Purpose {
    const ALL: [Self; 10] = [
        Self::Confirmation,
        Self::Invite,
        Self::MagicLink,
        Self::Recovery,
        Self::EmailChangeCurrent,
        Self::EmailChangeNew,
        Self::Reauthentication,
        Self::Sms,
        Self::SmsSignIn,
        Self::PhoneChange,
    ];

    /// The word in the database.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Confirmation => "confirmation",
            Self::Invite => "invite",
            Self::MagicLink => "magic_link",
            Self::Recovery => "recovery",
            Self::EmailChangeCurrent => "email_change_current",
            Self::EmailChangeNew => "email_change_new",
            Self::Reauthentication => "reauthentication",
            Self::Sms => "sms",
            Self::SmsSignIn => "sms_sign_in",
            Self::PhoneChange => "phone_change",
        }
    }

    /// The `type` by which the wire asks for it.
    pub(super) fn wire_type(self) -> &'static str {
        match self {
            Self::Confirmation => "signup",
            Self::Invite => "invite",
            Self::MagicLink => "magiclink",
            Self::Recovery => "recovery",
            Self::EmailChangeCurrent | Self::EmailChangeNew => "email_change",
            Self::Reauthentication => "reauthentication",
            Self::Sms | Self::SmsSignIn => "sms",
            Self::PhoneChange => "phone_change",
        }
    }

    /// What a token of this `type` can be for.
    pub(super) fn of_wire_type(text: &str) -> Option<&'static [Self]> {
        Some(match text {
            "signup" => &[Self::Confirmation],
            "invite" => &[Self::Invite],
            "magiclink" => &[Self::MagicLink],
            "recovery" => &[Self::Recovery],
            "email" => &[Self::Confirmation, Self::MagicLink],
            "email_change" => &[Self::EmailChangeCurrent, Self::EmailChangeNew],
            // As `generate_link` names them.
            "email_change_current" => &[Self::EmailChangeCurrent],
            "email_change_new" => &[Self::EmailChangeNew],
            "sms" => &[Self::Sms, Self::SmsSignIn],
            "phone_change" => &[Self::PhoneChange],
            _ => return None,
        })
    }

    /// What its link begins in the PKCE flow.
    fn flow(self) -> Option<FlowKind> {
        match self {
            Self::Confirmation => Some(FlowKind::Signup),
            Self::Invite => Some(FlowKind::Invite),
            Self::MagicLink => Some(FlowKind::Magiclink),
            Self::Recovery => Some(FlowKind::Recovery),
            Self::EmailChangeCurrent | Self::EmailChangeNew => Some(FlowKind::EmailChange),
            Self::Reauthentication | Self::Sms | Self::SmsSignIn | Self::PhoneChange => None,
        }
    }

    /// Whether it goes to a phone.
    pub(super) fn is_by_phone(self) -> bool {
        matches!(self, Self::Sms | Self::SmsSignIn | Self::PhoneChange)
    }
}

row_type! {
    /// A token as it is stored.
    #[derive(Clone, Debug)]
    pub(super) struct TokenRow {
        pub(super) id: Uuid,
        pub(super) user_id: Uuid,
        pub(super) purpose: String,
        pub(super) token_hash: Vec<u8>,
        pub(super) address: String,
        pub(super) new_address: Option<String>,
        pub(super) created_at: Timestamp,
        pub(super) expires_at: Timestamp,
    }
}

impl TokenRow {
    pub(super) fn purpose(&self) -> Option<Purpose> {
        Purpose::ALL.into_iter().find(|purpose| purpose.as_str() == self.purpose)
    }

    /// Whether this is its code.
    fn has_code(&self, key: &MasterKey, tenant: TenantId, code: &str) -> bool {
        same(&self.token_hash, &sha256(hash(key, tenant, self.id, &self.address, code).as_bytes()))
    }
}

/// A token to be made.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'w> {
    pub(super) user: Uuid,
    pub(super) purpose: Purpose,
    pub(super) address: &'w str,
    pub(super) new_address: Option<&'w str>,
    /// What the client will show that it knows, in the PKCE flow.
    pub(super) challenge: Option<&'w Challenge>,
}

/// A token that was made, its secrets still in plain.
pub(super) struct NewToken {
    pub(super) row: TokenRow,
    /// What its link begins, in the PKCE flow.
    pub(super) flow: Option<FlowStateRow>,
    pub(super) code: String,
    /// As links have it: with `pkce_` before it in the PKCE flow.
    pub(super) hash: String,
}

/// Before the hash of a token that is redeemed in the PKCE flow.
const PKCE: &str = "pkce_";

/// Makes a token. It counts once its row is stored.
pub(super) fn make(app: &App, tenant: &Tenant, now: Timestamp, wanted: Wanted<'_>) -> NewToken {
    let settings = &tenant.settings;
    let id = Uuid::now_v7();
    let is_phone = !wanted.address.contains('@');
    let test_code = if is_phone { settings.sms.test_code(wanted.address) } else { None };
    let code = test_code.map_or_else(|| random_code(settings.otp.code_length), str::to_owned);
    let seconds = match wanted.purpose {
        Purpose::Invite => settings.otp.invite_seconds,
        _ if is_phone => settings.sms.code_seconds,
        _ => settings.otp.email_seconds,
    };
    let hash = hash(&app.master_key, tenant.id, id, wanted.address, &code);
    let row = TokenRow {
        id,
        user_id: wanted.user,
        purpose: wanted.purpose.as_str().to_owned(),
        token_hash: sha256(hash.as_bytes()).to_vec(),
        address: wanted.address.to_owned(),
        new_address: wanted.new_address.map(str::to_owned),
        created_at: now,
        expires_at: now.plus_seconds(i64::from(seconds)),
    };
    let flow = wanted.purpose.flow().zip(wanted.challenge);
    let flow = flow.map(|(kind, challenge)| flow_state::of_mail(kind, challenge, row.user_id, row.id, now, row.expires_at));
    let hash = if flow.is_some() { format!("{PKCE}{hash}") } else { hash };
    NewToken { row, flow, code, hash }
}

impl NewToken {
    /// Stores it in the place of the user's last one for this purpose.
    pub(super) async fn store(&self, tx: &Tx, tenant: TenantId) -> Result<()> {
        sql::replace(tx, tenant, &self.row).await?;
        match &self.flow {
            Some(flow) => flow_states::insert(tx, tenant, flow).await,
            None => Ok(()),
        }
    }
}

/// As long as upstream's, and as hexadecimal as that. Theirs is a plain digest of address and code: whoever knows the address can compute a
/// million of them, and no guess names the address that it would have to be counted for.
fn hash(key: &MasterKey, tenant: TenantId, id: Uuid, address: &str, code: &str) -> String {
    let place = format!("one_time_tokens/{}/{id}/{address}", tenant.number());
    hex(&key.mac(&place, code.as_bytes())[..28])
}

/// A code of this many digits.
pub(super) fn random_code(length: u32) -> String {
    let code = u64::from_be_bytes(random()) % 10_u64.pow(length);
    format!("{code:0width$}", width = usize::try_from(length).unwrap_or_default())
}

/// What somebody shows to be let in.
#[derive(Clone)]
pub(super) enum Shown {
    /// A hash, from a link.
    Hash(String),
    /// A code, and the address that it was sent to.
    Code {
        /// The address.
        address: String,
        /// The code.
        code: String,
    },
}

impl Shown {
    pub(super) fn hash(text: &str) -> Self {
        Self::Hash(text.strip_prefix(PKCE).unwrap_or(text).to_owned())
    }

    /// A code as people copy it.
    pub(super) fn code(address: impl Into<String>, code: &str) -> Self {
        Self::Code { address: address.into(), code: code.chars().filter(|c| !c.is_whitespace() && *c != '-').collect() }
    }
}

/// Whether the text is a hash of the PKCE flow.
pub(super) fn is_pkce(hash: &str) -> bool {
    hash.starts_with(PKCE)
}

/// Whose token was shown, without using it up.
pub(super) async fn peek(app: &App, conn: &Conn, tenant: TenantId, now: Timestamp, purposes: &[Purpose], shown: &Shown) -> Result<Option<TokenRow>> {
    match shown {
        Shown::Hash(hash) => sql::find(conn, tenant, now, &sha256(hash.as_bytes()), purposes).await,
        Shown::Code { address, code } => {
            let rows = sql::find_at(conn, tenant, now, address, purposes).await?;
            Ok(rows.into_iter().find(|row| row.has_code(&app.master_key, tenant, code)))
        }
    }
}

/// The invitation whose link has this hash, without using it up.
pub(super) async fn find_invitation(conn: &Conn, tenant: TenantId, now: Timestamp, hash: &str) -> Result<Option<TokenRow>> {
    sql::find(conn, tenant, now, &sha256(hash.as_bytes()), &[Purpose::Invite]).await
}

/// Uses a token up; of those who come at the same moment one gets it. A wrong code counts against the codes at its address.
pub(super) async fn redeem(
    tx: &Tx,
    key: &MasterKey,
    tenant: &Redeeming,
    now: Timestamp,
    purposes: &[Purpose],
    shown: &Shown,
) -> Result<Option<TokenRow>> {
    let id = tenant.id;
    match shown {
        Shown::Hash(hash) => sql::take(tx, id, now, &sha256(hash.as_bytes()), purposes).await,
        Shown::Code { address, code } => {
            // Written whether or not anything waits there, so that the time tells nothing.
            super::sql::messages::note_request(tx, id, now, "verify", &address_digest(key, id, address)).await?;
            let rows = sql::count_attempt(tx, id, now, address, purposes, tenant.attempts).await?;
            let Some(row) = rows.into_iter().find(|row| row.has_code(key, id, code)) else { return Ok(None) };
            sql::delete(tx, id, row.id).await?;
            Ok(Some(row))
        }
    }
}

/// What is to be known of a tenant to redeem a token of it.
#[derive(Clone, Copy)]
pub(super) struct Redeeming {
    pub(super) id: TenantId,
    attempts: u32,
}

impl Redeeming {
    pub(super) fn of(tenant: &Tenant) -> Self {
        Self { id: tenant.id, attempts: tenant.settings.otp.attempts }
    }
}

/// By what an address is recognised where it need not be known.
pub(super) fn address_digest(key: &MasterKey, tenant: TenantId, address: &str) -> [u8; 32] {
    key.mac(&format!("message_requests/{}", tenant.number()), address.as_bytes())
}

/// Kills everything that waits for a user, changes included that were asked for: its address or password is another one now. The row itself is
/// still to be written.
pub(super) async fn revoke_all(tx: &Tx, tenant: TenantId, user: &mut UserRow) -> Result<()> {
    flow_state::delete_all_of(tx, tenant, user.id).await?;
    forget_changes(user);
    sql::delete_of(tx, tenant, user.id).await
}

/// The same, but for the flow that this token has just given its code.
pub(super) async fn revoke_all_but(tx: &Tx, tenant: TenantId, user: &mut UserRow, token: &TokenRow) -> Result<()> {
    flow_states::delete_of_user_but(tx, tenant, user.id, token.id).await?;
    forget_changes(user);
    sql::delete_of(tx, tenant, user.id).await
}

fn forget_changes(user: &mut UserRow) {
    user.new_email = None;
    user.new_phone = None;
    user.email_change_agreed = None;
}
