//! One request: its method, path, query and body. It knows CouchDB's paths. It does not know connections or
//! answers.

use bytes::Bytes;
use datastore::{DbName, DocId, SEGMENT};
use http_body_util::Full;
use hyper::Uri;
use hyper::http::Error as InvalidAddress;
use hyper::http::uri::PathAndQuery;
use percent_encoding::utf8_percent_encode;
use reqwest::Method;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;
use url::form_urlencoded::Serializer;

use crate::error::{Call, Error, Target};
use crate::server_url::ServerUrl;

/// A path on the server, made of segments. Names in it are escaped.
#[derive(Clone, Debug)]
pub(crate) struct Path(String);

impl Path {
    /// A resource of the whole server, such as `/_all_dbs`.
    pub(crate) fn server(resource: &'static str) -> Self {
        Self(format!("/{resource}"))
    }

    /// `/db`.
    pub(crate) fn db(db: &DbName) -> Self {
        Self(format!("/{}", db.encoded()))
    }

    /// `/db/id`. It refuses an id that a URL library would drop from the path, and one that names a
    /// resource of CouchDB: the request would mean something else.
    pub(crate) fn doc(db: &DbName, id: &DocId) -> Result<Self, Error> {
        let name = id.design_name().unwrap_or(id.as_str());
        if is_dropped(name) || name.starts_with('_') {
            return Err(Error::UnusableName(id.to_string()));
        }
        Ok(Self(format!("/{}/{}", db.encoded(), id.encoded())))
    }

    /// Adds a segment that CouchDB defines, such as `_all_docs`.
    pub(crate) fn resource(self, resource: &'static str) -> Self {
        Self(format!("{}/{resource}", self.0))
    }

    /// Adds a name that a caller chose. It refuses a name that a URL library would drop.
    pub(crate) fn name(self, name: &str) -> Result<Self, Error> {
        if is_dropped(name) {
            return Err(Error::UnusableName(name.to_owned()));
        }
        Ok(Self(format!("{}/{}", self.0, utf8_percent_encode(name, SEGMENT))))
    }
}

/// Whether a URL library takes the name for a step through the path, even if it is escaped.
fn is_dropped(name: &str) -> bool {
    matches!(name, "" | "." | "..")
}

/// A request that can be sent, more than once if it only reads.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: Method,
    path: Path,
    query: Vec<(&'static str, String)>,
    body: Option<Bytes>,
    target: Target,
    /// How many documents it writes.
    documents: u64,
    may_compress: bool,
}

impl Request {
    /// A request that changes nothing on the server.
    pub(crate) fn read(method: Method, path: Path, target: Target) -> Self {
        Self { method, path, query: Vec::new(), body: None, target, documents: 0, may_compress: true }
    }

    /// A request that changes something.
    pub(crate) fn write(method: Method, path: Path, target: Target) -> Self {
        Self { documents: 1, ..Self::read(method, path, target) }
    }

    pub(crate) fn with_query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// Says that it writes so many documents, and not one.
    pub(crate) fn writing(mut self, documents: usize) -> Self {
        self.documents = u64::try_from(documents).unwrap_or(u64::MAX).max(1);
        self
    }

    /// Sets the body.
    pub(crate) fn with_body(self, body: Value) -> Self {
        self.with_text(body.to_string().into())
    }

    /// Sets the body, which is JSON.
    pub(crate) fn with_text(mut self, body: Bytes) -> Self {
        self.body = Some(body);
        self
    }

    /// Asks the server not to compress its answer.
    pub(crate) fn uncompressed(mut self) -> Self {
        self.may_compress = false;
        self
    }

    pub(crate) fn target(&self) -> Target {
        self.target
    }

    /// The escaped name of the database that it is about, or the name of the server's resource.
    pub(crate) fn db(&self) -> &str {
        self.path.0.split('/').nth(1).unwrap_or_default()
    }

    pub(crate) fn is_read(&self) -> bool {
        self.documents == 0
    }

    /// How many documents it writes.
    pub(crate) fn documents(&self) -> u64 {
        self.documents
    }

    /// The body.
    pub(crate) fn body(&self) -> Option<&[u8]> {
        self.body.as_deref()
    }

    /// What describes it in errors.
    pub(crate) fn call(&self, server: &ServerUrl) -> Call {
        Call { method: self.method.clone(), url: server.text(&self.path.0) }
    }

    /// The request over any connection.
    pub(crate) fn build(&self, server: &ServerUrl, authorization: Option<&HeaderValue>) -> reqwest::Request {
        let query = (!self.query.is_empty()).then(|| self.add_query(String::new()));
        let url = server.at(&self.path.0, query.as_deref());
        let mut request = reqwest::Request::new(self.method.clone(), url);
        self.add_headers(request.headers_mut(), authorization);
        *request.body_mut() = self.body.clone().map(Into::into);
        request
    }

    /// The request over plain HTTP to a server with this root.
    pub(crate) fn plain(
        &self,
        root: &Uri,
        authorization: Option<&HeaderValue>,
    ) -> Result<hyper::Request<Full<Bytes>>, InvalidAddress> {
        let mut target = format!("{}{}", root.path().trim_end_matches('/'), self.path.0);
        if !self.query.is_empty() {
            target.push('?');
            target = self.add_query(target);
        }
        let mut parts = root.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(target)?);
        let mut request = hyper::Request::new(Full::new(self.body.clone().unwrap_or_default()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::from_parts(parts)?;
        self.add_headers(request.headers_mut(), authorization);
        Ok(request)
    }

    /// Writes the query, escaped, behind `text`.
    fn add_query(&self, text: String) -> String {
        let length = text.len();
        Serializer::for_suffix(text, length)
            .extend_pairs(self.query.iter().map(|(name, value)| (*name, value)))
            .finish()
    }

    fn add_headers(&self, headers: &mut HeaderMap, authorization: Option<&HeaderValue>) {
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let encoding = if self.may_compress { "gzip" } else { "identity" };
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(encoding));
        if self.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
    }
}
