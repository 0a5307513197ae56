//! The address of a CouchDB and the login to it. The credentials are taken out of the address as soon as it
//! is read, so that no error, log line or debug print can show them.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Uri;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use reqwest::header::HeaderValue;

/// A password. It prints as `***`.
// Own code: a crate such as secrecy would be one more dependency for one `Debug`.
#[derive(Clone, PartialEq, Eq)]
struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why a text is not the address of a CouchDB. The text is not repeated, because it may hold a password.
///
/// ```
/// use couchdb::{ServerUrl, UrlError};
///
/// assert_eq!(ServerUrl::parse("localhost:5984"), Err(UrlError::Scheme));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It does not begin with `http://` or `https://`.
    #[error("the CouchDB URL must begin with http:// or https://, as in http://user:password@host:5984")]
    Scheme,
    /// It has no host.
    #[error("the CouchDB URL names no host; write it as http://user:password@host:5984")]
    Host,
    /// It has a `?` or a `#`.
    #[error("the CouchDB URL must end with the host, the port or a path; leave out what follows ? or #")]
    Extra,
    /// It is not a URL, for instance because the password has a character that must be escaped.
    #[error(
        "the CouchDB URL cannot be read; write it as http://user:password@host:5984 and percent-encode \
         special characters of user and password"
    )]
    Shape,
}

/// The address of a CouchDB: `http(s)://[user[:password]@]host[:port][/prefix]`.
///
/// It prints without credentials.
///
/// ```
/// let url: couchdb::ServerUrl = "http://admin:secret@127.0.0.1:5984/couch/".parse()?;
/// assert_eq!(url.to_string(), "http://127.0.0.1:5984/couch");
/// # Ok::<(), couchdb::UrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    /// Without credentials.
    base: Url,
    login: Option<(String, Password)>,
}

impl ServerUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// [`UrlError`]. Its text is one line that says how to write the address.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        let rest = strip_scheme(text).ok_or(UrlError::Scheme)?;
        // The URL library would read the host `db` from `http:///db`.
        if rest.is_empty() || rest.starts_with(['/', ':', '?', '#']) || rest.ends_with('@') {
            return Err(UrlError::Host);
        }
        let mut base = Url::parse(text).map_err(|_| UrlError::Shape)?;
        // The password has a `/`, `?` or `#`, which ended the host: what follows it would be taken for a path.
        if base.path().contains('@')
            || base.query().is_some_and(has_at)
            || base.fragment().is_some_and(has_at)
        {
            return Err(UrlError::Shape);
        }
        if base.host_str().is_none_or(str::is_empty) {
            return Err(UrlError::Host);
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(UrlError::Extra);
        }
        let login = match (base.username(), base.password()) {
            ("", None) => None,
            (user, password) => Some((decode(user)?, Password(decode(password.unwrap_or_default())?))),
        };
        base.set_username("").map_err(|()| UrlError::Shape)?;
        base.set_password(None).map_err(|()| UrlError::Shape)?;
        Ok(Self { base, login })
    }

    /// The address without credentials and without a slash at the end.
    fn base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    pub(crate) fn is_https(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// The address of a path on this server. The path begins with a slash, and path and query are escaped.
    pub(crate) fn at(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url.set_query(query);
        url
    }

    /// The address of a path on this server, as text.
    pub(crate) fn text(&self, path: &str) -> String {
        format!("{}{path}", self.base())
    }

    /// The server's root for requests over plain HTTP. `None` if it wants TLS.
    pub(crate) fn plain(&self) -> Option<Uri> {
        // The URL library has escaped what the other one does not take.
        self.base.as_str().parse().ok().filter(|_| !self.is_https())
    }

    /// Whether the URL has a password. A user alone is no secret.
    ///
    /// ```
    /// use couchdb::ServerUrl;
    ///
    /// assert!(ServerUrl::parse("http://admin:secret@127.0.0.1:5984")?.has_password());
    /// assert!(!ServerUrl::parse("http://admin@127.0.0.1:5984")?.has_password());
    /// # Ok::<(), couchdb::UrlError>(())
    /// ```
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.login.as_ref().is_some_and(|(_, Password(password))| !password.is_empty())
    }

    /// The port, which is that of the scheme if the URL names none.
    ///
    /// ```
    /// use couchdb::ServerUrl;
    ///
    /// assert_eq!(ServerUrl::parse("http://127.0.0.1:5984")?.port(), Some(5984));
    /// # Ok::<(), couchdb::UrlError>(())
    /// ```
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.base.port_or_known_default()
    }

    /// The `authorization` header, marked so that it is never printed.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        let (user, Password(password)) = self.login.as_ref()?;
        let token = STANDARD.encode(format!("{user}:{password}"));
        // Base64 is always a valid header.
        let mut value = HeaderValue::from_str(&format!("Basic {token}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl FromStr for ServerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base())
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.login.as_ref().map(|(user, _)| user);
        f.debug_struct("ServerUrl").field("base", &self.base()).field("user", &user).finish()
    }
}

fn has_at(text: &str) -> bool {
    text.contains('@')
}

fn strip_scheme(text: &str) -> Option<&str> {
    ["http://", "https://"].iter().find_map(|scheme| {
        let (head, rest) = text.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

fn decode(text: &str) -> Result<String, UrlError> {
    Ok(percent_decode_str(text).decode_utf8().map_err(|_| UrlError::Shape)?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::{Password, ServerUrl, UrlError};

    #[test]
    fn the_credentials_leave_the_address() {
        let url = ServerUrl::parse("http://admin:p%40ss%2Fword@couch.example:5984/kazoo/").unwrap();
        assert_eq!(url.base(), "http://couch.example:5984/kazoo");
        assert!(format!("{url:?}").contains("admin"));
        let header = url.authorization().unwrap();
        assert!(header.is_sensitive());
        assert_eq!(header.to_str().unwrap(), "Basic YWRtaW46cEBzcy93b3Jk");
    }

    #[test]
    fn an_address_without_credentials_sends_none() {
        for text in ["http://127.0.0.1:5984", "https://[::1]/", " HTTP://localhost "] {
            assert!(ServerUrl::parse(text).unwrap().authorization().is_none(), "{text}");
        }
    }

    #[test]
    fn the_error_for_a_wrong_address_is_one_line_that_shows_the_right_form() {
        for (text, expected) in [
            ("", UrlError::Scheme),
            ("localhost:5984", UrlError::Scheme),
            ("admin:hunter2@localhost:5984", UrlError::Scheme),
            ("ftp://localhost", UrlError::Scheme),
            ("sqlite:data.db", UrlError::Scheme),
            ("http://", UrlError::Host),
            ("http:///db", UrlError::Host),
            ("http://admin:hunter2@", UrlError::Host),
            ("http://admin:hunter2@:5984", UrlError::Shape),
            ("http://:5984", UrlError::Host),
            ("http://admin:hun/ter2@localhost:5984", UrlError::Shape),
            ("http://localhost:99999", UrlError::Shape),
            ("http://admin:12/hunter2@localhost:5984", UrlError::Shape),
            ("http://admin:12#hunter2@localhost:5984", UrlError::Shape),
            ("http://admin:12?hunter2@localhost:5984", UrlError::Shape),
            ("http://localhost/?x=1", UrlError::Extra),
            ("http://localhost/#x", UrlError::Extra),
        ] {
            let error = ServerUrl::parse(text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            let line = error.to_string();
            assert!(line.contains("CouchDB URL") && !line.contains('\n'), "{line}");
            assert!(!line.contains("hunter2") && !format!("{error:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_password_never_prints() {
        let url = ServerUrl::parse("http://admin:hunter2@localhost").unwrap();
        let shown = format!("{url} {url:?} {:?}", Password("hunter2".to_owned()));
        assert!(!shown.contains("hunter2") && shown.contains("***"), "{shown}");
        assert!(!format!("{:?}", url.authorization()).contains("Basic"));
    }

    #[test]
    fn a_path_follows_the_prefix_and_stays_escaped() {
        let at = |url: &str| {
            let (url, path) = (ServerUrl::parse(url).unwrap(), "/a%2Fb/c%3Fd");
            let address = url.at(path, None).to_string();
            assert_eq!(address, url.text(path));
            address
        };
        assert_eq!(at("http://u:p@host:5984"), "http://host:5984/a%2Fb/c%3Fd");
        assert_eq!(at("https://host/couch/"), "https://host/couch/a%2Fb/c%3Fd");
        assert_eq!(at("http://host/a b/%2f/"), "http://host/a%20b/%2f/a%2Fb/c%3Fd");
    }

    #[test]
    fn only_an_address_without_tls_has_a_root_for_plain_http() {
        let root = |url: &str| ServerUrl::parse(url).unwrap().plain().map(|root| root.to_string());
        assert_eq!(root("http://u:p@HOST:5984/a ü"), Some("http://host:5984/a%20%C3%BC".to_owned()));
        assert_eq!(root("http://ü.example:80"), Some("http://xn--tda.example/".to_owned()));
        assert_eq!(root("http://[::1]:1/"), Some("http://[::1]:1/".to_owned()));
        assert_eq!(root("https://host"), None);
    }
}
