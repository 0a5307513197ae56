//! The store traits. [`Store`] serves requests; some callers need the others too.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::change::{Change, ChangesQuery, Sign};
use crate::deadline::Deadline;
use crate::document::{Document, Draft};
use crate::epoch::Epoch;
use crate::error::Result;
use crate::local::{LocalCheck, LocalDocument};
use crate::name::{DbName, DocId};
use crate::rev::Rev;
use crate::view::{RowStream, ViewQuery};

/// Documents with revisions, and views over them.
///
/// Every call ends at its deadline. A write names its base revision, and is durable once it is acknowledged.
/// A view shows every write that was acknowledged before the query. Before a call reads a document or rows of more
/// than [`SMALL`](crate::SMALL) bytes, it asks the [`Meter`](crate::Meter) of its caller for room.
pub trait Store: Send + Sync {
    /// The newest revision of a document.
    ///
    /// # Errors
    /// `Missing`, `Deleted` or `DatabaseMissing` if there is no such document.
    fn fetch<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Document>>;

    /// Reads several documents in one round trip. The results have the order of `ids`.
    ///
    /// # Errors
    /// An error of the whole call; each document has a result of its own.
    fn fetch_many<'a>(
        &'a self,
        db: &'a DbName,
        ids: &'a [DocId],
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Document>>>>;

    /// Writes a document and returns its new revision. Without a base the document must not exist; over
    /// a tombstone it continues with the tombstone's generation.
    ///
    /// # Errors
    /// `Conflict` if the base is not the newest revision; `TooLarge`, `Forbidden`, `Invalid`.
    fn save<'a>(&'a self, db: &'a DbName, draft: Draft, deadline: Deadline) -> BoxFuture<'a, Result<Rev>>;

    /// Writes several documents in one round trip, each by the rules of [`Store::save`]. One document can
    /// fail without affecting the others.
    ///
    /// # Errors
    /// An error of the whole call; each document has a result of its own, in the order given.
    fn save_many<'a>(
        &'a self,
        db: &'a DbName,
        drafts: Vec<Draft>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Rev>>>>;

    /// Replaces a document by a tombstone, and returns the tombstone's revision.
    ///
    /// # Errors
    /// `Conflict` if `base` is not the newest revision, `Missing` or `Deleted` if there is no document.
    fn delete<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        base: &'a Rev,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Rev>>;

    /// Streams the rows of a view or of all documents. The whole answer is never held in memory.
    /// `deadline` is for the first row; the backend's settings limit the wait for each further batch. An
    /// error may end the stream.
    ///
    /// # Errors
    /// `ViewMissing` if there is no such view, `DatabaseMissing`.
    fn query<'a>(
        &'a self,
        db: &'a DbName,
        query: ViewQuery,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<RowStream>>;

    /// The current epoch of a database, for callers that remember what they read. `None` if the store would
    /// not learn of a change. It never waits.
    fn epoch(&self, db: &DbName) -> Option<Epoch> {
        let _ = db;
        None
    }

    /// The current epoch of a document, whether it exists or not. It ends when the document changes, and may end
    /// when others do. `None` if the store would not learn of a change. It never waits.
    fn epoch_of(&self, db: &DbName, id: &DocId) -> Option<Epoch> {
        let _ = id;
        self.epoch(db)
    }
}

/// Files attached to documents. As in CouchDB, a [`Draft`] carries new ones inline
/// (`_attachments.{name}.data` in base64), and a document lists them as stubs.
pub trait Attachments: Send + Sync {
    /// The bytes of one attachment.
    ///
    /// # Errors
    /// `Missing` if there is no such document or attachment.
    fn fetch_attachment<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        name: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Bytes>>;
}

/// The feed of changes of a database.
pub trait Changes: Send + Sync {
    /// Streams the changes since a sequence. After a failure, a `Longpoll` or `Continuous` feed opens
    /// again with capped back-off and continues after the last change it returned. It ends with the error
    /// if a retry cannot help.
    ///
    /// The stream borrows nothing, so a background task or a [`Layer`](crate::Layer) can keep it.
    fn changes(&self, db: &DbName, query: ChangesQuery) -> BoxStream<'static, Result<Change>>;

    /// Watches a database from now on. A store that is asked over a network shows a sign of life each
    /// `heartbeat`. The stream ends, or fails, as soon as a change could be missing; it does not open itself
    /// again.
    fn watch(&self, db: &DbName, heartbeat: Duration) -> BoxStream<'static, Result<Sign>>;

    /// The sequence of the newest change. A feed since this sequence returns every write that begins later.
    /// It may return earlier ones too.
    ///
    /// # Errors
    /// `DatabaseMissing`.
    fn newest_seq<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<String>>;
}

/// Local documents, as CouchDB calls them: a program's own notes in a database. Views, feeds and listings of
/// documents do not show them, and they are not replicated.
pub trait LocalDocuments: Send + Sync {
    /// The local documents whose name begins with `prefix`, sorted by name.
    ///
    /// # Errors
    /// `DatabaseMissing`.
    fn list_local<'a>(
        &'a self,
        db: &'a DbName,
        prefix: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<LocalDocument>>>;

    /// The local document of this name, if there is one. A cluster asks several of its copies, so an acknowledged
    /// write is seen. [`LocalDocuments::list_local`] may ask one copy only, which can lack the newest writes.
    ///
    /// # Errors
    /// `DatabaseMissing`.
    fn fetch_local<'a>(
        &'a self,
        db: &'a DbName,
        name: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Option<LocalDocument>>>;

    /// Writes a local document. It replaces an older one of this name. The write is durable once it is
    /// acknowledged.
    ///
    /// # Errors
    /// `DatabaseMissing`.
    fn save_local<'a>(
        &'a self,
        db: &'a DbName,
        document: LocalDocument,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<()>>;

    /// Deletes a local document. A missing one is no error.
    ///
    /// # Errors
    /// Those of [`LocalDocuments::delete_local_if`].
    fn delete_local<'a>(
        &'a self,
        db: &'a DbName,
        name: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<()>> {
        self.delete_local_if(db, name, &|_| true, deadline).map(|deleted| deleted.map(drop)).boxed()
    }

    /// Deletes a local document if `may` agrees to what it says. Nobody can write it between the question and the
    /// deletion. Answers whether none is there now.
    ///
    /// # Errors
    /// `DatabaseMissing`. `Conflict` if others write the document all the time.
    fn delete_local_if<'a>(
        &'a self,
        db: &'a DbName,
        name: &'a str,
        may: LocalCheck<'a>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<bool>>;
}

/// Whether [`Databases::create_db`] created the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The database is new.
    Now,
    /// The database existed before.
    Before,
}

/// Creates, lists and deletes databases. Only [`Databases::create_db`] creates one.
pub trait Databases: Send + Sync {
    /// Creates a database if it does not exist.
    fn create_db<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<Created>>;
    /// Whether there is such a database.
    fn db_exists<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<bool>>;
    /// Deletes a database and everything in it. `DatabaseMissing` if there is none.
    fn delete_db<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<()>>;
    /// The names of all databases, sorted. Names that [`DbName`] refuses are left out.
    fn list_dbs(&self, deadline: Deadline) -> BoxFuture<'_, Result<Vec<DbName>>>;
}

/// A store that implements all store traits, as this project's backends do.
pub trait Backend: Store + Attachments + Changes + Databases + LocalDocuments {}

impl<T: Store + Attachments + Changes + Databases + LocalDocuments> Backend for T {}
