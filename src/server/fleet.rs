//! The store of reports that a server was given, and who may bring reports.
//!
//! In: its options, the addresses of clients. Out: an open store, and whether one more batch of an
//! address is taken now. Never: a request or an answer.

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
/// Addresses that are remembered within a minute; beyond that all others share one place.
const MOST_ADDRESSES: usize = 50_000;

/// The store of a server, and who may write and read.
pub(super) struct Fleet {
    pub(super) store: Store,
    pub(super) ingest: Ingest,
    pub(super) token: ReadToken,
    minute: Mutex<Minute>,
    deleting: JoinHandle<()>,
}

/// Batches of each address in the present minute.
#[derive(Default)]
struct Minute {
    number: i64,
    batches: HashMap<Option<Origin>, u32>,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.deleting.abort();
    }
}

impl Fleet {
    pub(super) async fn open(options: &FleetOptions) -> Result<Self, ServerError> {
        let store = Store::open(&options.place).await?;
        let token = ReadToken::open(&options.token).map_err(ServerError::Token)?;
        let clock: Arc<dyn Fn() -> i64 + Send + Sync> = Arc::new(|| host::now().as_second());
        Ok(Self {
            ingest: Ingest::begin(store.clone(), clock.clone()),
            deleting: tokio::spawn(fleet::keep_deleting(store.clone(), clock)),
            store,
            token,
            minute: Mutex::default(),
        })
    }

    /// Whether this address may bring one more batch now. Who works on this computer may always.
    pub(super) fn admits(&self, address: Option<IpAddr>, now: i64) -> bool {
        if address.is_some_and(|address| address.to_canonical().is_loopback()) {
            return true;
        }
        let mut minute = mutex::lock(&self.minute);
        let number = now.div_euclid(60);
        if minute.number != number {
            *minute = Minute { number, batches: HashMap::new() };
        }
        let origin = address.map(Origin::from);
        let known = minute.batches.contains_key(&origin);
        let origin = origin.filter(|_| known || minute.batches.len() < MOST_ADDRESSES);
        let batches = minute.batches.entry(origin).or_default();
        *batches = batches.saturating_add(1);
        *batches <= BATCHES_A_MINUTE
    }
}
