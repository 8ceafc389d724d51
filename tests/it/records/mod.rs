//! `/rest/v1`, through the door.

mod hostile;
mod import;
mod rights;
mod safe;
mod search;
mod wire;
