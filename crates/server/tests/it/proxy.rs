//! The documented files of haproxy and nginx, in front of this server and of a stand-in for crossbar: each path goes
//! where it should. `make acceptance` runs these tests, with Debian's programs.

mod alone;
mod load;
mod rolling;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::account::Account;
use crate::http_client::send;

/// A stand-in for crossbar. It answers every request with its name, and the address that it was told.
fn crossbar() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut forwarded = String::new();
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                        break;
                    }
                    if line.to_lowercase().starts_with("x-forwarded-for:") {
                        forwarded.push_str(line.trim());
                    }
                }
                let body = format!("crossbar {forwarded}");
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
        command.args(arguments).arg(&path).stdin(Stdio::null()).current_dir(folder.path());
        let child =
            command.spawn().unwrap_or_else(|error| panic!("{program}: {error}; run `make acceptance`"));
        let proxy = Self { address, child, _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "{program} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        proxy
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

    /// Each path of a table goes where it should.
    fn check_paths(&self, account: &Account) {
        let id = &account.id;
        for (path, expected) in [
            ("/v2/accounts/{A}/groups", "groups"),
            ("/v2/accounts/{A}/groups/", "groups"),
            ("/v2/accounts/{A}/groups?paginate=false&_=1", "groups"),
            ("/v2/accounts/{A}/groups/g", "groups"),
            ("/v2/accounts/{A}/groups/g/", "groups"),
            ("/v2/accounts/{A}/groups/g?x=/channels", "groups"),
            ("/v2/accounts/{A}/groups/a%2Fchannels", "groups"),
            ("/v2/accounts/{A}/users/u/groups", "groups"),
            ("/v2/accounts/{A}/users/u/groups/g", "groups"),
            ("/v2/accounts/{A}/groups/g/channels", "crossbar"),
            ("/v2/accounts/{A}/groups/g/metaflows", "crossbar"),
            ("/v2/accounts/{A}/groups/g/comments", "crossbar"),
            ("/v2/accounts/{A}/groups/g/comments/1", "crossbar"),
            ("/v2/accounts/{A}/%67roups", "crossbar"),
            ("/v2/accounts/{A}/groups%2Fg", "crossbar"),
            ("/v2/accounts/{A}/groupsx", "crossbar"),
            ("/v2/accounts/{A}/users", "crossbar"),
            ("/v2/accounts/{A}/users/u", "crossbar"),
            ("/v2/accounts/{A}/callflows?filter_x=/groups", "crossbar"),
            ("/v2/accounts/{A}/callflows/groups", "crossbar"),
            ("/v2/accounts/{A}", "crossbar"),
            ("/v2/user_auth", "crossbar"),
            ("/x/v2/accounts/{A}/groups", "crossbar"),
            ("/", "crossbar"),
        ] {
            for method in ["GET", "PUT", "DELETE"] {
                let answered = self.asks_by(account, method, &path.replace("{A}", id));
                assert_eq!(answered, expected, "{method} {path}");
            }
        }
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

#[test]
#[ignore = "it needs haproxy: make acceptance"]
fn haproxy_sends_the_groups_here_and_all_else_to_crossbar() {
    let mut account = Account::served();
    let (address, crossbar) = (free(), crossbar());
    let server = account.server();
    let text = file(
        "kazoo/haproxy.cfg",
        &[
            ("bind 127.0.0.1:8080", format!("bind {address}")),
            (
                "groups1 127.0.0.1:8010 check port 8001",
                format!("groups1 {} check port {}", server.address, server.admin_address.port()),
            ),
            ("crossbar1 127.0.0.1:8000", format!("crossbar1 {crossbar}")),
            ("log /dev/log local0", "log stderr format raw local0 emerg".to_owned()),
        ],
    );
    let proxy = Proxy::start("haproxy", &["-db", "-f"], &text, address);
    proxy.wait_for(&account, "groups");
    proxy.check_paths(&account);
    // Without a server that is ready, crossbar gets the groups.
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

#[test]
#[ignore = "it needs nginx: make acceptance"]
fn nginx_sends_the_groups_here_and_all_else_to_crossbar() {
    let mut account = Account::served();
    let (address, crossbar) = (free(), crossbar());
    let text = file(
        "kazoo/nginx.conf",
        &[
            ("listen 127.0.0.1:8080", format!("listen {address}")),
            ("server 127.0.0.1:8010", format!("server {}", account.server().address)),
            ("server 127.0.0.1:8000", format!("server {crossbar}")),
        ],
    );
    let proxy = Proxy::start("nginx", &["-g", "daemon off; master_process off;", "-c"], &text, address);
    proxy.check_paths(&account);
    account.while_stopped(|_| proxy.wait_for_crossbar());
}

/// A server that reads a request and goes away has perhaps done what it asks for. Only a read is repeated.
#[test]
#[ignore = "it needs nginx: make acceptance"]
fn nginx_repeats_no_write_and_logs_no_query() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let first = gone.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in gone.incoming() {
            let _ = stream.unwrap().read(&mut [0; 4096]);
        }
    });
    for (name, servers) in [
        ("kazoo/nginx.conf", ["server 127.0.0.1:8010 max_fails=2", "server 127.0.0.1:8000"]),
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
        let asks = |method: &str, body: &str| {
            let target = "/v2/accounts/a/groups?auth_token=very-secret";
            send(address, method, target, &[], body.as_bytes()).status
        };
        // The proxy may begin with either server, or must begin with the first.
        for method in ["PUT", "POST", "PATCH", "DELETE"] {
            let statuses: Vec<_> = (0..4).map(|_| asks(method, r#"{"data":{}}"#)).collect();
            assert!(statuses.contains(&502), "{name}: {method} is never repeated: {statuses:?}");
        }
        assert!((0..4).all(|_| asks("GET", "") == 200), "{name}: a read is repeated");
        for log in std::fs::read_dir(proxy._folder.path()).unwrap() {
            let log = log.unwrap().path();
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let is_access_log = log.extension().is_some_and(|end| end == "log") && !text.contains("[error]");
            assert!(!is_access_log || !text.contains("very-secret"), "{}", log.display());
        }
    }
}
