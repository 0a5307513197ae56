//! The commands about accounts, users, keys and views.

use clap::Args;

use super::store::{ChangedStore, StoreArguments};

/// `account create`.
#[derive(Args, Debug)]
pub(crate) struct AccountCreate {
    #[command(flatten)]
    pub(crate) store: ChangedStore,
    /// The account's name.
    #[arg(long)]
    pub(crate) name: String,
    /// The account's SIP realm [default: a random one].
    #[arg(long)]
    pub(crate) realm: Option<String>,
    /// The parent account, by its id or name.
    #[arg(long, value_name = "ID|NAME")]
    pub(crate) parent: Option<String>,
    /// If the account exists, print its id instead of refusing.
    #[arg(long)]
    pub(crate) unless_exists: bool,
}

/// `account list`.
#[derive(Args, Debug)]
pub(crate) struct AccountList {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
}

/// `account show`.
#[derive(Args, Debug)]
pub(crate) struct AccountShow {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// The account, by its id or name.
    #[arg(value_name = "ID|NAME")]
    pub(crate) account: String,
    /// Print the account's API key too. Whoever has it can act for the account.
    #[arg(long)]
    pub(crate) api_key: bool,
}

/// `account disable` and `account enable`.
#[derive(Args, Debug)]
pub(crate) struct AccountNamed {
    #[command(flatten)]
    pub(crate) store: ChangedStore,
    /// The account, by its id or name.
    #[arg(value_name = "ID|NAME")]
    pub(crate) account: String,
}

/// `user disable`, `user enable` and `user delete`.
#[derive(Args, Debug)]
pub(crate) struct UserNamed {
    #[command(flatten)]
    pub(crate) store: ChangedStore,
    /// The account that the user belongs to, by its id or name.
    #[arg(long, value_name = "ID|NAME")]
    pub(crate) account: String,
    /// The user, by its id or name.
    #[arg(long, value_name = "ID|NAME")]
    pub(crate) user: String,
}

/// `key list`.
#[derive(Args, Debug)]
pub(crate) struct KeyList {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
}

/// `key rotate`.
#[derive(Args, Debug)]
pub(crate) struct KeyRotate {
    #[command(flatten)]
    pub(crate) store: ChangedStore,
    /// Go on although a Kazoo uses the store. Its nodes sign with the old key until they read their settings again.
    #[arg(long)]
    pub(crate) shared: bool,
}

/// `key retire`.
#[derive(Args, Debug)]
pub(crate) struct KeyRetire {
    #[command(flatten)]
    pub(crate) store: ChangedStore,
    /// The id of the key.
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
    /// Do not wait until the key's tokens have expired: they end at once.
    #[arg(long)]
    pub(crate) now: bool,
    /// Go on although a Kazoo uses the store. Its nodes may still sign with the key.
    #[arg(long)]
    pub(crate) shared: bool,
}

/// `user list`.
#[derive(Args, Debug)]
pub(crate) struct UserList {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// The account, by its id or name.
    #[arg(long, value_name = "ID|NAME")]
    pub(crate) account: String,
}

/// `user passwd`.
#[derive(Args, Debug)]
pub(crate) struct UserPasswd {
    #[command(flatten)]
    pub(crate) user: UserNamed,
    /// Read the password from standard input instead of asking for it.
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

/// `user create`.
#[derive(Args, Debug)]
pub(crate) struct UserCreate {
    #[command(flatten)]
    pub(crate) store: ChangedStore,
    /// The account that the user belongs to, by its id or name.
    #[arg(long, value_name = "ID|NAME")]
    pub(crate) account: String,
    /// The name to log in with.
    #[arg(long)]
    pub(crate) username: String,
    /// Read the password from standard input instead of asking for it.
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Make the user an administrator of the account.
    #[arg(long)]
    pub(crate) admin: bool,
    /// If the user exists, print its id instead of refusing.
    #[arg(long)]
    pub(crate) unless_exists: bool,
}

/// `views push`.
#[derive(Args, Debug)]
pub(crate) struct ViewsPush {
    #[command(flatten)]
    pub(crate) store: ChangedStore,
    /// Push only to the database of this account, named by its id or name, and the database of all accounts
    /// [default: every account's].
    #[arg(long, value_name = "ID|NAME")]
    pub(crate) account: Option<String>,
}
