//! The account of what came in and where it went: `in = used + rejected`, by reason.
//!
//! Every stage that may drop something counts it here under a stable name. The check at the end of
//! a command ([`Ledger::balance`]) turns a loss that nobody named into an error of the program.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::flow::Endpoint;
use crate::limits;

/// Counts by name, in three groups. Names are kebab-case and stable; units are packets unless the
/// name says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    /// Everything that came in.
    #[serde(rename = "in")]
    pub input: u64,
    /// What was used.
    pub used: u64,
    /// What was not used, by reason. `input = used + sum(rejected)`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rejected: BTreeMap<String, u64>,
    /// Things worth knowing that are not part of the sum (gaps, retransmissions, bytes of other
    /// protocols …).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub noted: BTreeMap<String, u64>,
    /// How much of the traffic could be read.
    #[serde(skip_serializing_if = "Seen::is_empty")]
    pub seen: Seen,
    /// Where servers were seen as well, whose exchanges are told under another address. Bounded by
    /// who fills it.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub also_at: BTreeSet<Endpoint>,
}

/// Connections with their packets and the bytes of their payloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Traffic {
    /// Connections.
    pub connections: u64,
    /// Packets.
    pub packets: u64,
    /// Bytes of payload.
    pub bytes: u64,
}

impl Traffic {
    /// Adds another traffic to this one.
    pub fn add(&mut self, other: Self) {
        self.connections += other.connections;
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

/// How much of the traffic of the tapped ports could be read: `all = readable + sum(unread)`.
/// Connections that carried no payload and those of other ports are no part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seen {
    /// Connections of which exchanges came, without those of their bytes that belong to none.
    pub readable: Traffic,
    /// What could not be read, by reason. Bytes of connections that are counted as readable may be
    /// here too: those that were lost, that belong to no message, or behind a switch of protocol.
    pub unread: BTreeMap<String, Traffic>,
}

/// Shares of connections, packets and bytes, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares {
    /// Of the connections.
    pub connections: f64,
    /// Of the packets.
    pub packets: f64,
    /// Of the bytes.
    pub bytes: f64,
}

impl Seen {
    /// Whether nothing is known: a recording of another program, or no capture.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Counts what was not readable for `reason`.
    pub fn leave(&mut self, reason: &str, traffic: Traffic) {
        if traffic != Traffic::default() {
            self.unread.entry(reason.to_owned()).or_default().add(traffic);
        }
    }

    /// All of it.
    pub fn all(&self) -> Traffic {
        let mut all = self.readable;
        self.unread.values().for_each(|traffic| all.add(*traffic));
        all
    }

    /// The share that was readable; none where nothing is known.
    pub fn readable_share(&self) -> Option<Shares> {
        let (of, all) = (self.readable, self.all());
        // Where there are no bytes at all, none is missing.
        let share = |part: u64, of: u64| if of == 0 { 1.0 } else { part as f64 / of as f64 };
        (!self.is_empty()).then(|| Shares {
            connections: share(of.connections, all.connections),
            packets: share(of.packets, all.packets),
            bytes: share(of.bytes, all.bytes),
        })
    }

    fn merge(&mut self, other: &Self) {
        self.readable.add(other.readable);
        other.unread.iter().for_each(|(reason, traffic)| self.leave(reason, *traffic));
    }
}

impl Ledger {
    /// Counts `n` inputs as used.
    pub fn take(&mut self, n: u64) {
        self.input += n;
        self.used += n;
    }

    /// Counts `n` inputs as rejected for `reason`.
    pub fn reject(&mut self, reason: &str, n: u64) {
        if n == 0 {
            return;
        }
        self.input += n;
        *self.rejected.entry(reason.to_owned()).or_default() += n;
    }

    /// Notes `n` of something that is not part of the sum.
    pub fn note(&mut self, name: &str, n: u64) {
        if n == 0 {
            return;
        }
        *self.noted.entry(name.to_owned()).or_default() += n;
    }

    /// Adds another account to this one.
    pub fn merge(&mut self, other: &Self) {
        self.input += other.input;
        self.used += other.used;
        for (mine, theirs) in
            [(&mut self.rejected, &other.rejected), (&mut self.noted, &other.noted)]
        {
            for (name, n) in theirs {
                *mine.entry(name.clone()).or_default() += n;
            }
        }
        self.seen.merge(&other.seen);
        let room = limits::CAPTURED_SERVERS.saturating_sub(self.also_at.len());
        self.also_at.extend(other.also_at.iter().take(room));
    }

    /// What is missing from the sum: zero in a correct program.
    pub fn balance(&self) -> i128 {
        i128::from(self.input)
            - i128::from(self.used)
            - self.rejected.values().map(|&n| i128::from(n)).sum::<i128>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_is_out_plus_rejected_also_after_a_merge() {
        let mut a = Ledger::default();
        a.take(3);
        a.reject("not-tcp", 2);
        let mut b = Ledger::default();
        b.reject("not-tcp", 1);
        b.note("gaps", 4);
        a.merge(&b);
        assert_eq!(
            (a.input, a.used, a.rejected["not-tcp"], a.noted["gaps"], a.balance()),
            (6, 3, 3, 4, 0)
        );
        a.used += 1;
        assert_eq!(a.balance(), -1);
    }

    #[test]
    fn what_was_seen_is_readable_or_has_a_reason() {
        let traffic = |connections, packets, bytes| Traffic { connections, packets, bytes };
        let mut ledger = Ledger::default();
        assert_eq!(ledger.seen.readable_share(), None);
        assert_eq!(serde_json::to_string(&ledger).unwrap(), r#"{"in":0,"used":0}"#);
        ledger.seen.readable.add(traffic(3, 30, 600));
        ledger.seen.leave("tls", traffic(1, 10, 300));
        ledger.seen.leave("lost", traffic(0, 0, 100));
        ledger.seen.leave("nothing", Traffic::default());
        let mut both = ledger.clone();
        both.merge(&ledger);
        assert_eq!(both.seen.all(), traffic(8, 80, 2_000));
        let shares = both.seen.readable_share().unwrap();
        assert_eq!((shares.connections, shares.packets, shares.bytes), (0.75, 0.75, 0.6));
        let text = serde_json::to_string(&both).unwrap();
        assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), both, "{text}");
    }
}
