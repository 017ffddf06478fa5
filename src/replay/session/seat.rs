//! Which machine an address leads to: another one under that address, or this one under any of its
//! own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use rustix::net::{AddressFamily, SocketType, bind, socket};

/// Where a connection to an address ends, as far as this machine can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::replay) enum ConnectionSeat {
    /// This machine: loopback, the unspecified address (which connects to loopback), and every
    /// address that it has. A server that listens on all of them is reached by each.
    Here,
    /// Another one.
    There(IpAddr),
}

impl ConnectionSeat {
    /// Of an address in any of its forms.
    pub(in crate::replay) fn of(address: IpAddr) -> Self {
        let address = match address.to_canonical() {
            IpAddr::V6(six) => carried(six).map_or(IpAddr::V6(six), IpAddr::V4),
            four => four,
        };
        if address.is_unspecified() || address.is_loopback() || is_own(address) {
            Self::Here
        } else {
            Self::There(address)
        }
    }
}

/// The IPv4 address that an IPv6 address stands for: translated (RFC 6052 §2.1), 6to4 (RFC 3056),
/// or compatible (RFC 4291 §2.5.5.1).
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = address.to_bits();
    let low = Ipv4Addr::from_bits(bits as u32);
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some(low),
        [0x2002, ..] => Some(Ipv4Addr::from_bits((bits >> 80) as u32)),
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => Some(low),
        _ => None,
    }
}

/// Whether this machine has the address: the kernel binds a socket to no other one. Where it is set
/// to bind to any, it is asked from where it would talk to it instead.
fn is_own(address: IpAddr) -> bool {
    if !can_bind(address) {
        return false;
    }
    let foreign: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    !can_bind(foreign) || talks_to_itself(address)
}

fn can_bind(address: IpAddr) -> bool {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket(family, SocketType::STREAM, None);
    socket.is_ok_and(|socket| bind(&socket, &SocketAddr::new(address, 0)).is_ok())
}

/// Nothing is sent: a datagram socket that is connected only looks up its way.
fn talks_to_itself(address: IpAddr) -> bool {
    let unspecified: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let from = UdpSocket::bind((unspecified, 0)).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    from.is_ok_and(|from| from.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_under_all_its_addresses() {
        for address in [
            "127.0.0.1",
            "127.8.9.10",
            "0.0.0.0",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:0.0.0.0",
        ] {
            assert_eq!(
                ConnectionSeat::of(address.parse().unwrap()),
                ConnectionSeat::Here,
                "{address}"
            );
        }
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        // Its own address towards the world, where there is a way to it; nothing is sent.
        if socket.connect("192.0.2.1:9").is_ok() {
            assert_eq!(ConnectionSeat::of(socket.local_addr().unwrap().ip()), ConnectionSeat::Here);
        }
    }

    #[test]
    fn another_machine_in_all_forms_of_its_address() {
        let there = ConnectionSeat::There("203.0.113.9".parse().unwrap());
        for address in [
            "203.0.113.9",
            "::ffff:203.0.113.9",
            "64:ff9b::203.0.113.9",
            "2002:cb00:7109::1",
            "::203.0.113.9",
        ] {
            assert_eq!(ConnectionSeat::of(address.parse().unwrap()), there, "{address}");
        }
        let six = "2001:db8::9".parse().unwrap();
        assert_eq!(ConnectionSeat::of(six), ConnectionSeat::There(six));
    }
}
