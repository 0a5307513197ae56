//! The admin listener: health checks and metrics. It answers GET and HEAD alone.

use std::sync::Arc;

use actix_web::http::{Method, header};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder};
use cache::Watcher;
use edge::Capacity;

use super::health;
use crate::app::App;
use crate::logging;
use crate::metrics::{self, Kind, Metrics, Reading, number, number_of_u64};
use crate::supervisor::{State, Supervisor};

/// Adds the paths of the admin listener.
pub(super) fn configure(service: &mut ServiceConfig) {
    service
        .service(read_only("/health/live", HttpResponse::Ok))
        .service(read_only("/health/ready", health::ready))
        .service(read_only("/metrics", show_metrics))
        .default_service(web::to(nothing_here));
}

/// A path that can only be read.
fn read_only<F, A>(path: &str, handler: F) -> Resource
where
    F: Handler<A>,
    A: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::resource(path)
        .route(web::get().to(handler.clone()))
        .route(web::head().to(handler))
        .default_service(web::to(nothing_here))
}

async fn nothing_here(request: HttpRequest) -> HttpResponse {
    match *request.method() {
        Method::GET | Method::HEAD => HttpResponse::NotFound().finish(),
        _ => HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, "GET, HEAD")).finish(),
    }
}

async fn show_metrics(app: Data<App>) -> HttpResponse {
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
    let each: [(&'static str, &'static str, Kind, Figure); 6] = [
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
    ];
    for (name, help, kind, figure) in each {
        let figures = figures.clone();
        metrics.read(Reading::one(name, help, kind, move || figure(figures())));
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
            let of = |state| if state == State::Running { 1.0 } else { 0.0 };
            running.health().into_iter().map(|task| (task.name.to_owned(), of(task.state))).collect()
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
