//! Spreads requests evenly over time, so that a live server is not loaded by more than it was told to bear.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// When requests may be sent.
pub(super) struct Pace {
    gap: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// At most this many requests in a second to each of the two servers.
    pub(super) fn new(per_second: u32) -> Self {
        Self { gap: Duration::from_secs(1) / per_second.max(1), next: Mutex::new(None) }
    }

    /// Waits until a request may be sent. Time in which nobody wanted to send is lost.
    pub(super) async fn wait(&self) {
        let at = {
            let mut next = self.next.lock().await;
            let now = Instant::now();
            let at = next.map_or(now, |next| next.max(now));
            *next = Some(at + self.gap);
            at
        };
        sleep_until(at).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Pace;

    #[tokio::test(start_paused = true)]
    async fn requests_are_spread_over_time() {
        let (pace, begun) = (Pace::new(100), Instant::now());
        for _ in 0..101 {
            pace.wait().await;
        }
        assert_eq!(begun.elapsed().as_millis(), 1_000);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let later = Instant::now();
        for _ in 0..11 {
            pace.wait().await;
        }
        assert_eq!(later.elapsed().as_millis(), 100);
    }
}
