//! Password hashes that other products made: bcrypt, scrypt, Firebase's scrypt, PBKDF2. They are verified until their user signs in; then Argon2id
//! takes their place.
//!
//! Products spell the same thing differently. [`canonical`] brings each to one form; that is what is stored, and all that [`Foreign`] reads:
//!
//! - `$2a$`, `$2b$`, `$2y$…`: bcrypt, as everybody spells it
//! - `$scrypt$ln=15,r=8,p=1$SALT$HASH` and `$pbkdf2-sha256$i=600000,l=32$SALT$HASH` (or `-sha1`, `-sha512`): PHC strings
//! - `$fbscrypt$v=1,n=14,r=8,p=1,ss=SEPARATOR,sk=SIGNER$SALT$HASH`: Firebase's, as Supabase Auth spells it
//!
//! Each is bounded in memory and time, so that a stored hash can't be made to stop us.

use std::{fmt::Write as _, num::NonZeroU32};

use aws_lc_rs::{
    cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey},
    iv::FixedLength,
    pbkdf2,
};
use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::token::same;
use crate::error::{Error, Result};

/// The longest text of a hash.
const LONGEST: usize = 2048;
/// Two to this power of rounds: two seconds of work.
const MOST_BCRYPT_COST: u32 = 15;
/// Blocks of 128 bytes that scrypt may fill (256 MiB), and how often all of them together.
const MOST_SCRYPT_BLOCKS: u64 = 1 << 21;
const MOST_SCRYPT_WORK: u64 = 1 << 22;
/// Rounds of PBKDF2, all blocks of its output together.
const MOST_PBKDF2_ROUNDS: u64 = 5_000_000;
/// Bytes of a hash: fewer could be met by chance.
const SHORTEST_OUTPUT: usize = 16;
const LONGEST_OUTPUT: usize = 128;

/// Takes base64 with and without padding, as the products write it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A hash that another product made, taken apart.
pub(super) enum Foreign {
    Bcrypt(String),
    Scrypt { params: scrypt::Params, salt: Vec<u8>, expected: Vec<u8> },
    Firebase { params: scrypt::Params, salt: Vec<u8>, signer: Vec<u8>, expected: Vec<u8> },
    Pbkdf2 { algorithm: pbkdf2::Algorithm, rounds: NonZeroU32, salt: Vec<u8>, expected: Vec<u8> },
}

impl Foreign {
    /// Reads a hash; `None` when it is none of these.
    pub(super) fn read(text: &str) -> Option<Result<Self>> {
        let kind = text.strip_prefix('$')?.split('$').next()?;
        if text.len() > LONGEST {
            return Some(Err(refused("is too long")));
        }
        match kind {
            "2a" | "2b" | "2y" => Some(read_bcrypt(text)),
            "scrypt" => Some(read_scrypt(text)),
            "fbscrypt" => Some(read_firebase(text)),
            "pbkdf2-sha1" | "pbkdf2-sha256" | "pbkdf2-sha512" => Some(read_pbkdf2(kind, text)),
            _ => None,
        }
    }

    /// Whether this is the password. Compared in constant time; how long it takes, the hash says.
    pub(super) fn verify(&self, password: &[u8]) -> Result<bool> {
        match self {
            // Of a longer password bcrypt has only ever seen the first 72 bytes.
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).map_err(|error| refused(&error.to_string())),
            Self::Scrypt { params, salt, expected } => {
                let mut output = vec![0; expected.len()];
                scrypt::scrypt(password, salt, params, &mut output).map_err(|error| refused(&error.to_string()))?;
                Ok(same(&output, expected))
            }
            Self::Firebase { params, salt, signer, expected } => {
                let mut key = [0; 32];
                scrypt::scrypt(password, salt, params, &mut key).map_err(|error| refused(&error.to_string()))?;
                Ok(same(&sign_as_firebase(&key, signer)?, expected))
            }
            Self::Pbkdf2 { algorithm, rounds, salt, expected } => Ok(pbkdf2::verify(*algorithm, *rounds, salt, password, expected).is_ok()),
        }
    }
}

/// Brings a hash that somebody else spelt to the form that is stored. What is none of the known spellings comes back as it is.
pub(super) fn canonical(text: &str) -> Result<String> {
    let text = text.trim();
    if text.len() > LONGEST {
        return Err(refused("is too long"));
    }
    let parts: Vec<&str> = text.split('$').collect();
    match parts.as_slice() {
        // Django writes the name of its own class before the hash.
        ["argon2" | "bcrypt", ..] => Ok(format!("${}", text.split_once('$').map_or("", |(_, hash)| hash).trim_start_matches('$'))),
        [name @ ("pbkdf2_sha1" | "pbkdf2_sha256" | "pbkdf2_sha512"), rounds, salt, hash] => {
            pbkdf2_text(&name.replace('_', "-"), rounds, salt.as_bytes(), &decode(hash)?)
        }
        ["scrypt", n, salt, r, p, hash] => {
            let n: u64 = number(n)?;
            if !n.is_power_of_two() {
                return Err(refused("has a cost that is no power of two"));
            }
            scrypt_text(n.ilog2(), number(r)?, number(p)?, salt.as_bytes(), &decode(hash)?)
        }
        // Passlib: no names of parameters, and "." where base64 has "+".
        ["", name @ ("pbkdf2" | "pbkdf2-sha256" | "pbkdf2-sha512"), rounds, salt, hash] if rounds.bytes().all(|byte| byte.is_ascii_digit()) => {
            let plain = |text: &str| decode(&text.replace('.', "+"));
            pbkdf2_text(if *name == "pbkdf2" { "pbkdf2-sha1" } else { name }, rounds, &plain(salt)?, &plain(hash)?)
        }
        _ => Ok(text.to_owned()),
    }
}

/// The stored form of a hash by PBKDF2. `name` is `pbkdf2-sha1`, `pbkdf2-sha256` or `pbkdf2-sha512`.
pub fn pbkdf2_text(name: &str, rounds: &str, salt: &[u8], hash: &[u8]) -> Result<String> {
    let rounds: u32 = number(rounds)?;
    let mut text = format!("${name}$i={rounds},l={}$", hash.len());
    let _ = write!(text, "{}${}", BASE64.encode(salt), BASE64.encode(hash));
    Ok(text)
}

/// The stored form of a hash by scrypt.
pub fn scrypt_text(log_n: u32, r: u32, p: u32, salt: &[u8], hash: &[u8]) -> Result<String> {
    Ok(format!("$scrypt$ln={log_n},r={r},p={p}${}${}", BASE64.encode(salt), BASE64.encode(hash)))
}

fn read_bcrypt(text: &str) -> Result<Foreign> {
    let cost = text.get(4..6).and_then(|cost| cost.parse::<u32>().ok()).filter(|_| text.len() == 60 && text.as_bytes()[6] == b'$');
    match cost {
        Some(4..=MOST_BCRYPT_COST) => Ok(Foreign::Bcrypt(text.to_owned())),
        Some(_) => Err(too_dear()),
        None => Err(refused("is no whole hash of bcrypt")),
    }
}

fn read_scrypt(text: &str) -> Result<Foreign> {
    let (params, salt, expected) = fields(text)?;
    Ok(Foreign::Scrypt { params: scrypt_params(&params, "ln")?, salt: decode(salt)?, expected: output(expected)? })
}

fn read_firebase(text: &str) -> Result<Foreign> {
    let (params, salt, expected) = fields(text)?;
    if find(&params, "v")? != "1" {
        return Err(refused("is of a version of Firebase's scrypt that is not known"));
    }
    let separator = find(&params, "ss").map_or_else(|_| Ok(Vec::new()), decode)?;
    let signer = decode(find(&params, "sk")?)?;
    let salt = [decode(salt)?, separator].concat();
    let expected = output(expected)?;
    if signer.len() != expected.len() {
        return Err(refused("is not as long as its signer key, so it was made with another"));
    }
    Ok(Foreign::Firebase { params: scrypt_params(&params, "n")?, salt, signer, expected })
}

fn read_pbkdf2(kind: &str, text: &str) -> Result<Foreign> {
    let (params, salt, expected) = fields(text)?;
    let (algorithm, block) = match kind {
        "pbkdf2-sha1" => (pbkdf2::PBKDF2_HMAC_SHA1, 20),
        "pbkdf2-sha256" => (pbkdf2::PBKDF2_HMAC_SHA256, 32),
        _ => (pbkdf2::PBKDF2_HMAC_SHA512, 64),
    };
    let rounds: NonZeroU32 = number(find(&params, "i")?)?;
    let expected = output(expected)?;
    if u64::from(rounds.get()) * expected.len().div_ceil(block) as u64 > MOST_PBKDF2_ROUNDS {
        return Err(too_dear());
    }
    Ok(Foreign::Pbkdf2 { algorithm, rounds, salt: decode(salt)?, expected })
}

/// What Firebase stores: its signer key, encrypted with what scrypt makes of the password.
fn sign_as_firebase(key: &[u8; 32], signer: &[u8]) -> Result<Vec<u8>> {
    let broken = |_| Error::internal("AES-CTR refused a key of 32 bytes");
    let key = UnboundCipherKey::new(&AES_256, key).and_then(EncryptingKey::ctr).map_err(broken)?;
    let mut output = signer.to_vec();
    let counter = EncryptionContext::Iv128(FixedLength::from([0; 16]));
    key.less_safe_encrypt(&mut output, counter).map_err(broken)?;
    Ok(output)
}

type Params<'t> = Vec<(&'t str, &'t str)>;

/// `$kind$name=value,…$salt$hash`
fn fields(text: &str) -> Result<(Params<'_>, &str, &str)> {
    let parts: Vec<&str> = text.split('$').collect();
    let ["", _, params, salt, hash] = parts.as_slice() else { return Err(refused("has not the parts that belong to it")) };
    Ok((params.split(',').filter_map(|pair| pair.split_once('=')).collect(), salt, hash))
}

fn find<'t>(params: &Params<'t>, name: &str) -> Result<&'t str> {
    let found = params.iter().find(|(key, _)| *key == name);
    found.map(|(_, value)| *value).ok_or_else(|| refused(&format!("has no parameter \"{name}\"")))
}

fn scrypt_params(params: &Params<'_>, cost: &str) -> Result<scrypt::Params> {
    let (log_n, r, p): (u8, u32, u32) = (number(find(params, cost)?)?, number(find(params, "r")?)?, number(find(params, "p")?)?);
    let blocks = 1_u64.checked_shl(u32::from(log_n)).and_then(|n| n.checked_mul(u64::from(r))).unwrap_or(u64::MAX);
    if log_n == 0 || log_n > 30 || blocks > MOST_SCRYPT_BLOCKS || blocks.saturating_mul(u64::from(p)) > MOST_SCRYPT_WORK {
        return Err(too_dear());
    }
    scrypt::Params::new(log_n, r, p).map_err(|error| refused(&error.to_string()))
}

fn output(text: &str) -> Result<Vec<u8>> {
    let bytes = decode(text)?;
    if (SHORTEST_OUTPUT..=LONGEST_OUTPUT).contains(&bytes.len()) { Ok(bytes) } else { Err(refused("is too short or too long")) }
}

fn decode(text: &str) -> Result<Vec<u8>> {
    BASE64.decode(text).map_err(|_| refused("has a part that is not base64"))
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N> {
    text.parse().map_err(|_| refused("has a parameter that is not a number in range"))
}

fn refused(why: &str) -> Error {
    Error::invalid("password_hash", format!("the hash {why}"))
}

fn too_dear() -> Error {
    refused("asks for more work than is allowed, or for none")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_password(hash: &str, password: &str) -> bool {
        let hash = canonical(hash).unwrap();
        Foreign::read(&hash).unwrap().unwrap().verify(password.as_bytes()).unwrap()
    }

    /// Made by the products themselves, or by their published examples.
    const KNOWN: [(&str, &str); 10] = [
        // John the Ripper's.
        ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
        ("$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e", "correct horse"),
        // Firebase's own example (github.com/firebase/scrypt).
        (
            "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==\
             $42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==",
            "user1password",
        ),
        // RFC 7914, 12.
        ("$scrypt$ln=10,r=8,p=16$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLiKjiG/xCSedmDDaxyevuUqD7m2DYMvfoswGQA", "password"),
        // RFC 6070, 2.
        ("$pbkdf2-sha1$i=4096,l=20$c2FsdA$SwB5AbdlSJq+rUnZJvch0GWkKcE", "password"),
        (
            "$pbkdf2-sha512$i=1000,l=64$c2Vhc2FsdA$CBx2rkpvjyEAoopNVuRZWOOxTTRwoV6JjrHARZAmWoRGf7Bll/+N6ttV/4gWvtd16NJ94OpVpZHm44IdMrFULg",
            "correct horse",
        ),
        // Django.
        ("pbkdf2_sha256$1000$seasalt$mQnueSakb748zqBAC1tmWVZsZbi2zPGZarEzTGdfmso=", "correct horse"),
        ("pbkdf2_sha1$1000$seasalt$iQvkNOF1wEL4Khh8eogJ8rUhipM=", "correct horse"),
        ("scrypt$1024$seasalt$8$1$b9vqOe0B5HZh2f10Q9RPN9OFNPtmb+ezp5YOlnZsJQ0vQ5I3eq8Zt7GFMuqQ58xCxTIvVL1QCL/PTXEWr+RNHA==", "correct horse"),
        // Passlib.
        ("$pbkdf2-sha256$1000$c2Vhc2FsdA$mQnueSakb748zqBAC1tmWVZsZbi2zPGZarEzTGdfmso", "correct horse"),
    ];

    #[test]
    fn what_others_made_is_verified() {
        for (hash, password) in KNOWN {
            assert!(is_password(hash, password), "{hash}");
            assert!(!is_password(hash, "another"), "{hash}");
        }
    }

    #[test]
    fn bcrypt_has_seen_72_bytes() {
        let hash = "$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i";
        assert!(is_password(hash, &"x".repeat(80)) && is_password(hash, &"x".repeat(72)) && !is_password(hash, &"x".repeat(71)));
    }

    #[test]
    fn a_hash_can_not_ask_for_all_memory_or_time() {
        for greedy in [
            "$2b$16$abcdefghijklmnopqrstuuVTDN3OL1mtcV2mPJEn9n1p2lfcTLLQi",
            "$2b$04$abc",
            "$scrypt$ln=22,r=8,p=1$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWI",
            "$scrypt$ln=17,r=8,p=64$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWI",
            "$scrypt$ln=0,r=8,p=1$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWI",
            "$scrypt$ln=64,r=8,p=1$TmFDbA$/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWI",
            "$scrypt$ln=10,r=8,p=1$TmFDbA$AA",
            "$fbscrypt$v=2,n=14,r=8,p=1,ss=Bw==,sk=jxspr8Ki0RYycVU8zykbdA==$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9A==",
            "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9A==",
            "$pbkdf2-sha256$i=4294967295,l=32$c2FsdA$mQnueSakb748zqBAC1tmWVZsZbi2zPGZarEzTGdfmso",
            "$pbkdf2-sha256$i=0,l=32$c2FsdA$mQnueSakb748zqBAC1tmWVZsZbi2zPGZarEzTGdfmso",
            "$pbkdf2-sha256$i=1000$c2FsdA",
        ] {
            assert!(Foreign::read(greedy).unwrap().is_err(), "{greedy}");
        }
        for unknown in ["", "$", "$1$salt$hash", "{SHA}x", "5f4dcc3b5aa765d61d8327deb882cf99", "$argon2d$v=19$m=8,t=1,p=1$c2FsdA$AAAA"] {
            assert!(Foreign::read(unknown).is_none(), "{unknown}");
        }
    }
}
