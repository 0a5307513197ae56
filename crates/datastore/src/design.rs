//! Design documents, which define the views of a database.

use serde_json::{Map, Value, json};

use crate::{DbName, Deadline, DocId, Draft, NameError, Result, Store};

/// A design document with map functions only.
#[derive(Clone, Debug, PartialEq)]
pub struct DesignDocument {
    id: DocId,
    body: Map<String, Value>,
}

impl DesignDocument {
    /// The design document `_design/{name}` with a view for each pair of name and JavaScript map.
    ///
    /// # Errors
    /// [`NameError`] if `name` cannot be part of a document id.
    pub fn new(name: &str, views: &[(&str, &str)]) -> std::result::Result<Self, NameError> {
        let views: Map<String, Value> =
            views.iter().map(|(view, map)| ((*view).to_owned(), json!({ "map": map }))).collect();
        let mut body = Map::new();
        body.insert("language".to_owned(), json!("javascript"));
        body.insert("views".to_owned(), Value::Object(views));
        Ok(Self { id: DocId::design(name)?, body })
    }

    /// The id, `_design/{name}`.
    #[must_use]
    pub fn id(&self) -> &DocId {
        &self.id
    }
}

/// Creates a design document unless one with this id exists. An existing one is not changed, because another
/// program may own it.
///
/// # Errors
/// The store's errors. It is no error if another client creates the document at the same time.
pub async fn ensure_design(
    store: &dyn Store,
    db: &DbName,
    design: &DesignDocument,
    deadline: Deadline,
) -> Result<()> {
    match store.fetch(db, &design.id, deadline).await {
        Ok(_) => return Ok(()),
        Err(error) if matches!(error, crate::StoreError::DatabaseMissing(_)) => return Err(error),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    let draft = Draft { id: design.id.clone(), base: None, body: design.body.clone() };
    match store.save(db, draft, deadline).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_conflict() => Ok(()),
        Err(error) => Err(error),
    }
}
