//! `/rest/v1`, through the door.

mod import;
mod rights;
mod search;
mod wire;
