//! What mails say in English.

use super::{Texts, Words};
use crate::tenants::MailKind;

pub(super) const TEXTS: Texts = Texts {
    or_code: "Or enter this code:",
    only_code: "Your code:",
    not_asked: "If you did not ask for this, you can leave this mail unanswered: nothing will happen.",
    not_you: "If this was not you, choose a new password at once, and tell who runs the app.",
    mails,
};

fn mails(kind: MailKind) -> Words {
    match kind {
        MailKind::Confirmation => Words(
            "Confirm your mail address",
            "Somebody, we hope you, made an account with {{ email }}. Confirm that the address is yours.",
            "Confirm address",
        ),
        MailKind::Invite => {
            Words("You are invited", "An account was made for you with {{ email }}. Accept the invitation to use it.", "Accept invitation")
        }
        MailKind::MagicLink => Words("Sign in", "Here is the link that signs you in. It works once.", "Sign in"),
        MailKind::Recovery => Words(
            "Choose a new password",
            "You said that you lost your password. This link signs you in once, so that you can choose another one.",
            "Choose new password",
        ),
        MailKind::EmailChange => Words(
            "Confirm your new mail address",
            "Your account is to have the address {{ new_email }}{% if email %} instead of {{ email }}{% endif %}. Confirm that the new address is yours.",
            "Confirm new address",
        ),
        MailKind::EmailChangeCurrent => Words(
            "Agree to your new mail address",
            "Your account is to have the address {{ new_email }} instead of {{ email }}. If that is what you want, agree to it.",
            "Agree",
        ),
        MailKind::Reauthentication => Words("Your code", "Enter this code to show that it is you.", ""),
        MailKind::AccountExists => Words(
            "You already have an account",
            "Somebody, perhaps you, tried to make an account with {{ email }}. There is one already: sign in with it, or ask for a new password if you lost yours.",
            "",
        ),
        MailKind::PasswordChanged => Words("Your password was changed", "The password of your account {{ email }} was changed.", ""),
        MailKind::EmailChanged => {
            Words("Your mail address was changed", "Your account has the address {{ new_email }} now, instead of {{ email }}.", "")
        }
        MailKind::PhoneChanged => Words("Your phone number was changed", "Your account {{ email }} has the phone number {{ new_phone }} now.", ""),
        MailKind::NewDevice => {
            Words("New sign-in", "Somebody signed in to your account {{ email }} from a place that we have not seen before: {{ device }}", "")
        }
        MailKind::FactorAdded => Words("A second factor was added", "A second factor ({{ factor }}) was added to your account {{ email }}.", ""),
        MailKind::FactorRemoved => {
            Words("A second factor was removed", "A second factor ({{ factor }}) was removed from your account {{ email }}.", "")
        }
        MailKind::RecoveryCodesMade => {
            Words("New recovery codes were made", "New recovery codes were made for your account {{ email }}. Older ones are no longer good.", "")
        }
        MailKind::PasskeyAdded => {
            Words("A passkey was added", "A passkey ({{ passkey }}) was added to your account {{ email }}. Whoever has it can sign in.", "")
        }
        MailKind::PasskeyRemoved => Words("A passkey was removed", "A passkey ({{ passkey }}) was removed from your account {{ email }}.", ""),
        MailKind::IdentityLinked => {
            Words("A way to sign in was added", "Your account {{ email }} can be signed in to by way of {{ provider }} now.", "")
        }
        MailKind::IdentityUnlinked => {
            Words("A way to sign in was removed", "Your account {{ email }} can no longer be signed in to by way of {{ provider }}.", "")
        }
    }
}
