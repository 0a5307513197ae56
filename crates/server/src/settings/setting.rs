//! What is known of a setting before it has a value, and the `settings!` table that declares it.

use super::given::Layers;
use crate::failure::Failure;

/// One setting, as declared.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// The key in the settings file. The flag and the environment variable follow from it.
    pub(crate) key: &'static str,
    /// What `--help` calls the value.
    pub(crate) value_name: &'static str,
    /// What the setting is for, line by line.
    pub(crate) help: &'static [&'static str],
    /// The value when nobody gives one.
    pub(crate) default: Default,
    /// The smallest and the largest number that is accepted, if the value is a number.
    pub(crate) range: (u64, u64),
    /// How the value is written.
    pub(crate) shape: Shape,
    /// The section of `--help`.
    pub(crate) section: &'static str,
}

impl Setting {
    /// The flag, without its dashes.
    pub(crate) fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// The environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("CROSSBAR_GROUPS_{}", self.key.to_uppercase())
    }
}

/// The value of a setting when nobody gives one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Default {
    /// This value.
    Value(&'static str),
    /// What the function finds on this machine; the words describe it in `--help`.
    Found(&'static str, fn() -> String),
    /// No value; the words say what happens then.
    Nothing(&'static str),
}

/// How the value of a setting is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Text.
    Text,
    /// Text that `--help` and the log must not show.
    Secret,
    /// A whole number.
    Number,
    /// True or false; the flag alone means true.
    Switch,
    /// A list of texts. Flags and variables separate them by commas.
    List,
}

/// Settings that are read together.
pub(crate) trait Group: Sized {
    /// The settings, in the order of `--help`.
    fn declared() -> Vec<Setting>;

    /// Finds and checks each value.
    fn read(layers: &Layers<'_>) -> Result<Self, Failure>;
}

/// Declares a group of settings. A row is
///
/// ```text
/// /// What the setting is for.
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

        impl $crate::settings::setting::Group for $name {
            fn declared() -> Vec<$crate::settings::setting::Setting> {
                use $crate::settings::setting::Setting;
                use $crate::settings::value::Value as SettingValue;
                vec![$(
                    Setting {
                        key: $key,
                        value_name: $value_name,
                        help: &[$($help),+],
                        default: $default,
                        range: $crate::settings::setting::settings!(@range $kind $(, $least, $most)?),
                        shape: <$kind as SettingValue>::SHAPE,
                        section: $section,
                    },
                )+]
            }

            fn read(
                layers: &$crate::settings::given::Layers<'_>,
            ) -> Result<Self, $crate::failure::Failure> {
                let mut declared = Self::declared().into_iter();
                // The fields are read in the order in which they are declared.
                Ok(Self { $( $field: layers.read(declared.next())?, )+ })
            }
        }
    };
    (@range $kind:ty) => { <$kind as SettingValue>::RANGE };
    (@range $kind:ty, $least:literal, $most:literal) => { ($least, $most) };
}

pub(crate) use settings;
