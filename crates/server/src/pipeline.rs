//! The order in which crossbar checks a request. Each step calls one stage, and the first refusal ends the
//! request.

use auth::Asked;
use futures::{FutureExt as _, future};

use crate::answer::{self, Answer};
use crate::catalogue::{Bare, Refusal};
use crate::handlers::{self, Call, Refused};
use crate::profile::{BasicJudged, Charging};
use crate::refusals::{self, Line};
use crate::request::action::Action;
use crate::request::api_version::ApiVersion;
use crate::request::content_type::ContentType;
use crate::request::credentials::Credentials;
use crate::request::exchange::Exchange;
use crate::request::format::Format;
use crate::request::header_names;
use crate::request::incoming::Received;
use crate::request::methods::Methods;
use crate::request::parameters::Parameters;
use crate::request::route::{Destination, Resource, Route, Versioned};
use crate::request::verb::Verb;
use crate::stage::{
    account, body, content_type, cors, language, negotiation, preconditions, query, rate, token, verb,
};

/// Answers a request.
pub(crate) async fn run(
    exchange: &mut Exchange<'_>,
    path: Result<Versioned, Refusal>,
    body: Received,
) -> Answer {
    match stages(exchange, path, body).await {
        Ok(answer) => answer,
        Err(Refused { refusal, page_size }) => {
            log_fault(exchange, &refusal);
            if !exchange.is_repeated {
                tell_refusal(exchange, &refusal);
            }
            answer::refusal(exchange, &refusal, page_size)
        }
    }
}

async fn stages(
    exchange: &mut Exchange<'_>,
    path: Result<Versioned, Refusal>,
    body: Received,
) -> Result<Answer, Refused> {
    let incoming = exchange.incoming;

    // Read the request.
    let destination = match path? {
        Versioned::Unversioned => return Ok(answer::unversioned()),
        Versioned::OfAdmin => return Ok(answer::of_admin()),
        Versioned::Gone => return Err(Refusal::Gone.into()),
        Versioned::Served(api, destination) => {
            exchange.api = api;
            destination
        }
    };
    let profile = exchange.profile();
    let query = query::parse(incoming.query)?;
    let content_type = ContentType::parse(incoming.header(&header_names::CONTENT_TYPE))?;
    let envelope = body::read(&content_type, body, profile.malformed_json, &exchange.reservation).await?;
    let (mut parameters, data) = Parameters::read(incoming, query, envelope);
    parameters.is_paged &= exchange.api != ApiVersion::V1;
    let credentials = token::find(&mut parameters);
    exchange.presented = credentials.as_ref().and_then(Credentials::echo);
    exchange.is_pretty = parameters.is_pretty;
    exchange.is_cors = cors::is_cors(incoming.headers);
    verb::check_known(&incoming.method)?;

    // Identify the caller. Bad credentials count as none for now. A login may carry an old token, which is
    // ignored.
    let verb = parameters.verb.take().unwrap_or_else(|| incoming.method.clone());
    exchange.is_login = destination.is_login(&verb);
    let is_basic = matches!(credentials, Some(Credentials::Basic(_)));
    let is_judged_first = !is_basic || profile.callers.basic == BasicJudged::AtFirst;
    if !exchange.is_login && is_judged_first {
        if is_basic {
            exchange.limits = rate::load_limits(exchange).await;
            rate::charge(exchange)?;
        }
        account::identify(exchange, credentials.as_ref()).await?;
    }

    // Find the resource and the action.
    let route = resolve(exchange, destination)?;
    exchange.methods = match &route {
        Route::Served { resource, .. } => Methods::of(resource.methods(), &incoming.method, &verb),
        Route::UnknownBelow => Methods::None,
        Route::UnknownTop => Methods::Unknown,
    };
    if exchange.is_cors && verb == Verb::Options && route != Route::UnknownTop {
        return if incoming.method == Verb::Options {
            Ok(answer::preflight(exchange))
        } else {
            Err(Refusal::Bare(Bare::TunnelledPreflight).into())
        };
    }
    let (account, user_id, resource) = match route {
        Route::Served { account, user_id, resource } => (account, user_id, resource),
        Route::UnknownBelow => return Err(Refusal::UnknownPath.into()),
        Route::UnknownTop => {
            authenticate(exchange, credentials.as_ref()).await?;
            // In crossbar, the module of such a path is called `404`.
            let asked = Asked { endpoint: "404", params: &[], verb: verb.as_str() };
            account::check_restrictions(exchange, asked).await?;
            return Err(unknown_top(exchange).into());
        }
    };
    exchange.endpoint = resource.endpoint();
    exchange.verb = Some(verb.clone());
    let action = verb::check_allowed(&incoming.method, &verb, &resource)?;

    // Load the account and check the caller's permission.
    let loaded = async {
        match account::load(exchange, &account).await {
            // The request has failed, so it does not wait for the rate limits.
            Err(failed @ Refusal::StoreWhileIdentifying(_)) => Err(failed),
            found => Ok(found),
        }
    };
    let limits = rate::load_limits(exchange).map(Ok);
    let (target, limits) = future::try_join(loaded, limits).await?;
    exchange.limits = limits;
    let target = target?;
    exchange.account_id = target.as_ref().map(|account| account.id().clone());
    let access = if exchange.is_login {
        // crossbar's other actions, such as impersonation, need a token.
        if resource == Resource::UserAuth && parameters.has_action {
            rate::charge(exchange)?;
            return Err(Refusal::Forbidden.into());
        }
        rate::charge_login(exchange)?;
        None
    } else {
        authenticate(exchange, credentials.as_ref()).await?;
        let param = resource.params();
        let asked = Asked { endpoint: resource.endpoint(), params: param.as_slice(), verb: verb.as_str() };
        if let Action::Token(_) = action {
            // A token belongs to the caller, not to an account in the path.
            account::check_restrictions(exchange, asked).await?;
            None
        } else {
            account::authorise(exchange, target.as_deref(), asked).await?
        }
    };

    // Choose the form of the answer.
    let accept = incoming.lossy_header(&header_names::ACCEPT);
    let negotiated = negotiation::negotiate(accept.as_deref(), profile.accept_parameters)?;
    exchange.language = Some(language::choose(incoming.header(&header_names::ACCEPT_LANGUAGE)));
    let format = match incoming.method {
        Verb::Get => parameters.accept.unwrap_or(negotiated),
        _ => Format::Json,
    };

    if action.writes_groups() && exchange.app.release.forbids_writes() {
        return Err(Refusal::OtherRelease.into());
    }

    // Prepare the action, check the preconditions, and carry it out.
    let call = Call {
        action,
        user_id: user_id.as_deref(),
        format,
        token: credentials.and_then(Credentials::into_token),
        parameters: &parameters,
    };
    let prepared = handlers::prepare(exchange, &call, access, data).await?;
    exchange.etag = prepared.etag().map(str::to_owned);
    preconditions::check(incoming.headers, exchange.is_read(), prepared.target())?;
    if matches!(incoming.method, Verb::Put | Verb::Post | Verb::Patch) {
        content_type::check_accepted(&content_type)?;
    }
    handlers::carry_out(exchange, &call, prepared).await
}

/// The route of a path. `/account` stands for the token's account.
fn resolve(exchange: &Exchange<'_>, destination: Destination) -> Result<Route, Refusal> {
    match (destination, &exchange.caller) {
        (Destination::Route(route), _) => Ok(route),
        (Destination::OwnAccount(rest), Some(caller)) => {
            Ok(Route::below_account(caller.account_id().as_str(), rest))
        }
        (Destination::OwnAccount(_), None) => Err(Refusal::TokenExpired),
    }
}

/// Charges the request if it has to pay, and refuses it without good credentials.
async fn authenticate(exchange: &mut Exchange<'_>, credentials: Option<&Credentials>) -> Result<(), Refusal> {
    let callers = exchange.profile().callers;
    let is_basic = matches!(credentials, Some(Credentials::Basic(_)));
    let is_token = matches!(credentials, None | Some(Credentials::Token(_) | Credentials::NoToken(_)));
    let is_charged = match callers.charging {
        // A bad token costs a bucket token, and so does a missing one. Other bad credentials were charged
        // earlier or cost nothing.
        Charging::Failures => is_token && exchange.caller.is_none(),
        Charging::EveryRequest => is_token || is_basic,
    };
    if is_charged {
        rate::charge(exchange)?;
    }
    if is_basic && callers.basic == BasicJudged::AfterTheAccount {
        // In a box, because few requests come here, and all have to carry the future.
        Box::pin(account::identify(exchange, credentials)).await?;
    }
    if exchange.caller.is_none() { Err(Refusal::NotAuthenticated) } else { Ok(()) }
}

/// The refusal for a path whose first part is unknown. As in crossbar, the answer to a superuser says less.
fn unknown_top(exchange: &Exchange<'_>) -> Refusal {
    match &exchange.caller {
        Some(caller) if caller.is_superduper() => Refusal::Bare(Bare::NoSuchPath),
        _ => Refusal::UnknownPath,
    }
}

/// Logs a failure of the store, once, with the request's id. That the store is busy is logged elsewhere, once
/// a second.
fn log_fault(exchange: &Exchange<'_>, refusal: &Refusal) {
    if let Refusal::Store(error) | Refusal::StoreWhileIdentifying(error) = refusal
        && !error.is_busy()
    {
        log::error!(request_id = exchange.request_id.as_str(); "the store failed: {}", crate::chain(error));
    }
}

/// Counts and logs a refusal, if it is one about who sent the request.
fn tell_refusal(exchange: &Exchange<'_>, refusal: &Refusal) {
    let reason = refusals::reason(refusal, exchange.is_login, exchange.presented.is_some());
    let Some(reason) = reason else { return };
    let Some(Line { level, left_out }) = exchange.app.refusals.count(reason) else { return };
    let address = exchange.address().map(|address| address.to_string());
    log::log!(
        target: refusals::LOG_TARGET,
        level,
        request_id = exchange.request_id.as_str(),
        reason,
        detail = exchange.fault,
        address = address.as_deref(),
        account_id = exchange.logged_account_id().map(kazoo::AccountId::as_str),
        user_id = exchange.logged_user_id(),
        left_out;
        "refused a request"
    );
}
