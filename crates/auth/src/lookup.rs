//! Reads of what tokens are checked with, remembered for a short while: keys, secrets, accounts and
//! configuration. Whatever changes in the store counts within [`REMEMBERED`].

use std::sync::Arc;
use std::time::Duration;

use datastore::{AccountId, Backend, DbName, Deadline, DocId, Document, Result, StoreError};
use futures::future;
use moka::sync::Cache;
use serde_json::{Map, Value};

use crate::account::{Account, is_true};
use crate::config::Config;
use crate::key::{SigningKey, VerifyingKey};
use crate::secret::Secret;

/// How long what was read counts.
const REMEMBERED: Duration = Duration::from_secs(60);

/// How many of each kind are remembered.
const CAPACITY: u64 = 10_000;

/// The attachment that holds a key.
const KEY_ATTACHMENT: &str = "private_key.pem";

/// Reads with a memory. What is absent is remembered too, so that asking for it costs little.
pub(crate) struct Lookup {
    store: Arc<dyn Backend>,
    /// The sections of configuration documents that count before `default`.
    places: [Option<String>; 2],
    keys: Cache<String, Option<Arc<VerifyingKey>>>,
    identities: Cache<(AccountId, String), Option<Arc<Secret>>>,
    accounts: Cache<AccountId, Option<Arc<Account>>>,
    configs: Cache<&'static str, Arc<Config>>,
    documents: Cache<(AccountId, String), Option<Arc<Map<String, Value>>>>,
}

fn cache<K: std::hash::Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static>() -> Cache<K, V> {
    Cache::builder().max_capacity(CAPACITY).time_to_live(REMEMBERED).build()
}

impl Lookup {
    pub(crate) fn new(store: Arc<dyn Backend>, node: Option<String>, zone: Option<String>) -> Self {
        Self {
            store,
            places: [node, zone],
            keys: cache(),
            identities: cache(),
            accounts: cache(),
            configs: cache(),
            documents: cache(),
        }
    }

    pub(crate) fn store(&self) -> &dyn Backend {
        &*self.store
    }

    /// The key of that id. An id that cannot name a document names no key.
    pub(crate) async fn key(&self, kid: &str, deadline: Deadline) -> Result<Option<Arc<VerifyingKey>>> {
        if let Some(known) = self.keys.get(kid) {
            return Ok(known);
        }
        let key = match self.signing_key(kid, deadline).await? {
            Some(key) => Some(Arc::new(key.verifying_key())),
            None => None,
        };
        self.keys.insert(kid.to_owned(), key.clone());
        Ok(key)
    }

    /// The key of that id, if it is remembered right now.
    pub(crate) fn remembered_key(&self, kid: &str) -> Option<Arc<VerifyingKey>> {
        self.keys.get(kid).flatten()
    }

    /// The whole key of that id, never remembered.
    pub(crate) async fn signing_key(&self, kid: &str, deadline: Deadline) -> Result<Option<SigningKey>> {
        let Ok(id) = DocId::parse(kid) else { return Ok(None) };
        let db = system_db("system_auth")?;
        let document = self.store.fetch(&db, &id, deadline);
        let attachment = self.store.fetch_attachment(&db, &id, KEY_ATTACHMENT, deadline);
        let (document, attachment) = future::join(document, attachment).await;
        let (Some(document), Some(pem)) = (if_found(document)?, if_found(attachment)?) else { return Ok(None) };
        if is_deleted(&document.to_object()?) {
            return Ok(None);
        }
        match SigningKey::from_pem(&pem) {
            Ok(key) => Ok(Some(key)),
            Err(error) => {
                log::warn!(kid = kid; "a stored key cannot be used: {error}");
                Ok(None)
            }
        }
    }

    /// The secret of an identity: a user, device or account that is not deleted.
    pub(crate) async fn identity_secret(
        &self,
        account_id: &AccountId,
        identity: &str,
        deadline: Deadline,
    ) -> Result<Option<Arc<Secret>>> {
        let key = (account_id.clone(), identity.to_owned());
        if let Some(known) = self.identities.get(&key) {
            return Ok(known);
        }
        let members = self.read(&account_id.db(), identity, deadline).await?;
        let secret = members.as_ref().and_then(|members| members.get("pvt_signature_secret")?.as_str());
        let secret = secret.filter(|secret| !secret.is_empty()).map(|secret| Arc::new(Secret::new(secret)));
        self.identities.insert(key, secret.clone());
        Ok(secret)
    }

    /// The secret of an identity, if it is remembered right now.
    pub(crate) fn remembered_secret(&self, account_id: &AccountId, identity: &str) -> Option<Arc<Secret>> {
        self.identities.get(&(account_id.clone(), identity.to_owned())).flatten()
    }

    /// An account, deleted or not.
    pub(crate) async fn account(&self, id: &AccountId, deadline: Deadline) -> Result<Option<Arc<Account>>> {
        if let Some(known) = self.accounts.get(id) {
            return Ok(known);
        }
        let document = if_found(self.store.fetch(&id.db(), &id.doc_id(), deadline).await)?;
        let account = document.map(|document| Account::read(id.clone(), &document).map(Arc::new)).transpose()?;
        self.accounts.insert(id.clone(), account.clone());
        Ok(account)
    }

    /// A configuration document; an absent one says nothing.
    pub(crate) async fn config(&self, name: &'static str, deadline: Deadline) -> Result<Arc<Config>> {
        if let Some(known) = self.configs.get(name) {
            return Ok(known);
        }
        let members = self.read(&system_db("system_config")?, name, deadline).await?.unwrap_or_default();
        let places = [self.places[0].as_deref(), self.places[1].as_deref()];
        let config = Arc::new(Config::read(members, &places));
        self.configs.insert(name, Arc::clone(&config));
        Ok(config)
    }

    /// A configuration document, if it is remembered right now.
    pub(crate) fn remembered_config(&self, name: &'static str) -> Option<Arc<Config>> {
        self.configs.get(name)
    }

    /// A document of an account's database, remembered; none where it is absent or deleted.
    pub(crate) async fn document(
        &self,
        account_id: &AccountId,
        id: &str,
        deadline: Deadline,
    ) -> Result<Option<Arc<Map<String, Value>>>> {
        let key = (account_id.clone(), id.to_owned());
        if let Some(known) = self.documents.get(&key) {
            return Ok(known);
        }
        let members = self.read(&account_id.db(), id, deadline).await?.map(Arc::new);
        self.documents.insert(key, members.clone());
        Ok(members)
    }

    /// A document as it is stored now; none where it is absent or deleted.
    pub(crate) async fn read(&self, db: &DbName, id: &str, deadline: Deadline) -> Result<Option<Map<String, Value>>> {
        let Ok(id) = DocId::parse(id) else { return Ok(None) };
        let Some(document) = if_found(self.store.fetch(db, &id, deadline).await)? else { return Ok(None) };
        let members = Document::to_object(&document)?;
        Ok(if is_deleted(&members) { None } else { Some(members) })
    }
}

/// A system database, whose name is a constant.
pub(crate) fn system_db(name: &'static str) -> Result<DbName> {
    DbName::parse(name).map_err(|error| StoreError::Invalid(datastore::Cause::with_source(name, error)))
}

/// What is not there is no failure.
pub(crate) fn if_found<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_deleted(members: &Map<String, Value>) -> bool {
    members.get("pvt_deleted").is_some_and(is_true)
}
