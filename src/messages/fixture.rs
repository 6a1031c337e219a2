//! A release to offer, for the tests of the rooms above.

use crate::model::offer::RecalledVersion;
use crate::model::plan::{Plan, Reason};
use crate::model::release::SignedRelease;
use crate::model::{Digest, Offer, Release, Version};

/// The recall of 3.0.0, from which the files of an earlier day come back.
pub(crate) fn recalled() -> RecalledVersion {
    let files_of = Some(jiff::Timestamp::UNIX_EPOCH);
    RecalledVersion { version: Version::new(3, 0, 0), reason: String::new(), files_of }
}

pub(crate) fn offer() -> Box<Offer> {
    let release = Release::sample("2.0.0");
    let signed =
        SignedRelease { target: "t".to_owned(), length: 1, hash: Digest::of(b""), release };
    Box::new(Offer {
        signed,
        current: None,
        plan: Plan::full(1, 1, Reason::Cheapest),
        bytes_to_fetch: 1,
        notes: String::new(),
        nodes: Vec::new(),
        estimated_seconds: None,
        recalled: None,
        installing_seconds: None,
        file: None,
    })
}
