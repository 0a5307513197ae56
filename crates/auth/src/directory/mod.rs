//! The directory: it reads accounts, identities, keys and configuration.
//!
//! It caches these documents and their absences by database and id. Where the store learns of changes, a document of an
//! account counts until it changes itself, and any other until its database changes. Elsewhere it counts for a bounded
//! time. The directory also caches the values parsed from them, by revision. It knows no groups or
//! listings; the crate `cache` remembers those. Nothing here writes.

mod account;
mod doc_key;
mod identity;
mod key;
mod known_limits;
mod memory;
mod parsed;
mod respite;
mod sections;
mod storage_plans;
mod system_auth;
mod unknown_ids;

use std::sync::{Arc, LazyLock};

use datastore::{Backend, DbName, Deadline, DocId, Document, Epoch, Result, ViewQuery, ViewRow, if_found};
use futures::{TryStreamExt as _, future};
use kazoo::{AccountId, Config, ConfigDocument, Kind, SystemDb, is_deleted, member, term};
use serde_json::{Map, Value};

pub use account::Account;
pub use doc_key::{databases, own_db};
pub(crate) use identity::Identity;
pub(crate) use key::{Algorithm, BadKey, SigningKey, VerifyingKey};
pub(crate) use respite::Respite;
pub(crate) use sections::load_sections;
pub(crate) use system_auth::{KEY_ATTACHMENT, load_signing_key};

use self::doc_key::{Db, DocKey};
use self::known_limits::{KnownLimits, Until};
use self::memory::{EpochOf, Lifetimes, Memory, Moment};
use self::parsed::Parsed;
use self::respite::Respites;
use self::storage_plans::StoragePlans;
use self::system_auth::SystemAuth;
use crate::limits::RateLimits;
use crate::settings::Settings;

/// The memory that a cached document or absence needs in addition to its text, in bytes.
const DOCUMENT_OVERHEAD: u32 = 800;

/// The id of the document with the restrictions of an account.
const TOKEN_RESTRICTIONS: &str = "token_restrictions";

/// Reads documents through the cache.
pub(crate) struct Directory {
    store: Arc<dyn Backend>,
    settings: Settings,
    respites: Respites,
    documents: Memory<DocKey, Document>,
    parsed: Parsed,
    system_auth: SystemAuth,
    storage_plans: StoragePlans,
    rate_limits: KnownLimits,
}

/// The documents that decide the restrictions of a caller.
pub(crate) struct Policies {
    /// The account's own `token_restrictions`.
    pub(crate) own: Option<Arc<Map<String, Value>>>,
    /// The system's `crossbar.token_restrictions`.
    pub(crate) system: Arc<Config>,
    /// The user of the token. `None` for an account's own token, and if the user does not exist any more.
    pub(crate) user: Option<Arc<Identity>>,
}

impl Directory {
    pub(crate) fn new(store: Arc<dyn Backend>, settings: Settings) -> Self {
        let lifetimes = Lifetimes { present: settings.remember_for, absent: settings.remember_absence_for };
        let (respites, lifetimes) = Respites::beside(lifetimes);
        let weight = |_: &DocKey, document: Option<&Document>| {
            let text = document.map_or(0, |document| document.text().len());
            u32::try_from(text).unwrap_or(u32::MAX).saturating_add(DOCUMENT_OVERHEAD)
        };
        let rate_limits = KnownLimits::new(settings.reverse_proxies.as_deref());
        let system_auth = SystemAuth::new(Arc::clone(&store), lifetimes);
        let bytes = settings.memory_bytes;
        Self {
            settings,
            respites,
            documents: Memory::new(lifetimes, bytes / 2, weight, epoch_of(Arc::clone(&store))),
            parsed: Parsed::new(bytes / 4),
            system_auth,
            storage_plans: StoragePlans::new(),
            rate_limits,
            store,
        }
    }

    /// The store, for reads that bypass the cache.
    pub(crate) fn store(&self) -> &dyn Backend {
        &*self.store
    }

    /// The settings of authentication.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Reads of signing keys.
    pub(crate) fn system_auth(&self) -> &SystemAuth {
        &self.system_auth
    }

    /// Reads an account, even a deleted one.
    pub(crate) async fn account(&self, id: &AccountId, deadline: Deadline) -> Result<Option<Arc<Account>>> {
        let key = DocKey::of_account(id, id.as_str());
        let document = self.document(&key, deadline).await?;
        document.map(|document| self.read_account(id, &key, &document)).transpose()
    }

    /// The epochs of the documents in an account's database that decide what a caller may do: its account, its
    /// identities, and the account's restrictions. `None` if the store does not tell them.
    pub(crate) fn epochs_of_caller(&self, id: &AccountId, identities: &[&str]) -> Option<Vec<Epoch>> {
        let db = id.db();
        let own = [id.as_str(), TOKEN_RESTRICTIONS];
        let others = identities.iter().copied().filter(|identity| !own.contains(identity));
        // An id that is not valid is never read.
        let ids = own.into_iter().chain(others).filter_map(|id| DocId::parse(id).ok());
        ids.map(|id| self.store.epoch_of(&db, &id)).collect()
    }

    /// Whether an account is in the cache.
    pub(crate) fn remembers_account(&self, id: &AccountId) -> bool {
        self.documents.recall(&DocKey::of_account(id, id.as_str())).flatten().is_some()
    }

    fn read_account(&self, id: &AccountId, key: &DocKey, document: &Document) -> Result<Arc<Account>> {
        self.parsed.of(key, document, |document| Account::read(id.clone(), document))
    }

    /// Reads an identity: a user, device or account that is not deleted.
    pub(crate) async fn identity(
        &self,
        account_id: &AccountId,
        id: &str,
        deadline: Deadline,
    ) -> Result<Option<Arc<Identity>>> {
        let key = DocKey::of_account(account_id, id);
        match self.document(&key, deadline).await? {
            Some(document) => self.read_identity(&key, &document),
            None => Ok(None),
        }
    }

    /// Reads an identity from the store, not from the cache.
    pub(crate) async fn identity_now(
        &self,
        account_id: &AccountId,
        id: &str,
        deadline: Deadline,
    ) -> Result<Option<Identity>> {
        let document = self.read_now(&account_id.db(), id, deadline).await?;
        document.as_ref().map_or(Ok(None), Identity::read)
    }

    /// An identity, if it is in the cache.
    pub(crate) fn remembered_identity(&self, account_id: &AccountId, id: &str) -> Option<Arc<Identity>> {
        let key = DocKey::of_account(account_id, id);
        self.read_identity(&key, &self.documents.recall(&key)??).ok()?
    }

    /// The moment before a user is read through a view, for [`Directory::remember_user`].
    pub(crate) fn moment(&self) -> Moment {
        self.documents.moment()
    }

    /// Caches a user that was read through a view after `since`.
    pub(crate) fn remember_user(&self, account_id: &AccountId, document: Document, since: Moment) {
        self.documents.remember(DocKey::of_account(account_id, document.id().as_str()), document, since);
        self.respites.end(&account_id.db());
    }

    /// A respite for a conclusion from documents of these databases that are looked up after this call.
    pub(crate) fn respite(&self, databases: &[&DbName]) -> Respite {
        self.respites.begin(databases)
    }

    /// Whether a respite that began with these databases lasts, and the store tells the epoch of none of them. Where it
    /// tells epochs, they decide.
    pub(crate) fn lasts(&self, respite: Respite, databases: &[&DbName]) -> bool {
        self.respites.lasts(respite, databases) && databases.iter().all(|db| self.store.epoch(db).is_none())
    }

    /// The connection on which Kazoo has an account, if it is not the store's own.
    pub(crate) async fn foreign_connection(
        &self,
        id: &AccountId,
        deadline: Deadline,
    ) -> Result<Option<String>> {
        self.storage_plans.connection(&*self.store, id, deadline).await
    }

    /// Drops a document from the cache: somebody has changed it.
    pub(crate) fn forget(&self, db: &DbName, id: &DocId) {
        self.storage_plans.forget(db);
        let (name, Some(db)) = (db, Db::named(db)) else { return };
        if db == Db::System(SystemDb::SystemAuth) {
            self.documents.forget(&DocKey::of_secret(SystemDb::SystemAuth, id.as_str()));
            self.system_auth.forget(id);
        }
        self.documents.forget(&DocKey::new(db, id.as_str()));
        // Last, so that it also ends what was concluded meanwhile.
        self.respites.end(name);
    }

    /// Drops all documents of a database from the cache: it was created or deleted, or changed as a whole.
    pub(crate) fn forget_database(&self, db: &DbName) {
        self.storage_plans.forget(db);
        let (name, Some(db)) = (db, Db::named(db)) else { return };
        if db == Db::System(SystemDb::SystemAuth) {
            self.system_auth.forget_all();
        }
        self.documents.forget_where(|key| key.db == db);
        self.respites.end(name);
    }

    fn read_identity(&self, key: &DocKey, document: &Document) -> Result<Option<Arc<Identity>>> {
        let read = |document: &Document| Ok(Identity::read(document)?.map(Arc::new));
        Ok(self.parsed.of(key, document, read)?.as_ref().clone())
    }

    /// Reads a configuration document. An absent or deleted document counts as empty.
    pub(crate) async fn config(&self, which: ConfigDocument, deadline: Deadline) -> Result<Arc<Config>> {
        let key = DocKey::of_system(SystemDb::SystemConfig, which.as_str());
        match self.document(&key, deadline).await? {
            Some(document) => self.read_config(&key, &document),
            None => Ok(no_config()),
        }
    }

    /// Reads a configuration document from the store, not from the cache.
    pub(crate) async fn config_now(&self, which: ConfigDocument, deadline: Deadline) -> Result<Config> {
        let document = self.read_now(SystemDb::SystemConfig.name(), which.as_str(), deadline).await?;
        let members = document.map(|document| document.to_object()).transpose()?;
        Ok(members.map(|members| Config::read(members, &self.settings.node_and_zone)).unwrap_or_default())
    }

    /// A configuration document, if it is in the cache.
    pub(crate) fn remembered_config(&self, which: ConfigDocument) -> Option<Arc<Config>> {
        let key = DocKey::of_system(SystemDb::SystemConfig, which.as_str());
        self.read_config(&key, &self.documents.recall(&key)??).ok()
    }

    fn read_config(&self, key: &DocKey, document: &Document) -> Result<Arc<Config>> {
        let node_and_zone = &self.settings.node_and_zone;
        self.parsed.of(key, document, |document| Ok(Config::read(document.to_object()?, node_and_zone)))
    }

    /// Reads a document that sets rules for an account, such as `token_restrictions`. A group with this id is
    /// ignored: clients write groups, and could otherwise write their own rules.
    pub(crate) async fn policy(
        &self,
        account_id: &AccountId,
        id: &str,
        deadline: Deadline,
    ) -> Result<Option<Arc<Map<String, Value>>>> {
        let key = DocKey::of_account(account_id, id);
        let members = self.live_members(&key, deadline).await?;
        Ok(members.filter(|members| !Kind::Group.is_kind_of(members)))
    }

    /// Reads the documents that decide the restrictions of a user, or of an account's key.
    pub(crate) async fn policies(
        &self,
        account_id: &AccountId,
        owner_id: Option<&str>,
        deadline: Deadline,
    ) -> Result<Policies> {
        let own = self.policy(account_id, TOKEN_RESTRICTIONS, deadline);
        let system = self.config(ConfigDocument::CrossbarTokenRestrictions, deadline);
        let user = async {
            match owner_id {
                Some(owner_id) => self.identity(account_id, owner_id, deadline).await,
                None => Ok(None),
            }
        };
        let (own, system, user) = future::try_join3(own, system, user).await?;
        Ok(Policies { own, system, user })
    }

    /// The id of the master account.
    pub(crate) async fn master_account_id(&self, deadline: Deadline) -> Result<Option<String>> {
        let accounts = self.config(ConfigDocument::Accounts, deadline).await?;
        Ok(accounts.text(&["master_account_id"]).map(str::to_owned))
    }

    /// Whether an account is a reseller. An account without a services document is not a reseller.
    pub(crate) async fn is_reseller(&self, account_id: &AccountId, deadline: Deadline) -> Result<bool> {
        let key = DocKey::of_system(SystemDb::Services, account_id.as_str());
        let services = self.live_members(&key, deadline).await?;
        Ok(services.is_some_and(|services| services.get(member::RESELLER).is_some_and(term::is_true)))
    }

    /// Whether the account `wanted` is below `ancestor`. Kazoo asks its view of descendants. This function
    /// reads only the document of `wanted`, so the cost does not grow with the number of descendants.
    pub(crate) async fn is_descendant(
        &self,
        ancestor: &AccountId,
        wanted: &AccountId,
        deadline: Deadline,
    ) -> Result<bool> {
        let key = DocKey::of_system(SystemDb::Accounts, wanted.as_str());
        let copy = self.live_members(&key, deadline).await?;
        let copy = copy.filter(|copy| Kind::Account.is_kind_of(copy));
        Ok(copy.is_some_and(|copy| kazoo::account::ancestors(&copy).any(|above| above == ancestor.as_str())))
    }

    /// Whether this program's own database has a document with this id.
    pub(crate) async fn is_in_own_db(&self, id: &DocId, deadline: Deadline) -> Result<bool> {
        let document = self.document(&DocKey::new(Db::Own, id.as_str()), deadline).await?;
        Ok(document.is_some())
    }

    /// Drops a document of this program's own database from the cache, after it was written.
    pub(crate) fn forget_in_own_db(&self, id: &DocId) {
        self.documents.forget(&DocKey::new(Db::Own, id.as_str()));
        self.respites.end(own_db());
    }

    /// Reads a bearer document. Its id is a secret, so the cache holds only the digest.
    pub(crate) async fn bearer(
        &self,
        id: &str,
        deadline: Deadline,
    ) -> Result<Option<Arc<Map<String, Value>>>> {
        let key = DocKey::of_secret(SystemDb::SystemAuth, id);
        let load = self.system_auth.load_bearer(id, deadline);
        let document = self.documents.recall_or(key.clone(), load).await?;
        self.live(&key, document)
    }

    /// The rate limits that were read last.
    pub(crate) fn known_rate_limits(&self) -> Arc<RateLimits> {
        self.rate_limits.last()
    }

    /// Reads the rate limits. They are the same for all clients.
    pub(crate) async fn rate_limits(&self, deadline: Deadline) -> Result<Arc<RateLimits>> {
        let db = SystemDb::SystemConfig.name();
        if let Some(limits) = self.rate_limits.current(|respite| self.lasts(respite, &[db])) {
            return Ok(limits);
        }
        let respite = self.respite(&[db]);
        // Asked before the read, so that a change during it counts.
        let epoch = self.store.epoch(db);
        let token_buckets = self.config(ConfigDocument::TokenBuckets, deadline);
        let crossbar = self.config(ConfigDocument::Crossbar, deadline);
        let read_from = future::try_join(token_buckets, crossbar).await?;
        let until = epoch.map_or(Until::After(respite), Until::Changed);
        Ok(self.rate_limits.of(read_from, until, self.settings.reverse_proxies.as_deref()))
    }

    /// Reads the rows of a view, without the cache. A missing database has no rows.
    pub(crate) async fn rows(
        &self,
        db: &DbName,
        query: ViewQuery,
        deadline: Deadline,
    ) -> Result<Vec<ViewRow>> {
        match if_found(self.store.query(db, query, deadline).await)? {
            Some(rows) => rows.try_collect().await,
            None => Ok(Vec::new()),
        }
    }

    /// Reads the members of a document through the cache. `None` if the document is deleted.
    async fn live_members(
        &self,
        key: &DocKey,
        deadline: Deadline,
    ) -> Result<Option<Arc<Map<String, Value>>>> {
        let document = self.document(key, deadline).await?;
        self.live(key, document)
    }

    fn live(&self, key: &DocKey, document: Option<Document>) -> Result<Option<Arc<Map<String, Value>>>> {
        let Some(document) = document else { return Ok(None) };
        let members = self.parsed.of(key, &document, Document::to_object)?;
        Ok(Some(members).filter(|members| !is_deleted(members)))
    }

    /// Reads a document from the store, not from the cache.
    async fn read_now(&self, db: &DbName, id: &str, deadline: Deadline) -> Result<Option<Document>> {
        let Ok(id) = DocId::parse(id) else { return Ok(None) };
        if_found(self.store.fetch(db, &id, deadline).await)
    }

    /// Reads a document through the cache. An invalid id is not cached.
    async fn document(&self, key: &DocKey, deadline: Deadline) -> Result<Option<Document>> {
        if let Some(known) = self.documents.recall(key) {
            return Ok(known);
        }
        let Ok(id) = DocId::parse(&key.id) else { return Ok(None) };
        let load = async {
            let db = key.db.name();
            let document = if_found(self.store.fetch(&db, &id, deadline).await);
            self.respites.end(&db);
            document
        };
        self.documents.recall_or(key.clone(), load).await
    }
}

/// The epoch that a document is read in, if the store tells it. Clients write many documents of an account, so a
/// document of an account has an epoch of its own. The keys of the other databases are not always ids of documents.
fn epoch_of(store: Arc<dyn Backend>) -> EpochOf<DocKey> {
    Box::new(move |key| match (&key.db, DocId::parse(&key.id)) {
        (Db::Account(account_id), Ok(id)) => store.epoch_of(&account_id.db(), &id),
        (db, _) => store.epoch(&db.name()),
    })
}

/// An absent document counts as empty. All absent documents share one empty `Config`, so that `ptr_eq` works.
fn no_config() -> Arc<Config> {
    static NONE: LazyLock<Arc<Config>> = LazyLock::new(Arc::default);
    Arc::clone(&NONE)
}
