use std::collections::BTreeMap;
use std::time::Duration;

use datastore::{
    Databases as _, DbName, Deadline, DocId, Draft, ROW_OVERHEAD_BYTES, Store as _, ViewQuery, ensure_design,
};
use embedded::{Durability, Embedded, Settings};
use futures::TryStreamExt as _;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};
use serde_json::{Map, Value, json};

use super::{Emission, MAX_LISTED_BYTES, check, too_large};
use crate::design::design_document;

fn group(users: usize, flags: usize) -> Map<String, Value> {
    let endpoints: Map<_, _> =
        (0..users).map(|user| (format!("{user:032}"), json!({"type": "user"}))).collect();
    let group = json!({"name": "Grüße", "endpoints": endpoints, "flags": vec!["flag"; flags]});
    group.as_object().unwrap().clone()
}

fn id() -> DocId {
    DocId::parse("a\"b").unwrap()
}

#[test]
fn the_size_is_that_of_the_emitted_rows() {
    let mut group = group(3, 2);
    group.insert("smartpbx".to_owned(), json!({"x": {"enabled": 1}, "y": {"enabled": 0}, "z": null}));
    group.insert("music_on_hold".to_owned(), json!({"media_id": "m"}));
    group["endpoints"]["device"] = json!({"type": "device"});
    let row = r#"{"id":"a\"b","name":"Grüße","features":["x","music_on_hold"],"endpoints":4,"flags":["flag","flag"]}"#;
    let emission = Emission::of(&group, &id());
    assert_eq!(emission.bytes(emission.flags), 3 * (row.len() + 34 + 64));
}

#[test]
fn many_endpoints_with_few_flags_are_listed() {
    assert_eq!(check(&group(100_000, 5), &id()), Ok(()));
    assert_eq!(check(&group(1, 100_000), &id()), Ok(()));
}

#[track_caller]
fn check_blamed(group: &Map<String, Value>, member: &str) {
    let violations = check(group, &id()).unwrap_err().to_value();
    assert_eq!(violations[member]["maxSize"]["target"], json!(MAX_LISTED_BYTES), "{violations}");
    let message = violations[member]["maxSize"]["message"].as_str().unwrap();
    assert!(message.contains("for each of its"), "{message}");
}

#[test]
fn a_group_that_the_views_cannot_list_is_refused() {
    check_blamed(&group(2_000, 6_000), "flags");
    let mut long = group(20_000, 0);
    long["name"] = json!("x".repeat(4_000));
    check_blamed(&long, "endpoints");
}

#[test]
fn the_largest_member_is_blamed_for_the_store_s_refusal() {
    let violations = too_large(r#""a":1,"b.c":["long","longer"],"d":"x","id":"g""#).to_value();
    assert!(violations["b%2Ec"]["maxSize"]["message"].is_string(), "{violations}");
}

#[test]
fn the_limit_is_what_the_embedded_store_accepts_by_default() {
    assert_eq!(Settings::default().map_memory_bytes / 2, MAX_LISTED_BYTES);
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ]
}

/// An object with these members, an array of their values, or neither.
fn collection(values: impl Strategy<Value = Value> + Clone + 'static) -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => vec((any::<String>(), values.clone()), 0..6).prop_map(|members| members.into_iter().collect::<Value>()),
        1 => vec(values, 0..6).prop_map(Value::Array),
        1 => scalar(),
    ]
}

/// The public members of a group, of any shape that a stored one may have.
fn any_group() -> impl Strategy<Value = Map<String, Value>> {
    let kind = prop_oneof![Just(json!("user")), Just(json!("device")), scalar()];
    let endpoint = prop_oneof![4 => kind.prop_map(|kind| json!({"type": kind})), 1 => scalar()].boxed();
    let feature = prop_oneof![4 => scalar().prop_map(|on| json!({"enabled": on})), 1 => scalar()].boxed();
    let music = prop_oneof![scalar().prop_map(|id| json!({"media_id": id})), scalar()];
    let flags = prop_oneof![vec(scalar(), 0..4).prop_map(Value::Array), scalar()];
    let members = (
        option::of(scalar()),
        option::of(collection(endpoint)),
        option::of(collection(feature)),
        option::of(music),
        option::of(flags),
    );
    members.prop_map(|(name, endpoints, smartpbx, music_on_hold, flags)| {
        let members = [
            ("name", name),
            ("endpoints", endpoints),
            ("smartpbx", smartpbx),
            ("music_on_hold", music_on_hold),
            ("flags", flags),
        ];
        members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    })
}

/// How much the views of `couch-views/` emit for each document, the larger one of the two.
async fn emitted(groups: &[(DocId, Map<String, Value>)]) -> BTreeMap<DocId, usize> {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { durability: Durability::Normal, ..Settings::default() };
    let store = Embedded::open(&folder.path().join("store.db"), settings).unwrap();
    let (db, by) = (DbName::parse("groups").unwrap(), Deadline::after(Duration::from_secs(60)));
    store.create_db(&db, by).await.unwrap();
    ensure_design(&store, &db, &design_document(), by).await.unwrap();
    for (id, public) in groups {
        let mut body = public.clone();
        body.insert("pvt_type".to_owned(), json!("group"));
        store.save(&db, Draft { id: id.clone(), base: None, body }, by).await.unwrap();
    }
    let mut largest = BTreeMap::new();
    for view in ["crossbar_listing", "crossbar_listing_by_user"] {
        let rows = store.query(&db, ViewQuery::of("groups", view), by).await.unwrap();
        let mut bytes: BTreeMap<DocId, usize> = BTreeMap::new();
        for row in rows.try_collect::<Vec<_>>().await.unwrap() {
            *bytes.entry(row.id).or_default() +=
                row.key.get().len() + row.value.get().len() + ROW_OVERHEAD_BYTES;
        }
        for (id, bytes) in bytes {
            let known: &mut usize = largest.entry(id).or_default();
            *known = bytes.max(*known);
        }
    }
    largest
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_views_emit_what_is_counted(groups in vec(any_group(), 1..12)) {
        let id = |number| DocId::parse(&format!("\"{number}ü")).unwrap();
        let groups: Vec<_> = groups.into_iter().enumerate().map(|(number, group)| (id(number), group)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let emitted = runtime.block_on(emitted(&groups));
        for (id, group) in groups {
            let emission = Emission::of(&group, &id);
            let (counted, emitted) = (emission.bytes(emission.flags), emitted[&id]);
            if group.contains_key("name") {
                prop_assert_eq!(counted, emitted, "{:?}", group);
            } else {
                // JavaScript leaves a missing name out, and here it is counted as null.
                prop_assert!(counted > emitted, "{counted} {emitted} {group:?}");
            }
        }
    }
}
