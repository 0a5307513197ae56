//! Hears the notices of others, on a connection of its own: an overloaded broker stops reading from connections that send
//! notices. The queue is bound at the broker that gets this server's notices, once `subscribers` allows it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use futures::{FutureExt as _, StreamExt as _};
use tokio::time::Instant;

use crate::broker::Brokers;
use crate::heard::Heard;
use crate::queue::Queue;
use crate::rounds::{self, Ended};

/// Numbers about what is heard.
#[derive(Default)]
pub(crate) struct Listener {
    is_listening: AtomicBool,
    heard: AtomicU64,
}

/// A listener at work.
struct Ear<'a> {
    listener: &'a Listener,
    brokers: &'a dyn Brokers,
    queue: &'a Queue,
    /// The name of this node.
    own: &'a str,
    hear: &'a (dyn Fn(&Heard) + Send + Sync),
    /// The broker that is listened to, or was.
    broker: AtomicUsize,
    /// Since when there is no queue.
    unbound_since: Mutex<Instant>,
}

impl Listener {
    pub(crate) fn is_listening(&self) -> bool {
        self.is_listening.load(Ordering::Relaxed)
    }

    pub(crate) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Listens for ever. Notices of the node `own` do not count.
    pub(crate) async fn run(
        &self,
        brokers: &dyn Brokers,
        queue: &Queue,
        own: &str,
        hear: &(dyn Fn(&Heard) + Send + Sync),
    ) {
        let (broker, unbound_since) = (AtomicUsize::new(0), Mutex::new(Instant::now()));
        let ear = Ear { listener: self, brokers, queue, own, hear, broker, unbound_since };
        let name = |_| brokers.name(ear.broker.load(Ordering::Relaxed));
        let attempt = |_| ear.listen().boxed();
        rounds::run(1, "for the notices of others", &name, &attempt).await;
    }
}

impl Ear<'_> {
    /// Waits until the queue may be bound, and listens until the connection breaks.
    async fn listen(&self) -> Ended {
        let unbound_since = *self.unbound_since.lock().unwrap_or_else(PoisonError::into_inner);
        let broker = self.queue.wait_until_bindable(unbound_since).await;
        self.broker.store(broker, Ordering::Relaxed);
        let mut notices = match self.brokers.listen(broker).await {
            Ok(notices) => notices,
            Err(error) => return Ended::Unconnected(error),
        };
        log::info!(broker = self.brokers.name(broker).as_str(); "listens to the change notices of others");
        let _listening = Listening::begin(&self.listener.is_listening);
        let left = self.queue.wait_until_left(broker);
        futures::pin_mut!(left);
        let ended = loop {
            let next = tokio::select! {
                next = notices.next() => next,
                () = &mut left => break Ended::Moved(0),
            };
            match next {
                Some(Ok(payload)) => {
                    if let Some(heard) = Heard::read(&payload, self.own) {
                        self.listener.heard.fetch_add(1, Ordering::Relaxed);
                        (self.hear)(&heard);
                    }
                }
                Some(Err(error)) => break Ended::Broken(error),
                None => break Ended::Broken("the broker has ended the queue".into()),
            }
        };
        *self.unbound_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        ended
    }
}

/// While this lives, the listener counts as listening.
struct Listening<'a>(&'a AtomicBool);

impl<'a> Listening<'a> {
    fn begin(flag: &'a AtomicBool) -> Self {
        flag.store(true, Ordering::Relaxed);
        Self(flag)
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
