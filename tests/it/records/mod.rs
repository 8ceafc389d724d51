//! `/rest/v1`, through the door.

mod wire;
