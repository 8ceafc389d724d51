//! `basalt import`: records from files.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Failure, SettingsFlags, say};
use crate::records::{self, Format, Loaded, Progress, Report};

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
    /// Load rows into a table. A line that can't be used is reported and loses nothing else; a row that is there already is left as it is
    Rows(Rows),
}

#[derive(Args, Debug)]
struct Rows {
    /// The table
    #[arg(value_name = "TABLE")]
    table: String,
    /// A CSV file with a header, or a file with a JSON object in every line; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The tenant to load them into
    #[arg(long, value_name = "REF")]
    tenant: String,
    /// csv or ndjson [default: as the file's name ends]
    #[arg(long, value_name = "FORMAT", value_parser = format_named)]
    format: Option<Format>,
    /// The columns of the key by which a row is there already [default: the primary key]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    on_conflict: Vec<String>,
    /// Change rows that are there already
    #[arg(long)]
    merge: bool,
}

/// A format by its name.
pub(super) fn format_named(name: &str) -> Result<Format, String> {
    match name {
        "csv" => Ok(Format::Csv),
        "ndjson" | "jsonl" => Ok(Format::Ndjson),
        other => Err(format!("it should be csv or ndjson, not \"{other}\"")),
    }
}

/// A format as a file's name ends; CSV where it says nothing.
pub(super) fn format_of(file: &Path) -> Format {
    file.extension().and_then(|ending| format_named(ending.to_str()?).ok()).unwrap_or(Format::Csv)
}

impl Import {
    /// Runs the command.
    pub(super) async fn run(self, settings: SettingsFlags) -> Result<(), Failure> {
        match self.command {
            Command::Employees { directory, tenant } => employees(&directory, &tenant, settings).await,
            Command::Rows(rows) => rows.run(settings).await,
        }
    }
}

impl Rows {
    async fn run(self, settings: SettingsFlags) -> Result<(), Failure> {
        let app = settings.open_existing().await?;
        let format = self.format.unwrap_or_else(|| format_of(&self.file));
        let (text, length): (Box<dyn Read + Send>, u64) = if self.file == Path::new("-") {
            (Box::new(io::stdin()), 0)
        } else {
            let file = File::open(&self.file).map_err(|error| format!("{} can't be read: {error}", self.file.display()))?;
            let length = file.metadata()?.len();
            (Box::new(file), length)
        };
        let bar = ProgressBar::new(length).with_style(ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {msg}")?);
        let show = |loaded: &Loaded| {
            bar.set_position(loaded.bytes);
            bar.set_message(format!("{} lines, {} refused", loaded.lines, loaded.refused_lines));
        };
        let outcome = records::load_rows(&app, &self.tenant, (&self.table, format), (&self.on_conflict, self.merge), text, show).await;
        bar.finish_and_clear();
        app.close().await;
        let loaded = outcome?;
        say!("{}: {} made, {} changed, {} there already, {} refused", self.table, loaded.made, loaded.changed, loaded.kept, loaded.refused_lines)?;
        for refused in &loaded.refused {
            say!("refused line {}: {}", refused.line, refused.why["message"].as_str().unwrap_or_default())?;
        }
        Ok(())
    }
}

async fn employees(directory: &Path, tenant: &str, settings: SettingsFlags) -> Result<(), Failure> {
    let app = settings.open_existing().await?;
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("{msg:17} {bar:40} {pos}/{len}")?);
    let show = |progress: Progress| {
        bar.set_message(progress.table);
        bar.set_length(progress.total as u64);
        bar.set_position(progress.done as u64);
    };
    let outcome = records::import_employees(&app, tenant, directory, show).await;
    bar.finish_and_clear();
    app.close().await;
    tell(&outcome?)
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
