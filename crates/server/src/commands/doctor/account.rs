//! What the checks of one account need: which users, devices and groups there are, who is in which group, and the
//! design documents.

use std::collections::HashMap;

use datastore::{DocId, Document};
use kazoo::{Kind, is_deleted};
use serde_json::{Map, Value};

/// The kinds of documents that can be in a group.
pub(super) const MEMBER_KINDS: [Kind; 3] = [Kind::User, Kind::Device, Kind::Group];

/// An account's users, devices and groups.
#[derive(Default)]
pub(super) struct Household {
    /// The kind of each document that can be in a group.
    kinds: HashMap<DocId, Kind>,
    pub(super) groups: Vec<Group>,
    /// The design documents.
    pub(super) designs: Vec<Document>,
}

pub(super) struct Group {
    pub(super) id: DocId,
    /// The members: their ids, and the words for their kinds.
    pub(super) members: Vec<(String, String)>,
}

impl Household {
    /// Takes note of a document. Answers whether it is a group that is not deleted.
    pub(super) fn note(&mut self, id: &DocId, members: &Map<String, Value>) -> bool {
        let kind = Kind::of(members).filter(|kind| MEMBER_KINDS.contains(kind) && !is_deleted(members));
        let Some(kind) = kind else { return false };
        self.kinds.insert(id.clone(), kind);
        let is_group = kind == Kind::Group;
        if is_group {
            let endpoints = members.get("endpoints").and_then(Value::as_object).into_iter().flatten();
            let word = |endpoint: &Value| {
                endpoint.get("type").and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            let members = endpoints.map(|(id, endpoint)| (id.clone(), word(endpoint))).collect();
            self.groups.push(Group { id: id.clone(), members });
        }
        is_group
    }

    /// The kind of a document, if it can be in a group.
    pub(super) fn kind(&self, id: &str) -> Option<Kind> {
        self.kinds.get(&DocId::from_store(id.to_owned())).copied()
    }

    /// The groups that contain themselves through others, one chain of ids for each cycle.
    pub(super) fn cycles(&self) -> Vec<Vec<&str>> {
        let numbers: HashMap<&str, usize> =
            self.groups.iter().enumerate().map(|(number, group)| (group.id.as_str(), number)).collect();
        let inner = |group: &Group| -> Vec<usize> {
            let groups = group.members.iter().filter(|(_, word)| word == Kind::Group.as_str());
            groups.filter_map(|(id, _)| numbers.get(id.as_str()).copied()).collect()
        };
        let edges: Vec<_> = self.groups.iter().map(inner).collect();
        let mut state = vec![Visit::New; self.groups.len()];
        let mut cycles = Vec::new();
        for start in 0..self.groups.len() {
            self.walk(start, &edges, &mut state, &mut cycles);
        }
        cycles
    }

    /// Walks from a group to its inner groups, without recursion: a chain may be long.
    fn walk<'a>(
        &'a self,
        start: usize,
        edges: &[Vec<usize>],
        state: &mut [Visit],
        cycles: &mut Vec<Vec<&'a str>>,
    ) {
        let set = |state: &mut [Visit], group: usize, visit| {
            if let Some(slot) = state.get_mut(group) {
                *slot = visit;
            }
        };
        let of = |state: &[Visit], group: usize| state.get(group).copied().unwrap_or(Visit::Done);
        if of(state, start) != Visit::New {
            return;
        }
        let mut path = vec![(start, 0_usize)];
        set(state, start, Visit::OnPath);
        while let Some((group, next)) = path.last_mut() {
            let group = *group;
            let Some(inner) = edges.get(group).and_then(|inner| inner.get(*next)).copied() else {
                set(state, group, Visit::Done);
                path.pop();
                continue;
            };
            *next += 1;
            match of(state, inner) {
                Visit::New => {
                    set(state, inner, Visit::OnPath);
                    path.push((inner, 0));
                }
                Visit::OnPath => {
                    let chain = path.iter().map(|(group, _)| *group).skip_while(|group| *group != inner);
                    let names = chain.filter_map(|group| Some(self.groups.get(group)?.id.as_str()));
                    cycles.push(names.collect());
                }
                Visit::Done => {}
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    New,
    OnPath,
    Done,
}

#[cfg(test)]
mod tests {
    use datastore::DocId;
    use serde_json::json;

    use super::Household;

    fn household(groups: &[(&str, &[&str])]) -> Household {
        let mut household = Household::default();
        for (id, inner) in groups {
            let endpoints: serde_json::Map<_, _> =
                inner.iter().map(|id| ((*id).to_owned(), json!({"type": "group"}))).collect();
            let members = json!({"pvt_type": "group", "endpoints": endpoints});
            assert!(household.note(&DocId::parse(id).unwrap(), members.as_object().unwrap()));
        }
        household
    }

    fn check(groups: &[(&str, &[&str])], expected: &[&[&str]]) {
        assert_eq!(household(groups).cycles(), expected, "{groups:?}");
    }

    #[test]
    fn groups_that_contain_themselves_are_found() {
        check(&[("a", &[]), ("b", &["a"]), ("c", &["a", "b", "x"])], &[]);
        check(&[("a", &["a"])], &[&["a"]]);
        check(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])], &[&["b", "c"]]);
        check(&[("a", &["b"]), ("b", &["a"]), ("c", &["a"])], &[&["a", "b"]]);
    }

    #[test]
    fn a_long_chain_takes_no_stack() {
        let names: Vec<_> = (0..200_000).map(|n| format!("g{n:06}")).collect();
        let mut household = Household::default();
        for pair in names.windows(2) {
            let inner = [(pair[1].clone(), "group".to_owned())];
            household
                .groups
                .push(super::Group { id: DocId::parse(&pair[0]).unwrap(), members: inner.to_vec() });
        }
        assert!(household.cycles().is_empty());
    }
}
