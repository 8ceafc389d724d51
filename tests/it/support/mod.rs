//! A whole Basalt for one test, and who can call it.
//!
//! Requests go through the same front as those of a socket. The clock stands still until a test moves it.

mod client;
mod identity_provider;
mod mail_server;
mod stand_in;

use std::{path::Path, sync::OnceLock};

use basalt::{
    app::App,
    clock::Clock,
    config::{Config, Sources},
    http::Front,
    router::router,
    tenants::{self, KeyKind, KeyRequest, TenantSettings},
};
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

pub(crate) use self::{
    client::{Client, Reply},
    identity_provider::{CLIENT_ID, CLIENT_SECRET, Fault, IdentityProvider},
    mail_server::{MailServer, ReceivedMail, Speech},
    stand_in::StandIn,
};

/// The tenant that [`TestApp::new`] makes, besides `other`.
pub(crate) const TENANT: &str = "default";

/// A whole Basalt of its own.
pub(crate) struct TestApp {
    pub(crate) app: App,
    front: Front,
    pub(crate) default: TestTenant,
    pub(crate) other: TestTenant,
    operator_key: String,
    _directory: TempDir,
}

/// A tenant and its keys.
pub(crate) struct TestTenant {
    pub(crate) publishable_key: String,
    pub(crate) secret_key: String,
}

impl TestApp {
    /// Two tenants, `default` and `other`, and nobody in them.
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// The same, with settings changed.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(&directory.path().join("data"), database_url().await);
        change(&mut config);
        let app = App::open(config, Clock::manual()).await.unwrap();
        let first = tenants::first_start(&app).await.unwrap().expect("the database is new");
        let default = TestTenant { publishable_key: first.publishable_key.reveal().to_owned(), secret_key: first.secret_key.reveal().to_owned() };
        let reference = "other".parse().unwrap();
        tenants::create_tenant(&app, &reference, "Other", None, TenantSettings::default()).await.unwrap();
        let other = TestTenant {
            publishable_key: make_key(&app, "other", KeyKind::Publishable, "").await,
            secret_key: make_key(&app, "other", KeyKind::Secret, "").await,
        };
        let front = Front::new(router(app.clone()), &app.config.http, CancellationToken::new());
        Self { app, front, default, other, operator_key: first.operator_key.reveal().to_owned(), _directory: directory }
    }

    /// A caller with the publishable key, of a second process on the same database, which knows nothing of what the first one remembers.
    pub(crate) async fn restarted(&self) -> Client {
        let app = App::open(self.app.config.clone(), self.app.clock.clone()).await.unwrap();
        let front = Front::new(router(app.clone()), &app.config.http, CancellationToken::new());
        Client::new(front).key(&self.default.publishable_key)
    }

    /// A caller with no key at all.
    pub(crate) fn nobody(&self) -> Client {
        Client::new(self.front.clone())
    }

    /// A caller, with no key, of a listener that serves one tenant.
    pub(crate) fn mounted(&self, listener: &basalt::config::Listener) -> Client {
        Client::new(basalt::server::mounted_service(self.app.clone(), listener))
    }

    /// A caller with the publishable key.
    pub(crate) fn anonymous(&self) -> Client {
        self.nobody().key(&self.default.publishable_key)
    }

    /// A caller with the secret key.
    pub(crate) fn service(&self) -> Client {
        self.nobody().key(&self.default.secret_key)
    }

    /// The operator.
    pub(crate) fn operator(&self) -> Client {
        self.nobody().header("authorization", &format!("Bearer {}", self.operator_key))
    }

    /// A function with a key of these scopes.
    pub(crate) async fn function(&self, scopes: &str) -> Client {
        self.nobody().key(&make_key(&self.app, TENANT, KeyKind::Secret, scopes).await)
    }

    /// The secret key of the other tenant.
    pub(crate) fn other_service(&self) -> Client {
        self.nobody().key(&self.other.secret_key)
    }

    /// A user of the default tenant who just signed up, with these roles.
    pub(crate) async fn user(&self, email: &str, roles: &[&str]) -> TestUser {
        self.user_of(&self.default, email, roles).await
    }

    /// A user of a tenant who just signed up, with these roles.
    pub(crate) async fn user_of(&self, tenant: &TestTenant, email: &str, roles: &[&str]) -> TestUser {
        let anonymous = self.nobody().key(&tenant.publishable_key);
        let reply = anonymous.post("/auth/v1/signup", json!({ "email": email, "password": PASSWORD })).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let session = reply.json();
        let id = session["user"]["id"].as_str().unwrap().to_owned();
        if !roles.is_empty() {
            let service = self.nobody().key(&tenant.secret_key);
            let reply = service.put(&format!("/auth/v1/admin/users/{id}"), json!({ "app_metadata": { "roles": roles } })).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
        let client = anonymous.bearer(session["access_token"].as_str().unwrap());
        TestUser { id, client, session }
    }
}

impl TestApp {
    /// Does the jobs that are due, in the worker's place, until there are none.
    pub(crate) async fn run_jobs(&self) {
        let registry = basalt::server::work();
        while basalt::jobs::run_due(&self.app, &registry).await.unwrap() > 0 {}
    }

    /// The jobs of the default tenant that were given up, newest first.
    pub(crate) async fn failed_jobs(&self) -> Vec<serde_json::Value> {
        let reply = self.operator().get("/admin/v1/tenants/default/jobs").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["jobs"].as_array().unwrap().clone()
    }

    /// The mails that went to an address of the default tenant, newest first, after the jobs were done.
    pub(crate) async fn mails(&self, to: &str) -> Vec<serde_json::Value> {
        self.run_jobs().await;
        let reply = self.operator().get(&format!("/admin/v1/inbox?to={}", to.replace('+', "%2B"))).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["mails"].as_array().unwrap().clone()
    }
}

/// The password of every test user.
pub(crate) const PASSWORD: &str = "a long enough password";

/// A user who is signed in.
pub(crate) struct TestUser {
    pub(crate) id: String,
    pub(crate) client: Client,
    pub(crate) session: serde_json::Value,
}

async fn make_key(app: &App, tenant: &str, kind: KeyKind, scopes: &str) -> String {
    let request = KeyRequest { kind, name: "test".to_owned(), scopes: scopes.parse().unwrap(), expires_at: None };
    tenants::create_key(app, tenant, request).await.unwrap().1.reveal().to_owned()
}

fn config(data_dir: &Path, database_url: Option<String>) -> Config {
    let mut flags = vec![("data_dir".to_owned(), data_dir.display().to_string())];
    flags.extend(database_url.map(|url| ("database_url".to_owned(), url)));
    let mut config = Config::load(Sources { file: None, environment: Vec::new(), flags }).unwrap();
    // Hashing is what most tests would wait for; how strong it is makes no difference to them.
    config.auth.argon2_memory_kib = 64;
    config.auth.argon2_iterations = 1;
    config.database.max_connections = 8;
    config
}

/// A PostgreSQL database of the test's own, copied from a migrated one; `None` is SQLite.
pub(crate) async fn database_url() -> Option<String> {
    static TEMPLATE: OnceCell<()> = OnceCell::const_new();
    let server = std::env::var("TEST_DATABASE_URL").ok()?;
    TEMPLATE.get_or_init(|| make_template(&server)).await;
    let name = format!("test_{}", uuid::Uuid::new_v4().simple());
    let mut connection = PgConnection::connect(&server).await.unwrap();
    let create = format!("CREATE DATABASE {name} TEMPLATE {}", template());
    connection.execute(sqlx::AssertSqlSafe(create)).await.unwrap();
    Some(with_database(&server, &name))
}

/// A PostgreSQL database with nothing in it; `None` is SQLite.
pub(crate) async fn empty_database_url() -> Option<String> {
    let server = std::env::var("TEST_DATABASE_URL").ok()?;
    let name = format!("test_{}", uuid::Uuid::new_v4().simple());
    let mut connection = PgConnection::connect(&server).await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    Some(with_database(&server, &name))
}

async fn make_template(server: &str) {
    let mut connection = PgConnection::connect(server).await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {}", template()))).await.unwrap();
    let url = with_database(server, template());
    let settings = basalt::db::Settings {
        location: basalt::db::Location::Postgres(url),
        max_connections: 1,
        acquire_timeout: std::time::Duration::from_secs(10),
        statement_timeout: std::time::Duration::from_secs(10),
    };
    basalt::db::Db::open(&settings).await.unwrap().close().await;
}

/// One template a run, so that an old schema is never met.
fn template() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| format!("template_{}", uuid::Uuid::new_v4().simple()))
}

fn with_database(server: &str, name: &str) -> String {
    let mut url = url::Url::parse(server).unwrap();
    url.set_path(name);
    url.into()
}
