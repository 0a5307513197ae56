//! The log: how its lines are written, and the queue that keeps a slow disk away from requests. Lines about
//! requests come from `access_log`, all others through the macros of the crate `log`.

mod fields;
mod format;
mod queue;
mod recent;
mod throttle;

use std::io::{self, IsTerminal as _, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use env_logger::{Logger, Target, WriteStyle};
use log::{LevelFilter, Log, Metadata, Record};

pub(crate) use self::fields::quoted;
pub(crate) use self::format::{LogFormat, Stamp, one_line, shortened};
pub(crate) use self::queue::{Importance, Queue};
use self::recent::Keeping;
pub(crate) use self::recent::recent;
pub(crate) use self::throttle::Throttle;
use crate::failure::Failure;

/// How many bytes of lines may wait to be written. That is about 20,000 requests.
const CAPACITY: usize = 4 * 1024 * 1024;

/// How long the process waits at its end until all lines are written.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// The target of lines about requests. `RUST_LOG=info,access=off` leaves them out.
pub(crate) const ACCESS: &str = "access";

/// The target of lines about SIGHUP. They are written at every level of the setting, which SIGHUP may change.
pub(crate) const RELOAD: &str = "reload";

/// The server's log.
pub(crate) struct ServerLog {
    pub(crate) format: LogFormat,
    pub(crate) queue: Queue,
    /// What writes the lines of the crate `log`. Its level can change.
    logger: ArcSwap<Logger>,
    logs_requests: AtomicBool,
}

static SERVER_LOG: OnceLock<ServerLog> = OnceLock::new();

impl ServerLog {
    /// Whether the level lets lines about requests through.
    pub(crate) fn logs_requests(&self) -> bool {
        self.logs_requests.load(Ordering::Relaxed)
    }

    /// Changes the least level that is logged. Answers false if it does not count, since `RUST_LOG` is set.
    pub(crate) fn set_level(&self, level: LevelFilter) -> bool {
        if filters().is_some() {
            return false;
        }
        self.logger.store(logger(self.format, level, &self.queue).into());
        self.note_levels();
        true
    }

    /// Tells the crate `log` and the access log which levels count.
    fn note_levels(&self) {
        let logger = self.logger.load();
        log::set_max_level(recent::least_level(logger.filter()));
        let requests = Metadata::builder().target(ACCESS).level(log::Level::Info).build();
        self.logs_requests.store(logger.enabled(&requests), Ordering::Relaxed);
    }
}

impl Log for ServerLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.logger.load().enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        self.logger.load().log(record);
    }

    fn flush(&self) {
        self.queue.flush(LAST_WAIT);
    }
}

/// The server's log, once it is started.
pub(crate) fn server_log() -> Option<&'static ServerLog> {
    SERVER_LOG.get()
}

/// Starts the log of a command that ends by itself.
pub(crate) fn start_plain() {
    let mut builder = builder(LevelFilter::Info);
    if filters().is_none() {
        // A command that tells a broker says by itself if it could not.
        builder.filter_module("notices", LevelFilter::Off);
    }
    builder.format_key_values(|out, fields| fields::write(out, fields)).init();
}

/// Starts the server's log.
pub(crate) fn start(format: LogFormat, level: LevelFilter) -> Result<(), Failure> {
    let lost = move |lines| format::lost_lines(format, lines);
    let queue = Queue::start(Box::new(io::stderr()), CAPACITY, lost)
        .map_err(|error| Failure::setup(format!("cannot start the thread of the log: {error}")))?;
    let logger = ArcSwap::from_pointee(logger(format, level, &queue));
    let log = ServerLog { format, queue, logger, logs_requests: AtomicBool::new(false) };
    let log = SERVER_LOG.get_or_init(|| log);
    log.note_levels();
    log::set_boxed_logger(Box::new(Keeping(log)))
        .map_err(|error| Failure::setup(format!("cannot start the log: {error}")))
}

/// Writes the lines of the crate `log` into the queue.
fn logger(format: LogFormat, level: LevelFilter, queue: &Queue) -> Logger {
    let mut builder = builder(level);
    builder.target(Target::Pipe(Box::new(Events(queue.clone()))));
    match format {
        LogFormat::Text => {
            builder.format_key_values(|out, fields| fields::write(out, fields));
            if io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
                builder.write_style(WriteStyle::Always);
            }
        }
        LogFormat::Json => {
            builder.format(format::json);
        }
        LogFormat::Kazoo => {
            builder.format(format::kazoo);
        }
    }
    builder.build()
}

/// The levels that the environment sets.
fn filters() -> Option<String> {
    std::env::var("RUST_LOG").ok().filter(|filters| !filters.is_empty())
}

/// A log with the levels that `RUST_LOG` sets, or with this one.
fn builder(level: LevelFilter) -> env_logger::Builder {
    let mut builder = env_logger::Builder::new();
    // Whoever can connect makes actix-http tell an error as often as they like. `connections` tells of such clients, in
    // a bounded number of lines. `RUST_LOG` may name the module.
    builder.filter_module(recent::STRANGERS_OWN, LevelFilter::Off);
    builder.filter_level(level);
    builder.filter_module(RELOAD, level.max(LevelFilter::Info));
    // The HTTP server tells at `info` how many threads it starts.
    builder.filter_module("actix_server", level.min(LevelFilter::Warn));
    // The client of brokers tells at `info` of each of its own steps, and at `error` of answers that `notices` expects,
    // like that of a missing exchange. What goes wrong, `notices` tells.
    builder.filter_module("tracing", level.min(LevelFilter::Warn));
    builder.filter_module("lapin", LevelFilter::Off);
    // What it does not name keeps its level: a slip in it silences nothing.
    if let Some(filters) = filters() {
        builder.parse_filters(&filters);
    }
    builder
}

/// Waits until all lines are written, for a short time at most.
pub(crate) fn flush() {
    if let Some(log) = server_log() {
        log.queue.flush(LAST_WAIT);
    }
}

/// Takes the lines of the crate `log`, one with each call.
struct Events(Queue);

impl Write for Events {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line, Importance::Event);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
