//! Secrets: sealed at rest, hashed where they only need to be recognised, made at random.
//!
//! Everything is done by aws-lc-rs and `argon2`; here is only which of it is used, and how.

mod password;
mod seal;
mod token;

pub use self::{
    password::{PasswordSettings, Passwords, Verified},
    seal::MasterKey,
    token::{base64url, from_base64url, hex, random, same, sha256},
};
