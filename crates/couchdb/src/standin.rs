//! The CouchDB for tests, of this crate and of others. `COUCHDB_URL` names a real one. Without it the tests
//! use the stand-in from npm: the one at `STANDIN_URL`, or one that this process starts.
//!
//! ```no_run
//! use couchdb::{Client, Settings, standin};
//!
//! let client = Client::new(Settings::new(standin::url().parse()?))?;
//! let db = standin::unique_db();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// Only tests use this code. A panic is how it reports a failure.
#![allow(clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use datastore::DbName;

/// A stand-in. It ends when its standard input closes: when it is dropped, or at the end of this process.
pub struct Standin {
    url: String,
    process: Child,
}

impl Standin {
    /// Starts one that nobody else uses, even if there is a real CouchDB.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start() -> Self {
        start()
    }

    /// Its address, with credentials.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // It ends by itself. If it cannot be waited for, it ends all the same.
        let _ = self.process.wait();
    }
}

/// The address of the server for tests, with credentials.
///
/// # Panics
/// If the stand-in is needed and cannot be started.
#[must_use]
pub fn url() -> String {
    static STANDIN: OnceLock<Standin> = OnceLock::new();
    let named = ["COUCHDB_URL", "STANDIN_URL"].into_iter().find_map(from_environment);
    named.unwrap_or_else(|| STANDIN.get_or_init(start).url.clone())
}

/// Whether the server is a real CouchDB.
#[must_use]
pub fn is_real() -> bool {
    from_environment("COUCHDB_URL").is_some()
}

/// The behaviours that the stand-in does not have, and why. A real CouchDB has them all.
const STANDIN_DIFFERENCES: &[(&str, &str)] = &[
    ("a_map_that_is_no_text_is_invalid", "it does not look at the maps of a design document"),
    ("members_keep_their_order", "JavaScript puts keys that look like numbers first"),
    ("numbers_survive_by_value", "JavaScript's numbers are doubles"),
    ("a_tombstone_cannot_be_a_base", "it accepts a tombstone as a base"),
    ("odd_keys_survive", "PouchDB does not treat __proto__ as an ordinary key"),
    ("ids_may_have_odd_characters", "its _all_docs leaves out ids that begin with a letter beyond Latin"),
    ("keys_of_every_type_sort_as_in_couchdb", "its index loses digits of large negative keys"),
    ("maps_have_couchdbs_helpers", "it has no toJSON and no require"),
    ("an_update_removes_attachments_without_a_stub", "it needs the digest in the stub of an attachment"),
];

/// The behaviours of `datastore`'s suite that the server for tests does not have.
#[must_use]
pub fn known_differences() -> &'static [(&'static str, &'static str)] {
    if is_real() { &[] } else { STANDIN_DIFFERENCES }
}

/// The name of a database that no other test uses.
///
/// # Panics
/// If the clock is before 1970.
#[must_use]
pub fn unique_db() -> DbName {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_micros();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    DbName::parse(&format!("test/{now}/{}/{count}", std::process::id())).expect("a name by the rules")
}

fn from_environment(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|url| !url.is_empty())
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
    let output = process.stdout.take().expect("its output is piped");
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).expect("the stand-in says where it listens");
    assert!(line.starts_with("http://"), "the stand-in says {line:?}");
    Standin { url: line.trim().to_owned(), process }
}
