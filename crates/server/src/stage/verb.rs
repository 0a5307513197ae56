//! Methods and verbs. Refuses a method that crossbar does not know (empty 501), and a verb that the
//! resource does not have (405).

use crate::catalogue::{Bare, Refusal};
use crate::request::action::Action;
use crate::request::route::Resource;
use crate::request::verb::Verb;

/// Refuses a method that crossbar does not know.
pub(crate) fn check_known(method: &Verb) -> Result<(), Refusal> {
    match method {
        Verb::Unknown(_) => Err(Refusal::Bare(Bare::UnknownMethod)),
        _ => Ok(()),
    }
}

/// The action that the verb asks for. Refuses a verb that the resource does not have. If the verb differs
/// from the method, the method must be POST.
pub(crate) fn check_allowed<'a>(
    method: &Verb,
    verb: &Verb,
    resource: &'a Resource,
) -> Result<Action<'a>, Refusal> {
    let comes_rightly = verb == method || *method == Verb::Post;
    Action::of(resource, verb).filter(|_| comes_rightly).ok_or(Refusal::InvalidMethod)
}
