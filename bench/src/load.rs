//! Three kinds of load: wrk and oha for requests that read, and this program's own clients for those that
//! write or ask two things at once. In each, a client asks again as soon as it is answered.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Connection;
use serde_json::Value;

/// What wrk prints about its percentiles, in milliseconds.
const LUA: &str = r#"
function done(summary, latency)
  io.write(string.format("Percentiles: %f %f %f\n",
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency:percentile(99.9) / 1000))
end
"#;

/// How fast requests were answered.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// Answers a second, without those that refuse the request because there are too many (503).
    pub rate: f64,
    /// The share of the answers that refuse.
    pub refused: f64,
    /// The 50th, the 99th and the 99.9th percentile of the times, in milliseconds.
    pub percentiles: [f64; 3],
}

/// A GET request.
#[derive(Clone)]
pub struct Get {
    pub url: String,
    /// A header line.
    pub header: String,
}

/// The tools that send GET requests.
pub struct Tools {
    script: PathBuf,
    pub has_oha: bool,
}

impl Tools {
    /// Finds them. `folder` is for files of this run.
    pub fn find(folder: &Path) -> Self {
        assert!(
            Command::new("wrk").arg("-v").output().is_ok(),
            "wrk is not installed: `make bench` installs it"
        );
        let script = folder.join("percentiles.lua");
        std::fs::write(&script, LUA).expect("a file");
        Self { script, has_oha: Command::new("oha").arg("--version").output().is_ok() }
    }

    pub fn wrk(&self, Get { url, header }: &Get, connections: usize, duration: Duration) -> Speed {
        let mut wrk = Command::new("wrk");
        wrk.args(["--threads", "1", "--connections", &connections.to_string(), "--timeout", "30s"]);
        wrk.args(["--duration", &format!("{}s", duration.as_secs()), "--header", header]);
        let output = wrk.arg("--script").arg(&self.script).arg(url).output().expect("wrk is installed");
        let text = String::from_utf8_lossy(&output.stdout);
        let is_good = output.status.success() && !text.contains("Socket errors");
        assert!(is_good, "{url}: {text}{}", String::from_utf8_lossy(&output.stderr));
        let field = |name| text.lines().find_map(|line| line.trim().strip_prefix(name));
        let number = |text: &str| text.trim().parse::<f64>().expect("a number");
        let all =
            text.lines().find_map(|line| line.trim().split_once(" requests in ")).map(|(all, _)| number(all));
        let refused =
            field("Non-2xx or 3xx responses:").map_or(0.0, number) / all.expect("a number of requests");
        let rate = field("Requests/sec:").map(number).expect("a rate") * (1.0 - refused);
        let percentiles = field("Percentiles:").expect("percentiles").split_whitespace();
        let percentiles: Vec<f64> = percentiles.map(number).collect();
        Speed { rate, refused, percentiles: percentiles.try_into().expect("three of them") }
    }

    pub fn oha(&self, Get { url, header }: &Get, connections: usize, duration: Duration) -> Speed {
        let mut oha = Command::new("oha");
        oha.args([
            "--no-tui",
            "--output-format",
            "json",
            "--disable-compression",
            "--wait-ongoing-requests-after-deadline",
        ]);
        oha.args([
            "-c",
            &connections.to_string(),
            "-z",
            &format!("{}s", duration.as_secs()),
            "-H",
            header,
            url,
        ]);
        let output = oha.output().expect("oha is installed");
        let text = String::from_utf8_lossy(&output.stdout);
        let told: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{url}: {error}: {text}"));
        let statuses = told["statusCodeDistribution"].as_object().expect("statuses");
        let count = |count: &Value| count.as_f64().expect("a count");
        let all: f64 = statuses.values().map(count).sum();
        let refused = 1.0 - statuses.get("200").map_or(0.0, count) / all;
        let milliseconds = |name: &str| told["latencyPercentiles"][name].as_f64().expect("a time") * 1e3;
        let rate = told["summary"]["requestsPerSec"].as_f64().expect("a rate") * (1.0 - refused);
        Speed { rate, refused, percentiles: ["p50", "p99", "p99.9"].map(milliseconds) }
    }
}

/// One request of one client, from sending it to its whole answer. Whether it was served, and not refused.
pub type Step = Box<dyn FnMut() -> bool + Send>;

/// Whether an answer with this status serves the request.
pub fn is_served(status: u16, request: &str) -> bool {
    assert!(matches!(status, 200..=202 | 503), "{status}: {request}");
    status != 503
}

/// Clients of this program. Each has a thread, and `make` makes its steps.
pub fn clients(make: &(dyn Fn(usize) -> Step + Sync), number: usize, duration: Duration) -> Speed {
    let times = Mutex::new(Vec::new());
    let begin = Mutex::new(None);
    thread::scope(|scope| {
        for client in 0..number {
            let (times, begin) = (&times, &begin);
            scope.spawn(move || {
                let mut step = make(client);
                // What is slow only once is no part of it.
                step();
                let begin = *begin.lock().expect("no panic").get_or_insert_with(Instant::now);
                let mut own = Vec::new();
                while begin.elapsed() < duration {
                    let begun = Instant::now();
                    let is_served = step();
                    own.push((begun.elapsed(), is_served));
                }
                times.lock().expect("no panic").extend(own);
            });
        }
    });
    let mut times = times.into_inner().expect("no panic");
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].0.as_secs_f64() * 1e3;
    let served = times.iter().filter(|(_, is_served)| *is_served).count() as f64;
    Speed {
        rate: served / duration.as_secs_f64(),
        refused: 1.0 - served / times.len() as f64,
        percentiles: [at(0.5), at(0.99), at(0.999)],
    }
}

/// Steps that send these requests at the same time, each on a connection of its own.
pub fn together(address: SocketAddr, requests: Vec<String>) -> Step {
    let mut asked: Vec<_> =
        requests.into_iter().map(|request| (Connection::open(address), request)).collect();
    Box::new(move || {
        for (connection, request) in &mut asked {
            connection.send(request);
        }
        let served =
            asked.iter_mut().map(|(connection, request)| is_served(connection.receive().status, request));
        // Every answer is received, also after one that failed.
        served.filter(|is_served| !is_served).count() == 0
    })
}

/// The 99th percentile of requests that each of these clients sends at fixed times on a connection of its own. A time
/// counts from when its request was due, so a stall shows in all the requests that it holds up.
pub fn at_fixed_times(
    address: SocketAddr,
    request: &str,
    status: u16,
    (clients, interval): (u32, Duration),
    duration: Duration,
) -> Duration {
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|number| {
                scope.spawn(move || {
                    let mut connection = Connection::open(address);
                    // Not all at once.
                    let mut due = Instant::now() + interval * number / clients;
                    let end = due + duration;
                    let mut times = Vec::new();
                    while due < end {
                        thread::sleep(due.saturating_duration_since(Instant::now()));
                        assert_eq!(connection.ask(request), status, "{request}");
                        times.push(due.elapsed());
                        due += interval;
                    }
                    times
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client ends")).collect()
    });
    times.sort();
    times[times.len() * 99 / 100]
}
