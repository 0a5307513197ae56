//! The input that every handler gets, the refusal that it may return, and the few values that several
//! handlers derive from the input.

use datastore::random_hex;

use crate::catalogue::Refusal;
use crate::request::action::Action;
use crate::request::exchange::Exchange;
use crate::request::format::Format;
use crate::request::parameters::Parameters;

/// The most characters of a client's file name that an answer repeats.
const MAX_FILE_NAME: usize = 255;

/// What the handlers need to know about a request.
pub(crate) struct Call<'a> {
    /// The action.
    pub(crate) action: Action<'a>,
    /// The user in the path.
    pub(crate) user_id: Option<&'a str>,
    /// The form of the answer.
    pub(crate) format: Format,
    /// The request's token.
    pub(crate) token: Option<String>,
    /// The parameters.
    pub(crate) parameters: &'a Parameters,
}

/// A refusal, and the number of rows that its answer tells.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The refusal.
    pub(crate) refusal: Refusal,
    /// The number of rows that a look-up has found, if crossbar shows it.
    pub(crate) page_size: Option<u64>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, page_size: None }
    }
}

/// The path of a new group, below the request's path.
pub(super) fn location(exchange: &Exchange<'_>, id: &str) -> String {
    // crossbar resolves the id against the path, so an id that looks like a URL replaces the path.
    if id.starts_with("http") {
        return id.to_owned();
    }
    format!("{}/{id}", exchange.incoming.path.trim_end_matches('/'))
}

/// The file name for CSV: the client's without its path, or a random one.
pub(super) fn csv_file_name(call: &Call<'_>) -> String {
    let chosen = call.parameters.file_name.as_deref();
    let base_name = chosen.and_then(|name| name.rsplit(['/', '\\']).next());
    // A quote or a control character would end the header's value.
    let safe = base_name.unwrap_or_default().chars().filter(|c| !c.is_control() && *c != '"');
    let safe: String = safe.take(MAX_FILE_NAME).collect();
    if safe.is_empty() {
        format!("json_{}.csv", random_hex().chars().take(22).collect::<String>())
    } else {
        safe
    }
}
