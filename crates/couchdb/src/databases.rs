//! Databases. One is created only when the caller asks.

use datastore::{Created, DbName, Deadline};
use reqwest::Method;

use crate::client::Client;
use crate::error::{Error, Target};
use crate::request::{Path, Request};

impl Client {
    /// Creates a database if it does not exist.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: couchdb::Client, db: datastore::DbName, by: datastore::Deadline,
    /// # ) -> Result<(), couchdb::Error> {
    /// use datastore::Created;
    ///
    /// if client.create_db(&db, by).await? == Created::Now {
    ///     println!("{db} is new");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Unauthorized` if the user is not an administrator.
    pub async fn create_db(&self, db: &DbName, deadline: Deadline) -> Result<Created, Error> {
        let request = Request::write(Method::PUT, Path::db(db), Target::Database);
        match self.send_whole(&request, deadline).await {
            Ok(_) => Ok(Created::Now),
            Err(error) if error.is_conflict() => Ok(Created::Before),
            Err(error) => Err(error),
        }
    }

    /// Whether a database exists. Only CouchDB itself can say yes or no. If it refuses the user, cannot
    /// serve, or a proxy answers in its place, that is an error.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: couchdb::Client, db: datastore::DbName, by: datastore::Deadline,
    /// # ) -> Result<(), couchdb::Error> {
    /// if !client.db_exists(&db, by).await? {
    ///     println!("{db} does not exist");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Every answer but yes and no.
    pub async fn db_exists(&self, db: &DbName, deadline: Deadline) -> Result<bool, Error> {
        // Not HEAD: a 404 without a body could come from any program.
        let request = Request::read(Method::GET, Path::db(db), Target::Database);
        match self.send_whole(&request, deadline).await {
            Ok(_) => Ok(true),
            Err(Error::DatabaseMissing(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes a database and everything in it.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: couchdb::Client, db: datastore::DbName, by: datastore::Deadline,
    /// # ) -> Result<(), couchdb::Error> {
    /// client.delete_db(&db, by).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `DatabaseMissing` if it does not exist.
    pub async fn delete_db(&self, db: &DbName, deadline: Deadline) -> Result<(), Error> {
        let request = Request::write(Method::DELETE, Path::db(db), Target::Database);
        self.send_whole(&request, deadline).await.map(|_| ())
    }

    /// The names of all databases, sorted. It leaves out names that a [`DbName`] cannot have (`_users`).
    ///
    /// ```no_run
    /// # async fn example(client: couchdb::Client, by: datastore::Deadline) -> Result<(), couchdb::Error> {
    /// for db in client.list_dbs(by).await? {
    ///     println!("{db}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Unauthorized` if the user may not list databases.
    pub async fn list_dbs(&self, deadline: Deadline) -> Result<Vec<DbName>, Error> {
        let request = Request::read(Method::GET, Path::server("_all_dbs"), Target::Database);
        let names: Vec<String> = self.send_whole(&request, deadline).await?.json()?;
        let mut names: Vec<_> = names.iter().filter_map(|name| DbName::parse(name).ok()).collect();
        names.sort();
        Ok(names)
    }
}
