//! The form of Kazoo's configuration that newer forks have: YAML, with everything of a zone below the zone.

use saphyr::{LoadableYamlNode as _, Yaml};

use super::rules::{Database, Host, Rules};

/// Reads a text. The error is the rest of a sentence that begins with the file's name; it never repeats a line, which
/// may hold a password.
pub(super) fn read(text: &str, host: &Host) -> Result<Rules, String> {
    let documents = Yaml::load_from_str(text).map_err(|error| {
        let place = error.marker();
        format!("line {}: it is no YAML", place.line())
    })?;
    let root = documents.first().ok_or("it is empty")?;
    let zones = root.as_mapping_get("zones").and_then(Yaml::as_mapping).ok_or("it has no zones")?;
    let names = || zones.iter().filter_map(|(name, zone)| Some((text_of(name)?, zone)));
    let (zone, of_zone) = match &host.zone {
        Some(wanted) => names()
            .find(|(name, _)| name == wanted)
            .ok_or_else(|| format!("it has no zone {wanted:?}, which KAZOO_ZONE names"))?,
        None => names()
            .find(|(_, zone)| zone.as_mapping_get("local").and_then(text_of).as_deref() == Some("true"))
            .ok_or("no zone in it is local: set KAZOO_ZONE to the name of one")?,
    };
    let uri = of_zone.as_mapping_get("amqp").and_then(|amqp| amqp.as_mapping_get("uri"));
    let brokers = match uri {
        Some(Yaml::Sequence(uris)) => uris.iter().filter_map(text_of).collect(),
        Some(uri) => text_of(uri).into_iter().collect(),
        None => Vec::new(),
    };
    let data = root.as_mapping_get("data").and_then(|data| data.as_mapping_get("config")).and_then(text_of);
    let section = data.unwrap_or_else(|| "couchdb".to_owned());
    let couchdb = root.as_mapping_get(&section).ok_or_else(|| format!("it has no section {section}"))?;
    let get = |key: &str| couchdb.as_mapping_get(key).and_then(text_of);
    let machines = of_zone.as_mapping_get("vms").and_then(Yaml::as_sequence);
    let of_apps = |machine: &Yaml<'_>| text_of(machine.as_mapping_get("kazoo_apps")?.as_mapping_get("host")?);
    Ok(Rules {
        zone,
        has_zone: true,
        brokers,
        database: Database::of(get)?,
        apps_host: machines.into_iter().flatten().find_map(of_apps),
    })
}

/// A scalar as text.
fn text_of(value: &Yaml<'_>) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(text.to_owned()).filter(|text| !text.is_empty());
    }
    value
        .as_integer()
        .map(|number| number.to_string())
        .or_else(|| value.as_bool().map(|flag| flag.to_string()))
}
