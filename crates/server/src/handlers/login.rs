//! Logging in: `user_auth` and `api_auth`.

use auth::{Login, LoginError};
use serde_json::Value;
use validation::Violations;

use super::{Call, Refused, location};
use crate::answer::{self, Answer, Paging, Success};
use crate::catalogue::Refusal;
use crate::exchange::Exchange;
use crate::stage::route::Resource;

/// A login that succeeded.
pub(crate) struct Prepared(Login);

pub(super) async fn prepare(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    data: Value,
) -> Result<Prepared, Refused> {
    let Value::Object(mut members) = data else {
        return Err(Refusal::Validation(Violations::wrong_type("", "object", data)).into());
    };
    let auth = &exchange.app.auth;
    let deadline = exchange.deadline;
    let is_user = call.resource == Resource::UserAuth;
    let app = exchange.app;
    let schema = if is_user { &app.user_auth_schema } else { &app.api_auth_schema };
    schema.check(&mut members).map_err(|violations| Refused::from(Refusal::Validation(violations)))?;
    if is_user {
        if members.contains_key("action") {
            return Err(Refusal::Forbidden.into());
        }
        return auth.user_auth(&members, deadline).await.map(Prepared).map_err(refused);
    }
    let api_key = members.get("api_key").and_then(Value::as_str).unwrap_or_default();
    auth.api_auth(api_key, deadline).await.map(Prepared).map_err(|error| match error {
        LoginError::UnknownKey => Refusal::UnknownApiKey(api_key.to_owned()).into(),
        other => refused(other),
    })
}

pub(super) fn carry_out(exchange: &Exchange<'_>, prepared: Prepared) -> Answer {
    let Prepared(login) = prepared;
    answer::success(
        exchange,
        Success {
            status: 201,
            data: Value::Object(login.data).to_string(),
            revision: Some("automatic".to_owned()),
            location: Some(location(exchange, &login.id)),
            // Crossbar has found one row in a view, and the envelope still says so.
            paging: Paging { page_size: Some(1), ..Paging::default() },
            new_token: Some(login.token),
        },
    )
}

fn refused(error: LoginError) -> Refused {
    match error {
        // The look-up of the user found nobody, and crossbar says so.
        LoginError::BadCredentials { account_was_found } => {
            Refused { refusal: Refusal::NotAuthenticated, page_size: account_was_found.then_some(0) }
        }
        LoginError::AccountExpired { at } => {
            Refused { refusal: Refusal::AccountExpired { cause: at }, page_size: Some(1) }
        }
        LoginError::AccountDisabled => Refused { refusal: Refusal::AccountDisabled, page_size: Some(1) },
        LoginError::ModuleDisabled => Refusal::TokenExpired.into(),
        LoginError::Store(error) => Refusal::StoreWhileIdentifying(error).into(),
        _ => Refusal::NotAuthenticated.into(),
    }
}
