//! A store with an account, a broker that keeps what it gets, and servers that tell it of their writes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use datastore::{Backend, DbName, Deadline, DocId, Draft, LocalDocument, Rev};
use embedded::{Embedded, Settings as StoreSettings};
use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use kazoo::{AccountId, NodeAndZone};
use notices::{
    BrokerError, Brokers, Connection, Counts, Heard, Message, Notices, Outcome, Payloads, Settings,
};
use serde_json::{Map, Value, json};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

pub(crate) const ACCOUNT: &str = "11112222333344445555666677778888";

/// The store.
pub(crate) struct World {
    pub(crate) store: Arc<dyn Backend>,
    pub(crate) broker: Broker,
    /// The brokers after it.
    pub(crate) others: Vec<Broker>,
    /// How long its servers send a notice again that nobody takes.
    pub(crate) patience: Duration,
    /// When they read the changes of a mark once more.
    pub(crate) second_look: Option<Duration>,
    _folder: Option<tempfile::TempDir>,
}

impl World {
    /// On an embedded store.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(&folder.path().join("store.db"), StoreSettings::default()).unwrap();
        Self::on(Arc::new(store), Some(folder)).await
    }

    /// On a CouchDB, or on the program that stands in for it. Only one test at a time may use it.
    pub(crate) async fn on_couchdb() -> Self {
        let settings = couchdb::Settings::new(couchdb::standin::url().parse().unwrap());
        Self::on(Arc::new(couchdb::Client::new(settings).unwrap()), None).await
    }

    async fn on(store: Arc<dyn Backend>, folder: Option<tempfile::TempDir>) -> Self {
        for db in [db(), DbName::parse("system_config").unwrap()] {
            store.create_db(&db, soon()).await.unwrap();
        }
        Self {
            store,
            broker: Broker::default(),
            others: Vec::new(),
            patience: notices::RETURNED_PATIENCE,
            second_look: None,
            _folder: folder,
        }
    }

    /// A server of this name.
    pub(crate) fn server(&self, node: &str) -> Server {
        self.server_on(Arc::clone(&self.store), node)
    }

    /// A server whose store is this one.
    pub(crate) fn server_on(&self, store: Arc<dyn Backend>, node: &str) -> Server {
        let settings = Settings {
            node: node.to_owned(),
            node_and_zone: NodeAndZone::default(),
            queue_bytes: 1_000_000,
            returned_patience: self.patience,
            second_look: self.second_look,
        };
        let notices = Arc::new(Notices::new(store, settings));
        let (stop, stopped) = oneshot::channel::<()>();
        let running = Arc::clone(&notices);
        let brokers = Several(std::iter::once(&self.broker).chain(&self.others).cloned().collect());
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let here = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            let hear = move |heard: &Heard| here.lock().unwrap().push(heard.clone());
            let stopped = stopped.map(drop).shared();
            let listen = running.listen(&brokers, &hear, stopped.clone());
            futures::join!(running.run(&brokers, stopped), listen);
        });
        Server { store: notices.layer(), notices, heard, stop: Some(stop), task }
    }

    /// The local documents of a database.
    pub(crate) async fn local(&self, db: &DbName) -> Vec<LocalDocument> {
        self.store.list_local(db, "", soon()).await.unwrap()
    }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) store: Arc<dyn Backend>,
    notices: Arc<Notices>,
    heard: Arc<Mutex<Vec<Heard>>>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) fn counts(&self) -> Counts {
        self.notices.counts()
    }

    /// The notices of other programs that it has received.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// Ends as after SIGKILL: nothing more is written or sent.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Ends as after SIGTERM.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        self.task.await.unwrap();
    }

    pub(crate) async fn save(&self, id: &str, base: Option<&Rev>, body: Value) -> Rev {
        self.store.save(&db(), draft(id, base, body), soon()).await.unwrap()
    }

    /// Creates a group.
    pub(crate) async fn create(&self, id: &str) -> Rev {
        self.save(id, None, group()).await
    }

    pub(crate) async fn delete(&self, id: &str, base: &Rev) -> Rev {
        self.store.delete(&db(), &doc_id(id), base, soon()).await.unwrap()
    }
}

/// What the broker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Up,
    Down,
    /// It runs, and no node of Kazoo has a queue. Servers that listen have theirs.
    Unbound,
    /// It takes messages and confirms nothing.
    Silent,
}

/// A broker that keeps what it gets.
#[derive(Clone)]
pub(crate) struct Broker {
    mode: watch::Sender<Mode>,
    got: Arc<Mutex<Vec<Message>>>,
    closed: Arc<AtomicU64>,
    /// The queues of those who listen.
    queues: Arc<Mutex<Vec<UnboundedSender<Vec<u8>>>>>,
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            mode: watch::Sender::new(Mode::Up),
            got: Arc::default(),
            closed: Arc::default(),
            queues: Arc::default(),
        }
    }
}

impl Broker {
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// The messages so far.
    pub(crate) fn got(&self) -> Vec<Message> {
        self.got.lock().unwrap().clone()
    }

    /// How many connections were closed.
    pub(crate) fn closed(&self) -> u64 {
        self.closed.load(Ordering::SeqCst)
    }

    pub(crate) fn forget(&self) {
        self.got.lock().unwrap().clear();
    }

    /// Somebody publishes a notice. Answers whether a queue of a server has it.
    pub(crate) fn publish(&self, payload: &[u8]) -> bool {
        let mut queues = self.queues.lock().unwrap();
        queues.retain(|queue| queue.unbounded_send(payload.to_vec()).is_ok());
        !queues.is_empty()
    }

    /// Waits until the broker has `count` messages, and answers them.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Message> {
        wait_until(&format!("{count} messages"), || self.got().len() >= count).await;
        self.got()
    }

    /// What the messages say of documents: the event, the id and the revision.
    pub(crate) fn told(&self) -> Vec<(String, String, String)> {
        let text = |payload: &Value, name: &str| payload[name].as_str().unwrap().to_owned();
        let told = |message: Message| {
            let payload: Value = serde_json::from_str(&message.payload).unwrap();
            (text(&payload, "Event-Name"), text(&payload, "ID"), text(&payload, "Rev"))
        };
        self.got().into_iter().map(told).collect()
    }
}

/// The brokers of a server.
struct Several(Vec<Broker>);

impl Brokers for Several {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn name(&self, number: usize) -> String {
        format!("the broker {number} of the test")
    }

    fn connect(&self, number: usize) -> BoxFuture<'_, Result<Box<dyn Connection>, BrokerError>> {
        self.0[number].connect()
    }

    fn listen(&self, number: usize) -> BoxFuture<'_, Result<Payloads, BrokerError>> {
        self.0[number].listen()
    }
}

impl Broker {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, BrokerError>> {
        let is_down = *self.mode.borrow() == Mode::Down;
        let connection: Box<dyn Connection> = Box::new(self.clone());
        let outcome = if is_down { Err(BrokerError("down".to_owned())) } else { Ok(connection) };
        futures::future::ready(outcome).boxed()
    }

    fn listen(&self) -> BoxFuture<'_, Result<Payloads, BrokerError>> {
        if *self.mode.borrow() == Mode::Down {
            return futures::future::ready(Err("down".into())).boxed();
        }
        let (sender, queue) = unbounded();
        self.queues.lock().unwrap().push(sender);
        let payloads: Payloads = queue.map(Ok).take_until(self.broken()).boxed();
        futures::future::ready(Ok(payloads)).boxed()
    }
}

impl Connection for Broker {
    fn publish(&self, messages: Vec<Message>) -> BoxFuture<'_, Result<Vec<Outcome>, BrokerError>> {
        Box::pin(async move {
            let count = messages.len();
            let mode = *self.mode.borrow();
            match mode {
                Mode::Up => {
                    for message in &messages {
                        self.publish(message.payload.as_bytes());
                    }
                    self.got.lock().unwrap().extend(messages);
                    Ok(vec![Outcome::Delivered; count])
                }
                Mode::Unbound => {
                    let outcome = |message: &Message| match self.publish(message.payload.as_bytes()) {
                        true => Outcome::Delivered,
                        false => Outcome::Returned,
                    };
                    Ok(messages.iter().map(outcome).collect())
                }
                Mode::Down => Err(BrokerError("down".to_owned())),
                Mode::Silent => {
                    self.got.lock().unwrap().extend(messages);
                    futures::future::pending().await
                }
            }
        })
    }

    fn broken(&self) -> BoxFuture<'static, BrokerError> {
        let mut mode = self.mode.subscribe();
        let broken = async move {
            let _ = mode.wait_for(|mode| *mode == Mode::Down).await;
            BrokerError("down".to_owned())
        };
        broken.boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.closed.fetch_add(1, Ordering::SeqCst);
        futures::future::ready(()).boxed()
    }
}

/// Waits for a condition.
pub(crate) async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(crate) fn db() -> DbName {
    AccountId::parse(ACCOUNT).unwrap().db()
}

pub(crate) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

pub(crate) fn doc_id(id: &str) -> DocId {
    DocId::parse(id).unwrap()
}

/// The members of a group.
pub(crate) fn group() -> Value {
    json!({
        "name": "A", "pvt_type": "group", "pvt_created": 63_962_664_504_i64,
        "pvt_modified": 63_962_664_999_i64, "pvt_account_id": ACCOUNT, "pvt_request_id": "r",
    })
}

/// A group with a member that differs.
pub(crate) fn group_with(name: &str, value: impl Into<Value>) -> Value {
    let mut group = group();
    group[name] = value.into();
    group
}

pub(crate) fn draft(id: &str, base: Option<&Rev>, body: Value) -> Draft {
    let body: Map<String, Value> = body.as_object().unwrap().clone();
    Draft { id: doc_id(id), base: base.cloned(), body }
}
