//! The operations that are measured, each on the dearest input that we know for it.

use std::fmt::Display;
use std::hint::black_box;
use std::io::Write as _;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use auth::RateLimits;
use bytes::Bytes;
use datastore::{DocId, Document, Rev, json};
use futures::executor::block_on;
use groups::{FilterValue, Filters, start_key};
use serde_json::{Map, Value, json as value};
use validation::{Schema, Violations};

use crate::answer::{csv, gzip, pretty};
use crate::catalogue::Refusal;
use crate::grammar::query::Query;
use crate::profile::{Profile, Release};
use crate::request::api_version::ApiVersion;
use crate::request::content_type::ContentType;
use crate::request::credentials::Credentials;
use crate::request::envelope::Envelope;
use crate::request::incoming::Incoming;
use crate::request::parameters::Parameters;
use crate::request::route;
use crate::request::target::Target;
use crate::request::verb::Verb;
use crate::stage::{body, language, negotiation, preconditions};

/// Work that is prepared but not done.
pub(super) type Work = Box<dyn FnOnce()>;

/// Prepares an operation on an input of this size.
type Prepare = fn(usize) -> Work;

/// The name of an operation, the size of its smallest input, and the operation.
pub(super) type Operation = (&'static str, usize, Prepare);

pub(super) const OPERATIONS: &[Operation] = &[
    ("square: the test itself finds an operation that takes the square", 200, square),
    ("read a list of numbers", 1_000, |n| read(list(n, |_| "1"))),
    ("read an object with many members", 300, |n| {
        read(format!("{{{}}}", join(n, |i| format!("\"k{i}\":1"))))
    }),
    ("read a text of escapes", 2_000, |n| read(format!("\"{}\"", "\\u00e9\\n".repeat(n)))),
    ("read a long key that stands twice", 5_000, |n| {
        read(format!("{{\"{0}\":1,\"{0}\":2}}", "\\u0001".repeat(n)))
    }),
    ("read nested lists", 30, |n| read("[".repeat(n) + &"]".repeat(n))),
    ("read a stored document and its members", 200, stored),
    ("check good flags", 300, |n| check(Schema::groups, value!({"name": "n", "flags": vec!["x"; n]}))),
    ("check bad flags", 1_000, |n| check(Schema::groups, value!({"name": "n", "flags": vec![1; n]}))),
    ("check large bad flags", 300, |n| {
        check(Schema::groups, value!({"name": "n", "flags": vec![value!({"a": "b"}); n]}))
    }),
    ("check a long name", 20_000, |n| check(Schema::groups, value!({"name": "\u{1}".repeat(n)}))),
    ("check many endpoints", 1_000, |n| {
        check(Schema::groups, value!({"name": "n", "endpoints": members(n)}))
    }),
    ("check surplus members beside a long list", 5_000, |n| {
        let mut login: Map<_, _> = (0..16).map(|i| (format!("x{i}"), value!(1))).collect();
        login.insert("list".to_owned(), value!(vec![1; n]));
        check(Schema::api_auth, Value::Object(login))
    }),
    ("check many surplus members", 1_000, |n| check(Schema::api_auth, members(n))),
    ("check long surplus members", 8_000, |n| {
        let long = (0..2).map(|i| (format!("{i}{}", ".n".repeat(n)), value!(1)));
        check(Schema::api_auth, Value::Object(long.collect()))
    }),
    ("check a realm against a pattern", 5_000, |n| {
        check(Schema::user_auth, value!({"credentials": "x", "account_realm": "a".repeat(n) + " "}))
    }),
    ("merge nulls onto members", 500, |n| {
        merge(members(n), Value::Object((0..n).map(|i| (format!("k{i}"), Value::Null)).collect()))
    }),
    ("merge members onto others", 500, |n| {
        merge(value!({"e": members(n)}), value!({"e": {"new": members(n)}}))
    }),
    ("test a list with many filters", 300, |n| {
        filter(&vec![("filter_flags", "[\"a\",\"\"]"); n], value!({"flags": vec![""; n]}))
    }),
    ("test many members with many filters", 300, |n| {
        let names: Vec<_> = (0..n).map(|i| (format!("k{i}"), format!("x{i}"))).collect();
        let filters = names.iter().flat_map(|(there, not)| [("has_key", &**there), ("key_missing", not)]);
        filter(&filters.collect::<Vec<_>>(), members(n))
    }),
    ("test lists in lists with many filters", 200, |n| {
        let paths: Vec<_> = (0..n).map(|i| format!("filter_l{}", ".1".repeat(i % 8))).collect();
        let lists = (0..8).fold(value!(""), |inner, _| {
            let items = std::iter::once(inner).chain((0..n).map(|_| value!("")));
            Value::Array(items.collect())
        });
        filter(&paths.iter().map(|path| (&**path, "")).collect::<Vec<_>>(), value!({"l": lists}))
    }),
    ("test a long number with many filters", 300, |n| {
        let kinds = [("filter_not_n", "1"), ("has_value", "n"), ("filter_not_n", "2"), ("created_from", "1")];
        let number = json::parse("9".repeat(n).as_bytes()).unwrap();
        filter(&kinds.repeat(n), value!({"n": number, "pvt_created": number}))
    }),
    ("read a filter with many values", 1_000, |n| {
        filter(&[("filter_a", &list(n, |_| "\"v\""))], value!({"a": "x"}))
    }),
    ("test a long path", 1_000, |n| {
        filter(&[(&format!("filter_{}", "a.".repeat(n)), "x")], value!({"a": {"a": 1}}))
    }),
    ("CSV of many columns", 200, |n| csv(vec![members(n)])),
    ("CSV of many rows", 200, |n| {
        csv(vec![value!({"id": "g", "name": "n", "flags": ["a", 1.5, {"k": "\""}]}); n])
    }),
    ("CSV of a long key above many members", 1_000, |n| {
        csv(vec![value!({ ("k".repeat(10 * n)): members(n) })])
    }),
    ("CSV of many members that have one long name", 500, |n| {
        csv(vec![value!({ ("k".repeat(10 * n)): one_name(n.ilog2() + 1) })])
    }),
    ("CSV of a text of quotes", 5_000, |n| csv(vec![value!({"a": "\"".repeat(n)})])),
    ("indent many members", 300, |n| indent(members(n).to_string())),
    ("indent deep lists", 500, |n| indent("[".repeat(n) + &"]".repeat(n))),
    ("indent deep lists beside many items", 500, |n| {
        indent("[".repeat(n) + &"0,".repeat(n) + "0" + &"]".repeat(n))
    }),
    ("compress", 10_000, |n| {
        let text = "\"name\":1,".repeat(n).into_bytes();
        Box::new(move || drop(black_box(gzip::compress(&text))))
    }),
    ("a form of many names", 1_000, |n| {
        body("application/x-www-form-urlencoded", join_with('&', n, |i| format!("a-long-name-{i}")))
    }),
    ("a form of one name many times", 1_000, |n| {
        body("application/x-www-form-urlencoded", join_with('&', n, |_| "N-ame=%41+".to_owned()))
    }),
    ("a form of JSON", 1_000, |n| {
        body("application/x-www-form-urlencoded", format!("{{\"data\":{}}}", list(n, |_| "1")))
    }),
    ("a form with a bad escape at its end", 1_000, |n| {
        body("application/x-www-form-urlencoded", join_with('&', n, |i| format!("n{i}")) + "&%")
    }),
    ("an envelope of many names without data", 850, |n| body("application/json", members(n).to_string())),
    ("an envelope with a long data", 5_000, |n| {
        body("application/json", value!({"data": "\u{1}".repeat(n)}).to_string())
    }),
    ("many parts", 50, |n| multipart(n, "{\"data\":{}}")),
    ("one large part", 1, |n| multipart(1, &format!("{{\"data\":{}}}", list(2_000 * n, |_| "1")))),
    ("parts that are forms", 50, |n| {
        multipart(n, "a\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\nb")
    }),
    ("base64", 5_000, |n| body("application/base64", "QUJD".repeat(n))),
    ("read the query", 300, |n| query(&join_with('&', n, |i| format!("n{i}=%41+{i}")))),
    ("Accept of many ranges", 100, |n| {
        let accept = join(n, |i| format!("text/x{i};a=b;q=0.{}", i % 1000));
        Box::new(move || drop(black_box(negotiation::negotiate(Some(&accept), profile().accept_parameters))))
    }),
    ("Accept of many equal ranges and parameters", 100, |n| {
        let accept = join(n, |_| format!("text/x{}", ";a=\"b,\"".repeat(4)));
        Box::new(move || drop(black_box(negotiation::negotiate(Some(&accept), profile().accept_parameters))))
    }),
    ("Accept-Language of many tags", 200, |n| {
        let tags = join(n, |i| format!("de-x{i};q=0.{}", i % 1000));
        Box::new(move || drop(black_box(language::choose(Some(&tags)))))
    }),
    ("Accept-Encoding of many codings", 200, |n| {
        let codings = join(n, |i| format!("x{i};q=0.5"));
        Box::new(move || {
            black_box(gzip::takes_gzip(Some(&codings)));
        })
    }),
    ("Content-Type of many parameters", 200, |n| {
        let header = format!("multipart/form-data{}", ";a=\"\\b\"".repeat(n));
        Box::new(move || drop(black_box(ContentType::parse(Some(&header)))))
    }),
    ("If-Match of many tags", 200, |n| {
        let headers = headers("if-match", &join(n, |i| format!("\"{i}-a\"")));
        Box::new(move || drop(black_box(preconditions::check(&headers, true, Target::Existing(Some("x"))))))
    }),
    ("X-Forwarded-For of many proxies", 200, |n| {
        let lines = vec![join(n, |_| "127.0.0.1".to_owned())];
        let limits = RateLimits::default();
        Box::new(move || {
            black_box(limits.client([127, 0, 0, 1].into(), &lines));
        })
    }),
    ("a path of many parts", 300, |n| {
        let path = format!("/v2{}", "/%41b".repeat(n));
        Box::new(move || drop(black_box(route::split(&path, profile().paths))))
    }),
    ("a path of parts that are escaped twice", 300, |n| {
        let path = format!("/v2{}", "/%2541b".repeat(n));
        Box::new(move || drop(black_box(route::split(&path, profile().paths))))
    }),
    ("the fault in a malformed body", 1_000, |n| {
        body(
            "application/json",
            format!("{{\"data\":{}", list(n, |i| format!("[{{\"k\\u00e9{i}\":-1.5e+3}}]"))),
        )
    }),
    ("a start key", 5_000, |n| {
        let key = start_key::encode(&"k".repeat(n));
        Box::new(move || drop(black_box(start_key::decode(&key))))
    }),
    ("a number of many digits", 2_000, |n| {
        let digits = format!("1{}.5", "0".repeat(n));
        Box::new(move || {
            black_box(kazoo::term::integer_of_text(&digits));
        })
    }),
    ("a search name", 3_000, |n| {
        let name = "aÉ ".repeat(n);
        Box::new(move || drop(black_box(kazoo::search_name(&name))))
    }),
    ("refuse a long value", 2_000, |n| {
        let refusal = Refusal::Validation(Violations::wrong_type("", "object", value!(vec!["a"; n])));
        Box::new(move || drop(black_box(refusal.text(ApiVersion::V2))))
    }),
    ("repeat a token that is no text", 2_000, |n| {
        let credentials = Credentials::NoToken(value!(vec!["a"; n]));
        Box::new(move || drop(black_box(credentials.echo())))
    }),
];

/// The profile that reads requests with the most work.
fn profile() -> &'static Profile {
    Release::Kazoo43.profile()
}

fn square(n: usize) -> Work {
    Box::new(move || {
        let mut items: Vec<usize> = (0..n).collect();
        while !black_box(&items).is_empty() {
            let first = items.remove(0);
            black_box(items.contains(&first));
        }
    })
}

fn join_with<T: Display>(separator: char, n: usize, item: impl Fn(usize) -> T) -> String {
    (0..n).map(|i| item(i).to_string()).collect::<Vec<_>>().join(&separator.to_string())
}

fn join<T: Display>(n: usize, item: impl Fn(usize) -> T) -> String {
    join_with(',', n, item)
}

fn list<T: Display>(n: usize, item: impl Fn(usize) -> T) -> String {
    format!("[{}]", join(n, item))
}

/// An object whose `2^(parts - 1)` leaves all have the name of so many letters `a`, joined by `_`.
fn one_name(parts: u32) -> Value {
    let member = |own| (vec!["a"; usize::try_from(own).unwrap()].join("_"), one_name(parts - own));
    if parts == 0 { value!(1) } else { Value::Object((1..=parts).map(member).collect()) }
}

/// An object with members of its own.
fn members(n: usize) -> Value {
    Value::Object((0..n).map(|i| (format!("k{i}"), value!({"type": "user"}))).collect())
}

pub(super) fn read(text: String) -> Work {
    Box::new(move || drop(black_box(json::parse(text.as_bytes()))))
}

fn stored(n: usize) -> Work {
    let Value::Object(mut object) = members(n) else { panic!("an object") };
    object.insert("_id".to_owned(), value!("g"));
    object.insert("_rev".to_owned(), value!("1-a"));
    let text = Value::Object(object).to_string();
    Box::new(move || {
        let document = Document::from_text(text).unwrap();
        let object = document.to_object().unwrap();
        black_box((document.members().unwrap(), object));
    })
}

pub(super) fn check(schema: fn() -> Schema, document: Value) -> Work {
    let Value::Object(mut members) = document else { panic!("an object") };
    let schema = schema();
    // The first check compiles the schema.
    drop(schema.check(&mut Map::new()));
    Box::new(move || {
        let checked = schema.check(&mut members);
        drop(black_box(checked.map_err(|violations| violations.to_value())));
    })
}

pub(super) fn merge(stored: Value, patch: Value) -> Work {
    let (Value::Object(stored), Value::Object(patch)) = (stored, patch) else { panic!("objects") };
    Box::new(move || drop(black_box(groups::merge(stored, patch))))
}

fn filter(query: &[(&str, &str)], document: Value) -> Work {
    let pairs: Vec<_> = query
        .iter()
        .map(|(key, value)| ((*key).to_owned(), FilterValue::Bytes(value.as_bytes().to_vec())))
        .collect();
    let rev = Rev::parse("1-0123456789abcdef0123456789abcdef").unwrap();
    let document = Document::new(DocId::parse("g").unwrap(), rev, document.to_string());
    Box::new(move || {
        let filters = Filters::from_query(pairs.iter().map(|(key, value)| (key.as_str(), value)));
        black_box(filters.matches(&document).unwrap());
    })
}

fn csv(rows: Vec<Value>) -> Work {
    Box::new(move || drop(black_box(csv::render(&rows, csv::Formulas::Disarmed))))
}

fn indent(json: String) -> Work {
    Box::new(move || {
        let size = pretty::indented_size(|out| out.write_all(json.as_bytes())).unwrap();
        if size.is_some() {
            let mut indented = Vec::new();
            pretty::Indenter::new(&mut indented).write_all(json.as_bytes()).unwrap();
            black_box(indented);
        }
    })
}

pub(super) fn body(content_type: &str, body: String) -> Work {
    let content_type = ContentType::parse(Some(content_type)).unwrap();
    let body = Bytes::from(body);
    Box::new(move || {
        let envelope = block_on(body::parse(&content_type, body, profile().malformed_json));
        drop(black_box(envelope.map_err(|refusal| refusal.text(ApiVersion::V2))));
    })
}

fn multipart(parts: usize, content: &str) -> Work {
    let part = format!("--x\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n{content}\r\n");
    body("multipart/form-data; boundary=x", part.repeat(parts) + "--x--\r\n")
}

fn headers(name: &'static str, value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    headers
}

pub(super) fn query(raw: &str) -> Work {
    let raw = raw.to_owned();
    Box::new(move || {
        let headers = HeaderMap::new();
        let incoming = Incoming { method: Verb::Get, path: "/", query: &raw, headers: &headers, peer: None };
        let query = Query::parse(raw.as_bytes()).unwrap();
        let (parameters, _) = Parameters::read(&incoming, query, Envelope::empty());
        drop(black_box(parameters.filters()));
    })
}
