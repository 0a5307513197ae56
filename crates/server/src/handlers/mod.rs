//! The handlers: what the resources do. Each request is prepared (checked, read, merged) and, once its
//! preconditions hold, carried out.

mod groups;
mod listing;
mod login;
mod session;

use auth::AccountAccess;
use serde_json::Value;

use crate::answer::Answer;
use crate::catalogue::Refusal;
use crate::exchange::Exchange;
use crate::parameters::Parameters;
use crate::stage::negotiation::Format;
use crate::stage::preconditions::Target;
use crate::stage::route::Resource;
use crate::stage::verb::Verb;

/// What the pipeline has settled about a request.
pub(crate) struct Call<'a> {
    /// The proof that the caller may touch the account; a login has none, nor has a path without an
    /// account.
    pub(crate) access: Option<AccountAccess>,
    /// The user in the path.
    pub(crate) user_id: Option<String>,
    /// The resource.
    pub(crate) resource: Resource,
    /// The verb.
    pub(crate) verb: Verb,
    /// The form of the answer.
    pub(crate) format: Format,
    /// The parameter `start_key`, which crossbar takes out of the data.
    pub(crate) start_key: Option<Value>,
    /// The token that the request shows, where it shows one.
    pub(crate) token: Option<String>,
    /// The other parameters.
    pub(crate) parameters: Parameters<'a>,
}

/// A refusal, and what the answer says beside it.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Why.
    pub(crate) refusal: Refusal,
    /// How much a look-up had found by then, where crossbar lets it show.
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

    /// What preconditions are held against.
    pub(crate) fn target(&self) -> Target<'_> {
        match self {
            Self::Group(prepared) if prepared.is_new() => Target::New,
            Self::Login(_) => Target::New,
            other => Target::Existing(other.etag()),
        }
    }
}

/// Checks a request's data and reads what it is about.
pub(crate) async fn prepare(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    data: Value,
) -> Result<Prepared, Refused> {
    match (&call.resource, &call.access) {
        (Resource::UserAuth | Resource::ApiAuth, _) => {
            login::prepare(exchange, call, data).await.map(Prepared::Login)
        }
        (Resource::TokenAuth | Resource::UserAuthToken(_), _) => {
            let caller = exchange.caller.as_ref().ok_or(Refusal::NotAuthenticated)?;
            Ok(Prepared::Session(session::prepare(exchange, call, caller).await?))
        }
        (_, None) => Err(groups::refuse_without_account(exchange, call, data).into()),
        (Resource::Groups, Some(access)) if call.verb.name == "GET" => {
            Ok(Prepared::Listing(Box::new(listing::prepare(exchange, call, access).await?)))
        }
        (_, Some(access)) => Ok(Prepared::Group(groups::prepare(exchange, call, access, data).await?)),
    }
}

/// Does what was prepared, and answers.
pub(crate) async fn carry_out(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    prepared: Prepared,
) -> Result<Answer, Refused> {
    match (prepared, &call.access) {
        (Prepared::Login(prepared), _) => Ok(login::carry_out(exchange, call, prepared)),
        (Prepared::Session(prepared), _) => Ok(session::carry_out(exchange, prepared).await?),
        (Prepared::Listing(prepared), _) => Ok(listing::carry_out(exchange, call, *prepared)?),
        (Prepared::Group(prepared), Some(access)) => {
            Ok(groups::carry_out(exchange, call, access, prepared).await?)
        }
        (Prepared::Group(_), None) => {
            Err(Refusal::Broken("a group was to be changed without access to its account").into())
        }
    }
}

/// The path of something new below the request's own.
fn location(exchange: &Exchange<'_>, id: &str) -> String {
    // An id that looks like a URL comes out alone: crossbar resolves it against the path.
    if id.starts_with("http") {
        return id.to_owned();
    }
    format!("{}/{id}", exchange.incoming.path.trim_end_matches('/'))
}
