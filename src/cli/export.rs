//! `basalt export`: records into files.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    Failure, SettingsFlags,
    import::{format_named, format_of},
};
use crate::records::{self, Format};

/// Writes the rows of a table into a file.
#[derive(Args, Debug)]
pub(super) struct Export {
    /// The table
    #[arg(value_name = "TABLE")]
    table: String,
    /// The file, which must not be there yet; standard output when it is not given
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The tenant to take them from
    #[arg(long, value_name = "REF")]
    tenant: String,
    /// csv or ndjson [default: as the file's name ends]
    #[arg(long, value_name = "FORMAT", value_parser = format_named)]
    format: Option<Format>,
    /// Which rows and what of them, as in a URL: select=id,status&status=eq.active&order=id
    #[arg(long, value_name = "QUERY", default_value = "")]
    query: String,
}

impl Export {
    /// Runs the command.
    pub(super) async fn run(self, settings: SettingsFlags) -> Result<(), Failure> {
        let app = settings.open_existing().await?;
        let format = self.format.unwrap_or_else(|| self.file.as_deref().map_or(Format::Csv, format_of));
        let mut text: Box<dyn Write + Send> = match &self.file {
            None => Box::new(io::stdout()),
            Some(file) => {
                let made = File::create_new(file).map_err(|error| format!("{} can't be made: {error}", file.display()))?;
                Box::new(BufWriter::new(made))
            }
        };
        let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} rows")?);
        let show = |rows: u64, total: i64| {
            bar.set_length(total.unsigned_abs());
            bar.set_position(rows);
        };
        let outcome = records::export_rows(&app, &self.tenant, (&self.table, &self.query, format), &mut text, show).await;
        bar.finish_and_clear();
        app.close().await;
        if let (Err(_), Some(file)) = (&outcome, &self.file) {
            drop(text);
            // Half an export is worse than none.
            let _ = std::fs::remove_file(file);
        }
        outcome?;
        Ok(())
    }
}
