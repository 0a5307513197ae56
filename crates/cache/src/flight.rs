//! Makes the reads that several callers may wait for.

use std::sync::Arc;

use datastore::{Backend, DbName, Deadline, DocId, Result, RowStream, ViewQuery};
use futures::{FutureExt as _, StreamExt as _};

use crate::hot::Landing;
use crate::memory::{Page, row_bytes};
use crate::outcome::{Flight, Outcome};

/// A page with more bytes than this is not remembered. It is read by each caller for itself, as a stream.
const LARGEST_PAGE: usize = 512 * 1024;

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
    if let Some(page) = rows.page() {
        let bytes: usize = page.iter().map(row_bytes).sum();
        return Ok((bytes <= LARGEST_PAGE).then(|| Arc::clone(page)));
    }
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
