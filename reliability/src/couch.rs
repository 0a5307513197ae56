//! The CouchDB of a run: the one at `COUCHDB_URL`, or the stand-in of the project's tests. What a write did is
//! read here directly, past the server and past any proxy.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::settings::Outcome;
use crate::wire::Request;

const PATIENCE: Duration = Duration::from_secs(30);

/// A CouchDB that is asked directly.
#[derive(Clone, Debug)]
pub(crate) struct Couch {
    pub(crate) address: SocketAddr,
    /// `user:password`.
    credentials: String,
    pub(crate) is_real: bool,
}

/// The stand-in. It ends when its standard input closes.
pub(crate) struct Standin {
    pub(crate) couch: Couch,
    _process: Option<Child>,
}

impl Standin {
    /// The CouchDB at `COUCHDB_URL`, or else the stand-in, which is started.
    pub(crate) fn start() -> Outcome<Self> {
        if let Some(couch) = Couch::of_environment() {
            return Ok(Self { couch: couch?, _process: None });
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/couchdb/standin");
        if !folder.join("node_modules").is_dir() {
            return Err(
                "the CouchDB stand-in is not installed; run: npm ci --prefix crates/couchdb/standin".into()
            );
        }
        let mut process = Command::new("node")
            .arg("server.js")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the CouchDB stand-in needs node: {error}"))?;
        let output = process.stdout.take().ok_or("no pipe")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).map_err(|error| error.to_string())?;
        Ok(Self { couch: Couch::of_url(line.trim(), false)?, _process: Some(process) })
    }
}

impl Couch {
    /// The CouchDB at `COUCHDB_URL`, if that is set.
    pub(crate) fn of_environment() -> Option<Outcome<Self>> {
        let url = std::env::var("COUCHDB_URL").ok().filter(|url| !url.is_empty())?;
        Some(Self::of_url(&url, true))
    }

    /// The CouchDB at a URL with credentials.
    pub(crate) fn of_url(url: &str, is_real: bool) -> Outcome<Self> {
        let rest = url.strip_prefix("http://").ok_or(format!("{url:?} is no http:// URL"))?;
        let (credentials, host) = rest.trim_end_matches('/').rsplit_once('@').unwrap_or(("", rest));
        let host = if host.contains(':') { host.to_owned() } else { format!("{host}:5984") };
        let address = host.to_socket_addrs().ok().and_then(|mut found| found.next());
        let address = address.ok_or(format!("{host} has no address"))?;
        Ok(Self { address, credentials: credentials.to_owned(), is_real })
    }

    /// The URL of this CouchDB, or of a proxy before it.
    pub(crate) fn url_at(&self, address: SocketAddr) -> String {
        format!("http://{}@{address}", self.credentials)
    }

    /// The URL.
    pub(crate) fn url(&self) -> String {
        self.url_at(self.address)
    }

    /// Asks for something and answers its status and JSON.
    pub(crate) fn ask(
        &self,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
    ) -> Outcome<(u16, Value)> {
        let authorization = format!("Basic {}", STANDARD.encode(&self.credentials));
        let mut request = Request::new(method, path).header("Authorization", &authorization);
        if let Some(body) = body {
            request = request.json(body.to_string());
        }
        let answer = request
            .ask(self.address, PATIENCE)
            .map_err(|error| format!("CouchDB, {method} {path}: {error}"))?;
        let value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        Ok((answer.status, value))
    }

    /// A document with its status.
    pub(crate) fn document(&self, db: &str, id: &str) -> Outcome<(u16, Value)> {
        self.ask("GET", &path(db, id), None)
    }

    /// Writes a document and answers its revision.
    pub(crate) fn put(&self, db: &str, id: &str, body: &Value) -> Outcome<String> {
        let (status, answer) = self.ask("PUT", &path(db, id), Some(body))?;
        answer["rev"]
            .as_str()
            .map(str::to_owned)
            .ok_or(format!("CouchDB answered a write with {status}: {answer}"))
    }

    /// The live groups of an account's database: id and name.
    pub(crate) fn groups(&self, db: &str) -> Outcome<Vec<(String, String)>> {
        let (_, answer) = self.ask("GET", &format!("/{}/_all_docs?include_docs=true", encoded(db)), None)?;
        let rows = answer["rows"].as_array().ok_or(format!("CouchDB did not list {db}: {answer}"))?;
        let live = rows.iter().map(|row| &row["doc"]);
        let live = live.filter(|doc| doc["pvt_type"] == "group" && doc["pvt_deleted"] != true);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(live.map(|doc| (text(&doc["_id"]), text(&doc["name"]))).collect())
    }

    /// Deletes a database.
    pub(crate) fn delete_db(&self, db: &str) {
        let _ = self.ask("DELETE", &format!("/{}", encoded(db)), None);
    }
}

fn encoded(db: &str) -> String {
    db.replace('/', "%2F")
}

fn path(db: &str, id: &str) -> String {
    format!("/{}/{id}", encoded(db))
}
