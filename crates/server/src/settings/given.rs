//! Settings from the command line and the environment, and the order in which a value is looked for.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::file::SettingsFile;
use super::setting::{Default, Group, Setting, Shape};
use super::value::Value;
use crate::failure::Failure;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Flag,
    Environment,
    /// The settings file, by its path, and the line in it.
    File(String, usize),
    Default,
}

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
            values.insert(setting.key, (texts.join(","), source));
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
    // As clap itself shows help.
    let help = help.trim_end_matches('.').to_owned();
    let argument = Arg::new(setting.key)
        .long(setting.flag())
        .env(setting.variable())
        .value_name(setting.value_name)
        .help_heading(setting.section)
        .hide_env_values(setting.shape == Shape::Secret);
    let argument = match setting.shape {
        Shape::Switch => argument.num_args(0..=1).default_missing_value("true"),
        Shape::List => argument.action(ArgAction::Append),
        Shape::Text | Shape::Secret | Shape::Number => argument,
    };
    match setting.default {
        Default::Value(value) => argument.help(help).default_value(value),
        Default::Found(words, _) | Default::Nothing(words) => {
            argument.help(format!("{help} [default: {words}]"))
        }
    }
}

/// The places where values are looked for.
pub(crate) struct Layers<'a> {
    given: &'a BTreeMap<&'static str, (String, Source)>,
    file: &'a SettingsFile,
}

impl Layers<'_> {
    /// The checked value of a setting. `None` is no setting; only the `settings!` table calls this.
    pub(super) fn read<T: Value>(&self, setting: Option<Setting>) -> Result<T, Failure> {
        let setting = setting.ok_or_else(|| Failure::setup("a setting is not declared"))?;
        let (text, source) = self.find(&setting);
        let refused = |what: &str| match &source {
            Source::Flag | Source::Default => Failure::setup(format!("the setting {} {what}", setting.key)),
            Source::Environment | Source::File(..) => {
                Failure::setup(format!("the setting {} ({source}) {what}", setting.key))
            }
        };
        let value = match &text {
            Some(text) => T::parse(text, setting.range).map_err(|what| refused(&what))?,
            None => T::absent().ok_or_else(|| refused("has no value"))?,
        };
        let shown = match (&text, setting.shape) {
            (Some(_), Shape::Secret) => "***",
            (Some(text), _) => text,
            (None, _) => "",
        };
        log::debug!(setting = setting.key, value = shown, source:% = source; "read a setting");
        Ok(value)
    }

    /// The text of a setting, and where it came from.
    fn find(&self, setting: &Setting) -> (Option<String>, Source) {
        if let Some((text, source)) = self.given.get(setting.key) {
            return (Some(text.clone()), source.clone());
        }
        if let Some(entry) = self.file.find(setting) {
            return (Some(entry.text.clone()), Source::File(self.file.path().to_owned(), entry.line));
        }
        let text = match setting.default {
            Default::Value(value) => Some(value.to_owned()),
            Default::Found(_, find) => Some(find()),
            Default::Nothing(_) => None,
        };
        (text, Source::Default)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("from the flag"),
            Self::Environment => f.write_str("from the environment"),
            Self::File(path, line) => write!(f, "from {path}, line {line}"),
            Self::Default => f.write_str("the default"),
        }
    }
}
