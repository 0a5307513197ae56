//! Document revisions in CouchDB's format: a generation, a dash and a hash.

use std::fmt;
use std::sync::Arc;

use crate::name::NameError;

/// The revision of a document, `3-c7a1…`.
///
/// [`Rev::parse`] also accepts a revision in the quotes of an ETag.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rev {
    text: Arc<str>,
    generation: u64,
}

impl Rev {
    /// Reads `N-hash`, bare or in the double quotes of an ETag.
    ///
    /// # Errors
    /// [`NameError::Shape`] if the text has no positive generation or no hash.
    pub fn parse(text: &str) -> std::result::Result<Self, NameError> {
        let bare = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
        let (generation, hash) = bare.split_once('-').ok_or(NameError::Shape)?;
        let generation_number: u64 = generation.parse().map_err(|_| NameError::Shape)?;
        let well_formed = !hash.is_empty()
            && hash.bytes().all(|b| b.is_ascii_alphanumeric())
            && generation_number > 0
            && generation.bytes().all(|b| b.is_ascii_digit());
        if !well_formed {
            return Err(NameError::Shape);
        }
        Ok(Self { text: bare.into(), generation: generation_number })
    }

    /// The revision as text, without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How often the document has been written; 1 after the first write.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

impl fmt::Display for Rev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::Rev;

    #[test]
    fn an_etag_is_a_revision_in_quotes() {
        let rev = Rev::parse("\"12-abcdef\"").unwrap();
        assert_eq!((rev.as_str(), rev.generation()), ("12-abcdef", 12));
    }

    #[test]
    fn invalid_revisions_are_refused() {
        for text in ["", "-", "0-a", "1-", "x-a", "+1-a", "1-a\"", "1", "1-a b", "1-a/b"] {
            assert!(Rev::parse(text).is_err(), "{text:?}");
        }
    }
}
