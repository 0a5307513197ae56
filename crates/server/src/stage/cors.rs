//! Cross-origin requests: whether this is one, the methods it is told of, and preflights.

use actix_web::http::header::HeaderMap;

use crate::stage::verb::Verb;

/// The headers of which any makes a request a cross-origin one.
const CORS_HEADERS: [&str; 3] = ["origin", "access-control-request-method", "access-control-request-headers"];

/// What an answer says of methods as long as the resource is not known.
const UNKNOWN_RESOURCE: &str = "GET, POST, PUT, DELETE, HEAD, PATCH, OPTIONS";

/// Whether a request is a cross-origin one.
pub(crate) fn is_cors(headers: &HeaderMap) -> bool {
    CORS_HEADERS.iter().any(|name| headers.contains_key(*name))
}

/// What is known of a request's resource when its answer lists methods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Methods {
    /// Nothing yet.
    #[default]
    Unknown,
    /// It does not exist.
    None,
    /// These, and POST as well where a verb comes through it.
    Of {
        /// The resource's own.
        methods: &'static [&'static str],
        /// Whether an allowed verb comes through POST.
        through_post: bool,
    },
}

impl Methods {
    /// The methods of a resource as this request sees them.
    pub(crate) fn of(methods: &'static [&'static str], method: &str, verb: &Verb) -> Self {
        let through_post = verb.is_tunnelled && method == "POST" && methods.contains(&verb.name.as_str());
        Self::Of { methods, through_post }
    }

    /// The value of `access-control-allow-methods`: the method that was asked for first, where the
    /// list lacks it.
    pub(crate) fn header_value(&self, requested: Option<&str>) -> String {
        let list = match self {
            Self::Unknown => format!("OPTIONS, {UNKNOWN_RESOURCE}"),
            Self::None => "OPTIONS".to_owned(),
            Self::Of { methods, through_post } => {
                let post: &[&str] = if *through_post { &["POST"] } else { &[] };
                [&["OPTIONS"], post, methods].concat().join(", ")
            }
        };
        match requested {
            Some(requested) if !list.split(", ").any(|method| method == requested) => {
                format!("{requested}, {list}")
            }
            _ => list,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Methods;

    #[test]
    fn the_requested_method_comes_first_unless_it_is_listed() {
        let item = Methods::Of { methods: &["PATCH", "POST", "GET", "DELETE"], through_post: false };
        assert_eq!(item.header_value(Some("LINK")), "LINK, OPTIONS, PATCH, POST, GET, DELETE");
        assert_eq!(item.header_value(Some("GET")), "OPTIONS, PATCH, POST, GET, DELETE");
        assert_eq!(Methods::None.header_value(Some("GET")), "GET, OPTIONS");
        assert_eq!(
            Methods::Unknown.header_value(None),
            "OPTIONS, GET, POST, PUT, DELETE, HEAD, PATCH, OPTIONS"
        );
    }

    #[test]
    fn a_tunnelled_verb_adds_post() {
        let item = Methods::Of { methods: &["PATCH", "POST", "GET", "DELETE"], through_post: true };
        assert_eq!(item.header_value(None), "OPTIONS, POST, PATCH, POST, GET, DELETE");
    }
}
