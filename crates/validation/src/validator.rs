//! The trait that separates us from the validation library. It reports problems by path and keyword. The
//! messages are written elsewhere.

use serde_json::Value;

/// A JSON schema keyword that a value can violate. These are the ones that Kazoo has messages for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Keyword {
    /// A required member is missing. The path names the member.
    Required,
    /// The value has the wrong type.
    Type,
    /// A text has too few characters.
    MinLength,
    /// A text has too many characters.
    MaxLength,
    /// The value is not in the list of allowed values.
    Enum,
    /// A text does not match the regular expression.
    Pattern,
    /// The schema does not allow this member. The path names the member.
    AdditionalProperties,
}

impl Keyword {
    /// The name of the keyword in schemas and in Kazoo's answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Type => "type",
            Self::MinLength => "minLength",
            Self::MaxLength => "maxLength",
            Self::Enum => "enum",
            Self::Pattern => "pattern",
            Self::AdditionalProperties => "additionalProperties",
        }
    }
}

/// The most problems that are reported about one document.
pub const MAX_PROBLEMS: usize = 100;

/// One violation of a schema by a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Problem {
    /// The keys and array indexes (from 0) that lead to the value.
    pub path: Vec<String>,
    /// The keyword that the value violates.
    pub keyword: Keyword,
}

/// Checks documents against one schema.
pub trait Validator: Send + Sync {
    /// The problems in a document, but not more than the first [`MAX_PROBLEMS`]. The list is empty if the
    /// document is valid.
    fn problems(&self, document: &Value) -> Vec<Problem>;
}
