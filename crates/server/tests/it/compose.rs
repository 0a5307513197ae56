//! `docker-compose.yml` and the files that it mounts, as they stand. Nothing is started: that needs an engine.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::process::Command;

use ipnet::IpNet;
use regex::Regex;
use saphyr::{LoadableYamlNode as _, Yaml};
use serde_json::{Map, Value};

use crate::process::run_ok;

fn root() -> String {
    format!("{}/../..", env!("CARGO_MANIFEST_DIR"))
}

fn page(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", root())).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// YAML as JSON. The members below `<<` are merged, as compose does it.
fn json_of(yaml: &Yaml<'_>) -> Value {
    if let Some(members) = yaml.as_mapping() {
        let mut object = Map::new();
        let mut merged = Vec::new();
        for (key, value) in members {
            match key.as_str().expect("keys are texts") {
                "<<" => merged.push(json_of(value)),
                key => drop(object.insert(key.to_owned(), json_of(value))),
            }
        }
        let flat = merged.into_iter().flat_map(|value| match value {
            Value::Array(several) => several,
            one => vec![one],
        });
        for below in flat {
            for (key, value) in below.as_object().expect("only mappings are merged") {
                object.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        return Value::Object(object);
    }
    if let Some(items) = yaml.as_sequence() {
        return items.iter().map(json_of).collect();
    }
    let text = yaml.as_str().map(Value::from);
    let number = || yaml.as_integer().map(Value::from);
    let switch = || yaml.as_bool().map(Value::from);
    text.or_else(number).or_else(switch).unwrap_or_default()
}

fn compose() -> Value {
    json_of(&Yaml::load_from_str(&page("docker-compose.yml")).expect("YAML")[0])
}

fn services(compose: &Value) -> &Map<String, Value> {
    compose["services"].as_object().unwrap()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap()).collect()
}

/// The services that run with a profile, and those that always do.
fn of_profile<'a>(compose: &'a Value, profile: Option<&str>) -> BTreeSet<&'a str> {
    let is_of = |service: &Value| match profile {
        Some(profile) => texts(&service["profiles"]).contains(&profile),
        None => service["profiles"].is_null(),
    };
    services(compose).iter().filter(|(_, service)| is_of(service)).map(|(name, _)| name.as_str()).collect()
}

#[test]
fn each_profile_has_its_services_and_each_service_its_bounds() {
    let compose = compose();
    for (profile, expected) in [
        (None, "couchdb crossbar-groups first-account"),
        (
            Some("cluster"),
            "couchdb1 couchdb2 couchdb3 first-account-in-cluster groups1 groups2 haproxy join-couchdb",
        ),
        (Some("kazoo"), "rabbitmq"),
        (Some("observe"), "grafana prometheus"),
    ] {
        let names: Vec<_> = of_profile(&compose, profile).into_iter().collect();
        assert_eq!(names.join(" "), expected, "{profile:?}");
    }
    for (name, service) in services(&compose) {
        assert!(service["mem_limit"].is_string(), "{name} has no limit of memory");
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name} is open to the network: {port}");
        }
        // A job ends by itself; all else starts again and tells whether it is well. The image of the server has its
        // own check.
        let is_job = ["first-account", "first-account-in-cluster", "join-couchdb"].contains(&name.as_str());
        assert_eq!(service["restart"].is_null(), is_job, "{name}");
        let has_check = service["healthcheck"]["test"].is_array() || service["image"] == "crossbar-groups";
        assert!(is_job || has_check, "{name} has no health check");
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            let is_job = services(&compose)[other]["restart"].is_null();
            let wanted = if is_job { "service_completed_successfully" } else { "service_healthy" };
            assert_eq!(how["condition"], wanted, "{name} waits for {other}");
        }
    }
    let dockerfile = page("Dockerfile");
    for argument in texts(&services(&compose)["first-account"]["build"]["args"]) {
        assert!(dockerfile.contains(&format!("ARG {argument}")), "{argument}");
    }
    assert!(
        dockerfile.contains(r#"CMD ["crossbar-groups", "healthcheck"]"#),
        "the check asks the admin listener"
    );
}

#[test]
fn what_compose_mounts_and_names_is_there() {
    let compose = compose();
    let settings = run_ok(&["config", "example"], b"");
    for (name, service) in services(&compose) {
        for volume in texts(&service["volumes"]) {
            let (from, _) = volume.split_once(':').unwrap();
            let is_there = match from.strip_prefix("./") {
                Some(path) => std::fs::exists(format!("{}/{path}", root())).unwrap(),
                None => compose["volumes"].as_object().unwrap().contains_key(from),
            };
            assert!(is_there, "{name} mounts {volume}");
        }
        let is_server = service["image"] == "crossbar-groups";
        for (variable, _) in service["environment"].as_object().into_iter().flatten() {
            if variable.starts_with("CROSSBAR_GROUPS_") {
                assert!(
                    is_server && settings.contains(&format!("variable {variable}.")),
                    "{name}: {variable}"
                );
            }
        }
    }
    let node_names: Vec<_> = services(&compose)
        .values()
        .filter_map(|service| service["environment"]["CROSSBAR_GROUPS_NODE_NAME"].as_str())
        .collect();
    assert_eq!(node_names.len(), node_names.iter().collect::<BTreeSet<_>>().len(), "{node_names:?}");
    // The proxy and Prometheus ask servers of this file, on the ports of the image.
    let server = Regex::new(r"server (\w+) (\w+):8000 check port 8001").unwrap();
    let proxied: Vec<_> =
        server.captures_iter(&page("docker/proxy/haproxy.cfg")).map(|found| found[2].to_owned()).collect();
    assert_eq!(proxied, ["groups1", "groups2"]);
    let scraped = page("docker/observe/prometheus.yml");
    for name in ["crossbar-groups", "groups1", "groups2"] {
        assert_eq!(services(&compose)[name]["environment"]["CROSSBAR_GROUPS_ADMIN_LISTEN"], "0.0.0.0:8001");
        assert!(scraped.contains(name), "Prometheus does not ask {name}");
    }
}

/// haproxy names the client in a header. Servers that do not trust it take all clients for one, so that whoever guesses
/// passwords locks everybody out.
#[test]
fn the_servers_of_the_cluster_trust_their_haproxy_alone() {
    let compose = compose();
    // Without a variable of the operator's.
    let expanded = |value: &Value| {
        let variable = Regex::new(r"\$\{[A-Z_]+:-([^}]*)\}").unwrap();
        variable.replace_all(value.as_str().unwrap(), "$1").into_owned()
    };
    let services = services(&compose);
    let network = &compose["networks"]["proxied"]["ipam"]["config"][0];
    let proxied = &services["haproxy"]["networks"];
    assert_eq!(proxied.as_object().unwrap().keys().collect::<Vec<_>>(), ["proxied"], "and no other");
    let address: IpAddr = expanded(&proxied["proxied"]["ipv4_address"]).parse().unwrap();
    let [subnet, others]: [IpNet; 2] =
        ["subnet", "ip_range"].map(|name| expanded(&network[name]).parse().unwrap());
    let gateway: IpAddr = expanded(&network["gateway"]).parse().unwrap();
    // Docker gives nobody else haproxy's address.
    assert!(subnet.contains(&address) && subnet.contains(&others), "{address} {subnet}");
    assert!(
        !others.contains(&address) && gateway != address && subnet.contains(&gateway),
        "{address} {others}"
    );
    let mut members = Vec::new();
    for (name, service) in services {
        if service["networks"].get("proxied").is_some() {
            members.push(name.as_str());
        }
    }
    assert_eq!(members, ["groups1", "groups2", "haproxy"]);
    for name in ["groups1", "groups2"] {
        assert!(services[name]["networks"].get("default").is_some(), "{name} reaches CouchDB");
        let trusted: IpAddr =
            expanded(&services[name]["environment"]["CROSSBAR_GROUPS_REVERSE_PROXIES"]).parse().unwrap();
        assert_eq!(trusted, address, "{name}");
    }
    // The one server alone has no proxy here. The operator names it.
    let passed = &services["crossbar-groups"]["environment"]["CROSSBAR_GROUPS_REVERSE_PROXIES"];
    assert_eq!(passed, "${CROSSBAR_GROUPS_REVERSE_PROXIES:-}");
}

#[test]
fn nothing_starts_with_the_passwords_of_an_example() {
    let (text, example) = (page("docker-compose.yml"), page(".env.example"));
    let variable = Regex::new(r"\$\{([A-Z_]+)(:\?)?").unwrap();
    let mut required = BTreeSet::new();
    for found in variable.captures_iter(&text) {
        let name = &found[1];
        let line = Regex::new(&format!("(?m)^#?{name}=(.*)$")).unwrap();
        let line = line.captures(&example);
        // The name of the node is rarely changed.
        assert!(line.is_some() || name == "CROSSBAR_GROUPS_NODE_NAME", "{name} is not in .env.example");
        if name.contains("PASSWORD") {
            assert_eq!(&line.unwrap()[1], "", "{name} has a value in .env.example");
        }
        if found.get(2).is_some() {
            required.insert(name.to_owned());
        }
    }
    // compose refuses a variable that is empty where it is named with :?.
    for name in ["COUCHDB_PASSWORD", "FIRST_ADMIN_PASSWORD"] {
        assert!(required.contains(name), "{name} may be empty");
    }
    // `server::it::commands` shows that those of earlier examples are refused too.
    let compose = compose();
    let script = texts(&services(&compose)["rabbitmq"]["command"])[2].replace("$$", "$");
    // A broker that no server uses is refused, too.
    for (password, broker, code) in
        [("", "amqp://x", 1), ("change-me", "amqp://x", 1), ("good", "", 1), ("good", "amqp://x", 127)]
    {
        let status = Command::new("/bin/sh")
            .args(["-c", &script])
            .env("RABBITMQ_DEFAULT_PASS", password)
            .env("BROKER_OF_SERVERS", broker)
            .env("PATH", "/nothing")
            .stderr(std::process::Stdio::null())
            .status();
        assert_eq!(status.unwrap().code(), Some(code), "{password:?} {broker:?}");
    }
}
