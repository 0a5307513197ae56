//! Kazoo's registry of views, in `system_data`. Where it knows a design document, a missing view is made as Kazoo
//! would make it; otherwise Kazoo's next refresh would change it, and the index would be built a second time.

use datastore::{Deadline, DesignDocument, Result, Store, StoreError, ViewQuery, ViewRow};
use futures::TryStreamExt as _;
use kazoo::SystemDb;
use serde_json::json;

/// The databases that Kazoo has registered views for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// Those of accounts.
    Account,
    /// The one of all accounts.
    Accounts,
}

impl Registered {
    fn key(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Accounts => "accounts",
        }
    }
}

/// The row of Kazoo's registry about a view, which is named by its design document and its own name. `None` if there
/// is no registry: then no Kazoo uses the store. `Some(None)` if the registry does not know the view.
///
/// # Errors
/// Errors from the store.
pub async fn registered_row(
    store: &dyn Store,
    databases: Registered,
    (design, view): (&str, &str),
    include_docs: bool,
    deadline: Deadline,
) -> Result<Option<Option<ViewRow>>> {
    let key = json!([databases.key(), format!("{design}/{view}")]);
    let registered = ViewQuery::of("views", "registered");
    let query = ViewQuery { key: Some(key), limit: Some(1), include_docs, ..registered };
    match store.query(SystemDb::SystemData.name(), query, deadline).await {
        Ok(mut rows) => rows.try_next().await.map(Some),
        Err(StoreError::ViewMissing(_) | StoreError::DatabaseMissing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A design document as Kazoo has registered it, else as this program has it.
///
/// # Errors
/// Errors from the store.
pub async fn registered_design(
    store: &dyn Store,
    databases: Registered,
    own: DesignDocument,
    deadline: Deadline,
) -> Result<DesignDocument> {
    let Some(view) = own.view_names().next() else { return Ok(own) };
    let name = own.id().design_name().unwrap_or_default();
    let row = registered_row(store, databases, (name, view), true, deadline).await?;
    let Some(document) = row.flatten().and_then(|row| row.doc) else { return Ok(own) };
    let registration = document.to_object()?;
    let defined = registration.get("view_definition").and_then(|definition| own.defined_by(definition));
    if defined.is_none() {
        log::warn!(
            id = document.id().as_str(), design = own.id().as_str();
            "Kazoo's registry defines this design document in a form that cannot be used, so this program's own is"
        );
    }
    Ok(defined.unwrap_or(own))
}
