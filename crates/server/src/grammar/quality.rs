//! Quality values (`q=0.5`), and the order in which cowboy sorts the entries that have them.

/// The most entries of a header that are read.
const MOST_ENTRIES: usize = 64;

/// A weight between 0 and 1 with at most three decimals, in thousandths.
pub(crate) fn parse_quality(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !matches!(whole, "0" | "1") || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{whole}{fraction:0<3}").parse().ok()?;
    (thousandths <= 1000).then_some(thousandths)
}

/// Sorts as Erlang's sort does with cowboy's comparison. That comparison puts neither of two unrelated
/// entries first; of two such entries the later one comes first.
pub(crate) fn sort_as_cowboy<T>(
    items: impl IntoIterator<Item = T>,
    precedes: impl Fn(&T, &T) -> bool,
) -> Vec<T> {
    let mut sorted: Vec<T> = Vec::new();
    for item in items.into_iter().take(MOST_ENTRIES) {
        let place = sorted.iter().position(|other| !precedes(other, &item)).unwrap_or(sorted.len());
        sorted.insert(place, item);
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::{parse_quality, sort_as_cowboy};

    #[test]
    fn qualities_are_thousandths() {
        for (text, expected) in [
            ("1", Some(1000)),
            ("0.5", Some(500)),
            ("0.123", Some(123)),
            ("1.001", None),
            ("0.1234", None),
            ("2", None),
            ("", None),
        ] {
            assert_eq!(parse_quality(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_later_of_two_equals_comes_first() {
        assert_eq!(
            sort_as_cowboy([("a", 1), ("b", 1), ("c", 2)], |a, b| a.1 > b.1),
            [("c", 2), ("b", 1), ("a", 1)]
        );
    }
}
