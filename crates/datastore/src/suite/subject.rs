//! The store and database that a behaviour is tested on, with short methods for the tests.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use serde_json::{Map, Value};

use crate::{
    Backend, DbName, Deadline, DesignDocument, DocId, Document, Draft, Result, Rev, ViewQuery, json,
};

/// A store with a database for one behaviour.
#[derive(Clone)]
pub struct Subject {
    /// The store.
    pub store: Arc<dyn Backend>,
    /// The database. Names that begin with this one and a slash belong to the behaviour too.
    pub db: DbName,
    /// Another way to the same databases, as another program has it.
    pub(super) elsewhere: Arc<dyn Backend>,
    /// Whether the store remembers what it reads.
    pub(super) remembers: bool,
    /// Lives as long as the store, such as its temporary folder or its server.
    _keep: Option<Arc<dyn Any + Send + Sync>>,
}

/// A row of a view with parsed values.
#[derive(Clone, Debug)]
pub struct ParsedRow {
    /// The document's id.
    pub id: String,
    /// The key.
    pub key: Value,
    /// The value.
    pub value: Value,
    /// The document, if the query asked for it.
    pub doc: Option<Document>,
}

impl Subject {
    /// Makes a subject. The database must not exist yet.
    #[must_use]
    pub fn new(store: Arc<dyn Backend>, db: DbName) -> Self {
        Self { elsewhere: Arc::clone(&store), store, db, remembers: false, _keep: None }
    }

    /// Says that the store remembers what it reads. `elsewhere` is a way past its memory.
    #[must_use]
    pub fn remembering(self, elsewhere: Arc<dyn Backend>) -> Self {
        Self { elsewhere, remembers: true, ..self }
    }

    /// Keeps `keep` alive as long as the subject.
    #[must_use]
    pub fn keeping(self, keep: impl Any + Send + Sync) -> Self {
        Self { _keep: Some(Arc::new(keep)), ..self }
    }

    pub(super) async fn set_up(&self) {
        self.store.create_db(&self.db, soon()).await.unwrap();
    }

    /// Ignores errors, because the behaviour has already reported its own.
    pub(super) async fn tear_down(&self) {
        let Ok(names) = self.store.list_dbs(soon()).await else { return };
        let others = format!("{}/", self.db);
        for name in names.iter().filter(|name| **name == self.db || name.as_str().starts_with(&others)) {
            let _ = self.store.delete_db(name, soon()).await;
        }
    }

    /// The name of another database for this behaviour.
    pub(super) fn other_db(&self, suffix: &str) -> DbName {
        DbName::parse(&format!("{}/{suffix}", self.db)).unwrap()
    }

    /// The same subject in another database.
    pub(super) fn in_db(&self, db: DbName) -> Self {
        Self { db, ..self.clone() }
    }

    /// The same database, as another program sees it.
    pub(super) fn in_another_program(&self) -> Self {
        Self { store: Arc::clone(&self.elsewhere), remembers: false, ..self.clone() }
    }

    pub(super) async fn try_save(&self, id: &str, base: Option<&Rev>, body: Value) -> Result<Rev> {
        self.store.save(&self.db, draft(id, base, body), soon()).await
    }

    pub(super) async fn create(&self, id: &str, body: Value) -> Rev {
        self.try_save(id, None, body).await.unwrap()
    }

    pub(super) async fn update(&self, id: &str, base: &Rev, body: Value) -> Rev {
        self.try_save(id, Some(base), body).await.unwrap()
    }

    pub(super) async fn fetch(&self, id: &str) -> Result<Document> {
        self.store.fetch(&self.db, &doc_id(id), soon()).await
    }

    pub(super) async fn delete(&self, id: &str, base: &Rev) -> Result<Rev> {
        self.store.delete(&self.db, &doc_id(id), base, soon()).await
    }

    /// Creates a design document with these views.
    pub(super) async fn design(&self, name: &str, views: &[(&str, &str)]) {
        let design = DesignDocument::new(name, views).unwrap();
        crate::ensure_design(&*self.store, &self.db, &design, soon()).await.unwrap();
    }

    pub(super) async fn rows(&self, query: ViewQuery) -> Vec<ParsedRow> {
        self.try_rows(query).await.unwrap()
    }

    pub(super) async fn try_rows(&self, query: ViewQuery) -> Result<Vec<ParsedRow>> {
        let rows = self.store.query(&self.db, query, soon()).await?;
        rows.map_ok(|row| ParsedRow {
            id: row.id.as_str().to_owned(),
            key: json::parse(row.key.get().as_bytes()).unwrap(),
            value: json::parse(row.value.get().as_bytes()).unwrap(),
            doc: row.doc,
        })
        .try_collect()
        .await
    }

    /// The document ids of the rows of a query.
    pub(super) async fn ids(&self, query: ViewQuery) -> Vec<String> {
        self.rows(query).await.into_iter().map(|row| row.id).collect()
    }

    /// The keys of the rows of a query.
    pub(super) async fn keys(&self, query: ViewQuery) -> Vec<Value> {
        self.rows(query).await.into_iter().map(|row| row.key).collect()
    }
}

/// A deadline that is long enough for every call.
pub(super) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// The id of a document or of a design document.
pub(super) fn doc_id(id: &str) -> DocId {
    match id.strip_prefix("_design/") {
        Some(name) => DocId::design(name).unwrap(),
        None => DocId::parse(id).unwrap(),
    }
}

pub(super) fn draft(id: &str, base: Option<&Rev>, body: Value) -> Draft {
    Draft { id: doc_id(id), base: base.cloned(), body: object(body) }
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

/// Parses a value and keeps the text of its numbers.
pub(super) fn parsed(text: &str) -> Value {
    json::parse(text.as_bytes()).unwrap()
}

/// The document's content without `_id` and `_rev`.
pub(super) fn content(doc: &Document) -> Value {
    let mut object = doc.to_object().unwrap();
    object.shift_remove("_id");
    object.shift_remove("_rev");
    Value::Object(object)
}
