//! Which value wins, what is refused and how, and that the documentation lists every setting.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args as _, Command, FromArgMatches as _};
use couchdb::ServerUrl;

use super::group::Group;
use super::setting::{Default, Setting};
use super::{Given, LiveSettings, NoticeSettings, ServeSettings, SettingsFile, StoreSettings, declared};
use crate::failure::Failure;

fn read<G: Group>(arguments: &[&str], file: &str) -> Result<G, Failure> {
    let command = Given::<G>::augment_args(Command::new("test").no_binary_name(true));
    let matches = command.try_get_matches_from(arguments).unwrap();
    let file = SettingsFile::parse("settings.toml".to_owned(), file, &declared::all())?;
    Given::<G>::from_arg_matches(&matches).unwrap().settings(&file)
}

fn check_refused<G: Group + std::fmt::Debug>(arguments: &[&str], file: &str, message: &str) {
    let failure = read::<G>(arguments, file).unwrap_err();
    assert_eq!(failure.to_string(), message);
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let settings: ServeSettings = read(&["--page-size", "7"], "page_size = 9\nworkers = 3\n").unwrap();
    assert_eq!((settings.live.page_size, settings.workers, settings.live.max_body_bytes), (7, 3, 8_000_000));
}

#[test]
fn lists_and_switches_can_be_written_in_each_way() {
    for (arguments, file) in [
        (&["--reverse-proxies", "10.0.0.0/8,::1", "--strict-tokens"][..], ""),
        (&["--reverse-proxies", "10.0.0.0/8", "--reverse-proxies", "::1", "--strict-tokens", "true"], ""),
        (&[], "reverse_proxies = [\"10.0.0.0/8\", \"::1\"]\nstrict_tokens = true"),
    ] {
        let settings: ServeSettings = read(arguments, file).unwrap();
        assert_eq!(settings.reverse_proxies.unwrap().len(), 2, "{arguments:?}");
        assert!(settings.strict_tokens, "{arguments:?}");
    }
}

#[test]
fn an_empty_list_of_proxies_is_a_list() {
    for (arguments, file) in [
        (&["--reverse-proxies", ""][..], ""),
        (&["--reverse-proxies="], "reverse_proxies = [\"::1\"]"),
        (&[], "reverse_proxies = []"),
    ] {
        let settings: ServeSettings = read(arguments, file).unwrap();
        assert_eq!(settings.reverse_proxies, Some(Vec::new()), "{arguments:?} {file}");
    }
    let settings: ServeSettings = read(&[], "").unwrap();
    assert_eq!(settings.reverse_proxies, None, "Kazoo's configuration names the proxies");
    check_refused::<ServeSettings>(
        &["--reverse-proxies", "::1,"],
        "",
        "the setting reverse_proxies must hold addresses or networks, like 10.0.0.0/8, not \"\"",
    );
}

#[test]
fn brokers_can_be_written_in_each_way() {
    let (one, two) = ("amqp://u:p,q@one:5672", "amqps://two/kazoo");
    for (arguments, file) in [
        (&["--amqp", one, "--amqp", two][..], String::new()),
        // As in the variable.
        (&["--amqp", &format!(" {one}  {two}\n")], String::new()),
        (&[], format!("amqp = [{one:?}, {two:?}]")),
    ] {
        let settings: ServeSettings = read(arguments, &file).unwrap();
        let shown: Vec<_> = settings.notices.amqp.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            ["amqp://one:5672 (virtual host /)", "amqps://two:5671 (virtual host kazoo)"],
            "{arguments:?} {file}"
        );
        assert!(!format!("{settings:?}").contains("p,q"), "the password is not shown");
    }
    let settings: ServeSettings = read(&[], "").unwrap();
    assert!(settings.notices.amqp.is_empty());
}

#[test]
fn nonsense_is_refused_by_name() {
    let serve = check_refused::<ServeSettings>;
    serve(&["--page-size", "0"], "", "the setting page_size must be a whole number of at least 1, not \"0\"");
    serve(&["--page-size", "x"], "", "the setting page_size must be a whole number of at least 1, not \"x\"");
    serve(
        &["--workers", "100000"],
        "",
        "the setting workers must be a whole number from 1 to 512, not \"100000\"",
    );
    serve(
        &["--body-timeout-ms", "99999999999999999999"],
        "",
        "the setting body_timeout_ms must be a whole number from 1 to 86400000, not \"99999999999999999999\"",
    );
    serve(&["--strict-tokens", "yes"], "", "the setting strict_tokens must be true or false, not \"yes\"");
    serve(
        &["--listen", "nowhere"],
        "",
        "the setting listen must be an address and a port, like 127.0.0.1:8000, not \"nowhere\"",
    );
    serve(
        &["--amqp", "amqp://one amqp://u:very-secret@:1"],
        "",
        "the setting amqp has an address, number 2, that names no host",
    );
    let store = check_refused::<StoreSettings>;
    store(&["--sqlite-sync", "off"], "", "the setting sqlite_sync must be full or normal, not \"off\"");
    store(
        &["--sqlite-map-threads", "0"],
        "",
        "the setting sqlite_map_threads must be a whole number from 1 to 256, not \"0\"",
    );
    store(
        &["--sqlite-map-stack-bytes", "9"],
        "",
        "the setting sqlite_map_stack_bytes must be a whole number from 65536 to 1048576, not \"9\"",
    );
    store(
        &["--couchdb-connect-timeout-ms", "0"],
        "",
        "the setting couchdb_connect_timeout_ms must be a whole number from 1 to 86400000, not \"0\"",
    );
    store(
        &["--couchdb-read-retries", "-1"],
        "",
        "the setting couchdb_read_retries must be a whole number from 0 to 100, not \"-1\"",
    );
    store(&["--store", "sqlite:"], "", "the setting store names no file: write sqlite:PATH");
}

#[test]
fn a_command_ignores_values_that_only_serve_needs() {
    let file = "workers = 0\nmax_body_bytes = 0\n";
    let notices: NoticeSettings = read(&[], &format!("{file}kazoo_zone = \"east\"")).unwrap();
    assert_eq!(notices.kazoo_zone.as_deref(), Some("east"));
    assert!(read::<StoreSettings>(&[], file).is_ok());
    assert!(read::<ServeSettings>(&[], file).is_err());
}

#[test]
fn a_fault_in_the_file_is_told_with_its_line() {
    let check = check_refused::<ServeSettings>;
    check(
        &[],
        "# x\n\npage_size = 0\n",
        "the setting page_size (from settings.toml, line 3) must be a whole number of at least 1, not \"0\"",
    );
    check(
        &[],
        "workers = 1\npage_size = \"many\"\n",
        "the settings file settings.toml, line 2: the setting page_size must be a whole number of at least 1",
    );
    check(
        &[],
        "\npage_sizes = 1\n",
        "the settings file settings.toml, line 2: there is no setting \"page_sizes\"; did you mean page_size?",
    );
    check(
        &[],
        "sqlite_sync = true\n",
        "the settings file settings.toml, line 1: the setting sqlite_sync must be full or normal",
    );
    check(
        &[],
        "page_size = 1\n[server]\nworkers = 1\n",
        "the settings file settings.toml, line 2: the file has no sections: write the settings without [server]",
    );
    check(
        &[],
        "port = 1\n",
        "the settings file settings.toml, line 1: there is no setting \"port\"; did you mean listen?",
    );
    let failure = read::<ServeSettings>(&[], "workers = 1\nworkers = 2\n").unwrap_err().to_string();
    assert!(failure.starts_with("the settings file settings.toml, line 2: duplicate key"), "{failure}");
    let failure = read::<ServeSettings>(&[], "workers = 1\n[").unwrap_err().to_string();
    assert!(failure.starts_with("the settings file settings.toml, line 2: "), "{failure}");
    assert_eq!(failure.lines().count(), 1, "{failure}");
}

#[test]
fn a_store_s_password_is_not_repeated() {
    let failure = read::<StoreSettings>(&[], "store = \"ftp://admin:very-secret@host\"").unwrap_err();
    assert!(!failure.to_string().contains("very-secret"), "{failure}");
}

/// The defaults of the table are those of the crates that the settings go to.
#[test]
fn the_stores_defaults_are_those_of_their_crates() {
    let settings: StoreSettings = read(&[], "").unwrap();
    let embedded = embedded::Settings::default();
    let ours = crate::stack::embedded_settings(&settings.embedded);
    assert_eq!(format!("{ours:?}"), format!("{embedded:?}"));
    let couchdb = couchdb::Settings::new(ServerUrl::parse("http://127.0.0.1:5984").unwrap());
    let ours = crate::stack::couchdb_settings(couchdb.clone(), &settings.couchdb);
    assert_eq!(format!("{ours:?}"), format!("{couchdb:?}"));
}

#[test]
fn the_stores_settings_reach_them() {
    let arguments = ["--sqlite-sync", "normal", "--sqlite-cache-kib", "4096", "--couchdb-read-retries", "0"];
    let settings: StoreSettings = read(&arguments, "sqlite_map_time_ms = 77\n").unwrap();
    let embedded = crate::stack::embedded_settings(&settings.embedded);
    assert_eq!(embedded.durability, embedded::Durability::Normal);
    assert_eq!(embedded.writer_cache_kib, 4096);
    assert_eq!(embedded.map_time, Duration::from_millis(77));
    assert_eq!(settings.couchdb.read_retries, 0);
}

/// The rows of the table in `docs/deploy.md`, in one order.
fn documented() -> Vec<String> {
    let page = include_str!("../../../../docs/deploy.md");
    let mut rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `--")).map(str::to_owned).collect();
    rows.sort();
    rows
}

fn row(flag: &str, variable: &str, key: &str, default: &str) -> String {
    format!("| `--{flag}` | `{variable}` | {key} | {default} |")
}

#[test]
fn the_documentation_lists_every_setting() {
    let settings: BTreeMap<_, Setting> =
        declared::all().into_iter().map(|setting| (setting.key, setting)).collect();
    let mut command = crate::cli::command();
    let serve = command.find_subcommand_mut("serve").unwrap();
    // What `serve` takes from the environment but is no setting of the file is listed too.
    let mut declared: Vec<_> = serve
        .get_arguments()
        .filter_map(|argument| {
            let flag = argument.get_long()?;
            let variable = argument.get_env()?.to_str()?;
            let Some(setting) = settings.get(argument.get_id().as_str()) else {
                return Some(row(flag, variable, "", ""));
            };
            let default = match setting.default {
                Default::Value(value) => format!("`{value}`"),
                Default::Found(words, _) | Default::Nothing(words) => words.to_owned(),
            };
            Some(row(flag, variable, &format!("`{}`", setting.key), &default))
        })
        .collect();
    declared.sort();
    assert_eq!(declared.len(), settings.len() + 3, "every setting, --config, --kazoo-config and --demo");
    let documented = documented();
    let missing: Vec<_> = declared.iter().filter(|row| !documented.contains(row)).cloned().collect();
    let gone: Vec<_> = documented.iter().filter(|row| !declared.contains(row)).cloned().collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "docs/deploy.md lacks:\n{}\nand has in vain:\n{}",
        missing.join("\n"),
        gone.join("\n")
    );
}

/// The rows of the table that says what each setting does.
fn explained() -> Vec<String> {
    let page = include_str!("../../../../docs/deploy.md");
    let (_, rest) = page.split_once("\n### What each setting does\n").unwrap_or_default();
    let section = rest.split("\n## ").next().unwrap_or_default();
    section.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect()
}

#[test]
fn the_documentation_says_what_each_setting_does() {
    let live = LiveSettings::declared();
    let is_live = |key: &str| live.iter().any(|setting| setting.key == key) || key == "log_level";
    let rows = declared::all().into_iter().map(|setting| {
        let help: Vec<_> = setting.help.iter().map(|line| line.trim()).collect();
        let [help, words] = [help.join(" "), setting.words()].map(|text| text.replace('|', "\\|"));
        let reload = if is_live(setting.key) { "yes" } else { "" };
        format!("| `{}` | {help} | {words} | {reload} |", setting.key)
    });
    let rows: Vec<_> = rows.collect();
    assert!(rows == explained(), "docs/deploy.md must have these rows:\n{}", rows.join("\n"));
}
