//! The store of reports that a server was given, and how much one address may bring.
//!
//! In: its options, the addresses of clients. Out: an open store, and whether one more batch or
//! login of an address is taken now. Never: a request or an answer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;

use super::error::ServerError;
use super::options::FleetOptions;
use super::places::Origin;
use super::proxy_login::ProxyLogins;
use super::read_token::ReadToken;
use super::repository::Catalogue;
use crate::fleet::{self, Field, Ingest, Known, Place, Store};
use crate::host;
use crate::model::Release;
use crate::mutex;

/// Batches of one address in a minute. A company's launchers share an address.
const BATCHES_A_MINUTE: u32 = 600;
/// Reports of one address in an hour: some 30 MB in the store.
const REPORTS_AN_HOUR: u32 = 20_000;
/// Below so many free bytes on the disk no report is taken, whoever sends them.
const RESERVED_FREE: u64 = 512 << 20;
/// How often the free bytes are looked at, seconds.
const LOOK_SECONDS: i64 = 10;
/// Logins of one address in a minute, those that fail included.
const LOGINS_A_MINUTE: u32 = 20;
/// Addresses that are remembered at a time; beyond that all others share one place.
const MOST_ADDRESSES: usize = 50_000;

/// The store of a server, and what may come in.
pub(super) struct Fleet {
    pub(super) store: Store,
    pub(super) ingest: Ingest,
    /// The server's own word for reading, if it has one.
    pub(super) token: Option<ReadToken>,
    /// Whose logins are taken from a reverse proxy; `None` if nobody's.
    pub(super) proxy_logins: Option<ProxyLogins>,
    batches: Allowance,
    reports: Allowance,
    logins: Allowance,
    /// The folder of the store, if it is one.
    folder: Option<PathBuf>,
    /// When the disk was looked at last, and whether it had room.
    room: Mutex<(i64, bool)>,
    /// The version of the catalogue whose names the store knows.
    known: AtomicU64,
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
            proxy_logins: options.login.as_ref().map(ProxyLogins::new).transpose()?,
            ingest: Ingest::begin(store.clone(), clock.clone()),
            deleting: tokio::spawn(fleet::keep_deleting(store.clone(), clock)),
            store,
            batches: Allowance::new(MINUTE, BATCHES_A_MINUTE),
            reports: Allowance::new(HOUR, REPORTS_AN_HOUR),
            logins: Allowance::new(MINUTE, LOGINS_A_MINUTE),
            folder: match &options.place {
                Place::Folder(folder) => Some(folder.clone()),
                Place::Postgres(_) => None,
            },
            room: Mutex::new((i64::MIN, true)),
            known: AtomicU64::new(0),
        })
    }

    /// Whether this address may bring one more batch now. Who works on this computer may always.
    pub(super) fn admits_batch(&self, address: Option<IpAddr>, now: i64) -> bool {
        is_here(address) || self.batches.admits(address, now, 1)
    }

    /// Whether this address may bring so many reports now. Who works on this computer may always.
    pub(super) fn admits_reports(&self, address: Option<IpAddr>, now: i64, count: usize) -> bool {
        is_here(address)
            || self.reports.admits(address, now, u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Whether this address may try one more login now.
    pub(super) fn admits_login(&self, address: Option<IpAddr>, now: i64) -> bool {
        self.logins.admits(address, now, 1)
    }

    /// Whether the disk of the store has room for reports: they must not fill it.
    pub(super) fn has_room(&self, now: i64) -> bool {
        let Some(folder) = &self.folder else { return true };
        let mut room = mutex::lock(&self.room);
        if !(room.0..room.0.saturating_add(LOOK_SECONDS)).contains(&now) {
            // A system that does not say it stops nobody.
            let is_full = fs4::available_space(folder).is_ok_and(|free| free < RESERVED_FREE);
            *room = (now, !is_full);
            if is_full {
                tracing::error!(folder = %folder.display(), "the disk is almost full: no reports are taken");
            }
        }
        room.1
    }

    /// Tells the store what the repository names, if that has changed.
    pub(super) fn know(&self, catalogue: &Catalogue) {
        if self.known.swap(catalogue.version, Ordering::Relaxed) != catalogue.version {
            self.ingest.know(names(catalogue));
        }
    }
}

/// The apps, channels, platforms, versions and nodes of a repository.
fn names(catalogue: &Catalogue) -> Known {
    let mut known = Known::default();
    for signed in &catalogue.releases {
        let Release { container, channel, .. } = &signed.release;
        let app = container.app.as_str();
        known.add(app, Field::Channel, channel.clone());
        known.add(app, Field::Platform, container.platform.to_string());
        known.add(app, Field::Version, container.version.to_string());
        for node in &catalogue.nodes {
            known.add(app, Field::Node, node.id.clone());
        }
    }
    known
}

fn is_here(address: Option<IpAddr>) -> bool {
    address.is_some_and(|address| address.to_canonical().is_loopback())
}

/// Seconds in which an allowance holds.
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

/// What each address may do in a time.
struct Allowance {
    seconds: i64,
    most: u32,
    present: Mutex<Present>,
}

/// What each address did in the present time.
#[derive(Default)]
struct Present {
    number: i64,
    done: HashMap<Option<Origin>, u32>,
}

impl Allowance {
    fn new(seconds: i64, most: u32) -> Self {
        Self { seconds, most, present: Mutex::default() }
    }

    fn admits(&self, address: Option<IpAddr>, now: i64, count: u32) -> bool {
        let mut present = mutex::lock(&self.present);
        let number = now.div_euclid(self.seconds);
        if present.number != number {
            *present = Present { number, done: HashMap::new() };
        }
        let origin = address.map(Origin::from);
        let is_known = present.done.contains_key(&origin);
        let origin = origin.filter(|_| is_known || present.done.len() < MOST_ADDRESSES);
        let done = present.done.entry(origin).or_default();
        *done = done.saturating_add(count);
        *done <= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_minute() {
        let allowance = Allowance::new(MINUTE, 2);
        let admitted = |address: &str, now: i64| {
            let address = address.parse().unwrap();
            (0..5).filter(|_| allowance.admits(Some(address), now, 1)).count()
        };
        assert_eq!(admitted("192.0.2.1", 600), 2);
        assert_eq!(admitted("192.0.2.2", 600), 2);
        assert_eq!(admitted("192.0.2.1", 659), 0);
        assert_eq!(admitted("192.0.2.1", 660), 2);
        let many = Allowance::new(HOUR, 100);
        let address = Some("192.0.2.1".parse().unwrap());
        let admitted = [60, 60, 0].map(|count| many.admits(address, 7200, count));
        assert_eq!(admitted, [true, false, false]);
        assert!(many.admits(address, 7200 + HOUR, 60));
    }
}
