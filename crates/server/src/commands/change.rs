//! The changes of a store that commands ask for, and the lines that answer them. `apply` asks, `make` makes, and
//! `remote` is the way between two processes.

use serde::{Deserialize, Serialize};

/// A change of a store. It has no `Debug`, because some hold a password.
#[derive(Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Change {
    CreateAccount { name: String, realm: Option<String>, parent: Option<String>, unless_exists: bool },
    CreateUser { account: String, username: String, password: String, is_admin: bool, unless_exists: bool },
    SetPassword { account: String, user: String, password: String },
    PushViews { account: Option<String> },
}

impl Change {
    /// The command that asks for the change.
    pub(super) fn command(&self) -> &'static str {
        match self {
            Self::CreateAccount { .. } => "account create",
            Self::CreateUser { .. } => "user create",
            Self::SetPassword { .. } => "user passwd",
            Self::PushViews { .. } => "views push",
        }
    }
}

/// How a line begins that is a warning.
pub(super) const WARNING: &str = "warning: ";

/// A line that is a warning.
pub(super) fn warning(text: &str) -> String {
    format!("{WARNING}{text}")
}
