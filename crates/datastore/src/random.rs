//! Random ids in the format of CouchDB's.

use std::fmt::Write as _;

/// Makes 16 random bytes as 32 lower-case hexadecimal digits. They can serve as a secret.
///
/// # Panics
/// If the system has no source of random bytes.
#[must_use]
#[allow(clippy::expect_used, reason = "documented above")]
pub fn random_hex() -> String {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).expect("the system has a source of random bytes");
    hex(&bytes)
}

/// Writes bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a string never fails.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn hex_has_two_digits_a_byte() {
        assert_eq!(super::hex(&[0, 0xff, 0x0a]), "00ff0a");
        assert_eq!(super::random_hex().len(), 32);
    }
}
