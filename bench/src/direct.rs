//! A CouchDB that is asked directly.

use std::net::{SocketAddr, ToSocketAddrs as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::client::Connection;

/// Where a CouchDB is, and the credentials for it.
pub struct Direct {
    pub address: SocketAddr,
    /// The header line with the credentials.
    pub authorization: String,
}

impl Direct {
    /// From a URL with credentials, `http://user:password@host:port`.
    #[must_use]
    pub fn new(url: &str) -> Self {
        let rest = url.strip_prefix("http://").expect("an http URL").trim_end_matches('/');
        let (credentials, host) = rest.rsplit_once('@').expect("a URL with credentials");
        let mut addresses = host.to_socket_addrs().expect("the host has an address");
        let authorization = format!("Authorization: Basic {}", STANDARD.encode(credentials));
        Self { address: addresses.next().expect("an address"), authorization }
    }

    /// Opens a connection.
    #[must_use]
    pub fn open(&self) -> Connection {
        Connection::open(self.address)
    }
}
