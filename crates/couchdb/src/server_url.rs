//! Where a CouchDB is and who we are there. Credentials are taken out of the address as soon as it is
//! read, so that no error, log line or debug print can show them.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use reqwest::header::HeaderValue;

/// A text that is never shown: it prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text into custody.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why a text is not the address of a CouchDB. The text is not repeated: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// There is no `http://` or `https://` in front.
    #[error("the CouchDB URL must begin with http:// or https://, as in http://user:password@host:5984")]
    Scheme,
    /// There is no host.
    #[error("the CouchDB URL names no host; write it as http://user:password@host:5984")]
    Host,
    /// There is a `?` or a `#`.
    #[error("the CouchDB URL must end with the host, the port or a path; leave out what follows ? or #")]
    Extra,
    /// It is no URL, for instance because of an unescaped character in the password.
    #[error(
        "the CouchDB URL cannot be read; write it as http://user:password@host:5984 and percent-encode \
         special characters of user and password"
    )]
    Shape,
}

/// The address of a CouchDB: `http(s)://[user[:password]@]host[:port][/prefix]`.
///
/// It prints without credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    /// Without credentials and without a slash at the end.
    base: String,
    login: Option<(String, Secret)>,
}

impl ServerUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// [`UrlError`], one line that says what to write instead.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        let rest = strip_scheme(text).ok_or(UrlError::Scheme)?;
        // The URL library would take `http:///db` for the host `db`.
        if rest.is_empty() || rest.starts_with(['/', ':', '?', '#']) || rest.ends_with('@') {
            return Err(UrlError::Host);
        }
        let mut url = reqwest::Url::parse(text).map_err(|_| UrlError::Shape)?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(UrlError::Host);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(UrlError::Extra);
        }
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some((decode(user)?, Secret::new(decode(password.unwrap_or_default())?))),
        };
        url.set_username("").map_err(|()| UrlError::Shape)?;
        url.set_password(None).map_err(|()| UrlError::Shape)?;
        Ok(Self { base: url.as_str().trim_end_matches('/').to_owned(), login })
    }

    /// The address without credentials and without a slash at the end.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The user that requests are made as.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.login.as_ref().map(|(user, _)| user.as_str())
    }

    /// The `authorization` header that logs in, marked so that it is never printed.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        let (user, password) = self.login.as_ref()?;
        let token = STANDARD.encode(format!("{user}:{}", password.expose()));
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
        f.write_str(&self.base)
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerUrl").field("base", &self.base).field("user", &self.user()).finish()
    }
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
    use super::{Secret, ServerUrl, UrlError};

    #[test]
    fn an_address_is_taken_apart() {
        let url = ServerUrl::parse("http://admin:p%40ss%2Fword@couch.example:5984/kazoo/").unwrap();
        assert_eq!(url.base(), "http://couch.example:5984/kazoo");
        assert_eq!(url.user(), Some("admin"));
        let header = url.authorization().unwrap();
        assert!(header.is_sensitive());
        assert_eq!(header.to_str().unwrap(), "Basic YWRtaW46cEBzcy93b3Jk");
    }

    #[test]
    fn without_credentials_nothing_is_sent() {
        for text in ["http://127.0.0.1:5984", "https://[::1]/", " HTTP://localhost "] {
            assert!(ServerUrl::parse(text).unwrap().authorization().is_none(), "{text}");
        }
    }

    #[test]
    fn a_wrong_address_says_what_to_write_in_one_line() {
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
        let shown = format!("{url} {url:?} {:?} {0}", Secret::new("hunter2"));
        assert!(!shown.contains("hunter2") && shown.contains("***"), "{shown}");
        assert!(!format!("{:?}", url.authorization()).contains("Basic"));
    }
}
