//! Sends the waiting notices: connects to one broker after another until one answers, and sends what is ready
//! in batches. It knows neither AMQP nor the store.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::{Instant, sleep_until, timeout};

use crate::broker::{BrokerError, Brokers, Connection, Outcome};
use crate::notice::{MAX_ROUTING_KEY, Message};
use crate::queue::{Queue, Sending};
use crate::rounds::{self, Ended};
use crate::waiting::Sent;

/// How many notices are sent together. Those of one document follow each other.
const BATCH: usize = 256;

/// How long a broker may take to deal with the rest of a connection that failed, before notices are sent again.
const REST_PATIENCE: Duration = Duration::from_secs(1);

/// How long the waiting notices may take to leave when the server stops.
const LAST_PATIENCE: Duration = Duration::from_millis(600);

/// Sends notices until `stop` ends, and a moment longer.
pub(crate) async fn run(
    queue: &Arc<Queue>,
    brokers: &dyn Brokers,
    node: &str,
    stop: impl Future<Output = ()>,
) {
    let sending = send_for_ever(queue, brokers, node).fuse();
    let stop = stop.fuse();
    futures::pin_mut!(sending, stop);
    futures::select! {
        () = sending => {}
        () = stop => {
            let last = async {
                futures::select! {
                    () = sending => {}
                    () = queue.wait_until_empty().fuse() => {}
                }
            };
            if timeout(LAST_PATIENCE, last).await.is_err() {
                let waiting = queue.counts().waiting;
                log::warn!(waiting; "change notices are left: the next start sends them");
            }
        }
    }
    queue.set_connected(None);
}

async fn send_for_ever(queue: &Arc<Queue>, brokers: &dyn Brokers, node: &str) {
    let attempt = |number| connect_and_send(queue, brokers, number, node).boxed();
    let name = |number| brokers.name(number);
    rounds::run(brokers.count(), "for change notices", &name, &attempt).await;
}

async fn connect_and_send(queue: &Arc<Queue>, brokers: &dyn Brokers, number: usize, node: &str) -> Ended {
    let connection = match brokers.connect(number).await {
        Ok(connection) => connection,
        Err(error) => return Ended::Unconnected(error),
    };
    log::info!(broker = brokers.name(number).as_str(); "connected to a broker for change notices");
    queue.set_connected(Some(number));
    let Broken { error, is_open } = send_over(queue, &*connection, node).await;
    queue.set_connected(None);
    if is_open {
        // The broker may still have notices that it has not dealt with. They are sent again over the next connection, and
        // their first copies must not come after later notices. A broken connection does not say when the broker is done.
        let began = Instant::now();
        let _ = timeout(REST_PATIENCE, connection.close()).await;
        sleep_until(began + REST_PATIENCE).await;
    }
    Ended::Broken(error)
}

/// How a connection ended.
struct Broken {
    error: BrokerError,
    /// Whether notices were under way.
    is_open: bool,
}

/// Sends over one connection until it breaks. Notices that were under way then are sent again.
async fn send_over(queue: &Arc<Queue>, connection: &dyn Connection, node: &str) -> Broken {
    let mut broken = connection.broken();
    loop {
        let first = tokio::select! {
            error = &mut broken => return Broken { error, is_open: false },
            first = queue.next() => first,
        };
        let (mut batch, mut messages) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(sending) = next {
            match message(&sending, node) {
                Some(message) => {
                    batch.push(sending);
                    messages.push(message);
                }
                None => sending.end(Sent::Unsendable),
            }
            next = if batch.len() < BATCH { queue.try_next() } else { None };
        }
        // What is dropped here without an outcome goes back into the queue.
        let outcomes = tokio::select! {
            error = &mut broken => return Broken { error, is_open: true },
            outcomes = connection.publish(messages) => match outcomes {
                Ok(outcomes) => outcomes,
                Err(error) => return Broken { error, is_open: true },
            },
        };
        for (sending, outcome) in batch.into_iter().zip(outcomes) {
            sending.end(match outcome {
                Outcome::Delivered => Sent::Delivered,
                Outcome::Returned => Sent::Returned,
                Outcome::Refused => Sent::Refused,
            });
        }
    }
}

/// The message of a notice. `None` if AMQP cannot carry it.
fn message(sending: &Sending, node: &str) -> Option<Message> {
    let (key, notice) = sending.notice()?;
    let message = notice.message(key, node);
    if message.routing_key.len() > MAX_ROUTING_KEY {
        log::warn!(
            db = key.db.as_str(), id = key.id.as_str();
            "a change has no notice: the id of the document is too long for AMQP. Kazoo sends none either"
        );
        return None;
    }
    Some(message)
}
