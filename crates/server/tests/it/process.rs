//! The binary as a process: commands that end, and a server that is stopped when its test is over.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::secrets;

/// The built binary.
pub(crate) fn binary() -> Command {
    by(Command::new(BINARY))
}

const BINARY: &str = env!("CARGO_BIN_EXE_crossbar-groups");

fn by(mut command: Command) -> Command {
    // Variables of a developer's shell must not change the tests.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CROSSBAR_GROUPS_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end, with `input` as its standard input.
pub(crate) fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = binary()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // A command that ends before it reads all says why on its own.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    child.wait_with_output().expect("the command ends")
}

/// Runs a command that must succeed, and answers what it printed.
pub(crate) fn run_ok(arguments: &[&str], input: &[u8]) -> String {
    let output = run(arguments, input);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Waits until a condition holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}, within a minute");
        std::thread::yield_now();
    }
}

/// Free ports for the API and the admin listener.
const ANYWHERE: [&str; 2] = ["127.0.0.1:0"; 2];

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) admin_address: SocketAddr,
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts `serve` on free ports and waits until it serves.
    pub(crate) fn start(store: &str, more: &[&str]) -> Self {
        Self::spawn(binary(), ANYWHERE, store, more)
    }

    /// As [`Server::start`], at these addresses of the API and of the admin listener, and with the usual log: for
    /// servers that get many requests.
    pub(crate) fn start_at(addresses: [SocketAddr; 2], store: &str, more: &[&str]) -> Self {
        let mut command = binary();
        command.env("RUST_LOG", "info");
        Self::spawn(command, addresses.map(|address| address.to_string()), store, more)
    }

    /// As [`Server::start`], with variables of the environment.
    pub(crate) fn start_with(store: &str, more: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = binary();
        command.envs(variables.iter().copied());
        Self::spawn(command, ANYWHERE, store, more)
    }

    /// As [`Server::start`], but no file can grow beyond this many `kilobytes`, as if the disk were full.
    pub(crate) fn start_on_small_disk(store: &str, kilobytes: u32) -> Self {
        // Without the trap, the kernel would end the process at the limit.
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", kilobytes * 2);
        let mut shell = by(Command::new("sh"));
        shell.args(["-c", &script, "sh", BINARY]);
        Self::spawn(shell, ANYWHERE, store, &[])
    }

    fn spawn(mut command: Command, [api, admin]: [impl AsRef<str>; 2], store: &str, more: &[&str]) -> Self {
        // The most that the server logs. The test checks at its end that no secret is in it.
        // And no proxy needs time to see that the server stops.
        for (name, value) in [("RUST_LOG", "debug"), ("CROSSBAR_GROUPS_DRAIN", "0")] {
            if !command.get_envs().any(|(given, set)| given == name && set.is_some()) {
                command.env(name, value);
            }
        }
        let mut child = command
            .args(["serve", "--listen", api.as_ref(), "--admin-listen", admin.as_ref(), "--workers", "2"])
            .args(more)
            .env("CROSSBAR_GROUPS_STORE", store)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = Arc::new(Mutex::new(String::new()));
        let (addresses, reader) = follow(child.stderr.take().expect("a pipe"), &log);
        let deadline = Instant::now() + Duration::from_secs(60);
        match addresses.recv_timeout(deadline - Instant::now()) {
            Ok((address, admin_address)) => Self { address, admin_address, child, log, reader: Some(reader) },
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the server did not start:\n{}", log.lock().unwrap())
            }
        }
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The log of the server so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Tells the server to stop, and answers its exit code and how long that took.
    pub(crate) fn stop(mut self) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        self.signal("TERM");
        let status = self.child.wait().expect("the server ends");
        (status.code(), begun.elapsed())
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(sent.expect("kill is there").success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        if !std::thread::panicking() {
            secrets::check_absent(&self.log());
        }
    }
}

/// Collects a log, and hands over the addresses when the server says that it serves.
fn follow(
    stderr: ChildStderr,
    log: &Arc<Mutex<String>>,
) -> (Receiver<(SocketAddr, SocketAddr)>, JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel();
    let log = Arc::clone(log);
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            // The log may be in any of its formats.
            let object: Option<Value> = serde_json::from_str(&line).ok();
            let field = |name: &str| match &object {
                Some(object) => object.get(name)?.as_str()?.parse().ok(),
                None => line.split_once(&format!(" {name}="))?.1.split(' ').next()?.parse().ok(),
            };
            let is_serving = ["] serving ", ") serving ", "\"message\":\"serving\""];
            if is_serving.iter().any(|words| line.contains(words))
                && let (Some(address), Some(admin_address)) = (field("address"), field("admin_address"))
            {
                let _ = sender.send((address, admin_address));
            }
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
    (receiver, reader)
}
