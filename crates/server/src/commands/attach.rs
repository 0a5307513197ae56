//! `attach`: the set-up beside a live Kazoo. It finds Kazoo's configuration, shows what it takes from it, prints the
//! proxy's rules and systemd's unit with the addresses of this set-up, and lets the doctor look. It writes
//! nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{doctor, listening, say};
use crate::arguments::Serve;
use crate::failure::Failure;
use crate::settings::Source;

/// The port for the API where none is given: crossbar itself has the default one.
const PORT: u16 = 8010;

/// The files that `docs/kazoo.md` explains.
const PROXY: &str = include_str!("../../../../docker/kazoo/haproxy.cfg");
const UNIT: &str = include_str!("../../../../packaging/crossbar-groups.service");
const BESIDE_KAZOO: &str = include_str!("../../../../docker/kazoo/kazoo.conf");

pub(crate) fn run(mut arguments: Serve) -> Result<(), Failure> {
    let path = arguments.find_kazoo_config()?.display().to_string();
    let all = arguments.settings()?;
    say(&format!("# Taken from Kazoo's {path}, unless it was given otherwise:"))?;
    let mut listen_is_given = false;
    for shown in arguments.show()? {
        listen_is_given |= shown.setting.key == "listen" && shown.source != Source::Default;
        if let (Some(value), true) = (shown.value, shown.source != Source::Default) {
            let value = value.replace('\n', " ");
            say(&format!("#   {} = {value} ({})", shown.setting.key, shown.source))?;
        }
    }
    let port = if listen_is_given { all.serve.listen.port() } else { PORT };
    let listen = SocketAddr::new(all.serve.listen.ip(), port);
    listening::check_addresses(listen, all.admin.admin_listen)?;

    say("\n# ---- haproxy: /etc/haproxy/haproxy.cfg ----\n")?;
    say(&proxy(listen, all.admin.admin_listen))?;
    say(
        "# ---- systemd: /etc/systemd/system/crossbar-groups.service, unless a package has installed it ----\n",
    )?;
    say(UNIT)?;
    say("# ---- systemd: /etc/systemd/system/crossbar-groups.service.d/kazoo.conf ----\n")?;
    say(&beside_kazoo(listen, all.admin.admin_listen, &path))?;
    say("# ---- What doctor finds. docs/kazoo.md has the next steps ----\n")?;
    doctor::print_table(all.serve, &all.store, arguments.file_with_secret()?)
}

/// The address by which a neighbour on this machine reaches a listener.
fn near(address: SocketAddr) -> SocketAddr {
    match address.ip().is_unspecified() {
        true => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port()),
        false => address,
    }
}

fn proxy(listen: SocketAddr, admin: SocketAddr) -> String {
    let (listen, admin) = (near(listen), near(admin));
    let server = match admin.ip() == listen.ip() {
        true => format!("server groups1 {listen} check port {}", admin.port()),
        false => format!("server groups1 {listen} check addr {} port {}", admin.ip(), admin.port()),
    };
    PROXY.replace("server groups1 127.0.0.1:8010 check port 8001", &server)
}

fn beside_kazoo(listen: SocketAddr, admin: SocketAddr, kazoo_config: &str) -> String {
    let name = kazoo_config.rsplit('/').next().unwrap_or("config.ini");
    BESIDE_KAZOO
        .replace("127.0.0.1:8010", &listen.to_string())
        .replace("127.0.0.1:8001", &admin.to_string())
        .replace("%d/config.ini", &format!("%d/{name}"))
        .replace("config.ini:/etc/kazoo/core/config.ini", &format!("{name}:{kazoo_config}"))
}

#[cfg(test)]
mod tests {
    use super::{BESIDE_KAZOO, PROXY, beside_kazoo, proxy};

    #[test]
    fn the_addresses_are_those_of_the_set_up() {
        let (listen, admin) = ("0.0.0.0:9010".parse().unwrap(), "10.0.0.1:9001".parse().unwrap());
        let proxy_text = proxy(listen, admin);
        assert!(
            proxy_text.contains("server groups1 127.0.0.1:9010 check addr 10.0.0.1 port 9001"),
            "{proxy_text}"
        );
        let unit_text = beside_kazoo(listen, admin, "/etc/kazoo/config.yaml");
        for line in [
            "Environment=CROSSBAR_GROUPS_KAZOO_CONFIG=%d/config.yaml",
            "LoadCredential=config.yaml:/etc/kazoo/config.yaml",
            "Environment=CROSSBAR_GROUPS_LISTEN=0.0.0.0:9010",
            "Environment=CROSSBAR_GROUPS_ADMIN_LISTEN=10.0.0.1:9001",
        ] {
            assert!(unit_text.lines().any(|there| there == line), "{line}:\n{unit_text}");
        }
        let usual = ("127.0.0.1:8010".parse().unwrap(), "127.0.0.1:8001".parse().unwrap());
        assert_eq!(proxy(usual.0, usual.1), PROXY);
        assert_eq!(beside_kazoo(usual.0, usual.1, "/etc/kazoo/core/config.ini"), BESIDE_KAZOO);
    }
}
