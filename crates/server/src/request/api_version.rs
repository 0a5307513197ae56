//! The versions of the API.

/// A version of the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ApiVersion {
    /// Version 1: listings come in one piece, and the data of a refusal is a bare text.
    V1,
    /// Version 2. Every later one is the same.
    #[default]
    V2,
}
