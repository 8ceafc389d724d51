//! What users are told of without having asked: that something of their account is another thing now.

use super::{factors::FactorRow, message::AuthMail, model::UserRow};
use crate::{
    app::App,
    db::{Timestamp, Tx},
    error::Result,
    jobs,
    tenants::{MailKind, NoticeSettings, Tenant, TenantId},
};

/// What a user is told.
#[derive(Clone, Debug)]
pub(super) enum Notice {
    /// The password is another one.
    PasswordChanged,
    /// The mail address is another one. Told to the one before.
    EmailChanged {
        /// The address now.
        new: String,
    },
    /// The phone number is another one.
    PhoneChanged {
        /// The digits of the number now.
        new: String,
    },
    /// A sign-in from somewhere new.
    NewDevice {
        /// What is known of it.
        device: String,
    },
    /// A second factor came.
    FactorAdded(NamedFactor),
    /// A second factor went.
    FactorRemoved(NamedFactor),
    /// There are new recovery codes.
    RecoveryCodesMade,
    /// A passkey came.
    PasskeyAdded {
        /// What it is called.
        passkey: String,
    },
    /// A passkey went.
    PasskeyRemoved {
        /// What it was called.
        passkey: String,
    },
    /// A provider by which the user signs in came.
    IdentityLinked {
        /// Its name.
        provider: String,
    },
    /// A provider by which the user signed in went.
    IdentityUnlinked {
        /// Its name.
        provider: String,
    },
}

/// A second factor as its user knows it.
#[derive(Clone, Debug)]
pub(super) struct NamedFactor {
    /// What the user calls it; what it is, if the user calls it nothing.
    name: String,
    factor_type: String,
}

impl From<&FactorRow> for NamedFactor {
    fn from(factor: &FactorRow) -> Self {
        let name = if factor.friendly_name.is_empty() { &factor.factor_type } else { &factor.friendly_name };
        Self { name: name.clone(), factor_type: factor.factor_type.clone() }
    }
}

impl Notice {
    /// The mail that it is, and whether the tenant has it sent.
    fn kind(&self, wanted: &NoticeSettings) -> (MailKind, bool) {
        match self {
            Self::PasswordChanged => (MailKind::PasswordChanged, wanted.password_changed),
            Self::EmailChanged { .. } => (MailKind::EmailChanged, wanted.email_changed),
            Self::PhoneChanged { .. } => (MailKind::PhoneChanged, wanted.phone_changed),
            Self::NewDevice { .. } => (MailKind::NewDevice, wanted.new_device),
            Self::FactorAdded(_) => (MailKind::FactorAdded, wanted.factors),
            Self::FactorRemoved(_) => (MailKind::FactorRemoved, wanted.factors),
            Self::RecoveryCodesMade => (MailKind::RecoveryCodesMade, wanted.recovery_codes),
            Self::PasskeyAdded { .. } => (MailKind::PasskeyAdded, wanted.passkeys),
            Self::PasskeyRemoved { .. } => (MailKind::PasskeyRemoved, wanted.passkeys),
            Self::IdentityLinked { .. } => (MailKind::IdentityLinked, wanted.identities),
            Self::IdentityUnlinked { .. } => (MailKind::IdentityUnlinked, wanted.identities),
        }
    }
}

/// Tells the users of a tenant. Made before a transaction and used inside it: what was done is told, once, and what was rolled back is not.
#[derive(Clone)]
pub(super) struct Teller {
    app: App,
    tenant: TenantId,
    wanted: NoticeSettings,
}

impl Teller {
    pub(super) fn of(app: &App, tenant: &Tenant) -> Self {
        Self { app: app.clone(), tenant: tenant.id, wanted: tenant.settings.mail.notices.clone() }
    }

    /// Tells a user, who is as it was before: nothing where the tenant does not want that told, or the user has no confirmed address to tell it
    /// to. The worker sees the mail within a second; whoever can, wakes it after the transaction.
    pub(super) async fn tell(&self, tx: &Tx, now: Timestamp, user: &UserRow, notice: Notice) -> Result<()> {
        let (kind, is_wanted) = notice.kind(&self.wanted);
        if !is_wanted || user.email.is_none() || user.email_confirmed_at.is_none() {
            return Ok(());
        }
        let mut mail = AuthMail::to_user(kind, user);
        match notice {
            Notice::PasswordChanged | Notice::RecoveryCodesMade => {}
            Notice::EmailChanged { new } => mail.new_email = new,
            Notice::PhoneChanged { new } => {
                mail.new_phone = format!("+{new}");
                mail.old_phone = user.phone.clone().unwrap_or_default();
            }
            Notice::NewDevice { device } => mail.device = device,
            Notice::FactorAdded(factor) | Notice::FactorRemoved(factor) => (mail.factor, mail.factor_type) = (factor.name, factor.factor_type),
            Notice::PasskeyAdded { passkey } | Notice::PasskeyRemoved { passkey } => mail.passkey = passkey,
            Notice::IdentityLinked { provider } | Notice::IdentityUnlinked { provider } => mail.provider = provider,
        }
        jobs::enqueue(tx, now, &self.app.jobs.prepare(self.tenant, &mail)?).await
    }
}
