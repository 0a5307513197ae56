//! What the store is asked, how it ends and how long it takes. The layer stands directly before the store:
//! a call that waits for its place is not timed, and a call that is refused for lack of one is not counted.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use datastore::{
    Backend, Created, DbName, Deadline, DocId, Document, Draft, Layer, Result, Rev, RowStream, StoreError,
    ViewQuery,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::registry::{Metrics, durations};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabel {
    operation: &'static str,
}

/// The figures about the calls of a store.
#[derive(Clone)]
pub(crate) struct StoreFigures {
    calls: Family<CallLabels, Counter>,
    in_flight: Gauge,
    durations: Family<OperationLabel, Histogram, fn() -> Histogram>,
}

impl StoreFigures {
    /// Registers the figures.
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let figures = Self {
            calls: Family::default(),
            in_flight: Gauge::default(),
            durations: Family::new_with_constructor(durations),
        };
        metrics.register("store_calls", "Calls of the store that have ended", figures.calls.clone());
        metrics.register(
            "store_calls_in_flight",
            "Calls that the store has not answered",
            figures.in_flight.clone(),
        );
        metrics.register_seconds(
            "store_call_duration",
            "Time until the store answers; of a query, until its first rows",
            figures.durations.clone(),
        );
        figures
    }

    fn ended(&self, operation: &'static str, begun: Instant, outcome: &'static str) {
        self.calls.get_or_create(&CallLabels { operation, outcome }).inc();
        let seconds = begun.elapsed().as_secs_f64();
        self.durations.get_or_create(&OperationLabel { operation }).observe(seconds);
    }
}

/// A call that the store has not answered. If its caller goes away, it counts as dropped.
struct Running<'a> {
    figures: &'a StoreFigures,
    operation: &'static str,
    begun: Instant,
    outcome: &'static str,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.figures.in_flight.dec();
        self.figures.ended(self.operation, self.begun, self.outcome);
    }
}

/// The word for how a call ended.
fn outcome<T>(ended: &Result<T>) -> &'static str {
    match ended {
        Ok(_) => "ok",
        Err(StoreError::Conflict(_)) => "conflict",
        Err(error) if error.is_not_found() => "not_found",
        Err(StoreError::DeadlineExceeded(_)) => "timeout",
        Err(StoreError::Transport(_)) => "unreachable",
        Err(StoreError::Unavailable(_) | StoreError::Busy(_)) => "unavailable",
        Err(StoreError::Unauthorized(_) | StoreError::Forbidden(_)) => "denied",
        Err(StoreError::TooLarge(_) | StoreError::Invalid(_) | StoreError::ViewMissing(_)) => "refused",
        Err(_) => "failed",
    }
}

/// A store whose calls are measured.
pub(crate) struct Measured {
    inner: Arc<dyn Backend>,
    figures: StoreFigures,
}

impl Measured {
    pub(crate) fn new(inner: Arc<dyn Backend>, figures: StoreFigures) -> Self {
        Self { inner, figures }
    }

    fn measure<'a, T: Send + 'a>(
        &'a self,
        operation: &'static str,
        call: impl FnOnce() -> BoxFuture<'a, Result<T>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T>> {
        async move {
            let figures = &self.figures;
            figures.in_flight.inc();
            let mut running = Running { figures, operation, begun: Instant::now(), outcome: "dropped" };
            let ended = call().await;
            running.outcome = outcome(&ended);
            ended
        }
        .boxed()
    }
}

impl Layer for Measured {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    fn fetch<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Document>> {
        self.measure("fetch", move || self.inner.fetch(db, id, deadline))
    }

    fn fetch_many<'a>(
        &'a self,
        db: &'a DbName,
        ids: &'a [DocId],
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Document>>>> {
        self.measure("fetch_many", move || self.inner.fetch_many(db, ids, deadline))
    }

    fn save<'a>(&'a self, db: &'a DbName, draft: Draft, deadline: Deadline) -> BoxFuture<'a, Result<Rev>> {
        self.measure("save", move || self.inner.save(db, draft, deadline))
    }

    fn save_many<'a>(
        &'a self,
        db: &'a DbName,
        drafts: Vec<Draft>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Rev>>>> {
        self.measure("save_many", move || self.inner.save_many(db, drafts, deadline))
    }

    fn delete<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        base: &'a Rev,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Rev>> {
        self.measure("delete", move || self.inner.delete(db, id, base, deadline))
    }

    fn query<'a>(
        &'a self,
        db: &'a DbName,
        query: ViewQuery,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<RowStream>> {
        self.measure("query", move || self.inner.query(db, query, deadline))
    }

    fn fetch_attachment<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        name: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Bytes>> {
        self.measure("fetch_attachment", move || self.inner.fetch_attachment(db, id, name, deadline))
    }

    fn create_db<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<Created>> {
        self.measure("create_db", move || self.inner.create_db(db, deadline))
    }

    fn db_exists<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<bool>> {
        self.measure("db_exists", move || self.inner.db_exists(db, deadline))
    }

    fn delete_db<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<()>> {
        self.measure("delete_db", move || self.inner.delete_db(db, deadline))
    }

    fn list_dbs(&self, deadline: Deadline) -> BoxFuture<'_, Result<Vec<DbName>>> {
        self.measure("list_dbs", move || self.inner.list_dbs(deadline))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use datastore::{DbName, Deadline, DocId, Layer as _};
    use embedded::{Embedded, Settings};

    use super::{Measured, Metrics, StoreFigures};

    #[tokio::test]
    async fn calls_are_counted_by_operation_and_outcome() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(&folder.path().join("store.db"), Settings::default()).unwrap();
        let metrics = Metrics::new();
        let store = Measured::new(Arc::new(store), StoreFigures::register(&metrics));
        let deadline = Deadline::after(Duration::from_secs(60));
        let (db, id) = (DbName::parse("secret").unwrap(), DocId::parse("secret").unwrap());
        store.create_db(&db, deadline).await.unwrap();
        assert!(store.fetch(&db, &id, deadline).await.is_err());
        // Nobody waits for this call.
        drop(futures::poll!(store.list_dbs(deadline)));
        let text = metrics.encode().unwrap();
        for line in [
            "crossbar_groups_store_calls_total{operation=\"create_db\",outcome=\"ok\"} 1",
            "crossbar_groups_store_calls_total{operation=\"fetch\",outcome=\"not_found\"} 1",
            "crossbar_groups_store_call_duration_seconds_count{operation=\"fetch\"} 1",
            "crossbar_groups_store_calls_in_flight 0",
        ] {
            assert!(text.lines().any(|written| written == line), "{line}:\n{text}");
        }
        assert!(!text.contains("secret"));
    }
}
