//! The `Accept` header, sorted and matched as cowboy does it. Refuses one that cannot be read (bare
//! 400) and one that nothing served here satisfies (empty 406).

use crate::catalogue::{Bare, Refusal};
use crate::stage::content_type::{is_token, media_type, split_outside_quotes};

/// A form that an answer can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The JSON envelope.
    Json,
    /// The data as comma-separated values.
    Csv,
}

/// What is served, in crossbar's order.
const PROVIDED: [(&str, &str, Format); 5] = [
    ("application", "json", Format::Json),
    ("application", "x-json", Format::Json),
    ("application", "octet-stream", Format::Csv),
    ("text", "csv", Format::Csv),
    ("text", "comma-separated-values", Format::Csv),
];

/// The form to answer in.
pub(crate) fn negotiate(accept: Option<&str>) -> Result<Format, Refusal> {
    let Some(accept) = accept else { return Ok(Format::Json) };
    let ranges = parse(accept).ok_or(Refusal::Bare(Bare::BadAccept))?;
    if ranges.is_empty() {
        return Ok(Format::Json);
    }
    let sorted =
        sort_as_cowboy(
            ranges,
            |a, b| if a.quality == b.quality { precedes(a, b) } else { a.quality > b.quality },
        );
    let found =
        sorted.iter().find_map(|range| PROVIDED.iter().find(|(kind, sub, _)| range.matches(kind, sub)));
    found.map(|(_, _, format)| *format).ok_or(Refusal::Bare(Bare::NotAcceptable))
}

/// The form that the parameter `accept` asks for, after negotiation: what it does not know is JSON.
pub(crate) fn format_of_parameter(value: &str) -> Format {
    match value {
        "csv" | "text/csv" | "text/comma-separated-values" | "application/octet-stream" => Format::Csv,
        _ => Format::Json,
    }
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

fn parse(accept: &str) -> Option<Vec<Range>> {
    if accept.trim().is_empty() {
        return Some(Vec::new());
    }
    split_outside_quotes(accept, ',').into_iter().map(parse_range).collect()
}

fn parse_range(text: &str) -> Option<Range> {
    let (essence, parameters) = media_type(text)?;
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

/// A weight between 0 and 1 with at most three decimals, in thousandths.
pub(crate) fn parse_quality(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !matches!(whole, "0" | "1") || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{whole}{fraction:0<3}").parse().ok()?;
    (thousandths <= 1000).then_some(thousandths)
}

fn precedes(a: &Range, b: &Range) -> bool {
    match (a.kind == b.kind, a.subtype == b.subtype) {
        (true, true) => a.parameters > b.parameters,
        (true, false) => b.subtype == "*",
        (false, _) => b.kind == "*",
    }
}

/// How many entries of a header are looked at.
const MOST_ENTRIES: usize = 64;

/// Sorts as Erlang's sort does with cowboy's comparison, which calls neither of two unrelated entries
/// the first: of such the later one wins.
pub(crate) fn sort_as_cowboy<T>(items: Vec<T>, precedes: impl Fn(&T, &T) -> bool) -> Vec<T> {
    let mut sorted: Vec<T> = Vec::with_capacity(items.len().min(MOST_ENTRIES));
    for item in items.into_iter().take(MOST_ENTRIES) {
        let place = sorted.iter().position(|other| !precedes(other, &item)).unwrap_or(sorted.len());
        sorted.insert(place, item);
    }
    sorted
}

/// Whether a client takes gzip: it names it, and not with a weight of nothing.
pub(crate) fn takes_gzip(accept_encoding: Option<&str>) -> bool {
    let Some(header) = accept_encoding else { return false };
    header.split(',').any(|part| {
        let (coding, weight) = part.split_once(';').unwrap_or((part, "q=1"));
        let quality = weight.trim().strip_prefix("q=").and_then(parse_quality).unwrap_or(0);
        is_token(coding.trim()) && coding.trim().eq_ignore_ascii_case("gzip") && quality > 0
    })
}

#[cfg(test)]
mod tests {
    use super::{Format, negotiate, takes_gzip};

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
        ] {
            assert_eq!(negotiate(Some(accept)).unwrap(), expected, "{accept}");
        }
        assert_eq!(negotiate(None).unwrap(), Format::Json);
    }

    #[test]
    fn what_cannot_be_read_or_served_is_refused() {
        for accept in
            [";;;", "text", "a/b;q=2", "a/b;q=0.1234", "*/json", "text/html", "image/png", "application/pdf"]
        {
            assert!(negotiate(Some(accept)).is_err(), "{accept}");
        }
    }

    #[test]
    fn gzip_is_used_where_it_is_named() {
        assert!(takes_gzip(Some("gzip, deflate")));
        assert!(takes_gzip(Some("br, gzip;q=0.5")));
        for header in [None, Some(""), Some("br"), Some("*"), Some("gzip;q=0"), Some("identity")] {
            assert!(!takes_gzip(header), "{header:?}");
        }
    }
}
