//! The roster: an entry in `system_config` for each server, which shows that it lives. Other servers see from it
//! which one is gone. Two servers with one name are found out here, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use datastore::{Backend, Deadline, LocalDocument, Result, random_hex};
use kazoo::SystemDb;
use serde_json::{Map, Value, json};

use crate::left_behind::{PREFIX, name_of, node_of};
use crate::log_throttle::LogThrottle;

/// How the name of a claim begins. It does not begin as those of the entries do.
const CLAIM: &str = "crossbar_groups_takes_over-";

/// How often the log repeats that two servers have one name.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// This server's place in the roster.
pub(crate) struct Roster {
    store: Arc<dyn Backend>,
    pub(crate) node: String,
    /// The id of this start of the server.
    run: String,
    /// A number for each document that this run writes, so that no two are the same.
    writes: AtomicU64,
    shares_name: AtomicBool,
    shared_log: LogThrottle,
}

/// What a server finds when it shows that it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnPlace {
    /// Its entry is as it left it.
    Kept,
    /// Another server took this one for dead, and may have removed marks.
    Taken,
}

impl Roster {
    pub(crate) fn new(store: Arc<dyn Backend>, node: String) -> Self {
        let run = random_hex().chars().take(16).collect();
        let (writes, shares_name) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { store, node, run, writes, shares_name, shared_log: LogThrottle::new(LOG_PAUSE) }
    }

    /// The name of this server's marks, and of its entry.
    pub(crate) fn name(&self) -> String {
        name_of(&self.node)
    }

    /// A local document of this run: what `members` say, and who has written it. No two are the same.
    pub(crate) fn document(&self, name: String, members: &Value) -> LocalDocument {
        let write = self.writes.fetch_add(1, Ordering::Relaxed);
        let mut body = object(json!({"node": self.node, "run": self.run, "write": write}));
        body.extend(object(members.clone()));
        LocalDocument { name, body }
    }

    /// Whether this run has written a local document.
    pub(crate) fn is_own(&self, document: &LocalDocument) -> bool {
        document.body.get("run").and_then(Value::as_str) == Some(&self.run)
    }

    /// Whether another server had this one's name when it last looked.
    pub(crate) fn shares_name(&self) -> bool {
        self.shares_name.load(Ordering::Relaxed)
    }

    /// Enters this server. Answers the entry that an earlier run has left.
    pub(crate) async fn sign_on(&self, deadline: Deadline) -> Result<Option<LocalDocument>> {
        let found = self.entry(&self.node, deadline).await?;
        self.save_entry(&json!({}), deadline).await?;
        Ok(found)
    }

    /// Says that this server has sent all notices. If marks stay, they mean nothing.
    pub(crate) async fn finish(&self, deadline: Deadline) -> Result<()> {
        self.save_entry(&json!({"done": true}), deadline).await
    }

    /// Shows that this server lives, and looks for signs that others disagree.
    pub(crate) async fn beat(&self, deadline: Deadline) -> Result<OwnPlace> {
        let found = self.entry(&self.node, deadline).await?;
        self.save_entry(&json!({}), deadline).await?;
        let other = found.as_ref().is_some_and(|entry| !self.is_own(entry));
        self.shares_name.store(other, Ordering::Relaxed);
        if other && self.shared_log.is_time() {
            log::error!(
                node = self.node.as_str();
                "another server that runs now has the same node name. Each removes the marks of the other, so a kill \
                 may lose change notices. Give each server a name of its own with --node-name"
            );
        }
        // The claim is read after the entry was written. A server that takes over reads the entry after it has
        // written the claim. So one of the two sees the other.
        let claim = claim_on(&self.node);
        let claimed = self.store.fetch_local(SystemDb::SystemConfig.name(), &claim, deadline).await?;
        Ok(if found.is_none() || claimed.is_some() { OwnPlace::Taken } else { OwnPlace::Kept })
    }

    /// The marks are back: nobody claims the work of this server any more.
    pub(crate) async fn end_claims(&self, deadline: Deadline) -> Result<()> {
        self.end_claim(&self.node, deadline).await
    }

    async fn save_entry(&self, members: &Value, deadline: Deadline) -> Result<()> {
        // The number of the write is the beat.
        let entry = self.document(self.name(), members);
        self.store.save_local(SystemDb::SystemConfig.name(), entry, deadline).await
    }

    /// The entry of a server.
    pub(crate) async fn entry(&self, node: &str, deadline: Deadline) -> Result<Option<LocalDocument>> {
        self.store.fetch_local(SystemDb::SystemConfig.name(), &name_of(node), deadline).await
    }

    /// The entries of the other servers, by their nodes.
    pub(crate) async fn others(&self, deadline: Deadline) -> Result<Vec<(String, LocalDocument)>> {
        let found = self.store.list_local(SystemDb::SystemConfig.name(), PREFIX, deadline).await?;
        let others = found.into_iter().filter(|entry| entry.name != self.name());
        Ok(others.filter_map(|entry| Some((node_of(&entry)?.to_owned(), entry))).collect())
    }

    /// Takes this server out. The entry of another run stays.
    pub(crate) async fn sign_off(&self, deadline: Deadline) -> Result<()> {
        let (db, name) = (SystemDb::SystemConfig.name(), self.name());
        self.store.delete_local_if(db, &name, &|entry| self.is_own(entry), deadline).await.map(drop)
    }

    /// Says that this server is about to remove marks of another one that is gone.
    pub(crate) async fn claim(&self, node: &str, deadline: Deadline) -> Result<()> {
        let claim = self.document(claim_on(node), &json!({}));
        self.store.save_local(SystemDb::SystemConfig.name(), claim, deadline).await
    }

    /// Takes a server out whose work is finished, if it has not come back.
    pub(crate) async fn remove(&self, node: &str, gone: &LocalDocument, deadline: Deadline) -> Result<bool> {
        let db = SystemDb::SystemConfig.name();
        let is_gone = self.store.delete_local_if(db, &gone.name, &|entry| entry == gone, deadline).await?;
        if is_gone {
            self.end_claim(node, deadline).await?;
        }
        // A server that has come back needs the claim to see that marks may be missing.
        Ok(is_gone)
    }

    async fn end_claim(&self, node: &str, deadline: Deadline) -> Result<()> {
        self.store.delete_local(SystemDb::SystemConfig.name(), &claim_on(node), deadline).await
    }
}

/// The name of the claim on the work of a server.
fn claim_on(node: &str) -> String {
    format!("{CLAIM}{node}")
}

/// Whether two local documents are of one write.
pub(crate) fn is_same_write(one: &LocalDocument, other: &LocalDocument) -> bool {
    one.name == other.name && ["run", "write"].iter().all(|name| one.body.get(*name) == other.body.get(*name))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
