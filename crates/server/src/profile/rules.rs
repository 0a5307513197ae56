//! What differs between releases, each with the values that it can have.

use super::form::Form;
use super::release::Release;

/// How a release of Kazoo behaves, where releases differ.
#[derive(Debug)]
pub(crate) struct Profile {
    /// The release.
    pub(crate) release: Release,
    /// The `version` that envelopes show, unless a setting names another.
    pub(crate) version: &'static str,
    /// How paths are read.
    pub(crate) paths: Paths,
    /// The envelope around answers.
    pub(crate) envelope: Envelope,
    /// What a refusal of malformed JSON says.
    pub(crate) malformed_json: MalformedJson,
    /// How callers are identified, and who pays.
    pub(crate) callers: Callers,
    /// Whether parameters in `Accept` count.
    pub(crate) accept_parameters: AcceptParameters,
    /// What the header `vary` says of compressed answers.
    pub(crate) vary_of_compressed: VaryOfCompressed,
    /// How groups are listed.
    pub(crate) listing: Listing,
}

/// How paths are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paths {
    /// What becomes of paths below `/v1`.
    pub(crate) version_one: VersionOne,
    /// How often the parts of a path are percent-decoded.
    pub(crate) decoding: PathDecoding,
}

/// What becomes of paths below `/v1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VersionOne {
    /// They are refused: version 1 is gone.
    Gone,
    /// They are served.
    Served,
}

/// How often the parts of a path are percent-decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathDecoding {
    /// Once.
    Once,
    /// Twice: `%2541` is `A`.
    Twice,
}

/// The envelope around answers.
#[derive(Debug)]
pub(crate) struct Envelope {
    /// The form of successes.
    pub(crate) success: Form,
    /// The form of refusals.
    pub(crate) refusal: Form,
    /// The form of listings that are sent while they are read.
    pub(crate) streamed: Form,
    /// Whose answers show the version.
    pub(crate) version: VersionShown,
    /// Whether the client's bucket is shown.
    pub(crate) shows_bucket: bool,
    /// How refusals show the token of the request.
    pub(crate) token_of_refusal: TokenOfRefusal,
}

/// Whose answers show the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VersionShown {
    /// Callers with good credentials.
    ToCallers,
    /// Everybody.
    ToAll,
}

/// How a refusal repeats the request's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenOfRefusal {
    /// As it came, if the request has one.
    AsItCame,
    /// As text, in which Erlang's `undefined` stands for no token.
    AsText,
}

/// What a refusal of malformed JSON says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MalformedJson {
    /// The same for every fault.
    OneMessage,
    /// The decoder's reason, and the place of the fault.
    ReasonAndPlace,
}

/// How callers are identified, and who pays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Callers {
    /// How an expired token is refused.
    pub(crate) expired_token: ExpiredToken,
    /// When Basic credentials are judged.
    pub(crate) basic: BasicJudged,
    /// What `Authorization: Bearer` means.
    pub(crate) bearer: Bearer,
    /// Which requests cost tokens of a bucket.
    pub(crate) charging: Charging,
}

/// How an expired token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExpiredToken {
    /// At once, with a refusal of its own.
    AtOnce,
    /// As every other bad token.
    AsAnyBadToken,
}

/// When Basic credentials are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BasicJudged {
    /// At first, before the path is looked at. They are charged then, too.
    AtFirst,
    /// Once the resource and its account are known to exist.
    AfterTheAccount,
}

/// What `Authorization: Bearer` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bearer {
    /// It names a stored document with a token.
    StoredDocument,
    /// It is never good.
    Unknown,
}

/// Which requests cost tokens of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charging {
    /// Those without a good token, and those with Basic credentials.
    Failures,
    /// Every request, unless its credentials are of a kind that is never good.
    EveryRequest,
}

/// Whether parameters in `Accept` count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AcceptParameters {
    /// They do not: `application/json;charset=utf-8` is `application/json`.
    Ignored,
    /// They do: a media type with parameters matches nothing that is served.
    Compared,
}

/// What the header `vary` says of compressed answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VaryOfCompressed {
    /// The same as of others.
    Unchanged,
    /// That they depend on `Accept-Encoding`, too.
    AcceptEncoding,
}

/// How groups are listed.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The order of the rows, and what the client can choose.
    pub(crate) order: ListingOrder,
    /// What becomes of a `page_size` that is no positive number.
    pub(crate) bad_page_size: BadPageSize,
    /// Whether the client can ask for each row as soon as it is read.
    pub(crate) chunks: Chunks,
}

/// The order of the rows of a listing, and what the client can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListingOrder {
    /// Descending, or as `ascending` says, from `start_key` to `end_key`.
    OfTheClient,
    /// Each page is taken ascending from `start_key`, and shown descending. The client can choose nothing else.
    PagesTurned,
}

/// What becomes of a `page_size` that is no positive number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadPageSize {
    /// The request is refused.
    Refused,
    /// The page has the default size.
    Default,
}

/// Whether the client can ask for each row as soon as it is read.
#[derive(Debug)]
pub(crate) enum Chunks {
    /// With `is_chunked`. The envelope has this form.
    OnRequest(Form),
    /// Never. `is_chunked` and `chunk_size` are not looked at.
    Never,
}
