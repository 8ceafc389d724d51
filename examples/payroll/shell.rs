//! Calls a server with one key, and can show each call as a `curl` line.

use std::io::Write as _;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

/// What went wrong, in words.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Somebody who calls the server.
#[derive(Clone)]
pub(crate) struct Shell {
    http: reqwest::Client,
    url: String,
    key: String,
    token: Option<String>,
    shows: bool,
}

/// An answer, read whole.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
    pub(crate) range: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }
}

impl Shell {
    /// A caller with an API key, whose calls are not shown.
    pub(crate) fn new(url: &str, key: &str) -> Self {
        Self { http: reqwest::Client::new(), url: url.trim_end_matches('/').to_owned(), key: key.to_owned(), token: None, shows: false }
    }

    /// The same caller, each call shown.
    pub(crate) fn shown(mut self) -> Self {
        self.shows = true;
        self
    }

    /// The same caller as a signed-in user.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Rows; anything but success is a failure.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        Ok(self.must(Method::GET, path, None, &[]).await?.json())
    }

    /// Sends a body; anything but success is a failure.
    pub(crate) async fn post(&self, path: &str, body: &Value, prefer: &str) -> Result<Value, Failure> {
        Ok(self.must(Method::POST, path, Some(body), &[("prefer", prefer)]).await?.json())
    }

    /// Changes rows; anything but success is a failure.
    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Result<(), Failure> {
        self.must(Method::PATCH, path, Some(body), &[]).await.map(drop)
    }

    /// Puts a file, over one that is there.
    pub(crate) async fn upload(&self, bucket: &str, key: &str, content_type: &str, content: String) -> Result<(), Failure> {
        let request = self.http.post(format!("{}/storage/v1/object/{bucket}/{key}", self.url)).header("content-type", content_type);
        let response = self.dress(request).header("x-upsert", "true").body(content).send().await?;
        let status = response.status();
        if status.is_success() { Ok(()) } else { Err(format!("upload of {key}: {status} {}", response.text().await?).into()) }
    }

    async fn must(&self, method: Method, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Result<Reply, Failure> {
        let reply = self.call(method.clone(), path, body, headers).await?;
        if reply.status.is_success() { Ok(reply) } else { Err(format!("{method} {path}: {} {}", reply.status, reply.text).into()) }
    }

    /// Any call, whatever its outcome.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Result<Reply, Failure> {
        if self.shows {
            self.show(&method, path, body, headers);
        }
        let mut request = self.dress(self.http.request(method, format!("{}{path}", self.url)));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let reply = read(request.send().await?).await?;
        if self.shows {
            say(&format!("  -> {} {}{}\n", reply.status.as_u16(), reply.range, shortened(&reply.text)));
        }
        Ok(reply)
    }

    fn dress(&self, request: RequestBuilder) -> RequestBuilder {
        let request = request.header("apikey", &self.key);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    fn show(&self, method: &Method, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) {
        let mut line = if *method == Method::HEAD { "curl --head".to_owned() } else { format!("curl -X {method}") };
        line += &format!(" '{}{path}' -H 'apikey: {}'", self.url, self.key);
        if let Some(token) = &self.token {
            line += &format!(" -H 'authorization: Bearer {token}'");
        }
        for (name, value) in headers {
            line += &format!(" -H '{name}: {value}'");
        }
        if let Some(body) = body {
            line += &format!(" -H 'content-type: application/json' -d '{}'", body.to_string().replace('\'', "'\\''"));
        }
        say(&line);
    }
}

async fn read(response: Response) -> Result<Reply, Failure> {
    let status = response.status();
    let range = response.headers().get("content-range").and_then(|value| value.to_str().ok());
    let range = range.map(|range| format!("[{range}] ")).unwrap_or_default();
    Ok(Reply { status, range, text: response.text().await? })
}

fn shortened(text: &str) -> String {
    const MOST: usize = 300;
    let line = text.replace('\n', " ");
    if line.chars().count() <= MOST { line } else { line.chars().take(MOST).chain("…".chars()).collect() }
}

/// Prints a line.
pub(crate) fn say(line: &str) {
    // Who closed the pipe does not want to read on.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
