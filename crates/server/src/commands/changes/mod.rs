//! The changes of a store that commands ask for, and the lines that a command prints for one. `apply` has the commands,
//! `make` makes a change, and `remote` hands one over to the server that has the store open.

pub(crate) mod apply;
mod make;
pub(super) mod remote;

use serde::{Deserialize, Serialize};

/// A change of a store. It has no `Debug`, because some hold a password.
#[derive(Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Change {
    CreateAccount { name: String, realm: Option<String>, parent: Option<String>, unless_exists: bool },
    CreateUser { account: String, username: String, password: String, is_admin: bool, unless_exists: bool },
    SetPassword { account: String, user: String, password: String },
    SetAccountLogins { account: String, allowed: bool },
    SetUserLogins { account: String, user: String, allowed: bool },
    DeleteUser { account: String, user: String },
    PushViews { account: Option<String> },
    RotateKey { beside_kazoo: BesideKazoo },
    RetireKey { key: String, ends_tokens: bool, beside_kazoo: BesideKazoo },
}

/// What a change of keys does if a Kazoo uses the store too.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::commands) enum BesideKazoo {
    /// It is made.
    GoesOn,
    /// It is refused.
    IsRefused,
}

impl Change {
    /// The command that asks for the change.
    pub(super) fn command(&self) -> &'static str {
        match self {
            Self::CreateAccount { .. } => "account create",
            Self::CreateUser { .. } => "user create",
            Self::SetPassword { .. } => "user passwd",
            Self::SetAccountLogins { allowed: false, .. } => "account disable",
            Self::SetAccountLogins { .. } => "account enable",
            Self::SetUserLogins { allowed: false, .. } => "user disable",
            Self::SetUserLogins { .. } => "user enable",
            Self::DeleteUser { .. } => "user delete",
            Self::PushViews { .. } => "views push",
            Self::RotateKey { .. } => "key rotate",
            Self::RetireKey { .. } => "key retire",
        }
    }

    /// The account, the user and the key that the change is about, by the names or ids that the command was given.
    /// Never a password.
    pub(super) fn about(&self) -> About<'_> {
        let none = About::default();
        match self {
            Self::CreateAccount { name, .. } => About { account: Some(name), ..none },
            Self::CreateUser { account, username: user, .. }
            | Self::SetPassword { account, user, .. }
            | Self::SetUserLogins { account, user, .. }
            | Self::DeleteUser { account, user } => {
                About { account: Some(account), user: Some(user), ..none }
            }
            Self::SetAccountLogins { account, .. } => About { account: Some(account), ..none },
            Self::PushViews { account } => About { account: account.as_deref(), ..none },
            Self::RotateKey { .. } => none,
            Self::RetireKey { key, .. } => About { key: Some(key), ..none },
        }
    }
}

/// What a change is about.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct About<'a> {
    pub(super) account: Option<&'a str>,
    pub(super) user: Option<&'a str>,
    pub(super) key: Option<&'a str>,
}

/// How a line begins that is a warning.
pub(super) const WARNING: &str = "warning: ";

/// A line that is a warning.
pub(super) fn warning(text: &str) -> String {
    format!("{WARNING}{text}")
}
