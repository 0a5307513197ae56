//! Base64url for tokens, and SHA-256 for cache keys.

use aws_lc_rs::digest::SHA256;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};

/// Accepts padding or none. The bits after the last byte must be zero.
const LENIENT_PADDING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Decodes base64url with complete padding or none. Other alphabets, white space and non-zero spare bits are
/// refused. A token therefore has one spelling, apart from its padding.
pub(crate) fn decode_base64url(text: &str) -> Option<Vec<u8>> {
    if text.contains('=') && !text.len().is_multiple_of(4) {
        return None;
    }
    LENIENT_PADDING.decode(text).ok()
}

/// Encodes base64url without padding.
pub(crate) fn encode_base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The SHA-256 of bytes. Caches use it as the key of a secret.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    for (place, byte) in digest.iter_mut().zip(aws_lc_rs::digest::digest(&SHA256, bytes).as_ref()) {
        *place = *byte;
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::decode_base64url;

    #[test]
    fn padding_is_complete_or_absent() {
        assert_eq!(decode_base64url("YQ"), Some(b"a".to_vec()));
        assert_eq!(decode_base64url("YQ=="), Some(b"a".to_vec()));
        for text in ["YQ=", "YQ===", "Y", "Y+/=", "Y Q", "YR", "=", "YQ==\n"] {
            assert_eq!(decode_base64url(text), None, "{text:?}");
        }
    }
}
