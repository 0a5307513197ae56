//! The credentials that a request shows.

use serde_json::Value;
use validation::echo_size;

/// The longest text that an answer repeats, in bytes. No longer token is good.
const MAX_ECHO_OF_TEXT: usize = 16_384;

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

    /// The value that the answer's envelope repeats. A null is not repeated, and neither is a large value.
    pub(crate) fn echo(&self) -> Option<Value> {
        match self {
            Self::Token(text) | Self::Basic(text) | Self::Bearer(text) => echo_of_text(text),
            Self::NoToken(Value::Null) | Self::Unknown(Value::Null) => None,
            Self::Unknown(Value::String(text)) => echo_of_text(text),
            Self::NoToken(value) | Self::Unknown(value) => {
                echo_size(value, MAX_ODD_ECHO).map(|_| value.clone())
            }
        }
    }
}

fn echo_of_text(text: &str) -> Option<Value> {
    (text.len() <= MAX_ECHO_OF_TEXT).then(|| Value::from(text))
}
