//! Who is at the other end: the address of the connection, and of the client behind proxies that are trusted.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use http::{HeaderMap, header::HeaderName};
use serde::{Deserialize, Serialize};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// An extension of every request that came through a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// The other end of the connection: the client, or a proxy.
    pub connection: SocketAddr,
    /// The client, as far as trusted proxies tell; limits are counted by it.
    pub client: IpAddr,
}

impl PeerAddress {
    /// Works out the client: from the connection, walking `X-Forwarded-For` from its right end for as long as the hop is trusted.
    pub fn resolve(connection: SocketAddr, headers: &HeaderMap, trusted: &[Network]) -> Self {
        let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
        let mut client = connection.ip().to_canonical();
        if is_trusted(client) {
            let lines = headers.get_all(FORWARDED_FOR).iter().rev();
            let hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
            for hop in hops {
                // Something that is no address hides what lies left of it: stop at the last hop that is known.
                let Some(address) = address_of(hop.trim()) else { break };
                client = address.to_canonical();
                if !is_trusted(client) {
                    break;
                }
            }
        }
        Self { connection, client }
    }
}

/// The address that a proxy has written down: as `1.2.3.4`, `1.2.3.4:80`, `::1` or `[::1]:80`.
pub fn address_of(hop: &str) -> Option<IpAddr> {
    hop.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// An address, or all that share its first bits: `10.0.0.1`, `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether `address` is in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => shared(u128::from(network.to_bits()) << 96, u128::from(address.to_bits()) << 96, self.bits),
            (IpAddr::V6(network), IpAddr::V6(address)) => shared(network.to_bits(), address.to_bits(), self.bits),
            _ => false,
        }
    }
}

fn shared(left: u128, right: u128, bits: u8) -> bool {
    (left ^ right).leading_zeros() >= u32::from(bits)
}

/// The text is neither an address nor a network.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} should be an address or a network, as in 10.0.0.1 or 10.0.0.0/8")]
pub struct NotANetwork(String);

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let wrong = || NotANetwork(text.to_owned());
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
        if bits > most {
            return Err(wrong());
        }
        Ok(Self { address, bits })
    }
}

impl TryFrom<String> for Network {
    type Error = NotANetwork;

    fn try_from(text: String) -> Result<Self, NotANetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(connection: &str, forwarded: &[&'static str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_FOR, http::HeaderValue::from_static(line));
        }
        let trusted: Vec<Network> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        PeerAddress::resolve(connection.parse().unwrap(), &headers, &trusted).client.to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(client("9.9.9.9:1", &["1.1.1.1"], &[]), "9.9.9.9");
        assert_eq!(client("9.9.9.9:1", &["1.1.1.1"], &["10.0.0.0/8"]), "9.9.9.9");
    }

    #[test]
    fn the_rightmost_hop_that_is_not_trusted_is_the_client() {
        let trusted = ["10.0.0.0/8", "::1"];
        assert_eq!(client("10.1.1.1:1", &["6.6.6.6, 1.2.3.4, 10.0.0.7"], &trusted), "1.2.3.4");
        assert_eq!(client("10.1.1.1:1", &["6.6.6.6", "1.2.3.4:55"], &trusted), "1.2.3.4");
        assert_eq!(client("[::1]:1", &["[2001:db8::5]:443"], &trusted), "2001:db8::5");
        assert_eq!(client("[::ffff:10.0.0.1]:1", &["1.2.3.4"], &trusted), "1.2.3.4");
        assert_eq!(client("10.1.1.1:1", &["1.2.3.4, unknown"], &trusted), "10.1.1.1");
        assert_eq!(client("10.1.1.1:1", &[], &trusted), "10.1.1.1");
    }

    #[test]
    fn networks_compare_their_first_bits() {
        let contains = |network: &str, address: &str| network.parse::<Network>().unwrap().contains(address.parse().unwrap());
        assert!(contains("10.0.0.0/8", "10.255.0.1"));
        assert!(!contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("0.0.0.0/0", "8.8.8.8"));
        assert!(!contains("0.0.0.0/0", "::1"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1"));
        assert!(!contains("192.168.1.1", "192.168.1.2"));
        for wrong in ["10.0.0.0/33", "x", "10.0.0.0/", "/8", "10.0.0.0/-1"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
