//! The CouchDB that the tests run against: a real one where `COUCHDB_URL` says where, otherwise the
//! stand-in from npm: the one at `STANDIN_URL`, or one of this process's own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use couchdb::{Client, Settings};
use datastore::{DbName, Deadline};

/// The stand-in of this process. Its standard input closes with the process, and with that it ends.
struct Standin {
    url: String,
    _process: Child,
}

/// The server's address, credentials included.
pub(crate) fn url() -> String {
    static STANDIN: OnceLock<Standin> = OnceLock::new();
    for variable in ["COUCHDB_URL", "STANDIN_URL"] {
        if let Ok(url) = std::env::var(variable)
            && !url.is_empty()
        {
            return url;
        }
    }
    STANDIN.get_or_init(start).url.clone()
}

/// Whether it is the real one.
pub(crate) fn is_real() -> bool {
    std::env::var("COUCHDB_URL").is_ok_and(|url| !url.is_empty())
}

fn start() -> Standin {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("standin");
    assert!(
        folder.join("node_modules").is_dir(),
        "the CouchDB stand-in is not installed; run: npm ci --prefix crates/couchdb/standin"
    );
    let mut process = Command::new("node")
        .arg("server.js")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is needed for the CouchDB stand-in");
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("http://"), "the stand-in says {line:?}");
    Standin { url: line.trim().to_owned(), _process: process }
}

pub(crate) fn settings() -> Settings {
    Settings::new(url().parse().unwrap())
}

pub(crate) fn client() -> Client {
    Client::new(settings()).unwrap()
}

/// The name of a database that nobody else uses.
pub(crate) fn unique_db() -> DbName {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    DbName::parse(&format!("test/{now}/{}/{count}", std::process::id())).unwrap()
}

/// A deadline that no call should meet.
pub(crate) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// Runs a test in a fresh database and deletes it afterwards, whatever came of it.
pub(crate) async fn in_fresh_db<F>(test: impl FnOnce(Client, DbName) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (client, db) = (client(), unique_db());
    client.create_db(&db, soon()).await.unwrap();
    let outcome = tokio::spawn(test(client.clone(), db.clone())).await;
    let _ = client.delete_db(&db, soon()).await;
    if let Err(failure) = outcome {
        std::panic::resume_unwind(failure.into_panic());
    }
}
