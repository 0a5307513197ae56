//! Kazoo's configuration documents: sections by node, zone and `default`, asked in that order.

use serde_json::{Map, Value};

/// One document of `system_config`, and whose sections of it count.
///
/// The system's secret may be in it, so it cannot be printed.
#[derive(Clone, Default)]
pub(crate) struct Config {
    /// The sections that count, the most particular first.
    sections: Vec<Map<String, Value>>,
}

impl Config {
    /// Reads a document; `places` are the sections before `default`, the first to count first.
    pub(crate) fn read(mut document: Map<String, Value>, places: &[Option<String>]) -> Self {
        let names = places.iter().flatten().map(String::as_str).chain(["default"]);
        let sections = names.filter_map(|name| match document.shift_remove(name) {
            Some(Value::Object(section)) => Some(section),
            _ => None,
        });
        Self { sections: sections.collect() }
    }

    /// The first value at a path of keys.
    pub(crate) fn get(&self, path: &[&str]) -> Option<&Value> {
        self.sections.iter().find_map(|section| {
            let (first, rest) = path.split_first()?;
            rest.iter().try_fold(section.get(*first)?, |here, key| here.get(key))
        })
    }

    /// The first text at a path that stands for something: Kazoo takes a few words for nothing.
    pub(crate) fn text(&self, path: &[&str]) -> Option<&str> {
        let text = self.get(path)?.as_str()?;
        (!matches!(text, "" | "0" | "NULL" | "undefined")).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::Config;
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
        Config::read(document, &[Some("node@host".to_owned()), Some("zone".to_owned())])
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
