//! Hears the notices of others, on a connection of its own: a broker that takes no more notices stops reading
//! from a connection that sends some.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::{FutureExt as _, StreamExt as _};

use crate::broker::Brokers;
use crate::heard::Heard;
use crate::rounds::{self, Ended};

/// Numbers about what is heard.
#[derive(Default)]
pub(crate) struct Listener {
    is_listening: AtomicBool,
    heard: AtomicU64,
}

impl Listener {
    pub(crate) fn is_listening(&self) -> bool {
        self.is_listening.load(Ordering::Relaxed)
    }

    pub(crate) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Listens for ever. Notices of the node `own` do not count.
    pub(crate) async fn run(&self, brokers: &dyn Brokers, own: &str, hear: &(dyn Fn(&Heard) + Send + Sync)) {
        let attempt = |number| self.listen(brokers, number, own, hear).boxed();
        rounds::run(brokers, "for the notices of others", &attempt).await;
    }

    /// Listens to one broker until the connection breaks.
    async fn listen(
        &self,
        brokers: &dyn Brokers,
        number: usize,
        own: &str,
        hear: &(dyn Fn(&Heard) + Send + Sync),
    ) -> Ended {
        let mut notices = match brokers.listen(number).await {
            Ok(notices) => notices,
            Err(error) => return Ended::Unconnected(error),
        };
        log::info!(broker = brokers.name(number).as_str(); "listens to the change notices of others");
        let _listening = Listening::begin(&self.is_listening);
        loop {
            match notices.next().await {
                Some(Ok(payload)) => {
                    if let Some(heard) = Heard::read(&payload, own) {
                        self.heard.fetch_add(1, Ordering::Relaxed);
                        hear(&heard);
                    }
                }
                Some(Err(error)) => return Ended::Broken(error),
                None => return Ended::Broken("the broker has ended the queue".into()),
            }
        }
    }
}

/// Says that the listener listens, as long as it lives.
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
