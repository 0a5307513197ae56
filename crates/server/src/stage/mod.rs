//! The stages of a request, one file each. A stage takes its input as arguments and returns its result or
//! the refusal that ends the request. It imports `request` and `grammar`, never another stage. `pipeline`
//! has their order.

pub(crate) mod account;
pub(crate) mod body;
pub(crate) mod content_type;
pub(crate) mod cors;
pub(crate) mod language;
pub(crate) mod negotiation;
pub(crate) mod preconditions;
pub(crate) mod query;
pub(crate) mod rate;
pub(crate) mod token;
pub(crate) mod verb;
