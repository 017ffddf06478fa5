//! The account of what came in and where it went: `in = used + rejected`, by reason.
//!
//! Every stage that may drop something counts it here under a stable name. The check at the end of
//! a command ([`Ledger::balance`]) turns a loss that nobody named into an error of the program.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
}
