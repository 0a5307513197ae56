//! The command line: what it looks like, and the two exit codes that are not success.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands;
use crate::settings::{AccountCreate, Export, Healthcheck, Import, Serve, Token, UserCreate, ViewsPush};

/// Kazoo crossbar's groups API, on CouchDB or on a store of its own.
#[derive(Debug, Parser)]
#[command(name = "crossbar-groups", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API.
    Serve(Serve),
    /// Read lines of {"db","doc"} into a store.
    Import(Import),
    /// Write a store's documents as lines of {"db","doc"}.
    Export(Export),
    /// Print a token for an account or a user.
    Token(Token),
    /// Accounts.
    #[command(subcommand)]
    Account(AccountCommand),
    /// Users.
    #[command(subcommand)]
    User(UserCommand),
    /// Views.
    #[command(subcommand)]
    Views(ViewsCommand),
    /// Ask a running server whether it is well; exit code 0 if it is.
    Healthcheck(Healthcheck),
}

#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// Create an account, and in an empty store all that tokens need.
    Create(AccountCreate),
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Create a user; the password comes by standard input or a prompt.
    Create(UserCreate),
}

#[derive(Debug, Subcommand)]
enum ViewsCommand {
    /// Create the design documents that are missing; those that are there stay as they are.
    Push(ViewsPush),
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,actix_server=warn"))
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
            // Where not even this can be written there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "crossbar-groups: {failure}");
            failure.exit_code()
        }
    }
}
