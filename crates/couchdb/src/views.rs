//! Asking a view. Keys travel in the body: they may be long, and they may be secret.

use datastore::{DbName, Deadline, ViewQuery, ViewRow, ViewSource};
use futures::future::ready;
use futures::stream::{BoxStream, StreamExt};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Map, Value};

use crate::client::{Ask, db_path};
use crate::documents::json_body;
use crate::error::About;
use crate::view_rows::Rows;
use crate::{Client, Error};

impl Client {
    /// The rows of a view, or of all documents, as they come: the whole answer is never held. `deadline`
    /// is for the first row; after that the server may be silent for
    /// [`Settings::batch_timeout`](crate::Settings) at a time. An error may end the stream.
    ///
    /// To CouchDB texts are equal that differ in nothing but characters which its collation (ICU's)
    /// passes over, U+0000 for instance. Such rows are left out: a `key` finds its own rows alone.
    ///
    /// # Errors
    /// `ViewMissing` where there is no such view, `DatabaseMissing`.
    pub async fn query(
        &self,
        db: &DbName,
        query: &ViewQuery,
        deadline: Deadline,
    ) -> Result<BoxStream<'static, Result<ViewRow, Error>>, Error> {
        let ask = view_ask(db, query);
        let answer = self.send(&ask, deadline).await?;
        let rows = Rows::new(answer, self.settings(), deadline).into_view();
        let Some(Value::String(key)) = &query.key else { return Ok(rows.boxed()) };
        let (key, key_json) = (key.clone(), Value::from(key.as_str()).to_string());
        let is_its_own = move |row: &ViewRow| {
            row.key.get() == key_json
                || serde_json::from_str::<String>(row.key.get()).is_ok_and(|is| is == key)
        };
        Ok(rows.filter(move |row| ready(row.as_ref().map_or(true, &is_its_own))).boxed())
    }
}

fn view_ask(db: &DbName, query: &ViewQuery) -> Ask {
    let segment = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let (resource, about) = match &query.source {
        ViewSource::AllDocs => ("_all_docs".to_owned(), About::Database),
        ViewSource::View { design, view } => {
            (format!("_design/{}/_view/{}", segment(design), segment(view)), About::View)
        }
    };
    let path = format!("{}/{resource}", db_path(db));
    let keys = keys_of(query);
    let mut ask = Ask::read(if keys.is_empty() { Method::GET } else { Method::POST }, path, about);
    ask.query = options_of(query);
    ask.body = (!keys.is_empty()).then(|| json_body(&Value::Object(keys)));
    ask
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

fn options_of(query: &ViewQuery) -> Vec<(&'static str, String)> {
    let mut options = Vec::new();
    let mut set = |name, value: &dyn ToString| options.push((name, value.to_string()));
    if query.source != ViewSource::AllDocs {
        // A view of somebody else's may have a reduce function.
        set("reduce", &false);
    }
    if query.exclusive_end {
        set("inclusive_end", &false);
    }
    if query.descending {
        set("descending", &true);
    }
    if let Some(limit) = query.limit {
        set("limit", &limit);
    }
    if query.skip > 0 {
        set("skip", &query.skip);
    }
    if query.include_docs {
        set("include_docs", &true);
    }
    options
}
