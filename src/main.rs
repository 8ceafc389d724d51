//! The program: see `basalt --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    basalt::cli::main()
}
