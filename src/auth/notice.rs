//! What users are told of without having asked: that something of their account is another thing now.

use super::{message::AuthMail, model::UserRow};
use crate::{
    app::App,
    error::Result,
    jobs::NewJob,
    tenants::{MailKind, Tenant},
};

/// What a user is told.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "second factors tell of themselves once they are there")]
pub(super) enum Notice {
    /// The password is another one.
    PasswordChanged,
    /// The mail address is another one. Told to the one before.
    EmailChanged {
        /// The address before.
        old: String,
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
    FactorAdded {
        /// What it is called.
        factor: String,
    },
    /// A second factor went.
    FactorRemoved {
        /// What it was called.
        factor: String,
    },
}

/// The job that tells a user, to be enqueued in the transaction that changes it; `None` when the tenant does not want that told, or the
/// user has no confirmed address to tell it to. `user` is as it was before.
pub(super) fn prepare(app: &App, tenant: &Tenant, user: &UserRow, notice: Notice) -> Result<Option<NewJob>> {
    let wanted = &tenant.settings.mail.notices;
    let (kind, is_wanted) = match &notice {
        Notice::PasswordChanged => (MailKind::PasswordChanged, wanted.password_changed),
        Notice::EmailChanged { .. } => (MailKind::EmailChanged, wanted.email_changed),
        Notice::PhoneChanged { .. } => (MailKind::PhoneChanged, wanted.phone_changed),
        Notice::NewDevice { .. } => (MailKind::NewDevice, wanted.new_device),
        Notice::FactorAdded { .. } => (MailKind::FactorAdded, wanted.factors),
        Notice::FactorRemoved { .. } => (MailKind::FactorRemoved, wanted.factors),
    };
    if !is_wanted || user.email.is_none() || user.email_confirmed_at.is_none() {
        return Ok(None);
    }
    let mut mail = AuthMail::to_user(kind, user);
    match notice {
        Notice::PasswordChanged => {}
        Notice::EmailChanged { old, new } => {
            mail.to.clone_from(&old);
            mail.email = old;
            mail.new_email = new;
        }
        Notice::PhoneChanged { new } => mail.new_phone = format!("+{new}"),
        Notice::NewDevice { device } => mail.device = device,
        Notice::FactorAdded { factor } | Notice::FactorRemoved { factor } => mail.factor = factor,
    }
    app.jobs.prepare(tenant.id, &mail).map(Some)
}
