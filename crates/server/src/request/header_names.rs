//! The headers of requests that this server reads. Whoever reads a header takes its name from here, because `edge` may
//! leave out all others. The names are made once: to make a name from text takes an allocation.

use actix_web::http::header::HeaderName;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub(crate) static $name: HeaderName = HeaderName::from_static($text);)*

        /// All of them, for `edge`.
        pub(crate) const ALL: &[&str] = &[$($text),*];
    };
}

names! {
    ACCEPT = "accept";
    ACCEPT_ENCODING = "accept-encoding";
    ACCEPT_LANGUAGE = "accept-language";
    ACCESS_CONTROL_REQUEST_HEADERS = "access-control-request-headers";
    ACCESS_CONTROL_REQUEST_METHOD = "access-control-request-method";
    AUTHORIZATION = "authorization";
    CONTENT_TYPE = "content-type";
    IF_MATCH = "if-match";
    IF_NONE_MATCH = "if-none-match";
    ORIGIN = "origin";
    X_AUTH_ACCOUNT_ID = "x-auth-account-id";
    X_AUTH_TOKEN = "x-auth-token";
    X_FILE_NAME = "x-file-name";
    X_FORWARDED_FOR = "x-forwarded-for";
    X_PRETTY_PRINT = "x-pretty-print";
    X_REQUEST_ID = "x-request-id";
    /// Marks the questions of a server that compares, so that no server compares them again.
    X_SHADOW = "x-crossbar-groups-shadow";
}
