//! The boundary to whatever checks documents: problems by path and keyword, nothing of their words.

use serde_json::Value;

/// A keyword of JSON schema that a value can violate, as far as Kazoo has words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Keyword {
    /// A member that must be there is not; the path names the member.
    Required,
    /// The value is of another type.
    Type,
    /// A text is shorter than allowed, in characters.
    MinLength,
    /// A text is longer than allowed, in characters.
    MaxLength,
    /// The value is none of those listed.
    Enum,
    /// A text does not have the form that a regular expression gives.
    Pattern,
    /// A member that the schema does not know; the path names the member.
    AdditionalProperties,
}

impl Keyword {
    /// The keyword as schemas and Kazoo's answers write it.
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

/// One way in which a document breaks its schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Problem {
    /// The keys, or indexes from 0, that lead to it.
    pub path: Vec<String>,
    /// The keyword that is broken there.
    pub keyword: Keyword,
}

/// Something that checks documents against one schema.
pub trait Validator: Send + Sync {
    /// Every problem of a document; none where it is valid.
    fn problems(&self, document: &Value) -> Vec<Problem>;
}
