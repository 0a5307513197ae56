//! The lines of the log that are not written yet. A thread writes them, many with one call of the system. A
//! caller appends its line to a buffer and goes on, whatever the disk does. If the buffer is full, the line
//! is dropped and counted, and the log says so later.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long the thread waits for more lines before it writes.
const GATHERING: Duration = Duration::from_millis(10);

/// A buffer that has grown beyond this is given back, in bytes.
const KEPT_BUFFER: usize = 256 * 1024;

/// Which lines are dropped first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Importance {
    /// A line about one request. A quarter of the buffer is kept free of these.
    Request,
    /// Any other line.
    Event,
}

/// The queue. Cloning gives another handle.
#[derive(Clone, Debug)]
pub(crate) struct Queue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    capacity: usize,
    waiting: Mutex<Waiting>,
    /// There is something to write.
    filled: Condvar,
    /// Everything is written.
    emptied: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Dropped lines that the log does not tell yet.
    untold: u64,
    is_writing: bool,
    /// How many callers wait until all is written.
    flushing: usize,
}

impl Queue {
    /// Starts the thread. `lost` makes the line that tells how many lines were dropped.
    pub(crate) fn start(
        out: Box<dyn Write + Send>,
        capacity: usize,
        lost: impl Fn(u64) -> Vec<u8> + Send + 'static,
    ) -> io::Result<Self> {
        let queue = Self(Arc::new(Shared {
            capacity,
            waiting: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            dropped: AtomicU64::new(0),
        }));
        let shared = Arc::clone(&queue.0);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || shared.write_all(out, lost))?;
        Ok(queue)
    }

    /// Appends a line, with its line end.
    pub(crate) fn push(&self, line: &[u8], importance: Importance) {
        let shared = &*self.0;
        let room = match importance {
            Importance::Request => shared.capacity / 4 * 3,
            Importance::Event => shared.capacity,
        };
        let mut waiting = shared.lock();
        if waiting.lines.len().saturating_add(line.len()) > room {
            waiting.untold = waiting.untold.saturating_add(1);
            shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let was_empty = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        drop(waiting);
        if was_empty {
            shared.filled.notify_one();
        }
    }

    /// How many lines were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Waits until all lines are written, for `patience` at most.
    pub(crate) fn flush(&self, patience: Duration) {
        let shared = &*self.0;
        let mut waiting = shared.lock();
        waiting.flushing += 1;
        shared.filled.notify_one();
        let is_busy = |waiting: &mut Waiting| !waiting.lines.is_empty() || waiting.is_writing;
        let waited = shared.emptied.wait_timeout_while(waiting, patience, is_busy);
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        waiting.flushing = waiting.flushing.saturating_sub(1);
    }
}

impl Shared {
    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what comes, until the process ends.
    fn write_all(&self, mut out: Box<dyn Write + Send>, lost: impl Fn(u64) -> Vec<u8>) {
        let mut written = Vec::new();
        loop {
            let mut lines = self.next(std::mem::take(&mut written), &lost);
            // A log that nobody takes is no reason to stop the server.
            let outcome = out.write_all(&lines).and_then(|()| out.flush());
            let mut waiting = self.lock();
            waiting.is_writing = false;
            if outcome.is_err() {
                let count = lines.iter().filter(|byte| **byte == b'\n').count();
                self.dropped.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
            if waiting.lines.is_empty() {
                self.emptied.notify_all();
            }
            drop(waiting);
            if lines.capacity() <= KEPT_BUFFER {
                lines.clear();
                written = lines;
            }
        }
    }

    /// Waits for lines and takes them. `empty` takes their place.
    fn next(&self, empty: Vec<u8>, lost: &impl Fn(u64) -> Vec<u8>) -> Vec<u8> {
        let has_none = |waiting: &mut Waiting| waiting.lines.is_empty();
        let waiting = self.filled.wait_while(self.lock(), has_none).unwrap_or_else(PoisonError::into_inner);
        let may_gather = |waiting: &mut Waiting| waiting.flushing == 0;
        let gathered = self.filled.wait_timeout_while(waiting, GATHERING, may_gather);
        let (mut waiting, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        waiting.is_writing = true;
        let mut lines = std::mem::replace(&mut waiting.lines, empty);
        let untold = std::mem::take(&mut waiting.untold);
        drop(waiting);
        if untold > 0 {
            lines.extend(lost(untold));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use super::{Importance, Queue};

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Hands over what is written, and waits for a permit before each call.
    struct Slow {
        permits: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.permits.recv();
            let _ = self.written.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow(capacity: usize) -> (Queue, Sender<()>, Receiver<Vec<u8>>) {
        let (permit, permits) = channel();
        let (written, received) = channel();
        let out = Box::new(Slow { permits, written });
        let lost = |lines| format!("{lines} lost\n").into_bytes();
        (Queue::start(out, capacity, lost).unwrap(), permit, received)
    }

    #[test]
    fn lines_beyond_the_capacity_are_dropped_counted_and_told() {
        let (queue, permit, received) = slow(100);
        queue.push(b"first\n", Importance::Event);
        // Wait until the thread holds the first line and is stuck with it.
        let deadline = std::time::Instant::now() + PATIENCE;
        while !queue.0.lock().is_writing {
            assert!(std::time::Instant::now() < deadline, "the thread takes the line");
            std::thread::yield_now();
        }
        for _ in 0..20 {
            queue.push(b"a request\n", Importance::Request);
        }
        assert_eq!(queue.dropped(), 13, "requests get three quarters of 100 bytes");
        for _ in 0..20 {
            queue.push(b"an event!\n", Importance::Event);
        }
        assert_eq!(queue.dropped(), 13 + 17);
        drop(permit);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        assert_eq!(text(received.recv_timeout(PATIENCE).unwrap()), "first\n");
        let expected = format!("{}{}30 lost\n", "a request\n".repeat(7), "an event!\n".repeat(3));
        assert_eq!(text(received.recv_timeout(PATIENCE).unwrap()), expected);
    }

    #[test]
    fn flushing_waits_for_every_line_but_not_for_ever() {
        let (queue, permit, received) = slow(1_000);
        queue.push(b"stuck\n", Importance::Event);
        queue.flush(Duration::from_millis(1));
        assert!(received.try_recv().is_err());
        drop(permit);
        queue.push(b"more\n", Importance::Event);
        queue.flush(PATIENCE);
        let all: Vec<u8> = received.try_iter().flatten().collect();
        assert_eq!(String::from_utf8(all).unwrap(), "stuck\nmore\n");
    }

    #[test]
    fn a_log_that_nobody_takes_is_counted() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let queue = Queue::start(Box::new(Closed), 1_000, |_| Vec::new()).unwrap();
        queue.push(b"one\ntwo\n", Importance::Event);
        queue.flush(PATIENCE);
        assert_eq!(queue.dropped(), 2);
    }
}
