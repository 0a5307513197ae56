//! The value of the setting `store`: a file, or the nodes of a CouchDB.

use std::fmt;
use std::path::{Path, PathBuf};

use couchdb::ServerUrl;

/// The location of a store.
#[derive(Clone, Debug)]
pub(crate) enum StoreLocation {
    /// A file on this machine.
    File(PathBuf),
    /// A CouchDB, and further nodes of its cluster.
    CouchDb(ServerUrl, Vec<ServerUrl>),
}

impl StoreLocation {
    /// Reads `sqlite:PATH`, or the URLs of a CouchDB's nodes with white space between them. The text may hold a
    /// password, so errors never repeat it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split_whitespace();
        let is_address =
            |part: &str| ["http://", "https://", "sqlite:"].iter().any(|scheme| part.starts_with(scheme));
        if text.split_whitespace().any(|part| part.starts_with("sqlite:"))
            && text.split_whitespace().skip(1).any(is_address)
        {
            return Err(
                "names a file beside another address: a store is one file, or the nodes of one CouchDB \
                        cluster"
                    .to_owned(),
            );
        }
        if let Some(path) = text.strip_prefix("sqlite:") {
            return check_path(path).map(|()| Self::File(PathBuf::from(path)));
        }
        let first = read_url(parts.next().unwrap_or_default())?;
        let further = parts.map(read_url).collect::<Result<Vec<_>, _>>()?;
        let mut addresses: Vec<_> = further.iter().chain([&first]).map(ToString::to_string).collect();
        addresses.sort();
        if addresses.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
            return Err("names an address twice: each node of a cluster has its own".to_owned());
        }
        Ok(Self::CouchDb(first, further))
    }

    /// Whether the location contains a password.
    pub(crate) fn holds_password(&self) -> bool {
        self.urls().any(ServerUrl::has_password)
    }

    /// Whether one of the addresses has this port.
    pub(super) fn has_port(&self, port: u16) -> bool {
        self.urls().any(|url| url.port() == Some(port))
    }

    /// The location as other people may see it.
    pub(super) fn shown(&self) -> String {
        let shown = |url: &ServerUrl| match url.has_password() {
            true => url.to_string().replacen("://", "://***@", 1),
            false => url.to_string(),
        };
        match self {
            Self::File(_) => self.to_string(),
            Self::CouchDb(..) => self.urls().map(shown).collect::<Vec<_>>().join("\n"),
        }
    }

    fn urls(&self) -> impl Iterator<Item = &ServerUrl> {
        let (first, further): (_, &[ServerUrl]) = match self {
            Self::File(_) => (None, &[]),
            Self::CouchDb(first, further) => (Some(first), further),
        };
        first.into_iter().chain(further)
    }

    /// The same store by the path that every command comes to, whatever links it was given.
    pub(super) fn at_its_place(self) -> Self {
        match self {
            Self::File(path) => Self::File(embedded::place_of(&path)),
            Self::CouchDb(..) => self,
        }
    }

    /// The file of an embedded store.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::CouchDb(..) => None,
        }
    }

    /// Whether only this program can have set up the store, so that it may create every view.
    pub(crate) fn is_own(&self) -> bool {
        matches!(self, Self::File(_))
    }
}

fn read_url(text: &str) -> Result<ServerUrl, String> {
    ServerUrl::parse(text).map_err(|error| {
        format!("is neither sqlite:PATH nor http(s)://USER:PASSWORD@HOST:PORT: {}", crate::chain(&error))
    })
}

/// Refuses what other programs take for a location of SQLite, but what is no path.
fn check_path(path: &str) -> Result<(), String> {
    let refused = |why: &str| Err(why.to_owned());
    let begins_with =
        |word: &str| path.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word));
    let (_, name) = path.rsplit_once('/').unwrap_or(("", path));
    if path.is_empty() {
        refused("names no file: write sqlite:PATH")
    } else if path.starts_with("//") {
        refused(
            "has no path after `sqlite:`, but slashes of a URL: write sqlite:store.db for a file in the working \
             directory, or sqlite:/folder/store.db",
        )
    } else if path.trim() != path {
        refused("begins or ends with a blank: write sqlite:PATH without blanks around PATH")
    } else if path.chars().any(char::is_control) {
        refused("holds a control character, such as a line end or a tab: write sqlite:PATH in one line")
    } else if path.starts_with(['"', '\'']) {
        refused(
            "has a quote before the path: write sqlite:PATH without quotes, or quote all of it for the shell",
        )
    } else if path.starts_with(['~', '$']) {
        refused(
            "begins with a `~` or a `$`, which only a shell replaces, and not behind `sqlite:`: write the whole \
             path, as in sqlite:/folder/store.db",
        )
    } else if matches!(name, "" | "." | "..") {
        refused(
            "names a folder: write sqlite:PATH with the name of a file at its end, as in sqlite:/folder/store.db",
        )
    } else if begins_with(":memory:") || name.eq_ignore_ascii_case(":memory:") {
        refused(
            "names no file: a store in memory would lose everything when the server stops. Write \
             sqlite:PATH, for trials below /tmp",
        )
    } else if begins_with("file:") || path.contains('?') {
        refused("is a URI of SQLite: write sqlite:PATH, without `file:` and without parameters after a `?`")
    } else {
        Ok(())
    }
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "sqlite:{}", path.display()),
            // A ServerUrl shows no credentials.
            Self::CouchDb(first, further) => {
                write!(f, "{first}")?;
                further.iter().try_for_each(|url| write!(f, " {url}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::StoreLocation;

    #[test]
    fn a_couchdb_may_have_several_nodes() {
        let one = "http://u:p,1@a:5984";
        let several = format!("{one}\n https://u:p@b\thttp://c:15984/");
        for (text, shown, has_password) in [
            (one, "http://***@a:5984", true),
            (several.as_str(), "http://***@a:5984\nhttps://***@b\nhttp://c:15984", true),
            ("http://a http://b", "http://a\nhttp://b", false),
        ] {
            let location = StoreLocation::parse(text).unwrap();
            assert_eq!((location.shown().as_str(), location.holds_password()), (shown, has_password));
            let plain = shown.replace("***@", "").replace('\n', " ");
            assert_eq!(location.to_string(), plain);
        }
        for (text, words) in [
            ("http://a:1 http://u:secret@a:1", "twice"),
            ("sqlite:a.db http://u:secret@b", "beside another"),
            ("http://u:secret@b sqlite:a.db", "beside another"),
            ("sqlite:a.db\nsqlite:b.db", "beside another"),
            ("http://a u:secret@b", "neither"),
            ("", "neither"),
        ] {
            let error = StoreLocation::parse(text).unwrap_err();
            assert!(error.contains(words) && !error.contains("secret"), "{text}: {error}");
        }
    }

    #[test]
    fn only_paths_are_taken_for_files() {
        for (text, words) in [
            ("sqlite:", "write sqlite:PATH"),
            ("sqlite://store.db", "sqlite:store.db"),
            ("sqlite:///folder/store.db", "sqlite:/folder/store.db"),
            ("sqlite::memory:", "in memory"),
            ("sqlite::MEMORY:", "in memory"),
            ("sqlite::memory:?cache=shared", "in memory"),
            ("sqlite:./:memory:", "in memory"),
            ("sqlite:/folder/:Memory:", "in memory"),
            ("sqlite:file:store.db", "without `file:`"),
            ("sqlite:FILE:store.db", "without `file:`"),
            ("sqlite:store.db?mode=ro", "without parameters"),
            ("sqlite: store.db", "without blanks"),
            ("sqlite:store.db ", "without blanks"),
            ("sqlite:store.db\n", "without blanks"),
            ("sqlite: ", "without blanks"),
            ("sqlite:sto\tre.db", "in one line"),
            ("sqlite:\"store.db\"", "without quotes"),
            ("sqlite:'store.db'", "without quotes"),
            ("sqlite:~/store.db", "the whole path"),
            ("sqlite:$HOME/store.db", "the whole path"),
            ("sqlite:/folder/", "names a folder"),
            ("sqlite:.", "names a folder"),
            ("sqlite:/folder/..", "names a folder"),
        ] {
            let error = StoreLocation::parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        for text in [
            "sqlite:store.db",
            "sqlite:./a:b",
            "sqlite:/folder/store.db",
            "sqlite:../store.db",
            "sqlite:my store.db",
            "sqlite:memory",
            "sqlite:é",
        ] {
            assert_eq!(StoreLocation::parse(text).unwrap().to_string(), text);
        }
    }
}
