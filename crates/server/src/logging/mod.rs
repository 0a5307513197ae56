//! The log: how its lines are written, and the queue that keeps a slow disk away from requests. Lines about
//! requests come from `access_log`, all others through the macros of the crate `log`.

mod fields;
mod format;
mod queue;
mod recent;
mod throttle;

use std::io::{self, IsTerminal as _, Write};
use std::sync::OnceLock;
use std::time::Duration;

use env_logger::{Target, WriteStyle};
use log::LevelFilter;

pub(crate) use self::fields::Quoted;
pub(crate) use self::format::{Stamp, json_text, one_line, shortened};
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

/// How the lines of the log are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// A message and fields like `status=200`.
    Text,
    /// An object of JSON on each line.
    Json,
    /// The lines of Kazoo's crossbar.
    Kazoo,
}

/// The server's log.
#[derive(Debug)]
pub(crate) struct ServerLog {
    pub(crate) format: LogFormat,
    pub(crate) queue: Queue,
}

static SERVER_LOG: OnceLock<ServerLog> = OnceLock::new();

/// The server's log, once it is started.
pub(crate) fn server_log() -> Option<&'static ServerLog> {
    SERVER_LOG.get()
}

/// Starts the log of a command that ends by itself.
pub(crate) fn start_plain() {
    builder(LevelFilter::Info).format_key_values(|out, fields| fields::write(out, fields)).init();
}

/// Starts the server's log.
pub(crate) fn start(format: LogFormat, level: LevelFilter) -> Result<(), Failure> {
    let lost = move |lines| format::lost_lines(format, lines);
    let queue = Queue::start(Box::new(io::stderr()), CAPACITY, lost)
        .map_err(|error| Failure::setup(format!("cannot start the thread of the log: {error}")))?;
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
    let log = builder.build();
    let level = recent::least_level(log.filter());
    log::set_boxed_logger(Box::new(Keeping(log)))
        .map_err(|error| Failure::setup(format!("cannot start the log: {error}")))?;
    log::set_max_level(level);
    // The log is started once.
    let _ = SERVER_LOG.set(ServerLog { format, queue });
    Ok(())
}

/// A log with the levels that `RUST_LOG` sets, or with this one.
fn builder(level: LevelFilter) -> env_logger::Builder {
    let filters = std::env::var("RUST_LOG").ok().filter(|filters| !filters.is_empty());
    let mut builder = env_logger::Builder::new();
    match filters {
        Some(filters) => builder.parse_filters(&filters),
        None => {
            builder.filter_level(level);
            // The HTTP server tells at `info` how many threads it starts.
            builder.filter_module("actix_server", level.min(LevelFilter::Warn))
        }
    };
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
