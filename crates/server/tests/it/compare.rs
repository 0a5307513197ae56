//! `compare` between two servers of this program, over stores with the same content, and with another one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::http_client::send;
use crate::process::{Server, binary, run, run_ok, wait_until};
use crate::seed::Seed;
use crate::tokens::{Minter, SigningKey};

/// Two servers, each with a store of its own and the same content.
struct Twins {
    folder: tempfile::TempDir,
    seed: Seed,
    token: String,
    tokens: BTreeMap<&'static str, String>,
    servers: Vec<Server>,
}

/// Groups in two accounts of the seed.
fn groups(seed: &Seed) -> Vec<Value> {
    let mut lines = Vec::new();
    for account in ["alpha", "beta"] {
        let (id, db) = (&seed.names[account], seed.names[&format!("db:{account}")].replace("%2F", "/"));
        let user = &seed.names[&format!("{account}_user")];
        for number in 0..7 {
            let doc = json!({
                "_id": format!("{number:032x}"), "name": format!("Group é {number}"), "pvt_type": "group",
                "pvt_account_id": id, "pvt_account_db": db, "pvt_created": 63_900_000_000_u64,
                "pvt_modified": 63_900_000_000_u64, "music_on_hold": {}, "flags": ["a"],
                "endpoints": {user: {"type": "user", "weight": number}},
            });
            lines.push(json!({"db": db, "doc": doc}));
        }
    }
    lines
}

impl Twins {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let seed = Seed::read_with(groups(&Seed::read()));
        let (key, other_key) = (SigningKey::generate(), SigningKey::generate());
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let minter =
            Minter { seed: &seed, key: &key, other_key: &other_key, now: i64::try_from(now).unwrap() };
        let tokens: BTreeMap<_, _> = ["master", "alpha_admin"].map(|name| (name, minter.token(name))).into();
        let token = tokens["master"].clone();
        let lines = seed.lines(&key);
        let servers = ["one", "other"].map(|name| {
            let store = format!("sqlite:{}", folder.path().join(name).display());
            run_ok(&["import", "--store", &store, "-"], lines.as_bytes());
            Server::start(&store, &[])
        });
        std::fs::write(folder.path().join("token"), format!("{token}\n")).unwrap();
        Self { folder, seed, token, tokens, servers: servers.into() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn address(&self, number: usize) -> SocketAddr {
        self.servers[number].address
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let path = |name: &str| self.path(name).display().to_string();
        let mut arguments: Vec<String> = ["compare", "--rate", "2000"].map(str::to_owned).into();
        arguments.extend(["--store".to_owned(), format!("sqlite:{}", path("one"))]);
        arguments.extend(["--server".to_owned(), format!("http://{}", self.address(0))]);
        arguments.extend(["--against".to_owned(), format!("http://{}", self.address(1))]);
        if !more.contains(&"--api-key-file") {
            arguments.extend(["--token-file".to_owned(), path("token")]);
        }
        arguments.extend(more.iter().map(|text| (*text).to_owned()));
        arguments
    }

    /// Runs `compare`. Answers its exit code, its output and its failure.
    fn compare(&self, more: &[&str]) -> (Option<i32>, String, String) {
        let arguments = self.arguments(more);
        let output = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), b"");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (shown, failure) = (text(&output.stdout), text(&output.stderr));
        assert!(!shown.contains(&self.token) && !failure.contains(&self.token), "{shown}{failure}");
        (output.status.code(), shown, failure)
    }

    /// Renames a group of alpha in the other store.
    fn rename(&self, name: &str) {
        let target = format!("/v2/accounts/{}/groups/{:032x}", self.seed.names["alpha"], 3);
        let token = ("X-Auth-Token".to_owned(), self.token.clone());
        let json = ("Content-Type".to_owned(), "application/json".to_owned());
        let body = json!({"data": {"name": name}}).to_string();
        let answer = send(self.address(1), "PATCH", &target, &[token, json], body.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[test]
fn two_servers_with_the_same_content_answer_alike() {
    let twins = Twins::start();
    let (code, shown, failure) = twins.compare(&[]);
    assert_eq!((code, failure.as_str()), (Some(0), ""), "{shown}");
    assert!(shown.starts_with("6 accounts with 14 groups were compared by "), "{shown}");
    assert!(shown.contains(" answers are the same, 0 differ, 0 are missing\n"), "{shown}");
    assert!(shown.contains("this server answers in ") && shown.contains("the other server answers in "));

    std::fs::write(twins.path("key"), &twins.seed.names["master_key"]).unwrap();
    let key = twins.path("key").display().to_string();
    let (code, shown, failure) = twins.compare(&[
        "--json",
        "--api-key-file",
        &key,
        "--account",
        "beta",
        "--forwarded-for",
        "192.0.2.7",
    ]);
    assert_eq!((code, failure.as_str()), (Some(0), ""), "{shown}");
    let told: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&told["accounts"], &told["groups"], &told["differences"]),
        (&json!(1), &json!(7), &json!([]))
    );
    assert_eq!(told["requests"], told["same"]);
    for server in ["server", "against"] {
        assert!(told["latency_ms"][server]["p99"].is_string(), "{told}");
    }
    assert!(!twins.servers.iter().any(|server| server.log().contains(&twins.seed.names["master_key"])));
}

#[test]
fn a_difference_is_told_with_its_place_and_its_values_only_on_demand() {
    let twins = Twins::start();
    twins.rename("Renamed");
    let (code, shown, failure) = twins.compare(&[]);
    assert_eq!(code, Some(1), "{shown}{failure}");
    assert!(failure.ends_with(" answers differ\n"), "{failure}");
    let one = format!("/groups/{:032x}  header etag  it differs\n", 3);
    for line in [&one, "/groups?paginate=false  body.data[3].name  it differs\n"] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert!(!shown.contains("Renamed") && !shown.contains("Group"), "{shown}");
    let (_, shown, _) = twins.compare(&["--values", "--account", &twins.seed.names["alpha"]]);
    let line = "the other server answers \"Renamed\", and this one \"Group é 3\"";
    assert!(shown.contains(line), "{shown}");
    let (code, shown, _) = twins.compare(&["--account", "beta"]);
    assert_eq!(code, Some(0), "{shown}");
}

#[test]
fn a_token_that_nobody_accepts_ends_the_comparison() {
    let twins = Twins::start();
    std::fs::write(twins.path("token"), "very-secret").unwrap();
    let (code, shown, failure) = twins.compare(&["--json"]);
    assert_eq!(code, Some(1), "{shown}{failure}");
    assert!(failure.contains("neither server accepts the token"), "{failure}");
    let told: Value = serde_json::from_str(&shown).unwrap();
    assert!(told["stopped"].as_str().unwrap().contains("neither server accepts"), "{told}");

    std::fs::write(twins.path("key"), "very-secret").unwrap();
    let key = twins.path("key").display().to_string();
    let (code, _, failure) = twins.compare(&["--api-key-file", &key]);
    assert_eq!(code, Some(1));
    assert!(failure.contains("gave no token for the API key"), "{failure}");
    assert!(!failure.contains("very-secret"), "{failure}");
}

/// Equal refusals prove nothing about the groups.
#[test]
fn accounts_that_both_servers_refuse_are_told_and_are_no_success() {
    let twins = Twins::start();
    let admin = twins.tokens["alpha_admin"].clone();
    std::fs::write(twins.path("token"), admin).unwrap();
    let [alpha, beta] = ["alpha", "beta"].map(|name| twins.seed.names[name].as_str());
    let (code, shown, failure) = twins.compare(&["--account", alpha, "--account", beta]);
    assert_eq!(code, Some(1), "{shown}{failure}");
    let line =
        format!("/v2/accounts/{beta}/groups?paginate=false  not compared  both servers refuse the listing");
    assert!(shown.contains(&line) && !shown.contains(&format!("{alpha}/")), "{shown}");
    assert!(shown.contains("1 accounts with 7 groups were compared by "), "{shown}");
    assert!(shown.contains("1 accounts were not compared\n"), "{shown}");
    assert!(failure.contains("1 of 2 accounts were not compared"), "{failure}");

    let gone = "f".repeat(32);
    for account in [beta, &gone] {
        let (code, shown, failure) = twins.compare(&["--json", "--account", account]);
        assert_eq!(code, Some(1), "{shown}{failure}");
        let told: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(told["refused_accounts"], 1, "{told}");
        assert_eq!(told["differences"][0]["place"], "not compared", "{told}");
        assert!(failure.contains("nothing was compared"), "{failure}");
    }
    let (code, shown, failure) = twins.compare(&["--account", alpha]);
    assert_eq!(code, Some(0), "{shown}{failure}");
}

#[test]
fn a_comparison_that_is_killed_goes_on_where_it_was() {
    let twins = Twins::start();
    let state = twins.path("state.json");
    let shown_state = state.display().to_string();
    let more = ["--state", &shown_state];
    // Slow enough to be killed between two accounts.
    let slow = [&more[..], &["--rate", "30"]].concat();
    let mut arguments = twins.arguments(&slow);
    arguments.drain(1..3);
    let mut child = binary().args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let kept = || std::fs::read_to_string(&state).ok().and_then(|text| serde_json::from_str(&text).ok());
    wait_until("an account is done", || kept().is_some_and(|kept: Value| kept["last"].is_string()));
    child.kill().unwrap();
    child.wait().unwrap();
    let done = kept().unwrap()["tally"]["accounts"].as_u64().unwrap();

    let (code, shown, failure) = twins.compare(&more);
    assert_eq!(code, Some(0), "{shown}{failure}");
    assert!(failure.contains("of 6 accounts were compared before"), "{done}: {failure}");
    assert!(shown.starts_with("6 accounts with 14 groups"), "{shown}");
    assert!(!state.exists());
}
