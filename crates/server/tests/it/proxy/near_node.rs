//! A server on a CouchDB cluster of three nodes. The node that it uses is killed under load.
//!
//! `COUCHDB_CLUSTER_URLS` names the nodes, and the shell commands `COUCHDB_CLUSTER_KILL` and `COUCHDB_CLUSTER_START` kill
//! and start one: they find its number, from 0, in `$NODE`.

use std::time::{Duration, Instant};

use super::load::Load;
use super::rolling::{Store, ids, on_node};
use crate::process::{Server, wait_until};

/// The load.
const REQUESTS_PER_SECOND: u32 = 200;

/// How long requests may fail after the kill.
const PATIENCE: Duration = Duration::from_secs(2);

#[test]
#[ignore = "it needs three nodes of a CouchDB cluster: COUCHDB_CLUSTER_URLS"]
fn requests_fail_for_two_seconds_at_most_when_the_near_node_of_three_is_killed() {
    let of_nodes = ["COUCHDB_CLUSTER_KILL", "COUCHDB_CLUSTER_START"].map(std::env::var);
    let [Ok(kill), Ok(start)] = of_nodes else {
        eprintln!(
            "not tested: COUCHDB_CLUSTER_KILL and COUCHDB_CLUSTER_START kill and start a node of CouchDB"
        );
        return;
    };
    let store = Store::new("near-node");
    let server = Server::start(&store.urls, &[]);
    let target = store.target(server.address);
    let load = Load::start(&target, REQUESTS_PER_SECOND);
    std::thread::sleep(Duration::from_secs(5));
    let calm = load.take();
    assert!(calm.failed.is_empty() && calm.wrong.is_empty(), "{:?} {:?}", calm.failed, calm.wrong);

    on_node(0, &kill);
    let killed = Instant::now();
    std::thread::sleep(Duration::from_secs(10));
    let gone = load.take();
    on_node(0, &start);
    wait_until("the near node is used again", || {
        server.log().contains("a CouchDB node answers again and is used")
    });
    std::thread::sleep(Duration::from_secs(5));
    let back = load.stop();

    for (when, seen) in [("all nodes", &calm), ("the near node is killed", &gone), ("it is back", &back)] {
        let last = seen.last_failure.map(|at| at.saturating_duration_since(killed).as_millis());
        println!(
            "{when}: {} reads and {} writes, the slowest {} ms, failed {:?}, the last one {last:?} ms after the kill, {} \
             wrong answers",
            seen.reads,
            seen.writes,
            seen.slowest.as_millis(),
            seen.failed,
            seen.wrong.len()
        );
    }
    let there = ids(&target);
    let created: Vec<_> = [calm.created, gone.created, back.created].concat();
    let lost: Vec<_> = created.iter().filter(|id| !there.contains(id)).collect();
    println!("{} acknowledged writes, {} lost", created.len(), lost.len());
    assert!(!created.is_empty() && lost.is_empty(), "{lost:?}");
    assert!(gone.wrong.is_empty() && back.wrong.is_empty(), "{:?} {:?}", gone.wrong, back.wrong);
    assert!(back.failed.is_empty(), "{:?}", back.failed);
    let last = gone.last_failure.map_or(Duration::ZERO, |at| at.saturating_duration_since(killed));
    assert!(last <= PATIENCE, "{last:?}: {:?}", gone.failed);
}
