//! `basalt user`: who signs in.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use super::{Failure, SettingsFlags, say};
use crate::{
    app::App,
    auth::{self, FirebaseHash, NewPassword, NewUser, Owner, Source, UserImport, UserReport},
};

/// Makes users, and brings them from elsewhere.
#[derive(Args, Debug)]
pub(super) struct User {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Make a user whose mail address counts as confirmed
    Create(Create),
    /// Bring users from elsewhere, with their passwords. Who is there already is left as it is, so an import that was stopped can be run again
    Import(Import),
}

#[derive(Args, Debug)]
struct Create {
    /// The tenant
    #[arg(long, value_name = "REF", default_value = "default")]
    tenant: String,
    /// The mail address
    #[arg(long)]
    email: String,
    /// The password [default: the first line of standard input]
    #[arg(long)]
    password: Option<String>,
    /// A role in the app, as in hr, payroll or admin; can be given more than once
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',')]
    roles: Vec<String>,
}

#[derive(Args, Debug)]
struct Import {
    /// The files with the users and what belongs to them, in any order
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The tenant
    #[arg(long, value_name = "REF")]
    tenant: String,
    /// Who wrote the files
    #[arg(long, value_enum)]
    from: Product,
    /// Firebase's hash parameters, as its console shows them
    #[arg(long, value_name = "FILE", required_if_eq("from", "firebase"))]
    hash_config: Option<PathBuf>,
    /// Write nothing; only say what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Product {
    /// auth.users, auth.identities, …: CSV, JSON, or a plain dump of the database
    Supabase,
    /// firebase auth:export users.json
    Firebase,
    /// The export of users and of password hashes, or files for a bulk import
    Auth0,
    /// A realm's export with users
    Keycloak,
    /// The users and _externalAuths of a database, CSV or JSON
    Pocketbase,
    /// Columns of our own; a wrong one is answered with the list of them
    Csv,
}

impl User {
    pub(super) async fn run(self, settings: SettingsFlags) -> Result<(), Failure> {
        let app = settings.open_existing().await?;
        let outcome = match self.command {
            UserCommand::Create(create) => create.run(&app).await,
            UserCommand::Import(import) => import.run(&app).await,
        };
        app.close().await;
        outcome
    }
}

impl Create {
    async fn run(self, app: &App) -> Result<(), Failure> {
        let tenant = app.tenants.active(&self.tenant).await?;
        let password = match self.password {
            Some(password) => password,
            None => ask_password()?,
        };
        auth::check_password(app, &tenant, &password, Owner { email: &self.email, ..Owner::default() }).await?;
        let mut app_metadata = Map::new();
        if !self.roles.is_empty() {
            app_metadata.insert("roles".to_owned(), json!(self.roles));
        }
        let new = NewUser { email: self.email, password: NewPassword::Plain(password), email_confirm: true, app_metadata, ..NewUser::default() };
        let user = auth::create_user(app, &tenant, new).await?;
        let roles = user.app_metadata.get("roles").map_or_else(String::new, |roles| format!(", roles {}", words(roles)));
        say!("Made user {} ({}) in tenant {}{roles}", user.email, user.id, tenant.reference)
    }
}

impl Import {
    async fn run(self, app: &App) -> Result<(), Failure> {
        let tenant = app.tenants.active(&self.tenant).await?;
        let source = match self.from {
            Product::Supabase => Source::Supabase,
            Product::Firebase => Source::Firebase(self.hash_config.as_deref().map(read_hash_config).transpose()?),
            Product::Auth0 => Source::Auth0,
            Product::Keycloak => Source::Keycloak,
            Product::Pocketbase => Source::PocketBase,
            Product::Csv => Source::Csv,
        };
        let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {pos} records")?);
        let import = UserImport { files: self.files, source, dry_run: self.dry_run };
        let outcome = auth::import_users(app, &tenant, import, |done| bar.set_position(done as u64)).await;
        bar.finish_and_clear();
        tell(&outcome?, self.dry_run)
    }
}

fn read_hash_config(path: &Path) -> Result<FirebaseHash, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{} can't be read: {error}", path.display()))?;
    let read = FirebaseHash::read(&text);
    read.ok_or_else(|| {
        format!("{} should have base64_signer_key, base64_salt_separator, rounds and mem_cost, as the console shows them", path.display()).into()
    })
}

fn tell(report: &UserReport, dry_run: bool) -> Result<(), Failure> {
    for refused in &report.refused {
        say!("refused {}, line {}: {}", refused.file.display(), refused.line, refused.why)?;
    }
    for without in &report.incomplete {
        say!("without its password {}, line {}: {}", without.file.display(), without.line, without.why)?;
    }
    if report.untold > 0 {
        say!("and {} more", report.untold)?;
    }
    say!("users: {} {}, {} there already, {} refused", report.made, if dry_run { "would be made" } else { "made" }, report.kept, report.refusals)?;
    if report.derived > 0 {
        say!("{} of them have a new id, derived from the one they had, which was no UUID", report.derived)?;
    }
    let others =
        [("identities", report.identities), ("TOTP factors", report.factors), ("sessions", report.sessions), ("refresh tokens", report.tokens)];
    for (name, count) in others.into_iter().filter(|(_, count)| *count > 0) {
        say!("{name}: {count}")?;
    }
    Ok(())
}

fn words(roles: &Value) -> String {
    roles.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

/// At a terminal it is asked for and not shown.
fn ask_password() -> Result<String, Failure> {
    if io::stdin().is_terminal() {
        write!(io::stderr(), "Password: ")?;
        return first_line(io::Cursor::new(console::Term::stderr().read_secure_line()?));
    }
    first_line(io::stdin().lock())
}

fn first_line(mut input: impl io::BufRead) -> Result<String, Failure> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() { Err("no password: give --password, or the password on standard input".into()) } else { Ok(password.to_owned()) }
}
