//! A fault-injection proxy for the demo and for tests: a slow link in front of any server, and a
//! sudden death of the node.
//!
//! It is a plain TCP relay between client and server, so the server's own code contains none of it.
//! Its death is a real one: open connections break off, and new ones are refused.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::mutex;

/// Bytes relayed at a time: few enough for a smooth 1 Mbit/s.
const CHUNK: usize = 16 << 10;

/// The faults of the node.
#[derive(Clone, Copy, Debug, Default)]
pub struct FaultInjection {
    /// Bytes a second of all connections together; `None` for no limit.
    pub bytes_per_second: Option<u64>,
    /// The node dies after it has sent this many bytes to clients; `None` for never.
    pub dies_after_bytes: Option<u64>,
}

impl FaultInjection {
    /// Relays connections on `listener` to `server` until the node dies or the future is dropped.
    /// `Ok` means that the node has died.
    pub async fn run(self, listener: TcpListener, server: SocketAddr) -> io::Result<()> {
        let (death, mut dying) = watch::channel(false);
        let link = Arc::new(Link {
            fault_injection: self,
            state: Mutex::new(LinkState { free_at: Instant::now(), sent: 0 }),
            death,
        });
        let mut relays = JoinSet::new(); // dropped with this future, and its connections with it
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let link = link.clone();
                    relays.spawn(async move { relay(accepted?.0, server, &link).await });
                }
                _ = dying.wait_for(|dead| *dead) => return Ok(()),
                Some(_) = relays.join_next() => {}
            }
        }
    }
}

/// What all connections of the node share.
struct Link {
    fault_injection: FaultInjection,
    state: Mutex<LinkState>,
    death: watch::Sender<bool>,
}

struct LinkState {
    free_at: Instant,
    sent: u64,
}

impl Link {
    /// Reserves `bytes` on the link and returns the time at which they have passed; `None` if the
    /// node dies of them.
    fn book(&self, bytes: u64, now: Instant) -> Option<Instant> {
        let mut state = mutex::lock(&self.state);
        state.sent += bytes;
        if self.fault_injection.dies_after_bytes.is_some_and(|limit| state.sent > limit) {
            return None;
        }
        if let Some(rate) = self.fault_injection.bytes_per_second {
            state.free_at =
                state.free_at.max(now) + Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
        }
        Some(state.free_at)
    }
}

async fn relay(client: TcpStream, server: SocketAddr, link: &Link) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = TcpStream::connect(server).await?.into_split();
    let requests = async {
        tokio::io::copy(&mut from_client, &mut to_server).await?;
        to_server.shutdown().await
    };
    let answers = async {
        let mut chunk = vec![0; CHUNK];
        loop {
            let count = from_server.read(&mut chunk).await?;
            if count == 0 {
                return to_client.shutdown().await;
            }
            let Some(through) = link.book(count as u64, Instant::now()) else {
                _ = link.death.send(true);
                return Err(io::ErrorKind::BrokenPipe.into());
            };
            tokio::time::sleep_until(through).await;
            to_client.write_all(&chunk[..count]).await?;
        }
    };
    tokio::try_join!(requests, answers).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_takes_its_time_and_dies_at_its_limit() {
        let now = Instant::now();
        let state = Mutex::new(LinkState { free_at: now, sent: 0 });
        let fault_injection =
            FaultInjection { bytes_per_second: Some(1000), dies_after_bytes: Some(3000) };
        let link = Link { fault_injection, state, death: watch::channel(false).0 };
        assert_eq!(link.book(500, now), Some(now + Duration::from_millis(500)));
        assert_eq!(
            link.book(1000, now),
            Some(now + Duration::from_millis(1500)),
            "connections share the link"
        );
        let later = now + Duration::from_secs(10);
        assert_eq!(
            link.book(1500, later),
            Some(later + Duration::from_millis(1500)),
            "an idle link saves nothing up"
        );
        assert_eq!(link.book(1, later), None);
    }
}
