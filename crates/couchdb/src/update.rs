//! Changing a document whatever its newest revision is, against others who do the same.

use datastore::{DbName, Deadline, DocId, Draft, Rev};
use reqwest::Method;
use serde_json::{Map, Value};
use tokio::time::sleep;

use crate::client::{Ask, doc_path};
use crate::error::About;
use crate::{Client, Error};

impl Client {
    /// How often [`Client::update_with`] reads and writes before it gives up.
    pub const UPDATE_ATTEMPTS: u32 = 8;

    /// Reads a document, lets `change` change it, writes it back; where somebody else was faster, reads it
    /// again and applies `change` to that, at most [`Client::UPDATE_ATTEMPTS`] times.
    ///
    /// # Errors
    /// `Missing` or `Deleted` where nothing is there, `Conflict` after the last attempt.
    pub async fn update_with(
        &self,
        db: &DbName,
        id: &DocId,
        deadline: Deadline,
        mut change: impl FnMut(&mut Map<String, Value>),
    ) -> Result<Rev, Error> {
        let read = self.call(&Ask::read(Method::GET, doc_path(db, id)?, About::Document));
        let mut attempt = 1;
        loop {
            let doc = self.fetch(db, id, deadline).await?;
            let mut body = doc.to_object().map_err(|error| Error::unreadable(&read, error))?;
            change(&mut body);
            let draft = Draft { id: id.clone(), base: Some(doc.rev().clone()), body };
            match self.save(db, draft, deadline).await {
                Err(error) if error.is_conflict() && attempt < Self::UPDATE_ATTEMPTS => {
                    // The jitter parts writers that would otherwise meet again.
                    sleep(self.settings().read_backoff.delay(attempt) / 4).await;
                    attempt += 1;
                }
                done => return done,
            }
        }
    }
}
