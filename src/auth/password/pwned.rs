//! Asks Have I Been Pwned, or a mirror of it, which passwords were seen in breaches. It is told the first five digits of the password's
//! SHA-1 and answers with what is known below them, padded, so that neither it nor the way to it learns the password.

use std::time::Duration;

use super::sha1;
use crate::{
    app::App,
    crypto::hex,
    outbound::{Bounds, OutboundError},
};

/// Somebody waits for the answer. A page of it has some 40 KiB.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(3), answer: 512 * 1024 };

/// Digits of the hash that are told.
const TOLD: usize = 5;

/// Why nobody knows whether a password was seen.
#[derive(Debug, thiserror::Error)]
pub(super) enum PwnedError {
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error("it answered {0}")]
    Status(http::StatusCode),
    #[error("auth.pwned_passwords_url is no URL: {0}")]
    Url(#[from] http::Error),
}

/// Whether a password was seen in a breach.
pub(super) async fn is_pwned(app: &App, password: &str) -> Result<bool, PwnedError> {
    let hash = hex(&sha1(password)).to_ascii_uppercase();
    let (told, rest) = hash.split_at(TOLD);
    let url = format!("{}{told}", app.config.auth.pwned_passwords_url);
    let request = http::Request::get(url).header("add-padding", "true").body(Vec::new())?;
    let answer = app.outbound.send_within(request, BOUNDS).await?;
    if answer.status() != http::StatusCode::OK {
        return Err(PwnedError::Status(answer.status()));
    }
    Ok(has(answer.body(), rest))
}

/// Whether a page of `HASH:COUNT` lines has a hash. A count of 0 is padding.
fn has(page: &[u8], hash: &str) -> bool {
    page.split(|byte| *byte == b'\n').any(|line| {
        let line = line.trim_ascii();
        let at = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (found, count) = line.split_at(at);
        found.eq_ignore_ascii_case(hash.as_bytes()) && !count.iter().all(|byte| b":0".contains(byte))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_with_a_count_is_a_find() {
        let page = b"0018A45C4D1DEF81644B54AB7F969B88D65:3\r\n00D4F6E8FA6EECAD2A3AA415EEC418D38EC:0\r\n011053FD0102E94D6AE2F8B83D76FAF94F6:10";
        assert!(has(page, "0018A45C4D1DEF81644B54AB7F969B88D65") && has(page, "011053fd0102e94d6ae2f8b83d76faf94f6"));
        assert!(!has(page, "00D4F6E8FA6EECAD2A3AA415EEC418D38EC"), "padding is none");
        assert!(!has(page, "0018A45C4D1DEF81644B54AB7F969B88D66") && !has(b"", "0018A45C4D1DEF81644B54AB7F969B88D65"));
    }

    proptest! {
        #[test]
        fn any_answer_is_read(page in proptest::collection::vec(any::<u8>(), 0..400)) {
            has(&page, "0018A45C4D1DEF81644B54AB7F969B88D65");
        }
    }
}
