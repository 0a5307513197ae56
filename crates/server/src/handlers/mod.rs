//! The handlers, one for each action of a resource. A request is prepared first: its data is checked, read
//! and merged. If its preconditions hold, it is carried out.

mod call;
mod groups;
mod listing;
mod login;
mod session;

use auth::AccountAccess;
use serde_json::Value;

pub(crate) use self::call::{Call, Refused};
use crate::answer::Answer;
use crate::catalogue::Refusal;
use crate::request::action::{Action, LoginKind, TokenAction};
use crate::request::exchange::Exchange;
use crate::request::target::Target;

/// A request that has been checked and is ready to be carried out.
pub(crate) enum Prepared {
    /// An action on one group.
    Group(Box<groups::Prepared>),
    /// A listing.
    Listing(Box<listing::Prepared>),
    /// A login.
    Login(login::Prepared),
    /// An action on the caller's token.
    Session(session::Prepared),
}

impl Prepared {
    /// The entity tag of the group or listing that was found, without quotes.
    pub(crate) fn etag(&self) -> Option<&str> {
        match self {
            Self::Group(prepared) => prepared.etag(),
            Self::Listing(prepared) => prepared.etag(),
            Self::Login(_) | Self::Session(_) => None,
        }
    }

    /// The target of the preconditions.
    pub(crate) fn target(&self) -> Target<'_> {
        match self {
            Self::Group(prepared) if prepared.is_new() => Target::New,
            Self::Login(_) => Target::New,
            other => Target::Existing(other.etag()),
        }
    }
}

/// Checks a request's data and reads the documents that it needs. `access` is the proof that the caller may
/// use the account in the path. It is `None` if the path has no account.
pub(crate) async fn prepare(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    access: Option<AccountAccess>,
    data: Value,
) -> Result<Prepared, Refused> {
    match call.action {
        Action::List => {
            let access = access.ok_or(Refusal::MissingAccountId)?;
            let listing = listing::prepare(exchange, call, &access).await?;
            Ok(Prepared::Listing(Box::new(listing)))
        }
        Action::Group(action) => {
            let Some(access) = access else {
                return Err(groups::refuse_without_account(exchange, action, data).into());
            };
            let prepared = groups::prepare(exchange, call, access, action, data).await?;
            Ok(Prepared::Group(Box::new(prepared)))
        }
        Action::Login(kind) => {
            let prepared = match kind {
                LoginKind::User => login::prepare_user(exchange, call, data).await?,
                LoginKind::ApiKey => login::prepare_api_key(exchange, call, data).await?,
            };
            Ok(Prepared::Login(prepared))
        }
        Action::Token(action) => {
            let prepared = match action {
                TokenAction::Show => session::prepare_show(exchange).await?,
                TokenAction::LogOut => session::prepare_log_out(call),
                TokenAction::ShowNamed(token) => return Err(session::refuse_named(call, token).into()),
            };
            Ok(Prepared::Session(prepared))
        }
    }
}

/// Carries out a prepared request.
pub(crate) async fn carry_out(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    prepared: Prepared,
) -> Result<Answer, Refused> {
    Ok(match prepared {
        Prepared::Login(prepared) => login::carry_out(exchange, call, prepared).await?,
        Prepared::Session(prepared) => session::carry_out(exchange, prepared).await?,
        Prepared::Listing(prepared) => listing::carry_out(exchange, call, *prepared).await?,
        Prepared::Group(prepared) => groups::carry_out(exchange, call, *prepared).await?,
    })
}
