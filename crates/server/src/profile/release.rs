//! The releases by name.

/// A release of Kazoo that this server can stand in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// Kazoo 4.3.
    Kazoo43,
    /// Kazoo 5.0.
    Kazoo50,
}

impl Release {
    /// The name of the release, as in the setting `profile`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kazoo43 => "4.3",
            Self::Kazoo50 => "5.0",
        }
    }
}
