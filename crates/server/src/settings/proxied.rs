//! The settings of a CouchDB that is reached through the haproxy that Kazoo runs. The proxy ends idle connections
//! after 3 seconds and silent ones after 10 or 12, so other times fit than those for a CouchDB itself.

use super::location::StoreLocation;

/// The port of that proxy, unless somebody has changed it.
const PORT: u16 = 15_984;

/// The keys of the settings that follow from the address of a store, and their values.
pub(crate) fn that_fit_the_store(store: &str) -> Vec<(&'static str, String)> {
    // Whoever reads the address tells what is wrong with it.
    let is_proxied = StoreLocation::parse(store).is_ok_and(|location| location.has_port(PORT));
    let times = [("couchdb_pool_idle_ms", "2000"), ("couchdb_feed_heartbeat_ms", "4000")];
    let times = times.into_iter().filter(|_| is_proxied);
    times.map(|(key, text)| (key, text.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::that_fit_the_store;

    #[test]
    fn the_port_of_kazoos_proxy_changes_the_times() {
        for (store, is_proxied) in [
            ("http://127.0.0.1:15984", true),
            ("http://kazoo:p%40ss@127.0.0.1:15984/", true),
            ("http://u:15984@couchdb:5984", false),
            ("http://near:5984 http://127.0.0.1:15984", true),
            ("https://[::1]:15984", true),
            ("http://couchdb:5984", false),
            ("http://couchdb", false),
            ("sqlite:15984.db", false),
            ("nonsense", false),
        ] {
            assert_eq!(that_fit_the_store(store).len(), if is_proxied { 2 } else { 0 }, "{store}");
        }
    }
}
