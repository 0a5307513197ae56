//! Random ids in the format of CouchDB's.

use std::cell::RefCell;

/// How many random bytes a thread fetches at once. Each request needs some, and a system call takes longer than
/// all else that is done with them.
const POOL: usize = 2_048;

/// Random bytes that nobody has used yet.
struct Pool {
    bytes: [u8; POOL],
    used: usize,
}

thread_local! {
    static UNUSED: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; POOL], used: POOL }) };
}

/// Makes 16 random bytes as 32 lower-case hexadecimal digits. They can serve as a secret.
///
/// # Panics
/// If the system has no source of random bytes.
#[must_use]
#[allow(clippy::expect_used, reason = "documented above")]
pub fn random_hex() -> String {
    UNUSED.with_borrow_mut(|pool| {
        if pool.used == POOL {
            getrandom::fill(&mut pool.bytes).expect("the system has a source of random bytes");
            pool.used = 0;
        }
        let next = pool.bytes.get_mut(pool.used..).and_then(|unused| unused.first_chunk_mut::<16>());
        let bytes = std::mem::take(next.expect("the pool is a multiple of what is taken"));
        pool.used += bytes.len();
        hex(&bytes)
    })
}

/// Writes bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from(if half < 10 { b'0' + half } else { b'a' - 10 + half });
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{hex, random_hex};

    #[test]
    fn hex_has_two_digits_a_byte() {
        assert_eq!(hex(&[0, 0xff, 0x0a, 0x9c]), "00ff0a9c");
        assert_eq!(random_hex().len(), 32);
    }

    /// Also across the end of a pool, and between threads.
    #[test]
    fn no_bytes_are_used_twice() {
        let some = || (0..1_000).map(|_| random_hex()).collect::<Vec<_>>();
        let other = std::thread::spawn(some);
        let all: HashSet<_> = some().into_iter().chain(other.join().unwrap()).collect();
        assert_eq!(all.len(), 2_000);
    }
}
