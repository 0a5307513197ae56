//! `If-Match` and `If-None-Match`, in cowboy's order. Refuses a header that cannot be read (bare 400),
//! a precondition that fails (empty 412), and a read of content that the client already has (empty 304).

use actix_web::http::header::{HeaderMap, HeaderName};

use crate::catalogue::{Bare, Refusal};
use crate::grammar::entity_tag::Tags;
use crate::request::header_names;
use crate::request::target::Target;

/// Checks the preconditions of a request.
pub(crate) fn check(headers: &HeaderMap, is_read: bool, target: Target<'_>) -> Result<(), Refusal> {
    let Target::Existing(etag) = target else {
        // A new thing matches no tag, and `If-None-Match` always lets it be created.
        return if headers.contains_key(&header_names::IF_MATCH) {
            Err(Refusal::Bare(Bare::PreconditionFailed))
        } else {
            Ok(())
        };
    };
    if let Some(wanted) = parse(headers, &header_names::IF_MATCH)? {
        let matches = match wanted {
            Tags::Any => true,
            Tags::These(tags) => tags.iter().any(|tag| !tag.is_weak && Some(tag.text) == etag),
        };
        if !matches {
            return Err(Refusal::Bare(Bare::PreconditionFailed));
        }
    }
    let Some(unwanted) = parse(headers, &header_names::IF_NONE_MATCH)? else { return Ok(()) };
    let not_modified =
        || Err(Refusal::Bare(if is_read { Bare::NotModified } else { Bare::PreconditionFailed }));
    match unwanted {
        Tags::Any => not_modified(),
        // Without a tag to compare with, cowboy fails the precondition.
        Tags::These(_) if etag.is_none() => Err(Refusal::Bare(Bare::PreconditionFailed)),
        Tags::These(tags) if tags.iter().any(|tag| Some(tag.text) == etag) => not_modified(),
        Tags::These(_) => Ok(()),
    }
}

fn parse<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<Tags<'a>>, Refusal> {
    let Some(header) = headers.get(name) else { return Ok(None) };
    let tags = header.to_str().ok().and_then(Tags::parse);
    tags.map(Some).ok_or(Refusal::Bare(Bare::BadPrecondition))
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
