//! Which path goes where, also in odd spellings, and that each arrives as it was sent.

use super::{
    Proxy, caddy, crossbar, free, haproxy, nginx, send, standin, start_caddy, start_haproxy, start_nginx,
};
use super::{caddy_file, haproxy_file, nginx_file};
use crate::account::Account;

/// Paths that clients send, and who serves them.
const PATHS: [(&str, &str); 42] = [
    ("/v2/accounts/{A}/groups", "groups"),
    ("/v2/accounts/{A}/groups/", "groups"),
    ("/v2/accounts/{A}/groups?paginate=false&_=1", "groups"),
    ("/v2/accounts/{A}/groups/?paginate=false", "groups"),
    ("/v2/accounts/{A}/groups/g", "groups"),
    ("/v2/accounts/{A}/groups/g/", "groups"),
    ("/v2/accounts/{A}/groups/g?x=/channels", "groups"),
    ("/v2/accounts/{A}/groups/a%2Fchannels", "groups"),
    ("/v2/accounts/{A}/users/u/groups", "groups"),
    ("/v2/accounts/{A}/users/u/groups/", "groups"),
    ("/v2/accounts/{A}/users/u/groups/g", "groups"),
    ("/v2/account/groups", "groups"),
    ("/v2/account/groups/", "groups"),
    ("/v2/account/groups?paginate=false", "groups"),
    ("/v2/account/groups/g", "groups"),
    ("/v2/account/groups/g/?x=/channels", "groups"),
    ("/v2/account/users/u/groups", "groups"),
    ("/v2/account/users/u/groups/g", "groups"),
    ("/v2/account/groups/g/channels", "crossbar"),
    ("/v2/account/users/u", "crossbar"),
    ("/v2/account", "crossbar"),
    ("/v2/accounts/groups", "crossbar"),
    ("/v2/accounts/{A}/groups/g/channels", "crossbar"),
    ("/v2/accounts/{A}/groups/g/channels/", "crossbar"),
    ("/v2/accounts/{A}/groups/g/channels?paginate=false", "crossbar"),
    ("/v2/accounts/{A}/groups/g/metaflows", "crossbar"),
    ("/v2/accounts/{A}/groups/g/metaflows/", "crossbar"),
    ("/v2/accounts/{A}/groups/g/comments", "crossbar"),
    ("/v2/accounts/{A}/groups/g/comments/", "crossbar"),
    ("/v2/accounts/{A}/groups/g/comments/1", "crossbar"),
    ("/v2/accounts/{A}/groups/g/comments/1?x=/groups", "crossbar"),
    ("/v2/accounts/{A}/users/u/groups/g/channels", "crossbar"),
    ("/v2/accounts/{A}/%67roups", "crossbar"),
    ("/v2/accounts/{A}/groups%2Fg", "crossbar"),
    ("/v2/accounts/{A}/groupsx", "crossbar"),
    ("/v2/accounts/{A}/users", "crossbar"),
    ("/v2/accounts/{A}/users/u", "crossbar"),
    ("/v2/accounts/{A}/callflows?filter_x=/groups", "crossbar"),
    ("/v2/accounts/{A}/callflows/groups", "crossbar"),
    ("/v2/accounts/{A}", "crossbar"),
    ("/v2/user_auth", "crossbar"),
    ("/", "crossbar"),
];

/// Odd spellings. Where it is not certain that a path is one of groups, crossbar gets it: it serves all of them.
const ODD: [(&str, &str); 52] = [
    ("/v1/accounts/a/groups", "groups"),
    ("/v2/accounts/%41/groups", "groups"),
    ("/v2/accounts/a/groups?", "groups"),
    ("/v2/accounts/a/groups//", "groups"),
    ("/v2/accounts/a/groups/g//", "groups"),
    ("/v2/accounts/a/groups/g%3Fx", "groups"),
    ("/v2/accounts/a/groups/a%2fchannels", "groups"),
    ("/v2/accounts/a/groups/a%2FCHANNELS%2F", "groups"),
    ("/v2/accounts/a/groups/%C3%A9", "groups"),
    ("/v2/accounts/a/groups/%c3%a9", "groups"),
    ("/v2/accounts/a/groups/g+h%20i", "groups"),
    ("/v2/accounts/a/groups/a%252Fb", "groups"),
    ("/v2/accounts/a/groups/g%2F..", "groups"),
    ("/v2/accounts/a/groups/g%2F%2E%2E", "groups"),
    ("/v2/accounts/a/groups/.", "groups"),
    ("/v2/accounts/a/groups/..", "groups"),
    ("/v2/accounts/a/groups/%2e%2E", "groups"),
    ("/v2/accounts/a/groups/g?y=%2Fchannels&z=//..", "groups"),
    ("/v1/account/groups//", "groups"),
    ("/v2/account/groups/a%2Fchannels", "groups"),
    ("/v2/account/users/%41/groups", "groups"),
    ("/v2/account//groups", "crossbar"),
    ("/v2/account/a/groups", "crossbar"),
    ("/v2/account/users//groups", "crossbar"),
    ("/v2/%61ccount/groups", "crossbar"),
    ("/v2/accountx/groups", "crossbar"),
    ("/v2/accounts/a/groups/g/%63hannels", "crossbar"),
    ("/v2/accounts/a/groups/g//channels", "crossbar"),
    ("/v2/accounts/a/groups//channels", "crossbar"),
    ("/v2/accounts/a/groups//g", "crossbar"),
    ("/v2/accounts/a/groups/g/.", "crossbar"),
    ("/v2/accounts/a/groups/g/..", "crossbar"),
    ("/v2/accounts/a/groups/g/./channels", "crossbar"),
    ("/v2/accounts/a/groups/g/../h", "crossbar"),
    ("/v2/accounts/a/groups/../users", "crossbar"),
    ("/v2/accounts/a/x/../groups", "crossbar"),
    ("/v2/accounts/../accounts/a/groups", "crossbar"),
    ("/v2/accounts//a/groups", "crossbar"),
    ("/v2/accounts/a//groups", "crossbar"),
    ("/v2/accounts//groups", "crossbar"),
    ("/v2//accounts/a/groups", "crossbar"),
    ("//v2/accounts/a/groups", "crossbar"),
    ("/v2/accounts/a/users//groups", "crossbar"),
    ("/v2/accounts/a/users/u//groups", "crossbar"),
    ("/v2/accounts/a/GROUPS", "crossbar"),
    ("/v2/accounts/a/%47roups", "crossbar"),
    ("/v2/accounts/a/groups%3Fx", "crossbar"),
    ("/v2/accounts/a/groups%2fg%2Fchannels", "crossbar"),
    ("/v2/accounts/a%2Fgroups", "crossbar"),
    ("/v2%2Faccounts/a/groups", "crossbar"),
    ("/%762/accounts/a/groups", "crossbar"),
    ("/v2/accounts/a/groups;x=1", "crossbar"),
];

impl Proxy {
    /// Each path of a table goes where it should.
    pub(super) fn check_paths(&self, account: &Account) {
        for (path, expected) in PATHS {
            for method in ["GET", "PUT", "DELETE"] {
                let answered = self.asks_by(account, method, &path.replace("{A}", &account.id));
                assert_eq!(answered, expected, "{method} {path}");
            }
        }
    }

    /// Each odd path goes where it should, and arrives as it was sent.
    fn check_odd_paths(&self) {
        let usual = PATHS.iter().map(|(path, expected)| (path.replace("{A}", "a"), *expected));
        let odd = ODD.iter().map(|(path, expected)| ((*path).to_owned(), *expected));
        for (path, expected) in usual.chain(odd) {
            for method in ["GET", "POST"] {
                let text = send(self.address, method, &path, &[], b"").text();
                let (name, target) = (text.split(' ').next().unwrap(), text.rsplit(' ').next().unwrap());
                assert_eq!((name, target), (expected, path.as_str()), "{method} {path}: {text}");
            }
        }
    }
}

#[test]
#[ignore = "it needs haproxy: make acceptance"]
fn odd_paths_go_through_haproxy_as_they_were_sent() {
    let groups = standin("groups");
    let proxy = haproxy(groups, groups, crossbar());
    proxy.check_odd_paths();
}

#[test]
#[ignore = "it needs nginx: make acceptance"]
fn odd_paths_go_through_nginx_as_they_were_sent() {
    nginx(standin("groups"), crossbar()).check_odd_paths();
}

#[test]
#[ignore = "it needs Caddy: make acceptance"]
fn odd_paths_go_through_caddy_as_they_were_sent() {
    caddy(standin("groups"), crossbar()).check_odd_paths();
}

/// Two accounts, of which the first is in the list.
const CANARY: &str = "11112222333344445555666677778888";
const OTHER: &str = "99992222333344445555666677778888";

impl Proxy {
    /// Only the groups of the account in the list go to this server.
    fn check_canary(&self) {
        for (account, path, expected) in [
            (CANARY, "groups", "groups"),
            (CANARY, "groups/g?x=1", "groups"),
            (CANARY, "users/u/groups", "groups"),
            (CANARY, "groups/g/channels", "crossbar"),
            (CANARY, "users/u", "crossbar"),
            (OTHER, "groups", "crossbar"),
            (OTHER, "groups/g", "crossbar"),
            (OTHER, "users/u/groups", "crossbar"),
            (OTHER, &format!("groups?x=/{CANARY}/"), "crossbar"),
        ] {
            let path = format!("/v2/accounts/{account}/{path}");
            let text = send(self.address, "GET", &path, &[], b"").text();
            assert!(text.starts_with(expected), "{path}: {text}");
        }
        // Nobody but the servers knows whose account that is.
        for (path, expected) in [
            ("/v2/account/groups", "crossbar"),
            ("/v2/account/groups/g", "crossbar"),
            ("/v2/account/users/u/groups", "crossbar"),
        ] {
            let text = send(self.address, "GET", path, &[], b"").text();
            assert!(text.starts_with(expected), "{path}: {text}");
        }
    }
}

#[test]
#[ignore = "it needs haproxy: make acceptance"]
fn haproxy_begins_with_a_few_accounts() {
    let (groups, address, list) = (standin("groups"), free(), tempfile::NamedTempFile::new().unwrap());
    std::fs::write(list.path(), format!("{CANARY}\n")).unwrap();
    let text = haproxy_file(groups, groups, crossbar(), address);
    let text = text.replace("/etc/haproxy/groups_accounts.lst", &list.path().display().to_string());
    let usual = "    use_backend crossbar_groups if is_groups { nbsrv(crossbar_groups) gt 0 }\n    #";
    assert!(text.contains(usual), "the second rule stands below the first");
    start_haproxy(&text.replace(usual, "    "), address).check_canary();
}

/// nginx and Caddy have the ids in the pattern, as a comment says.
fn with_ids(text: &str) -> String {
    let ids = "accounts/(11112222333344445555666677778888|aaaabbbbccccddddeeeeffff00001111)";
    let (comment, pattern) = (format!("#   {ids}\n"), "/(accounts/[^/?]+|account)/(users/");
    assert!(text.contains(&comment) && text.contains(pattern), "{text}");
    text.replace(pattern, &format!("/{ids}/(users/"))
}

#[test]
#[ignore = "it needs nginx: make acceptance"]
fn nginx_begins_with_a_few_accounts() {
    let address = free();
    start_nginx(&with_ids(&nginx_file(standin("groups"), crossbar(), address)), address).check_canary();
}

#[test]
#[ignore = "it needs Caddy: make acceptance"]
fn caddy_begins_with_a_few_accounts() {
    let address = free();
    start_caddy(&with_ids(&caddy_file(standin("groups"), crossbar(), address)), address).check_canary();
}
