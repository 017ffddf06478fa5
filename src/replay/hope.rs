//! Whether anything of a replay gets as far as HTTP. Where no request does, what is wrong is the
//! way to the target, and to go on would only make the same failure a thousand times.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::side::TargetSide;
use super::stopping::ReplayStop;
use crate::limits;
use crate::outcome::{Failure, FailureKind};

/// Why a replay is without hope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hopeless {
    /// Whose requests failed.
    pub side: TargetSide,
    /// How many did: all of them.
    pub failed: u64,
    /// How the first did.
    pub failure: Failure,
}

/// What was seen of a side.
#[derive(Default)]
pub(super) struct Hope {
    /// A connection was good for something.
    is_there: AtomicBool,
    failed: AtomicU64,
    first: Mutex<Option<Failure>>,
}

impl Hope {
    /// Takes note of how a request ended; `sent`: it left; `answered`: a byte of an answer came.
    /// Ends the replay by `stop` where it is without hope.
    pub(super) fn learn(
        &self,
        sent: bool,
        answered: Option<i64>,
        failure: Option<&Failure>,
        stop: &ReplayStop,
    ) {
        if self.is_there.load(Ordering::Relaxed) {
            return;
        }
        match failure {
            Some(failure) if failure.kind == FailureKind::Skipped => {}
            Some(failure) if answered.is_none() && is_before_http(failure, sent) => {
                let mut first = self.first.lock().expect("no holder of this lock panics");
                first.get_or_insert_with(|| failure.clone());
                if self.failed.fetch_add(1, Ordering::Relaxed) + 1 >= limits::HOPELESS_REQUESTS {
                    stop.set();
                }
            }
            _ => self.is_there.store(true, Ordering::Relaxed),
        }
    }

    /// Why there is none, where all that was sent failed before HTTP.
    pub(super) fn lost(&self, side: TargetSide) -> Option<Hopeless> {
        let failure = self.first.lock().expect("no holder of this lock panics").clone()?;
        let failed = self.failed.load(Ordering::Relaxed);
        (!self.is_there.load(Ordering::Relaxed)).then_some(Hopeless { side, failed, failure })
    }
}

/// Whether a request failed on the way to HTTP: also where both ends agreed on no version of it, so
/// that it was never sent.
fn is_before_http(failure: &Failure, is_sent: bool) -> bool {
    match failure.kind {
        FailureKind::Resolve | FailureKind::Connect | FailureKind::Tls => true,
        FailureKind::Protocol => !is_sent,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_is_hope_and_a_hundred_connections_that_fail_are_none() {
        let refused = Failure::new(FailureKind::Connect, "refused");
        let (hope, stop) = (Hope::default(), ReplayStop::default());
        let skipped = Failure::new(FailureKind::Skipped, "unsafe method POST");
        hope.learn(false, None, Some(&skipped), &stop);
        assert_eq!(hope.lost(TargetSide::Target), None);
        for _ in 0..limits::HOPELESS_REQUESTS {
            assert!(!stop.is_set());
            hope.learn(false, None, Some(&refused), &stop);
        }
        assert!(stop.is_set());
        let lost = hope.lost(TargetSide::Target).unwrap();
        assert_eq!((lost.failed, lost.failure), (limits::HOPELESS_REQUESTS, refused.clone()));
        let (hope, stop) = (Hope::default(), ReplayStop::default());
        hope.learn(false, None, Some(&refused), &stop);
        hope.learn(true, None, Some(&Failure::new(FailureKind::Timeout, "")), &stop);
        assert_eq!(hope.lost(TargetSide::Target), None, "v2 was there and hung");
        let protocol = Failure::new(FailureKind::Protocol, "no version of HTTP in common");
        for (sent, is_lost) in [(false, true), (true, false)] {
            let hope = Hope::default();
            hope.learn(sent, None, Some(&protocol), &stop);
            assert_eq!(hope.lost(TargetSide::Target).is_some(), is_lost, "{sent}");
        }
    }
}
