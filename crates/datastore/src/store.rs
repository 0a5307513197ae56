//! The traits: [`Store`] is what serving a request needs, the others are what some callers need besides.

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
    /// `Missing`, `Deleted` or `DatabaseMissing` where it is not there.
    fn fetch<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Document>>;

    /// Several documents in one round trip, answered in the order asked for.
    ///
    /// # Errors
    /// Of the whole call; each document has a result of its own.
    fn fetch_many<'a>(
        &'a self,
        db: &'a DbName,
        ids: &'a [DocId],
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Document>>>>;

    /// Writes a document and answers its new revision. Without a base it must not exist; over a
    /// tombstone it goes on with the tombstone's generation.
    ///
    /// # Errors
    /// `Conflict` where the base is not the newest revision; `TooLarge`, `Forbidden`, `Invalid`.
    fn save<'a>(&'a self, db: &'a DbName, draft: Draft, deadline: Deadline) -> BoxFuture<'a, Result<Rev>>;

    /// Writes several documents in one round trip, each by the rules of [`Store::save`] and by itself:
    /// a conflict of one leaves the others written.
    ///
    /// # Errors
    /// Of the whole call; each document has a result of its own, in the order given.
    fn save_many<'a>(
        &'a self,
        db: &'a DbName,
        drafts: Vec<Draft>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Rev>>>>;

    /// Deletes a document for good and answers the revision of its tombstone.
    ///
    /// # Errors
    /// `Conflict` where `base` is not the newest revision, `Missing` or `Deleted` where nothing is there.
    fn delete<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        base: &'a Rev,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Rev>>;

    /// The rows of a view, or of all documents, as they come: the whole answer is never held.
    /// `deadline` is for the first row; each further batch has as long again as the backend's settings
    /// give it. An error may end the stream.
    ///
    /// # Errors
    /// `ViewMissing` where there is no such view, `DatabaseMissing`.
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
    /// `Missing` where the document or the attachment is not there.
    fn fetch_attachment<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        name: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Bytes>>;
}

/// What has changed in a database.
pub trait Changes: Send + Sync {
    /// The changes since a sequence. A feed that waits (`Longpoll`, `Continuous`) comes back by itself
    /// after a failure, from where it was, with capped back-off; it ends with the error where trying
    /// again cannot help.
    fn changes<'a>(&'a self, db: &'a DbName, query: ChangesQuery) -> BoxStream<'a, Result<Change>>;
}

/// Whether [`Databases::create_db`] had anything to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The database is new.
    Now,
    /// It was there before.
    Before,
}

/// Databases themselves. None is ever created but by [`Databases::create_db`].
pub trait Databases: Send + Sync {
    /// Creates a database unless it is there.
    fn create_db<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<Created>>;
    /// Whether there is such a database.
    fn db_exists<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<bool>>;
    /// Deletes a database with all that is in it. `DatabaseMissing` where it is not there.
    fn delete_db<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<()>>;
    /// The names of all databases whose name we could have given, sorted.
    fn list_dbs(&self, deadline: Deadline) -> BoxFuture<'_, Result<Vec<DbName>>>;
}

/// A store with all its capabilities, as the backends of this project are.
pub trait Backend: Store + Attachments + Changes + Databases {}

impl<T: Store + Attachments + Changes + Databases> Backend for T {}
