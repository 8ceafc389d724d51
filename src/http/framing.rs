//! Where one message on a connection ends and the next begins, told strictly.
//!
//! hyper takes the first reading of a request that makes sense: with both `Content-Length` and `Transfer-Encoding` it drops the one, it
//! accepts lines that end in a bare line feed, and no `Host` or several. A proxy in front may read the same bytes differently, and what
//! one of the two takes for a body the other takes for a request. So this looks at every byte before hyper does and refuses whatever two
//! readers could understand in two ways. It judges framing only; all the rest of the grammar stays with hyper.

/// Follows the requests of one connection.
#[derive(Debug)]
pub(super) struct Framing {
    step: Step,
    /// The part of an unfinished line that came with earlier bytes.
    line: Vec<u8>,
    head: Head,
    max_head: usize,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Head,
    Body { left: u64 },
    ChunkSize,
    ChunkBytes { left: u64 },
    ChunkEnd,
    Trailers,
}

/// What a connection is waiting for, which decides how long it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing of the next request is here.
    Idle,
    /// A part of a request's head is here.
    Head,
    /// A head is here, and not all of its body.
    Body,
}

/// What the lines of a head said so far.
#[derive(Debug, Default)]
struct Head {
    bytes: usize,
    lines: usize,
    blank_lines: usize,
    is_http_1_1: bool,
    hosts: usize,
    lengths: usize,
    length: u64,
    encodings: usize,
}

/// The bytes can't be served from the one at `at` on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Index of the first byte that hyper must not see.
    pub(super) at: usize,
    /// What hyper shall read in its place, so that it gives the right answer and closes.
    pub(super) instead: &'static [u8],
}

/// No rule of HTTP allows a NUL where framing is decided, so hyper answers 400 and closes; the line ends make it look at once.
const NONSENSE: &[u8] = b"\0\r\n\r\n";

/// Spaces in front of a request line that are put up with; some old clients send a line end after a body.
const MAX_BLANK_LINES: usize = 2;

/// No client sends chunk extensions; a few bytes of them are harmless.
const MAX_SIZE_LINE: usize = 256;

/// What makes a line unacceptable.
struct Bad;

impl Framing {
    pub(super) fn new(max_head: usize) -> Self {
        Self { step: Step::Head, line: Vec::new(), head: Head::default(), max_head }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.step {
            Step::Head if self.head.bytes == 0 => Phase::Idle,
            Step::Head => Phase::Head,
            _ => Phase::Body,
        }
    }

    /// Looks at the bytes that came next.
    pub(super) fn check(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            at += match self.step {
                Step::Body { left } => self.skip(left, rest, Step::Head, |left| Step::Body { left }),
                Step::ChunkBytes { left } => self.skip(left, rest, Step::ChunkEnd, |left| Step::ChunkBytes { left }),
                Step::Head | Step::ChunkSize | Step::ChunkEnd | Step::Trailers => {
                    self.take_line(rest).map_err(|refused| Refused { at: at + refused.at, ..refused })?
                }
            };
        }
        Ok(())
    }

    fn skip(&mut self, left: u64, rest: &[u8], then: Step, still: impl Fn(u64) -> Step) -> usize {
        let taken = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
        let left = left - taken as u64;
        self.step = if left == 0 { then } else { still(left) };
        taken
    }

    /// Takes bytes up to the end of the line, or all of them, and judges the line if it is whole.
    fn take_line(&mut self, rest: &[u8]) -> Result<usize, Refused> {
        let end = memchr::memchr(b'\n', rest);
        let taken = end.map_or(rest.len(), |end| end + 1);
        if self.head.bytes + taken > self.max_head {
            return Err(self.too_large(rest));
        }
        self.head.bytes += taken;
        let Some(end) = end else {
            self.line.extend_from_slice(rest);
            return Ok(taken);
        };
        let refused = |at| Refused { at, instead: NONSENSE };
        let earlier = std::mem::take(&mut self.line);
        let joined;
        let line = if earlier.is_empty() {
            &rest[..end]
        } else {
            joined = [&earlier[..], &rest[..end]].concat();
            &joined[..]
        };
        let Some(line) = line.strip_suffix(b"\r") else { return Err(refused(end)) };
        // A bad line is cut at its start if that is still to come, else where it ends.
        let start = if earlier.is_empty() { 0 } else { end };
        self.judge(line).map_err(|Bad| refused(start))?;
        if self.line.capacity() == 0 && !earlier.is_empty() {
            self.line = earlier;
            self.line.clear();
        }
        Ok(taken)
    }

    fn judge(&mut self, line: &[u8]) -> Result<(), Bad> {
        match self.step {
            Step::Head if line.is_empty() && self.head.lines == 0 => {
                self.head.blank_lines += 1;
                if self.head.blank_lines > MAX_BLANK_LINES { Err(Bad) } else { Ok(()) }
            }
            Step::Head if line.is_empty() => {
                let next = self.head.next_step()?;
                self.enter(next);
                Ok(())
            }
            Step::Head => self.head.take(line),
            Step::ChunkSize => {
                let size = chunk_size(line)?;
                self.enter(if size == 0 { Step::Trailers } else { Step::ChunkBytes { left: size } });
                Ok(())
            }
            Step::ChunkEnd if line.is_empty() => {
                self.enter(Step::ChunkSize);
                Ok(())
            }
            Step::Trailers => {
                if line.is_empty() {
                    self.enter(Step::Head);
                }
                Ok(())
            }
            _ => Err(Bad),
        }
    }

    fn enter(&mut self, step: Step) {
        self.step = step;
        self.head = Head::default();
    }

    /// Ends a head that is too large in such a way that hyper can read it to its end and answer 431.
    fn too_large(&self, rest: &[u8]) -> Refused {
        let at = self.max_head - self.head.bytes;
        let line = [&self.line[..], &rest[..at]].concat();
        let instead: &[u8] = match self.step {
            Step::Head if line.ends_with(b"\r") => b"\n\r\n",
            Step::Head if self.head.lines == 0 => b" HTTP/1.1\r\n\r\n",
            Step::Head if line.is_empty() => b"\r\n",
            Step::Head if line.contains(&b':') => b"\r\n\r\n",
            Step::Head => b":\r\n\r\n",
            _ => NONSENSE,
        };
        Refused { at, instead }
    }
}

impl Head {
    fn take(&mut self, line: &[u8]) -> Result<(), Bad> {
        self.lines += 1;
        if self.lines == 1 {
            self.is_http_1_1 = line.ends_with(b" HTTP/1.1");
            return Ok(());
        }
        let Some(colon) = memchr::memchr(b':', line) else { return Err(Bad) };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.hosts += 1,
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                self.lengths += 1;
                self.length = decimal(value)?;
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.encodings += 1;
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Bad);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn next_step(&self) -> Result<Step, Bad> {
        let hosts_fit = if self.is_http_1_1 { self.hosts == 1 } else { self.hosts <= 1 };
        match (self.lengths, self.encodings) {
            _ if !hosts_fit => Err(Bad),
            (0, 0) => Ok(Step::Head),
            (1, 0) if self.length == 0 => Ok(Step::Head),
            (1, 0) => Ok(Step::Body { left: self.length }),
            (0, 1) if self.is_http_1_1 => Ok(Step::ChunkSize),
            _ => Err(Bad),
        }
    }
}

fn decimal(digits: &[u8]) -> Result<u64, Bad> {
    let is_number = (1..=18).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    if !is_number {
        return Err(Bad);
    }
    Ok(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

fn chunk_size(line: &[u8]) -> Result<u64, Bad> {
    if line.len() > MAX_SIZE_LINE {
        return Err(Bad);
    }
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let is_number = (1..=15).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    if !is_number {
        return Err(Bad);
    }
    let text = std::str::from_utf8(digits).map_err(|_| Bad)?;
    u64::from_str_radix(text, 16).map_err(|_| Bad)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &[&str] = &[
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nhost:\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\na\nb\nc",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\na\nb\r\n1F;x=y\r\n0123456789012345678901234567890\r\n0\r\nA: b\r\n\r\n",
    ];

    const BAD: &[&str] = &[
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n 1\r\na\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
    ];

    /// What hyper would be given of `text` when it comes in pieces of `size` bytes, and whether it was cut short.
    fn passed_on(framing: &mut Framing, text: &[u8], size: usize) -> (Vec<u8>, bool) {
        let mut passed = Vec::new();
        for piece in text.chunks(size) {
            if let Err(refused) = framing.check(piece) {
                passed.extend_from_slice(&piece[..refused.at]);
                passed.extend_from_slice(refused.instead);
                return (passed, true);
            }
            passed.extend_from_slice(piece);
        }
        (passed, false)
    }

    #[test]
    fn what_is_clear_passes_in_any_pieces() {
        let all = GOOD.concat();
        for size in 1..all.len() {
            let mut framing = Framing::new(1024);
            assert_eq!(passed_on(&mut framing, all.as_bytes(), size), (all.clone().into_bytes(), false), "pieces of {size}");
            assert_eq!(framing.phase(), Phase::Idle, "pieces of {size}");
        }
    }

    #[test]
    fn what_two_readers_could_read_in_two_ways_is_refused_in_any_pieces() {
        for text in BAD {
            for size in 1..=text.len() {
                let (passed, refused) = passed_on(&mut Framing::new(1024), text.as_bytes(), size);
                assert!(refused, "{text:?} in pieces of {size}");
                assert!(passed.contains(&0), "{text:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn a_head_that_is_too_large_is_brought_to_an_end() {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "Name: value\r\n".repeat(20));
        for limit in 8..text.len() {
            for size in [1, 7, text.len()] {
                let (passed, refused) = passed_on(&mut Framing::new(limit), text.as_bytes(), size);
                assert!(refused && passed.len() > limit && passed.ends_with(b"\r\n\r\n"), "{limit} {size} {:?}", String::from_utf8(passed));
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in "(GET / HTTP/1.1|Host: a|Content-Length: 3|Transfer-Encoding: chunked|abc|3|0|\r\n|\r\n|\r\n|\n){0,30}", size in 1_usize..40) {
            let (mut whole, mut pieces) = (Framing::new(200), Framing::new(200));
            let (_, whole_refused) = passed_on(&mut whole, text.as_bytes(), usize::MAX);
            let (_, pieces_refused) = passed_on(&mut pieces, text.as_bytes(), size);
            prop_assert_eq!(whole_refused, pieces_refused);
            if !whole_refused {
                prop_assert_eq!(whole.phase(), pieces.phase());
            }
        }
    }
}
