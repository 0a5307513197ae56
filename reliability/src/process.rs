//! The server as a child process: start, kill, memory, open files, and what its log says of panics.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::settings::Outcome;

/// How long a server may take to serve.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How a server is started.
#[derive(Clone)]
pub(crate) struct Launch {
    pub(crate) binary: String,
    pub(crate) store: String,
    /// More arguments of `serve`.
    pub(crate) arguments: Vec<String>,
    /// A program and its arguments that run the server, such as `env`.
    pub(crate) wrapper: Vec<String>,
    pub(crate) listen: String,
}

impl Launch {
    /// The usual server: two workers, free ports on loopback.
    pub(crate) fn of(binary: &str, store: &str) -> Self {
        Self {
            binary: binary.to_owned(),
            store: store.to_owned(),
            arguments: Vec::new(),
            wrapper: Vec::new(),
            listen: "127.0.0.1:0".to_owned(),
        }
    }

    /// Adds arguments of `serve`.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    fn command(&self) -> Command {
        let mut words = self.wrapper.iter().map(String::as_str).chain([self.binary.as_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        // Variables of a developer's shell must not change what is measured.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CROSSBAR_GROUPS_") {
                command.env_remove(name);
            }
        }
        command.env("CROSSBAR_GROUPS_STORE", &self.store);
        command
    }

    /// Runs another command of the binary on the same store and answers what it printed.
    pub(crate) fn run(&self, arguments: &[&str], input: &[u8]) -> Outcome<String> {
        let mut child = self
            .command()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", self.binary))?;
        // A command that ends before it reads all says why on its own.
        if let Some(mut stdin) = child.stdin.take() {
            let _ = stdin.write_all(input);
        }
        let output = child.wait_with_output().map_err(|error| format!("{arguments:?}: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{arguments:?} failed ({}): {}", output.status, said.trim()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Starts the server and waits until it serves. Its log goes to a file.
    pub(crate) fn start(&self, log: &Path) -> Outcome<Server> {
        let mut child = self
            .command()
            .args(["serve", "--listen", &self.listen, "--admin-listen", "127.0.0.1:0", "--workers", "2"])
            .args(&self.arguments)
            .env("CROSSBAR_GROUPS_DRAIN", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", self.binary))?;
        let file = File::options().create(true).append(true).open(log);
        let file = file.map_err(|error| format!("cannot write {}: {error}", log.display()))?;
        let panics = Arc::new(AtomicU64::new(0));
        let last = Arc::new(Mutex::new(String::new()));
        let stderr = child.stderr.take().ok_or("no pipe for the log")?;
        let (addresses, reader) = follow(stderr, file, &panics, &last);
        match addresses.recv_timeout(START_PATIENCE) {
            Ok(address) => Ok(Server { address, child, panics, reader: Some(reader) }),
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                let _ = reader.join();
                let last = last.lock().map(|last| last.clone()).unwrap_or_default();
                Err(format!("the server did not start; it said last: {last}"))
            }
        }
    }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
    panics: Arc<AtomicU64>,
    reader: Option<JoinHandle<()>>,
}

impl Server {
    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process at once.
    pub(crate) fn kill(mut self) -> u64 {
        self.end()
    }

    /// Asks the process to stop, and waits for it for 15 seconds. Answers how often it has panicked, or says
    /// that it had to be killed.
    pub(crate) fn stop(mut self) -> Outcome<u64> {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(15);
        while self.is_alive() {
            if Instant::now() >= deadline {
                self.end();
                return Err("the server did not stop within 15 s".to_owned());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(self.end())
    }

    fn end(&mut self) -> u64 {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        self.panics()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// How often the log has told of a panic.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Whether the process lives.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Memory in use now, in kilobytes; zero once the process has ended.
    pub(crate) fn resident_kb(&self) -> u64 {
        status_kb(self.pid(), "VmRSS:")
    }

    /// The number of open files.
    pub(crate) fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).map_or(0, Iterator::count)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Watches a process's memory every five milliseconds until it is stopped.
pub(crate) struct Watch {
    pid: u32,
    stop: Arc<AtomicBool>,
    sampler: JoinHandle<u64>,
}

impl Watch {
    /// Begins a new peak.
    pub(crate) fn begin(pid: u32) -> Self {
        // If the kernel forbids this, only the samples count.
        let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let sampler = thread::spawn(move || {
            let mut peak = 0;
            while !stopped.load(Ordering::Relaxed) {
                peak = peak.max(status_kb(pid, "VmRSS:"));
                thread::sleep(Duration::from_millis(5));
            }
            peak
        });
        Self { pid, stop, sampler }
    }

    /// Ends the watch and answers the peak in kilobytes.
    pub(crate) fn end(self) -> u64 {
        let highest = status_kb(self.pid, "VmHWM:");
        self.stop.store(true, Ordering::Relaxed);
        self.sampler.join().unwrap_or(0).max(highest)
    }
}

fn status_kb(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Copies a log into a file, counts panics, and hands over the address when the server says that it serves.
fn follow(
    stderr: ChildStderr,
    mut file: File,
    panics: &Arc<AtomicU64>,
    last: &Arc<Mutex<String>>,
) -> (Receiver<SocketAddr>, JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel();
    let (panics, last) = (Arc::clone(panics), Arc::clone(last));
    let reader = thread::spawn(move || {
        let mut sender = Some(sender);
        for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            if line.contains("panicked at") {
                panics.fetch_add(1, Ordering::Relaxed);
            }
            let address = line.split(" address=").nth(1).and_then(|rest| rest.split(' ').next());
            if let Some(address) = address.and_then(|address| address.parse().ok())
                && line.contains("] serving ")
                && let Some(sender) = sender.take()
            {
                let _ = sender.send(address);
            }
            // An answered request is of no interest later, and there are millions.
            if !line.contains("] answered ") {
                let _ = writeln!(file, "{line}");
            }
            if sender.is_some()
                && let Ok(mut last) = last.lock()
            {
                last.clear();
                last.push_str(&line);
            }
        }
    });
    (receiver, reader)
}
