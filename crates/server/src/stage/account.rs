//! The account of a request and the caller's right to it. Refuses expired tokens (401), accounts whose
//! trial has expired (400), Basic where a login would be refused (400, 401), unknown accounts (404), and
//! callers without permission (403).

use std::borrow::Cow;
use std::sync::Arc;

use auth::{Account, AccountAccess, Asked, AuthError, Caller, Denied};
use datastore::{Deadline, NameError};
use futures::future;
use kazoo::AccountId;

use crate::app::App;
use crate::catalogue::Refusal;
use crate::profile::{Bearer, ExpiredToken};
use crate::request::credentials::Credentials;
use crate::request::exchange::{Exchange, Verified};
use crate::request::header_names;
use crate::request::incoming::Incoming;
use crate::request::route::AccountPart;

/// Finds out who sends the request. Bad credentials are not refused yet; only an expired token with a good
/// signature is.
pub(crate) async fn identify(
    exchange: &mut Exchange<'_>,
    credentials: Option<&Credentials>,
) -> Result<(), Refusal> {
    let callers = exchange.profile().callers;
    let auth = &exchange.app.auth;
    let wanted_account = wanted_account(exchange.incoming);
    let wanted_account = wanted_account.as_deref();
    let deadline = exchange.deadline;
    let verified = exchange.verified.take();
    let verdict = match credentials {
        None | Some(Credentials::NoToken(_) | Credentials::Unknown(_)) => return Ok(()),
        Some(Credentials::Token(token)) => match verified {
            Some(verified) if verified.token == *token => verified.verdict,
            _ => auth.verify(token, wanted_account, deadline).await,
        },
        Some(Credentials::Bearer(_)) if callers.bearer == Bearer::Unknown => return Ok(()),
        Some(Credentials::Bearer(id)) => auth.verify_bearer(id, wanted_account, deadline).await,
        Some(Credentials::Basic(encoded)) => {
            auth.verify_basic(encoded, exchange.client().address, deadline).await
        }
    };
    match verdict {
        Ok(caller) => {
            exchange.reservation.bill(caller.account_id());
            exchange.app.auth.remember_address(&caller, exchange.client().address);
            exchange.caller = Some(caller);
        }
        Err(AuthError::Expired) if callers.expired_token == ExpiredToken::AtOnce => {
            return Err(Refusal::TokenExpired);
        }
        Err(AuthError::TrialExpired { at }) => return Err(Refusal::AccountExpired { cause: at }),
        Err(AuthError::Barred(barred)) => return Err(barred.into()),
        Err(AuthError::Store(error)) => return Err(Refusal::StoreWhileIdentifying(error)),
        Err(error) => {
            exchange.fault = match error {
                AuthError::Invalid(what) => Some(what),
                AuthError::Expired => Some("the token has expired"),
                _ => None,
            };
            log::debug!(request_id = exchange.request_id.as_str(); "credentials refused: {error}");
        }
    }
    Ok(())
}

/// Verifies the token in a request's header. The verdict counts once the request's order comes to it; before
/// that, it only says who pays for the body.
pub(crate) async fn verify_header(app: &App, incoming: &Incoming<'_>) -> Option<Verified> {
    let token = incoming.lossy_header(&header_names::X_AUTH_TOKEN)?.into_owned();
    let deadline = Deadline::after(app.live().store_timeout);
    let verdict = app.auth.verify(&token, wanted_account(incoming).as_deref(), deadline).await;
    Some(Verified { token, verdict })
}

/// The account that a header names. A header that is not text names none, but it still counts as given.
fn wanted_account<'a>(incoming: &Incoming<'a>) -> Option<Cow<'a, str>> {
    incoming.lossy_header(&header_names::X_AUTH_ACCOUNT_ID)
}

/// Loads the account that the path names. Some paths name none.
pub(crate) async fn load(
    exchange: &Exchange<'_>,
    part: &AccountPart,
) -> Result<Option<Arc<Account>>, Refusal> {
    let text = match part {
        AccountPart::Absent => return Ok(None),
        AccountPart::Empty => return Err(Refusal::MissingAccountId),
        AccountPart::Id(text) => text,
    };
    let unknown = || Refusal::BadIdentifier(text.clone());
    let id = AccountId::parse(text).map_err(|error| match error {
        NameError::Length => Refusal::InvalidAccountId(text.clone()),
        NameError::Shape => unknown(),
    })?;
    let auth = &exchange.app.auth;
    let foreign = auth.foreign_connection(&id, exchange.deadline);
    let account = auth.load_target(&id, exchange.caller.as_ref(), exchange.deadline);
    let (foreign, account) =
        future::try_join(foreign, account).await.map_err(Refusal::StoreWhileIdentifying)?;
    if let Some(connection) = foreign {
        exchange.app.refusals.tell_foreign_account(&id, &connection);
        return Err(Refusal::StoredElsewhere);
    }
    match account {
        Some(account) => Ok(Some(account)),
        None => Err(unknown()),
    }
}

/// Grants access to the account, or refuses. If the path names no account, nobody has access, and the
/// handler tells a superuser so later.
pub(crate) async fn authorise(
    exchange: &Exchange<'_>,
    target: Option<&Account>,
    asked: Asked<'_>,
) -> Result<Option<AccountAccess>, Refusal> {
    let caller: &Caller = exchange.caller.as_ref().ok_or(Refusal::NotAuthenticated)?;
    let Some(target) = target else {
        check_restrictions(exchange, asked).await?;
        return if caller.is_superduper() { Ok(None) } else { Err(Refusal::Forbidden) };
    };
    let granted = exchange.app.auth.authorise(caller, target, asked, exchange.deadline).await;
    granted.map(Some).map_err(refusal)
}

/// Refuses what the caller's token restrictions forbid. For paths without an account.
pub(crate) async fn check_restrictions(exchange: &Exchange<'_>, asked: Asked<'_>) -> Result<(), Refusal> {
    let caller: &Caller = exchange.caller.as_ref().ok_or(Refusal::NotAuthenticated)?;
    let checked = exchange.app.auth.check_restrictions(caller, None, asked, exchange.deadline).await;
    checked.map_err(refusal)
}

fn refusal(denied: Denied) -> Refusal {
    match denied {
        Denied::Restricted => Refusal::Restricted,
        Denied::Store(error) => Refusal::StoreWhileIdentifying(error),
        // The store is out of reach or failed.
        _ => Refusal::Forbidden,
    }
}
