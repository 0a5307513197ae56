//! One difference between two answers: where it is, and what it is. Where it is holds names of members and headers
//! only, so it can be logged. What it is holds content.

use std::{fmt, mem};

/// The longest place and the longest value that a difference shows, in characters. Clients choose names of members,
/// and they may be long.
const MOST_SHOWN: usize = 300;

/// A difference between the answer that was expected and the actual one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    place: String,
    what: What,
}

/// The kinds of differences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The actual answer lacks it.
    Missing,
    /// Only the actual answer has it.
    Surplus,
    /// The values differ. Both are cut if they are long.
    Value {
        /// The expected value.
        expected: String,
        /// The actual value.
        actual: String,
    },
    /// The values differ, and they are secrets.
    Secret,
}

impl Difference {
    pub(crate) fn new(place: &str, what: What) -> Self {
        Self { place: shown(place), what }
    }

    pub(crate) fn of_values(place: &str, expected: impl fmt::Display, actual: impl fmt::Display) -> Self {
        let value =
            What::Value { expected: shown(&expected.to_string()), actual: shown(&actual.to_string()) };
        Self::new(place, value)
    }

    /// Whether it has the same place and the same kind. The values may be others: a time, or a revision, changes from
    /// answer to answer.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.place == other.place && mem::discriminant(&self.what) == mem::discriminant(&other.what)
    }

    /// The place in the answer: `status`, `header NAME`, or a path like `body.data[2].name`. It has no control
    /// characters, and it is cut if it is long.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The kind of the difference.
    #[must_use]
    pub fn what(&self) -> &What {
        &self.what
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, what } = self;
        match what {
            What::Missing => write!(f, "{place} is missing"),
            What::Surplus => write!(f, "{place} is not expected"),
            What::Value { expected, actual } => write!(f, "{place}: expected {expected}, found {actual}"),
            What::Secret => write!(f, "{place} differs"),
        }
    }
}

/// A text without control characters, cut if it is long.
fn shown(text: &str) -> String {
    let mut rest = text.chars();
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut shown: String = rest.by_ref().take(MOST_SHOWN).map(clean).collect();
    if rest.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::Difference;

    #[test]
    fn a_place_is_one_short_line() {
        let place = format!("body.{}\n2", "é".repeat(1_000));
        let difference = Difference::of_values(&place, "a\u{1b}[0m", "b".repeat(1_000));
        assert!(difference.place().chars().count() <= 301);
        let text = difference.to_string();
        assert!(!text.contains(char::is_control) && text.chars().count() < 1_000, "{text}");
    }
}
