//! `basalt signing-key`: what signs a tenant's tokens.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use serde_json::Value;

use super::{Failure, SettingsFlags, say};
use crate::{
    error::Error,
    tenants::{self, SigningKeyImport},
};

/// Replaces a tenant's signing key, or takes one over from elsewhere.
#[derive(Args, Debug)]
pub(super) struct SigningKey {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sign with a fresh key from now on; what the old one signed stays good for two days
    Rotate {
        /// The tenant
        #[arg(long, value_name = "REF", default_value = "default")]
        tenant: String,
    },
    /// List the keys that a tenant's tokens are signed and checked with
    List {
        /// The tenant
        #[arg(long, value_name = "REF", default_value = "default")]
        tenant: String,
    },
    /// Take a key away: what it signed is believed no longer
    Remove {
        /// The tenant
        #[arg(long, value_name = "REF", default_value = "default")]
        tenant: String,
        /// The key's kid, as "basalt signing-key list" shows it
        kid: String,
    },
    /// Believe tokens signed with a key from elsewhere, or with one of several
    #[command(group(ArgGroup::new("key").required(true)))]
    Import {
        /// The tenant
        #[arg(long, value_name = "REF", default_value = "default")]
        tenant: String,
        /// A file with the text of an HS256 secret (Supabase's "JWT secret")
        #[arg(long, value_name = "FILE", group = "key")]
        hs256: Option<PathBuf>,
        /// A file with a JWK (RFC 7517), a list of them or a JWK set: EC P-256, RSA or oct
        #[arg(long, value_name = "FILE", group = "key")]
        jwk: Option<PathBuf>,
        /// Sign new tokens with it too; of several, with the one that says of itself that it is for signing
        #[arg(long)]
        sign: bool,
    },
}

impl SigningKey {
    pub(super) async fn run(self, settings: SettingsFlags) -> Result<(), Failure> {
        let app = settings.open_existing().await?;
        match self.command {
            Command::Rotate { tenant } => say!("Tenant {tenant} signs with key {}", tenants::rotate_signing_key(&app, &tenant).await?)?,
            Command::List { tenant } => {
                for key in tenants::list_signing_keys(&app, &tenant).await? {
                    let until = key.retires_at.map_or_else(String::new, |end| format!("until {end}"));
                    say!("{:<36}  {:<5}  {:<8}  {}  {until}", key.kid, key.algorithm, key.status, key.created_at)?;
                }
            }
            Command::Remove { tenant, kid } => {
                tenants::remove_signing_key(&app, &tenant, &kid).await?;
                say!("Tenant {tenant} believes key {kid} no longer")?;
            }
            Command::Import { tenant, hs256, jwk, sign } => {
                let import = match (hs256, jwk) {
                    (Some(path), _) => SigningKeyImport::Hs256Secret(read(&path)?.trim_end().to_owned()),
                    (None, Some(path)) => read_jwk(&path)?,
                    (None, None) => return Err(Error::invalid("signing-key", "name the key's file: --hs256 FILE or --jwk FILE").into()),
                };
                let kids = tenants::import_signing_keys(&app, &tenant, &import, sign).await?;
                say!("Tenant {tenant} believes {}", kids.join(", "))?;
                let keys = if sign { tenants::list_signing_keys(&app, &tenant).await? } else { Vec::new() };
                for current in keys.iter().filter(|key| key.status == "current") {
                    say!("Tenant {tenant} signs with {}", current.kid)?;
                }
            }
        }
        app.close().await;
        Ok(())
    }
}

fn read_jwk(path: &PathBuf) -> Result<SigningKeyImport, Error> {
    let json: Value =
        serde_json::from_str(&read(path)?).map_err(|error| Error::invalid("--jwk", format!("{} is no JSON: {error}", path.display())))?;
    let is_set = json.is_array() || json["keys"].is_array();
    Ok(if is_set { SigningKeyImport::Jwks(json) } else { SigningKeyImport::Jwk(json) })
}

fn read(path: &PathBuf) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|error| Error::invalid("signing-key", format!("{} can't be read: {error}", path.display())))
}
