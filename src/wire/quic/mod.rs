//! QUIC (RFC 9000), which carries HTTP/3: not read, but named. Connections are told by their ends,
//! and the server that a client asked for by its first packets, whose keys anybody can make.

mod initial;

use rustc_hash::FxHashMap;

use crate::decode::{Datagram, Pair};
use crate::ledger::{Ledger, Traffic};

use initial::Hello;

/// Connections that are told apart; packets of those beyond are counted as packets.
const MAX_CONNECTIONS: usize = 1 << 16;
/// Names of servers that are counted one by one; others together.
const MAX_NAMES: usize = 64;
/// The reason in the ledger.
const REASON: &str = "quic";

/// The QUIC connections of a capture.
#[derive(Debug, Default)]
pub struct Quic {
    connections: FxHashMap<Pair, QuicConnection>,
    /// Ports of servers; all where there is none.
    ports: Vec<u16>,
    /// Packets of connections for which there was no room.
    beyond: u64,
}

#[derive(Debug, Default)]
struct QuicConnection {
    packets: u64,
    bytes: u64,
    hello: Hello,
}

impl Quic {
    /// Of servers at these ports; all where there is none.
    pub fn new(ports: Vec<u16>) -> Self {
        Self { ports, ..Self::default() }
    }

    /// Takes a datagram with what was captured of it; whether it belongs to a connection.
    pub fn take(&mut self, datagram: &Datagram, captured: &[u8]) -> bool {
        let is_known = self.connections.contains_key(&datagram.pair);
        if !is_known && !datagram.is_long {
            return false;
        }
        if !is_known && self.connections.len() >= MAX_CONNECTIONS {
            self.beyond += 1;
            return true;
        }
        let connection = self.connections.entry(datagram.pair).or_default();
        connection.packets += 1;
        connection.bytes += u64::from(datagram.length);
        if datagram.is_long {
            connection.hello.read(captured);
        }
        true
    }

    /// Notes what was not read.
    pub fn write(&self, ledger: &mut Ledger) {
        let mut names = FxHashMap::<&str, u64>::default();
        for connection in self.connections.values() {
            *names.entry(connection.hello.server().unwrap_or("nameless")).or_default() += 1;
        }
        ledger.note("quic-connections", self.connections.len() as u64);
        ledger.note("quic-packets-beyond-the-connections-counted", self.beyond);
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_unstable_by_key(|&(name, connections)| (std::cmp::Reverse(connections), name));
        for (place, (name, connections)) in names.into_iter().enumerate() {
            match place < MAX_NAMES {
                true => ledger.note(&format!("quic-unread-server-{name}"), connections),
                false => ledger.note("quic-unread-others", connections),
            }
        }
        let tapped = |pair: &Pair| {
            let ports = [pair.low.port, pair.high.port];
            self.ports.is_empty() || ports.iter().any(|port| self.ports.contains(port))
        };
        for (pair, &QuicConnection { packets, bytes, .. }) in &self.connections {
            if tapped(pair) {
                ledger.seen.leave(REASON, Traffic { connections: 1, packets, bytes });
            }
        }
    }

    /// A line for people on what could not be read, and what to do.
    pub fn advice(&self) -> Option<String> {
        let connections = self.connections.len();
        (connections > 0).then(|| {
            format!(
                "{connections} QUIC connections (HTTP/3) are not read: tap behind what ends them, \
                 or let clients use HTTP/2 while capturing (no Alt-Svc, UDP closed)"
            )
        })
    }
}
