//! What became of the TLS connections of a capture, for the ledger and for one line to people.

use std::collections::BTreeMap;

use crate::ledger::Ledger;

/// What a connection shows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// `1.3`; none before the server chose.
    pub version: Option<&'static str>,
    /// The suite's name.
    pub suite: Option<&'static str>,
    /// The server's name that the client asked for.
    pub sni: Option<String>,
    /// The protocol inside, as it was agreed.
    pub alpn: Option<String>,
    /// It goes on from an earlier one.
    pub resumed: bool,
    /// The capture joined it behind its handshake.
    pub joined: bool,
}

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsStanding {
    /// Records were opened.
    Read,
    /// Nothing was sealed.
    Empty,
    /// Its secrets are in no key log.
    NoKey,
    /// It was joined behind its handshake, and no secret fits. TLS 1.2 cannot be joined.
    Joined,
    /// Its secrets are there, and open no record.
    WrongKey,
    /// Its version or suite is not opened.
    Unsupported,
}

impl TlsStanding {
    /// The name in the ledger, behind `tls-`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Empty => "empty",
            Self::NoKey => "no-key",
            Self::Joined => "joined",
            Self::WrongKey => "wrong-key",
            Self::Unsupported => "unsupported",
        }
    }
}

/// Names that are counted one by one, of servers and of suites; others together.
const NAMES: usize = 64;

/// Counts of connections that are over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsAccount {
    connections: BTreeMap<&'static str, u64>,
    /// Of those that were not read: what their clients asked for, and how they are sealed.
    unread: BTreeMap<String, u64>,
    joined_later: u64,
}

impl TlsAccount {
    pub(super) fn add(&mut self, standing: TlsStanding, shown: &Shown) {
        *self.connections.entry(standing.name()).or_default() += 1;
        self.joined_later += u64::from(shown.joined);
        if matches!(standing, TlsStanding::Read | TlsStanding::Empty) {
            return;
        }
        let server = shown.sni.as_deref().unwrap_or("nameless");
        self.name(format!("tls-unread-server-{server}"), 1);
        let suite = shown.suite.unwrap_or("unknown");
        self.name(format!("tls-unread-suite-{suite}"), 1);
    }

    fn name(&mut self, name: String, n: u64) {
        let room = self.unread.len() < NAMES || self.unread.contains_key(&name);
        let name = if room { name } else { "tls-unread-others".to_owned() };
        *self.unread.entry(name).or_default() += n;
    }

    /// Adds what another shard counted.
    pub fn merge(&mut self, other: &Self) {
        for (standing, n) in &other.connections {
            *self.connections.entry(standing).or_default() += n;
        }
        for (name, &n) in &other.unread {
            self.name(name.clone(), n);
        }
        self.joined_later += other.joined_later;
    }

    /// Notes what was read and what was not.
    pub fn write(&self, ledger: &mut Ledger) {
        ledger.note("tls-read", self.of(TlsStanding::Read));
        ledger.note("tls-joined-by-trial", self.joined_later);
        self.unread.iter().for_each(|(name, &n)| ledger.note(name, n));
    }

    fn of(&self, standing: TlsStanding) -> u64 {
        self.connections.get(standing.name()).copied().unwrap_or_default()
    }

    /// Lines for people on what could not be read, and what to do.
    pub fn advice(&self) -> Vec<String> {
        let all: u64 = self.connections.values().sum();
        let mut lines = Vec::new();
        let mut tell = |standing, what: &str| {
            let n = self.of(standing);
            if n > 0 {
                lines.push(format!("{n} of {all} TLS connections {what}"));
            }
        };
        tell(
            TlsStanding::NoKey,
            "have no key: --keylog FILE, secrets in the pcapng, or tap the plaintext side",
        );
        tell(
            TlsStanding::Joined,
            "were open before the capture, and no key fits: TLS 1.3 can be joined with its secrets \
             (--keylog FILE), TLS 1.2 cannot; begin the capture before the connections",
        );
        tell(TlsStanding::WrongKey, "do not open with the keys that were given for them");
        tell(
            TlsStanding::Unsupported,
            "use SSL 3, RC4, DES or another suite that is not opened: tap the plaintext side",
        );
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_read_is_named_with_what_to_do() {
        let (mut one, mut other) = (TlsAccount::default(), TlsAccount::default());
        let shown = Shown { sni: Some("shop.test".to_owned()), ..Shown::default() };
        one.add(TlsStanding::Read, &shown);
        one.add(TlsStanding::NoKey, &shown);
        other.add(TlsStanding::NoKey, &Shown { suite: Some("TLS_X"), ..Shown::default() });
        one.merge(&other);
        let mut ledger = Ledger::default();
        one.write(&mut ledger);
        assert_eq!(ledger.noted["tls-read"], 1);
        assert_eq!(ledger.noted["tls-unread-server-shop.test"], 1);
        assert_eq!(ledger.noted["tls-unread-suite-TLS_X"], 1);
        let advice = one.advice();
        assert_eq!(advice.len(), 1);
        assert!(advice[0].starts_with("2 of 3 TLS connections have no key: --keylog FILE"));
    }

    #[test]
    fn names_are_bounded() {
        let mut account = TlsAccount::default();
        for number in 0..1000 {
            let shown = Shown { sni: Some(format!("{number}.test")), ..Shown::default() };
            account.add(TlsStanding::NoKey, &shown);
        }
        assert!(account.unread.len() <= NAMES + 1);
        assert_eq!(account.unread.values().sum::<u64>(), 2000);
    }
}
