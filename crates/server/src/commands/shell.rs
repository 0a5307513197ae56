//! `completions` and `man`: what a shell and its user want to know of the command line.

use std::io::{self, Write as _};

use clap::Command;

use crate::arguments::{Completions, Man};
use crate::failure::Failure;

/// The name of the program.
const NAME: &str = "crossbar-groups";

/// `command` is the whole command line of this program.
pub(crate) fn completions(arguments: &Completions, mut command: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, NAME, &mut script);
    let written = io::stdout().write_all(&script);
    written.map_err(|error| Failure::run(format!("cannot write the script: {error}")))
}

/// `command` is the whole command line of this program.
pub(crate) fn man(arguments: &Man, command: Command) -> Result<(), Failure> {
    let failure = |error: io::Error| Failure::run(format!("cannot write the page: {error}"));
    let Some(folder) = &arguments.output else {
        return clap_mangen::Man::new(command).render(&mut io::stdout()).map_err(failure);
    };
    if !folder.is_dir() {
        return Err(Failure::setup(format!("there is no folder {}: make it first", folder.display())));
    }
    clap_mangen::generate_to(command, folder).map_err(failure)
}
