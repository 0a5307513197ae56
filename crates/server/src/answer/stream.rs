//! Listings that are sent while they are read: the envelope, the rows, indenting and compression, through one
//! small buffer.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::envelope::{self, Paging, Values};
use super::pretty::{self, Indenter};
use crate::profile::Form;

/// How a listing is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Each row is sent as soon as it is read, in crossbar's own form for listings in chunks.
    RowByRow,
    /// Rows are sent when there are enough of them.
    InBlocks,
}

/// Writes a listing piece by piece.
pub(crate) struct ListingWriter {
    form: &'static Form,
    values: Values<'static>,
    out: Output,
    has_rows: bool,
}

enum Output {
    Compact(Encoder),
    Indented(Indenter<Encoder>),
}

enum Encoder {
    Plain(Vec<u8>),
    Gzip(GzEncoder<Vec<u8>>),
}

/// How the bytes of an answer are encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Encoding {
    /// They are indented.
    pub(crate) is_pretty: bool,
    /// They are compressed.
    pub(crate) is_gzip: bool,
}

impl ListingWriter {
    /// A writer that has written everything before the first row.
    pub(super) fn begin(
        values: Values<'static>,
        form: &'static Form,
        encoding: Encoding,
    ) -> io::Result<Self> {
        let encoder = match encoding.is_gzip {
            true => Encoder::Gzip(GzEncoder::new(Vec::new(), Compression::fast())),
            false => Encoder::Plain(Vec::new()),
        };
        let mut out = match encoding.is_pretty {
            true => Output::Indented(Indenter::new(encoder)),
            false => Output::Compact(encoder),
        };
        envelope::write_head(form, &values, &mut out)?;
        Ok(Self { form, values, out, has_rows: false })
    }

    /// Begins a row, which [`ListingWriter::write_row_part`] writes then. A row that would grow too much if it
    /// were indented stays as it is.
    pub(crate) fn begin_row(&mut self, row: &str) -> io::Result<()> {
        if std::mem::replace(&mut self.has_rows, true) {
            self.out.write_all(b",")?;
        }
        if let Output::Indented(indenter) = &mut self.out {
            let may_grow = pretty::indented_size(|out| out.write_all(row.as_bytes()))?.is_some();
            indenter.begin_value(may_grow)?;
        }
        Ok(())
    }

    /// Writes a part of the row.
    pub(crate) fn write_row_part(&mut self, part: &[u8]) -> io::Result<()> {
        self.out.write_all(part)
    }

    /// Ends the row.
    pub(crate) fn end_row(&mut self) {
        if let Output::Indented(indenter) = &mut self.out {
            indenter.end_value();
        }
    }

    /// Writes everything after the last row.
    pub(crate) fn finish(&mut self, paging: Paging) -> io::Result<()> {
        self.values.paging.next_start_key = paging.next_start_key;
        self.values.paging.page_size = paging.page_size;
        envelope::write_tail(self.form, &self.values, &mut self.out)?;
        match self.out.encoder() {
            Encoder::Gzip(gzip) => gzip.try_finish(),
            Encoder::Plain(_) => Ok(()),
        }
    }

    /// How many bytes are ready to be sent.
    pub(crate) fn ready(&mut self) -> usize {
        self.out.encoder().bytes().len()
    }

    /// Takes the bytes that are ready to be sent.
    pub(crate) fn take(&mut self) -> Bytes {
        std::mem::take(self.out.encoder().bytes()).into()
    }
}

impl Output {
    fn encoder(&mut self) -> &mut Encoder {
        match self {
            Self::Compact(encoder) => encoder,
            Self::Indented(indenter) => indenter.inner(),
        }
    }
}

impl Encoder {
    fn bytes(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Gzip(gzip) => gzip.get_mut(),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Compact(encoder) => encoder.write(bytes),
            Self::Indented(indenter) => indenter.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Encoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(plain) => plain.write(bytes),
            Self::Gzip(gzip) => gzip.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use kazoo::Time;

    use super::{Encoding, ListingWriter, Paging, Values};
    use crate::profile::Release;

    fn values() -> Values<'static> {
        Values {
            paging: Paging { start_key: Some("s".to_owned()), ..Paging::default() },
            version: None,
            received_at: Time::from_unix_seconds(0),
            node: "n".into(),
            request_id: "r".into(),
            tokens: None,
            auth_token: None,
            error: None,
            message: None,
            revision: Some("1-a".into()),
            status: "success",
        }
    }

    fn written(encoding: Encoding, rows: &[&str]) -> Vec<u8> {
        let form = &Release::Kazoo50.profile().envelope.streamed;
        let mut writer = ListingWriter::begin(values(), form, encoding).unwrap();
        let mut bytes = Vec::new();
        for row in rows {
            writer.begin_row(row).unwrap();
            for part in row.as_bytes().chunks(3) {
                writer.write_row_part(part).unwrap();
                bytes.extend(writer.take());
            }
            writer.end_row();
        }
        writer.finish(Paging { page_size: Some(2), ..Paging::default() }).unwrap();
        bytes.extend(writer.take());
        bytes
    }

    #[test]
    fn what_is_known_last_follows_the_rows() {
        let text = String::from_utf8(written(Encoding::default(), &["{\"a\":1}", "2"])).unwrap();
        assert_eq!(
            text,
            "{\"start_key\":\"s\",\"timestamp\":\"1970-01-01T00:00:00Z\",\"node\":\"n\",\"request_id\":\"r\",\
             \"data\":[{\"a\":1},2],\"page_size\":2,\"revision\":\"1-a\",\"status\":\"success\"}"
        );
    }

    #[test]
    fn a_compressed_listing_is_the_plain_one() {
        let compressed = written(Encoding { is_gzip: true, is_pretty: false }, &["1", "2"]);
        let mut text = String::new();
        GzDecoder::new(compressed.as_slice()).read_to_string(&mut text).unwrap();
        assert_eq!(text.as_bytes(), written(Encoding::default(), &["1", "2"]));
    }

    #[test]
    fn a_row_that_would_grow_too_much_is_not_indented() {
        let deep = format!("{}{}0{}", "[".repeat(100), "0,".repeat(1_000), "]".repeat(100));
        let pretty = Encoding { is_pretty: true, is_gzip: false };
        let text = String::from_utf8(written(pretty, &["[1]", &deep, "{}"])).unwrap();
        assert!(text.contains("\n    [\n      1\n    ],\n    [[[["), "{text}");
        assert!(text.ends_with("]],\n    {}\n  ],\n  \"page_size\" : 2,\n  \"revision\" : \"1-a\",\n  \"status\" : \"success\"\n}"));
    }
}
