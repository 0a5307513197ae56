//! What the signs of each release mean.

use super::{Finding, Places, Signs};
use crate::profile::Release;

const REGISTRY: Places = Places { registry: true, account: false };
const ACCOUNT: Places = Places { registry: false, account: true };

/// The signs of a cluster whose nodes say that they migrated to these versions.
fn migrated(versions: &[&str]) -> Signs {
    Signs {
        has_kazoo_databases: true,
        groups_view: REGISTRY,
        migrated_to: versions.iter().map(|version| (*version).to_owned()).collect(),
        ..Signs::default()
    }
}

#[track_caller]
fn check(signs: &Signs, release: Option<Release>, words: &str) {
    let finding = signs.finding();
    assert_eq!(finding.release().ok(), release, "{finding}");
    assert!(finding.to_string().contains(words), "{finding}");
}

#[test]
fn a_store_without_kazoo_is_served_as_5_0() {
    check(&Signs::default(), Some(Release::Kazoo50), "no database that only Kazoo makes");
    // This server makes the view of groups itself.
    let own = Signs { groups_view: ACCOUNT, ..Signs::default() };
    assert_eq!(own.finding(), Finding::NoKazoo);
}

#[test]
fn the_newest_migration_tells_4_3_from_5_0() {
    for (versions, release) in [
        (&["4.3"][..], Release::Kazoo43),
        (&["3.22", "4.3.142"], Release::Kazoo43),
        (&["4.2"], Release::Kazoo43),
        (&["5.0"], Release::Kazoo50),
        (&["4.3", "5.0-12-gabc", "3.22"], Release::Kazoo50),
        (&["v5.0.1"], Release::Kazoo50),
    ] {
        check(&migrated(versions), Some(release), "migrated to");
    }
}

#[test]
fn a_kazoo_of_which_nothing_tells_the_release_is_served_as_5_0() {
    for versions in [&[][..], &["3.22"], &["unknown"], &["4"]] {
        check(&migrated(versions), Some(Release::Kazoo50), "nothing tells 4.3 from 5.0");
    }
    let bare = Signs { has_kazoo_databases: true, ..Signs::default() };
    check(&bare, Some(Release::Kazoo50), "Kazoo's databases are there");
}

#[test]
fn a_newer_release_is_refused() {
    let by_view = Signs { newer_view: REGISTRY, ..migrated(&[]) };
    check(&by_view, None, "by_type_id), and its tokens have scopes");
    let by_account = Signs { newer_view: ACCOUNT, ..Signs::default() };
    check(&by_account, None, "an account's database has");
    let by_schema = Signs { has_newer_schema: true, groups_view: ACCOUNT, ..migrated(&["3.22"]) };
    check(&by_schema, None, "newer than 5.0 (the schema of groups has music_on_hold.options");
    let by_version = Signs { groups_view: Places::default(), ..migrated(&["5.3.7"]) };
    check(&by_version, None, "migrated to 5.3");
    let by_all = Signs { newer_view: REGISTRY, ..migrated(&["5.1", "4.3"]) };
    check(&by_all, None, "migrated to 5.1");
}

#[test]
fn signs_of_two_releases_are_refused() {
    let view = Signs { newer_view: REGISTRY, ..migrated(&["5.0"]) };
    check(&view, None, "contradict each other: ");
    let schema = Signs { has_newer_schema: true, ..migrated(&["4.3"]) };
    check(&schema, None, "migrated to 4.3, but the schema");
    check(&migrated(&["5.4"]), None, "but the registry has the views of 4.3 and 5.0");
}

/// The registry is one sign of several.
#[test]
fn a_sign_beside_the_registry_that_says_otherwise_is_seen() {
    for versions in [&[][..], &["3.22"], &["4.3"], &["5.0"], &["5.2"]] {
        let by_account = Signs { newer_view: ACCOUNT, ..migrated(versions) };
        check(&by_account, None, "an account's database has crossbar_listings/by_type_id");
        let by_schema = Signs { has_newer_schema: true, ..migrated(versions) };
        check(&by_schema, None, "the schema of groups has music_on_hold.options");
    }
    let unmigrated = Signs { newer_view: ACCOUNT, ..migrated(&[]) };
    check(&unmigrated, None, "contradict each other: the registry has the views of 4.3 and 5.0");
    let both = Places { registry: true, account: true };
    let leftover = Signs { groups_view: both, newer_view: both, ..migrated(&[]) };
    check(&leftover, None, "newer than 5.0 (the registry of views and an account's database have");
    // After an upgrade to 4.3 or 5.0 the registry and the accounts have the same view.
    check(&Signs { groups_view: both, ..migrated(&["5.0"]) }, Some(Release::Kazoo50), "migrated to 5.0");
}
