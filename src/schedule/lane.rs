//! One captured connection as one lane: which answers each request waited for, when the connection
//! opens, where it ends.
//!
//! HTTP/1 answers come in the order of the requests (RFC 9112 §9.3), so no answer is had before the
//! one before it; HTTP/2 answers come as they are ready. A request that was sent while another one
//! was under way does not wait for it in the replay either.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Recorded, Release};

/// Turns the requests of one connection, given in their order, into releases. One is held back,
/// since only the next one tells whether the lane ends with it.
#[derive(Debug, Default)]
pub struct LaneSchedule {
    /// When the answers are had that no request came after yet, and when the capture shows that.
    outstanding: BinaryHeap<Reverse<(i64, Option<i64>)>>,
    /// When the last answer is had of those that come in order.
    in_order: i64,
    last_answer: Option<i64>,
    held: Option<Release>,
    begun: bool,
    /// The latest request so far: a clock that was set back does not turn the order of a lane
    /// around.
    latest: i64,
}

impl LaneSchedule {
    /// Adds the next request; `origin` is the capture time of the first request of all. Gives the
    /// one before it.
    pub fn push(&mut self, recorded: &Recorded, origin: i64) -> Option<Release> {
        let at = if self.begun { recorded.at.max(self.latest) } else { recorded.at };
        self.latest = at;
        while let Some(&Reverse((had, answered))) = self.outstanding.peek()
            && had <= at
        {
            self.outstanding.pop();
            self.last_answer = self.last_answer.max(answered);
        }
        let had = self.had(recorded, at);
        if had != i64::MAX {
            self.outstanding.push(Reverse((had, recorded.answered_at)));
        }
        let open = (!self.begun)
            .then(|| recorded.opened_at.map_or(at, |opened| opened.min(at)).saturating_sub(origin));
        self.begun = true;
        self.held.replace(Release {
            id: recorded.id,
            offset: at.saturating_sub(origin),
            answered: if had == i64::MAX { had } else { had.saturating_sub(origin) },
            think: self.last_answer.map_or(0, |answered| at.saturating_sub(answered).max(0)),
            open,
            last: false,
        })
    }

    /// When the client had the answer to a request that it sent `at`; [`i64::MAX`] where nobody
    /// waits for it.
    fn had(&mut self, recorded: &Recorded, at: i64) -> i64 {
        if recorded.concurrent {
            return recorded.answered_at.unwrap_or(i64::MAX);
        }
        // An answer whose end is not in the capture counts as had: most clients wait, and to send
        // too early could break a session where to send later only costs time.
        let before = if self.begun { self.in_order } else { i64::MIN };
        self.in_order = before.max(recorded.answered_at.unwrap_or(at));
        self.in_order
    }

    /// Ends the lane: gives its last release.
    pub fn finish(self) -> Option<Release> {
        self.held.map(|release| Release { last: true, ..release })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::exchange::ExchangeId;

    fn lane(requests: &[(i64, Option<i64>)], opened_at: Option<i64>) -> Vec<Release> {
        let mut lane = LaneSchedule::default();
        let mut releases = Vec::new();
        for (ordinal, &(at, answered_at)) in requests.iter().enumerate() {
            let id = ExchangeId { connection: 7, ordinal: ordinal as u32 };
            let concurrent = false;
            let recorded = Recorded { id, at, answered_at, opened_at, concurrent };
            releases.extend(lane.push(&recorded, 100));
        }
        releases.extend(lane.finish());
        releases
    }

    /// How many requests each one comes after.
    fn needs(releases: &[Release]) -> Vec<usize> {
        let had = |before: &Release, release: &Release| before.answered <= release.offset;
        let count = |(place, release)| {
            releases[..place].iter().filter(|&before| had(before, release)).count()
        };
        releases.iter().enumerate().map(count).collect()
    }

    #[test]
    fn concurrent_answers_are_had_as_they_come() {
        let mut lane = LaneSchedule::default();
        let mut releases = Vec::new();
        let requests = [(100, Some(300)), (110, Some(150)), (120, None), (200, Some(210))];
        for (ordinal, (at, answered_at)) in (0..).zip(requests) {
            let id = ExchangeId { connection: 7, ordinal };
            let recorded = Recorded { id, at, answered_at, opened_at: None, concurrent: true };
            releases.extend(lane.push(&recorded, 100));
        }
        releases.extend(lane.finish());
        assert_eq!(needs(&releases), [0, 0, 0, 1], "{releases:?}");
        assert_eq!((releases[3].think, releases[2].answered), (50, i64::MAX));
    }

    #[test]
    fn what_a_request_waits_for() {
        // (requests: sent, answered) → (needs, think)
        let table: [(&[(i64, Option<i64>)], &[(usize, i64)]); 6] = [
            (&[(100, Some(110)), (150, Some(160)), (160, None)], &[(0, 0), (1, 40), (2, 0)]),
            // Three pipelined, and one after all of them.
            (
                &[(100, Some(200)), (101, Some(210)), (102, Some(220)), (300, None)],
                &[(0, 0), (0, 0), (0, 0), (3, 80)],
            ),
            // Pipelined on the second while the first was answered.
            (&[(100, Some(120)), (130, Some(200)), (140, Some(210))], &[(0, 0), (1, 10), (1, 20)]),
            // An answer that the capture does not hold is waited for.
            (&[(100, None), (105, Some(110)), (120, None)], &[(0, 0), (1, 0), (2, 10)]),
            // Answers in order: the second cannot count before the first.
            (&[(100, Some(200)), (110, Some(120)), (150, None)], &[(0, 0), (0, 0), (0, 0)]),
            (&[], &[]),
        ];
        for (requests, expected) in table {
            let releases = lane(requests, None);
            let thinks = releases.iter().map(|release| release.think);
            let got: Vec<_> = needs(&releases).into_iter().zip(thinks).collect();
            assert_eq!(got, expected, "{requests:?}");
        }
    }

    #[test]
    fn the_first_opens_and_the_last_closes() {
        let releases = lane(&[(100, None), (200, None), (300, None)], Some(40));
        assert_eq!(
            releases.iter().map(|release| release.open).collect::<Vec<_>>(),
            [Some(-60), None, None]
        );
        assert_eq!(
            releases.iter().map(|release| release.last).collect::<Vec<_>>(),
            [false, false, true]
        );
        assert_eq!(
            lane(&[(130, None)], None)[0].open,
            Some(30),
            "a lane that was joined later opens with its first request"
        );
        assert_eq!(
            lane(&[(130, None)], Some(500))[0].open,
            Some(30),
            "a clock that jumped does not open it too late"
        );
    }

    proptest! {
        #[test]
        fn order_is_kept_and_nothing_waits_for_what_comes_after(
            gaps in prop::collection::vec((-20i64..50, prop::option::of(0i64..200)), 0..40)
        ) {
            let mut at = 100;
            let requests: Vec<_> = gaps
                .iter()
                .map(|&(gap, answer)| {
                    at += gap;
                    (at, answer.map(|after| at + after))
                })
                .collect();
            let releases = lane(&requests, None);
            prop_assert_eq!(releases.len(), requests.len());
            let needs = needs(&releases);
            for (place, release) in releases.iter().enumerate() {
                prop_assert_eq!(release.id.ordinal as usize, place);
                prop_assert!(needs[place] <= place);
                prop_assert!(release.think >= 0);
                if place > 0 {
                    prop_assert!(needs[place - 1] <= needs[place]);
                    prop_assert!(releases[place - 1].offset <= release.offset);
                }
            }
        }
    }
}
