//! The master key, and what is sealed with it.

use std::{fs, io::Write as _, path::Path};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
};

use super::token::{base64url, from_base64url, hex, random};
use crate::error::{Error, Result};

/// The key that seals every secret at rest (AES-256-GCM). It is a file of its own, never in the database.
pub struct MasterKey {
    key: LessSafeKey,
    mac: hmac::Key,
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey([hidden])")
    }
}

impl MasterKey {
    /// Reads the key's file; `None` when there is none.
    ///
    /// # Errors
    /// A file that others can read, or that holds no key, is refused with the cure.
    pub fn load(path: &Path) -> Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::invalid("master_key_file", format!("{} can't be read: {error}", path.display()))),
        };
        refuse_if_others_can_read(path)?;
        let bytes = from_base64url(text.trim()).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let bytes = bytes
            .ok_or_else(|| Error::invalid("master_key_file", format!("{} does not hold a master key: 32 bytes in base64url", path.display())))?;
        Ok(Some(Self::new(&bytes)))
    }

    /// Reads the key's file, or makes it with mode 0600. Processes that start together get the same key.
    pub fn load_or_create(path: &Path) -> Result<Self> {
        if let Some(key) = Self::load(path)? {
            return Ok(key);
        }
        create(path).map_err(|error| Error::invalid("master_key_file", format!("{} can't be made: {error}", path.display())))?;
        Self::load(path)?.ok_or_else(|| Error::invalid("master_key_file", format!("{} was removed while it was made", path.display())))
    }

    /// A key from its 32 bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, bytes).expect("AES-256 takes 32 bytes");
        // A key of its own: one that seals should do nothing else.
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes), b"basalt mac");
        Self { key: LessSafeKey::new(key), mac: hmac::Key::new(hmac::HMAC_SHA256, mac.as_ref()) }
    }

    /// The keyed hash of a secret of one place, for secrets so short that a plain hash could be undone by trying them all.
    pub fn mac(&self, place: &str, secret: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.mac);
        context.update(&u64::try_from(place.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(place.as_bytes());
        context.update(secret);
        context.sign().as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
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

/// Makes the file whole or not at all, on disk before anything is sealed with it. Who comes second keeps what the first one made.
fn create(path: &Path) -> std::io::Result<()> {
    let draft = path.with_extension(format!("{}.new", hex(&random::<8>())));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    let written = file.write_all(base64url(&random::<32>()).as_bytes()).and_then(|()| file.sync_all());
    // Unlike a rename, a link does not replace what is there.
    let linked = written.and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_directory(path),
    }
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    fs::File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn refuse_if_others_can_read(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)?.permissions().mode() & 0o777;
    let of_others = mode & 0o077;
    if of_others == 0 {
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
    fn those_who_start_together_get_the_same_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let keys: Vec<MasterKey> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| MasterKey::load_or_create(&path).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let sealed = keys[0].seal("place", b"secret");
        assert!(keys.iter().all(|key| key.open("place", &sealed).is_ok()));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn a_keyed_digest_belongs_to_one_key_and_one_place() {
        let key = MasterKey::new(&[7; 32]);
        assert_eq!(key.mac("a", b"bc"), MasterKey::new(&[7; 32]).mac("a", b"bc"));
        assert_ne!(key.mac("a", b"bc"), key.mac("ab", b"c"));
        assert_ne!(key.mac("a", b"bc"), MasterKey::new(&[8; 32]).mac("a", b"bc"));
    }

    #[test]
    fn what_is_sealed_for_one_place_does_not_open_at_another() {
        let key = MasterKey::new(&[7; 32]);
        let sealed = key.seal("signing_keys/1/a", b"secret");
        assert_eq!(key.open("signing_keys/1/a", &sealed).unwrap(), b"secret");
        assert!(key.open("signing_keys/2/a", &sealed).is_err());
        assert!(MasterKey::new(&[8; 32]).open("signing_keys/1/a", &sealed).is_err());
    }
}
