//! Local documents. CouchDB gives them revisions of their own form, and this client writes over any of them.

use datastore::{DbName, Deadline, LocalCheck, LocalDocument};
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

    /// The local document of this name, if there is one. A cluster asks several of its copies.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: couchdb::Client, db: datastore::DbName, by: datastore::Deadline,
    /// # ) -> Result<(), couchdb::Error> {
    /// if let Some(note) = client.fetch_local(&db, "my-program-mark", by).await? {
    ///     println!("{:?}", note.body);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `DatabaseMissing` if there is no such database.
    pub async fn fetch_local(
        &self,
        db: &DbName,
        name: &str,
        deadline: Deadline,
    ) -> Result<Option<LocalDocument>, Error> {
        let found = self.local_members(db, name, deadline).await?;
        Ok(found.map(|body| LocalDocument { name: name.to_owned(), body: without_reserved(body) }))
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
        self.delete_local_if(db, name, &|_| true, deadline).await.map(drop)
    }

    /// Deletes a local document if `may` agrees to what it says. A document that somebody writes meanwhile is judged
    /// again. Answers whether none is there now.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: couchdb::Client, db: datastore::DbName, by: datastore::Deadline,
    /// # ) -> Result<(), couchdb::Error> {
    /// let is_old = |note: &datastore::LocalDocument| note.body.get("seq") == Some(&"7-x".into());
    /// client.delete_local_if(&db, "my-program-mark", &is_old, by).await.map(drop)
    /// # }
    /// ```
    ///
    /// # Errors
    /// `DatabaseMissing` if there is no such database. `Conflict` if others write the document all the time.
    pub async fn delete_local_if(
        &self,
        db: &DbName,
        name: &str,
        may: LocalCheck<'_>,
        deadline: Deadline,
    ) -> Result<bool, Error> {
        let mut attempt = 1;
        loop {
            let Some(body) = self.local_members(db, name, deadline).await? else { return Ok(true) };
            let rev = body.get("_rev").and_then(Value::as_str).unwrap_or_default().to_owned();
            if !may(&LocalDocument { name: name.to_owned(), body: without_reserved(body) }) {
                return Ok(false);
            }
            let request =
                Request::write(Method::DELETE, path(db, name)?, Target::Document).with_query("rev", rev);
            match self.send_whole(&request, deadline).await {
                Err(error) if error.is_conflict() && attempt < ATTEMPTS => attempt += 1,
                Err(Error::Missing(_) | Error::Deleted(_)) => return Ok(true),
                sent => return sent.map(|_| true),
            }
        }
    }

    /// The revision of a local document, as CouchDB writes it. It is no [`Rev`](datastore::Rev).
    async fn local_rev(&self, db: &DbName, name: &str, deadline: Deadline) -> Result<Option<Value>, Error> {
        Ok(self.local_members(db, name, deadline).await?.and_then(|mut body| body.remove("_rev")))
    }

    /// The members of a local document, with CouchDB's own.
    async fn local_members(
        &self,
        db: &DbName,
        name: &str,
        deadline: Deadline,
    ) -> Result<Option<Map<String, Value>>, Error> {
        let request = Request::read(Method::GET, path(db, name)?, Target::Document);
        match self.send_whole(&request, deadline).await {
            Ok(body) => Ok(Some(body.json::<Map<String, Value>>()?)),
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
    Ok(LocalDocument { name, body: without_reserved(body) })
}

/// The members without CouchDB's own.
fn without_reserved(body: Map<String, Value>) -> Map<String, Value> {
    body.into_iter().filter(|(member, _)| !member.starts_with('_')).collect()
}
