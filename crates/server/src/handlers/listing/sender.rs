//! Sends a listing while it is read. The rows are read and written in the lane; the connection takes the bytes
//! when its client is ready for them. At most two blocks wait.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use datastore::JsonText;
use fair::Breaks;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use groups::{Cursor, GroupsError, ListedRows};
use tokio::sync::mpsc;

use super::csv_rows;
use crate::answer::{ListingWriter, Pace, Paging, csv, in_memory};
use crate::lane::Share;
use crate::reading::Reading;

/// A block is sent when it has this many bytes.
const BLOCK: usize = 32 * 1024;

/// A row is written in parts of this many bytes, so that a large one does not make a large block.
const PART: usize = 16 * 1024;

/// Writes rows and hands the bytes on.
pub(super) struct Sender {
    request_id: String,
    form: Form,
    breaks: Breaks,
}

/// The form of a listing.
pub(super) enum Form {
    /// JSON, at this pace.
    Json(Box<ListingWriter>, Pace),
    /// CSV, the bytes that are ready to be sent, and the memory for the row that is written.
    Csv(csv::Lines, Vec<u8>, Arc<Reading>),
}

impl Form {
    /// CSV with these columns.
    pub(super) fn csv(columns: csv::Columns, work: Arc<Reading>) -> Self {
        let mut ready = Vec::new();
        let lines = in_memory(csv::Lines::begin(columns, &mut ready));
        Self::Csv(lines, ready, work)
    }
}

type Blocks = mpsc::Sender<io::Result<Bytes>>;

/// Why a listing broke off.
enum BrokenOff {
    /// The store failed.
    Store(GroupsError),
    /// The bytes could not be written.
    Unwritable(io::Error),
    /// Nobody takes the bytes any more.
    ClientGone,
}

impl Sender {
    pub(super) fn new(request_id: String, form: Form) -> Self {
        Self { request_id, form, breaks: Breaks::default() }
    }

    /// The bytes of a listing: the rows that were read already, then the others. `paging` makes the members about
    /// paging from the number of rows and the next start key. If the store fails, the stream ends with an
    /// error, which ends the connection. The client sees that something is missing.
    pub(super) fn send(
        self,
        lane: &Share,
        first: ListedRows,
        rest: Cursor,
        paging: impl FnOnce(u64, Option<&str>) -> Paging + Send + 'static,
    ) -> BoxStream<'static, io::Result<Bytes>> {
        let (blocks, received) = mpsc::channel(1);
        let task = lane.spawn(async move {
            let mut sender = self;
            let sent = sender.send_all(&blocks, first, rest, paging).await;
            let request_id = sender.request_id.as_str();
            match sent {
                Ok(()) | Err(BrokenOff::ClientGone) => return,
                // The status has been sent, so the missing end must tell the client.
                Err(BrokenOff::Store(error)) => {
                    log::error!(request_id; "a listing broke off: {}", crate::chain(&error));
                }
                Err(BrokenOff::Unwritable(error)) => log::error!(request_id; "a listing broke off: {error}"),
            }
            // If the client has gone too, nobody needs the error.
            let _ = blocks.send(Err(io::Error::other("the listing broke off"))).await;
        });
        stream::unfold((received, task), |(mut received, task)| async move {
            received.recv().await.map(|block| (block, (received, task)))
        })
        .boxed()
    }

    async fn send_all(
        &mut self,
        blocks: &Blocks,
        first: ListedRows,
        mut rest: Cursor,
        paging: impl FnOnce(u64, Option<&str>) -> Paging,
    ) -> Result<(), BrokenOff> {
        let mut rows = 0_u64;
        for row in first.iter() {
            self.send_row(blocks, row).await?;
            rows += 1;
        }
        while let Some(row) = rest.next().await.map_err(BrokenOff::Store)? {
            self.send_row(blocks, &row).await?;
            rows += 1;
        }
        if let Form::Json(writer, _) = &mut self.form {
            writer.finish(paging(rows, rest.next_start_key())).map_err(BrokenOff::Unwritable)?;
        }
        self.flush(blocks).await
    }

    async fn send_row(&mut self, blocks: &Blocks, row: &JsonText) -> Result<(), BrokenOff> {
        self.breaks.after(row.get().len()).await;
        match &mut self.form {
            Form::Csv(lines, ready, work) => {
                let row = csv_rows::parse(row, work).await.map_err(|error| BrokenOff::Store(error.into()))?;
                lines.write(&row, ready).map_err(BrokenOff::Unwritable)?;
                // Its values do not wait for the client beside its text.
                drop(row);
                if ready.len() >= BLOCK {
                    self.flush(blocks).await?;
                }
                Ok(())
            }
            Form::Json(writer, pace) => {
                let pace = *pace;
                let row = row.get();
                writer.begin_row(row).map_err(BrokenOff::Unwritable)?;
                for part in row.as_bytes().chunks(PART) {
                    writer.write_row_part(part).map_err(BrokenOff::Unwritable)?;
                    if pace == Pace::InBlocks && writer.ready() >= BLOCK {
                        send(blocks, writer.take()).await?;
                        self.breaks.after(BLOCK).await;
                    }
                }
                writer.end_row();
                match pace {
                    Pace::InBlocks => Ok(()),
                    Pace::RowByRow => send(blocks, writer.take()).await,
                }
            }
        }
    }

    async fn flush(&mut self, blocks: &Blocks) -> Result<(), BrokenOff> {
        let ready = match &mut self.form {
            Form::Json(writer, _) => writer.take(),
            Form::Csv(_, ready, _) => std::mem::take(ready).into(),
        };
        send(blocks, ready).await
    }
}

async fn send(blocks: &Blocks, block: Bytes) -> Result<(), BrokenOff> {
    blocks.send(Ok(block)).await.map_err(|_| BrokenOff::ClientGone)
}
