//! The one state of the process, as every handler gets it.

use std::{ops::Deref, path::Path, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    audit, auth,
    blobs::Blobs,
    clock::Clock,
    config::{Config, DatabaseLocation},
    crypto::{MasterKey, PasswordSettings, Passwords},
    db::{self, Db, Timestamp, Tx},
    error::{Error, Result},
    jobs::{self, Jobs},
    mail::{self, Mailer},
    outbound::Outbound,
    records, storage, tenants,
};

/// Everything that lives as long as the process. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// What an [`App`] is made of.
pub struct Parts {
    /// What the operator chose.
    pub config: Config,
    /// The host in the public URL, in lower case and without its port.
    pub public_host: String,
    /// The database.
    pub db: Db,
    /// The bytes of files.
    pub blobs: Blobs,
    /// What makes pictures, and those that it made.
    pub images: storage::Images,
    /// What tells the time.
    pub clock: Clock,
    /// What seals secrets at rest.
    pub master_key: Arc<MasterKey>,
    /// Work that follows a request.
    pub jobs: Jobs,
    /// Where mails go.
    pub mailer: Mailer,
    /// The one way to call others over HTTP.
    pub outbound: Outbound,
    /// What hashes passwords.
    pub passwords: Passwords,
    /// The operator's lists of passwords that nobody should choose.
    pub password_lists: auth::PasswordLists,
    /// Tenants and their keys, remembered for a moment.
    pub tenants: tenants::Directory,
    /// How often who asked for what of late.
    pub limits: auth::Limits,
    /// Tokens that were found good.
    pub verified_tokens: auth::VerifiedTokens,
    /// The keys that providers sign with.
    pub provider_keys: auth::ProviderKeys,
    /// Cancelled when the process begins to stop: `/ready` says so, and what runs beside requests ends.
    pub stopping: CancellationToken,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Opens everything that the settings name; makes what is not there yet.
    pub async fn open(config: Config, clock: Clock) -> Result<Self> {
        let master_key_path = config.master_key_path();
        make_private_directory(&config.data_dir)?;
        let db = Db::open(&database_settings(&config)).await?;
        let master_key = Arc::new(open_master_key(&master_key_path, &db).await?);
        let blobs = Blobs::open(&config).await?;
        let images = storage::Images::new(&config);
        let public_url = config.public_url();
        let public_host = url::Url::parse(&public_url)
            .ok()
            .and_then(|url| url.host_str().map(str::to_ascii_lowercase))
            .ok_or_else(|| Error::invalid("public_url", format!("\"{public_url}\" has no host")))?;
        let passwords = Passwords::new(&PasswordSettings {
            memory_kib: config.auth.argon2_memory_kib,
            passes: config.auth.argon2_iterations,
            lanes: config.auth.argon2_parallelism,
            threads: (config.auth.hash_threads > 0).then_some(config.auth.hash_threads),
            queue: config.auth.hash_queue,
        })?;
        let password_lists = auth::PasswordLists::open(&config.auth.password_lists)?;
        let tenants = tenants::Directory::new(db.clone(), Arc::clone(&master_key), public_url);
        let verified_tokens = auth::VerifiedTokens::default();
        let jobs = Jobs::new(Arc::clone(&master_key));
        let mailer = Mailer::open(&config.mail)?;
        let outbound = Outbound::new(&config.outbound);
        Ok(Self(Arc::new(Parts {
            config,
            public_host,
            db,
            blobs,
            images,
            clock,
            master_key,
            jobs,
            mailer,
            outbound,
            passwords,
            password_lists,
            tenants,
            limits: auth::Limits::default(),
            verified_tokens,
            provider_keys: auth::ProviderKeys::default(),
            stopping: CancellationToken::new(),
        })))
    }

    /// Whether what the settings name was ever opened. Makes nothing.
    pub async fn is_installed(config: &Config) -> Result<bool> {
        Db::is_there(&database_settings(config)).await
    }

    /// Removes everything that belongs to a deleted tenant, in every room. The bytes of its files go with the next sweep.
    pub async fn erase_tenant(tx: &Tx, tenant: tenants::TenantId, now: Timestamp) -> Result<()> {
        records::delete_rows_of(tx, tenant).await?;
        storage::delete_rows_of(tx, tenant, now).await?;
        auth::delete_rows_of(tx, tenant).await?;
        jobs::delete_rows_of(tx, tenant).await?;
        audit::delete_rows_of(tx, tenant).await?;
        mail::delete_rows_of(tx, tenant).await
    }

    /// Finishes what is under way in the database.
    pub async fn close(&self) {
        self.db.close().await;
    }
}

/// A key that does not fit the database is refused at once, not at the first sign-in; and none is made where secrets wait for theirs.
async fn open_master_key(path: &Path, db: &Db) -> Result<MasterKey> {
    let refuse = |why: &str| Error::invalid("master_key_file", format!("{} {why}", path.display()));
    match (tenants::sealed_secret(db).await?, MasterKey::load(path)?) {
        (None, Some(key)) => Ok(key),
        (None, None) => MasterKey::load_or_create(path),
        (Some((place, sealed)), Some(key)) if key.open(&place, &sealed).is_ok() => Ok(key),
        (Some(_), Some(_)) => Err(refuse("is not the key that sealed the secrets of this database; put back the one that belongs to it")),
        (Some(_), None) => Err(refuse("is not there, and the database has secrets that it sealed; put back your copy of it")),
    }
}

fn database_settings(config: &Config) -> db::Settings {
    let (location, max_connections) = match config.database_location() {
        DatabaseLocation::Sqlite(path) => (db::Location::Sqlite(path), read_connections(config.database.read_connections)),
        DatabaseLocation::Postgres(url) => (db::Location::Postgres(url), config.database.max_connections),
    };
    db::Settings {
        location,
        max_connections,
        acquire_timeout: Duration::from_secs(config.database.acquire_timeout_seconds),
        statement_timeout: Duration::from_secs(config.database.statement_timeout_seconds),
    }
}

/// Makes the data directory, readable by its owner alone.
fn make_private_directory(path: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| Error::invalid("data_dir", format!("{} can't be made: {error}", path.display())))
}

/// Zero means as many as suit the machine: a read holds its connection for microseconds, unless it is a search or an export.
fn read_connections(chosen: usize) -> u32 {
    let suitable = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get) * 8;
    u32::try_from(if chosen == 0 { suitable() } else { chosen }).unwrap_or(u32::MAX)
}
