//! Account ids, and the database that each account has.

use std::collections::BTreeSet;
use std::fmt;

use datastore::{DbName, DocId, NameError};

/// The id of a Kazoo account: 32 lower-case letters and digits. Kazoo's own ids are hexadecimal.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId([u8; LENGTH]);

/// The length of an account id, in bytes.
const LENGTH: usize = 32;

/// Whether Kazoo's macro `MATCH_ACCOUNT_RAW` takes a text for an account id. It takes any 32 bytes. Use this only
/// to copy what Kazoo does; [`AccountId::parse`] is stricter.
#[must_use]
pub fn matches_account_raw(text: &str) -> bool {
    text.len() == LENGTH
}

impl AccountId {
    /// Reads an account id in its raw form. Crossbar's paths accept only this form.
    ///
    /// # Errors
    /// [`NameError::Length`] if the text is not 32 bytes long. [`NameError::Shape`] if it holds a character
    /// other than a lower-case letter or a digit.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let bytes: [u8; LENGTH] = text.as_bytes().try_into().map_err(|_| NameError::Length)?;
        if !bytes.iter().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()) {
            return Err(NameError::Shape);
        }
        Ok(Self(bytes))
    }

    /// The account that owns a database. `None` if it is not an account's database.
    #[must_use]
    pub fn of_db(db: &DbName) -> Option<Self> {
        let id = db.as_str().strip_prefix("account/")?.replace('/', "");
        Self::parse(&id).ok().filter(|account| account.db() == *db)
    }

    /// The accounts that have a database, of all databases of a store.
    #[must_use]
    pub fn with_database(dbs: &[DbName]) -> BTreeSet<Self> {
        dbs.iter().filter_map(Self::of_db).collect()
    }

    /// The id as text.
    #[must_use]
    #[allow(clippy::expect_used, reason = "`parse` accepts ASCII only")]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an account id is ASCII")
    }

    /// The account's database, `account/aa/bb/…`.
    #[must_use]
    #[allow(clippy::expect_used, reason = "the characters of an account id are allowed in database names")]
    pub fn db(&self) -> DbName {
        let (head, rest) = self.as_str().split_at(4);
        let (first, second) = head.split_at(2);
        DbName::parse(&format!("account/{first}/{second}/{rest}")).expect("an account id names a database")
    }

    /// The id of the account's own document in its database.
    #[must_use]
    pub fn doc_id(&self) -> DocId {
        DocId::from_store(self.as_str().to_owned())
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountId({self})")
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::{AccountId, matches_account_raw};
    use datastore::{DbName, NameError};

    #[test]
    fn an_account_names_its_database() {
        let id = AccountId::parse("11112222333344445555666677778888").unwrap();
        assert_eq!(id.db().as_str(), "account/11/11/2222333344445555666677778888");
        assert_eq!(id.db().encoded(), "account%2F11%2F11%2F2222333344445555666677778888");
        assert_eq!(AccountId::of_db(&id.db()), Some(id));
    }

    #[test]
    fn other_databases_belong_to_no_account() {
        for name in
            ["accounts", "account/11", "account/111/1/2222333344445555666677778888", "account/11/11/x-202601"]
        {
            assert_eq!(AccountId::of_db(&DbName::parse(name).unwrap()), None, "{name}");
        }
    }

    #[test]
    fn the_accounts_of_a_store_are_those_with_a_database() {
        let one = AccountId::parse(&"1".repeat(32)).unwrap();
        let two = AccountId::parse(&"2".repeat(32)).unwrap();
        let other = DbName::parse("accounts").unwrap();
        let dbs = [two.db(), other, one.db(), two.db()];
        assert_eq!(AccountId::with_database(&dbs).into_iter().collect::<Vec<_>>(), [one, two]);
    }

    #[test]
    fn kazoo_s_macro_takes_any_32_bytes() {
        assert!(matches_account_raw(&"A".repeat(32)));
        assert!(matches_account_raw(&"é".repeat(16)));
        assert!(!matches_account_raw("11112222333344445555666677778888-202601"));
    }

    #[test]
    fn account_ids_of_other_forms_are_refused() {
        assert_eq!(AccountId::parse("xyz"), Err(NameError::Length));
        assert_eq!(AccountId::parse(&"A".repeat(32)), Err(NameError::Shape));
        assert_eq!(AccountId::parse(&"é".repeat(16)), Err(NameError::Shape));
        assert_eq!(AccountId::parse("account%2f11%2f11%2f223334444555"), Err(NameError::Shape));
    }
}
