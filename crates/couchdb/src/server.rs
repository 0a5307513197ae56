//! The server as a whole: what it is, and whether it serves.

use datastore::Deadline;
use reqwest::Method;
use serde_json::{Map, Value};

use crate::client::Ask;
use crate::error::About;
use crate::{Client, Error};

/// What a server says of itself at `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// Its version, `3.4.2`.
    pub version: String,
    /// Its maker's name, where it gives one.
    pub vendor: Option<String>,
}

impl Client {
    /// What the server is.
    ///
    /// # Errors
    /// `Unreadable` where something else than CouchDB answers.
    pub async fn server_info(&self, deadline: Deadline) -> Result<ServerInfo, Error> {
        let ask = Ask::read(Method::GET, "/".to_owned(), About::Database);
        let info: Map<String, Value> = self.ask_json(&ask, deadline).await?;
        let version = info.get("version").and_then(Value::as_str);
        let (Some(_), Some(version)) = (info.get("couchdb"), version) else {
            return Err(Error::unreadable(&self.call(&ask), "this is no CouchDB"));
        };
        let vendor = info.get("vendor").and_then(|vendor| vendor.get("name")).and_then(Value::as_str);
        Ok(ServerInfo { version: version.to_owned(), vendor: vendor.map(str::to_owned) })
    }

    /// Whether the server serves (`/_up`): a node in maintenance, or a cluster that is just starting,
    /// answers but does not.
    ///
    /// # Errors
    /// Everything else than yes.
    pub async fn up(&self, deadline: Deadline) -> Result<(), Error> {
        let ask = Ask::read(Method::GET, "/_up".to_owned(), About::Database);
        self.send_whole(&ask, deadline).await.map(|_| ())
    }
}
