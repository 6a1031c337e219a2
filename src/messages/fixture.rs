//! A release to offer, for the tests of the rooms above.

use std::collections::BTreeMap;

use crate::model::plan::{Plan, Reason};
use crate::model::release::{DocumentLocation, SignedRelease};
use crate::model::{Digest, Offer, Release};

pub(crate) fn offer() -> Box<Offer> {
    let location = DocumentLocation { offset: 0, packed_size: 1, size: 1, hash: Digest::of(b"") };
    let release = Release {
        container: "sample_2.0.0_Linux_x86_64".parse().unwrap(),
        display_name: String::new(),
        channel: "stable".to_owned(),
        published: jiff::Timestamp::UNIX_EPOCH,
        manifest: location.clone(),
        index: location,
        unpacked_size: 0,
        file_count: 0,
        mandatory: false,
        rollout_permille: 1000,
        halted: false,
        minimum_version: None,
        minimum_launcher: None,
        hot_swap: None,
        notes: BTreeMap::new(),
    };
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
        file: None,
    })
}
