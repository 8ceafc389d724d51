//! Rules of the whole house, read from its source, its schema and its document.

mod callers;
mod schema;
mod source;
