//! Changes of stored groups: replace, patch and delete. A change has two steps: prepare it (read, merge,
//! validate), then store it. Callers check preconditions such as `If-Match` between the two. If another writer
//! was faster, the change is applied to what that writer has stored.

use std::future::Future;
use std::time::{Duration, Instant};

use datastore::{Backoff, Cause, DocId, Document, Draft, Rev, StoreError};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::document::{self, StoredGroup};
use crate::error::GroupsError;
use crate::listed;
use crate::merge::merge;
use crate::service::{Groups, Saved, Scope, not_found};
use crate::turns::last_start;

/// The pauses between two attempts to save a change. In a pause, a writer on another server can finish its own.
const PAUSES: Backoff = Backoff { first: Duration::from_millis(4), cap: Duration::from_millis(250) };

/// What a client wants of a stored group.
#[derive(Clone, Debug)]
pub struct Edit(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// These public members, which are valid, in place of the stored ones.
    Replace(Map<String, Value>),
    /// The stored members merged with these.
    Patch { data: Value, attempt: Attempt },
}

/// Whether an edit was applied to the group before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    First,
    Again,
}

impl Edit {
    /// Merges a client's data into a group.
    #[must_use]
    pub fn patch(data: Value) -> Self {
        Self(Kind::Patch { data, attempt: Attempt::First })
    }

    /// Whether the change takes all stored members, and not only the private ones.
    #[must_use]
    pub fn takes_all_members(&self) -> bool {
        matches!(self.0, Kind::Patch { .. })
    }
}

/// The stored document that is to be changed, if there is one.
#[derive(Clone, Debug)]
pub struct Base {
    id: String,
    stored: Option<Document>,
}

impl Base {
    /// The stored document, if there is one.
    #[must_use]
    pub fn document(&self) -> Option<&Document> {
        self.stored.as_ref()
    }
}

/// A change to a stored group that is valid but not stored yet.
#[derive(Clone, Debug)]
pub struct Change {
    id: DocId,
    base: Rev,
    public: Map<String, Value>,
    /// The private members as they are stored.
    private: Map<String, Value>,
    edit: Source,
}

/// What the edit of a change can be read from again. A text takes less memory than values.
#[derive(Clone, Debug)]
enum Source {
    /// The public members that were stored.
    PublicMembers,
    /// The JSON of the client's data.
    Patch(String),
}

impl Change {
    /// The id of the group.
    #[must_use]
    pub fn id(&self) -> &DocId {
        &self.id
    }

    /// The revision that the change is based on.
    #[must_use]
    pub fn base(&self) -> &Rev {
        &self.base
    }

    /// Whether it was made from all stored members, and not only the private ones.
    #[must_use]
    pub fn takes_all_members(&self) -> bool {
        matches!(self.edit, Source::Patch(_))
    }
}

impl Source {
    /// The edit. `public_members` is the text of the public members that were to be stored.
    fn edit(&self, public_members: &str) -> Result<Edit, GroupsError> {
        Ok(Edit(match self {
            Self::PublicMembers => {
                let members = read_again(&format!("{{{public_members}}}"))?;
                Kind::Replace(document::public_members(members))
            }
            Self::Patch(text) => Kind::Patch { data: read_again(text)?, attempt: Attempt::Again },
        }))
    }
}

/// Reads a text that was written from values.
fn read_again<T: DeserializeOwned>(text: &str) -> Result<T, GroupsError> {
    serde_json::from_str(text).map_err(|error| {
        GroupsError::Store(StoreError::Corrupt(Cause::with_source("a change cannot be read again", error)))
    })
}

/// A group that is to be deleted.
#[derive(Clone, Debug)]
pub struct Removal {
    /// The group.
    pub group: StoredGroup,
    /// How to delete it.
    pub deletion: Deletion,
}

/// A group that was just deleted.
#[derive(Clone, Debug)]
pub struct Removed {
    /// The revision before the deletion.
    pub rev: Rev,
    /// The last content, in the form of [`StoredGroup::into_public_members`].
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

/// What to do if another writer has changed the group since it was read.
#[derive(Clone, Copy, Debug)]
pub enum IfChanged<R> {
    /// Refuse with `Conflict`: the client has named the revision that it wants to change.
    Refuse,
    /// Read the group again with this function, and apply the change to what is stored now.
    Reread(R),
}

/// The attempts to store one change.
struct Attempts {
    failed: u32,
    last_start: Instant,
}

impl Attempts {
    fn new(scope: &Scope<'_>) -> Self {
        Self { failed: 0, last_start: last_start(scope.deadline) }
    }

    /// Another writer was faster. Waits for a short time, and returns the function that reads the group again.
    ///
    /// # Errors
    /// `Conflict` if there must not be another attempt, or no time for one.
    async fn again<'r, R>(&mut self, if_changed: &'r IfChanged<R>) -> Result<&'r R, GroupsError> {
        let IfChanged::Reread(reread) = if_changed else { return Err(GroupsError::Conflict) };
        self.failed += 1;
        let pause = PAUSES.delay(self.failed);
        if Instant::now() + pause >= self.last_start {
            return Err(GroupsError::Conflict);
        }
        tokio::time::sleep(pause).await;
        Ok(reread)
    }
}

impl Groups {
    /// Validates a client's new content for a group. As in crossbar, invalid content is reported even if the
    /// group does not exist.
    ///
    /// # Errors
    /// `Invalid` with every violation.
    pub fn replacement(&self, data: Value) -> Result<Edit, GroupsError> {
        let public = self.validated(data).map_err(GroupsError::Invalid)?;
        Ok(Edit(Kind::Replace(public)))
    }

    /// Reads the document that is to be changed.
    ///
    /// # Errors
    /// Errors from the store. A missing document is not an error yet.
    pub async fn fetch_base(&self, scope: &Scope<'_>, id: &str) -> Result<Base, GroupsError> {
        let stored = match self.fetch_document(scope, id).await {
            Ok(stored) => Some(stored),
            Err(GroupsError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Base { id: id.to_owned(), stored })
    }

    /// Applies an edit to a group and validates the result.
    ///
    /// # Errors
    /// `Invalid` or `NotFound`.
    pub fn prepare_change(&self, base: Base, edit: Edit) -> Result<Change, GroupsError> {
        match edit.0 {
            Kind::Replace(public) => prepare_replacement(base, public),
            Kind::Patch { data, attempt } => self.prepare_patch(base, data, attempt),
        }
    }

    /// Merges a client's patch into a group and validates the result. If the group does not exist, the patch
    /// alone is validated, as in crossbar: an invalid patch gives `Invalid`, a valid one gives `NotFound`. If the
    /// group was there before, it is `NotFound`.
    fn prepare_patch(&self, base: Base, data: Value, attempt: Attempt) -> Result<Change, GroupsError> {
        let Base { id, stored } = base;
        // crossbar merges into any document with this id. It checks the type only after validation.
        let found = match stored {
            Some(stored) => {
                let object = stored.to_object()?;
                // A large text need not wait here beside what was read from it.
                Some((stored.into_key(), object)).filter(|(_, object)| !kazoo::is_deleted(object))
            }
            None => None,
        };
        let Some((key, object)) = found else {
            if attempt == Attempt::First {
                self.validated(data).map_err(GroupsError::Invalid)?;
            }
            return Err(not_found(&id));
        };
        let edit = Source::Patch(data.to_string());
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
        Change::of(key, public, private, edit)
    }

    /// Stores a prepared change.
    ///
    /// # Errors
    /// `Conflict` if the group has changed since the change was prepared, and the change must not be applied
    /// again or other writers were faster each time. If it is applied again, also `Invalid`, and `NotFound` if
    /// the group is deleted meanwhile.
    pub async fn update<E: From<GroupsError>, F: Future<Output = Result<Base, E>>>(
        &self,
        scope: &Scope<'_>,
        change: Change,
        if_changed: IfChanged<impl Fn() -> F>,
    ) -> Result<Saved, E> {
        let (mut change, mut attempts) = (change, Attempts::new(scope));
        loop {
            let Change { id, base, public: mut body, private, edit } = change;
            let public_members = document::text_of_public(&body, &id);
            body.extend(private);
            let draft = Draft { id: id.clone(), base: Some(base), body };
            match self.save(scope, draft, &public_members).await {
                Ok(rev) => return Ok(Saved { id, rev, public_members }),
                Err(GroupsError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
            let reread = attempts.again(&if_changed).await?;
            let edit = edit.edit(&public_members)?;
            drop(public_members);
            change = self.prepare_change(reread().await?, edit)?;
        }
    }

    /// Deletes a group and returns its last content. Its text does not wait for the store in two forms.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` as for [`Groups::update`].
    pub async fn remove<E: From<GroupsError>, F: Future<Output = Result<StoredGroup, E>>>(
        &self,
        scope: &Scope<'_>,
        removal: Removal,
        if_changed: IfChanged<impl Fn() -> F>,
    ) -> Result<Removed, E> {
        let Removal { mut group, deletion } = removal;
        let mut attempts = Attempts::new(scope);
        loop {
            let (document, public_members) = group.into_parts();
            let rev = document.rev().clone();
            match self.remove_once(scope, document, deletion).await {
                Ok(()) => return Ok(Removed { rev, public_members }),
                Err(GroupsError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
            drop(public_members);
            let reread = attempts.again(&if_changed).await?;
            group = reread().await?;
        }
    }

    async fn remove_once(
        &self,
        scope: &Scope<'_>,
        group: Document,
        deletion: Deletion,
    ) -> Result<(), GroupsError> {
        let db = scope.access().db();
        let body = match deletion {
            Deletion::Hard => None,
            Deletion::Soft => Some(group.to_object()?),
        };
        let (id, rev) = group.into_key();
        let answer = match body {
            None => self.store().delete(db, &id, &rev, scope.deadline).await,
            Some(mut body) => {
                scope.stamp.mark_saved(&mut body);
                kazoo::mark_deleted(&mut body);
                let draft = Draft { id: id.clone(), base: Some(rev), body };
                self.store().save(db, draft, scope.deadline).await
            }
        };
        answer.map(drop).map_err(|error| GroupsError::about(id.as_str(), error))
    }
}

impl Change {
    fn of(
        (id, base): (DocId, Rev),
        public: Map<String, Value>,
        private: Map<String, Value>,
        edit: Source,
    ) -> Result<Self, GroupsError> {
        listed::check(&public, &id).map_err(GroupsError::Invalid)?;
        Ok(Self { id, base, public, private, edit })
    }
}

/// Puts valid public members in place of the stored ones.
fn prepare_replacement(base: Base, public: Map<String, Value>) -> Result<Change, GroupsError> {
    let Base { id, stored } = base;
    let stored = stored.ok_or_else(|| not_found(&id))?;
    let private = document::private_members(&stored)?;
    if !document::is_live_group(&private) {
        return Err(not_found(&id));
    }
    Change::of(stored.into_key(), public, private, Source::PublicMembers)
}

#[cfg(test)]
mod tests {
    use super::{Attempts, GroupsError, IfChanged};
    use std::time::{Duration, Instant};

    #[tokio::test]
    async fn another_attempt_begins_in_time_or_not_at_all() {
        // The pause after 21 failures is 125 ms at least.
        for (failed, left, begins) in [(0, 60_000, true), (20, 60_000, true), (20, 60, false)] {
            let last_start = Instant::now() + Duration::from_millis(left);
            let mut attempts = Attempts { failed, last_start };
            let again = attempts.again(&IfChanged::Reread(())).await;
            assert!(matches!(again, Ok(())) == begins, "{failed} {left}: {again:?}");
            assert_eq!(attempts.failed, failed + 1);
        }
        let mut attempts = Attempts { failed: 0, last_start: Instant::now() + Duration::from_secs(60) };
        let refused = attempts.again(&IfChanged::<()>::Refuse).await;
        assert!(matches!(refused, Err(GroupsError::Conflict)), "{refused:?}");
    }
}
