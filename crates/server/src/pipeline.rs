//! The order in which crossbar checks a request, in one place. Each step calls one stage; the first
//! refusal ends the request.

use auth::Asked;
use futures::future;

use crate::answer::{self, Answer};
use crate::catalogue::{Bare, Refusal};
use crate::exchange::Exchange;
use crate::handlers::{self, Call, Refused};
use crate::parameters::Parameters;
use crate::stage::cors::Methods;
use crate::stage::negotiation::Format;
use crate::stage::route::{Parts, Resource, Route, Versioned};
use crate::stage::token::Presented;
use crate::stage::{
    account, body, content_type, cors, language, negotiation, preconditions, query, rate, route, token, verb,
};

/// Answers a request.
pub(crate) async fn run(exchange: &mut Exchange<'_>) -> Answer {
    match stages(exchange).await {
        Ok(answer) => answer,
        Err(Refused { refusal, page_size }) => {
            log_fault(exchange, &refusal);
            answer::refusal(exchange, &refusal, page_size)
        }
    }
}

async fn stages(exchange: &mut Exchange<'_>) -> Result<Answer, Refused> {
    let incoming = exchange.incoming;
    let app = exchange.app;

    // What the request says, before anybody asks who says it.
    let parts = match route::split(&incoming.path)? {
        Versioned::Unversioned => return Ok(answer::unversioned()),
        Versioned::Gone => return Err(Refusal::Gone.into()),
        Versioned::Served(parts) => parts,
    };
    let query = query::parse(&incoming.query)?;
    let content_type = content_type::parse(incoming.header("content-type"))?;
    let mut envelope = body::read(&content_type, incoming.body.clone(), app.settings.max_body_bytes).await?;
    let parameters = Parameters { query: &query, envelope: &envelope };
    let presented = token::find(incoming, parameters);
    exchange.presented = presented.as_ref().and_then(Presented::echo);
    exchange.is_pretty = wants_pretty(exchange, parameters);
    exchange.is_cors = cors::is_cors(&incoming.headers);
    verb::check_known(&incoming.method)?;

    // Who sends it, as far as a token tells at once; a token that is no good counts as none for now.
    // Who logs in may still show an old token: nobody looks at it.
    let verb_parameter = parameters.text("verb");
    let verb = verb::effective(&incoming.method, verb_parameter.as_deref());
    let is_login_path =
        matches!(parts.route(), Route::Served { resource: Resource::UserAuth | Resource::ApiAuth, .. });
    let is_login = is_login_path && verb.name == "PUT";
    if !is_login {
        if matches!(presented, Some(Presented::Basic(_))) {
            exchange.limits = rate::load_limits(exchange).await;
            rate::charge(exchange)?;
        }
        account::identify(exchange, presented.as_ref()).await?;
    }

    // What it asks for.
    let route = resolve_alias(exchange, parts)?.route();
    exchange.methods = match &route {
        Route::Served { resource, .. } => Methods::of(resource.methods(), &incoming.method, &verb),
        Route::UnknownBelow => Methods::None,
        Route::UnknownTop => Methods::Unknown,
    };
    if exchange.is_cors && verb.name == "OPTIONS" && route != Route::UnknownTop {
        let is_preflight = incoming.method == "OPTIONS";
        return if is_preflight {
            Ok(answer::preflight(exchange))
        } else {
            Err(Refusal::Bare(Bare::TunnelledPreflight).into())
        };
    }
    let (account, user_id, resource) = match route {
        Route::Served { account, user_id, resource } => (account, user_id, resource),
        Route::UnknownBelow => return Err(Refusal::UnknownPath.into()),
        Route::UnknownTop => {
            if exchange.caller.is_none() {
                return Err(unauthenticated(exchange, presented.as_ref()).into());
            }
            // To crossbar, the module of such a path is `404`.
            let asked = Asked { endpoint: "404", params: &[], verb: &verb.name };
            account::check_restrictions(exchange, asked).await?;
            return Err(unknown_top(exchange).into());
        }
    };
    exchange.endpoint = resource.endpoint();
    exchange.verb.clone_from(&verb.name);
    verb::check_allowed(&incoming.method, &verb, resource.methods())?;

    // Whether it may.
    let (target, limits) = future::join(account::load(exchange, &account), rate::load_limits(exchange)).await;
    exchange.limits = limits;
    let target = target?;
    exchange.account_id = target.as_ref().map(|account| account.id().clone());
    let access = if is_login {
        // Crossbar's other actions (acting as somebody else, for one) are not for who logs in.
        if resource == Resource::UserAuth && parameters.value("action").is_some() {
            rate::charge(exchange)?;
            return Err(Refusal::Forbidden.into());
        }
        rate::charge_login(exchange)?;
        None
    } else if exchange.caller.is_none() {
        return Err(unauthenticated(exchange, presented.as_ref()).into());
    } else {
        let params: Vec<&str> = resource.params().into_iter().collect();
        let asked = Asked { endpoint: resource.endpoint(), params: &params, verb: &verb.name };
        match resource {
            // A token is its bearer's own.
            Resource::TokenAuth | Resource::UserAuthToken(_) => {
                account::check_restrictions(exchange, asked).await?;
                None
            }
            _ => account::authorise(exchange, target.as_deref(), asked).await?,
        }
    };

    // What it wants back.
    let mut format = negotiation::negotiate(incoming.header("accept"))?;
    exchange.language = Some(language::choose(incoming.header("accept-language")));
    if incoming.method != "GET" {
        format = Format::Json;
    } else if let Some(wanted) = parameters.text("accept") {
        format = negotiation::format_of_parameter(&wanted);
    }

    // Doing it.
    let start_key = parameters.value("start_key");
    if let Some(data) = envelope.data.as_object_mut() {
        data.shift_remove("start_key");
    }
    let data = envelope.data.clone();
    let call = Call {
        access,
        user_id,
        resource,
        verb,
        format,
        start_key,
        token: presented.and_then(Presented::into_token),
        parameters: Parameters { query: &query, envelope: &envelope },
    };
    let prepared = handlers::prepare(exchange, &call, data).await?;
    exchange.etag = prepared.etag().map(str::to_owned);
    preconditions::check(&incoming.headers, exchange.is_read(), prepared.target())?;
    if matches!(incoming.method.as_str(), "PUT" | "POST" | "PATCH") {
        content_type::check_accepted(&content_type)?;
    }
    handlers::carry_out(exchange, &call, prepared).await
}

/// The header wins over the parameter.
fn wants_pretty(exchange: &Exchange<'_>, parameters: Parameters<'_>) -> bool {
    match exchange.incoming.header("x-pretty-print") {
        Some(header) => header == "true",
        None => parameters.is_true_or("pretty_print", false),
    }
}

/// `/account` stands for the token's own account.
fn resolve_alias(exchange: &Exchange<'_>, parts: Parts) -> Result<Parts, Refusal> {
    if !parts.is_alias() {
        return Ok(parts);
    }
    match &exchange.caller {
        Some(caller) => Ok(parts.without_alias(caller.account_id().as_str())),
        None => Err(Refusal::TokenExpired),
    }
}

/// Nobody has proven to have sent the request. Of credentials that are no good, only a token is charged
/// here, and its absence.
fn unauthenticated(exchange: &Exchange<'_>, presented: Option<&Presented>) -> Refusal {
    let is_charged = matches!(presented, None | Some(Presented::Token(_) | Presented::NoToken(_)));
    match is_charged.then(|| rate::charge(exchange)) {
        Some(Err(refusal)) => refusal,
        _ => Refusal::NotAuthenticated,
    }
}

/// A path that begins with nothing known: a superuser learns less.
fn unknown_top(exchange: &Exchange<'_>) -> Refusal {
    match &exchange.caller {
        Some(caller) if caller.is_superduper() => Refusal::Bare(Bare::NoSuchPath),
        _ => Refusal::UnknownPath,
    }
}

/// Faults of ours and of the store go into the log, once, with the id that the client was told.
fn log_fault(exchange: &Exchange<'_>, refusal: &Refusal) {
    let request_id = exchange.request_id.as_str();
    match refusal {
        Refusal::Store(error) | Refusal::StoreWhileIdentifying(error) => {
            log::error!(request_id; "the store failed: {}", crate::chain(error));
        }
        Refusal::Broken(what) => log::error!(request_id; "a request ended in a fault: {what}"),
        _ => {}
    }
}
