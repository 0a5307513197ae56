//! The handlers: what the resources do. Each request is prepared (checked, read, merged) and, once its
//! preconditions hold, carried out.

mod groups;
mod listing;
mod login;
mod session;

use auth::AccountAccess;
use datastore::random_hex;
use serde_json::Value;

use crate::answer::Answer;
use crate::catalogue::Refusal;
use crate::request::action::{Action, GroupAction, LoginKind, TokenAction};
use crate::request::exchange::Exchange;
use crate::request::format::Format;
use crate::request::parameters::Parameters;
use crate::request::target::Target;

/// What the pipeline has settled about a request.
pub(crate) struct Call<'a> {
    /// What to do.
    pub(crate) action: Action<'a>,
    /// The user in the path.
    pub(crate) user_id: Option<&'a str>,
    /// The form of the answer.
    pub(crate) format: Format,
    /// The token that the request shows, if it shows one.
    pub(crate) token: Option<String>,
    /// The parameters.
    pub(crate) parameters: &'a Parameters,
}

/// A refusal, and what the answer says beside it.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Why.
    pub(crate) refusal: Refusal,
    /// How many rows a look-up had found by then, if crossbar shows that.
    pub(crate) page_size: Option<u64>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, page_size: None }
    }
}

/// A request that has been checked and is ready to be carried out.
pub(crate) enum Prepared {
    /// Something about one group.
    Group(groups::Prepared),
    /// A listing.
    Listing(Box<listing::Prepared>),
    /// A login.
    Login(login::Prepared),
    /// Something about the caller's own token.
    Session(session::Prepared),
}

impl Prepared {
    /// The entity tag of what was found, without quotes.
    pub(crate) fn etag(&self) -> Option<&str> {
        match self {
            Self::Group(prepared) => prepared.etag(),
            Self::Listing(prepared) => prepared.etag(),
            Self::Login(_) | Self::Session(_) => None,
        }
    }

    /// What the preconditions are checked against.
    pub(crate) fn target(&self) -> Target<'_> {
        match self {
            Self::Group(prepared) if prepared.is_new() => Target::New,
            Self::Login(_) => Target::New,
            other => Target::Existing(other.etag()),
        }
    }
}

/// Checks a request's data and reads what it is about. `access` is the proof that the caller may touch the
/// account in the path; a path without an account has none.
pub(crate) async fn prepare(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    access: Option<AccountAccess>,
    data: Value,
) -> Result<Prepared, Refused> {
    let action = match call.action {
        Action::Groups(action) => action,
        Action::Login(kind) => {
            let prepared = match kind {
                LoginKind::User => login::prepare_user(exchange, call, data).await?,
                LoginKind::ApiKey => login::prepare_api_key(exchange, call, data).await?,
            };
            return Ok(Prepared::Login(prepared));
        }
        Action::Token(action) => {
            let prepared = match action {
                TokenAction::Show => session::prepare_show(exchange).await?,
                TokenAction::GiveBack => session::prepare_give_back(call),
                TokenAction::ShowNamed(token) => return Err(session::refuse_named(call, token).into()),
            };
            return Ok(Prepared::Session(prepared));
        }
    };
    let Some(access) = access else {
        return Err(groups::refuse_without_account(exchange, action, data).into());
    };
    if action != GroupAction::List {
        groups::check_user(exchange, call, &access).await?;
    }
    let prepared = match action {
        GroupAction::List => {
            let listing = listing::prepare(exchange, call, &access).await?;
            return Ok(Prepared::Listing(Box::new(listing)));
        }
        GroupAction::Create => groups::prepare_create(exchange, access, data)?,
        GroupAction::Read(id) => groups::prepare_read(exchange, access, id).await?,
        GroupAction::Replace(id) => groups::prepare_replace(exchange, access, id, data).await?,
        GroupAction::Patch(id) => groups::prepare_patch(exchange, access, id, data).await?,
        GroupAction::Delete(id) => groups::prepare_delete(exchange, call, access, id).await?,
    };
    Ok(Prepared::Group(prepared))
}

/// Does what was prepared, and answers.
pub(crate) async fn carry_out(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    prepared: Prepared,
) -> Result<Answer, Refused> {
    Ok(match prepared {
        Prepared::Login(prepared) => login::carry_out(exchange, call, prepared)?,
        Prepared::Session(prepared) => session::carry_out(exchange, prepared).await?,
        Prepared::Listing(prepared) => listing::carry_out(exchange, call, *prepared)?,
        Prepared::Group(prepared) => groups::carry_out(exchange, call, prepared).await?,
    })
}

/// The path of something new below the request's own.
fn location(exchange: &Exchange<'_>, id: &str) -> String {
    // An id that looks like a URL comes out alone: crossbar resolves it against the path.
    if id.starts_with("http") {
        return id.to_owned();
    }
    format!("{}/{id}", exchange.incoming.path.trim_end_matches('/'))
}

/// The name under which CSV is saved: the client's, without a path, or a new one.
fn csv_file_name(call: &Call<'_>) -> String {
    let chosen = call.parameters.file_name.as_deref();
    let base_name = chosen.and_then(|name| name.rsplit(['/', '\\']).next());
    // A quote or a control character would end the header's value.
    let safe: String =
        base_name.unwrap_or_default().chars().filter(|c| !c.is_control() && *c != '"').collect();
    if safe.is_empty() {
        format!("json_{}.csv", random_hex().chars().take(22).collect::<String>())
    } else {
        safe
    }
}
