//! One captured connection as one lane: which answers each request waited for, when the connection
//! opens, where it ends.
//!
//! HTTP/1 answers come in the order of the requests (RFC 9112 §9.3), so what a request may depend
//! on is a count: the answers that its client had received whole before it sent the request. A
//! request that was sent before (pipelined) does not wait for them in the replay either.

use std::collections::VecDeque;

use super::{Recorded, Release};

/// Turns the requests of one connection, given in their order, into releases. One is held back,
/// since only the next one tells whether the lane ends with it.
#[derive(Debug, Default)]
pub struct Lane {
    /// When the answers that nobody waited for yet were complete; none where the capture does not
    /// tell.
    outstanding: VecDeque<Option<i64>>,
    needs: u32,
    last_answer: Option<i64>,
    held: Option<Release>,
    begun: bool,
    /// The latest request so far: a clock that was set back does not turn the order of a lane
    /// around.
    latest: i64,
}

impl Lane {
    /// Adds the next request; `origin` is the capture time of the first request of all. Gives the
    /// one before it.
    pub fn push(&mut self, recorded: &Recorded, origin: i64) -> Option<Release> {
        let at = if self.begun { recorded.at.max(self.latest) } else { recorded.at };
        self.latest = at;
        // An answer whose end is not in the capture counts as awaited: most clients wait, and to
        // send too early could break a session where to send later only costs time.
        while let Some(&front) = self.outstanding.front()
            && front.is_none_or(|answered_at| answered_at <= at)
        {
            self.outstanding.pop_front();
            self.needs = self.needs.saturating_add(1);
            self.last_answer = front.or(self.last_answer);
        }
        self.outstanding.push_back(recorded.answered_at);
        let open = (!self.begun)
            .then(|| recorded.opened_at.map_or(at, |opened| opened.min(at)).saturating_sub(origin));
        self.begun = true;
        self.held.replace(Release {
            id: recorded.id,
            offset: at.saturating_sub(origin),
            needs: self.needs,
            think: self.last_answer.map_or(0, |answered| at.saturating_sub(answered).max(0)),
            open,
            last: false,
        })
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
        let mut lane = Lane::default();
        let mut releases = Vec::new();
        for (ordinal, &(at, answered_at)) in requests.iter().enumerate() {
            let id = ExchangeId { connection: 7, ordinal: ordinal as u32 };
            releases.extend(lane.push(&Recorded { id, at, answered_at, opened_at }, 100));
        }
        releases.extend(lane.finish());
        releases
    }

    #[test]
    fn what_a_request_waits_for() {
        // (requests: sent, answered) → (needs, think)
        let table: [(&[(i64, Option<i64>)], &[(u32, i64)]); 6] = [
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
            let got: Vec<_> =
                releases.iter().map(|release| (release.needs, release.think)).collect();
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
            let requests: Vec<_> = gaps.iter().map(|&(gap, answer)| { at += gap; (at, answer.map(|after| at + after)) }).collect();
            let releases = lane(&requests, None);
            prop_assert_eq!(releases.len(), requests.len());
            for (place, release) in releases.iter().enumerate() {
                prop_assert_eq!(release.id.ordinal as usize, place);
                prop_assert!(release.needs as usize <= place);
                prop_assert!(release.think >= 0);
                if place > 0 {
                    prop_assert!(releases[place - 1].needs <= release.needs && releases[place - 1].offset <= release.offset);
                }
            }
        }
    }
}
