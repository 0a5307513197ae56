//! The bytes of envelopes, and the order of their members.

use datastore::JsonText;
use groups::ListedRows;
use kazoo::Time;
use serde_json::Value;

use super::{Data, Form, Paging, Tokens, Values, timestamp, write, write_head, write_tail};
use crate::profile::{Chunks, Release};

/// The form of successes.
fn plain(release: Release) -> &'static Form {
    &release.profile().envelope.success
}

fn values() -> Values<'static> {
    Values {
        paging: Paging {
            next_start_key: Some("n".to_owned()),
            page_size: Some(2),
            start_key: Some("s".to_owned()),
        },
        version: Some("5".into()),
        received_at: Time::from_unix_seconds(0),
        node: "node".into(),
        request_id: "r\"1".into(),
        tokens: Some(Tokens { consumed: 1, remaining: 99 }),
        auth_token: Some(std::borrow::Cow::Owned(Value::from("t"))),
        error: None,
        message: None,
        revision: Some("1-a".into()),
        status: "success",
    }
}

fn rows(texts: &[&str]) -> ListedRows {
    texts.iter().map(|text| JsonText::parse(text).unwrap()).collect::<Vec<_>>().into()
}

fn text(form: &Form, values: &Values<'_>, data: &Data) -> String {
    let mut out = Vec::new();
    write(form, values, data, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_plain_envelope_has_the_order_of_kazoo_5_0() {
    assert_eq!(
        text(plain(Release::Kazoo50), &values(), &Data::Rows(rows(&["{\"a\": 1}", "2"]))),
        "{\"next_start_key\":\"n\",\"page_size\":2,\"start_key\":\"s\",\"version\":\"5\",\
         \"timestamp\":\"1970-01-01T00:00:00Z\",\"node\":\"node\",\"request_id\":\"r\\\"1\",\
         \"tokens\":{\"consumed\":1,\"remaining\":99},\"auth_token\":\"t\",\"data\":[{\"a\": 1},2],\
         \"revision\":\"1-a\",\"status\":\"success\"}"
    );
}

#[test]
fn an_envelope_of_kazoo_4_3_begins_with_the_paging_and_ends_with_the_token() {
    let values = Values { tokens: None, ..values() };
    assert_eq!(
        text(plain(Release::Kazoo43), &values, &Data::Rows(rows(&["1"]))),
        "{\"next_start_key\":\"n\",\"page_size\":2,\"start_key\":\"s\",\"data\":[1],\"revision\":\"1-a\",\
         \"timestamp\":\"1970-01-01T00:00:00Z\",\"version\":\"5\",\"node\":\"node\",\"request_id\":\"r\\\"1\",\
         \"status\":\"success\",\"auth_token\":\"t\"}"
    );
    let refused = Values {
        paging: Paging::default(),
        error: Some(404),
        message: Some("no"),
        revision: None,
        status: "error",
        ..values
    };
    assert_eq!(
        text(&Release::Kazoo43.profile().envelope.refusal, &refused, &Data::Value(Value::from("x"))),
        "{\"data\":\"x\",\"error\":\"404\",\"message\":\"no\",\"status\":\"error\",\
         \"timestamp\":\"1970-01-01T00:00:00Z\",\"version\":\"5\",\"node\":\"node\",\"request_id\":\"r\\\"1\",\
         \"auth_token\":\"t\"}"
    );
}

#[test]
fn a_chunked_envelope_begins_with_its_data_and_writes_numbers_as_texts() {
    let Chunks::OnRequest(chunked) = &Release::Kazoo50.profile().listing.chunks else { panic!() };
    let values = Values { tokens: None, revision: None, ..values() };
    let mut out = Vec::new();
    write_head(chunked, &values, &mut out).unwrap();
    out.push(b'1');
    write_tail(chunked, &values, &mut out).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "{\"data\":[1], \"next_start_key\":\"n\", \"page_size\":\"2\", \"start_key\":\"s\", \
         \"status\":\"success\", \"request_id\":\"r\\\"1\", \"node\":\"node\", \"version\":\"5\", \
         \"timestamp\":\"1970-01-01T00:00:00Z\", \"auth_token\":\"t\"}"
    );
}

#[test]
fn an_object_can_have_one_more_member() {
    let with = |last| {
        let data = Data::Object { members: "\"id\":\"g\"".to_owned(), last };
        text(plain(Release::Kazoo50), &values(), &data).contains("\"data\":{\"id\":\"g\",\"x\":1}")
    };
    assert!(with(Some("\"x\":1")) && !with(None));
}

#[test]
fn an_envelope_without_data_has_no_member_data() {
    assert!(!text(plain(Release::Kazoo50), &values(), &Data::Absent).contains("data"));
}

#[test]
fn times_are_written_in_utc() {
    for (seconds, expected) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_795_444_916, "2026-11-23T14:41:56Z"),
    ] {
        assert_eq!(timestamp(Time::from_unix_seconds(seconds)).to_string(), expected);
    }
}
