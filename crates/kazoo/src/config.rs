//! Kazoo's configuration documents. They have sections for nodes and zones, and `default`. A node's section
//! overrides its zone's, and both override `default`.

use serde_json::{Map, Value};

use crate::private::{is_deleted, is_private};
use crate::term;

/// A node and a zone. Their sections of a configuration document override `default`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeAndZone {
    /// The Kazoo node. Its section comes first.
    pub node: Option<String>,
    /// The Kazoo zone. Its section comes second.
    pub zone: Option<String>,
}

/// One document of `system_config`, reduced to the sections for one node and zone.
///
/// It may hold the system's secret, so it cannot be printed.
#[derive(Clone, Default)]
pub struct Config {
    /// The sections. An earlier one overrides a later one.
    sections: Vec<Map<String, Value>>,
}

/// All sections of one document of `system_config`, by name. A document that is marked as deleted has none.
///
/// They may hold the system's secret, so they cannot be printed.
#[derive(Clone, Default)]
pub struct Sections(Map<String, Value>);

impl Sections {
    /// Keeps the sections of a configuration document.
    #[must_use]
    pub fn read(mut document: Map<String, Value>) -> Self {
        if is_deleted(&document) {
            return Self::default();
        }
        document.retain(|name, section| section.is_object() && !is_private(name));
        Self(document)
    }

    /// The sections and their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Map<String, Value>)> {
        self.0.iter().filter_map(|(name, section)| Some((name.as_str(), section.as_object()?)))
    }

    fn take(&mut self, name: &str) -> Option<Map<String, Value>> {
        match self.0.remove(name)? {
            Value::Object(section) => Some(section),
            _ => None,
        }
    }
}

impl Config {
    /// The name of the section that counts for every node and zone.
    pub const DEFAULT: &str = "default";

    /// Keeps the sections of a configuration document that apply to a node and zone. A document that is marked as
    /// deleted has none.
    #[must_use]
    pub fn read(document: Map<String, Value>, node_and_zone: &NodeAndZone) -> Self {
        let mut sections = Sections::read(document);
        let names = [node_and_zone.node.as_deref(), node_and_zone.zone.as_deref(), Some(Self::DEFAULT)];
        Self { sections: names.into_iter().flatten().filter_map(|name| sections.take(name)).collect() }
    }

    /// The value at a path of keys, from the first section that has a value there.
    #[must_use]
    pub fn get(&self, path: &[&str]) -> Option<&Value> {
        self.sections.iter().find_map(|section| {
            let (first, rest) = path.split_first()?;
            rest.iter().try_fold(section.get(*first)?, |here, key| here.get(key))
        })
    }

    /// The text at a path of keys. `None` if Kazoo treats the text as empty.
    #[must_use]
    pub fn text(&self, path: &[&str]) -> Option<&str> {
        self.get(path)?.as_str().filter(|text| !term::is_empty_text(text))
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, NodeAndZone, Sections};
    use serde_json::{Map, Value, json};

    fn document() -> Map<String, Value> {
        let Value::Object(document) = json!({
            "_id": "auth",
            "node@host": {"a": 1},
            "zone": {"a": 2, "b": {"c": 2}},
            "default": {"a": 3, "b": {"c": 3, "d": 3}, "empty": "undefined", "text": "x"},
        }) else {
            unreachable!()
        };
        document
    }

    fn read(document: Map<String, Value>) -> Config {
        let node_and_zone = NodeAndZone { node: Some("node@host".to_owned()), zone: Some("zone".to_owned()) };
        Config::read(document, &node_and_zone)
    }

    #[test]
    fn the_most_particular_section_counts() {
        let config = read(document());
        for (path, expected) in
            [(&["a"][..], Some(1)), (&["b", "c"], Some(2)), (&["b", "d"], Some(3)), (&["x"], None)]
        {
            assert_eq!(config.get(path).and_then(Value::as_i64), expected, "{path:?}");
        }
        assert_eq!(
            (config.text(&["text"]), config.text(&["empty"]), config.text(&["a"])),
            (Some("x"), None, None)
        );
    }

    #[test]
    fn a_deleted_document_has_no_sections() {
        let names =
            |document| Sections::read(document).iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(names(document()), ["node@host", "zone", "default"]);
        for (mark, is_there) in [(json!(true), false), (json!("true"), false), (json!(false), true)] {
            let mut document = document();
            document.insert("pvt_deleted".to_owned(), mark.clone());
            assert_eq!(read(document.clone()).get(&["a"]).is_some(), is_there, "{mark}");
            assert_eq!(names(document).is_empty(), !is_there, "{mark}");
        }
    }

    #[test]
    fn private_members_are_no_sections() {
        let Value::Object(document) = json!({"_attachments": {}, "pvt_x": {}, "name": "x"}) else {
            unreachable!()
        };
        assert_eq!(Sections::read(document).iter().count(), 0);
    }
}
