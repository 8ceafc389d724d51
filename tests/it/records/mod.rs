//! `/rest/v1`, through the door.

mod forms;
mod hostile;
mod import;
mod load;
mod paging;
mod rights;
mod safe;
mod search;
mod trust;
mod wire;
