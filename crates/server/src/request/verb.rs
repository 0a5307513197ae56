//! The verb of a request: its method, or the value of the parameter `verb`.

use std::fmt;

/// A method or verb. Verbs are in upper case. Methods keep the client's case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// `GET`.
    Get,
    /// `HEAD`.
    Head,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
    /// `OPTIONS`.
    Options,
    /// A verb that crossbar does not know. Token restrictions and costs still see its text.
    Unknown(Box<str>),
}

impl Verb {
    /// The method of a request. Methods are case-sensitive: `get` is unknown.
    pub(crate) fn of_method(text: &str) -> Self {
        match text {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            other => Self::Unknown(other.into()),
        }
    }

    /// The verb that the parameter `verb` names, in any case.
    pub(crate) fn of_parameter(text: &str) -> Self {
        Self::of_method(&text.to_ascii_uppercase())
    }

    /// The text of the verb.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Unknown(text) => text,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Verb;

    #[test]
    fn the_parameter_is_read_in_any_case_and_a_method_is_not() {
        assert_eq!(Verb::of_parameter("pAtCh"), Verb::Patch);
        assert_eq!(Verb::of_method("get"), Verb::Unknown("get".into()));
    }

    #[test]
    fn an_unknown_verb_keeps_its_text_in_upper_case() {
        assert_eq!(Verb::of_parameter("foo").as_str(), "FOO");
    }
}
