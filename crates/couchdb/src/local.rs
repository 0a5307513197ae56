//! Local documents. CouchDB gives them revisions of their own form, and this client writes over any of them.

use datastore::{DbName, Deadline, LocalDocument};
use reqwest::Method;
use serde_json::{Map, Value};

use crate::client::Client;
use crate::error::{Error, Target};
use crate::request::{Path, Request};
use crate::rows::{Row, RowReader, Wait};
use crate::splitter::Shape;

/// How the id of a local document begins.
const BEGIN: &str = "_local/";

/// How often a write reads the revision again when others write the same local document.
const ATTEMPTS: u32 = 5;

impl Client {
    /// The local documents of a database whose name begins with `prefix`, sorted by name.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: couchdb::Client, db: datastore::DbName, by: datastore::Deadline,
    /// # ) -> Result<(), couchdb::Error> {
    /// for note in client.list_local(&db, "my-program-", by).await? {
    ///     println!("{}", note.name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `DatabaseMissing` if there is no such database.
    pub async fn list_local(
        &self,
        db: &DbName,
        prefix: &str,
        deadline: Deadline,
    ) -> Result<Vec<LocalDocument>, Error> {
        let key = |end: &str| Value::from(format!("{BEGIN}{prefix}{end}"));
        let request = Request::read(Method::GET, Path::db(db).resource("_local_docs"), Target::Database)
            .with_query("include_docs", true)
            .with_query("startkey", key(""))
            .with_query("endkey", key("\u{10ffff}"));
        let max_row_bytes = self.settings().max_row_bytes;
        let found = self.send(&request, deadline, |reply| async move {
            let (shape, wait) = (Shape::ArrayIn("rows"), Wait::Whole(deadline));
            RowReader::new(reply, shape, wait, max_row_bytes, read_local).all().await
        });
        let mut found = found.await?;
        found.retain(|document| document.name.starts_with(prefix));
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// Writes a local document over any older one of its name.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: couchdb::Client, db: datastore::DbName, by: datastore::Deadline,
    /// # ) -> Result<(), couchdb::Error> {
    /// use datastore::LocalDocument;
    ///
    /// let body = [("seq".to_owned(), "7-x".into())].into_iter().collect();
    /// client.save_local(&db, LocalDocument { name: "my-program-mark".to_owned(), body }, by).await
    /// # }
    /// ```
    ///
    /// # Errors
    /// `DatabaseMissing` if there is no such database. `Conflict` if others write the document all the time.
    pub async fn save_local(
        &self,
        db: &DbName,
        document: LocalDocument,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let LocalDocument { name, mut body } = document;
        if let Some(reserved) = body.keys().find(|member| member.starts_with('_')) {
            return Err(Error::ReservedMember(reserved.clone()));
        }
        let mut attempt = 1;
        loop {
            let request = Request::write(Method::PUT, path(db, &name)?, Target::Document)
                .with_body(Value::Object(body.clone()));
            match self.send_whole(&request, deadline).await {
                // Only a server that keeps revisions of local documents asks for the old one.
                Err(error) if error.is_conflict() && attempt < ATTEMPTS => {
                    attempt += 1;
                    match self.local_rev(db, &name, deadline).await? {
                        Some(rev) => body.insert("_rev".to_owned(), rev),
                        None => body.shift_remove("_rev"),
                    };
                }
                sent => return sent.map(drop),
            }
        }
    }

    /// Deletes a local document, if there is one of this name.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: couchdb::Client, db: datastore::DbName, by: datastore::Deadline,
    /// # ) -> Result<(), couchdb::Error> {
    /// client.delete_local(&db, "my-program-mark", by).await
    /// # }
    /// ```
    ///
    /// # Errors
    /// `DatabaseMissing` if there is no such database. `Conflict` if others write the document all the time.
    pub async fn delete_local(&self, db: &DbName, name: &str, deadline: Deadline) -> Result<(), Error> {
        let mut attempt = 1;
        loop {
            let Some(rev) = self.local_rev(db, name, deadline).await? else { return Ok(()) };
            let rev = rev.as_str().unwrap_or_default().to_owned();
            let request =
                Request::write(Method::DELETE, path(db, name)?, Target::Document).with_query("rev", rev);
            match self.send_whole(&request, deadline).await {
                Err(error) if error.is_conflict() && attempt < ATTEMPTS => attempt += 1,
                Err(Error::Missing(_) | Error::Deleted(_)) => return Ok(()),
                sent => return sent.map(drop),
            }
        }
    }

    /// The revision of a local document, as CouchDB writes it. It is no [`Rev`](datastore::Rev).
    async fn local_rev(&self, db: &DbName, name: &str, deadline: Deadline) -> Result<Option<Value>, Error> {
        let request = Request::read(Method::GET, path(db, name)?, Target::Document);
        match self.send_whole(&request, deadline).await {
            Ok(body) => Ok(body.json::<Map<String, Value>>()?.remove("_rev")),
            Err(Error::Missing(_) | Error::Deleted(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn path(db: &DbName, name: &str) -> Result<Path, Error> {
    Path::db(db).resource("_local").name(name)
}

fn read_local(row: &Row<'_>) -> Result<LocalDocument, Error> {
    row.check()?;
    let id = row.id().ok_or_else(|| row.unreadable("a local document without an id"))?;
    let name = id.as_str().strip_prefix(BEGIN).unwrap_or(id.as_str()).to_owned();
    let body = row.object().ok_or_else(|| row.unreadable("a local document without its members"))?;
    let body = body.into_iter().filter(|(member, _)| !member.starts_with('_')).collect();
    Ok(LocalDocument { name, body })
}
