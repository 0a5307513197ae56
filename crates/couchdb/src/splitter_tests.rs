use std::ops::Range;

use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use serde_json::{Value, json};

use super::{Piece, Shape, SplitError, Splitter};

const MAX: usize = 1024;

/// The pieces as text: rows as they are, members as `name=value`.
fn split(shape: Shape, chunks: &[&[u8]]) -> Result<Vec<String>, SplitError> {
    let copied = split_with(shape, chunks, |splitter, range| splitter.text(range).to_vec());
    let taken = split_with(shape, chunks, Splitter::take);
    assert_eq!(copied, taken);
    taken
}

fn split_with(
    shape: Shape,
    chunks: &[&[u8]],
    row_text: fn(&mut Splitter, Range<usize>) -> Vec<u8>,
) -> Result<Vec<String>, SplitError> {
    let mut splitter = Splitter::new(shape, MAX);
    let mut pieces = Vec::new();
    for chunk in chunks {
        splitter.push(chunk);
        while let Some(piece) = splitter.next()? {
            pieces.push(match piece {
                Piece::Row(range) => String::from_utf8_lossy(&row_text(&mut splitter, range)).into_owned(),
                Piece::Member(name, range) => {
                    format!("{name}={}", String::from_utf8_lossy(splitter.text(range)))
                }
            });
        }
    }
    splitter.finish().map(|()| pieces)
}

fn rows(text: &str) -> Result<Vec<String>, SplitError> {
    split(Shape::ArrayIn("rows"), &[text.as_bytes()])
}

#[test]
fn an_answer_of_couchdb_has_rows_and_counts() {
    let text = "{\"total_rows\":2,\"offset\":0,\"rows\":[\r\n{\"id\":\"a\"},\r\n{\"id\":\"]}\\\"\"}\r\n]}\n";
    let expected = ["total_rows=2", "offset=0", "{\"id\":\"a\"}", "{\"id\":\"]}\\\"\"}"];
    assert_eq!(rows(text).unwrap(), expected);
}

#[test]
fn white_space_does_not_matter() {
    let text = "{ \"rows\" : [ {\n\"id\"\n:\n[{}]\n} , {} ] , \"x\" : null }";
    assert_eq!(rows(text).unwrap(), ["{\n\"id\"\n:\n[{}]\n}", "{}", "x=null"]);
    assert_eq!(rows("{\"rows\":[],\"n\":-1.5e3}").unwrap(), ["n=-1.5e3"]);
    assert_eq!(rows("{\"r\\u006fws\":[{}]}").unwrap(), ["{}"]);
}

#[test]
fn an_error_after_a_row_counts_as_a_row() {
    let text = "{\"rows\":[\n{\"id\":\"a\"}\n{\"error\":\"timeout\"}\n";
    assert_eq!(rows(text), Err(SplitError::Truncated));
    let mut splitter = Splitter::new(Shape::ArrayIn("rows"), MAX);
    splitter.push(text.as_bytes());
    assert!(matches!(splitter.next(), Ok(Some(Piece::Row(_)))));
    let Ok(Some(Piece::Row(range))) = splitter.next() else { panic!("no error") };
    assert_eq!(splitter.text(range), b"{\"error\":\"timeout\"}");
}

#[test]
fn an_answer_of_another_shape_is_refused() {
    for text in
        ["<html>", "[]", "null", "{\"rows\":{}}", "{\"rows\":null}", "{\"rows\":[1]}", "{]", "{\"a\" 1}"]
    {
        assert!(matches!(rows(text), Err(SplitError::Syntax(_))), "{text}");
    }
    assert!(matches!(rows("{\"rows\":[]} {}"), Err(SplitError::Syntax(_))));
    assert_eq!(rows("{}"), Err(SplitError::NoRows("rows")));
    assert_eq!(rows("{\"error\":\"x\"}"), Err(SplitError::NoRows("rows")));
}

#[test]
fn an_early_end_is_seen_at_every_byte() {
    let text = "{\"total_rows\":1,\"rows\":[{\"id\":\"a\"},{\"id\":\"b\"}],\"n\":1}";
    for end in 0..text.len() {
        assert_eq!(rows(&text[..end]), Err(SplitError::Truncated), "{}", &text[..end]);
    }
    assert!(rows(text).is_ok());
}

#[test]
fn half_a_line_of_a_feed_is_not_a_row() {
    let text = b"\n{\"seq\":1}\n\n{\"seq\":2}\n{\"se";
    assert_eq!(split(Shape::Sequence, &[text]), Err(SplitError::Truncated));
    assert_eq!(split(Shape::Sequence, &[&text[..22]]).unwrap(), ["{\"seq\":1}", "{\"seq\":2}"]);
}

#[test]
fn a_row_has_a_maximum_size() {
    let row = |length: usize| format!("{{\"rows\":[{{\"a\":\"{}\"}}]}}", "x".repeat(length));
    assert!(rows(&row(MAX - 10)).is_ok());
    assert_eq!(rows(&row(MAX)), Err(SplitError::TooLarge));
    let endless = "x".repeat(MAX + 1);
    assert_eq!(rows(&format!("{{\"rows\":[{{\"{endless}")), Err(SplitError::TooLarge));
}

#[test]
fn only_one_row_is_kept() {
    let mut splitter = Splitter::new(Shape::ArrayIn("rows"), MAX);
    splitter.push(b"{\"rows\":[");
    for n in 0..10_000 {
        splitter.push(format!("{{\"id\":\"{n}\"}},").as_bytes());
        while splitter.next().unwrap().is_some() {}
        assert!(splitter.buffer.len() < 64, "{}", splitter.buffer.len());
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z\"\\\\{}\\[\\],:\n é😀]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z\"\\\\{}é]{0,4}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The text, cut at these places.
fn cut<'a>(text: &'a [u8], places: &[proptest::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = places.iter().map(|place| place.index(text.len() + 1)).collect();
    places.sort_unstable();
    let mut chunks = Vec::new();
    let mut from = 0;
    for place in places {
        chunks.push(&text[from..place]);
        from = place;
    }
    chunks.push(&text[from..]);
    chunks
}

proptest! {
    #[test]
    fn the_rows_do_not_depend_on_the_cuts(
        keys in proptest::collection::vec(values(), 0..6),
        count in values(),
        pretty in any::<bool>(),
        places in proptest::collection::vec(any::<proptest::sample::Index>(), 0..20),
    ) {
        let rows: Vec<Value> = keys.iter().map(|key| json!({"id": "x", "key": key})).collect();
        let answer = json!({"total_rows": count, "rows": rows, "after": count});
        let text =
            if pretty { serde_json::to_string_pretty(&answer).unwrap() } else { answer.to_string() };
        let shape = Shape::ArrayIn("rows");
        let at_once = split(shape, &[text.as_bytes()]).unwrap();
        let read: Vec<Value> =
            at_once[1..=rows.len()].iter().map(|row| serde_json::from_str(row).unwrap()).collect();
        assert_eq!(read, rows);
        assert_eq!(split(shape, &cut(text.as_bytes(), &places)).unwrap(), at_once);
        let bytes: Vec<_> = text.as_bytes().chunks(1).collect();
        assert_eq!(split(shape, &bytes).unwrap(), at_once);
    }

    #[test]
    fn the_lines_of_a_feed_do_not_depend_on_the_cuts(
        keys in proptest::collection::vec(values(), 0..6),
        places in proptest::collection::vec(any::<proptest::sample::Index>(), 0..20),
    ) {
        let lines: Vec<String> = keys.iter().map(|key| json!({ "seq": key }).to_string()).collect();
        let text = lines.iter().map(|line| format!("{line}\n\n")).collect::<String>();
        assert_eq!(split(Shape::Sequence, &cut(text.as_bytes(), &places)).unwrap(), lines);
    }

    #[test]
    fn any_bytes_give_the_same_result_however_they_are_cut(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'{'), Just(b'"'), Just(b'[')], 0..200),
        places in proptest::collection::vec(any::<proptest::sample::Index>(), 0..5),
    ) {
        for shape in [Shape::ArrayIn("rows"), Shape::Sequence] {
            assert_eq!(split(shape, &cut(&bytes, &places)), split(shape, &[&bytes]));
        }
    }
}
