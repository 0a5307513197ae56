//! What a check finds.

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// The document, if it is about one.
    pub(super) document: Option<String>,
    pub(super) what: String,
    /// What to do about it.
    pub(super) todo: String,
}

impl Finding {
    pub(super) fn new(document: Option<&str>, what: impl Into<String>, todo: &str) -> Self {
        Self { document: document.map(str::to_owned), what: what.into(), todo: todo.to_owned() }
    }

    /// The store did not answer a question.
    pub(super) fn of_store(what: String) -> Self {
        Self::new(None, what, "see that the store answers, and run doctor again")
    }
}
