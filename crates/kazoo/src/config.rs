//! Kazoo's configuration documents. They have sections for nodes and zones, and `default`. A node's section
//! overrides its zone's, and both override `default`.

use serde_json::{Map, Value};

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

impl Config {
    /// Keeps the sections of a configuration document that apply to a node and zone.
    #[must_use]
    pub fn read(mut document: Map<String, Value>, node_and_zone: &NodeAndZone) -> Self {
        let names = [node_and_zone.node.as_deref(), node_and_zone.zone.as_deref(), Some("default")];
        let sections = names.into_iter().flatten().filter_map(|name| match document.remove(name) {
            Some(Value::Object(section)) => Some(section),
            _ => None,
        });
        Self { sections: sections.collect() }
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
    use super::{Config, NodeAndZone};
    use serde_json::{Value, json};

    fn config() -> Config {
        let Value::Object(document) = json!({
            "_id": "auth",
            "node@host": {"a": 1},
            "zone": {"a": 2, "b": {"c": 2}},
            "default": {"a": 3, "b": {"c": 3, "d": 3}, "empty": "undefined", "text": "x"},
        }) else {
            unreachable!()
        };
        Config::read(
            document,
            &NodeAndZone { node: Some("node@host".to_owned()), zone: Some("zone".to_owned()) },
        )
    }

    #[test]
    fn the_most_particular_section_counts() {
        let config = config();
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
}
