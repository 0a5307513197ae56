//! `token_auth`: what a token says of its bearer, and giving it back. Below `user_auth`, crossbar still
//! looks for tokens in a database that nothing writes any more.

use serde_json::{Map, Value};

use super::Call;
use crate::answer::{self, Answer, Data, Success};
use crate::catalogue::Refusal;
use crate::request::exchange::Exchange;

/// A request about the caller's own token, checked.
pub(crate) enum Prepared {
    /// What it says.
    Shown(Map<String, Value>),
    /// It is to count no more. Credentials that are no token cannot be given back.
    GivenBack(Option<String>),
}

pub(super) async fn prepare_show(exchange: &Exchange<'_>) -> Result<Prepared, Refusal> {
    let caller = exchange.caller.as_ref().ok_or(Refusal::NotAuthenticated)?;
    let shown = exchange.app.auth.describe_caller(caller, exchange.deadline).await;
    shown.map(Prepared::Shown).map_err(Refusal::StoreWhileIdentifying)
}

pub(super) fn prepare_give_back(call: &Call<'_>) -> Prepared {
    Prepared::GivenBack(call.token.clone())
}

/// The refusal of a look at the token in the path: crossbar finds none. The caller's own token belongs to
/// the caller's account, and the path has no account.
pub(super) fn refuse_named(call: &Call<'_>, token: &str) -> Refusal {
    let is_own = call.token.as_deref() == Some(token);
    if is_own { Refusal::Forbidden } else { Refusal::NotAuthenticated }
}

pub(super) async fn carry_out(exchange: &Exchange<'_>, prepared: Prepared) -> Result<Answer, Refusal> {
    let data = match prepared {
        Prepared::Shown(data) => Data::Value(Value::Object(data)),
        Prepared::GivenBack(token) => {
            if let Some(token) = token {
                let done = exchange.app.auth.log_out(&token, exchange.deadline).await;
                done.map_err(Refusal::StoreWhileIdentifying)?;
            }
            Data::Absent
        }
    };
    answer::success(exchange, Success::new(200, data))
}
