//! `basalt user`: who signs in.

use std::io;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{Failure, SettingsFlags, say};
use crate::{
    app::App,
    auth::{self, NewPassword, NewUser},
};

/// Makes users.
#[derive(Args, Debug)]
pub(super) struct User {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Make a user whose mail address counts as confirmed
    Create(Create),
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

impl User {
    pub(super) async fn run(self, settings: SettingsFlags) -> Result<(), Failure> {
        let UserCommand::Create(create) = self.command;
        let app = settings.open().await?;
        let outcome = create.run(&app).await;
        app.close().await;
        outcome
    }
}

impl Create {
    async fn run(self, app: &App) -> Result<(), Failure> {
        let tenant = app.tenants.active(&self.tenant).await?;
        let password = match self.password {
            Some(password) => password,
            None => first_line(io::stdin().lock())?,
        };
        auth::check_password(&tenant, &password)?;
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

fn words(roles: &Value) -> String {
    roles.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

fn first_line(mut input: impl io::BufRead) -> Result<String, Failure> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() { Err("no password: give --password, or the password on standard input".into()) } else { Ok(password.to_owned()) }
}
