//! How much memory the work on a request takes. These are estimates, made before the work is done. They are
//! about twice what was measured for large requests (`docs/reliability.md`, the rows `flags-violations`,
//! `patch-large` and `get-large-gzip`), so that the process needs less than its budget.

use bytes::Bytes;

use crate::request::content_type::ContentType;

/// For each byte of JSON that is read into values and stored: its text, its values, the text for the store, what
/// the views need, and the answer.
const PER_PARSED_BYTE: usize = 10;

/// For each value in a body, besides its bytes: its place in a list or an object.
const PER_VALUE: usize = 320;

/// For each byte of a stored document that is read: the document, its public part, and the answer.
pub(crate) const PER_DOCUMENT_BYTE: usize = 8;

/// For each byte of a stored document that is only looked at: its text on the way here, and the places of its members.
pub(crate) const PER_CHECKED_BYTE: usize = 4;

/// For each byte of a page of rows that a listing reads from the store: the rows, and a large one on its way here.
pub(crate) const PER_ROW_BYTE: usize = 3;

/// For each byte of an answer that is ready and waits for its client.
const PER_ANSWER_BYTE: usize = 2;

/// For a listing that is sent while it is read, besides the page of rows: the first rows, the chunks on their way, and
/// the compressor.
pub(crate) const STREAM: usize = 512 * 1024;

/// Reading a body and doing what it asks for.
pub(crate) fn of_body(body: &Bytes, content_type: &ContentType) -> usize {
    match content_type {
        ContentType::Json | ContentType::Form | ContentType::Multipart { .. } => of_parsed(body),
        ContentType::Base64 | ContentType::File { .. } => body.len().saturating_mul(2),
    }
}

/// Reading a document of this size and answering with it.
pub(crate) fn of_document(bytes: usize) -> usize {
    bytes.saturating_mul(PER_DOCUMENT_BYTE)
}

/// Reading a document, changing it and saving it.
pub(crate) fn of_change(document: &str) -> usize {
    of_parsed(document.as_bytes())
}

/// Reading JSON into values, and writing them again.
pub(crate) fn of_parsed(json: &[u8]) -> usize {
    let of_values = count_values(json).saturating_mul(PER_VALUE);
    json.len().saturating_mul(PER_PARSED_BYTE).saturating_add(of_values)
}

/// Sending an answer of this size.
pub(crate) fn of_answer(bytes: usize) -> usize {
    bytes.saturating_mul(PER_ANSWER_BYTE)
}

/// At least as many as the JSON values in a text, and not more than the reader accepts.
fn count_values(text: &[u8]) -> usize {
    memchr::memchr3_iter(b',', b'[', b'{', text).count().saturating_add(1).min(datastore::json::MAX_VALUES)
}
