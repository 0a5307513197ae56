//! Settings that are read together: the `settings!` table that declares them, and the order in which a
//! value is looked for. It knows the file, but neither the command line nor which settings there are.

use std::collections::BTreeMap;

use super::file::SettingsFile;
use super::setting::{Default, Setting, Source};
use super::value::Value;
use crate::failure::Failure;

/// Settings that are read together.
pub(crate) trait Group: Sized {
    /// The settings, in the order of `--help`.
    fn declared() -> Vec<Setting>;

    /// Finds and checks each value.
    fn read(layers: &Layers<'_>) -> Result<Self, Failure>;
}

/// A setting with its value as other people may see it, and where that came from.
#[derive(Clone)]
pub(crate) struct ShownSetting {
    pub(crate) setting: Setting,
    pub(crate) value: Option<String>,
    pub(crate) source: Source,
    /// The value as it was given, secrets too.
    text: Option<String>,
}

impl ShownSetting {
    /// Whether both have the same value. A secret counts, not the `***` in its place.
    pub(crate) fn has_value_of(&self, other: &Self) -> bool {
        self.text == other.text
    }

    /// The value as it was given, secrets too: never for showing.
    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// The value in one text that a variable may have. `None` if it may hold a password: then it is shown otherwise than
    /// it was given.
    pub(crate) fn public_text(&self) -> Option<String> {
        let (text, shown) = (self.text.as_deref()?, self.value.as_deref()?);
        if !self.setting.shape.is_secret() {
            return Some(shown.to_owned());
        }
        text.split_whitespace().eq(shown.split_whitespace()).then(|| text.replace('\n', " "))
    }
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
            Source::Flag | Source::Proxy | Source::Default => {
                Failure::setup(format!("the setting {} {what}", setting.key))
            }
            Source::Environment | Source::File(..) | Source::Kazoo(_) => {
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
        let shown = text.as_deref().map(setting.shown).unwrap_or_default();
        log::debug!(setting = setting.key, value = shown.as_str(), source:% = source; "read a setting");
        Ok(value)
    }

    /// A setting as other people may see it.
    pub(super) fn show(&self, setting: Setting) -> ShownSetting {
        let (text, source) = self.find(&setting);
        ShownSetting { value: text.as_deref().map(setting.shown), setting, source, text }
    }

    /// The text of a setting, and where it came from.
    fn find(&self, setting: &Setting) -> (Option<String>, Source) {
        if let Some((text, source)) = self.given.get(setting.key) {
            return (Some(text.clone()), source.clone());
        }
        if let Some(entry) = self.file.find(setting) {
            return (Some(entry.text.clone()), entry.source.clone());
        }
        let text = match setting.default {
            Default::Value(value) => Some(value.to_owned()),
            Default::Found(_, find) => Some(find()),
            Default::Nothing(_) => None,
        };
        (text, Source::Default)
    }
}

/// Declares a group of settings. A row is
///
/// ```text
/// /// The purpose of the setting.
/// field: Type = "key" "VALUE_NAME", the default[, smallest..=largest];
/// ```
///
/// Groups that are read on their own too may follow: `with { field: Group; }`.
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
        $(with { $( $(#[doc = $group_help:literal])+ $group_field:ident: $group:ty; )+ })?
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug)]
        pub(crate) struct $name {
            $( $(#[doc = $help])+ pub(crate) $field: $kind, )+
            $($( $(#[doc = $group_help])+ pub(crate) $group_field: $group, )+)?
        }

        impl $crate::settings::group::Group for $name {
            fn declared() -> Vec<$crate::settings::setting::Setting> {
                let own = vec![$(
                    $crate::settings::group::settings!(
                        @setting $section, [$($help),+], $kind, $key $value_name, $default
                            $(, $least, $most)?
                    ),
                )+];
                [own, $($( <$group as $crate::settings::group::Group>::declared(), )+)?].concat()
            }

            fn read(
                layers: &$crate::settings::group::Layers<'_>,
            ) -> Result<Self, $crate::failure::Failure> {
                Ok(Self {
                    $( $field: layers.read(&$crate::settings::group::settings!(
                        @setting $section, [$($help),+], $kind, $key $value_name, $default
                            $(, $least, $most)?
                    ))?, )+
                    $($( $group_field: <$group as $crate::settings::group::Group>::read(layers)?, )+)?
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
            shown: <$kind as $crate::settings::value::Value>::shown,
        }
    };
    (@range $kind:ty) => { <$kind as $crate::settings::value::Value>::RANGE };
    (@range $kind:ty, $least:literal, $most:literal) => { ($least, $most) };
}

pub(crate) use settings;
