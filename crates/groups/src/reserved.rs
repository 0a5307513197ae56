//! The ids that Kazoo opens by name in an account's database. A client may choose the id of a new group, and
//! a group with such an id would stand where Kazoo looks for settings, numbers or templates. This list knows
//! names only; what a document under one of them holds does not matter.

use std::net::IpAddr;

/// Documents that Kazoo opens by this id.
const NAMES: [&str; 10] = [
    // crossbar: cb_apps_store.
    "apps_store",
    // The kind of the account's dial plans, in kzd_dialplans.
    "dialplans",
    // kazoo_services: kz_services_limits; also crossbar's cb_limits and hotornot.
    "limits",
    // callflow: cf_util, for presence that users set by hand.
    "manual_presence",
    // crossbar: cb_migrations.
    "migrations",
    // callflow: cf_park, unless its setting `db_doc_name` says otherwise.
    "parked_calls",
    // crossbar expects numbers under this id (crossbar.hrl).
    "phone_numbers",
    // stepswitch: stepswitch_resource_selectors; also crossbar's cb_resource_selectors.
    "resource_selector_rules",
    // crossbar: crossbar_util, for each request with a token.
    "token_restrictions",
    // crossbar: cb_whitelabel.
    "whitelabel",
];

/// Kazoo puts another name behind these and opens the document.
const PREFIXES: [&str; 5] = [
    // kazoo_apps: kapps_config_util, the account's configuration.
    "configs_",
    // teletype: teletype_templates, the account's own templates.
    "notification.",
    // callflow: cf_park.
    "parking-slot-",
    // kazoo_templates: kz_pdf.
    "pdf.",
    // crossbar: cb_webhooks, in the master account's database.
    "webhooks_",
];

/// Whether Kazoo reads an account's token restrictions or settings from the document with this id. A group
/// with such an id is never served; otherwise a client could write its own rules.
pub(crate) fn is_policy(id: &str) -> bool {
    id == "token_restrictions" || id.starts_with("configs_")
}

/// Whether Kazoo opens a document with this id by its name. No new group may have it. A group that has it
/// already stays reachable.
pub(crate) fn is_reserved(id: &str) -> bool {
    NAMES.contains(&id)
        || PREFIXES.iter().any(|prefix| id.starts_with(prefix))
        || is_number(id)
        // kazoo_ips: kz_ip, a dedicated address.
        || id.parse::<IpAddr>().is_ok()
}

/// Whether an id can be a phone number in Kazoo's form. knm_phone_number (`save_to`) keeps an account's copy of
/// each of its numbers under the number, and cb_phone_numbers opens it. stepswitch_bridge
/// (`set_emergency_address_meta`) opens whatever the caller's emergency number is. knm_converter_regex adds a `+`
/// only to numbers that a converter matches: with the default ones, `911` and `02079460000` stay as they are.
fn is_number(id: &str) -> bool {
    let (digits, lengths) = match id.strip_prefix('+') {
        Some(digits) => (digits, 1..=usize::MAX),
        // From the shortest emergency numbers to the longest of E.164.
        None => (id, 2..=15),
    };
    lengths.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::{NAMES, PREFIXES, is_policy, is_reserved};
    use proptest::prelude::{any, proptest};

    #[test]
    fn kazoos_names_are_reserved_and_names_like_them_are_not() {
        for id in NAMES {
            assert!(is_reserved(id), "{id}");
            for other in [format!("my_{id}"), format!("{id}2"), id.to_uppercase()] {
                assert!(!is_reserved(&other), "{other}");
            }
        }
        for (id, expected) in [
            ("+14155550100", true),
            ("+", false),
            ("+1x", false),
            ("14155550100", true),
            ("02079460000", true),
            ("911", true),
            ("15", true),
            ("5", false),
            ("123456789012345", true),
            ("1234567890123456", false),
            ("911a", false),
            ("9 11", false),
            ("٩١١", false),
            ("192.0.2.1", true),
            ("2001:db8::1", true),
            ("192.0.2", false),
            ("configs", false),
            ("notification", false),
            ("", false),
        ] {
            assert_eq!(is_reserved(id), expected, "{id}");
        }
    }

    #[test]
    fn access_rules_and_settings_are_policy() {
        for (id, expected) in [
            ("token_restrictions", true),
            ("configs_crossbar", true),
            ("configs_", true),
            ("configs", false),
            ("token_restrictions2", false),
            ("limits", false),
        ] {
            assert_eq!(is_policy(id), expected, "{id}");
        }
    }

    proptest! {
        #[test]
        fn whatever_follows_a_prefix_is_reserved(rest in any::<String>(), number in any::<u64>()) {
            for prefix in PREFIXES {
                assert!(is_reserved(&format!("{prefix}{rest}")));
            }
            assert!(is_reserved(&format!("+{number}")));
        }

        /// An id that is never served cannot be given to a new group either.
        #[test]
        fn access_rules_are_reserved(rest in any::<String>()) {
            for id in ["token_restrictions".to_owned(), format!("configs_{rest}"), rest] {
                assert!(!is_policy(&id) || is_reserved(&id), "{}", id);
            }
        }

        #[test]
        fn a_generated_id_is_free(id in "[0-9a-f]{32}") {
            assert!(!is_reserved(&id));
        }
    }
}
