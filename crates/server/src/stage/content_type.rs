//! The `Content-Type` of a request. Refuses one that cannot be read (400, at the beginning) and one
//! that crossbar does not take for a write (415, near the end).

use crate::catalogue::{Bare, Refusal};

/// How a request's body is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContentType {
    /// The JSON envelope; also where nothing is said.
    Json,
    /// A form, or JSON that curl calls one.
    Form,
    /// Parts, divided by this boundary.
    Multipart { boundary: String },
    /// A file in base64.
    Base64,
    /// Some file, its content of no use here. Whether a write with it is taken in the end.
    File { accepted: bool },
}

/// Reads the header, where there is one.
pub(crate) fn parse(header: Option<&str>) -> Result<ContentType, Refusal> {
    let Some(header) = header else { return Ok(ContentType::Json) };
    let unreadable = || {
        Refusal::malformed(
            "content_type",
            "the Content-Type header must be type/subtype, and parameters",
            Some(header),
        )
    };
    let (essence, parameters) = media_type(header).ok_or_else(unreadable)?;
    Ok(match essence.as_str() {
        "application/json" | "application/x-json" => ContentType::Json,
        "application/x-www-form-urlencoded" => ContentType::Form,
        "multipart/form-data" | "multipart/mixed" => {
            let boundary =
                parameters.into_iter().find(|(name, _)| name == "boundary").map(|(_, value)| value);
            let boundary = boundary.filter(|boundary| !boundary.is_empty()).ok_or_else(|| {
                Refusal::malformed(
                    "content_type",
                    "a multipart Content-Type must name its boundary",
                    Some(header),
                )
            })?;
            ContentType::Multipart { boundary }
        }
        "application/base64" | "application/x-base64" => ContentType::Base64,
        "application/octet-stream" | "text/csv" | "text/comma-separated-values" => {
            ContentType::File { accepted: true }
        }
        _ => ContentType::File { accepted: false },
    })
}

/// Refuses a write whose body's type crossbar does not take.
pub(crate) fn check_accepted(content_type: &ContentType) -> Result<(), Refusal> {
    match content_type {
        ContentType::Base64 | ContentType::File { accepted: false } => {
            Err(Refusal::Bare(Bare::UnsupportedMediaType))
        }
        _ => Ok(()),
    }
}

/// A media type, lower-cased, with its parameters; none where the text is not one.
pub(crate) fn media_type(text: &str) -> Option<(String, Vec<(String, String)>)> {
    let mut parts = split_outside_quotes(text, ';').into_iter();
    let (kind, subtype) = parts.next()?.trim().split_once('/')?;
    if !is_token(kind) || !is_token(subtype) {
        return None;
    }
    let parameters = parts.map(|part| {
        let (name, value) = part.trim().split_once('=')?;
        let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let value = match quoted {
            Some(quoted) => quoted.replace('\\', ""),
            None if is_token(value) => value.to_owned(),
            None => return None,
        };
        is_token(name).then(|| (name.to_ascii_lowercase(), value))
    });
    let parameters = parameters.collect::<Option<Vec<_>>>()?;
    Some((format!("{kind}/{subtype}").to_ascii_lowercase(), parameters))
}

/// The parts of a header between separators that no quotes enclose.
pub(crate) fn split_outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(|c: char| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => return c == separator && !quoted,
        }
        false
    })
    .collect()
}

/// Whether a text is a token of HTTP's grammar.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::{ContentType, parse};

    #[test]
    fn content_types_are_told_apart() {
        for (header, expected) in [
            ("application/json", ContentType::Json),
            ("APPLICATION/JSON; charset=utf-8", ContentType::Json),
            ("application/x-json;charset=\"utf-8\"", ContentType::Json),
            ("application/x-www-form-urlencoded", ContentType::Form),
            ("multipart/form-data; boundary=\"a;b\"", ContentType::Multipart { boundary: "a;b".to_owned() }),
            ("text/csv", ContentType::File { accepted: true }),
            ("text/plain", ContentType::File { accepted: false }),
        ] {
            assert_eq!(parse(Some(header)).unwrap(), expected, "{header}");
        }
        assert_eq!(parse(None).unwrap(), ContentType::Json);
    }

    #[test]
    fn what_is_no_content_type_is_refused() {
        for header in
            ["", "garbage", "a/", "/b", "a/b;", "a/b;c", "a b/c", "multipart/form-data", "a/b;c=\"d"]
        {
            assert!(parse(Some(header)).is_err(), "{header:?}");
        }
    }
}
