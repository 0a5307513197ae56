//! Opening the store that a setting names.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use couchdb::{Client, ServerUrl};
use datastore::Backend;
use embedded::Embedded;
use tokio::runtime::Handle;

use crate::failure::Failure;

/// Where a store is.
pub(crate) enum StoreLocation {
    /// A file of this machine.
    File(PathBuf),
    /// A CouchDB.
    CouchDb(ServerUrl),
}

impl StoreLocation {
    /// Reads `sqlite:PATH` or a CouchDB's URL. The text may hold a password and is never repeated.
    pub(crate) fn parse(text: &str) -> std::result::Result<Self, Failure> {
        match text.strip_prefix("sqlite:") {
            Some("") => Err(Failure::setup("the setting store names no file: write sqlite:PATH")),
            Some(path) => Ok(Self::File(PathBuf::from(path))),
            None => ServerUrl::parse(text).map(Self::CouchDb).map_err(|error| {
                Failure::setup(format!(
                    "the setting store is neither sqlite:PATH nor http(s)://USER:PASSWORD@HOST:PORT: {}",
                    crate::chain(&error)
                ))
            }),
        }
    }

    /// Whether nobody but this program can have set the store up, so that it may create every view.
    pub(crate) fn is_own(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Opens the store. A CouchDB's connections live on `runtime`, whoever opens them.
    pub(crate) fn open(&self, runtime: &Handle) -> std::result::Result<Arc<dyn Backend>, Failure> {
        match self {
            Self::File(path) => {
                let store = Embedded::open(path, embedded::Settings::default())
                    .map_err(|error| Failure::setup(crate::chain(&error)))?;
                Ok(Arc::new(store))
            }
            Self::CouchDb(url) => {
                let settings = couchdb::Settings::new(url.clone());
                let store = Client::on_runtime(settings, runtime.clone())
                    .map_err(|error| Failure::setup(crate::chain(&error)))?;
                Ok(Arc::new(store))
            }
        }
    }
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "sqlite:{}", path.display()),
            // It shows no credentials.
            Self::CouchDb(url) => write!(f, "{url}"),
        }
    }
}
