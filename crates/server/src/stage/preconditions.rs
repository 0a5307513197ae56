//! `If-Match` and `If-None-Match`, in cowboy's order. Refuses a header that cannot be read (bare 400),
//! a precondition that fails (empty 412); a reader that has the content already gets an empty 304.

use actix_web::http::header::HeaderMap;

use crate::catalogue::{Bare, Refusal};

/// What a request is about to touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// Something new.
    New,
    /// Something with this entity tag, without quotes; an empty listing has none.
    Existing(Option<&'a str>),
}

/// Checks the preconditions of a request.
pub(crate) fn check(headers: &HeaderMap, is_read: bool, target: Target<'_>) -> Result<(), Refusal> {
    let Target::Existing(etag) = target else {
        // What does not exist matches nothing, and whatever is not there may be created.
        return if headers.contains_key("if-match") {
            Err(Refusal::Bare(Bare::PreconditionFailed))
        } else {
            Ok(())
        };
    };
    if let Some(wanted) = parse(headers, "if-match")? {
        let matches = match wanted {
            Tags::Any => true,
            Tags::These(tags) => tags.iter().any(|tag| !tag.is_weak && Some(tag.text.as_str()) == etag),
        };
        if !matches {
            return Err(Refusal::Bare(Bare::PreconditionFailed));
        }
    }
    let Some(unwanted) = parse(headers, "if-none-match")? else { return Ok(()) };
    let not_modified =
        || Err(Refusal::Bare(if is_read { Bare::NotModified } else { Bare::PreconditionFailed }));
    match unwanted {
        Tags::Any => not_modified(),
        // Where there is no tag to compare with, cowboy takes the precondition for failed.
        Tags::These(_) if etag.is_none() => Err(Refusal::Bare(Bare::PreconditionFailed)),
        Tags::These(tags) if tags.iter().any(|tag| Some(tag.text.as_str()) == etag) => not_modified(),
        Tags::These(_) => Ok(()),
    }
}

/// Whether the request names the revision that it wants to change.
pub(crate) fn insists_on_revision(headers: &HeaderMap) -> bool {
    headers.contains_key("if-match")
}

#[derive(Debug, PartialEq, Eq)]
enum Tags {
    Any,
    These(Vec<Tag>),
}

#[derive(Debug, PartialEq, Eq)]
struct Tag {
    text: String,
    is_weak: bool,
}

fn parse(headers: &HeaderMap, name: &str) -> Result<Option<Tags>, Refusal> {
    let Some(header) = headers.get(name) else { return Ok(None) };
    let unreadable = Refusal::Bare(Bare::BadPrecondition);
    let Ok(text) = header.to_str() else { return Err(unreadable) };
    if text.trim() == "*" {
        return Ok(Some(Tags::Any));
    }
    match parse_tags(text) {
        Some(tags) => Ok(Some(Tags::These(tags))),
        None => Err(unreadable),
    }
}

fn parse_tags(text: &str) -> Option<Vec<Tag>> {
    let mut tags = Vec::new();
    let mut rest = text.trim();
    loop {
        let (is_weak, quoted) = match rest.strip_prefix("W/") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let (tag, behind) = quoted.strip_prefix('"')?.split_once('"')?;
        tags.push(Tag { text: tag.to_owned(), is_weak });
        rest = behind.trim_start();
        if rest.is_empty() {
            return Some(tags);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::{Target, check};
    use crate::catalogue::{Bare, Refusal};
    use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

    fn outcome(name: &'static str, value: &'static str, is_read: bool, target: Target<'_>) -> Option<Bare> {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        match check(&headers, is_read, target) {
            Ok(()) => None,
            Err(Refusal::Bare(bare)) => Some(bare),
            Err(other) => panic!("{other:?}"),
        }
    }

    const STORED: Target<'_> = Target::Existing(Some("1-a"));
    const EMPTY_LISTING: Target<'_> = Target::Existing(None);

    #[test]
    fn if_match_compares_strongly() {
        assert_eq!(outcome("if-match", "\"1-a\"", false, STORED), None);
        assert_eq!(outcome("if-match", "\"x\", \"1-a\"", false, STORED), None);
        assert_eq!(outcome("if-match", "*", false, STORED), None);
        for value in ["\"1-b\"", "W/\"1-a\""] {
            assert_eq!(outcome("if-match", value, true, STORED), Some(Bare::PreconditionFailed), "{value}");
        }
    }

    #[test]
    fn if_none_match_compares_weakly() {
        for value in ["\"1-a\"", "W/\"1-a\"", "*"] {
            assert_eq!(outcome("if-none-match", value, true, STORED), Some(Bare::NotModified), "{value}");
            assert_eq!(
                outcome("if-none-match", value, false, STORED),
                Some(Bare::PreconditionFailed),
                "{value}"
            );
        }
        assert_eq!(outcome("if-none-match", "\"1-b\"", true, STORED), None);
    }

    #[test]
    fn a_creation_fails_any_if_match_and_ignores_if_none_match() {
        assert_eq!(outcome("if-match", "*", false, Target::New), Some(Bare::PreconditionFailed));
        assert_eq!(outcome("if-match", "bare", false, Target::New), Some(Bare::PreconditionFailed));
        assert_eq!(outcome("if-none-match", "*", false, Target::New), None);
    }

    #[test]
    fn an_empty_listing_has_no_tag_to_compare_with() {
        assert_eq!(outcome("if-none-match", "\"x\"", true, EMPTY_LISTING), Some(Bare::PreconditionFailed));
        assert_eq!(outcome("if-none-match", "*", true, EMPTY_LISTING), Some(Bare::NotModified));
        assert_eq!(outcome("if-match", "*", true, EMPTY_LISTING), None);
    }

    #[test]
    fn tags_need_their_quotes() {
        for value in ["1-a", "", "\"a", "\"a\" \"b\"", "\"a\","] {
            assert_eq!(outcome("if-none-match", value, true, STORED), Some(Bare::BadPrecondition), "{value}");
        }
    }
}
