//! Asks a view. Keys are sent in the body, because they may be long and they may be secret.

use datastore::{DbName, Deadline, ViewQuery, ViewRow, ViewSource};
use futures::future::ready;
use futures::stream::{BoxStream, StreamExt};
use reqwest::Method;
use serde_json::{Map, Value};

use crate::client::Client;
use crate::error::{Error, Target};
use crate::request::{Path, Request};
use crate::rows::{Row, RowReader, Wait};
use crate::splitter::Shape;

impl Client {
    /// Reads the rows of a view, or of all documents, as they arrive. The whole answer is never in memory.
    /// `deadline` is for the first row. After it the server may be silent for
    /// [`Settings::batch_timeout`](crate::Settings) at a time. An error may end the stream. If the query has a limit,
    /// the row that reaches it comes after the end of the answer, and the connection is free for the next request.
    ///
    /// Two texts are equal for CouchDB if they differ only in characters that its collation (ICU) ignores,
    /// such as U+0000. The stream leaves such rows out: a `key` finds only rows with exactly that key.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: couchdb::Client, db: datastore::DbName, by: datastore::Deadline,
    /// # ) -> Result<(), couchdb::Error> {
    /// use datastore::ViewQuery;
    /// use futures::TryStreamExt;
    ///
    /// let query = ViewQuery { limit: Some(50), ..ViewQuery::of("groups", "crossbar_listing") };
    /// let mut rows = client.query(&db, &query, by).await?;
    /// while let Some(row) = rows.try_next().await? {
    ///     println!("{} {}", row.id, row.value.get());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `ViewMissing` if there is no such view, `DatabaseMissing`.
    pub async fn query(
        &self,
        db: &DbName,
        query: &ViewQuery,
        deadline: Deadline,
    ) -> Result<BoxStream<'static, Result<ViewRow, Error>>, Error> {
        let request = request_for(db, query)?;
        let reply = self.send(&request, deadline, |reply| ready(Ok(reply))).await?;
        let wait = match query.limit {
            // The first row is the last one, and comes with the end.
            Some(1) => Wait::Whole(deadline),
            _ => Wait::FirstRow { deadline, then: self.settings().batch_timeout },
        };
        let max_row_bytes = self.settings().max_row_bytes;
        let rows = RowReader::new(reply, Shape::ArrayIn("rows"), wait, max_row_bytes, read_row);
        let rows = rows.into_stream(query.limit);
        let Some(Value::String(key)) = &query.key else { return Ok(rows.boxed()) };
        let (key, key_json) = (key.clone(), Value::from(key.as_str()).to_string());
        let has_exact_key = move |row: &ViewRow| {
            row.key.get() == key_json
                || serde_json::from_str::<String>(row.key.get()).is_ok_and(|text| text == key)
        };
        Ok(rows.filter(move |row| ready(row.as_ref().map_or(true, &has_exact_key))).boxed())
    }
}

fn request_for(db: &DbName, query: &ViewQuery) -> Result<Request, Error> {
    let (path, target) = match &query.source {
        ViewSource::AllDocs => (Path::db(db).resource("_all_docs"), Target::Database),
        ViewSource::View { design, view } => {
            let design = Path::db(db).resource("_design").name(design)?;
            (design.resource("_view").name(view)?, Target::View)
        }
    };
    let keys = keys_of(query);
    let request = if keys.is_empty() {
        Request::read(Method::GET, path, target)
    } else {
        Request::read(Method::POST, path, target).with_body(Value::Object(keys))
    };
    Ok(with_options(request, query))
}

fn keys_of(query: &ViewQuery) -> Map<String, Value> {
    let doc_id = |id: &Option<String>| id.as_deref().map(Value::from);
    [
        ("key", query.key.clone()),
        ("startkey", query.start_key.clone()),
        ("startkey_docid", doc_id(&query.start_key_doc_id)),
        ("endkey", query.end_key.clone()),
        ("endkey_docid", doc_id(&query.end_key_doc_id)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect()
}

fn with_options(mut request: Request, query: &ViewQuery) -> Request {
    if query.source != ViewSource::AllDocs {
        // Views of other programs may have a reduce function.
        request = request.with_query("reduce", false);
    }
    if query.exclusive_end {
        request = request.with_query("inclusive_end", false);
    }
    if query.descending {
        request = request.with_query("descending", true);
    }
    if let Some(limit) = query.limit {
        request = request.with_query("limit", limit);
    }
    if query.skip > 0 {
        request = request.with_query("skip", query.skip);
    }
    if query.include_docs {
        request = request.with_query("include_docs", true);
    }
    request
}

fn read_row(row: &Row<'_>) -> Result<ViewRow, Error> {
    row.check()?;
    let doc = row.document()?;
    let (Some(id), Some(key), Some(value)) = (row.id(), row.key, row.value) else {
        return Err(row.unreadable("a row without id, key or value"));
    };
    Ok(ViewRow { id, key: key.into(), value: value.into(), doc })
}
