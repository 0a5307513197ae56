//! Documents that are nested deeper than this program reads. Kazoo stores them: a callflow of 65 modules in a chain is
//! one. They cost nobody anything but themselves.

use couchdb::standin::Standin;
use serde_json::json;

use crate::http_client::{address_and_authorization, send};
use crate::process::{run, run_ok};
use crate::seed::Seed;

/// A callflow of so many modules.
fn callflow(modules: usize) -> String {
    let mut flow = "{\"module\":\"play\"}".to_owned();
    for _ in 1..modules {
        flow = format!("{{\"module\":\"play\",\"data\":{{}},\"children\":{{\"_\":{flow}}}}}");
    }
    flow
}

/// Stores a document. Its text may be nested too deep to be built as a value.
fn put(url: &str, db: &str, id: &str, text: &str) {
    let (address, authorization) = address_and_authorization(url);
    let headers = [authorization, ("Content-Type".to_owned(), "application/json".to_owned())];
    let target = format!("/{}/{id}", db.replace('/', "%2F"));
    let answer = send(address, "PUT", &target, &headers, text.as_bytes());
    assert_eq!(answer.status, 201, "{answer:?}");
}

fn doctor(store: &str) -> (Option<i32>, String) {
    let output = run(&["doctor", "--store", store], b"");
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_deep_document_blinds_no_command() {
    let couchdb = Standin::start();
    let store = couchdb.url();
    let (seed, _) = Seed::import_into(store);
    let alpha = &seed.names["alpha"];
    let db = format!("account/{}/{}/{}", &alpha[..2], &alpha[2..4], &alpha[4..]);
    let before = doctor(store);
    assert!(before.1.contains(" groups were examined"), "{}", before.1);

    // It is between the other documents, and the group is behind it.
    let deep = format!("{{\"pvt_type\":\"callflow\",\"flow\":{}}}", callflow(65));
    put(store, &db, "00deep", &deep);
    put(store, "accounts", "00deep", &deep);
    put(store, &db, "u0", &format!("{{\"pvt_type\":\"user\",\"username\":\"una\",\"x\":{}}}", callflow(65)));
    assert_eq!(doctor(store), before);

    let group = json!({"pvt_type": "group", "name": "Z", "endpoints": {"u0": {"type": "user"}, "u1": {"type": "user"}}});
    put(store, &db, "zz", &group.to_string());
    put(store, &db, "0group", &format!("{{\"pvt_type\":\"group\",\"name\":\"D\",\"x\":{}}}", callflow(65)));
    let (code, shown) = doctor(store);
    assert_eq!(code, Some(1), "{shown}");
    let line = |words: &str| {
        let lines: Vec<_> = shown.lines().filter(|line| line.contains(words)).collect();
        assert_eq!(lines.len(), 1, "{words}\n{shown}");
        lines[0].to_owned()
    };
    let told = line(" 0group ");
    assert!(told.starts_with("documents ") && told.contains("nested deeper than 127 levels"), "{told}");
    assert!(!told.contains("delete"), "{told}");
    // The group behind it is examined. Its member that is deep is there.
    assert!(line(" zz ").contains("the member u1 is a user that does not exist"), "{shown}");

    let users = run_ok(&["user", "list", "--store", store, "--account", alpha], b"");
    assert!(users.lines().any(|line| line.starts_with("u0 ") && line.contains("una")), "{users}");
    let accounts = run_ok(&["account", "list", "--store", store], b"");
    assert!(accounts.contains(alpha.as_str()), "{accounts}");
    let create =
        ["user", "create", "--store", store, "--account", alpha, "--username", "una", "--unless-exists"];
    let found = run_ok(&[&create[..], &["--password-stdin"]].concat(), b"secret\n");
    assert_eq!(found.trim(), "u0");
}
