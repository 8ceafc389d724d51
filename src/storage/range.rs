//! The `Range` header (RFC 9110, 14.2), one range only, as this wire has it.

use std::ops::Range;

/// What of a file is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Whole,
    Part(Range<u64>),
    /// A range outside of the file, several, or none at all.
    Unsatisfiable,
}

/// Reads the header for a file of `length` bytes. Units that are not bytes don't count.
pub(super) fn read(header: &str, length: u64) -> Wanted {
    let header = header.trim();
    let Some((unit, set)) = header.split_once('=') else { return Wanted::Unsatisfiable };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    part(set.trim(), length).filter(|range| range.start < range.end).map_or(Wanted::Unsatisfiable, Wanted::Part)
}

fn part(set: &str, length: u64) -> Option<Range<u64>> {
    let (first, last) = set.split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    if first.is_empty() {
        return Some(length.saturating_sub(number(last)?)..length);
    }
    let first = number(first)?;
    let end = if last.is_empty() { length } else { number(last).filter(|last| *last >= first)?.saturating_add(1) };
    Some(first..end.min(length))
}

/// Digits only; what is too large for a number is larger than any file.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_range_is_cut_to_the_file() {
        let ten = |header: &str| read(header, 10);
        assert_eq!(ten("bytes=0-4"), Wanted::Part(0..5));
        assert_eq!(ten("bytes=9-9"), Wanted::Part(9..10));
        assert_eq!(ten("bytes=5-"), Wanted::Part(5..10));
        assert_eq!(ten("bytes=-3"), Wanted::Part(7..10));
        assert_eq!(ten("bytes=-30"), Wanted::Part(0..10));
        assert_eq!(ten("bytes=5-500"), Wanted::Part(5..10));
        assert_eq!(ten("Bytes = 1-99999999999999999999999"), Wanted::Part(1..10));
        assert_eq!(ten("lines=1-2"), Wanted::Whole);
        for wrong in
            ["", "bytes", "bytes=", "bytes=-", "bytes=10-", "bytes=-0", "bytes=4-2", "bytes=1-2,4-5", "bytes=a-b", "bytes=+1-2", "bytes=1--2"]
        {
            assert_eq!(ten(wrong), Wanted::Unsatisfiable, "{wrong:?}");
        }
        assert_eq!(read("bytes=0-", 0), Wanted::Unsatisfiable);
        assert_eq!(read("bytes=-1", 0), Wanted::Unsatisfiable);
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_file(header in "bytes=[0-9]{0,22}-[0-9]{0,22}|[ -~]{0,30}", length in any::<u64>()) {
            if let Wanted::Part(range) = read(&header, length) {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }
    }
}
