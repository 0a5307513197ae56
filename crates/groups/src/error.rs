//! Why the domain refuses.

use datastore::StoreError;
use validation::Violations;

/// A refusal of the groups domain.
#[derive(Debug, thiserror::Error)]
pub enum GroupsError {
    /// The group's content breaks the schema's rules.
    #[error("the group is not valid")]
    Invalid(Violations),
    /// No live group has this id: there is no such document, it is deleted, or it is something else.
    #[error("no group has the id {id:?}")]
    NotFound {
        /// The id as asked for.
        id: String,
    },
    /// Somebody else wrote the document meanwhile, or the id is taken.
    #[error("the group was written by somebody else meanwhile, or its id is taken")]
    Conflict,
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

impl GroupsError {
    /// A store's answer about the document `id`.
    pub(crate) fn about(id: &str, error: StoreError) -> Self {
        if error.is_not_found() { Self::NotFound { id: id.to_owned() } } else { Self::from(error) }
    }
}

impl From<StoreError> for GroupsError {
    fn from(error: StoreError) -> Self {
        if error.is_conflict() { Self::Conflict } else { Self::Store(error) }
    }
}
