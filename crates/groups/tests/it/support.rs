//! An embedded store, and a caller who may use every account in it. Tests create their own accounts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use auth::bootstrap::{NewAccount, create_account};
use auth::{AccountAccess, Asked, Authenticator, Caller};
use datastore::{Deadline, DocId, Draft, JsonText, Store};
use embedded::{Durability, Embedded, Settings};
use groups::{
    Cursor, Deletion, Edit, Groups, GroupsError, IfChanged, ListQuery, Removal, Saved, Scope, Stamp,
};
use serde_json::{Map, Value};

/// Longer than any call in these tests takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A deadline that no call in these tests should reach.
pub(crate) fn soon() -> Deadline {
    Deadline::after(PATIENCE)
}

/// A store, and a caller from its master account.
pub(crate) struct Place {
    _folder: tempfile::TempDir,
    pub(crate) store: Arc<Embedded>,
    pub(crate) groups: Groups,
    authenticator: Authenticator,
    master: Caller,
}

impl Place {
    /// Creates a store with a master account, and authenticates as that account.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { durability: Durability::Normal, ..Settings::default() };
        let store = Arc::new(Embedded::open(&folder.path().join("store.db"), settings).unwrap());
        let master = create_account(&*store, &named("master"), soon()).await.unwrap();
        let authenticator = Authenticator::new(store.clone(), auth::Settings::default());
        let token = authenticator.mint(&master, None, 3600, soon()).await.unwrap();
        let master = authenticator.verify(&token, None, soon()).await.unwrap();
        let groups = Groups::new(store.clone());
        Self { _folder: folder, store, groups, authenticator, master }
    }

    /// Creates an account and returns the proof that the caller may use it.
    pub(crate) async fn account(&self) -> AccountAccess {
        let id = create_account(&*self.store, &named("alpha"), soon()).await.unwrap();
        let account = self.authenticator.load_account(&id, soon()).await.unwrap().unwrap();
        let asked = Asked { endpoint: "groups", params: &[], verb: "GET" };
        self.authenticator.authorise(&self.master, &account, asked, soon()).await.unwrap()
    }

    /// Writes documents directly to the store, as another program would.
    pub(crate) async fn write(&self, access: &AccountAccess, docs: &BTreeMap<String, Map<String, Value>>) {
        let draft = |(id, body): (&String, &Map<String, Value>)| Draft {
            id: DocId::from_store(id.clone()),
            base: None,
            body: body.clone(),
        };
        let drafts: Vec<_> = docs.iter().map(draft).collect();
        for saved in self.store.save_many(access.db(), drafts, soon()).await.unwrap() {
            saved.unwrap();
        }
    }

    /// Creates a group.
    pub(crate) async fn create(&self, access: &AccountAccess, data: Value) -> Result<Saved, GroupsError> {
        let new = self.groups.prepare_new(data)?;
        self.groups.create(&scope(access), new).await
    }

    /// Changes a group.
    pub(crate) async fn change(
        &self,
        access: &AccountAccess,
        id: &str,
        edit: Edit,
    ) -> Result<Saved, GroupsError> {
        let scope = scope(access);
        let reread = || self.groups.fetch_base(&scope, id);
        let change = self.groups.prepare_change(reread().await?, edit)?;
        self.groups.update(&scope, change, IfChanged::Reread(reread)).await
    }

    /// Patches the group `g`.
    pub(crate) async fn patch(&self, access: &AccountAccess, data: Value) -> Result<Saved, GroupsError> {
        self.change(access, "g", Edit::patch(data)).await
    }

    /// Deletes a group.
    pub(crate) async fn delete(
        &self,
        access: &AccountAccess,
        id: &str,
        deletion: Deletion,
    ) -> Result<(), GroupsError> {
        let scope = scope(access);
        let reread = || self.groups.fetch(&scope, id);
        let removal = Removal { group: reread().await?, deletion };
        self.groups.remove(&scope, removal, IfChanged::Reread(reread)).await.map(drop)
    }

    /// Starts a listing.
    pub(crate) async fn list(&self, access: &AccountAccess, list: ListQuery) -> Result<Cursor, GroupsError> {
        self.groups.list(&scope(access), list, PATIENCE).await
    }

    /// Reads one page. Returns its ids and the start key of the next page.
    pub(crate) async fn page(
        &self,
        access: &AccountAccess,
        list: ListQuery,
    ) -> (Vec<String>, Option<String>) {
        let mut cursor = self.list(access, list).await.unwrap();
        let at_hand = cursor.page_at_hand().map(|(rows, next)| (ids(rows.iter()), next.map(str::to_owned)));
        let mut rows = Vec::new();
        while let Some(row) = cursor.next().await.unwrap() {
            rows.push(row);
        }
        let page = (ids(rows.iter()), cursor.next_start_key().map(str::to_owned));
        if let Some(at_hand) = at_hand {
            assert_eq!(at_hand, page, "a page at hand is the page that is read row by row");
        }
        page
    }
}

fn named(name: &str) -> NewAccount<'_> {
    NewAccount { name, realm: None, parent: None }
}

/// The scope of a request that uses `access`.
pub(crate) fn scope(access: &AccountAccess) -> Scope<'_> {
    let stamp = Stamp { access, request_id: "r", now: kazoo::Time::now() };
    Scope { stamp, deadline: soon() }
}

/// The ids in rows of the listing views.
fn ids<'a>(rows: impl Iterator<Item = &'a JsonText>) -> Vec<String> {
    let id =
        |row: &JsonText| serde_json::from_str::<Value>(row.get()).unwrap()["id"].as_str().unwrap().to_owned();
    rows.map(id).collect()
}

/// A runtime for the async calls in property tests.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// An object from a `json!` literal.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is not an object"),
    }
}
