//! Mistakes that an operator may make on the command line, in the environment or in the settings file. Each
//! gets one line that says what is wrong and what to do, exit code 2, and nothing is made. What may pass by itself is
//! no mistake for good, and has exit code 75.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use auth::Secret;
use auth::bootstrap::NewUser;
use couchdb::standin::Standin;

use crate::accounts::OpenStore;
use crate::process::{binary, run};

/// A mistake that a running server shows, for it serves then, is found after this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A mistake: the command line, the variables, and words of the answer. `{taken}` is a port that somebody
/// holds, `{couchdb}` the host and the port of a CouchDB, and `{page}` those of a server that is none.
struct Mistake {
    arguments: &'static str,
    variables: &'static [(&'static str, &'static str)],
    /// The store in the environment, if one is there.
    store: &'static str,
    says: &'static [&'static str],
    exit_code: i32,
}

/// What is wrong for good.
const fn mistake(arguments: &'static str, says: &'static [&'static str]) -> Mistake {
    Mistake { arguments, variables: &[], store: "", says, exit_code: 2 }
}

/// A mistake in the address of the store.
const fn at(arguments: &'static str, store: &'static str, says: &'static [&'static str]) -> Mistake {
    Mistake { store, ..mistake(arguments, says) }
}

/// What may pass: another program ends, or an address comes.
const fn obstacle(arguments: &'static str, says: &'static [&'static str]) -> Mistake {
    Mistake { exit_code: 75, ..mistake(arguments, says) }
}

/// A mistake in a variable.
const fn variable(
    variables: &'static [(&'static str, &'static str)],
    says: &'static [&'static str],
) -> Mistake {
    Mistake { variables, ..mistake("serve", says) }
}

const MISTAKES: &[Mistake] = &[
    // A store that is not there, or is none.
    mistake("export --store sqlite:typo.db", &["no such store", "typo.db does not exist", "--store"]),
    mistake("serve --store sqlite:typo.db", &["no such store", "account create", "serve --demo"]),
    mistake("serve", &["no such store", "data/crossbar-groups.db", "CROSSBAR_GROUPS_STORE"]),
    mistake("token --store sqlite:typo.db --account alpha", &["no such store"]),
    mistake("views push --store sqlite:typo.db", &["no such store"]),
    mistake("account list --store sqlite:typo.db", &["no such store"]),
    mistake("user list --account alpha --store sqlite:typo.db", &["no such store"]),
    mistake("backup copy.db --store sqlite:typo.db", &["no such store"]),
    mistake("backup copy.db", &["no such store", "--config", "CROSSBAR_GROUPS_CONFIG"]),
    mistake("account create --name b --parent a --store sqlite:typo.db", &["no such store"]),
    mistake("export --store sqlite:empty.db", &["no such store", "empty.db is empty"]),
    mistake("serve --store sqlite:notes.txt", &["notes.txt is not a store", "not an SQLite database"]),
    mistake("serve --demo --store sqlite:notes.txt", &["notes.txt is not a store"]),
    mistake("export --store sqlite:folder", &["folder is not a regular file"]),
    mistake("serve --store sqlite://store.db", &["sqlite:/folder/store.db"]),
    mistake("serve --store postgres://u:very-secret@host/db", &["sqlite:PATH", "http(s)://"]),
    mistake("backup copy.db --store http://127.0.0.1:1", &["embedded store", "replicate"]),
    mistake("restore copy.db --store sqlite:store.db", &["copy.db", "no such file", "backup"]),
    mistake("restore notes.txt --store sqlite:store.db", &["notes.txt is not a store"]),
    mistake("restore empty.db --store sqlite:store.db", &["empty.db is not a store", "it is empty"]),
    mistake("restore store.db --store sqlite:store.db", &["belongs to the store itself"]),
    mistake("restore store.db --store sqlite:notes.txt", &["notes.txt is not a store", "not changed"]),
    mistake("restore copy.db --store http://127.0.0.1:1", &["embedded store", "import"]),
    mistake("key list --store sqlite:typo.db", &["no such store"]),
    mistake("key rotate --store sqlite:typo.db", &["no such store"]),
    mistake("account disable alpha --store sqlite:typo.db", &["no such store"]),
    mistake("user delete --account alpha --user admin --store sqlite:typo.db", &["no such store"]),
    mistake(
        "restore damaged.db --store sqlite:store.db",
        &["damaged.db is damaged", "restore it from a backup"],
    ),
    // A CouchDB that cannot be used. A password does not belong on the command line.
    at(
        "account list",
        "http://admin:very-secret@{couchdb}",
        &["refuses the user or the password", "check both"],
    ),
    at(
        "account create --name a",
        "http://admin:very-secret@{couchdb}",
        &["refuses the user or the password"],
    ),
    at("export", "http://admin:very@secret@{couchdb}", &["refuses the user or the password", "@ as %40"]),
    at("account list", "http://admin:very/secret@{couchdb}", &["percent-encode special characters"]),
    at("account list", "http://admin:12#very-secret@{couchdb}", &["percent-encode special characters"]),
    at(
        "account list",
        "http://{couchdb}",
        &["wants a user and a password", "http://USER:PASSWORD@HOST:5984"],
    ),
    at("views push", "http://admin:very-secret@no-host.invalid:5984", &["no-host.invalid:5984 is not known"]),
    at("account list", "http://admin:very-secret@127.0.0.1:1", &["nobody listens at http://127.0.0.1:1"]),
    at(
        "import lines.ndjson",
        "http://admin:very-secret@127.0.0.1:1",
        &["nobody listens", "start the CouchDB"],
    ),
    at("account list", "{with_login}/db", &["/db is not the address of a CouchDB", "leave out the path"]),
    at("key list", "{with_login}/_utils", &["leave out the path"]),
    at("serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0", "{with_login}/db", &["leave out the path"]),
    at(
        "account list",
        "http://admin:very-secret@{page}",
        &["no CouchDB answers at", "check the host and the port"],
    ),
    at("user list --account a", "http://admin:very-secret@{page}", &["no CouchDB answers at"]),
    // Addresses.
    obstacle(
        "serve --demo --store sqlite:new.db --listen {taken}",
        &["holds the port", "--listen", "_LISTEN"],
    ),
    obstacle(
        "serve --demo --store sqlite:new.db --admin-listen {taken}",
        &["holds the port", "--admin-listen"],
    ),
    obstacle(
        "serve --demo --store sqlite:new.db --listen 192.0.2.1:8000",
        &["no such address", "0.0.0.0", "--listen"],
    ),
    mistake("serve --listen 8000", &["the setting listen", "like 127.0.0.1:8000", "\"8000\""]),
    mistake("serve --listen localhost", &["the setting listen", "like 127.0.0.1:8000"]),
    mistake("serve --listen 127.0.0.1:9 --admin-listen 127.0.0.1:9", &["listen and admin_listen are both"]),
    mistake("healthcheck https://127.0.0.1:8001", &["https", "write it as http://127.0.0.1:8001"]),
    mistake("healthcheck http://127.0.0.1:8001/health/ready", &["without a path"]),
    // Settings.
    mistake("serve --workers 513", &["the setting workers", "from 1 to 512", "\"513\""]),
    mistake("serve --page-size 0", &["the setting page_size", "at least 1"]),
    mistake("serve --couchdb-read-retries -1", &["couchdb_read_retries", "from 0 to 100"]),
    mistake("serve --sqlite-sync off", &["sqlite_sync", "full or normal"]),
    mistake("serve --log-format xml", &["log_format", "text or json or kazoo"]),
    mistake("serve --log-level loud", &["log_level", "error or warn or info or debug or trace"]),
    mistake("serve --reverse-proxies proxy.example.com", &["reverse_proxies", "like 10.0.0.0/8"]),
    mistake("serve --strict-tokens yes", &["strict_tokens", "true or false"]),
    mistake("serve --kazoo-zone=", &["the setting kazoo_zone is empty"]),
    mistake("serve --config missing.toml", &["missing.toml", "No such file"]),
    mistake("serve --kazoo-config missing.ini", &["Kazoo's configuration missing.ini", "No such file"]),
    mistake("attach --kazoo-config unknown.toml", &["unknown.toml", "line 1"]),
    mistake("doctor --store sqlite:typo.db", &["no such store"]),
    mistake("doctor --json --store sqlite:typo.db", &["no such store"]),
    mistake("compare --store sqlite:store.db", &["--against <URL>", "crossbar-groups compare --help"]),
    mistake(
        "compare --against http://u:very-secret@crossbar:8000 --token-file token.txt --store sqlite:store.db",
        &["--against holds a user or a password"],
    ),
    mistake(
        "compare --against http://127.0.0.1:1 --store sqlite:store.db",
        &["--token-file", "--api-key-file"],
    ),
    mistake(
        "compare --against http://127.0.0.1:1 --token-file notes.txt --store sqlite:store.db",
        &["notes.txt must hold the token and nothing else"],
    ),
    mistake(
        "compare --against http://127.0.0.1:8010 --token-file token.txt --store sqlite:store.db",
        &["the same server"],
    ),
    mistake(
        "compare --against http://127.0.0.1:1 --token-file token.txt --store sqlite:store.db",
        &["http://127.0.0.1:1 gives no answer"],
    ),
    mistake(
        "compare --against http://127.0.0.1:1 --token-file token.txt --store sqlite:store.db --state notes.txt",
        &["notes.txt is no state of a comparison"],
    ),
    mistake(
        "serve --shadow crossbar:8000 --store sqlite:store.db",
        &["the setting shadow", "http://HOST:8000"],
    ),
    mistake("serve --shadow http://x --shadow-rate 0", &["shadow_rate", "from 1 to 1000"]),
    mistake("serve --store http://127.0.0.1:1 --store sqlite:a.db", &["beside another address"]),
    mistake("serve --config unknown.toml", &["unknown.toml, line 2", "\"worker\"", "did you mean workers?"]),
    mistake("export --config unknown.toml", &["unknown.toml, line 2"]),
    mistake(
        "serve --config type.toml",
        &["type.toml, line 1", "workers must be a whole number from 1 to 512"],
    ),
    mistake("serve --config value.toml", &["page_size (from value.toml, line 3)", "at least 1"]),
    mistake("serve --config section.toml", &["section.toml, line 1", "without [server]"]),
    mistake("serve --config broken.toml", &["broken.toml, line"]),
    variable(
        &[("CROSSBAR_GROUPS_PAGE_SIZE", "many")],
        &["page_size (from the environment)", "at least 1", "\"many\""],
    ),
    variable(&[("CROSSBAR_GROUPS_DEMO", "perhaps")], &["--demo", "perhaps"]),
    // The command line.
    mistake("serv", &["'serv'", "'serve'", "crossbar-groups --help"]),
    mistake("serve --wrokers 3", &["'--wrokers'", "'--workers'", "crossbar-groups serve --help"]),
    mistake("account create", &["--name <NAME>", "crossbar-groups account create --help"]),
    mistake(
        "token --account alpha --ttl 0 --store sqlite:store.db",
        &["--ttl", "1..", "`crossbar-groups token --help`"],
    ),
    mistake("import --store sqlite:new.db", &["<FILE>"]),
    mistake(
        "account show --account alpha --store sqlite:store.db",
        &["the account is given without a flag", "`crossbar-groups account show <ID|NAME>`"],
    ),
    mistake("import --file lines.ndjson --store sqlite:new.db", &["the file is given without a flag"]),
    // What the commands are about.
    mistake(
        "account create --name ... --store sqlite:new.db",
        &["cannot name an account", "letters and digits"],
    ),
    mistake("token --account nobody --store sqlite:store.db", &["no account \"nobody\"", "account list"]),
    mistake(
        "token --account alpha --user nobody --store sqlite:store.db",
        &["no user \"nobody\"", "user list"],
    ),
    mistake("user create --account alpha --username u --store sqlite:store.db", &["--password-stdin"]),
    mistake("user create --account alpha --username u --password-stdin --store sqlite:store.db", &["empty"]),
    mistake("user passwd --account alpha --user admin --store sqlite:store.db", &["--password-stdin"]),
    mistake("account disable nobody --store sqlite:store.db", &["no account \"nobody\"", "account list"]),
    mistake("account enable --store sqlite:store.db", &["<ID|NAME>", "account enable --help"]),
    mistake(
        "user disable --account alpha --user nobody --store sqlite:store.db",
        &["no user \"nobody\"", "user list"],
    ),
    mistake("user delete --account nobody --user admin --store sqlite:store.db", &["no account \"nobody\""]),
    mistake("key retire nobody --store sqlite:store.db", &["no key \"nobody\"", "key list"]),
    mistake("key retire _all_docs --store sqlite:store.db", &["no key \"_all_docs\"", "key list"]),
    mistake("completions csh", &["'csh'", "bash", "zsh"]),
    mistake("man --output none", &["no folder none"]),
    mistake("serve --drain 3601", &["the setting drain", "from 0 to 3600"]),
    mistake(
        "user delete --account alpha --user admin --amqp x --store sqlite:store.db",
        &["amqp", "number 1"],
    ),
    mistake("export --db Account/x --store sqlite:store.db", &["cannot name a database"]),
    mistake("export --db nosuch --store sqlite:store.db", &["no database nosuch"]),
    mistake("export --output none/out --store sqlite:store.db", &["none/out", "a folder that exists"]),
    mistake("export --output store.db --store sqlite:store.db", &["belongs to the store itself"]),
    mistake("backup folder --store sqlite:store.db", &["folder is a folder"]),
    mistake("backup device --store sqlite:store.db", &["device is a device or a pipe", "name a file"]),
    mistake("export --output device --store sqlite:store.db", &["without --output", "standard output"]),
    mistake("backup nowhere --store sqlite:store.db", &["nowhere is a link that leads nowhere"]),
    mistake("import missing.ndjson --store sqlite:new.db", &["missing.ndjson", "No such file"]),
    mistake("import unknown.toml --store sqlite:new.db", &["line 1", "nothing was imported", "export"]),
    mistake("import folder --store sqlite:new.db", &["line 1", "nothing was imported"]),
];

/// The files of the folder that the mistakes are made in.
fn prepare(folder: &Path) {
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("empty.db", "");
    write("notes.txt", "these are notes, and rather long ones, of somebody who needs them");
    write("token.txt", "very-secret\n");
    write("lines.ndjson", "{\"db\": \"a\", \"doc\": {\"_id\": \"x\"}}\n");
    write("unknown.toml", "page_size = 3\nworker = 1\n");
    write("type.toml", "workers = \"many\"\n");
    write("value.toml", "# three lines\n\npage_size = 0\n");
    write("section.toml", "[server]\nworkers = 1\n");
    write("broken.toml", "workers = [1\n");
    std::fs::create_dir(folder.join("folder")).unwrap();
    std::os::unix::fs::symlink("/dev/null", folder.join("device")).unwrap();
    std::os::unix::fs::symlink("missing", folder.join("nowhere")).unwrap();
    let user = NewUser { username: "admin", password: &Secret::new("secret"), is_admin: true };
    OpenStore::open(&folder.join("store.db")).account("alpha", &user);
    let mut bytes = std::fs::read(folder.join("store.db")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4 * 4096].fill(b'x');
    std::fs::write(folder.join("damaged.db"), bytes).unwrap();
}

/// Every file below a folder, with its content. SQLite's index of its log changes when somebody reads.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.path().display().to_string();
        if entry.file_type().unwrap().is_dir() {
            found.extend(contents(&entry.path()));
            found.insert(name, Vec::new());
        } else {
            // A link is what it leads to.
            let link = std::fs::read_link(entry.path()).map(|to| to.into_os_string().into_vec());
            found.insert(name, link.or_else(|_| std::fs::read(entry.path())).unwrap());
        }
    }
    found
}

/// Runs a command to its end. A command that does not end is stopped, and fails the test.
pub(crate) fn output_of(folder: &Path, arguments: &str, variables: &[(&str, &str)]) -> Output {
    let child = binary()
        .args(arguments.split(' '))
        .envs(variables.iter().copied())
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id().to_string();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    match receiver.recv_timeout(PATIENCE) {
        Ok(output) => output.unwrap(),
        Err(_) => {
            let _ = std::process::Command::new("kill").args(["-KILL", &pid]).status();
            panic!("{arguments}: it does not end")
        }
    }
}

/// Starts a web server that is no CouchDB. Answers its host and port.
fn serve_pages() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            let mut head = BufReader::new(connection.try_clone().unwrap());
            let mut line = String::new();
            while head.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
                line.clear();
            }
            let answer = "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<p>No such page";
            let _ = connection.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn every_mistake_is_one_line_and_an_exit_code_and_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let standin = Standin::start();
    let couchdb = standin.url().rsplit_once('@').unwrap().1.trim_end_matches('/').to_owned();
    let page = serve_pages();
    let filled = |text: &str| {
        let text = text.replace("{taken}", &taken).replace("{couchdb}", &couchdb).replace("{page}", &page);
        text.replace("{with_login}", &format!("http://admin:admin@{couchdb}"))
    };
    let before = contents(folder.path());
    assert!(MISTAKES.len() >= 25);
    let mut wrong = Vec::new();
    for Mistake { arguments, variables, store, says, exit_code } in MISTAKES {
        let arguments = filled(arguments);
        let store = filled(store);
        // An empty variable counts as unset.
        let variables = [variables, &[("CROSSBAR_GROUPS_STORE", store.as_str())][..]].concat();
        let output = output_of(folder.path(), &arguments, &variables);
        let said = String::from_utf8(output.stderr).unwrap();
        let mut check = |is_right: bool, what: &str| {
            if !is_right {
                wrong.push(format!("{arguments} {store}\n  {what}, but {said:?}"));
            }
        };
        let code = output.status.code();
        check(code == Some(*exit_code), &format!("exit code {exit_code}, not {code:?}"));
        check(said.starts_with("crossbar-groups: ") && said.trim_end().lines().count() == 1, "one line");
        for words in *says {
            check(said.contains(words), &format!("it says {words:?}"));
        }
        check(output.stdout.is_empty(), "nothing on standard output");
        check(!said.contains("very-secret"), "no password");
        let after = contents(folder.path());
        let made: Vec<_> = after.iter().filter(|(name, bytes)| before.get(*name) != Some(bytes)).collect();
        let names: Vec<_> = made.iter().map(|(name, _)| name).collect();
        check(
            after.len() == before.len() && made.is_empty(),
            &format!("nothing is made or changed: {names:?}"),
        );
        for (name, _) in made {
            if !before.contains_key(name) {
                let _ = std::fs::remove_file(name);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// systemd starts a server again that has met an obstacle, however often, and leaves one alone whose settings are
/// wrong.
#[test]
fn the_unit_knows_the_exit_codes() {
    let unit = include_str!("../../../../packaging/crossbar-groups.service");
    for line in ["Restart=always", "RestartPreventExitStatus=2", "StartLimitIntervalSec=0"] {
        assert!(unit.lines().any(|written| written == line), "{line}");
    }
    let page = include_str!("../../../../docs/operations.md");
    for code in ["0", "1", "2", "75"] {
        assert!(page.contains(&format!("\n| {code} | ")), "the exit code {code} is not documented");
    }
}

#[test]
fn a_variable_that_is_no_setting_is_warned_about_and_an_empty_one_counts_as_unset() {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let variables = [
        ("CROSSBAR_GROUPS_WORKER", "3"),
        ("CROSSBAR_GROUPS_PORT", "tcp://10.0.0.1:8000"),
        ("CROSSBAR_GROUPS_SERVICE_HOST", "10.0.0.1"),
        ("CROSSBAR_GROUPS_CONFIG", ""),
        ("CROSSBAR_GROUPS_DEMO", ""),
        ("CROSSBAR_GROUPS_PAGE_SIZE", ""),
        ("RUST_LOG", ""),
    ];
    let output = output_of(folder.path(), "config check", &variables);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let warned = "CROSSBAR_GROUPS_WORKER is no setting and is ignored; did you mean CROSSBAR_GROUPS_WORKERS?";
    assert!(said.contains(warned) && said.lines().count() == 1, "{said}");
}

/// A terminal says its width by itself. Elsewhere the variable COLUMNS says it.
#[test]
fn help_fits_the_width_of_the_terminal() {
    for command in [&["--help"][..], &["serve", "--help"], &["user", "create", "--help"]] {
        for width in [60, 80, 120] {
            let output = binary().args(command).env("COLUMNS", width.to_string()).output().unwrap();
            let help = String::from_utf8(output.stdout).unwrap();
            // clap does not break the line of the usage.
            let lines = help.lines().filter(|line| !line.starts_with("Usage: "));
            let widest = lines.max_by_key(|line| line.chars().count()).unwrap();
            assert!(widest.chars().count() <= width, "{command:?} at {width}: {widest:?}");
        }
    }
}

#[test]
fn help_and_the_version_are_no_mistakes() {
    for arguments in [&["--help"][..], &["--version"], &["account", "create", "--help"]] {
        let output = run(arguments, b"");
        assert!(output.status.success() && !output.stdout.is_empty() && output.stderr.is_empty());
    }
}
