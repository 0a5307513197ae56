//! Which headers of answers are compared, and which differ on purpose.

use crate::difference::{Difference, What};
use crate::symbols::text_matches;

/// The headers that count, beside all that begin with `access-control-`.
const COMPARED: [&str; 12] = [
    "cache-control",
    "content-type",
    "location",
    "etag",
    "expires",
    "vary",
    "content-language",
    "allow",
    "content-disposition",
    "content-encoding",
    "x-request-id",
    "transfer-encoding",
];

/// The headers that this program's answers have in addition to crossbar's: `header.NAME` in
/// `conformance/deviations.json`.
pub const ADDED_HEADERS: [&str; 1] = ["cache-control"];

/// Whether a header counts. `name` is in lower case.
#[must_use]
pub fn is_compared(name: &str) -> bool {
    COMPARED.contains(&name) || name.starts_with("access-control-")
}

/// Whether JSON of an error has a type that this program sends, and crossbar does not: crossbar sends none before
/// negotiation, and `text/csv` after `Accept: text/csv`.
pub(crate) fn is_type_of_error(name: &str, crossbars: Option<&str>, ours: Option<&str>, status: u16) -> bool {
    name == "content-type"
        && status >= 400
        && matches!(crossbars, None | Some("text/csv"))
        && ours == Some("application/json")
}

/// The first header that is not as it was recorded. Texts in `recorded` may hold symbols. Names are in lower case.
#[must_use]
pub fn header_difference(
    recorded: &[(String, String)],
    actual: &[(String, String)],
    status: u16,
) -> Option<Difference> {
    let find = |headers: &[(String, String)], wanted: &str| {
        headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
    };
    for (name, value) in recorded {
        let found = find(actual, name);
        let fits = found.as_deref().is_some_and(|found| {
            text_matches(value, found) == Some(true)
                || is_type_of_error(name, Some(value), Some(found), status)
        });
        if !fits {
            let place = format!("header {name}");
            return Some(match found {
                Some(found) => Difference::of_values(&place, value, found),
                None => Difference::new(&place, What::Missing),
            });
        }
    }
    let surplus = actual.iter().find(|(name, value)| {
        is_compared(name)
            && find(recorded, name).is_none()
            && !ADDED_HEADERS.contains(&name.as_str())
            && !is_type_of_error(name, None, Some(value), status)
    });
    surplus.map(|(name, _)| Difference::new(&format!("header {name}"), What::Surplus))
}

#[cfg(test)]
mod tests {
    use super::{ADDED_HEADERS, header_difference};

    fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn check(recorded: &[(&str, &str)], actual: &[(&str, &str)], status: u16, place: Option<&str>) {
        let found = header_difference(&headers(recorded), &headers(actual), status);
        assert_eq!(found.as_ref().map(super::Difference::place), place, "{recorded:?} {actual:?}");
    }

    #[test]
    fn headers_are_compared_with_what_was_recorded() {
        let json = ("content-type", "application/json");
        check(&[json], &[json, ("date", "x"), ("cache-control", "no-store")], 200, None);
        check(&[json], &[("content-type", "text/csv")], 200, Some("header content-type"));
        check(&[json], &[], 200, Some("header content-type"));
        check(&[], &[json], 200, Some("header content-type"));
        check(&[], &[json], 404, None);
        check(&[("content-type", "text/csv")], &[json], 404, None);
        check(&[("etag", "\"{{rev/1}}\"")], &[("etag", "\"2-0\"")], 200, Some("header etag"));
        check(&[], &[("access-control-max-age", "1")], 200, Some("header access-control-max-age"));
    }

    #[test]
    fn the_added_headers_are_those_in_the_list_of_deviations() {
        let list = include_str!("../../../conformance/deviations.json");
        let list: serde_json::Map<String, serde_json::Value> = serde_json::from_str(list).unwrap();
        let listed: Vec<_> = list.keys().filter_map(|name| name.strip_prefix("header.")).collect();
        assert_eq!(listed, ADDED_HEADERS);
    }
}
