//! `basalt tenant`: who is served.

use clap::{Args, Subcommand};

use super::{Failure, SettingsFlags, say};
use crate::{
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
    /// Change a tenant's settings, as `signup_enabled=false`
    Set {
        /// The tenant
        #[arg(value_name = "REF")]
        reference: String,
        /// NAME=VALUE
        #[arg(required = true, value_name = "NAME=VALUE")]
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
        let app = settings.open().await?;
        match self.command {
            Command::Create { reference, name, domain } => {
                let reference: tenants::Reference = reference.parse()?;
                let name = name.as_deref().unwrap_or(reference.as_str());
                let row = tenants::create_tenant(&app, &reference, name, domain.as_deref(), TenantSettings::default()).await?;
                say!("Made tenant {}. Its URL is {}/t/{}", row.reference, app.config.public_url(), row.reference)?;
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
            Command::Set { reference, settings } => {
                let settings = settings.iter().map(|setting| read_setting(setting)).collect::<Result<_, _>>()?;
                let row = tenants::update_tenant(&app, &reference, TenantChange { settings: Some(settings), ..TenantChange::default() }).await?;
                say!("{}", serde_json::to_string_pretty(&row.settings.0)?)?;
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

/// `NAME=VALUE`, the value as JSON where it is JSON, else as text.
fn read_setting(text: &str) -> Result<(String, serde_json::Value), Error> {
    let (name, value) = text.split_once('=').ok_or_else(|| Error::invalid("settings", format!("\"{text}\" is not NAME=VALUE")))?;
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}
