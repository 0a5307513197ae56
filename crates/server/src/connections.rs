//! Tells operators of connections that end without an answer of the application, such as those of clients that send
//! no request. The log gets a bounded number of lines a second; the metrics count all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use edge::{Reason, Report};
use log::Level;

use crate::logging::Throttle;
use crate::metrics::{Metrics, ReasonCounts};

/// How many lines a second the log gets, of both listeners together.
const LINES_PER_SECOND: u32 = 10;

/// Counts refused connections, and bounds the lines about them.
#[derive(Debug)]
pub(crate) struct RefusedConnections {
    counts: ReasonCounts,
    lines: Throttle,
}

impl RefusedConnections {
    /// Registers the counters.
    pub(crate) fn new(metrics: &Metrics) -> Arc<Self> {
        let counts = ReasonCounts::register(
            metrics,
            "connections_refused",
            "Connections that ended without an answer of the application",
            Reason::ALL.map(Reason::name),
        );
        Arc::new(Self { counts, lines: Throttle::new(LINES_PER_SECOND) })
    }

    /// Hears of the connections of a listener.
    pub(crate) fn report(self: &Arc<Self>, listener: &'static str) -> Report {
        let refused = Arc::clone(self);
        Report::to(move |reason, peer| refused.note(listener, reason, peer))
    }

    fn note(&self, listener: &str, reason: Reason, peer: Option<SocketAddr>) {
        self.counts.add(reason.name());
        let level = level(reason);
        if !log::log_enabled!(level) {
            return;
        }
        let Some(left_out) = self.lines.admit(Instant::now()) else { return };
        let left_out = (left_out > 0).then_some(left_out);
        let address = peer.map(|peer| peer.ip().to_string());
        log::log!(
            level,
            listener,
            reason = reason.name(),
            detail = detail(reason),
            address = address.as_deref(),
            left_out;
            "refused a connection"
        );
    }
}

/// The level of a line.
fn level(reason: Reason) -> Level {
    match reason {
        Reason::OutOfStep => Level::Error,
        // Browsers open connections in advance. That there is no room, the log tells once.
        Reason::NoRequest | Reason::NoRoom => Level::Debug,
        Reason::Tls
        | Reason::Malformed
        | Reason::Unsupported
        | Reason::TooLarge
        | Reason::SlowHead
        | Reason::SlowBody
        | Reason::SlowReader => Level::Info,
    }
}

fn detail(reason: Reason) -> &'static str {
    match reason {
        Reason::Tls => "the client speaks TLS to a port that serves plain HTTP",
        Reason::Malformed => "the client sends no request of HTTP/1.1",
        Reason::Unsupported => "the method or the version of HTTP is never served",
        Reason::TooLarge => "the head of the request is too large",
        Reason::NoRequest => "no request has begun in time",
        Reason::SlowHead => "the head of the request was not complete in time",
        Reason::SlowBody => "the body of the request is too slow",
        Reason::SlowReader => "the client does not read its answer",
        Reason::NoRoom => "there are too many connections",
        Reason::OutOfStep => "a request did not begin where the last one ended",
    }
}
