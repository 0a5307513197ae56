//! The entity tags in `If-Match` and `If-None-Match`.

/// The value of a header that lists entity tags.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tags<'a> {
    /// `*`.
    Any,
    /// These tags.
    These(Vec<Tag<'a>>),
}

/// One entity tag.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tag<'a> {
    /// The text between the quotes.
    pub(crate) text: &'a str,
    /// Whether the tag is weak: it begins with `W/`.
    pub(crate) is_weak: bool,
}

impl<'a> Tags<'a> {
    /// Reads a list of tags; `None` if the text is not one.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut rest = text.trim();
        if rest == "*" {
            return Some(Self::Any);
        }
        let mut tags = Vec::new();
        loop {
            let (is_weak, quoted) = match rest.strip_prefix("W/") {
                Some(rest) => (true, rest),
                None => (false, rest),
            };
            let (text, behind) = quoted.strip_prefix('"')?.split_once('"')?;
            tags.push(Tag { text, is_weak });
            rest = behind.trim_start();
            if rest.is_empty() {
                return Some(Self::These(tags));
            }
            rest = rest.strip_prefix(',')?.trim_start();
        }
    }
}
