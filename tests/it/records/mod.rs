//! `/rest/v1`, through the door.

mod forms;
mod hostile;
mod import;
mod paging;
mod rights;
mod safe;
mod search;
mod trust;
mod wire;
