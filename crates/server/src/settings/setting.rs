//! A setting before it has a value: its names, its default and how it is written. This file knows no
//! other file of the settings.

use std::fmt;

/// How the environment variable of every setting begins.
pub(super) const VARIABLE_PREFIX: &str = "CROSSBAR_GROUPS_";

/// One setting, as declared.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// The key in the settings file. The flag and the environment variable follow from it.
    pub(crate) key: &'static str,
    /// What `--help` calls the value.
    pub(crate) value_name: &'static str,
    /// The purpose of the setting, line by line.
    pub(crate) help: &'static [&'static str],
    /// The value when nobody gives one.
    pub(crate) default: Default,
    /// The smallest and the largest number that is accepted, if the value is a number.
    pub(crate) range: (u64, u64),
    /// How the value is written.
    pub(crate) shape: Shape,
    /// The section of `--help`.
    pub(crate) section: &'static str,
    /// The text of a value as other people may see it.
    pub(crate) shown: fn(&str) -> String,
}

impl Shape {
    /// Whether `--help` and the log must not show the value.
    pub(crate) fn is_secret(self) -> bool {
        matches!(self, Self::Secrets | Self::SecretLines)
    }

    /// What stands between the texts of a list.
    pub(crate) fn separator(self) -> &'static str {
        match self {
            Self::Secrets => " ",
            Self::SecretLines => "\n",
            _ => ",",
        }
    }
}

impl Setting {
    /// The flag, without its dashes.
    pub(crate) fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// The environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.key.to_uppercase())
    }

    /// The words for the values that are accepted.
    pub(super) fn words(&self) -> String {
        self.shape.words(self.range)
    }
}

/// The value of a setting when nobody gives one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Default {
    /// This value.
    Value(&'static str),
    /// The function finds the value on this machine. `--help` shows the words in its place.
    Found(&'static str, fn() -> String),
    /// No value; the words say what happens then.
    Nothing(&'static str),
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Flag,
    Environment,
    /// The settings file, by its path, and the line in it.
    File(String, usize),
    /// Kazoo's configuration, by its path.
    Kazoo(String),
    /// The address of the store, which is that of the proxy that Kazoo runs.
    Proxy,
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("from the flag"),
            Self::Environment => f.write_str("from the environment"),
            Self::File(path, line) => write!(f, "from {path}, line {line}"),
            Self::Kazoo(path) => write!(f, "from Kazoo's {path}"),
            Self::Proxy => f.write_str("because the store is Kazoo's haproxy on port 15984"),
            Self::Default => f.write_str("the default"),
        }
    }
}

/// How the value of a setting is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Text.
    Text,
    /// The address of a server on the web.
    Url,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number.
    Number,
    /// True or false; the flag alone means true.
    Switch,
    /// A list of texts. Flags and variables separate them by commas.
    List,
    /// A list of texts that `--help` and the log must not show. White space separates them, because passwords
    /// may hold commas.
    Secrets,
    /// One text or several that `--help` and the log must not show. Flags and the items of a list are joined by line
    /// ends.
    SecretLines,
}

impl Shape {
    /// The words for the values that are accepted. `range` counts for numbers.
    pub(super) fn words(self, range: (u64, u64)) -> String {
        match self {
            Self::Text | Self::Url => "a text in quotes".to_owned(),
            Self::Choice(words) => words.join(" or "),
            Self::Number => numbers(range),
            Self::Switch => "true or false".to_owned(),
            Self::SecretLines => "a text in quotes, or a list of texts".to_owned(),
            Self::List | Self::Secrets => "a list of texts, like [\"one\", \"two\"]".to_owned(),
        }
    }
}

/// The words for a range of numbers.
pub(super) fn numbers((least, most): (u64, u64)) -> String {
    match most {
        u64::MAX => format!("a whole number of at least {least}"),
        _ => format!("a whole number from {least} to {most}"),
    }
}
