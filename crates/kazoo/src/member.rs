//! The names of the private members that this program reads or writes.

/// The database of the document's account, with its name encoded.
pub const ACCOUNT_DB: &str = "pvt_account_db";
/// The owner of a document: an account's id, or the name of a system database.
pub const ACCOUNT_ID: &str = "pvt_account_id";
/// The name of an account or group in the form that Kazoo searches for.
pub const ALPHANUM_NAME: &str = "pvt_alphanum_name";
/// The key with which programs log in to an account.
pub const API_KEY: &str = "pvt_api_key";
/// The account of the caller who saved the document.
pub const AUTH_ACCOUNT_ID: &str = "pvt_auth_account_id";
/// The user who saved the document.
pub const AUTH_USER_ID: &str = "pvt_auth_user_id";
/// When the document was created, in Gregorian seconds.
pub const CREATED: &str = "pvt_created";
/// Whether the document is soft-deleted.
pub const DELETED: &str = "pvt_deleted";
/// Whether users may log in to an account. [`account::lets_users_log_in`](crate::account::lets_users_log_in) reads it.
pub const ENABLED: &str = "pvt_enabled";
/// Whether the caller who saved the document was authenticated.
pub const IS_AUTHENTICATED: &str = "pvt_is_authenticated";
/// The MD5 of a user's name and password.
pub const MD5_AUTH: &str = "pvt_md5_auth";
/// When the document was saved, in Gregorian seconds.
pub const MODIFIED: &str = "pvt_modified";
/// The account of a caller who acted as another user.
pub const ORIGINAL_AUTH_ACCOUNT_ID: &str = "pvt_original_auth_account_id";
/// The user of a caller who acted as another user.
pub const ORIGINAL_AUTH_OWNER_ID: &str = "pvt_original_auth_owner_id";
/// The storage plan below an account's own one.
pub const PLAN_ID: &str = "pvt_plan_id";
/// What only the server writes. Clients see it, unlike other private members.
pub const READ_ONLY: &str = "_read_only";
/// The request that saved the document.
pub const REQUEST_ID: &str = "pvt_request_id";
/// Whether an account is a reseller.
pub const RESELLER: &str = "pvt_reseller";
/// The SHA1 of a user's name and password.
pub const SHA1_AUTH: &str = "pvt_sha1_auth";
/// The secret with which the tokens of a user, device or account are signed.
pub const SIGNATURE_SECRET: &str = "pvt_signature_secret";
/// Whether callers of an account may reach every account. [`account::is_superduper`](crate::account::is_superduper)
/// reads it.
pub const SUPERDUPER_ADMIN: &str = "pvt_superduper_admin";
/// The ids of the accounts above an account. [`account::ancestors`](crate::account::ancestors) reads it.
pub const TREE: &str = "pvt_tree";
/// When the trial of an account ends, in Gregorian seconds.
pub const TRIAL_EXPIRES: &str = "pvt_trial_expires";
/// The kind of the document. [`Kind`](crate::Kind) reads it.
pub const TYPE: &str = "pvt_type";
/// The version of the document's format.
pub const VERSION: &str = "pvt_vsn";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// The lines of a crate's sources that spell a private member. Tests may: they show what is stored.
    fn note_spelled(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            if name.ends_with("tests") || name == "suite" {
                continue;
            }
            if path.is_dir() {
                note_spelled(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let (text, _) = text.split_once("#[cfg(test)]\nmod ").unwrap_or((&text, ""));
                let spelled =
                    text.lines().filter(|line| line.contains("\"pvt_") && !line.contains("\"pvt_\""));
                found.extend(spelled.map(|line| format!("{}: {}", path.display(), line.trim())));
            }
        }
    }

    #[test]
    fn no_other_file_spells_a_private_member() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut found = Vec::new();
        for entry in fs::read_dir(crates).unwrap() {
            note_spelled(&entry.unwrap().path().join("src"), &mut found);
        }
        found.retain(|line| !line.contains("/kazoo/src/member.rs:"));
        assert!(found.is_empty(), "use the names of kazoo::member: {found:#?}");
    }
}
