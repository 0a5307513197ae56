//! A store in a temporary file, with short methods for the tests.

use std::path::PathBuf;
use std::time::Duration;

use datastore::{
    ChangesQuery, Databases, DbName, Deadline, DesignDocument, DocId, Document, Draft, Result, Rev, Store,
    ViewQuery, ensure_design,
};
use embedded::{Embedded, Settings};
use futures::TryStreamExt;
use serde_json::{Map, Value};
use tempfile::TempDir;

/// A store with one database.
pub(crate) struct TestStore {
    pub(crate) store: Embedded,
    pub(crate) db: DbName,
    pub(crate) file: PathBuf,
    pub(crate) _folder: TempDir,
}

/// A deadline that no call in these tests should reach, even in a debug build on a busy machine.
pub(crate) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(300))
}

pub(crate) fn in_ms(ms: u64) -> Deadline {
    Deadline::after(Duration::from_millis(ms))
}

pub(crate) fn doc_id(id: &str) -> DocId {
    match id.strip_prefix("_design/") {
        Some(name) => DocId::design(name).unwrap(),
        None => DocId::parse(id).unwrap(),
    }
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is not an object"),
    }
}

pub(crate) fn draft(id: &str, base: Option<&Rev>, body: Value) -> Draft {
    Draft { id: doc_id(id), base: base.cloned(), body: object(body) }
}

impl TestStore {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store.db");
        let store = Embedded::open(&file, settings).unwrap();
        let db = DbName::parse("account/ab/cd").unwrap();
        store.create_db(&db, soon()).await.unwrap();
        Self { store, db, file, _folder: folder }
    }

    /// Closes the store and opens it again.
    pub(crate) fn reopen(self, settings: Settings) -> Self {
        let Self { store, db, file, _folder } = self;
        drop(store);
        let store = Embedded::open(&file, settings).unwrap();
        Self { store, db, file, _folder }
    }

    pub(crate) async fn design(&self, name: &str, views: &[(&str, &str)]) {
        let design = DesignDocument::new(name, views).unwrap();
        ensure_design(&self.store, &self.db, &design, soon()).await.unwrap();
    }

    pub(crate) async fn save(&self, id: &str, base: Option<&Rev>, body: Value) -> Result<Rev> {
        self.store.save(&self.db, draft(id, base, body), soon()).await
    }

    pub(crate) async fn create(&self, id: &str, body: Value) -> Rev {
        self.save(id, None, body).await.unwrap()
    }

    pub(crate) async fn fetch(&self, id: &str) -> Result<Document> {
        self.store.fetch(&self.db, &doc_id(id), soon()).await
    }

    /// The rows of a view as `id key value`.
    pub(crate) async fn rows(&self, design: &str, view: &str) -> Vec<String> {
        self.try_rows(ViewQuery::of(design, view), soon()).await.unwrap()
    }

    pub(crate) async fn try_rows(&self, query: ViewQuery, deadline: Deadline) -> Result<Vec<String>> {
        let rows = self.store.query(&self.db, query, deadline).await?;
        rows.map_ok(|row| format!("{} {} {}", row.id, row.key.get(), row.value.get())).try_collect().await
    }

    /// The newest revision of every document, in the order of the changes feed. The content is `None` if the
    /// document is deleted.
    pub(crate) async fn everything(&self) -> Vec<(String, Rev, Option<Document>)> {
        use datastore::Changes;
        let query = ChangesQuery { include_docs: true, ..ChangesQuery::default() };
        let changes = self.store.changes(&self.db, query);
        changes
            .map_ok(|change| {
                assert_eq!(change.deleted, change.doc.is_none());
                (change.id.as_str().to_owned(), change.rev, change.doc)
            })
            .try_collect()
            .await
            .unwrap()
    }
}
