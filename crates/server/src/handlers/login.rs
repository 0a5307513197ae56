//! Logins: `user_auth` and `api_auth`.

use auth::{Barred, Login, LoginError};
use serde_json::{Map, Value};
use validation::{Schema, Violations};

use super::call::{Call, Refused, location};
use crate::answer::{self, Answer, Data, Paging, Success};
use crate::catalogue::Refusal;
use crate::request::exchange::Exchange;

/// The longest `as` that is accepted, in bytes of JSON.
const MAX_MASQUERADE: usize = 512;

/// A login that succeeded.
pub(crate) struct Prepared(Login);

pub(super) async fn prepare_user(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    data: Value,
) -> Result<Prepared, Refused> {
    let members = checked(&exchange.app.user_auth_schema, data)?;
    let (auth, address) = (&exchange.app.auth, exchange.client().address);
    let login = auth.user_auth(&members, address, &exchange.login, exchange.deadline).await;
    login.map(Prepared).map_err(|error| refused(call, error))
}

pub(super) async fn prepare_api_key(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    data: Value,
) -> Result<Prepared, Refused> {
    let members = checked(&exchange.app.api_auth_schema, data)?;
    let api_key = members.get("api_key").and_then(Value::as_str).unwrap_or_default();
    let login = exchange.app.auth.api_auth(api_key, &exchange.login, exchange.deadline).await;
    login.map(Prepared).map_err(|error| match error {
        // crossbar has read the view of the keys and found none.
        LoginError::UnknownKey => {
            Refused { refusal: Refusal::UnknownApiKey(api_key.to_owned()), page_size: found(call, 0) }
        }
        other => refused(call, other),
    })
}

/// Checks a login's data against the schema, and returns its public members.
fn checked(schema: &Schema, data: Value) -> Result<Map<String, Value>, Refusal> {
    let Value::Object(mut members) = data else {
        return Err(Refusal::Validation(Violations::wrong_type("", "object", data)));
    };
    // Private members from clients are dropped, and an empty id counts as none.
    members.retain(|key, value| !kazoo::is_private(key) && (key != "id" || value != ""));
    schema.check(&mut members).map_err(Refusal::Validation)?;
    // The token contains it unchanged, and the server remembers tokens.
    if members.get("as").is_some_and(|wanted| wanted.to_string().len() > MAX_MASQUERADE) {
        return Err(Refusal::malformed("as", "longer than two ids can be", None));
    }
    Ok(members)
}

pub(super) async fn carry_out(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    prepared: Prepared,
) -> Result<Answer, Refusal> {
    let Prepared(login) = prepared;
    let success = Success {
        revision: Some("automatic".to_owned()),
        location: Some(location(exchange, &login.id)),
        paging: Paging { page_size: found(call, 1), ..Paging::default() },
        new_token: Some(login.token),
        ..Success::new(201, Data::Value(Value::Object(login.data)))
    };
    answer::success(exchange, success).await
}

/// The number of rows in the view that crossbar read last. crossbar's envelope repeats it.
fn found(call: &Call<'_>, rows: u64) -> Option<u64> {
    call.parameters.is_paged.then_some(rows)
}

fn refused(call: &Call<'_>, error: LoginError) -> Refused {
    match error {
        // crossbar has read the view of one account's users and found nobody.
        LoginError::BadCredentials { accounts: 1 } => {
            Refused { refusal: Refusal::NotAuthenticated, page_size: found(call, 0) }
        }
        LoginError::AccountExpired { at } => {
            Refused { refusal: Refusal::AccountExpired { cause: at }, page_size: found(call, 1) }
        }
        LoginError::Barred(barred) => {
            let rows = (barred == Barred::AccountDisabled).then_some(1);
            Refused { refusal: barred.into(), page_size: rows.and_then(|rows| found(call, rows)) }
        }
        LoginError::Store(error) => Refusal::StoreWhileIdentifying(error).into(),
        _ => Refusal::NotAuthenticated.into(),
    }
}
