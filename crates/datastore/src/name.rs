//! Names that come from outside and end in a store's path: databases and document ids. Only these types
//! check and percent-encode them.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but RFC 3986's unreserved characters is escaped in a path segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Why a text is not the name it was taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It is empty or has a length that such a name never has.
    #[error("it has the wrong length")]
    Length,
    /// It holds characters, or begins in a way, that such a name never does.
    #[error("it has a form that is not allowed")]
    Shape,
}

/// A database name by CouchDB's rules, slashes unescaped (`account/aa/bb/…`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DbName(String);

impl DbName {
    /// CouchDB's own limit, in bytes.
    pub const MAX_LEN: usize = 238;

    /// Reads a database name: a lower-case letter, then `a-z 0-9 _ $ ( ) + - /`.
    ///
    /// # Errors
    /// [`NameError`] where CouchDB would refuse it.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return Err(NameError::Length);
        }
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_$()+-/".contains(&b);
        if !text.starts_with(|c: char| c.is_ascii_lowercase()) || !text.bytes().all(allowed) {
            return Err(NameError::Shape);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as CouchDB shows it, with slashes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as one path segment, `account%2Faa%2F…`: the form that travels in URLs, and the one
    /// that Kazoo writes into `pvt_account_db`.
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

/// The id of a document.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocId(String);

impl DocId {
    /// The longest id taken from outside, in bytes: percent-encoded it still fits any server's
    /// request line.
    pub const MAX_LEN: usize = 1024;

    /// Reads a document id from outside. A leading `_` names CouchDB's own things, `.` and `..` are
    /// dropped from paths by URL libraries, control characters have no place in an id.
    ///
    /// # Errors
    /// [`NameError`] for an id that is empty, too long or of such a form.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return Err(NameError::Length);
        }
        if text.starts_with('_') || text == "." || text == ".." || text.chars().any(char::is_control) {
            return Err(NameError::Shape);
        }
        Ok(Self(text.to_owned()))
    }

    /// The id of a design document, `_design/name`.
    ///
    /// # Errors
    /// As [`DocId::parse`], of the name.
    pub fn design(name: &str) -> Result<Self, NameError> {
        Self::parse(name)?;
        Ok(Self(format!("_design/{name}")))
    }

    /// An id that a store has handed out, whatever it looks like.
    #[must_use]
    pub fn from_store(text: String) -> Self {
        Self(text)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the design document that this is, if it is one.
    #[must_use]
    pub fn design_name(&self) -> Option<&str> {
        self.0.strip_prefix("_design/")
    }

    /// The id as CouchDB takes it in a path: one escaped segment, or `_design/` and one.
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
    fn document_ids_that_reach_elsewhere_are_refused() {
        for text in ["", "_all_docs", "_design/x", "_", ".", "..", "a\nb", "\u{0}", "\u{85}"] {
            assert!(DocId::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(DocId::parse("a/b?c d%é").unwrap().encoded(), "a%2Fb%3Fc%20d%25%C3%A9");
        assert_eq!(DocId::design("a/b").unwrap().encoded(), "_design/a%2Fb");
        assert_eq!(DocId::parse("...").unwrap().encoded(), "...");
    }

    proptest! {
        /// Whatever is accepted is one path segment that decodes to itself.
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
