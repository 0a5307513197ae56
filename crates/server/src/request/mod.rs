//! A request and its parts: the request as it arrived, its parameters, its verb, its route, and the
//! exchange that collects what the stages learn. Nothing here reads the store.

pub(crate) mod action;
pub(crate) mod api_version;
pub(crate) mod content_type;
pub(crate) mod credentials;
pub(crate) mod envelope;
pub(crate) mod exchange;
pub(crate) mod format;
pub(crate) mod header_names;
pub(crate) mod incoming;
pub(crate) mod methods;
pub(crate) mod parameters;
pub(crate) mod route;
pub(crate) mod target;
pub(crate) mod verb;
