//! A CouchDB that the replays may use.

use std::collections::BTreeSet;

use crate::http_client::{address_and_authorization, send};

/// A CouchDB that the tests may use, as the operator of the tests says.
pub(super) struct CouchDb {
    address: std::net::SocketAddr,
    authorization: (String, String),
}

/// The database that marks a CouchDB as one that these tests have used before.
const MARKER: &str = "crossbar_groups_conformance";

impl CouchDb {
    pub(super) fn new(url: &str) -> Self {
        let (address, authorization) = address_and_authorization(url);
        Self { address, authorization }
    }

    fn ask(&self, method: &str, db: &str) -> u16 {
        let target = format!("/{}", db.replace('/', "%2F"));
        send(self.address, method, &target, std::slice::from_ref(&self.authorization), b"").status
    }

    /// Deletes the recordings' databases, where they are ours to delete.
    pub(super) fn make_room(&self, databases: &BTreeSet<String>) {
        if self.ask("HEAD", MARKER) != 200 {
            for db in databases {
                let status = self.ask("HEAD", db);
                assert_eq!(
                    status, 404,
                    "this CouchDB has a database {db} that these tests did not make; give them an empty one"
                );
            }
            assert_eq!(self.ask("PUT", MARKER), 201);
        }
        for db in databases {
            let status = self.ask("DELETE", db);
            assert!(matches!(status, 200 | 202 | 404), "{db} was not deleted: {status}");
        }
    }
}
