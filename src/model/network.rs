//! Addresses of computers that belong together: one address, or all with the same first bits.
//!
//! In: text such as `10.0.0.0/8`. Out: whether an address is one of them. Never: a name that would
//! have to be looked up.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One address or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Text that is no [`Network`].
#[derive(Debug, thiserror::Error)]
#[error("not an address or a network: {0:?}, expected for example 127.0.0.1 or 10.0.0.0/8")]
pub struct InvalidNetwork(String);

/// The bits of an address, the first one highest, and how many there are.
fn bits_of(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    }
}

impl Network {
    /// Whether the address is one of these. An IPv4 address in the form of IPv6 is itself.
    pub fn contains(&self, address: IpAddr) -> bool {
        let ((own, length), (other, other_length)) =
            (bits_of(self.address), bits_of(address.to_canonical()));
        let shift = 128 - u32::from(self.bits);
        length == other_length && (own ^ other).checked_shr(shift).unwrap_or(0) == 0
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let invalid = || InvalidNetwork(text.chars().take(64).collect());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let address = if bits.is_none() { address.to_canonical() } else { address };
        let (number, length) = bits_of(address);
        let bits = bits.map_or(Ok(length), str::parse).map_err(|_| invalid())?;
        // Bits behind the network's own are a slip: 10.0.0.1/8 may mean one address or a network.
        if bits > length || number.checked_shl(u32::from(bits)).unwrap_or(0) != 0 {
            return Err(invalid());
        }
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bits == bits_of(self.address).1 {
            self.address.fmt(f)
        } else {
            write!(f, "{}/{}", self.address, self.bits)
        }
    }
}

impl TryFrom<String> for Network {
    type Error = InvalidNetwork;

    fn try_from(text: String) -> Result<Self, InvalidNetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_its_addresses_and_no_others() {
        for (network, inside, outside) in [
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("127.0.0.1", "::ffff:127.0.0.1", "::1"),
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.0"),
            ("192.0.2.128/25", "192.0.2.255", "192.0.2.127"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8:1::", "2001:db9::"),
            ("::1", "::1", "::2"),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert_eq!(parsed.to_string(), network);
            assert!(parsed.contains(inside.parse().unwrap()), "{network} {inside}");
            assert!(!parsed.contains(outside.parse().unwrap()), "{network} {outside}");
        }
        for wrong in
            ["", "localhost", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "::/129"]
        {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
