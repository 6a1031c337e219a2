//! Limits the number of connections of one address, so that one address cannot use up the places of
//! all others.
//!
//! In: the addresses of clients that connect or listen. Out: a place for each, and a signal to a
//! connection that has to close. Never: touches a socket.
//!
//! An address that already holds its maximum gets room for a new connection: the one that has been
//! idle for longest is closed. If requests are being answered on all of them, the new connection is
//! refused. So many idle connections keep nobody out, and many clients behind one address can go
//! on.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::mutex;

/// The origin of a connection: an IPv4 address, or the part of an IPv6 address that a provider
/// gives to one customer (a /64).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// A whole address.
    V4([u8; 4]),
    /// The first half of an address.
    V6([u16; 4]),
}

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = Ipv6Addr::segments(&address);
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// The connections of each origin, and their maximum.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    held: Mutex<HashMap<Origin, Vec<Arc<Seat>>>>,
}

/// One connection.
#[derive(Debug)]
struct Seat {
    /// When the connection became idle; `None` while a request is being answered.
    idle_since: Mutex<Option<Instant>>,
    leave: Notify,
}

impl Places {
    /// Places for at most `most` connections of each origin.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, held: Mutex::default() })
    }

    /// A place for a new connection; `None` if the origin holds its maximum and requests are being
    /// answered on all of them.
    pub(super) fn take(self: &Arc<Self>, origin: Origin) -> Option<ConnectionPlace> {
        let seat =
            Arc::new(Seat { idle_since: Mutex::new(Some(Instant::now())), leave: Notify::new() });
        let mut held = self.held();
        let seats = held.entry(origin).or_default();
        if seats.len() >= self.most {
            let idle = seats
                .iter()
                .enumerate()
                .filter_map(|(index, seat)| Some((seat.idle_since()?, index)));
            let (_, index) = idle.min()?;
            seats.swap_remove(index).leave.notify_one();
        }
        seats.push(seat.clone());
        Some(ConnectionPlace { places: self.clone(), origin, seat })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Origin, Vec<Arc<Seat>>>> {
        mutex::lock(&self.held)
    }
}

impl Seat {
    fn idle_since(&self) -> Option<Instant> {
        *mutex::lock(&self.idle_since)
    }

    fn set_idle_since(&self, since: Option<Instant>) {
        *mutex::lock(&self.idle_since) = since;
    }
}

/// A connection's place; dropping it frees the place.
#[derive(Debug)]
pub(super) struct ConnectionPlace {
    places: Arc<Places>,
    origin: Origin,
    seat: Arc<Seat>,
}

impl ConnectionPlace {
    /// Marks the connection as busy until the returned value is dropped.
    pub(super) fn busy(&self) -> Busy {
        self.seat.set_idle_since(None);
        Busy(self.seat.clone())
    }

    /// Completes when this connection has to close.
    pub(super) async fn must_leave(&self) {
        self.seat.leave.notified().await;
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        let mut held = self.places.held();
        if let Some(seats) = held.get_mut(&self.origin) {
            seats.retain(|seat| !Arc::ptr_eq(seat, &self.seat));
            if seats.is_empty() {
                held.remove(&self.origin);
            }
        }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Busy(Arc<Seat>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set_idle_since(Some(Instant::now()));
    }
}

/// How many places each origin holds.
#[derive(Debug, Default)]
pub(super) struct Shares(Arc<Mutex<HashMap<Origin, usize>>>);

impl Shares {
    /// One place more, if the origin holds fewer than `most`.
    pub(super) fn take(&self, origin: Origin, most: usize) -> Option<Share> {
        let mut held = mutex::lock(&self.0);
        let count = held.entry(origin).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        drop(held);
        Some(Share { held: self.0.clone(), origin })
    }
}

/// One place of an origin; dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Share {
    held: Arc<Mutex<HashMap<Origin, usize>>>,
    origin: Origin,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = mutex::lock(&self.held);
        if let Some(count) = held.get_mut(&self.origin) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[tokio::test]
    async fn a_new_connection_takes_the_place_of_the_one_that_is_idle_for_longest() {
        let places = Places::new(2);
        let here = origin("192.0.2.1");
        let first = places.take(here).unwrap();
        let second = places.take(here).unwrap();
        let answering = first.busy();
        let third = places.take(here).unwrap();
        second.must_leave().await;
        let (_one, _two) = (third.busy(), ());
        assert!(places.take(here).is_none(), "both are being answered");
        assert!(places.take(origin("192.0.2.2")).is_some(), "others are not concerned");
        drop(answering);
        assert!(places.take(here).is_some(), "the first is idle again");
        drop((first, second, third));
        assert!(places.held().is_empty(), "nothing is kept of those that left");
    }

    #[test]
    fn origins_are_addresses_or_networks_of_one_customer() {
        assert_eq!(origin("::ffff:192.0.2.1"), origin("192.0.2.1"));
        assert_eq!(origin("2001:db8:1:2::1"), origin("2001:db8:1:2:ffff::9"));
        assert_ne!(origin("2001:db8:1:2::1"), origin("2001:db8:1:3::1"));
    }

    #[test]
    fn shares_are_given_back() {
        let shares = Shares::default();
        let here = origin("192.0.2.1");
        let held = shares.take(here, 1).unwrap();
        assert!(shares.take(here, 1).is_none() && shares.take(origin("192.0.2.2"), 1).is_some());
        drop(held);
        assert!(shares.take(here, 1).is_some());
    }
}
