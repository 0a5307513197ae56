//! The state that all requests share. `serve` makes it once, outside the workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use auth::{Authenticator, Buckets};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use datastore::Backend;
use groups::Groups;
use md5::{Digest as _, Md5};
use validation::Schema;

use crate::access_log::{AccessLog, Visit};
use crate::budget::Budget;
use crate::lane::Lane;
use crate::metrics::Metrics;
use crate::profile::Profile;
use crate::refusals::Refusals;
use crate::release::ReleaseWatch;
use crate::settings::{LiveSettings, ServeSettings};
use crate::shadow::Shadow;

/// What can change while a server runs.
pub(crate) struct Running {
    settings: ArcSwap<LiveSettings>,
    is_stopping: AtomicBool,
}

impl Running {
    /// A server that has just started.
    pub(crate) fn new(settings: LiveSettings) -> Self {
        Self { settings: ArcSwap::from_pointee(settings), is_stopping: AtomicBool::new(false) }
    }

    /// Takes new settings. Requests that have begun keep the old ones.
    pub(crate) fn set(&self, settings: LiveSettings) {
        self.settings.store(Arc::new(settings));
    }

    /// Notes that the server is about to stop. From now on it is not ready.
    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the server is about to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }
}

/// The state that all requests share.
pub(crate) struct App {
    /// The settings at the start. Those of [`App::live`] may have changed since.
    pub(crate) settings: ServeSettings,
    /// What can change while the server runs.
    pub(crate) running: Running,
    /// The release of Kazoo that this server stands in for, and whether the store is still one of it.
    pub(crate) release: Arc<ReleaseWatch>,
    /// The groups in the store.
    pub(crate) groups: Groups,
    /// Checks tokens and permissions.
    pub(crate) auth: Arc<Authenticator>,
    /// The store without the cache. What it says of itself is true now.
    pub(crate) uncached: Arc<dyn Backend>,
    /// Limits how often each client may fail.
    pub(crate) buckets: Buckets,
    /// Limits the memory that requests may use.
    pub(crate) budget: Arc<Budget>,
    /// The threads for work that would keep an event loop busy.
    pub(crate) lane: Lane,
    /// What the admin listener shows of the process.
    pub(crate) metrics: Arc<Metrics>,
    /// Writes a line about each request.
    pub(crate) access_log: Option<AccessLog>,
    /// Copies requests for the comparison with another server, if there is one.
    pub(crate) shadow: Option<Shadow>,
    /// Tells of requests that were refused for who sent them.
    pub(crate) refusals: Refusals,
    /// The schema of a login with a user's credentials.
    pub(crate) user_auth_schema: Schema,
    /// The schema of a login with an account's API key.
    pub(crate) api_auth_schema: Schema,
    /// The envelope's `node`.
    pub(crate) node: String,
}

impl App {
    /// The behaviour of the Kazoo release that this server replaces.
    pub(crate) fn profile(&self) -> &'static Profile {
        self.release.profile()
    }

    /// The settings that can change while the server runs, as they are now.
    pub(crate) fn live(&self) -> LiveSettings {
        **self.running.settings.load()
    }

    /// The envelope's `version`.
    pub(crate) fn version(&self) -> &str {
        self.settings.api_version.as_deref().unwrap_or(self.profile().version)
    }

    /// Counts and logs a request that has ended.
    pub(crate) fn note(&self, visit: &Visit<'_>) {
        self.metrics.count(visit);
        if let Some(log) = self.access_log {
            log.write(visit);
        }
    }
}

/// The digest of a node's name that envelopes show, in 22 characters.
pub(crate) fn node_digest(node_name: &str) -> String {
    URL_SAFE_NO_PAD.encode(Md5::digest(node_name.as_bytes()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_node_is_22_characters() {
        assert_eq!(super::node_digest("crossbar_groups@host").len(), 22);
    }
}
