//! `/rest/v1`, through the door.

mod forms;
mod hostile;
mod import;
mod leaks;
mod load;
mod model;
mod paging;
mod policy;
mod rights;
mod safe;
mod scim;
mod search;
mod trust;
mod wire;
