//! The master key, and what is sealed with it.

use std::{fs, io::Write as _, path::Path};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::token::{base64url, from_base64url, random};
use crate::error::{Error, Result};

/// The key that seals every secret at rest (AES-256-GCM). It is a file of its own, never in the database.
pub struct MasterKey {
    key: LessSafeKey,
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey([hidden])")
    }
}

impl MasterKey {
    /// Reads the key's file, or makes it with mode 0600.
    ///
    /// # Errors
    /// A file that others can read, or that holds no key, is refused with the cure.
    pub fn load_or_create(path: &Path) -> Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => {
                refuse_if_others_can_read(path)?;
                let bytes = from_base64url(text.trim()).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
                let bytes = bytes.ok_or_else(|| {
                    Error::invalid("master_key_file", format!("{} does not hold a master key: 32 bytes in base64url", path.display()))
                })?;
                Ok(Self::new(&bytes))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => create(path),
            Err(error) => Err(Error::invalid("master_key_file", format!("{} can't be read: {error}", path.display()))),
        }
    }

    /// A key from its 32 bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, bytes).expect("AES-256 takes 32 bytes");
        Self { key: LessSafeKey::new(key) }
    }

    /// Seals a secret for one place. `place` names it (`signing_keys/7/kid`): what is sealed for one place does not open at another.
    pub fn seal(&self, place: &str, secret: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = random();
        let mut sealed = secret.to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place.as_bytes()), &mut sealed)
            .expect("a secret is far shorter than what AES-GCM can seal");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Opens what [`Self::seal`] made for the same place.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let refusal = || Error::internal(format!("the secret of {place} does not open: it was sealed with another master key, or changed"));
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(refusal)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key.open_in_place(nonce, Aad::from(place.as_bytes()), &mut sealed).map_err(|_| refusal())?;
        Ok(opened.to_vec())
    }
}

fn create(path: &Path) -> Result<MasterKey> {
    let bytes: [u8; 32] = random();
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(base64url(&bytes).as_bytes())?;
    file.sync_all()?;
    Ok(MasterKey::new(&bytes))
}

#[cfg(unix)]
fn refuse_if_others_can_read(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(Error::invalid("master_key_file", format!("{path} has mode {mode:o}, so others can read it; run: chmod 600 {path}")))
}

#[cfg(not(unix))]
fn refuse_if_others_can_read(_path: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_for_one_place_does_not_open_at_another() {
        let key = MasterKey::new(&[7; 32]);
        let sealed = key.seal("signing_keys/1/a", b"secret");
        assert_eq!(key.open("signing_keys/1/a", &sealed).unwrap(), b"secret");
        assert!(key.open("signing_keys/2/a", &sealed).is_err());
        assert!(MasterKey::new(&[8; 32]).open("signing_keys/1/a", &sealed).is_err());
    }
}
