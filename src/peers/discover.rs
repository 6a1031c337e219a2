//! Announces this client and finds others: multicast DNS with service discovery (RFC 6762, 6763),
//! type `_kuzflow._tcp`.
//!
//! The announcement has the app, the protocol's version and a random number, which is also the
//! host's name. It says nothing of the computer, the user or the app's version. It uses IPv4 only,
//! as most local networks do, and leaves out the loopback interface.

use std::net::SocketAddr;
use std::time::Duration;

use mdns_sd::{IfKind, Receiver, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};

use super::request::PROTOCOL;
use super::roster::{Announcement, digits};

/// The type of service, as multicast DNS names it.
const SERVICE: &str = "_kuzflow._tcp.local.";
/// Seconds between two checks of this computer's network interfaces.
const INTERFACE_INTERVAL: u32 = 60;
/// Time limit for saying goodbye.
const GOODBYE: Duration = Duration::from_millis(300);

/// Maintains the announcement, and says goodbye when dropped.
pub(super) struct Announced {
    daemon: ServiceDaemon,
    name: String,
}

/// Announces this client at `port`, and listens for others.
pub(super) fn announce(
    instance: u64,
    app: &str,
    port: u16,
) -> Result<(Announced, Receiver<ServiceEvent>), mdns_sd::Error> {
    let daemon = ServiceDaemon::new()?;
    let id = digits(instance);
    let name = format!("{id}.{SERVICE}");
    let announced = Announced { daemon, name };
    let daemon = &announced.daemon;
    daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::IPv6])?;
    daemon.set_ip_check_interval(INTERFACE_INTERVAL)?;
    let protocol = PROTOCOL.to_string();
    let properties = [("v", protocol.as_str()), ("app", app), ("id", id.as_str())];
    let mut service =
        ServiceInfo::new(SERVICE, &id, &format!("{id}.local."), "", port, &properties[..])?
            .enable_addr_auto();
    // The number is random, so nobody else has it. Asking the network whether it is unique takes
    // three quarters of a second.
    service.set_requires_probe(false);
    daemon.register(service)?;
    let events = daemon.browse(SERVICE)?;
    Ok((announced, events))
}

impl Drop for Announced {
    fn drop(&mut self) {
        // Peers that miss the goodbye find out when they ask.
        if let Ok(message) = self.daemon.unregister(&self.name) {
            let _ = message.recv_timeout(GOODBYE);
        }
        let _ = self.daemon.shutdown();
    }
}

/// What a multicast message says about a peer.
pub(super) enum Heard {
    /// A peer announces itself.
    Found(Announcement),
    /// The peer of this name said goodbye.
    Gone(String),
}

/// Reads an event; `None` if it does not matter here.
pub(super) fn heard(event: ServiceEvent) -> Option<Heard> {
    match event {
        ServiceEvent::ServiceResolved(service) => announcement(&service).map(Heard::Found),
        ServiceEvent::ServiceRemoved(_, name) => Some(Heard::Gone(label(&name)?.to_owned())),
        _ => None,
    }
}

fn announcement(service: &ResolvedService) -> Option<Announcement> {
    let property = |key: &str| service.get_property_val_str(key).unwrap_or_default().to_owned();
    let port = service.get_port();
    Some(Announcement {
        name: label(service.get_fullname())?.to_owned(),
        protocol: property("v"),
        app: property("app"),
        id: property("id"),
        addresses: service
            .get_addresses_v4()
            .into_iter()
            .map(|address| SocketAddr::from((address, port)))
            .collect(),
    })
}

/// The first part of a service's full name.
fn label(name: &str) -> Option<&str> {
    name.strip_suffix(SERVICE)?.strip_suffix('.')
}
