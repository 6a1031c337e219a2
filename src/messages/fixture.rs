//! A release to offer, for the tests of the rooms above.

use crate::model::plan::{Plan, Reason};
use crate::model::release::SignedRelease;
use crate::model::{Digest, Offer, Release};

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
