//! A read that is under way, and how it ended. Everybody who wants the same thing meanwhile waits for it.

use std::sync::Arc;

use datastore::{Document, StoreError};
use futures::future::{BoxFuture, Shared};

use crate::memory::{Absence, Entry, Page};

/// A read that several callers may wait for. It goes on as long as one of them does.
pub(crate) type Flight = Shared<BoxFuture<'static, Outcome>>;

/// How a read ended.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Document(Document),
    Page(Page),
    /// The query has too many rows to be shared.
    LongPage,
    Failed(StoreError),
}

impl Outcome {
    /// Whether it is a page without rows.
    pub(crate) fn is_empty_page(&self) -> bool {
        matches!(self, Self::Page(rows) if rows.is_empty())
    }

    /// What of it can be remembered.
    pub(crate) fn entry(&self, epoch: u64) -> Option<Entry> {
        match self {
            Self::Document(document) => Some(Entry::Document(document.clone())),
            Self::Page(rows) => Some(Entry::Page(epoch, Arc::clone(rows))),
            Self::LongPage => Some(Entry::LongPage(epoch)),
            Self::Failed(error) => Absence::of(error).map(Entry::Absent),
        }
    }
}
