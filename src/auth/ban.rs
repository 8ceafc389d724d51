//! For how long a user is banned: a duration as Go spells it, which is what clients of this wire send.

use super::error::AuthError;
use crate::db::Timestamp;

/// What becomes of a user's ban.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ban {
    Lifted,
    Until(Timestamp),
}

impl Ban {
    /// Reads a duration from now on; `none` lifts a ban.
    pub(super) fn read(duration: &str, now: Timestamp) -> Result<Self, AuthError> {
        if duration == "none" {
            return Ok(Self::Lifted);
        }
        let seconds = seconds(duration).ok_or_else(|| {
            AuthError::validation(format!("invalid format for ban duration: \"{duration}\"; take \"none\" or a time such as \"24h\" or \"1h30m\""))
        })?;
        Ok(Self::Until(now.plus_seconds(seconds)))
    }

    /// Until when it holds.
    pub(super) fn end(self) -> Option<Timestamp> {
        match self {
            Self::Lifted => None,
            Self::Until(end) => Some(end),
        }
    }
}

/// Past this a moment has no four-digit year any more.
const LONGEST: f64 = 1000.0 * 365.25 * 86_400.0;

fn seconds(text: &str) -> Option<i64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[end..];
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is between 0 and a thousand years")]
    (0.0..=LONGEST).contains(&total).then_some(total.ceil() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        assert_eq!(seconds("24h"), Some(86_400));
        assert_eq!(seconds("1h30m"), Some(5_400));
        assert_eq!(seconds("1.5h"), Some(5_400));
        assert_eq!(seconds("876000h"), Some(3_153_600_000));
        assert_eq!(seconds("300ms"), Some(1));
        for wrong in ["", "24", "h", "1d", "-1h", "1h ", "99999999999h", "1..5h", "none", "NaNh"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
