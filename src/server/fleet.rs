//! The store of reports that a server was given, and how much one address may bring.
//!
//! In: its options, the addresses of clients. Out: an open store, and whether one more batch or
//! login of an address is taken now. Never: a request or an answer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;

use super::error::ServerError;
use super::options::FleetOptions;
use super::places::Origin;
use super::read_token::ReadToken;
use crate::fleet::{self, Ingest, Store};
use crate::host;
use crate::mutex;

/// Batches of one address in a minute. A company's launchers share an address.
const BATCHES_A_MINUTE: u32 = 600;
/// Logins of one address in a minute, those that fail included.
const LOGINS_A_MINUTE: u32 = 20;
/// Addresses that are remembered within a minute; beyond that all others share one place.
const MOST_ADDRESSES: usize = 50_000;

/// The store of a server, and what may come in.
pub(super) struct Fleet {
    pub(super) store: Store,
    pub(super) ingest: Ingest,
    /// The server's own word for reading, if it has one.
    pub(super) token: Option<ReadToken>,
    batches: Allowance,
    logins: Allowance,
    deleting: JoinHandle<()>,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.deleting.abort();
    }
}

impl Fleet {
    pub(super) async fn open(options: &FleetOptions) -> Result<Self, ServerError> {
        let store = Store::open(&options.place).await?;
        let token = options.token.as_deref().map(ReadToken::open).transpose();
        let clock: Arc<dyn Fn() -> i64 + Send + Sync> = Arc::new(|| host::now().as_second());
        Ok(Self {
            token: token.map_err(ServerError::Token)?,
            ingest: Ingest::begin(store.clone(), clock.clone()),
            deleting: tokio::spawn(fleet::keep_deleting(store.clone(), clock)),
            store,
            batches: Allowance::new(BATCHES_A_MINUTE),
            logins: Allowance::new(LOGINS_A_MINUTE),
        })
    }

    /// Whether this address may bring one more batch now. Who works on this computer may always.
    pub(super) fn admits_batch(&self, address: Option<IpAddr>, now: i64) -> bool {
        let is_here = address.is_some_and(|address| address.to_canonical().is_loopback());
        is_here || self.batches.admits(address, now)
    }

    /// Whether this address may try one more login now.
    pub(super) fn admits_login(&self, address: Option<IpAddr>, now: i64) -> bool {
        self.logins.admits(address, now)
    }
}

/// What each address may do in a minute.
struct Allowance {
    most: u32,
    minute: Mutex<Minute>,
}

/// What each address did in the present minute.
#[derive(Default)]
struct Minute {
    number: i64,
    done: HashMap<Option<Origin>, u32>,
}

impl Allowance {
    fn new(most: u32) -> Self {
        Self { most, minute: Mutex::default() }
    }

    fn admits(&self, address: Option<IpAddr>, now: i64) -> bool {
        let mut minute = mutex::lock(&self.minute);
        let number = now.div_euclid(60);
        if minute.number != number {
            *minute = Minute { number, done: HashMap::new() };
        }
        let origin = address.map(Origin::from);
        let known = minute.done.contains_key(&origin);
        let origin = origin.filter(|_| known || minute.done.len() < MOST_ADDRESSES);
        let done = minute.done.entry(origin).or_default();
        *done = done.saturating_add(1);
        *done <= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_minute() {
        let allowance = Allowance::new(2);
        let admitted = |address: &str, now: i64| {
            let address = address.parse().unwrap();
            (0..5).filter(|_| allowance.admits(Some(address), now)).count()
        };
        assert_eq!(admitted("192.0.2.1", 600), 2);
        assert_eq!(admitted("192.0.2.2", 600), 2);
        assert_eq!(admitted("192.0.2.1", 659), 0);
        assert_eq!(admitted("192.0.2.1", 660), 2);
    }
}
