//! Random ids, in the form that CouchDB and Kazoo give theirs.

/// 16 random bytes as 32 lower-case hex digits; good enough to be a secret.
///
/// # Panics
/// Where the system has no source of random bytes: without one no id can be given out.
#[must_use]
#[allow(clippy::expect_used, reason = "documented above")]
pub fn random_hex() -> String {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).expect("the system has a source of random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
