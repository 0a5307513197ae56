//! Checks that a write is acknowledged only after it was synced to disk. A test that only kills the process
//! cannot see this, because the page cache survives. So this test traces the writer's system calls.

use std::collections::{BTreeMap, HashMap};
use std::process::Command;

use crate::writer;

/// The interesting lines of a trace, by line number.
struct Trace {
    /// The lines that print an acknowledgement, with its text.
    acknowledged: Vec<(usize, String)>,
    /// The first line that writes each document's text to the log.
    logged: HashMap<String, usize>,
    /// The lines where each sync of the log began and ended.
    syncs: Vec<(usize, usize)>,
    /// How many syncs of the log were for its times, too.
    slow_syncs: usize,
}

fn read(trace: &str) -> Trace {
    let (mut acknowledged, mut logged, mut syncs) = (Vec::new(), HashMap::new(), Vec::new());
    let mut slow_syncs = 0;
    let mut begun: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, line) in trace.lines().enumerate() {
        let Some((process, call)) = line.split_once(char::is_whitespace) else { continue };
        let call = call.trim_start();
        let is_sync = |name: &str| call.starts_with(name) && call.contains("-wal>");
        if is_sync("fdatasync(") || is_sync("fsync(") {
            slow_syncs += usize::from(call.starts_with("fsync("));
            if call.contains("<unfinished") {
                begun.insert(process, at);
            } else if call.ends_with("= 0") {
                syncs.push((at, at));
            }
        } else if call.starts_with("<... f") && call.contains("sync resumed") {
            if let Some(began) = begun.remove(process)
                && call.ends_with("= 0")
            {
                syncs.push((began, at));
            }
        } else if call.contains("-wal>") && call.contains("write") {
            for part in call.split("\\\"_id\\\":\\\"").skip(1) {
                let id = part.split("\\\"").next().unwrap().to_owned();
                let rev = part.split("\\\"_rev\\\":\\\"").nth(1).and_then(|rev| rev.split("\\\"").next());
                if let Some(rev) = rev {
                    logged.entry(format!("{id} {rev}")).or_insert(at);
                }
            }
        } else if call.starts_with("write(1<")
            && let Some((_, said)) = call.split_once("\"ack ")
        {
            acknowledged.push((at, said.split("\\n").next().unwrap().to_owned()));
        }
    }
    Trace { acknowledged, logged, syncs, slow_syncs }
}

#[track_caller]
fn check(tasks: usize, writes: usize) {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let found = Command::new("strace").arg("-V").output();
    assert!(
        found.is_ok_and(|output| output.status.success()),
        "this test needs strace; install it with `apt-get install strace`"
    );
    let strace = [
        "strace",
        "-f",
        "-y",
        "-s",
        "5000",
        "-e",
        "trace=write,pwrite64,writev,pwritev,fsync,fdatasync",
        "-e",
        "signal=none",
        "-o",
        trace.to_str().unwrap(),
    ];
    let output = writer::command(&strace, &folder.path().join("store.db"), tasks, "sync", Some(writes))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let trace = read(&std::fs::read_to_string(&trace).unwrap());
    assert_eq!(trace.acknowledged.len(), tasks * writes);
    let mut checked = 0;
    for (at, said) in &trace.acknowledged {
        // A tombstone has no text, so the trace does not show its write.
        let Some(logged) = trace.logged.get(said) else {
            assert!(said.starts_with("flip-"), "{said} was acknowledged but never logged");
            continue;
        };
        let synced = trace.syncs.iter().any(|(began, ended)| logged < began && ended < at);
        assert!(
            synced,
            "{said} was logged at line {logged} and acknowledged at line {at} without a sync in between"
        );
        checked += 1;
    }
    // `.cargo/config.toml` has the flag of SQLite's build.
    assert_eq!(trace.slow_syncs, 0, "SQLite calls fsync, although fdatasync is enough");
    assert!(checked * 8 >= tasks * writes * 6, "{checked} of {} checked", tasks * writes);
}

#[test]
fn a_single_writer_is_acknowledged_after_the_sync() {
    check(1, 40);
}

#[test]
fn writers_that_share_a_commit_are_acknowledged_after_the_sync() {
    check(16, 12);
}
