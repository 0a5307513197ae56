//! `token_auth`: what a token says of its bearer, and giving it back. Below `user_auth`, crossbar still
//! looks for tokens in a database that nothing writes any more.

use auth::Caller;
use serde_json::{Map, Value};

use super::Call;
use crate::answer::{self, Answer, Success};
use crate::catalogue::Refusal;
use crate::exchange::Exchange;
use crate::stage::route::Resource;

/// A request about the caller's own token, checked.
pub(crate) enum Prepared {
    /// What it says.
    Shown(Map<String, Value>),
    /// It is to count no more. Credentials that are no token cannot be given back.
    GivenBack(Option<String>),
}

pub(super) async fn prepare(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    caller: &Caller,
) -> Result<Prepared, Refusal> {
    if let Resource::UserAuthToken(token) = &call.resource {
        // Its own token is its account's, and no account is in the path.
        let is_own = call.token.as_ref() == Some(token);
        return Err(if is_own { Refusal::Forbidden } else { Refusal::NotAuthenticated });
    }
    if call.verb.name == "DELETE" {
        return Ok(Prepared::GivenBack(call.token.clone()));
    }
    let shown = exchange.app.auth.describe_caller(caller, exchange.deadline).await;
    shown.map(Prepared::Shown).map_err(Refusal::StoreWhileIdentifying)
}

pub(super) async fn carry_out(exchange: &Exchange<'_>, prepared: Prepared) -> Result<Answer, Refusal> {
    let data = match prepared {
        Prepared::Shown(data) => Value::Object(data).to_string(),
        Prepared::GivenBack(None) => String::new(),
        Prepared::GivenBack(Some(token)) => {
            let done = exchange.app.auth.log_out(&token, exchange.deadline).await;
            done.map_err(Refusal::StoreWhileIdentifying)?;
            String::new()
        }
    };
    Ok(answer::success(exchange, Success { status: 200, data, ..Success::default() }))
}
