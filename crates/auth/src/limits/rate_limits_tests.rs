use super::{Charged, RateLimits, network};
use kazoo::{AccountId, Config, NodeAndZone};
use serde_json::{Value, json};
use std::time::Duration;

fn config(default: Value) -> Config {
    match json!({"default": default}) {
        Value::Object(document) => Config::read(document, &NodeAndZone::default()),
        _ => unreachable!(),
    }
}

fn crossbar(default: Value) -> RateLimits {
    RateLimits::read(&Config::default(), &config(default), None)
}

/// The document's section `default` contains two sections of its own: `default` and `crossbar`.
#[test]
fn buckets_are_as_configured() {
    for (document, size, refill, seconds) in [
        (json!({}), 100, 10, 1),
        (json!({"default": {"max_bucket_tokens": 50}}), 50, 10, 1),
        (json!({"default": {"max_bucket_tokens": 50}, "crossbar": {"max_bucket_tokens": 60}}), 60, 10, 1),
        (json!({"tokens_fill_rate": 5, "tokens_fill_time": "minute"}), 100, 5, 60),
        (json!({"crossbar": {"tokens_fill_rate": "7", "tokens_fill_time": "hour"}}), 100, 7, 3_600),
        (json!({"tokens_fill_time": "day"}), 100, 10, 86_400),
        (json!({"tokens_fill_time": "day", "crossbar": {"tokens_fill_time": "second"}}), 100, 10, 1),
        (json!({"tokens_fill_time": "fortnight"}), 100, 10, 1),
        (json!({"crossbar": {"max_bucket_tokens": -1, "tokens_fill_rate": {}}}), 100, 10, 1),
        (json!({"crossbar": []}), 100, 10, 1),
    ] {
        let limits = RateLimits::read(&config(document.clone()), &Config::default(), None);
        let expected = (size, refill, Duration::from_secs(seconds));
        assert_eq!(
            (limits.capacity.size, limits.capacity.refill, limits.capacity.interval),
            expected,
            "{document}"
        );
    }
}

#[test]
fn costs_are_looked_up_from_the_most_particular_on() {
    let id = AccountId::parse(&"a".repeat(32)).unwrap();
    let groups = Charged { account_id: Some(&id), endpoint: "groups", verb: "GET" };
    let account = id.as_str();
    for (costs, expected) in [
        (json!(null), 1),
        (json!(3), 3),
        (json!("4"), 4),
        (json!(0), 0),
        (json!(-3), 1),
        (json!([3]), 1),
        (json!({}), 1),
        (json!({"groups": 5}), 5),
        (json!({"groups": {"GET": 6, "PUT": 7}}), 6),
        (json!({"groups": {"PUT": 7}}), 1),
        (json!({account: 8, "groups": 5}), 8),
        (json!({account: {"groups": 9}, "groups": 5}), 9),
        (json!({account: {"groups": {"GET": 10}}, "groups": 5}), 10),
        (json!({account: {"groups": {"PUT": 10}}, "groups": 5}), 5),
        (json!({account: {"users": 11}, "groups": {"GET": 12}}), 12),
        (json!({"b": 13}), 1),
    ] {
        assert_eq!(crossbar(json!({"token_costs": costs})).cost(groups), expected, "{costs}");
    }
    let stranger = Charged { account_id: None, ..groups };
    assert_eq!(crossbar(json!({"token_costs": {account: 8, "groups": 5}})).cost(stranger), 5);
}

/// The settings for logins count only if `token_costs` is an object that does not list the login.
#[test]
fn logins_have_a_cost_of_their_own() {
    let login = |endpoint| Charged { account_id: None, endpoint, verb: "PUT" };
    for (document, user_auth, api_auth) in [
        (json!({}), 1, 1),
        (json!({"token_costs": 2, "user_auth_tokens": 20}), 2, 2),
        (json!({"token_costs": {}}), 35, 35),
        (json!({"token_costs": {}, "user_auth_tokens": 20, "api_auth_tokens": 21}), 20, 21),
        (json!({"token_costs": {"user_auth": 3, "api_auth": {"PUT": 4}}}), 3, 4),
    ] {
        let limits = crossbar(document.clone());
        let costs = (limits.login_cost(login("user_auth")), limits.login_cost(login("api_auth")));
        assert_eq!(costs, (user_auth, api_auth), "{document}");
    }
}

#[test]
fn a_client_is_the_last_address_that_is_no_proxys() {
    let loopback = json!({});
    let two = json!({"reverse_proxies": ["127.0.0.1", "10.0.0.0/8", "nonsense", 7]});
    let all = json!({"check_reverse_proxies": false});
    for (document, peer, forwarded, expected) in [
        (&loopback, "127.0.0.1", &[][..], "127.0.0.1"),
        (&loopback, "127.0.0.1", &["192.0.2.1"], "192.0.2.1"),
        (&loopback, "::ffff:127.0.0.1", &[" ::ffff:192.0.2.1 "], "192.0.2.1"),
        (&loopback, "127.0.0.1", &["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::"),
        (&loopback, "127.0.0.1", &["192.0.2.1:4711"], "192.0.2.1"),
        (&loopback, "127.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::"),
        // A proxy that adds a line of its own.
        (&loopback, "127.0.0.1", &["198.51.100.1", "192.0.2.1"], "192.0.2.1"),
        (&loopback, "192.0.2.9", &["192.0.2.1"], "192.0.2.9"),
        // The client's own text comes before the address that the proxy added.
        (&loopback, "127.0.0.1", &["198.51.100.1, 192.0.2.1"], "192.0.2.1"),
        (&two, "127.0.0.1", &["198.51.100.1, 192.0.2.1, 10.1.2.3"], "192.0.2.1"),
        (&two, "10.9.9.9", &["127.0.0.1"], "127.0.0.1"),
        (&loopback, "127.0.0.1", &["nobody"], "127.0.0.1"),
        (&loopback, "127.0.0.1", &["192.0.2.1, nobody"], "127.0.0.1"),
        (&loopback, "127.0.0.1", &[""], "127.0.0.1"),
        (&all, "192.0.2.9", &["198.51.100.1, 192.0.2.1"], "198.51.100.1"),
    ] {
        let client = crossbar(document.clone()).client(peer.parse().unwrap(), forwarded);
        assert_eq!(client.to_string(), expected, "{document} {peer} {forwarded:?}");
    }
    let given = [network("192.0.2.0/24").unwrap()];
    let limits = RateLimits::read(&Config::default(), &config(all), Some(&given));
    assert_eq!(limits.client("192.0.2.9".parse().unwrap(), &["203.0.113.1"]).to_string(), "203.0.113.1");
    assert_eq!(limits.client("127.0.0.1".parse().unwrap(), &["203.0.113.1"]).to_string(), "127.0.0.1");
}
