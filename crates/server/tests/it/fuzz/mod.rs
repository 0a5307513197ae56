//! A fuzzer over the bytes of requests. Whatever is syntactically HTTP must be answered: without a
//! panic, without a dropped connection, and never as a fault of the server's own (500 and up) but 501
//! for a method that nobody knows.
//!
//! The normal run replays the corpus in `fuzz/requests` and then makes requests from two fixed seeds for a
//! few seconds. `make fuzz` goes on for `FUZZ_SECONDS`, from `FUZZ_SEED` or a new seed each time. An even seed
//! is for a server with the profile 4.3.

mod bodies;
mod dice;
mod generator;
mod wire;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::account::Account;
use crate::kazoo_4_3;
use dice::Dice;
use generator::{Request, World, conversation};
use wire::Exchange;

/// How long the normal run makes requests, at most, and how many conversations it has.
const NORMAL_TIME: Duration = Duration::from_secs(10);
const NORMAL_CONVERSATIONS: usize = 2_000;

/// After this many conversations a long run begins again with an empty store.
const CONVERSATIONS_PER_STORE: usize = 20_000;

/// After this many conversations there are new groups: most requests that delete one do it for good.
const CONVERSATIONS_PER_GROUPS: usize = 250;

/// A run ends early after this many faults.
const MOST_FAULTS: usize = 10;

#[test]
fn requests_of_the_corpus_are_answered() {
    for alpha in [account(1), account(2)] {
        replay_corpus(&alpha);
    }
}

/// An account for this seed. Requests of the profile 4.3 all pay, so its buckets never become empty.
fn account(seed: u64) -> Account {
    if seed.is_multiple_of(2) { kazoo_4_3::with_buckets(u32::MAX) } else { Account::served() }
}

fn replay_corpus(alpha: &Account) {
    alpha.create_all(&["g1", "g2"]);
    let world = world(alpha);
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/requests"));
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    let mut faults = Vec::new();
    for file in files {
        let bytes = fill_in(&std::fs::read(&file).unwrap(), &world);
        let is = |methods: &[&str]| {
            methods.iter().any(|method| bytes.starts_with(format!("{method} ").as_bytes()))
        };
        let is_head = is(&["HEAD"]);
        let is_known = is(&["GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"]) || is_head;
        let request = Request { bytes, is_unknown_method: !is_known, is_head };
        let fault = fault(alpha, &[request], &mut BTreeSet::new());
        faults.extend(fault.map(|fault| format!("{}: {fault}", file.display())));
    }
    check(alpha, &faults);
}

#[test]
fn generated_requests_are_answered() {
    let seconds = std::env::var("FUZZ_SECONDS").ok().map(|seconds| seconds.parse().unwrap());
    let Some(seconds) = seconds else {
        for seed in [20_261_123, 20_261_124] {
            run(seed, Instant::now() + NORMAL_TIME, NORMAL_CONVERSATIONS);
        }
        return;
    };
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut seed = match std::env::var("FUZZ_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => now.as_secs() * 1_000,
    };
    while Instant::now() < deadline {
        let conversations = run(seed, deadline, CONVERSATIONS_PER_STORE);
        println!("seed {seed}: {conversations} conversations");
        seed += 1;
    }
}

/// The statuses that many conversations must get. They show that the requests reach every stage.
const REACHED: [u16; 9] = [200, 201, 400, 401, 404, 405, 406, 412, 501];

/// Answers how many conversations there were.
fn run(seed: u64, deadline: Instant, most: usize) -> usize {
    let alpha = account(seed);
    let mut world = world(&alpha);
    let mut dice = Dice::new(seed);
    let mut faults = Vec::new();
    let mut reached = BTreeSet::new();
    let mut conversations = 0;
    while conversations < most && Instant::now() < deadline && faults.len() < MOST_FAULTS {
        if conversations % CONVERSATIONS_PER_GROUPS == 0 {
            world.groups = (0..20).map(|number| format!("g{conversations}-{number}")).collect();
            alpha.create_all(&world.groups.iter().map(String::as_str).collect::<Vec<_>>());
        }
        let requests = conversation(&mut dice, &world);
        let fault = fault(&alpha, &requests, &mut reached);
        faults.extend(fault.map(|fault| format!("seed {seed}, {conversations}: {fault}")));
        conversations += 1;
    }
    check(&alpha, &faults);
    let missed: Vec<_> = REACHED.iter().filter(|status| !reached.contains(status)).collect();
    assert!(conversations < NORMAL_CONVERSATIONS || missed.is_empty(), "no answer was {missed:?}");
    conversations
}

fn world(alpha: &Account) -> World {
    World {
        account: alpha.id.clone(),
        user: alpha.user_id.clone(),
        token: alpha.token.clone(),
        groups: vec!["g1".to_owned(), "g2".to_owned()],
    }
}

/// Symbols of the corpus stand for texts that differ from run to run.
fn fill_in(raw: &[u8], world: &World) -> Vec<u8> {
    let World { account, user, token, .. } = world;
    let mut bytes = raw.to_vec();
    for (symbol, value) in [("{{account}}", account), ("{{user}}", user), ("{{token}}", token)] {
        while let Some(place) = bytes.windows(symbol.len()).position(|window| window == symbol.as_bytes()) {
            bytes.splice(place..place + symbol.len(), value.bytes());
        }
    }
    bytes
}

/// What is wrong with the answers to a conversation, if anything. `reached` collects their statuses.
fn fault(alpha: &Account, requests: &[Request], reached: &mut BTreeSet<u16>) -> Option<String> {
    let Exchange { answers, end } = wire::converse(alpha.server().address, requests);
    reached.extend(answers.iter().map(|answer| answer.status));
    let said = |what: &str| {
        let sent: Vec<_> = requests.iter().map(|request| request.bytes.escape_ascii().to_string()).collect();
        let shown: Vec<_> = sent.iter().map(|sent| sent.chars().take(1_500).collect::<String>()).collect();
        format!("{what}\n  answers {answers:?}, then {end}\n  sent {}", shown.join("\n  and  "))
    };
    for (request, answer) in requests.iter().zip(&answers) {
        if answer.status >= 500 && !(answer.status == 501 && request.is_unknown_method) {
            return Some(said(&format!("status {}", answer.status)));
        }
        if answer.is_json && !answer.body_is_json {
            return Some(said("an answer that says it is JSON and is none"));
        }
    }
    // An answer that closes the connection may leave the requests behind it unanswered.
    let is_closed_early = answers.last().is_some_and(|answer| answer.closes);
    if answers.len() < requests.len() && !is_closed_early {
        return Some(said("a request without an answer"));
    }
    None
}

fn check(alpha: &Account, faults: &[String]) {
    let log = alpha.server().log();
    let panics: Vec<_> = log.lines().filter(|line| line.contains("panicked")).collect();
    assert!(faults.is_empty() && panics.is_empty(), "{}\n{}", faults.join("\n"), panics.join("\n"));
}
