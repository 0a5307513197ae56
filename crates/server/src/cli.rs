//! The command line: its commands, and how a failed command ends.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::arguments::{AccountCreate, Export, Healthcheck, Import, Serve, Token, UserCreate, ViewsPush};
use crate::commands;
use crate::log_fields;

/// The groups API of Kazoo's crossbar, on CouchDB or on an embedded store.
#[derive(Debug, Parser)]
#[command(name = "crossbar-groups", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API.
    Serve(Serve),
    /// Import lines of {"db","doc"} into a store.
    Import(Import),
    /// Print a store's documents as lines of {"db","doc"}.
    Export(Export),
    /// Print a token for an account or a user.
    Token(Token),
    /// Create accounts.
    #[command(subcommand)]
    Account(AccountCommand),
    /// Create users.
    #[command(subcommand)]
    User(UserCommand),
    /// Create views.
    #[command(subcommand)]
    Views(ViewsCommand),
    /// Ask a running server whether it is ready; exit code 0 means yes.
    Healthcheck(Healthcheck),
}

#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// Create an account. In an empty store, also create what tokens need.
    Create(AccountCreate),
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Create a user. The password is asked for, or read from standard input.
    Create(UserCreate),
}

#[derive(Debug, Subcommand)]
enum ViewsCommand {
    /// Create the design documents that are missing. Existing ones stay as they are.
    Push(ViewsPush),
}

/// The whole command line, for the test that compares it with the documentation.
#[cfg(test)]
pub(crate) fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,actix_server=warn"))
        .format_key_values(|out, fields| log_fields::write(out, fields))
        .init();
    let outcome = match cli.command {
        Command::Serve(arguments) => commands::serve::run(arguments),
        Command::Import(arguments) => commands::transfer::import(arguments),
        Command::Export(arguments) => commands::transfer::export(arguments),
        Command::Token(arguments) => commands::accounts::token(arguments),
        Command::Account(AccountCommand::Create(arguments)) => commands::accounts::create_account(arguments),
        Command::User(UserCommand::Create(arguments)) => commands::accounts::create_user(arguments),
        Command::Views(ViewsCommand::Push(arguments)) => commands::accounts::push_views(arguments),
        Command::Healthcheck(arguments) => commands::healthcheck::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // If standard error is closed, there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "crossbar-groups: {failure}");
            failure.exit_code()
        }
    }
}
