//! Store files that are damaged, cut short, empty, or no store at all. The server refuses them with words, or
//! serves what it can read. It never panics, and never answers with content that nobody wrote.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::dice::Dice;
use crate::report::Measured;
use crate::settings::{Outcome, Settings};
use crate::wire::Request;
use crate::world::{GROUP, World};

const PATIENCE: Duration = Duration::from_secs(15);

type Spoil = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// Whether a file can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Must {
    /// The server refuses the file, or serves what it can read.
    Survive,
    /// The server refuses the file.
    Refuse,
}

fn cases(count: usize, seed: u64) -> Vec<(String, Must, Spoil)> {
    let mut cases: Vec<(String, Must, Spoil)> = vec![
        ("text".to_owned(), Must::Refuse, Box::new(|_| b"this is no database, but a letter\n".repeat(500))),
        ("a foreign database".to_owned(), Must::Refuse, Box::new(foreign)),
        (
            "a later format".to_owned(),
            Must::Refuse,
            Box::new(|bytes| patched(bytes, 60, &[0, 0, 0x27, 0x0f])),
        ),
        ("half of the first page".to_owned(), Must::Survive, Box::new(|bytes| start(bytes, 2_000))),
        ("empty".to_owned(), Must::Survive, Box::new(|_| Vec::new())),
        ("zeros".to_owned(), Must::Refuse, Box::new(|bytes| vec![0; bytes.len()])),
    ];
    for number in 0..count {
        let mut dice = Dice::new(seed.wrapping_add(u64::try_from(number).unwrap_or(0)));
        let case: Spoil = match number % 3 {
            0 => Box::new(move |bytes| start(bytes, dice.clone().below(bytes.len()))),
            1 => Box::new(move |bytes| {
                let (mut dice, mut bytes) = (dice.clone(), bytes.to_vec());
                for _ in 0..20 {
                    let at = dice.below(bytes.len());
                    bytes[at] = bytes[at].wrapping_add(1);
                }
                bytes
            }),
            _ => {
                let page = dice.below(1_000);
                Box::new(move |bytes| {
                    let pages = (bytes.len() / 4096).max(2);
                    patched(bytes, 4096 * (1 + page % (pages - 1)), &[0xa5; 4096])
                })
            }
        };
        let kind = ["cut short", "bytes changed", "a page overwritten"][number % 3];
        cases.push((format!("{kind} {number}"), Must::Survive, case));
    }
    cases
}

fn start(bytes: &[u8], length: usize) -> Vec<u8> {
    bytes.get(..length).unwrap_or(bytes).to_vec()
}

fn patched(bytes: &[u8], at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (byte, new) in bytes.iter_mut().skip(at).zip(with) {
        *byte = *new;
    }
    bytes
}

/// The same database with another program's id and names of tables that are not ours.
fn foreign(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = patched(bytes, 68, b"ABCD");
    let words: [(&[u8], &[u8]); 2] =
        [(b"CREATE TABLE doc", b"CREATE TABLE xyz"), (b"CREATE TABLE db", b"CREATE TABLE zz")];
    for (from, to) in words {
        let mut at = 0;
        while let Some(found) =
            bytes.get(at..).and_then(|rest| rest.windows(from.len()).position(|part| part == from))
        {
            bytes = patched(&bytes, at + found, to);
            at += found + from.len();
        }
    }
    bytes
}

/// Starts the server on each file.
pub(super) fn measure(settings: &Settings, count: usize) -> Outcome<Measured> {
    let mut faults = Vec::new();
    let (mut refused, mut served, mut errors, mut silent) = (0_u64, 0_u64, 0_u64, 0_u64);
    for (name, must, spoil) in cases(count, settings.seed) {
        let world = World::copy(&settings.binary, &settings.template())?;
        let whole = fs::read(world.file()).map_err(|error| error.to_string())?;
        fs::write(world.file(), spoil(&whole)).map_err(|error| error.to_string())?;
        let begun = Instant::now();
        let mut server = match world.start() {
            Ok(server) => server,
            Err(said) => {
                refused += 1;
                if begun.elapsed() > PATIENCE {
                    faults.push(format!("{name}: refused after {:.0?}", begun.elapsed()));
                }
                if said.contains("panicked") || !said.contains("crossbar-groups:") {
                    faults.push(format!("{name}: refused without words: {said}"));
                }
                continue;
            }
        };
        served += 1;
        if must == Must::Refuse {
            faults.push(format!("{name}: it was served"));
        }
        let good = &world.good;
        let data = json!({"data": {"name": "after the damage", "id": "after"}}).to_string();
        for request in [
            Request::new("GET", good.groups(&format!("/{GROUP}"))),
            Request::new("GET", good.groups("")),
            Request::new("PUT", good.groups("")).json(data),
            Request::new("GET", good.groups("/after")),
        ] {
            match request.token(&good.token).ask(server.address, PATIENCE) {
                Ok(answer) if matches!(answer.status, 200 | 201) => {
                    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
                    let text = body["data"].to_string();
                    let is_ours =
                        text.contains("the good one") || text.contains("after the damage") || text == "[]";
                    if !is_ours {
                        faults.push(format!("{name}: answered {text:.100}"));
                    }
                }
                // A database without sums over its pages cannot know that a row was there.
                Ok(answer) if answer.status < 500 => silent += 1,
                Ok(_) => errors += 1,
                Err(error) => faults.push(format!("{name}: no answer: {error}")),
            }
        }
        if !server.is_alive() {
            faults.push(format!("{name}: the process ended"));
        }
        if server.panics() > 0 {
            faults.push(format!("{name}: {} panics", server.panics()));
        }
    }
    let figures = json!({
        "refused": refused,
        "served": served,
        "answers_5xx": errors,
        "answers_4xx": silent,
    });
    Ok((figures.as_object().cloned().unwrap_or_default(), faults))
}
