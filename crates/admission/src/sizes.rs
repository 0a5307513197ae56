//! Remembers which answers of the store were large, and which queries had small ones.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datastore::{DbName, DocId, ViewQuery};
use tokio::time::Instant;

/// How many views and documents are remembered.
const REMEMBERED: usize = 32_768;

/// How long an answer counts as large after it was seen.
const LARGE_FOR: Duration = Duration::from_secs(600);

/// A view or a document, and how many of its rows are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    about: u64,
    rows: u64,
}

impl Question {
    /// Whether so many rows are all that the question asks for.
    pub(crate) fn is_answered_by(self, rows: u64) -> bool {
        rows == self.rows
    }
}

/// How large the answers about a view or a document were.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// So many rows were small together.
    light: Option<u64>,
    /// So many rows were large together, until then.
    large: Option<(u64, Instant)>,
}

/// Remembers how large answers were.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    hasher: RandomState,
    known: Mutex<HashMap<u64, Known>>,
}

impl Sizes {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The question that reads a document.
    pub(crate) fn document(&self, db: &DbName, id: &DocId) -> Question {
        self.question((db, id), 1)
    }

    /// The question that a query asks. Queries of one view with other keys ask the same.
    pub(crate) fn query(&self, db: &DbName, query: &ViewQuery) -> Question {
        self.question((db, &query.source, query.include_docs), query.limit.unwrap_or(u64::MAX))
    }

    fn question(&self, about: impl Hash, rows: u64) -> Question {
        Question { about: self.hasher.hash_one(about), rows }
    }

    /// Whether the answer is known to be large.
    pub(crate) fn is_large(&self, question: Question) -> bool {
        self.of(question).is_large(question.rows, Instant::now())
    }

    /// Whether the answer is known to be small.
    pub(crate) fn is_light(&self, question: Question) -> bool {
        let known = self.of(question);
        known.light.is_some_and(|rows| question.rows <= rows)
            && !known.is_large(question.rows, Instant::now())
    }

    pub(crate) fn note_large(&self, Question { about, rows }: Question) {
        let now = Instant::now();
        self.change(about, |known| {
            let least = if known.is_large(u64::MAX, now) { known.large.map(|(rows, _)| rows) } else { None };
            known.large = Some((least.map_or(rows, |least| least.min(rows)), now + LARGE_FOR));
        });
    }

    pub(crate) fn note_light(&self, Question { about, rows }: Question) {
        self.change(about, |known| known.light = known.light.max(Some(rows)));
    }

    fn of(&self, question: Question) -> Known {
        self.known().get(&question.about).copied().unwrap_or_default()
    }

    fn change(&self, about: u64, change: impl FnOnce(&mut Known)) {
        let mut known = self.known();
        if known.len() >= REMEMBERED && !known.contains_key(&about) {
            let now = Instant::now();
            known.retain(|_, known| known.is_large(u64::MAX, now));
            if known.len() >= REMEMBERED {
                known.clear();
            }
        }
        change(known.entry(about).or_default());
    }

    fn known(&self) -> MutexGuard<'_, HashMap<u64, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn is_large(self, rows: u64, now: Instant) -> bool {
        self.large.is_some_and(|(least, until)| least <= rows && now < until)
    }
}

#[cfg(test)]
mod tests {
    use datastore::{DbName, DocId, ViewQuery};
    use tokio::time::advance;

    use super::{LARGE_FOR, REMEMBERED, Sizes};

    fn query(limit: u64) -> ViewQuery {
        ViewQuery { limit: Some(limit), ..ViewQuery::of("groups", "crossbar_listing") }
    }

    #[tokio::test(start_paused = true)]
    async fn a_view_is_light_up_to_the_rows_that_were_and_below_those_that_were_large() {
        let (sizes, db) = (Sizes::new(), DbName::parse("a").unwrap());
        let of = |limit| sizes.query(&db, &query(limit));
        assert!(!sizes.is_light(of(1)), "it is not known yet");
        sizes.note_light(of(51));
        assert!(sizes.is_light(of(51)) && sizes.is_light(of(1)) && !sizes.is_light(of(52)));
        sizes.note_large(of(9));
        sizes.note_large(of(20));
        assert!(sizes.is_light(of(8)) && !sizes.is_light(of(9)) && sizes.is_large(of(9)));
        let with_docs = ViewQuery { include_docs: true, ..query(9) };
        assert!(!sizes.is_large(sizes.query(&db, &with_docs)));
        advance(LARGE_FOR).await;
        assert!(sizes.is_light(of(9)) && !sizes.is_large(of(u64::MAX)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded() {
        let (sizes, db) = (Sizes::new(), DbName::parse("a").unwrap());
        let document = |number: usize| sizes.document(&db, &DocId::parse(&number.to_string()).unwrap());
        sizes.note_large(document(0));
        for number in 1..2 * REMEMBERED {
            sizes.note_light(document(number));
        }
        assert!(sizes.known().len() <= REMEMBERED);
        assert!(sizes.is_large(document(0)), "small answers give way first");
        for number in 0..2 * REMEMBERED {
            sizes.note_large(document(number));
        }
        assert!(sizes.known().len() <= REMEMBERED);
    }
}
