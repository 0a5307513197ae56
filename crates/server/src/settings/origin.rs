//! The place of a server on the web: a scheme, a host and a port, and nothing that could mean more in a header.

use std::fmt;

/// A scheme, a host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin(String);

impl Origin {
    /// Reads `http(s)://HOST[:PORT]`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let authority = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
        let (host, port) = split_port(authority)?;
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
        (is_host(host) && is_port).then(|| Self(text.to_owned()))
    }

    /// Another port of the host that a request names, or of this machine.
    pub(crate) fn beside(host: Option<&str>, port: u16) -> Self {
        let host = host.and_then(split_port).map(|(host, _)| host).filter(|host| is_host(host));
        Self(format!("http://{}:{port}", host.unwrap_or("127.0.0.1")))
    }

    /// The origin as a policy names it. Policies have no word for an IPv6 address, so there any host counts.
    pub(crate) fn in_policy(&self) -> String {
        match (self.0.split_once('['), self.0.rsplit_once(']')) {
            (Some((scheme, _)), Some((_, port))) => format!("{scheme}*{port}"),
            _ => self.0.clone(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The host, with the brackets of an IPv6 address, and the port.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let end = authority.rfind(']').unwrap_or(0);
    match authority.get(end..)?.split_once(':') {
        Some((rest, port)) => Some((authority.get(..end + rest.len())?, Some(port))),
        None => Some((authority, None)),
    }
}

/// Whether a text is the name or the address of a host. Nothing else may stand in a policy or in the document.
fn is_host(text: &str) -> bool {
    let address = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
            !text.is_empty() && text.bytes().all(is_good)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Origin;

    #[test]
    fn another_port_is_on_the_host_of_the_request() {
        for (host, expected, policy) in [
            (Some("127.0.0.1:8001"), "http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            (Some("Groups.example.com"), "http://Groups.example.com:8000", "http://Groups.example.com:8000"),
            (Some("[::1]:8001"), "http://[::1]:8000", "http://*:8000"),
            (Some("[::1]"), "http://[::1]:8000", "http://*:8000"),
            (None, "http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            (Some(""), "http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            (Some("x; script-src *:1"), "http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            (Some("[x]:1"), "http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            (Some("user@host:1"), "http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ] {
            let origin = Origin::beside(host, 8000);
            assert_eq!((origin.to_string(), origin.in_policy()), (expected.to_owned(), policy.to_owned()));
        }
    }

    #[test]
    fn a_setting_is_an_origin_and_nothing_more() {
        for (text, expected) in [
            ("https://api.example.com", Some("https://api.example.com")),
            ("https://api.example.com:8443/", Some("https://api.example.com:8443")),
            ("http://[2001:db8::1]:8000", Some("http://[2001:db8::1]:8000")),
            ("api.example.com", None),
            ("ftp://api.example.com", None),
            ("https://", None),
            ("https://api.example.com/v2", None),
            ("https://api.example.com:port", None),
            ("https://api.example.com:", None),
            ("https://user:word@api.example.com", None),
            ("https://api.example.com; script-src *", None),
        ] {
            assert_eq!(Origin::parse(text).map(|origin| origin.to_string()).as_deref(), expected, "{text}");
        }
    }
}
