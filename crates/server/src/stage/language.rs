//! The `Accept-Language` header. It never refuses: crossbar serves one content and labels it with the
//! language that the client likes best.

use validation::MAX_ECHO;

use crate::grammar::quality::{parse_quality, sort_as_cowboy};
use crate::grammar::token::is_token;

/// The languages that crossbar offers beside the first one that the client lists.
const OFFERED: [&str; 3] = ["en", "en-us", "en-gb"];

/// The value of `content-language`.
pub(crate) fn choose(accept_language: Option<&str>) -> String {
    let fallback = || "en".to_owned();
    let Some(listed) = accept_language.and_then(parse) else { return fallback() };
    let Some((first, _)) = listed.first().cloned() else { return fallback() };
    let sorted = sort_as_cowboy(listed, |(_, a), (_, b)| a > b);
    let is_offered = |tag: &String| *tag == first || OFFERED.contains(&tag.as_str());
    sorted.into_iter().map(|(tag, _)| tag).find(is_offered).unwrap_or_else(fallback)
}

fn parse(header: &str) -> Option<Vec<(String, u16)>> {
    let entries = header.split(',').map(|entry| {
        let (tag, weight) = entry.trim().split_once(';').unwrap_or((entry.trim(), "q=1"));
        let quality = weight.trim().strip_prefix("q=").and_then(parse_quality)?;
        let is_tag =
            tag == "*" || (is_token(tag) && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
        (is_tag && tag.len() <= MAX_ECHO).then(|| (tag.to_ascii_lowercase(), quality))
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn the_language_is_the_clients_first_or_english() {
        for (header, expected) in [
            ("fr-FR,fr;q=0.9", "fr-fr"),
            ("de", "de"),
            ("*", "*"),
            ("en-GB, de;q=0.5", "en-gb"),
            ("fr;q=0.3, en;q=0.2", "fr"),
            ("fr;q=0.2, en;q=0.3", "en"),
            ("", "en"),
            (";;;", "en"),
        ] {
            assert_eq!(choose(Some(header)), expected, "{header}");
        }
        assert_eq!(choose(None), "en");
    }
}
