//! The commands that change accounts, users, keys and views. A command makes its change itself, and tells the
//! brokers of it. If a server has the embedded store open, the command hands the change to that server, so that
//! nothing needs to be stopped.

use std::io::{IsTerminal as _, Read as _};

use auth::{Secret, bootstrap};

use super::super::{BACKGROUND_THREADS, contact, deadline, notices_out, runtime, say, warn};
use super::make::make;
use super::{BesideKazoo, Change, WARNING, remote};
use crate::arguments::{
    AccountCreate, AccountNamed, ChangedStore, KeyRetire, KeyRotate, UserCreate, UserNamed, UserPasswd,
    ViewsPush,
};
use crate::failure::Failure;
use crate::settings::StoreLocation;
use crate::stack::{self, Opening};

/// The longest password that is accepted, with its line end.
const MAX_PASSWORD_BYTES: u64 = 4096;

pub(crate) fn create_account(arguments: AccountCreate) -> Result<(), Failure> {
    if !bootstrap::is_account_name(&arguments.name) {
        return Err(Failure::setup(format!(
            "{:?} cannot name an account: logging in ignores all characters but ASCII letters and digits, so a name \
             needs one of these",
            arguments.name
        )));
    }
    // An account below another one cannot be the first of a new store.
    let opening = if arguments.parent.is_some() { Opening::Write } else { Opening::Create };
    let AccountCreate { store, name, realm, parent, unless_exists } = arguments;
    apply(&store, opening, Change::CreateAccount { name, realm, parent, unless_exists })
}

pub(crate) fn create_user(arguments: UserCreate) -> Result<(), Failure> {
    if arguments.username.trim().is_empty() {
        return Err(Failure::setup("--username is empty: it is the name to log in with"));
    }
    let password = read_password(arguments.password_stdin)?.expose().to_owned();
    let UserCreate { store, account, username, admin, unless_exists, .. } = arguments;
    let change = Change::CreateUser { account, username, password, is_admin: admin, unless_exists };
    apply(&store, Opening::Write, change)
}

pub(crate) fn set_password(arguments: UserPasswd) -> Result<(), Failure> {
    let password = read_password(arguments.password_stdin)?.expose().to_owned();
    let UserNamed { store, account, user } = arguments.user;
    apply(&store, Opening::Write, Change::SetPassword { account, user, password })
}

pub(crate) fn disable_account(arguments: AccountNamed) -> Result<(), Failure> {
    set_account_logins(arguments, false)
}

pub(crate) fn enable_account(arguments: AccountNamed) -> Result<(), Failure> {
    set_account_logins(arguments, true)
}

fn set_account_logins(arguments: AccountNamed, allowed: bool) -> Result<(), Failure> {
    let AccountNamed { store, account } = arguments;
    apply(&store, Opening::Write, Change::SetAccountLogins { account, allowed })
}

pub(crate) fn disable_user(arguments: UserNamed) -> Result<(), Failure> {
    set_user_logins(arguments, false)
}

pub(crate) fn enable_user(arguments: UserNamed) -> Result<(), Failure> {
    set_user_logins(arguments, true)
}

fn set_user_logins(arguments: UserNamed, allowed: bool) -> Result<(), Failure> {
    let UserNamed { store, account, user } = arguments;
    apply(&store, Opening::Write, Change::SetUserLogins { account, user, allowed })
}

pub(crate) fn delete_user(arguments: UserNamed) -> Result<(), Failure> {
    let UserNamed { store, account, user } = arguments;
    apply(&store, Opening::Write, Change::DeleteUser { account, user })
}

pub(crate) fn rotate_key(arguments: &KeyRotate) -> Result<(), Failure> {
    let beside_kazoo = beside_kazoo(&arguments.store, arguments.shared)?;
    apply(&arguments.store, Opening::Write, Change::RotateKey { beside_kazoo })
}

pub(crate) fn retire_key(arguments: KeyRetire) -> Result<(), Failure> {
    let beside_kazoo = beside_kazoo(&arguments.store, arguments.shared)?;
    let KeyRetire { store, key, now, .. } = arguments;
    apply(&store, Opening::Write, Change::RetireKey { key, ends_tokens: now, beside_kazoo })
}

/// A file is this program's alone, even if its documents came from a Kazoo.
fn beside_kazoo(store: &ChangedStore, is_wanted: bool) -> Result<BesideKazoo, Failure> {
    let goes_on = is_wanted || store.settings()?.location.is_own();
    Ok(if goes_on { BesideKazoo::GoesOn } else { BesideKazoo::IsRefused })
}

pub(crate) fn push_views(arguments: ViewsPush) -> Result<(), Failure> {
    let ViewsPush { store, account } = arguments;
    apply(&store, Opening::Write, Change::PushViews { account })
}

/// Makes a change, by the server that has the store open if there is one, and prints what it tells.
fn apply(arguments: &ChangedStore, opening: Opening, change: Change) -> Result<(), Failure> {
    let settings = arguments.settings()?;
    let notice_settings = arguments.notices()?;
    if let StoreLocation::File(path) = &settings.location
        && let Some(lines) = remote::ask(path, &change)?
    {
        return lines.iter().try_for_each(|line| tell(line));
    }
    // An embedded store that no server has open is nobody else's, so there is nobody to tell.
    let told = if settings.location.is_own() { None } else { notices_out::settings(&notice_settings) };
    let stack = stack::build(&settings, opening, None, told)?;
    runtime("background", BACKGROUND_THREADS)?.block_on(async {
        contact::check(&stack, &settings.location, deadline()).await?;
        let made = make(change, &*stack.store);
        let lines = match &stack.notices {
            Some(notices) => notices_out::made_and_told(made, notices, &notice_settings).await,
            None => made.await,
        }?;
        lines.iter().try_for_each(|line| tell(line))
    })
}

/// Prints a line. A warning goes to standard error.
fn tell(line: &str) -> Result<(), Failure> {
    match line.strip_prefix(WARNING) {
        Some(text) => {
            warn(text);
            Ok(())
        }
        None => say(line),
    }
}

/// Reads the password from standard input or asks for it at the terminal, where it stays hidden. It is
/// never an argument, because every user of the machine can see arguments.
fn read_password(from_stdin: bool) -> Result<Secret, Failure> {
    let unreadable = |error: std::io::Error| Failure::run(format!("cannot read the password: {error}"));
    let text = if from_stdin {
        let mut text = String::new();
        std::io::stdin().take(MAX_PASSWORD_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
        text
    } else if std::io::stdin().is_terminal() {
        let text = rpassword::prompt_password("Password: ").map_err(unreadable)?;
        if rpassword::prompt_password("The same once more: ").map_err(unreadable)? != text {
            return Err(Failure::setup("the two passwords differ: nothing was changed, try again"));
        }
        text
    } else {
        return Err(Failure::setup(
            "there is no terminal to ask for the password: pipe it in and add --password-stdin",
        ));
    };
    let is_too_long = u64::try_from(text.len()).map_or(true, |bytes| bytes > MAX_PASSWORD_BYTES);
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(Failure::setup("the password is empty")),
        _ if is_too_long => {
            Err(Failure::setup(format!("the password is longer than {MAX_PASSWORD_BYTES} bytes")))
        }
        password if password.contains(['\r', '\n']) => {
            Err(Failure::setup("the password has more than one line: pipe in one line"))
        }
        password => Ok(Secret::new(password)),
    }
}
