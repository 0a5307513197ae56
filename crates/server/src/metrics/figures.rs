//! The figures of the registry as JSON, for the status page. The library has no other way to read a figure than
//! the text that it writes, so this file reads that text back.

use serde_json::{Map, Number, Value, json};

/// Every series of a text, by its name: a list of pairs of its labels and its number.
pub(super) fn read(text: &str) -> Value {
    let mut figures = Map::new();
    for (name, labels, number) in text.lines().filter_map(series) {
        let found = figures.entry(name).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(found) = found {
            found.push(json!([labels, number]));
        }
    }
    Value::Object(figures)
}

/// A line like `name{key="value"} 1.5`.
fn series(line: &str) -> Option<(&str, Map<String, Value>, Number)> {
    if line.starts_with('#') {
        return None;
    }
    let (series, number) = line.rsplit_once(' ')?;
    let number = Number::from_f64(number.parse().ok()?)?;
    match series.split_once('{') {
        Some((name, rest)) => Some((name, labels(rest.strip_suffix('}')?)?, number)),
        None => Some((series, Map::new(), number)),
    }
}

/// The labels between the braces. The library escapes nothing, and no label of this program holds a quote.
fn labels(mut text: &str) -> Option<Map<String, Value>> {
    let mut labels = Map::new();
    while let Some((key, rest)) = text.split_once("=\"") {
        let (value, rest) = rest.split_once('"')?;
        labels.insert(key.trim_start_matches(',').to_owned(), value.into());
        text = rest;
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::read;
    use crate::metrics::Metrics;

    #[test]
    fn each_series_has_its_labels_and_its_number() {
        let text = "# TYPE a gauge\na 1\nb_bucket{le=\"+Inf\",route=\"/v2/{id}\"} 2.5\nb_bucket{le=\"0.1\"} 1\n\
                    c{task=\"purge of a, and b\"} 0\n# EOF\n";
        let expected = json!({
            "a": [[{}, 1.0]],
            "b_bucket": [[{"le": "+Inf", "route": "/v2/{id}"}, 2.5], [{"le": "0.1"}, 1.0]],
            "c": [[{"task": "purge of a, and b"}, 0.0]],
        });
        assert_eq!(read(text), expected);
    }

    #[test]
    fn every_line_of_the_registry_is_read() {
        let metrics = Metrics::new();
        let _in_flight = metrics.arrive();
        let text = metrics.encode().unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#')).count();
        let figures = metrics.figures().unwrap();
        let read: usize = figures.as_object().unwrap().values().map(|of| of.as_array().unwrap().len()).sum();
        assert!(lines > 5 && read == lines, "{read} of {lines}:\n{text}");
        assert_eq!(figures["crossbar_groups_http_requests_in_flight"], json!([[{}, 1.0]]));
    }
}
