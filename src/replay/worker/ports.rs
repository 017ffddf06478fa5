//! Local ports of a worker's connections: how many were taken in the last minute, which is how long
//! one that was closed in order stays taken.

use crate::replay::session::sources::local_ports;

/// How long Linux keeps the port of a connection that this side closed (TIME-WAIT).
const KEPT_NS: i64 = 60_000_000_000;

/// A worker's account of them.
pub(super) struct Ports {
    /// This worker's part of half of them.
    share: u64,
    since: i64,
    opened: u64,
    /// So many are taken that connections give theirs back as they end.
    pub(super) are_few: bool,
}

impl Ports {
    /// Of one of `workers`.
    pub(super) fn shared_by(workers: usize) -> Self {
        let share = local_ports() / 2 / workers.max(1) as u64;
        Self { share, since: i64::MIN, opened: 0, are_few: false }
    }

    /// A connection was opened.
    pub(super) fn opened(&mut self, now: i64) {
        if now.saturating_sub(self.since) > KEPT_NS {
            *self = Self { since: now, opened: 0, are_few: false, ..*self };
        }
        self.opened += 1;
        self.are_few |= self.opened >= self.share;
    }

    /// The system had none left.
    pub(super) const fn are_scarce(&mut self) {
        self.are_few = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_given_back_once_half_of_them_were_taken_within_a_minute() {
        let mut ports = Ports { share: 3, since: i64::MIN, opened: 0, are_few: false };
        let few = [0, 1, 2, 3, KEPT_NS, KEPT_NS + 1, KEPT_NS + 2].map(|now| {
            ports.opened(now);
            ports.are_few
        });
        assert_eq!(few, [false, false, true, true, true, false, false]);
        ports.are_scarce();
        assert!(ports.are_few);
    }
}
