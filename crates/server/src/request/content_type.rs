//! The `Content-Type` of a body. It decides how the body is read.

use crate::catalogue::Refusal;
use crate::grammar::media_type::MediaType;

/// How a request's body is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContentType {
    /// The JSON envelope. A request without the header counts as one.
    Json,
    /// A form, or JSON that curl has labelled as a form.
    Form,
    /// Parts with this boundary between them.
    Multipart { boundary: String },
    /// A file in base64.
    Base64,
    /// A file. Its content is not read. A write with it is refused later unless `accepted` is true.
    File { accepted: bool },
}

impl ContentType {
    /// Reads the header. Refuses a value that is not a media type (400).
    pub(crate) fn parse(header: Option<&str>) -> Result<Self, Refusal> {
        let Some(header) = header else { return Ok(Self::Json) };
        let unreadable = |message| Refusal::malformed("content_type", message, Some(header));
        let media_type = MediaType::parse(header)
            .ok_or_else(|| unreadable("the Content-Type header must be type/subtype, and parameters"))?;
        Ok(match media_type.essence.as_str() {
            "application/json" | "application/x-json" => Self::Json,
            "application/x-www-form-urlencoded" => Self::Form,
            "multipart/form-data" | "multipart/mixed" => {
                let boundary = media_type.parameters.into_iter().find(|(name, _)| name == "boundary");
                match boundary {
                    Some((_, boundary)) if !boundary.is_empty() => Self::Multipart { boundary },
                    _ => return Err(unreadable("a multipart Content-Type must name its boundary")),
                }
            }
            "application/base64" | "application/x-base64" => Self::Base64,
            "application/octet-stream" | "text/csv" | "text/comma-separated-values" => {
                Self::File { accepted: true }
            }
            _ => Self::File { accepted: false },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::ContentType;

    #[test]
    fn each_content_type_has_its_kind() {
        for (header, expected) in [
            ("application/json", ContentType::Json),
            ("APPLICATION/JSON; charset=utf-8", ContentType::Json),
            ("application/x-json;charset=\"utf-8\"", ContentType::Json),
            ("application/x-www-form-urlencoded", ContentType::Form),
            ("multipart/form-data; boundary=\"a;b\"", ContentType::Multipart { boundary: "a;b".to_owned() }),
            ("text/csv", ContentType::File { accepted: true }),
            ("text/plain", ContentType::File { accepted: false }),
        ] {
            assert_eq!(ContentType::parse(Some(header)).unwrap(), expected, "{header}");
        }
        assert_eq!(ContentType::parse(None).unwrap(), ContentType::Json);
    }

    #[test]
    fn a_value_that_is_no_media_type_is_refused() {
        for header in
            ["", "garbage", "a/", "/b", "a/b;", "a/b;c", "a b/c", "multipart/form-data", "a/b;c=\"d"]
        {
            assert!(ContentType::parse(Some(header)).is_err(), "{header:?}");
        }
    }
}
