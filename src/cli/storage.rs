//! `basalt storage`: looking after the files.

use clap::{Args, Subcommand};

use super::{Failure, SettingsFlags, say};
use crate::storage::{self, CheckOptions, CheckReport};

/// Looks after the files.
#[derive(Args, Debug)]
pub(super) struct Storage {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare the bytes that are there with what the database says of them. A server may run meanwhile. Fails when something is left wrong
    Check {
        /// Read all bytes and compare their SHA-256, instead of looking at their sizes alone
        #[arg(long)]
        deep: bool,
        /// Mend what is wrong: remove rows without bytes and bytes without rows, and correct sizes, hashes and counts to what is there
        #[arg(long)]
        repair: bool,
        /// No server is running: bytes that nothing names are stray however new they are, and not only after an hour
        #[arg(long)]
        offline: bool,
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
}

impl Storage {
    pub(super) async fn run(self, settings: SettingsFlags) -> Result<(), Failure> {
        let Command::Check { deep, repair, offline, json } = self.command;
        let app = settings.open_existing().await?;
        let report = storage::check(&app, CheckOptions { deep, repair, offline }).await?;
        app.close().await;
        if json {
            say!("{}", serde_json::to_string_pretty(&report)?)?;
        } else {
            tell(&report)?;
        }
        match report.left() {
            0 => Ok(()),
            left if repair => Err(format!("{left} of them could not be mended").into()),
            left => Err(format!("{left} things are wrong; --repair mends them").into()),
        }
    }
}

fn tell(report: &CheckReport) -> Result<(), Failure> {
    for problem in &report.problems {
        let kind = serde_json::to_value(problem.kind)?;
        let kind = kind.as_str().unwrap_or_default().replace('_', " ");
        let place = [problem.tenant.clone(), problem.name.clone(), problem.blob.map(|blob| blob.to_string())];
        let place: Vec<String> = place.into_iter().flatten().collect();
        say!("{kind}: {}: {}{}", place.join(" "), problem.detail, if problem.repaired { " (mended)" } else { "" })?;
    }
    let (objects, versions, blobs, bytes) = (report.objects, report.versions, report.blobs, report.bytes);
    say!("{objects} objects and {versions} versions, {bytes} bytes in {blobs} blobs: {} problems", report.problems.len())
}
