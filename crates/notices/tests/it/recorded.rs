//! Notices that Kazoo has sent, byte for byte but for ids and times.

use serde_json::{Value, json};

use crate::world::{ACCOUNT, World, db, group_with};

/// What Kazoo has sent after each request of the recording.
fn recorded() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/notices.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Puts our values in the place of the recording's symbols.
fn resolved(text: &str, rev: &str, payload: &Value) -> Value {
    match text {
        "{{alpha}}" => json!(ACCOUNT),
        "{{db:alpha}}" => json!(db().encoded()),
        "{{node name}}" => json!("crossbar_groups@here"),
        "{{app version}}" => json!("4.0.0"),
        "{{msg id}}" => payload["Msg-ID"].clone(),
        _ if text.starts_with("{{rev/") => json!(rev),
        _ => json!(text),
    }
}

#[tokio::test]
async fn notices_are_those_that_kazoo_sent() {
    let world = World::new().await;
    let server = world.server("crossbar_groups@here");
    let hard = "a b/c.d~e_f-g+h%i";
    let (created, edited) = (group_with("name", "N 1"), group_with("name", "N 2"));
    let hard_rev = server.create(hard).await;
    let rev = server.create("before").await;
    world.broker.wait_for(2).await;
    world.broker.forget();
    drop(rev);
    // The writes of the recorded requests.
    let first = server.save("notice-1", None, created).await;
    let second = server.save("notice-1", Some(&first), edited.clone()).await;
    let third = server.save("notice-1", Some(&second), edited).await;
    let soft = server.save("notice-1", Some(&third), group_with("pvt_deleted", true)).await;
    let tombstone = server.delete(hard, &hard_rev).await;
    let revs = [first, second, third, soft, tombstone];

    let expected: Vec<Value> =
        recorded().iter().flat_map(|step| step["notices"].as_array().unwrap().clone()).collect();
    let mut got = world.broker.wait_for(expected.len()).await;
    assert_eq!(got.len(), expected.len());
    // Documents take turns. Those of one document are in order.
    got.sort_by_key(|message| message.routing_key.contains("a+b"));
    for ((expected, message), rev) in expected.iter().zip(&got).zip(&revs) {
        let payload: Value = serde_json::from_str(&message.payload).unwrap();
        let mut wanted = expected["payload"].clone();
        for (name, value) in wanted.as_object_mut().unwrap() {
            // Kazoo swaps the two.
            match name.as_str() {
                "Date-Modified" => *value = json!(63_962_664_504_i64),
                "Date-Created" => *value = json!(63_962_664_999_i64),
                _ => {
                    if let Some(text) = value.as_str() {
                        *value = resolved(text, rev.as_str(), &payload);
                    }
                }
            }
        }
        assert_eq!(message.payload, wanted.to_string());
        let key = expected["routing_key"].as_str().unwrap().replace("{{db:alpha}}", &db().encoded());
        assert_eq!(message.routing_key, key);
        let id = payload["Msg-ID"].as_str().unwrap();
        assert!(
            id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
            "{id}"
        );
        assert!(message.timestamp_us > 1_700_000_000_000_000, "microseconds: {}", message.timestamp_us);
    }
    server.stop().await;
}

/// Kazoo leaves out what a document does not have.
#[tokio::test]
async fn a_document_without_a_type_is_told_as_undefined() {
    let world = World::new().await;
    let server = world.server("n");
    server.save("a", None, json!({"name": "A", "pvt_created": "63962664504", "pvt_modified": 0})).await;
    let message = world.broker.wait_for(1).await.remove(0);
    assert_eq!(message.routing_key, format!("doc_created.{}.undefined.a", db().encoded()));
    let payload: Value = serde_json::from_str(&message.payload).unwrap();
    let names: Vec<_> = payload.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "Origin-Cache",
            "Rev",
            "Is-Soft-Deleted",
            "Date-Modified",
            "Account-ID",
            "Database",
            "ID",
            "Node",
            "Msg-ID",
            "Event-Name",
            "Event-Category",
            "App-Version",
            "App-Name"
        ]
    );
    assert_eq!(
        (&payload["Date-Modified"], &payload["Account-ID"]),
        (&json!(63_962_664_504_i64), &json!(ACCOUNT))
    );
    server.stop().await;
}

#[tokio::test]
async fn what_kazoo_does_not_tell_is_not_told() {
    let world = World::new().await;
    let server = world.server("n");
    server.save("cdr", None, json!({"pvt_type": "cdr"})).await;
    let design = datastore::Draft {
        id: datastore::DocId::design("d").unwrap(),
        base: None,
        body: json!({"language": "javascript", "views": {}}).as_object().unwrap().clone(),
    };
    server.store.save(&db(), design, crate::world::soon()).await.unwrap();
    let config = datastore::DbName::parse("system_config").unwrap();
    let other = crate::world::draft("other", None, json!({"pvt_type": "config"}));
    server.store.save(&config, other, crate::world::soon()).await.unwrap();
    server.create("a").await;
    world.broker.wait_for(1).await;
    server.stop().await;
    assert_eq!(world.broker.told().len(), 1, "{:?}", world.broker.told());

    let datamgr = json!({"default": {"change_notice_exclude_types": ["group"]}});
    world
        .store
        .save(&config, crate::world::draft("datamgr", None, datamgr), crate::world::soon())
        .await
        .unwrap();
    let server = world.server("n");
    server.create("b").await;
    server.save("cdr2", None, json!({"pvt_type": "cdr"})).await;
    world.broker.wait_for(2).await;
    server.stop().await;
    let ids: Vec<_> = world.broker.told().into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(ids, ["a", "cdr2"]);

    // A configuration that is marked as deleted is none.
    let datamgr = crate::world::doc_id("datamgr");
    let stored = world.store.fetch(&config, &datamgr, crate::world::soon()).await.unwrap();
    let mut body = stored.to_object().unwrap();
    kazoo::mark_deleted(&mut body);
    let draft = datastore::Draft { id: datamgr, base: Some(stored.rev().clone()), body };
    world.store.save(&config, draft, crate::world::soon()).await.unwrap();
    let server = world.server("n");
    server.create("c").await;
    world.broker.wait_for(3).await;
    server.save("cdr3", None, json!({"pvt_type": "cdr"})).await;
    server.stop().await;
    let ids: Vec<_> = world.broker.told().into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(ids, ["a", "cdr2", "c"]);
}
