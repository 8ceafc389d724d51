//! Users and their sessions, and who is behind a request.
//!
//! Every other room asks [`Caller`]: it has checked key and token, and what it says is true now, not when the token was made.
//! Rules: a password is hashed before a transaction opens; there is no row for a refresh token, its session counts; what an admin or the
//! user changes is felt at the next request, for nothing that can change is believed from a token.
//!
//! Start with `caller.rs`, then the flows in the order a user meets them: `sign_up.rs`, `sign_in.rs`, `refresh.rs`, `user.rs`,
//! `sign_out.rs`; what an admin does is in `admin.rs`. Second factors are in `factors/`, and what is signed in with instead of a password
//! in files of its own.

mod admin;
mod api;
mod audit;
mod ban;
mod caller;
mod caller_error;
mod create_user;
mod email;
mod error;
mod factors;
#[expect(dead_code, reason = "the flows by mail and by providers begin with it")]
mod flow_state;
mod import;
mod model;
mod passkeys;
#[expect(dead_code, reason = "the flows by mail and by providers end with it")]
mod redirect;
mod refresh;
mod refresh_token;
mod request;
mod session;
mod session_end;
mod sessions;
mod sign_in;
mod sign_out;
mod sign_up;
mod sql;
mod user;
mod webauthn;

use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::{
    caller::{Caller, CurrentTenant, Principal, Roles, ScopedKey, SignedIn, VerifiedTokens},
    caller_error::CallerError,
    create_user::{NewPassword, NewUser, create_user},
    error::{AuthCode, AuthError, AuthErrorBody},
    factors::{Factor, FactorStatus, FactorType},
    import::{FirebaseHash, RefusedRecord, Source, UserImport, UserReport, import_users},
    model::{Identity, Metadata, Session, User},
    request::check_password,
    sql::delete_rows_of,
};
use crate::app::App;

/// The routes of this room.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(api::get_auth_health))
        .routes(routes!(api::get_auth_settings))
        .routes(routes!(api::get_key_set))
        .routes(routes!(sign_up::sign_up_user))
        .routes(routes!(sign_in::create_token))
        .routes(routes!(user::get_user, user::update_user))
        .routes(routes!(sign_out::delete_sessions))
        .routes(routes!(admin::list_users, admin::create_user))
        .routes(routes!(audit::list_audit_entries))
        .routes(routes!(admin::get_user_by_id, admin::update_user_by_id, admin::delete_user_by_id))
        .merge(factors::router())
        .merge(passkeys::router())
        .merge(sessions::router())
}
