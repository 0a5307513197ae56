//! Reads of `system_auth`: signing keys and bearer documents.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use datastore::{Backend, Deadline, DocId, Document, Result};
use futures::future;
use kazoo::{SystemDb, is_deleted};

use super::doc_key::DocKey;
use super::found::if_found;
use super::guesses::{Guesses, load_ids};
use super::key::{SigningKey, VerifyingKey};
use super::memory::{Lifetimes, Memory};

/// The attachment that holds a key.
const KEY_ATTACHMENT: &str = "private_key.pem";

/// How many verified keys are remembered. A cluster has a handful.
const MAX_KEYS: u64 = 10_000;

/// Reads of `system_auth`. Only public halves of keys are remembered.
pub(crate) struct SystemAuth {
    store: Arc<dyn Backend>,
    keys: Memory<DocKey, Arc<VerifyingKey>>,
    guesses: Guesses,
    /// The ids in the database, while they are few.
    ids: Memory<(), Arc<HashSet<DocId>>>,
}

impl SystemAuth {
    pub(super) fn new(store: Arc<dyn Backend>, lifetimes: Lifetimes) -> Self {
        Self {
            store,
            keys: Memory::new(lifetimes, MAX_KEYS, |_, _| 1),
            guesses: Guesses::new(),
            ids: Memory::new(Lifetimes { present: lifetimes.absent, ..lifetimes }, 1, |(), _| 1),
        }
    }

    /// The key of that id, remembered. An id that cannot name a document names no key.
    pub(crate) async fn key(&self, kid: &str, deadline: Deadline) -> Result<Option<Arc<VerifyingKey>>> {
        let load = async {
            let Ok(id) = DocId::parse(kid) else { return Ok(None) };
            if !self.may_hold(&id, deadline).await? {
                return Ok(None);
            }
            let db = SystemDb::SystemAuth.name();
            // One after the other, so that a made-up id costs one read.
            let Some(document) = if_found(self.store.fetch(db, &id, deadline).await)? else {
                return Ok(None);
            };
            let pem = self.store.fetch_attachment(db, &id, KEY_ATTACHMENT, deadline).await;
            let key = read_key(kid, &document, if_found(pem)?)?;
            Ok(key.map(|key| Arc::new(key.verifying_key())))
        };
        self.keys.recall_or(DocKey::of_system(SystemDb::SystemAuth, kid), load).await
    }

    /// The key of that id, if it is remembered now.
    pub(crate) fn remembered_key(&self, kid: &str) -> Option<Arc<VerifyingKey>> {
        self.keys.recall(&DocKey::of_system(SystemDb::SystemAuth, kid))?
    }

    /// The whole key of that id. It is never remembered.
    pub(crate) async fn signing_key(&self, kid: &str, deadline: Deadline) -> Result<Option<SigningKey>> {
        let Ok(id) = DocId::parse(kid) else { return Ok(None) };
        let db = SystemDb::SystemAuth.name();
        let document = self.store.fetch(db, &id, deadline);
        let pem = self.store.fetch_attachment(db, &id, KEY_ATTACHMENT, deadline);
        let (document, pem) = future::join(document, pem).await;
        match if_found(document)? {
            Some(document) => read_key(kid, &document, if_found(pem)?),
            None => Ok(None),
        }
    }

    /// A bearer document as it is stored now. Its id is a secret, so it travels to the store in a body, where
    /// no failure shows it.
    pub(super) async fn load_bearer(&self, id: &str, deadline: Deadline) -> Result<Option<Document>> {
        let Ok(id) = DocId::parse(id) else { return Ok(None) };
        if !self.may_hold(&id, deadline).await? {
            return Ok(None);
        }
        let found = self.store.fetch_many(SystemDb::SystemAuth.name(), &[id], deadline).await;
        let found = if_found(found)?.into_iter().flatten().next();
        Ok(found.map(if_found).transpose()?.flatten())
    }

    /// Whether it is worth asking the database for a document of that id.
    async fn may_hold(&self, id: &DocId, deadline: Deadline) -> Result<bool> {
        if self.guesses.allow() {
            return Ok(true);
        }
        let load = async { Ok(load_ids(&*self.store, deadline).await?.map(Arc::new)) };
        let known = self.ids.recall_or((), load).await?;
        Ok(known.is_none_or(|ids| ids.contains(id)))
    }
}

/// The key that a document holds in its attachment.
fn read_key(kid: &str, document: &Document, pem: Option<Bytes>) -> Result<Option<SigningKey>> {
    let Some(pem) = pem else { return Ok(None) };
    if is_deleted(&document.to_object()?) {
        return Ok(None);
    }
    let key = SigningKey::from_pem(&pem);
    Ok(key.inspect_err(|error| log::warn!(kid = kid; "a stored key cannot be used: {error}")).ok())
}
