//! The whole story: a company, its people, two serverless functions, one payroll.
//!
//! `cargo run --release --example payroll` starts Basalt in this process on SQLite in a temporary directory, loads the company of
//! `examples/company` (or `--data DIR`), and plays. Every step is printed as a `curl` line that can be pasted while the story runs (or
//! afterwards, with `--stay`), and its outcome. With `--url` and keys it plays against a server that runs already.

mod function;
mod shell;
mod story;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use self::shell::{Failure, Shell, say};

/// Plays a payroll on Basalt, from sign-up to payslip.
#[derive(Debug, Parser)]
struct Options {
    /// The company to load: a directory of CSV files
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/company"))]
    data: PathBuf,
    /// Start on this PostgreSQL database instead of SQLite
    #[arg(long, value_name = "URL", conflicts_with = "url")]
    database_url: Option<String>,
    /// Play against this server; load the company into it with: basalt import employees
    #[arg(long, value_name = "URL", requires_all = ["publishable_key", "secret_key", "operator_key"])]
    url: Option<String>,
    /// A publishable key of its tenant
    #[arg(long, value_name = "KEY")]
    publishable_key: Option<String>,
    /// A secret key of its tenant
    #[arg(long, value_name = "KEY")]
    secret_key: Option<String>,
    /// Its operator key
    #[arg(long, value_name = "KEY")]
    operator_key: Option<String>,
    /// The tenant of those keys
    #[arg(long, value_name = "REF", default_value = "default")]
    tenant: String,
    /// Keep the server running when the story is over
    #[arg(long)]
    stay: bool,
    #[command(subcommand)]
    function: Option<Function>,
}

/// The payroll function, in a process of its own as a runtime would run it.
#[derive(Debug, Subcommand)]
enum Function {
    /// Pay a month
    Pay {
        /// The server
        url: String,
        /// A key with the scopes employees:read pay:read payslips:write storage.slips:write
        key: String,
        /// The month, as 2000-01
        period: String,
    },
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    match &options.function {
        Some(Function::Pay { url, key, period }) => {
            let paid = function::pay(&Shell::new(url, key), period).await?;
            say(&format!("{{\"run_id\":\"{}\",\"slips\":{},\"total_minor\":{}}}", paid.run_id, paid.slips, paid.total_minor));
            Ok(())
        }
        None => story::play(options).await,
    }
}
