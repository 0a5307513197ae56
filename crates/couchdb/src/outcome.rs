//! Writes, and those whose answer was lost. A write is never sent again. The document is read back instead, and the
//! write counts as done only if the document shows it.

use std::time::Duration;

use datastore::{Backoff, DbName, Deadline, DocId, Document, Rev, json};
use serde_json::{Map, Value};
use tokio::time::sleep;

use crate::client::Client;
use crate::error::Error;
use crate::request::Request;
use crate::together::SMALL;
use crate::tombstone::DeletionId;

/// A write may take this part of the time that is left, in fifths. The rest is for reading back.
const FIFTHS_FOR_THE_WRITE: u32 = 4;

/// The pauses before the document is read once more: a write whose answer was lost may still be under way.
const PAUSES: Backoff = Backoff { first: Duration::from_millis(20), cap: Duration::from_millis(200) };

/// How many times the document is read.
const READS: u32 = 4;

/// A write of one document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write<'a> {
    pub(crate) db: &'a DbName,
    pub(crate) id: &'a DocId,
    pub(crate) request: &'a Request,
    pub(crate) wanted: Wanted<'a>,
}

impl Write<'_> {
    /// Whether it may be sent together with others.
    fn may_wait(&self) -> bool {
        let is_small = self.request.body().is_some_and(|body| body.len() <= SMALL);
        is_small && self.id.design_name().is_none()
    }
}

/// The document that a write leaves behind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted<'a> {
    /// The document in the body of the request, on top of this revision.
    Saved(Option<&'a Rev>),
    /// A tombstone on top of this revision.
    Deleted(&'a Rev, &'a DeletionId),
    /// A tombstone on top of this revision, and one on top of each other leaf.
    AllDeleted(&'a Rev, &'a DeletionId),
}

impl Client {
    /// Sends the write of one document once, and returns the new revision.
    pub(crate) async fn write(&self, write: Write<'_>, deadline: Deadline) -> Result<Rev, Error> {
        let for_the_write = deadline.remaining() / 5 * FIFTHS_FOR_THE_WRITE;
        let for_the_write = deadline.min(Deadline::after(for_the_write));
        let sent = match write.wanted {
            Wanted::Saved(_) if write.may_wait() => {
                self.send_in_turn((write.db, write.id), write.request, for_the_write).await
            }
            Wanted::Saved(_) | Wanted::Deleted(..) => {
                self.send_alone(write.db, write.request, for_the_write).await
            }
            Wanted::AllDeleted(..) => {
                let send = async |request: &Request, by| self.send_whole(request, by).await?.rev_of_all();
                self.send_everywhere(write.db, write.request, for_the_write, send).await
            }
        };
        match sent {
            Err(error) if error.leaves_the_outcome_open() => {
                log::debug!("the answer to a write was lost, the document is read back: {error}");
                self.read_back(write, deadline).await.ok_or(error)
            }
            answer => answer,
        }
    }

    /// The revision that the write has made; `None` if the document does not show that the write was done.
    async fn read_back(&self, write: Write<'_>, deadline: Deadline) -> Option<Rev> {
        for read in 1..=READS {
            let found = match write.wanted {
                Wanted::Saved(base) => self.read_back_saved(write, base, deadline).await,
                Wanted::Deleted(base, deletion) | Wanted::AllDeleted(base, deletion) => {
                    self.read_back_deleted(write, base, deletion, deadline).await
                }
            };
            match found {
                Ok(Found::Done(rev)) => return Some(rev),
                Ok(Found::Other) => return None,
                Ok(Found::NotYet) | Err(_) => {}
            }
            let pause = PAUSES.delay(read);
            if pause >= deadline.remaining() {
                return None;
            }
            sleep(pause).await;
        }
        None
    }

    async fn read_back_saved(
        &self,
        Write { db, id, request, .. }: Write<'_>,
        base: Option<&Rev>,
        deadline: Deadline,
    ) -> Result<Found, Error> {
        let stored = match self.fetch(db, id, deadline).await {
            Ok(stored) => stored,
            Err(Error::Missing(_) | Error::Deleted(_)) if base.is_none() => return Ok(Found::NotYet),
            Err(error) if error.is_not_found() => return Ok(Found::Other),
            Err(error) => return Err(error),
        };
        if base == Some(stored.rev()) {
            return Ok(Found::NotYet);
        }
        let follows =
            base.is_none_or(|base| stored.rev().generation() == base.generation().saturating_add(1));
        let is_ours = follows && request.body().is_some_and(|sent| shows(&stored, sent));
        Ok(if is_ours { Found::Done(stored.rev().clone()) } else { Found::Other })
    }

    async fn read_back_deleted(
        &self,
        Write { db, id, wanted, .. }: Write<'_>,
        base: &Rev,
        deletion: &DeletionId,
        deadline: Deadline,
    ) -> Result<Found, Error> {
        let leaves = self.leaves(db, id, deadline).await?;
        let is_enough = matches!(wanted, Wanted::Deleted(..)) || leaves.iter().all(|leaf| leaf.is_deleted);
        Ok(match leaves.iter().find(|leaf| leaf.is_of(deletion)) {
            Some(tombstone) if is_enough => Found::Done(tombstone.rev.clone()),
            Some(_) => Found::NotYet,
            None if leaves.iter().any(|leaf| leaf.rev == *base) => Found::NotYet,
            None => Found::Other,
        })
    }
}

/// The result of reading the document back.
enum Found {
    /// The write was done, with this revision.
    Done(Rev),
    /// The document is as it was before the write.
    NotYet,
    /// The document has changed in another way.
    Other,
}

/// Whether a stored document has exactly the members that were sent, beside those that belong to CouchDB.
fn shows(stored: &Document, sent: &[u8]) -> bool {
    let Ok(stored) = stored.to_object() else { return false };
    let Ok(sent) = str::from_utf8(sent) else { return false };
    let Ok(sent) = json::parse_stored_object(sent) else { return false };
    are_equal(&without_special(stored), &without_special(sent))
}

fn without_special(members: Map<String, Value>) -> Map<String, Value> {
    members.into_iter().filter(|(name, _)| !name.starts_with('_')).collect()
}

fn are_equal(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    one.len() == other.len()
        && one.iter().all(|(name, value)| other.get(name).is_some_and(|twin| is_equal(value, twin)))
}

/// CouchDB may write a number with other digits than it was sent with.
fn is_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => are_equal(one, other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_equal(one, other))
        }
        (Value::Number(number), Value::Number(twin)) => {
            number == twin || (number.as_f64().is_some() && number.as_f64() == twin.as_f64())
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use datastore::Document;

    use super::shows;

    fn check(stored: &str, sent: &str, expected: bool) {
        let stored = Document::from_text(format!("{{\"_id\":\"a\",\"_rev\":\"1-a\",{stored}}}")).unwrap();
        assert_eq!(shows(&stored, sent.as_bytes()), expected, "{stored:?} {sent}");
    }

    #[test]
    fn the_same_members_in_any_order_are_the_same_document() {
        check(r#""a":1,"b":{"c":[1,2.0,1000.0]}"#, r#"{"_rev":"0-x","b":{"c":[1,2.0,1e3]},"a":1}"#, true);
        check(r#""a":1"#, r#"{"a":1,"b":2}"#, false);
        check(r#""a":1,"b":2"#, r#"{"a":1}"#, false);
        check(r#""a":[1]"#, r#"{"a":[1,1]}"#, false);
        check(r#""a":"1""#, r#"{"a":1}"#, false);
        // As everywhere in a stored document, the first of two equal keys counts.
        check(r#""a":1,"a":2"#, r#"{"a":1}"#, true);
        check(r#""a":1,"a":2"#, r#"{"a":2}"#, false);
    }
}
