//! A simple model of listings. It keeps all documents in a map and implements each filter directly. It shares
//! no code with the filters and cursors that the tests check.

use std::collections::BTreeMap;

use groups::{FilterValue, Filters, ListQuery};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use serde_json::{Map, Value, json};

use crate::support::object;

/// The user whose groups are listed.
pub(crate) const USER: &str = "user1";

/// Documents by id. Strings sort by bytes, as in the embedded store.
pub(crate) type Docs = BTreeMap<String, Map<String, Value>>;

/// A filter in the model.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Is(&'static str, String),
    IsNot(&'static str, String),
    HasKey(&'static str),
    KeyMissing(&'static str),
    HasValue(&'static str),
    ValueMissing(&'static str),
    CreatedFrom(u64),
    CreatedTo(u64),
}

impl Condition {
    /// The pair in the query string for this filter.
    fn pair(&self) -> (String, String) {
        let (key, value) = match self {
            Self::Is(member, value) => (format!("filter_{member}"), value.clone()),
            Self::IsNot(member, value) => (format!("filter_not_{member}"), value.clone()),
            Self::HasKey(member) => ("has_key".to_owned(), (*member).to_owned()),
            Self::KeyMissing(member) => ("key_missing".to_owned(), (*member).to_owned()),
            Self::HasValue(member) => ("has_value".to_owned(), (*member).to_owned()),
            Self::ValueMissing(member) => ("value_missing".to_owned(), (*member).to_owned()),
            Self::CreatedFrom(from) => ("created_from".to_owned(), from.to_string()),
            Self::CreatedTo(to) => ("created_to".to_owned(), to.to_string()),
        };
        (key, value)
    }

    fn holds(&self, doc: &Map<String, Value>) -> bool {
        let created = doc.get("pvt_created").and_then(Value::as_u64);
        match self {
            Self::Is(member, value) => text(doc.get(*member)).is_some_and(|text| text == *value),
            Self::IsNot(member, value) => text(doc.get(*member)).is_none_or(|text| text != *value),
            Self::HasKey(member) => doc.contains_key(*member),
            Self::KeyMissing(member) => !doc.contains_key(*member),
            Self::HasValue(member) => is_something(doc.get(*member)),
            Self::ValueMissing(member) => !is_something(doc.get(*member)),
            Self::CreatedFrom(from) => created.is_none_or(|created| created >= *from),
            Self::CreatedTo(to) => created.is_some_and(|created| created <= *to),
        }
    }
}

/// The text of a value. An object has none.
fn text(value: Option<&Value>) -> Option<String> {
    match value {
        None => Some(String::new()),
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Object(_)) => None,
        Some(other) => Some(other.to_string()),
    }
}

fn is_something(value: Option<&Value>) -> bool {
    let empty = [
        json!(""),
        json!("0"),
        json!("NULL"),
        json!("undefined"),
        json!(0),
        json!([]),
        json!({}),
        Value::Null,
    ];
    value.is_some_and(|value| !empty.contains(value))
}

/// The parameters of a random listing.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) of_user: bool,
    pub(crate) ascending: bool,
    pub(crate) page_size: u64,
    pub(crate) start: Option<String>,
    pub(crate) end: Option<String>,
    pub(crate) conditions: Vec<Condition>,
}

impl Asked {
    /// The same listing as a `ListQuery`.
    pub(crate) fn query(&self) -> ListQuery {
        let pairs: Vec<_> = self.conditions.iter().map(Condition::pair).collect();
        let pairs: Vec<_> =
            pairs.into_iter().map(|(key, value)| (key, FilterValue::Bytes(value.into_bytes()))).collect();
        ListQuery {
            user_id: self.of_user.then(|| USER.to_owned()),
            ascending: self.ascending,
            page_size: Some(self.page_size),
            start_key: self.start.clone(),
            end_key: self.end.clone(),
            filters: Filters::from_query(pairs.iter().map(|(key, value)| (key.as_str(), value))),
        }
    }

    /// The expected pages: the ids, and the start key of the next page.
    pub(crate) fn pages(&self, docs: &Docs) -> Vec<(Vec<String>, Option<String>)> {
        let page_size = usize::try_from(self.page_size).unwrap();
        let mut pages = vec![(Vec::new(), None)];
        for (id, is_wanted) in self.rows(docs) {
            let (page, next) = pages.last_mut().unwrap();
            if page.len() == page_size {
                *next = Some(id.clone());
                pages.push((Vec::new(), None));
            }
            if is_wanted {
                pages.last_mut().unwrap().0.push(id);
            }
        }
        pages
    }

    /// The rows of the view, in order. The flag says whether the row passes the filters.
    pub(crate) fn rows(&self, docs: &Docs) -> Vec<(String, bool)> {
        let is_listed = |doc: &Map<String, Value>| {
            let is_group = doc.get("pvt_type") == Some(&json!("group")) && !doc.contains_key("pvt_deleted");
            is_group && (!self.of_user || doc["endpoints"].get(USER) == Some(&json!({"type": "user"})))
        };
        let (first, last) = if self.ascending { (&self.start, &self.end) } else { (&self.end, &self.start) };
        let is_inside = |id: &String| {
            first.as_ref().is_none_or(|first| id >= first) && last.as_ref().is_none_or(|last| id <= last)
        };
        let rows = docs.iter().filter(|(id, doc)| is_listed(doc) && is_inside(id));
        let mut rows: Vec<_> = rows
            .map(|(id, doc)| (id.clone(), self.conditions.iter().all(|condition| condition.holds(doc))))
            .collect();
        if !self.ascending {
            rows.reverse();
        }
        rows
    }
}

/// Similar ids, with letters that other orderings than bytes would sort differently. The id `0` is not among
/// them, because it would mean that no id was given.
pub(crate) fn id() -> impl Strategy<Value = String> {
    // Not a number, which would be reserved.
    "[a-cB~é][ab01]{0,3}|1[ab][ab01]{0,2}"
}

/// The documents of an account. Most are groups, some of them with the user, and they have members to filter
/// by.
pub(crate) fn docs(most: usize) -> impl Strategy<Value = Docs> {
    btree_map(id(), doc(), 0..most)
}

fn doc() -> impl Strategy<Value = Map<String, Value>> {
    let kind = prop_oneof![8 => Just("group"), 1 => Just("device"), 1 => Just("deleted")];
    let endpoints = prop_oneof![
        Just(json!({})),
        Just(json!({USER: {"type": "user"}})),
        Just(json!({USER: {"type": "device"}})),
        Just(json!({USER: {"type": "user"}, "x": {"type": "user"}})),
    ];
    let created = option::weighted(0.9, 10_u64..20);
    (kind, endpoints, option::of(member()), option::of(member()), created).prop_map(
        |(kind, endpoints, kind_of_it, note, created)| {
            let mut doc = object(json!({"name": "n", "endpoints": endpoints, "pvt_type": kind}));
            if kind == "deleted" {
                doc.extend(object(json!({"pvt_type": "group", "pvt_deleted": true})));
            }
            doc.extend(kind_of_it.map(|value| ("kind".to_owned(), value)));
            doc.extend(note.map(|value| ("note".to_owned(), value)));
            doc.extend(created.map(|created| ("pvt_created".to_owned(), json!(created))));
            doc
        },
    )
}

fn member() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!("a")),
        Just(json!("b")),
        Just(json!("")),
        Just(json!("0")),
        Just(json!(1)),
        Just(json!(0)),
        Just(json!(true)),
        Just(json!(false)),
        Just(Value::Null),
        Just(json!({})),
        Just(json!({"a": 1})),
    ]
}

/// A filter that random documents match often enough.
fn condition() -> impl Strategy<Value = Condition> {
    let member = || prop_oneof![Just("kind"), Just("note")];
    let value =
        || prop_oneof![Just("a"), Just("b"), Just(""), Just("1"), Just("true")].prop_map(str::to_owned);
    prop_oneof![
        (member(), value()).prop_map(|(member, value)| Condition::Is(member, value)),
        (member(), value()).prop_map(|(member, value)| Condition::IsNot(member, value)),
        member().prop_map(Condition::HasKey),
        member().prop_map(Condition::KeyMissing),
        member().prop_map(Condition::HasValue),
        member().prop_map(Condition::ValueMissing),
        (8_u64..22).prop_map(Condition::CreatedFrom),
        (8_u64..22).prop_map(Condition::CreatedTo),
    ]
}

/// A random listing.
pub(crate) fn asked() -> impl Strategy<Value = Asked> {
    let page_size = prop_oneof![4 => 1_u64..6, 1 => 6_u64..60, 1 => Just(u64::MAX)];
    (any::<bool>(), any::<bool>(), page_size, option::of(id()), option::of(id()), vec(condition(), 0..3))
        .prop_map(|(of_user, ascending, page_size, start, end, conditions)| Asked {
            of_user,
            ascending,
            page_size: page_size.min(1_000_000),
            start,
            end,
            conditions,
        })
}
