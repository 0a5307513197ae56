//! Counters of one kind of event, one for each reason.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::registry::Metrics;

/// How often something happened, by the reason.
#[derive(Debug)]
pub(crate) struct ReasonCounts(Family<ReasonLabel, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

impl ReasonCounts {
    /// Registers a counter for each reason. All are there from the start, because Prometheus does not see a counter
    /// begin.
    pub(crate) fn register(
        metrics: &Metrics,
        name: &str,
        help: &str,
        reasons: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        let counts = Family::<ReasonLabel, Counter>::default();
        for reason in reasons {
            drop(counts.get_or_create(&ReasonLabel { reason }));
        }
        metrics.register(name, help, counts.clone());
        Self(counts)
    }

    /// Counts one.
    pub(crate) fn add(&self, reason: &'static str) {
        self.0.get_or_create(&ReasonLabel { reason }).inc();
    }
}
