//! The stages of a request, one file each. A stage takes what it needs as arguments, answers what it
//! found or the refusal that ends the request, and knows no other stage. Their order is in `pipeline`.

pub(crate) mod account;
pub(crate) mod body;
pub(crate) mod content_type;
pub(crate) mod cors;
pub(crate) mod language;
pub(crate) mod negotiation;
pub(crate) mod preconditions;
pub(crate) mod query;
pub(crate) mod rate;
pub(crate) mod route;
pub(crate) mod token;
pub(crate) mod verb;
