//! Kazoo's change notices, told and heard. Kazoo's nodes keep copies of documents and drop a copy when a message
//! broker tells them that the document has changed. [`Notices::layer`] is a layer of a store that sees every write,
//! and [`Notices::run`] tells the broker of those that the store has acknowledged.
//!
//! What is promised:
//! - Every acknowledged write of a document in an account's database is told at least once, also if this
//!   process is killed between the write and its notice. Design documents and the types that Kazoo's
//!   configuration excludes are not told.
//! - The notices of one document leave in the order of its revisions. The last one names its last revision,
//!   unless somebody else has written the document after this server.
//! - A broker that is down, slow or overloaded never delays or fails a write.
//! - While the process lives, it tells its own writes only. After a kill, every group that has changed since the
//!   mark is told once more, whoever wrote it: the store keeps each document's newest revision only.
//! - What waits is bounded in bytes. Notices of a document that has a newer one give way first. Every notice that
//!   is dropped is counted and logged.
//!
//! How: before the first write in a database whose notices are not confirmed yet, a mark is written into the
//! database, a local document that names the newest sequence. It stays while notices wait, and a minute longer,
//! so a series of writes needs one mark. An entry in `system_config`, the roster, shows that the server lives. If
//! the server is killed, its marks stay: its next start finishes the work, or else another server that sees
//! the entry unchanged for a minute. `marks` and `recovery` have the details.
//!
//! It listens, too: [`Notices::listen`] hands over what others have changed, so that copies of it can be dropped.
//!
//! The crate knows Kazoo's documents and a broker. It does not know HTTP.
//!
//! The files, from the bottom up:
//! - `notice`: what a notice says;
//! - `left_behind` and `marks`: what a killed server leaves, and marks in the store that outlive a kill;
//! - `waiting` and `queue`: what waits, in order and within bounds;
//! - `teller`: what the following three share. `layer` sees each write, `recovery` finishes the work of a killed
//!   server, `keeper` removes marks and watches other servers;
//! - `broker`: the boundary to a broker. `amqp` is lapin behind it, and `rounds` tries one broker after another;
//! - `sender` sends what is ready. `listener` hears others, and `heard` reads what they say.

#![forbid(unsafe_code)]

mod amqp;
mod broker;
mod heard;
mod keeper;
mod layer;
mod left_behind;
mod listener;
mod marks;
mod notice;
mod queue;
mod recovery;
mod rounds;
mod sender;
mod teller;
mod waiting;

use std::future::Future;
use std::sync::Arc;

use datastore::Backend;
use futures::FutureExt as _;
use kazoo::NodeAndZone;

pub use amqp::{Amqp, BrokerUrl};
pub use broker::{BrokerError, Brokers, Connection, Outcome, Payloads};
pub use heard::Heard;
pub use notice::Message;
pub use queue::Counts;

use layer::ToldWrites;
use listener::Listener;
use marks::Marks;
use queue::Queue;
use teller::Teller;

/// The settings of change notices.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of this node. Notices show it, and marks carry it, so it must stay the same from one start to the
    /// next, and no two servers may share it. No Kazoo node may have it.
    pub node: String,
    /// The Kazoo node and zone whose sections of the configuration count.
    pub node_and_zone: NodeAndZone,
    /// How much memory waiting notices may take, in bytes.
    pub queue_bytes: usize,
}

/// The change notices of a server.
pub struct Notices {
    store: Arc<dyn Backend>,
    teller: Arc<Teller>,
    listener: Listener,
}

impl Notices {
    /// Notices about writes in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Backend>, settings: Settings) -> Self {
        let Settings { node, node_and_zone, queue_bytes } = settings;
        let marks = Marks::new(Arc::clone(&store), node);
        let teller = Arc::new(Teller::new(marks, Queue::new(queue_bytes), node_and_zone));
        Self { store, teller, listener: Listener::default() }
    }

    /// The store. Writes through it are told.
    #[must_use]
    pub fn layer(&self) -> Arc<dyn Backend> {
        Arc::new(ToldWrites { inner: Arc::clone(&self.store), teller: Arc::clone(&self.teller) })
    }

    /// Numbers about notices since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            is_listening: self.listener.is_listening(),
            heard: self.listener.heard(),
            ..self.teller.queue.counts()
        }
    }

    /// Hears the notices of others until `stop` ends: of Kazoo's nodes, and of other servers of this program. `hear`
    /// must not wait. While no broker answers, notices are missed.
    pub async fn listen(
        &self,
        brokers: &dyn Brokers,
        hear: &(dyn Fn(&Heard) + Send + Sync),
        stop: impl Future<Output = ()> + Send,
    ) {
        tokio::select! {
            () = stop => {}
            () = self.listener.run(brokers, &self.teller.marks.node, hear) => {}
        }
    }

    /// Sends notices and keeps the marks, until `stop` ends and a moment longer: what waits then may leave within
    /// a second. What is left stays marked.
    pub async fn run(&self, brokers: &dyn Brokers, stop: impl Future<Output = ()> + Send) {
        let stop = stop.shared();
        let send = sender::run(&self.teller.queue, brokers, &self.teller.marks.node, stop.clone());
        futures::join!(send, keeper::run(&self.teller, stop));
        keeper::end(&self.teller).await;
    }
}
