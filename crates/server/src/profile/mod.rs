//! What differs between the releases of Kazoo that this server can stand in for, as values. A [`Profile`] is
//! chosen when the server starts. Each part of the server takes the one value from it that is its own, so no
//! other code asks which release it is.
//!
//! To add a release, add a file with its [`Profile`] and name it in `release.rs`. A difference that no value
//! describes yet is a new field in `rules.rs`, with a type that says what differs and not who differs.

mod form;
mod kazoo_4_3;
mod kazoo_5_0;
mod release;
mod rules;

pub(crate) use self::form::{Form, Member};
use self::kazoo_4_3::KAZOO_4_3;
use self::kazoo_5_0::KAZOO_5_0;
pub(crate) use self::release::Release;
pub(crate) use self::rules::*;

impl Release {
    /// How the release behaves.
    pub(crate) fn profile(self) -> &'static Profile {
        match self {
            Self::Kazoo43 => &KAZOO_4_3,
            Self::Kazoo50 => &KAZOO_5_0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Chunks, Form, Member, Profile, Release};

    /// The forms of a profile.
    fn forms(profile: &'static Profile) -> Vec<&'static Form> {
        let envelope = &profile.envelope;
        let chunked = match &profile.listing.chunks {
            Chunks::OnRequest(form) => Some(form),
            Chunks::Never => None,
        };
        [&envelope.success, &envelope.refusal, &envelope.streamed].into_iter().chain(chunked).collect()
    }

    #[test]
    fn a_form_names_no_member_twice_and_always_the_status() {
        for release in [Release::Kazoo43, Release::Kazoo50] {
            for form in forms(release.profile()) {
                let members: Vec<_> = form.before_data.iter().chain(form.after_data).collect();
                for (place, member) in members.iter().enumerate() {
                    assert!(!members[..place].contains(member), "{release:?}: {member:?} in {form:?}");
                }
                assert!(members.contains(&&Member::Status), "{release:?}: {form:?}");
            }
        }
    }

    #[test]
    fn a_bucket_is_shown_where_a_form_has_a_place_for_it() {
        for release in [Release::Kazoo43, Release::Kazoo50] {
            let profile = release.profile();
            let success = &profile.envelope.success;
            assert_eq!(success.before_data.contains(&Member::Tokens), profile.envelope.shows_bucket);
        }
    }
}
