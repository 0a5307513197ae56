//! Keys in the settings file that no setting has. Each is refused, and the nearest known key is suggested.
//! Unknown environment variables are ignored, because other programs set some: Kubernetes does for a
//! service that is called crossbar-groups.

use super::setting::Setting;

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
    use super::nearest;
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
}
