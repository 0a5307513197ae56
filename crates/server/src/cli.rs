//! The command line: its commands, and how a failed command ends.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::builder::{OsStr, Resettable};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::arguments::{
    AccountCreate, AccountList, AccountNamed, AccountShow, Backup, Compare, Completions, Doctor, Export,
    Healthcheck, Import, KeyList, KeyRetire, KeyRotate, Man, Restore, Serve, Token, UserCreate, UserList,
    UserNamed, UserPasswd, ViewsPush,
};
use crate::failure::Failure;
use crate::{commands, logging, settings, usage};

/// The groups API of Kazoo's crossbar, on CouchDB or on an embedded store.
#[derive(Debug, Parser)]
#[command(name = "crossbar-groups", version = crate::VERSION)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one value, and it lives as long as the process")]
enum Command {
    /// Serve the API.
    Serve(Serve),
    /// Import lines of {"db","doc"} into a store.
    Import(Import),
    /// Print a store's documents as lines of {"db","doc"}.
    Export(Export),
    /// Copy an embedded store into a file, also while a server uses it.
    Backup(Backup),
    /// Put a backup in the place of an embedded store. The store that was there is kept.
    Restore(Restore),
    /// Print a token for an account or a user.
    Token(Token),
    /// Create, show, disable and enable accounts.
    #[command(subcommand)]
    Account(AccountCommand),
    /// Create, list, disable, enable and delete users, and set their passwords.
    #[command(subcommand)]
    User(UserCommand),
    /// List the keys that sign tokens, make a new one, and end an old one.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Create views.
    #[command(subcommand)]
    Views(ViewsCommand),
    /// Show and check the settings of `serve`.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look for everything that is wrong in a store; exit code 1 means that something is.
    Doctor(Doctor),
    /// Read all groups through this server and through crossbar; exit code 1 means that answers differ.
    Compare(Compare),
    /// Set up beside a live Kazoo: find its configuration, and print what to install.
    Attach(Serve),
    /// Ask a running server whether it is ready; exit code 0 means yes.
    Healthcheck(Healthcheck),
    /// Print a script that completes this program's command lines in a shell.
    Completions(Completions),
    /// Print the manual page, or write a page for each command.
    Man(Man),
}

#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// Create an account. In an empty store, also create what tokens need.
    Create(AccountCreate),
    /// List the accounts: id, name, realm, and whether each is enabled.
    List(AccountList),
    /// Show one account.
    Show(AccountShow),
    /// Refuse the logins of an account's users. Its API key and earlier tokens still count, as with Kazoo.
    Disable(AccountNamed),
    /// Let the users of a disabled account log in again.
    Enable(AccountNamed),
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Create a user. The password is asked for, or read from standard input.
    Create(UserCreate),
    /// List the users of an account: id, name, privileges, and whether each is enabled.
    List(UserList),
    /// Set a user's password. The user's tokens end within a minute.
    Passwd(UserPasswd),
    /// Refuse a user's logins. The user's tokens end within a minute.
    Disable(UserNamed),
    /// Let a disabled user log in again.
    Enable(UserNamed),
    /// Delete a user. The user's tokens end within a minute.
    Delete(UserNamed),
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// List the keys: id, which one signs, when each was made, and when its last token expires.
    List(KeyList),
    /// Make a new key that signs from now on. The old one stays, so that its tokens stay good.
    Rotate(KeyRotate),
    /// Delete an old key, once its tokens have expired.
    Retire(KeyRetire),
}

#[derive(Debug, Subcommand)]
enum ViewsCommand {
    /// Create the design documents that are missing. Existing ones stay as they are.
    Push(ViewsPush),
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one value, and it lives as long as the process")]
enum ConfigCommand {
    /// Print every setting with its value and where that came from.
    Show(Serve),
    /// Check every setting, and open nothing.
    Check(Serve),
    /// Print a settings file that names every setting, with its default.
    Example,
}

/// The whole command line.
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    // Other commands end with their terminal.
    if std::env::args_os().nth(1).is_some_and(|command| command == "serve") {
        commands::signals::outlive_hangups();
    }
    let cli = match parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return usage::report(&error, &command_of(std::env::args_os())),
    };
    let outcome = start_log(&cli.command).and_then(|()| run(cli.command));
    logging::flush();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // If standard error is closed, there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "crossbar-groups: {failure}");
            failure.exit_code()
        }
    }
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let matches = without_empty_variables(command()).try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

/// The words of the command that the arguments name, as far as there is one.
fn command_of(arguments: impl IntoIterator<Item = OsString>) -> String {
    let mut command = command();
    let mut words = vec![command.get_name().to_owned()];
    for word in arguments.into_iter().skip(1) {
        let Some(named) = command.find_subcommand(&word).cloned() else { break };
        words.push(named.get_name().to_owned());
        command = named;
    }
    words.join(" ")
}

/// Lets a variable that is set to nothing count as one that is not set.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|argument| {
        let is_empty = argument.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        if is_empty { argument.env(Resettable::<OsStr>::Reset) } else { argument }
    });
    command.mut_subcommands(without_empty_variables)
}

/// The server's log has settings. Other commands log warnings only.
fn start_log(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Serve(arguments) => {
            let log = arguments.log()?;
            logging::start(log.log_format, log.log_level)?;
        }
        _ => logging::start_plain(),
    }
    let variables = std::env::vars_os();
    let variables = variables
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
    for warning in settings::warnings(variables, &known_variables(&self::command())) {
        log::warn!("{warning}");
    }
    Ok(())
}

/// The environment variables that a command and its subcommands read.
fn known_variables(command: &clap::Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(|argument| Some(argument.get_env()?.to_str()?.to_owned()));
    own.chain(command.get_subcommands().flat_map(known_variables)).collect()
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(arguments) => commands::serve::run(arguments),
        Command::Import(arguments) => commands::transfer::import(arguments),
        Command::Export(arguments) => commands::transfer::export(arguments),
        Command::Backup(arguments) => commands::backup::run(&arguments),
        Command::Restore(arguments) => commands::restore::run(&arguments),
        Command::Token(arguments) => commands::accounts::token(arguments),
        Command::Account(AccountCommand::Create(arguments)) => {
            commands::changes::apply::create_account(arguments)
        }
        Command::Account(AccountCommand::List(arguments)) => commands::accounts::list(&arguments),
        Command::Account(AccountCommand::Show(arguments)) => commands::accounts::show(arguments),
        Command::Account(AccountCommand::Disable(arguments)) => {
            commands::changes::apply::disable_account(arguments)
        }
        Command::Account(AccountCommand::Enable(arguments)) => {
            commands::changes::apply::enable_account(arguments)
        }
        Command::User(UserCommand::Create(arguments)) => commands::changes::apply::create_user(arguments),
        Command::User(UserCommand::List(arguments)) => commands::users::list(arguments),
        Command::User(UserCommand::Passwd(arguments)) => commands::changes::apply::set_password(arguments),
        Command::User(UserCommand::Disable(arguments)) => commands::changes::apply::disable_user(arguments),
        Command::User(UserCommand::Enable(arguments)) => commands::changes::apply::enable_user(arguments),
        Command::User(UserCommand::Delete(arguments)) => commands::changes::apply::delete_user(arguments),
        Command::Key(KeyCommand::List(arguments)) => commands::keys::list(&arguments),
        Command::Key(KeyCommand::Rotate(arguments)) => commands::changes::apply::rotate_key(&arguments),
        Command::Key(KeyCommand::Retire(arguments)) => commands::changes::apply::retire_key(arguments),
        Command::Views(ViewsCommand::Push(arguments)) => commands::changes::apply::push_views(arguments),
        Command::Config(ConfigCommand::Show(arguments)) => commands::config::show(&arguments),
        Command::Config(ConfigCommand::Check(arguments)) => commands::config::check(&arguments),
        Command::Config(ConfigCommand::Example) => commands::config::example(),
        Command::Doctor(arguments) => commands::doctor::run(&arguments),
        Command::Compare(arguments) => commands::compare::run(&arguments),
        Command::Attach(arguments) => commands::attach::run(arguments),
        Command::Healthcheck(arguments) => commands::healthcheck::run(&arguments),
        Command::Completions(arguments) => commands::shell::completions(&arguments, self::command()),
        Command::Man(arguments) => commands::shell::man(&arguments, self::command()),
    }
}
