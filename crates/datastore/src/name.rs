//! Database names and document ids. These types check names from clients, and percent-encode them for the
//! paths of a store.

use std::fmt;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters to escape in a segment of a path, or in a value in a query: all but RFC 3986's unreserved ones.
pub const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Why a text is not a valid name, id or revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty, or its length is not allowed.
    #[error("it has the wrong length")]
    Length,
    /// The text has a character or a beginning that is not allowed.
    #[error("it has a form that is not allowed")]
    Shape,
}

/// A database name by CouchDB's rules, with plain slashes (`account/aa/bb/…`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DbName(Arc<str>);

impl DbName {
    /// CouchDB's limit, in bytes.
    pub const MAX_LEN: usize = 238;

    /// Reads a database name: a lower-case letter, then `a-z 0-9 _ $ ( ) + - /`.
    ///
    /// # Errors
    /// [`NameError`] if CouchDB would refuse the name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return Err(NameError::Length);
        }
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_$()+-/".contains(&b);
        if !text.starts_with(|c: char| c.is_ascii_lowercase()) || !text.bytes().all(allowed) {
            return Err(NameError::Shape);
        }
        Ok(Self(text.into()))
    }

    /// The name as CouchDB shows it, with slashes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as one escaped path segment, `account%2Faa%2F…`.
    #[must_use]
    pub fn encoded(&self) -> String {
        utf8_percent_encode(&self.0, SEGMENT).to_string()
    }
}

impl fmt::Display for DbName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a document. A clone shares the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocId(Arc<str>);

impl DocId {
    /// The longest id accepted from a client, in bytes. Percent-encoded, it still fits into the request
    /// line of any server.
    pub const MAX_LEN: usize = 1024;

    /// The longest path form of an id that a request can name, in bytes. CouchDB stores longer ids, but accepts no
    /// request line of more than 8,192 bytes, so nobody can read them by their names.
    const MAX_NAMED_LEN: usize = 7_500;

    /// Reads the id of a document that may exist. Other programs may have given it an id that is too long for
    /// [`DocId::parse`].
    ///
    /// # Errors
    /// [`NameError`] if CouchDB could not read such a document, or for the form of the id, as in [`DocId::parse`].
    pub fn named(text: &str) -> Result<Self, NameError> {
        let id = Self::of_good_form(text)?;
        match text.len() > Self::MAX_LEN && id.encoded().len() > Self::MAX_NAMED_LEN {
            true => Err(NameError::Length),
            false => Ok(id),
        }
    }

    /// Reads a document id from a client, for a document that may be made. It refuses a leading `_`, which CouchDB reserves; `.` and `..`,
    /// which URL libraries drop from paths; and control characters.
    ///
    /// # Errors
    /// [`NameError`] if the id is empty, too long or refused as above.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > Self::MAX_LEN {
            return Err(NameError::Length);
        }
        Self::of_good_form(text)
    }

    fn of_good_form(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Length);
        }
        if text.starts_with('_') || text == "." || text == ".." || text.chars().any(char::is_control) {
            return Err(NameError::Shape);
        }
        Ok(Self(text.into()))
    }

    /// The id of a design document, `_design/name`.
    ///
    /// # Errors
    /// The errors of [`DocId::parse`] for the name.
    pub fn design(name: &str) -> Result<Self, NameError> {
        Self::parse(name)?;
        Ok(Self(format!("_design/{name}").into()))
    }

    /// Takes an id that came from a store. It is not checked.
    #[must_use]
    pub fn from_store(text: String) -> Self {
        Self(text.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name after `_design/`, if this is the id of a design document.
    #[must_use]
    pub fn design_name(&self) -> Option<&str> {
        self.0.strip_prefix("_design/")
    }

    /// The id in CouchDB's path form: one escaped segment, after `_design/` for a design document.
    #[must_use]
    pub fn encoded(&self) -> String {
        match self.design_name() {
            Some(name) => format!("_design/{}", utf8_percent_encode(name, SEGMENT)),
            None => utf8_percent_encode(&self.0, SEGMENT).to_string(),
        }
    }
}

impl fmt::Display for DocId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::DocId;
    use proptest::prelude::{any, proptest};

    #[test]
    fn document_ids_with_a_special_meaning_in_paths_are_refused() {
        for text in ["", "_all_docs", "_design/x", "_", ".", "..", "a\nb", "\u{0}", "\u{85}"] {
            assert!(DocId::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(DocId::parse("a/b?c d%é").unwrap().encoded(), "a%2Fb%3Fc%20d%25%C3%A9");
        assert_eq!(DocId::design("a/b").unwrap().encoded(), "_design/a%2Fb");
        assert_eq!(DocId::parse("...").unwrap().encoded(), "...");
    }

    #[test]
    fn a_long_id_can_be_named_but_not_given() {
        let long = "a".repeat(7_500);
        assert!(DocId::parse(&long).is_err() && DocId::named(&long).is_ok());
        // Each of these characters takes six bytes in a path.
        assert!(DocId::named(&"é".repeat(1_250)).is_ok());
        for text in [&*"é".repeat(1_251), &*"a".repeat(7_501), "", "_design/x", ".."] {
            assert!(DocId::named(text).is_err(), "{text}");
        }
    }

    proptest! {
        /// An accepted name becomes one path segment, which decodes to the name.
        #[test]
        fn encoding_is_one_segment_and_loses_nothing(text in any::<String>()) {
            if let Ok(id) = DocId::parse(&text) {
                let encoded = id.encoded();
                assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~%".contains(&b)));
                let back = percent_encoding::percent_decode_str(&encoded).decode_utf8().unwrap();
                assert_eq!(back, text);
            }
        }
    }
}
