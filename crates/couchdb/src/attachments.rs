//! Reads attachments. New ones are saved with their document, in its `_attachments` member.

use bytes::Bytes;
use datastore::{DbName, Deadline, DocId};
use reqwest::Method;

use crate::client::Client;
use crate::error::{Error, Target};
use crate::request::{Path, Request};

impl Client {
    /// The bytes of one attachment, at most [`Settings::max_attachment_bytes`](crate::Settings).
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: couchdb::Client, db: datastore::DbName, by: datastore::Deadline,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// use datastore::DocId;
    ///
    /// let key = client.fetch_attachment(&db, &DocId::parse("system_key")?, "private_key.pem", by).await?;
    /// println!("{} bytes", key.len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Missing` if the document or the attachment does not exist.
    pub async fn fetch_attachment(
        &self,
        db: &DbName,
        id: &DocId,
        name: &str,
        deadline: Deadline,
    ) -> Result<Bytes, Error> {
        // CouchDB stores text compressed. Uncompressed it sends the original bytes and their length.
        let path = Path::doc(db, id)?.name(name)?;
        let request = Request::read(Method::GET, path, Target::Document).uncompressed();
        let max_bytes = self.settings().max_attachment_bytes;
        Ok(self.send_up_to(max_bytes, &request, deadline).await?.into_bytes())
    }
}
