//! What entries really take.

use std::sync::Arc;

use datastore::{DocId, Document, JsonText, Rev, ViewQuery, ViewRow};
use serde_json::json;

use super::{Absence, Entry, Key, Memory};

/// How many entries are measured at once.
const ENTRIES: usize = 20_000;

/// The resident memory of this process, in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

fn id(number: usize) -> DocId {
    DocId::from_store(format!("{number:032x}"))
}

fn document(number: usize, size: usize) -> Document {
    let rev = "1-967a00dff5e02add41819138abb3284d";
    // A document remembers where its members stand, up to 48 of them. This one has as many.
    let members: String = (0..45).map(|n| format!(r#","{n}":0"#)).collect();
    let text = format!(r#"{{"_id":"{number:032x}","_rev":"{rev}","x":"{}"{members}}}"#, "x".repeat(size));
    let document = Document::new(id(number), Rev::parse(rev).unwrap(), text);
    document.members().unwrap();
    document
}

fn rows(number: usize, count: usize, size: usize) -> Arc<[ViewRow]> {
    let text = |text: String| JsonText::parse(&text).unwrap();
    (0..count)
        .map(|row| ViewRow {
            id: id(number * 100 + row),
            key: text(format!("\"{row:032x}\"")),
            value: text(format!("{{\"name\":\"{}\"}}", "x".repeat(size))),
            doc: None,
        })
        .collect()
}

fn page(number: usize) -> Key {
    let start_key = Some(json!(format!("{number:032x}")));
    let query = ViewQuery { start_key, limit: Some(51), ..ViewQuery::of("groups", "crossbar_listing") };
    Key::Page(Arc::new(query))
}

/// Measures the kinds one after the other, in one test: memory is that of the whole process.
#[test]
fn entries_take_what_is_counted() {
    type Make = fn(usize) -> (Key, Entry);
    let kinds: [(&str, Make); 7] = [
        ("absence", |n| (Key::Document(id(n)), Entry::Absent(Absence::Missing))),
        ("small document", |n| (Key::Document(id(n)), Entry::Document(document(n, 100)))),
        ("document", |n| (Key::Document(id(n)), Entry::Document(document(n, 2_000)))),
        ("empty page", |n| (page(n), Entry::Page(1, rows(n, 0, 0)))),
        ("long page", |n| (page(n), Entry::LongPage(1))),
        ("page of one", |n| (page(n), Entry::Page(1, rows(n, 1, 100)))),
        ("page of many", |n| (page(n), Entry::Page(1, rows(n, 20, 100)))),
    ];
    // Dropping one would give its memory to the next.
    let mut kept = Vec::new();
    for (name, make) in kinds {
        let memory = Memory::new(u64::MAX);
        let before = resident();
        for number in 0..ENTRIES {
            let (key, entry) = make(number);
            memory.put(1, key, entry);
        }
        let (entries, counted) = memory.size();
        let taken = resident().saturating_sub(before);
        kept.push(memory);
        let (taken, counted) = (taken / ENTRIES, usize::try_from(counted / entries).unwrap());
        println!("{name}: {taken} bytes are taken, {counted} are counted");
        assert!(taken < counted + counted / 10, "{name}: {taken} bytes are taken, {counted} are counted");
    }
}

#[test]
fn an_empty_page_amid_a_view_is_not_worth_an_entry() {
    let of = |query| Key::Page(Arc::new(query));
    let view = || ViewQuery::of("groups", "crossbar_listing_by_user");
    let (one, other) = (Some(json!("a")), Some(json!("b")));
    assert!(of(view()).is_worth_an_empty_page());
    let of_one_key = ViewQuery { start_key: one.clone(), end_key: one.clone(), ..view() };
    assert!(of(of_one_key.clone()).is_worth_an_empty_page());
    let from_a_document = ViewQuery { start_key_doc_id: Some("x".to_owned()), ..of_one_key };
    assert!(!of(from_a_document).is_worth_an_empty_page());
    assert!(!of(ViewQuery { start_key: one.clone(), end_key: other, ..view() }).is_worth_an_empty_page());
    assert!(!of(ViewQuery { start_key: one, ..view() }).is_worth_an_empty_page());
}
