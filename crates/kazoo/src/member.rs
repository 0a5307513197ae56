//! The names of the private members that several crates read or write.

/// The owner of a document: an account's id, or the name of a system database.
pub const ACCOUNT_ID: &str = "pvt_account_id";
/// The name of an account or group in the form that Kazoo searches for.
pub const ALPHANUM_NAME: &str = "pvt_alphanum_name";
/// When the document was created, in Gregorian seconds.
pub const CREATED: &str = "pvt_created";
/// Whether the document is soft-deleted.
pub const DELETED: &str = "pvt_deleted";
/// When the document was saved, in Gregorian seconds.
pub const MODIFIED: &str = "pvt_modified";
/// The kind of the document.
pub const TYPE: &str = "pvt_type";
