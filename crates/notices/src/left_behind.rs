//! What a server that was killed has left in a database: its mark, and notes of deletions.

use std::collections::HashMap;

use datastore::{Backend, DbName, Deadline, DocId, LocalDocument, Result};
use serde_json::Value;

use crate::notice::Facts;

/// How the name of every local document of this program begins. The node's name follows.
pub(crate) const PREFIX: &str = "crossbar_groups-";

/// The documents that a server was about to delete: the notes, and what the notices must say.
pub(crate) type Deletions = HashMap<DocId, (LocalDocument, Facts)>;

/// What a server has left in a database.
pub(crate) struct LeftBehind {
    /// The sequence of its mark.
    pub(crate) seq: String,
    /// The documents that it was about to delete, with the notes.
    pub(crate) deletions: Deletions,
    /// The notes and the mark as they were read. The mark is the last.
    pub(crate) documents: Vec<LocalDocument>,
}

impl LeftBehind {
    /// Reads what a node has left. `None` if there is no mark.
    ///
    /// The mark is read by its name. A cluster answers a list from one copy, which may lack the newest writes.
    pub(crate) async fn read(
        store: &dyn Backend,
        db: &DbName,
        node: &str,
        deadline: Deadline,
    ) -> Result<Option<Self>> {
        let name = name_of(node);
        let text = |document: &LocalDocument, member: &str| {
            document.body.get(member).and_then(Value::as_str).map(str::to_owned)
        };
        let Some(mark) = store.fetch_local(db, &name, deadline).await? else { return Ok(None) };
        let Some(seq) = text(&mark, "seq") else { return Ok(None) };
        let mut left = Self { seq, deletions: HashMap::new(), documents: Vec::new() };
        let notes = store.list_local(db, &format!("{name}/"), deadline).await?;
        // The names of other nodes may begin with this node's.
        for document in notes.into_iter().filter(|found| node_of(found) == Some(node)) {
            if let (Some(id), Some(Value::Object(was))) =
                (text(&document, "deletes"), document.body.get("was"))
            {
                left.deletions.insert(DocId::from_store(id), (document.clone(), Facts::of(was)));
            }
            left.documents.push(document);
        }
        left.documents.push(mark);
        Ok(Some(left))
    }
}

/// Whether an entry of the roster is of a server that has stopped in order: it had sent all notices, and only had no
/// time to remove its marks.
pub(crate) fn is_done(entry: &LocalDocument) -> bool {
    entry.body.get("done") == Some(&Value::Bool(true))
}

/// The name of a server's marks, and of its entry in the roster.
pub(crate) fn name_of(node: &str) -> String {
    format!("{PREFIX}{node}")
}

/// The node that has written a local document.
pub(crate) fn node_of(document: &LocalDocument) -> Option<&str> {
    document.body.get("node")?.as_str()
}
