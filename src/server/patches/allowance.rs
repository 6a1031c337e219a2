//! Decides which packs the server makes on request, and how many: anybody may ask, and each pack
//! costs CPU time, disk space, and bytes of a list that every client fetches.
//!
//! In: the pair of versions, what is published, the client's address, the time. Out: yes, or the
//! reason for no. Never: reads a file or a clock.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::release::SignedRelease;
use crate::model::{ContainerId, SignedPatch, Version};
use crate::mutex;
use crate::server::places::Origin;

/// Packs start from this many of the newest releases before the target; older installations fetch
/// more.
const NEWEST_BASES: usize = 32;
/// At this many published packs the server makes no more on request, so that the list of packs
/// stays below some 150 KB.
const MAX_PACKS: usize = 256;
/// The same limit for the bytes of all packs together.
const MAX_PACK_BYTES: u64 = 4 << 30;
/// Bytes of the disk that stay free, so that signing always has room.
pub(super) const RESERVED_FREE: u64 = 512 << 20;
/// New packs that one address may request within [`WINDOW`].
const OF_ONE_ADDRESS: u32 = 6;
/// The time over which [`OF_ONE_ADDRESS`] counts.
const WINDOW: Duration = Duration::from_secs(60 * 60);
/// How many addresses the server remembers.
const MAX_ADDRESSES: usize = 4096;

/// Why the server does not make a pack on request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denied {
    /// No client is offered the release that the pack would make.
    #[error("packs are made to the newest open release of a channel only")]
    NotTheNewest,
    /// The pack would start from an unpublished release, from a newer one, or from one that is too
    /// old.
    #[error("packs are made from the {NEWEST_BASES} published releases before it only")]
    Base,
    /// The limit on published packs is reached.
    #[error(
        "{MAX_PACKS} packs or {MAX_PACK_BYTES} bytes of packs are published; `kuzflow patch` makes more"
    )]
    Enough,
    /// The disk is nearly full.
    #[error("less than {RESERVED_FREE} bytes of the disk are free")]
    DiskFull,
    /// This address has requested too many packs.
    #[error("one address has asked for {OF_ONE_ADDRESS} packs within an hour")]
    Address,
}

/// Whether the pack from `from` to `to` may be made, judged by the published releases.
pub(super) fn worthwhile(
    from: &Version,
    to: &ContainerId,
    releases: &[SignedRelease],
    packs: &[&SignedPatch],
) -> Result<(), Denied> {
    let of_kind = |release: &&SignedRelease| {
        let found = &release.release.container;
        found.app == to.app && found.platform == to.platform
    };
    let target = releases
        .iter()
        .find(|signed| signed.release.container == *to)
        .ok_or(Denied::NotTheNewest)?;
    let open = releases.iter().filter(of_kind).filter(|signed| {
        signed.release.channel == target.release.channel
            && !signed.release.halted
            && signed.release.rollout_permille > 0
    });
    if open.map(|signed| &signed.release.container.version).max() != Some(&to.version) {
        return Err(Denied::NotTheNewest);
    }
    let mut bases: Vec<&Version> =
        releases.iter().filter(of_kind).map(|signed| &signed.release.container.version).collect();
    bases.retain(|version| **version < to.version);
    bases.sort_unstable_by(|a, b| b.cmp(a));
    if !bases.iter().take(NEWEST_BASES).any(|version| *version == from) {
        return Err(Denied::Base);
    }
    let bytes = packs.iter().fold(0_u64, |sum, pack| sum.saturating_add(pack.length));
    if packs.len() >= MAX_PACKS || bytes >= MAX_PACK_BYTES { Err(Denied::Enough) } else { Ok(()) }
}

/// How many packs each address has requested lately.
#[derive(Debug, Default)]
pub(super) struct Askers(Mutex<HashMap<Origin, (Instant, u32)>>);

impl Askers {
    /// Counts one more pack for `origin`.
    pub(super) fn one_more(&self, origin: Origin, now: Instant) -> Result<(), Denied> {
        let mut askers = mutex::lock(&self.0);
        if askers.len() >= MAX_ADDRESSES {
            askers.retain(|_, (since, _)| now.duration_since(*since) < WINDOW);
        }
        if askers.len() >= MAX_ADDRESSES && !askers.contains_key(&origin) {
            return Err(Denied::Address);
        }
        let (since, count) = askers.entry(origin).or_insert((now, 0));
        if now.duration_since(*since) >= WINDOW {
            (*since, *count) = (now, 0);
        }
        if *count >= OF_ONE_ADDRESS {
            return Err(Denied::Address);
        }
        *count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Digest;
    use crate::model::Release;

    fn release(version: &str, channel: &str) -> SignedRelease {
        let place = serde_json::json!({ "offset": 0, "packed_size": 1, "size": 1, "hash": Digest::of(b"") });
        let release: Release = serde_json::from_value(serde_json::json!({
            "container": format!("sample_{version}_Linux_x86_64"), "display_name": "Sample", "channel": channel,
            "published": "2026-11-22T00:00:00Z", "manifest": place, "index": place, "unpacked_size": 1, "file_count": 1,
        }))
        .unwrap();
        SignedRelease {
            target: format!("{}.kuzflow", release.container),
            length: 1,
            hash: Digest::of(b""),
            release,
        }
    }

    fn ask(from: &str, to: &str, releases: &[SignedRelease]) -> Result<(), Denied> {
        let to = format!("sample_{to}_Linux_x86_64").parse().unwrap();
        worthwhile(&from.parse().unwrap(), &to, releases, &[])
    }

    #[test]
    fn packs_lead_up_to_the_newest_open_release_of_a_channel() {
        let mut releases = vec![
            release("1.0.0", "stable"),
            release("1.1.0", "stable"),
            release("1.2.0", "stable"),
        ];
        releases.push(release("2.0.0-beta.1", "beta"));
        assert_eq!(ask("1.0.0", "1.2.0", &releases), Ok(()));
        assert_eq!(ask("1.2.0", "2.0.0-beta.1", &releases), Ok(()), "the newest of its channel");
        assert_eq!(ask("1.0.0", "1.1.0", &releases), Err(Denied::NotTheNewest));
        assert_eq!(ask("1.2.0", "1.0.0", &releases), Err(Denied::NotTheNewest));
        assert_eq!(ask("2.0.0-beta.1", "1.2.0", &releases), Err(Denied::Base), "down");
        assert_eq!(ask("0.9.0", "1.2.0", &releases), Err(Denied::Base), "not published");
        releases[2].release.halted = true;
        assert_eq!(ask("1.0.0", "1.2.0", &releases), Err(Denied::NotTheNewest));
        assert_eq!(ask("1.0.0", "1.1.0", &releases), Ok(()));
    }

    #[test]
    fn of_many_releases_only_the_newest_are_bases() {
        let releases: Vec<_> =
            (0..40).map(|minor| release(&format!("1.{minor}.0"), "stable")).collect();
        assert_eq!(ask("1.7.0", "1.39.0", &releases), Ok(()));
        assert_eq!(ask("1.6.0", "1.39.0", &releases), Err(Denied::Base));
    }

    #[tokio::test]
    async fn one_address_has_few_packs_made_in_an_hour() {
        let askers = Askers::default();
        let (here, there) = (Origin::V4([192, 0, 2, 1]), Origin::V4([192, 0, 2, 2]));
        let now = Instant::now();
        for _ in 0..OF_ONE_ADDRESS {
            assert_eq!(askers.one_more(here, now), Ok(()));
        }
        assert_eq!(askers.one_more(here, now), Err(Denied::Address));
        assert_eq!(askers.one_more(there, now), Ok(()));
        assert_eq!(askers.one_more(here, now + WINDOW), Ok(()));
    }
}
