//! Kazoo 5.0 (commit dcf86cbc).

use super::form::{Form, Member};
use super::release::Release;
use super::rules::{
    AcceptParameters, BadPageSize, BasicJudged, Bearer, Callers, Charging, Chunks, Envelope, ExpiredToken,
    Listing, ListingOrder, MalformedJson, PathDecoding, Paths, Profile, TokenOfRefusal, VaryOfCompressed,
    VersionOne, VersionShown,
};

/// How Kazoo 5.0 behaves.
pub(super) static KAZOO_5_0: Profile = Profile {
    release: Release::Kazoo50,
    version: "5.0.0",
    paths: Paths { version_one: VersionOne::Gone, decoding: PathDecoding::Once },
    envelope: Envelope {
        success: PLAIN,
        refusal: PLAIN,
        streamed: STREAMED,
        version: VersionShown::ToCallers,
        shows_bucket: true,
        token_of_refusal: TokenOfRefusal::AsItCame,
    },
    malformed_json: MalformedJson::OneMessage,
    callers: Callers {
        expired_token: ExpiredToken::AtOnce,
        basic: BasicJudged::AtFirst,
        bearer: Bearer::StoredDocument,
        charging: Charging::Failures,
    },
    accept_parameters: AcceptParameters::Ignored,
    vary_of_compressed: VaryOfCompressed::Unchanged,
    listing: Listing {
        order: ListingOrder::OfTheClient,
        bad_page_size: BadPageSize::Refused,
        chunks: Chunks::OnRequest(CHUNKED),
    },
};

const PLAIN: Form = Form {
    before_data: &[
        Member::NextStartKey,
        Member::PageSize,
        Member::StartKey,
        Member::Version,
        Member::Timestamp,
        Member::Node,
        Member::RequestId,
        Member::Tokens,
        Member::AuthToken,
    ],
    after_data: &[Member::Error, Member::Message, Member::Revision, Member::Status],
    separator: ",",
    numbers_are_texts: false,
};

/// A listing in chunks. The data comes first. The other members are written after the last row has been read.
const CHUNKED: Form = Form {
    before_data: &[],
    after_data: &[
        Member::NextStartKey,
        Member::PageSize,
        Member::StartKey,
        Member::Status,
        Member::RequestId,
        Member::Node,
        Member::Version,
        Member::Timestamp,
        Member::AuthToken,
    ],
    separator: ", ",
    numbers_are_texts: true,
};

/// A listing that is sent while it is read. What is known only after the last row follows the data.
const STREAMED: Form = Form {
    before_data: &[
        Member::StartKey,
        Member::Version,
        Member::Timestamp,
        Member::Node,
        Member::RequestId,
        Member::Tokens,
        Member::AuthToken,
    ],
    after_data: &[Member::NextStartKey, Member::PageSize, Member::Revision, Member::Status],
    separator: ",",
    numbers_are_texts: false,
};
