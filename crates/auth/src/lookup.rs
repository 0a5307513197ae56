//! Reads of what tokens are checked with, remembered for a short while: keys, identities, accounts and
//! configuration. Whatever changes in the store counts once the memory of it ends.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use datastore::{Backend, DbName, Deadline, DocId, Document, Result, ViewQuery};
use futures::{TryStreamExt as _, future};
use kazoo::term::is_true;
use kazoo::{AccountId, Config, Kind, Place, SystemDb, is_deleted};
use serde_json::{Map, Value};

use crate::account::Account;
use crate::authenticator::Settings;
use crate::buckets::{Buckets, Client};
use crate::encoding::sha256;
use crate::key::{SigningKey, VerifyingKey};
use crate::memory::{Lifetimes, Memory};
use crate::rate_limits::RateLimits;
use crate::secret::Secret;

/// The attachment that holds a key.
const KEY_ATTACHMENT: &str = "private_key.pem";

/// How many ids of `system_auth` are held. Kazoo keeps its keys there, and what people have linked.
const MAX_AUTH_IDS: u64 = 10_000;

/// Guesses are counted of all together: whoever guesses has many addresses.
const ANYBODY: Client = Client { address: None, account_id: None };

/// Reads with a memory.
pub(crate) struct Lookup {
    store: Arc<dyn Backend>,
    /// The sections of configuration documents that count before `default`.
    place: Place,
    keys: Memory<String, Arc<VerifyingKey>>,
    /// How many ids of `system_auth` may be asked for without a look at which there are.
    guesses: Buckets,
    guess_limits: RateLimits,
    /// The ids in `system_auth`, while they are few.
    auth_ids: Memory<(), Arc<HashSet<DocId>>>,
    /// By the SHA-256 of their ids, which are secrets.
    bearers: Memory<[u8; 32], Arc<Map<String, Value>>>,
    identities: Memory<(AccountId, String), Arc<Identity>>,
    accounts: Memory<AccountId, Arc<Account>>,
    configs: Memory<&'static str, Arc<Config>>,
    documents: Memory<(AccountId, &'static str), Arc<Map<String, Value>>>,
    resellers: Memory<AccountId, ()>,
    descendants: Memory<(AccountId, AccountId), ()>,
    logged_out: Memory<[u8; 32], ()>,
    pub(crate) rate_limits: Memory<(), Arc<RateLimits>>,
}

/// What a user, device or account that is not deleted says about tokens in its name.
pub(crate) struct Identity {
    pub(crate) secret: Option<Secret>,
    pub(crate) priv_level: Option<String>,
    pub(crate) language: Option<String>,
}

impl Identity {
    fn read(members: &Map<String, Value>) -> Self {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        Self {
            secret: text("pvt_signature_secret").filter(|secret| !secret.is_empty()).map(Secret::new),
            priv_level: text("priv_level").map(str::to_owned),
            language: text("language").map(str::to_owned),
        }
    }
}

impl Lookup {
    pub(crate) fn new(store: Arc<dyn Backend>, settings: &Settings) -> Self {
        let lifetimes = Lifetimes { present: settings.remember_for, absent: settings.remember_absence_for };
        Self {
            store,
            place: settings.place.clone(),
            keys: Memory::new(lifetimes),
            guesses: Buckets::default(),
            guess_limits: RateLimits::default(),
            auth_ids: Memory::new(Lifetimes { present: lifetimes.absent, ..lifetimes }),
            bearers: Memory::new(lifetimes),
            identities: Memory::new(lifetimes),
            accounts: Memory::new(lifetimes),
            configs: Memory::new(lifetimes),
            documents: Memory::new(lifetimes),
            resellers: Memory::new(lifetimes),
            descendants: Memory::new(lifetimes),
            logged_out: Memory::new(lifetimes),
            rate_limits: Memory::new(lifetimes),
        }
    }

    pub(crate) fn store(&self) -> &dyn Backend {
        &*self.store
    }

    /// The key of that id. An id that cannot name a document names no key.
    pub(crate) async fn key(&self, kid: &str, deadline: Deadline) -> Result<Option<Arc<VerifyingKey>>> {
        let load = async {
            let Ok(id) = DocId::parse(kid) else { return Ok(None) };
            if !self.may_hold(&id, deadline).await? {
                return Ok(None);
            }
            let db = SystemDb::SystemAuth.name();
            // One after the other: an id that somebody has made up costs one read.
            let Some(document) = if_found(self.store.fetch(db, &id, deadline).await)? else {
                return Ok(None);
            };
            let pem = self.store.fetch_attachment(db, &id, KEY_ATTACHMENT, deadline).await;
            let key = read_key(kid, &document, if_found(pem)?)?;
            Ok(key.map(|key| Arc::new(key.verifying_key())))
        };
        self.keys.recall_or(kid.to_owned(), load).await
    }

    /// Whether it is worth asking `system_auth` for a document of that id. As long as few are asked for, it
    /// is, so that a new key counts at once. Beyond that it is where there was one a moment ago, or too many
    /// to tell: so made-up ids of keys and bearers cost next to nothing, however many they are.
    async fn may_hold(&self, id: &DocId, deadline: Deadline) -> Result<bool> {
        let load = async {
            let query = ViewQuery { limit: Some(MAX_AUTH_IDS + 1), ..ViewQuery::all_docs() };
            let rows = if_found(self.store.query(SystemDb::SystemAuth.name(), query, deadline).await)?;
            let rows: Vec<_> = match rows {
                Some(rows) => rows.try_collect().await?,
                None => Vec::new(),
            };
            let are_few = u64::try_from(rows.len()).is_ok_and(|count| count <= MAX_AUTH_IDS);
            Ok(are_few.then(|| Arc::new(rows.into_iter().map(|row| row.id).collect::<HashSet<_>>())))
        };
        if self.guesses.charge(&ANYBODY, 1, &self.guess_limits, Instant::now()).is_ok() {
            return Ok(true);
        }
        let known = self.auth_ids.recall_or((), load).await?;
        Ok(known.is_none_or(|ids| ids.contains(id)))
    }

    /// An account, if it is remembered right now.
    pub(crate) fn remembered_account(&self, id: &AccountId) -> Option<Arc<Account>> {
        self.accounts.recall(id)
    }

    /// The key of that id, if it is remembered right now.
    pub(crate) fn remembered_key(&self, kid: &str) -> Option<Arc<VerifyingKey>> {
        self.keys.recall(&kid.to_owned())
    }

    /// The whole key of that id, never remembered.
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

    /// An identity: a user, device or account that is not deleted.
    pub(crate) async fn identity(
        &self,
        account_id: &AccountId,
        id: &str,
        deadline: Deadline,
    ) -> Result<Option<Arc<Identity>>> {
        // What cannot name a document is not worth remembering.
        if DocId::parse(id).is_err() {
            return Ok(None);
        }
        let load = self.load_identity(account_id, id, deadline);
        self.identities.recall_or((account_id.clone(), id.to_owned()), load).await
    }

    /// An identity as it is stored now.
    pub(crate) async fn load_identity(
        &self,
        account_id: &AccountId,
        id: &str,
        deadline: Deadline,
    ) -> Result<Option<Arc<Identity>>> {
        let members = self.read(&account_id.db(), id, deadline).await?;
        Ok(members.map(|members| Arc::new(Identity::read(&members))))
    }

    /// An identity, if it is remembered right now.
    pub(crate) fn remembered_identity(&self, account_id: &AccountId, id: &str) -> Option<Arc<Identity>> {
        self.identities.recall(&(account_id.clone(), id.to_owned()))
    }

    /// Remembers a user that a view has handed out.
    pub(crate) fn remember_identity(&self, account_id: &AccountId, id: &str, members: &Map<String, Value>) {
        self.identities.remember((account_id.clone(), id.to_owned()), Arc::new(Identity::read(members)));
    }

    /// An account, deleted or not.
    pub(crate) async fn account(&self, id: &AccountId, deadline: Deadline) -> Result<Option<Arc<Account>>> {
        let load = async {
            let document = if_found(self.store.fetch(&id.db(), &id.doc_id(), deadline).await)?;
            document.map(|document| Account::read(id.clone(), &document).map(Arc::new)).transpose()
        };
        self.accounts.recall_or(id.clone(), load).await
    }

    /// A configuration document; an absent one says nothing.
    pub(crate) async fn config(&self, name: &'static str, deadline: Deadline) -> Result<Arc<Config>> {
        let load = async { Ok(self.load_config(name, deadline).await?.map(Arc::new)) };
        Ok(self.configs.recall_or(name, load).await?.unwrap_or_default())
    }

    /// A configuration document as it is stored now.
    pub(crate) async fn load_config(&self, name: &str, deadline: Deadline) -> Result<Option<Config>> {
        let members = self.read(SystemDb::SystemConfig.name(), name, deadline).await?;
        Ok(members.map(|members| Config::read(members, &self.place)))
    }

    /// A configuration document, if it is remembered right now.
    pub(crate) fn remembered_config(&self, name: &'static str) -> Option<Arc<Config>> {
        self.configs.recall(&name)
    }

    /// A document of an account's database, remembered; none where it is absent or deleted.
    pub(crate) async fn document(
        &self,
        account_id: &AccountId,
        id: &'static str,
        deadline: Deadline,
    ) -> Result<Option<Arc<Map<String, Value>>>> {
        let load = async {
            let members = self.read(&account_id.db(), id, deadline).await?;
            // A group is a client's: under this name it would be its client's own rules.
            Ok(members.filter(|members| !Kind::Group.is_kind_of(members)).map(Arc::new))
        };
        self.documents.recall_or((account_id.clone(), id), load).await
    }

    /// Whether the token of that digest was logged out, which the document `id` in `db` would say.
    pub(crate) async fn is_logged_out(
        &self,
        digest: [u8; 32],
        (db, id): (DbName, DocId),
        deadline: Deadline,
    ) -> Result<bool> {
        let load = async { Ok(if_found(self.store.fetch(&db, &id, deadline).await)?.map(drop)) };
        Ok(self.logged_out.recall_or(digest, load).await?.is_some())
    }

    /// Remembers that the token of that digest was logged out.
    pub(crate) fn remember_logged_out(&self, digest: [u8; 32]) {
        self.logged_out.remember(digest, ());
    }

    /// Whether an account is a reseller; one without a document of its services is none.
    pub(crate) async fn is_reseller(&self, account_id: &AccountId, deadline: Deadline) -> Result<bool> {
        let load = async {
            let services = self.read(SystemDb::Services.name(), account_id.as_str(), deadline).await?;
            Ok(services
                .is_some_and(|services| services.get("pvt_reseller").is_some_and(is_true))
                .then_some(()))
        };
        Ok(self.resellers.recall_or(account_id.clone(), load).await?.is_some())
    }

    /// Whether an account is below another. Kazoo asks its view of descendants; this reads the one
    /// document that the row in question would come from, so that the answer costs the same for a root
    /// of ten thousand accounts.
    pub(crate) async fn is_descendant(
        &self,
        ancestor: &AccountId,
        wanted: &AccountId,
        deadline: Deadline,
    ) -> Result<bool> {
        let load = async {
            let copy = self.read(SystemDb::Accounts.name(), wanted.as_str(), deadline).await?;
            let copy = copy.filter(|copy| Kind::Account.is_kind_of(copy));
            let tree = copy.as_ref().and_then(|copy| copy.get("pvt_tree")?.as_array());
            Ok(tree.is_some_and(|tree| tree.iter().any(|above| above == ancestor.as_str())).then_some(()))
        };
        Ok(self.descendants.recall_or((ancestor.clone(), wanted.clone()), load).await?.is_some())
    }

    /// A bearer document. Its id is a secret, so it travels in the body of the question, where no failure
    /// shows it.
    pub(crate) async fn bearer(
        &self,
        id: &str,
        deadline: Deadline,
    ) -> Result<Option<Arc<Map<String, Value>>>> {
        let load = async {
            let Ok(id) = DocId::parse(id) else { return Ok(None) };
            if !self.may_hold(&id, deadline).await? {
                return Ok(None);
            }
            let found = self.store.fetch_many(SystemDb::SystemAuth.name(), &[id], deadline).await;
            let found = if_found(found)?.into_iter().flatten().next();
            Ok(live_members(found.map(if_found).transpose()?.flatten())?.map(Arc::new))
        };
        self.bearers.recall_or(sha256(id.as_bytes()), load).await
    }

    /// A document as it is stored now; none where it is absent or deleted.
    pub(crate) async fn read(
        &self,
        db: &DbName,
        id: &str,
        deadline: Deadline,
    ) -> Result<Option<Map<String, Value>>> {
        let Ok(id) = DocId::parse(id) else { return Ok(None) };
        live_members(if_found(self.store.fetch(db, &id, deadline).await)?)
    }
}

/// The members of a document that is not deleted.
fn live_members(document: Option<Document>) -> Result<Option<Map<String, Value>>> {
    let members = document.map(|document| document.to_object()).transpose()?;
    Ok(members.filter(|members| !is_deleted(members)))
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

/// What is not there is no failure.
pub(crate) fn if_found<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
