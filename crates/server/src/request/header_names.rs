//! The names of headers that requests have beside the standard ones. They are made once: to make a name from text
//! takes an allocation.

use actix_web::http::header::{self, HeaderName};

pub(crate) static AUTHORIZATION: HeaderName = header::AUTHORIZATION;
pub(crate) static X_AUTH_ACCOUNT_ID: HeaderName = HeaderName::from_static("x-auth-account-id");
pub(crate) static X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
pub(crate) static X_FILE_NAME: HeaderName = HeaderName::from_static("x-file-name");
pub(crate) static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) static X_PRETTY_PRINT: HeaderName = HeaderName::from_static("x-pretty-print");
pub(crate) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Marks the questions of a server that compares, so that no server compares them again.
pub(crate) static X_SHADOW: HeaderName = HeaderName::from_static("x-crossbar-groups-shadow");
