//! The drop-in that systemd's unit needs beside a live Kazoo: `docker/kazoo/kazoo.conf` with the settings of one set-up.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::kazoo_config;
use crate::settings::{ShownSetting, Source};

/// The file for a set-up without flags.
const USUAL: &str = include_str!("../../../../docker/kazoo/kazoo.conf");

/// The lines of it that name Kazoo's configuration, and the last of those about the settings file.
const CREDENTIAL: &str = "LoadCredential=config.ini:/etc/kazoo/core/config.ini\n";
const KAZOO_CONFIG: &str = "Environment=CROSSBAR_GROUPS_KAZOO_CONFIG=%d/config.ini\n";
const NO_SETTINGS_FILE: &str = "# Kazoo's configuration takes the place of the settings file, whose store would win.\n\
                                Environment=CROSSBAR_GROUPS_CONFIG=\n";

/// What the drop-in depends on.
pub(super) struct DropIn<'a> {
    /// The absolute path of Kazoo's configuration.
    pub(super) kazoo_config: &'a Path,
    /// The absolute path of the settings file, if one was named.
    pub(super) settings_file: Option<PathBuf>,
    /// The zone that the environment names.
    pub(super) kazoo_zone: Option<String>,
    /// The address of the API.
    pub(super) listen: SocketAddr,
    /// The address of the admin listener.
    pub(super) admin_listen: SocketAddr,
    /// Every setting. Those from flags and variables become lines.
    pub(super) given: &'a [ShownSetting],
}

impl DropIn<'_> {
    /// The text of the file.
    pub(super) fn text(&self) -> String {
        // The server tells the two forms of Kazoo's configuration apart by the name of the file.
        let name = if kazoo_config::is_yaml(self.kazoo_config) { "config.yaml" } else { "config.ini" };
        let path = specifiers_escaped(&self.kazoo_config.display().to_string());
        let mut text = USUAL
            .replace(CREDENTIAL, &format!("LoadCredential={name}:{path}\n"))
            .replace(KAZOO_CONFIG, &format!("Environment=CROSSBAR_GROUPS_KAZOO_CONFIG=%d/{name}\n"));
        if let Some(path) = &self.settings_file {
            let line = environment("CROSSBAR_GROUPS_CONFIG", &path.display().to_string());
            text = text.replace(
                NO_SETTINGS_FILE,
                &format!("# The server's own user must be able to read it.\n{line}\n"),
            );
        }
        set(&mut text, "CROSSBAR_GROUPS_LISTEN", &self.listen.to_string());
        set(&mut text, "CROSSBAR_GROUPS_ADMIN_LISTEN", &self.admin_listen.to_string());
        if let Some(zone) = &self.kazoo_zone {
            set(&mut text, kazoo_config::ZONE_VARIABLE, zone);
        }
        let is_set = |key| matches!(key, "listen" | "admin_listen");
        let given =
            self.given.iter().filter(|shown| matches!(shown.source, Source::Flag | Source::Environment));
        let mut secrets = Vec::new();
        for shown in given.filter(|shown| !is_set(shown.setting.key)) {
            match shown.public_text() {
                Some(value) => set(&mut text, &shown.setting.variable(), &value),
                None => secrets.push(shown.setting.key),
            }
        }
        if !secrets.is_empty() {
            text.push_str(&without(&secrets, self.settings_file.is_some()));
        }
        text
    }
}

/// The comment about settings that are missing because they may hold a password.
fn without(keys: &[&str], has_settings_file: bool) -> String {
    let keys = keys.join(", ");
    let mut text = format!(
        "# Missing here, since this file is for everybody to read and they may hold a password: {keys}.\n"
    );
    text.push_str(match has_settings_file {
        true => "# Write them into the settings file, which only root and the server may be able to read.\n",
        false => {
            "# Write them into a settings file that only root can read, and load it as Kazoo's configuration, in place of \
             the\n# empty CROSSBAR_GROUPS_CONFIG above:\n\
             #LoadCredential=settings.toml:/etc/crossbar-groups/kazoo.toml\n\
             #Environment=CROSSBAR_GROUPS_CONFIG=%d/settings.toml\n"
        }
    });
    text
}

/// Sets a variable: in the line that is there, else in a new one.
fn set(text: &mut String, variable: &str, value: &str) {
    let (begin, line) = (format!("Environment={variable}="), environment(variable, value));
    match text.lines().find(|there| there.starts_with(&begin)).map(|there| format!("{there}\n")) {
        Some(there) => *text = text.replace(&there, &format!("{line}\n")),
        None => {
            text.push_str(&line);
            text.push('\n');
        }
    }
}

/// The line of a unit that sets a variable to exactly this value.
fn environment(variable: &str, value: &str) -> String {
    let is_plain = |char: char| char.is_alphanumeric() || "-_./:@,=%+[]~*?&".contains(char);
    let value = specifiers_escaped(value);
    if value.chars().all(is_plain) {
        return format!("Environment={variable}={value}");
    }
    let mut quoted = String::new();
    for char in value.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            _ => quoted.push(char),
        }
    }
    format!("Environment=\"{variable}={quoted}\"")
}

/// A text in which systemd finds no specifier, such as `%H`.
fn specifiers_escaped(text: &str) -> String {
    text.replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{DropIn, USUAL, environment};

    fn text(listen: &str, admin_listen: &str, kazoo_config: &str, settings_file: Option<&str>) -> String {
        let drop_in = DropIn {
            kazoo_config: Path::new(kazoo_config),
            settings_file: settings_file.map(Into::into),
            kazoo_zone: None,
            listen: listen.parse().unwrap(),
            admin_listen: admin_listen.parse().unwrap(),
            given: &[],
        };
        drop_in.text()
    }

    #[test]
    fn the_addresses_and_paths_are_those_of_the_set_up() {
        let usual = text("127.0.0.1:8010", "127.0.0.1:8001", "/etc/kazoo/core/config.ini", None);
        assert_eq!(usual, USUAL);
        let other = text("0.0.0.0:9010", "10.0.0.1:9001", "/etc/a%b/my kazoo%.yaml", Some("/etc/a b.toml"));
        for line in [
            "Environment=CROSSBAR_GROUPS_KAZOO_CONFIG=%d/config.yaml",
            "LoadCredential=config.yaml:/etc/a%%b/my kazoo%%.yaml",
            "Environment=\"CROSSBAR_GROUPS_CONFIG=/etc/a b.toml\"",
            "Environment=CROSSBAR_GROUPS_LISTEN=0.0.0.0:9010",
            "Environment=CROSSBAR_GROUPS_ADMIN_LISTEN=10.0.0.1:9001",
        ] {
            assert!(other.lines().any(|there| there == line), "{line}:\n{other}");
        }
        assert!(!other.contains("CONFIG=\n"), "{other}");
    }

    #[test]
    fn values_are_written_as_systemd_reads_them() {
        for (value, line) in [
            ("crossbar_groups@a.example.com", "Environment=X=crossbar_groups@a.example.com"),
            ("50%H", "Environment=X=50%%H"),
            ("a b", "Environment=\"X=a b\""),
            ("it's", "Environment=\"X=it's\""),
            ("a\"b\\c\nd", "Environment=\"X=a\\\"b\\\\c\\nd\""),
            ("10.0.0.0/8,[::1]", "Environment=X=10.0.0.0/8,[::1]"),
        ] {
            assert_eq!(environment("X", value), line);
        }
    }
}
