//! The memory of the parsed rate limits. They are parsed again when the configuration that they come from has changed.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use datastore::Epoch;
use ipnet::IpNet;
use kazoo::Config;

use super::respite::Respite;
use crate::limits::RateLimits;

/// The configuration that rate limits come from: `token_buckets` and `crossbar`.
type ReadFrom = (Arc<Config>, Arc<Config>);

/// The rate limits that were read last.
pub(super) struct KnownLimits(RwLock<Limits>);

struct Limits {
    read_from: Option<ReadFrom>,
    until: Option<Until>,
    limits: Arc<RateLimits>,
}

/// How long the limits count without another look at their configuration.
pub(super) enum Until {
    /// Until its database changes. This is the epoch in which it was read.
    Changed(Epoch),
    /// Until this ends, where the store tells no epoch.
    After(Respite),
}

impl KnownLimits {
    /// Those of a store without configuration, until it was read. `proxies` are those of the settings.
    pub(super) fn new(proxies: Option<&[IpNet]>) -> Self {
        let limits = Arc::new(RateLimits::read(&Config::default(), &Config::default(), proxies));
        Self(RwLock::new(Limits { read_from: None, until: None, limits }))
    }

    /// The rate limits that were read last.
    pub(super) fn last(&self) -> Arc<RateLimits> {
        Arc::clone(&self.read().limits)
    }

    /// The rate limits, if nothing in their database has changed since they were read. `lasts` says whether a respite
    /// does.
    pub(super) fn current(&self, lasts: impl FnOnce(Respite) -> bool) -> Option<Arc<RateLimits>> {
        let known = self.read();
        let counts = match known.until.as_ref()? {
            Until::Changed(epoch) => epoch.is_current(),
            Until::After(respite) => lasts(*respite),
        };
        counts.then(|| Arc::clone(&known.limits))
    }

    /// The rate limits of this configuration. They are parsed only if it is another one than before.
    pub(super) fn of(&self, read_from: ReadFrom, until: Until, proxies: Option<&[IpNet]>) -> Arc<RateLimits> {
        let known = self.read();
        let is_same = known.read_from.as_ref().is_some_and(|(token_buckets, crossbar)| {
            Arc::ptr_eq(token_buckets, &read_from.0) && Arc::ptr_eq(crossbar, &read_from.1)
        });
        let limits = is_same.then(|| Arc::clone(&known.limits));
        drop(known);
        let limits =
            limits.unwrap_or_else(|| Arc::new(RateLimits::read(&read_from.0, &read_from.1, proxies)));
        let known = Limits { read_from: Some(read_from), until: Some(until), limits: Arc::clone(&limits) };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = known;
        limits
    }

    fn read(&self) -> RwLockReadGuard<'_, Limits> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}
