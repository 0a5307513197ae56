//! The path: its version, its parts, and the resource that it names. Refuses a bad escape (bare 400) and
//! version 1 where the profile does (410). A path without a version gets a short page of text, or a 404 if it is one that programs
//! ask for health or metrics: those are on the admin listener.

use std::borrow::Cow;

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

/// A version of the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ApiVersion {
    /// Version 1: listings come in one piece, and the data of a refusal is a bare text.
    V1,
    /// Version 2. Every later one is the same.
    #[default]
    V2,
}

/// The version at the start of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Versioned {
    /// A version that is served, and the rest of the path.
    Served(ApiVersion, Place),
    /// Version 1.
    Gone,
    /// The path has no version.
    Unversioned,
    /// The path is one of the admin listener's, or a similar one.
    OfAdmin,
}

/// How the paths begin that programs ask for health and metrics.
const OF_ADMIN: [&str; 4] = ["health", "live", "ready", "metrics"];

impl Versioned {
    /// The path with names in place of ids, for the log and for metrics.
    pub(crate) fn template(&self) -> &'static str {
        match self {
            Self::Served(_, Place::Route(route)) => route.template(),
            Self::Served(_, Place::OwnAccount(rest)) => Route::below_account("", rest.clone()).template(),
            Self::Gone => "/v1",
            Self::Unversioned => "unversioned",
            Self::OfAdmin => "admin",
        }
    }
}

/// The rest of a path, after the version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A complete route.
    Route(Route),
    /// `/account`, which stands for the token's account, and the parts after it.
    OwnAccount(Vec<String>),
}

/// Splits a path.
pub(crate) fn split(path: &str, paths: Paths) -> Result<Versioned, Refusal> {
    let decoded: Result<Vec<_>, _> = path
        .strip_prefix('/')
        .unwrap_or(path)
        .split('/')
        .map(|part| decode(part.as_bytes(), paths.decoding))
        .collect();
    let decoded = decoded.map_err(|_| Refusal::Bare(Bare::BadPath))?;
    let mut parts = decoded.into_iter().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let version = parts.next().unwrap_or_default();
    let mut parts: Vec<_> = parts.collect();
    while parts.last().is_some_and(String::is_empty) {
        parts.pop();
    }
    let served = |version, parts| Versioned::Served(version, Place::of(parts));
    Ok(match version.strip_prefix('v') {
        Some("1") if paths.version_one == VersionOne::Gone => Versioned::Gone,
        Some("1") => served(ApiVersion::V1, parts),
        Some(number) if is_number(number) => served(ApiVersion::V2, parts),
        _ if version == "hooks" => served(ApiVersion::V2, parts),
        _ if OF_ADMIN.iter().any(|begin| version.starts_with(begin)) => Versioned::OfAdmin,
        _ => Versioned::Unversioned,
    })
}

/// Decodes a part of a path.
fn decode(part: &[u8], decoding: PathDecoding) -> Result<Cow<'_, [u8]>, BadEscape> {
    let once = percent::decode(part, Plus::Itself)?;
    if decoding == PathDecoding::Once || !once.contains(&b'%') {
        return Ok(once);
    }
    // The second decoder leaves an escape alone that the part is too short for.
    let tail = once.len().saturating_sub(2);
    let short = once.iter().skip(tail).position(|byte| *byte == b'%');
    let whole = short.map_or(once.len(), |place| tail + place);
    let (escaped, rest) = once.split_at(whole);
    let mut twice = percent::decode(escaped, Plus::Itself)?.into_owned();
    twice.extend_from_slice(rest);
    Ok(Cow::Owned(twice))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

impl Place {
    fn of(mut parts: Vec<String>) -> Self {
        if parts.first().is_some_and(|first| first == "account") {
            parts.remove(0);
            return Self::OwnAccount(parts);
        }
        Self::Route(Route::of(&parts))
    }

    /// Whether clients log in at this path.
    pub(crate) fn is_login(&self) -> bool {
        matches!(self, Self::Route(Route::Served { resource: Resource::UserAuth | Resource::ApiAuth, .. }))
    }
}

impl Place {
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
            ["user_auth"] => without_account(Resource::UserAuth),
            // Password recovery is not served.
            ["user_auth", token] if *token != "recovery" => {
                without_account(Resource::UserAuthToken((*token).to_owned()))
            }
            ["api_auth"] => without_account(Resource::ApiAuth),
            ["token_auth"] => without_account(Resource::TokenAuth),
            ["accounts" | "user_auth" | "api_auth" | "token_auth", ..] => Route::UnknownBelow,
            _ => Route::UnknownTop,
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
mod tests {
    use super::{AccountPart, ApiVersion, Place, Refusal, Resource, Route, Versioned};
    use crate::profile::Release;

    fn split(path: &str) -> Result<Versioned, Refusal> {
        super::split(path, Release::Kazoo50.profile().paths)
    }

    fn split_as_4_3(path: &str) -> Result<Versioned, Refusal> {
        super::split(path, Release::Kazoo43.profile().paths)
    }

    fn route(path: &str) -> Route {
        match split(path).unwrap() {
            Versioned::Served(ApiVersion::V2, Place::Route(route)) => route,
            other => panic!("{path}: {other:?}"),
        }
    }

    fn served(account: &str, user_id: Option<&str>, resource: Resource) -> Route {
        let account = AccountPart::Id(account.to_owned());
        Route::Served { account, user_id: user_id.map(str::to_owned), resource }
    }

    #[test]
    fn paths_name_resources() {
        assert_eq!(route("/v2/accounts/A/groups"), served("A", None, Resource::Groups));
        assert_eq!(route("/v3/accounts/A/groups///"), served("A", None, Resource::Groups));
        assert_eq!(route("/hooks/accounts/A/groups"), served("A", None, Resource::Groups));
        assert_eq!(
            route("/v2/accounts/%41/groups/a%2Fb+c"),
            served("A", None, Resource::Group("a/b+c".to_owned()))
        );
        assert_eq!(route("/v2/accounts/A/users/U/groups"), served("A", Some("U"), Resource::Groups));
        assert_eq!(
            route("/v2/accounts/A/users/U/groups/G"),
            served("A", Some("U"), Resource::Group("G".to_owned()))
        );
        assert_eq!(
            route("/v2/accounts//groups"),
            Route::Served { account: AccountPart::Empty, user_id: None, resource: Resource::Groups }
        );
        let of_token = Resource::UserAuthToken("x".to_owned());
        assert_eq!(route("/v2/user_auth/x"), super::without_account(of_token));
        for path in ["/v2/users/U/groups", "/v2/accounts/users/U/groups"] {
            let user_id = Some("U".to_owned());
            let expected =
                Route::Served { account: AccountPart::Absent, user_id, resource: Resource::Groups };
            assert_eq!(route(path), expected, "{path}");
        }
        for path in ["/v2/groups", "/v2/accounts/groups"] {
            let expected =
                Route::Served { account: AccountPart::Absent, user_id: None, resource: Resource::Groups };
            assert_eq!(route(path), expected, "{path}");
        }
    }

    #[test]
    fn other_paths_are_unknown() {
        for path in [
            "/v2/accounts",
            "/v2/accounts/A",
            "/v2/accounts/A/nosuch",
            "/v2/accounts/A/Groups",
            "/v2/accounts/A/groups/x/y",
            "/v2/accounts/A/groups//G",
            "/v2/accounts/A/users/groups",
            "/v2/accounts/A/devices/D/groups",
            "/v2/user_auth/recovery",
            "/v2/user_auth/x/y",
            "/v2/api_auth/x",
            "/v2/token_auth/x",
        ] {
            assert_eq!(route(path), Route::UnknownBelow, "{path}");
        }
        for path in ["/v2", "/v2/", "/v2/nosuch", "/v2//accounts/A/groups"] {
            assert_eq!(route(path), Route::UnknownTop, "{path}");
        }
    }

    #[test]
    fn a_part_is_decoded_as_often_as_the_release_does() {
        for (part, once, twice) in [
            ("a%2541", Some("a%41"), Some("aA")),
            ("%252F", Some("%2F"), Some("/")),
            ("a+%2B", Some("a++"), Some("a++")),
            ("a%25", Some("a%"), Some("a%")),
            ("%254", Some("%4"), Some("%4")),
            ("%2541%254", Some("%41%4"), Some("A%4")),
            ("%25%25", Some("%%"), Some("%%")),
            ("%25zz", Some("%zz"), None),
            ("%254%25", Some("%4%"), None),
            ("%zz", None, None),
        ] {
            let path = format!("/v2/accounts/A/groups/{part}");
            let expected = |id: Option<&str>| {
                let group = |id: &str| served("A", None, Resource::Group(id.to_owned()));
                id.map(|id| Versioned::Served(ApiVersion::V2, Place::Route(group(id))))
            };
            assert_eq!(split(&path).ok(), expected(once), "{part}");
            assert_eq!(split_as_4_3(&path).ok(), expected(twice), "{part}");
        }
    }

    #[test]
    fn version_1_is_gone_or_served() {
        assert_eq!(split("/v1/accounts/A/groups").unwrap(), Versioned::Gone);
        let route = Place::Route(served("A", None, Resource::Groups));
        assert_eq!(split_as_4_3("/v1/accounts/A/groups").unwrap(), Versioned::Served(ApiVersion::V1, route));
    }

    #[test]
    fn the_tokens_own_account_takes_the_place_of_its_alias() {
        let Versioned::Served(_, Place::OwnAccount(rest)) = split("/v2/account/groups").unwrap() else {
            panic!()
        };
        assert_eq!(Route::below_account("A", rest), served("A", None, Resource::Groups));
    }

    #[test]
    fn a_template_has_no_ids() {
        for (path, template) in [
            ("/v2/accounts/A/groups", "/v2/accounts/{account_id}/groups"),
            ("/v3/account/groups/G", "/v2/accounts/{account_id}/groups/{group_id}"),
            ("/v2/accounts/A/users/U/groups", "/v2/accounts/{account_id}/users/{user_id}/groups"),
            ("/v2/groups/G", "/v2/groups/{group_id}"),
            ("/v2/user_auth/secret", "/v2/user_auth/{token}"),
            ("/v2/nosuch/A", "unknown"),
            ("/v1/x", "/v1"),
            ("/", "unversioned"),
            ("/health", "admin"),
        ] {
            assert_eq!(split(path).unwrap().template(), template, "{path}");
        }
    }

    #[test]
    fn versions_are_checked_first() {
        for path in ["/", "", "//v2/accounts", "/accounts/A/groups", "/v2x/a", "/V2/a", "/v/a", "/v-1/a"] {
            assert_eq!(split(path).unwrap(), Versioned::Unversioned, "{path}");
        }
        for path in ["/health", "/health/ready", "/healthz", "/ready", "/livez", "/metrics", "/metric%73"] {
            assert_eq!(split(path).unwrap(), Versioned::OfAdmin, "{path}");
        }
        assert_eq!(split("/v1/accounts").unwrap(), Versioned::Gone);
        assert!(split("/v2/accounts/%zz").is_err());
    }
}
