//! The servers and requests that the OpenAPI document is compared with, and their answers.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use auth::Secret;
use auth::bootstrap::NewUser;
use couchdb::standin::Standin;
use serde_json::{Value, json};

use crate::accounts::{AccountWithUser, OpenStore};
use crate::http_client::{Response, send};
use crate::process::{Server, run_ok};
use crate::writers::Rival;

/// Headers of HTTP itself, which the document leaves out.
const OF_HTTP: [&str; 6] =
    ["connection", "content-encoding", "content-length", "content-type", "date", "transfer-encoding"];

/// Documented or observed answers, as lines of path, method, status and header.
pub(super) type Promises = BTreeSet<String>;

pub(super) fn promise(path: &str, method: &str, status: &str, header: &str) -> String {
    format!("{} {path} {status} {header}", method.to_uppercase())
}

/// Who asks.
#[derive(Clone, Copy)]
pub(super) enum Who {
    Nobody,
    Admin,
    /// A user with an expired token.
    Late,
    /// Of another account.
    Stranger,
    /// Of an account whose token restrictions forbid everything.
    Restricted,
    /// With Basic credentials that are wrong, from an address that has failed too often.
    Exhausted,
    /// With Basic credentials that are right.
    Basic,
    /// With a token to give back.
    Leaver,
}

/// A request but for its path.
#[derive(Clone)]
pub(super) struct Ask<'a> {
    pub(super) method: &'a str,
    pub(super) query: &'a str,
    header: Option<(&'a str, &'a str)>,
    body: Option<Value>,
    who: Who,
    is_cors: bool,
    /// With an account or user in the path that is not there.
    is_lost: bool,
}

pub(super) fn ask(method: &str) -> Ask<'_> {
    Ask { method, query: "", header: None, body: None, who: Who::Admin, is_cors: true, is_lost: false }
}

impl<'a> Ask<'a> {
    pub(super) fn query(self, query: &'a str) -> Self {
        Self { query, ..self }
    }
    pub(super) fn header(self, name: &'a str, value: &'a str) -> Self {
        Self { header: Some((name, value)), ..self }
    }
    pub(super) fn data(self, data: Value) -> Self {
        Self { body: Some(json!({"data": data})), ..self }
    }
    pub(super) fn who(self, who: Who) -> Self {
        Self { who, ..self }
    }
    pub(super) fn lost(self) -> Self {
        Self { is_lost: true, ..self }
    }
    pub(super) fn without_origin(self) -> Self {
        Self { is_cors: false, ..self }
    }
}

pub(super) struct World {
    _folder: tempfile::TempDir,
    pub(super) server: Server,
    /// Its store is out of reach.
    pub(super) unreachable: Server,
    /// Its view of groups is missing.
    pub(super) without_view: Server,
    /// Another program writes into its store.
    pub(super) raced: Server,
    pub(super) rival: Rival,
    _standin: Standin,
    pub(super) ids: BTreeMap<&'static str, String>,
    pub(super) tokens: BTreeMap<&'static str, String>,
    /// Each request has its own client address, so that failures do not add up to a 429.
    addresses: Cell<u32>,
    pub(super) seen: RefCell<Promises>,
}

/// The address that has failed too often.
const EXHAUSTED: &str = "203.0.113.1";

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store_at = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
        let path = folder.path().join("store.db");
        let store = store_at("store.db");
        let command = |arguments: &[&str], input: &str| {
            run_ok(&[arguments, &["--store", &store]].concat(), input.as_bytes()).trim().to_owned()
        };
        let mut ids = BTreeMap::new();
        let mut tokens = BTreeMap::new();
        let user = NewUser { username: "admin", password: &Secret::new("secret"), is_admin: false };
        let open = OpenStore::open(&path);
        let mut rules = String::new();
        for name in ["main", "strange", "restricted"] {
            let AccountWithUser { id: account_id, user_id, token } = open.account(name, &user);
            tokens.insert(name, token);
            if name == "main" {
                tokens.insert("leaver", open.token(&account_id, &user_id, 7200));
                tokens.insert("late", open.token(&account_id, &user_id, 1));
                ids.insert("ACCOUNT_ID", account_id);
                ids.insert("USER_ID", user_id);
            } else if name == "restricted" {
                let db = format!("account/{}/{}/{}", &account_id[..2], &account_id[2..4], &account_id[4..]);
                let doc = json!({"_id": "token_restrictions", "restrictions": {"_": {"_": {}}}});
                rules = json!({"db": db, "doc": doc}).to_string();
            }
        }
        drop(open);
        command(&["import", "-"], &rules);
        // The same store again, but for the view that groups are listed by.
        let exported = command(&["export"], "");
        let without_view: Vec<_> = exported.lines().map(without_views_of_groups).collect();
        let other_store = store_at("without-view.db");
        run_ok(&["import", "--store", &other_store, "-"], without_view.join("\n").as_bytes());
        let api_key = exported
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["doc"].take())
            .find(|doc| doc["_id"] == ids["ACCOUNT_ID"].as_str())
            .and_then(|doc| doc["pvt_api_key"].as_str().map(str::to_owned));
        ids.insert("API_KEY", api_key.expect("the account has a key"));
        let standin = Standin::start();
        run_ok(&["import", "--store", standin.url(), "-"], exported.as_bytes());
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self {
            server: Server::start(&store, &[]),
            unreachable: Server::start(&format!("http://u:p@{closed}"), &["--store-timeout-ms", "500"]),
            without_view: Server::start(&other_store, &[]),
            raced: Server::start(standin.url(), &[]),
            rival: Rival::new(standin.url(), &ids["ACCOUNT_ID"]),
            _standin: standin,
            _folder: folder,
            ids,
            tokens,
            addresses: Cell::new(0),
            seen: RefCell::default(),
        }
    }

    pub(super) fn send(&self, server: &Server, path: &str, group_id: &str, ask: &Ask<'_>) -> Response {
        let number = self.addresses.get();
        self.addresses.set(number + 1);
        let own = format!("10.0.{}.{}", number / 256, number % 256);
        let address = if matches!(ask.who, Who::Exhausted) { EXHAUSTED } else { &own };
        let mut headers = vec![("X-Forwarded-For".to_owned(), address.to_owned())];
        let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
        let basic = |text: String| {
            let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
            format!("Basic {encoded}")
        };
        let digest = format!("{:x}", <md5::Md5 as md5::Digest>::digest(b"admin:secret"));
        match ask.who {
            Who::Nobody => {}
            Who::Admin => add("X-Auth-Token", self.tokens["main"].clone()),
            Who::Late => add("X-Auth-Token", self.tokens["late"].clone()),
            Who::Stranger => add("X-Auth-Token", self.tokens["strange"].clone()),
            Who::Restricted => add("X-Auth-Token", self.tokens["restricted"].clone()),
            Who::Leaver => add("X-Auth-Token", self.tokens["leaver"].clone()),
            Who::Exhausted => add("Authorization", basic("no:body".to_owned())),
            Who::Basic => add("Authorization", basic(format!("{}:{digest}", self.ids["ACCOUNT_ID"]))),
        }
        if let Some((name, value)) = ask.header {
            add(name, value.to_owned());
        }
        if ask.is_cors {
            add("Origin", "https://ui.example.com".to_owned());
        }
        let mut target = format!("/v2{}", path.replace("{GROUP_ID}", group_id));
        if ask.is_lost {
            let lost = if path.contains("{USER_ID}") { "{USER_ID}" } else { "{ACCOUNT_ID}" };
            target = target.replace(lost, &"0".repeat(32));
        }
        for (name, id) in &self.ids {
            target = target.replace(&format!("{{{name}}}"), id);
        }
        let body = ask.body.as_ref().map_or_else(String::new, Value::to_string);
        send(server.address, ask.method, &format!("{target}{}", ask.query), &headers, body.as_bytes())
    }

    /// Records an answer under its documented path.
    pub(super) fn note(&self, path: &str, method: &str, answer: &Response) {
        let status = if answer.status >= 500 { "5XX".to_owned() } else { answer.status.to_string() };
        let headers = answer.headers.iter().map(|(name, _)| name.as_str());
        let headers = headers.filter(|name| !OF_HTTP.contains(name));
        let noted = headers.chain([""]).map(|header| promise(path, method, &status, header));
        self.seen.borrow_mut().extend(noted);
    }

    pub(super) fn check(&self, path: &str, group_id: &str, ask: &Ask<'_>, status: u16) {
        let answer = self.send(&self.server, path, group_id, ask);
        assert_eq!(answer.status, status, "{} {path}{}: {answer:?}", ask.method, ask.query);
        self.note(path, ask.method, &answer);
    }

    pub(super) fn check_fault(&self, server: &Server, path: &str, ask: &Ask<'_>) {
        let answer = self.send(server, path, "any", ask);
        assert!(answer.status >= 500, "{} {path}: {answer:?}", ask.method);
        self.note(path, ask.method, &answer);
    }

    /// Asks until an answer has this status: what depends on what was before, or on the time.
    pub(super) fn wait_for(&self, path: &str, ask: &Ask<'_>, status: u16) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut answer = self.send(&self.server, path, "any", ask);
        while answer.status != status {
            assert!(Instant::now() < deadline, "no {status} from {} {path} in time", ask.method);
            answer = self.send(&self.server, path, "any", ask);
        }
        self.note(path, ask.method, &answer);
    }

    pub(super) fn create(&self, prefix: &str) -> String {
        self.create_on(&self.server, prefix)
    }

    pub(super) fn create_on(&self, server: &Server, prefix: &str) -> String {
        let ask = ask("PUT").data(json!({"name": "some"}));
        let answer = self.send(server, &format!("{prefix}/groups"), "", &ask);
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        body["data"]["id"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
    }
}

fn without_views_of_groups(line: &str) -> String {
    let mut line: Value = serde_json::from_str(line).unwrap();
    if line["doc"]["_id"] == "_design/groups" {
        // The server adds no views to a document in another language.
        line["doc"]["views"] = json!({});
        line["doc"]["language"] = json!("query");
    }
    line.to_string()
}
