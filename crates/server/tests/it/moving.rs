//! Moving a store into another one by `export` and `import`: the counts come out, and an import that breaks off says what
//! is stored.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;

use couchdb::standin::Standin;
use serde_json::{Value, json};

use crate::http_client::{address_and_authorization, send};
use crate::process::{Server, binary, run_ok, wait_until};

#[test]
fn the_demo_moves_and_its_counts_come_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    assert_eq!(Server::start(&store("demo.db"), &["--demo"]).stop().0, Some(0));
    let lines = run_ok(&["export", "--store", &store("demo.db")], b"");
    let count = lines.lines().count();
    let said = run_ok(&["import", "--store", &store("two.db"), "-"], lines.as_bytes());
    assert_eq!(said, format!("{count} documents imported, 0 were there already\n"));
    assert_eq!(run_ok(&["export", "--store", &store("two.db")], b"").lines().count(), count);

    // A store of an earlier version, or one of Kazoo, may lack a design document. The new store gets it.
    let fewer: Vec<_> = lines.lines().filter(|line| !line.contains("\"_design/groups\"")).collect();
    assert_eq!(fewer.len() + 1, count);
    let said = run_ok(&["import", "--store", &store("three.db"), "-"], fewer.join("\n").as_bytes());
    let added =
        "design documents added, with views that this program needs: 1; an export of this store has them too";
    assert_eq!(said, format!("{} documents imported, 0 were there already\n{added}\n", fewer.len()));
    assert_eq!(run_ok(&["export", "--store", &store("three.db")], b"").lines().count(), count);
    let said = run_ok(&["import", "--store", &store("three.db"), "-"], fewer.join("\n").as_bytes());
    assert_eq!(said, format!("0 documents imported, {} were there already\n", fewer.len()));
}

/// The store goes away in the middle.
#[test]
fn an_import_that_breaks_off_says_what_is_stored() {
    const BATCH: usize = 500;
    let couchdb = Standin::start();
    let (address, authorization) = address_and_authorization(couchdb.url());
    let mut import = binary()
        .args(["import", "-"])
        .env("CROSSBAR_GROUPS_STORE", couchdb.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = import.stdin.take().unwrap();
    let lines = |from: usize| {
        let line =
            |number: usize| json!({"db": "a", "doc": {"_id": format!("{number:05}")}}).to_string() + "\n";
        (from..from + BATCH).map(line).collect::<String>()
    };
    input.write_all(lines(0).as_bytes()).unwrap();
    let mut stored = 0;
    wait_until("a batch is stored", || {
        let answer = send(address, "GET", "/a", std::slice::from_ref(&authorization), b"");
        let about: Value = serde_json::from_slice(&answer.body).unwrap();
        stored = about["doc_count"].as_u64().unwrap_or(0);
        stored == u64::try_from(BATCH).unwrap()
    });
    drop(couchdb);
    input.write_all(lines(BATCH).as_bytes()).unwrap();
    drop(input);
    let mut said = String::new();
    import.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    let output = import.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}{error}");
    assert_eq!(said, "500 documents imported, 0 were there already\n");
    assert!(error.contains("the import stopped: the store cannot be reached"), "{error}");
    assert_eq!(error.matches("Connection refused").count(), 1, "the cause is told once: {error}");
}

/// A store that takes documents and does not say what became of them.
#[test]
fn documents_that_the_store_did_not_answer_for_are_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://admin:admin@{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            let mut head = BufReader::new(connection.try_clone().unwrap());
            let (mut first, mut line) = (String::new(), String::new());
            head.read_line(&mut first).unwrap();
            while head.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
                line.clear();
            }
            let body = match first.split(' ').collect::<Vec<_>>()[..] {
                ["GET", "/_session", ..] => json!({"userCtx": {"name": "admin", "roles": ["_admin"]}}),
                ["PUT", "/a", ..] => json!({"ok": true}),
                _ => continue,
            };
            let body = body.to_string();
            let length = body.len();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
            let _ = write!(connection, "{head}Content-Length: {length}\r\n\r\n{body}");
        }
    });
    let lines = ["x", "y"].map(|id| json!({"db": "a", "doc": {"_id": id}}).to_string()).join("\n");
    let mut import = binary();
    import.args(["import", "-"]).env("CROSSBAR_GROUPS_STORE", url);
    let mut import =
        import.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = import.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let told =
        "0 documents imported, 0 were there already; 2 more may be stored, since the store did not answer. ";
    assert!(said.starts_with(told) && said.contains("Run the import again"), "{said}");
}
