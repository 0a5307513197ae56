//! Changes that lose a race to another program, and how often a change asks the store.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth::AccountAccess;
use datastore::{Backend, DbName, Deadline, DocId, Document, Draft, Layer, Result, Rev, Store as _};
use futures::future::{BoxFuture, try_join_all};
use groups::{Base, Deletion, Edit, Groups, GroupsError, IfChanged, Removal, Removed, Saved, Scope};
use serde_json::{Map, Value, json};

use crate::support::{Place, object, scope, soon};

/// What another program does to a document.
type Deed = fn(&mut Map<String, Value>);

/// A store that tells how often it is asked. Another program changes a document right before it is written.
struct Watched {
    inner: Arc<dyn Backend>,
    calls: Mutex<Vec<&'static str>>,
    /// What the other program does before the next writes.
    deeds: Mutex<VecDeque<Deed>>,
}

impl Watched {
    fn note(&self, call: &'static str) {
        self.calls.lock().unwrap().push(call);
    }

    async fn let_other_program_write(&self, db: &DbName, id: &DocId) {
        let Some(deed) = self.deeds.lock().unwrap().pop_front() else { return };
        let stored = self.inner.fetch(db, id, soon()).await.unwrap();
        let mut body = stored.to_object().unwrap();
        body.shift_remove("_id");
        body.shift_remove("_rev");
        deed(&mut body);
        let draft = Draft { id: id.clone(), base: Some(stored.rev().clone()), body };
        self.inner.save(db, draft, soon()).await.unwrap();
    }
}

impl Layer for Watched {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    fn fetch<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Document>> {
        self.note("fetch");
        self.inner.fetch(db, id, deadline)
    }

    fn save<'a>(&'a self, db: &'a DbName, draft: Draft, deadline: Deadline) -> BoxFuture<'a, Result<Rev>> {
        Box::pin(async move {
            self.note("save");
            self.let_other_program_write(db, &draft.id).await;
            self.inner.save(db, draft, deadline).await
        })
    }

    fn delete<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        base: &'a Rev,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Rev>> {
        Box::pin(async move {
            self.note("delete");
            self.let_other_program_write(db, id).await;
            self.inner.delete(db, id, base, deadline).await
        })
    }
}

/// An account with the group `g`, in a store that is watched.
struct Race {
    place: Place,
    access: AccountAccess,
    store: Arc<Watched>,
    groups: Groups,
}

impl Race {
    async fn new() -> Self {
        let place = Place::new().await;
        let access = place.account().await;
        place.create(&access, json!({"id": "g", "name": "n"})).await.unwrap();
        let inner = Arc::<embedded::Embedded>::clone(&place.store);
        let store = Arc::new(Watched { inner, calls: Mutex::default(), deeds: Mutex::default() });
        let groups = Groups::new(Arc::<Watched>::clone(&store));
        Self { place, access, store, groups }
    }

    /// Another program does this before each of the next writes.
    fn meanwhile(&self, deeds: &[Deed]) {
        self.store.deeds.lock().unwrap().extend(deeds);
    }

    /// The calls of the store since this was asked last.
    fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.store.calls.lock().unwrap())
    }

    async fn change(
        &self,
        scope: &Scope<'_>,
        edit: Edit,
        may_repeat: bool,
    ) -> std::result::Result<Saved, GroupsError> {
        let _turn = self.groups.turn(scope, "g").await?;
        let base: Base = self.groups.fetch_base(scope, "g").await?;
        let change = self.groups.prepare_change(base, edit)?;
        let reread = || self.groups.fetch_base(scope, "g");
        let if_changed = if may_repeat { IfChanged::Reread(reread) } else { IfChanged::Refuse };
        self.groups.update(scope, change, if_changed).await
    }

    async fn patch(&self, data: Value) -> std::result::Result<Saved, GroupsError> {
        self.change(&scope(&self.access), Edit::patch(data), true).await
    }

    async fn replace(&self, data: Value) -> std::result::Result<Saved, GroupsError> {
        self.change(&scope(&self.access), self.groups.replacement(data)?, true).await
    }

    async fn delete(&self, deletion: Deletion) -> std::result::Result<Removed, GroupsError> {
        let scope = scope(&self.access);
        let _turn = self.groups.turn(&scope, "g").await?;
        let group = self.groups.fetch(&scope, "g").await?;
        let if_changed = IfChanged::Reread(|| self.groups.fetch(&scope, "g"));
        self.groups.remove(&scope, Removal { group, deletion }, if_changed).await
    }

    async fn stored(&self) -> Value {
        let id = DocId::parse("g").unwrap();
        let stored = self.place.store.fetch(self.access.db(), &id, soon()).await.unwrap();
        Value::Object(stored.to_object().unwrap())
    }
}

fn shown(saved: &Saved) -> Value {
    serde_json::from_str(&format!("{{{}}}", saved.public_members)).unwrap()
}

fn rename(doc: &mut Map<String, Value>) {
    doc.insert("name".to_owned(), json!("renamed"));
    doc.insert("pvt_mark".to_owned(), json!("newest"));
}

fn delete_softly(doc: &mut Map<String, Value>) {
    doc.insert("pvt_deleted".to_owned(), json!(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_reads_once_and_writes_once() {
    let race = Race::new().await;
    race.patch(json!({"x": 1})).await.unwrap();
    assert_eq!(race.calls(), ["fetch", "save"]);
    race.replace(json!({"name": "other"})).await.unwrap();
    assert_eq!(race.calls(), ["fetch", "save"]);
    race.delete(Deletion::Soft).await.unwrap();
    assert_eq!(race.calls(), ["fetch", "save"]);
    let new = race.groups.prepare_new(json!({"id": "new", "name": "n"})).unwrap();
    race.groups.create(&scope(&race.access), new).await.unwrap();
    assert_eq!(race.calls(), ["save"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_that_loses_a_race_is_merged_into_the_newest_content() {
    let race = Race::new().await;
    race.meanwhile(&[rename, |doc| drop(doc.insert("other".to_owned(), json!({"a": 1})))]);
    let patch = serde_json::from_str(r#"{"x": 1.50, "other": {"b": 2}}"#).unwrap();
    let saved = race.patch(patch).await.unwrap();
    assert_eq!(race.calls(), ["fetch", "save", "fetch", "save", "fetch", "save"]);
    let (shown, stored) = (shown(&saved), race.stored().await);
    assert_eq!((&shown["name"], &shown["other"]), (&json!("renamed"), &json!({"a": 1, "b": 2})));
    assert_eq!(shown["x"].to_string(), "1.50");
    assert_eq!((&stored["pvt_mark"], &stored["_rev"]), (&json!("newest"), &json!(saved.rev.as_str())));
    assert!(saved.rev.as_str().starts_with("4-"), "{}", saved.rev.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_that_loses_a_race_keeps_the_newest_private_members() {
    let race = Race::new().await;
    race.meanwhile(&[rename]);
    let saved =
        race.replace(json!({"name": "mine", "n": 1e3, "\u{1}": null, "pvt_mark": "mine"})).await.unwrap();
    assert_eq!(race.calls(), ["fetch", "save", "fetch", "save"]);
    let stored = race.stored().await;
    assert_eq!((&stored["name"], &stored["pvt_mark"]), (&json!("mine"), &json!("newest")));
    assert_eq!((&stored["\u{1}"], stored["n"].to_string()), (&Value::Null, "1000.0".to_owned()));
    assert_eq!(stored.get("id"), None);
    assert_eq!(shown(&saved)["name"], "mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_loses_a_race_deletes_the_newest_content() {
    for (deletion, write) in [(Deletion::Soft, "save"), (Deletion::Hard, "delete")] {
        let race = Race::new().await;
        race.meanwhile(&[rename]);
        let last = race.delete(deletion).await.unwrap();
        assert_eq!(race.calls(), ["fetch", write, "fetch", write]);
        assert!(last.public_members.contains(r#""name":"renamed""#), "{}", last.public_members);
        let gone = race.groups.fetch(&scope(&race.access), "g").await;
        assert!(matches!(gone, Err(GroupsError::NotFound { .. })), "{gone:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_deleted_meanwhile_is_not_found() {
    for attempt in 0..3 {
        let race = Race::new().await;
        race.meanwhile(&[delete_softly]);
        let outcome = match attempt {
            0 => race.patch(json!({"x": 1})).await.map(drop),
            1 => race.replace(json!({"name": "mine", "x": 1})).await.map(drop),
            _ => race.delete(Deletion::Soft).await.map(drop),
        };
        assert!(matches!(&outcome, Err(GroupsError::NotFound { id }) if id == "g"), "{outcome:?}");
        assert_eq!(race.stored().await.get("x"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_is_validated_again_after_a_lost_race() {
    let race = Race::new().await;
    race.meanwhile(&[|doc| drop(doc.shift_remove("name"))]);
    let refused = race.patch(json!({"x": 1})).await;
    let Err(GroupsError::Invalid(violations)) = refused else { panic!("{refused:?}") };
    assert!(violations.to_value()["name"]["required"].is_object(), "{}", violations.to_value());
    assert_eq!(race.stored().await.get("x"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_one_revision_is_not_made_to_another() {
    let race = Race::new().await;
    race.meanwhile(&[rename]);
    let refused = race.change(&scope(&race.access), Edit::patch(json!({"x": 1})), false).await;
    assert!(matches!(refused, Err(GroupsError::Conflict)), "{refused:?}");
    assert_eq!(race.calls(), ["fetch", "save"]);
    assert_eq!(race.stored().await.get("x"), None);
}

/// If other programs are always faster, a change ends as a conflict before its deadline.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_loses_every_race_is_a_conflict_in_time() {
    let race = Race::new().await;
    let rename: Deed = rename;
    race.meanwhile(&[rename; 1_000]);
    let deadline = Deadline::after(Duration::from_secs(2));
    let in_time = Scope { deadline, ..scope(&race.access) };
    let refused = race.change(&in_time, Edit::patch(json!({"x": 1})), true).await;
    assert!(matches!(refused, Err(GroupsError::Conflict)), "{refused:?}");
    assert!(!deadline.is_over());
    let saves = race.calls().iter().filter(|call| **call == "save").count();
    assert!((3..100).contains(&saves), "it tries again, at a growing interval: {saves}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_change_one_group_all_succeed_and_lose_no_race() {
    let race = Race::new().await;
    let clients = (0..16).map(|client| {
        let race = &race;
        async move {
            for round in 0..4 {
                race.patch(Value::Object(object(json!({ (format!("m{client}")): round })))).await?;
            }
            Ok::<_, GroupsError>(())
        }
    });
    try_join_all(clients).await.unwrap();
    let stored = race.stored().await;
    assert!((0..16).all(|client| stored[format!("m{client}")] == 3), "{stored}");
    let calls = race.calls();
    assert!(calls.chunks(2).all(|pair| pair == ["fetch", "save"]), "{calls:?}");
    assert_eq!(calls.len(), 2 * 16 * 4);
}
