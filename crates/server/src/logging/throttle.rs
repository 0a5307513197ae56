//! Bounds how many lines a second the log gets about one kind of event. Attackers cause as many events as
//! they like.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// A bound for one kind of lines.
#[derive(Debug)]
pub(crate) struct Throttle {
    per_second: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    since: Instant,
    lines: u32,
    left_out: u64,
}

impl Throttle {
    /// Lets this many lines pass in each second.
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second, state: Mutex::new(State { since: Instant::now(), lines: 0, left_out: 0 }) }
    }

    /// Whether a line may be written. The number says how many lines were left out since the last one.
    pub(crate) fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(state.since) >= SECOND {
            (state.since, state.lines) = (now, 0);
        }
        if state.lines >= self.per_second {
            state.left_out = state.left_out.saturating_add(1);
            return None;
        }
        state.lines += 1;
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Throttle;

    #[test]
    fn lines_beyond_the_bound_are_left_out_and_counted() {
        let (throttle, begin) = (Throttle::new(2), Instant::now());
        let admitted: Vec<_> = (0..5).map(|_| throttle.admit(begin)).collect();
        assert_eq!(admitted, [Some(0), Some(0), None, None, None]);
        let later = begin + Duration::from_secs(2);
        assert_eq!(
            [throttle.admit(later), throttle.admit(later), throttle.admit(later)],
            [Some(3), Some(0), None]
        );
    }
}
