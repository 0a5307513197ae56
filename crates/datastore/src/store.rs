//! The traits: [`Store`] serves requests; the others are further capabilities that some callers need.

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::{
    Change, ChangesQuery, DbName, Deadline, DocId, Document, Draft, Rev, RowStream, StoreError, ViewQuery,
};

/// The result of every call of a store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Documents with revisions, and views over them.
///
/// Every call ends at its deadline. A write names the revision that it is based on and is durable when
/// it is acknowledged; a view shows every write that was acknowledged before it was asked.
pub trait Store: Send + Sync {
    /// The newest revision of a document.
    ///
    /// # Errors
    /// `Missing`, `Deleted` or `DatabaseMissing` if it is not there.
    fn fetch<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Document>>;

    /// Several documents in one round trip, in the order of `ids`.
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

    /// Writes several documents in one round trip, each by the rules of [`Store::save`] and by itself:
    /// a conflict of one leaves the others written.
    ///
    /// # Errors
    /// An error of the whole call; each document has a result of its own, in the order given.
    fn save_many<'a>(
        &'a self,
        db: &'a DbName,
        drafts: Vec<Draft>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Rev>>>>;

    /// Deletes a document for good and returns the revision of its tombstone.
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

    /// The rows of a view, or of all documents, as they arrive: the whole answer is never held in memory.
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
}

/// Files attached to documents. A [`Draft`] carries new ones inline, as CouchDB takes them
/// (`_attachments.{name}.data` in base64); a document lists them as stubs.
pub trait Attachments: Send + Sync {
    /// The bytes of one attachment.
    ///
    /// # Errors
    /// `Missing` if the document or the attachment is not there.
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
    /// The changes since a sequence. A feed that waits (`Longpoll`, `Continuous`) reopens itself after a
    /// failure, after the last change it returned, with capped back-off; it ends with the error when
    /// another attempt cannot help.
    ///
    /// The stream owns what it needs: a background task or a [`Layer`](crate::Layer) can keep it.
    fn changes(&self, db: &DbName, query: ChangesQuery) -> BoxStream<'static, Result<Change>>;
}

/// Whether [`Databases::create_db`] had anything to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The database is new.
    Now,
    /// It was there before.
    Before,
}

/// Databases themselves. Only [`Databases::create_db`] creates one.
pub trait Databases: Send + Sync {
    /// Creates a database if it does not exist.
    fn create_db<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<Created>>;
    /// Whether there is such a database.
    fn db_exists<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<bool>>;
    /// Deletes a database and everything in it. `DatabaseMissing` if there is none.
    fn delete_db<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<()>>;
    /// The names of all databases, sorted; names that no [`DbName`] can have are left out.
    fn list_dbs(&self, deadline: Deadline) -> BoxFuture<'_, Result<Vec<DbName>>>;
}

/// A store with all capabilities, as this project's backends have them.
pub trait Backend: Store + Attachments + Changes + Databases {}

impl<T: Store + Attachments + Changes + Databases> Backend for T {}
