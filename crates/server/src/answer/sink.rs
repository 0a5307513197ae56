//! A buffer with a limit. Answers are written into it.

use std::io;

/// Bytes up to a limit. A write beyond the limit fails and adds nothing.
#[derive(Debug)]
pub(crate) struct Sink {
    bytes: Vec<u8>,
    limit: usize,
}

/// An answer is larger than its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an answer of more than {limit} bytes")]
pub(crate) struct TooLarge {
    limit: usize,
}

impl Sink {
    /// An empty sink that takes at most `limit` bytes and has room for `capacity`.
    pub(crate) fn new(limit: usize, capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity.min(limit)), limit }
    }

    /// Adds bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        if bytes.len() > self.limit.saturating_sub(self.bytes.len()) {
            return Err(TooLarge { limit: self.limit });
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The bytes that were written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Sink;

    #[test]
    fn a_write_beyond_the_limit_fails_and_adds_nothing() {
        let mut sink = Sink::new(4, 0);
        assert!(sink.push(b"abc").is_ok());
        assert!(sink.push(b"de").is_err());
        assert!(sink.push(b"d").is_ok());
        assert_eq!(sink.into_bytes(), b"abcd");
    }
}
