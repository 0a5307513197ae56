//! What clients send behind their last answer. It is thrown away, at a bounded rate for all connections of a thread
//! together: a flood of it must not take the processors from clients that are served.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

/// How many bytes a second a thread throws away.
const BYTES_PER_SECOND: u32 = 64 * 1024 * 1024;

/// How many bytes of one connection are read before others have their turn.
const STEP_BYTES: usize = 64 * 1024;

/// Timers are no finer than this, so a shorter pause is not made.
const SHORT_PAUSE: Duration = Duration::from_millis(1);

/// The rate at which one thread throws bytes away.
#[derive(Clone, Debug)]
pub(crate) struct Drain {
    /// When all bytes so far would have been read at the rate.
    paid_until: Rc<Cell<Instant>>,
}

impl Default for Drain {
    fn default() -> Self {
        Self { paid_until: Rc::new(Cell::new(Instant::now())) }
    }
}

impl Drain {
    /// Reads until the client closes. Thousands of connections may end at the same time, so none has a buffer while
    /// it waits.
    pub(crate) async fn throw_away(&self, stream: &TcpStream) -> io::Result<()> {
        loop {
            stream.readable().await?;
            let mut bytes = 0_usize;
            while bytes < STEP_BYTES {
                match stream.try_read(&mut [0; 4_096]) {
                    Ok(0) => return Ok(()),
                    Ok(read) => bytes = bytes.saturating_add(read),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
            self.pay(bytes).await;
        }
    }

    /// Waits as long as the thread needs for so many more bytes.
    async fn pay(&self, bytes: usize) {
        let now = Instant::now();
        let at_a_byte_a_second = Duration::from_secs(u64::try_from(bytes).unwrap_or(u64::MAX));
        let until = self.paid_until.get().max(now) + at_a_byte_a_second / BYTES_PER_SECOND;
        self.paid_until.set(until);
        if until.duration_since(now) > SHORT_PAUSE {
            sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, pause};

    use super::{BYTES_PER_SECOND, Drain, STEP_BYTES};

    #[tokio::test]
    async fn all_connections_of_a_thread_share_the_rate() {
        pause();
        let drain = Drain::default();
        let begun = Instant::now();
        let steps = usize::try_from(BYTES_PER_SECOND).unwrap() / STEP_BYTES;
        // Fifty connections, and together they have the bytes of two seconds.
        let connections = (0..50).map(|connection| {
            let drain = drain.clone();
            async move {
                for _ in 0..2 * steps / 50 + usize::from(connection < 2 * steps % 50) {
                    drain.pay(STEP_BYTES).await;
                }
            }
        });
        futures::future::join_all(connections).await;
        let took = begun.elapsed();
        assert!((Duration::from_millis(1_990)..Duration::from_millis(2_010)).contains(&took), "{took:?}");
    }

    #[tokio::test]
    async fn a_client_that_sends_little_is_not_made_to_wait() {
        pause();
        let begun = Instant::now();
        Drain::default().pay(STEP_BYTES).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
