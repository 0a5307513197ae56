//! The errors of the groups domain.

use datastore::StoreError;
use validation::Violations;

/// Why an operation on groups failed.
#[derive(Debug, thiserror::Error)]
pub enum GroupsError {
    /// The group does not match the schema.
    #[error("the group is not valid")]
    Invalid(Violations),
    /// No live group has this id. There is no such document, or it is deleted, or it is not a group.
    #[error("no group has the id {id:?}")]
    NotFound {
        /// The requested id.
        id: String,
    },
    /// Another request changed the group in the meantime, or the id is already in use.
    #[error("another request changed the group in the meantime, or its id is already in use")]
    Conflict,
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

impl GroupsError {
    /// Turns a store's error about the document `id` into a domain error.
    pub(crate) fn about(id: &str, error: StoreError) -> Self {
        if error.is_not_found() { Self::NotFound { id: id.to_owned() } } else { Self::from(error) }
    }
}

impl From<StoreError> for GroupsError {
    fn from(error: StoreError) -> Self {
        if error.is_conflict() { Self::Conflict } else { Self::Store(error) }
    }
}
