//! The keys that sign tokens: which ones a store has, a new one, and the end of an old one.
//!
//! New tokens are signed with the key that `system_config/auth` names. Every other key of `system_auth` still
//! verifies, so the tokens of an old key stay good until the key is deleted. These functions write, except
//! [`list`] and [`longest_lifetime`]. Verifying never calls them.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datastore::{
    Backend, Cause, Deadline, DocId, Document, Draft, Result, Rev, StoreError, ViewQuery, if_found,
    random_hex,
};
use futures::{StreamExt as _, future};
use kazoo::{AccountId, Config, ConfigDocument, Kind, Sections, SystemDb, Time, is_deleted, term};
use serde_json::{Map, Value, json};

use super::stamps::{private_fields, save_changed};
use crate::directory::{BadKey, KEY_ATTACHMENT, SigningKey};
use crate::login_config::{DEFAULT_EXPIRY, to_seconds};

/// How many accounts are asked at once.
const AT_ONCE: usize = 8;

/// A key that signs tokens, or has signed some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// The id, which tokens name.
    pub id: DocId,
    /// Whether new tokens are signed with it.
    pub signs: bool,
    /// When it was made, if its document says so.
    pub made: Option<Time>,
    /// When the key that signs now was made: this one signed no later. `None` for a key that signs, and where
    /// that time is not known.
    pub replaced: Option<Time>,
}

/// A key that has just been made.
pub(super) struct NewKey {
    pub(super) id: DocId,
    rev: Rev,
}

impl NewKey {
    /// Deletes it again.
    pub(super) async fn delete(&self, store: &dyn Backend, deadline: Deadline) -> Result<()> {
        store.delete(SystemDb::SystemAuth.name(), &self.id, &self.rev, deadline).await.map(drop)
    }
}

/// Makes a key. Nothing is signed with it yet.
pub(super) async fn create(store: &dyn Backend, deadline: Deadline) -> Result<NewKey> {
    let cannot =
        |error: BadKey| StoreError::Invalid(Cause::with_source("no signing key could be made", error));
    let pem = SigningKey::generate().and_then(|key| key.to_pkcs1_pem()).map_err(cannot)?;
    let data = STANDARD.encode(pem);
    let mut body = private_fields(Kind::SystemKey, SystemDb::SystemAuth);
    let file = json!({"content_type": "application/x-pem-file", "data": data});
    body.insert("_attachments".to_owned(), json!({KEY_ATTACHMENT: file}));
    let id = DocId::from_store(random_hex());
    let draft = Draft { id: id.clone(), base: None, body };
    let rev = store.save(SystemDb::SystemAuth.name(), draft, deadline).await?;
    Ok(NewKey { id, rev })
}

/// Every key of a store, the oldest first.
///
/// # Errors
/// Errors from the store.
pub async fn list(store: &dyn Backend, deadline: Deadline) -> Result<Vec<StoredKey>> {
    let signing = signing_ids(store, deadline).await?;
    let query = ViewQuery { include_docs: true, ..ViewQuery::all_docs() };
    let rows = if_found(store.query(SystemDb::SystemAuth.name(), query, deadline).await)?;
    let Some(mut rows) = rows else { return Ok(Vec::new()) };
    let mut keys = Vec::new();
    while let Some(row) = rows.next().await {
        let Some(document) = row?.doc else { continue };
        let members = document.parse_members(says_about_key)?;
        if !has_key(&members) {
            continue;
        }
        let made =
            members.get(kazoo::member::CREATED).and_then(Value::as_i64).map(Time::from_gregorian_seconds);
        let id = document.id().clone();
        keys.push(StoredKey { signs: signing.contains(id.as_str()), id, made, replaced: None });
    }
    // All keys that sign must say when they were made. Otherwise nobody knows when another one signed last.
    let made: Option<Vec<_>> = keys.iter().filter(|key| key.signs).map(|key| key.made).collect();
    let newest = made.and_then(|made| made.into_iter().max());
    for key in keys.iter_mut().filter(|key| !key.signs) {
        // A key that is younger than the one that signs was made for another purpose, or the settings were changed
        // by hand.
        key.replaced = newest.filter(|newest| key.made.is_some_and(|made| made <= *newest));
    }
    keys.sort_by(|one, other| (one.made, &one.id).cmp(&(other.made, &other.id)));
    Ok(keys)
}

/// What [`rotate`] has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The key that signs from now on.
    pub new: DocId,
    /// The key that has signed until now.
    pub old: Option<String>,
    /// The sections of nodes and zones that name another key. Servers with such a section go on signing with that one.
    pub other_sections: Vec<String>,
}

/// Makes a key, and lets new tokens be signed with it. The old key stays.
///
/// # Errors
/// Errors from the store. `Missing` if the store is not set up, `Invalid` if the configuration is marked as deleted, `Conflict` if somebody else has changed
/// `system_config/auth` meanwhile: then nothing has changed.
pub async fn rotate(store: &dyn Backend, deadline: Deadline) -> Result<Rotated> {
    let config = load_config(store, ConfigDocument::Auth, deadline).await?;
    let missing = || StoreError::Missing(Cause::new("there is no system_config/auth"));
    let (config, mut body) = config.ok_or_else(missing)?;
    if is_deleted(&body) {
        return Err(marked_as_deleted());
    }
    let sections = Sections::read(body.clone());
    let names = key_sections(&sections).map(|(name, _)| name).filter(|name| *name != Config::DEFAULT);
    let other_sections: Vec<_> = names.map(str::to_owned).collect();
    let section = body.get_mut(Config::DEFAULT).and_then(Value::as_object_mut);
    let no_section = || StoreError::Invalid(Cause::new("system_config/auth has no section default"));
    let section = section.ok_or_else(no_section)?;
    let old = section.get("system_key").and_then(Value::as_str).map(str::to_owned);
    let key = create(store, deadline).await?;
    section.insert("system_key".to_owned(), json!(key.id.as_str()));
    let db = SystemDb::SystemConfig.name();
    match save_changed(store, db, &config, body, db.as_str(), deadline).await {
        Ok(()) => Ok(Rotated { new: key.id, old, other_sections }),
        Err(error) => {
            // After any other error the document may be saved, and then tokens are signed with the key.
            if error.is_conflict() {
                key.delete(store, deadline).await?;
            }
            Err(error)
        }
    }
}

/// Deletes a key. Its tokens are refused from then on.
///
/// # Errors
/// Errors from the store. `Missing` or `Deleted` if there is no such key, `Invalid` if new tokens are signed with it,
/// or if it is no key.
pub async fn retire(store: &dyn Backend, id: &DocId, deadline: Deadline) -> Result<()> {
    let db = SystemDb::SystemAuth.name();
    let document = store.fetch(db, id, deadline).await?;
    if !has_key(&document.parse_members(says_about_key)?) {
        return Err(StoreError::Invalid(Cause::new("the document is no key")));
    }
    if signing_ids(store, deadline).await?.contains(id.as_str()) {
        return Err(StoreError::Invalid(Cause::new("new tokens are signed with this key")));
    }
    store.delete(db, id, document.rev(), deadline).await.map(drop)
}

/// The longest time for which any login makes a token good, in seconds. `None` if some tokens never expire.
/// `deadline` gives each account its own.
///
/// # Errors
/// Errors from the store.
pub async fn longest_lifetime(
    store: &dyn Backend,
    deadline: &(dyn Fn() -> Deadline + Sync),
) -> Result<Option<i64>> {
    let mut longest = Longest { seconds: DEFAULT_EXPIRY, is_endless: false };
    if let Some((_, system)) = load_config(store, ConfigDocument::CrossbarAuth, deadline()).await? {
        for (_, section) in Sections::read(system).iter() {
            if let Some(seconds) = section.get("token_auth_expiry_s").and_then(to_seconds) {
                longest.note(seconds);
                // Modules without a lifetime of their own use this one.
                longest.is_endless |= seconds <= 0;
            }
            longest.note_modules(section);
        }
    }
    let accounts = AccountId::with_database(&store.list_dbs(deadline()).await?);
    for accounts in accounts.into_iter().collect::<Vec<_>>().chunks(AT_ONCE) {
        let asked =
            accounts.iter().map(|account| load_logins(store, account, deadline())).collect::<Vec<_>>();
        for members in future::try_join_all(asked).await?.iter().flatten() {
            longest.note_modules(members);
        }
    }
    Ok((!longest.is_endless).then_some(longest.seconds))
}

/// The longest lifetime that was seen.
struct Longest {
    seconds: i64,
    is_endless: bool,
}

impl Longest {
    fn note(&mut self, seconds: i64) {
        self.seconds = self.seconds.max(seconds);
    }

    fn note_modules(&mut self, section: &Map<String, Value>) {
        let modules = section.get("auth_modules").and_then(Value::as_object);
        let modules = modules.into_iter().flat_map(Map::values);
        for seconds in modules.filter_map(|module| module.get("token_auth_expiry_s").and_then(to_seconds)) {
            self.note(seconds);
        }
    }
}

/// An account's own settings of logins.
async fn load_logins(
    store: &dyn Backend,
    account: &AccountId,
    deadline: Deadline,
) -> Result<Option<Map<String, Value>>> {
    let id = DocId::from_store("configs_crossbar.auth".to_owned());
    let document = if_found(store.fetch(&account.db(), &id, deadline).await)?;
    let members = document.map(|document| document.to_object()).transpose()?;
    Ok(members.filter(|members| !is_deleted(members)))
}

/// A document of `system_config` and its members, even if it is marked as deleted.
async fn load_config(
    store: &dyn Backend,
    which: ConfigDocument,
    deadline: Deadline,
) -> Result<Option<(Document, Map<String, Value>)>> {
    let found = if_found(store.fetch(SystemDb::SystemConfig.name(), &which.id(), deadline).await)?;
    let Some(document) = found else { return Ok(None) };
    let members = document.to_object()?;
    Ok(Some((document, members)))
}

/// Why nothing is written into `system_config/auth`: whoever removes the mark gets back what was there.
pub(super) fn marked_as_deleted() -> StoreError {
    StoreError::Invalid(Cause::new(
        "system_config/auth is marked as deleted: set its pvt_deleted to false, or delete the document if there is no \
         Kazoo",
    ))
}

/// Whether a document holds a key.
/// Whether a member of a document says something about a key.
fn says_about_key(name: &str) -> bool {
    ["_attachments", kazoo::member::CREATED, kazoo::member::DELETED].contains(&name)
}

fn has_key(members: &Map<String, Value>) -> bool {
    let files = members.get("_attachments");
    files.is_some_and(|files| files.get(KEY_ATTACHMENT).is_some()) && !is_deleted(members)
}

/// The keys that new tokens are signed with, by any node.
async fn signing_ids(store: &dyn Backend, deadline: Deadline) -> Result<BTreeSet<String>> {
    let config = load_config(store, ConfigDocument::Auth, deadline).await?;
    let sections = config.map(|(_, members)| Sections::read(members)).unwrap_or_default();
    Ok(key_sections(&sections).map(|(_, key)| key.to_owned()).collect())
}

/// The sections of a configuration document that name a key, and the key.
fn key_sections(sections: &Sections) -> impl Iterator<Item = (&str, &str)> {
    sections.iter().filter_map(|(name, section)| {
        let key = section.get("system_key")?.as_str()?;
        (!term::is_empty_text(key)).then_some((name, key))
    })
}
