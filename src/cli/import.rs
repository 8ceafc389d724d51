//! `basalt import`: records from files.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Failure, SettingsFlags, say};
use crate::records::{self, Progress, Report};

/// Loads records from files.
#[derive(Args, Debug)]
pub(super) struct Import {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load a company: departments, employees, assignments, titles, salaries and managers, a CSV file each. What is there already is left
    /// as it is, so an import that was stopped can be run again
    Employees {
        /// The directory with departments.csv, employees.csv and, if there are any, assignments.csv, titles.csv, salaries.csv, managers.csv
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// The tenant to load them into
        #[arg(long, value_name = "REF")]
        tenant: String,
    },
}

impl Import {
    /// Runs the command.
    pub(super) async fn run(self, settings: SettingsFlags) -> Result<(), Failure> {
        let Command::Employees { directory, tenant } = self.command;
        let app = settings.open_existing().await?;
        let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("{msg:17} {bar:40} {pos}/{len}")?);
        let show = |progress: Progress| {
            bar.set_message(progress.table);
            bar.set_length(progress.total as u64);
            bar.set_position(progress.done as u64);
        };
        let outcome = records::import_employees(&app, &tenant, &directory, show).await;
        bar.finish_and_clear();
        app.close().await;
        tell(&outcome?)
    }
}

fn tell(report: &Report) -> Result<(), Failure> {
    for ((table, made), (_, kept)) in report.made.iter().zip(&report.kept) {
        say!("{table}: {made} made, {kept} there already")?;
    }
    for refused in &report.refused {
        say!("refused {}, line {}: {}", refused.file, refused.line, refused.why)?;
    }
    Ok(())
}
