//! Who talks to whom: endpoints, the pair of them that a connection is, and the two directions of
//! it.

use std::cmp::Ordering;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::text_form::text_form;

/// One end of a connection. Text form: `10.0.0.1:8080`, `[2001:db8::1]:8080`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The address, of the innermost IP header where the packet was tunnelled.
    pub address: IpAddr,
    /// The TCP port.
    pub port: u16,
}

impl Endpoint {
    /// An endpoint from its parts.
    pub const fn new(address: IpAddr, port: u16) -> Self {
        Self { address, port }
    }
}

/// IPv4 before IPv6, then by address and port. By numbers: bytes are compared by a call, and this
/// is asked for every packet.
impl Ord for Endpoint {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.address, other.address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                (ours.to_bits(), self.port).cmp(&(theirs.to_bits(), other.port))
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                (ours.to_bits(), self.port).cmp(&(theirs.to_bits(), other.port))
            }
            (IpAddr::V4(_), IpAddr::V6(_)) => Ordering::Less,
            (IpAddr::V6(_), IpAddr::V4(_)) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Endpoint {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            // An IPv4-mapped address is written as the IPv6 address that the packet has
            // (`[::ffff:506:708]:80`), as packet analysers do: the dotted form would hide which of
            // the two protocols was spoken.
            IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => {
                let [.., high, low] = address.segments();
                write!(f, "[::ffff:{high:x}:{low:x}]:{}", self.port)
            }
            address => SocketAddr::new(address, self.port).fmt(f),
        }
    }
}

impl FromStr for Endpoint {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let socket: SocketAddr = text.parse()?;
        Ok(Self::new(socket.ip(), socket.port()))
    }
}

text_form!(Endpoint);

/// A way through a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the client to the server: requests.
    ToServer,
    /// From the server to the client: responses.
    ToClient,
}

impl Direction {
    /// The other one.
    pub const fn reverse(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        for text in [
            "10.0.0.1:8080",
            "[2001:db8::1]:80",
            "[::ffff:506:708]:6666",
            "[::]:0",
            "[::ffff:0:1]:1",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        assert_eq!(
            "[::ffff:5.6.7.8]:1".parse::<Endpoint>().unwrap().to_string(),
            "[::ffff:506:708]:1"
        );
    }
}
