//! The `datastore` traits. Each call is a method of the client, with its error turned into a `StoreError`.

use std::time::Duration;

use bytes::Bytes;
use datastore::{
    Attachments, Cause, Change, Changes, ChangesQuery, Created, Databases, DbName, Deadline, DocId, Document,
    Draft, LocalCheck, LocalDocument, LocalDocuments, Result, Rev, RowStream, Sign, Store, StoreError,
    ViewQuery,
};
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt};

use crate::client::Client;
use crate::error::{Error, Refusal};

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let variant = match &error {
            Error::Transport { .. } => Self::Transport,
            Error::DeadlineExceeded(_) => Self::DeadlineExceeded,
            Error::Unauthorized(_) => Self::Unauthorized,
            Error::Forbidden(_) => Self::Forbidden,
            Error::Missing(_) => Self::Missing,
            Error::Deleted(_) => Self::Deleted,
            Error::DatabaseMissing(_) => Self::DatabaseMissing,
            Error::ViewMissing(_) => Self::ViewMissing,
            Error::Conflict(_) => Self::Conflict,
            Error::NoRoom { .. } => Self::Busy,
            Error::TooLarge(_) | Error::AnswerTooLarge { .. } => Self::TooLarge,
            Error::Invalid(_) | Error::UnusableName(_) | Error::ReservedMember(_) | Error::Setup(_) => {
                Self::Invalid
            }
            Error::Unavailable(refusal) if cannot_write(refusal) => Self::CannotWrite,
            Error::Unavailable(_) => Self::Unavailable,
            Error::Unexpected(_) | Error::Unreadable { .. } => Self::Corrupt,
        };
        // `StoreError` names the variant of a refusal too, so neither the reason nor a source does. The refusal is the
        // whole of what is known: with the error as its source, whoever tells all causes would tell it twice.
        variant(match error.refusal() {
            Some(refusal) => Cause::new(refusal.to_string()),
            None => Cause::with_source(error.to_string(), error),
        })
    }
}

/// Whether CouchDB failed because its disk takes no writes. It answers 500 with the system's name of the error.
fn cannot_write(refusal: &Refusal) -> bool {
    ["enospc", "erofs", "edquot"]
        .iter()
        .any(|name| refusal.error.contains(name) || refusal.reason.contains(name))
}

impl Store for Client {
    fn fetch<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Document>> {
        Box::pin(async move { Ok(Client::fetch(self, db, id, deadline).await?) })
    }

    fn fetch_many<'a>(
        &'a self,
        db: &'a DbName,
        ids: &'a [DocId],
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Document>>>> {
        Box::pin(async move {
            let docs = Client::fetch_many(self, db, ids, deadline).await?;
            Ok(docs.into_iter().map(|doc| Ok(doc?)).collect())
        })
    }

    fn save<'a>(&'a self, db: &'a DbName, draft: Draft, deadline: Deadline) -> BoxFuture<'a, Result<Rev>> {
        Box::pin(async move { Ok(Client::save(self, db, draft, deadline).await?) })
    }

    fn save_many<'a>(
        &'a self,
        db: &'a DbName,
        drafts: Vec<Draft>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Rev>>>> {
        Box::pin(async move {
            let revs = Client::save_many(self, db, drafts, deadline).await?;
            Ok(revs.into_iter().map(|rev| Ok(rev?)).collect())
        })
    }

    fn delete<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        base: &'a Rev,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Rev>> {
        Box::pin(async move { Ok(Client::delete_every_leaf(self, db, id, base, deadline).await?) })
    }

    fn query<'a>(
        &'a self,
        db: &'a DbName,
        query: ViewQuery,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<RowStream>> {
        Box::pin(async move {
            let rows = Client::query(self, db, &query, deadline).await?;
            let rows = RowStream::new(rows.map(|row| Ok(row?)));
            Ok(rows)
        })
    }
}

impl Attachments for Client {
    fn fetch_attachment<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        name: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(async move { Ok(Client::fetch_attachment(self, db, id, name, deadline).await?) })
    }
}

impl Changes for Client {
    fn changes(&self, db: &DbName, query: ChangesQuery) -> BoxStream<'static, Result<Change>> {
        Client::changes(self, db, query).map(|change| Ok(change?)).boxed()
    }

    fn watch(&self, db: &DbName, heartbeat: Duration) -> BoxStream<'static, Result<Sign>> {
        Client::watch(self, db, heartbeat).map(|sign| Ok(sign?)).boxed()
    }

    fn newest_seq<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move { Ok(Client::newest_seq(self, db, deadline).await?) })
    }
}

impl LocalDocuments for Client {
    fn list_local<'a>(
        &'a self,
        db: &'a DbName,
        prefix: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<LocalDocument>>> {
        Box::pin(async move { Ok(Client::list_local(self, db, prefix, deadline).await?) })
    }

    fn fetch_local<'a>(
        &'a self,
        db: &'a DbName,
        name: &'a str,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Option<LocalDocument>>> {
        Box::pin(async move { Ok(Client::fetch_local(self, db, name, deadline).await?) })
    }

    fn save_local<'a>(
        &'a self,
        db: &'a DbName,
        document: LocalDocument,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { Ok(Client::save_local(self, db, document, deadline).await?) })
    }

    fn delete_local_if<'a>(
        &'a self,
        db: &'a DbName,
        name: &'a str,
        may: LocalCheck<'a>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move { Ok(Client::delete_local_if(self, db, name, may, deadline).await?) })
    }
}

impl Databases for Client {
    fn create_db<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<Created>> {
        Box::pin(async move { Ok(Client::create_db(self, db, deadline).await?) })
    }

    fn db_exists<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move { Ok(Client::db_exists(self, db, deadline).await?) })
    }

    fn delete_db<'a>(&'a self, db: &'a DbName, deadline: Deadline) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { Ok(Client::delete_db(self, db, deadline).await?) })
    }

    fn list_dbs(&self, deadline: Deadline) -> BoxFuture<'_, Result<Vec<DbName>>> {
        Box::pin(async move { Ok(Client::list_dbs(self, deadline).await?) })
    }
}
