//! The operations on groups in a store that create, read and list. Those that change a stored group are in
//! `change.rs`.

use std::sync::Arc;
use std::time::Duration;

use auth::AccountAccess;
use datastore::{Deadline, DocId, Document, Meter, Rev, Store, StoreError, random_hex};
use kazoo::term;
use serde_json::{Map, Value, json};
use validation::Violations;

use crate::document::{self, Stamp, StoredGroup};
use crate::error::GroupsError;
use crate::listed;
use crate::listing::{Cursor, ListQuery, Source};
use crate::reserved;
use crate::schemas::CurrentSchema;
use crate::turns::{Turn, Turns};

/// What the domain needs to know about a request: the account, the caller and the deadline.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The proof that the caller may use the account, and the data about the request that a save writes.
    pub stamp: Stamp<'a>,
    /// The time by which the store must have answered.
    pub deadline: Deadline,
}

impl<'a> Scope<'a> {
    pub(crate) fn access(&self) -> &'a AccountAccess {
        self.stamp.access
    }
}

/// A new group that is valid but not stored yet.
#[derive(Clone, Debug)]
pub struct NewGroup {
    id: DocId,
    public: Map<String, Value>,
}

impl NewGroup {
    /// The id that it will have.
    #[must_use]
    pub fn id(&self) -> &DocId {
        &self.id
    }
}

/// A group that was just stored.
#[derive(Clone, Debug)]
pub struct Saved {
    /// The group's id.
    pub id: DocId,
    /// The new revision.
    pub rev: Rev,
    /// The group as its clients see it, in the form of [`StoredGroup::into_public_members`].
    pub public_members: String,
}

/// The groups of the accounts in a store.
#[derive(Clone)]
pub struct Groups {
    store: Arc<dyn Store>,
    schema: Arc<CurrentSchema>,
    turns: Turns,
}

impl Groups {
    /// The groups in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, schema: Arc::new(CurrentSchema::new()), turns: Turns::default() }
    }

    /// Reads the schema of groups again if an operator may have changed it. Call it before a client's data is
    /// validated.
    ///
    /// # Errors
    /// Errors from the store, if the schema was never read.
    pub async fn refresh_schema(&self, deadline: Deadline) -> Result<(), GroupsError> {
        Ok(self.schema.refresh(&*self.store, deadline).await?)
    }

    /// Reads the schema of groups before the next use: somebody has told that it was changed.
    pub fn forget_schema(&self) {
        self.schema.forget();
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Waits until no other request of this process changes the group. While the returned turn is held, only
    /// other programs can change it. Take it before the group is read.
    ///
    /// # Errors
    /// `Busy` from the store if too many requests wait, or if they leave too little time for this one.
    pub async fn turn(&self, scope: &Scope<'_>, id: &str) -> Result<Turn, GroupsError> {
        Ok(self.turns.take(scope.access().db(), id, scope.deadline).await?)
    }

    /// Validates a client's data for a new group and chooses the id: the data's `_id` or else its `id`,
    /// otherwise a random one.
    ///
    /// # Errors
    /// `Invalid` with every violation.
    pub fn prepare_new(&self, data: Value) -> Result<NewGroup, GroupsError> {
        let chosen_id = chosen_id(&data);
        let checked = self.validated(data);
        match (chosen_id, checked) {
            (Ok(id), Ok(public)) => {
                let id = id.unwrap_or_else(|| DocId::from_store(random_hex()));
                listed::check(&public, &id).map_err(GroupsError::Invalid)?;
                Ok(NewGroup { id, public })
            }
            (Ok(_), Err(violations)) => Err(GroupsError::Invalid(violations)),
            (Err(violation), Ok(_)) => Err(GroupsError::Invalid(violation)),
            (Err(mut violation), Err(others)) => {
                violation.extend(others);
                Err(GroupsError::Invalid(violation))
            }
        }
    }

    /// Stores a new group.
    ///
    /// # Errors
    /// `Conflict` if the id is in use, even by a soft-deleted group.
    pub async fn create(&self, scope: &Scope<'_>, group: NewGroup) -> Result<Saved, GroupsError> {
        let NewGroup { id, public: mut body } = group;
        let public_members = document::text_of_public(&body, &id);
        scope.stamp.mark_new(&mut body);
        let draft = datastore::Draft { id: id.clone(), base: None, body };
        let rev = self.save(scope, draft, &public_members).await?;
        Ok(Saved { id, rev, public_members })
    }

    /// Reads a live group.
    ///
    /// # Errors
    /// `NotFound` if no live group has this id.
    pub async fn fetch(&self, scope: &Scope<'_>, id: &str) -> Result<StoredGroup, GroupsError> {
        StoredGroup::of(self.fetch_document(scope, id).await?)
    }

    /// Reads a document of the account, unless it holds access rules. [`StoredGroup::of`] makes a group of it,
    /// which takes time if it is large.
    ///
    /// # Errors
    /// `NotFound` if there is no such document.
    pub async fn fetch_document(&self, scope: &Scope<'_>, id: &str) -> Result<Document, GroupsError> {
        // An id that is not a valid document id cannot exist.
        let doc_id = DocId::named(id).map_err(|_| not_found(id))?;
        if reserved::is_policy(id) {
            return Err(not_found(id));
        }
        let document = self.store.fetch(scope.access().db(), &doc_id, scope.deadline).await;
        document.map_err(|error| GroupsError::about(id, error))
    }

    /// Starts a listing. The first batch must arrive by the scope's deadline. Each further batch may take
    /// as long as `patience`.
    ///
    /// # Errors
    /// Errors from the store.
    pub async fn list(
        &self,
        scope: &Scope<'_>,
        list: ListQuery,
        patience: Duration,
    ) -> Result<Cursor, GroupsError> {
        let (store, db) = (Arc::clone(&self.store), scope.access().db().clone());
        let source = Source { store, db, patience, meter: Meter::current() };
        Cursor::open(source, list, scope.deadline).await
    }

    /// Checks that the document of a user says that the user exists. As in crossbar, any document that is not deleted
    /// counts: the id of a device is accepted, and its listing is empty. It takes time if the document is large.
    ///
    /// # Errors
    /// `NotFound` with the user's id.
    pub fn check_user(document: &Document) -> Result<(), GroupsError> {
        let members = document::kind_members(&document.members()?);
        if kazoo::is_deleted(&members) { Err(not_found(document.id().as_str())) } else { Ok(()) }
    }

    /// Stamps and stores a document. `public_members` is what its clients will see of it.
    pub(crate) async fn save(
        &self,
        scope: &Scope<'_>,
        mut draft: datastore::Draft,
        public_members: &str,
    ) -> Result<Rev, GroupsError> {
        scope.stamp.mark_saved(&mut draft.body);
        let id = draft.id.clone();
        let saved = self.store.save(scope.access().db(), draft, scope.deadline).await;
        saved.map_err(|error| match error {
            StoreError::TooLarge(cause) => {
                log::info!(id = id.as_str(), reason = cause.reason(); "the store refuses a group as too large");
                GroupsError::Invalid(listed::too_large(public_members))
            }
            other => GroupsError::from(other),
        })
    }

    /// Fills in defaults, validates a client's data, and returns its public members.
    pub(crate) fn validated(&self, data: Value) -> Result<Map<String, Value>, Violations> {
        match data {
            Value::Object(members) => {
                let mut public = document::public_members(members);
                let checked = self.schema.get().check(&mut public);
                match booked_services(&public) {
                    None => checked.map(|()| public),
                    Some(mut violations) => {
                        violations.extend(checked.err().unwrap_or_default());
                        Err(violations)
                    }
                }
            }
            other => Err(Violations::wrong_type("", "object", other)),
        }
    }
}

/// Kazoo books the services in `service.plans` of any document, and asks for the charges. This server does not.
fn booked_services(public: &Map<String, Value>) -> Option<Violations> {
    let plans = public.get("service")?.get("plans")?.as_object().filter(|plans| !plans.is_empty())?;
    let message =
        "Services are booked by Kazoo alone: leave service.plans out, or save the group through crossbar";
    let value = Value::Object(plans.clone());
    Some(Violations::one("service.plans", "forbidden", [("message", json!(message)), ("value", value)]))
}

pub(crate) fn not_found(id: &str) -> GroupsError {
    GroupsError::NotFound { id: id.to_owned() }
}

/// The id that a client chose for a new group, if any.
fn chosen_id(data: &Value) -> Result<Option<DocId>, Violations> {
    let candidates = ["_id", "id"].into_iter().filter_map(|key| data.get(key));
    let mut candidates = candidates.filter(|value| match value {
        Value::Null => false,
        Value::String(text) => !term::is_empty_text(text),
        _ => true,
    });
    match candidates.next() {
        None => Ok(None),
        Some(Value::String(text)) if reserved::is_reserved(text) => {
            let message = "Value can not be a group's id: Kazoo looks for another document of the account under this id";
            Err(Violations::one("id", "invalid", [("message", json!(message)), ("value", json!(text))]))
        }
        Some(Value::String(text)) => DocId::parse(text).map(Some).map_err(|error| {
            let message = format!("Value can not be a document id: {error}");
            Violations::one("id", "invalid", [("message", json!(message)), ("value", json!(text))])
        }),
        Some(other) => Err(Violations::wrong_type("id", "string", other.clone())),
    }
}
