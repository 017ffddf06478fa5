//! What a request of a lane comes after: the answers that its client had when it sent it.
//!
//! Answers of HTTP/2 come in any order, so what a request may depend on is a set and not a count.
//! Sets of any size are told by one number for each request: when its client had the answer. A
//! request comes after each earlier one whose answer was there by the time it was sent; for answers
//! that come in order (HTTP/1) that is a count again.

use std::collections::BTreeMap;

use crate::exchange::ExchangeId;

/// The answers of a lane while it is replayed, of requests that were sent or have ended.
///
/// It holds as many as v1 had under way at a time, and those that v2 owes.
#[derive(Debug, Default)]
pub struct After {
    /// By when v1's client had them: when v2's request ended, none where it has not.
    answers: BTreeMap<(i64, ExchangeId), Option<i64>>,
    /// When the last of those ended that the requests so far came after.
    free: Option<i64>,
}

impl After {
    /// A request is under way whose answer v1's client had at `answered`; [`i64::MAX`] where no
    /// request waits for it.
    pub fn begins(&mut self, id: ExchangeId, answered: i64) {
        if answered != i64::MAX {
            self.answers.insert((answered, id), None);
        }
    }

    /// A request that was under way waits to be sent again.
    pub fn returns(&mut self, id: ExchangeId, answered: i64) {
        self.answers.remove(&(answered, id));
    }

    /// A request was answered or given up, at `now`.
    pub fn ends(&mut self, id: ExchangeId, answered: i64, now: i64) {
        if answered != i64::MAX {
            self.answers.insert((answered, id), Some(now));
        }
    }

    /// Whether a request that v1's client sent at `sent` may go: since when, [`i64::MIN`] where it
    /// comes after nothing; none while an answer is wanting. Requests are asked for in their order.
    pub fn free(&mut self, sent: i64) -> Option<i64> {
        while let Some(first) = self.answers.first_entry()
            && first.key().0 <= sent
        {
            let ended = (*first.get())?;
            first.remove();
            self.free = self.free.max(Some(ended));
        }
        Some(self.free.unwrap_or(i64::MIN))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::schedule::Recorded;
    use crate::schedule::lane::LaneSchedule;

    const fn id(ordinal: u32) -> ExchangeId {
        ExchangeId { connection: 0, ordinal }
    }

    #[test]
    fn a_request_comes_after_the_answers_its_client_had_and_no_other() {
        let mut after = After::default();
        assert_eq!(after.free(0), Some(i64::MIN));
        // A slow one, a quick one, and one that nobody waits for.
        after.begins(id(0), 90);
        after.begins(id(1), 20);
        after.begins(id(2), i64::MAX);
        assert_eq!(after.free(10), Some(i64::MIN));
        assert_eq!(after.free(30), None);
        after.ends(id(1), 20, 700);
        assert_eq!(after.free(30), Some(700), "the slow one is still under way");
        after.begins(id(3), 95);
        after.ends(id(0), 90, 600);
        assert_eq!(after.free(94), Some(700), "the last to end counts");
        after.returns(id(3), 95);
        assert_eq!(after.free(100), Some(700), "it does not come after itself");
        after.ends(id(4), 99, 800);
        assert_eq!(after.free(100), Some(800), "given up without having been sent");
    }

    /// For each request the answers that came before it, where they come in the order of their
    /// requests, and one that the capture does not hold counts as had.
    fn counts(requests: &[(i64, Option<i64>)]) -> Vec<usize> {
        let mut had = 0;
        let mut counts = Vec::new();
        for (place, (at, _)) in requests.iter().enumerate() {
            while had < place && requests[had].1.is_none_or(|answered| answered <= *at) {
                had += 1;
            }
            counts.push(had);
        }
        counts
    }

    proptest! {
        #[test]
        fn answers_in_order_are_a_count(
            gaps in prop::collection::vec((0i64..50, prop::option::of(0i64..200)), 0..40),
        ) {
            let mut at = 0;
            let requests: Vec<_> = gaps.iter().map(|&(gap, answer)| {
                at += gap;
                (at, answer.map(|after| at + after))
            }).collect();
            let mut lane = LaneSchedule::default();
            let mut releases = Vec::new();
            for (ordinal, &(at, answered_at)) in requests.iter().enumerate() {
                let id = id(ordinal as u32);
                let recorded = Recorded {
                    id, at, answered_at, opened_at: None, concurrent: false,
                };
                releases.extend(lane.push(&recorded, 0));
            }
            releases.extend(lane.finish());
            // As many requests end before each one as it needs: with one less it must not go.
            let mut after = After::default();
            let mut ended = 0;
            for (release, needs) in releases.iter().zip(counts(&requests)) {
                while ended < needs {
                    prop_assert_eq!(after.free(release.offset), None);
                    let next = &releases[ended];
                    after.ends(next.id, next.answered, ended as i64);
                    ended += 1;
                }
                prop_assert!(after.free(release.offset).is_some(), "{:?}", release);
                after.begins(release.id, release.answered);
            }
        }
    }
}
