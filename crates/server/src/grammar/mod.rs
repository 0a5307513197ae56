//! The small grammars that several stages share: tokens, quality values, media types, entity tags,
//! percent-encoding, query strings. They are plain functions on text. Nothing here refuses a request: the
//! caller decides what an unreadable text means.

pub(crate) mod entity_tag;
pub(crate) mod media_type;
pub(crate) mod percent;
pub(crate) mod quality;
pub(crate) mod query;
pub(crate) mod token;
