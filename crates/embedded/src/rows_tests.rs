//! Tests of the rows of documents.

use super::{Emitted, PART_BYTES, PART_ROWS, Part, RowValue, Rows};
use std::sync::Arc;

fn rows(values: &[&Arc<str>]) -> Rows {
    let emitted = values.iter().enumerate();
    let emitted = emitted.map(|(n, value)| Emitted { key: n.to_string(), value: Arc::clone(value) });
    Rows::new("a", emitted.collect()).unwrap()
}

#[test]
fn only_values_whose_copies_take_room_are_shared() {
    let [long, short]: [Arc<str>; 2] = [format!("\"{}\"", "x".repeat(2_000)), "1".to_owned()].map(Into::into);
    let check = |values: &[&Arc<str>], shared: usize| {
        let rows = rows(values);
        assert_eq!(rows.shared.len(), shared);
        let read: Vec<_> = rows.rows.iter().map(|row| rows.value(row)).collect();
        assert_eq!(read, values.iter().map(|value| &***value).collect::<Vec<_>>());
    };
    check(&[&long], 0);
    check(&[&long, &long], 0);
    check(&[&long, &short, &long, &long], 1);
    check(&[&short; 500], 0);
    check(&[&short; 2_100], 1);
}

#[test]
fn parts_hold_every_row_once_and_are_small() {
    let value: Arc<str> = "\"text\"".into();
    let many = rows(&vec![&value; 2_500]);
    assert!(many.is_large());
    assert_eq!(
        many.parts(),
        [Part::Shared(0..1), Part::Rows(0..1_000), Part::Rows(1_000..2_000), Part::Rows(2_000..2_500)]
    );
    let long: Vec<Arc<str>> =
        (0..40).map(|n| format!("\"{n}{}\"", "x".repeat(PART_BYTES / 3)).into()).collect();
    let long = rows(&long.iter().collect::<Vec<_>>());
    assert!(long.is_large() && long.shared.is_empty());
    let sizes: Vec<_> = long
        .parts()
        .into_iter()
        .map(|part| match part {
            Part::Rows(range) => range.len(),
            Part::Shared(_) => 0,
        })
        .collect();
    assert_eq!((sizes.iter().sum::<usize>(), sizes.iter().max()), (40, Some(&3)));
    assert!(PART_ROWS > 3 && !rows(&[&value]).is_large());
    assert!(matches!(long.rows[0].value, RowValue::Own(_)));
}

#[test]
fn the_digest_depends_on_every_part_of_a_row() {
    let emitted = |key: &str, value: &str| vec![Emitted { key: key.to_owned(), value: value.into() }];
    let digests: Vec<_> = [("a", "1", "1"), ("b", "1", "1"), ("a", "1.0", "1"), ("a", "1", "2")]
        .into_iter()
        .map(|(id, key, value)| Rows::new(id, emitted(key, value)).unwrap().digest())
        .collect();
    for (at, digest) in digests.iter().enumerate() {
        assert_eq!(digests.iter().position(|other| other == digest), Some(at));
    }
}
