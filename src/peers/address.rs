//! Decides which addresses are local: a peer must be on this network, whatever an announcement
//! claims.

use std::net::{IpAddr, SocketAddr};

/// The lowest port that a peer may have: the ports below belong to the system's own services.
const LOWEST_PORT: u16 = 1024;

/// Whether an address is one of a local network: private or link-local (RFC 1918, 3927, 4193), of
/// IPv4 or IPv6.
pub(super) fn is_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => address.is_unique_local(),
    }
}

/// Whether an announcement may lead this client to that address: it must be local, not this
/// computer, and not a port of the system's services.
pub(super) fn may_be_asked(address: SocketAddr) -> bool {
    is_local(address.ip()) && address.port() >= LOWEST_PORT
}

/// Whether to answer a connection from that address: it must be local, or of this computer.
pub(super) fn may_ask(address: IpAddr) -> bool {
    is_local(address) || address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_networks_are_local() {
        for local in [
            "10.1.2.3:4000",
            "172.16.0.1:4000",
            "192.168.1.9:65535",
            "169.254.7.7:1024",
            "[fd00::1]:4000",
        ] {
            assert!(may_be_asked(local.parse().unwrap()), "{local}");
        }
        for far in [
            "127.0.0.1:4000",
            "[::1]:4000",
            "[::ffff:127.0.0.1]:4000",
            "8.8.8.8:4000",
            "172.32.0.1:4000",
            "0.0.0.0:4000",
            "255.255.255.255:4000",
            "224.0.0.251:5353",
            "100.64.0.1:4000",
            "[2001:db8::1]:4000",
            "[fe80::1]:4000",
            "192.168.1.1:80",
            "192.168.1.1:0",
        ] {
            assert!(!may_be_asked(far.parse().unwrap()), "{far}");
        }
        assert!(may_ask("127.0.0.1".parse().unwrap()) && !may_ask("8.8.8.8".parse().unwrap()));
    }
}
