//! The media types in `Content-Type` and `Accept`: `type/subtype; name=value`.

use super::token::{is_token, split_outside_quotes};

/// A media type with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaType {
    /// `type/subtype` in lower case.
    pub(crate) essence: String,
    /// The parameters in order, their names in lower case.
    pub(crate) parameters: Vec<(String, String)>,
}

impl MediaType {
    /// Reads a media type; `None` if the text is not one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = split_outside_quotes(text, ';');
        let essence = parts.next()?.trim();
        let (kind, subtype) = essence.split_once('/')?;
        if !is_token(kind) || !is_token(subtype) {
            return None;
        }
        let parameters = parts.map(|part| {
            let (name, value) = part.trim().split_once('=')?;
            let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            let value = match quoted {
                Some(quoted) => quoted.replace('\\', ""),
                None if is_token(value) => value.to_owned(),
                None => return None,
            };
            is_token(name).then(|| (name.to_ascii_lowercase(), value))
        });
        let parameters = parameters.collect::<Option<Vec<_>>>()?;
        Some(Self { essence: essence.to_ascii_lowercase(), parameters })
    }
}
