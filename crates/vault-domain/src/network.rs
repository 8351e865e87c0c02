//! Addresses that are asked for: one, or those of a network.

use std::{fmt, net::IpAddr};

use crate::IdError;

/// One address, or a network in the notation of RFC 4632 and RFC 4291: `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Reads an address or a network. An IPv4 address that is written as one of IPv6 is taken for what it is.
    ///
    /// # Errors
    /// When it is neither, or bits behind the prefix are set: then it is not clear which network is meant.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        Self::read(text).ok_or(IdError {
            kind: "source",
            rule: "must be an address or a network in CIDR notation, without bits behind its prefix: 192.0.2.0/24",
        })
    }

    fn read(text: &str) -> Option<Self> {
        let network = match text.split_once('/') {
            None => {
                let address = text.parse::<IpAddr>().ok()?.to_canonical();
                Self { address, prefix: bits(address).1 }
            }
            Some((address, digits)) => {
                let (address, prefix): (IpAddr, u8) = (address.parse().ok()?, digits.parse().ok()?);
                // Signs and leading zeros are read as numbers too.
                let is_prefix = prefix.to_string() == digits && prefix <= bits(address).1;
                is_prefix.then_some(Self { address, prefix })?
            }
        };
        (network.behind_prefix() == 0).then_some(network)
    }

    /// Whether it holds the address.
    #[must_use]
    pub fn holds(self, address: IpAddr) -> bool {
        let (bits_asked, width) = bits(self.address);
        let (bits_found, width_found) = bits(address.to_canonical());
        let shift = u32::from(width - self.prefix);
        let head = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
        width == width_found && head(bits_asked) == head(bits_found)
    }

    /// The bits that stand behind the prefix.
    fn behind_prefix(self) -> u128 {
        let (bits, width) = bits(self.address);
        let behind = u32::from(width - self.prefix);
        bits & u128::MAX.checked_shr(u128::BITS - behind).unwrap_or(0)
    }
}

/// The bits of an address, and how many there are.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == bits(self.address).1 {
            self.address.fmt(f)
        } else {
            write!(f, "{}/{}", self.address, self.prefix)
        }
    }
}

/// Where somebody called from concerns people.
impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, address: &str) -> bool {
        Network::parse(network).unwrap().holds(address.parse().unwrap())
    }

    #[test]
    fn a_network_holds_what_begins_like_it() {
        for (network, inside, outside) in [
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.6/31", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "2001:db8::1", "192.0.2.7"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("2001:db8::7", "2001:db8::7", "2001:db8::8"),
            ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ] {
            assert!(holds(network, inside), "{network} {inside}");
            assert!(!holds(network, outside), "{network} {outside}");
        }
        assert!(holds("192.0.2.0/24", "::ffff:192.0.2.9"), "as a listener of both kinds sees it");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in [
            "",
            "/",
            "192.0.2",
            "192.0.2.1/24",
            "192.0.2.0/33",
            "192.0.2.0/-1",
            "192.0.2.0/+8",
            "192.0.2.0/024",
            "192.0.2.0/",
            "2001:db8::/129",
            "2001:db8::1/64",
            "192.0.2.0/24/24",
            " 192.0.2.7",
            "localhost",
            "256.0.0.1",
        ] {
            assert!(Network::parse(bad).is_err(), "{bad}");
        }
        for good in ["192.0.2.7", "192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0"] {
            assert_eq!(Network::parse(good).unwrap().to_string(), good);
        }
    }
}
