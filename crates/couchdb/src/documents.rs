//! Documents, one by one and in bulk. A write names the revision that it is based on, and it is sent once.

use datastore::{DbName, Deadline, DocId, Document, Draft, Rev};
use reqwest::Method;
use serde_json::{Map, Value};

use crate::client::Client;
use crate::error::{Error, Target};
use crate::outcome::{Wanted, Write};
use crate::request::{Path, Request};
use crate::rows::{Row, RowReader, Wait, parsed};
use crate::splitter::Shape;
use crate::tombstone::DeletionId;
use crate::written::check_count;

impl Client {
    /// Reads the newest revision of a document.
    ///
    /// ```no_run
    /// # async fn example(client: couchdb::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use datastore::{DbName, Deadline, DocId};
    ///
    /// let db = DbName::parse("account/ac/co/unt001")?;
    /// let doc = client.fetch(&db, &DocId::parse("sales")?, Deadline::after(Duration::from_secs(5))).await?;
    /// println!("{} {}", doc.rev(), doc.text());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Missing`, `Deleted` or `DatabaseMissing` if it does not exist.
    pub async fn fetch(&self, db: &DbName, id: &DocId, deadline: Deadline) -> Result<Document, Error> {
        let request = Request::read(Method::GET, Path::doc(db, id)?, Target::Document);
        self.send_whole(&request, deadline).await?.into_document().await
    }

    /// Reads several documents in one round trip, in the order of `ids`. Each has a result of its own.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: couchdb::Client, db: datastore::DbName, by: datastore::Deadline,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// use datastore::DocId;
    ///
    /// let ids = [DocId::parse("sales")?, DocId::parse("support")?];
    /// for doc in client.fetch_many(&db, &ids, by).await? {
    ///     match doc {
    ///         Ok(doc) => println!("{}", doc.text()),
    ///         Err(error) => println!("{error}"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// An error of the whole call, such as `DatabaseMissing`.
    pub async fn fetch_many(
        &self,
        db: &DbName,
        ids: &[DocId],
        deadline: Deadline,
    ) -> Result<Vec<Result<Document, Error>>, Error> {
        let request = rows_of(db, ids).with_query("include_docs", true);
        let max_row_bytes = self.settings().max_row_bytes;
        self.send(&request, deadline, |reply| async move {
            let (shape, wait) = (Shape::ArrayIn("rows"), Wait::Whole(deadline));
            let mut rows = RowReader::new(reply, shape, wait, max_row_bytes, read_document);
            let docs = rows.all().await?;
            check_count(rows.call(), docs.len(), ids.len())?;
            Ok(docs)
        })
        .await
    }

    /// Saves a document and returns its new revision. It is sent once. If the answer is lost, the document is read
    /// back, and the save counts as done if the document shows it. An error that
    /// [is retryable](Error::is_retryable) leaves open whether it was saved.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: couchdb::Client, db: datastore::DbName, by: datastore::Deadline,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// use datastore::{DocId, Draft};
    ///
    /// let mut body = serde_json::Map::new();
    /// body.insert("name".to_owned(), "Sales".into());
    /// let rev = client.save(&db, Draft { id: DocId::parse("sales")?, base: None, body }, by).await?;
    /// println!("saved as {rev}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Conflict` if the base is not the newest revision; `TooLarge`, `Forbidden`, `Invalid`.
    pub async fn save(&self, db: &DbName, draft: Draft, deadline: Deadline) -> Result<Rev, Error> {
        let path = Path::doc(db, &draft.id)?;
        let (id, base) = (draft.id.clone(), draft.base.clone());
        let request =
            Request::write(Method::PUT, path, Target::Document).with_body(body_of(draft, IdPlace::Path)?);
        let wanted = Wanted::Saved(base.as_ref());
        self.write(Write { db, id: &id, request: &request, wanted }, deadline).await
    }

    /// Saves several documents in one round trip. Each is saved by itself and has a result of its own, in
    /// the order of `drafts`.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: couchdb::Client, db: datastore::DbName, drafts: Vec<datastore::Draft>,
    /// #     by: datastore::Deadline,
    /// # ) -> Result<(), couchdb::Error> {
    /// for saved in client.save_many(&db, drafts, by).await? {
    ///     match saved {
    ///         Ok(rev) => println!("saved as {rev}"),
    ///         Err(error) if error.is_conflict() => println!("another writer was faster"),
    ///         Err(error) => return Err(error),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// An error of the whole call.
    pub async fn save_many(
        &self,
        db: &DbName,
        drafts: Vec<Draft>,
        deadline: Deadline,
    ) -> Result<Vec<Result<Rev, Error>>, Error> {
        let mut docs = Vec::with_capacity(drafts.len());
        let mut add = |draft| {
            docs.push(body_of(draft, IdPlace::Body)?);
            Ok(())
        };
        let added: Vec<Result<(), Error>> = drafts.into_iter().map(&mut add).collect();
        let sent = docs.len();
        let request = Request::write(Method::POST, Path::db(db).resource("_bulk_docs"), Target::Database)
            .with_body(object("docs", docs))
            .writing(sent);
        let mut revs = self.send_whole(&request, deadline).await?.revs(sent)?.into_iter();
        // There are as many as were sent.
        Ok(added
            .into_iter()
            .filter_map(|added| added.map_or_else(|e| Some(Err(e)), |()| revs.next()))
            .collect())
    }

    /// Deletes one leaf of a document and returns the revision of its tombstone. If replication has left
    /// another leaf, that one appears; [`Client::delete_every_leaf`] deletes the document.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: couchdb::Client, db: datastore::DbName, doc: datastore::Document,
    /// #     by: datastore::Deadline,
    /// # ) -> Result<(), couchdb::Error> {
    /// client.delete(&db, doc.id(), doc.rev(), by).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Conflict` if `base` is not the newest revision, `Missing` or `Deleted` if there is no document.
    pub async fn delete(
        &self,
        db: &DbName,
        id: &DocId,
        base: &Rev,
        deadline: Deadline,
    ) -> Result<Rev, Error> {
        let deletion = DeletionId::random();
        let request = Request::write(Method::PUT, Path::doc(db, id)?, Target::Document)
            .with_body(deletion.tombstone(id, base));
        let wanted = Wanted::Deleted(base, &deletion);
        let deleted = self.write(Write { db, id, request: &request, wanted }, deadline).await;
        match deleted {
            // CouchDB says the same of a document that is not there.
            Err(conflict) if conflict.is_conflict() => match self.fetch(db, id, deadline).await {
                Err(absent) if absent.is_not_found() => Err(absent),
                _ => Err(conflict),
            },
            deleted => deleted,
        }
    }
}

/// Where a request names the document's id.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IdPlace {
    Path,
    Body,
}

/// The JSON object that CouchDB expects for a draft. Members that begin with `_` belong to CouchDB, and some
/// have effects (`_deleted`). Callers may only set `_attachments`.
fn body_of(draft: Draft, id_place: IdPlace) -> Result<Value, Error> {
    let mut body = Map::new();
    if id_place == IdPlace::Body {
        body.insert("_id".to_owned(), draft.id.as_str().into());
    }
    if let Some(base) = &draft.base {
        body.insert("_rev".to_owned(), base.as_str().into());
    }
    for (name, value) in draft.body {
        match name.as_str() {
            "_id" | "_rev" => continue,
            "_attachments" => {}
            other if other.starts_with('_') => return Err(Error::ReservedMember(name)),
            _ => {}
        }
        body.insert(name, value);
    }
    Ok(Value::Object(body))
}

/// Asks for the rows of these documents.
fn rows_of(db: &DbName, ids: &[DocId]) -> Request {
    let keys = ids.iter().map(|id| id.as_str().into()).collect();
    Request::read(Method::POST, Path::db(db).resource("_all_docs"), Target::Database)
        .with_body(object("keys", keys))
}

/// `{"name":[…]}`.
fn object(name: &str, items: Vec<Value>) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), Value::Array(items))]))
}

/// A row of `_all_docs` for an id that was asked for: the document, or that it is missing or deleted.
fn read_document(row: &Row<'_>) -> Result<Result<Document, Error>, Error> {
    match row.check() {
        Err(error) if error.is_not_found() => return Ok(Err(error)),
        checked => checked?,
    }
    if let Some(doc) = row.document()? {
        return Ok(Ok(doc));
    }
    // `_all_docs` has a row without a document for a deleted one.
    if parsed(row.value).is_some_and(|value| value.get("deleted") == Some(&Value::Bool(true))) {
        let (error, reason) = ("not_found".into(), "deleted".into());
        return Ok(Err(Error::refused_inside(row.call, Some(&error), Some(&reason))));
    }
    Err(row.unreadable("a row without its document"))
}
