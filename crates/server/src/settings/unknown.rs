//! Keys in the settings file and environment variables that no setting has. A key is refused, a variable is
//! warned about, and both name the nearest known one. Variables that Kubernetes sets for a service called
//! crossbar-groups are no settings, and are left alone.

use std::collections::BTreeSet;

use super::setting::{Setting, VARIABLE_PREFIX};

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
pub(super) fn refusal(key: &str, value: &toml::Value, known: &[Setting]) -> String {
    if value.is_table() {
        return format!("the file has no sections: write the settings without [{key}]");
    }
    let keys: Vec<_> = known.iter().map(|setting| setting.key).collect();
    let hint = nearest(key, &keys).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    format!("there is no setting {key:?}{hint}")
}

/// A warning for each variable that looks like a setting and is none. `known` are the variables that are read.
pub(crate) fn warnings(
    variables: impl IntoIterator<Item = (String, String)>,
    known: &BTreeSet<String>,
) -> Vec<String> {
    let keys: Vec<_> =
        known.iter().filter_map(|name| Some(name.strip_prefix(VARIABLE_PREFIX)?.to_lowercase())).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let unknown = variables.into_iter().filter_map(|(name, value)| {
        let key = name.strip_prefix(VARIABLE_PREFIX)?;
        (!known.contains(&name) && !is_of_kubernetes(key, &value)).then(|| {
            let hint = nearest(key, &keys)
                .map(|near| format!("; did you mean {VARIABLE_PREFIX}{}?", near.to_uppercase()));
            format!("the variable {name} is no setting and is ignored{}", hint.unwrap_or_default())
        })
    });
    unknown.collect()
}

/// Whether Kubernetes sets such a variable for a service.
fn is_of_kubernetes(rest: &str, value: &str) -> bool {
    let is_address = value.starts_with("tcp://") || value.starts_with("udp://");
    rest.starts_with("SERVICE_HOST")
        || rest.starts_with("SERVICE_PORT")
        || rest.starts_with("PORT_")
        || (rest == "PORT" && is_address)
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
    use std::collections::BTreeSet;

    use super::{nearest, warnings};
    use crate::settings::declared;

    #[test]
    fn only_variables_that_look_like_settings_are_warned_about() {
        let known = BTreeSet::from(["LISTEN", "WORKERS"].map(|name| format!("CROSSBAR_GROUPS_{name}")));
        let check = |name: &str, value: &str, hint: Option<&str>| {
            let found = warnings([(name.to_owned(), value.to_owned())], &known);
            match hint {
                None => assert!(found.is_empty(), "{found:?}"),
                Some(hint) => assert!(found.len() == 1 && found[0].ends_with(hint), "{found:?}"),
            }
        };
        check("CROSSBAR_GROUPS_LISTEN", "x", None);
        check("CROSSBAR_GROUPS_WORKER", "3", Some("did you mean CROSSBAR_GROUPS_WORKERS?"));
        check("CROSSBAR_GROUPS_PORT", "8000", Some("did you mean CROSSBAR_GROUPS_LISTEN?"));
        check("CROSSBAR_GROUPS_PORT", "tcp://10.0.0.1:8000", None);
        check("CROSSBAR_GROUPS_PORT_8000_TCP_ADDR", "10.0.0.1", None);
        check("CROSSBAR_GROUPS_SERVICE_HOST", "10.0.0.1", None);
        check("CROSSBAR_GROUPS_SERVICE_PORT_HTTP", "8000", None);
        check("HOME", "/", None);
    }

    #[test]
    fn the_nearest_key_is_always_named() {
        let settings = declared::all();
        let keys: Vec<_> = settings.iter().map(|setting| setting.key).collect();
        for (unknown, near) in [
            ("port", "listen"),
            ("db", "store"),
            ("database", "store"),
            ("caches", "cache"),
            ("sqlite_cache", "sqlite_cache_kib"),
            ("couchdb_heartbeat", "couchdb_feed_heartbeat_ms"),
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
}
