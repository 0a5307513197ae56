//! Whether a difference between two servers is there to stay. Somebody may write between the two reads, so one look
//! proves nothing. A difference counts when two looks show it. It does not know how the servers are asked.

use crate::difference::Difference;

/// How many looks there are at most. A place of a listing may move once while somebody writes, but not each time.
const MOST: usize = 4;

/// The differences that several looks at one request have shown.
///
/// ```
/// use comparison::{Looks, Seen};
///
/// let mut looks = Looks::default();
/// assert_eq!(looks.note(None), Seen::Same);
/// ```
#[derive(Debug, Default)]
pub struct Looks(Vec<Difference>);

/// What the looks show so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The answers are the same.
    Same,
    /// Two looks have shown this difference.
    Differs(Difference),
    /// Each look has shown another difference so far. Look again after a pause.
    Unclear,
    /// Each look has shown another difference, and there were enough. Whether the servers differ is not known.
    Unsettled,
}

impl Looks {
    /// Takes note of what one look has shown.
    pub fn note(&mut self, found: Option<Difference>) -> Seen {
        let Some(found) = found else { return Seen::Same };
        if self.0.iter().any(|earlier| earlier.is_like(&found)) {
            return Seen::Differs(found);
        }
        self.0.push(found);
        if self.0.len() < MOST { Seen::Unclear } else { Seen::Unsettled }
    }
}

#[cfg(test)]
mod tests {
    use super::{Looks, Seen};
    use crate::difference::{Difference, What};

    /// `place` for a value, `-place` for a missing member, `=` for the same answers.
    fn found(look: &str) -> Option<Difference> {
        match look.strip_prefix('-') {
            Some(place) => Some(Difference::new(place, What::Missing)),
            // The values change from look to look, as a time does.
            None if look != "=" => Some(Difference::of_values(look, random(), random())),
            None => None,
        }
    }

    fn random() -> u64 {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    #[test]
    fn a_difference_counts_when_two_looks_show_it() {
        for (shown, expected) in [
            (&["="][..], "same"),
            (&["a", "a"], "a differs"),
            (&["a", "="], "same"),
            // Two differences that were seen once each are two chances, and no proof.
            (&["a", "b"], "unclear"),
            (&["a", "-a"], "unclear"),
            (&["a", "b", "="], "same"),
            (&["a", "b", "b"], "b differs"),
            (&["a", "b", "a"], "a differs"),
            (&["-a", "a", "-a"], "a differs"),
            (&["a", "b", "c", "a"], "a differs"),
            (&["a", "b", "c", "="], "same"),
            (&["a", "b", "c", "d"], "unsettled"),
        ] {
            let mut looks = Looks::default();
            let (last, before) = shown.split_last().unwrap();
            for look in before {
                assert_eq!(looks.note(found(look)), Seen::Unclear, "{shown:?}");
            }
            let told = match looks.note(found(last)) {
                Seen::Same => "same".to_owned(),
                Seen::Differs(difference) => format!("{} differs", difference.place()),
                Seen::Unclear => "unclear".to_owned(),
                Seen::Unsettled => "unsettled".to_owned(),
            };
            assert_eq!(told, expected, "{shown:?}");
        }
    }
}
