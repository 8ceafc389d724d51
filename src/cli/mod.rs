//! The command line: a file per command. A command reads the settings, opens what it needs, and says on standard output what it did;
//! the log and errors go to standard error.

mod export;
mod import;
mod key;
mod openapi;
mod password_list;
mod rules;
mod serve;
mod signing_key;
mod storage;
mod tenant;
mod user;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};

use crate::{
    app::App,
    clock::Clock,
    config::{Config, ConfigError, DatabaseLocation, Sources},
};

/// The back end that serverless apps call instead of writing one: sign-in, employee records and files, for many tenants.
#[derive(Debug, Parser)]
#[command(name = "basalt", version, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    settings: SettingsFlags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer requests until told to stop. The first start makes all that is needed and shows how to call it.
    Serve(serve::Serve),
    /// Make, list, suspend and delete tenants
    Tenant(tenant::Tenant),
    /// Make, list and revoke keys
    Key(key::Key),
    /// List, replace and remove a tenant's signing keys, or take one over from elsewhere
    SigningKey(signing_key::SigningKey),
    /// See whether the files and what is known of them fit together, and mend them
    Storage(storage::Storage),
    /// Make users, and bring them from elsewhere
    User(user::User),
    /// Make lists of passwords that nobody may choose
    PasswordList(password_list::PasswordList),
    /// Load records from files
    Import(import::Import),
    /// Show or replace the rules that say who may do what with records
    Rules(rules::Rules),
    /// Write the rows of a table into a file
    Export(export::Export),
    /// Write the API's document, OpenAPI 3.1, to standard output
    Openapi,
}

/// What a command can come back with instead of success.
type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Command {
    async fn run(self, settings: SettingsFlags) -> Result<(), Failure> {
        match self {
            Self::Serve(serve) => serve.run(settings).await,
            Self::Tenant(tenant) => tenant.run(settings).await,
            Self::Key(key) => key.run(settings).await,
            Self::SigningKey(signing_key) => signing_key.run(settings).await,
            Self::Storage(storage) => storage.run(settings).await,
            Self::User(user) => user.run(settings).await,
            Self::PasswordList(password_list) => password_list.run(),
            Self::Import(import) => import.run(settings).await,
            Self::Rules(rules) => rules.run(settings).await,
            Self::Export(export) => export.run(settings).await,
            Self::Openapi => openapi::run(),
        }
    }
}

/// Writes a line to standard output.
macro_rules! say {
    ($($part:tt)*) => {{
        use std::io::Write as _;
        writeln!(std::io::stdout().lock(), $($part)*).map_err($crate::cli::Failure::from)
    }};
}

use say;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let Cli { settings, command } = Cli::parse();
    let outcome = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let outcome = runtime.block_on(command.run(settings));
            // A query that still runs on a thread of its own is waited for no longer.
            runtime.shutdown_timeout(Duration::from_secs(1));
            outcome
        }
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "basalt: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Settings that every command takes as flags; the rest come from the file and the environment.
#[derive(Args, Debug)]
#[command(next_help_heading = "Settings")]
struct SettingsFlags {
    /// Read settings from this file [default: ./basalt.toml if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How clients reach this installation, as in <https://api.example.com>
    #[arg(long, global = true, value_name = "URL")]
    public_url: Option<String>,
    /// Where the database, the files and the master key live
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// sqlite:PATH or <postgres://USER:PASSWORD@HOST/DATABASE>
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    /// <file:///PATH> or <s3://BUCKET/PREFIX>
    #[arg(long, global = true, value_name = "URL")]
    blobs: Option<String>,
}

impl SettingsFlags {
    /// The settings, with these flags as their last layer.
    fn load(self) -> Result<Config, ConfigError> {
        self.load_with([])
    }

    /// Everything that the settings name, opened.
    async fn open(self) -> Result<App, Failure> {
        Ok(App::open(self.load()?, Clock::System).await?)
    }

    /// The same for a command that works on what is there: it makes no installation where there is none.
    async fn open_existing(self) -> Result<App, Failure> {
        let config = self.load()?;
        if !App::is_installed(&config).await? {
            let why = match config.database_location() {
                DatabaseLocation::Sqlite(path) => format!("{} does not exist; name its place with --data-dir or --config", path.display()),
                DatabaseLocation::Postgres(_) => "the database is empty; name another with --database-url or --config".to_owned(),
            };
            return Err(format!("there is no installation here: {why}, or make one with: basalt serve").into());
        }
        Ok(App::open(config, Clock::System).await?)
    }

    /// The settings, with these flags and a command's own as their last layer.
    fn load_with<const N: usize>(self, more: [(&str, Option<String>); N]) -> Result<Config, ConfigError> {
        let own = [("public_url", self.public_url), ("data_dir", self.data_dir), ("database_url", self.database_url), ("blobs", self.blobs)];
        let flags = own.into_iter().chain(more).filter_map(|(key, value)| Some((key.to_owned(), value?)));
        Config::load(Sources::of_process(self.config, flags.collect()))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
