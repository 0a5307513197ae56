//! The `Accept` header, sorted and matched as in cowboy. Refuses a header that cannot be read (bare 400)
//! and a header that matches nothing served here (empty 406).

use crate::catalogue::{Bare, Refusal};
use crate::grammar::media_type::MediaType;
use crate::grammar::quality::{parse_quality, sort_as_cowboy};
use crate::grammar::token::split_outside_quotes;
use crate::profile::AcceptParameters;
use crate::request::format::Format;

/// The media types that are served, in crossbar's order.
const PROVIDED: [(&str, &str, Format); 5] = [
    ("application", "json", Format::Json),
    ("application", "x-json", Format::Json),
    ("application", "octet-stream", Format::Csv),
    ("text", "csv", Format::Csv),
    ("text", "comma-separated-values", Format::Csv),
];

/// Chooses the form of the answer.
pub(crate) fn negotiate(accept: Option<&str>, parameters: AcceptParameters) -> Result<Format, Refusal> {
    let Some(accept) = accept else { return Ok(Format::Json) };
    let ranges = parse(accept).ok_or(Refusal::Bare(Bare::BadAccept))?;
    let sorted =
        sort_as_cowboy(
            ranges,
            |a, b| if a.quality == b.quality { precedes(a, b) } else { a.quality > b.quality },
        );
    // What is served has no parameters.
    let counts = |range: &&Range| parameters == AcceptParameters::Ignored || range.parameters == 0;
    let found = sorted
        .iter()
        .filter(counts)
        .find_map(|range| PROVIDED.iter().find(|(kind, sub, _)| range.matches(kind, sub)));
    found.map(|(_, _, format)| *format).ok_or(Refusal::Bare(Bare::NotAcceptable))
}

#[derive(Clone, Debug)]
struct Range {
    kind: String,
    subtype: String,
    parameters: usize,
    /// In thousandths.
    quality: u16,
}

impl Range {
    fn matches(&self, kind: &str, subtype: &str) -> bool {
        (self.kind == "*" || self.kind == kind) && (self.subtype == "*" || self.subtype == subtype)
    }
}

/// Reads the header's entries. As in cowboy, empty ones are skipped, and a header without entries accepts
/// nothing.
fn parse(accept: &str) -> Option<Vec<Range>> {
    let entries = split_outside_quotes(accept, ',').filter(|entry| !entry.trim().is_empty());
    entries.map(parse_range).collect()
}

fn parse_range(text: &str) -> Option<Range> {
    let MediaType { essence, parameters } = MediaType::parse(text)?;
    let (kind, subtype) = essence.split_once('/')?;
    if kind == "*" && subtype != "*" {
        return None;
    }
    let quality = match parameters.iter().find(|(name, _)| name == "q") {
        Some((_, value)) => parse_quality(value)?,
        None => 1000,
    };
    let parameters = parameters.iter().take_while(|(name, _)| name != "q").count();
    Some(Range { kind: kind.to_owned(), subtype: subtype.to_owned(), parameters, quality })
}

fn precedes(a: &Range, b: &Range) -> bool {
    match (a.kind == b.kind, a.subtype == b.subtype) {
        (true, true) => a.parameters > b.parameters,
        (true, false) => b.subtype == "*",
        (false, _) => b.kind == "*",
    }
}

#[cfg(test)]
mod tests {
    use super::{AcceptParameters, Bare, Format, Refusal};

    fn negotiate(accept: Option<&str>) -> Result<Format, Refusal> {
        super::negotiate(accept, AcceptParameters::Ignored)
    }

    #[test]
    fn parameters_may_count_and_a_quality_is_none() {
        let compared = |accept: &str| super::negotiate(Some(accept), AcceptParameters::Compared);
        for (accept, expected) in [
            ("application/json, text/javascript, */*; q=0.01", Some(Format::Json)),
            ("text/csv;q=0.9, application/json;q=0.5", Some(Format::Csv)),
            ("application/json;charset=utf-8", None),
            ("*/*;a=b", None),
            ("application/json;charset=utf-8, text/csv", Some(Format::Csv)),
            ("application/json;q=0.5;charset=utf-8", Some(Format::Json)),
        ] {
            assert_eq!(compared(accept).ok(), expected, "{accept}");
        }
    }

    #[test]
    fn the_best_match_wins() {
        for (accept, expected) in [
            ("*/*", Format::Json),
            ("application/*", Format::Json),
            ("application/json; charset=utf-8", Format::Json),
            ("application/json, text/javascript, */*; q=0.01", Format::Json),
            ("text/csv", Format::Csv),
            ("text/*", Format::Csv),
            ("application/octet-stream", Format::Csv),
            ("text/csv;q=0.9, application/json;q=0.5", Format::Csv),
            ("application/json;q=0.1, text/csv", Format::Csv),
            ("text/html, application/json", Format::Json),
            (",text/csv,,", Format::Csv),
        ] {
            assert_eq!(negotiate(Some(accept)).unwrap(), expected, "{accept}");
        }
        assert_eq!(negotiate(None).unwrap(), Format::Json);
    }

    #[test]
    fn an_unreadable_header_is_400_and_one_that_accepts_nothing_served_is_406() {
        let refused = |accept: &str| match negotiate(Some(accept)) {
            Err(Refusal::Bare(bare)) => bare,
            other => panic!("{accept:?}: {other:?}"),
        };
        for accept in [";;;", "text", "a/b;q=2", "a/b;q=0.1234", "*/json", "text/html,;", "text/cs\u{fffd}"] {
            assert_eq!(refused(accept), Bare::BadAccept, "{accept:?}");
        }
        for accept in ["text/html", "image/png", "application/pdf", "", " ", ", ,"] {
            assert_eq!(refused(accept), Bare::NotAcceptable, "{accept:?}");
        }
    }
}
