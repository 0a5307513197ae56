//! The settings of a cache.

use std::time::Duration;

use datastore::DbName;

/// The settings of a cache.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many bytes it may remember, estimated.
    pub bytes: u64,
    /// How many databases it watches at most.
    pub feeds: usize,
    /// How often the feeds of the databases in `always` show a sign of life. While they do, the other feeds show
    /// one in three.
    pub heartbeat: Duration,
    /// Databases that are always watched, if they exist.
    pub always: Vec<DbName>,
}
