//! The documents of `system_config` that this program reads.

use datastore::DocId;

/// A document of `system_config` that this program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConfigDocument {
    /// The id of the master account.
    Accounts,
    /// The signing key of tokens, and the system's secret.
    Auth,
    /// The id of the cluster.
    Cluster,
    /// The costs of requests, the reverse proxies, and the default language.
    Crossbar,
    /// Settings of logins and tokens: how long a token is valid, for instance.
    CrossbarAuth,
    /// What callers may do with tokens.
    CrossbarTokenRestrictions,
    /// The types of documents whose changes are not told.
    Datamgr,
    /// The versions that Kazoo's nodes have migrated the databases to.
    KappsMaintenance,
    /// The size of the buckets that pay for requests.
    TokenBuckets,
}

impl ConfigDocument {
    /// Every document. The table in `docs/kazoo.md` lists them too.
    pub const ALL: [Self; 9] = [
        Self::Accounts,
        Self::Auth,
        Self::Cluster,
        Self::Crossbar,
        Self::CrossbarAuth,
        Self::CrossbarTokenRestrictions,
        Self::Datamgr,
        Self::KappsMaintenance,
        Self::TokenBuckets,
    ];

    /// The id of the document, as text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Auth => "auth",
            Self::Cluster => "cluster",
            Self::Crossbar => "crossbar",
            Self::CrossbarAuth => "crossbar.auth",
            Self::CrossbarTokenRestrictions => "crossbar.token_restrictions",
            Self::Datamgr => "datamgr",
            Self::KappsMaintenance => "kapps_maintenance",
            Self::TokenBuckets => "token_buckets",
        }
    }

    /// The id of the document.
    #[must_use]
    pub fn id(self) -> DocId {
        DocId::from_store(self.as_str().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::ConfigDocument;

    /// Operators learn from the table what a user of the CouchDB must be able to read.
    #[test]
    fn the_table_of_the_documentation_lists_every_document() {
        let page = include_str!("../../../docs/kazoo.md");
        let row = page.lines().find(|line| line.starts_with("| `system_config` |")).unwrap();
        let read = row.split('|').nth(2).unwrap();
        let documented: Vec<_> = read.split(',').map(|name| name.trim().trim_matches('`')).collect();
        assert_eq!(documented, ConfigDocument::ALL.map(ConfigDocument::as_str));
    }
}
