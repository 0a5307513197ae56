//! `token_auth`: shows the caller's token, and logs the caller out. Below `user_auth`, crossbar looks for
//! tokens in a database that no program writes any more.

use serde_json::{Map, Value};

use super::call::Call;
use crate::answer::{self, Answer, Data, Success};
use crate::catalogue::Refusal;
use crate::request::exchange::Exchange;

/// A checked request about the caller's token.
pub(crate) enum Prepared {
    /// The token's content.
    Shown(Map<String, Value>),
    /// The token to invalidate. `None` for credentials that are not a token; these stay valid.
    LogOut(Option<String>),
}

pub(super) async fn prepare_show(exchange: &Exchange<'_>) -> Result<Prepared, Refusal> {
    let caller = exchange.caller.as_ref().ok_or(Refusal::NotAuthenticated)?;
    let shown = exchange.app.auth.describe_caller(caller, exchange.deadline).await;
    shown.map(Prepared::Shown).map_err(Refusal::StoreWhileIdentifying)
}

pub(super) fn prepare_log_out(call: &Call<'_>) -> Prepared {
    Prepared::LogOut(call.token.clone())
}

/// Refuses to show the token in the path, as crossbar never finds one there. The caller's token belongs to
/// the caller's account, and the path has no account.
pub(super) fn refuse_named(call: &Call<'_>, token: &str) -> Refusal {
    let is_own = call.token.as_deref() == Some(token);
    if is_own { Refusal::Forbidden } else { Refusal::NotAuthenticated }
}

pub(super) async fn carry_out(exchange: &Exchange<'_>, prepared: Prepared) -> Result<Answer, Refusal> {
    let data = match prepared {
        Prepared::Shown(data) => Data::Value(Value::Object(data)),
        Prepared::LogOut(token) => {
            if let Some(token) = token {
                let done = exchange.app.auth.log_out(&token, exchange.deadline).await;
                done.map_err(Refusal::StoreWhileIdentifying)?;
            }
            Data::Absent
        }
    };
    answer::success(exchange, Success::new(200, data)).await
}
