//! Map functions that throw, never end, take memory or emit too much. Such a design document is the tenant's own
//! affair: the tenant's groups may stay out of its listings, and no other tenant notices.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::probe::Probe;
use crate::process::Server;
use crate::report::Measured;
use crate::settings::{Outcome, Settings};
use crate::wire::Request;
use crate::world::{Account, World};

/// How long a request may take: the limits of a map function and the store's deadline end it.
const PATIENCE: Duration = Duration::from_secs(30);
const SLOWEST: Duration = Duration::from_secs(12);
/// How long another tenant may wait meanwhile.
const OTHERS: Duration = Duration::from_millis(250);

const MAPS: [(&str, &str); 6] = [
    ("throws", "function (doc) { throw new Error('no'); }"),
    ("throws something odd", "function (doc) { throw {toString: function () { throw 1; }}; }"),
    ("never ends", "function (doc) { if (doc.pvt_type === 'group') { while (true) {} } }"),
    (
        "takes memory",
        "function (doc) { var a = []; while (doc.pvt_type === 'group') { a.push(new Array(100000).join('x') + a.length); } }",
    ),
    ("recurses", "function (doc) { var f = function (n) { return f(n + 1) + 1; }; f(0); }"),
    ("emits without end", "function (doc) { for (var i = 0; ; i += 1) { emit(i, doc); } }"),
];

/// Serves an account for each map function.
pub(super) fn measure(settings: &Settings) -> Outcome<Measured> {
    let mut faults = Vec::new();
    let mut figures = serde_json::Map::new();
    for (name, map) in MAPS {
        let world = World::copy(&settings.binary, &settings.template())?;
        let account = clone_with_map(&world, map)?;
        let mut server = world.start()?;
        let probe = Probe::begin(server.address, &world.good);
        let told = one(&server, &account);
        let reads = probe.end();
        match told {
            Ok(told) => {
                figures.insert(name.to_owned(), json!(told));
            }
            Err(fault) => faults.push(format!("{name}: {fault}")),
        }
        if !server.is_alive() || server.panics() > 0 {
            faults.push(format!("{name}: the process ended or panicked"));
        }
        if reads.slowest > OTHERS {
            faults.push(format!("{name}: another tenant waited {:.0?}", reads.slowest));
        }
        faults.extend(reads.faults(&format!("{name}: another tenant")));
    }
    Ok((figures, faults))
}

/// A write and a listing of such an account. Answers their statuses.
fn one(server: &Server, account: &Account) -> Outcome<String> {
    let mut statuses = Vec::new();
    let data = json!({"data": {"id": "mapped", "name": "x"}}).to_string();
    for (what, request) in [
        ("PUT", Request::new("PUT", account.groups("")).json(data)),
        ("GET", Request::new("GET", account.groups("/mapped"))),
        ("list", Request::new("GET", account.groups(""))),
        ("by user", Request::new("GET", account.groups_of_user(""))),
    ] {
        let begun = Instant::now();
        let answer = request.token(&account.token).ask(server.address, PATIENCE);
        let answer = answer.map_err(|error| format!("{what} had no answer: {error}"))?;
        if begun.elapsed() > SLOWEST {
            return Err(format!("{what} took {:.0?}", begun.elapsed()));
        }
        let is_acknowledged = statuses.first().is_some_and(|status: &String| status == "PUT 201");
        if what == "GET" && is_acknowledged && answer.status != 200 {
            return Err(format!("the group was created, and reading it is answered with {}", answer.status));
        }
        statuses.push(format!("{what} {}", answer.status));
    }
    Ok(statuses.join(", "))
}

/// Another account like the bad one, with this map function in its groups' views.
fn clone_with_map(world: &World, map: &str) -> Outcome<Account> {
    let bad = &world.bad;
    let id: String = bad.id.chars().rev().collect();
    let other = Account { id: id.clone(), ..bad.clone() };
    let mut lines = Vec::new();
    for line in world.launch.run(&["export"], b"")?.lines() {
        let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let is_account = value["db"] == bad.db().as_str() || value["doc"]["_id"] == bad.id.as_str();
        if !is_account {
            continue;
        }
        let mut value: Value =
            serde_json::from_str(&line.replace(&bad.db(), &other.db()).replace(&bad.id, &id))
                .map_err(|error| error.to_string())?;
        if value["doc"]["_id"] == "_design/groups" {
            let views = value["doc"]["views"].as_object_mut().ok_or("the design document has no views")?;
            for view in views.values_mut() {
                view["map"] = json!(map);
            }
        }
        lines.push(value.to_string());
    }
    world.import(&lines)?;
    let token = world.launch.run(&["token", "--account", &id, "--user", &other.user_id], b"")?;
    Ok(Account { token, ..other })
}
