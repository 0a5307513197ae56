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
    /// How often a feed shows a sign of life.
    pub heartbeat: Duration,
    /// Databases that are always watched, if they exist.
    pub always: Vec<DbName>,
}
