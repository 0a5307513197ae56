//! Compression of bodies, and whether a client accepts it.

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::grammar::quality::parse_quality;

/// Whether a client accepts gzip: `Accept-Encoding` names it with a weight above zero.
pub(crate) fn takes_gzip(accept_encoding: Option<&str>) -> bool {
    let Some(header) = accept_encoding else { return false };
    header.split(',').any(|part| {
        let (coding, weight) = part.split_once(';').unwrap_or((part, "q=1"));
        let quality = weight.trim().strip_prefix("q=").and_then(parse_quality).unwrap_or(0);
        coding.trim().eq_ignore_ascii_case("gzip") && quality > 0
    })
}

/// Compresses a body.
pub(crate) fn compress(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::takes_gzip;

    #[test]
    fn gzip_is_used_only_if_the_header_names_it() {
        assert!(takes_gzip(Some("gzip, deflate")));
        assert!(takes_gzip(Some("br, gzip;q=0.5")));
        for header in [None, Some(""), Some("br"), Some("*"), Some("gzip;q=0"), Some("identity")] {
            assert!(!takes_gzip(header), "{header:?}");
        }
    }
}
