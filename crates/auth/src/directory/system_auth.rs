//! Reads signing keys and bearer documents from the database `system_auth`.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use datastore::{Backend, Cause, Deadline, DocId, Document, Result, StoreError, if_found};
use futures::future;
use kazoo::{SystemDb, is_deleted, member};

use super::doc_key::DocKey;
use super::key::{SigningKey, VerifyingKey};
use super::memory::{EpochOf, Lifetimes, Memory};
use super::unknown_ids::{UnknownIds, load_ids};

/// The attachment that holds a key.
pub(crate) const KEY_ATTACHMENT: &str = "private_key.pem";

/// How many keys are cached. A cluster has a handful.
const MAX_KEYS: u64 = 10_000;

/// Reads `system_auth`. It caches only the public halves of keys.
pub(crate) struct SystemAuth {
    store: Arc<dyn Backend>,
    keys: Memory<DocKey, Arc<VerifyingKey>>,
    unknown_ids: UnknownIds,
    /// The ids in the database, unless they are too many.
    ids: Memory<(), Arc<HashSet<DocId>>>,
}

impl SystemAuth {
    pub(super) fn new(store: Arc<dyn Backend>, lifetimes: Lifetimes) -> Self {
        let short = Lifetimes { present: lifetimes.absent, ..lifetimes };
        Self {
            keys: Memory::new(lifetimes, MAX_KEYS, |_, _| 1, epoch_of(&store)),
            unknown_ids: UnknownIds::new(),
            ids: Memory::new(short, 1, |(), _| 1, epoch_of(&store)),
            store,
        }
    }

    /// Reads the key with this id through the cache. `None` if the id is invalid.
    pub(crate) async fn key(&self, kid: &str, deadline: Deadline) -> Result<Option<Arc<VerifyingKey>>> {
        let load = async {
            let Ok(id) = DocId::parse(kid) else { return Ok(None) };
            if !self.may_hold(&id, deadline).await? {
                return Ok(None);
            }
            let db = SystemDb::SystemAuth.name();
            // The document is read before the attachment, so that a made-up id costs one read.
            let Some(document) = if_found(self.store.fetch(db, &id, deadline).await)? else {
                return Ok(None);
            };
            let pem = self.store.fetch_attachment(db, &id, KEY_ATTACHMENT, deadline).await;
            let key = read_key(kid, &document, if_found(pem)?)?;
            Ok(key.map(|key| Arc::new(key.verifying_key())))
        };
        self.keys.recall_or(DocKey::of_system(SystemDb::SystemAuth, kid), load).await
    }

    /// The key with this id, if it is in the cache.
    pub(crate) fn remembered_key(&self, kid: &str) -> Option<Arc<VerifyingKey>> {
        self.keys.recall(&DocKey::of_system(SystemDb::SystemAuth, kid))?
    }

    /// Drops the key of a document from the cache.
    pub(super) fn forget(&self, id: &DocId) {
        // The list of ids is a few seconds old at most, and it is dear to read.
        self.keys.forget(&DocKey::of_system(SystemDb::SystemAuth, id.as_str()));
    }

    /// Drops everything from the cache.
    pub(super) fn forget_all(&self) {
        self.keys.forget_where(|_| true);
        self.ids.forget(&());
    }

    /// Reads the private key with this id. It is never cached.
    pub(crate) async fn signing_key(&self, kid: &str, deadline: Deadline) -> Result<Option<SigningKey>> {
        load_signing_key(&*self.store, kid, deadline).await
    }

    /// Reads a bearer document from the store. Its id is a secret, so it is sent in the request's body.
    /// Errors show the URL, but not the body.
    pub(super) async fn load_bearer(&self, id: &str, deadline: Deadline) -> Result<Option<Document>> {
        let Ok(id) = DocId::parse(id) else { return Ok(None) };
        if !self.may_hold(&id, deadline).await? {
            return Ok(None);
        }
        let found = self.store.fetch_many(SystemDb::SystemAuth.name(), &[id], deadline).await;
        let found = if_found(found)?.into_iter().flatten().next();
        Ok(found.map(if_found).transpose()?.flatten())
    }

    /// Whether the database may hold a document with this id. Without this check, made-up ids would cost
    /// reads.
    async fn may_hold(&self, id: &DocId, deadline: Deadline) -> Result<bool> {
        if self.unknown_ids.allow() {
            return Ok(true);
        }
        let load = async { Ok(load_ids(&*self.store, deadline).await?.map(Arc::new)) };
        let known = self.ids.recall_or((), load).await?;
        Ok(known.is_none_or(|ids| ids.contains(id)))
    }
}

/// The epoch of `system_auth`, if the store tells it.
fn epoch_of<K>(store: &Arc<dyn Backend>) -> EpochOf<K> {
    let store = Arc::clone(store);
    Box::new(move |_| store.epoch(SystemDb::SystemAuth.name()))
}

/// Reads the private key with this id.
pub(crate) async fn load_signing_key(
    store: &dyn Backend,
    kid: &str,
    deadline: Deadline,
) -> Result<Option<SigningKey>> {
    let Ok(id) = DocId::parse(kid) else { return Ok(None) };
    let db = SystemDb::SystemAuth.name();
    let document = store.fetch(db, &id, deadline);
    let pem = store.fetch_attachment(db, &id, KEY_ATTACHMENT, deadline);
    let (document, pem) = future::join(document, pem).await;
    match if_found(document)? {
        Some(document) => read_key(kid, &document, if_found(pem)?),
        None => Ok(None),
    }
}

/// Parses the key in a document's attachment. A deleted document has no key. An unreadable key is `Corrupt`.
fn read_key(kid: &str, document: &Document, pem: Option<Bytes>) -> Result<Option<SigningKey>> {
    let Some(pem) = pem else { return Ok(None) };
    if is_deleted(&document.parse_members(|name| name == member::DELETED)?) {
        return Ok(None);
    }
    // The key may be damaged, in the store or on its way. Then the token may still be good.
    SigningKey::from_pem(&pem).map(Some).map_err(|error| {
        let reason =
            format!("the key {kid} cannot be used: restore the document in system_auth from a backup");
        StoreError::Corrupt(Cause::with_source(reason, error))
    })
}
