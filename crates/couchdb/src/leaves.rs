//! Documents with several leaves: after a replication, a document can have a revision beside the one that is
//! shown. To delete only the one that is shown makes the other one appear.

use datastore::{DbName, Deadline, DocId, Rev};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::{Error, Target};
use crate::outcome::{Wanted, Write};
use crate::reply::Body;
use crate::request::{Path, Request};
use crate::tombstone::DeletionId;

/// The leaves of a document that are not deleted.
#[derive(Deserialize)]
struct Living {
    #[serde(rename = "_rev")]
    newest: String,
    #[serde(rename = "_conflicts", default)]
    others: Vec<String>,
}

impl Client {
    /// How many leaves a document has beside the one that is shown, and that are not deleted.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: couchdb::Client, db: datastore::DbName, id: datastore::DocId, by: datastore::Deadline,
    /// # ) -> Result<(), couchdb::Error> {
    /// println!("{} conflicts", client.other_leaves(&db, &id, by).await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Missing` or `Deleted` if there is no document.
    pub async fn other_leaves(&self, db: &DbName, id: &DocId, deadline: Deadline) -> Result<usize, Error> {
        let leaves: Living = self.living_leaves(db, id, deadline).await?.json()?;
        Ok(leaves.others.len())
    }

    async fn living_leaves(&self, db: &DbName, id: &DocId, deadline: Deadline) -> Result<Body, Error> {
        let request =
            Request::read(Method::GET, Path::doc(db, id)?, Target::Document).with_query("conflicts", true);
        self.send_whole(&request, deadline).await
    }

    /// Deletes a document with all its leaves, and returns the revision of the tombstone of `base`. For every
    /// reader of the document, its views and its changes, this is one deletion.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: couchdb::Client, db: datastore::DbName, doc: datastore::Document,
    /// #     by: datastore::Deadline,
    /// # ) -> Result<(), couchdb::Error> {
    /// client.delete_every_leaf(&db, doc.id(), doc.rev(), by).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Conflict` if `base` is not the newest revision, or if a leaf changes at the same time. `Missing` or
    /// `Deleted` if there is no document.
    pub async fn delete_every_leaf(
        &self,
        db: &DbName,
        id: &DocId,
        base: &Rev,
        deadline: Deadline,
    ) -> Result<Rev, Error> {
        let body = match self.living_leaves(db, id, deadline).await {
            Ok(body) => body,
            // The deletion itself says what is wrong.
            Err(error) if error.is_not_found() => return self.delete(db, id, base, deadline).await,
            Err(error) => return Err(error),
        };
        let leaves: Living = body.json()?;
        if leaves.newest != base.as_str() {
            let (error, reason) = ("conflict".into(), "there is a newer revision".into());
            return Err(Error::refused_inside(body.call(), Some(&error), Some(&reason)));
        }
        if leaves.others.is_empty() {
            return self.delete(db, id, base, deadline).await;
        }
        let deletion = DeletionId::random();
        let others =
            leaves.others.iter().map(|rev| json!({"_id": id.as_str(), "_rev": rev, "_deleted": true}));
        let tombstones: Vec<Value> = std::iter::once(deletion.tombstone(id, base)).chain(others).collect();
        let request = Request::write(Method::POST, Path::db(db).resource("_bulk_docs"), Target::Database)
            .with_body(json!({ "docs": tombstones }));
        let wanted = Wanted::AllDeleted(base, &deletion);
        self.write(Write { db, id, request: &request, wanted }, deadline).await
    }
}
