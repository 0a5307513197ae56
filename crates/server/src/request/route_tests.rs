//! Paths and the resources that they name, for each release.

use super::{AccountPart, ApiVersion, Destination, Refusal, Resource, Route, Versioned};
use crate::profile::Release;

fn split(path: &str) -> Result<Versioned, Refusal> {
    super::split(path, Release::Kazoo50.profile().paths)
}

fn split_as_4_3(path: &str) -> Result<Versioned, Refusal> {
    super::split(path, Release::Kazoo43.profile().paths)
}

fn route(path: &str) -> Route {
    match split(path).unwrap() {
        Versioned::Served(ApiVersion::V2, Destination::Route(route)) => route,
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
        let expected = Route::Served { account: AccountPart::Absent, user_id, resource: Resource::Groups };
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
            id.map(|id| Versioned::Served(ApiVersion::V2, Destination::Route(group(id))))
        };
        assert_eq!(split(&path).ok(), expected(once), "{part}");
        assert_eq!(split_as_4_3(&path).ok(), expected(twice), "{part}");
    }
}

#[test]
fn version_1_is_gone_or_served() {
    assert_eq!(split("/v1/accounts/A/groups").unwrap(), Versioned::Gone);
    let route = Destination::Route(served("A", None, Resource::Groups));
    assert_eq!(split_as_4_3("/v1/accounts/A/groups").unwrap(), Versioned::Served(ApiVersion::V1, route));
}

#[test]
fn the_tokens_own_account_takes_the_place_of_its_alias() {
    let Versioned::Served(_, Destination::OwnAccount(rest)) = split("/v2/account/groups").unwrap() else {
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
    for path in [
        "/health",
        "/health/ready",
        "/healthz",
        "/ready",
        "/livez",
        "/metrics",
        "/metric%73",
        "/HEALTH",
        "//health/ready",
        "///Metrics/",
        "/-/ready",
        "/api/health",
        "/status",
        "/status/",
        "/Status.json",
        "//status",
        "/docs",
        "/docs/openapi.yaml",
        "/ping",
    ] {
        assert_eq!(split(path).unwrap(), Versioned::OfAdmin, "{path}");
    }
    for path in ["/statuses", "/documents", "/x/status", "/pingpong", "/x/docs"] {
        assert_eq!(split(path).unwrap(), Versioned::Unversioned, "{path}");
    }
    assert!(matches!(split("/v2/health").unwrap(), Versioned::Served(..)), "crossbar's own");
    assert_eq!(split("/v1/accounts").unwrap(), Versioned::Gone);
    assert!(split("/v2/accounts/%zz").is_err());
}

/// The version is looked for before a release decodes its own parts once more.
#[test]
fn the_version_is_decoded_once() {
    for path in ["/v%2532/accounts/A/groups", "/v%2531/accounts/A/groups", "/accounts/a%25zz"] {
        assert_eq!(split_as_4_3(path).unwrap(), Versioned::Unversioned, "{path}");
    }
    let encoded = split_as_4_3("/%76%32/accounts/A/%2567roups").unwrap();
    assert_eq!(encoded, split("/v2/accounts/A/groups").unwrap());
    assert!(split_as_4_3("/v2/a%25zz").is_err());
    assert!(split_as_4_3("/a%zz").is_err());
}
