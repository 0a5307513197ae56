//! Sends the waiting notices: connects to one broker after another until one answers, and sends what is ready
//! in batches. It knows neither AMQP nor the store.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::broker::{BrokerError, Brokers, Connection, Outcome};
use crate::notice::{MAX_ROUTING_KEY, Message};
use crate::queue::{Queue, Sending};
use crate::rounds::{self, Ended};
use crate::waiting::Sent;

/// How many notices are sent together. Those of one document follow each other.
const BATCH: usize = 256;

/// How long a broker may take to deal with the rest of a connection that failed, before notices are sent again.
const REST_PATIENCE: Duration = Duration::from_secs(1);

/// How often the brokers before the present one are asked whether they answer again. Kazoo's nodes go back to the first
/// one that does, within five seconds.
const LOOK_BACK: Duration = Duration::from_secs(1);

/// How long a broker may take to answer then, and the present one to confirm what it has got.
const LOOK_PATIENCE: Duration = Duration::from_secs(5);

/// How long the waiting notices may take to leave when the server stops.
const LAST_PATIENCE: Duration = Duration::from_millis(600);

/// Sends notices until `stop` ends, and a moment longer.
pub(crate) async fn run(
    queue: &Arc<Queue>,
    brokers: &dyn Brokers,
    node: &str,
    stop: impl Future<Output = ()>,
) {
    queue.set_brokers(brokers.count());
    let sending = send_for_ever(queue, brokers, node).fuse();
    let stop = stop.fuse();
    futures::pin_mut!(sending, stop);
    futures::select! {
        () = sending => {}
        () = stop => {
            queue.keep_none();
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
        Err(error) => {
            queue.set_unreachable(number);
            return Ended::Unconnected(error);
        }
    };
    log::info!(broker = brokers.name(number).as_str(); "connected to a broker for change notices");
    queue.set_connected(Some(number));
    let earlier = wait_for_earlier(queue, brokers, number).boxed().shared();
    let End { why, is_open } = send_over(queue, &*connection, earlier, node).await;
    match why {
        Why::Broken(_) => queue.set_connected(None),
        Why::Moves(_) => queue.leave(),
    }
    if is_open {
        // The broker may still have notices that it has not dealt with. They are sent again over the next connection, and
        // their first copies must not come after later notices. A broken connection does not say when the broker is done.
        let began = Instant::now();
        let _ = timeout(REST_PATIENCE, connection.close()).await;
        sleep_until(began + REST_PATIENCE).await;
    }
    match why {
        Why::Broken(error) => Ended::Broken(error),
        Why::Moves(next) => {
            if !is_open {
                let _ = timeout(REST_PATIENCE, connection.close()).await;
            }
            Ended::Moved(next)
        }
    }
}

/// Waits until a broker before this one answers, and answers its number.
async fn wait_for_earlier(queue: &Arc<Queue>, brokers: &dyn Brokers, number: usize) -> usize {
    if number == 0 {
        return futures::future::pending().await;
    }
    loop {
        sleep(LOOK_BACK).await;
        for earlier in queue.brokers_before(number) {
            if let Ok(Ok(connection)) = timeout(LOOK_PATIENCE, brokers.connect(earlier)).await {
                let _ = timeout(REST_PATIENCE, connection.close()).await;
                log::info!(
                    broker = brokers.name(earlier).as_str();
                    "a broker answers again that comes before the present one: change notices go there"
                );
                return earlier;
            }
        }
    }
}

/// How a connection ended.
struct End {
    why: Why,
    /// Whether notices were under way.
    is_open: bool,
}

enum Why {
    Broken(BrokerError),
    /// The broker of this number is better.
    Moves(usize),
}

/// Sends over one connection until it breaks, or another broker is better: `earlier` waits for one. Notices that were
/// under way then are sent again.
async fn send_over(
    queue: &Arc<Queue>,
    connection: &dyn Connection,
    earlier: impl Future<Output = usize> + Clone,
    node: &str,
) -> End {
    let mut broken = connection.broken();
    let end = |why, is_open| End { why, is_open };
    loop {
        if let Some(next) = queue.next_broker() {
            log::warn!("nobody takes change notices at this broker: the next one is tried");
            return end(Why::Moves(next), false);
        }
        let first = tokio::select! {
            error = &mut broken => return end(Why::Broken(error), false),
            next = earlier.clone() => return end(Why::Moves(next), false),
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
        let overdue = earlier.clone().then(|next| sleep(LOOK_PATIENCE).map(move |()| next));
        let outcomes = tokio::select! {
            error = &mut broken => return end(Why::Broken(error), true),
            outcomes = connection.publish(messages) => match outcomes {
                Ok(outcomes) => outcomes,
                Err(error) => return end(Why::Broken(error), true),
            },
            next = overdue => return end(Why::Moves(next), true),
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
