//! The actions that are served: every resource with each of its verbs.

use super::route::Resource;
use super::verb::Verb;

/// A resource and one of its verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action<'a> {
    /// List the groups of the account or of a user.
    List,
    /// An action on one group.
    Group(GroupAction<'a>),
    /// A login.
    Login(LoginKind),
    /// An action on a token.
    Token(TokenAction<'a>),
}

/// An action on one group. The texts are group ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupAction<'a> {
    /// Create a group.
    Create,
    /// Read a group.
    Read(&'a str),
    /// Replace a group's public members.
    Replace(&'a str),
    /// Merge members into a group.
    Patch(&'a str),
    /// Delete a group.
    Delete(&'a str),
}

/// A way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginKind {
    /// With a user's credentials.
    User,
    /// With an account's API key.
    ApiKey,
}

/// An action on a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenAction<'a> {
    /// Show what the caller's token says.
    Show,
    /// Log the caller out.
    LogOut,
    /// Show the token that the path names.
    ShowNamed(&'a str),
}

impl<'a> Action<'a> {
    /// Whether it writes to an account's groups.
    pub(crate) fn writes_groups(&self) -> bool {
        match self {
            Self::Group(action) => !matches!(action, GroupAction::Read(_)),
            Self::List | Self::Login(_) | Self::Token(_) => false,
        }
    }

    /// The action; `None` if the resource does not have the verb.
    pub(crate) fn of(resource: &'a Resource, verb: &Verb) -> Option<Self> {
        Some(match (resource, verb) {
            (Resource::Groups, Verb::Get) => Self::List,
            (Resource::Groups, Verb::Put) => Self::Group(GroupAction::Create),
            (Resource::Group(id), Verb::Get) => Self::Group(GroupAction::Read(id)),
            (Resource::Group(id), Verb::Post) => Self::Group(GroupAction::Replace(id)),
            (Resource::Group(id), Verb::Patch) => Self::Group(GroupAction::Patch(id)),
            (Resource::Group(id), Verb::Delete) => Self::Group(GroupAction::Delete(id)),
            (Resource::UserAuth, Verb::Put) => Self::Login(LoginKind::User),
            (Resource::ApiAuth, Verb::Put) => Self::Login(LoginKind::ApiKey),
            (Resource::TokenAuth, Verb::Get) => Self::Token(TokenAction::Show),
            (Resource::TokenAuth, Verb::Delete) => Self::Token(TokenAction::LogOut),
            (Resource::UserAuthToken(token), Verb::Get) => Self::Token(TokenAction::ShowNamed(token)),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Resource, Verb};

    #[test]
    fn a_resource_has_an_action_for_each_of_its_methods_and_for_no_other() {
        let resources = [
            Resource::Groups,
            Resource::Group("g".to_owned()),
            Resource::UserAuth,
            Resource::ApiAuth,
            Resource::TokenAuth,
            Resource::UserAuthToken("t".to_owned()),
        ];
        let verbs = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "FOO"].map(Verb::of_method);
        for resource in &resources {
            for verb in &verbs {
                let is_listed = resource.methods().contains(verb);
                assert_eq!(Action::of(resource, verb).is_some(), is_listed, "{resource:?} {verb}");
            }
        }
    }
}
