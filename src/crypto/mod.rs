//! Secrets: sealed at rest, hashed where they only need to be recognised, made at random.
//!
//! Everything is done by aws-lc-rs, `argon2` and, for hashes from elsewhere, `bcrypt` and `scrypt`; here is only which of it is used, and how.

mod foreign;
mod password;
mod seal;
mod token;

pub use self::{
    foreign::{pbkdf2_text, scrypt_text},
    password::{PasswordSettings, Passwords, Verified},
    seal::MasterKey,
    token::{base64, base64url, from_base64, from_base64url, hex, random, same, sha256},
};
