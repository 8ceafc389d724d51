//! Who is behind a request, as far as counting goes.

use std::net::{IpAddr, Ipv6Addr};

use http::{header::HeaderName, request::Parts};

use super::super::caller::Principal;
use crate::http::{PeerAddress, address_of};

/// Where a server with a secret key says whom it calls for. From anybody else it is ignored.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("sb-forwarded-for");

/// The network a request comes from, and whether it comes from a server of the tenant.
#[derive(Clone, Debug)]
pub(in crate::auth) struct Peer {
    /// Unknown where a request came through no socket, or from a server that does not say for whom.
    network: Option<String>,
    forwarded: Option<IpAddr>,
    is_service: bool,
}

impl Peer {
    /// What is known of a request that came with this key.
    pub(in crate::auth) fn of(parts: &Parts, key: Option<&Principal>) -> Self {
        let connection = parts.extensions.get::<PeerAddress>().map(|peer| peer.client);
        let is_server = matches!(key, Some(Principal::Service | Principal::Key(_)));
        let header = parts.headers.get(FORWARDED_FOR).filter(|_| is_server);
        let forwarded = header.and_then(|value| address_of(value.to_str().ok()?.split(',').next()?.trim())).map(|address| address.to_canonical());
        let counted = match (is_server, header) {
            (true, None) => None,
            // What can't be read is no way around being counted.
            _ => forwarded.or(connection),
        };
        Self { network: counted.map(network_of), forwarded, is_service: matches!(key, Some(Principal::Service)) }
    }

    /// Whether a server of the tenant calls, which may do everything.
    pub(in crate::auth) fn is_service(&self) -> bool {
        self.is_service
    }

    /// Whom a server calls for.
    pub(in crate::auth) fn forwarded(&self) -> Option<IpAddr> {
        self.forwarded
    }

    /// The network whose requests and guesses are counted. A server of the tenant's that does not say for whom it calls looks after
    /// itself: counted, everybody who comes through it would be one.
    pub(super) fn network(&self) -> Option<&str> {
        self.network.as_deref()
    }
}

/// Who has one address of IPv4 has that one; who has one of IPv6 has the 2^64 beside it, too.
pub(in crate::auth) fn network_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{}/64", Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_has_one_name() {
        let name = |text: &str| network_of(text.parse().unwrap());
        // V55
        for spelling in ["2001:db8:0:1::1", "2001:DB8::1:0:0:0:1", "2001:0db8:0000:0001:ffff:ffff:ffff:ffff", "2001:db8:0:1:0:0:1.2.3.4"] {
            assert_eq!(name(spelling), "2001:db8:0:1::/64", "{spelling}");
        }
        assert_ne!(name("2001:db8:0:2::1"), name("2001:db8:0:1::1"));
        assert_eq!((name("::ffff:1.2.3.4"), name("1.2.3.4")), ("1.2.3.4".to_owned(), "1.2.3.4".to_owned()));
    }
}
