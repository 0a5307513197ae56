//! Measures what one tenant's dear documents cost its neighbours: how long another tenant's writes and
//! listings take, first alone and then beside each dear load, and how much the file grows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::as_conversions,
    missing_docs
)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use datastore::{Databases, DbName, Deadline, DesignDocument, DocId, Draft, Store, ViewQuery, ensure_design};
use embedded::{Embedded, Settings};
use futures::TryStreamExt;
use serde_json::{Map, Value, json};

const LISTING: &str = include_str!("../../../couch-views/account/groups/crossbar_listing.js");
const BY_USER: &str = include_str!("../../../couch-views/account/groups/crossbar_listing_by_user.js");

/// The store's file.
static FILE: OnceLock<PathBuf> = OnceLock::new();

/// How long each load runs.
const TIME: Duration = Duration::from_secs(4);

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn group(users: usize, user_length: usize, flags: usize) -> Map<String, Value> {
    let endpoints: Map<_, _> =
        (0..users).map(|user| (format!("{user:0user_length$}"), json!({"type": "user"}))).collect();
    let flags: Vec<_> = (0..flags).map(|flag| format!("flag {flag:09}")).collect();
    match json!({"name": "Group", "pvt_type": "group", "endpoints": endpoints, "flags": flags}) {
        Value::Object(group) => group,
        _ => Map::new(),
    }
}

async fn account(store: &Embedded, name: &str) -> DbName {
    let db = DbName::parse(name).unwrap();
    store.create_db(&db, soon()).await.unwrap();
    let views = [("crossbar_listing", LISTING), ("crossbar_listing_by_user", BY_USER)];
    ensure_design(store, &db, &DesignDocument::new("groups", &views).unwrap(), soon()).await.unwrap();
    db
}

/// Saves a document again and again until `stop`, and counts the saves.
async fn save_in_a_loop(
    store: Embedded,
    db: DbName,
    id: String,
    body: Map<String, Value>,
    stop: Arc<AtomicBool>,
    saved: Arc<AtomicU64>,
) {
    let id = DocId::parse(&id).unwrap();
    let mut base = store.fetch(&db, &id, soon()).await.ok().map(|doc| doc.rev().clone());
    let mut n = 0u64;
    while !stop.load(Ordering::Relaxed) {
        let mut body = body.clone();
        n += 1;
        body.insert("name".to_owned(), json!(format!("Group {n}")));
        match store.save(&db, Draft { id: id.clone(), base: base.clone(), body }, soon()).await {
            Ok(rev) => {
                base = Some(rev);
                saved.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => println!("    a dear save failed: {error}"),
        }
    }
}

async fn measure(store: &Embedded, quiet: &DbName, label: &str, load: Option<(usize, Map<String, Value>)>) {
    let file_before = store_bytes();
    let (stop, saved) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::new();
    if let Some((writers, body)) = load {
        let dear =
            account(store, &format!("dear/{}", label.replace(|c: char| !c.is_ascii_lowercase(), "_"))).await;
        for writer in 0..writers {
            let (store, db, body) = (store.clone(), dear.clone(), body.clone());
            let (stop, saved) = (Arc::clone(&stop), Arc::clone(&saved));
            tasks.push(tokio::spawn(save_in_a_loop(store, db, format!("g{writer}"), body, stop, saved)));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let (mut writes, mut lists) = (Vec::new(), Vec::new());
    let began = Instant::now();
    let mut n = 0u64;
    while began.elapsed() < TIME {
        n += 1;
        let id = DocId::parse(&format!("{}{n:06}", label.len())).unwrap();
        let id = if n == 1 {
            id
        } else {
            DocId::parse(&format!("{}-{n:06}-{label}", id.as_str()).replace(' ', "-")).unwrap()
        };
        let start = Instant::now();
        store.save(quiet, Draft { id, base: None, body: group(3, 32, 2) }, soon()).await.unwrap();
        writes.push(start.elapsed());
        let start = Instant::now();
        let query = ViewQuery { limit: Some(51), ..ViewQuery::of("groups", "crossbar_listing") };
        let rows: Vec<_> = store.query(quiet, query, soon()).await.unwrap().try_collect().await.unwrap();
        assert!(!rows.is_empty());
        lists.push(start.elapsed());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    let file_after = store_bytes();
    let grown = file_after.saturating_sub(file_before) / 1_000;
    println!(
        "{label:45} write {}   list {}   dear saves {:5}   file +{grown} kB",
        times(&mut writes),
        times(&mut lists),
        saved.load(Ordering::Relaxed)
    );
}

/// Writes and lists 20 documents of 7 MB, and prints the memory before, at its peak, and 3 s after.
async fn measure_memory(store: &Embedded) {
    let db = account(store, "memory").await;
    let before = memory("VmRSS");
    let body = group(0, 1, 410_000);
    let began = Instant::now();
    for n in 0..20 {
        let id = DocId::parse(&format!("g{n}")).unwrap();
        store.save(&db, Draft { id, base: None, body: body.clone() }, soon()).await.unwrap();
        let query = ViewQuery { limit: Some(51), ..ViewQuery::of("groups", "crossbar_listing") };
        let mut rows = store.query(&db, query, soon()).await.unwrap();
        while rows.try_next().await.unwrap().is_some() {}
    }
    drop(body);
    let (took, peak) = (began.elapsed(), memory("VmHWM"));
    tokio::time::sleep(Duration::from_secs(3)).await;
    println!(
        "20 of 7 MB in {took:?}: {before} MB before, {peak} MB at the peak, {} MB at rest",
        memory("VmRSS")
    );
}

/// A figure of this process, in MB.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_000
}

/// The size of the store's file and its log.
fn store_bytes() -> u64 {
    let file = FILE.get().unwrap();
    let log = file.with_file_name("store.db-wal");
    [file, &log].iter().filter_map(|file| std::fs::metadata(file).ok()).map(|data| data.len()).sum()
}

fn times(all: &mut [Duration]) -> String {
    all.sort();
    let at = |share: f64| {
        let place = ((all.len() as f64 - 1.0) * share) as usize;
        all[place].as_secs_f64() * 1_000.0
    };
    format!("p50 {:6.2} p99 {:7.2} max {:7.2} ms", at(0.5), at(0.99), at(1.0))
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    FILE.set(folder.path().join("store.db")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Embedded::open(&folder.path().join("store.db"), Settings::default()).unwrap();
        let quiet = account(&store, "quiet").await;
        measure(&store, &quiet, "alone", None).await;
        measure(
            &store,
            &quiet,
            "two of 64 kB, 1,600 users, 32 kB of flags",
            Some((2, group(1_400, 8, 2_000))),
        )
        .await;
        measure(&store, &quiet, "one of 5 MB, 100,000 users", Some((1, group(100_000, 32, 2)))).await;
        measure(&store, &quiet, "four of 5 MB, no users", Some((4, group(0, 1, 300_000)))).await;
        measure(&store, &quiet, "alone again", None).await;
        measure_memory(&store).await;
    });
}
