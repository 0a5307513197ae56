//! The methods that an answer to a cross-origin request lists.

use super::verb::Verb;

/// The list while the resource is not known.
const UNKNOWN_RESOURCE: &str = "GET, POST, PUT, DELETE, HEAD, PATCH, OPTIONS";

/// The methods that an answer to a cross-origin request lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Methods {
    /// The resource is not known yet.
    #[default]
    Unknown,
    /// The resource does not exist.
    None,
    /// The resource has these methods, and POST too if POST carries one of its verbs.
    Of {
        /// The methods of the resource.
        methods: &'static [Verb],
        /// Whether POST carries one of the resource's verbs.
        through_post: bool,
    },
}

impl Methods {
    /// The methods of a resource as this request sees them.
    pub(crate) fn of(methods: &'static [Verb], method: &Verb, verb: &Verb) -> Self {
        let through_post = verb != method && *method == Verb::Post && methods.contains(verb);
        Self::Of { methods, through_post }
    }

    /// The value of `access-control-allow-methods`. If the list lacks the requested method, that comes first.
    pub(crate) fn header_value(&self, requested: Option<&str>) -> String {
        let list = match self {
            Self::Unknown => format!("OPTIONS, {UNKNOWN_RESOURCE}"),
            Self::None => "OPTIONS".to_owned(),
            Self::Of { methods, through_post } => {
                let post = through_post.then_some("POST");
                let names = ["OPTIONS"].into_iter().chain(post).chain(methods.iter().map(Verb::as_str));
                names.collect::<Vec<_>>().join(", ")
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
    use super::{Methods, Verb};

    const ITEM: &[Verb] = &[Verb::Patch, Verb::Post, Verb::Get, Verb::Delete];

    #[test]
    fn the_requested_method_comes_first_unless_it_is_listed() {
        let item = Methods::Of { methods: ITEM, through_post: false };
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
        let item = Methods::Of { methods: ITEM, through_post: true };
        assert_eq!(item.header_value(None), "OPTIONS, POST, PATCH, POST, GET, DELETE");
    }
}
