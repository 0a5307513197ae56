//! Looks at the sizes of chunks while a body passes by, and refuses sizes that no body has. It decides nothing
//! else: actix-http takes any size of 64 bits, and would wait for it.

use memchr::memchr;

/// The size from which on a chunk is refused: a terabyte.
const MAX_CHUNK_BYTES: u64 = 1 << 40;

/// What comes next in a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChunkSizes {
    /// The digits of a size, of which these are known.
    Size(u64),
    /// The rest of the line of a size.
    Line(u64),
    /// The bytes of a chunk that are still to come, with the end of their line.
    Data(u64),
    /// No further size: the last chunk was read, or something that is no size.
    Done,
}

impl ChunkSizes {
    /// At the beginning of a body.
    pub(crate) const START: Self = Self::Size(0);

    /// Reads on. Fails if a chunk is too large. Each byte is looked at once at most.
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) -> Result<(), ChunkTooLarge> {
        while let Some(first) = bytes.first() {
            let mut used = 1;
            *self = match *self {
                Self::Size(size) => match char::from(*first).to_digit(16) {
                    Some(digit) => {
                        let size = size.saturating_mul(16).saturating_add(u64::from(digit));
                        if size >= MAX_CHUNK_BYTES {
                            return Err(ChunkTooLarge);
                        }
                        Self::Size(size)
                    }
                    None => {
                        used = 0;
                        Self::Line(size)
                    }
                },
                Self::Line(size) => {
                    let end = memchr(b'\n', bytes);
                    used = end.map_or(bytes.len(), |end| end.saturating_add(1));
                    match (end, size) {
                        (None, _) => Self::Line(size),
                        (Some(_), 0) => Self::Done,
                        (Some(_), _) => Self::Data(size.saturating_add(2)),
                    }
                }
                Self::Data(left) => {
                    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX).min(left);
                    used = usize::try_from(length).unwrap_or(bytes.len());
                    match left.saturating_sub(length) {
                        0 => Self::START,
                        left => Self::Data(left),
                    }
                }
                Self::Done => return Ok(()),
            };
            bytes = bytes.get(used..).unwrap_or_default();
        }
        Ok(())
    }
}

/// A chunk is larger than any body may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkTooLarge;

#[cfg(test)]
mod tests {
    use super::{ChunkSizes, ChunkTooLarge};

    /// However the bytes arrive, the outcome is the same.
    #[test]
    fn only_sizes_that_no_body_has_are_refused() {
        for (body, expected) in [
            ("5\r\nhello\r\n0\r\n\r\n", Ok(())),
            ("ffffffffff\r\n", Ok(())),
            ("000000000000000000005;x=ffffffffffffffff\r\nhello\r\n0\r\n\r\nffffffffffffffff", Ok(())),
            ("10\r\nffffffffffffffff\r\n0\r\n\r\n", Ok(())),
            ("0\r\nX: ffffffffffffffff\r\n\r\n", Ok(())),
            ("10000000000\r\n", Err(ChunkTooLarge)),
            ("7fffffffffffffff\r\n", Err(ChunkTooLarge)),
            ("FFFFFFFFFFFFFFFF\r\n", Err(ChunkTooLarge)),
            ("5\r\nhello\r\nffffffffffffffff\r\n", Err(ChunkTooLarge)),
            ("5\r\nhello\r\n00000000ffffffffffffffff", Err(ChunkTooLarge)),
        ] {
            let mut sizes = ChunkSizes::START;
            assert_eq!(sizes.pass(body.as_bytes()), expected, "{body:?}");
            let mut sizes = ChunkSizes::START;
            let each = body.as_bytes().chunks(1).try_for_each(|byte| sizes.pass(byte));
            assert_eq!(each, expected, "{body:?} byte by byte");
        }
    }
}
