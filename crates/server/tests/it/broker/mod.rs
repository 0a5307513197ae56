//! Change notices through a real RabbitMQ. `make acceptance` runs these tests.

mod listening;
pub(crate) mod load;
pub(crate) mod rabbit;

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::account::{Account, json_of};
use crate::http_client::send;
use crate::process::wait_until;
use load::Load;
use rabbit::{Heard, Listener, Rabbit};

/// Serves an account and tells the broker of its changes.
pub(crate) fn served(url: &str, more: &[&str]) -> Account {
    let mut account = Account::served();
    account.restart(&[&["--amqp", url, "--node-name", "crossbar_groups@here"], more].concat());
    account
}

/// The part of the health check that is about notices.
pub(crate) fn notices(account: &Account) -> Value {
    let answer = send(account.server().admin_address, "GET", "/health/ready", &[], b"");
    assert_eq!(answer.status, 200);
    json_of(&answer)["notices"].clone()
}

pub(crate) fn wait_for(account: &Account, what: &str, condition: impl Fn(&Value) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let notices = notices(account);
        if condition(&notices) {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {notices}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The recorded requests, and what Kazoo has sent after each.
fn recorded() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/notices.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Checks a payload member by member, in order. Symbols stand for ids, revisions and times.
fn check_payload(expected: &Value, heard: &Heard, account: &Account) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 62_167_219_200;
    let mut resolved = expected.clone();
    for (name, value) in resolved.as_object_mut().unwrap() {
        let got = &heard.payload[name];
        let is_as_it_should_be = match value.as_str().unwrap_or_default() {
            "{{alpha}}" => got == &account.id,
            "{{db:alpha}}" => *got == account.db().replace('/', "%2F"),
            "{{node name}}" => got == "crossbar_groups@here",
            "{{app version}}" => got == "4.0.0",
            "{{msg id}}" => got.as_str().is_some_and(|id| id.len() == 32),
            "{{gregorian}}" => got.as_u64().is_some_and(|time| time.abs_diff(now) < 60),
            text if text.starts_with("{{rev/") => {
                let generation = text.trim_start_matches("{{rev/").trim_end_matches("}}");
                got.as_str().is_some_and(|rev| rev.starts_with(&format!("{generation}-")))
            }
            _ => continue,
        };
        assert!(is_as_it_should_be, "{name}: {got} for {value}");
        *value = got.clone();
    }
    assert_eq!(heard.text, resolved.to_string());
}

fn check_notice(expected: &Value, heard: &Heard, account: &Account) {
    let key = expected["routing_key"].as_str().unwrap();
    assert_eq!(heard.routing_key, key.replace("{{db:alpha}}", &account.db().replace('/', "%2F")));
    let properties = &heard.properties;
    assert_eq!(properties.content_type().as_ref().map(|text| text.as_str()), Some("application/json"));
    let timestamp = Duration::from_micros(properties.timestamp().unwrap());
    assert!(timestamp.abs_diff(heard.at) < Duration::from_secs(60), "{timestamp:?}");
    assert!(properties.delivery_mode().is_none() && properties.headers().is_none());
    check_payload(&expected["payload"], heard, account);
}

#[test]
#[ignore = "it needs RabbitMQ: make acceptance"]
fn notices_are_those_that_kazoo_sent() {
    let rabbit = Rabbit::start();
    let mut account = Account::served();
    // The log has the levels of every server.
    let arguments = ["--amqp", &rabbit.url(), "--node-name", "crossbar_groups@here"];
    account.restart_with(&arguments, &[("RUST_LOG", "")]);
    // The exchange is there before anybody has declared it but this server.
    wait_for(&account, "the connection", |notices| notices["connected"] == true);
    wait_until("the exchange is declared", || account.server().log().contains("declared the exchange"));
    assert!(!account.server().log().contains(" ERROR "), "{}", account.server().log());
    let listener = Listener::to(&rabbit);
    let send = |method: &str, target: &str, body: &str| {
        account.send(method, target, &[("Content-Type", "application/json")], body.as_bytes()).status
    };
    account.create_all(&["a b/c.d~e_f-g+h%i"]);
    let mut count = listener.wait_until("the first notice", |heard| heard.len() == 1).len();
    for step in recorded() {
        if step["name"] == "soft" {
            // The recording leaves out a request before this one.
            assert_eq!(send("PATCH", "/groups/notice-1", r#"{"data": {"y": 1}}"#), 200);
            count = listener.wait_until("a notice", |heard| heard.len() == count + 1).len();
        }
        let request = &step["request"];
        let target = request["target"].as_str().unwrap().replace("/v2/accounts/{{alpha}}", "");
        let body = request["body"].as_str().unwrap_or_default();
        assert_eq!(json!(send(request["method"].as_str().unwrap(), &target, body)), step["status"]);
        let expected = step["notices"].as_array().unwrap();
        let heard = listener.wait_until("the next notice", |heard| heard.len() >= count + expected.len());
        assert_eq!(heard.len(), count + expected.len());
        for (expected, heard) in expected.iter().zip(&heard[count..]) {
            check_notice(expected, heard, &account);
        }
        count = heard.len();
    }
    assert_eq!(notices(&account)["dropped"], 0);
}

#[test]
#[ignore = "it needs RabbitMQ: make acceptance"]
fn a_broker_that_is_killed_under_load_loses_nothing_and_delays_nobody() {
    let mut rabbit = Rabbit::start();
    let account = served(&rabbit.url(), &[]);
    let listener = Listener::to(&rabbit);
    let load = Load::start(&account, 8, Duration::from_millis(40));
    listener.wait_until("notices", |heard| heard.len() > 100);
    rabbit.kill();
    load.run_for(Duration::from_secs(5));
    rabbit.restart();
    load.run_for(Duration::from_secs(3));
    let written = load.stop();
    assert_eq!(written.failed, 0);
    assert!(written.slowest < Duration::from_secs(2), "{:?}", written.slowest);
    wait_for(&account, "all notices", |notices| notices["waiting"] == 0);
    let heard = listener.wait_until("the last revisions", |heard| written.missing(heard).is_empty());
    written.check_order(&heard);
    // What the broker had confirmed and not handed on when it was killed is gone with it.
    assert!(written.untold(&heard) <= 8, "{} revisions were not told", written.untold(&heard));
    assert_eq!(notices(&account)["dropped"], 0);
}

/// The server listens, so it has a queue that takes every notice. After a restart of the broker it must not take those
/// that Kazoo's nodes need, which come back later.
#[test]
#[ignore = "it needs RabbitMQ: make acceptance"]
fn after_a_restart_of_the_broker_notices_wait_for_kazoo() {
    let mut rabbit = Rabbit::start();
    let account = served(&rabbit.url(), &[]);
    wait_for(&account, "the connection", |notices| notices["connected"] == true);
    let kazoo = Listener::to(&rabbit);
    account.create_all(&["before"]);
    kazoo.wait_until("the first notice", |heard| heard.len() == 1);
    wait_for(&account, "a listener", |notices| notices["listening"] == true);
    drop(kazoo);
    rabbit.kill();
    rabbit.restart();
    wait_for(&account, "the connection", |notices| notices["connected"] == true);
    account.create_all(&["after 1", "after 2"]);
    wait_for(&account, "returns", |notices| notices["returned"].as_u64() >= Some(4));
    let kazoo = Listener::to(&rabbit);
    let heard = kazoo.wait_until("the notices", |heard| heard.len() == 2);
    assert!(heard.iter().all(|heard| heard.says("ID").starts_with("after")));
    wait_for(&account, "a listener", |notices| notices["listening"] == true);
    let notices = notices(&account);
    assert_eq!((&notices["dropped"], &notices["waiting"]), (&json!(0), &json!(0)));
}

#[test]
#[ignore = "it needs RabbitMQ: make acceptance"]
fn a_server_that_is_killed_under_load_tells_all_acknowledged_writes() {
    let rabbit = Rabbit::start();
    let mut account = served(&rabbit.url(), &[]);
    let listener = Listener::to(&rabbit);
    let rounds = std::env::var("NOTICES_KILLS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
    let mut all = Vec::new();
    for round in 0..rounds {
        let load = Load::start(&account, 8, Duration::from_millis(10));
        load.wait_for(10 + 7 * (round % 7));
        account.server().signal("KILL");
        all.push(load.stop());
        account.restart_after_kill(&["--amqp", &rabbit.url(), "--node-name", "crossbar_groups@here"]);
    }
    for written in &all {
        assert!(!written.last.is_empty());
        listener.wait_until("every acknowledged write", |heard| written.missing(heard).is_empty());
    }
    wait_for(&account, "all notices", |notices| notices["waiting"] == 0);
    let acknowledged: usize = all.iter().map(|written| written.acknowledged).sum();
    println!("{rounds} kills, {acknowledged} acknowledged writes, {} notices", listener.heard().len());
}

#[test]
#[ignore = "it needs RabbitMQ: make acceptance"]
fn a_broker_without_memory_delays_nobody() {
    let rabbit = Rabbit::start();
    let account = served(&rabbit.url(), &[]);
    let listener = Listener::to(&rabbit);
    account.create_all(&["before"]);
    listener.wait_until("the first notice", |heard| heard.len() == 1);
    rabbit.control(&["set_vm_memory_high_watermark", "0.00001"]);
    let load = Load::start(&account, 4, Duration::from_millis(20));
    load.run_for(Duration::from_secs(8));
    assert!(notices(&account)["waiting"].as_u64().unwrap() > 0, "{}", notices(&account));
    rabbit.control(&["set_vm_memory_high_watermark", "0.8"]);
    load.run_for(Duration::from_secs(1));
    let written = load.stop();
    assert_eq!(written.failed, 0);
    assert!(written.slowest < Duration::from_secs(2), "{:?}", written.slowest);
    let heard = listener.wait_until("the last revisions", |heard| written.missing(heard).is_empty());
    written.check_order(&heard);
    assert_eq!(written.untold(&heard), 0);
}

#[test]
#[ignore = "it needs RabbitMQ: make acceptance"]
fn wrong_credentials_are_told_and_stop_nothing() {
    let rabbit = Rabbit::start();
    let account = served(&rabbit.url_with_wrong_password(), &[]);
    account.create_all(&["a"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !account.server().log().contains("a broker for change notices failed") {
        assert!(Instant::now() < deadline, "{}", account.server().log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let notices = notices(&account);
    assert_eq!((&notices["connected"], &notices["waiting"]), (&json!(false), &json!(1)));
    let log = account.server().log();
    assert!(log.contains("ACCESS_REFUSED") || log.contains("ACCESS-REFUSED"), "{log}");
    // Only the warning about the command line names the setting, and nothing names the password.
    assert!(!log.contains("not-the-password"), "{log}");
}

/// The second broker is used when the first does not answer.
#[test]
#[ignore = "it needs RabbitMQ: make acceptance"]
fn the_next_broker_is_used_if_the_first_is_down() {
    let rabbit = Rabbit::start();
    let listener = Listener::to(&rabbit);
    let account = served("amqp://127.0.0.1:1", &["--amqp", &rabbit.url()]);
    account.create_all(&["a"]);
    listener.wait_until("the notice", |heard| heard.len() == 1);
}

/// Kazoo's nodes go back to the first broker when it is back, and so does the server.
#[test]
#[ignore = "it needs RabbitMQ: make acceptance"]
fn the_first_broker_is_used_again_when_it_is_back() {
    let (mut first, second) = (Rabbit::start(), Rabbit::start());
    let account = served(&first.url(), &["--amqp", &second.url()]);
    let (at_first, at_second) = (Listener::to(&first), Listener::to(&second));
    account.create_all(&["a"]);
    at_first.wait_until("the notice", |heard| heard.len() == 1);
    first.kill();
    account.create_all(&["b"]);
    at_second.wait_until("the notice at the second", |heard| heard.len() == 1);
    wait_for(&account, "a listener", |notices| notices["listening"] == true);
    // The nodes go back before the server does, so its own queue takes this notice.
    drop(at_second);
    first.restart();
    account.create_all(&["c"]);
    let heard = at_first.wait_until("the notice", |heard| heard.iter().any(|heard| heard.says("ID") == "c"));
    assert_eq!(heard[0].says("ID"), "a");
    account.create_all(&["d"]);
    at_first.wait_until("the last notice", |heard| heard.iter().any(|heard| heard.says("ID") == "d"));
    wait_for(&account, "a listener", |notices| notices["listening"] == true);
    let notices = notices(&account);
    assert_eq!((&notices["dropped"], &notices["waiting"]), (&json!(0), &json!(0)));
}

/// `doctor` asks by a message that nobody gets.
#[test]
#[ignore = "it needs RabbitMQ: make acceptance"]
fn doctor_finds_a_user_who_may_not_write_and_tells_nobody_anything() {
    let rabbit = Rabbit::start();
    let listener = Listener::to(&rabbit);
    let mut account = Account::served();
    let store = account.store();
    let doctor = || {
        let output = crate::process::run(&["doctor", "--store", &store, "--amqp", &rabbit.url()], b"");
        String::from_utf8(output.stdout).unwrap()
    };
    let is_told = |shown: &str| shown.lines().any(|line| line.starts_with("notices "));
    let shown = doctor();
    assert!(!is_told(&shown), "{shown}");
    rabbit.control(&["set_permissions", "guest", ".*", "^amq.gen", ".*"]);
    let shown = doctor();
    assert!(is_told(&shown) && shown.contains("does not let its user write to the exchange"), "{shown}");
    rabbit.control(&["set_permissions", "guest", ".*", ".*", ".*"]);
    assert!(!is_told(&doctor()));
    // The first message that anybody hears is a real one.
    account.restart(&["--amqp", &rabbit.url()]);
    account.create_all(&["a"]);
    let heard = listener.wait_until("the notice", |heard| !heard.is_empty());
    assert_eq!((heard.len(), heard[0].says("ID")), (1, "a"));
}
