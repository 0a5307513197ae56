//! Whether a write with this `Content-Type` is taken. Refuses a type that crossbar does not take (415).

use crate::catalogue::{Bare, Refusal};
use crate::request::content_type::ContentType;

/// Refuses a write whose body's type crossbar does not take.
pub(crate) fn check_accepted(content_type: &ContentType) -> Result<(), Refusal> {
    match content_type {
        ContentType::Base64 | ContentType::File { accepted: false } => {
            Err(Refusal::Bare(Bare::UnsupportedMediaType))
        }
        _ => Ok(()),
    }
}
