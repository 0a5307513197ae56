//! The clients of a history. Each sends one request after another and notes what it was told. A request is
//! sent once, whatever happens.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use plain_http::{Answer, AnswerTo, read_answer};
use serde_json::{Value, json};

use super::checker::{Asked, Event, Told};
use crate::dice::Dice;
use crate::settings::Outcome;
use crate::wire::Request;
use crate::world::Account;

const PATIENCE: Duration = Duration::from_secs(12);
const PAUSE: Duration = Duration::from_millis(2);

/// What the clients of a round share: the clock, and the ids of the groups. A group that was deleted softly
/// keeps its id for good, so the next one has another.
pub(super) struct Notebook {
    round: usize,
    clock: Instant,
    lives: Vec<AtomicUsize>,
}

impl Notebook {
    pub(super) fn new(round: usize, groups: usize) -> Self {
        Self { round, clock: Instant::now(), lives: (0..groups).map(|_| AtomicUsize::new(0)).collect() }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn prefix(&self) -> String {
        format!("r{}g", self.round)
    }

    fn id(&self, group: usize, life: usize) -> String {
        format!("{}{group}x{life}", self.prefix())
    }

    /// Every id of the round so far.
    pub(super) fn ids(&self) -> BTreeSet<String> {
        let lives = self.lives.iter().enumerate();
        lives
            .flat_map(|(group, lives)| (0..=lives.load(Ordering::Relaxed)).map(move |life| (group, life)))
            .map(|(group, life)| self.id(group, life))
            .collect()
    }
}

/// A note: the group and the event.
pub(super) type Note = (String, Event);

/// A client.
pub(super) struct Client<'a> {
    number: usize,
    account: &'a Account,
    addresses: &'a [SocketAddr],
    notebook: &'a Notebook,
    dice: Dice,
    notes: Vec<Note>,
    stream: Option<BufReader<TcpStream>>,
    server: usize,
    writes: usize,
}

impl<'a> Client<'a> {
    pub(super) fn new(
        number: usize,
        account: &'a Account,
        addresses: &'a [SocketAddr],
        notebook: &'a Notebook,
        seed: usize,
    ) -> Self {
        let dice = Dice::new(u64::try_from(seed).unwrap_or(0) ^ u64::try_from(number).unwrap_or(0));
        Self {
            number,
            account,
            addresses,
            notebook,
            dice,
            notes: Vec::new(),
            stream: None,
            server: number,
            writes: 0,
        }
    }

    /// Sends requests until the round is over.
    pub(super) fn play(mut self, is_over: &AtomicBool) -> Vec<Note> {
        while !is_over.load(Ordering::Relaxed) {
            self.step();
            thread::sleep(PAUSE);
        }
        self.notes
    }

    fn step(&mut self) {
        let group = self.dice.below(self.notebook.lives.len());
        let Some(lives) = self.notebook.lives.get(group) else { return };
        let life = lives.load(Ordering::Relaxed);
        let id = self.notebook.id(group, life);
        self.writes += 1;
        let content = format!("{} {} {}", self.notebook.round, self.number, self.writes);
        let token = self.account.token.clone();
        let item = self.account.groups(&format!("/{id}"));
        match self.dice.below(100) {
            0..18 => {
                let body = json!({"data": {"id": id, "name": content}}).to_string();
                let request = Request::new("PUT", self.account.groups("")).token(&token).json(body);
                self.write(&id, Asked::Write(content), &request);
            }
            18..30 => {
                let body = json!({"data": {"name": content}}).to_string();
                self.write(&id, Asked::Write(content), &Request::new("POST", item).token(&token).json(body));
            }
            30..48 => {
                let body = json!({"data": {"name": content}}).to_string();
                self.write(&id, Asked::Write(content), &Request::new("PATCH", item).token(&token).json(body));
            }
            48..57 => {
                let request =
                    Request::new("DELETE", format!("{item}?should_soft_delete=false")).token(&token);
                self.write(&id, Asked::Delete, &request);
            }
            57..60 => {
                self.write(&id, Asked::Delete, &Request::new("DELETE", item).token(&token));
                // Another client may have moved on already.
                let _ = lives.compare_exchange(life, life + 1, Ordering::Relaxed, Ordering::Relaxed);
            }
            60..85 => self.read(&id, &Request::new("GET", item).token(&token)),
            _ => {
                let request = Request::new("GET", self.account.groups("?paginate=false")).token(&token);
                self.list(&request);
            }
        }
    }

    fn write(&mut self, id: &str, asked: Asked, request: &Request) {
        let Some((begun, answer, ended)) = self.ask(request) else { return };
        let told = match &answer {
            Ok(answer) => match (answer.status, &asked) {
                (200 | 201, Asked::Write(_)) => generation(answer).map_or(Told::Unknown, Told::Done),
                // A deletion answers the revision that it deleted.
                (200, _) => generation(answer).map_or(Told::Unknown, |generation| Told::Done(generation + 1)),
                (404, _) => {
                    self.note(id, Event { begun, ended, asked: Asked::Read, told: Told::Absent });
                    Told::Refused
                }
                (400..500, _) => Told::Refused,
                _ => Told::Unknown,
            },
            Err(_) => Told::Unknown,
        };
        self.note(id, Event { begun, ended, asked, told });
    }

    fn read(&mut self, id: &str, request: &Request) {
        let Some((begun, Ok(answer), ended)) = self.ask(request) else { return };
        let told = match answer.status {
            200 => Told::Seen(name(&body(&answer)["data"]), generation(&answer)),
            404 => Told::Absent,
            _ => return,
        };
        self.note(id, Event { begun, ended, asked: Asked::Read, told });
    }

    fn list(&mut self, request: &Request) {
        // A group whose id is made later may be missing.
        let ids = self.notebook.ids();
        let Some((begun, Ok(answer), ended)) = self.ask(request) else { return };
        if answer.status == 200 {
            self.notes.extend(listed(&answer, &ids, &self.notebook.prefix(), begun, ended));
        }
    }

    fn note(&mut self, id: &str, event: Event) {
        self.notes.push((id.to_owned(), event));
    }

    /// Sends a request once. `None` if it was not sent at all.
    fn ask(&mut self, request: &Request) -> Option<(u64, io::Result<Answer>, u64)> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                self.server += 1;
                let address = self.addresses.get(self.server % self.addresses.len().max(1))?;
                let stream = TcpStream::connect_timeout(address, PATIENCE).ok()?;
                stream.set_nodelay(true).ok()?;
                stream.set_read_timeout(Some(PATIENCE)).ok()?;
                BufReader::new(stream)
            }
        };
        let begun = self.notebook.now();
        let answer = stream
            .get_mut()
            .write_all(&request.kept())
            .and_then(|()| read_answer(&mut stream, AnswerTo::Other));
        let ended = self.notebook.now();
        // With two servers, the next request often goes to the other one.
        let is_kept = answer.as_ref().is_ok_and(|answer| answer.header("connection") != Some("close"));
        if is_kept && (self.addresses.len() == 1 || self.dice.below(4) > 0) {
            self.stream = Some(stream);
        }
        Some((begun, answer, ended))
    }
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
}

fn name(group: &Value) -> String {
    group["name"].as_str().unwrap_or_default().to_owned()
}

fn generation(answer: &Answer) -> Option<u64> {
    body(answer)["revision"].as_str()?.split('-').next()?.parse().ok()
}

/// The notes of a listing: one for each group that it shows, and one for each that it leaves out.
fn listed(answer: &Answer, ids: &BTreeSet<String>, prefix: &str, begun: u64, ended: u64) -> Vec<Note> {
    let body = body(answer);
    let rows = body["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows = rows.iter().map(|row| (row["id"].as_str().unwrap_or_default().to_owned(), name(row)));
    let rows: Vec<_> = rows.filter(|(id, _)| id.starts_with(prefix)).collect();
    let shown: BTreeSet<_> = rows.iter().map(|(id, _)| id.clone()).collect();
    let event = |told| Event { begun, ended, asked: Asked::Read, told };
    let absent = ids.difference(&shown).map(|id| (id.clone(), event(Told::Absent)));
    let absent: Vec<_> = absent.collect();
    rows.into_iter().map(|(id, name)| (id, event(Told::Seen(name, None)))).chain(absent).collect()
}

/// Reads and lists every group of the round, once all is quiet.
pub(super) fn last_look(
    account: &Account,
    addresses: &[SocketAddr],
    notebook: &Notebook,
    patience: Duration,
) -> Outcome<Vec<Note>> {
    let deadline = Instant::now() + patience;
    let mut notes = Vec::new();
    let ids = notebook.ids();
    let ask = |address: &SocketAddr, path: String| loop {
        let begun = notebook.now();
        let answer = Request::new("GET", path.clone()).token(&account.token).ask(*address, PATIENCE);
        match answer {
            Ok(answer) if matches!(answer.status, 200 | 404) => return Ok((begun, answer, notebook.now())),
            other if Instant::now() >= deadline => {
                let what = other.map_or_else(|error| error.to_string(), |answer| answer.status.to_string());
                return Err(format!("{patience:?} after the last fault, {path} is answered with {what}"));
            }
            _ => thread::sleep(Duration::from_millis(50)),
        }
    };
    for address in addresses {
        for id in &ids {
            let (begun, answer, ended) = ask(address, account.groups(&format!("/{id}")))?;
            let told = match answer.status {
                200 => Told::Seen(name(&body(&answer)["data"]), generation(&answer)),
                _ => Told::Absent,
            };
            notes.push((id.clone(), Event { begun, ended, asked: Asked::Read, told }));
        }
        let (begun, answer, ended) = ask(address, account.groups("?paginate=false"))?;
        notes.extend(listed(&answer, &ids, &notebook.prefix(), begun, ended));
    }
    Ok(notes)
}
