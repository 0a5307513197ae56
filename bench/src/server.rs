//! Accounts in a store, and a server that serves them.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::id;

/// An account, and a user who is in all of its groups.
#[derive(Clone)]
pub struct Account {
    pub id: String,
    pub user_id: String,
    pub token: String,
}

impl Account {
    /// The path of a listing. `/by-user` stands for the listing of the user's groups.
    pub fn path(&self, query: &str) -> String {
        let Self { id, user_id, .. } = self;
        match query {
            "/by-user" => format!("/v2/accounts/{id}/users/{user_id}/groups"),
            query => format!("/v2/accounts/{id}/groups{query}"),
        }
    }

    /// A group of the account as it is stored, with the user in it.
    #[must_use]
    pub fn document(&self, number: usize) -> String {
        let Self { id: account_id, user_id, .. } = self;
        let id = id(number);
        format!(
            r#"{{"_id":"{id}","pvt_type":"group","name":"group {number}","flags":["a","b"],"music_on_hold":{{}},"endpoints":{{"{user_id}":{{"type":"user","weight":1}},"00000000000000000000000000000001":{{"type":"device"}}}},"pvt_created":63962663751,"pvt_modified":63962663751,"pvt_account_id":"{account_id}"}}"#
        )
    }

    /// Creates an account with a user, and imports groups that all have the user in them.
    pub fn fill(binary: &str, store: &str, name: &str, groups: usize) -> Self {
        let name = format!("{name} {}", std::process::id());
        let id = run(binary, store, &["account", "create", "--name", &name], None);
        let user = ["user", "create", "--account", &id, "--username", "admin", "--password-stdin", "--admin"];
        let user_id = run(binary, store, &user, Some(b"secret\n"));
        let token = run(binary, store, &["token", "--account", &id, "--user", &user_id], None);
        let account = Self { id, user_id, token };
        import(binary, store, &account, groups);
        account
    }

    /// Deletes the account's database if the store is a CouchDB.
    pub fn remove(&self, store: &str) {
        if store.starts_with("http") {
            let url = format!("{}{}", store.trim_end_matches('/'), self.db_path());
            let status = Command::new("curl").args(["-sf", "-X", "DELETE", "-o", "/dev/null", &url]).status();
            assert!(status.is_ok_and(|status| status.success()), "{} is still there", self.db());
        }
    }

    /// The path of the account's database in a CouchDB.
    pub fn db_path(&self) -> String {
        format!("/{}", self.db().replace('/', "%2F"))
    }

    /// The account's database.
    pub fn db(&self) -> String {
        format!("account/{}/{}/{}", &self.id[..2], &self.id[2..4], &self.id[4..])
    }
}

/// The two accounts of a store.
pub struct Accounts {
    pub small: Account,
    pub large: Account,
}

impl Accounts {
    /// Creates both and imports their groups.
    pub fn fill(binary: &str, store: &str, groups: usize) -> Self {
        Self {
            small: Account::fill(binary, store, "small", 100),
            large: Account::fill(binary, store, "large", groups),
        }
    }

    /// Deletes the accounts' databases if the store is a CouchDB.
    pub fn remove(&self, store: &str) {
        self.small.remove(store);
        self.large.remove(store);
    }
}

fn import(binary: &str, store: &str, account: &Account, groups: usize) {
    let mut importing = Importing::start(binary, store);
    let mut lines = BufWriter::new(importing.input());
    for number in 1..=groups {
        writeln!(lines, r#"{{"db":"{}","doc":{}}}"#, account.db(), account.document(number)).expect("a line");
    }
    lines.flush().expect("the lines are sent");
    drop(lines);
    importing.end();
}

/// A running import that reads lines of an export.
pub struct Importing(Child);

impl Importing {
    #[must_use]
    pub fn start(binary: &str, store: &str) -> Self {
        let mut command = command(binary, store, &["import", "-"]);
        Self(command.stdin(Stdio::piped()).spawn().expect("the binary starts"))
    }

    /// Where the lines go. The input ends when this is dropped.
    pub fn input(&mut self) -> ChildStdin {
        self.0.stdin.take().expect("it was not taken before")
    }

    /// Waits until all is stored, and answers the most memory that the import was seen to use, in kB.
    pub fn end(mut self) -> u64 {
        let mut peak = 0;
        loop {
            // A process that has ended has no figure any more.
            peak = status_of(self.0.id(), "VmHWM:").unwrap_or(peak);
            if let Some(status) = self.0.try_wait().expect("a process") {
                assert!(status.success(), "the import failed");
                return peak;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn command(binary: &str, store: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    // Variables of a developer's shell must not change what is measured.
    for (name, _) in std::env::vars_os() {
        if name == "RUST_LOG" || name.to_string_lossy().starts_with("CROSSBAR_GROUPS_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).env("CROSSBAR_GROUPS_STORE", store).stdout(Stdio::null());
    command
}

/// Copies a store into a file that is not there yet.
pub fn backup(binary: &str, store: &str, file: &str) {
    run(binary, store, &["backup", file], None);
}

/// All documents of a store, one a line.
#[must_use]
pub fn export(binary: &str, store: &str) -> String {
    run(binary, store, &["export"], None)
}

/// Runs a command of the binary and answers what it printed.
fn run(binary: &str, store: &str, arguments: &[&str], input: Option<&[u8]>) -> String {
    let mut command = command(binary, store, arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the binary starts");
    child.stdin.take().expect("a pipe").write_all(input.unwrap_or_default()).expect("input");
    let output = child.wait_with_output().expect("the command ends");
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// The arguments of a server that chooses its ports.
const SERVE: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];

/// A running server. Its log goes into a file that nobody reads.
pub struct Served {
    child: Child,
    log: PathBuf,
    pub address: SocketAddr,
    /// Where health and metrics are.
    pub admin_address: SocketAddr,
}

impl Served {
    /// Starts the server with its default settings and waits until it serves.
    pub fn start(binary: &str, store: &str) -> Self {
        Self::start_with(binary, store, &[])
    }

    /// As [`Served::start`], with more settings.
    pub fn start_with(binary: &str, store: &str, more: &[&str]) -> Self {
        Self::run(command(binary, store, &SERVE).args(more))
    }

    /// As [`Served::start`], without a line of the log for each request.
    pub fn start_without_access_log(binary: &str, store: &str) -> Self {
        Self::run(command(binary, store, &SERVE).env("RUST_LOG", "info,access=off"))
    }

    fn run(command: &mut Command) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let log = std::env::temp_dir().join(format!("bench-{}-{number}.log", std::process::id()));
        let file = File::options().create(true).append(true).open(&log).expect("a file for the log");
        let mut child =
            command.env("CROSSBAR_GROUPS_DRAIN", "0").stderr(file).spawn().expect("the binary starts");
        let (address, admin_address) = loop {
            let text = std::fs::read_to_string(&log).expect("a log");
            let whole_lines = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
            let field = |name| whole_lines.split(name).nth(1)?.split_whitespace().next()?.parse().ok();
            if let Some(addresses) = field(" address=").zip(field(" admin_address=")) {
                break addresses;
            }
            assert!(child.try_wait().expect("a process").is_none(), "the server ended:\n{text}");
            std::thread::sleep(Duration::from_millis(10));
        };
        Self { child, log, address, admin_address }
    }

    /// Empties the log.
    pub fn clear_log(&self) {
        File::options()
            .write(true)
            .open(&self.log)
            .and_then(|log| log.set_len(0))
            .expect("the log is emptied");
    }

    /// Stops it.
    pub fn stop(mut self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()));
        self.child.wait().expect("the server ends");
        std::fs::remove_file(&self.log).expect("the log is gone");
    }

    /// The processor time that the server has used, in seconds.
    pub fn processor_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("a process");
        // The name stands in parentheses. Behind it, the 12th and the 13th field are the ticks in the program and
        // in the kernel, 100 a second.
        let (_, fields) = stat.rsplit_once(')').expect("a name");
        let ticks =
            fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().expect("ticks"));
        ticks.sum::<f64>() / 100.0
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Memory in use now.
    pub fn resident_kb(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most memory in use since the last reset.
    pub fn peak_kb(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Begins a new peak.
    pub fn reset_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").expect("the peak is reset");
    }

    fn status(&self, field: &str) -> u64 {
        status_of(self.child.id(), field).expect("the field is there")
    }
}

/// A figure of a process, in kB.
fn status_of(process: u32, field: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
