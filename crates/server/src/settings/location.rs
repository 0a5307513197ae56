//! The value of the setting `store`: a file or a CouchDB.

use std::fmt;
use std::path::PathBuf;

use couchdb::ServerUrl;

/// The location of a store.
#[derive(Clone, Debug)]
pub(crate) enum StoreLocation {
    /// A file on this machine.
    File(PathBuf),
    /// A CouchDB.
    CouchDb(ServerUrl),
}

impl StoreLocation {
    /// Reads `sqlite:PATH` or a CouchDB's URL. The text may hold a password, so errors never repeat it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("sqlite:") {
            Some("") => Err("names no file: write sqlite:PATH".to_owned()),
            Some(path) => Ok(Self::File(PathBuf::from(path))),
            None => ServerUrl::parse(text).map(Self::CouchDb).map_err(|error| {
                format!(
                    "is neither sqlite:PATH nor http(s)://USER:PASSWORD@HOST:PORT: {}",
                    crate::chain(&error)
                )
            }),
        }
    }

    /// Whether the location contains a password.
    pub(super) fn holds_password(&self) -> bool {
        matches!(self, Self::CouchDb(url) if url.has_password())
    }

    /// Whether only this program can have set up the store, so that it may create every view.
    pub(crate) fn is_own(&self) -> bool {
        matches!(self, Self::File(_))
    }
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "sqlite:{}", path.display()),
            // A ServerUrl shows no credentials.
            Self::CouchDb(url) => write!(f, "{url}"),
        }
    }
}
