//! The rows of a listing that are read before anything is sent.

use groups::{Cursor, GroupsError, ListQuery, ListedRows};

use crate::answer::csv;

/// A listing with more rows than fit in this many bytes is sent while it is read. CouchDB takes about 30 ms to send so
/// many rows, and the client waits that long for the first byte.
pub(super) const BUFFERED: usize = 128 * 1024;

/// A listing that has to be read twice if it is not held has this many bytes of rows at most.
pub(super) const BUFFERED_WHOLE: usize = 256 * 1024;

/// The rest of the listing after the rows that were read.
pub(super) enum End {
    /// There are no more rows on this page. The group id is the first of the next page.
    Known(Option<String>),
    /// The other rows are sent while they are read.
    Unread(Box<Cursor>),
    /// For CSV: there are more rows than fit into memory. They have these columns, and are read again.
    ReadAgain(csv::Columns, Box<ListQuery>),
}

/// Reads rows until there are no more, or until they have more than `most` bytes.
pub(super) async fn gather(mut cursor: Cursor, most: usize) -> Result<(ListedRows, End), GroupsError> {
    if let Some((rows, next)) = cursor.page_at_hand().filter(|(rows, _)| rows.bytes() <= most) {
        return Ok((rows, End::Known(next.map(str::to_owned))));
    }
    let (mut rows, mut size) = (Vec::new(), 0_usize);
    while let Some(row) = cursor.next().await? {
        size = size.saturating_add(row.get().len());
        rows.push(row);
        if size > most {
            return Ok((rows.into(), End::Unread(Box::new(cursor))));
        }
    }
    let next_start_key = cursor.next_start_key().map(str::to_owned);
    Ok((rows.into(), End::Known(next_start_key)))
}
