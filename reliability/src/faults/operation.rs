//! The operations of the table of faults: what each needs in CouchDB, what it sends, and how its answer is
//! compared with what CouchDB holds afterwards.

use std::io;
use std::time::Duration;

use plain_http::Answer;
use serde_json::{Value, json};

use crate::couch::Couch;
use crate::proxy::{Call, Plan};
use crate::settings::Outcome;
use crate::wire::Request;
use crate::world::{Account, CREDENTIALS, GROUP};

/// Whether the server has read the account and the keys before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caches {
    Cold,
    Warm,
}

/// The effect of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    List,
    Create,
    Change,
    SoftDeletion,
    HardDeletion,
    Login,
}

/// An operation of the table.
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) caches: Caches,
    /// How many deadlines one request may take after another.
    pub(super) deadlines: u32,
    /// Whether the quick tests have it.
    pub(super) is_short: bool,
    pub(super) prepare: fn(&Case<'_>) -> Outcome<Before>,
    pub(super) request: fn(&Case<'_>) -> Request,
    pub(super) clean: fn(&Case<'_>),
}

/// One cell of the table.
pub(super) struct Case<'a> {
    pub(super) couch: &'a Couch,
    pub(super) account: &'a Account,
    pub(super) number: usize,
}

impl Case<'_> {
    fn id(&self) -> String {
        format!("case{:05}", self.number)
    }

    fn path(&self, query: &str) -> String {
        self.account.groups(&format!("/{}{query}", self.id()))
    }

    /// The content that the operation writes.
    fn written(&self) -> String {
        format!("written {}", self.number)
    }
}

/// The state of CouchDB before.
pub(super) struct Before {
    /// The account's live groups: ids and names.
    groups: Vec<(String, String)>,
}

/// The result of a cell.
#[derive(Debug)]
pub(super) struct Seen {
    /// The status, or what came in place of an answer.
    pub(super) answer: String,
    pub(super) took: Duration,
    pub(super) faults: Vec<String>,
}

/// A group's document as the server stores it.
pub(crate) fn stored(account: &Account, name: &str) -> Value {
    json!({
        "name": name,
        "endpoints": {(&account.user_id): {"type": "user"}},
        "music_on_hold": {},
        "pvt_type": "group",
        "pvt_account_id": account.id,
        "pvt_created": 63_962_663_751_u64,
        "pvt_modified": 63_962_663_751_u64,
    })
}

/// A read that fills the server's caches.
pub(super) fn warm_up(account: &Account) -> Request {
    Request::new("GET", account.groups(&format!("/{GROUP}"))).token(&account.token)
}

const READ: Operation = Operation {
    name: "",
    kind: Kind::Read,
    caches: Caches::Warm,
    deadlines: 1,
    is_short: false,
    prepare: |_| Ok(Before { groups: Vec::new() }),
    request: |case| warm_up(case.account),
    clean: |_| {},
};

const LIST: Operation = Operation {
    kind: Kind::List,
    // A listing has one deadline more for a further batch.
    deadlines: 2,
    prepare: |case| Ok(Before { groups: case.couch.groups(&case.account.db())? }),
    ..READ
};

const CHANGE: Operation = Operation {
    kind: Kind::Change,
    prepare: |case| {
        case.couch.put(&case.account.db(), &case.id(), &stored(case.account, "old"))?;
        Ok(Before { groups: Vec::new() })
    },
    clean: |case| {
        if let Ok((200, doc)) = case.couch.document(&case.account.db(), &case.id())
            && let Some(rev) = doc["_rev"].as_str()
        {
            let path = format!("/{}/{}?rev={rev}", case.account.db().replace('/', "%2F"), case.id());
            let _ = case.couch.ask("DELETE", &path, None);
        }
    },
    ..READ
};

/// The operations.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation { name: "GET one, nothing cached", caches: Caches::Cold, ..READ },
    Operation { name: "GET one", is_short: true, ..READ },
    Operation { name: "list", is_short: true, request: |case| list(case, case.account.groups("")), ..LIST },
    Operation { name: "list by user", request: |case| list(case, case.account.groups_of_user("")), ..LIST },
    Operation {
        name: "list with a filter",
        request: |case| list(case, case.account.groups("?has_key=name")),
        ..LIST
    },
    Operation {
        name: "list in chunks",
        request: |case| list(case, case.account.groups("?is_chunked=true")),
        ..LIST
    },
    Operation {
        name: "PUT",
        kind: Kind::Create,
        is_short: true,
        prepare: |_| Ok(Before { groups: Vec::new() }),
        request: |case| {
            let data = json!({"data": {"id": case.id(), "name": case.written()}});
            Request::new("PUT", case.account.groups("")).token(&case.account.token).json(data.to_string())
        },
        ..CHANGE
    },
    Operation {
        name: "PUT without an id",
        kind: Kind::Create,
        prepare: |_| Ok(Before { groups: Vec::new() }),
        request: |case| {
            let data = json!({"data": {"name": case.written()}});
            Request::new("PUT", case.account.groups("")).token(&case.account.token).json(data.to_string())
        },
        ..CHANGE
    },
    Operation { name: "POST", request: |case| change(case, "POST"), ..CHANGE },
    Operation { name: "PATCH", is_short: true, request: |case| change(case, "PATCH"), ..CHANGE },
    Operation {
        name: "DELETE, soft",
        kind: Kind::SoftDeletion,
        request: |case| Request::new("DELETE", case.path("")).token(&case.account.token),
        ..CHANGE
    },
    Operation {
        name: "DELETE, hard",
        kind: Kind::HardDeletion,
        request: |case| {
            Request::new("DELETE", case.path("?should_soft_delete=false")).token(&case.account.token)
        },
        ..CHANGE
    },
    Operation {
        name: "login",
        kind: Kind::Login,
        caches: Caches::Cold,
        request: |case| {
            let data = json!({"data": {"account_name": case.account.name, "credentials": CREDENTIALS}});
            // Each login comes from an address of its own. Otherwise the limit on failures would answer.
            let address = format!("10.0.{}.{}", case.number / 250, case.number % 250 + 1);
            Request::new("PUT", "/v2/user_auth").header("X-Forwarded-For", &address).json(data.to_string())
        },
        ..READ
    },
];

fn list(case: &Case<'_>, path: String) -> Request {
    Request::new("GET", path).token(&case.account.token)
}

fn change(case: &Case<'_>, method: &'static str) -> Request {
    let data = json!({"data": {"name": case.written()}});
    Request::new(method, case.path("")).token(&case.account.token).json(data.to_string())
}

/// Compares an answer with what CouchDB holds.
pub(super) fn judge(
    operation: &Operation,
    case: &Case<'_>,
    plan: Option<Plan>,
    calls: &[Call],
    before: &Before,
    answer: io::Result<Answer>,
    took: Duration,
) -> Outcome<Seen> {
    let mut seen = Seen { answer: String::new(), took, faults: Vec::new() };
    let truth = match operation.kind {
        Kind::Create | Kind::Change | Kind::SoftDeletion | Kind::HardDeletion => {
            Some(Truth::read(operation, case)?)
        }
        Kind::Read | Kind::List | Kind::Login => None,
    };
    if let Some(truth) = &truth {
        seen.faults.extend(truth.faults.clone());
    }
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if operation.name.contains("chunks") && error.kind() == io::ErrorKind::UnexpectedEof => {
            "broken off".clone_into(&mut seen.answer);
            return Ok(seen);
        }
        Err(error) => {
            seen.answer = format!("no answer ({:?})", error.kind());
            seen.faults.push(seen.answer.clone());
            return Ok(seen);
        }
    };
    seen.answer = answer.status.to_string();
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    match answer.status {
        200..300 => seen.faults.extend(is_false(operation, case, before, &body, truth.as_ref())),
        500 | 503 => {
            let is_envelope = body["status"] == "error"
                && body["error"] == answer.status.to_string().as_str()
                && body["message"].is_string();
            if !is_envelope {
                seen.faults.push(format!("a {} without the envelope", answer.status));
            }
            if plan.is_none() {
                seen.faults.push(format!("{}: {body}", answer.status));
            }
            // The write was done, only its answer was lost, and there was time to read it back.
            let is_lost = |plan: Plan| plan.fault.is_done() && !plan.fault.is_slow() && !plan.stays;
            let was_write = calls.iter().any(|call| call.was_faulted && call.method != "GET");
            if plan.is_some_and(is_lost) && was_write && truth.is_some_and(|truth| truth.is_done) {
                seen.faults.push("the write was done, and its lost answer was not resolved".to_owned());
            }
        }
        status => seen.faults.push(format!("{status} for a fault of the store: {}", body["message"])),
    }
    Ok(seen)
}

/// The fault in a success that is not true.
fn is_false(
    operation: &Operation,
    case: &Case<'_>,
    before: &Before,
    body: &Value,
    truth: Option<&Truth>,
) -> Option<String> {
    match operation.kind {
        Kind::Read => {
            let name = body["data"]["name"].as_str().unwrap_or_default();
            (name != "seed 0").then(|| format!("a read answered {name:?}"))
        }
        Kind::List => {
            let rows = body["data"].as_array().map(Vec::as_slice).unwrap_or_default();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let mut listed: Vec<_> = rows.iter().map(|row| (text(&row["id"]), text(&row["name"]))).collect();
            let mut expected = before.groups.clone();
            listed.sort();
            expected.sort();
            (listed != expected)
                .then(|| format!("a listing of {} groups out of {}", listed.len(), expected.len()))
        }
        Kind::Login => {
            body["auth_token"].as_str().is_none_or(str::is_empty).then(|| "a login without a token".into())
        }
        Kind::Create | Kind::Change | Kind::SoftDeletion | Kind::HardDeletion => {
            let truth = truth?;
            if !truth.is_done {
                return Some("FALSE ACKNOWLEDGEMENT: the write was acknowledged and not done".to_owned());
            }
            let is_deletion = matches!(operation.kind, Kind::SoftDeletion | Kind::HardDeletion);
            let revision = body["revision"].as_str().unwrap_or_default();
            let is_wrong = !is_deletion && truth.rev.as_deref() != Some(revision);
            is_wrong.then(|| format!("{}: revision {revision:?} in place of {:?}", case.id(), truth.rev))
        }
    }
}

/// The state of CouchDB after a write.
struct Truth {
    is_done: bool,
    rev: Option<String>,
    /// A violation that no fault excuses, such as a write that was done twice.
    faults: Vec<String>,
}

impl Truth {
    fn read(operation: &Operation, case: &Case<'_>) -> Outcome<Self> {
        let db = case.account.db();
        let (status, doc) = if operation.name == "PUT without an id" {
            let written = case.written();
            let found: Vec<_> =
                case.couch.groups(&db)?.into_iter().filter(|(_, name)| *name == written).collect();
            if found.len() > 1 {
                let faults = vec![format!("{} groups were created in place of one", found.len())];
                return Ok(Self { is_done: true, rev: None, faults });
            }
            match found.first() {
                Some((id, _)) => case.couch.document(&db, id)?,
                None => (404, Value::Null),
            }
        } else {
            case.couch.document(&db, &case.id())?
        };
        let rev = doc["_rev"].as_str().map(str::to_owned);
        let generation =
            rev.as_deref().and_then(|rev| rev.split('-').next()?.parse::<u64>().ok()).unwrap_or(0);
        let name = doc["name"].as_str().unwrap_or_default();
        let is_new = name == case.written();
        let mut faults = Vec::new();
        let (is_done, expected) = match operation.kind {
            Kind::Create => (is_new, if status == 200 { 1 } else { 0 }),
            Kind::Change => (is_new, if is_new { 2 } else { 1 }),
            Kind::SoftDeletion => {
                let is_deleted = doc["pvt_deleted"] == true;
                (is_deleted, if is_deleted { 2 } else { 1 })
            }
            _ => (status == 404, u64::from(status == 200)),
        };
        if generation != expected {
            faults.push(format!("the document has generation {generation}, expected {expected}"));
        }
        if operation.kind == Kind::Create && status == 200 && !is_new {
            faults.push(format!("the new group has other content: {name:?}"));
        }
        Ok(Self { is_done, rev, faults })
    }
}
