//! The digests of credentials that Kazoo stores. They are weak, but Kazoo's clients send them.

use datastore::hex;
use md5::{Digest as _, Md5};
use sha1::Sha1;

/// The MD5 of `username:password`. The user name is put into lower case.
pub(crate) fn md5(username: &str, password: &str) -> String {
    hex(&Md5::digest(credentials(username, password)))
}

/// The SHA-1 of `username:password`. The user name is put into lower case.
pub(crate) fn sha1(username: &str, password: &str) -> String {
    hex(&Sha1::digest(credentials(username, password)))
}

/// The MD5 of a text.
pub(crate) fn md5_of(text: &str) -> String {
    hex(&Md5::digest(text))
}

fn credentials(username: &str, password: &str) -> String {
    format!("{}:{password}", username.to_lowercase())
}
