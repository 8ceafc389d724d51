//! `basalt password-list`: passwords that nobody may choose.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Failure, say};
use crate::auth;

/// Makes lists of passwords that nobody may choose.
#[derive(Args, Debug)]
pub(super) struct PasswordList {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make one list of many passwords: of text files with one a line, and of what Have I Been Pwned's downloader writes (SHA-1, as one
    /// file or a file for each range). Name the list in the setting `auth.password_lists`. Needs, for a while, 8 bytes of disk for each
    Build {
        /// Files, and directories of files
        #[arg(value_name = "FILE", required = true)]
        inputs: Vec<PathBuf>,
        /// Where the list goes; what is there is replaced when the new one is whole
        #[arg(long, short, value_name = "LIST")]
        output: PathBuf,
        /// Leave out what was seen fewer times, where the files say how often that was
        #[arg(long, value_name = "TIMES", default_value_t = 1)]
        at_least: u64,
    },
}

impl PasswordList {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Command::Build { inputs, output, at_least } = self.command;
        let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {human_pos} lines")?);
        let outcome = auth::build_password_list(&inputs, &output, at_least, |lines| bar.set_position(lines));
        bar.finish_and_clear();
        let report = outcome?;
        say!("{}: {} passwords of {} files, {} bytes", output.display(), report.passwords, report.files, report.bytes)?;
        if report.left_out > 0 {
            say!("{} lines were left out: they are no passwords, being too long or not UTF-8", report.left_out)?;
        }
        say!("A password that is not in it is taken for one that is once in 65,536 times")
    }
}
