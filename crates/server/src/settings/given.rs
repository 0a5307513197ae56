//! Settings from the command line and the environment. A value stays text here; `group` reads it.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::file::SettingsFile;
use super::group::{Group, Layers, ShownSetting};
use super::setting::{Default, Setting, Shape, Source};
use crate::failure::Failure;

/// The settings of a group that flags or the environment give.
#[derive(Clone, Debug)]
pub(crate) struct Given<G> {
    values: BTreeMap<&'static str, (String, Source)>,
    group: PhantomData<G>,
}

impl<G: Group> Given<G> {
    /// Finds and checks each value of the group.
    pub(crate) fn settings(&self, file: &SettingsFile) -> Result<G, Failure> {
        G::read(&Layers { given: &self.values, file })
    }

    /// Each setting of the group, with its value as other people may see it, and where that came from.
    pub(crate) fn show(&self, file: &SettingsFile) -> Vec<ShownSetting> {
        let layers = Layers { given: &self.values, file };
        G::declared().into_iter().map(|setting| layers.show(setting)).collect()
    }
}

impl<G: Group> Args for Given<G> {
    fn augment_args(command: Command) -> Command {
        command.args(G::declared().iter().map(argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<G: Group> FromArgMatches for Given<G> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut values = BTreeMap::new();
        for setting in G::declared() {
            let source = match matches.value_source(setting.key) {
                Some(ValueSource::CommandLine) => Source::Flag,
                Some(ValueSource::EnvVariable) => Source::Environment,
                // The settings file wins over a default.
                _ => continue,
            };
            let texts: Vec<&str> =
                matches.get_many::<String>(setting.key).into_iter().flatten().map(String::as_str).collect();
            values.insert(setting.key, (texts.join(setting.shape.separator()), source));
        }
        Ok(Self { values, group: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The flag and the environment variable of a setting. The value stays text: `Layers` reads it.
fn argument(setting: &Setting) -> Arg {
    let lines: Vec<_> = setting.help.iter().map(|line| line.trim()).collect();
    let help = lines.join(" ");
    // clap's own help has no full stop either.
    let help = help.trim_end_matches('.').to_owned();
    let argument = Arg::new(setting.key)
        .long(setting.flag())
        .env(setting.variable())
        .value_name(setting.value_name)
        .help_heading(setting.section)
        .hide_env_values(setting.shape.is_secret());
    let argument = match setting.shape {
        Shape::Switch => argument.num_args(0..=1).default_missing_value("true"),
        Shape::List | Shape::Secrets | Shape::SecretLines => argument.action(ArgAction::Append),
        // A negative number is out of range. It is not a flag.
        Shape::Number => argument.allow_negative_numbers(true),
        Shape::Text | Shape::Url | Shape::Choice(_) => argument,
    };
    match setting.default {
        Default::Value(value) => argument.help(help).default_value(value),
        Default::Found(words, _) | Default::Nothing(words) => {
            argument.help(format!("{help} [default: {words}]"))
        }
    }
}
