//! `docs/openapi.yaml` against the server: the table below provokes every status of every method of
//! every path. The answers and their headers must be the documented ones, no more and no less.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;

use super::page;
use super::world::{Ask, Promises, Who, World, ask, promise};

/// The scalars of a YAML document in block style, by the keys that lead to them. Lists are left out.
pub(super) fn scalars(text: &str) -> Vec<(Vec<String>, String)> {
    let mut keys: Vec<(usize, String)> = Vec::new();
    let mut scalars = Vec::new();
    for line in text.lines() {
        let content = line.trim_start();
        let indent = line.len() - content.len();
        let Some((key, value)) = content.split_once(':').filter(|_| !content.starts_with(['-', '#'])) else {
            continue;
        };
        while keys.last().is_some_and(|(other, _)| *other >= indent) {
            keys.pop();
        }
        keys.push((indent, key.trim_matches(['\'', '"']).to_owned()));
        scalars.push((keys.iter().map(|(_, key)| key.clone()).collect(), value.trim().to_owned()));
    }
    scalars
}

fn documented() -> Promises {
    let scalars = scalars(&page("docs/openapi.yaml"));
    let mut headers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut responses = Vec::new();
    for (keys, value) in &scalars {
        match keys.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["components", "responses", response, "headers", header] => {
                headers.entry(response).or_default().push(header);
            }
            ["paths", path, method, "responses", status] => responses.push((*path, *method, *status, value)),
            _ => {}
        }
    }
    let mut promises = Promises::new();
    for (path, method, status, reference) in responses {
        let (_, name) = reference.rsplit_once('/').expect("a reference to a response");
        let name = name.trim_end_matches(['\'', ' ', '}']);
        promises.insert(promise(path, method, status, ""));
        for header in headers.get(name).into_iter().flatten() {
            promises.insert(promise(path, method, status, &header.to_ascii_lowercase()));
        }
    }
    promises
}

#[test]
fn openapi_lists_every_answer_and_no_other() {
    let world = World::new();
    // Tokens end by themselves.
    world.wait_for("/token_auth", &ask("GET").who(Who::Late), 401);
    for prefix in [
        "/accounts/{ACCOUNT_ID}",
        "/accounts/{ACCOUNT_ID}/users/{USER_ID}",
        "/account",
        "/account/users/{USER_ID}",
    ] {
        see_collection(&world, prefix);
        see_item(&world, prefix);
    }
    see_logins(&world);
    see_own_token(&world);
    let (documented, seen) = (documented(), world.seen.take());
    let lines = |set: &mut dyn Iterator<Item = &String>| set.cloned().collect::<Vec<_>>().join("\n");
    let not_seen = lines(&mut documented.difference(&seen));
    let not_documented = lines(&mut seen.difference(&documented));
    assert!(documented.len() > 500, "the document was read: {}", documented.len());
    assert!(
        not_seen.is_empty() && not_documented.is_empty(),
        "documented and not seen:\n{not_seen}\nseen and not documented:\n{not_documented}"
    );
}

/// A token of an account that may not.
fn forbidden(prefix: &str) -> Who {
    if prefix.starts_with("/accounts") { Who::Stranger } else { Who::Restricted }
}

/// The answers that all methods of a path share.
fn see_common(world: &World, path: &str, ask: &Ask<'_>) {
    let (group_id, stranger) = ("any", forbidden(path));
    world.check(path, group_id, &ask.clone().query("?a=%zz"), 400);
    world.check(path, group_id, &ask.clone().who(Who::Nobody), 401);
    if ask.method != "OPTIONS" {
        world.check(path, group_id, &ask.clone().who(stranger), 403);
    }
    if ask.query.is_empty() {
        world.check(path, group_id, &ask.clone().query("?verb=NONSENSE"), 405);
    }
    world.check(path, group_id, &ask.clone().header("Accept", "text/html"), 406);
    world.wait_for(path, &ask.clone().who(Who::Exhausted), 429);
    world.check_fault(&world.unreachable, path, ask);
}

fn see_preflight(world: &World, path: &str) {
    let options = ask("OPTIONS");
    world.check(path, "any", &options, 200);
    world.check(path, "any", &options.clone().query("?a=%zz"), 400);
    world.check(path, "any", &options.clone().who(Who::Late), 401);
    world.check(path, "any", &options.clone().without_origin(), 405);
    world.wait_for(path, &options.clone().who(Who::Exhausted), 429);
    world.check_fault(&world.unreachable, path, &options);
}

fn see_collection(world: &World, prefix: &str) {
    let path = &format!("{prefix}/groups");
    let taken = world.create(prefix);
    let in_list = ask("PATCH").data(json!({"endpoints": {world.ids["USER_ID"].as_str(): {"type": "user"}}}));
    world.check(&format!("{path}/{{GROUP_ID}}"), &taken, &in_list, 200);

    let get = ask("GET");
    world.check(path, "", &get, 200);
    world.check(path, "", &get.clone().query("?accept=csv"), 200);
    world.check(path, "", &get.clone().query("?accept=csv&filter_name=nobody"), 204);
    world.check(path, "", &get.clone().header("If-None-Match", "*"), 304);
    world.check(path, "", &get.clone().query("?page_size=0"), 404);
    world.check(path, "", &get.clone().header("If-Match", "\"x\""), 412);
    world.check_fault(&world.without_view, path, &get);
    see_common(world, path, &get);

    let put = ask("PUT").data(json!({"name": "new"}));
    world.check(path, "", &put, 201);
    world.check(path, "", &put.clone().data(json!({"name": ""})), 400);
    // The token's own account is always there.
    if prefix != "/account" {
        world.check(path, "", &put.clone().lost(), 404);
    }
    world.check(path, "", &put.clone().data(json!({"name": "new", "id": taken})), 409);
    world.check(path, "", &put.clone().header("If-Match", "\"x\""), 412);
    see_common(world, path, &put);

    let post = ask("POST").query("?verb=PUT").data(json!({"name": "new"}));
    world.check(path, "", &post, 201);
    world.check(path, "", &post.clone().query("?verb=GET"), 200);
    world.check(path, "", &post.clone().data(json!({"name": ""})), 400);
    world.check(path, "", &post.clone().query("?verb=GET&page_size=0"), 404);
    world.check(path, "", &post.clone().query(""), 405);
    world.check(path, "", &post.clone().query("?verb=OPTIONS"), 405);
    world.check(path, "", &post.clone().data(json!({"name": "new", "id": taken})), 409);
    world.check(path, "", &post.clone().header("If-Match", "\"x\""), 412);
    let listing = ask("POST").query("?verb=GET").header("Content-Type", "text/plain");
    world.check(path, "", &listing, 415);
    see_common(world, path, &post);
    see_preflight(world, path);
}

fn see_item(world: &World, prefix: &str) {
    let path = &format!("{prefix}/groups/{{GROUP_ID}}");
    let id = &world.create(prefix);
    let see_all = |ask: &Ask<'_>| {
        world.check(path, "missing", ask, 404);
        world.check(path, id, &ask.clone().header("If-Match", "\"x\""), 412);
        see_common(world, path, ask);
    };

    let get = ask("GET");
    world.check(path, id, &get, 200);
    world.check(path, id, &get.clone().query("?accept=csv"), 200);
    world.check(path, id, &get.clone().header("If-None-Match", "*"), 304);
    see_all(&get);

    for method in ["POST", "PATCH"] {
        let write = ask(method).data(json!({"name": "other"}));
        world.check(path, id, &write, 200);
        world.check(path, id, &write.clone().data(json!({"name": ""})), 400);
        see_race(world, prefix, &write);
        let as_patch = ask(method).header("Content-Type", "text/plain");
        let query = if method == "POST" { "?verb=PATCH" } else { "" };
        world.check(path, id, &as_patch.query(query), 415);
        see_all(&write);
    }
    world.check(path, id, &ask("POST").query("?verb=OPTIONS"), 405);

    let delete = ask("DELETE");
    see_race(world, prefix, &delete);
    see_all(&delete);
    world.check(path, id, &delete, 200);
    see_preflight(world, path);
}

/// Another program changes the group without a pause, until a write that names a revision is refused as a
/// conflict.
fn see_race(world: &World, prefix: &str, write: &Ask<'_>) {
    let path = &format!("{prefix}/groups/{{GROUP_ID}}");
    let write = &write.clone().header("If-Match", "*");
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let id = world.create_on(&world.raced, prefix);
        let lost = world.rival.writes_during(&id, || {
            let mut answers = (0..20).map(|_| world.send(&world.raced, path, &id, write));
            // A deletion that wins its race ends this try.
            answers.find(|answer| answer.status != 200)
        });
        if let Some(answer) = lost.filter(|answer| answer.status == 409) {
            return world.note(path, write.method, &answer);
        }
        assert!(Instant::now() < deadline, "no {} {path} has lost a race", write.method);
    }
}

fn see_logins(world: &World) {
    let digest = format!("{:x}", <md5::Md5 as md5::Digest>::digest(b"admin:secret"));
    let user = json!({"credentials": digest, "account_name": "main"});
    let with = |key: &str, value: &str| {
        let mut data = user.clone();
        data[key] = json!(value);
        ask("PUT").data(data)
    };
    world.check("/user_auth", "", &with("credentials", "wrong"), 401);
    world.check("/user_auth", "", &with("action", "register"), 403);
    world.check("/api_auth", "", &ask("PUT").data(json!({"api_key": "0".repeat(64)})), 404);
    for (path, data) in
        [("/user_auth", user.clone()), ("/api_auth", json!({"api_key": world.ids["API_KEY"]}))]
    {
        let put = ask("PUT").data(data);
        world.check(path, "", &put, 201);
        world.check(path, "", &put.clone().data(json!({})), 400);
        world.check(path, "", &put.clone().query("?verb=NONSENSE"), 405);
        world.check(path, "", &put.clone().header("Accept", "text/html"), 406);
        world.check(path, "", &put.clone().header("If-Match", "\"x\""), 412);
        world.wait_for(path, &put.clone().who(Who::Exhausted), 429);
        world.check_fault(&world.unreachable, path, &put);
        see_preflight(world, path);
    }
}

fn see_own_token(world: &World) {
    let path = "/token_auth";
    let get = ask("GET");
    world.check(path, "", &get, 200);
    world.check(path, "", &get.clone().who(Who::Basic), 200);
    world.check(path, "", &get.clone().header("If-None-Match", "*"), 304);
    let delete = ask("DELETE");
    world.check(path, "", &delete.clone().who(Who::Basic), 200);
    for ask in [&get, &delete] {
        world.check(path, "", &ask.clone().header("If-Match", "\"x\""), 412);
        see_common(world, path, ask);
    }
    see_preflight(world, path);
    world.check(path, "", &delete.who(Who::Leaver), 200);
}
