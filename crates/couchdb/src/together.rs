//! Sends writes of one database together that arrive while others are under way. A write that waits too long does not
//! wait any more, so a request that hangs holds up no other.

use std::time::Duration;

use bytes::Bytes;
use datastore::{DbName, Deadline, DocId, Rev};
use reqwest::Method;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::batches::{Begun, Told, Waiting};
use crate::client::Client;
use crate::error::{Error, Target};
use crate::request::{Path, Request};

/// How long a write waits for another one to end.
const PATIENCE: Duration = Duration::from_millis(100);

/// A larger document, in bytes, does not wait for others. Nor do others wait for its transfer.
pub(crate) const SMALL: usize = 16 * 1024;

/// One of the requests of a database that are under way.
struct UnderWay {
    client: Client,
    db: DbName,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let next = self.client.batches().end(&self.db);
        Self::spawn(&self.client, &self.db, next);
    }
}

impl UnderWay {
    /// Sends the writes of a request that was begun. It runs in a task of its own: a caller that goes away must not
    /// take the writes of others along.
    fn spawn(client: &Client, db: &DbName, batch: Vec<Waiting>) {
        // Without a runtime, those who wait are told so, because their writes are dropped.
        let Ok(runtime) = Handle::try_current() else { return };
        if !batch.is_empty() {
            let under_way = Self { client: client.clone(), db: db.clone() };
            runtime.spawn(async move { under_way.send(batch).await });
        }
    }

    /// Sends writes together, and tells each what became of it.
    async fn send(&self, batch: Vec<Waiting>) {
        let Some(deadline) = batch.iter().map(|waiting| waiting.deadline).max() else { return };
        let request =
            Request::write(Method::POST, Path::db(&self.db).resource("_bulk_docs"), Target::Database)
                .with_text(body(&batch))
                .writing(batch.len());
        let sent = self.client.send_everywhere(&self.db, &request, deadline, async |request, by| {
            self.client.send_whole(request, by).await?.revs(batch.len())
        });
        match sent.await {
            Ok(revs) => {
                batch.into_iter().zip(revs).for_each(|(waiting, rev)| waiting.tell(Told::Answer(rev)));
            }
            Err(error) => {
                for waiting in batch {
                    let open = error.leaves_the_outcome_open().then(|| error.for_another());
                    waiting.tell(open.map_or(Told::SendAlone, |error| Told::Answer(Err(error))));
                }
            }
        }
    }
}

/// The body of a request that writes several documents.
fn body(batch: &[Waiting]) -> Bytes {
    let mut body = b"{\"docs\":[".to_vec();
    for (number, waiting) in batch.iter().enumerate() {
        if number > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&waiting.document);
    }
    body.extend_from_slice(b"]}");
    body.into()
}

/// A document with its id, from the text of its other members.
fn with_id(id: &DocId, document: &[u8]) -> Vec<u8> {
    let mut text = b"{\"_id\":".to_vec();
    text.extend_from_slice(serde_json::Value::from(id.as_str()).to_string().as_bytes());
    let members = document.get(1..).unwrap_or_default();
    if members != b"}" {
        text.push(b',');
    }
    text.extend_from_slice(members);
    text
}

impl Client {
    /// Sends the save of a small document, perhaps together with others of its database.
    pub(crate) async fn send_in_turn(
        &self,
        (db, id): (&DbName, &DocId),
        request: &Request,
        deadline: Deadline,
    ) -> Result<Rev, Error> {
        let document = || with_id(id, request.body().unwrap_or(b"{}"));
        let (number, mut answer) = match self.batches().begin(db, deadline, document) {
            Begun::AtOnce => {
                let _under_way = UnderWay { client: self.clone(), db: db.clone() };
                return self.send_alone(db, request, deadline).await;
            }
            Begun::Later(number, answer) => (number, answer),
        };
        let call = || request.call(&self.nodes().preferred().1.url);
        let told = match timeout(PATIENCE.min(deadline.remaining()), &mut answer).await {
            Ok(told) => told,
            Err(_) => {
                UnderWay::spawn(self, db, self.batches().hurry(db, number));
                let told = timeout(deadline.remaining(), answer).await;
                told.map_err(|_| Error::DeadlineExceeded(call()))?
            }
        };
        match told {
            Ok(Told::Answer(answer)) => answer,
            Ok(Told::SendAlone) => self.send_alone(db, request, deadline).await,
            Err(_) => Err(Error::no_answer(call(), "the runtime that sent the write has ended")),
        }
    }
}

#[cfg(test)]
mod tests {
    use datastore::DocId;

    use super::with_id;

    #[test]
    fn the_id_is_one_more_member() {
        for (id, document, expected) in [
            ("a", "{}", r#"{"_id":"a"}"#),
            ("a", r#"{"b":1}"#, r#"{"_id":"a","b":1}"#),
            ("a\"\\é", r#"{"b":{}}"#, r#"{"_id":"a\"\\é","b":{}}"#),
        ] {
            let text = with_id(&DocId::parse(id).unwrap(), document.as_bytes());
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }
}
