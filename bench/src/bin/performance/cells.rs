//! What is measured: for each request, the servers and limits that answer it, and the number of connections of each.

use std::time::Duration;

use bench::client::{Connection, get, request};
use bench::id;
use bench::server::{Account, Served};
use rusqlite::Connection as Sqlite;
use serde_json::{Value, json};

use crate::ceiling::Ceiling;
use crate::couch::Couch;
use bench::load::{Get, Speed, Step, Tools, clients, is_served, together};

/// The numbers of connections.
pub const CONNECTIONS: [usize; 3] = [1, 16, 128];

/// The requests.
pub const GET_ONE: &str = "GET one";
pub const LIST: &str = "list of 50";
pub const BY_USER: &str = "a user's groups";
pub const TOGETHER: &str = "a user's groups: user and view asked together";
pub const PUT: &str = "PUT";
pub const POST: &str = "POST";
pub const PATCH: &str = "PATCH";

/// The limits. The other columns are servers.
pub const CEILING: &str = "ceiling";
pub const DIRECT: &str = "CouchDB directly";
pub const SQLITE: &str = "SQLite one by one";

/// A server that is measured.
pub struct Subject {
    /// Its store, and its settings if they are not the default ones.
    pub column: String,
    pub served: Served,
    /// An account that only reads see. It has as many groups as a page.
    pub read: Account,
    /// An account with a group for each client that writes.
    pub write: Account,
    /// An account with many groups.
    pub many: Account,
}

/// A request, who answers it, and on how many connections.
pub struct Cell<'a> {
    pub row: &'static str,
    pub column: &'a str,
    pub connections: usize,
    load: Load<'a>,
    /// The server, if its processor time and memory count.
    pub served: Option<&'a Served>,
}

enum Load<'a> {
    Get(Get),
    Clients(Box<dyn Fn(usize) -> Step + Sync + 'a>),
}

impl Cell<'_> {
    /// Measures with wrk or with own clients.
    pub fn measure(&self, tools: &Tools, duration: Duration) -> Speed {
        match &self.load {
            Load::Get(get) => tools.wrk(get, self.connections, duration),
            Load::Clients(make) => clients(make, self.connections, duration),
        }
    }

    /// Measures with oha, if it can send this.
    pub fn measure_with_oha(&self, tools: &Tools, duration: Duration) -> Option<Speed> {
        match &self.load {
            Load::Get(get) if tools.has_oha => Some(tools.oha(get, self.connections, duration)),
            _ => None,
        }
    }
}

/// All cells.
pub fn all<'a>(
    subjects: &'a [Subject],
    ceiling: &Ceiling,
    couch: Option<&'a Couch>,
    sqlite: &'a str,
) -> Vec<Cell<'a>> {
    let mut cells = Vec::new();
    for row in [GET_ONE, LIST, BY_USER] {
        let sizes = subjects.iter().map(|subject| {
            let answer = get(subject.served.address, &path(row, &subject.read), &subject.read.token);
            assert_eq!(answer.status, 200, "{row}");
            answer.body.len()
        });
        let size = sizes.max().expect("a subject");
        for connections in CONNECTIONS {
            let mut add = |column, served, load| cells.push(Cell { row, column, connections, load, served });
            for subject in subjects {
                let url = format!("http://{}{}", subject.served.address, path(row, &subject.read));
                let get = Get { url, header: token(&subject.read) };
                add(&subject.column, Some(&subject.served), Load::Get(get));
            }
            let url = format!("http://{}/{size}", ceiling.address);
            add(CEILING, None, Load::Get(Get { url, header: token(&subjects[0].read) }));
            if let Some(couch) = couch {
                let url = format!("http://{}{}", couch.direct.address, direct_path(row, &couch.read));
                add(DIRECT, None, Load::Get(Get { url, header: couch.direct.authorization.clone() }));
            }
        }
    }
    for row in [PUT, POST, PATCH] {
        for connections in CONNECTIONS {
            let mut add = |column, served, make| {
                cells.push(Cell { row, column, connections, load: Load::Clients(make), served });
            };
            for subject in subjects {
                add(
                    &subject.column,
                    Some(&subject.served),
                    Box::new(move |client| write(row, subject, client)),
                );
            }
            if let Some(couch) = couch {
                add(DIRECT, None, Box::new(move |client| couch.write(row == PUT, client)));
            }
            if row == PUT && connections == 1 {
                add(SQLITE, None, Box::new(move |_| insert(sqlite, &subjects[0].write.document(1))));
            }
        }
    }
    if let Some(couch) = couch {
        for connections in [1, 16] {
            let mut add = |column, served, make| {
                cells.push(Cell { row: TOGETHER, column, connections, load: Load::Clients(make), served });
            };
            for subject in subjects.iter().filter(|subject| subject.column.starts_with("CouchDB")) {
                let (address, header) = (subject.served.address, token(&subject.read));
                let ask = request("GET", &path(BY_USER, &subject.read), &header, "");
                let make = Box::new(move |_| together(address, vec![ask.clone()]));
                add(
                    subject.column.as_str(),
                    Some(&subject.served),
                    make as Box<dyn Fn(usize) -> Step + Sync>,
                );
            }
            let user = format!("{}/{}", couch.read.db_path(), couch.read.user_id);
            let asked = [user, direct_path(BY_USER, &couch.read)];
            let asked = asked.map(|path| request("GET", &path, &couch.direct.authorization, "")).to_vec();
            add(DIRECT, None, Box::new(move |_| together(couch.direct.address, asked.clone())));
        }
    }
    cells
}

fn path(row: &str, account: &Account) -> String {
    match row {
        GET_ONE => account.path(&format!("/{}", id(7))),
        LIST => account.path(""),
        _ => account.path("/by-user"),
    }
}

/// What the server asks a CouchDB for: one row more than a page has.
fn direct_path(row: &str, account: &Account) -> String {
    let view = format!("{}/_design/groups/_view", account.db_path());
    match row {
        GET_ONE => format!("{}/{}", account.db_path(), id(7)),
        LIST => format!("{view}/crossbar_listing?descending=true&limit=51"),
        _ => {
            let user_id = &account.user_id;
            let keys = format!("start_key=%22{user_id}%22&end_key=%22{user_id}%22");
            format!("{view}/crossbar_listing_by_user?{keys}&descending=true&limit=51")
        }
    }
}

fn token(account: &Account) -> String {
    format!("X-Auth-Token: {}", account.token)
}

/// The steps of a client that writes: it creates groups, or changes a group of its own.
fn write(row: &'static str, subject: &Subject, client: usize) -> Step {
    let Subject { served, write: account, .. } = subject;
    let (mut connection, header) = (Connection::open(served.address), token(account));
    let mut group: Value = serde_json::from_str(&account.document(1)).expect("a document");
    group.as_object_mut().expect("an object").retain(|key, _| !key.starts_with("pvt_") && key != "_id");
    let own = account.path(&format!("/{}", id(client + 1)));
    let (method, path) = if row == PUT { ("PUT", account.path("")) } else { (row, own) };
    let is_patch = row == PATCH;
    let mut count = 0;
    Box::new(move || {
        count += 1;
        group["n"] = json!(count);
        let data = if is_patch { json!({ "n": count }) } else { group.clone() };
        let ask = request(method, &path, &header, &json!({ "data": data }).to_string());
        is_served(connection.ask(&ask), &ask)
    })
}

/// The steps of a client of SQLite: each inserts one document, durably.
fn insert(file: &str, document: &str) -> Step {
    let db = Sqlite::open(file).expect("a database");
    // What the embedded store uses by default.
    db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).expect("a log");
    db.pragma_update(None, "synchronous", "FULL").expect("a sync for each commit");
    db.execute("CREATE TABLE IF NOT EXISTS docs (id INTEGER PRIMARY KEY, text TEXT)", ()).expect("a table");
    let document = document.to_owned();
    Box::new(move || {
        let inserted = db.execute("INSERT INTO docs (text) VALUES (?1)", [&document]);
        inserted.expect("an insert") == 1
    })
}
