//! Documents, one by one and in bulk. A write names the revision that it is based on and is sent once.

use bytes::Bytes;
use datastore::{DbName, Deadline, DocId, Document, Draft, Rev};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::client::{Ask, db_path, doc_path};
use crate::error::About;
use crate::{Call, Client, Error};

impl Client {
    /// The newest revision of a document.
    ///
    /// # Errors
    /// `Missing`, `Deleted` or `DatabaseMissing` where it is not there.
    pub async fn fetch(&self, db: &DbName, id: &DocId, deadline: Deadline) -> Result<Document, Error> {
        let ask = Ask::read(Method::GET, doc_path(db, id)?, About::Document);
        let (_, body) = self.send_whole(&ask, deadline).await?;
        document(&self.call(&ask), &body)
    }

    /// The newest revision of a document, unless that is `known` (`If-None-Match`): then `None`, and the
    /// document does not travel.
    ///
    /// # Errors
    /// As [`Client::fetch`].
    pub async fn fetch_unless(
        &self,
        db: &DbName,
        id: &DocId,
        known: &Rev,
        deadline: Deadline,
    ) -> Result<Option<Document>, Error> {
        let mut ask = Ask::read(Method::GET, doc_path(db, id)?, About::Document);
        ask.if_none_match = Some(format!("\"{known}\""));
        let (status, body) = self.send_whole(&ask, deadline).await?;
        if status == 304 {
            return Ok(None);
        }
        document(&self.call(&ask), &body).map(Some)
    }

    /// Several documents in one round trip, in the order asked for, each with a result of its own.
    ///
    /// # Errors
    /// Of the whole call, `DatabaseMissing` for one.
    pub async fn fetch_many(
        &self,
        db: &DbName,
        ids: &[DocId],
        deadline: Deadline,
    ) -> Result<Vec<Result<Document, Error>>, Error> {
        let mut ask = Ask::read(Method::POST, format!("{}/_all_docs", db_path(db)), About::Database);
        let keys: Vec<_> = ids.iter().map(DocId::as_str).collect();
        ask.query.push(("include_docs", "true".to_owned()));
        ask.body = Some(json_body(&json!({ "keys": keys })));
        let found = self.send_keyed(&ask, deadline).await?;
        if found.len() != ids.len() {
            let what = format!("{} rows for {} documents", found.len(), ids.len());
            return Err(Error::unreadable(&self.call(&ask), what));
        }
        Ok(found)
    }

    /// Writes a document and answers its new revision. Sent once: after
    /// [`Error::Transport`] and [`Error::DeadlineExceeded`] it is unknown whether it was written.
    ///
    /// # Errors
    /// `Conflict` where the base is not the newest revision; `TooLarge`, `Forbidden`, `Invalid`.
    pub async fn save(&self, db: &DbName, draft: Draft, deadline: Deadline) -> Result<Rev, Error> {
        let mut ask = Ask::write(Method::PUT, doc_path(db, &draft.id)?, About::Document);
        ask.body = Some(json_body(&Value::Object(body_of(draft, Ids::InPath)?)));
        self.ask_rev(&ask, deadline).await
    }

    /// Writes several documents in one round trip, each by itself.
    ///
    /// # Errors
    /// Of the whole call; each document has a result of its own, in the order given.
    pub async fn save_many(
        &self,
        db: &DbName,
        drafts: Vec<Draft>,
        deadline: Deadline,
    ) -> Result<Vec<Result<Rev, Error>>, Error> {
        let mut ask = Ask::write(Method::POST, format!("{}/_bulk_docs", db_path(db)), About::Database);
        let bodies: Vec<_> = drafts.into_iter().map(|draft| body_of(draft, Ids::InBody)).collect();
        let docs: Vec<_> = bodies.iter().filter_map(|body| body.as_ref().ok()).collect();
        ask.body = Some(json_body(&json!({ "docs": docs })));
        let call = self.call(&ask);
        let rows: Vec<Map<String, Value>> = self.ask_json(&ask, deadline).await?;
        if rows.len() != docs.len() {
            let what = format!("{} rows for {} documents", rows.len(), docs.len());
            return Err(Error::unreadable(&call, what));
        }
        let mut answers = rows.iter().map(|row| match row.get("error") {
            Some(error) => Err(Error::refused_inside(&call, Some(error), row.get("reason"))),
            None => rev_in(&call, row),
        });
        let no_row = || Error::unreadable(&call, "a row is missing");
        Ok(bodies
            .into_iter()
            .map(|body| body.and_then(|_| answers.next().unwrap_or_else(|| Err(no_row()))))
            .collect())
    }

    /// Deletes a document and answers the revision of its tombstone.
    ///
    /// # Errors
    /// `Conflict` where `base` is not the newest revision, `Missing` or `Deleted` where nothing is there.
    pub async fn delete(
        &self,
        db: &DbName,
        id: &DocId,
        base: &Rev,
        deadline: Deadline,
    ) -> Result<Rev, Error> {
        let mut ask = Ask::write(Method::DELETE, doc_path(db, id)?, About::Document);
        ask.query.push(("rev", base.to_string()));
        self.ask_rev(&ask, deadline).await
    }

    async fn ask_rev(&self, ask: &Ask, deadline: Deadline) -> Result<Rev, Error> {
        let answer: Map<String, Value> = self.ask_json(ask, deadline).await?;
        rev_in(&self.call(ask), &answer)
    }

    /// Asks and reads the answer as JSON.
    pub(crate) async fn ask_json<T>(&self, ask: &Ask, deadline: Deadline) -> Result<T, Error>
    where
        T: for<'de> serde::Deserialize<'de>,
    {
        let (_, body) = self.send_whole(ask, deadline).await?;
        serde_json::from_slice(&body).map_err(|error| Error::unreadable(&self.call(ask), error))
    }

    /// How an ask shows in errors.
    pub(crate) fn call(&self, ask: &Ask) -> Call {
        Call { method: ask.method.clone(), url: format!("{}{}", self.settings().url.base(), ask.path) }
    }
}

/// Where a document's id stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ids {
    InPath,
    InBody,
}

/// The object that CouchDB takes for a draft. Members that begin with `_` are CouchDB's own and some of
/// them have effects (`_deleted`): only attachments are the caller's.
fn body_of(draft: Draft, ids: Ids) -> Result<Map<String, Value>, Error> {
    let mut body = Map::new();
    if ids == Ids::InBody {
        body.insert("_id".to_owned(), draft.id.as_str().into());
    }
    if let Some(base) = &draft.base {
        body.insert("_rev".to_owned(), base.as_str().into());
    }
    for (name, value) in draft.body {
        match name.as_str() {
            "_id" | "_rev" => continue,
            "_attachments" => {}
            other if other.starts_with('_') => return Err(Error::Member(name)),
            _ => {}
        }
        body.insert(name, value);
    }
    Ok(body)
}

pub(crate) fn json_body(value: &Value) -> Bytes {
    value.to_string().into()
}

fn rev_in(call: &Call, answer: &Map<String, Value>) -> Result<Rev, Error> {
    let rev = answer.get("rev").and_then(Value::as_str).and_then(|rev| Rev::parse(rev).ok());
    rev.ok_or_else(|| Error::unreadable(call, "no revision in the answer"))
}

fn document(call: &Call, body: &[u8]) -> Result<Document, Error> {
    let text = std::str::from_utf8(body).map_err(|error| Error::unreadable(call, error))?;
    Document::from_text(text.trim_end()).map_err(|error| Error::unreadable(call, error))
}
