//! What the operator may set. `config/default.toml` is both the documentation and the first layer; this file reads the layers on top of
//! it, refuses what is unknown or unsafe, and hands out one [`Config`].

use std::{
    collections::BTreeMap,
    fmt, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};
use url::Url;

use crate::http::Network;

const DEFAULTS: &str = include_str!("../config/default.toml");
const PREFIX: &str = "BASALT_";
const HIDDEN: &str = "[hidden]";

/// Every setting; `config/default.toml` says what each means.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each key")]
pub struct Config {
    pub listen: SocketAddr,
    pub listeners: Vec<Listener>,
    pub public_url: String,
    pub base_domain: String,
    pub default_tenant: String,
    pub data_dir: PathBuf,
    pub database_url: String,
    pub blobs: String,
    pub master_key_file: String,
    pub database: Database,
    pub http: Http,
    pub auth: Auth,
    pub records: Records,
    pub storage: Storage,
    pub images: Images,
    pub mail: Mail,
    pub outbound: Outbound,
    pub blobs_s3: BlobsS3,
    pub log: Log,
    pub metrics: Metrics,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.print_hidden())
    }
}

/// One of `[[listeners]]`: one more address, for one tenant.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// The address and port; loopback only.
    pub listen: SocketAddr,
    /// The tenant whose requests these are.
    pub tenant: String,
    /// Serve what is at `/auth/v1` at `/`, and nothing else.
    #[serde(default)]
    pub root_mount: bool,
    /// Ask for an API key where one would only name the tenant.
    #[serde(default = "yes")]
    pub require_key: bool,
}

fn yes() -> bool {
    true
}

/// `[database]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each key")]
pub struct Database {
    pub max_connections: u32,
    pub acquire_timeout_seconds: u64,
    pub statement_timeout_seconds: u64,
    pub read_connections: usize,
}

/// `[http]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each key")]
pub struct Http {
    pub header_timeout_seconds: u64,
    pub request_timeout_seconds: u64,
    pub idle_timeout_seconds: u64,
    pub transfer_stall_seconds: u64,
    pub transfer_min_bytes_per_second: u64,
    pub max_json_bytes: usize,
    pub max_header_bytes: usize,
    pub max_connections: usize,
    pub max_in_flight: usize,
    pub stop_delay_seconds: u64,
    pub drain_seconds: u64,
    pub trusted_proxies: Vec<Network>,
}

/// `[auth]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each key")]
pub struct Auth {
    pub argon2_memory_kib: u32,
    pub argon2_iterations: u32,
    pub argon2_parallelism: u32,
    pub hash_threads: usize,
    pub hash_queue: usize,
    pub password_lists: Vec<PathBuf>,
    pub pwned_passwords_url: String,
}

/// `[records]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each key")]
pub struct Records {
    pub max_rows: i64,
}

/// `[storage]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each key")]
pub struct Storage {
    pub max_upload_bytes: u64,
}

/// `[images]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each key")]
pub struct Images {
    pub threads: usize,
    pub max_source_bytes: u64,
    pub max_pixels: u64,
    pub cache_bytes: u64,
}

/// `[mail]`
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each key")]
pub struct Mail {
    pub smtp_host: String,
    pub smtp_port: u16,
    pub smtp_encryption: SmtpEncryption,
    pub smtp_username: String,
    pub smtp_password: String,
    pub smtp_ca_file: PathBuf,
    pub smtp_timeout_seconds: u64,
    pub from: String,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("smtp_host", &self.smtp_host).field("from", &self.from).finish_non_exhaustive()
    }
}

/// How the way to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpEncryption {
    /// Begun in plain, then protected; refused when the server can't.
    Starttls,
    /// Protected from the first byte.
    Tls,
    /// Not at all.
    None,
}

/// `[outbound]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each key")]
pub struct Outbound {
    pub allow: Vec<Network>,
}

/// `[blobs_s3]`
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each key")]
pub struct BlobsS3 {
    pub endpoint: String,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub allow_http: bool,
    pub path_style: bool,
}

impl fmt::Debug for BlobsS3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobsS3").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// `[log]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each key")]
pub struct Log {
    pub format: LogFormat,
    pub level: String,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// `[metrics]`
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents each key")]
pub struct Metrics {
    pub enabled: bool,
    pub token: String,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("enabled", &self.enabled).finish_non_exhaustive()
    }
}

/// Which database the settings name.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseLocation {
    /// SQLite in this file.
    Sqlite(PathBuf),
    /// PostgreSQL at this URL.
    Postgres(String),
}

/// Where the settings keep uploaded bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobLocation {
    /// A directory of this machine.
    Directory(PathBuf),
    /// A bucket of S3 or of a server that speaks it, and the prefix of every key in it.
    S3 {
        /// The bucket.
        bucket: String,
        /// Empty, or without a slash at either end.
        prefix: String,
    },
}

/// What is read on top of the defaults, from weakest to strongest.
#[derive(Debug, Default)]
pub struct Sources {
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// The environment; only names that start with `BASALT_` are looked at.
    pub environment: Vec<(String, String)>,
    /// Flags, by the key they set: `("listen", "127.0.0.1:0")`.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// What this process was started with: `file`, else `./basalt.toml` where there is one, its environment, and `flags`.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<(String, String)>) -> Self {
        let here = PathBuf::from("basalt.toml");
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Self {
            file: file.or_else(|| here.is_file().then_some(here)),
            environment: std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect(),
            flags,
        }
    }
}

/// A setting that can't be used: which, where it comes from, and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read, or is not TOML.
    #[error("the configuration file {} can't be read: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No such key.
    #[error("{key} ({origin}) is not a setting{}", suggestion(nearest.as_deref()))]
    Unknown {
        /// The key as it was written.
        key: String,
        /// Where it was written.
        origin: Origin,
        /// The known key that looks most like it.
        nearest: Option<String>,
    },
    /// The key is known, its value can't be used.
    #[error("{key} = {value} ({origin}): {why}")]
    Invalid {
        /// The key, with its table.
        key: String,
        /// The value, hidden if it is a secret.
        value: String,
        /// Where it was set.
        origin: Origin,
        /// What is wrong and what would be right.
        why: String,
    },
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest
        .map_or_else(|| "; config/default.toml, or serve --print-config, lists them all".to_owned(), |nearest| format!("; did you mean {nearest}?"))
}

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// In a file.
    File(PathBuf),
    /// By a variable of the environment.
    Environment(String),
    /// By a flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default"),
            Self::File(path) => write!(f, "from {}", path.display()),
            Self::Environment(name) => write!(f, "from the environment's {name}"),
            Self::Flag(key) => write!(f, "from --{}", key.replace('_', "-")),
        }
    }
}

impl Default for Config {
    /// `config/default.toml`, with nothing on top.
    fn default() -> Self {
        Layers::defaults().table.try_into().expect("config/default.toml fits Config: a test reads it")
    }
}

impl Config {
    /// Reads all layers and refuses what is unknown, wrong or unsafe.
    pub fn load(sources: Sources) -> Result<Self, ConfigError> {
        let mut layers = Layers::defaults();
        if let Some(path) = sources.file {
            layers.put_file(&path)?;
        }
        for (name, value) in sources.environment {
            if let Some(key) = name.strip_prefix(PREFIX) {
                let key = key.to_ascii_lowercase().replace("__", ".");
                layers.put_text(&key, &value, Origin::Environment(name))?;
            }
        }
        for (key, value) in sources.flags {
            layers.put_text(&key, &value, Origin::Flag(key.clone()))?;
        }
        layers.finish()
    }

    /// How clients reach this installation, without a slash at the end.
    pub fn public_url(&self) -> String {
        if self.public_url.is_empty() { format!("http://{}", self.listen) } else { self.public_url.trim_end_matches('/').to_owned() }
    }

    /// The database that the settings name.
    pub fn database_location(&self) -> DatabaseLocation {
        match self.database_url.as_str() {
            "" => DatabaseLocation::Sqlite(self.data_dir.join("basalt.db")),
            url => url
                .strip_prefix("sqlite:")
                .map_or_else(|| DatabaseLocation::Postgres(url.to_owned()), |path| DatabaseLocation::Sqlite(sqlite_path(path).into())),
        }
    }

    /// Where uploaded bytes are kept.
    pub fn blob_location(&self) -> BlobLocation {
        if let Some(rest) = self.blobs.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            return BlobLocation::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() };
        }
        BlobLocation::Directory(match self.blobs.strip_prefix("file://") {
            Some(path) => path.into(),
            None => self.data_dir.join("blobs"),
        })
    }

    /// The file with the master key.
    pub fn master_key_path(&self) -> PathBuf {
        match self.master_key_file.as_str() {
            "" => self.data_dir.join("master.key"),
            path => path.into(),
        }
    }

    /// The settings as TOML, with secrets hidden.
    pub fn print_hidden(&self) -> String {
        let mut shown = self.clone();
        hide(&mut shown.blobs_s3.secret_access_key);
        hide(&mut shown.mail.smtp_password);
        hide(&mut shown.metrics.token);
        shown.database_url = without_password(&shown.database_url);
        toml::to_string_pretty(&shown).unwrap_or_else(|error| format!("# can't be shown: {error}\n"))
    }
}

impl Http {
    /// How long a request may take.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_seconds)
    }
}

fn hide(secret: &mut String) {
    if !secret.is_empty() {
        HIDDEN.clone_into(secret);
    }
}

/// `sqlite:PATH`, `sqlite://PATH` and `sqlite:///PATH` mean what their users mean by them.
fn sqlite_path(rest: &str) -> &str {
    rest.strip_prefix("//").unwrap_or(rest)
}

fn without_password(database_url: &str) -> String {
    let Ok(mut url) = Url::parse(database_url) else {
        return if database_url.contains('@') { HIDDEN.to_owned() } else { database_url.to_owned() };
    };
    if url.password().is_some() && url.set_password(Some(HIDDEN)).is_err() {
        return HIDDEN.to_owned();
    }
    let secret = |name: &str| name.eq_ignore_ascii_case("password") || name.eq_ignore_ascii_case("sslpassword");
    if url.query_pairs().any(|(name, _)| secret(&name)) {
        let pairs: Vec<(String, String)> = url
            .query_pairs()
            .map(|(name, value)| {
                let value = if secret(&name) { HIDDEN.into() } else { value };
                (name.into_owned(), value.into_owned())
            })
            .collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    url.to_string().replace("%5Bhidden%5D", HIDDEN)
}

/// The layers merged so far: values by key, and who set each.
struct Layers {
    table: Table,
    origins: BTreeMap<String, Origin>,
}

impl Layers {
    fn defaults() -> Self {
        Self { table: DEFAULTS.parse().expect("config/default.toml is TOML: a test reads it"), origins: BTreeMap::new() }
    }

    fn put_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let unreadable = |why: String| ConfigError::File { path: path.to_owned(), why };
        let text = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        let table: Table = text.parse().map_err(|error: toml::de::Error| unreadable(error.to_string()))?;
        self.put_table("", table, &Origin::File(path.to_owned()))
    }

    fn put_table(&mut self, within: &str, table: Table, origin: &Origin) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key = if within.is_empty() { name } else { format!("{within}.{name}") };
            match (self.get(&key), value) {
                (Some(Value::Table(_)), Value::Table(inner)) => self.put_table(&key, inner, origin)?,
                (Some(_), value) => self.put(&key, value, origin.clone())?,
                (None, _) => return Err(self.unknown(&key, origin.clone())),
            }
        }
        Ok(())
    }

    /// A value from where everything is text: the default tells what type it should have.
    fn put_text(&mut self, key: &str, text: &str, origin: Origin) -> Result<(), ConfigError> {
        let value = match self.get(key) {
            None | Some(Value::Table(_)) => return Err(self.unknown(key, origin)),
            Some(Value::Integer(_)) => text.trim().replace('_', "").parse().ok().map(Value::Integer),
            Some(Value::Boolean(_)) => text.trim().parse().ok().map(Value::Boolean),
            Some(Value::Array(_)) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Some(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
            }
            Some(_) => None,
        };
        // What can't be parsed stays text, and `put` says which type it should have.
        self.put(key, value.unwrap_or_else(|| Value::String(text.to_owned())), origin)
    }

    fn put(&mut self, key: &str, value: Value, origin: Origin) -> Result<(), ConfigError> {
        let expected = self.get(key).map_or("a value", name_of_type);
        if expected != name_of_type(&value) {
            return Err(invalid(key, &value, origin, format!("should be {expected}")));
        }
        let (table, name) = key.split_once('.').map_or((None, key), |(table, name)| (Some(table), name));
        let within = match table {
            None => Some(&mut self.table),
            Some(table) => self.table.get_mut(table).and_then(Value::as_table_mut),
        };
        if let Some(within) = within {
            within.insert(name.to_owned(), value);
        }
        self.origins.insert(key.to_owned(), origin);
        Ok(())
    }

    fn get(&self, key: &str) -> Option<&Value> {
        match key.split_once('.') {
            None => self.table.get(key),
            Some((table, name)) => self.table.get(table)?.as_table()?.get(name),
        }
    }

    fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        for (name, value) in &self.table {
            match value {
                Value::Table(inner) => keys.extend(inner.keys().map(|key| format!("{name}.{key}"))),
                _ => keys.push(name.clone()),
            }
        }
        keys
    }

    fn unknown(&self, key: &str, origin: Origin) -> ConfigError {
        let nearest = self
            .keys()
            .into_iter()
            .map(|known| (distance(key, &known), known))
            .filter(|(distance, known)| *distance <= known.len().max(key.len()) / 3)
            .min()
            .map(|(_, known)| match &origin {
                Origin::Environment(_) => format!("{PREFIX}{}", known.replace('.', "__").to_ascii_uppercase()),
                _ => known,
            });
        let key = match &origin {
            Origin::Environment(name) => name.clone(),
            _ => key.to_owned(),
        };
        ConfigError::Unknown { key, origin, nearest }
    }

    fn refuse(&self, key: &str, why: impl Into<String>) -> ConfigError {
        let origin = self.origins.get(key).cloned().unwrap_or(Origin::Default);
        let value = self.get(key).cloned().unwrap_or_else(|| Value::String(String::new()));
        invalid(key, &value, origin, why.into())
    }

    fn finish(self) -> Result<Config, ConfigError> {
        self.check_numbers()?;
        self.check_choices()?;
        let config: Config = self.table.clone().try_into().map_err(|error: toml::de::Error| ConfigError::Invalid {
            key: "configuration".to_owned(),
            value: "the whole".to_owned(),
            origin: Origin::Default,
            why: error.message().to_owned(),
        })?;
        self.check_addresses(&config)?;
        self.check_places(&config)?;
        self.check_public(&config)?;
        Ok(config)
    }

    fn check_numbers(&self) -> Result<(), ConfigError> {
        for (key, least, most) in RANGES {
            let value = self.get(key).and_then(Value::as_integer).unwrap_or(*least);
            if value < *least || value > *most {
                return Err(self.refuse(key, format!("should be between {least} and {most}")));
            }
        }
        Ok(())
    }

    fn check_choices(&self) -> Result<(), ConfigError> {
        let text = |key| self.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("listen").parse::<SocketAddr>().is_err() {
            return Err(self.refuse("listen", "should be an address and a port, as in 127.0.0.1:8787 or [::1]:8787"));
        }
        if !["text", "json"].contains(&text("log.format")) {
            return Err(self.refuse("log.format", "should be text or json"));
        }
        if !["starttls", "tls", "none"].contains(&text("mail.smtp_encryption")) {
            return Err(self.refuse("mail.smtp_encryption", "should be starttls, tls or none"));
        }
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(text("log.level")) {
            return Err(self.refuse("log.level", format!("should be error, warn, info, debug or trace: {error}")));
        }
        for key in ["http.trusted_proxies", "outbound.allow"] {
            let networks = self.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let is_network = |network: &Value| network.as_str().is_some_and(|text| text.parse::<Network>().is_ok());
            if let Some(network) = networks.iter().find(|network| !is_network(network)) {
                let why = format!("{network} should be an address or a network, as in 10.0.0.1 or 10.0.0.0/8");
                return Err(self.refuse(key, why));
            }
        }
        Ok(())
    }

    fn check_addresses(&self, config: &Config) -> Result<(), ConfigError> {
        if let Some(open) = config.listeners.iter().find(|listener| !listener.listen.ip().is_loopback()) {
            return Err(self.refuse("listeners", format!("{} can be reached from other machines; take 127.0.0.1 or [::1]", open.listen)));
        }
        if !config.public_url.is_empty() {
            let url = Url::parse(&config.public_url).ok();
            let usable = url.is_some_and(|url| {
                ["http", "https"].contains(&url.scheme())
                    && url.has_host()
                    && url.query().is_none()
                    && url.fragment().is_none()
                    && url.username().is_empty()
                    && url.password().is_none()
            });
            if !usable {
                let why = "should start with http:// or https:// and have no user, query or fragment, as in https://api.example.com";
                return Err(self.refuse("public_url", why));
            }
        }
        let tenant = config.default_tenant.as_str();
        let is_reference = (2..=40).contains(&tenant.len())
            && tenant.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !tenant.starts_with('-')
            && !tenant.ends_with('-');
        if !tenant.is_empty() && !is_reference {
            return Err(self.refuse("default_tenant", "should be 2 to 40 of a-z, 0-9 and inner \"-\", or empty"));
        }
        let is_domain = |name: &str| {
            name.split('.')
                .all(|label| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'))
        };
        if !config.base_domain.is_empty() && !is_domain(&config.base_domain) {
            return Err(self.refuse("base_domain", "should be a name in small letters without scheme and port, as in example.com"));
        }
        let endpoint = &config.blobs_s3.endpoint;
        if endpoint.starts_with("http://") && !config.blobs_s3.allow_http {
            return Err(self.refuse("blobs_s3.endpoint", "is not encrypted; use https://, or set blobs_s3.allow_http = true"));
        }
        if !endpoint.is_empty() && !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            return Err(self.refuse("blobs_s3.endpoint", "should start with https://"));
        }
        let pwned = &config.auth.pwned_passwords_url;
        let is_usable = Url::parse(pwned).is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        if !is_usable || !pwned.ends_with(['/', '=']) {
            return Err(self.refuse(
                "auth.pwned_passwords_url",
                "should be a URL that five digits can be put after, as in https://api.pwnedpasswords.com/range/",
            ));
        }
        Ok(())
    }

    fn check_places(&self, config: &Config) -> Result<(), ConfigError> {
        let database = config.database_url.as_str();
        let known = database.is_empty()
            || database.strip_prefix("sqlite:").is_some_and(|path| !sqlite_path(path).is_empty())
            || (["postgres://", "postgresql://"].iter().any(|scheme| database.starts_with(scheme)) && Url::parse(database).is_ok());
        if !known {
            return Err(self.refuse("database_url", "should be sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE"));
        }
        let blobs = config.blobs.as_str();
        let known = blobs.is_empty()
            || blobs.strip_prefix("file://").is_some_and(|path| path.starts_with('/'))
            || blobs.strip_prefix("s3://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
        if !known {
            return Err(self.refuse("blobs", "should be file:///ABSOLUTE/PATH or s3://BUCKET/PREFIX"));
        }
        if config.data_dir.as_os_str().is_empty() {
            return Err(self.refuse("data_dir", "should name a directory"));
        }
        Ok(())
    }

    /// What is harmless on a developer's machine and not on an address that others reach.
    fn check_public(&self, config: &Config) -> Result<(), ConfigError> {
        if config.listen.ip().is_loopback() {
            return Ok(());
        }
        if config.public_url.is_empty() {
            let why = "can be reached from other machines, and public_url is empty; set public_url to the address clients use, as in \
                       public_url = \"https://api.example.com\", or listen on 127.0.0.1";
            return Err(self.refuse("listen", why));
        }
        if let Some(mode) = open_to_others(&config.data_dir) {
            let path = config.data_dir.display();
            let why = format!("has mode {mode:03o}, so other users of this machine can read it; run: chmod 700 {path}");
            return Err(self.refuse("data_dir", why));
        }
        let is_near = |host: &str| host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        let mail = &config.mail;
        if mail.smtp_encryption == SmtpEncryption::None && !mail.smtp_password.is_empty() && !is_near(&mail.smtp_host) {
            return Err(self.refuse("mail.smtp_encryption", "would send smtp_password for everybody to read; take starttls or tls"));
        }
        if !config.metrics.token.is_empty() && config.metrics.token.len() < 16 {
            return Err(self.refuse("metrics.token", "is too short to keep guessers out; use 16 characters or more"));
        }
        Ok(())
    }
}

/// The directory's mode, if it is there and anybody but its owner may look into it.
#[cfg(unix)]
fn open_to_others(directory: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(directory).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn open_to_others(_: &Path) -> Option<u32> {
    None
}

fn invalid(key: &str, value: &Value, origin: Origin, why: String) -> ConfigError {
    let value = match (key, value) {
        ("blobs_s3.secret_access_key" | "mail.smtp_password" | "metrics.token", _) => HIDDEN.to_owned(),
        ("database_url", Value::String(url)) => format!("{:?}", without_password(url)),
        (_, value) => value.to_string(),
    };
    ConfigError::Invalid { key: key.to_owned(), value, origin, why }
}

fn name_of_type(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number with a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// How many letters must change to make one word the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

/// Every number with its least and its greatest sane value.
const RANGES: &[(&str, i64, i64)] = &[
    ("database.max_connections", 1, 1000),
    ("database.acquire_timeout_seconds", 1, 300),
    ("database.statement_timeout_seconds", 1, 3600),
    ("database.read_connections", 0, 256),
    ("http.header_timeout_seconds", 1, 300),
    ("http.request_timeout_seconds", 1, 3600),
    ("http.idle_timeout_seconds", 1, 3600),
    ("http.transfer_stall_seconds", 1, 3600),
    ("http.transfer_min_bytes_per_second", 0, 1 << 30),
    ("http.max_json_bytes", 1024, 1 << 30),
    ("http.max_header_bytes", 8192, 1 << 20),
    ("http.max_connections", 1, 1_000_000),
    ("http.max_in_flight", 1, 1_000_000),
    ("http.stop_delay_seconds", 0, 300),
    ("http.drain_seconds", 0, 3600),
    // Stored hashes that ask for more than these are not verified: see crypto/password.rs.
    ("auth.argon2_memory_kib", 8192, 256 * 1024),
    ("auth.argon2_iterations", 1, 16),
    ("auth.argon2_parallelism", 1, 16),
    ("auth.hash_threads", 0, 1024),
    ("auth.hash_queue", 1, 100_000),
    ("mail.smtp_port", 0, 65_535),
    ("mail.smtp_timeout_seconds", 1, 50),
    ("records.max_rows", 1, 1_000_000),
    ("storage.max_upload_bytes", 1, 1 << 50),
    ("images.threads", 0, 1024),
    ("images.cache_bytes", 0, 1 << 40),
    ("images.max_source_bytes", 1, 1 << 30),
    ("images.max_pixels", 1, 1 << 32),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: Option<&str>, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, String> {
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("basalt.toml");
        let file = file.map(|text| {
            fs::write(&path, text).unwrap();
            path.clone()
        });
        Config::load(Sources { file, environment: pairs(environment), flags: pairs(flags) })
            .map_err(|error| error.to_string().replace(&path.display().to_string(), "basalt.toml"))
    }

    #[test]
    fn every_number_has_a_range_and_every_range_a_number() {
        let layers = Layers::defaults();
        let numbers: Vec<String> = layers.keys().into_iter().filter(|key| layers.get(key).is_some_and(Value::is_integer)).collect();
        let mut ranges: Vec<&str> = RANGES.iter().map(|(key, ..)| *key).collect();
        ranges.sort_unstable();
        let mut sorted = numbers;
        sorted.sort_unstable();
        assert_eq!(sorted, ranges);
    }

    #[test]
    fn a_listener_is_for_this_machine_alone() {
        let listener = |rest: &str| load(Some(&format!("[[listeners]]\ntenant = \"acme\"\n{rest}")), &[], &[]);
        let config = listener("listen = \"127.0.0.1:9999\"\nroot_mount = true\n").unwrap();
        assert!(config.listeners[0].root_mount && config.listeners[0].require_key);
        assert!(config.print_hidden().contains("[[listeners]]"));
        assert!(listener("listen = \"0.0.0.0:9999\"\n").unwrap_err().contains("127.0.0.1 or [::1]"));
        assert!(listener("listen = \"127.0.0.1:9999\"\nroot = true\n").unwrap_err().contains("root"));
        assert!(listener("").is_err());
    }

    #[test]
    fn a_later_layer_wins() {
        let file = "listen = \"127.0.0.1:1\"\ndata_dir = \"/from/file\"\n[auth]\nargon2_memory_kib = 20000\n";
        let environment = [("BASALT_LISTEN", "127.0.0.1:2"), ("BASALT_AUTH__ARGON2_MEMORY_KIB", "21000"), ("OTHER", "x")];
        let config = load(Some(file), &environment, &[("listen", "127.0.0.1:3")]).unwrap();
        assert_eq!(config.listen.port(), 3);
        assert_eq!(config.auth.argon2_memory_kib, 21_000);
        assert_eq!(config.data_dir, Path::new("/from/file"));
        assert_eq!(config.http.drain_seconds, Config::default().http.drain_seconds);
    }

    #[test]
    fn lists_come_from_the_environment_by_commas() {
        let config = load(None, &[("BASALT_HTTP__TRUSTED_PROXIES", "10.0.0.0/8, ::1")], &[]).unwrap();
        assert_eq!(config.http.trusted_proxies, ["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]);
    }

    #[test]
    fn a_refusal_names_key_source_value_and_cure() {
        let refusal = |file, environment: &[_], flags: &[_]| load(file, environment, flags).unwrap_err();
        insta::assert_snapshot!(refusal(Some("listn = \"x\""), &[], &[]), @"listn (from basalt.toml) is not a setting; did you mean listen?");
        insta::assert_snapshot!(refusal(Some("[auth]\nargon_memory_kib = 1"), &[], &[]), @"auth.argon_memory_kib (from basalt.toml) is not a setting; did you mean auth.argon2_memory_kib?");
        insta::assert_snapshot!(refusal(None, &[("BASALT_DATABASEURL", "x")], &[]), @"BASALT_DATABASEURL (from the environment's BASALT_DATABASEURL) is not a setting; did you mean BASALT_DATABASE_URL?");
        insta::assert_snapshot!(refusal(None, &[("BASALT_HTTP__DRAIN_SECONDS", "soon")], &[]), @r#"http.drain_seconds = "soon" (from the environment's BASALT_HTTP__DRAIN_SECONDS): should be a whole number"#);
        insta::assert_snapshot!(refusal(None, &[("BASALT_HTTP__DRAIN_SECONDS", "-1")], &[]), @"http.drain_seconds = -1 (from the environment's BASALT_HTTP__DRAIN_SECONDS): should be between 0 and 3600");
        insta::assert_snapshot!(refusal(None, &[("BASALT_DEFAULT_TENANT", "My Firm")], &[]), @r#"default_tenant = "My Firm" (from the environment's BASALT_DEFAULT_TENANT): should be 2 to 40 of a-z, 0-9 and inner "-", or empty"#);
        insta::assert_snapshot!(refusal(Some("listen = 8787"), &[], &[]), @"listen = 8787 (from basalt.toml): should be text");
        insta::assert_snapshot!(refusal(None, &[], &[("listen", "0.0.0.0:80")]), @r#"listen = "0.0.0.0:80" (from --listen): can be reached from other machines, and public_url is empty; set public_url to the address clients use, as in public_url = "https://api.example.com", or listen on 127.0.0.1"#);
        insta::assert_snapshot!(refusal(None, &[], &[("public_url", "https://a.example/?x")]), @r#"public_url = "https://a.example/?x" (from --public-url): should start with http:// or https:// and have no user, query or fragment, as in https://api.example.com"#);
        insta::assert_snapshot!(refusal(None, &[], &[("database_url", "mysql://me:secret@db/x")]), @r#"database_url = "mysql://me:[hidden]@db/x" (from --database-url): should be sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE"#);
    }

    #[cfg(unix)]
    #[test]
    fn a_data_directory_that_others_can_read_is_refused_on_a_public_address() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap();
        let load_with = |mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            load(None, &[], &[("listen", "0.0.0.0:80"), ("public_url", "https://a.example"), ("data_dir", path)])
        };
        assert!(load_with(0o755).unwrap_err().contains("run: chmod 700"));
        assert!(load_with(0o700).is_ok());
    }

    #[test]
    fn secrets_are_hidden_when_printed() {
        let flags = [
            ("database_url", "postgres://basalt:hunter2@db/basalt?sslpassword=hunter2"),
            ("blobs_s3.secret_access_key", "hunter2"),
            ("mail.smtp_password", "hunter2"),
            ("metrics.token", "hunter2"),
        ];
        let config = load(None, &[], &flags).unwrap();
        let printed = config.print_hidden();
        assert!(!printed.contains("hunter2"), "{printed}");
        assert!(printed.contains("postgres://basalt:[hidden]@db/basalt?sslpassword=[hidden]"), "{printed}");
        assert!(!format!("{:?}", (&config, &config.blobs_s3, &config.mail, &config.metrics)).contains("hunter2"));
    }

    #[test]
    fn places_are_derived_from_the_data_directory_unless_named() {
        let config = load(None, &[], &[("data_dir", "/d")]).unwrap();
        assert!(config.database_location() == DatabaseLocation::Sqlite("/d/basalt.db".into()));
        assert_eq!(config.blob_location(), BlobLocation::Directory("/d/blobs".into()));
        assert_eq!(config.master_key_path(), Path::new("/d/master.key"));
        let config = load(None, &[], &[("blobs", "s3://bucket/some/prefix/"), ("database_url", "sqlite:./x.db")]).unwrap();
        assert_eq!(config.blob_location(), BlobLocation::S3 { bucket: "bucket".into(), prefix: "some/prefix".into() });
        assert!(config.database_location() == DatabaseLocation::Sqlite("./x.db".into()));
    }
}
