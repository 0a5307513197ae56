//! Logging out. A token is good by itself until it ends, so what was given back must be remembered: in a
//! database of this program's own, by digest, never the token. Kazoo itself forgets nothing of a token
//! that is given back.

use datastore::{Cause, DbName, Deadline, DocId, Draft, Result, StoreError, ViewQuery, hex};
use futures::StreamExt as _;
use kazoo::Time;
use serde_json::{Map, Value, json};

use crate::authenticator::{Authenticator, token_digest};
use crate::claims::Expiry;
use crate::jwt::Jwt;
use crate::lookup::if_found;

/// The database that is this program's own.
const OWN_DB: &str = "crossbar_groups";

/// What the ids of logged-out tokens begin with.
const PREFIX: &str = "logged_out-";

/// How long past its end a token is remembered, in seconds: not all clocks are the same.
const PURGE_MARGIN: f64 = 3_600.0;

impl Authenticator {
    /// Makes a token count no more: here at once, in other processes on the same store as soon as they
    /// have forgotten that they verified it.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn log_out(&self, token: &str, deadline: Deadline) -> Result<()> {
        let expiry = Jwt::parse(token).ok().and_then(|jwt| jwt.claims.expiry().ok());
        let mut body = Map::new();
        body.insert("pvt_type".to_owned(), json!("logged_out_token"));
        if let Some(Expiry::At(end)) = expiry {
            body.insert("expires_at".to_owned(), json!(end));
        }
        let digest = token_digest(token);
        let (db, draft) = (own_db()?, Draft { id: doc_id(&digest), base: None, body });
        let store = self.lookup.store();
        let saved = match store.save(&db, draft.clone(), deadline).await {
            Err(StoreError::DatabaseMissing(_)) => {
                store.create_db(&db, deadline).await?;
                store.save(&db, draft, deadline).await
            }
            saved => saved,
        };
        match saved {
            // The token still counts, so that its bearer can try once more.
            Err(error) if !error.is_conflict() => Err(error),
            _ => {
                self.end(digest);
                Ok(())
            }
        }
    }

    /// Whether a token was logged out. Only asked when a token is verified anew.
    pub(crate) async fn is_logged_out(&self, digest: [u8; 32], deadline: Deadline) -> Result<bool> {
        self.lookup.is_logged_out(digest, (own_db()?, doc_id(&digest)), deadline).await
    }

    /// Forgets the logged-out tokens that have ended by now, and answers how many those were.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn purge_logged_out(&self, deadline: Deadline) -> Result<usize> {
        let (db, store, now) = (own_db()?, self.lookup.store(), Time::now());
        let query = ViewQuery { include_docs: true, ..ViewQuery::all_docs() };
        let Some(mut rows) = if_found(store.query(&db, query, deadline).await)? else { return Ok(0) };
        let mut purged = 0;
        while let Some(row) = rows.next().await {
            let Some(document) = row?.doc.filter(|document| document.id().as_str().starts_with(PREFIX))
            else {
                continue;
            };
            let end = document.to_object()?.get("expires_at").and_then(Value::as_f64);
            if end.is_some_and(|end| Expiry::At(end + PURGE_MARGIN).is_over(now)) {
                match store.delete(&db, document.id(), document.rev(), deadline).await {
                    Ok(_) => purged += 1,
                    // Another process was faster.
                    Err(StoreError::Conflict(_)) => {}
                    Err(error) if error.is_not_found() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(purged)
    }
}

fn own_db() -> Result<DbName> {
    DbName::parse(OWN_DB).map_err(|error| StoreError::Invalid(Cause::with_source(OWN_DB, error)))
}

fn doc_id(digest: &[u8; 32]) -> DocId {
    DocId::from_store(format!("{PREFIX}{}", hex(digest)))
}
