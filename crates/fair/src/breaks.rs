//! Breaks in long work.

use std::future::poll_fn;
use std::task::Poll;

/// Work on this many bytes takes about a millisecond. Other tasks may run then.
pub const SLICE: usize = 64 * 1024;

/// Lets other tasks run whenever a task has worked on [`SLICE`] bytes. A part of the work that cannot be divided may
/// be larger.
#[derive(Debug, Default)]
pub struct Breaks {
    /// How many bytes the task has worked on since the last break.
    bytes: usize,
}

impl Breaks {
    /// The task has worked on so many bytes more. This waits until the others have run, if they are due.
    pub async fn after(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes >= SLICE {
            self.bytes = 0;
            pause().await;
        }
    }
}

/// Stops once, and is ready to go on at once. After tokio's own `yield_now`, dozens of other tasks may run first.
async fn pause() {
    let mut has_paused = false;
    poll_fn(|context| {
        if has_paused {
            return Poll::Ready(());
        }
        has_paused = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::{Breaks, SLICE};

    /// How often the work pauses.
    fn pauses(parts: &[usize]) -> usize {
        let mut breaks = Breaks::default();
        let mut work = pin!(async {
            for part in parts {
                breaks.after(*part).await;
            }
        });
        let mut context = Context::from_waker(Waker::noop());
        (0..).find(|_| work.as_mut().poll(&mut context).is_ready()).unwrap()
    }

    #[test]
    fn there_is_a_break_after_each_slice_and_after_each_large_part() {
        assert_eq!(pauses(&[SLICE - 1]), 0);
        assert_eq!(pauses(&[SLICE / 4; 12]), 3);
        assert_eq!(pauses(&[100 * SLICE, 1, 100 * SLICE]), 2);
    }
}
