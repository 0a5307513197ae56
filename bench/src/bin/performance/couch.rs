//! A CouchDB that is asked directly, as the limit for a server on it.

use bench::client::request;
use bench::direct::Direct;
use bench::server::Account;
use bench::{id, random_id};
use plain_http::Answer;
use serde_json::{Map, Value, json};

use bench::load::Step;

/// A CouchDB, and the accounts in it.
pub struct Couch {
    pub direct: Direct,
    pub read: Account,
    pub write: Account,
}

impl Couch {
    pub fn new(url: &str, read: &Account, write: &Account) -> Self {
        Self { direct: Direct::new(url), read: read.clone(), write: write.clone() }
    }

    /// Asks once.
    pub fn get(&self, path: &str) -> Answer {
        self.direct.open().answer(&request("GET", path, &self.direct.authorization, ""))
    }

    /// The steps of a client that writes what the server writes: new documents with random ids, or its own
    /// document again. (Ids that CouchDB makes are in order, so it stores them more cheaply.)
    pub fn write(&self, is_new: bool, client: usize) -> Step {
        let (authorization, db) = (self.direct.authorization.clone(), self.write.db_path());
        let path = format!("{db}/{}", id(client + 1));
        let mut connection = self.direct.open();
        let stored = connection.answer(&request("GET", &path, &authorization, ""));
        let mut doc: Map<String, Value> = serde_json::from_slice(&stored.body).expect("a document");
        if is_new {
            doc.remove("_id");
            doc.remove("_rev");
        }
        let mut count = 0;
        Box::new(move || {
            count += 1;
            doc.insert("n".to_owned(), json!(count));
            let text = serde_json::to_string(&doc).expect("JSON");
            let path = if is_new { format!("{db}/{}", random_id()) } else { path.clone() };
            let answer = connection.answer(&request("PUT", &path, &authorization, &text));
            assert!(matches!(answer.status, 201 | 202), "{path}: {answer:?}");
            if !is_new {
                let told: Value = serde_json::from_slice(&answer.body).expect("JSON");
                doc.insert("_rev".to_owned(), told["rev"].clone());
            }
            true
        })
    }
}
