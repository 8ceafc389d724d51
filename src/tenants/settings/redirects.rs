//! Where a user may be sent back to, with tokens or a code in the URL: whoever chooses that place gets them.
//!
//! An address is judged only when it means the same to every reader of it ([`read_redirect`]); what passes is sent as it was judged, not
//! as it was written. Patterns are compared part by part, so that a wildcard for a path can't reach into the host, nor one for a host
//! past its end.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use url::{Host, Url};
use utoipa::ToSchema;

use crate::error::{Error, Result};

/// Bytes of an address at most.
const LONGEST: usize = 2048;
/// Entries of the list at most, and bytes of each.
const MOST_ENTRIES: usize = 100;
const LONGEST_ENTRY: usize = 512;

/// Schemes that run or read something instead of going somewhere, or that no app answers to.
const NEVER: [&str; 13] =
    ["about", "blob", "content", "data", "file", "filesystem", "ftp", "javascript", "jar", "resource", "vbscript", "view-source", "ws"];

/// The parameter that stock clients add to an address to find their flow again. It is kept, and no rule looks at it.
const FLOW_ID: &str = "sb_flow_id";

/// Where a user may be sent back to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RedirectSettings {
    /// Where the app is: users go there when nothing else is asked for or allowed. Empty means the public URL of the installation.
    /// Every page of its origin is allowed, too.
    pub site_url: String,
    /// What else is allowed: addresses, or patterns in which `*` stands for anything but `.` and `/`, `**` for anything, `?` for one
    /// character but `.` and `/`.
    pub allowed: Vec<String>,
}

impl RedirectSettings {
    pub(super) fn check(&self) -> Result<()> {
        if !self.site_url.is_empty() {
            let site = read_redirect(&self.site_url).map_err(|why| Error::invalid("redirects.site_url", format!("\"{}\": {why}", self.site_url)))?;
            if !matches!(site.scheme(), "http" | "https") {
                return Err(Error::invalid("redirects.site_url", format!("\"{}\" should begin with https://", self.site_url)));
            }
        }
        if self.allowed.len() > MOST_ENTRIES {
            return Err(Error::invalid("redirects.allowed", format!("there are {} entries; there can be {MOST_ENTRIES}", self.allowed.len())));
        }
        for entry in &self.allowed {
            Pattern::read(entry).map_err(|why| Error::invalid("redirects.allowed", format!("\"{entry}\": {why}")))?;
        }
        Ok(())
    }

    /// The app's own address.
    pub fn site(&self, public_url: &str) -> Url {
        let chosen = read_redirect(&self.site_url).ok();
        chosen.or_else(|| Url::parse(public_url).ok()).unwrap_or_else(|| Url::parse("http://localhost").expect("it is an address"))
    }

    /// Whether a user may be sent to `asked`; if not, why.
    pub fn judge(&self, site: &Url, asked: &Url) -> Result<(), &'static str> {
        if is_same_place(site, asked) {
            return Ok(());
        }
        let ip = ip_of(asked);
        // An app on the user's own machine listens at a port that it finds free (RFC 8252, 7.3).
        if ip.is_some_and(|ip| ip.is_loopback()) && asked.scheme() == "http" {
            return Ok(());
        }
        let mut patterns = self.allowed.iter().filter_map(|entry| Pattern::read(entry).ok());
        if ip.is_some() {
            let is_listed = patterns.any(|pattern| pattern.is_exactly(asked));
            return if is_listed { Ok(()) } else { Err("an IP address is allowed only as it is listed in redirects.allowed") };
        }
        if patterns.any(|pattern| pattern.matches(asked)) {
            Ok(())
        } else {
            Err("it is neither of the origin of redirects.site_url nor in redirects.allowed")
        }
    }
}

/// Reads an address to go back to, without its fragment. Refused is what readers of URLs read in different ways: a user name, a backslash,
/// a blank, a host that is not spelled as it is meant.
pub fn read_redirect(text: &str) -> Result<Url, &'static str> {
    if text.len() > LONGEST {
        return Err("it is longer than 2048 bytes");
    }
    if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f || byte == b'\\') || text.chars().any(char::is_whitespace) {
        return Err("it has a blank, a control character or a backslash");
    }
    let (scheme, rest) = text.split_once(':').ok_or("it is not a whole URL")?;
    let scheme = read_scheme(scheme)?;
    let authority = rest.strip_prefix("//").map(|rest| &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())]);
    let mut url = Url::parse(text).map_err(|_| "it is not a URL")?;
    if matches!(scheme.as_str(), "http" | "https") {
        check_authority(authority.ok_or("it has no // before its host")?, &url)?;
    } else if url.cannot_be_a_base() {
        return Err("nothing follows its scheme that could be added to");
    } else if authority.is_some_and(|authority| !authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte))) {
        return Err("its host has a character that a host doesn't have");
    }
    url.set_fragment(None);
    Ok(url)
}

fn read_scheme(scheme: &str) -> Result<String, &'static str> {
    let is_scheme =
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let scheme = scheme.to_ascii_lowercase();
    match () {
        () if !is_scheme => Err("it does not begin with a scheme such as https:"),
        () if scheme == "wss" || NEVER.contains(&scheme.as_str()) => Err("nobody can be sent back to this scheme"),
        () => Ok(scheme),
    }
}

/// The host must be spelled as a browser reads it, but for capitals; so `0x7f.1`, `２１` and `%65vil` are no hosts.
fn check_authority(authority: &str, url: &Url) -> Result<(), &'static str> {
    let host = url.host_str().ok_or("it has no host")?;
    let (spelled, port) = authority.split_at_checked(host.len()).ok_or("its host is not spelled as browsers read it")?;
    if !spelled.eq_ignore_ascii_case(host) {
        return Err("its host is not spelled as browsers read it");
    }
    if host.ends_with('.') {
        return Err("its host ends with a dot");
    }
    let is_port = |text: &str| text.parse::<u16>().is_ok_and(|port| port > 0 && port.to_string() == text);
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok(()),
        Some(port) if is_port(port) => Ok(()),
        _ => Err("its port is none, or a user name stands before its host"),
    }
}

fn ip_of(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(ip) => Some(ip.into()),
        Host::Ipv6(ip) => Some(ip.into()),
        // Outside of http, the text is not looked into.
        Host::Domain(name) => name.trim_matches(['[', ']']).parse().ok(),
    }
}

/// The same origin; on the developer's own machine, whatever its port.
fn is_same_place(site: &Url, asked: &Url) -> bool {
    let is_own_machine = |url: &Url| url.scheme() == "http" && (url.host_str() == Some("localhost") || ip_of(url).is_some_and(|ip| ip.is_loopback()));
    (is_own_machine(site) && is_own_machine(asked))
        || (site.scheme(), site.host_str(), site.port_or_known_default()) == (asked.scheme(), asked.host_str(), asked.port_or_known_default())
}

/// An entry of the list, in its parts.
#[derive(Debug)]
struct Pattern {
    scheme: String,
    /// With the port, if it is not the scheme's own.
    host: String,
    /// Path and query.
    rest: String,
}

impl Pattern {
    fn read(text: &str) -> Result<Self, &'static str> {
        if text.len() > LONGEST_ENTRY {
            return Err("it is longer than 512 bytes");
        }
        if !text.contains(['*', '?']) {
            return read_redirect(text).map(|url| Self::of(&url));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\#@".contains(&byte)) {
            return Err("a pattern has neither blanks nor \\, # or @");
        }
        let (scheme, rest) = text.split_once(':').ok_or("it is not a whole URL")?;
        let scheme = read_scheme(scheme)?;
        let (host, rest) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", rest),
        };
        let is_web = matches!(scheme.as_str(), "http" | "https");
        // In a host no `?` is a wildcard: it would begin the query.
        let (host, rest) = host.find('?').map_or((host, rest.to_owned()), |query| (&host[..query], format!("/{}{rest}", &host[query..])));
        let rest = if rest.is_empty() && is_web { "/".to_owned() } else { rest };
        let host = host.to_ascii_lowercase();
        let own_port = if scheme == "https" { ":443" } else { ":80" };
        let host = if is_web { host.strip_suffix(own_port).map_or(host.clone(), str::to_owned) } else { host };
        if is_web {
            check_host_pattern(&host)?;
        }
        Ok(Self { scheme, host, rest })
    }

    fn of(url: &Url) -> Self {
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = format!("{}{port}", url.host_str().unwrap_or_default());
        // What a client adds to find its flow again changes nothing in where it goes.
        let mut rest = url.path().to_owned();
        if let Some(query) = url.query() {
            let kept: Vec<&str> = query.split('&').filter(|pair| pair.split('=').next() != Some(FLOW_ID)).collect();
            if !(kept.is_empty() || kept == [""]) {
                rest = format!("{rest}?{}", kept.join("&"));
            }
        }
        Self { scheme: url.scheme().to_owned(), host, rest }
    }

    fn is_exactly(&self, url: &Url) -> bool {
        let Self { scheme, host, rest } = Self::of(url);
        self.scheme == scheme && self.host == host && self.rest == rest
    }

    fn matches(&self, url: &Url) -> bool {
        if self.is_exactly(url) {
            return true;
        }
        let asked = Self::of(url);
        // Servers differ in whether such a slash or dot divides a path.
        let path = asked.rest.to_ascii_lowercase();
        let is_plain = !["%2f", "%5c", "%2e", "%00"].iter().any(|hidden| path.contains(hidden));
        is_plain && self.scheme == asked.scheme && glob(&self.host, &asked.host) && glob(&self.rest, &asked.rest)
    }
}

/// A wildcard may stand for what is below a name, not for the name: `https://*.com` would let everybody in.
fn check_host_pattern(host: &str) -> Result<(), &'static str> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if name.is_empty() {
        return Err("it has no host");
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._*".contains(&byte)) {
        return Err("its host has a character that a host doesn't have");
    }
    let spelled_out = name.rsplit('.').take_while(|label| !label.contains('*') && !label.is_empty()).count();
    if name.contains('*') && spelled_out < 2 {
        return Err("a wildcard in a host stands before a whole name, as in https://*.example.com");
    }
    Ok(())
}

/// `*` is any number of characters but `.` and `/`, `**` of any, `?` is one but those.
fn glob(pattern: &str, text: &str) -> bool {
    #[derive(Clone, Copy, PartialEq)]
    enum Part {
        Is(u8),
        One,
        Some,
        Any,
    }
    let mut parts = Vec::with_capacity(pattern.len());
    for byte in pattern.bytes() {
        match (byte, parts.last()) {
            (b'*', Some(Part::Some | Part::Any)) => *parts.last_mut().expect("it was looked at") = Part::Any,
            (b'*', _) => parts.push(Part::Some),
            (b'?', _) => parts.push(Part::One),
            (byte, _) => parts.push(Part::Is(byte)),
        }
    }
    // Which beginnings of the pattern match what was read of the text so far.
    let open = |reached: &mut Vec<bool>| {
        for (index, part) in parts.iter().enumerate() {
            if reached[index] && matches!(part, Part::Some | Part::Any) {
                reached[index + 1] = true;
            }
        }
    };
    let mut reached = vec![false; parts.len() + 1];
    reached[0] = true;
    open(&mut reached);
    for byte in text.bytes() {
        let divides = matches!(byte, b'.' | b'/');
        let mut next = vec![false; parts.len() + 1];
        for (index, part) in parts.iter().enumerate().filter(|(index, _)| reached[*index]) {
            match part {
                Part::Is(wanted) => next[index + 1] |= *wanted == byte,
                Part::One => next[index + 1] |= !divides,
                Part::Some => next[index] |= !divides,
                Part::Any => next[index] = true,
            }
        }
        open(&mut next);
        reached = next;
    }
    reached[parts.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settings() -> RedirectSettings {
        let allowed = [
            "https://app.example.com/cb",
            "https://app.example.com/done?kind=mail",
            "https://*.preview.example.com/cb",
            "https://docs.example.com/**",
            "https://one.example.com/*/cb",
            "com.example.app://login-callback",
            "com.example.app:/oauth2redirect",
            "exp://*.example.net/--/auth",
            "http://192.168.7.7:3000/cb",
        ];
        let settings = RedirectSettings { site_url: "https://www.example.com".to_owned(), allowed: allowed.map(str::to_owned).to_vec() };
        settings.check().unwrap();
        settings
    }

    fn judged(settings: &RedirectSettings, text: &str) -> Result<Url, &'static str> {
        let url = read_redirect(text)?;
        settings.judge(&settings.site("http://127.0.0.1:8787"), &url)?;
        Ok(url)
    }

    /// Addresses that are allowed, and what they are sent as.
    const GOOD: &[(&str, &str)] = &[
        ("https://www.example.com", "https://www.example.com/"),
        ("https://www.example.com/any/page?x=1", "https://www.example.com/any/page?x=1"),
        ("https://www.example.com:443/x", "https://www.example.com/x"),
        ("HTTPS://WWW.Example.com/x", "https://www.example.com/x"),
        ("https://app.example.com/cb", "https://app.example.com/cb"),
        ("https://app.example.com/cb#/route", "https://app.example.com/cb"),
        ("https://app.example.com/cb?sb_flow_id=abc", "https://app.example.com/cb?sb_flow_id=abc"),
        ("https://app.example.com/done?kind=mail", "https://app.example.com/done?kind=mail"),
        ("https://app.example.com/done?kind=mail&sb_flow_id=1", "https://app.example.com/done?kind=mail&sb_flow_id=1"),
        ("https://pr-12.preview.example.com/cb", "https://pr-12.preview.example.com/cb"),
        ("https://docs.example.com/", "https://docs.example.com/"),
        ("https://docs.example.com/a/b.html?c=d", "https://docs.example.com/a/b.html?c=d"),
        ("https://one.example.com/tenant/cb", "https://one.example.com/tenant/cb"),
        ("com.example.app://login-callback", "com.example.app://login-callback"),
        ("com.example.app:/oauth2redirect", "com.example.app:/oauth2redirect"),
        ("exp://u-1.example.net/--/auth", "exp://u-1.example.net/--/auth"),
        ("http://127.0.0.1:51004/cb", "http://127.0.0.1:51004/cb"),
        ("http://[::1]:51004/cb", "http://[::1]:51004/cb"),
        ("http://192.168.7.7:3000/cb", "http://192.168.7.7:3000/cb"),
    ];

    /// V11: addresses that look like one that is allowed, and are not.
    const HOSTILE: &[&str] = &[
        // User names.
        "https://www.example.com@evil.example/",
        "https://www.example.com:443@evil.example/",
        "https://app.example.com%40evil.example/cb",
        "https://user:pw@www.example.com/",
        "https://@www.example.com/",
        "https://evil.example#@www.example.com/",
        "https://evil.example?@www.example.com/",
        // Slashes and backslashes.
        "https:/www.example.com/",
        "https:www.example.com",
        "https:///www.example.com/",
        "https:////evil.example/",
        "https:\\\\evil.example",
        "https://evil.example\\@www.example.com/",
        "https://evil.example\\.www.example.com/",
        "https://www.example.com\\@evil.example/",
        "//evil.example",
        "//www.example.com",
        "/\\evil.example",
        "/cb",
        "cb",
        "",
        // Hidden slashes and dots.
        "https://evil.example%2f.www.example.com/",
        "https://evil.example%5c.www.example.com/",
        "https://evil%2eexample/",
        "https://www%2eexample.com/",
        "https://docs.example.com/%2e%2e%2fcb",
        "https://docs.example.com/..%2f..%2fcb",
        "https://docs.example.com/a%5cb",
        "https://docs.example.com/%2E%2E/x%2Fy",
        "https://one.example.com/a%2fb/cb",
        "https://one.example.com/a%2Eb/cb",
        // Blanks and controls.
        " https://www.example.com/",
        "https://www.example.com/ ",
        "https://www.example.com/\t",
        "https://www.example.com\n.evil.example/",
        "https://\twww.example.com/",
        "ht\ntps://www.example.com/",
        "https://www.example.com/\r\nset-cookie: a=b",
        "https://www.example.com/\0",
        "https://www.example.com/\u{a0}",
        "https://www.example.com/\u{2028}",
        // Unicode.
        "https://www。example。com/",
        "https://www．example．com/",
        "https://www｡example｡com/",
        "https://ｗｗｗ.example.com/",
        "https://www.exаmple.com/",
        "https://www.example.com。evil.example/",
        "https://ⓦww.example.com/",
        "https://www.example.c\u{200b}om/",
        "https://www.example.com\u{202e}/",
        "https://xn--www-.example.com/",
        "https://www.example.com\u{ff0f}evil.example/",
        // Hosts that are near.
        "https://example.com/",
        "https://www.example.com.evil.example/",
        "https://evilwww.example.com/",
        "https://www.example.comevil.example/",
        "https://www.example.co/",
        "https://www.example.com./",
        "https://.www.example.com/",
        "https://www..example.com/",
        "https://www.example.com,evil.example/",
        "https://preview.example.com/cb",
        "https://a.b.preview.example.com/cb",
        "https://evil.example/.preview.example.com/cb",
        "https://evil.example?.preview.example.com/cb",
        "https://evil.example#.preview.example.com/cb",
        "https://evilpreview.example.com/cb",
        // Ports.
        "https://www.example.com:8443/",
        "https://www.example.com:/",
        "https://www.example.com:0443/",
        "https://www.example.com:443:443/",
        "https://www.example.com:0/",
        "https://www.example.com:99999/",
        "https://www.example.com:443evil/",
        "http://192.168.7.7:3001/cb",
        // Addresses in numbers.
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://127.0.0.1./",
        "http://0/",
        "https://127.0.0.1/",
        "http://192.168.7.8:3000/cb",
        "http://169.254.169.254/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::ffff:7f00:1]/",
        "http://[fe80::1%25eth0]/",
        "http://[::1",
        "http://localhost:3000/",
        // Schemes.
        "http://www.example.com/",
        "http://app.example.com/cb",
        "javascript:alert(1)",
        "JavaScript:alert(1)//https://www.example.com/",
        "javascript://www.example.com/%0aalert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://www.example.com/1",
        "view-source:https://www.example.com/",
        "ftp://www.example.com/",
        "wss://www.example.com/",
        "mailto:eve@evil.example",
        "com.example.app:login-callback",
        "com.example.app://login-callback/more",
        "com.example.app://other",
        "com.example.app2://login-callback",
        "com.example.app://user@login-callback",
        "com.example.app:/oauth2redirect/../x",
        "exp://evil.example/x.example.net/--/auth",
        "exp://a.b.example.net/--/auth",
        "https",
        "://www.example.com",
        // Paths and queries.
        "https://app.example.com/",
        "https://app.example.com/cb/",
        "https://app.example.com/CB",
        "https://app.example.com/cb/../x",
        "https://app.example.com/x/../cb/..",
        "https://app.example.com/cb?next=//evil.example",
        "https://app.example.com/cb?sb_flow_id=1&next=x",
        "https://app.example.com/cb;x",
        "https://app.example.com//cb",
        "https://app.example.com/done?kind=other",
        "https://one.example.com/a/b/cb",
        "https://one.example.com/a.b/cb",
    ];

    #[test]
    fn only_what_is_listed_is_allowed() {
        let settings = settings();
        for (text, sent) in GOOD {
            assert_eq!(judged(&settings, text).map(String::from), Ok((*sent).to_owned()), "{text}");
        }
        assert!(HOSTILE.len() >= 80);
        for text in HOSTILE {
            assert!(judged(&settings, text).is_err(), "{text:?} is allowed");
        }
        let long = format!("https://docs.example.com/{}", "x".repeat(LONGEST));
        assert!(judged(&settings, &long).is_err());
    }

    #[test]
    fn a_developers_own_machine_is_one_place() {
        let settings = RedirectSettings::default();
        for text in ["http://localhost:3000/cb", "http://127.0.0.1:5173/", "http://127.0.0.1:8787/x"] {
            assert!(judged(&settings, text).is_ok(), "{text}");
        }
        for text in ["https://localhost/", "http://localhost.evil.example/", "http://evil.localhost:3000/"] {
            assert!(judged(&settings, text).is_err(), "{text}");
        }
    }

    #[test]
    fn entries_that_would_let_everybody_in_are_refused() {
        for entry in [
            "*",
            "**",
            "https://*",
            "https://**",
            "https://*.com",
            "https://*.*",
            "https://**/cb",
            "https://a*",
            "javascript:*",
            "data:**",
            "//x/*",
            "https://",
            "https://a.example.com@*",
            "*://example.com/",
            "https://exam ple.com/*",
            "https://*:443",
            "https://*.example.com\\*",
        ] {
            let settings = RedirectSettings { allowed: vec![entry.to_owned()], ..RedirectSettings::default() };
            assert!(settings.check().is_err(), "{entry}");
        }
        for entry in ["https://*.example.com", "https://*-team.vercel.app/**", "http://localhost:*/cb", "exp://**", "https://a.example.com/?x=*"] {
            let settings = RedirectSettings { allowed: vec![entry.to_owned()], ..RedirectSettings::default() };
            assert!(settings.check().is_ok(), "{entry}");
        }
    }

    #[test]
    fn wildcards_stop_where_they_should() {
        for (pattern, text, expected) in [
            ("a*c", "abbc", true),
            ("a*c", "a.c", false),
            ("a*c", "a/c", false),
            ("a**c", "a./c", true),
            ("a***c", "a./c", true),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("*", "", true),
            ("?", "", false),
            ("/**/x", "/a/b/x", true),
            ("/*/x", "/a/b/x", false),
            ("", "", true),
            ("", "a", false),
            ("*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }

    proptest! {
        // V11: whatever is allowed goes to a host that is listed, as a browser reads it.
        #[test]
        fn what_is_allowed_has_a_host_that_is_listed(text in "(https?|HTTPS):[/\\\\]{0,3}[a-z@:.%/\\\\#?0-9\u{3002}\u{ff0e}\\[\\]]{0,12}(www\\.example\\.com|app\\.example\\.com/cb)[a-z@:.%/\\\\#?0-9\u{3002}]{0,12}") {
            if let Ok(url) = judged(&settings(), &text) {
                let read = Url::parse(&text).unwrap();
                prop_assert_eq!(read.host_str(), url.host_str());
                let host = read.host_str().unwrap();
                prop_assert!(host == "www.example.com" || host == "app.example.com" || ip_of(&read).is_some_and(|ip| ip.is_loopback()), "{}", text);
                prop_assert!(read.username().is_empty() && read.password().is_none());
            }
        }

        #[test]
        fn any_text_is_judged(text in ".{0,200}") {
            let _ = judged(&settings(), &text);
        }
    }
}
