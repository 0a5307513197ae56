//! The admin listener: health checks, metrics and the pages for people. It answers GET and HEAD alone.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use cache::Watcher;
use edge::Capacity;
use notices::{Counts, Notices};

use super::health::{Asks, Checker};
use super::read_only::{nothing_here, read_only};
use super::{health, pages};
use crate::app::App;
use crate::logging;
use crate::metrics::{self, Kind, Metrics, Reading, number, number_of_u64, one_if};
use crate::supervisor::{State, Supervisor};

/// Adds the paths of the admin listener.
pub(super) fn configure(service: &mut ServiceConfig) {
    service
        .service(read_only("/health/live", HttpResponse::Ok))
        .service(read_only("/health/ready", health::ready))
        .service(read_only("/metrics", show_metrics))
        .configure(pages::configure)
        .default_service(web::to(nothing_here));
}

/// The figures are those of this moment, so the store is asked as for `/health/ready`.
async fn show_metrics(app: Data<App>, checker: Data<Checker>) -> HttpResponse {
    checker.check(Asks::Reads).await;
    match app.metrics.encode() {
        Ok(text) => HttpResponse::Ok().content_type(metrics::MEDIA_TYPE).body(text),
        Err(error) => {
            log::error!("the metrics could not be written: {error}");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// Registers what a cache can tell.
pub(super) fn register_cache(metrics: &Metrics, watcher: &Watcher) {
    type Figure = fn(cache::Figures) -> f64;
    let figures = watcher.figures();
    let each: [(&'static str, &'static str, Kind, Figure); 7] = [
        ("cache_hits", "Reads that were answered from memory", Kind::Counter, |now| number_of_u64(now.hits)),
        ("cache_misses", "Reads that went to the store", Kind::Counter, |now| number_of_u64(now.misses)),
        ("cache_entries", "Documents, absences and pages that are remembered", Kind::Gauge, |now| {
            number_of_u64(now.entries)
        }),
        ("cache_bytes", "Memory of what is remembered, estimated", Kind::Gauge, |now| {
            number_of_u64(now.bytes)
        }),
        ("cache_feeds", "Databases that are watched", Kind::Gauge, |now| number(now.feeds)),
        ("cache_feeds_alive", "Watched databases whose feed is known to be alive", Kind::Gauge, |now| {
            number(now.alive_feeds)
        }),
        (
            "cache_feed_lag_seconds",
            "For how long the most overdue feed has not been known to be alive",
            Kind::Gauge,
            |now| now.lag.as_secs_f64(),
        ),
    ];
    for (name, help, kind, figure) in each {
        let figures = figures.clone();
        metrics.read(Reading::one(name, help, kind, move || figure(figures())));
    }
}

/// Registers what change notices can tell. Without a broker there are no series.
pub(super) fn register_notices(metrics: &Metrics, notices: Option<&Arc<Notices>>) {
    type Figure = fn(Counts) -> u64;
    let each: [(&'static str, &'static str, Kind, Figure); 8] = [
        ("notices_connected", "1 if there is a connection to a broker", Kind::Gauge, |now| {
            now.is_connected.into()
        }),
        ("notices_waiting", "Change notices that the broker has not confirmed", Kind::Gauge, |now| {
            now.waiting
        }),
        ("notices_waiting_bytes", "Memory that waiting notices take", Kind::Gauge, |now| now.waiting_bytes),
        ("notices_sent", "Change notices that the broker has confirmed", Kind::Counter, |now| now.sent),
        ("notices_dropped", "Change notices that were given up", Kind::Counter, |now| now.dropped),
        ("notices_returned", "How many times no queue took a change notice", Kind::Counter, |now| {
            now.returned
        }),
        ("notices_listening", "1 if the notices of others are heard", Kind::Gauge, |now| {
            now.is_listening.into()
        }),
        ("notices_heard", "Notices of others that were heard", Kind::Counter, |now| now.heard),
    ];
    for (name, help, kind, figure) in each {
        let notices = notices.cloned();
        let values = move || {
            let counts = notices.iter().map(|notices| notices.counts());
            counts.map(|counts| (String::new(), number_of_u64(figure(counts)))).collect()
        };
        metrics.read(Reading { name, help, kind, label: "", values: Box::new(values) });
    }
}

/// Registers what the server can tell of itself when somebody asks.
pub(super) fn register(app: &Arc<App>, capacity: Capacity, tasks: Arc<Supervisor>) {
    let metrics: &Metrics = &app.metrics;
    let most = capacity.most();
    let one = |name, help, kind, value: Box<dyn Fn() -> f64 + Send + Sync>| {
        metrics.read(Reading::one(name, help, kind, value));
    };
    one("connections", "Open connections of clients", Kind::Gauge, Box::new(move || number(capacity.open())));
    one(
        "connections_limit",
        "How many connections are served at once",
        Kind::Gauge,
        Box::new(move || number(most)),
    );
    let budget = Arc::clone(&app.budget);
    let limit = app.settings.request_memory_bytes;
    one(
        "request_memory_bytes",
        "Memory that requests have reserved",
        Kind::Gauge,
        Box::new(move || number(budget.used_bytes())),
    );
    one(
        "request_memory_limit_bytes",
        "Memory that requests may reserve",
        Kind::Gauge,
        Box::new(move || number(limit)),
    );
    let lane = app.lane.clone();
    one(
        "lane_jobs",
        "Requests that run or wait on the threads for long work",
        Kind::Gauge,
        Box::new(move || number(lane.queued())),
    );
    one(
        "log_lines_dropped",
        "Lines of the log that were dropped, because the place that it goes to was too slow",
        Kind::Counter,
        Box::new(|| logging::server_log().map_or(0.0, |log| number_of_u64(log.queue.dropped()))),
    );
    let running = Arc::clone(&tasks);
    metrics.read(Reading {
        name: "background_task_running",
        help: "1 if the background task works, 0 if it waits to be started again or has ended",
        kind: Kind::Gauge,
        label: "task",
        values: Box::new(move || {
            let tasks = running.health().into_iter();
            tasks.map(|task| (task.name.to_owned(), one_if(task.state == State::Running))).collect()
        }),
    });
    metrics.read(Reading {
        name: "background_task_restarts",
        help: "How many times the background task was started again after a failure",
        kind: Kind::Counter,
        label: "task",
        values: Box::new(move || {
            let told = tasks.health();
            told.into_iter().map(|task| (task.name.to_owned(), number_of_u64(task.restarts))).collect()
        }),
    });
}
