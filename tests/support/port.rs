//! A port of loopback that is kept for the test that asked for it.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket, sockopt};

/// A port that refuses connections and that nobody else is given for as long as this is there: it
/// is bound, and nobody listens. A server that is told its number can listen on it, as servers set
/// SO_REUSEADDR.
pub(crate) struct Port {
    _socket: OwnedFd,
    pub(crate) address: SocketAddr,
}

impl Port {
    pub(crate) fn take() -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        sockopt::set_socket_reuseaddr(&socket, true).expect("an option that every socket has");
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a port on loopback");
        let address = getsockname(&socket)
            .ok()
            .and_then(|name| SocketAddr::try_from(name).ok())
            .expect("a bound address");
        Self { _socket: socket, address }
    }
}
