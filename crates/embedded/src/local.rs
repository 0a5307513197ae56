//! Local documents: rows of a table of their own, without revisions, sequences or view rows.

use datastore::{Cause, DbName, Deadline, LocalCheck, LocalDocument, StoreError, json};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::embedded::Inner;
use crate::error::{SqliteResult, invalid};
use crate::write_queue::Turn;

/// The local documents of a database whose names begin with `prefix`.
pub(crate) fn list(connection: &Connection, db: i64, prefix: &str) -> Result<Vec<LocalDocument>, StoreError> {
    const WHAT: &str = "reading local documents";
    let mut statement = connection
        .prepare_cached("SELECT name, text FROM local WHERE db = ?1 AND name >= ?2 ORDER BY name")
        .during(WHAT)?;
    let mut rows = statement.query(params![db, prefix]).during(WHAT)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().during(WHAT)? {
        let name: String = row.get(0).during(WHAT)?;
        if !name.starts_with(prefix) {
            break;
        }
        found.push(parse(name, &row.get::<_, String>(1).during(WHAT)?)?);
    }
    Ok(found)
}

/// The text of a local document, if there is one of this name.
fn read(connection: &Connection, db: i64, name: &str) -> Result<Option<String>, StoreError> {
    let what = "reading a local document";
    let mut statement =
        connection.prepare_cached("SELECT text FROM local WHERE db = ?1 AND name = ?2").during(what)?;
    statement.query_row(params![db, name], |row| row.get(0)).optional().during(what)
}

fn parse(name: String, text: &str) -> Result<LocalDocument, StoreError> {
    match json::parse_stored_object(text) {
        Ok(body) => Ok(LocalDocument { name, body }),
        Err(error) => Err(StoreError::Corrupt(Cause::with_source(format!("local document {name}"), error))),
    }
}

impl Inner {
    /// Writes a local document over any older one of its name.
    pub(crate) async fn save_local(
        &self,
        db: &DbName,
        document: LocalDocument,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let LocalDocument { name, body } = document;
        if let Some(reserved) = body.keys().find(|member| member.starts_with('_')) {
            return Err(invalid(format!("the member {reserved} begins with _")));
        }
        let text = serde_json::Value::Object(body).to_string();
        let sql = "INSERT INTO local (db, name, text) VALUES (?1, ?2, ?3)
                   ON CONFLICT (db, name) DO UPDATE SET text = excluded.text";
        self.write_local(db, sql, vec![name, text], deadline).await
    }

    /// The local document of this name, if there is one.
    pub(crate) fn fetch_local(
        &self,
        db: &DbName,
        name: &str,
        deadline: Deadline,
    ) -> Result<Option<LocalDocument>, StoreError> {
        let text = self.local_text(db, name, deadline)?;
        text.map(|text| parse(name.to_owned(), &text)).transpose()
    }

    fn local_text(&self, db: &DbName, name: &str, deadline: Deadline) -> Result<Option<String>, StoreError> {
        self.begin(deadline)?;
        let db = self.catalogue.load(db)?;
        self.readers.with(|connection| read(connection, db.id, name))
    }

    /// Deletes a local document if `may` agrees to what it says. One that is written meanwhile is judged again.
    pub(crate) async fn delete_local_if(
        &self,
        db: &DbName,
        name: &str,
        may: LocalCheck<'_>,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        while let Some(text) = self.local_text(db, name, deadline)? {
            if !may(&parse(name.to_owned(), &text)?) {
                return Ok(false);
            }
            let sql = "DELETE FROM local WHERE db = ?1 AND name = ?2 AND text = ?3";
            self.write_local(db, sql, vec![name.to_owned(), text], deadline).await?;
        }
        Ok(true)
    }

    async fn write_local(
        &self,
        db: &DbName,
        sql: &'static str,
        texts: Vec<String>,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.begin(deadline)?;
        let (turn, name) = (Turn::of(self.catalogue.load(db)?.id), db.clone());
        self.writer
            .run(turn, deadline, move |transaction| {
                // The database may have been deleted while the job waited.
                let db = transaction.catalogue.load(&name)?;
                let mut statement =
                    transaction.connection.prepare_cached(sql).during("writing a local document")?;
                let texts = texts.iter().map(|text| rusqlite::types::Value::from(text.clone()));
                let values = std::iter::once(rusqlite::types::Value::from(db.id)).chain(texts);
                let written = statement.execute(rusqlite::params_from_iter(values));
                written.map(drop).during("writing a local document")
            })
            .await
    }
}
