//! The feed of what has changed in a database.

use std::time::Duration;

use crate::{DocId, Document, Rev};

/// Where a feed begins. A sequence is opaque: CouchDB's are long strings, the embedded store's numbers.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Since {
    /// With the first change that there ever was.
    #[default]
    Beginning,
    /// With the next change.
    Now,
    /// With the change after this one.
    Seq(String),
}

/// How a feed goes on after what has happened already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Feed {
    /// It ends there.
    #[default]
    Normal,
    /// If there is nothing yet it waits for the first change, then ends.
    Longpoll,
    /// It goes on until it is dropped.
    Continuous,
}

/// A question to a changes feed.
#[derive(Clone, Debug, Default)]
pub struct ChangesQuery {
    /// Where to begin.
    pub since: Since,
    /// Whether to wait.
    pub feed: Feed,
    /// How often the store shows that it lives while there is nothing to say; a feed that is silent for
    /// three of these is taken for dead and opened again. `None`: the backend's setting.
    pub heartbeat: Option<Duration>,
    /// At most so many changes.
    pub limit: Option<u64>,
    /// Hand out each document with its change.
    pub include_docs: bool,
}

/// The newest change of one document.
#[derive(Clone, Debug)]
pub struct Change {
    /// The sequence to go on from.
    pub seq: String,
    /// The document.
    pub id: DocId,
    /// Its newest revision.
    pub rev: Rev,
    /// Whether that revision is a tombstone.
    pub deleted: bool,
    /// Its content, where asked for.
    pub doc: Option<Document>,
}
