//! `token_auth`: what a token says of its bearer, and giving it back.

use auth::Caller;
use serde_json::{Map, Value};
use validation::Violations;

use super::Call;
use crate::answer::{self, Answer, Success};
use crate::catalogue::Refusal;
use crate::exchange::Exchange;

/// A request about the caller's own token, checked.
pub(crate) enum Prepared {
    /// What it says.
    Shown(Map<String, Value>),
    /// It is to count no more.
    GivenBack(String),
}

pub(super) async fn prepare(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    caller: &Caller,
) -> Result<Prepared, Refusal> {
    if call.verb.name == "DELETE" {
        let missing = || Refusal::Validation(Violations::missing("auth_token", Value::from("auth_token")));
        return call.token.clone().map(Prepared::GivenBack).ok_or_else(missing);
    }
    let shown = exchange.app.auth.describe_caller(caller, exchange.deadline).await;
    shown.map(Prepared::Shown).map_err(Refusal::StoreWhileIdentifying)
}

pub(super) async fn carry_out(exchange: &Exchange<'_>, prepared: Prepared) -> Result<Answer, Refusal> {
    let data = match prepared {
        Prepared::Shown(data) => data,
        Prepared::GivenBack(token) => {
            let done = exchange.app.auth.log_out(&token, exchange.deadline).await;
            done.map_err(Refusal::StoreWhileIdentifying)?;
            Map::new()
        }
    };
    Ok(answer::success(
        exchange,
        Success { status: 200, data: Value::Object(data).to_string(), ..Success::default() },
    ))
}
