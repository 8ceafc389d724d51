//! Users and their sessions, and who is behind a request.
//!
//! Every other room asks [`Caller`]: it has checked key and token, and what it says is true now, not when the token was made.
//! Rules: a password is hashed before a transaction opens; there is no row for a refresh token, its session counts; what an admin or the
//! user changes is felt at the next request, for nothing that can change is believed from a token.
//!
//! Start with `caller.rs`, then the flows in the order a user meets them: `sign_up.rs`, `sign_in.rs`, `refresh.rs`, `user.rs`,
//! `sign_out.rs`; what an admin does is in `admin.rs`. What a mail or message carries is in `one_time_token.rs`: who has an address asks for it
//! (`ask.rs`), and shows it (`verify.rs`). Second factors are in `factors/`, and what is signed in with instead of a password in files of
//! its own.

mod admin;
mod api;
mod ask;
mod audit;
mod authorize;
mod ban;
mod callback;
mod caller;
mod caller_error;
mod captcha;
mod contact;
mod create_user;
mod email;
mod error;
mod factors;
mod flow_state;
mod generate_link;
mod hooks;
mod id_token_sign_in;
mod identities;
mod import;
mod invite;
mod limits;
mod link;
mod linking;
mod mails;
mod message;
mod model;
mod notice;
mod off;
mod one_time_token;
mod otp;
mod parameters;
mod passkeys;
mod password;
mod phone;
mod provider;
mod reauthenticate;
mod recover;
mod redirect;
mod refresh;
mod refresh_token;
mod request;
mod resend;
mod session;
mod session_end;
mod sessions;
mod sign_in;
mod sign_out;
mod sign_up;
mod sms;
mod sql;
mod sweep;
mod take_over;
mod user;
mod verify;
mod webauthn;

use utoipa_axum::{router::OpenApiRouter, routes};

use self::provider::custom;
pub use self::{
    caller::{Caller, CurrentTenant, Principal, Roles, ScopedKey, SignedIn, VerifiedTokens},
    caller_error::CallerError,
    create_user::{NewPassword, NewUser, create_user},
    error::{AuthCode, AuthError, AuthErrorBody},
    factors::{Factor, FactorStatus, FactorType},
    import::{FirebaseHash, RefusedRecord, Source, UserImport, UserReport, import_users},
    limits::Limits,
    model::{Identity, Metadata, Session, User},
    password::{ListReport, Owner, PasswordLists, build_password_list, check_password},
    provider::ProviderKeys,
    sql::delete_rows_of,
    sweep::{SWEEP_EVERY, keep_swept},
};
use crate::{app::App, jobs::Registry};

/// The routes of this room.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(api::get_auth_health))
        .routes(routes!(api::get_auth_settings))
        .routes(routes!(api::get_key_set))
        .routes(routes!(sign_up::sign_up_user))
        .routes(routes!(sign_in::create_token))
        .routes(routes!(otp::request_otp))
        .routes(routes!(otp::request_magic_link))
        .routes(routes!(recover::request_recovery))
        .routes(routes!(resend::resend))
        .routes(routes!(verify::follow_link, verify::verify_token))
        .routes(routes!(verify::confirm_link))
        .routes(routes!(reauthenticate::reauthenticate))
        .routes(routes!(invite::invite_user))
        .routes(routes!(generate_link::generate_link))
        .routes(routes!(user::get_user, user::update_user))
        .routes(routes!(sign_out::delete_sessions))
        .routes(routes!(authorize::authorize_user))
        .routes(routes!(callback::finish_authorization, callback::finish_authorization_by_form))
        .routes(routes!(authorize::link_identity))
        .routes(routes!(identities::unlink_identity))
        .routes(routes!(admin::list_users, admin::create_user))
        .routes(routes!(audit::list_audit_entries))
        .routes(routes!(admin::get_user_by_id, admin::update_user_by_id, admin::delete_user_by_id))
        .merge(factors::router())
        .merge(passkeys::router())
        .merge(sessions::router())
        .routes(routes!(custom::list_custom_providers, custom::create_custom_provider))
        .routes(routes!(custom::get_custom_provider, custom::update_custom_provider, custom::delete_custom_provider))
        .routes(routes!(api::get_openid_configuration))
        .merge(off::router())
}

/// The kinds of jobs of this room.
pub fn jobs(registry: Registry) -> Registry {
    registry.job::<ask::Ask>().job::<message::AuthMail>().job::<sms::Sms>().job::<hooks::UserCreated>()
}
