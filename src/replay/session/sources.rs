//! Local ports and the addresses that they belong to: a connection takes one, and a machine has
//! some 28,000 towards each server.

use std::net::{Ipv4Addr, SocketAddr};

const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// What Linux gives where nobody changed it.
const USUAL: u64 = 28_232;
/// Most loopback addresses that connections start from.
const MOST: u64 = 250;

/// How many local ports the system gives towards a server.
pub(in crate::replay) fn local_ports() -> u64 {
    let range = std::fs::read_to_string(RANGE).unwrap_or_default();
    let mut ends = range.split_whitespace().map_while(|end| end.parse::<u64>().ok());
    match (ends.next(), ends.next()) {
        (Some(low), Some(high)) if low <= high => high - low + 1,
        _ => USUAL,
    }
}

/// Where connections start from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::replay) struct Sources {
    /// So many addresses from 127.0.0.1 on, towards loopback; none for the system's choice.
    loopback: u64,
}

impl Sources {
    /// For `lanes` connections at the same time: towards loopback any of its addresses will do.
    pub(in crate::replay) fn for_lanes(lanes: u64) -> Self {
        let room = (local_ports() / 2).max(1);
        Self { loopback: if lanes > room { lanes.div_ceil(room).min(MOST) } else { 0 } }
    }

    /// How many connections at the same time need no thought.
    pub(in crate::replay) fn default_room() -> u64 {
        local_ports() / 2
    }

    /// How many connections to `target` they have ports for.
    pub(in crate::replay) fn room(self, target: SocketAddr) -> u64 {
        let addresses = if is_loopback(target) { self.loopback.max(1) } else { 1 };
        local_ports().saturating_mul(addresses)
    }

    /// Where a lane's connections to `target` start; none for the system's choice.
    pub(in crate::replay) fn of(self, target: SocketAddr, lane: u64) -> Option<SocketAddr> {
        let own = lane.checked_rem(self.loopback).filter(|_| is_loopback(target))?;
        let last = u8::try_from(own + 1).unwrap_or(1);
        Some(SocketAddr::new(Ipv4Addr::new(127, 0, 0, last).into(), 0))
    }
}

fn is_loopback(target: SocketAddr) -> bool {
    target.is_ipv4() && target.ip().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_lanes_towards_loopback_start_from_several_addresses() {
        let target: SocketAddr = "127.0.0.1:80".parse().unwrap();
        assert_eq!(Sources::for_lanes(10).of(target, 3), None);
        let many = Sources::for_lanes(local_ports() * 3);
        let starts: std::collections::BTreeSet<_> =
            (0..100).filter_map(|lane| many.of(target, lane)).collect();
        assert!(starts.len() >= 6, "{starts:?}");
        assert!(many.room(target) >= local_ports() * 3);
        assert_eq!(many.of("192.0.2.1:80".parse().unwrap(), 3), None);
        let most = Sources::for_lanes(u64::MAX / 2);
        assert!(
            (0..1_000).all(|lane| most.of(target, lane).is_some_and(|at| at.ip().is_loopback()))
        );
    }
}
