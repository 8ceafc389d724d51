//! `basalt openapi`: the document, as `openapi/openapi.json` has it.

use super::{Failure, say};

/// Writes the document to standard output.
pub(super) fn run() -> Result<(), Failure> {
    say!("{}", crate::router::document().to_pretty_json()?)
}
