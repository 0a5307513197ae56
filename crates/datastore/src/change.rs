//! The feed of what has changed in a database.

use std::time::Duration;

use crate::document::Document;
use crate::name::DocId;
use crate::rev::Rev;

/// Where a feed begins. A sequence is opaque, and each backend has its own format.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Since {
    /// With the first change of the database.
    #[default]
    Beginning,
    /// With the next change. Earlier ones are skipped.
    Now,
    /// With the change after this one.
    Seq(String),
}

/// How a feed continues after the existing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Feed {
    /// It ends.
    #[default]
    Normal,
    /// It ends too, but if there were no changes it first waits for one.
    Longpoll,
    /// It waits for further changes until it is dropped.
    Continuous,
}

/// The options of a changes feed.
#[derive(Clone, Debug, Default)]
pub struct ChangesQuery {
    /// Where to begin.
    pub since: Since,
    /// Whether to wait.
    pub feed: Feed,
    /// How often the store sends a sign of life on an idle feed. A feed that is silent for three times as
    /// long is opened again. `None` means the backend's setting.
    pub heartbeat: Option<Duration>,
    /// The most changes to return.
    pub limit: Option<u64>,
    /// Whether to return each document with its change.
    pub include_docs: bool,
}

/// What a [watched](crate::Changes::watch) database shows.
#[derive(Clone, Debug)]
pub enum Sign {
    /// All changes until now have been told, and the next sign comes within this time. If none comes, changes
    /// may be missing.
    Alive(Duration),
    /// A document has changed.
    Changed {
        /// The document.
        id: DocId,
        /// Its newest revision.
        rev: Rev,
    },
}

/// The newest change of one document.
#[derive(Clone, Debug)]
pub struct Change {
    /// The sequence after which a later feed resumes.
    pub seq: String,
    /// The document.
    pub id: DocId,
    /// Its newest revision.
    pub rev: Rev,
    /// Whether that revision is a tombstone.
    pub deleted: bool,
    /// The document's content, if the query asked for it.
    pub doc: Option<Document>,
}
