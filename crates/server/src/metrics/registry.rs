//! The figures of requests, and the registry that all parts of the program share.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};
use serde_json::Value;

use super::reading::Reading;
use super::{figures, process};
use crate::access_log::Visit;
use crate::request::verb::Verb;

/// How every name of this program begins.
const PREFIX: &str = "crossbar_groups";

/// The media type of what [`Metrics::encode`] writes.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The upper bounds of the buckets for durations, in seconds.
const DURATIONS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

/// A histogram of durations.
pub(super) fn durations() -> Histogram {
    Histogram::new(DURATIONS)
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
    method: &'static str,
}

/// The figures of the process.
pub(crate) struct Metrics {
    own: Mutex<Registry>,
    of_process: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
}

impl Metrics {
    /// The figures about requests, the process and the build.
    pub(crate) fn new() -> Self {
        let mut of_process = Registry::default();
        of_process.register_collector(Box::new(process::Process));
        let metrics = Self {
            own: Mutex::new(Registry::with_prefix(PREFIX)),
            of_process,
            requests: Family::default(),
            durations: Family::new_with_constructor(durations),
            in_flight: Gauge::default(),
        };
        metrics.register("http_requests", "Answered requests", metrics.requests.clone());
        metrics.register_seconds(
            "http_request_duration",
            "Time from the head of a request to the last byte of its answer",
            metrics.durations.clone(),
        );
        metrics.register(
            "http_requests_in_flight",
            "Requests that are not answered yet",
            metrics.in_flight.clone(),
        );
        let build = Info::new([("version", env!("CARGO_PKG_VERSION")), ("commit", crate::COMMIT)]);
        metrics.register("build", "The version of the program, and the commit that it was built from", build);
        metrics
    }

    /// Registers figures that a part of the program counts by itself. A counter's name gets `_total`.
    pub(crate) fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.own().register(name, help, metric);
    }

    /// As [`Metrics::register`], for figures in seconds. The name gets `_seconds`.
    pub(crate) fn register_seconds(&self, name: &str, help: &str, metric: impl Metric) {
        self.own().register_with_unit(name, help, Unit::Seconds, metric);
    }

    /// Registers figures that are read when somebody asks for them.
    pub(crate) fn read(&self, reading: Reading) {
        self.own().register_collector(Box::new(reading));
    }

    /// A request has arrived. It counts as in flight until the result is dropped.
    pub(crate) fn arrive(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Counts an answered request.
    pub(crate) fn count(&self, visit: &Visit<'_>) {
        let (route, method) = (visit.route, method_label(&visit.method));
        self.requests.get_or_create(&RequestLabels { route, method, status: visit.status }).inc();
        let seconds = visit.begun.elapsed().as_secs_f64();
        self.durations.get_or_create(&RouteLabels { route, method }).observe(seconds);
    }

    /// All figures, as OpenMetrics.
    ///
    /// # Errors
    /// A figure could not be written. That is a fault of this program.
    pub(crate) fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.own())?;
        encode_registry(&mut text, &self.of_process)?;
        encode_eof(&mut text)?;
        Ok(text)
    }

    /// All figures as JSON: by the name of a series, a list of pairs of its labels and its number.
    ///
    /// # Errors
    /// As [`Metrics::encode`].
    pub(crate) fn figures(&self) -> Result<Value, fmt::Error> {
        self.encode().map(|text| figures::read(&text))
    }

    fn own(&self) -> MutexGuard<'_, Registry> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is not answered yet.
#[derive(Debug)]
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The method as a label. Clients can make up any number of methods.
fn method_label(method: &str) -> &'static str {
    match Verb::of_method(method) {
        Verb::Get => "GET",
        Verb::Head => "HEAD",
        Verb::Post => "POST",
        Verb::Put => "PUT",
        Verb::Patch => "PATCH",
        Verb::Delete => "DELETE",
        Verb::Options => "OPTIONS",
        Verb::Unknown(_) => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{Metrics, Visit};

    fn visit(method: &'static str) -> Visit<'static> {
        Visit {
            begun: Instant::now(),
            method: method.into(),
            path: "/v2/accounts/secret-id/groups".into(),
            route: "/v2/accounts/{account_id}/groups",
            status: 200,
            bytes: 1,
            is_complete: true,
            address: None,
            account_id: Some("secret-id".into()),
            user_id: None,
            request_id: "secret-id".into(),
        }
    }

    #[test]
    fn figures_have_templates_as_labels_and_no_ids() {
        let metrics = Metrics::new();
        metrics.count(&visit("GET"));
        metrics.count(&visit("BREW"));
        metrics.count(&visit("CHURN"));
        let in_flight = metrics.arrive();
        let text = metrics.encode().unwrap();
        let route = "route=\"/v2/accounts/{account_id}/groups\"";
        for line in [
            &format!("crossbar_groups_http_requests_total{{{route},method=\"GET\",status=\"200\"}} 1"),
            &format!("crossbar_groups_http_requests_total{{{route},method=\"other\",status=\"200\"}} 2"),
            &format!("crossbar_groups_http_request_duration_seconds_count{{{route},method=\"GET\"}} 1"),
            "crossbar_groups_http_requests_in_flight 1",
            &format!(
                "crossbar_groups_build_info{{version=\"{}\",commit=\"{}\"}} 1",
                env!("CARGO_PKG_VERSION"),
                crate::COMMIT
            ),
        ] {
            assert!(text.lines().any(|written| written.trim_end_matches(".0") == line), "{line}:\n{text}");
        }
        assert!(text.contains("\nprocess_resident_memory_bytes ") && text.ends_with("# EOF\n"), "{text}");
        assert!(!text.contains("secret-id"), "{text}");
        drop(in_flight);
        assert!(metrics.encode().unwrap().contains("crossbar_groups_http_requests_in_flight 0\n"));
    }
}
