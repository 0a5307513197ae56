//! The documented files of haproxy, nginx and Caddy, in front of this server and of a stand-in for crossbar: each path
//! goes where it should. `make acceptance` runs these tests, with Debian's programs.

mod alone;
mod load;
mod near_node;
mod paths;
mod rolling;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::account::Account;
use crate::http_client::send;

/// A stand-in for crossbar.
fn crossbar() -> SocketAddr {
    standin("crossbar")
}

/// A stand-in for a server. It answers every request with its name, the address that it was told, and the path and
/// query that it got.
fn standin(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut forwarded = String::new();
                let mut target = String::new();
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                        break;
                    }
                    if line.to_lowercase().starts_with("x-forwarded-for:") {
                        forwarded.push_str(line.trim());
                    }
                    if target.is_empty() {
                        target = line.split(' ').nth(1).unwrap_or_default().to_owned();
                    }
                }
                let body = format!("{name} {forwarded} {target}");
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
                );
            });
        }
    });
    address
}

/// A proxy. It ends with this value.
struct Proxy {
    address: SocketAddr,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file of `docker/` with the addresses of this test.
fn file(name: &str, replaced: &[(&str, String)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docker").join(name);
    let mut text = std::fs::read_to_string(path).unwrap();
    for (from, to) in replaced {
        assert!(text.contains(from), "{name} has no {from}");
        text = text.replace(from, to);
    }
    text
}

impl Proxy {
    fn start(program: &str, arguments: &[&str], text: &str, address: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let here = folder.path().display().to_string();
        std::fs::write(
            &path,
            text.replace("/run/", &format!("{here}/")).replace("/var/log/nginx/", &format!("{here}/")),
        )
        .unwrap();
        let mut command = Command::new(program);
        let errors = std::fs::File::create(folder.path().join("stderr")).unwrap();
        command.args(arguments).arg(&path).stdin(Stdio::null()).stderr(errors).current_dir(folder.path());
        let child =
            command.spawn().unwrap_or_else(|error| panic!("{program}: {error}; run `make acceptance`"));
        let proxy = Self { address, child, _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "{program} does not listen: {}", proxy.errors());
            std::thread::sleep(Duration::from_millis(20));
        }
        proxy
    }

    /// What the program has written to its standard error.
    fn errors(&self) -> String {
        std::fs::read_to_string(self._folder.path().join("stderr")).unwrap()
    }

    /// Sends a GET, and names the server that answered it.
    fn asks(&self, account: &Account, target: &str) -> &'static str {
        self.asks_by(account, "GET", target)
    }

    /// Sends a request with this method, and names the server that answered it.
    fn asks_by(&self, account: &Account, method: &str, target: &str) -> &'static str {
        let headers = [
            ("X-Auth-Token".to_owned(), account.token.clone()),
            ("X-Forwarded-For".to_owned(), "192.0.2.1".to_owned()),
        ];
        let answer = send(self.address, method, target, &headers, b"");
        let text = answer.text();
        if text.starts_with("crossbar") {
            assert!(text.contains("127.0.0.1") && !text.contains("192.0.2.1"), "{text}");
            return "crossbar";
        }
        assert!(answer.header("x-request-id").is_some(), "{answer:?}");
        "groups"
    }

    fn wait_for(&self, account: &Account, expected: &str) {
        let target = format!("/v2/accounts/{}/groups", account.id);
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.asks(account, &target) != expected {
            assert!(Instant::now() < deadline, "the groups do not go to {expected}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A port that is free now.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// haproxy with the file for Kazoo.
fn haproxy(groups: SocketAddr, groups_admin: SocketAddr, crossbar: SocketAddr) -> Proxy {
    let address = free();
    let text = haproxy_file(groups, groups_admin, crossbar, address);
    start_haproxy(&text, address)
}

fn haproxy_file(
    groups: SocketAddr,
    groups_admin: SocketAddr,
    crossbar: SocketAddr,
    address: SocketAddr,
) -> String {
    file(
        "kazoo/haproxy.cfg",
        &[
            ("bind 127.0.0.1:8080", format!("bind {address}")),
            (
                "groups1 127.0.0.1:8010 check port 8001",
                format!("groups1 {groups} check port {}", groups_admin.port()),
            ),
            ("crossbar1 127.0.0.1:8000", format!("crossbar1 {crossbar}")),
            ("log /dev/log local0", "log stderr format raw local0 emerg".to_owned()),
        ],
    )
}

fn start_haproxy(text: &str, address: SocketAddr) -> Proxy {
    Proxy::start("haproxy", &["-db", "-f"], text, address)
}

/// nginx with the file for Kazoo.
fn nginx(groups: SocketAddr, crossbar: SocketAddr) -> Proxy {
    let address = free();
    let text = nginx_file(groups, crossbar, address);
    start_nginx(&text, address)
}

fn nginx_file(groups: SocketAddr, crossbar: SocketAddr, address: SocketAddr) -> String {
    file(
        "kazoo/nginx.conf",
        &[
            ("listen 127.0.0.1:8080", format!("listen {address}")),
            ("server 127.0.0.1:8010", format!("server {groups}")),
            ("server 127.0.0.1:8000", format!("server {crossbar}")),
        ],
    )
}

fn start_nginx(text: &str, address: SocketAddr) -> Proxy {
    Proxy::start("nginx", &["-g", "daemon off; master_process off;", "-c"], text, address)
}

/// Caddy with the file for Kazoo, without TLS.
fn caddy(groups: SocketAddr, crossbar: SocketAddr) -> Proxy {
    let address = free();
    let text = caddy_file(groups, crossbar, address);
    start_caddy(&text, address)
}

fn caddy_file(groups: SocketAddr, crossbar: SocketAddr, address: SocketAddr) -> String {
    file(
        "kazoo/Caddyfile",
        &[
            ("kazoo.example.com {", format!("http://{address} {{\n\tbind 127.0.0.1")),
            ("127.0.0.1:8010", groups.to_string()),
            ("127.0.0.1:8000", crossbar.to_string()),
        ],
    )
}

fn start_caddy(text: &str, address: SocketAddr) -> Proxy {
    Proxy::start("caddy", &["run", "--adapter", "caddyfile", "--config"], text, address)
}

#[test]
#[ignore = "it needs haproxy: make acceptance"]
fn haproxy_sends_the_groups_here_and_all_else_to_crossbar() {
    let mut account = Account::served();
    let server = account.server();
    let proxy = haproxy(server.address, server.admin_address, crossbar());
    proxy.wait_for(&account, "groups");
    proxy.check_paths(&account);
    // Without a server that is ready, crossbar gets the groups.
    account.while_stopped(|_| proxy.wait_for_crossbar());
}

/// The way back that docs/kazoo.md and the file describe.
#[test]
#[ignore = "it needs haproxy: make acceptance"]
fn haproxy_switches_back_and_forth_in_one_step() {
    let account = Account::served();
    let server = account.server();
    let proxy = haproxy(server.address, server.admin_address, crossbar());
    let set = |state: &str| {
        let mut socket = UnixStream::connect(proxy._folder.path().join("haproxy-kazoo.sock")).unwrap();
        socket.write_all(format!("set server crossbar_groups/groups1 state {state}\n").as_bytes()).unwrap();
        let mut said = String::new();
        socket.read_to_string(&mut said).unwrap();
        assert_eq!(said.trim(), "");
    };
    let target = format!("/v2/accounts/{}/groups", account.id);
    proxy.wait_for(&account, "groups");
    set("maint");
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(proxy.asks_by(&account, method, &target), "crossbar", "{method}");
    }
    set("ready");
    proxy.wait_for(&account, "groups");
}

/// A write that meets the server that is down fails, and no other one for 30 seconds.
#[test]
#[ignore = "it needs nginx: make acceptance"]
fn nginx_does_not_try_a_server_that_is_down_with_one_write_after_another() {
    let proxy = nginx(free(), crossbar());
    let begun = Instant::now();
    let mut statuses = Vec::new();
    while begun.elapsed() < Duration::from_secs(6) {
        statuses.push(ask_with_tokens(proxy.address, "PUT"));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!((statuses.first(), statuses.iter().filter(|status| **status != 200).count()), (Some(&502), 1));
}

#[test]
#[ignore = "it needs nginx: make acceptance"]
fn nginx_sends_the_groups_here_and_all_else_to_crossbar() {
    let mut account = Account::served();
    let proxy = nginx(account.server().address, crossbar());
    proxy.check_paths(&account);
    account.while_stopped(|_| proxy.wait_for_crossbar());
}

#[test]
#[ignore = "it needs Caddy: make acceptance"]
fn caddy_sends_the_groups_here_and_all_else_to_crossbar() {
    let mut account = Account::served();
    let proxy = caddy(account.server().address, crossbar());
    proxy.check_paths(&account);
    account.while_stopped(|_| proxy.wait_for_crossbar());
}

impl Proxy {
    fn wait_for_crossbar(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let answer = send(self.address, "GET", "/v2/accounts/a/groups", &[], b"");
            if answer.text().starts_with("crossbar") {
                return;
            }
            assert!(Instant::now() < deadline, "{answer:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A server that reads a request and goes away.
fn gone() -> SocketAddr {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in gone.incoming() {
            let _ = stream.unwrap().read(&mut [0; 4096]);
        }
    });
    address
}

/// A request that holds a token in its query and in a header.
fn ask_with_tokens(address: SocketAddr, method: &str) -> u16 {
    let target = "/v2/accounts/a/groups?auth_token=very-secret";
    let body: &[u8] = if method == "GET" { b"" } else { br#"{"data":{}}"# };
    send(address, method, target, &[("X-Auth-Token".to_owned(), "very-secret".to_owned())], body).status
}

/// A server that goes away has perhaps done what it was asked for. Only a read is repeated.
#[test]
#[ignore = "it needs Caddy: make acceptance"]
fn caddy_repeats_no_write_and_logs_no_token() {
    for (name, site, servers) in [
        ("kazoo/Caddyfile", "kazoo.example.com {", ["127.0.0.1:8010", "127.0.0.1:8000"]),
        ("proxy/Caddyfile", "groups.example.com {", ["reverse_proxy 127.0.0.1:8000", "lb_policy least_conn"]),
    ] {
        let start = |fail_duration: &str| {
            let (address, other, first) = (free(), crossbar(), gone());
            let [one, two] = match name {
                "kazoo/Caddyfile" => [first.to_string(), other.to_string()],
                _ => [format!("reverse_proxy {first} {other}"), "lb_policy first".to_owned()],
            };
            let mut replaced = vec![
                (site, format!("http://{address} {{\n\tbind 127.0.0.1")),
                (servers[0], one),
                (servers[1], two),
                ("fail_duration 2s", format!("fail_duration {fail_duration}")),
            ];
            if name == "proxy/Caddyfile" {
                replaced.push(("health_port 8001", format!("health_port {}", standin("admin").port())));
            }
            let text = file(name, &replaced);
            Proxy::start("caddy", &["run", "--adapter", "caddyfile", "--config"], &text, address)
        };
        // It forgets at once that the first server fails.
        let proxy = start("1ms");
        for method in ["PUT", "POST", "PATCH", "DELETE"] {
            assert_eq!(ask_with_tokens(proxy.address, method), 502, "{name}: {method} is never repeated");
            std::thread::sleep(Duration::from_millis(20));
        }
        let log = proxy.errors();
        assert!(log.contains("\"uri\":\"/v2/accounts/a/groups\""), "{name}: {log}");
        assert!(!log.contains("very-secret"), "{name}: {log}");
        let proxy = start("2s");
        assert!((0..4).all(|_| ask_with_tokens(proxy.address, "GET") == 200), "{name}: a read is repeated");
        assert!(!proxy.errors().contains("very-secret"), "{name}: {}", proxy.errors());
    }
}

/// A server that goes away has perhaps done what it was asked for. Only a read is repeated.
#[test]
#[ignore = "it needs nginx: make acceptance"]
fn nginx_repeats_no_write_and_logs_no_query() {
    let first = gone();
    for (name, servers) in [
        ("kazoo/nginx.conf", ["server 127.0.0.1:8010 max_fails=1", "server 127.0.0.1:8000"]),
        ("proxy/nginx.conf", ["server 127.0.0.1:8000 max_fails=1", "server 127.0.0.1:8010 max_fails=1"]),
    ] {
        let (address, other) = (free(), crossbar());
        let text = file(
            name,
            &[
                ("listen 127.0.0.1:8080", format!("listen {address}")),
                (servers[0], format!("server {first} max_fails=0")),
                (servers[1], format!("server {other} max_fails=0")),
            ],
        );
        let proxy = Proxy::start("nginx", &["-g", "daemon off; master_process off;", "-c"], &text, address);
        // The proxy may begin with either server, or must begin with the first.
        for method in ["PUT", "POST", "PATCH", "DELETE"] {
            let statuses: Vec<_> = (0..4).map(|_| ask_with_tokens(address, method)).collect();
            assert!(statuses.contains(&502), "{name}: {method} is never repeated: {statuses:?}");
        }
        assert!((0..4).all(|_| ask_with_tokens(address, "GET") == 200), "{name}: a read is repeated");
        for log in std::fs::read_dir(proxy._folder.path()).unwrap() {
            let log = log.unwrap().path();
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let is_access_log = log.extension().is_some_and(|end| end == "log") && !text.contains("[error]");
            assert!(!is_access_log || !text.contains("very-secret"), "{}", log.display());
        }
    }
}
