//! A stand-in for a CouchDB that is slow but never slower: it has a fixed number of slots, and each answer takes
//! one for a fixed time. It answers from the documents of an export, and knows only the requests of a
//! server that reads.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A database: its documents by their ids.
type Db = BTreeMap<String, Value>;

/// The documents, and the free slots.
struct Standin {
    dbs: BTreeMap<String, Db>,
    slots: Mutex<usize>,
    freed: Condvar,
    service_time: Duration,
}

/// Serves an export on a free port until the process ends.
pub fn serve(export: &str, slots: usize, service_time: Duration) -> SocketAddr {
    let mut dbs: BTreeMap<String, Db> = BTreeMap::new();
    for line in export.lines() {
        let Value::Object(mut line) = serde_json::from_str(line).expect("a line of an export") else {
            panic!()
        };
        let (db, mut doc) =
            (line["db"].as_str().expect("a name").to_owned(), line.remove("doc").expect("doc"));
        doc["_rev"] = json!("1-967a00dff5e02add41819138abb3284d");
        dbs.entry(db).or_default().insert(doc["_id"].as_str().expect("an id").to_owned(), doc);
    }
    let standin = Arc::new(Standin { dbs, slots: Mutex::new(slots), freed: Condvar::new(), service_time });
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let standin = Arc::clone(&standin);
            thread::spawn(move || standin.converse(stream));
        }
    });
    address
}

impl Standin {
    /// Answers the requests of one connection.
    fn converse(&self, stream: TcpStream) -> Option<()> {
        stream.set_nodelay(true).ok()?;
        let mut reader = BufReader::new(stream);
        loop {
            let mut target = String::new();
            reader.read_line(&mut target).ok().filter(|length| *length > 0)?;
            let target = target.split(' ').nth(1)?.to_owned();
            let mut length = 0;
            loop {
                let mut header = String::new();
                reader.read_line(&mut header).ok()?;
                let header = header.trim().to_ascii_lowercase();
                if header.is_empty() {
                    break;
                }
                if let Some(text) = header.strip_prefix("content-length:") {
                    length = text.trim().parse().ok()?;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let (status, answer) = self.in_a_slot(|| self.answer(&target, &body));
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                answer.len()
            );
            reader.get_mut().write_all(&[head.as_bytes(), &answer].concat()).ok()?;
        }
    }

    fn in_a_slot<T>(&self, work: impl FnOnce() -> T) -> T {
        let free = self.slots.lock().expect("no panic");
        *self.freed.wait_while(free, |free| *free == 0).expect("no panic") -= 1;
        let done = work();
        thread::sleep(self.service_time);
        *self.slots.lock().expect("no panic") += 1;
        self.freed.notify_one();
        done
    }

    fn answer(&self, target: &str, body: &[u8]) -> (&'static str, Vec<u8>) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut parts = path.trim_start_matches('/').split('/').map(|part| part.replace("%2F", "/"));
        let found = parts.next().and_then(|db| self.dbs.get(&db)).and_then(|db| {
            let rest: Vec<_> = parts.collect();
            match rest.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                ["_design", "groups", "_view", "crossbar_listing"] => Some(listing(db, query)),
                ["_all_docs"] => Some(all_docs(db, body)),
                [id] => Some(db.get(*id)?.to_string().into_bytes()),
                [id, name] => STANDARD.decode(db.get(*id)?["_attachments"][*name]["data"].as_str()?).ok(),
                _ => None,
            }
        });
        match found {
            Some(answer) => ("200 OK", answer),
            None => ("404 Object Not Found", br#"{"error":"not_found","reason":"missing"}"#.to_vec()),
        }
    }
}

/// The first rows of the listing, in descending order.
fn listing(db: &Db, query: &str) -> Vec<u8> {
    let limit = query.split('&').find_map(|option| option.strip_prefix("limit=")?.parse().ok());
    let groups =
        db.iter().rev().filter(|(_, doc)| doc["pvt_type"] == "group").take(limit.unwrap_or(usize::MAX));
    let rows = groups.map(|(id, doc)| {
        json!({"id": id, "key": id, "value": {"id": id, "name": doc["name"], "flags": doc["flags"]}})
    });
    json!({"total_rows": db.len(), "offset": 0, "rows": rows.collect::<Vec<_>>()}).to_string().into_bytes()
}

/// The documents of the keys in the body, or the ids of all documents.
fn all_docs(db: &Db, body: &[u8]) -> Vec<u8> {
    let value = |doc: &Value| json!({"rev": doc["_rev"]});
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let rows: Vec<_> = match body["keys"].as_array() {
        None => db.iter().map(|(id, doc)| json!({"id": id, "key": id, "value": value(doc)})).collect(),
        Some(keys) => {
            let row = |key: &Value| match key.as_str().and_then(|key| db.get(key)) {
                None => json!({"key": key, "error": "not_found"}),
                Some(doc) => json!({"id": key, "key": key, "value": value(doc), "doc": doc}),
            };
            keys.iter().map(row).collect()
        }
    };
    json!({"total_rows": db.len(), "offset": 0, "rows": rows}).to_string().into_bytes()
}
