//! Logging out. A token stays valid until it expires, so this program records the tokens that were logged
//! out. It records their digests, never the tokens, in its own database. Kazoo itself records no logouts.

use datastore::{Deadline, Draft, Result, StoreError, ViewQuery, if_found};
use futures::StreamExt as _;
use kazoo::{Time, member};
use serde_json::{Map, Value, json};

use crate::directory::{Directory, own_db};
use crate::verify::{Expiry, Jwt, LOGGED_OUT_PREFIX, TokenDigest};

/// How long a record is kept after its token has expired, in seconds. Clocks may differ by less than this.
const PURGE_MARGIN: f64 = 3_600.0;

/// The kind of a record of a logout. Kazoo has no such documents.
const RECORD_KIND: &str = "logged_out_token";

/// Records that a token was logged out.
pub(super) async fn record(directory: &Directory, token: &str, deadline: Deadline) -> Result<()> {
    let expiry = Jwt::parse(token).ok().and_then(|jwt| jwt.claims.expiry().ok());
    let mut body = Map::new();
    body.insert(member::TYPE.to_owned(), json!(RECORD_KIND));
    if let Some(Expiry::At(end)) = expiry {
        body.insert("expires_at".to_owned(), json!(end));
    }
    let draft = Draft { id: TokenDigest::of(token).logged_out_id(), base: None, body };
    let store = directory.store();
    let saved = match store.save(own_db(), draft.clone(), deadline).await {
        Err(StoreError::DatabaseMissing(_)) => {
            store.create_db(own_db(), deadline).await?;
            store.save(own_db(), draft, deadline).await
        }
        saved => saved,
    };
    match saved {
        // A conflict means that the logout was recorded before.
        Err(error) if !error.is_conflict() => Err(error),
        _ => Ok(()),
    }
}

/// Deletes the records of expired tokens. Returns how many it deleted.
pub(super) async fn purge(directory: &Directory, deadline: Deadline) -> Result<usize> {
    let (db, store, now) = (own_db(), directory.store(), Time::now());
    let query = ViewQuery { include_docs: true, ..ViewQuery::all_docs() };
    let Some(mut rows) = if_found(store.query(db, query, deadline).await)? else { return Ok(0) };
    let mut purged = 0;
    while let Some(row) = rows.next().await {
        let is_record = |id: &str| id.starts_with(LOGGED_OUT_PREFIX);
        let Some(document) = row?.doc.filter(|document| is_record(document.id().as_str())) else {
            continue;
        };
        let end = document.to_object()?.get("expires_at").and_then(Value::as_f64);
        if end.is_some_and(|end| Expiry::At(end + PURGE_MARGIN).is_over(now)) {
            match store.delete(db, document.id(), document.rev(), deadline).await {
                Ok(_) => purged += 1,
                // Another process deleted it first.
                Err(StoreError::Conflict(_)) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(purged)
}
