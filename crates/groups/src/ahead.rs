//! The batch of a filtered listing that is opened while the one before it is read. A store finds documents one after
//! another, so two batches at once take little more time than one.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use datastore::{DbName, Deadline, DocId, Result, RowStream, Store, ViewQuery, ViewRow};
use futures::StreamExt as _;
use futures::future::BoxFuture;

/// The database that a listing reads.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) db: DbName,
    /// How long each batch after the first may take.
    pub(crate) patience: Duration,
}

/// The next batch, which nobody reads yet.
pub(crate) struct Ahead(State);

enum State {
    Opening(BoxFuture<'static, Result<Option<RowStream>>>),
    Open(RowStream),
    /// It could not be opened, or there is none.
    Absent,
}

impl Ahead {
    /// Begins to open the batch that follows the one that `current` asks for. It begins with the last row of that one.
    /// `query_from` makes the query of a batch from the id of its first row.
    pub(crate) fn after(
        source: Source,
        current: ViewQuery,
        query_from: impl FnOnce(&DocId) -> ViewQuery + Send + 'static,
    ) -> Self {
        Self(State::Opening(Box::pin(async move {
            let Source { store, db, patience } = source;
            let Some(last) = current.limit.and_then(|limit| limit.checked_sub(1)) else { return Ok(None) };
            let at_last = ViewQuery { skip: last, limit: Some(1), include_docs: false, ..current };
            let found = store.query(&db, at_last, Deadline::after(patience)).await?.next().await;
            let Some(row) = found.transpose()? else { return Ok(None) };
            store.query(&db, query_from(&row.id), Deadline::after(patience)).await.map(Some)
        })))
    }

    /// Goes on opening the batch.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) {
        if let State::Opening(opening) = &mut self.0
            && let Poll::Ready(opened) = Pin::new(opening).poll(context)
        {
            self.0 = State::of(opened);
        }
    }

    /// The rows of the batch after `last`, the last row of the batch before it. `None` if the batch does not begin
    /// with `last`, for instance because groups were written meanwhile, or if it cannot be read: then it has to be asked
    /// for by itself.
    pub(crate) async fn rows_after(self, last: &DocId) -> Option<RowStream> {
        let opened = match self.0 {
            State::Opening(opening) => State::of(opening.await),
            opened => opened,
        };
        let State::Open(mut rows) = opened else { return None };
        let first: ViewRow = rows.next().await?.ok()?;
        (first.id == *last).then_some(rows)
    }
}

impl State {
    fn of(opened: Result<Option<RowStream>>) -> Self {
        match opened {
            Ok(Some(rows)) => Self::Open(rows),
            Ok(None) => Self::Absent,
            Err(error) => {
                log::debug!("the next batch of a listing was not opened ahead: {error}");
                Self::Absent
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::task::Poll;
    use std::time::Duration;

    use datastore::{DbName, Deadline, DocId, Draft, Store, ViewQuery};
    use embedded::Embedded;
    use futures::TryStreamExt as _;
    use serde_json::{Map, json};

    use super::{Ahead, Source};

    const PATIENCE: Duration = Duration::from_secs(20);

    async fn save(store: &dyn Store, db: &DbName, id: &str) {
        let draft = Draft { id: DocId::parse(id).unwrap(), base: None, body: Map::new() };
        store.save(db, draft, Deadline::after(PATIENCE)).await.unwrap();
    }

    /// Opens the batch after the first `limit` documents, lets `written` be written before or after that, and reads the
    /// batch as the one after `last`.
    async fn check(limit: u64, written: &str, is_before: bool, last: &str, expected: Option<&[&str]>) {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(&folder.path().join("store.db"), embedded::Settings::default()).unwrap();
        let db = DbName::parse("db").unwrap();
        datastore::Databases::create_db(&store, &db, Deadline::after(PATIENCE)).await.unwrap();
        for id in ["a", "c", "e", "g", "i"] {
            save(&store, &db, id).await;
        }
        let store: Arc<dyn Store> = Arc::new(store);
        if is_before {
            save(&*store, &db, written).await;
        }
        let source = Source { store: Arc::clone(&store), db: db.clone(), patience: PATIENCE };
        let batch = ViewQuery { limit: Some(limit), ..ViewQuery::all_docs() };
        let next = batch.clone();
        let query_from = move |id: &DocId| ViewQuery { start_key: Some(json!(id.as_str())), ..next };
        let mut ahead = Ahead::after(source, batch, query_from);
        poll_fn(|context| {
            ahead.poll(context);
            Poll::Ready(())
        })
        .await;
        if !is_before {
            save(&*store, &db, written).await;
        }
        let rows = ahead.rows_after(&DocId::parse(last).unwrap()).await;
        let ids = match rows {
            Some(rows) => Some(rows.map_ok(|row| row.id.to_string()).try_collect::<Vec<_>>().await.unwrap()),
            None => None,
        };
        let ids = ids.as_ref().map(|ids| ids.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(ids.as_deref(), expected, "{written} {last}");
    }

    #[tokio::test]
    async fn the_batch_follows_the_last_row_of_the_one_before() {
        check(2, "z", false, "c", Some(&["e"])).await;
        check(3, "z", false, "e", Some(&["g", "i"])).await;
    }

    #[tokio::test]
    async fn a_batch_that_does_not_follow_is_asked_for_again() {
        // The batch before was read when `b` was not there yet, so its last row was another one.
        check(2, "b", true, "c", None).await;
        // There are no more rows.
        check(6, "a0", true, "i", Some(&[])).await;
        check(7, "z", false, "i", None).await;
    }
}
