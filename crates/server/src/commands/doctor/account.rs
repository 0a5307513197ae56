//! What the checks of one account need: which users, devices and groups there are, who is in which group, and the
//! design documents.

use std::collections::HashMap;

use datastore::{DocId, Document};
use kazoo::{Kind, is_deleted, member};
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
    pub(super) members: Vec<Member>,
}

/// A member of a group.
pub(super) struct Member {
    pub(super) id: String,
    pub(super) named: Named,
}

/// What a group says that a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// The word for its kind.
    Kind(String),
    /// There is no word.
    Nothing,
    /// The whole member is null.
    Null,
}

impl Named {
    fn read(member: &Value) -> Self {
        match member.get("type") {
            _ if member.is_null() => Self::Null,
            None | Some(Value::Null) => Self::Nothing,
            Some(Value::String(word)) => Self::Kind(word.clone()),
            Some(other) => Self::Kind(other.to_string()),
        }
    }
}

impl Household {
    /// Takes note of a document. Answers the members of a group that is not deleted. Other documents are not parsed.
    ///
    /// # Errors
    /// `Corrupt` if the document cannot be read. What could be read of it counts.
    pub(super) fn note(&mut self, document: &Document) -> datastore::Result<Option<Map<String, Value>>> {
        let says_what_it_is = |name: &str| [member::TYPE, member::DELETED].contains(&name);
        let members = document.parse_members(says_what_it_is)?;
        let kind = Kind::of(&members).filter(|kind| MEMBER_KINDS.contains(kind) && !is_deleted(&members));
        let Some(kind) = kind else { return Ok(None) };
        self.kinds.insert(document.id().clone(), kind);
        if kind != Kind::Group {
            return Ok(None);
        }
        let group = document.to_object()?;
        let endpoints = group.get("endpoints").and_then(Value::as_object).into_iter().flatten();
        let member = |(id, member): (&String, &Value)| Member { id: id.clone(), named: Named::read(member) };
        self.groups.push(Group { id: document.id().clone(), members: endpoints.map(member).collect() });
        Ok(Some(group))
    }

    /// The kind of a document, if it can be in a group.
    pub(super) fn kind(&self, id: &str) -> Option<Kind> {
        self.kinds.get(&DocId::from_store(id.to_owned())).copied()
    }

    /// The groups that contain themselves through others, one chain of ids for each cycle. Where a member has no type,
    /// Kazoo may take it for what it is.
    pub(super) fn cycles(&self) -> Vec<Vec<&str>> {
        let numbers: HashMap<&str, usize> =
            self.groups.iter().enumerate().map(|(number, group)| (group.id.as_str(), number)).collect();
        let inner = |group: &Group| -> Vec<usize> {
            let may_be_group = |member: &&Member| match &member.named {
                Named::Kind(word) => word == Kind::Group.as_str(),
                Named::Nothing | Named::Null => true,
            };
            let groups = group.members.iter().filter(may_be_group);
            groups.filter_map(|member| numbers.get(member.id.as_str()).copied()).collect()
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
    use datastore::{DocId, Document};
    use serde_json::{Value, json};

    use super::{Group, Household, Member, Named};

    fn group(id: &str, endpoints: &Value) -> Document {
        let group = json!({"_id": id, "_rev": "1-a", "pvt_type": "group", "endpoints": endpoints});
        Document::from_text(group.to_string()).unwrap()
    }

    fn household(groups: &[(&str, &[&str])]) -> Household {
        let mut household = Household::default();
        for (id, inner) in groups {
            let endpoints: serde_json::Map<_, _> =
                inner.iter().map(|id| ((*id).to_owned(), json!({"type": "group"}))).collect();
            assert!(household.note(&group(id, &endpoints.into())).unwrap().is_some());
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
    fn a_member_without_a_type_may_close_a_cycle() {
        for member in [json!({}), json!({"type": null}), json!(null)] {
            let mut household = household(&[("a", &["b"])]);
            household.note(&group("b", &json!({ "a": member }))).unwrap();
            assert_eq!(household.cycles(), [["a", "b"]], "{member}");
        }
        let mut household = household(&[("a", &["b"])]);
        household.note(&group("b", &json!({"a": {"type": "user"}}))).unwrap();
        assert!(household.cycles().is_empty());
    }

    #[test]
    fn a_long_chain_takes_no_stack() {
        let names: Vec<_> = (0..200_000).map(|n| format!("g{n:06}")).collect();
        let mut household = Household::default();
        for pair in names.windows(2) {
            let inner = Member { id: pair[1].clone(), named: Named::Kind("group".to_owned()) };
            household.groups.push(Group { id: DocId::parse(&pair[0]).unwrap(), members: vec![inner] });
        }
        assert!(household.cycles().is_empty());
    }
}
