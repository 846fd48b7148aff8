//! The networks of trusted proxies, as people write them. `forwarded.rs` decides what a proxy's headers count
//! for.

use ipnet::IpNet;
use std::{net::IpAddr, str::FromStr};

/// A network of trusted proxies, or the address of one. IPv4 inside of IPv6 is IPv4, as it is of peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedNetwork(IpNet);

impl TrustedNetwork {
    /// Whether the address belongs to it. The address is canonical.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl FromStr for TrustedNetwork {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let net = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let net =
            net.map_err(|_| "write a network or an address, such as 10.0.0.0/8 or 10.0.0.5")?;
        Ok(Self(canonical(net.trunc())))
    }
}

fn canonical(net: IpNet) -> IpNet {
    let IpAddr::V4(v4) = net.network().to_canonical() else { return net };
    let length = net.prefix_len();
    let length = if net.addr().is_ipv4() { length } else { length.saturating_sub(96) };
    IpNet::new(v4.into(), length).unwrap_or(net)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_single_addresses_are_read() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.1.2.3", "11.0.0.1"),
            ("10.0.0.5/8", "10.1.2.3", "11.0.0.1"),
            ("10.0.0.5", "10.0.0.5", "10.0.0.6"),
            ("::1", "::1", "::2"),
            ("2001:db8::/32", "2001:db8::9", "2001:db9::9"),
            ("::ffff:10.0.0.5", "10.0.0.5", "10.0.0.6"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.1"),
            ("0.0.0.0/0", "8.8.8.8", "::1"),
            ("::/0", "::1", "8.8.8.8"),
        ] {
            let net: TrustedNetwork = text.parse().unwrap();
            assert!(net.contains(inside.parse().unwrap()), "{text} has {inside}");
            assert!(!net.contains(outside.parse().unwrap()), "{text} has not {outside}");
        }
        for text in ["", "10.0.0", "10.0.0.5:80", "10.0.0.0/33", "[::1]", "proxy", "*"] {
            let why = text.parse::<TrustedNetwork>().unwrap_err();
            assert!(why.contains("10.0.0.0/8"), "{text:?}: {why}");
        }
    }
}
