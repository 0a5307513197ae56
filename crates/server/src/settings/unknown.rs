//! Names that no setting has, in the settings file and in the environment. Each is refused,
//! and the nearest name that exists is suggested.

use std::ffi::OsString;

use super::setting::{Setting, VARIABLE_PREFIX};
use crate::failure::Failure;

/// What `serve` and the other commands take from the environment, but not from the settings file.
const ONLY_VARIABLES: [&str; 2] = ["config", "demo"];

/// Words that other programs use, and the setting that does the same here.
const OTHER_WORDS: [(&str, &str); 7] = [
    ("port", "listen"),
    ("host", "listen"),
    ("bind", "listen"),
    ("address", "listen"),
    ("db", "store"),
    ("database", "store"),
    ("url", "store"),
];

/// Says that no setting has this key, and which one is nearest.
pub(super) fn refusal(key: &str, known: &[Setting]) -> String {
    let keys: Vec<_> = known.iter().map(|setting| setting.key).collect();
    let hint = nearest(key, &keys).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    format!("there is no setting {key:?}{hint}")
}

/// Refuses environment variables that look like a setting's and are none.
pub(crate) fn check_variables(
    variables: impl Iterator<Item = (OsString, OsString)>,
    known: &[Setting],
) -> Result<(), Failure> {
    let mut keys: Vec<_> = known.iter().map(|setting| setting.key).collect();
    keys.extend(ONLY_VARIABLES);
    for (variable, value) in variables {
        let variable = variable.to_string_lossy();
        let Some(name) = variable.strip_prefix(VARIABLE_PREFIX) else { continue };
        let key = name.to_lowercase();
        let is_known = keys.contains(&key.as_str()) && key.to_uppercase() == name;
        if is_known || is_of_a_service(name, &value.to_string_lossy()) {
            continue;
        }
        let hint = nearest(&key, &keys)
            .map(|near| format!("; did you mean {VARIABLE_PREFIX}{}?", near.to_uppercase()))
            .unwrap_or_default();
        return Err(Failure::setup(format!("there is no environment variable {variable:?}{hint}")));
    }
    Ok(())
}

/// Whether Kubernetes has set the variable, as it does for a service that is called crossbar-groups.
fn is_of_a_service(name: &str, value: &str) -> bool {
    let is_numbered = |rest: &str| rest.starts_with(|first: char| first.is_ascii_digit());
    name == "SERVICE_HOST"
        || name == "SERVICE_PORT"
        || name.starts_with("SERVICE_PORT_")
        || (name == "PORT" && value.contains("://"))
        || name.strip_prefix("PORT_").is_some_and(is_numbered)
}

/// The known key that an unknown one most likely stands for: the one that contains the whole of it, else the
/// most of its words. Spelling decides among equals.
fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let key = key.to_lowercase().replace('-', "_");
    if let Some((_, meant)) = OTHER_WORDS.iter().find(|(word, _)| *word == key) {
        return known.iter().copied().find(|other| other == meant);
    }
    let words: Vec<_> = key.split('_').filter(|word| !word.is_empty()).collect();
    let rank = |other: &str| {
        let shared = words.iter().filter(|word| other.split('_').any(|own| own == **word)).count();
        (other.contains(&key), shared)
    };
    let likeness = |other: &str| strsim::jaro_winkler(&key, other);
    known.iter().copied().max_by(|one, other| {
        rank(one).cmp(&rank(other)).then_with(|| likeness(one).total_cmp(&likeness(other)))
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{check_variables, nearest};
    use crate::settings::declared;

    #[test]
    fn the_nearest_key_is_always_named() {
        let settings = declared::all();
        let keys: Vec<_> = settings.iter().map(|setting| setting.key).collect();
        for (unknown, near) in [
            ("port", "listen"),
            ("db", "store"),
            ("database", "store"),
            ("cache", "sqlite_cache_kib"),
            ("heartbeat", "couchdb_feed_heartbeat_ms"),
            ("sync", "sqlite_sync"),
            ("proxies", "reverse_proxies"),
            ("trusted_proxies", "reverse_proxies"),
            ("page_sizes", "page_size"),
            ("pagesize", "page_size"),
            ("Listen", "listen"),
            ("worker", "workers"),
            ("store_timeout", "store_timeout_ms"),
            ("couchdb-read-retries", "couchdb_read_retries"),
            ("couchdb_heartbeat_ms", "couchdb_feed_heartbeat_ms"),
            ("sqlite_memory", "sqlite_map_memory_bytes"),
        ] {
            assert_eq!(nearest(unknown, &keys), Some(near), "{unknown}");
        }
        assert!(nearest("", &keys).is_some());
        assert!(nearest("zzz", &keys).is_some());
    }

    fn check(variable: &str, value: &str) -> Result<(), String> {
        let variables = [(OsString::from(variable), OsString::from(value))];
        check_variables(variables.into_iter(), &declared::all()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn an_unknown_variable_is_refused_with_the_nearest_one() {
        let refused = |variable: &str, near: &str| {
            let message = format!("there is no environment variable {variable:?}; did you mean {near}?");
            assert_eq!(check(variable, "1"), Err(message));
        };
        refused("CROSSBAR_GROUPS_PAGE_SIZES", "CROSSBAR_GROUPS_PAGE_SIZE");
        refused("CROSSBAR_GROUPS_page_size", "CROSSBAR_GROUPS_PAGE_SIZE");
        refused("CROSSBAR_GROUPS_PORT", "CROSSBAR_GROUPS_LISTEN");
        refused("CROSSBAR_GROUPS_HEARTBEAT", "CROSSBAR_GROUPS_COUCHDB_FEED_HEARTBEAT_MS");
        refused("CROSSBAR_GROUPS_CONFIGS", "CROSSBAR_GROUPS_CONFIG");
    }

    #[test]
    fn other_variables_are_left_alone() {
        for (variable, value) in [
            ("CROSSBAR_GROUPS_PAGE_SIZE", "7"),
            ("CROSSBAR_GROUPS_CONFIG", "x.toml"),
            ("CROSSBAR_GROUPS_DEMO", "true"),
            ("CROSSBAR_PAGE_SIZES", "7"),
            ("CROSSBAR_GROUPS_SERVICE_HOST", "10.0.0.1"),
            ("CROSSBAR_GROUPS_SERVICE_PORT_HTTP", "8000"),
            ("CROSSBAR_GROUPS_PORT", "tcp://10.0.0.1:8000"),
            ("CROSSBAR_GROUPS_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ] {
            assert_eq!(check(variable, value), Ok(()), "{variable}");
        }
    }
}
