//! Settings that are read together: the `settings!` table that declares them, and the order in which a
//! value is looked for. It knows the file, but neither the command line nor which settings there are.

use std::collections::BTreeMap;
use std::fmt;

use super::file::SettingsFile;
use super::setting::{Default, Setting};
use super::value::Value;
use crate::failure::Failure;

/// Settings that are read together.
pub(crate) trait Group: Sized {
    /// The settings, in the order of `--help`.
    fn declared() -> Vec<Setting>;

    /// Finds and checks each value.
    fn read(layers: &Layers<'_>) -> Result<Self, Failure>;
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Flag,
    Environment,
    /// The settings file, by its path, and the line in it.
    File(String, usize),
    Default,
}

/// The places where values are looked for.
pub(crate) struct Layers<'a> {
    pub(super) given: &'a BTreeMap<&'static str, (String, Source)>,
    pub(super) file: &'a SettingsFile,
}

impl Layers<'_> {
    /// The checked value of a setting.
    pub(super) fn read<T: Value>(&self, setting: &Setting) -> Result<T, Failure> {
        let (text, source) = self.find(setting);
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
        if source == Source::Flag && value.holds_password() {
            log::warn!(
                setting = setting.key;
                "other users of this machine can see the password on the command line: set the environment \
                 variable {} instead, or use a settings file that only you can read",
                setting.variable()
            );
        }
        let shown = match (&text, setting.shape) {
            (Some(_), shape) if shape.is_secret() => "***",
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

/// Declares a group of settings. A row is
///
/// ```text
/// /// The purpose of the setting.
/// field: Type = "key" "VALUE_NAME", the default[, smallest..=largest];
/// ```
macro_rules! settings {
    (
        $(#[$about:meta])*
        pub(crate) struct $name:ident in $section:literal {
            $(
                $(#[doc = $help:literal])+
                $field:ident: $kind:ty = $key:literal $value_name:literal, $default:expr
                    $(, $least:literal..=$most:literal)?;
            )+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug)]
        pub(crate) struct $name {
            $( $(#[doc = $help])+ pub(crate) $field: $kind, )+
        }

        impl $crate::settings::group::Group for $name {
            fn declared() -> Vec<$crate::settings::setting::Setting> {
                vec![$(
                    $crate::settings::group::settings!(
                        @setting $section, [$($help),+], $kind, $key $value_name, $default
                            $(, $least, $most)?
                    ),
                )+]
            }

            fn read(
                layers: &$crate::settings::group::Layers<'_>,
            ) -> Result<Self, $crate::failure::Failure> {
                Ok(Self {
                    $( $field: layers.read(&$crate::settings::group::settings!(
                        @setting $section, [$($help),+], $kind, $key $value_name, $default
                            $(, $least, $most)?
                    ))?, )+
                })
            }
        }
    };
    (
        @setting $section:literal, [$($help:literal),+], $kind:ty, $key:literal $value_name:literal,
        $default:expr $(, $least:literal, $most:literal)?
    ) => {
        $crate::settings::setting::Setting {
            key: $key,
            value_name: $value_name,
            help: &[$($help),+],
            default: $default,
            range: $crate::settings::group::settings!(@range $kind $(, $least, $most)?),
            shape: <$kind as $crate::settings::value::Value>::SHAPE,
            section: $section,
        }
    };
    (@range $kind:ty) => { <$kind as $crate::settings::value::Value>::RANGE };
    (@range $kind:ty, $least:literal, $most:literal) => { ($least, $most) };
}

pub(crate) use settings;
