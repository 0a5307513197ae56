//! The schema of groups: Kazoo's own, which is built in, or the one that an operator has stored in its place, in
//! `system_schemas`. If a stored one cannot be used, the log says so once, and the built-in one counts.

use std::sync::Arc;
use std::time::Duration;

use datastore::{Deadline, DocId, Document, Latest, Result, Rev, Store, if_found};
use kazoo::{SystemDb, is_deleted};
use validation::{Schema, SchemaError};

use crate::document::public_members;

/// How long a schema counts where the store does not learn of changes, and how long its absence does.
const PRESENT: Duration = Duration::from_secs(60);
const ABSENT: Duration = Duration::from_secs(5);

/// The schema that groups are validated by, and where it comes from.
pub struct LoadedSchema {
    /// The schema.
    pub schema: Schema,
    /// Where it comes from.
    pub source: SchemaSource,
}

/// Where the schema of groups comes from.
#[derive(Debug)]
pub enum SchemaSource {
    /// None is stored, so it is the one that is part of this program.
    BuiltIn,
    /// The one in `system_schemas`.
    Stored,
    /// The one in `system_schemas` cannot be used, so it is the one that is part of this program.
    Unusable(SchemaError),
}

/// Reads the schema of groups.
///
/// # Errors
/// Errors from the store.
pub async fn load_schema(store: &dyn Store, deadline: Deadline) -> Result<LoadedSchema> {
    Ok(read(fetch(store, deadline).await?.as_ref()))
}

/// The stored schema, if there is one.
async fn fetch(store: &dyn Store, deadline: Deadline) -> Result<Option<Document>> {
    let id = DocId::from_store("groups".to_owned());
    if_found(store.fetch(SystemDb::SystemSchemas.name(), &id, deadline).await)
}

fn read(stored: Option<&Document>) -> LoadedSchema {
    let members = stored.map(Document::to_object);
    let parsed = match members {
        Some(Ok(members)) if !is_deleted(&members) => Schema::of_operator(public_members(members)),
        Some(Err(error)) => Err(SchemaError::Invalid { reason: error.to_string() }),
        _ => return LoadedSchema { schema: Schema::groups(), source: SchemaSource::BuiltIn },
    };
    match parsed {
        Ok(schema) => LoadedSchema { schema, source: SchemaSource::Stored },
        Err(error) => LoadedSchema { schema: Schema::groups(), source: SchemaSource::Unusable(error) },
    }
}

/// The schema that counts now.
pub(crate) struct CurrentSchema {
    latest: Latest<ReadSchema>,
    /// It counts until one was read.
    built_in: Arc<Schema>,
}

struct ReadSchema {
    schema: Arc<Schema>,
    /// The revision that it was read from, if one is stored.
    rev: Option<Rev>,
}

impl CurrentSchema {
    /// The built-in one, until it is read.
    pub(crate) fn new() -> Self {
        Self {
            latest: Latest::new("the schema of groups", Duration::ZERO),
            built_in: Arc::new(Schema::groups()),
        }
    }

    /// The schema that was read last.
    pub(crate) fn get(&self) -> Arc<Schema> {
        Arc::clone(self.latest.last().as_ref().map_or(&self.built_in, |read| &read.schema))
    }

    /// Reads the schema again the next time that it is needed.
    pub(crate) fn forget(&self) {
        self.latest.forget();
    }

    /// Reads the schema again if it may have changed. If the store does not answer, the last one counts on; without
    /// one, that is an error.
    pub(crate) async fn refresh(&self, store: &dyn Store, deadline: Deadline) -> Result<()> {
        let read = |last: Option<Arc<ReadSchema>>| async move {
            let stored = fetch(store, deadline).await?;
            let rev = stored.as_ref().map(Document::rev);
            let lifetime = if rev.is_some() { PRESENT } else { ABSENT };
            let read = match last {
                Some(last) if last.rev.as_ref() == rev => last,
                _ => Arc::new(ReadSchema { schema: used(stored.as_ref()), rev: rev.cloned() }),
            };
            Ok((read, lifetime))
        };
        self.latest.get(|| store.epoch(SystemDb::SystemSchemas.name()), read).await.map(drop)
    }
}

/// The schema in a document, or the built-in one. The log says which.
fn used(stored: Option<&Document>) -> Arc<Schema> {
    let LoadedSchema { schema, source } = read(stored);
    match &source {
        SchemaSource::BuiltIn => log::debug!("groups are validated by the built-in schema"),
        SchemaSource::Stored => log::info!("groups are validated by the schema in system_schemas"),
        SchemaSource::Unusable(error) => log::error!(
            "the schema groups in system_schemas cannot be used, so groups are validated by the built-in one: {error}"
        ),
    }
    Arc::new(schema)
}

#[cfg(test)]
mod tests {
    use super::{CurrentSchema, SchemaSource, read};
    use datastore::{Deadline, DocId, Document, Rev};
    use embedded::{Embedded, Settings};
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn a_stored_schema_that_cannot_be_read_is_unusable() {
        let rev = Rev::parse("1-0123456789abcdef0123456789abcdef").unwrap();
        let text = format!(r#"{{"a":{}{}}}"#, "[".repeat(200), "]".repeat(200));
        let document = Document::new(DocId::parse("groups").unwrap(), rev, text);
        let loaded = read(Some(&document));
        assert!(matches!(loaded.source, SchemaSource::Unusable(_)), "{:?}", loaded.source);
    }

    /// So the log does not tell it again either.
    #[tokio::test]
    async fn a_schema_of_the_same_revision_is_not_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(&folder.path().join("store.db"), Settings::default()).unwrap();
        let (schema, deadline) = (CurrentSchema::new(), Deadline::after(Duration::from_secs(60)));
        schema.refresh(&store, deadline).await.unwrap();
        let first = schema.get();
        schema.forget();
        schema.refresh(&store, deadline).await.unwrap();
        assert!(Arc::ptr_eq(&first, &schema.get()));
    }
}
