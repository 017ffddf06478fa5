//! One lane while it is replayed: what waits on it, what was answered, and whether its next request
//! may go.

use std::collections::VecDeque;

use crate::replay::task::{Side, Task};

/// When a request that is due may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Arrivals {
    /// In the order of the capture: after the answers that its client had, pipelined where they
    /// were pipelined.
    #[default]
    Causal,
    /// When it is due, on another connection where the lane's is busy.
    Open,
}

/// What a request keeps to that had to wait for v2's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Think {
    /// The schedule: it goes at once when its due time has passed.
    #[default]
    Schedule,
    /// The client's think time after the answer; never before it is due.
    ThinkTime,
}

/// Whether the next request of a lane may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::replay) enum Next {
    /// Nothing waits.
    Empty,
    /// It waits for an answer.
    Answer,
    /// It may go at this time, not before.
    At(i64),
    /// It may go; v2 kept it until this time ([`i64::MIN`]: it did not).
    Ready(i64),
}

/// A lane.
pub(in crate::replay) struct Lane {
    pub(in crate::replay) side: Side,
    pub(in crate::replay) number: u64,
    /// Due, and not sent.
    pub(in crate::replay) queue: VecDeque<Task>,
    /// Requests that were answered or given up; they end in the order in which they were sent.
    done: u32,
    done_at: i64,
    /// Its connections: at most one with [`Arrivals::Causal`].
    pub(in crate::replay) connections: Vec<usize>,
    /// How many it had so far.
    pub(in crate::replay) opened: u32,
    /// Its last request was given out.
    pub(in crate::replay) spent: bool,
    /// It ends when all is answered.
    pub(in crate::replay) ends: bool,
    /// It waits for a place among the connections.
    pub(in crate::replay) queued_for_slot: bool,
    /// Where its next connection goes, and under which name.
    pub(in crate::replay) upstream: u16,
    pub(in crate::replay) name: u32,
    /// v2 spoke on its connection before anything was asked.
    pub(in crate::replay) accused: bool,
}

impl Lane {
    pub(in crate::replay) fn new(side: Side, number: u64, upstream: u16, name: u32) -> Self {
        Self {
            side,
            number,
            queue: VecDeque::new(),
            done: 0,
            done_at: i64::MIN,
            connections: Vec::new(),
            opened: 0,
            spent: false,
            ends: false,
            queued_for_slot: false,
            upstream,
            name,
            accused: false,
        }
    }

    /// Whether the next request may go at `now`.
    pub(in crate::replay) fn next(&self, arrivals: Arrivals, think: Think, now: i64) -> Next {
        let Some(front) = self.queue.front() else { return Next::Empty };
        if arrivals == Arrivals::Open {
            return Next::Ready(i64::MIN);
        }
        if self.done < front.needs {
            return Next::Answer;
        }
        if front.needs == 0 {
            return Next::Ready(i64::MIN);
        }
        let free = match think {
            Think::Schedule => self.done_at,
            Think::ThinkTime => self.done_at.saturating_add(front.think),
        };
        if free > now { Next::At(free) } else { Next::Ready(free) }
    }

    /// A request of the lane was answered or given up.
    pub(in crate::replay) fn finish_one(&mut self, at: i64) {
        self.done = self.done.saturating_add(1);
        self.done_at = self.done_at.max(at);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::outcome::ReplayId;

    fn task(needs: u32, think: i64) -> Task {
        Task {
            kind: crate::replay::plan::StepKind::Send,
            id: ReplayId::default(),
            lane: 1,
            due: 0,
            needs,
            think,
            load: crate::replay::plan::Load::default(),
            bytes: Bytes::new(),
            again: false,
            blamed: false,
        }
    }

    #[test]
    fn a_request_waits_for_the_answers_its_client_had() {
        let mut lane = Lane::new(Side::Target, 1, 0, 0);
        assert_eq!(lane.next(Arrivals::Causal, Think::Schedule, 5), Next::Empty);
        lane.queue.push_back(task(0, 0));
        assert_eq!(lane.next(Arrivals::Causal, Think::Schedule, 5), Next::Ready(i64::MIN));
        lane.queue[0] = task(2, 30);
        assert_eq!(lane.next(Arrivals::Causal, Think::Schedule, 5), Next::Answer);
        assert_eq!(lane.next(Arrivals::Open, Think::Schedule, 5), Next::Ready(i64::MIN));
        lane.finish_one(10);
        assert_eq!(lane.next(Arrivals::Causal, Think::Schedule, 20), Next::Answer);
        lane.finish_one(20);
        assert_eq!(lane.next(Arrivals::Causal, Think::Schedule, 20), Next::Ready(20));
        assert_eq!(lane.next(Arrivals::Causal, Think::ThinkTime, 20), Next::At(50));
        assert_eq!(lane.next(Arrivals::Causal, Think::ThinkTime, 50), Next::Ready(50));
    }
}
