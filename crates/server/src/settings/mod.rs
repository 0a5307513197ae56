//! Settings, each declared once, in `declared`. A value comes from the flag, else from the environment, else from the
//! settings file, else from Kazoo's configuration, else from the store's address, else it is the default. A bad value is refused with the setting's
//! name.
//!
//! Each file imports only files that stand before it in this row: `setting`, `unknown`, `location`, `origin`,
//! `proxied`, `value`, `file`, `group`, `given`; and `declared`, which imports all but `unknown`, `proxied`, `file` and
//! `given`.

mod declared;
mod file;
mod given;
mod group;
mod location;
mod origin;
mod proxied;
mod setting;
mod unknown;
mod value;

pub(crate) use declared::{
    AdminSettings, CacheSettings, CallSettings, CouchDbSettings, EmbeddedSettings, LiveSettings, LogSettings,
    NoticeSettings, ServeSettings, StoreSettings, all,
};
pub(crate) use file::SettingsFile;
pub(crate) use given::Given;
pub(crate) use group::ShownSetting;
pub(crate) use location::StoreLocation;
pub(crate) use origin::Origin;
pub(crate) use proxied::that_fit_the_store;
pub(crate) use setting::{Default, Setting, Shape, Source};
pub(crate) use unknown::warnings;
pub(crate) use value::OnOff;

#[cfg(test)]
mod tests;
