//! The credentials of a request. The first place that has credentials decides, even if they are bad.

use serde_json::Value;

use crate::request::credentials::Credentials;
use crate::request::parameters::Parameters;

/// Takes the credentials out of the parameters. A token wins over `authorization`.
pub(crate) fn find(parameters: &mut Parameters) -> Option<Credentials> {
    if let Some(token) = parameters.auth_token.take() {
        return Some(match token {
            Value::String(token) => Credentials::Token(token),
            other => Credentials::NoToken(other),
        });
    }
    let authorization = parameters.authorization.take()?;
    let scheme = |prefix: &str| Some(authorization.as_str()?.strip_prefix(prefix)?.to_owned());
    Some(if let Some(rest) = scheme("Basic ") {
        Credentials::Basic(rest)
    } else if let Some(rest) = scheme("Bearer ") {
        Credentials::Bearer(rest)
    } else {
        Credentials::Unknown(authorization)
    })
}
