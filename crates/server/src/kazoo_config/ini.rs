//! Reads INI as Kazoo does: sections and keys may repeat, `;` begins a comment, values may be quoted. It does not
//! know what the keys mean.

/// A section. Several may have the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) name: String,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    key: String,
    value: String,
}

impl Section {
    /// The first value of a key. An empty one counts as none.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.all(&[key]).next()
    }

    /// The values of these keys, in the order of the file.
    pub(super) fn all(&self, keys: &[&str]) -> impl Iterator<Item = &str> {
        let entries = self.entries.iter().filter(move |entry| keys.contains(&entry.key.as_str()));
        entries.map(|entry| entry.value.as_str()).filter(|value| !value.is_empty())
    }
}

/// Reads a text. The error is the rest of a sentence that begins with the file's name; it never repeats a line, which
/// may hold a password.
pub(super) fn read(text: &str) -> Result<Vec<Section>, String> {
    let mut sections: Vec<Section> = Vec::new();
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        let refused = |what: &str| format!("line {}: {what}", number.saturating_add(1));
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let (name, _) =
                rest.split_once(']').ok_or_else(|| refused("the section has no closing bracket"))?;
            sections.push(Section { name: name.trim().to_owned(), entries: Vec::new() });
            continue;
        }
        let (key, value) =
            line.split_once('=').ok_or_else(|| refused("it is neither a section nor key = value"))?;
        let section = sections.last_mut().ok_or_else(|| refused("a key stands before the first section"))?;
        section.entries.push(Entry { key: key.trim().to_owned(), value: value_of(value.trim()).to_owned() });
    }
    Ok(sections)
}

/// A value without its quotes, and without the comment behind it. A `;` inside a word belongs to the word.
fn value_of(text: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some((quoted, _)) = text.strip_prefix(quote).and_then(|rest| rest.split_once(quote)) {
            return quoted;
        }
    }
    let comment = text.char_indices().zip(std::iter::once(' ').chain(text.chars()));
    let comment = comment.filter(|((_, char), before)| *char == ';' && before.is_whitespace());
    let end = comment.map(|((index, _), _)| index).next().unwrap_or(text.len());
    text.get(..end).unwrap_or(text).trim_end()
}

#[cfg(test)]
mod tests {
    use super::{read, value_of};

    #[test]
    fn values_lose_quotes_and_comments() {
        for (text, expected) in [
            ("\"a b\" ; c", "a b"),
            ("'a;b'", "a;b"),
            ("a;b ; c", "a;b"),
            ("a ;c", "a"),
            ("; all of it", ""),
            ("\"", "\""),
            ("", ""),
            ("amqp://u:p=1@h:5672", "amqp://u:p=1@h:5672"),
        ] {
            assert_eq!(value_of(text), expected, "{text}");
        }
    }

    #[test]
    fn sections_and_keys_repeat() {
        let text = "; c\n[zone]\r\nname = \"east\"\nuri= a\namqp_uri =b\nuri=\n\n[ zone ] ; c\nname='west'\n";
        let sections = read(text).unwrap();
        let names: Vec<_> = sections.iter().map(|section| (&*section.name, section.get("name"))).collect();
        assert_eq!(names, [("zone", Some("east")), ("zone", Some("west"))]);
        assert_eq!(sections[0].all(&["uri", "amqp_uri"]).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn what_cannot_be_read_is_named_by_its_line_alone() {
        for (text, line) in
            [("[a]\npassword secret", "line 2"), ("secret=1", "line 1"), ("\n[secret", "line 2")]
        {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(line) && !error.contains("secret"), "{error}");
        }
    }
}
