//! Changes to groups, and what is stored then. What another program writes is visible at once.

use std::collections::BTreeMap;

use auth::AccountAccess;
use datastore::{DocId, Store};
use groups::{Deletion, Edit, Groups, GroupsError, ListQuery};
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
    let saved = place.patch(&access, json!({"x": 1})).await.unwrap();
    let shown: Value = serde_json::from_str(&format!("{{{}}}", saved.public_members)).unwrap();
    assert_eq!((&shown["name"], &shown["x"], &shown["id"]), (&json!("after"), &json!(1), &json!("g")));
}

/// Kazoo and CouchDB take longer ids than this server gives.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_with_a_long_id_of_another_program_is_shown_and_deleted() {
    let place = Place::new().await;
    let access = place.account().await;
    let id = DocId::from_store("i".repeat(4_000));
    let body = object(json!({"name": "n", "pvt_type": "group"}));
    place
        .store
        .save(access.db(), datastore::Draft { id: id.clone(), base: None, body }, soon())
        .await
        .unwrap();
    let group = place.groups.fetch(&scope(&access), id.as_str()).await.unwrap();
    assert_eq!(group.document().id(), &id);
    place.delete(&access, id.as_str(), Deletion::Soft).await.unwrap();
    let gone = place.groups.fetch(&scope(&access), id.as_str()).await;
    assert!(matches!(gone, Err(GroupsError::NotFound { .. })), "{gone:?}");
    let refused = place.create(&access, json!({"id": "i".repeat(1_025), "name": "n"})).await;
    assert!(matches!(refused, Err(GroupsError::Invalid(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_stays_taken_after_a_soft_deletion_and_goes_on_after_a_hard_one() {
    let place = Place::new().await;
    let access = place.account().await;
    for (id, deletion) in [("soft", Deletion::Soft), ("hard", Deletion::Hard)] {
        place.create(&access, json!({"id": id, "name": "n"})).await.unwrap();
        place.delete(&access, id, deletion).await.unwrap();
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
    let edit = place.groups.replacement(json!({"name": "日本 X9"})).unwrap();
    place.change(&access, "g", edit).await.unwrap();
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
    let edit = place.groups.replacement(too_many).unwrap();
    refused(place.change(&access, "g", edit).await.map(drop));
    refused(place.patch(&access, json!({"endpoints": users(1_200)})).await.map(drop));
    let list = ListQuery { user_id: Some("user99".to_owned()), ..ListQuery::default() };
    assert_eq!(place.page(&access, list).await.0, ["g"]);
}

/// A request pays for what its change takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_patch_takes_all_members_and_a_replacement_only_the_private_ones() {
    let place = Place::new().await;
    let access = place.account().await;
    place.create(&access, json!({"id": "g", "name": "n"})).await.unwrap();
    let replacement = place.groups.replacement(json!({"name": "n"})).unwrap();
    for (edit, takes_all) in [(Edit::patch(json!({"x": 1})), true), (replacement, false)] {
        assert_eq!(edit.takes_all_members(), takes_all);
        let base = place.groups.fetch_base(&scope(&access), "g").await.unwrap();
        assert_eq!(base.document().unwrap().id().as_str(), "g");
        assert_eq!(place.groups.prepare_change(base, edit).unwrap().takes_all_members(), takes_all);
    }
    assert!(place.groups.fetch_base(&scope(&access), "none").await.unwrap().document().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_choose_an_id_that_kazoo_does_not_use() {
    let place = Place::new().await;
    for (mut data, expected) in [
        (json!({"id": "a"}), Ok("a")),
        (json!({"_id": "b", "id": "a"}), Ok("b")),
        (json!({"_id": null, "id": "a"}), Ok("a")),
        (json!({"_id": "", "id": "a"}), Ok("a")),
        (json!({"id": "limits"}), Err("invalid")),
        (json!({"id": "_a"}), Err("invalid")),
        (json!({"id": 5}), Err("type")),
    ] {
        data["name"] = json!("n");
        match (place.groups.prepare_new(data.clone()), expected) {
            (Ok(new), Ok(id)) => assert_eq!(new.id().as_str(), id, "{data}"),
            (Err(GroupsError::Invalid(violations)), Err(rule)) => {
                assert!(violations.to_value()["id"][rule].is_object(), "{data}");
            }
            (other, _) => panic!("{data}: {other:?}"),
        }
    }
    for data in [json!({"name": "n"}), json!({"name": "n", "id": null}), json!({"name": "n", "_id": ""})] {
        let id = place.groups.prepare_new(data).unwrap().id().as_str().to_owned();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_any_document_that_is_there() {
    let place = Place::new().await;
    let access = place.account().await;
    let docs = [
        ("user", json!({"pvt_type": "user"})),
        ("device", json!({"pvt_type": "device"})),
        ("gone", json!({"pvt_type": "user", "pvt_deleted": true})),
        ("token_restrictions", json!({})),
    ];
    let docs = docs.into_iter().map(|(id, body)| (id.to_owned(), object(body)));
    place.write(&access, &docs.collect()).await;
    let cases =
        [("user", true), ("device", true), ("gone", false), ("none", false), ("token_restrictions", false)];
    for (id, is_there) in cases {
        let found = place.groups.fetch_document(&scope(&access), id).await;
        let checked = found.and_then(|document| Groups::check_user(&document));
        assert_eq!(checked.is_ok(), is_there, "{id}");
        assert!(matches!(checked, Ok(()) | Err(GroupsError::NotFound { .. })), "{checked:?}");
    }
}

/// Kazoo would book the services and ask for the charges.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_books_services_is_refused() {
    let place = Place::new().await;
    let access = place.account().await;
    let plans = json!({"plan": {"account_id": "a"}});
    let refused = place.create(&access, json!({"id": "g", "service": {"plans": plans.clone()}})).await;
    let Err(GroupsError::Invalid(violations)) = refused else { panic!("{refused:?}") };
    let told = violations.to_value();
    assert!(told["service.plans"]["forbidden"]["message"].is_string(), "{told}");
    assert!(told["name"]["required"].is_object(), "every violation is told: {told}");
    for allowed in [json!({}), json!({"plans": {}}), json!({"plans": "x"}), json!("x")] {
        place.create(&access, json!({"name": "n", "service": allowed})).await.unwrap();
    }
    place.create(&access, json!({"id": "g", "name": "n"})).await.unwrap();
    let refused = place.patch(&access, json!({"service": {"plans": plans}})).await;
    assert!(matches!(refused, Err(GroupsError::Invalid(_))), "{refused:?}");
}

/// If the store refuses a group as too large, the group's largest member is to blame.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_too_large_for_the_store_is_refused() {
    let place = Place::new().await;
    let access = place.account().await;
    let half = "x".repeat(4_500_000);
    let group = json!({"id": "g", "name": "n", "some": half});
    place.create(&access, group.clone()).await.unwrap();
    let refused = place.patch(&access, json!({"more": format!("{half}x")})).await;
    let Err(GroupsError::Invalid(violations)) = refused else { panic!("{refused:?}") };
    let told = violations.to_value();
    assert!(told["more"]["maxSize"]["message"].as_str().unwrap().contains("too large"), "{told}");
    assert_eq!(told.as_object().unwrap().len(), 1);
}
