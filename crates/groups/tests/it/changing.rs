//! Changes to groups while another program changes them too. Its writes must be visible and must not get
//! lost.

use std::collections::BTreeMap;

use auth::AccountAccess;
use datastore::{DocId, Store};
use groups::{Change, Deletion, GroupsError, IfChanged, ListQuery};
use serde_json::{Value, json};

use crate::support::{Place, object, scope, soon};

/// Sets a member of a stored document directly in the store, as another program would.
async fn write_over(place: &Place, access: &AccountAccess, id: &str, member: (&str, Value)) {
    let id = DocId::parse(id).unwrap();
    let stored = place.store.fetch(access.db(), &id, soon()).await.unwrap();
    let mut body = stored.to_object().unwrap();
    body.shift_remove("_id");
    body.shift_remove("_rev");
    body.insert(member.0.to_owned(), member.1);
    let draft = datastore::Draft { id, base: Some(stored.rev().clone()), body };
    place.store.save(access.db(), draft, soon()).await.unwrap();
}

async fn stored(place: &Place, access: &AccountAccess, id: &str) -> Value {
    let id = DocId::parse(id).unwrap();
    Value::Object(place.store.fetch(access.db(), &id, soon()).await.unwrap().to_object().unwrap())
}

/// Prepares a patch of the group `g`.
async fn prepare_patch(place: &Place, access: &AccountAccess, patch: Value) -> Result<Change, GroupsError> {
    let base = place.groups.fetch_base(&scope(access), "g").await?;
    place.groups.prepare_patch(base, patch)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_program_wrote_is_seen_at_once() {
    let place = Place::new().await;
    let access = place.account().await;
    place.create(&access, json!({"id": "g", "name": "before"})).await.unwrap();
    place.groups.fetch(&scope(&access), "g").await.unwrap();
    write_over(&place, &access, "g", ("name", json!("after"))).await;
    let group = place.groups.fetch(&scope(&access), "g").await.unwrap();
    assert_eq!(group.document().to_object().unwrap()["name"], "after");
    // A patch starts from the new content, so it does not conflict.
    let draft = prepare_patch(&place, &access, json!({"x": 1})).await.unwrap();
    let saved = place.groups.update(&scope(&access), draft).await.unwrap();
    let shown: Value = serde_json::from_str(&format!("{{{}}}", saved.public_members)).unwrap();
    assert_eq!((&shown["name"], &shown["x"], &shown["id"]), (&json!("after"), &json!(1), &json!("g")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_loses_a_race_is_a_conflict() {
    let place = Place::new().await;
    let access = place.account().await;
    place.create(&access, json!({"id": "g", "name": "n"})).await.unwrap();
    let draft = prepare_patch(&place, &access, json!({"x": 1})).await.unwrap();
    write_over(&place, &access, "g", ("y", json!(2))).await;
    let lost = place.groups.update(&scope(&access), draft).await;
    assert!(matches!(lost, Err(GroupsError::Conflict)), "{lost:?}");
    assert_eq!(stored(&place, &access, "g").await["y"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_deletes_the_newest_content() {
    let place = Place::new().await;
    let access = place.account().await;
    place.create(&access, json!({"id": "g", "name": "n"})).await.unwrap();
    let read = place.groups.fetch(&scope(&access), "g").await.unwrap();
    write_over(&place, &access, "g", ("edited", json!(true))).await;
    let refused = place.groups.remove(&scope(&access), read.clone(), Deletion::Soft, IfChanged::Refuse).await;
    assert!(
        matches!(refused, Err(GroupsError::Conflict)),
        "the caller insisted on the old revision: {refused:?}"
    );
    let answered =
        place.groups.remove(&scope(&access), read, Deletion::Soft, IfChanged::DeleteNewest).await.unwrap();
    assert_eq!(answered.document().to_object().unwrap()["edited"], true);
    let left = stored(&place, &access, "g").await;
    assert_eq!((&left["edited"], &left["pvt_deleted"]), (&json!(true), &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_stays_taken_after_a_soft_deletion_and_goes_on_after_a_hard_one() {
    let place = Place::new().await;
    let access = place.account().await;
    for (id, deletion) in [("soft", Deletion::Soft), ("hard", Deletion::Hard)] {
        place.create(&access, json!({"id": id, "name": "n"})).await.unwrap();
        let group = place.groups.fetch(&scope(&access), id).await.unwrap();
        place.groups.remove(&scope(&access), group, deletion, IfChanged::DeleteNewest).await.unwrap();
        let gone = place.groups.fetch(&scope(&access), id).await;
        assert!(matches!(gone, Err(GroupsError::NotFound { .. })), "{gone:?}");
    }
    let taken = place.create(&access, json!({"id": "soft", "name": "n"})).await;
    assert!(matches!(taken, Err(GroupsError::Conflict)), "{taken:?}");
    let again = place.create(&access, json!({"id": "hard", "name": "n"})).await.unwrap();
    assert!(again.rev.as_str().starts_with("3-"), "{}", again.rev.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_design_document_is_created_and_a_given_one_is_used() {
    let place = Place::new().await;
    let access = place.account().await;
    let list = || ListQuery { page_size: Some(10), ..ListQuery::default() };
    place.write(&access, &BTreeMap::from([("g".to_owned(), object(json!({"pvt_type": "group"})))])).await;
    assert_eq!(place.page(&access, list()).await, (vec!["g".to_owned()], None));
    let design = DocId::design("groups").unwrap();
    let made = place.store.fetch(access.db(), &design, soon()).await.unwrap();
    let mut body = made.to_object().unwrap();
    let map = "function (doc) { if (doc.pvt_type === 'group') { emit(doc._id, {id: 'from ' + doc._id}); } }";
    body["views"]["crossbar_listing"]["map"] = json!(map);
    body.shift_remove("_id");
    body.shift_remove("_rev");
    let draft = datastore::Draft { id: design, base: Some(made.rev().clone()), body };
    place.store.save(access.db(), draft, soon()).await.unwrap();
    assert_eq!(place.page(&access, list()).await, (vec!["from g".to_owned()], None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_save_keeps_foreign_private_members_and_marks_who_saved() {
    let place = Place::new().await;
    let access = place.account().await;
    place.create(&access, json!({"id": "g", "name": "Sales Team #1", "pvt_mine": 1})).await.unwrap();
    write_over(&place, &access, "g", ("pvt_document_hash", json!("stale"))).await;
    let before = stored(&place, &access, "g").await;
    assert_eq!((&before["pvt_alphanum_name"], before.get("pvt_mine")), (&json!("salesteam1"), None));
    let draft =
        place.groups.prepare_replacement(&scope(&access), "g", json!({"name": "日本 X9"})).await.unwrap();
    place.groups.update(&scope(&access), draft).await.unwrap();
    let after = stored(&place, &access, "g").await;
    assert_eq!(after["pvt_document_hash"], "stale");
    assert_eq!(after["pvt_alphanum_name"], "x9");
    for (key, value) in [("pvt_type", "group"), ("pvt_vsn", "1"), ("pvt_request_id", "r")] {
        assert_eq!(after[key], value);
    }
    assert_eq!(after["pvt_created"], before["pvt_created"]);
}

/// A group that the listings could not show is refused before it is written, whoever asks for it and how.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_the_listings_cannot_take_is_refused() {
    let place = Place::new().await;
    let access = place.account().await;
    let users = |count: usize| {
        let endpoints: serde_json::Map<_, _> =
            (0..count).map(|user| (format!("user{user}"), json!({"type": "user"}))).collect();
        endpoints
    };
    let flags = vec!["x".repeat(60); 1_000];
    let refused = |outcome: Result<(), GroupsError>| {
        let Err(GroupsError::Invalid(violations)) = outcome else { panic!("{outcome:?}") };
        let details = violations.to_value()["flags"]["maxSize"].clone();
        assert_eq!(details["target"], 64 << 20, "{details}");
    };
    place
        .create(&access, json!({"id": "g", "name": "n", "endpoints": users(100), "flags": flags}))
        .await
        .unwrap();
    let too_many = json!({"id": "new", "name": "n", "endpoints": users(1_200), "flags": flags});
    refused(place.create(&access, too_many.clone()).await.map(drop));
    refused(place.groups.prepare_replacement(&scope(&access), "g", too_many).await.map(drop));
    let patch = json!({"endpoints": users(1_200)});
    refused(prepare_patch(&place, &access, patch).await.map(drop));
    let list = ListQuery { user_id: Some("user99".to_owned()), ..ListQuery::default() };
    assert_eq!(place.page(&access, list).await.0, ["g"]);
}

/// If the store refuses a group as too large, the group's largest member is to blame.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_too_large_for_the_store_is_refused() {
    let place = Place::new().await;
    let access = place.account().await;
    let half = "x".repeat(4_500_000);
    let group = json!({"id": "g", "name": "n", "some": half});
    place.create(&access, group.clone()).await.unwrap();
    let patch = json!({"more": format!("{half}x")});
    let change = prepare_patch(&place, &access, patch).await.unwrap();
    let refused = place.groups.update(&scope(&access), change).await;
    let Err(GroupsError::Invalid(violations)) = refused else { panic!("{refused:?}") };
    let told = violations.to_value();
    assert!(told["more"]["maxSize"]["message"].as_str().unwrap().contains("too large"), "{told}");
    assert_eq!(told.as_object().unwrap().len(), 1);
}
