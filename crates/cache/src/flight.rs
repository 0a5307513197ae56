//! A read that is under way. Everybody who wants the same thing meanwhile waits for it.

use std::sync::Arc;

use datastore::{Backend, DbName, Deadline, DocId, Document, Result, RowStream, StoreError, ViewQuery};
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt as _, StreamExt as _};

use crate::hot::Landing;
use crate::memory::{Absence, Entry, Page, row_bytes};

/// A page with more bytes than this is not remembered. It is read by each caller for itself, as a stream.
const LARGEST_PAGE: usize = 512 * 1024;

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

/// Reads a document.
pub(crate) fn document(
    inner: Arc<dyn Backend>,
    db: DbName,
    id: DocId,
    deadline: Deadline,
    landing: Landing,
) -> Flight {
    fly(landing, async move {
        match inner.fetch(&db, &id, deadline).await {
            Ok(document) => Outcome::Document(document),
            Err(error) => Outcome::Failed(error),
        }
    })
}

/// Reads the rows of a query.
pub(crate) fn page(
    inner: Arc<dyn Backend>,
    db: DbName,
    query: Arc<ViewQuery>,
    deadline: Deadline,
    landing: Landing,
) -> Flight {
    fly(landing, async move {
        let rows = async { collect(inner.query(&db, (*query).clone(), deadline).await?).await };
        match rows.await {
            Ok(Some(rows)) => Outcome::Page(rows),
            Ok(None) => Outcome::LongPage,
            Err(error) => Outcome::Failed(error),
        }
    })
}

/// All rows, unless they are too many.
async fn collect(mut rows: RowStream) -> Result<Option<Page>> {
    let (mut all, mut bytes) = (Vec::new(), 0_usize);
    while let Some(row) = rows.next().await.transpose()? {
        bytes = bytes.saturating_add(row_bytes(&row));
        if bytes > LARGEST_PAGE {
            return Ok(None);
        }
        all.push(row);
    }
    Ok(Some(all.into()))
}

fn fly(landing: Landing, read: impl Future<Output = Outcome> + Send + 'static) -> Flight {
    async move {
        let outcome = read.await;
        landing.land(&outcome);
        outcome
    }
    .boxed()
    .shared()
}
