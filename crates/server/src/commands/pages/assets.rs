//! The files of the pages. Those of Swagger UI come from npm as they are (`make swagger-ui`), and are compressed
//! in the binary.

use std::io::{self, Read as _};

use bytes::Bytes;
use flate2::read::GzDecoder;

/// A file that a browser can ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asset {
    pub(super) path: &'static str,
    pub(super) media_type: &'static str,
    stored: Stored,
}

/// How a file is stored in the binary.
#[derive(Clone, Copy, Debug)]
enum Stored {
    Plain(&'static str),
    Gzip(&'static [u8]),
}

/// A file as it is sent.
pub(super) struct Content {
    pub(super) bytes: Bytes,
    pub(super) coding: Option<&'static str>,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

const fn plain(path: &'static str, media_type: &'static str, text: &'static str) -> Asset {
    Asset { path, media_type, stored: Stored::Plain(text) }
}

const fn packed(path: &'static str, media_type: &'static str, bytes: &'static [u8]) -> Asset {
    Asset { path, media_type, stored: Stored::Gzip(bytes) }
}

/// The page `/docs`. Its policy depends on the request, so it is not in [`ALL`].
pub(super) const DOCS: Asset = plain("/docs", HTML, include_str!("web/docs.html"));

/// The other files.
pub(super) const ALL: [Asset; 7] = [
    plain("/docs/docs.css", CSS, include_str!("web/docs.css")),
    plain("/docs/docs.js", SCRIPT, include_str!("web/docs.js")),
    packed("/docs/swagger-ui.css", CSS, include_bytes!("../../../swagger-ui/swagger-ui.css.gz")),
    packed(
        "/docs/swagger-ui-bundle.js",
        SCRIPT,
        include_bytes!("../../../swagger-ui/swagger-ui-bundle.js.gz"),
    ),
    plain("/status", HTML, include_str!("web/status.html")),
    plain("/status/status.css", CSS, include_str!("web/status.css")),
    plain("/status/status.js", SCRIPT, include_str!("web/status.js")),
];

impl Asset {
    /// The file for a client that takes gzip or does not.
    ///
    /// # Errors
    /// The file is not what this program put into the binary.
    pub(super) fn content(self, takes_gzip: bool) -> io::Result<Content> {
        match self.stored {
            Stored::Plain(text) => Ok(Content { bytes: Bytes::from_static(text.as_bytes()), coding: None }),
            Stored::Gzip(bytes) if takes_gzip => {
                Ok(Content { bytes: Bytes::from_static(bytes), coding: Some("gzip") })
            }
            Stored::Gzip(bytes) => {
                let mut plain = Vec::new();
                GzDecoder::new(bytes).read_to_end(&mut plain)?;
                Ok(Content { bytes: plain.into(), coding: None })
            }
        }
    }
}
