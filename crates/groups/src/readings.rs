//! The texts of long values that several filters compare: lists, lists inside lists, and numbers. Each is read once.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::ptr;

use kazoo::term;
use serde_json::Value;

/// The texts of the values in one member of a document, once they were read.
#[derive(Debug, Default)]
pub(crate) struct Readings {
    /// The lists that filters look at.
    lists: HashSet<Id>,
    /// The texts of lists and numbers, one behind the other or within it.
    bytes: Vec<u8>,
    texts: HashMap<Id, Range<usize>>,
    /// Whether a number is empty.
    empty: HashMap<Id, bool>,
    /// The seconds of the member, if they were asked for.
    stamp: Option<Option<i128>>,
}

/// The address of a value, which stays where it is meanwhile.
type Id = *const Value;

impl Readings {
    /// For filters that look at these values. An outer list must be asked for before the lists in it.
    pub(crate) fn of<'a>(values: impl IntoIterator<Item = &'a Value>) -> Self {
        let lists = values.into_iter().filter(|value| value.is_array()).map(ptr::from_ref).collect();
        Self { lists, ..Self::default() }
    }

    /// The text of a value, as [`term::to_bytes`] gives it.
    pub(crate) fn text<'a>(&'a mut self, value: &'a Value) -> Cow<'a, [u8]> {
        let id = ptr::from_ref(value);
        match value {
            Value::Array(items) if !self.texts.contains_key(&id) => {
                let text = self.read_list(items);
                self.texts.insert(id, text);
            }
            Value::Number(_) if !self.texts.contains_key(&id) => {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(&term::to_bytes(value));
                self.texts.insert(id, start..self.bytes.len());
            }
            Value::Array(_) | Value::Number(_) => {}
            _ => return term::to_bytes(value),
        }
        let text = self.texts.get(&id).cloned().and_then(|text| self.bytes.get(text));
        Cow::Borrowed(text.unwrap_or_default())
    }

    /// The text of a list. The texts of the lists in it are noted too.
    fn read_list(&mut self, items: &[Value]) -> Range<usize> {
        let Self { lists, bytes, texts, .. } = self;
        let start = bytes.len();
        let is_text = term::push_list(items, bytes, &mut |inner, text| {
            let id = ptr::from_ref(inner);
            if lists.contains(&id) {
                texts.insert(id, text);
            }
        });
        if is_text { start..bytes.len() } else { 0..0 }
    }

    /// Whether Kazoo treats a value as empty.
    pub(crate) fn is_empty(&mut self, value: &Value) -> bool {
        match value {
            Value::Number(_) => *self.empty.entry(value).or_insert_with(|| term::is_empty(value)),
            other => term::is_empty(other),
        }
    }

    /// The seconds in the member, if it is a number.
    pub(crate) fn stamp(&mut self, member: Option<&Value>) -> Option<i128> {
        let read = || term::integer_of_text(&member?.as_number()?.to_string());
        *self.stamp.get_or_insert_with(read)
    }
}
