//! Methods and the `verb` parameter, which tunnels a verb through POST. Refuses an unknown method
//! (empty 501) and a verb that the resource does not have (405).

use crate::catalogue::{Bare, Refusal};

/// The methods that crossbar knows.
const KNOWN_METHODS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"];

/// What a request wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verb {
    /// The verb, upper case.
    pub(crate) name: String,
    /// Whether it came through a POST that is none.
    pub(crate) is_tunnelled: bool,
}

/// Refuses a method that crossbar does not know.
pub(crate) fn check_known(method: &str) -> Result<(), Refusal> {
    if KNOWN_METHODS.contains(&method) { Ok(()) } else { Err(Refusal::Bare(Bare::UnknownMethod)) }
}

/// The verb that counts: the method, or what `verb` says.
pub(crate) fn effective(method: &str, verb_parameter: Option<&str>) -> Verb {
    let name = verb_parameter.map_or_else(|| method.to_owned(), str::to_ascii_uppercase);
    let is_tunnelled = name != method;
    Verb { name, is_tunnelled }
}

/// Refuses a verb that the resource does not have, and one that comes through another method than POST.
pub(crate) fn check_allowed(method: &str, verb: &Verb, methods: &[&str]) -> Result<(), Refusal> {
    let is_allowed = methods.contains(&verb.name.as_str()) && (!verb.is_tunnelled || method == "POST");
    if is_allowed { Ok(()) } else { Err(Refusal::InvalidMethod) }
}
