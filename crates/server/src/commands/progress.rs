//! How far a long command has come: on a terminal a bar and the counts in one line that is written over, elsewhere a line
//! every few seconds. Quick commands show nothing.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How often a terminal shows the count.
const ON_A_TERMINAL: Duration = Duration::from_millis(250);

/// How often the progress is logged where there is no terminal.
const ELSEWHERE: Duration = Duration::from_secs(5);

/// How many characters a bar has.
const BAR: usize = 20;

/// Goes to the begin of the line and empties it.
const EMPTY_LINE: &str = "\r\u{1b}[K";

/// The progress of a command. A terminal's line is emptied when it is dropped.
pub(super) struct Progress {
    /// What is counted.
    what: &'static str,
    count: u64,
    /// How many there are, if that is known.
    of: Option<u64>,
    /// The part that is done, and the whole, in any unit, if that is known.
    share: Option<(u64, u64)>,
    begun: Instant,
    told: Instant,
    is_terminal: bool,
    is_shown: bool,
}

impl Progress {
    /// Counts from now on.
    pub(super) fn of(what: &'static str) -> Self {
        let now = Instant::now();
        Self {
            what,
            count: 0,
            of: None,
            share: None,
            begun: now,
            told: now,
            is_terminal: io::stderr().is_terminal(),
            is_shown: false,
        }
    }

    /// Counts one more.
    pub(super) fn step(&mut self) {
        self.count = self.count.saturating_add(1);
        self.show();
    }

    /// Notes how many of all are done.
    pub(super) fn reach(&mut self, count: u64, of: u64) {
        (self.count, self.of, self.share) = (count, Some(of), Some((count, of)));
        self.show();
    }

    /// Notes which part of the whole is done, for the bar. What is counted is something else.
    pub(super) fn note_share(&mut self, done: u64, whole: u64) {
        self.share = Some((done, whole));
    }

    /// How many were counted.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    fn show(&mut self) {
        let pause = if self.is_terminal { ON_A_TERMINAL } else { ELSEWHERE };
        if self.told.elapsed() >= pause {
            self.told = Instant::now();
            self.is_shown = true;
            let line = self.line(self.begun.elapsed());
            let written = if self.is_terminal {
                format!("{EMPTY_LINE}{}{line}", self.bar())
            } else {
                format!("{line}\n")
            };
            // A command whose progress cannot be shown still does its work.
            let _ = io::stderr().write_all(written.as_bytes());
        }
    }

    /// A bar, if the whole is known: `[######..............] `.
    fn bar(&self) -> String {
        let Some((done, whole)) = self.share.filter(|(_, whole)| *whole > 0) else { return String::new() };
        let width = u64::try_from(BAR).unwrap_or_default();
        let full = usize::try_from(done.min(whole).saturating_mul(width) / whole).unwrap_or_default();
        format!("[{:.<BAR$}] ", "#".repeat(full))
    }

    fn line(&self, since: Duration) -> String {
        let milliseconds = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = self.count.saturating_mul(1_000) / milliseconds;
        let of = self.of.map(|of| format!(" of {of}")).unwrap_or_default();
        let (count, what, seconds) = (self.count, self.what, since.as_secs());
        format!("crossbar-groups: {count}{of} {what} in {seconds} s, {rate} each second")
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_terminal && self.is_shown {
            let _ = io::stderr().write_all(EMPTY_LINE.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Progress};

    #[test]
    fn a_line_has_the_count_and_the_rate() {
        let mut progress = Progress::of("documents read");
        (0..1000).for_each(|_| progress.step());
        let line = progress.line(Duration::from_secs(10));
        assert_eq!(line, "crossbar-groups: 1000 documents read in 10 s, 100 each second");
        assert!(progress.line(Duration::from_millis(500)).ends_with("2000 each second"));
        assert_eq!(progress.bar(), "", "the whole is not known");
        progress.note_share(30, 100);
        assert_eq!(progress.bar(), "[######..............] ");
        let mut progress = Progress::of("pages copied");
        progress.reach(500, 2_000);
        let line = progress.line(Duration::from_secs(5));
        assert_eq!(line, "crossbar-groups: 500 of 2000 pages copied in 5 s, 100 each second");
        assert_eq!(progress.bar(), "[#####...............] ");
        progress.reach(0, 0);
        assert_eq!(progress.bar(), "");
        progress.reach(5, 4);
        assert_eq!(progress.bar(), "[####################] ");
    }
}
