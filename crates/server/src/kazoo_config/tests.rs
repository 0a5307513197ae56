//! What follows from configurations of Kazoo, of both forms.

use super::{Host, Rules, Taken, read_ini, yaml};

fn host(zone: Option<&str>) -> Host {
    Host { name: "apps1.example.com".to_owned(), zone: zone.map(str::to_owned) }
}

/// The settings as lines.
fn lines(rules: Rules, host: &Host) -> Vec<String> {
    rules.settings(host).into_iter().map(|Taken { key, text }| format!("{key}={text}")).collect()
}

fn check_ini(text: &str, zone: Option<&str>, expected: &[&str]) {
    let host = host(zone);
    let lines = lines(read_ini(text, &host).unwrap(), &host);
    assert_eq!(lines, expected, "{text}");
}

/// The file that Kazoo's package installs.
const USUAL: &str = r#"
[zone]
name = "east"
amqp_uri = "amqp://guest:guest@10.0.0.1:5672" ; the first
amqp_uri = "amqp://guest:guest@10.0.0.2:5672"

[zone]
name = "west"
uri = "amqp://guest:guest@10.1.0.1:5672"

[bigcouch]
compact_automatically = true
cookie = change_me
ip = "127.0.0.1"
port = 15984
; username = "kazoo"
username = "kazoo"
password = "p@ss;/%"

[kazoo_apps]
cookie = change_me
zone = "east"
host = "apps1.example.com"
"#;

#[test]
fn the_usual_file_gives_brokers_database_zone_and_node() {
    let node = "kazoo_node=kazoo_apps@apps1.example.com";
    let store = "store=http://kazoo:p%40ss%3B%2F%25@127.0.0.1:15984";
    let east = "amqp=amqp://guest:guest@10.0.0.1:5672 amqp://guest:guest@10.0.0.2:5672";
    check_ini(USUAL, None, &[store, east, "kazoo_zone=east", node]);
    let west = "amqp=amqp://guest:guest@10.1.0.1:5672";
    check_ini(USUAL, Some("west"), &[store, west, "kazoo_zone=west", node]);
}

/// Kazoo sorts the texts, and not the numbers in them.
#[test]
fn brokers_are_sorted_as_kazoo_sorts_them() {
    let text =
        "[zone]\nname = local\nuri = amqp://b\nuri = amqp://a:9@h\nuri = amqp://a:10@h\nuri = amqp://b\n";
    let sorted = "amqp=amqp://a:10@h amqp://a:9@h amqp://b";
    assert_eq!(lines(read_ini(text, &host(None)).unwrap(), &host(None))[1], sorted);
}

#[test]
fn where_a_file_says_nothing_kazoos_own_values_count() {
    let expected = [
        "store=http://localhost:5984",
        "amqp=amqp://guest:guest@localhost:5672",
        "kazoo_zone=local",
        "kazoo_node=kazoo_apps@apps1.example.com",
    ];
    check_ini("", None, &expected);
    check_ini("[log]\nsyslog = info", None, &expected);
}

#[test]
fn a_section_of_this_machine_wins_then_one_of_its_zone() {
    let text = "[data]\nconfig = mine\n[mine]\nip = 1\n[mine]\nzone = east\nip = 2\n[mine]\nhost = apps9.example.com\nip = \
                3\n[mine]\nhost = apps1.example.com\nip = 4\n[amqp]\nuri = amqp://a\nuri = amqp://b\n";
    let ip = |text: &str, zone: Option<&str>| read_ini(text, &host(zone)).unwrap().database.address;
    assert_eq!(ip(text, None), "4");
    let others = text.replace("apps1", "apps8");
    assert_eq!(ip(&others, None), "1");
    assert_eq!(ip(&others, Some("east")), "2");
    assert_eq!(read_ini(text, &host(None)).unwrap().brokers, ["amqp://a", "amqp://b"]);
    let zoned = "[amqp]\nzone = east\nuri = amqp://east\n[amqp]\nzone = west\nuri = amqp://west\n";
    assert_eq!(read_ini(zoned, &host(Some("west"))).unwrap().brokers, ["amqp://west"]);
}

#[test]
fn the_name_of_the_machine_may_lack_its_domain() {
    let short = Host { name: "apps1".to_owned(), zone: None };
    assert!(short.has_name("apps1") && short.has_name("apps1.example.com") && !short.has_name("apps2"));
    assert!(!host(None).has_name("apps1") && !Host::default().has_name("x"));
}

const YAML: &str = "
data:
  config: couchdb
couchdb:
  ip: 127.0.0.1
  port: 15984
  username: kazoo
  password: change_me
zones:
  zone1:
    local: true    # This is the local zone
    amqp:
      uri:
        - amqp://guest:guest@rabbitmq1.example.com:5672
#        - amqp://guest:guest@rabbitmq2.example.com:5672
        - amqp://guest:guest@rabbitmq3.example.com:5672
    vms:
      - kazoo_apps:
          host: kazoo1.example.com
          cookie: change_me
  zone2:
    amqp:
      uri: amqp://guest:guest@far.example.com:5672
";

#[test]
fn the_form_of_newer_forks_is_read_too() {
    let here = host(None);
    assert_eq!(
        lines(yaml::read(YAML, &here).unwrap(), &here),
        [
            "store=http://kazoo:change%5Fme@127.0.0.1:15984",
            "amqp=amqp://guest:guest@rabbitmq1.example.com:5672 amqp://guest:guest@rabbitmq3.example.com:5672",
            "kazoo_zone=zone1",
            "kazoo_node=kazoo_apps@kazoo1.example.com",
        ]
    );
    let far = yaml::read(YAML, &host(Some("zone2"))).unwrap();
    assert_eq!(
        (far.brokers, far.apps_host),
        (vec!["amqp://guest:guest@far.example.com:5672".to_owned()], None)
    );
}

#[test]
fn a_configuration_that_cannot_be_used_is_refused_without_its_values() {
    for (text, zone, words) in [
        ("a: [secret", None, "no YAML"),
        ("", None, "empty"),
        ("couchdb: {password: secret}", None, "no zones"),
        ("zones: {a: {}}", None, "local"),
        (YAML, Some("zone3"), "zone3"),
        ("zones: {a: {local: true}}", None, "couchdb"),
        ("zones: {a: {local: true}}\ncouchdb: {port: secret}", None, "no number"),
    ] {
        let error = yaml::read(text, &host(zone)).unwrap_err();
        assert!(error.contains(words) && !error.contains("secret"), "{text}: {error}");
    }
    let error = read_ini("[bigcouch]\nport = secret", &host(None)).unwrap_err();
    assert!(error.contains("no number") && !error.contains("secret"), "{error}");
}
