//! What a server that was killed has left in a database: its mark, and notes of deletions.

use std::collections::HashMap;

use datastore::{Backend, DbName, Deadline, DocId, LocalDocument, Result};
use serde_json::Value;

use crate::notice::Facts;

/// How the name of every local document of this program begins. The node's name follows.
pub(crate) const PREFIX: &str = "crossbar_groups-";

/// What a server has left in a database.
pub(crate) struct LeftBehind {
    /// The sequence of its mark.
    pub(crate) seq: Option<String>,
    /// The documents that it was about to delete, with the names of the notes.
    pub(crate) deletions: HashMap<DocId, (String, Facts)>,
}

impl LeftBehind {
    /// Reads what a node has left.
    pub(crate) async fn read(
        store: &dyn Backend,
        db: &DbName,
        node: &str,
        deadline: Deadline,
    ) -> Result<Self> {
        let name = format!("{PREFIX}{node}");
        let found = store.list_local(db, &name, deadline).await?;
        let mut left = Self { seq: None, deletions: HashMap::new() };
        // The names of other nodes may begin with this node's.
        for document in found.into_iter().filter(|found| node_of(found) == Some(node)) {
            let text = |member: &str| document.body.get(member).and_then(Value::as_str).map(str::to_owned);
            if document.name == name {
                left.seq = text("seq");
            } else if let (Some(id), Some(Value::Object(was))) = (text("deletes"), document.body.get("was")) {
                left.deletions.insert(DocId::from_store(id), (document.name.clone(), Facts::of(was)));
            }
        }
        Ok(left)
    }
}

/// The node that has written a local document.
pub(crate) fn node_of(document: &LocalDocument) -> Option<&str> {
    document.body.get("node")?.as_str()
}
