//! The documented files of haproxy, nginx and Caddy in front of this server alone, with TLS.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Proxy, file, free};
use crate::account::Account;
use crate::process::wait_until;

/// A certificate for `localhost`, and a file with the key and the certificate.
struct Certificate {
    folder: tempfile::TempDir,
}

impl Certificate {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
            .args(["-keyout", "key.pem", "-out", "certificate.pem"])
            .current_dir(folder.path())
            .output()
            .expect("openssl is there");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join("both.pem"), read("key.pem") + &read("certificate.pem")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

/// The names of the groups, through TLS. The server counts failures by the client's address, so it must learn that.
fn names_through_tls(account: &Account, port: u16, certificate: &Certificate) -> String {
    let url = format!("https://localhost:{port}/v2/accounts/{}/groups", account.id);
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--max-time", "20", "--noproxy", "*"])
        .args([
            "--resolve",
            &format!("localhost:{port}:127.0.0.1"),
            "--cacert",
            &certificate.path("certificate.pem"),
        ])
        .args(["--retry", "40", "--retry-delay", "1", "--retry-all-errors"])
        .args(["-H", &format!("X-Auth-Token: {}", account.token), "-H", "X-Forwarded-For: 192.0.2.1", &url])
        .output()
        .expect("curl is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let body: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = body["data"].as_array().unwrap();
    // A client's own X-Forwarded-For counts for nothing.
    wait_until("the request is logged with its address", || {
        let log = account.server().log();
        log.lines().any(|line| line.contains("method=GET status=200") && line.contains(" address=127.0.0.1 "))
    });
    assert!(!account.server().log().contains("192.0.2.1"));
    rows.iter().map(|row| row["name"].as_str().unwrap()).collect::<Vec<_>>().join(", ")
}

fn served() -> (Account, Certificate) {
    let account = Account::served();
    account.create_all(&["a"]);
    (account, Certificate::new())
}

#[test]
#[ignore = "it needs haproxy: make acceptance"]
fn haproxy_serves_with_tls() {
    let (account, certificate) = served();
    let (plain, tls, server) = (free(), free(), account.server());
    let groups1 = format!("groups1 {} check port {}", server.address, server.admin_address.port());
    let text = file(
        "proxy/haproxy.cfg",
        &[
            ("bind :8000", format!("bind {plain}")),
            ("#bind :8443", format!("bind {tls}")),
            ("/etc/haproxy/groups.pem", certificate.path("both.pem")),
            ("groups1 groups1:8000 check port 8001", groups1),
            ("groups2 groups2:8000 check port 8001", format!("groups2 {} check", free())),
        ],
    );
    let proxy = Proxy::start("haproxy", &["-db", "-f"], &text, tls);
    assert_eq!(names_through_tls(&account, proxy.address.port(), &certificate), "group a");
}

#[test]
#[ignore = "it needs nginx: make acceptance"]
fn nginx_serves_with_tls() {
    let (account, certificate) = served();
    let (plain, tls) = (free(), free());
    let text = file(
        "proxy/nginx.conf",
        &[
            ("listen 127.0.0.1:8080", format!("listen {plain}")),
            ("#listen 8443", format!("listen {tls}")),
            (
                "#ssl_certificate /etc/nginx/groups.pem",
                format!("ssl_certificate {}", certificate.path("certificate.pem")),
            ),
            (
                "#ssl_certificate_key /etc/nginx/groups.key",
                format!("ssl_certificate_key {}", certificate.path("key.pem")),
            ),
            ("server 127.0.0.1:8000", format!("server {}", account.server().address)),
            // The second server is down.
            ("server 127.0.0.1:8010", format!("server {}", free())),
        ],
    );
    let proxy = Proxy::start("nginx", &["-g", "daemon off; master_process off;", "-c"], &text, tls);
    assert_eq!(names_through_tls(&account, proxy.address.port(), &certificate), "group a");
}

#[test]
#[ignore = "it needs Caddy: make acceptance"]
fn caddy_serves_with_tls() {
    let (account, certificate) = served();
    let (tls, server) = (free(), account.server());
    let keys = format!("tls {} {}", certificate.path("certificate.pem"), certificate.path("key.pem"));
    let text = file(
        "proxy/Caddyfile",
        &[
            ("admin off", "admin off\n\tauto_https disable_redirects".to_owned()),
            ("groups.example.com {", format!("https://localhost:{} {{\n\tbind 127.0.0.1", tls.port())),
            ("#tls /etc/caddy/groups.pem /etc/caddy/groups.key", keys),
            ("127.0.0.1:8000", server.address.to_string()),
            ("health_port 8001", format!("health_port {}", server.admin_address.port())),
        ],
    );
    let proxy = Proxy::start("caddy", &["run", "--adapter", "caddyfile", "--config"], &text, tls);
    assert_eq!(names_through_tls(&account, proxy.address.port(), &certificate), "group a");
}

/// The files stay good without the changes that the tests make.
#[test]
#[ignore = "it needs haproxy, nginx and Caddy: make acceptance"]
fn the_programs_accept_the_files_as_they_are() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docker");
    for (program, arguments) in [
        ("haproxy", &["-c", "-f", "proxy/haproxy.cfg"][..]),
        ("haproxy", &["-c", "-f", "kazoo/haproxy.cfg"]),
        ("caddy", &["validate", "--adapter", "caddyfile", "--config", "proxy/Caddyfile"]),
        ("caddy", &["validate", "--adapter", "caddyfile", "--config", "kazoo/Caddyfile"]),
    ] {
        let output = Command::new(program).args(arguments).current_dir(&folder).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program}: {said}");
    }
}
