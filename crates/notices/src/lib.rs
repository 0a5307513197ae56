//! Kazoo's change notices, sent and received. Kazoo's nodes keep copies of documents and drop a copy when a message
//! broker tells them that the document has changed. [`Notices::layer`] is a layer of a store that sees every write,
//! and [`Notices::run`] sends the broker a notice of each write that the store has acknowledged.
//!
//! This crate promises:
//! - The broker gets a notice of every acknowledged write of a document in an account's database, at least once, also
//!   if this process is killed between the write and its notice. Design documents, and the types that Kazoo's
//!   configuration excludes, have no notices.
//! - The notices of one document leave in the order of its revisions. The last one names its last revision,
//!   unless somebody else has written the document after this server. If a connection breaks while notices are under
//!   way, the broker may still deal with them: they are sent again a second later, so that the first copy does not come
//!   last. If a broker takes longer than that, the first copy may come last.
//! - A broker that is down, slow or overloaded never delays or fails a write.
//! - While the process lives, it sends notices of its own writes only. After a kill, it sends one for every group that
//!   has changed since the mark, whoever wrote it: the store keeps each document's newest revision only.
//! - The queue of notices is bounded in bytes. If it is full, it drops notices of documents that have a newer one first.
//!   It counts and logs every notice that it drops.
//!
//! How: before the first write in a database, this server writes a mark into it, a local document that names the newest
//! sequence. The mark stays while notices wait, and a minute longer, so a series of writes needs one mark. An entry in `system_config`, the roster, shows that the server lives. If
//! the server is killed, its marks stay: its next start finishes the work, or else another server that sees
//! the entry unchanged for a minute. `marks` and `recovery` have the details.
//!
//! A server that stops in order with all notices confirmed says so in its entry first, and then removes its marks. If it
//! has no time to remove some, they mean nothing: a server that finds them removes them and sends no notices.
//!
//! Everything that a server writes for itself names its run, an id of the start. So a server never removes the entry or
//! the mark of another run, and two servers with one name find out. Before a server removes the marks of another one that is
//! gone, it writes a claim, and then reads the entry of the other one again. A server that comes back writes its entry,
//! and then looks for a claim. So one of the two always sees the other: either the marks stay, or they are written again.
//!
//! The crate listens, too: [`Notices::listen`] hands over what others have changed, so that the server can drop its
//! copies. The queue for that gets every notice, also those of this server. While this queue is bound, the broker sends
//! no notice back as unroutable. If Kazoo's nodes are not back yet after a restart of the broker, their notices would be
//! lost. So the queue is bound only when somebody else's queue has got a notice over the present connection, or a minute
//! after the connection began, and not while notices wait that the broker has sent back. Once a notice is given up,
//! nobody else is there, and the queue is bound at once. The queue of another server of this program counts as somebody
//! else's: with several servers, Kazoo's nodes can be sure of the minute only.
//!
//! Of several brokers the first one that answers is used, as Kazoo does. While that is not the first of all, the earlier
//! ones are asked every second, and the notices and the own queue go back to one that answers. Kazoo's nodes may go back
//! a moment before, so the notices of the last ten seconds are told there once more. If nobody takes notices, the next
//! broker is tried after a few seconds. A notice is given up only when each was tried, and the own queue is bound only
//! where nobody can have gone back from.
//!
//! The crate knows Kazoo's documents and a broker. It does not know HTTP.
//!
//! The files, from the bottom up:
//! - `notice`: what a notice says;
//! - `log_throttle` and `drops`: keep the log from being flooded, and count what is given up;
//! - `left_behind`, `roster`, `marked_db` and `marks`: what a killed server leaves, which servers there are, and the
//!   marks in the store, which outlive a kill;
//! - `choice`: which of several brokers is used; `subscribers`: whether others have queues for the notices, so that this
//!   server may bind its own;
//! - `kept`: what was sent a moment ago; `doc`, `waiting` and `queue`: what waits, in order and within bounds;
//! - `turns`: how many calls of the store the background makes at once;
//! - `teller`: what the following three share. `layer` sees each write, `recovery` finishes the work of a killed
//!   server, `keeper` removes marks and watches other servers;
//! - `broker`: the boundary to a broker. `broker_url` is its address, `amqp` is lapin behind it, and `rounds` tries one
//!   broker after another;
//! - `sender` sends what is ready. `listener` hears others, and `heard` reads what they say.

#![forbid(unsafe_code)]

mod amqp;
mod broker;
mod broker_url;
mod choice;
mod doc;
mod drops;
mod heard;
mod keeper;
mod kept;
mod layer;
mod left_behind;
mod listener;
mod log_throttle;
mod marked_db;
mod marks;
mod notice;
mod queue;
mod recovery;
mod roster;
mod rounds;
mod sender;
mod subscribers;
mod teller;
mod turns;
mod waiting;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use datastore::Backend;
use futures::FutureExt as _;
use futures::channel::oneshot;
use kazoo::NodeAndZone;
use tokio::time::Instant;

pub use amqp::Amqp;
pub use broker::{BrokerError, Brokers, Connection, Outcome, Payloads};
pub use broker_url::BrokerUrl;
pub use heard::Heard;
pub use notice::Message;
pub use queue::Counts;
pub use subscribers::RETURNED_PATIENCE;

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
    /// How long this server sends a notice again if no queue gets it. This is also how long it leaves its own queue
    /// unbound after a connection began, unless others get notices before. [`RETURNED_PATIENCE`] is a good time.
    pub returned_patience: Duration,
    /// On a cluster, the copy that answers may lack the last changes of a killed server. So they are read twice, with
    /// this time between. `None` if the store has one copy. [`SECOND_LOOK`] is a good time.
    pub second_look: Option<Duration>,
}

/// How long the copies of a cluster may take to become the same, for [`Settings::second_look`].
pub const SECOND_LOOK: Duration = Duration::from_secs(5);

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
        let Settings { node, node_and_zone, queue_bytes, returned_patience, second_look } = settings;
        let marks = Marks::new(Arc::clone(&store), node);
        let queue = Queue::new(queue_bytes, returned_patience);
        let teller = Arc::new(Teller::new(marks, queue, node_and_zone, second_look));
        Self { store, teller, listener: Listener::default() }
    }

    /// The store. The broker gets notices of the writes through it.
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
            shares_name: self.teller.marks.roster.shares_name(),
            ..self.teller.queue.counts()
        }
    }

    /// Hears the notices of others until `stop` ends: of Kazoo's nodes, and of other servers of this program. `hear`
    /// must not wait. It hears only while [`Notices::run`] runs, and from the broker that gets the own notices.
    ///
    /// Notices are missed while no broker answers, and while the own queue is not bound yet. So what a caller
    /// remembers must not depend on them alone.
    pub async fn listen(
        &self,
        brokers: &dyn Brokers,
        hear: &(dyn Fn(&Heard) + Send + Sync),
        stop: impl Future<Output = ()> + Send,
    ) {
        tokio::select! {
            () = stop => {}
            () = self.listener.run(brokers, &self.teller.queue, &self.teller.marks.roster.node, hear) => {}
        }
    }

    /// Sends notices and keeps the marks until `stop` ends. Notices that wait then have a second to leave. The databases
    /// of the others stay marked.
    pub async fn run(&self, brokers: &dyn Brokers, stop: impl Future<Output = ()> + Send) {
        let stop = stop.shared();
        let (end, ended) = oneshot::channel::<()>();
        let send = async {
            sender::run(&self.teller.queue, brokers, &self.teller.marks.roster.node, stop.clone()).await;
            drop(end);
        };
        let keep = async {
            keeper::run(&self.teller, stop.clone()).await;
            let began = Instant::now();
            // Nothing is ever sent: the end of the channel is the end of the sender.
            keeper::clear(&self.teller, ended.map(drop)).await;
            began
        };
        let ((), began) = futures::join!(send, keep);
        keeper::end(&self.teller, began).await;
    }
}
