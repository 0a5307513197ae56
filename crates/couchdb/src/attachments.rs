//! Attachments. New ones travel inline in the document they belong to, as CouchDB takes them.

use bytes::Bytes;
use datastore::{DbName, Deadline, DocId};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;

use crate::client::{Ask, Encoding, doc_path};
use crate::error::About;
use crate::{Client, Error};

impl Client {
    /// The bytes of one attachment, at most [`Settings::max_answer_bytes`](crate::Settings).
    ///
    /// # Errors
    /// `Missing` where the document or the attachment is not there.
    pub async fn fetch_attachment(
        &self,
        db: &DbName,
        id: &DocId,
        name: &str,
        deadline: Deadline,
    ) -> Result<Bytes, Error> {
        // To a URL library the dots are steps through the path, escaped or not.
        if matches!(name, "" | "." | "..") {
            return Err(Error::Name(format!("{id}/{name}")));
        }
        let path = format!("{}/{}", doc_path(db, id)?, utf8_percent_encode(name, NON_ALPHANUMERIC));
        let mut ask = Ask::read(Method::GET, path, About::Document);
        // CouchDB keeps text compressed; asked so it sends what was attached, with its length.
        ask.encoding = Encoding::Identity;
        Ok(self.send_whole(&ask, deadline).await?.1)
    }
}
