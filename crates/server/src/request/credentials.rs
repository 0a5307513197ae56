//! The credentials that a request shows.

use serde_json::Value;

/// The longest token that an answer repeats if the token is not text, in bytes of JSON.
const MAX_ODD_ECHO: usize = 1_024;

/// Credentials as a client presents them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// A token.
    Token(String),
    /// A token that is not text.
    NoToken(Value),
    /// The text after `Basic`.
    Basic(String),
    /// The text after `Bearer`.
    Bearer(String),
    /// An `Authorization` with another scheme, or a value that is not text.
    Unknown(Value),
}

impl Credentials {
    /// The token, if the credentials are a token.
    pub(crate) fn into_token(self) -> Option<String> {
        match self {
            Self::Token(token) => Some(token),
            _ => None,
        }
    }

    /// The value that the answer's envelope repeats. A null is not repeated, and neither is a large value
    /// that is not text.
    pub(crate) fn echo(&self) -> Option<Value> {
        match self {
            Self::Token(text) | Self::Basic(text) | Self::Bearer(text) => Some(Value::from(text.as_str())),
            Self::NoToken(value) | Self::Unknown(value) => {
                Some(value).filter(|value| !value.is_null() && is_short(value)).cloned()
            }
        }
    }
}

fn is_short(value: &Value) -> bool {
    value.is_string() || value.to_string().len() <= MAX_ODD_ECHO
}
