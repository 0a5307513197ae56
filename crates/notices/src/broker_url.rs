//! The address of a broker, and how it is shown.

use std::fmt;

use datastore::SEGMENT;
use lapin::uri::AMQPUri;
use percent_encoding::utf8_percent_encode;

/// The seconds between two signs of life of a connection, unless the address says otherwise.
const HEARTBEAT: u16 = 10;

/// The address of a broker. It may hold a password, which is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerUrl(AMQPUri);

impl BrokerUrl {
    /// Reads `amqp(s)://USER:PASSWORD@HOST:PORT/VHOST`.
    ///
    /// # Errors
    /// The error completes the sentence "the address …". It never repeats the text, which may hold a password.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "is not of the form amqp(s)://USER:PASSWORD@HOST:PORT/VHOST";
        let rest = text.strip_prefix("amqp://").or_else(|| text.strip_prefix("amqps://")).ok_or(FORM)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if host.is_empty() || host.starts_with(':') {
            return Err("names no host");
        }
        // The library's errors may repeat the text.
        let mut uri: AMQPUri = text.parse().map_err(|_| FORM)?;
        // The library takes an IPv6 address for a missing host.
        if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            address.clone_into(&mut uri.authority.host);
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        Ok(Self(uri))
    }

    pub(crate) fn uri(&self) -> &AMQPUri {
        &self.0
    }

    /// The address as other people may see it: in the form in which it is given, with `***` in place of the user and
    /// the password, and without the query.
    #[must_use]
    pub fn shown(&self) -> String {
        let AMQPUri { scheme, authority, vhost, .. } = &self.0;
        let secret = if self.has_password() { "***@" } else { "" };
        let host = &authority.host;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let vhost = match vhost.as_str() {
            "/" => String::new(),
            vhost => format!("/{}", utf8_percent_encode(vhost, SEGMENT)),
        };
        format!("{scheme}://{secret}{host}:{}{vhost}", authority.port)
    }

    /// Whether the address names a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.0.authority.userinfo != AMQPUri::default().authority.userinfo
    }
}

/// The address without credentials.
impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri { scheme, authority, vhost, .. } = &self.0;
        write!(f, "{scheme}://{}:{} (virtual host {vhost})", authority.host, authority.port)
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokerUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::BrokerUrl;

    #[test]
    fn addresses_are_read_as_kazoo_writes_them() {
        for (text, said, shown) in [
            ("amqp://guest:guest@127.0.0.1:5672", "127.0.0.1:5672 (virtual host /)", "127.0.0.1:5672"),
            ("amqp://u:p%40ss@rabbit.host", "rabbit.host:5672 (virtual host /)", "***@rabbit.host:5672"),
            ("amqps://u:p@h/kazoo?heartbeat=7", "h:5671 (virtual host kazoo)", "***@h:5671/kazoo"),
            ("amqp://u:p@[::1]:5673/%2F", "::1:5673 (virtual host /)", "***@[::1]:5673"),
            ("amqp://u:p@h/a%2Fb%20c", "h:5672 (virtual host a/b c)", "***@h:5672/a%2Fb%20c"),
        ] {
            let url = BrokerUrl::parse(text).unwrap();
            let scheme = text.split_once("://").unwrap().0;
            assert_eq!(url.to_string(), format!("{scheme}://{said}"), "{text}");
            assert_eq!(url.shown(), format!("{scheme}://{shown}"), "{text}");
            assert_eq!(url.has_password(), shown.contains("***"), "{text}");
            assert!(!format!("{url:?}").contains("p@"), "{url:?}");
        }
    }

    #[test]
    fn other_addresses_are_refused_without_their_text() {
        for text in [
            "",
            "rabbit:5672",
            "http://u:secret@h",
            "amqp://",
            "amqp://u:secret@",
            "amqp://u:secret@:5672",
            "amqp://u:secret@h:port",
            "amqp://u:secret@h?heartbeat=x",
        ] {
            let error = BrokerUrl::parse(text).unwrap_err();
            assert!(!error.contains("secret"), "{text}: {error}");
        }
    }
}
