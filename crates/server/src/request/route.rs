//! The path: its version, its parts, and the resource that it names. Refuses a bad escape (bare 400) and version 1
//! where the profile does (410). A path without a version gets a short page of text, or a 404 if it looks like one
//! of the admin listener, as for health or metrics.

use std::borrow::Cow;

use super::api_version::ApiVersion;
use super::verb::Verb;
use crate::catalogue::{Bare, Refusal};
use crate::grammar::percent::{self, BadEscape, Plus};
use crate::profile::{PathDecoding, Paths, VersionOne};

/// The meaning of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// A resource that is served here.
    Served {
        /// The account that the path names.
        account: AccountPart,
        /// The user that the path names.
        user_id: Option<String>,
        /// The resource.
        resource: Resource,
    },
    /// A path below an account or a login that is not served here.
    UnknownBelow,
    /// A path whose first part is unknown.
    UnknownTop,
}

/// The part of a path that names the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AccountPart {
    /// The path has no such part: `/v2/groups`, `/v2/accounts/groups`.
    Absent,
    /// The part is empty: `/v2/accounts//groups`.
    Empty,
    /// This id. Its form is not checked yet.
    Id(String),
}

/// A resource, with the methods that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// The groups of an account or of a user.
    Groups,
    /// One group, by its id.
    Group(String),
    /// A login with a user's credentials.
    UserAuth,
    /// A login with an account's API key.
    ApiAuth,
    /// The caller's own token.
    TokenAuth,
    /// A token in the path, below `user_auth`.
    UserAuthToken(String),
}

impl Resource {
    /// The resources of crossbar's modules for authentication. What stands behind one in a path may be a token.
    const OF_AUTHENTICATION: [Self; 3] = [Self::UserAuth, Self::ApiAuth, Self::TokenAuth];

    /// The resource of a module for authentication. `None` for other modules.
    fn of_authentication(module: &str) -> Option<Self> {
        Self::OF_AUTHENTICATION.into_iter().find(|resource| resource.endpoint() == module)
    }

    /// Whether a request for this resource is a login.
    fn is_login(&self, verb: &Verb) -> bool {
        match self {
            Self::UserAuth | Self::ApiAuth => *verb == Verb::Put,
            Self::Groups | Self::Group(_) | Self::TokenAuth | Self::UserAuthToken(_) => false,
        }
    }

    /// crossbar's methods for the resource, in the order in which crossbar's headers list them.
    pub(crate) fn methods(&self) -> &'static [Verb] {
        const COLLECTION: &[Verb] = &[Verb::Put, Verb::Get];
        const ITEM: &[Verb] = &[Verb::Patch, Verb::Post, Verb::Get, Verb::Delete];
        const LOGIN: &[Verb] = &[Verb::Put];
        const OWN_TOKEN: &[Verb] = &[Verb::Delete, Verb::Get];
        const OTHER_TOKEN: &[Verb] = &[Verb::Get];
        match self {
            Self::Groups => COLLECTION,
            Self::Group(_) => ITEM,
            Self::UserAuth | Self::ApiAuth => LOGIN,
            Self::TokenAuth => OWN_TOKEN,
            Self::UserAuthToken(_) => OTHER_TOKEN,
        }
    }

    /// The name of the resource's last module in the path. Costs and restrictions are listed by it.
    pub(crate) fn endpoint(&self) -> &'static str {
        match self {
            Self::Groups | Self::Group(_) => "groups",
            Self::UserAuth | Self::UserAuthToken(_) => "user_auth",
            Self::ApiAuth => "api_auth",
            Self::TokenAuth => "token_auth",
        }
    }

    /// The part of the path after that module.
    pub(crate) fn params(&self) -> Option<&str> {
        match self {
            Self::Group(id) | Self::UserAuthToken(id) => Some(id),
            Self::Groups | Self::UserAuth | Self::ApiAuth | Self::TokenAuth => None,
        }
    }
}

/// The parts of a path behind which tokens may stand. Logs must not show what follows them.
pub(crate) fn parts_before_tokens() -> impl Iterator<Item = &'static str> {
    Resource::OF_AUTHENTICATION.iter().map(Resource::endpoint)
}

/// The version at the start of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Versioned {
    /// A version that is served, and the rest of the path.
    Served(ApiVersion, Destination),
    /// Version 1.
    Gone,
    /// The path has no version.
    Unversioned,
    /// The path is one of the admin listener's, or a similar one.
    OfAdmin,
}

/// How a part of a path begins if programs ask it for health or metrics, as in `/healthz` and `/-/ready`.
const PROBES: [&str; 4] = ["health", "live", "ready", "metrics"];

/// The first parts of other paths that an admin listener may have.
const OF_ADMIN: [&str; 4] = ["status", "status.json", "docs", "ping"];

impl Versioned {
    /// Whether groups may be read or written at this path.
    pub(crate) fn may_be_of_groups(&self) -> bool {
        matches!(self, Self::Served(_, destination) if destination.may_be_of_groups())
    }

    /// Whether the path is that of groups or of one group, whichever account it names.
    pub(crate) fn is_of_groups(&self) -> bool {
        match self {
            Self::Served(_, Destination::OwnAccount(rest)) => {
                Destination::Route(Route::below_account("", rest.clone())).may_be_of_groups()
            }
            other => other.may_be_of_groups(),
        }
    }

    /// The path with names in place of ids, for the log and for metrics.
    pub(crate) fn template(&self) -> &'static str {
        match self {
            Self::Served(_, Destination::Route(route)) => route.template(),
            Self::Served(_, Destination::OwnAccount(rest)) => {
                Route::below_account("", rest.clone()).template()
            }
            Self::Gone => "/v1",
            Self::Unversioned => "unversioned",
            Self::OfAdmin => "admin",
        }
    }

    /// Whether the path names the groups of an account, or of one of its users.
    pub(crate) fn is_of_all_groups(&self) -> bool {
        matches!(self, Self::Served(_, Destination::Route(Route::Served { resource: Resource::Groups, .. })))
    }
}

/// The rest of a path, after the version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A complete route.
    Route(Route),
    /// `/account`, which stands for the token's account, and the parts after it.
    OwnAccount(Vec<String>),
}

/// Splits a path. Every part is decoded once, and what stands behind the version as often as the release does.
pub(crate) fn split(path: &str, paths: Paths) -> Result<Versioned, Refusal> {
    let bad = |BadEscape| Refusal::Bare(Bare::BadPath);
    let parts = path.strip_prefix('/').unwrap_or(path).split('/');
    let parts: Result<Vec<_>, _> = parts.map(|part| percent::decode(part.as_bytes(), Plus::Itself)).collect();
    let parts = parts.map_err(bad)?;
    let version = parts.first().map(|part| String::from_utf8_lossy(part)).unwrap_or_default();
    let version = match version.strip_prefix('v') {
        Some("1") if paths.version_one == VersionOne::Gone => return Ok(Versioned::Gone),
        Some("1") => ApiVersion::V1,
        Some(number) if is_number(number) => ApiVersion::V2,
        _ if version == "hooks" => ApiVersion::V2,
        _ if is_of_admin(&parts) => return Ok(Versioned::OfAdmin),
        _ => return Ok(Versioned::Unversioned),
    };
    let decoded: Result<Vec<_>, _> =
        parts.into_iter().skip(1).map(|part| decode_again(part, paths.decoding)).collect();
    let mut parts = decoded.map_err(bad)?;
    while parts.last().is_some_and(String::is_empty) {
        parts.pop();
    }
    Ok(Versioned::Served(version, Destination::of(parts)))
}

/// Whether a path without a version looks like one of an admin listener.
fn is_of_admin(parts: &[Cow<'_, [u8]>]) -> bool {
    let mut parts =
        parts.iter().filter(|part| !part.is_empty()).map(|part| part.to_ascii_lowercase()).peekable();
    let is_first = |part: &Vec<u8>| OF_ADMIN.iter().any(|name| part == name.as_bytes());
    parts.peek().is_some_and(is_first)
        || parts.any(|part| PROBES.iter().any(|begin| part.starts_with(begin.as_bytes())))
}

/// Decodes a part of a path once more, if the release does.
fn decode_again(once: Cow<'_, [u8]>, decoding: PathDecoding) -> Result<String, BadEscape> {
    if decoding == PathDecoding::Once || !once.contains(&b'%') {
        return Ok(String::from_utf8_lossy(&once).into_owned());
    }
    // The second decoder leaves an escape alone that the part is too short for.
    let tail = once.len().saturating_sub(2);
    let short = once.iter().skip(tail).position(|byte| *byte == b'%');
    let whole = short.map_or(once.len(), |place| tail + place);
    let (escaped, rest) = once.split_at(whole);
    let mut twice = percent::decode(escaped, Plus::Itself)?.into_owned();
    twice.extend_from_slice(rest);
    Ok(String::from_utf8_lossy(&twice).into_owned())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

impl Destination {
    fn of(mut parts: Vec<String>) -> Self {
        if parts.first().is_some_and(|first| first == "account") {
            parts.remove(0);
            return Self::OwnAccount(parts);
        }
        Self::Route(Route::of(&parts))
    }

    /// Whether a request with this verb is a login.
    pub(crate) fn is_login(&self, verb: &Verb) -> bool {
        matches!(self, Self::Route(Route::Served { resource, .. }) if resource.is_login(verb))
    }

    /// Whether groups may be read or written at this path.
    pub(crate) fn may_be_of_groups(&self) -> bool {
        match self {
            Self::OwnAccount(_) => true,
            Self::Route(route) => {
                matches!(route, Route::Served { resource: Resource::Groups | Resource::Group(_), .. })
            }
        }
    }
}

impl Route {
    /// The route of `rest` below an account.
    pub(crate) fn below_account(account_id: &str, rest: Vec<String>) -> Self {
        let parts: Vec<_> = ["accounts".to_owned(), account_id.to_owned()].into_iter().chain(rest).collect();
        Self::of(&parts)
    }

    fn of(parts: &[String]) -> Self {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["accounts", "groups", rest @ ..] | ["groups", rest @ ..] => {
                groups(AccountPart::Absent, None, rest)
            }
            ["accounts", account, "groups", rest @ ..] => groups(account_part(account), None, rest),
            ["accounts", account, "users", user, "groups", rest @ ..] if *user != "groups" => {
                groups(account_part(account), Some(user), rest)
            }
            ["accounts", "users", user, "groups", rest @ ..] | ["users", user, "groups", rest @ ..]
                if *user != "groups" =>
            {
                groups(AccountPart::Absent, Some(user), rest)
            }
            // Password recovery is not served.
            ["user_auth", token] if *token != "recovery" => {
                without_account(Resource::UserAuthToken((*token).to_owned()))
            }
            ["accounts", ..] => Route::UnknownBelow,
            [module, rest @ ..] => match Resource::of_authentication(module) {
                Some(resource) if rest.is_empty() => without_account(resource),
                Some(_) => Route::UnknownBelow,
                None => Route::UnknownTop,
            },
            [] => Route::UnknownTop,
        }
    }
}

impl Route {
    /// The path with names in place of ids.
    fn template(&self) -> &'static str {
        let Self::Served { account, user_id, resource } = self else { return "unknown" };
        let has_account = *account != AccountPart::Absent;
        match (resource, has_account, user_id.is_some()) {
            (Resource::Groups, true, false) => "/v2/accounts/{account_id}/groups",
            (Resource::Groups, true, true) => "/v2/accounts/{account_id}/users/{user_id}/groups",
            (Resource::Groups, false, false) => "/v2/groups",
            (Resource::Groups, false, true) => "/v2/users/{user_id}/groups",
            (Resource::Group(_), true, false) => "/v2/accounts/{account_id}/groups/{group_id}",
            (Resource::Group(_), true, true) => "/v2/accounts/{account_id}/users/{user_id}/groups/{group_id}",
            (Resource::Group(_), false, false) => "/v2/groups/{group_id}",
            (Resource::Group(_), false, true) => "/v2/users/{user_id}/groups/{group_id}",
            (Resource::UserAuth, ..) => "/v2/user_auth",
            (Resource::UserAuthToken(_), ..) => "/v2/user_auth/{token}",
            (Resource::ApiAuth, ..) => "/v2/api_auth",
            (Resource::TokenAuth, ..) => "/v2/token_auth",
        }
    }
}

fn without_account(resource: Resource) -> Route {
    Route::Served { account: AccountPart::Absent, user_id: None, resource }
}

fn groups(account: AccountPart, user_id: Option<&str>, rest: &[&str]) -> Route {
    let resource = match rest {
        [] => Resource::Groups,
        [id] => Resource::Group((*id).to_owned()),
        _ => return Route::UnknownBelow,
    };
    Route::Served { account, user_id: user_id.map(str::to_owned), resource }
}

fn account_part(text: &str) -> AccountPart {
    if text.is_empty() { AccountPart::Empty } else { AccountPart::Id(text.to_owned()) }
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
