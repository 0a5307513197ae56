//! Key ranges: which rows a query returns, and in which order.

use serde_json::{Value, json};

use super::Subject;
use super::subject::{draft, parsed, soon};
use crate::{StoreError, ViewQuery};

const BY_KEY: &str = "function (doc) { if ('key' in doc) { emit(doc.key, null); } }";

/// Keys in CouchDB's order. Their strings sort alike by ICU's rules and by bytes.
const SORTED: &str = r#"[null, false, true,
    -123456789012, -5, -0.5, 0, 0.25, 1, 1.5, 2, 10, 4294967296, 1e21,
    "", "0", "00", "1", "10", "2", "a", "a0", "aa", "ab", "b", "ba",
    [], [null], [false], [1], [1, null], [1, "a"], [2], ["a"], ["a", null], ["a", "b"], ["a", "b", "c"],
    ["a", ["z"]], ["a", {}], ["b"], [[]], [["a"]], [{}],
    {}, {"a": 1}, {"a": 2}, {"b": 1}, {"b": 2}, {"b": 2, "a": 1}, {"b": 2, "c": 2}]"#;

/// Writes one document for each key. The ids have the opposite order.
async fn create_keys(subject: &Subject, keys: &[Value]) {
    subject.design("d", &[("by_key", BY_KEY)]).await;
    let last = keys.len() - 1;
    let drafts = keys
        .iter()
        .enumerate()
        .map(|(n, key)| draft(&format!("{:03}", last - n), None, json!({ "key": key })))
        .collect();
    for rev in subject.store.save_many(&subject.db, drafts, soon()).await.unwrap() {
        rev.unwrap();
    }
}

fn by_key() -> ViewQuery {
    ViewQuery::of("d", "by_key")
}

/// The order of the types is null, false, true, numbers, strings, arrays, objects.
pub async fn keys_of_every_type_sort_as_in_couchdb(subject: Subject) {
    let mut sorted = parsed(SORTED).as_array().unwrap().clone();
    create_keys(&subject, &sorted).await;
    let text = |keys: Vec<Value>| keys.iter().map(by_value).collect::<Vec<_>>();
    assert_eq!(text(subject.keys(by_key()).await), text(sorted.clone()));
    for (n, key) in sorted.iter().enumerate() {
        let from = ViewQuery { start_key: Some(key.clone()), limit: Some(1), ..by_key() };
        assert_eq!(text(subject.keys(from).await), [by_value(key)]);
        let till = ViewQuery { end_key: Some(key.clone()), ..by_key() };
        assert_eq!(subject.ids(till).await.len(), n + 1, "up to {key}");
    }
    sorted.reverse();
    let query = ViewQuery { descending: true, ..by_key() };
    assert_eq!(text(subject.keys(query).await), text(sorted));
}

/// The key as text, with every number in one format, because stores write `1e21` differently.
fn by_value(key: &Value) -> String {
    match key {
        Value::Number(number) => number.to_string().parse::<f64>().unwrap().to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(by_value).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

/// `key` compares values: neither their JSON text nor their sort order.
pub async fn a_key_finds_exactly_its_rows(subject: Subject) {
    create_keys(&subject, &[json!("a"), json!("b"), json!("a"), json!("aa"), json!(1), json!([1])]).await;
    let ids = async |key: Value| subject.ids(ViewQuery { key: Some(key), ..by_key() }).await;
    assert_eq!(ids(json!("a")).await, ["003", "005"]);
    assert_eq!(ids(json!("aa")).await, ["002"]);
    assert_eq!(ids(json!(1)).await, ["001"]);
    assert_eq!(ids(parsed("1.0")).await, ["001"]);
    assert_eq!(ids(json!([1])).await, ["000"]);
    for other in ["c", "A", "a\0", "\u{ad}a", "\u{ff41}"] {
        assert!(ids(json!(other)).await.is_empty(), "{other:?}");
    }
    assert!(ids(Value::Null).await.is_empty());
    let backwards = ViewQuery { key: Some(json!("a")), descending: true, ..by_key() };
    assert_eq!(subject.ids(backwards).await, ["005", "003"]);
}

/// Both ends are inclusive unless `exclusive_end` is set. Descending, `start_key` is the highest key.
pub async fn start_and_end_keys_bound_a_range(subject: Subject) {
    let keys: Vec<Value> = ["a", "b", "c", "d", "e"].map(Value::from).to_vec();
    create_keys(&subject, &keys).await;
    let range = |from: Option<&str>, to: Option<&str>| ViewQuery {
        start_key: from.map(Value::from),
        end_key: to.map(Value::from),
        ..by_key()
    };
    let told = async |query: ViewQuery| -> String {
        subject.keys(query).await.iter().map(|key| key.as_str().unwrap()).collect()
    };
    assert_eq!(told(range(Some("b"), Some("d"))).await, "bcd");
    assert_eq!(told(range(Some("bb"), Some("dd"))).await, "cd");
    assert_eq!(told(range(Some("c"), None)).await, "cde");
    assert_eq!(told(range(None, Some("c"))).await, "abc");
    assert_eq!(told(ViewQuery { exclusive_end: true, ..range(Some("b"), Some("d")) }).await, "bc");
    assert_eq!(told(ViewQuery { exclusive_end: true, ..range(None, Some("dd")) }).await, "abcd");
    let down = |query: ViewQuery| ViewQuery { descending: true, ..query };
    assert_eq!(told(down(range(Some("d"), Some("b")))).await, "dcb");
    assert_eq!(told(down(range(None, Some("c")))).await, "edc");
    assert_eq!(told(down(range(Some("c"), None))).await, "cba");
    let query = ViewQuery { exclusive_end: true, ..down(range(Some("d"), Some("b"))) };
    assert_eq!(told(query).await, "dc");
}

/// The range from `[a]` to `[a, {}]` has all arrays that begin with `a`.
pub async fn a_range_selects_arrays_by_prefix(subject: Subject) {
    let keys = [
        json!(["a"]),
        json!(["a", 1]),
        json!(["a", "b", "c"]),
        json!(["aa", 1]),
        json!(["b", 1]),
        json!("a"),
        json!(["a", ["x"], "y"]),
    ];
    create_keys(&subject, &keys).await;
    let query = ViewQuery { start_key: Some(json!(["a"])), end_key: Some(json!(["a", {}])), ..by_key() };
    let wanted = [json!(["a"]), json!(["a", 1]), json!(["a", "b", "c"]), json!(["a", ["x"], "y"])];
    assert_eq!(subject.keys(query.clone()).await, wanted);
    let query =
        ViewQuery { start_key: query.end_key, end_key: query.start_key, descending: true, ..by_key() };
    assert_eq!(subject.keys(query).await.first(), Some(&wanted[3]));
}

/// `skip` and `limit` count the rows in the range.
pub async fn limit_and_skip_count_rows(subject: Subject) {
    let keys: Vec<Value> = (0..10).map(Value::from).collect();
    create_keys(&subject, &keys).await;
    let told = async |query: ViewQuery| -> Vec<u64> {
        subject.keys(query).await.iter().map(|key| key.as_u64().unwrap()).collect()
    };
    assert_eq!(told(ViewQuery { limit: Some(3), ..by_key() }).await, [0, 1, 2]);
    assert_eq!(told(ViewQuery { skip: 8, ..by_key() }).await, [8, 9]);
    assert_eq!(told(ViewQuery { skip: 20, ..by_key() }).await, [0; 0]);
    assert_eq!(told(ViewQuery { limit: Some(0), ..by_key() }).await, [0; 0]);
    let query =
        ViewQuery { start_key: Some(json!(4)), skip: 1, limit: Some(2), descending: true, ..by_key() };
    assert_eq!(told(query).await, [3, 2]);
}

const ROWS_WITH_EQUAL_KEYS: [(&str, &str); 7] =
    [("a1", "x"), ("b1", "y"), ("b2", "y"), ("b3", "y"), ("b4", "y"), ("b5", "y"), ("c1", "z")];

async fn create_rows_with_equal_keys(subject: &Subject) {
    subject.design("d", &[("by_key", BY_KEY)]).await;
    for (id, key) in ROWS_WITH_EQUAL_KEYS.into_iter().rev() {
        subject.create(id, json!({ "key": key })).await;
    }
}

/// Descending reverses the order of the documents too.
pub async fn rows_of_one_key_are_ordered_by_document(subject: Subject) {
    create_rows_with_equal_keys(&subject).await;
    assert_eq!(subject.ids(by_key()).await, ROWS_WITH_EQUAL_KEYS.map(|(id, _)| id));
    let mut backwards = ROWS_WITH_EQUAL_KEYS.map(|(id, _)| id);
    backwards.reverse();
    assert_eq!(subject.ids(ViewQuery { descending: true, ..by_key() }).await, backwards);
}

/// `start_key_doc_id` has no effect on rows with other keys.
pub async fn start_key_doc_id_bounds_the_first_key(subject: Subject) {
    create_rows_with_equal_keys(&subject).await;
    let from = |key: &str, id: &str, descending: bool| ViewQuery {
        start_key: Some(json!(key)),
        start_key_doc_id: Some(id.to_owned()),
        descending,
        ..by_key()
    };
    assert_eq!(subject.ids(from("y", "b3", false)).await, ["b3", "b4", "b5", "c1"]);
    assert_eq!(subject.ids(from("y", "b33", false)).await, ["b4", "b5", "c1"]);
    assert_eq!(subject.ids(from("x", "b3", false)).await, ["b1", "b2", "b3", "b4", "b5", "c1"]);
    assert_eq!(subject.ids(from("y", "b3", true)).await, ["b3", "b2", "b1", "a1"]);
    assert_eq!(subject.ids(from("z", "b3", true)).await, ["b5", "b4", "b3", "b2", "b1", "a1"]);
    let query = ViewQuery { key: Some(json!("y")), start_key_doc_id: Some("b4".to_owned()), ..by_key() };
    assert_eq!(subject.ids(query).await, ["b4", "b5"]);
}

/// `end_key_doc_id` has no effect on rows with other keys. `exclusive_end` leaves its row out.
pub async fn end_key_doc_id_bounds_the_last_key(subject: Subject) {
    create_rows_with_equal_keys(&subject).await;
    let till = |key: &str, id: &str, descending: bool| ViewQuery {
        end_key: Some(json!(key)),
        end_key_doc_id: Some(id.to_owned()),
        descending,
        ..by_key()
    };
    assert_eq!(subject.ids(till("y", "b3", false)).await, ["a1", "b1", "b2", "b3"]);
    assert_eq!(subject.ids(till("y", "b33", false)).await, ["a1", "b1", "b2", "b3"]);
    assert_eq!(subject.ids(till("z", "b3", false)).await, ["a1", "b1", "b2", "b3", "b4", "b5"]);
    assert_eq!(subject.ids(till("y", "b3", true)).await, ["c1", "b5", "b4", "b3"]);
    let query = ViewQuery { exclusive_end: true, ..till("y", "b3", false) };
    assert_eq!(subject.ids(query).await, ["a1", "b1", "b2"]);
    let query = ViewQuery {
        key: Some(json!("y")),
        start_key_doc_id: Some("b2".to_owned()),
        end_key_doc_id: Some("b4".to_owned()),
        ..by_key()
    };
    assert_eq!(subject.ids(query).await, ["b2", "b3", "b4"]);
}

/// A client pages by asking for one row more than it shows. The extra row begins the next page.
pub async fn pages_follow_each_other_without_gap_or_overlap(subject: Subject) {
    let keys: Vec<Value> = (0..60).map(|n| json!(["k", n / 10])).collect();
    create_keys(&subject, &keys).await;
    for descending in [false, true] {
        let whole = subject.ids(ViewQuery { descending, ..by_key() }).await;
        let mut paged = Vec::new();
        let mut query = ViewQuery { descending, limit: Some(8), ..by_key() };
        loop {
            let rows = subject.rows(query.clone()).await;
            let next = rows.get(7).cloned();
            paged.extend(rows.into_iter().take(7).map(|row| row.id));
            let Some(next) = next else { break };
            query.start_key = Some(next.key);
            query.start_key_doc_id = Some(next.id);
        }
        assert_eq!(paged, whole);
    }
}

/// CouchDB answers with an error, not with an empty list.
pub async fn a_reversed_range_is_invalid(subject: Subject) {
    create_keys(&subject, &[json!("a"), json!("b")]).await;
    for descending in [false, true] {
        let (from, to) = if descending { ("a", "b") } else { ("b", "a") };
        let query =
            ViewQuery { start_key: Some(json!(from)), end_key: Some(json!(to)), descending, ..by_key() };
        let error = subject.try_rows(query).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid(_)), "{error:?}");
    }
}

/// `_all_docs` takes the same queries as a view. The ids are the keys.
pub async fn all_docs_takes_key_ranges(subject: Subject) {
    for id in ["a", "b", "c", "d", "e"] {
        subject.create(id, json!({})).await;
    }
    let all = ViewQuery::all_docs;
    let query = ViewQuery { key: Some(json!("c")), ..all() };
    assert_eq!(subject.ids(query).await, ["c"]);
    let query = ViewQuery { start_key: Some(json!("b")), end_key: Some(json!("d")), ..all() };
    assert_eq!(subject.ids(query.clone()).await, ["b", "c", "d"]);
    assert_eq!(subject.ids(ViewQuery { exclusive_end: true, ..query.clone() }).await, ["b", "c"]);
    assert_eq!(subject.ids(ViewQuery { skip: 1, limit: Some(1), ..query }).await, ["c"]);
    let query = ViewQuery { start_key: Some(json!("c")), descending: true, ..all() };
    assert_eq!(subject.ids(query).await, ["c", "b", "a"]);
}
