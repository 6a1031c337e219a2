//! The known peers: a bounded list, made from announcements that anybody on the network can forge.
//! A pure core.
//!
//! A forged announcement can make this client ask an address of the local network some times, and
//! then leave it. It cannot point to the internet or to this computer, fill the list from one
//! address, or take the place of a peer that has ever answered.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::address::may_be_asked;
use super::request::PROTOCOL;
use crate::token_bucket::{Rate, TokenBucket};

/// Most peers that the roster remembers; [`MAX_ASKED`] is for those that it returns for asking.
const MAX_KNOWN: usize = 64;
/// Of these, most peers at one address: several users may share a computer.
const MAX_AT_ONE_ADDRESS: usize = 4;
pub(super) const MAX_ASKED: usize = 24;
/// Announcements that are accepted: a second, and at once.
const ANNOUNCEMENTS: Rate = Rate { per_second: 10.0, capacity: 64.0 };
/// Failures in a row after which a peer is forgotten, and the seconds for which it stays forgotten.
const FAILURES: u32 = 3;
const FORGOTTEN: f64 = 60.0;
/// Seconds that a new peer has for its first answer, before others may take its place.
const TIME_TO_ANSWER: f64 = 10.0;
/// Most forgotten peers that the roster remembers.
const MAX_FORGOTTEN: usize = 256;

/// The content of an announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Announcement {
    /// The name of the announcement: the peer's number.
    pub name: String,
    /// The properties `v`, `app` and `id`.
    pub protocol: String,
    pub app: String,
    pub id: String,
    /// The addresses that it claims.
    pub addresses: Vec<SocketAddr>,
}

/// Why an announcement is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ignored {
    /// Another version of the protocol, another app, or a number that differs from the name.
    Foreign,
    /// The announcement of this client.
    Oneself,
    /// It has no address of this network.
    Far,
    /// Too many announcements in a short time, too many known peers, or a known peer.
    Enough,
}

struct Known {
    address: SocketAddr,
    since: f64,
    failures: u32,
    /// Whether the peer has ever answered.
    proved: bool,
}

/// The list of known peers.
pub(super) struct Roster {
    instance: u64,
    app: String,
    known: BTreeMap<u64, Known>,
    forgotten: BTreeMap<u64, f64>,
    announcements: TokenBucket,
}

impl Roster {
    pub(super) fn new(instance: u64, app: &str) -> Self {
        Self {
            instance,
            app: app.to_owned(),
            known: BTreeMap::new(),
            forgotten: BTreeMap::new(),
            announcements: TokenBucket::with(ANNOUNCEMENTS.capacity),
        }
    }

    /// Takes in an announcement; `now` in seconds. Returns the number of a new peer.
    pub(super) fn found(&mut self, now: f64, announcement: &Announcement) -> Result<u64, Ignored> {
        let at = Duration::try_from_secs_f64(now).unwrap_or_default();
        if !self.announcements.try_take(at, 1.0, ANNOUNCEMENTS) {
            return Err(Ignored::Enough);
        }
        let Announcement { name, protocol, app, id, addresses } = announcement;
        if *protocol != PROTOCOL.to_string() || *app != self.app || name != id {
            return Err(Ignored::Foreign);
        }
        let instance = number(id).ok_or(Ignored::Foreign)?;
        if instance == self.instance {
            return Err(Ignored::Oneself);
        }
        let address = addresses
            .iter()
            .copied()
            .filter(|address| may_be_asked(*address))
            .min()
            .ok_or(Ignored::Far)?;
        self.forgotten.retain(|_, until| *until > now);
        if self.known.contains_key(&instance) || self.forgotten.contains_key(&instance) {
            return Err(Ignored::Enough);
        }
        let at_this_address =
            self.known.values().filter(|known| known.address.ip() == address.ip()).count();
        if at_this_address >= MAX_AT_ONE_ADDRESS
            || (self.known.len() >= MAX_KNOWN && !self.make_room(now))
        {
            return Err(Ignored::Enough);
        }
        self.known.insert(instance, Known { address, since: now, failures: 0, proved: false });
        Ok(instance)
    }

    /// Forgets the peer that has been known longest without an answer, if it has had time to
    /// answer.
    fn make_room(&mut self, now: f64) -> bool {
        let silent = self
            .known
            .iter()
            .filter(|(_, known)| !known.proved && now - known.since > TIME_TO_ANSWER);
        let oldest =
            silent.min_by(|a, b| a.1.since.total_cmp(&b.1.since)).map(|(instance, _)| *instance);
        oldest.is_some_and(|instance| self.known.remove(&instance).is_some())
    }

    /// Removes a peer that said goodbye.
    pub(super) fn left(&mut self, name: &str) {
        number(name).map(|instance| self.known.remove(&instance));
    }

    /// Notes whether a peer answered.
    pub(super) fn answered(&mut self, now: f64, instance: u64, well: bool) {
        let Some(known) = self.known.get_mut(&instance) else { return };
        known.failures = if well { 0 } else { known.failures + 1 };
        known.proved |= well;
        if known.failures >= FAILURES {
            self.known.remove(&instance);
            if self.forgotten.len() < MAX_FORGOTTEN {
                self.forgotten.insert(instance, now + FORGOTTEN);
            }
        }
    }

    /// The peers to ask. With many peers, each client asks others, so that each peer is asked by
    /// some client.
    pub(super) fn asked(&self) -> Vec<(u64, SocketAddr)> {
        let mut all: Vec<(u64, SocketAddr)> =
            self.known.iter().map(|(instance, known)| (*instance, known.address)).collect();
        all.sort_by_key(|(instance, _)| instance.wrapping_sub(self.instance));
        all.truncate(MAX_ASKED);
        all
    }

    /// Number of known peers.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}

/// Reads a peer's number from sixteen digits.
pub(super) fn number(text: &str) -> Option<u64> {
    let digits = text.len() == 16
        && text.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit));
    digits.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

/// Writes a peer's number.
pub(super) fn digits(instance: u64) -> String {
    format!("{instance:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement(instance: u64, address: &str) -> Announcement {
        Announcement {
            name: digits(instance),
            protocol: PROTOCOL.to_string(),
            app: "sample".to_owned(),
            id: digits(instance),
            addresses: vec![address.parse().unwrap()],
        }
    }

    #[test]
    fn only_peers_of_this_app_are_taken() {
        let mut roster = Roster::new(1, "sample");
        let good = announcement(2, "192.168.1.2:5000");
        assert_eq!(roster.found(0.0, &good), Ok(2));
        assert_eq!(roster.found(0.0, &good), Err(Ignored::Enough), "known");
        assert_eq!(roster.found(0.0, &announcement(1, "192.168.1.2:5000")), Err(Ignored::Oneself));
        let foreign = [
            Announcement { app: "other".to_owned(), ..announcement(3, "192.168.1.2:5000") },
            Announcement { protocol: "2".to_owned(), ..announcement(3, "192.168.1.2:5000") },
            Announcement { name: digits(4), ..announcement(3, "192.168.1.2:5000") },
            Announcement {
                name: "x".to_owned(),
                id: "x".to_owned(),
                ..announcement(3, "192.168.1.2:5000")
            },
        ];
        assert!(foreign.iter().all(|foreign| roster.found(0.0, foreign) == Err(Ignored::Foreign)));
        for far in ["8.8.8.8:5000", "127.0.0.1:5000", "192.168.1.2:22"] {
            assert_eq!(roster.found(0.0, &announcement(5, far)), Err(Ignored::Far), "{far}");
        }
        let mixed = Announcement {
            addresses: ["8.8.8.8:5000", "10.0.0.7:5000"]
                .map(|address| address.parse().unwrap())
                .to_vec(),
            ..announcement(6, "8.8.8.8:5000")
        };
        assert_eq!(roster.found(0.0, &mixed), Ok(6));
        assert_eq!(
            roster.asked(),
            [(2, "192.168.1.2:5000".parse().unwrap()), (6, "10.0.0.7:5000".parse().unwrap())]
        );
    }

    #[test]
    fn a_thousand_announcements_are_not_a_thousand_peers() {
        let mut roster = Roster::new(1, "sample");
        assert_eq!(roster.found(0.0, &announcement(2, "10.0.0.2:5000")), Ok(2));
        roster.answered(0.0, 2, true);
        let from_all = |number: u64| {
            announcement(
                10 + number,
                &format!("10.0.{}.{}:5000", 1 + number / 200, 1 + number % 200),
            )
        };
        let taken =
            (0..1000).filter(|number| roster.found(0.1, &from_all(*number)).is_ok()).count();
        assert!(
            taken <= 63 && roster.len() <= MAX_KNOWN && roster.asked().len() == MAX_ASKED,
            "{taken}"
        );
        // Peers that do not answer make room, and do not come back at once.
        for _ in 0..FAILURES {
            (0..1000).for_each(|number| roster.answered(1.0, 10 + number, false));
        }
        assert_eq!(roster.len(), 1);
        assert_eq!(roster.found(9.0, &from_all(0)), Err(Ignored::Enough));
        assert_eq!(roster.found(9.0, &announcement(5000, "10.0.0.4:5000")), Ok(5000));
        assert_eq!(roster.found(100.0, &from_all(0)), Ok(10));
    }

    #[test]
    fn one_computer_does_not_fill_the_list() {
        let mut roster = Roster::new(1, "sample");
        let one = |number: u64| announcement(10 + number, &format!("10.0.0.3:{}", 5000 + number));
        let taken =
            (0..1000).filter(|number| roster.found(*number as f64, &one(*number)).is_ok()).count();
        assert_eq!(taken, MAX_AT_ONE_ADDRESS);
        for number in 0..3 {
            assert_eq!(
                roster.found(1001.0, &announcement(2 + number, "10.0.0.4:5000")),
                Ok(2 + number),
                "newcomers are taken"
            );
        }
    }

    #[test]
    fn newcomers_take_the_places_of_those_that_never_answered() {
        let mut roster = Roster::new(1, "sample");
        let forged =
            |number: u64| announcement(100 + number, &format!("10.0.1.{}:5000", 1 + number));
        let taken =
            (0..64).filter(|number| roster.found(*number as f64, &forged(*number)).is_ok()).count();
        assert_eq!(taken, MAX_KNOWN);
        assert_eq!(roster.len(), MAX_KNOWN);
        (0..32).for_each(|number| roster.answered(63.0, 100 + number, true));
        assert_eq!(roster.found(63.0, &announcement(2, "10.0.0.2:5000")), Ok(2));
        assert!(
            roster.known.contains_key(&100) && !roster.known.contains_key(&132),
            "the oldest of those that never answered"
        );
        let taken = (64..96).filter(|number| roster.found(80.0, &forged(*number)).is_ok()).count();
        assert!(taken > 0);
        assert!(
            (0..32).all(|number| roster.known.contains_key(&(100 + number))),
            "who answered stays"
        );
        assert_eq!(roster.len(), MAX_KNOWN);
    }

    #[test]
    fn a_known_peer_keeps_its_place_until_it_leaves() {
        let mut roster = Roster::new(1, "sample");
        assert_eq!(roster.found(0.0, &announcement(2, "10.0.0.2:5000")), Ok(2));
        assert!(roster.found(0.0, &announcement(2, "10.0.0.66:5000")).is_err());
        assert_eq!(roster.asked()[0].1, "10.0.0.2:5000".parse().unwrap());
        roster.left("no number");
        roster.left(&digits(2));
        assert_eq!(roster.len(), 0);
    }
}
