//! `basalt key`: what callers show.

use clap::{Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use super::{Failure, SettingsFlags, say};
use crate::{
    app::App,
    db::Timestamp,
    error::Error,
    tenants::{self, KeyKind, KeyRequest},
};

/// Makes, lists and revokes keys.
#[derive(Args, Debug)]
pub(super) struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key and show it, once
    Create(Create),
    /// List a tenant's keys, by their first letters
    List {
        /// The tenant
        #[arg(long, value_name = "REF", default_value = "default")]
        tenant: String,
        /// List the keys that open /admin/v1 instead
        #[arg(long)]
        operator: bool,
    },
    /// End a key
    Revoke {
        /// The tenant
        #[arg(long, value_name = "REF", default_value = "default")]
        tenant: String,
        /// It is a key that opens /admin/v1
        #[arg(long)]
        operator: bool,
        /// The key's id, as "basalt key list" shows it
        id: Uuid,
    },
}

#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that is given or not")]
struct Create {
    /// The tenant
    #[arg(long, value_name = "REF", default_value = "default")]
    tenant: String,
    /// Names the tenant and nothing more; safe in a browser
    #[arg(long, group = "kind")]
    publishable: bool,
    /// Opens all of the tenant, or with --scopes only that
    #[arg(long, group = "kind")]
    secret: bool,
    /// Opens /admin/v1, of all tenants
    #[arg(long, group = "kind", conflicts_with_all = ["scopes", "expires"])]
    operator: bool,
    /// What a function may do, as employees:read,pay:read,storage.slips:write; makes a secret key
    #[arg(long, value_name = "SCOPES", default_value = "")]
    scopes: String,
    /// When the key ends: a number of days, as 90d, or a moment, as 2027-01-01T00:00:00Z
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
    /// What to call it
    #[arg(long)]
    name: Option<String>,
    /// Show the key as JSON
    #[arg(long)]
    json: bool,
}

impl Key {
    pub(super) async fn run(self, settings: SettingsFlags) -> Result<(), Failure> {
        let app = settings.open_existing().await?;
        match self.command {
            Command::Create(create) => create.run(&app).await?,
            Command::List { operator: true, .. } => {
                for key in tenants::list_operator_keys(&app).await? {
                    say!("{}  {:<11}  {:<20}  {}", key.id, "operator", key.hint, state(key.revoked_at, None))?;
                }
            }
            Command::List { tenant, operator: false } => {
                for key in tenants::list_keys(&app, &tenant).await? {
                    let state = state(key.revoked_at, key.expires_at);
                    say!("{}  {:<11}  {:<20}  {}  {}  {state}", key.id, key.kind, key.hint, key.name, key.scopes)?;
                }
            }
            Command::Revoke { tenant, operator, id } => {
                if operator {
                    tenants::revoke_operator_key(&app, id).await?;
                } else {
                    tenants::revoke_key(&app, &tenant, id).await?;
                }
                say!("Key {id} opens nothing any more")?;
            }
        }
        app.close().await;
        Ok(())
    }
}

impl Create {
    async fn run(self, app: &App) -> Result<(), Failure> {
        if self.operator {
            let (id, key) = tenants::create_operator_key(app).await?;
            return show(self.json, id, key.reveal());
        }
        let kind = match (self.publishable, self.secret || !self.scopes.is_empty()) {
            (true, _) => KeyKind::Publishable,
            (false, true) => KeyKind::Secret,
            (false, false) => return Err(Error::invalid("key", "say which kind: --publishable, --secret, --scopes SCOPES or --operator").into()),
        };
        let expires_at = self.expires.as_deref().map(|when| read_moment(when, app.clock.now())).transpose()?;
        let name = self.name.unwrap_or_else(|| kind.as_str().to_owned());
        let request = KeyRequest { kind, name, scopes: self.scopes.parse()?, expires_at };
        let (id, key) = tenants::create_key(app, &self.tenant, request).await?;
        show(self.json, id, key.reveal())
    }
}

fn state(revoked_at: Option<Timestamp>, expires_at: Option<Timestamp>) -> String {
    match (revoked_at, expires_at) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(at)) => format!("until {at}"),
        (None, None) => String::new(),
    }
}

fn show(as_json: bool, id: Uuid, key: &str) -> Result<(), Failure> {
    if as_json { say!("{}", json!({ "id": id, "key": key })) } else { say!("{key}") }
}

fn read_moment(text: &str, now: Timestamp) -> Result<Timestamp, Error> {
    if let Some(days) = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok()) {
        return Ok(now.plus_seconds(i64::from(days) * 86_400));
    }
    text.parse()
        .map_err(|_| Error::invalid("--expires", format!("\"{text}\" is neither a number of days, as 90d, nor a moment, as 2027-01-01T00:00:00Z")))
}
