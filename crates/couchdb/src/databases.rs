//! Databases: created at nobody's word but the caller's.

use datastore::{Created, DbName, Deadline};
use reqwest::Method;

use crate::client::{Ask, db_path};
use crate::error::About;
use crate::{Client, Error};

impl Client {
    /// Creates a database unless it is there.
    ///
    /// # Errors
    /// What CouchDB answers; `Unauthorized` where we are no administrator.
    pub async fn create_db(&self, db: &DbName, deadline: Deadline) -> Result<Created, Error> {
        let ask = Ask::write(Method::PUT, db_path(db), About::Database);
        match self.send_whole(&ask, deadline).await {
            Ok(_) => Ok(Created::Now),
            Err(error) if error.status() == Some(412) => Ok(Created::Before),
            Err(error) => Err(error),
        }
    }

    /// Creates a database if it is not there, and needs no administrator where it is.
    ///
    /// # Errors
    /// As [`Client::db_exists`] and [`Client::create_db`].
    pub async fn ensure_db(&self, db: &DbName, deadline: Deadline) -> Result<Created, Error> {
        if self.db_exists(db, deadline).await? {
            return Ok(Created::Before);
        }
        self.create_db(db, deadline).await
    }

    /// Whether there is such a database: yes and no are what CouchDB itself says. That it refuses us,
    /// cannot serve, or that a proxy answers in its place, is an error.
    ///
    /// # Errors
    /// Whatever is neither yes nor no.
    pub async fn db_exists(&self, db: &DbName, deadline: Deadline) -> Result<bool, Error> {
        // Not HEAD: a 404 without a body might be anybody's.
        let ask = Ask::read(Method::GET, db_path(db), About::Database);
        match self.send_whole(&ask, deadline).await {
            Ok(_) => Ok(true),
            Err(Error::DatabaseMissing(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes a database with all that is in it.
    ///
    /// # Errors
    /// `DatabaseMissing` where it is not there.
    pub async fn delete_db(&self, db: &DbName, deadline: Deadline) -> Result<(), Error> {
        let ask = Ask::write(Method::DELETE, db_path(db), About::Database);
        self.send_whole(&ask, deadline).await.map(|_| ())
    }

    /// The names of all databases, sorted; those that no [`DbName`] can have (`_users`) are left out.
    ///
    /// # Errors
    /// What CouchDB answers.
    pub async fn list_dbs(&self, deadline: Deadline) -> Result<Vec<DbName>, Error> {
        let ask = Ask::read(Method::GET, "/_all_dbs".to_owned(), About::Database);
        let names: Vec<String> = self.ask_json(&ask, deadline).await?;
        let mut names: Vec<_> = names.iter().filter_map(|name| DbName::parse(name).ok()).collect();
        names.sort();
        Ok(names)
    }
}
