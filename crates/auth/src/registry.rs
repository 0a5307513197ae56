//! Kazoo's registry of views, in `system_data`. Where it knows a design document, a missing view is made as Kazoo
//! would make it; otherwise Kazoo's next refresh would change it, and the index would be built a second time.

use datastore::{Deadline, DesignDocument, DocId, Document, Result, Store, ViewQuery, if_found};
use futures::TryStreamExt as _;
use kazoo::{SystemDb, is_deleted, member};
use serde_json::{Value, json};

/// The design document over the registry.
const VIEWS: &str = "_design/views";

/// How the id of a registration begins that is for several kinds of databases. Each other one begins with its kind, then
/// comes the application, then the name of the design document.
const SEVERAL: &str = "multi_db";

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

/// A document by which Kazoo has registered the views of a design document.
#[derive(Clone, Debug)]
pub struct Registration {
    id: DocId,
    /// The design document.
    definition: Value,
}

impl Registration {
    /// Reads a registration, if the document is one for these databases.
    fn read(document: &Document, databases: Registered) -> Result<Option<Self>> {
        const MEMBERS: [&str; 4] = [member::TYPE, member::DELETED, "kazoo", "view_definition"];
        let mut members = document.parse_members(|name| MEMBERS.contains(&name))?;
        let is_registration = members.get(member::TYPE).is_some_and(|kind| kind == "view_definition");
        let places = members.get("kazoo").and_then(|kazoo| kazoo.get("view_map")?.as_array());
        let is_for = |place: &Value| {
            let named = place.get("database").or_else(|| place.get("classification"));
            named.is_some_and(|named| named == databases.key())
        };
        if !is_registration || is_deleted(&members) || !places.is_some_and(|places| places.iter().any(is_for))
        {
            return Ok(None);
        }
        let definition = members.remove("view_definition");
        Ok(definition.map(|definition| Self { id: document.id().clone(), definition }))
    }

    /// Whether it defines a view, which is named by its design document and its own name.
    #[must_use]
    pub fn defines(&self, design: &str, view: &str) -> bool {
        let id = self.definition.get("_id").and_then(Value::as_str);
        id.and_then(|id| id.rsplit('/').next()) == Some(design)
            && self.definition.get("views").is_some_and(|views| views.get(view).is_some())
    }
}

/// What Kazoo's registry says about some design documents of a kind of databases. `None` if there is no registry: then
/// no Kazoo uses the store.
///
/// The documents are read, and not the view `registered` over them: to ask a view may build its index, and commands
/// that only read may not do that.
///
/// # Errors
/// Errors from the store.
pub async fn registrations(
    store: &dyn Store,
    databases: Registered,
    designs: &[&str],
    deadline: Deadline,
) -> Result<Option<Vec<Registration>>> {
    let db = SystemDb::SystemData.name();
    let Some(views) = if_found(store.fetch(db, &DocId::from_store(VIEWS.to_owned()), deadline).await)? else {
        return Ok(None);
    };
    let views = views.parse_members(|name| name == "views")?;
    if views.get("views").is_none_or(|views| views.get("registered").is_none()) {
        return Ok(None);
    }
    let mut ids = Vec::new();
    for first_part in [databases.key(), SEVERAL] {
        let (first, last) = (format!("{first_part}-"), format!("{first_part}."));
        let (start_key, end_key) = (Some(json!(first)), Some(json!(last)));
        let query = ViewQuery { start_key, end_key, ..ViewQuery::all_docs() };
        let mut rows = store.query(db, query, deadline).await?;
        while let Some(row) = rows.try_next().await? {
            let is_of =
                |design: &&str| row.id.as_str().strip_suffix(design).is_some_and(|rest| rest.ends_with('-'));
            if designs.iter().any(is_of) {
                ids.push(row.id);
            }
        }
    }
    let mut found = Vec::new();
    for document in store.fetch_many(db, &ids, deadline).await? {
        if let Some(document) = if_found(document)? {
            found.extend(Registration::read(&document, databases)?);
        }
    }
    Ok(Some(found))
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
    let registered = registrations(store, databases, &[name], deadline).await?.unwrap_or_default();
    let Some(found) = registered.iter().find(|registered| registered.defines(name, view)) else {
        return Ok(own);
    };
    let defined = own.defined_by(&found.definition);
    if defined.is_none() {
        log::warn!(
            id = found.id.as_str(), design = own.id().as_str();
            "Kazoo's registry defines this design document in a form that cannot be used, so this program's own is"
        );
    }
    Ok(defined.unwrap_or(own))
}
