//! Takes the addresses of the listeners, and says what to do if one cannot be had; and how the API is served.

use std::io;
use std::net::SocketAddr;

use edge::{Capacity, Listener, OpenFiles, Report, Service};

use crate::failure::Failure;
use crate::request::header_names;
use crate::settings::ServeSettings;

/// How long running requests may take to finish once the server begins to stop.
const GRACE_SECONDS: u64 = 8;

/// How many files may be open beside the connections of the API: the store's files and connections, the
/// admin listener, and clients that get the answer that there is no room.
const OTHER_FILES: u64 = 512;

/// The setting of the API's address.
pub(super) const API: &str = "listen";

/// The setting of the admin listener's address.
pub(super) const ADMIN: &str = "admin_listen";

/// Refuses one address for both listeners.
pub(super) fn check_addresses(api: SocketAddr, admin: SocketAddr) -> Result<(), Failure> {
    if api != admin || api.port() == 0 {
        return Ok(());
    }
    Err(Failure::setup(format!(
        "the settings {API} and {ADMIN} are both {api}: give each a port of its own, such as {} for {ADMIN}",
        SocketAddr::new(admin.ip(), neighbour(admin.port()))
    )))
}

/// Takes the address that a setting names.
pub(super) fn bind(setting: &str, address: SocketAddr) -> Result<Listener, Failure> {
    edge::bind(address).map_err(|error| refusal(setting, address, &error))
}

/// Why an address cannot be had, and what to do.
pub(super) fn refusal(setting: &str, address: SocketAddr, error: &io::Error) -> Failure {
    let (flag, variable) = (setting.replace('_', "-"), setting.to_uppercase());
    let other = format!("choose another address with --{flag} or CROSSBAR_GROUPS_{variable}");
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another program holds the port (8000 is crossbar's own): stop that program, or {other}, such as {}",
            SocketAddr::new(address.ip(), neighbour(address.port()))
        ),
        io::ErrorKind::PermissionDenied => format!(
            "this user may not open the port: {other} with a port of 1024 or more, and let a proxy in front have \
             this one, or let every user open it with `sysctl net.ipv4.ip_unprivileged_port_start={}`",
            address.port()
        ),
        io::ErrorKind::AddrNotAvailable => format!(
            "this machine has no such address: {other}, such as 127.0.0.1 for this machine alone, or 0.0.0.0 for \
             all its addresses; `ip address` lists them"
        ),
        _ => format!("{error}: {other}"),
    };
    let message = format!("cannot listen on {address}: {advice}");
    match error.kind() {
        // Another program may end, and an address may come, as that of a failover does.
        io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable => Failure::obstacle(message),
        _ => Failure::setup(message),
    }
}

/// Another port to propose.
fn neighbour(port: u16) -> u16 {
    port.checked_add(10).unwrap_or(8010)
}

/// How the API is served.
pub(super) fn api_service(settings: &ServeSettings, report: Report) -> Service {
    Service {
        workers: settings.workers,
        grace_seconds: GRACE_SECONDS,
        limits: edge::Limits {
            head: settings.head_timeout,
            idle: settings.idle_timeout,
            body_bytes_per_second: settings.body_rate,
            answer: settings.answer_timeout,
            headers: header_names::ALL,
        },
        capacity: Capacity::new(connections(settings.max_connections)),
        report,
    }
}

/// Raises the limit of open files as far as the system allows, and answers how many connections fit.
fn connections(wished: usize) -> usize {
    let files = match OpenFiles::raise() {
        Ok(files) => files,
        Err(error) => {
            log::warn!("the limit of open files is unknown: {error}");
            return wished;
        }
    };
    let connections = files.fit(wished, OTHER_FILES);
    if connections < wished {
        log::warn!(
            open_files = files.limit(), max_connections = wished, connections;
            "the limit of open files allows fewer connections: raise it (`ulimit -n`, or LimitNOFILE in systemd)"
        );
    }
    connections
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::{ADMIN, API, check_addresses, refusal};

    #[test]
    fn each_refusal_has_its_own_advice() {
        let address = "10.1.2.3:80".parse().unwrap();
        for (kind, words) in [
            (ErrorKind::AddrInUse, "such as 10.1.2.3:90"),
            (ErrorKind::PermissionDenied, "ip_unprivileged_port_start=80"),
            (ErrorKind::AddrNotAvailable, "`ip address` lists them"),
            (ErrorKind::OutOfMemory, "out of memory"),
        ] {
            let text = refusal(ADMIN, address, &kind.into()).to_string();
            for words in [words, "10.1.2.3:80", "--admin-listen", "CROSSBAR_GROUPS_ADMIN_LISTEN"] {
                assert!(text.contains(words), "{text}");
            }
            let is_held = text.contains("stop that program");
            assert_eq!(is_held, kind == ErrorKind::AddrInUse, "{text}");
        }
    }

    #[test]
    fn the_listeners_need_two_addresses() {
        let [one, other, any] =
            ["127.0.0.1:8000", "127.0.0.1:8001", "127.0.0.1:0"].map(|a| a.parse().unwrap());
        assert!(check_addresses(one, other).is_ok() && check_addresses(any, any).is_ok());
        let text = check_addresses(one, one).unwrap_err().to_string();
        assert!(text.contains(API) && text.contains(ADMIN) && text.contains("127.0.0.1:8010"), "{text}");
    }
}
