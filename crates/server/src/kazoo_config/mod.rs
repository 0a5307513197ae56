//! Kazoo's own configuration: where it is found, and the settings of this server that follow from it, by Kazoo's own
//! rules. It holds passwords, so no error repeats a value.

mod ini;
mod rules;
mod yaml;

use std::path::{Path, PathBuf};

use self::ini::Section;
pub(crate) use self::rules::Taken;
use self::rules::{Database, Host, Rules, ZONE};
use crate::failure::Failure;

/// The variable that names Kazoo's configuration, and the one that names the zone.
const FILE_VARIABLE: &str = "KAZOO_CONFIG";
pub(crate) const ZONE_VARIABLE: &str = "KAZOO_ZONE";

/// Where Kazoo looks if the variable is not set. Those that end in `yaml` are of newer forks.
const PLACES: [&str; 4] = [
    "/etc/kazoo/config.ini",
    "/etc/kazoo/core/config.ini",
    "/usr/local/etc/kazoo/config.yaml",
    "/etc/kazoo/config.yaml",
];

/// Kazoo's configuration, where Kazoo finds it.
pub(crate) fn find() -> Result<PathBuf, Failure> {
    if let Some(path) = std::env::var_os(FILE_VARIABLE).filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let found = PLACES.iter().map(PathBuf::from).find(|path| path.is_file());
    found.ok_or_else(|| {
        Failure::setup(format!(
            "Kazoo's configuration was not found: {FILE_VARIABLE} is not set, and there is none of {}. Name it with \
             --kazoo-config",
            PLACES.join(", ")
        ))
    })
}

/// What a configuration says.
#[derive(Debug)]
pub(crate) struct Found {
    /// The settings that follow.
    pub(crate) settings: Vec<Taken>,
    /// What may be wrong with it, in words.
    pub(crate) warning: Option<String>,
}

/// The zone that the environment names.
pub(crate) fn zone() -> Option<String> {
    std::env::var(ZONE_VARIABLE).ok().filter(|zone| !zone.is_empty())
}

/// Reads a configuration.
pub(crate) fn read(path: &Path) -> Result<Found, Failure> {
    let refused = |what: String| Failure::setup(format!("Kazoo's configuration {}: {what}", path.display()));
    let text =
        std::fs::read_to_string(path).map_err(|error| refused(format!("it cannot be read: {error}")))?;
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = Host { name: name.trim().to_owned(), zone: zone() };
    let rules = match is_yaml(path) {
        true => yaml::read(&text, &host),
        // Without zones it is no configuration of Kazoo in YAML either.
        false => read_ini(&text, &host).map_err(|what| match yaml::read(&text, &host) {
            Ok(_) => "it is YAML: give it a name that ends in .yaml".to_owned(),
            Err(_) => what,
        }),
    };
    let rules = rules.map_err(refused)?;
    Ok(Found { warning: rules.warning(), settings: rules.settings(&host) })
}

/// Whether a configuration is read as YAML: its name says so.
pub(crate) fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "yaml" || end == "yml")
}

fn read_ini(text: &str, host: &Host) -> Result<Rules, String> {
    let sections = ini::read(text)?;
    let named = |name: &str| sections.iter().filter(|section| section.name == name).collect::<Vec<_>>();
    let apps = named("kazoo_apps");
    let of_apps = |zone: &str, key: &str| {
        local(&apps, host, zone).into_iter().find_map(|section| section.get(key)).map(str::to_owned)
    };
    // The zone is not known yet, so sections of zones do not count here.
    let zone = host.zone.clone().or_else(|| of_apps("", "zone")).unwrap_or_else(|| ZONE.to_owned());

    let zones = Some(named("zone")).filter(|zones| !zones.is_empty()).unwrap_or_else(|| named("amqp"));
    let is_ours = |section: &&&Section| section.get("name").or(section.get("zone")) == Some(zone.as_str());
    let has_zone = named("zone").is_empty() || zones.iter().any(|section| is_ours(&section));
    let brokers = zones.iter().filter(is_ours).flat_map(|section| section.all(&["uri", "amqp_uri"]));
    let mut brokers: Vec<_> = brokers.map(str::to_owned).collect();
    if brokers.is_empty() {
        let amqp = named("amqp");
        let general =
            local(&amqp, host, &zone).into_iter().flat_map(|section| section.all(&["uri", "amqp_uri"]));
        brokers = general.map(str::to_owned).collect();
    }

    let data = named("data");
    let data = local(&data, host, &zone).into_iter().find_map(|section| section.get("config"));
    let name = data.unwrap_or("bigcouch");
    let databases = named(name);
    let database = local(&databases, host, &zone);
    let database =
        Database::of(|key| database.iter().find_map(|section| section.get(key)).map(str::to_owned))?;
    Ok(Rules { brokers, database, apps_host: of_apps(&zone, "host"), zone, has_zone })
}

/// The sections that count on this machine: one with its name as the `host`; else those of its zone; else those that
/// name neither.
fn local<'a>(sections: &[&'a Section], host: &Host, zone: &str) -> Vec<&'a Section> {
    let own = sections.iter().find(|section| section.get("host").is_some_and(|name| host.has_name(name)));
    if let Some(own) = own {
        return vec![own];
    }
    let without_host = || sections.iter().copied().filter(|section| section.get("host").is_none());
    let of_zone: Vec<_> = without_host().filter(|section| section.get("zone") == Some(zone)).collect();
    if !of_zone.is_empty() {
        return of_zone;
    }
    without_host().filter(|section| zone.is_empty() || section.get("zone").is_none()).collect()
}

#[cfg(test)]
mod tests;
