//! What a mail carries, for tests that read it.

use serde_json::Value;

use crate::support::{Client, Reply, TestApp};

/// A mail with a link and a code in it.
pub(super) struct Carried {
    pub(super) mail: Value,
    /// The link, from its path on.
    pub(super) link: String,
    pub(super) code: String,
}

impl Carried {
    /// A parameter of the link.
    pub(super) fn parameter(&self, name: &str) -> String {
        parameter(&self.link, name)
    }
}

/// A parameter of a URL's query.
pub(super) fn parameter(url: &str, name: &str) -> String {
    let query = url.split_once('?').map_or("", |(_, query)| query).split('#').next().unwrap();
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).unwrap_or_else(|| panic!("{url} has no {name}")).1.into_owned()
}

/// What is in a URL's fragment.
pub(super) fn fragment(url: &str) -> std::collections::BTreeMap<String, String> {
    url::form_urlencoded::parse(url.split_once('#').map_or("", |(_, fragment)| fragment).as_bytes()).into_owned().collect()
}

/// The newest mail to an address.
pub(super) async fn newest(app: &TestApp, to: &str) -> Carried {
    read(app.mails(to).await.into_iter().next().unwrap_or_else(|| panic!("no mail to {to}")))
}

pub(super) fn read(mail: Value) -> Carried {
    let text = mail["text"].as_str().unwrap();
    let link = text.split_whitespace().find(|word| word.contains("/verify?")).unwrap_or_default();
    let link = link.find("/t/").map(|start| link[start..].to_owned()).unwrap_or_default();
    let is_code = |word: &&str| word.len() >= 6 && word.bytes().all(|byte| byte.is_ascii_digit());
    let code = text.split_whitespace().find(is_code).unwrap_or_default().to_owned();
    Carried { mail, link, code }
}

/// Follows a link as a browser does: without a key.
pub(super) async fn follow(app: &TestApp, carried: &Carried) -> Reply {
    app.nobody().get(&carried.link).await
}

pub(super) async fn verify(client: &Client, kind: &str, email: &str, code: &str) -> Reply {
    client.post("/auth/v1/verify", serde_json::json!({ "type": kind, "email": email, "token": code })).await
}

pub(super) async fn verify_hash(client: &Client, kind: &str, hash: &str) -> Reply {
    client.post("/auth/v1/verify", serde_json::json!({ "type": kind, "token_hash": hash })).await
}

/// Another code than this one.
pub(super) fn wrong(code: &str) -> String {
    if code == "000000" { "000001".to_owned() } else { "000000".to_owned() }
}
