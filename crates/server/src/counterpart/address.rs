//! The address of another server: a scheme, a host and a port, and nothing else.

use std::fmt;

use reqwest::Url;

/// The address of another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CounterpartUrl(Url);

impl CounterpartUrl {
    /// Reads an address. An error is the rest of a sentence, and repeats nothing of the text, which may hold a
    /// password.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let refused = |why: &str| Err(format!("{why}: write it as http://HOST:8000"));
        let text = text.trim();
        if !["http://", "https://"].iter().any(|scheme| text.starts_with(scheme)) {
            return refused("must begin with http:// or https://");
        }
        let Ok(url) = Url::parse(text) else { return refused("cannot be read as a URL") };
        if !url.username().is_empty() || url.password().is_some() {
            return refused(
                "holds a user or a password, and this server only forwards the tokens of clients",
            );
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return refused("has more than a host and a port");
        }
        Ok(Self(url))
    }

    pub(super) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The URL of a path and query on this server. `None` if it would lead anywhere else.
    pub(super) fn at(&self, target: &str) -> Option<Url> {
        if !target.starts_with('/') {
            return None;
        }
        let url = Url::parse(&format!("{self}{target}")).ok()?;
        (url.origin() == self.0.origin()).then_some(url)
    }
}

impl fmt::Display for CounterpartUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::CounterpartUrl;

    #[test]
    fn an_address_is_a_scheme_a_host_and_a_port() {
        for (text, shown) in [
            ("http://crossbar:8000", "http://crossbar:8000"),
            (" https://crossbar/ ", "https://crossbar"),
            ("http://[::1]:8000", "http://[::1]:8000"),
        ] {
            assert_eq!(CounterpartUrl::parse(text).unwrap().to_string(), shown);
        }
        for text in [
            "",
            "crossbar:8000",
            "ftp://x",
            "http://",
            "http://x/v2",
            "http://x?a",
            "http://u:very-secret@x",
            "http://x:y",
        ] {
            let refused = CounterpartUrl::parse(text).unwrap_err();
            assert!(refused.contains("http://HOST:8000") && !refused.contains("very-secret"), "{refused}");
        }
    }

    #[test]
    fn a_target_leads_to_no_other_server() {
        let url = CounterpartUrl::parse("http://crossbar:8000").unwrap();
        let at = |target| url.at(target).map(String::from);
        assert_eq!(at("/v2/x?a=%20b").as_deref(), Some("http://crossbar:8000/v2/x?a=%20b"));
        assert_eq!(at("//evil/v2").as_deref(), Some("http://crossbar:8000//evil/v2"));
        for target in ["", "@evil/", ".evil/", ":80/", "http://evil/"] {
            assert_eq!(at(target), None, "{target}");
        }
    }
}
