//! The thing that a request is about, as preconditions see it.

/// The target of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// Something new.
    New,
    /// Something that exists, with its entity tag without quotes. An empty listing has no tag.
    Existing(Option<&'a str>),
}
