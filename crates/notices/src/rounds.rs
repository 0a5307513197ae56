//! Tries one broker after another, in rounds with pauses between them. Sender and listener say what to do with one.

use std::time::Duration;

use datastore::Backoff;
use futures::future::BoxFuture;
use tokio::time::{Instant, sleep};

use crate::broker::BrokerError;

/// The pauses between two rounds of all brokers.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(200), cap: Duration::from_secs(10) };

/// A connection that lived for this long counts as a success.
const RECOVERED_AFTER: Duration = Duration::from_secs(10);

/// How often the log repeats that no broker answers.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// How the use of a broker ended.
pub(crate) enum Ended {
    /// There was no connection.
    Unconnected(BrokerError),
    /// The connection broke.
    Broken(BrokerError),
    /// The connection was given up for one to the broker of this number.
    Moved(usize),
}

/// Tries the brokers 0 to `count` - 1 in turn, for ever. `attempt` connects to the broker of a number, and ends with the
/// connection. `name` names that broker in the log. `purpose` completes the sentence "a broker … failed" in the log.
pub(crate) async fn run<'a>(
    count: usize,
    purpose: &str,
    name: &(dyn Fn(usize) -> String + Send + Sync),
    attempt: &(dyn Fn(usize) -> BoxFuture<'a, Ended> + Send + Sync),
) {
    let mut failures: u32 = 0;
    let mut told_at: Option<Instant> = None;
    loop {
        let mut number = 0;
        while number < count {
            let began = Instant::now();
            let error = match attempt(number).await {
                Ended::Broken(error) => {
                    told_at = None;
                    if began.elapsed() >= RECOVERED_AFTER {
                        failures = 0;
                    }
                    error
                }
                Ended::Unconnected(error) => error,
                Ended::Moved(next) => {
                    (number, failures, told_at) = (next, 0, None);
                    continue;
                }
            };
            if told_at.is_none_or(|at| at.elapsed() >= LOG_PAUSE) {
                log::warn!(broker = name(number).as_str(); "a broker {purpose} failed: {error}");
                told_at = Some(Instant::now());
            }
            number = number.saturating_add(1);
        }
        failures = failures.saturating_add(1);
        sleep(BACKOFF.delay(failures)).await;
    }
}
