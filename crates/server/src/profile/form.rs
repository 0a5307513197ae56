//! The form of an envelope: which members it has, and in which order.

/// A member of the envelope other than `data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Member {
    NextStartKey,
    PageSize,
    StartKey,
    Version,
    Timestamp,
    Node,
    RequestId,
    Tokens,
    AuthToken,
    Error,
    Message,
    Revision,
    Status,
}

/// How an envelope is written.
#[derive(Debug)]
pub(crate) struct Form {
    /// The members before the data, in order. A member without a value is left out.
    pub(crate) before_data: &'static [Member],
    /// The members after the data.
    pub(crate) after_data: &'static [Member],
    /// The text between two members.
    pub(crate) separator: &'static str,
    /// Whether numbers are written as strings.
    pub(crate) numbers_are_texts: bool,
}
