//! The databases of the whole cluster. No single account owns them.

use std::sync::LazyLock;

use datastore::DbName;

/// A database of the whole cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SystemDb {
    /// A copy of every account's own document. Its views look accounts up.
    Accounts,
    /// Billing, and who is a reseller. One document for each account.
    Services,
    /// Signing keys and bearer documents.
    SystemAuth,
    /// Configuration documents, read through [`Config`](crate::Config).
    SystemConfig,
    /// The registry of views, and plans of where databases are.
    SystemData,
    /// The schemas of documents.
    SystemSchemas,
}

impl SystemDb {
    /// The database's name.
    #[must_use]
    pub fn name(self) -> &'static DbName {
        static ACCOUNTS: LazyLock<DbName> = LazyLock::new(|| parse("accounts"));
        static SERVICES: LazyLock<DbName> = LazyLock::new(|| parse("services"));
        static SYSTEM_AUTH: LazyLock<DbName> = LazyLock::new(|| parse("system_auth"));
        static SYSTEM_CONFIG: LazyLock<DbName> = LazyLock::new(|| parse("system_config"));
        static SYSTEM_DATA: LazyLock<DbName> = LazyLock::new(|| parse("system_data"));
        static SYSTEM_SCHEMAS: LazyLock<DbName> = LazyLock::new(|| parse("system_schemas"));
        match self {
            Self::Accounts => &ACCOUNTS,
            Self::Services => &SERVICES,
            Self::SystemAuth => &SYSTEM_AUTH,
            Self::SystemConfig => &SYSTEM_CONFIG,
            Self::SystemData => &SYSTEM_DATA,
            Self::SystemSchemas => &SYSTEM_SCHEMAS,
        }
    }
}

#[allow(clippy::expect_used, reason = "called with the constants above only; a test reads them all")]
fn parse(name: &str) -> DbName {
    DbName::parse(name).expect("a constant database name")
}

#[cfg(test)]
mod tests {
    use super::SystemDb;

    #[test]
    fn every_system_database_has_a_name() {
        let all = [
            (SystemDb::Accounts, "accounts"),
            (SystemDb::Services, "services"),
            (SystemDb::SystemAuth, "system_auth"),
            (SystemDb::SystemConfig, "system_config"),
            (SystemDb::SystemData, "system_data"),
            (SystemDb::SystemSchemas, "system_schemas"),
        ];
        for (db, name) in all {
            assert_eq!(db.name().as_str(), name);
        }
    }
}
