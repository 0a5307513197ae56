//! Sends a listing while it is read. The rows are read and written in the lane; the connection takes the bytes
//! when its client is ready for them. At most two blocks wait.

use std::io;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use groups::{Cursor, GroupsError};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::answer::{ListingWriter, Pace, Paging};
use crate::lane::Lane;

/// A block is sent when it has this many bytes.
const BLOCK: usize = 32 * 1024;

/// A row is written in parts of this many bytes, so that a large one does not make a large block.
const PART: usize = 16 * 1024;

/// Writes rows and hands the bytes on.
pub(super) struct Sender {
    writer: ListingWriter,
    pace: Pace,
}

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
    pub(super) fn new(writer: ListingWriter, pace: Pace) -> Self {
        Self { writer, pace }
    }

    /// The bytes of a listing: the rows that were read already, then the others. `paging` makes the members about
    /// paging from the number of rows and the next start key. If the store fails, the stream ends with an
    /// error, which ends the connection. The client sees that something is missing.
    pub(super) fn send(
        self,
        lane: &Lane,
        first: Vec<Box<RawValue>>,
        rest: Cursor,
        paging: impl FnOnce(u64, Option<&str>) -> Paging + Send + 'static,
    ) -> BoxStream<'static, io::Result<Bytes>> {
        let (blocks, received) = mpsc::channel(1);
        let task = lane.spawn(async move {
            let mut sender = self;
            let sent = sender.send_all(&blocks, first, rest, paging).await;
            let request_id = sender.writer.request_id();
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
        blocks: &mpsc::Sender<io::Result<Bytes>>,
        first: Vec<Box<RawValue>>,
        mut rest: Cursor,
        paging: impl FnOnce(u64, Option<&str>) -> Paging,
    ) -> Result<(), BrokenOff> {
        let mut rows = 0_u64;
        for row in first {
            self.send_row(blocks, &row).await?;
            rows += 1;
        }
        while let Some(row) = rest.next().await.map_err(BrokenOff::Store)? {
            self.send_row(blocks, &row).await?;
            rows += 1;
        }
        self.writer.finish(paging(rows, rest.next_start_key())).map_err(BrokenOff::Unwritable)?;
        self.flush(blocks).await
    }

    async fn send_row(
        &mut self,
        blocks: &mpsc::Sender<io::Result<Bytes>>,
        row: &RawValue,
    ) -> Result<(), BrokenOff> {
        let row = row.get();
        self.writer.begin_row(row).map_err(BrokenOff::Unwritable)?;
        for part in row.as_bytes().chunks(PART) {
            self.writer.write_row_part(part).map_err(BrokenOff::Unwritable)?;
            if self.pace == Pace::InBlocks && self.writer.ready() >= BLOCK {
                self.flush(blocks).await?;
            }
        }
        self.writer.end_row();
        match self.pace {
            Pace::InBlocks => Ok(()),
            Pace::RowByRow => self.flush(blocks).await,
        }
    }

    async fn flush(&mut self, blocks: &mpsc::Sender<io::Result<Bytes>>) -> Result<(), BrokenOff> {
        blocks.send(Ok(self.writer.take())).await.map_err(|_| BrokenOff::ClientGone)
    }
}
