//! Accounts in a store, and a server that serves them.

use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::id;

/// An account, and a user who is in all of its groups.
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

    fn db(&self) -> String {
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
    let arguments = ["import", "-"];
    let mut child =
        command(binary, store, &arguments).stdin(Stdio::piped()).spawn().expect("the binary starts");
    let mut lines = BufWriter::new(child.stdin.take().expect("a pipe"));
    let Account { user_id, .. } = account;
    for number in 1..=groups {
        let id = id(number);
        writeln!(
            lines,
            r#"{{"db":"{}","doc":{{"_id":"{id}","pvt_type":"group","name":"group {number}","flags":["a","b"],"music_on_hold":{{}},"endpoints":{{"{user_id}":{{"type":"user","weight":1}},"00000000000000000000000000000001":{{"type":"device"}}}},"pvt_created":63962663751,"pvt_modified":63962663751,"pvt_account_id":"{}"}}}}"#,
            account.db(),
            account.id,
        )
        .expect("a line");
    }
    lines.flush().expect("the lines are sent");
    drop(lines);
    assert!(child.wait().expect("the import ends").success());
}

fn command(binary: &str, store: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(arguments).env("CROSSBAR_GROUPS_STORE", store).stdout(Stdio::null());
    command
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

/// A running server.
pub struct Served {
    child: Child,
    pub address: SocketAddr,
}

impl Served {
    /// Starts the server and waits until it serves.
    pub fn start(binary: &str, store: &str) -> Self {
        let arguments =
            ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--workers", "2"];
        let mut command = command(binary, store, &arguments);
        let mut child =
            command.env("RUST_LOG", "info").stderr(Stdio::piped()).spawn().expect("the binary starts");
        let mut log = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(log.read_line(&mut line).expect("a log") > 0, "the server ended");
            let field = line.split(" address=").nth(1).and_then(|rest| rest.split_whitespace().next());
            if let Some(address) = field.and_then(|field| field.parse().ok()) {
                break address;
            }
        };
        // Nobody reads the log from here on, but the pipe must not fill up.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, address }
    }

    /// Stops it.
    pub fn stop(mut self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()));
        self.child.wait().expect("the server ends");
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
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a status");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field is there");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}
