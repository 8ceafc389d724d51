//! Makes a list out of files: passwords, one a line, or what Have I Been Pwned hands out.
//!
//! However many there are, little is held at a time: hashes are put into 256 files by their first byte, and each of these becomes its
//! filters.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write},
    path::{Path, PathBuf},
};

use unicode_normalization::UnicodeNormalization as _;
use xorf::{BinaryFuse16, DmaSerializable as _};

use super::{BITS, DESCRIPTOR, MAGIC, VERSION, index_of, key_of, shard_of};
use crate::{
    auth::password::sha1,
    crypto::{hex, random},
    error::{Error, Result},
};

/// Passwords in a filter, about.
const SHARD: u64 = 1 << 15;
const PARTS: usize = 256;
/// Bytes of a line: no password that anybody can choose has more.
const LONGEST_LINE: usize = 1024;
/// How often is told how far it is.
const TOLD_EVERY: u64 = 100_000;

/// What a list was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListReport {
    /// Files that were read.
    pub files: usize,
    /// Different passwords in the list.
    pub passwords: u64,
    /// Lines that are no password: too long, or not UTF-8.
    pub left_out: u64,
    /// Bytes of the list.
    pub bytes: u64,
}

/// Makes the list `output` of `inputs`, which are files or directories of files, telling `progress` how many lines are read.
///
/// A line is a password, or the SHA-1 of one in hexadecimal, perhaps with a colon and how often it was seen; what was seen less than `at_least`
/// times is left out. In a file that is named for the first five digits of its hashes the lines have the rest of them.
pub fn build_password_list(inputs: &[PathBuf], output: &Path, at_least: u64, progress: impl FnMut(u64)) -> Result<ListReport> {
    let mut parts = Parts::make(output)?;
    let mut reading = Reading { parts: &mut parts, at_least, lines: 0, report: ListReport::default(), progress };
    for file in files_of(inputs)? {
        reading.file(&file).map_err(|error| Error::invalid("input", format!("{}: {error}", file.display())))?;
    }
    let report = reading.report;
    if parts.count == 0 {
        return Err(Error::invalid("input", "there is not one password in it"));
    }
    parts.finish(output, report)
}

/// The files, those in directories included.
fn files_of(inputs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for input in inputs {
        if input.is_dir() {
            for entry in fs::read_dir(input)? {
                let path = entry?.path();
                files.extend(path.is_file().then_some(path));
            }
        } else {
            files.push(input.clone());
        }
    }
    Ok(files)
}

struct Reading<'p, P> {
    parts: &'p mut Parts,
    at_least: u64,
    lines: u64,
    report: ListReport,
    progress: P,
}

impl<P: FnMut(u64)> Reading<'_, P> {
    fn file(&mut self, path: &Path) -> io::Result<()> {
        let stem = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let prefix = if stem.len() == 5 && is_hex(stem.as_bytes()) { stem } else { "" };
        let mut reader = BufReader::with_capacity(1 << 16, File::open(path)?);
        let mut line = Vec::with_capacity(LONGEST_LINE);
        while next_line(&mut reader, &mut line)? {
            self.lines += 1;
            if self.lines.is_multiple_of(TOLD_EVERY) {
                (self.progress)(self.lines);
            }
            match Line::read(&line, prefix) {
                Line::Password { key, seen } if seen >= self.at_least => self.parts.put(key)?,
                Line::Password { .. } | Line::Empty => {}
                Line::Ntlm => return Err(io::Error::new(io::ErrorKind::InvalidData, "these are NTLM hashes; take the file with those by SHA-1")),
                Line::Other => self.report.left_out += 1,
            }
        }
        self.report.files += 1;
        Ok(())
    }
}

/// Reads a line without its end. Of one that is too long only so much is kept that it is seen to be.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let most = LONGEST_LINE as u64 + 1;
    if reader.by_ref().take(most).read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    if line.len() as u64 == most && line.last() != Some(&b'\n') {
        reader.skip_until(b'\n')?;
    }
    while line.last().is_some_and(|byte| b"\r\n".contains(byte)) {
        line.pop();
    }
    Ok(true)
}

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Password {
        key: u64,
        seen: u64,
    },
    Empty,
    /// Another kind of hash of the same source.
    Ntlm,
    Other,
}

impl Line {
    fn read(line: &[u8], prefix: &str) -> Self {
        let (hash, seen) = match line.iter().rposition(|byte| *byte == b':') {
            Some(at) => (&line[..at], std::str::from_utf8(&line[at + 1..]).ok().and_then(|count| count.trim().parse().ok())),
            None => (line, Some(1)),
        };
        match (hash.len() + prefix.len(), seen) {
            (40, Some(seen)) if is_hex(hash) => {
                let digits = [prefix.as_bytes(), &hash[..16 - prefix.len()]].concat();
                let key = digits.iter().fold(0, |key, digit| key << 4 | u64::from(char::from(*digit).to_digit(16).unwrap_or_default()));
                return Self::Password { key, seen };
            }
            (32, Some(_)) if prefix.is_empty() && is_hex(hash) && hash.len() < line.len() => return Self::Ntlm,
            _ => {}
        }
        match std::str::from_utf8(line) {
            _ if line.is_empty() => Self::Empty,
            Ok(password) if line.len() <= LONGEST_LINE => Self::Password { key: key_of(sha1(&password.nfc().collect::<String>())), seen: u64::MAX },
            _ => Self::Other,
        }
    }
}

fn is_hex(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_hexdigit)
}

/// Hashes on their way, in files beside the list that is made, which go when this does.
struct Parts {
    directory: PathBuf,
    files: Vec<BufWriter<File>>,
    /// How many there are, those that came twice counted twice.
    count: u64,
}

impl Parts {
    fn make(output: &Path) -> Result<Self> {
        let directory = beside(output, "parts");
        let refuse = |error: io::Error| Error::invalid("output", format!("{} can't be made: {error}", directory.display()));
        fs::create_dir(&directory).map_err(refuse)?;
        let mut parts = Self { directory, files: Vec::new(), count: 0 };
        for number in 0..PARTS {
            parts.files.push(BufWriter::new(File::create(parts.path(number))?));
        }
        Ok(parts)
    }

    fn path(&self, number: usize) -> PathBuf {
        self.directory.join(format!("{number:02x}"))
    }

    fn put(&mut self, key: u64) -> io::Result<()> {
        self.count += 1;
        self.files[usize::from(key.to_be_bytes()[0])].write_all(&key.to_be_bytes())
    }

    /// Writes the list, and puts it in its place when it is whole.
    fn finish(mut self, output: &Path, mut report: ListReport) -> Result<ListReport> {
        for file in &mut self.files {
            file.flush()?;
        }
        let bits = (self.count / SHARD).max(1).next_power_of_two().ilog2().clamp(*BITS.start(), *BITS.end());
        let whole = beside(output, "new");
        let written = self.write(&whole, bits);
        let placed = written.and_then(|(passwords, bytes)| {
            report.passwords = passwords;
            report.bytes = bytes;
            fs::rename(&whole, output).map_err(Error::from)
        });
        if placed.is_err() {
            let _ = fs::remove_file(&whole);
        }
        placed.map(|()| report)
    }

    fn write(&self, path: &Path, bits: u32) -> Result<(u64, u64)> {
        let mut list = BufWriter::new(File::create(path)?);
        let shards = 1_u64 << bits;
        let mut places = Vec::with_capacity(usize::try_from(shards).unwrap_or_default() + 1);
        let mut at = index_of(shards + 1);
        let mut passwords = 0;
        list.seek(SeekFrom::Start(at))?;
        for number in 0..PARTS {
            let keys = read_keys(&self.path(number))?;
            passwords += keys.len() as u64;
            let first = (number as u64) << (bits - 8);
            let mut rest = keys.as_slice();
            for shard in first..first + (1 << (bits - 8)) {
                let (own, others) = rest.split_at(rest.partition_point(|key| shard_of(*key, bits) <= shard));
                rest = others;
                places.push(at);
                at += write_filter(&mut list, own)?;
            }
        }
        places.push(at);
        list.seek(SeekFrom::Start(0))?;
        list.write_all(MAGIC)?;
        list.write_all(&VERSION.to_le_bytes())?;
        list.write_all(&bits.to_le_bytes())?;
        list.write_all(&passwords.to_le_bytes())?;
        for place in places {
            list.write_all(&place.to_le_bytes())?;
        }
        list.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok((passwords, at))
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A name beside the list's that nobody else has.
fn beside(output: &Path, what: &str) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(format!(".{}.{what}", hex(&random::<8>())));
    name.into()
}

/// The keys of a part in order, each once.
fn read_keys(path: &Path) -> Result<Vec<u64>> {
    let mut file = BufReader::new(File::open(path)?);
    let mut keys = Vec::with_capacity(usize::try_from(file.get_ref().metadata()?.len() / 8).unwrap_or_default());
    let mut bytes = [0; 8];
    while !file.fill_buf()?.is_empty() {
        file.read_exact(&mut bytes)?;
        keys.push(u64::from_be_bytes(bytes));
    }
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

/// Writes a filter of these keys and says how many bytes it has; of none there is none.
fn write_filter(list: &mut impl Write, keys: &[u64]) -> Result<u64> {
    if keys.is_empty() {
        return Ok(0);
    }
    let filter = BinaryFuse16::try_from(keys).map_err(|error| Error::internal(format!("a filter could not be made: {error}")))?;
    let mut described = [0; DESCRIPTOR];
    filter.dma_copy_descriptor_to(&mut described);
    list.write_all(&described)?;
    for place in &filter.fingerprints {
        list.write_all(&place.to_le_bytes())?;
    }
    Ok((DESCRIPTOR + filter.fingerprints.len() * 2) as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::auth::password::list::{List, PasswordLists, read_filter};

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
            let path = self.0.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        }

        fn build(&self, inputs: &[PathBuf], at_least: u64) -> Result<ListReport> {
            build_password_list(inputs, &self.list(), at_least, |_| ())
        }

        fn list(&self) -> PathBuf {
            self.0.path().join("breached.list")
        }

        fn has(&self, password: &str) -> bool {
            List::open(&self.list()).unwrap().contains(key_of(sha1(password))).unwrap()
        }
    }

    #[test]
    fn what_is_in_the_files_is_found() {
        let place = Place::new();
        let hash = |password: &str| hex(&sha1(password)).to_uppercase();
        let words = place.write("words.txt", "wolpertinger\r\ne\u{301}clair\n\nwolpertinger\nwith: colon\nlast");
        let hashes = place.write("pwned.txt", format!("{}:12\n{}:3\r\n{}\n", hash("seen often"), hash("seen rarely"), hash("bare").to_lowercase()));
        let range = hash("by range");
        let ranges = place.write(&format!("ranges/{}.txt", &range[..5]), format!("{}:7\n", &range[5..]));
        let report = place.build(&[words, hashes, ranges.parent().unwrap().to_owned()], 1).unwrap();
        assert_eq!((report.files, report.passwords, report.left_out), (3, 8, 0), "{report:?}");
        assert_eq!(report.bytes, fs::metadata(place.list()).unwrap().len());
        for password in ["wolpertinger", "\u{e9}clair", "with: colon", "last", "seen often", "seen rarely", "bare", "by range"] {
            assert!(place.has(password), "{password}");
        }
        assert!(!place.has("another") && !place.has(""));
        let left: Vec<_> = fs::read_dir(place.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 4, "nothing else is left: {left:?}");

        place.build(&[place.0.path().join("pwned.txt")], 10).unwrap();
        assert!(place.has("seen often") && !place.has("seen rarely") && !place.has("bare"), "the list was put in the other's place");
    }

    #[test]
    fn what_can_not_be_used_is_left_out_or_refused() {
        let place = Place::new();
        let odd = place.write("odd.txt", [b"caf\xe9\n".as_slice(), &[b'x'; 5000], b"\ngood one\n"].concat());
        let report = place.build(&[odd], 1).unwrap();
        assert_eq!((report.passwords, report.left_out), (1, 2));
        let refusal = |inputs: &[PathBuf]| place.build(inputs, 1).unwrap_err().to_string();
        let ntlm = place.write("ntlm.txt", "00000000000000000000000000000000:5\n");
        assert!(refusal(&[ntlm]).contains("NTLM"));
        assert!(refusal(&[place.write("empty.txt", "\n\n")]).contains("not one password"));
        assert!(refusal(&[place.0.path().join("nowhere")]).contains("nowhere"));
        assert!(place.has("good one"), "what was there stays");
        let lists = PasswordLists::open(&[place.0.path().join("empty.txt")]);
        assert!(lists.unwrap_err().to_string().contains("basalt password-list build"));
    }

    #[test]
    fn a_list_of_any_length_has_all_its_passwords() {
        let place = Place::new();
        for length in [1, 2, 3, 5, 17, 300, 2_000] {
            let lines: Vec<String> = (0..length).map(|number| format!("password number {number}")).collect();
            let path = place.write("words.txt", lines.join("\n"));
            assert_eq!(place.build(&[path], 1).unwrap().passwords, length);
            assert!(lines.iter().all(|line| place.has(line)), "{length}");
        }
    }

    #[test]
    fn one_in_65536_is_taken_for_another() {
        let keys: Vec<u64> = (0..20_000).map(|number: u64| key_of(sha1(&number.to_string()))).collect();
        let mut bytes = Vec::new();
        write_filter(&mut bytes, &keys).unwrap();
        assert!(bytes.len() * 8 < keys.len() * 20, "{} bytes for {} passwords", bytes.len(), keys.len());
        let filter = read_filter(&bytes).unwrap();
        let looks = 2_000_000_u64;
        let mistakes = (0..looks).filter(|number| xorf::Filter::contains(&filter, &number.wrapping_mul(0x9e37_79b9_7f4a_7c15))).count();
        // 30 are to be expected; the numbers looked for are always the same.
        assert!(mistakes < 60, "{mistakes} of {looks}");
    }

    proptest! {
        #[test]
        fn a_damaged_filter_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), key in any::<u64>()) {
            if let Some(filter) = read_filter(&bytes) {
                xorf::Filter::contains(&filter, &key);
            }
        }

        #[test]
        fn a_sound_looking_filter_never_looks_outside_of_itself(power in 0_u32..6, segments in 1_u32..9, key in any::<u64>(), seed in any::<u64>()) {
            let length = 1_u32 << power;
            let mut bytes = seed.to_le_bytes().to_vec();
            for part in [length, length - 1, length * segments] {
                bytes.extend(part.to_le_bytes());
            }
            bytes.extend(vec![7; usize::try_from(length * (segments + 2) * 2).unwrap()]);
            xorf::Filter::contains(&read_filter(&bytes).unwrap(), &key);
        }

        #[test]
        fn any_line_is_read(line in proptest::collection::vec(any::<u8>(), 0..80), has_prefix in any::<bool>()) {
            Line::read(&line, if has_prefix { "0a1F9" } else { "" });
        }
    }
}
