//! The account of a request and the caller's right to it. Refuses tokens that have expired (401),
//! accounts whose trial has (400), unknown accounts (404), the absence of credentials (401, or 429 to
//! who has failed too often), and callers who may not (403).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use auth::{Account, AccountAccess, Asked, AuthError, Caller, Denied};
use datastore::{AccountId, NameError};

use crate::catalogue::Refusal;
use crate::exchange::Exchange;
use crate::stage::route::{AccountPart, Resource};
use crate::stage::token::Presented;

/// What a failure takes out of a client's bucket.
const COST: u32 = 1;

/// Finds out who sends the request, as far as its credentials tell. What is wrong with them is not yet
/// refused, but for a token that is good in all but time.
pub(crate) async fn identify(
    exchange: &mut Exchange<'_>,
    presented: Option<&Presented>,
) -> Result<(), Refusal> {
    let auth = &exchange.app.auth;
    let wanted_account = exchange.incoming.header("x-auth-account-id");
    let deadline = exchange.deadline;
    let verdict = match presented {
        None | Some(Presented::Unknown(_)) => return Ok(()),
        Some(Presented::Token(token)) => auth.verify(token, wanted_account, deadline).await,
        Some(Presented::Bearer(id)) => auth.verify_bearer(id, wanted_account, deadline).await,
        Some(Presented::Basic(encoded)) => {
            charge(exchange, None)?;
            auth.verify_basic(encoded, deadline).await
        }
    };
    match verdict {
        Ok(caller) => exchange.caller = Some(caller),
        Err(AuthError::Expired) => return Err(Refusal::TokenExpired),
        Err(AuthError::TrialExpired { at }) => return Err(Refusal::AccountExpired { cause: at }),
        Err(AuthError::Store(error)) => return Err(Refusal::StoreWhileIdentifying(error)),
        Err(error) => log::debug!(request_id = exchange.request_id.as_str(); "credentials refused: {error}"),
    }
    Ok(())
}

/// Loads the account that the path names; a path without a place for one has none.
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
    let account = exchange.app.auth.load_account(&id, exchange.deadline).await;
    match account.map_err(Refusal::StoreWhileIdentifying)? {
        Some(account) => Ok(Some(account)),
        None => Err(unknown()),
    }
}

/// Refuses a request that nobody has proven to have sent.
pub(crate) fn require_caller(exchange: &mut Exchange<'_>, target: Option<&Account>) -> Result<(), Refusal> {
    if exchange.caller.is_some() {
        return Ok(());
    }
    charge(exchange, target)?;
    Err(Refusal::NotAuthenticated)
}

/// Charges an attempt to log in, good or bad: crossbar takes its cost twice.
pub(crate) fn charge_login(exchange: &mut Exchange<'_>) -> Result<(), Refusal> {
    let key = format!("{}/no_account", client_address(exchange));
    let charged = exchange.app.buckets.charge_login(&key, COST, Instant::now());
    exchange.tokens_remaining = charged.unwrap_or_else(|empty| empty.remaining);
    charged.map(drop).map_err(|_| Refusal::TooManyRequests)
}

/// Grants access to the account, or refuses.
pub(crate) async fn authorise(
    exchange: &Exchange<'_>,
    target: Option<&Account>,
    resource: &Resource,
    verb: &str,
) -> Result<AccountAccess, Refusal> {
    let caller: &Caller = exchange.caller.as_ref().ok_or(Refusal::NotAuthenticated)?;
    let Some(target) = target else {
        // A superuser may, but there are no groups without an account.
        return Err(if caller.is_superduper() { Refusal::MissingAccountId } else { Refusal::Forbidden });
    };
    let params: &[&str] = match resource {
        Resource::Group(id) => &[id],
        _ => &[],
    };
    let deadline = exchange.deadline;
    let granted = exchange.app.auth.authorise(caller, target, Asked { params, verb }, deadline).await;
    granted.map_err(|denied| match denied {
        Denied::OutOfReach => Refusal::Forbidden,
        Denied::Restricted => Refusal::Restricted,
        Denied::Store(error) => Refusal::StoreWhileIdentifying(error),
        _ => Refusal::Forbidden,
    })
}

/// Takes a failure out of the client's bucket for this account.
fn charge(exchange: &mut Exchange<'_>, target: Option<&Account>) -> Result<(), Refusal> {
    let account = target.map_or("no_account", |account| account.id().as_str());
    let key = format!("{}/{account}", client_address(exchange));
    match exchange.app.buckets.charge(&key, COST, Instant::now()) {
        Ok(remaining) => {
            exchange.tokens_remaining = remaining;
            Ok(())
        }
        Err(empty) => {
            exchange.tokens_remaining = empty.remaining;
            Err(Refusal::TooManyRequests)
        }
    }
}

/// Who the client is: the peer, or whoever a proxy that is believed says it is.
fn client_address(exchange: &Exchange<'_>) -> String {
    let Some(peer) = exchange.incoming.peer else { return "no_ip".to_owned() };
    let is_proxy = exchange.app.settings.reverse_proxies.contains(&peer);
    let forwarded = exchange.incoming.header("x-forwarded-for").filter(|_| is_proxy);
    // Only an address is taken over, so that no client can make up endless names for itself in vain.
    let forwarded = forwarded.and_then(|list| list.split(',').next()?.trim().parse::<IpAddr>().ok());
    forwarded.unwrap_or(peer).to_string()
}
