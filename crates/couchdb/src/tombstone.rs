//! Tombstones, and the id that each of this crate's has. It tells whose deletion a tombstone is.

use datastore::{DbName, Deadline, DocId, Rev, random_hex};
use reqwest::Method;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::{Error, Target};
use crate::request::{Path, Request};

/// Tells one deletion from all others; it is a member of the tombstone. Without it, two clients that delete the
/// same revision would write the same tombstone, and each would take the other's deletion for its own.
#[derive(Debug)]
pub(crate) struct DeletionId(String);

impl DeletionId {
    pub(crate) fn random() -> Self {
        Self(random_hex())
    }

    /// The tombstone of a document, on top of a revision.
    pub(crate) fn tombstone(&self, id: &DocId, base: &Rev) -> Value {
        json!({"_id": id.as_str(), "_rev": base.as_str(), "_deleted": true, "deletion_id": self.0})
    }
}

/// A leaf of a document.
#[derive(Debug, Deserialize)]
pub(crate) struct Leaf {
    #[serde(rename = "_rev", deserialize_with = "read_rev")]
    pub(crate) rev: Rev,
    #[serde(rename = "_deleted", default)]
    pub(crate) is_deleted: bool,
    #[serde(default)]
    deletion_id: Value,
}

impl Leaf {
    /// Whether it is a tombstone of this deletion.
    pub(crate) fn is_of(&self, deletion: &DeletionId) -> bool {
        self.is_deleted && self.deletion_id.as_str() == Some(deletion.0.as_str())
    }
}

fn read_rev<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rev, D::Error> {
    Rev::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// A row of the answer that lists the leaves.
#[derive(Deserialize)]
struct LeafRow {
    ok: Option<Leaf>,
}

impl Client {
    /// All leaves of a document, deleted ones too. None if there never was the document.
    pub(crate) async fn leaves(
        &self,
        db: &DbName,
        id: &DocId,
        deadline: Deadline,
    ) -> Result<Vec<Leaf>, Error> {
        let request =
            Request::read(Method::GET, Path::doc(db, id)?, Target::Document).with_query("open_revs", "all");
        let rows: Vec<LeafRow> = self.send_whole(&request, deadline).await?.json()?;
        Ok(rows.into_iter().filter_map(|row| row.ok).collect())
    }
}
