//! `basalt tenant`: who is served.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::{Failure, SettingsFlags, say};
use crate::{
    app::App,
    error::Error,
    tenants::{self, TenantChange, TenantSettings, TenantStatus},
};

/// Makes, lists, suspends and deletes tenants.
#[derive(Args, Debug)]
pub(super) struct Tenant {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a tenant with a signing key of its own, and show how to call it
    Create {
        /// 2 to 40 of a-z, 0-9 and inner "-"; never used again, not even after the tenant is deleted
        #[arg(value_name = "REF")]
        reference: String,
        /// A name for people
        #[arg(long)]
        name: Option<String>,
        /// A domain of its own, as api.acme.com
        #[arg(long)]
        domain: Option<String>,
    },
    /// List tenants
    List,
    /// Show a tenant: its URL, its status, its settings
    Show {
        /// The tenant
        #[arg(value_name = "REF")]
        reference: String,
    },
    /// Change a tenant's settings, as `sign_up.enabled=false`; with none named, show them
    Set {
        /// The tenant
        #[arg(value_name = "REF")]
        reference: String,
        /// GROUP.NAME=VALUE; the value as JSON, or a text
        #[arg(value_name = "NAME=VALUE")]
        settings: Vec<String>,
    },
    /// Refuse every request of a tenant until it is resumed
    Suspend {
        /// The tenant
        #[arg(value_name = "REF")]
        reference: String,
    },
    /// Serve a suspended tenant again
    Resume {
        /// The tenant
        #[arg(value_name = "REF")]
        reference: String,
    },
    /// Delete a tenant with its users, records and files, for good
    Delete {
        /// The tenant
        #[arg(value_name = "REF")]
        reference: String,
        /// The tenant's name once more
        #[arg(long, value_name = "REF")]
        confirm: String,
    },
}

impl Tenant {
    pub(super) async fn run(self, settings: SettingsFlags) -> Result<(), Failure> {
        let app = match &self.command {
            Command::Create { .. } => settings.open().await?,
            _ => settings.open_existing().await?,
        };
        match self.command {
            Command::Create { reference, name, domain } => {
                let reference: tenants::Reference = reference.parse()?;
                let name = name.as_deref().unwrap_or(reference.as_str());
                let row = tenants::create_tenant(&app, &reference, name, domain.as_deref(), TenantSettings::default()).await?;
                say!("Made tenant {}. Its URL is {}", row.reference, url_of(&app, &row.reference))?;
                say!("Make keys for it with: basalt key create --tenant {} --publishable", row.reference)?;
            }
            Command::List => {
                let mut after = String::new();
                loop {
                    let page = tenants::list_tenants(&app.db, &after, 1000).await?;
                    let Some(last) = page.last() else { break };
                    after.clone_from(&last.reference);
                    for row in page {
                        say!("{:<40}  {:<9}  {}  {}", row.reference, row.status, row.created_at.date_time().date_naive(), row.name)?;
                    }
                }
            }
            Command::Show { reference } => {
                let row = tenants::get_tenant(&app, &reference).await?;
                say!("tenant   {} ({})", row.reference, row.name)?;
                say!("status   {}, made {}", row.status, row.created_at)?;
                say!("url      {}", url_of(&app, &row.reference))?;
                say!("domain   {}", row.domain.as_deref().unwrap_or("none of its own"))?;
                say!("issuer   {}", app.tenants.issuer(&row.reference, row.domain.as_deref()))?;
                let settings: TenantSettings = serde_json::from_value(row.settings.0)?;
                say!("settings {}", serde_json::to_string_pretty(&settings.shown())?)?;
            }
            Command::Set { reference, settings } => {
                let mut changes = Map::new();
                for setting in &settings {
                    read_setting(setting, &mut changes)?;
                }
                let row = tenants::update_tenant(&app, &reference, TenantChange { settings: Some(changes), ..TenantChange::default() }).await?;
                let settings: TenantSettings = serde_json::from_value(row.settings.0)?;
                say!("{}", serde_json::to_string_pretty(&settings.shown())?)?;
            }
            Command::Suspend { reference } => {
                tenants::set_status(&app, &reference, TenantStatus::Suspended).await?;
                say!("Tenant {reference} is suspended: its requests are refused until: basalt tenant resume {reference}")?;
            }
            Command::Resume { reference } => {
                tenants::set_status(&app, &reference, TenantStatus::Active).await?;
                say!("Tenant {reference} is served")?;
            }
            Command::Delete { reference, confirm } => {
                if confirm != reference {
                    return Err(Error::invalid(
                        "--confirm",
                        format!("\"{confirm}\" is not \"{reference}\"; repeat the tenant's name to delete it for good"),
                    )
                    .into());
                }
                tenants::delete_tenant(&app, &reference).await?;
                say!("Tenant {reference} is deleted")?;
            }
        }
        app.close().await;
        Ok(())
    }
}

/// Where a tenant is reached. Where `serve` listens may have been said to it alone.
fn url_of(app: &App, reference: &str) -> String {
    let known = format!("{}/t/{reference}", app.config.public_url());
    if app.config.public_url.is_empty() { format!("{known}, or below the address that \"basalt serve\" was told") } else { known }
}

/// `GROUP.NAME=VALUE`, the value as JSON where it is JSON, else as text; put where its name says among the changes.
fn read_setting(text: &str, changes: &mut Map<String, Value>) -> Result<(), Error> {
    let (name, value) = text.split_once('=').ok_or_else(|| Error::invalid("settings", format!("\"{text}\" is not NAME=VALUE")))?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    let (groups, name) = name.rsplit_once('.').unwrap_or(("", name));
    let mut place = changes;
    for group in groups.split('.').filter(|group| !group.is_empty()) {
        let inner = place.entry(group).or_insert_with(|| Value::Object(Map::new()));
        place = inner.as_object_mut().ok_or_else(|| Error::invalid("settings", format!("{group} is given twice, as a value and as a group")))?;
    }
    place.insert(name.to_owned(), value);
    Ok(())
}
