//! The parameters of a request. One table says where crossbar looks for each parameter, and in which order.
//! [`Parameters`] holds the values, with the defaults filled in.
//!
//! Reading never refuses. A senseless value is refused only where it is used, as in crossbar.

use std::borrow::Cow;

use actix_web::http::header::HeaderName;
use groups::Filters;
use kazoo::term;
use serde_json::{Map, Value};

use super::envelope::Envelope;
use super::format::Format;
use super::header_names;
use super::incoming::Incoming;
use super::verb::Verb;
use crate::catalogue::Refusal;
use crate::grammar::query::Query;

/// A place that can hold a parameter.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// A header whose value is readable text.
    Header(&'static HeaderName),
    /// A header with any bytes in its value.
    AnyHeader(&'static HeaderName),
    /// A member of the body's `data`.
    Data,
    /// The query string.
    Query,
    /// A member of the body beside `data`.
    Envelope,
}

use Source::{AnyHeader, Data, Envelope as Beside, Header, Query as QueryString};

/// A parameter: its name, and the places that can hold it. The first one with a value wins.
#[derive(Clone, Copy, Debug)]
struct Parameter(&'static str, &'static [Source]);

/// A parameter that is yes or no, and its default.
#[derive(Clone, Copy, Debug)]
struct Flag(Parameter, bool);

// The table. A parameter that is not a flag has no default, except `page_size`, whose default is a setting.
const VERB: Parameter = Parameter("verb", &[Data, QueryString, Beside]);
const AUTH_TOKEN: Parameter =
    Parameter("auth_token", &[AnyHeader(&header_names::X_AUTH_TOKEN), Data, QueryString, Beside]);
const AUTHORIZATION: Parameter =
    Parameter("authorization", &[AnyHeader(&header_names::AUTHORIZATION), Data, QueryString, Beside]);
const PRETTY_PRINT: Flag = Flag(
    Parameter("pretty_print", &[Header(&header_names::X_PRETTY_PRINT), Data, QueryString, Beside]),
    false,
);
const ACTION: Parameter = Parameter("action", &[Data, QueryString, Beside]);
const ACCEPT: Parameter = Parameter("accept", &[Data, QueryString, Beside]);
const PAGINATE: Flag = Flag(Parameter("paginate", &[Data, QueryString, Beside]), true);
const PAGE_SIZE: Parameter = Parameter("page_size", &[Data, QueryString, Beside]);
const START_KEY: Parameter = Parameter("start_key", &[Data, QueryString, Beside]);
const END_KEY: Parameter = Parameter("end_key", &[Data, QueryString, Beside]);
const ASCENDING: Flag = Flag(Parameter("ascending", &[QueryString]), false);
const DESCENDING: Flag = Flag(Parameter("descending", &[QueryString]), false);
const IS_CHUNKED: Flag = Flag(Parameter("is_chunked", &[QueryString]), false);
const CHUNK_SIZE: Parameter = Parameter("chunk_size", &[QueryString]);
const SHOULD_SOFT_DELETE: Flag = Flag(Parameter("should_soft_delete", &[Data, QueryString, Beside]), true);
const FILE_NAME: Parameter =
    Parameter("file_name", &[Header(&header_names::X_FILE_NAME), Data, QueryString, Beside]);
/// Used if there is no `file_name`.
const FILENAME: Parameter = Parameter("filename", &[Data, QueryString, Beside]);

/// The largest `chunk_size` that crossbar accepts.
const MAX_CHUNK_SIZE: i128 = 50;

/// The most filters of a listing. crossbar takes about 700, because its request lines are short.
const MAX_FILTERS: usize = 100;

/// The parameters of a request.
#[derive(Debug)]
pub(crate) struct Parameters {
    /// The verb that replaces the method.
    pub(crate) verb: Option<Verb>,
    /// The token. It can be a value of any type.
    pub(crate) auth_token: Option<Value>,
    /// Other credentials. They can be a value of any type.
    pub(crate) authorization: Option<Value>,
    /// Whether JSON is indented.
    pub(crate) is_pretty: bool,
    /// Whether one of crossbar's other actions is named.
    pub(crate) has_action: bool,
    /// The form of the answer.
    pub(crate) accept: Option<Format>,
    /// Whether a listing comes in pages.
    pub(crate) is_paged: bool,
    /// The key that a listing begins with, in its wire form.
    pub(crate) start_key: Option<String>,
    /// The key that a listing ends with.
    pub(crate) end_key: Option<String>,
    /// Whether a listing goes from the lowest id to the highest.
    pub(crate) is_ascending: bool,
    /// Whether each row of a listing is sent as soon as it is read.
    pub(crate) is_chunked: bool,
    /// Whether a deletion only marks the document as deleted.
    pub(crate) is_soft_deletion: bool,
    /// The file name for CSV.
    pub(crate) file_name: Option<String>,
    page_size: Option<Integer>,
    chunk_size: Option<Integer>,
    query: Query,
}

/// The value of a parameter that should be an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Integer {
    Is(i128),
    Invalid,
}

impl Parameters {
    /// Reads the parameters, and returns them with the body's data. As in crossbar, `start_key` is removed
    /// from the data, and every other parameter stays in it.
    pub(crate) fn read(incoming: &Incoming<'_>, query: Query, envelope: Envelope) -> (Self, Value) {
        let Envelope { mut data, members } = envelope;
        let sources = Sources { incoming, data: &data, query: &query, beside: &members };
        let mut parameters = Self {
            verb: sources.find(VERB).map(|verb| Verb::of_parameter(&text(verb))),
            auth_token: sources.find(AUTH_TOKEN).map(Cow::into_owned),
            authorization: sources.find(AUTHORIZATION).map(Cow::into_owned),
            is_pretty: sources.is_on(PRETTY_PRINT),
            has_action: sources.find(ACTION).is_some(),
            accept: sources.find(ACCEPT).map(|name| Format::of_parameter(name.as_str().unwrap_or_default())),
            is_paged: sources.is_on(PAGINATE),
            start_key: sources.find(START_KEY).map(text),
            end_key: sources.find(END_KEY).map(text),
            is_ascending: sources.find(ASCENDING.0).map_or(ASCENDING.1, |value| !term::is_false(&value))
                && !sources.is_on(DESCENDING),
            is_chunked: sources.is_on(IS_CHUNKED),
            is_soft_deletion: sources.is_on(SHOULD_SOFT_DELETE),
            file_name: sources.find(FILE_NAME).or_else(|| sources.find(FILENAME)).map(text),
            page_size: sources.find(PAGE_SIZE).map(integer),
            chunk_size: sources.find(CHUNK_SIZE).map(integer),
            query: Query::default(),
        };
        parameters.query = query;
        if let Some(data) = data.as_object_mut() {
            data.shift_remove(START_KEY.0);
        }
        (parameters, data)
    }

    /// The number of groups on a page. `None` for a listing that does not come in pages. Refuses a size that
    /// is not a positive number.
    pub(crate) fn page_size(&self, default: u64) -> Result<Option<u64>, Refusal> {
        if !self.is_paged {
            return Ok(None);
        }
        match self.page_size {
            None => Ok(Some(default)),
            Some(Integer::Invalid) => Err(Refusal::Faulty("invalid page size")),
            Some(Integer::Is(..1)) => Err(Refusal::Faulty("page size must be at least 1")),
            Some(Integer::Is(size)) => Ok(Some(u64::try_from(size).unwrap_or(u64::MAX))),
        }
    }

    /// Refuses a `chunk_size` that crossbar does not accept. The size has no other effect: a chunk always has
    /// one row.
    pub(crate) fn check_chunk_size(&self) -> Result<(), Refusal> {
        match self.chunk_size {
            Some(Integer::Invalid) => Err(Refusal::Faulty("invalid chunk size")),
            Some(Integer::Is(..1)) => Err(Refusal::Faulty("chunk size must be at least 1")),
            Some(Integer::Is(size)) if size > MAX_CHUNK_SIZE => {
                Err(Refusal::Faulty("chunk size must be lower than 50"))
            }
            None | Some(Integer::Is(_)) => Ok(()),
        }
    }

    /// The filters of a listing. Only the query string can hold them. Refuses too many (400).
    pub(crate) fn filters(&self) -> Result<Filters, Refusal> {
        let filters = Filters::from_query(self.query.pairs());
        if filters.len() > MAX_FILTERS {
            let message = format!("a listing can have at most {MAX_FILTERS} filters");
            return Err(Refusal::malformed("query", &message, None));
        }
        Ok(filters)
    }
}

/// The places in a request that can hold parameters.
struct Sources<'a> {
    incoming: &'a Incoming<'a>,
    data: &'a Value,
    query: &'a Query,
    beside: &'a Map<String, Value>,
}

impl<'a> Sources<'a> {
    fn find(&self, parameter: Parameter) -> Option<Cow<'a, Value>> {
        let Parameter(name, sources) = parameter;
        sources.iter().find_map(|source| match source {
            Header(header) => self.incoming.header(header).map(Value::from).map(Cow::Owned),
            AnyHeader(header) => self.incoming.lossy_header(header).map(Value::from).map(Cow::Owned),
            Data => self.data.get(name).map(Cow::Borrowed),
            QueryString => self.query.value(name).map(Cow::Owned),
            Beside => self.beside.get(name).map(Cow::Borrowed),
        })
    }

    fn is_on(&self, Flag(parameter, default): Flag) -> bool {
        self.find(parameter).map_or(default, |value| term::is_true(&value))
    }
}

/// A text as it is, and any other value as its JSON.
fn text(value: Cow<'_, Value>) -> String {
    match value {
        Cow::Owned(Value::String(text)) => text,
        Cow::Borrowed(Value::String(text)) => text.clone(),
        other => other.to_string(),
    }
}

fn integer(value: Cow<'_, Value>) -> Integer {
    term::to_integer(&value).map_or(Integer::Invalid, Integer::Is)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
    use serde_json::{Value, json};

    use super::{Envelope, Incoming, Parameters, Query, Verb};

    fn read(header: Option<(&'static str, &'static str)>, query: &str, body: Value) -> (Parameters, Value) {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = header {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let incoming = Incoming { method: Verb::Get, path: "/", query, headers: &headers, peer: None };
        let Value::Object(mut members) = body else { panic!("a body is an object") };
        let data = members.remove("data").unwrap_or_else(|| json!({}));
        Parameters::read(&incoming, Query::parse(query.as_bytes()).unwrap(), Envelope { data, members })
    }

    #[test]
    fn the_data_wins_over_the_query_and_the_query_over_the_envelope() {
        let body = json!({"data": {"end_key": "d"}, "end_key": "e", "start_key": "e", "verb": "put"});
        let (parameters, _) = read(None, "end_key=q&start_key=q", body);
        assert_eq!(parameters.end_key.as_deref(), Some("d"));
        assert_eq!(parameters.start_key.as_deref(), Some("q"));
        assert_eq!(parameters.verb, Some(Verb::Put));
    }

    #[test]
    fn a_header_wins_over_everything() {
        let (parameters, _) = read(Some(("x-pretty-print", "no")), "pretty_print=true", json!({}));
        assert!(!parameters.is_pretty);
        let (parameters, _) = read(Some(("x-file-name", "h")), "file_name=q", json!({}));
        assert_eq!(parameters.file_name.as_deref(), Some("h"));
    }

    #[test]
    fn only_the_query_says_how_a_listing_is_sent() {
        let (parameters, _) = read(None, "", json!({"data": {"is_chunked": true, "ascending": true}}));
        assert!(!parameters.is_chunked && !parameters.is_ascending);
        let (parameters, _) = read(None, "is_chunked=true&ascending", json!({}));
        assert!(parameters.is_chunked && parameters.is_ascending);
    }

    #[test]
    fn the_start_key_leaves_the_data_and_the_rest_stays() {
        let (parameters, data) = read(None, "", json!({"data": {"a": 1, "start_key": 7, "b": 2}}));
        assert_eq!(parameters.start_key.as_deref(), Some("7"));
        assert_eq!(data.to_string(), r#"{"a":1,"b":2}"#);
    }

    #[test]
    fn a_bad_size_is_refused_only_where_it_is_used() {
        let (parameters, _) = read(None, "page_size=x&chunk_size=51", json!({}));
        assert!(parameters.page_size(50).is_err());
        assert!(parameters.check_chunk_size().is_err());
        let (parameters, _) = read(None, "page_size=x&paginate=false", json!({}));
        assert_eq!(parameters.page_size(50).unwrap(), None);
    }
}
