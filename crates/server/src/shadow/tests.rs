use std::sync::Arc;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use super::{Answered, Counts, MOST_COPIED, QUEUE, Shadow, is_wanted};
use crate::request::incoming::Incoming;
use crate::request::verb::Verb;

const PATH: &str = "/v2/accounts/a/groups";

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn incoming<'a>(query: &'a str, headers: &'a HeaderMap) -> Incoming<'a> {
    Incoming { method: Verb::Get, path: PATH, query, headers, peer: Some([192, 0, 2, 1].into()) }
}

fn known(status: u16) -> Answered {
    Answered { status, is_known: true }
}

#[test]
fn only_answers_that_say_something_about_both_servers_are_compared() {
    let token = [("x-auth-token", "t")];
    let basic = [("authorization", "Basic x")];
    let shadowed = [("x-auth-token", "t"), ("x-crossbar-groups-shadow", "true")];
    let stranger = |status| Answered { status, is_known: false };
    for (headers, query, answered, expected) in [
        (headers(&token), "", known(200), true),
        (headers(&token), "", known(404), true),
        (headers(&token), "", known(503), false),
        (headers(&token), "", known(429), false),
        (headers(&token), "", stranger(401), true),
        (headers(&basic), "", known(200), true),
        (headers(&basic), "", stranger(401), false),
        (headers(&[]), "authorization=x", stranger(401), false),
        (headers(&shadowed), "", known(200), false),
        (headers(&token), "jsonp=f", known(200), false),
    ] {
        assert_eq!(is_wanted(&incoming(query, &headers), &answered), expected, "{headers:?} {query}");
    }
}

fn dropped(counts: &Counts) -> u64 {
    counts.all().into_iter().find(|(outcome, _)| *outcome == "dropped").unwrap().1
}

#[tokio::test]
async fn copies_are_bounded_in_number_and_size() {
    let counts = Arc::new(Counts::default());
    let (shadow, mut copies) = Shadow::new(1_000_000, Arc::clone(&counts));
    let plain = headers(&[("x-auth-token", "t"), ("cookie", "not copied")]);
    let large = headers(&[("x-auth-token", &"t".repeat(MOST_COPIED + 1))]);
    shadow.note(&incoming(&"x".repeat(MOST_COPIED), &plain), &known(200));
    shadow.note(&incoming("", &large), &known(200));
    assert_eq!(dropped(&counts), 2);
    for _ in 0..QUEUE + 3 {
        shadow.note(&incoming("a=b", &plain), &known(200));
    }
    assert_eq!(dropped(&counts), 5);
    let copied = copies.recv().await.unwrap();
    let copied = copied.incoming();
    assert_eq!((copied.path, copied.query), (PATH, "a=b"));
    assert!(copied.headers.contains_key("x-auth-token") && !copied.headers.contains_key("cookie"));
}

#[test]
fn the_rate_is_bounded_and_strangers_have_a_small_share() {
    let counts = Arc::new(Counts::default());
    let (shadow, copies) = Shadow::new(3, Arc::clone(&counts));
    let token = headers(&[("x-auth-token", "t")]);
    // All of this happens within a second or two, each of which may begin a new count.
    for _ in 0..100 {
        shadow.note(&incoming("", &token), &Answered { status: 401, is_known: false });
    }
    assert!(copies.len() <= 2, "{}", copies.len());
    for _ in 0..100 {
        shadow.note(&incoming("", &token), &known(200));
    }
    assert!((1..=6).contains(&copies.len()), "{}", copies.len());
    assert_eq!(dropped(&counts) + u64::try_from(copies.len()).unwrap(), 200);
}
