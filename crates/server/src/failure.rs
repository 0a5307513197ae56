//! How a command fails: one line on standard error, and an exit code.

use std::fmt;
use std::process::ExitCode;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    exit_code: u8,
}

impl Failure {
    /// The settings or the environment are wrong, and nothing was changed. Exit code 2.
    pub(crate) fn setup(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: 2 }
    }

    /// Something hinders the command that may pass by itself: another program holds what it needs, or the machine has
    /// not begun to have it. Nothing was changed. Exit code 75, which `sysexits.h` calls `EX_TEMPFAIL`.
    pub(crate) fn obstacle(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: 75 }
    }

    /// Something went wrong while the command ran. Exit code 1.
    pub(crate) fn run(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: 1 }
    }

    /// The same failure with more words behind it.
    pub(crate) fn with(mut self, words: &str) -> Self {
        self.message.push_str(words);
        self
    }

    /// Whether nothing was changed.
    pub(crate) fn is_setup(&self) -> bool {
        self.exit_code == 2
    }

    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit_code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
