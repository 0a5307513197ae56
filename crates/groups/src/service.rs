//! The operations on groups in a store. A change has two steps: prepare it (read, merge, validate), then
//! store it. Callers check preconditions such as `If-Match` between the two.

use std::sync::Arc;
use std::time::Duration;

use auth::AccountAccess;
use datastore::{Deadline, DocId, Document, Rev, Store, StoreError, random_hex};
use kazoo::term;
use serde_json::{Map, Value, json};
use validation::{Schema, Violations};

use crate::document::{self, Stamp, StoredGroup};
use crate::error::GroupsError;
use crate::listed;
use crate::listing::{Cursor, ListQuery, Source};
use crate::merge::merge;
use crate::reserved;

/// How often a deletion is tried when other requests keep changing the group.
const DELETE_ATTEMPTS: usize = 5;

/// What the domain needs to know about a request: the account, the caller and the deadline.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The proof that the caller may use the account, and the data about the request that a save writes.
    pub stamp: Stamp<'a>,
    /// The time by which the store must have answered.
    pub deadline: Deadline,
}

impl<'a> Scope<'a> {
    fn access(&self) -> &'a AccountAccess {
        self.stamp.access
    }
}

/// A new group that is valid but not stored yet.
#[derive(Clone, Debug)]
pub struct NewGroup {
    id: DocId,
    public: Map<String, Value>,
}

/// A change to a stored group that is valid but not stored yet.
#[derive(Clone, Debug)]
pub struct Change {
    id: DocId,
    base: Rev,
    public: Map<String, Value>,
    /// The private members as they are stored.
    private: Map<String, Value>,
}

impl Change {
    /// The revision that the change is based on.
    #[must_use]
    pub fn base(&self) -> &Rev {
        &self.base
    }
}

/// The stored document that a patch is merged into, if there is one.
#[derive(Clone, Debug)]
pub struct PatchBase {
    id: String,
    stored: Option<Document>,
}

impl PatchBase {
    /// The stored document, if there is one.
    #[must_use]
    pub fn document(&self) -> Option<&Document> {
        self.stored.as_ref()
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

/// How to delete a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// Mark the group as deleted. Its id stays in use.
    Soft,
    /// Delete the document, so that only the store's tombstone remains.
    Hard,
}

/// How a deletion treats a group that has changed since it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfChanged {
    /// Read the new content and delete that.
    DeleteNewest,
    /// Refuse with `Conflict`.
    Refuse,
}

/// The groups of the accounts in a store.
#[derive(Clone)]
pub struct Groups {
    store: Arc<dyn Store>,
    schema: Arc<Schema>,
}

impl Groups {
    /// The groups in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, schema: Arc::new(Schema::groups()) }
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
        self.save(scope, datastore::Draft { id, base: None, body }, public_members).await
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
        let doc_id = DocId::parse(id).map_err(|_| not_found(id))?;
        if reserved::is_policy(id) {
            return Err(not_found(id));
        }
        let document = self.store.fetch(scope.access().db(), &doc_id, scope.deadline).await;
        document.map_err(|error| GroupsError::about(id, error))
    }

    /// Validates a client's new content for a group. As in crossbar, invalid content is reported even if the
    /// group does not exist.
    ///
    /// # Errors
    /// `Invalid` or `NotFound`.
    pub async fn prepare_replacement(
        &self,
        scope: &Scope<'_>,
        id: &str,
        data: Value,
    ) -> Result<Change, GroupsError> {
        let public = self.validated(data).map_err(GroupsError::Invalid)?;
        let stored = self.fetch_document(scope, id).await?;
        if !document::is_live_group(&document::kind_members(&stored.members()?)) {
            return Err(not_found(id));
        }
        listed::check(&public, stored.id()).map_err(GroupsError::Invalid)?;
        let private = document::private_members(&stored)?;
        Ok(Change { id: stored.id().clone(), base: stored.rev().clone(), public, private })
    }

    /// Reads the document that a patch is to be merged into.
    ///
    /// # Errors
    /// Errors from the store. A missing document is not an error yet.
    pub async fn fetch_base(&self, scope: &Scope<'_>, id: &str) -> Result<PatchBase, GroupsError> {
        let stored = match self.fetch_document(scope, id).await {
            Ok(stored) => Some(stored),
            Err(GroupsError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(PatchBase { id: id.to_owned(), stored })
    }

    /// Merges a client's patch into a group and validates the result. If the group does not exist, the patch
    /// alone is validated, as in crossbar: an invalid patch gives `Invalid`, a valid one gives `NotFound`.
    ///
    /// # Errors
    /// `Invalid` or `NotFound`.
    pub fn prepare_patch(&self, base: PatchBase, data: Value) -> Result<Change, GroupsError> {
        let PatchBase { id, stored } = base;
        // crossbar merges into any document with this id. It checks the type only after validation.
        let found = match stored {
            Some(stored) => {
                let object = stored.to_object()?;
                Some((stored, object)).filter(|(_, object)| !kazoo::is_deleted(object))
            }
            None => None,
        };
        let Some((stored, object)) = found else {
            self.validated(data).map_err(GroupsError::Invalid)?;
            return Err(not_found(&id));
        };
        let is_group = document::is_live_group(&object);
        let (public, private) = document::split(object);
        let merged = match data {
            Value::Object(patch) => Value::Object(merge(public, document::public_members(patch))),
            other => other,
        };
        let public = self.validated(merged).map_err(GroupsError::Invalid)?;
        if !is_group {
            return Err(not_found(&id));
        }
        listed::check(&public, stored.id()).map_err(GroupsError::Invalid)?;
        Ok(Change { id: stored.id().clone(), base: stored.rev().clone(), public, private })
    }

    /// Stores a prepared change.
    ///
    /// # Errors
    /// `Conflict` if the group has changed since the change was prepared.
    pub async fn update(&self, scope: &Scope<'_>, change: Change) -> Result<Saved, GroupsError> {
        let Change { id, base, public: mut body, private } = change;
        let public_members = document::text_of_public(&body, &id);
        body.extend(private);
        self.save(scope, datastore::Draft { id, base: Some(base), body }, public_members).await
    }

    /// Deletes a group and returns its last content.
    ///
    /// # Errors
    /// `NotFound` or `Conflict`.
    pub async fn remove(
        &self,
        scope: &Scope<'_>,
        group: StoredGroup,
        deletion: Deletion,
        if_changed: IfChanged,
    ) -> Result<StoredGroup, GroupsError> {
        let mut group = group;
        for _ in 0..DELETE_ATTEMPTS {
            match self.remove_once(scope, group.document(), deletion).await {
                Err(GroupsError::Conflict) if if_changed == IfChanged::DeleteNewest => {
                    group = self.fetch(scope, group.document().id().as_str()).await?;
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(group),
            }
        }
        Err(GroupsError::Conflict)
    }

    async fn remove_once(
        &self,
        scope: &Scope<'_>,
        group: &Document,
        deletion: Deletion,
    ) -> Result<(), GroupsError> {
        let (db, id) = (scope.access().db(), group.id());
        let answer = match deletion {
            Deletion::Hard => self.store.delete(db, id, group.rev(), scope.deadline).await,
            Deletion::Soft => {
                let mut body = group.to_object()?;
                scope.stamp.mark_saved(&mut body);
                body.insert("pvt_deleted".to_owned(), json!(true));
                let draft = datastore::Draft { id: id.clone(), base: Some(group.rev().clone()), body };
                self.store.save(db, draft, scope.deadline).await
            }
        };
        answer.map(drop).map_err(|error| GroupsError::about(id.as_str(), error))
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
        let source = Source { store: Arc::clone(&self.store), db: scope.access().db().clone(), patience };
        Cursor::open(source, list, scope.deadline).await
    }

    /// Checks that a user exists. As in crossbar, any document that is not deleted counts: the id of a device
    /// is accepted, and its listing is empty.
    ///
    /// # Errors
    /// `NotFound` with the user's id.
    pub async fn check_user(&self, scope: &Scope<'_>, user_id: &str) -> Result<(), GroupsError> {
        let document = self.fetch_document(scope, user_id).await?;
        let members = document::kind_members(&document.members()?);
        if kazoo::is_deleted(&members) { Err(not_found(user_id)) } else { Ok(()) }
    }

    /// Stamps and stores a document. `public_members` is what its clients will see of it.
    async fn save(
        &self,
        scope: &Scope<'_>,
        mut draft: datastore::Draft,
        public_members: String,
    ) -> Result<Saved, GroupsError> {
        scope.stamp.mark_saved(&mut draft.body);
        let id = draft.id.clone();
        let saved = self.store.save(scope.access().db(), draft, scope.deadline).await;
        let rev = saved.map_err(|error| match error {
            StoreError::TooLarge(cause) => {
                log::info!(id = id.as_str(), reason = cause.reason(); "the store refuses a group as too large");
                GroupsError::Invalid(listed::too_large(&public_members))
            }
            other => GroupsError::from(other),
        })?;
        Ok(Saved { id, rev, public_members })
    }

    /// Fills in defaults, validates a client's data, and returns its public members.
    fn validated(&self, data: Value) -> Result<Map<String, Value>, Violations> {
        match data {
            Value::Object(members) => {
                let mut public = document::public_members(members);
                self.schema.check(&mut public)?;
                Ok(public)
            }
            other => Err(Violations::wrong_type("", "object", other)),
        }
    }
}

fn not_found(id: &str) -> GroupsError {
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
