//! What a history has shown.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::checker::{self, Asked, Event, Told};
use super::clients::{Note, Notebook};

/// The result of a history.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) events: usize,
    pub(super) acknowledged: usize,
    pub(super) unknown: usize,
    pub(super) refused: usize,
    pub(super) kills: usize,
    pub(super) store_kills: usize,
    pub(super) panics: u64,
    pub(super) violations: Vec<String>,
}

impl Tally {
    /// Counts a round's notes and checks each group's history.
    pub(super) fn add(&mut self, notes: &[Note], notebook: &Notebook) {
        let mut groups: BTreeMap<&str, Vec<Event>> = BTreeMap::new();
        for (id, event) in notes {
            groups.entry(id).or_default().push(event.clone());
            self.events += 1;
            let is_write = event.asked != Asked::Read;
            self.acknowledged += usize::from(matches!(event.told, Told::Done(_)));
            self.unknown += usize::from(is_write && event.told == Told::Unknown);
            self.refused += usize::from(is_write && event.told == Told::Refused);
        }
        let known = notebook.ids();
        for (id, events) in groups {
            if !known.contains(id) {
                self.violations.push(format!("{id}: a listing shows a group that nobody made"));
            }
            self.violations.extend(checker::check(&events).into_iter().map(|what| format!("{id}: {what}")));
        }
    }

    /// The figures of a row, and what is wrong.
    pub(super) fn figures(mut self) -> (Map<String, Value>, Vec<String>) {
        if self.panics > 0 {
            self.violations.push(format!("{} panics", self.panics));
        }
        if self.acknowledged == 0 {
            self.violations.push("no write was acknowledged, so the history shows nothing".to_owned());
        }
        let figures = json!({
            "kills": self.kills,
            "store_kills": self.store_kills,
            "events": self.events,
            "acknowledged": self.acknowledged,
            "unknown": self.unknown,
            "refused": self.refused,
            "violations": self.violations.len(),
        });
        (figures.as_object().cloned().unwrap_or_default(), self.violations)
    }
}
