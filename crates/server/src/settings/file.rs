//! The settings file: TOML, one key a setting. It remembers where each value came from, for errors. Other files may
//! fill in what it leaves out.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;

use super::setting::{Setting, Shape, Source};
use super::unknown;
use crate::failure::Failure;

/// A settings file that has been read. The default is an empty one.
#[derive(Clone, Debug, Default)]
pub(crate) struct SettingsFile {
    entries: BTreeMap<&'static str, Entry>,
}

/// A value in a settings file.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The text that a flag would have.
    pub(super) text: String,
    pub(super) source: Source,
}

impl SettingsFile {
    /// Reads a file. It may hold the `known` settings and no others, and each value must have the right type.
    pub(crate) fn read(path: &Path, known: &[Setting]) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::setup(format!("cannot read the settings file {}: {error}", path.display()))
        })?;
        Self::parse(path.display().to_string(), &text, known)
    }

    pub(super) fn parse(path: String, text: &str, known: &[Setting]) -> Result<Self, Failure> {
        let refused = |offset: usize, what: &str| {
            let line = line_of(text, offset);
            Failure::setup(format!("the settings file {path}, line {line}: {what}"))
        };
        // A map keeps the place of each key. Reading into a struct would lose the line of a bad value
        // that TOML itself accepts, like a page size of 0.
        let table: BTreeMap<Spanned<String>, Spanned<toml::Value>> =
            toml::from_str(text).map_err(|error| {
                // TOML's own message can have more lines than one.
                let message = error.message().replace('\n', "; ");
                refused(error.span().map_or(0, |span| span.start), &message)
            })?;
        let mut entries = BTreeMap::new();
        for (key, value) in table {
            let start = key.span().start;
            let setting = known
                .iter()
                .find(|setting| setting.key == key.get_ref())
                .ok_or_else(|| refused(start, &unknown::refusal(key.get_ref(), value.get_ref(), known)))?;
            let text_of = text_of(setting, value.get_ref()).ok_or_else(|| {
                refused(start, &format!("the setting {} must be {}", setting.key, setting.words()))
            })?;
            let source = Source::File(path.clone(), line_of(text, start));
            entries.insert(setting.key, Entry { text: text_of, source });
        }
        Ok(Self { entries })
    }

    /// Adds values that count where neither a flag nor the file gives one.
    pub(crate) fn fill(&mut self, values: Vec<(&'static str, String)>, source: &Source) {
        for (key, text) in values {
            self.entries.entry(key).or_insert_with(|| Entry { text, source: source.clone() });
        }
    }

    /// Whether the file itself has a value that is not to be shown, like a URL with a password.
    pub(crate) fn has_secret(&self, known: &[Setting]) -> bool {
        known.iter().any(|setting| {
            let entry =
                self.entries.get(setting.key).filter(|entry| matches!(entry.source, Source::File(..)));
            entry.is_some_and(|entry| (setting.shown)(&entry.text).contains("***"))
        })
    }

    pub(super) fn find(&self, setting: &Setting) -> Option<&Entry> {
        self.entries.get(setting.key)
    }
}

/// The value as a flag would give it, if it is of the setting's type.
fn text_of(setting: &Setting, value: &toml::Value) -> Option<String> {
    match (setting.shape, value) {
        (Shape::Text | Shape::Url | Shape::SecretLines | Shape::Choice(_), toml::Value::String(text)) => {
            Some(text.clone())
        }
        (Shape::Number, toml::Value::Integer(number)) => Some(number.to_string()),
        (Shape::Switch, toml::Value::Boolean(switch)) => Some(switch.to_string()),
        (Shape::List | Shape::Secrets | Shape::SecretLines, toml::Value::Array(items)) => {
            let items: Option<Vec<_>> = items.iter().map(toml::Value::as_str).collect();
            Some(items?.join(setting.shape.separator()))
        }
        _ => None,
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}
