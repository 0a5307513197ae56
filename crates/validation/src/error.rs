//! Why a schema cannot be used.

/// Why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The text is not JSON or not a valid schema.
    #[error("the schema is not valid: {reason}")]
    Invalid {
        /// The fault.
        reason: String,
    },
    /// The schema uses a feature that the validator gets wrong, or one whose violations we cannot describe.
    #[error("the schema uses {keyword} at {path:?}, which is not supported")]
    Unsupported {
        /// The keyword or feature.
        keyword: String,
        /// The place in the schema, as a JSON pointer.
        path: String,
    },
    /// A check by the schema could cost too much.
    #[error("the schema has {what} at {path:?}, which could make a check cost too much")]
    Dear {
        /// What costs too much.
        what: String,
        /// The place in the schema, as a JSON pointer.
        path: String,
    },
}
