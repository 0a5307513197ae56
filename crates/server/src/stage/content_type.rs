//! The `Content-Type` of a write. Refuses a type that crossbar does not accept (415).

use crate::catalogue::{Bare, Refusal};
use crate::request::content_type::ContentType;

/// Refuses a write whose content type crossbar does not accept.
pub(crate) fn check_accepted(content_type: &ContentType) -> Result<(), Refusal> {
    match content_type {
        ContentType::Base64 | ContentType::File { accepted: false } => {
            Err(Refusal::Bare(Bare::UnsupportedMediaType))
        }
        _ => Ok(()),
    }
}
