//! Why a schema cannot be used.

/// Why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// It is not JSON, or no schema.
    #[error("the schema is broken: {reason}")]
    Invalid {
        /// What is wrong.
        reason: String,
    },
    /// It uses what the validator gets wrong, or what violations have no words for.
    #[error("the schema uses {keyword} at {path:?}, which is not supported")]
    Unsupported {
        /// What.
        keyword: String,
        /// Where, as a JSON pointer.
        path: String,
    },
}
