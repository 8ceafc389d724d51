//! Users and their sessions, and who is behind a request.
//!
//! Every other room asks [`Caller`]: it has checked key and token, and what it says is true now, not when the token was made.

mod caller;
mod sql;

pub use self::caller::{Caller, CallerError, CurrentTenant, Principal, Roles, ScopedKey, SignedIn, VerifiedTokens};
