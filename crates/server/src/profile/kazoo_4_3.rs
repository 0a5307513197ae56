//! Kazoo 4.3 (branch 4.3 at 223893d0), and its forks kazoo-classic and openkazoo/kazoo, which do not differ in
//! what concerns groups.

use super::form::{Form, Member};
use super::release::Release;
use super::rules::{
    AcceptParameters, BadPageSize, BasicJudged, Bearer, Callers, Charging, Chunks, Envelope, ExpiredToken,
    Listing, ListingOrder, MalformedJson, PathDecoding, Paths, Profile, TokenOfRefusal, VaryOfCompressed,
    VersionOne, VersionShown,
};

/// How Kazoo 4.3 behaves.
pub(super) static KAZOO_4_3: Profile = Profile {
    release: Release::Kazoo43,
    version: "4.3.0",
    paths: Paths { version_one: VersionOne::Served, decoding: PathDecoding::Twice },
    envelope: Envelope {
        success: SUCCESS,
        refusal: REFUSAL,
        streamed: STREAMED,
        version: VersionShown::ToAll,
        shows_bucket: false,
        token_of_refusal: TokenOfRefusal::AsText,
    },
    malformed_json: MalformedJson::ReasonAndPlace,
    callers: Callers {
        expired_token: ExpiredToken::AsAnyBadToken,
        basic: BasicJudged::AfterTheAccount,
        bearer: Bearer::Unknown,
        charging: Charging::EveryRequest,
    },
    accept_parameters: AcceptParameters::Compared,
    vary_of_compressed: VaryOfCompressed::AcceptEncoding,
    listing: Listing {
        order: ListingOrder::PagesTurned,
        bad_page_size: BadPageSize::Default,
        chunks: Chunks::Never,
    },
};

const SUCCESS: Form = Form {
    before_data: &[Member::NextStartKey, Member::PageSize, Member::StartKey],
    after_data: &[
        Member::Revision,
        Member::Timestamp,
        Member::Version,
        Member::Node,
        Member::RequestId,
        Member::Status,
        Member::AuthToken,
    ],
    separator: ",",
    numbers_are_texts: false,
};

const REFUSAL: Form = Form {
    before_data: &[Member::PageSize],
    after_data: &[
        Member::Error,
        Member::Message,
        Member::Status,
        Member::Timestamp,
        Member::Version,
        Member::Node,
        Member::RequestId,
        Member::AuthToken,
    ],
    separator: ",",
    numbers_are_texts: false,
};

/// A listing that is sent while it is read. What is known only after the last row follows the data.
const STREAMED: Form = Form {
    before_data: &[Member::StartKey],
    after_data: &[
        Member::NextStartKey,
        Member::PageSize,
        Member::Revision,
        Member::Timestamp,
        Member::Version,
        Member::Node,
        Member::RequestId,
        Member::Status,
        Member::AuthToken,
    ],
    separator: ",",
    numbers_are_texts: false,
};
