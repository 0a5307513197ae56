//! `attach`: the set-up beside a live Kazoo. It finds Kazoo's configuration, shows what it takes from it, prints the
//! proxy's rules and systemd's unit with the addresses of this set-up, and lets the doctor look. It writes
//! nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::drop_in::DropIn;
use super::{doctor, listening, say};
use crate::arguments::Serve;
use crate::failure::Failure;
use crate::kazoo_config;
use crate::settings::{ShownSetting, Source};

/// The port for the API where none is given: crossbar itself has the default one.
const PORT: u16 = 8010;

/// The files that `docs/kazoo.md` explains.
const PROXY: &str = include_str!("../../../../docker/kazoo/haproxy.cfg");
const UNIT: &str = include_str!("../../../../packaging/crossbar-groups.service");

pub(crate) fn run(mut arguments: Serve) -> Result<(), Failure> {
    let path = arguments.find_kazoo_config()?;
    let all = arguments.settings()?;
    let shown = arguments.show()?;
    say(&format!("# Taken from Kazoo's {}, unless it was given otherwise:", path.display()))?;
    for shown in &shown {
        if let (Some(value), true) = (&shown.value, shown.source != Source::Default) {
            let value = value.replace('\n', " ");
            say(&format!("#   {} = {value} ({})", shown.setting.key, shown.source))?;
        }
    }
    if let Some(warning) = arguments.kazoo_warning()? {
        say(&format!("# Warning: {warning}."))?;
    }
    let is_listen = |shown: &ShownSetting| shown.setting.key == "listen" && shown.source != Source::Default;
    let port = if shown.iter().any(is_listen) { all.serve.listen.port() } else { PORT };
    let listen = SocketAddr::new(all.serve.listen.ip(), port);
    listening::check_addresses(listen, all.admin.admin_listen)?;

    say("\n# ---- haproxy: /etc/haproxy/haproxy.cfg ----\n")?;
    say(&proxy(listen, all.admin.admin_listen))?;
    say(
        "# ---- systemd: /etc/systemd/system/crossbar-groups.service, unless a package has installed it ----\n",
    )?;
    say(UNIT)?;
    say("# ---- systemd: /etc/systemd/system/crossbar-groups.service.d/kazoo.conf ----")?;
    say(
        "# The flags and variables that attach was given are lines of it, except those that may hold a password.\n",
    )?;
    let drop_in = DropIn {
        kazoo_config: &path,
        settings_file: arguments.settings_file()?,
        kazoo_zone: kazoo_config::zone(),
        listen,
        admin_listen: all.admin.admin_listen,
        given: &shown,
    };
    say(&drop_in.text())?;
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

#[cfg(test)]
mod tests {
    use super::{PROXY, proxy};

    #[test]
    fn the_addresses_are_those_of_the_set_up() {
        let (listen, admin) = ("0.0.0.0:9010".parse().unwrap(), "10.0.0.1:9001".parse().unwrap());
        let proxy_text = proxy(listen, admin);
        assert!(
            proxy_text.contains("server groups1 127.0.0.1:9010 check addr 10.0.0.1 port 9001"),
            "{proxy_text}"
        );
        let usual = ("127.0.0.1:8010".parse().unwrap(), "127.0.0.1:8001".parse().unwrap());
        assert_eq!(proxy(usual.0, usual.1), PROXY);
    }
}
