//! `basalt rules`: who may do what with records.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Failure, SettingsFlags, say};
use crate::{
    error::Error,
    records::{self, NewRules},
};

/// Shows or replaces a tenant's rules about records.
#[derive(Args, Debug)]
pub(super) struct Rules {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the rules as JSON: the tenant's own, and those that every tenant begins with
    Show {
        /// The tenant
        #[arg(long, value_name = "REF", default_value = "default")]
        tenant: String,
    },
    /// Replace the tenant's own rules by those of a file, as PUT /admin/v1/tenants/{ref}/rules takes them
    Apply {
        /// The tenant
        #[arg(long, value_name = "REF", default_value = "default")]
        tenant: String,
        /// The file
        file: PathBuf,
    },
}

impl Rules {
    pub(super) async fn run(self, settings: SettingsFlags) -> Result<(), Failure> {
        let app = settings.open_existing().await?;
        match self.command {
            Command::Show { tenant } => say!("{}", serde_json::to_string_pretty(&records::rules_of(&app, &tenant).await?)?)?,
            Command::Apply { tenant, file } => {
                let wrong = |why: String| Error::invalid("rules", format!("{}: {why}", file.display()));
                let text = std::fs::read_to_string(&file).map_err(|error| wrong(error.to_string()))?;
                let new: NewRules = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
                let book = records::replace_rules_of(&app, &tenant, new).await?;
                say!("Tenant {tenant} has {} rules of its own", book.rules.len())?;
            }
        }
        app.close().await;
        Ok(())
    }
}
