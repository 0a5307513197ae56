//! Waits until the machine has nothing to do. A CouchDB brings its views up to date by itself, five seconds after
//! the last write. Without this pause it would do so during the next round's first measurements, and only theirs.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long the processors must have been idle. It is more than CouchDB waits.
const QUIET: Duration = Duration::from_secs(8);
/// Processors that are busy for a smaller share of a second are idle.
const BUSY: f64 = 0.1;
/// A machine that is never idle is measured after this time all the same.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until the processors have been idle for a while.
pub fn until_idle() {
    let begun = Instant::now();
    let mut quiet_since = begun;
    while quiet_since.elapsed() < QUIET {
        if begun.elapsed() > PATIENCE {
            eprintln!(
                "  this machine is not idle: something else uses its processors, and the figures are too low"
            );
            return;
        }
        let (busy_before, all_before) = ticks();
        sleep(Duration::from_secs(1));
        let (busy, all) = ticks();
        if busy - busy_before > (all - all_before) * BUSY {
            quiet_since = Instant::now();
        }
    }
}

/// The time that all processors have been busy, and all of their time, since the machine started.
fn ticks() -> (f64, f64) {
    let text = std::fs::read_to_string("/proc/stat").expect("Linux");
    let first = text.lines().next().expect("a line about all processors");
    let times: Vec<f64> =
        first.split_whitespace().skip(1).map(|time| time.parse().expect("a number")).collect();
    let all: f64 = times.iter().sum();
    // The fourth is idle time, the fifth is the time of waiting for disks.
    let idle: f64 = times.iter().skip(3).take(2).sum();
    (all - idle, all)
}
