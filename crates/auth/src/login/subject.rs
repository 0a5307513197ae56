//! The account and the user that a login belongs to. The log shows their ids.

use std::sync::OnceLock;

use kazoo::AccountId;

/// The account and the user that a login belongs to, as far as the login has found them. Their ids come from the store,
/// and never from what a client has sent.
#[derive(Debug, Default)]
pub struct LoginSubject {
    named: OnceLock<AccountId>,
    proven: OnceLock<Proven>,
}

/// Whom the credentials belong to.
#[derive(Debug)]
struct Proven {
    account_id: AccountId,
    user_id: Option<String>,
}

impl LoginSubject {
    /// The account that the credentials belong to, else the one that the client has named. If several have this name,
    /// it is the first.
    #[must_use]
    pub fn account_id(&self) -> Option<&AccountId> {
        let proven = self.proven.get().map(|proven| &proven.account_id);
        proven.or_else(|| self.named.get())
    }

    /// The user that the credentials belong to.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.proven.get()?.user_id.as_deref()
    }

    /// The client has named these accounts.
    pub(super) fn set_named(&self, accounts: &[AccountId]) {
        if let Some(first) = accounts.first() {
            // A login names accounts once.
            let _ = self.named.set(first.clone());
        }
    }

    /// The credentials belong to this user, or to the account itself.
    pub(super) fn set_proven(&self, account_id: &AccountId, user_id: Option<&str>) {
        let proven = Proven { account_id: account_id.clone(), user_id: user_id.map(str::to_owned) };
        // A login proves credentials once.
        let _ = self.proven.set(proven);
    }
}

#[cfg(test)]
mod tests {
    use kazoo::AccountId;

    use super::LoginSubject;

    #[test]
    fn proven_credentials_win_over_the_name_of_an_account() {
        let [first, second] = ["1", "2"].map(|digit| AccountId::parse(&digit.repeat(32)).unwrap());
        let subject = LoginSubject::default();
        subject.set_named(&[]);
        assert_eq!((subject.account_id(), subject.user_id()), (None, None));
        subject.set_named(&[first.clone(), second.clone()]);
        assert_eq!((subject.account_id(), subject.user_id()), (Some(&first), None));
        subject.set_proven(&second, Some("user"));
        assert_eq!((subject.account_id(), subject.user_id()), (Some(&second), Some("user")));
    }
}
