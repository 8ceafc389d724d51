//! `basalt serve`

use std::io::{self, Write as _};

use clap::Args;

use super::{Failure, SettingsFlags};
use crate::{
    app::App,
    clock::Clock,
    logging, server,
    tenants::{self, FirstStart},
};

#[derive(Args, Debug)]
pub(super) struct Serve {
    /// The address and port to listen on
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Show the settings that would be used, secrets hidden, and end
    #[arg(long)]
    print_config: bool,
}

impl Serve {
    pub(super) async fn run(self, settings: SettingsFlags) -> Result<(), Failure> {
        let config = settings.load_with([("listen", self.listen)])?;
        if self.print_config {
            return Ok(io::stdout().write_all(config.print_hidden().as_bytes())?);
        }
        logging::start(&config.log);
        let stop = server::stop_signal()?;
        let (app, listener) = server::open(config, Clock::System).await?;
        if let Some(made) = tenants::first_start(&app).await? {
            greet(&app, &made)?;
        }
        tracing::info!(listen = %app.config.listen, "Basalt {} answers at {}", env!("CARGO_PKG_VERSION"), app.config.public_url());
        Ok(server::serve(app, listener, stop).await?)
    }
}

/// Shows what the first start made, and how to call it. Nothing of it is shown again.
fn greet(app: &App, made: &FirstStart) -> io::Result<()> {
    let url = app.config.public_url();
    let (publishable, secret, operator) = (made.publishable_key.reveal(), made.secret_key.reveal(), made.operator_key.reveal());
    let (data, tenant) = (app.config.data_dir.display(), &app.config.default_tenant);
    let key_file = app.config.master_key_path();
    write!(
        io::stdout().lock(),
        r#"
Basalt is ready: {url}

This was the first start. It made, in {data}:

  tenant           {tenant}
  publishable key  {publishable}   for browsers and apps
  secret key       {secret}   for servers only: may do everything in the tenant
  operator key     {operator}   for /admin/v1: makes tenants and keys

The keys are not kept and not shown again; "basalt key create" makes new ones. Keep a copy of
{key_file} in a safe place: without it the secrets in a backup can't be read.

Sign up:

curl '{url}/auth/v1/signup' -H 'apikey: {publishable}' -H 'content-type: application/json' -d '{{"email":"ada@example.com","password":"correct horse battery"}}'

Search employees:

curl '{url}/rest/v1/employees/_search?q=ada' -H 'apikey: {secret}'

Upload a file (and make its bucket first):

curl '{url}/storage/v1/bucket' -H 'apikey: {secret}' -H 'content-type: application/json' -d '{{"id":"files","name":"files"}}'; curl '{url}/storage/v1/object/files/hello.txt' -H 'apikey: {secret}' -H 'x-upsert: true' -H 'content-type: text/plain' -d 'hello'

"#,
        key_file = key_file.display(),
    )
}
