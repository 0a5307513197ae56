//! The commands for a set-up beside Kazoo: `attach`, `doctor`, and settings from Kazoo's configuration.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use serde_json::{Value, json};

use crate::account::Account;
use crate::process::{binary, run};

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

const KAZOO: &str = r#"
[zone]
name = "east"
amqp_uri = "amqp://u:very-secret@127.0.0.1:1"
[zone]
name = "west"
amqp_uri = "amqp://u:very-secret@127.0.0.1:2"

[bigcouch]
ip = "127.0.0.1"
port = 1
username = "kazoo"
password = "very-secret"

[kazoo_apps]
zone = "east"
"#;

/// Nothing answers in this test. What would be set up is shown all the same.
#[test]
fn attach_shows_what_it_takes_and_prints_the_rules_and_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.ini");
    std::fs::write(&file, KAZOO).unwrap();
    let output = binary().arg("attach").env("KAZOO_CONFIG", &file).output().unwrap();
    let (shown, failure) = text(&output);
    assert_eq!(output.status.code(), Some(1), "{shown}{failure}");
    let path = file.display();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for line in [
        format!("store = http://***@127.0.0.1:1 (from Kazoo's {path})"),
        format!("amqp = amqp://***@127.0.0.1:1 (from Kazoo's {path})"),
        format!("kazoo_zone = east (from Kazoo's {path})"),
        format!("kazoo_node = kazoo_apps@{} (from Kazoo's {path})", host.trim()),
        "server groups1 127.0.0.1:8010 check port 8001".to_owned(),
        "use_backend crossbar_groups if is_groups".to_owned(),
        format!("LoadCredential=config.ini:{path}"),
    ] {
        assert!(shown.contains(&line), "{line}\n{shown}");
    }
    for check in ["reachable", "set-up", "release", "notices"] {
        assert!(shown.lines().any(|line| line.starts_with(check)), "{check}\n{shown}");
    }
    assert!(shown.contains("amqp://127.0.0.1:1 ") && !shown.contains("127.0.0.1:2"), "{shown}");
    assert!(failure.contains("things are wrong"), "{failure}");
    assert!(!shown.contains("very-secret") && !failure.contains("very-secret"), "{shown}{failure}");

    // A flag wins.
    let arguments = ["config", "show", "--kazoo-zone", "west", "--kazoo-config", file.to_str().unwrap()];
    let (shown, failure) = text(&run(&arguments, b""));
    assert!(shown.contains("kazoo_zone = \"west\"") && shown.contains("from the flag"), "{shown}{failure}");
    assert!(shown.contains("store = \"http://***@127.0.0.1:1\""), "{shown}{failure}");
}

/// systemd takes a path that is not absolute for the name of a credential, and the unit would not start.
#[test]
fn attach_prints_a_unit_that_can_start_and_each_broker() {
    let folder = tempfile::tempdir().unwrap();
    let one = "amqp_uri = \"amqp://u:very-secret@127.0.0.1:1\"\n";
    let two = format!("{one}amqp_uri = \"amqp://u:very-secret@127.0.0.2:1/kazoo\"\n");
    std::fs::write(folder.path().join("config.ini"), KAZOO.replace(one, &two)).unwrap();
    let path = folder.path().canonicalize().unwrap().join("config.ini");
    let in_folder = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = binary();
        command.args(arguments).envs(variables.iter().copied()).current_dir(folder.path());
        text(&command.output().unwrap())
    };
    for (shown, failure) in [
        in_folder(&["attach", "--kazoo-config", "config.ini"], &[]),
        in_folder(&["attach"], &[("KAZOO_CONFIG", "./config.ini")]),
    ] {
        for line in [
            format!("LoadCredential=config.ini:{}", path.display()),
            "Environment=CROSSBAR_GROUPS_KAZOO_CONFIG=%d/config.ini".to_owned(),
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}{failure}");
        }
        let brokers = "#   amqp = amqp://***@127.0.0.1:1 amqp://***@127.0.0.2:1/kazoo (from";
        assert!(shown.contains(brokers), "{shown}{failure}");
        assert!(!shown.contains("very-secret") && !failure.contains("very-secret"), "{shown}{failure}");
    }
    let (shown, failure) = in_folder(&["config", "show", "--kazoo-config", "config.ini"], &[]);
    let brokers = "amqp = [\"amqp://***@127.0.0.1:1\", \"amqp://***@127.0.0.2:1/kazoo\"] ";
    assert!(shown.lines().any(|line| line.starts_with(brokers)), "{shown}{failure}");
}

/// The unit is for the set-up that is shown: it has what flags and variables say, but no password.
#[test]
fn attach_prints_a_unit_for_the_set_up_that_it_shows() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.ini");
    std::fs::write(&file, KAZOO).unwrap();
    let mut command = binary();
    command.args([
        "attach",
        "--profile",
        "4.3",
        "--node-name",
        "groups@50% b",
        "--api-url",
        "https://api.example.com",
    ]);
    command.args(["--store", "http://u:very-secret@127.0.0.1:1", "--amqp", "amqp://localhost:1"]);
    let command = command.args(["--shadow", "http://127.0.0.1:8000/"]).arg("--kazoo-config").arg(&file);
    let command = command.env("KAZOO_ZONE", "west").env("CROSSBAR_GROUPS_LOG_FORMAT", "json");
    let (shown, failure) = text(&command.env("CROSSBAR_GROUPS_LISTEN", "127.0.0.1:9010").output().unwrap());
    assert!(shown.contains("kazoo_zone = west"), "{shown}{failure}");
    let (_, unit) = shown.split_once("service.d/kazoo.conf ----").unwrap();
    for line in [
        "Environment=KAZOO_ZONE=west",
        "Environment=CROSSBAR_GROUPS_PROFILE=4.3",
        "Environment=\"CROSSBAR_GROUPS_NODE_NAME=groups@50%% b\"",
        "Environment=CROSSBAR_GROUPS_API_URL=https://api.example.com",
        "Environment=CROSSBAR_GROUPS_SHADOW=http://127.0.0.1:8000",
        "Environment=CROSSBAR_GROUPS_AMQP=amqp://localhost:1",
        "Environment=CROSSBAR_GROUPS_LOG_FORMAT=json",
        "Environment=CROSSBAR_GROUPS_LISTEN=127.0.0.1:9010",
        "#LoadCredential=settings.toml:/etc/crossbar-groups/kazoo.toml",
    ] {
        assert_eq!(unit.lines().filter(|shown| *shown == line).count(), 1, "{line}\n{unit}");
    }
    for begin in ["LISTEN", "NODE_NAME", "LOG_FORMAT"].map(|name| format!("CROSSBAR_GROUPS_{name}=")) {
        assert_eq!(unit.matches(&begin).count(), 1, "{begin}\n{unit}");
    }
    assert!(unit.contains("they may hold a password: store"), "{unit}");
    assert!(!unit.contains("STORE=") && !shown.contains("very-secret"), "{unit}");
}

#[test]
fn attach_warns_of_a_zone_that_is_not_there_and_of_yaml_with_another_name() {
    let folder = tempfile::tempdir().unwrap();
    let attach = |name: &str, content: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        text(&binary().arg("attach").arg("--kazoo-config").arg(&file).output().unwrap())
    };
    let (shown, failure) = attach("config.ini", &KAZOO.replace("[kazoo_apps]\nzone = \"east\"", ""));
    let warning = "# Warning: no section [zone] is named \"local\", the zone of this machine, and the broker is Kazoo's \
                   default one: set KAZOO_ZONE";
    assert!(shown.contains(warning), "{shown}{failure}");
    let (shown, failure) = attach("config.ini", KAZOO);
    assert!(!shown.contains("# Warning"), "{shown}{failure}");

    let yaml = "zones:\n  a:\n    local: true\ncouchdb:\n  ip: 127.0.0.1\n";
    let (_, failure) = attach("kazoo.conf", yaml);
    assert!(failure.contains("it is YAML: give it a name that ends in .yaml"), "{failure}");
}

/// The haproxy that Kazoo runs before CouchDB cuts connections early, however its address is given.
#[test]
fn the_times_fit_kazoos_proxy_however_its_address_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let proxy = "http://kazoo:very-secret@127.0.0.1:15984";
    let kazoo = write("config.ini", &KAZOO.replace("port = 1\n", "port = 15984\n"));
    let file = write("settings.toml", &format!("store = \"{proxy}\"\n"));
    let file_with_time = write("more.toml", &format!("store = \"{proxy}\"\ncouchdb_pool_idle_ms = 700\n"));
    let proxied = ["couchdb_pool_idle_ms = 2000", "couchdb_feed_heartbeat_ms = 4000"];
    let why = "because the store is Kazoo's haproxy on port 15984";
    for (arguments, expected, shows_why) in [
        (&["--store", proxy][..], proxied, true),
        (&["--store", "http://near:5984", "--store", proxy], proxied, true),
        (&["--config", &file], proxied, true),
        (&["--kazoo-config", &kazoo], proxied, true),
        (
            &["--store", proxy, "--couchdb-pool-idle-ms", "500"],
            ["couchdb_pool_idle_ms = 500", proxied[1]],
            true,
        ),
        (&["--config", &file_with_time], ["couchdb_pool_idle_ms = 700", proxied[1]], true),
        // A flag names another store than the one in Kazoo's configuration.
        (
            &["--kazoo-config", &kazoo, "--store", "http://couchdb:5984"],
            ["couchdb_pool_idle_ms = 15000", "couchdb_feed_heartbeat_ms = 10000"],
            false,
        ),
    ] {
        let (shown, failure) = text(&run(&[&["config", "show"], arguments].concat(), b""));
        for line in expected {
            assert!(
                shown.lines().any(|shown| shown.starts_with(line)),
                "{arguments:?}: {line}\n{shown}{failure}"
            );
        }
        assert_eq!(shown.contains(why), shows_why, "{arguments:?}\n{shown}");
    }
}

#[test]
fn attach_says_where_it_has_looked() {
    let output = binary().arg("attach").env("KAZOO_CONFIG", "/nowhere/config.ini").output().unwrap();
    let (_, failure) = text(&output);
    assert_eq!(output.status.code(), Some(2));
    assert!(failure.contains("/nowhere/config.ini") && failure.contains("cannot be read"), "{failure}");
}

fn doctor(account: &Account, more: &[&str]) -> (Option<i32>, String, String) {
    let output = run(&[&["doctor", "--store", &account.store()], more].concat(), b"");
    let (shown, failure) = text(&output);
    (output.status.code(), shown, failure)
}

/// It reads beside the running server.
#[test]
fn doctor_finds_what_is_wrong_and_says_what_to_do() {
    let account = Account::served();
    let (code, shown, failure) = doctor(&account, &[]);
    assert_eq!((code, failure.as_str()), (Some(0), ""), "{shown}");
    let facts = "the release of Kazoo: the store has no database that only Kazoo makes\n\
        view-ages: _design/groups is as this program has it (databases: 1)\n\
        view-ages: _design/users is as this program has it (databases: 1)\n\
        view-ages-system: _design/accounts is as this program has it (databases: 1)\n";
    assert_eq!(shown, format!("{facts}1 accounts with 0 groups were examined\n"));

    let members = json!({"nobody": {"type": "user"}, "inner": {"type": "group"}});
    for (id, endpoints) in [("outer", members), ("inner", json!({"outer": {"type": "group"}}))] {
        let answer = account.ask("PUT", "/groups", &json!({"id": id, "name": id, "endpoints": endpoints}));
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    let (code, shown, failure) = doctor(&account, &[]);
    assert_eq!((code, failure.as_str()), (Some(1), "crossbar-groups: 2 things are wrong\n"), "{shown}");
    for words in ["the member nobody is a user that does not exist", "contains itself", "To do: "] {
        assert!(shown.contains(words), "{words}\n{shown}");
    }
    let (code, shown, _) = doctor(&account, &["--json"]);
    let found: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, &found["accounts"], &found["groups"]), (Some(1), &json!(1), &json!(2)));
    let fact =
        json!({"check": "view-ages", "what": "_design/groups is as this program has it", "databases": 1});
    assert_eq!((found["facts"].as_array().unwrap().len(), &found["facts"][0]), (3, &fact), "{found}");
    let mut checks: Vec<_> =
        found["findings"].as_array().unwrap().iter().map(|finding| &finding["check"]).collect();
    checks.sort_by_key(ToString::to_string);
    assert_eq!(checks, ["cycles", "members"]);
    for finding in found["findings"].as_array().unwrap() {
        assert_eq!(finding["account"], account.id.as_str());
        assert!(finding["todo"].as_str().is_some_and(|todo| !todo.is_empty()), "{finding}");
    }
}

#[test]
fn doctor_finds_files_that_others_can_open() {
    let account = Account::served();
    let file = account.store().trim_start_matches("sqlite:").to_owned();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, shown, _) = doctor(&account, &[]);
    assert!(code == Some(1) && shown.contains(&format!("run chmod 600 {file}\n")), "{shown}");
}

#[test]
fn doctor_says_that_a_store_does_not_answer() {
    let output =
        run(&["doctor", "--store", "http://u:very-secret@127.0.0.1:1", "--amqp", "amqp://127.0.0.1:1"], b"");
    let (shown, failure) = text(&output);
    assert_eq!(output.status.code(), Some(1), "{shown}{failure}");
    for check in ["reachable", "set-up", "release", "notices"] {
        assert!(shown.lines().any(|line| line.starts_with(check)), "{check}\n{shown}");
    }
    assert!(!shown.contains("very-secret") && !failure.contains("very-secret"), "{shown}{failure}");
}
