//! The form of start keys in URLs and answers: the key in Erlang's external term format, encoded as
//! base64url. A client may also send a plain key.

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};

/// The version byte of Erlang's format, and the tag of a binary whose length has four bytes.
const BINARY_TERM: [u8; 2] = [131, 109];

/// Encodes a key. For example, `"g3"` becomes `g20AAAACZzM`.
#[must_use]
pub fn encode(key: &str) -> String {
    // A key is a document id or comes from a request, so its length fits four bytes.
    let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
    let mut term = Vec::with_capacity(key.len() + 6);
    term.extend_from_slice(&BINARY_TERM);
    term.extend_from_slice(&length.to_be_bytes());
    term.extend_from_slice(key.as_bytes());
    URL_SAFE_NO_PAD.encode(term)
}

/// Decodes a key that a client sent. A text that is not an encoded key is taken as a plain key.
#[must_use]
pub fn decode(wire: &str) -> String {
    decode_term(wire).unwrap_or_else(|| wire.to_owned())
}

fn decode_term(wire: &str) -> Option<String> {
    let term = URL_SAFE_NO_PAD.decode(wire).or_else(|_| URL_SAFE.decode(wire)).ok()?;
    let binary = term.strip_prefix(&BINARY_TERM)?;
    let (length, text) = binary.split_first_chunk::<4>()?;
    if usize::try_from(u32::from_be_bytes(*length)).ok()? != text.len() {
        return None;
    }
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};
    use proptest::prelude::{any, proptest};

    #[test]
    fn the_wire_form_is_crossbars() {
        assert_eq!(encode("g3"), "g20AAAACZzM");
        assert_eq!(encode("U"), "g20AAAABVQ");
        assert_eq!(
            encode("00000000000000000000000000000003"),
            "g20AAAAgMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDM"
        );
    }

    #[test]
    fn a_text_that_is_not_encoded_is_a_plain_key() {
        for raw in ["g2", "", "f5e6de4b30a3e69be97307e38c1fdbaa", "\"quoted\"", "g20AAAACZz", "g20AAAADZzM"] {
            assert_eq!(decode(raw), raw);
        }
    }

    proptest! {
        #[test]
        fn decoding_an_encoded_key_gives_the_key(key in any::<String>()) {
            assert_eq!(decode(&encode(&key)), key);
        }
    }
}
