//! Lists of passwords that nobody should choose, as files of the operator's: gigabytes of hashes, made small once and looked at in one place.
//!
//! A file is a row of filters, each for the passwords whose SHA-1 begins alike, so that a look takes one short read and no memory
//! in between. A filter is right about what is in it; of what is not, it takes one in 65,536 for a thing that is.
//!
//! ```text
//! 16 bytes  "basalt passwords"
//!  4 bytes  the version of this form, 1
//!  4 bytes  bits: how many bits of a hash choose its filter
//!  8 bytes  how many passwords there are
//!  8 bytes  where each filter begins, 2^bits times, and where the last one ends
//!           the filters: 20 bytes that describe it, then 2 bytes for each of its places
//! ```
//!
//! All numbers are little-endian. `build.rs` makes such a file.

mod build;

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use xorf::{BinaryFuse16, Descriptor, Filter as _};

pub use self::build::{ListReport, build_password_list};
use super::sha1;
use crate::error::{Error, Result};

const MAGIC: &[u8; 16] = b"basalt passwords";
const VERSION: u32 = 1;
const HEADER: u64 = 32;
/// Bits that choose a filter: at least so many, since a build is cut into 256 parts; at most so many, for thirty thousand million passwords.
const BITS: std::ops::RangeInclusive<u32> = 8..=20;
const DESCRIPTOR: usize = 20;
/// Bytes of a filter that are believed. It has some 80 KiB, and more where a build got only the beginning of what there is.
const LARGEST: u64 = 1 << 26;

/// The operator's lists. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct PasswordLists(Arc<[PathBuf]>);

impl PasswordLists {
    /// Lists at these places, after a look whether they are lists.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        for path in paths {
            let refuse = |error: io::Error| Error::invalid("auth.password_lists", format!("{}: {error}", path.display()));
            List::open(path).map_err(refuse)?;
        }
        Ok(Self(paths.into()))
    }

    /// Whether a password is in one of them. A list that was put in another's place is felt at once.
    pub async fn contain(&self, password: &str) -> Result<bool> {
        if self.0.is_empty() {
            return Ok(false);
        }
        let (paths, key) = (Arc::clone(&self.0), key_of(sha1(password)));
        tokio::task::spawn_blocking(move || {
            for path in paths.iter() {
                let found = List::open(path).and_then(|mut list| list.contains(key));
                if found.map_err(|error| Error::internal(format!("the password list {}: {error}", path.display())))? {
                    return Ok(true);
                }
            }
            Ok(false)
        })
        .await?
    }
}

/// The first bytes of a hash, as a number that sorts as they do.
fn key_of(hash: [u8; 20]) -> u64 {
    u64::from_be_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]])
}

/// The filter that a key belongs to.
fn shard_of(key: u64, bits: u32) -> u64 {
    key >> (u64::BITS - bits)
}

/// Where the place of a filter stands.
fn index_of(shard: u64) -> u64 {
    HEADER + shard * 8
}

/// A file that is one.
struct List {
    file: File,
    bits: u32,
}

impl List {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut header = [0; 24];
        let is_list = file.read_exact(&mut header).is_ok() && header.starts_with(MAGIC) && number(&header[16..20]) == u64::from(VERSION);
        let bits = u32::try_from(number(&header[20..24])).unwrap_or_default();
        if !is_list || !BITS.contains(&bits) {
            return Err(broken("this is no list of passwords; make one with: basalt password-list build"));
        }
        Ok(Self { file, bits })
    }

    fn contains(&mut self, key: u64) -> io::Result<bool> {
        let shard = shard_of(key, self.bits);
        let mut places = [0; 16];
        self.file.seek(SeekFrom::Start(index_of(shard)))?;
        self.file.read_exact(&mut places)?;
        let (from, to) = (number(&places[..8]), number(&places[8..]));
        let Some(length) = to.checked_sub(from).filter(|length| *length <= LARGEST) else { return Err(broken("its index is damaged")) };
        if length == 0 {
            return Ok(false);
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        self.file.seek(SeekFrom::Start(from))?;
        self.file.read_exact(&mut bytes)?;
        Ok(read_filter(&bytes).ok_or_else(|| broken("a filter is damaged"))?.contains(&key))
    }
}

/// A filter, if it is one that never looks outside of itself.
fn read_filter(bytes: &[u8]) -> Option<BinaryFuse16> {
    let (described, places) = bytes.split_at_checked(DESCRIPTOR)?;
    let (seed, rest) = described.split_at(8);
    let part = |at: usize| u32::try_from(number(&rest[at..at + 4])).ok();
    let descriptor = Descriptor { seed: number(seed), segment_length: part(0)?, segment_length_mask: part(4)?, segment_count_length: part(8)? };
    let fingerprints: Box<[u16]> = places.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let Descriptor { segment_length, segment_length_mask, segment_count_length, .. } = descriptor;
    // A key has a place in each of three segments that follow one another; the first of them begins below `segment_count_length`.
    let is_sound = segment_length.is_power_of_two()
        && segment_length_mask == segment_length - 1
        && segment_count_length > 0
        && segment_count_length % segment_length == 0
        && u64::from(segment_count_length) + 2 * u64::from(segment_length) <= fingerprints.len() as u64;
    is_sound.then_some(BinaryFuse16 { descriptor, fingerprints })
}

/// At most eight bytes as a number.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
