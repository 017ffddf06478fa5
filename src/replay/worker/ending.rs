//! How a request ends: with its record, after its deadline, or since the replay was stopped.

use super::super::task::{Done, Task, bump};
use super::{Answer, Failure, FailureKind, Worker};
use crate::outcome::Outcome;
use crate::replay::binder::Word;
use crate::replay::recorder::generator;
use crate::replay::session::h1::InFlight;
use crate::replay::session::h1::Phase;
use crate::wire::h1::parser::{Ending, Message};

/// Read-ahead is given back in parts of so many requests.
const USED: usize = 64;

impl Worker<'_> {
    pub(super) fn deadline(&mut self, at: usize, now: i64) {
        let mut timeout = self.shared.timeout_ns;
        let connection = self.connections.get(at);
        connection.armed = false;
        let lane = connection.lane;
        if connection.phase != Phase::Open {
            let until = connection.started + timeout;
            if now < until {
                return self.arm(at, until);
            }
            let (kind, what) = match connection.phase {
                Phase::Handshaking => (FailureKind::Tls, "the TLS handshake did not end"),
                _ => (FailureKind::Connect, "no answer to the attempt to connect"),
            };
            let failure = Failure::new(kind, format!("{what} within {}", shown(timeout)));
            self.clear_backlog(lane, &failure, now);
            return self.not_opened(at, failure, now);
        }
        let Some(front) = connection.in_flight.front() else {
            if connection.is_writing() {
                // It answered early, and then took no more of the request.
                self.close(at);
                self.pump(lane, now);
            }
            return;
        };
        timeout = self.shared.patience_ns(&front.task.load);
        let until = front.sent + timeout;
        let leaves = front.leaves_at(connection.parser.first().is_some());
        if leaves.is_some_and(|leaves| leaves <= now) {
            return self.leave(at, now);
        }
        if now < until {
            return self.arm(at, leaves.map_or(until, |leaves| leaves.min(until)));
        }
        let request = connection.in_flight.pop_front().expect("the front was just looked at");
        let detail = match connection.parser.first() {
            None => format!("no answer within {}", shown(timeout)),
            Some(_) => format!("no whole answer within {}", shown(timeout)),
        };
        let first = connection.parser.first();
        let part = connection.parser.finish(Ending::Cut).and_then(|parsed| match parsed.message {
            Message::Response(response) => Some(response),
            Message::Request(_) => None,
        });
        let failure = Some(Failure::new(FailureKind::Timeout, detail.clone()));
        let answer = Answer { first, last: None, response: part, failure };
        self.record_sent(lane, request, answer, now);
        let behind = format!("not sent: {detail} to a request before");
        self.clear_backlog(lane, &Failure::new(FailureKind::Timeout, behind), now);
        self.give_up(at, "given up after a timeout", now);
    }

    /// v1's client had read for so long and left: what came until then is the answer.
    fn leave(&mut self, at: usize, now: i64) {
        let connection = self.connections.get(at);
        let lane = connection.lane;
        let Some(request) = connection.in_flight.pop_front() else { return };
        let first = connection.parser.first();
        let part = connection.parser.finish(Ending::Cut).and_then(|parsed| match parsed.message {
            Message::Response(response) => Some(response),
            Message::Request(_) => None,
        });
        let answer = Answer { first, last: None, response: part, failure: None };
        let (sent, waited, connect_ns) = (request.sent, request.waited, request.connect_ns);
        self.record(lane, request.task, Some(sent), waited, connect_ns, answer, now);
        self.give_up(at, "left as v1's client had", now);
    }

    /// The replay was stopped: what is under way is recorded as interrupted.
    pub(super) fn abandon(&mut self) {
        let now = self.now();
        let connections: Vec<usize> = self.connections.indices().collect();
        for at in connections {
            let connection = self.connections.get(at);
            let lane = connection.lane;
            for request in std::mem::take(&mut connection.in_flight) {
                let answer =
                    Answer::failed(FailureKind::Skipped, "interrupted before the answer was whole");
                self.record_sent(lane, request, answer, now);
            }
        }
        let lanes: Vec<usize> = self.lanes.indices().collect();
        for at in lanes {
            while !self.lanes.get(at).queue.is_empty() {
                let failure = Failure::new(FailureKind::Skipped, "interrupted before it was sent");
                self.fail_front(at, failure, now);
            }
        }
    }

    /// Records what a request that was sent came to.
    pub(super) fn record_sent(&mut self, lane: usize, request: InFlight, answer: Answer, now: i64) {
        let InFlight { task, sent, waited, connect_ns } = request;
        self.record(lane, task, Some(sent), waited, connect_ns, answer, now);
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one outcome, put together in one place"
    )]
    pub(super) fn record(
        &mut self,
        at: usize,
        task: Task,
        sent: Option<i64>,
        waited: i64,
        connect_ns: Option<i64>,
        answer: Answer,
        now: i64,
    ) {
        let lane = self.lanes.get(at);
        lane.finish(&task, now);
        self.maybe_idle = true;
        let side = lane.side;
        self.shared.hope(side).learn(answer.first, answer.failure.as_ref(), &self.shared.stop);
        self.under_way -= u64::from(sent.is_some());
        if sent.is_some() || task.again {
            self.shared.ends(side, task.id);
        }
        self.used = (self.used.0 + 1, self.used.1 + task.bytes.len());
        if self.used.0 >= USED {
            self.give_back();
        }
        match &answer.failure {
            Some(failure) => {
                self.figures.fail(failure.kind);
                if failure.kind != FailureKind::Skipped {
                    bump(&self.live().failed);
                }
            }
            None => {
                self.figures.answered += 1;
                bump(&self.live().answered);
                if let (Some(sent), Some(last)) = (sent, answer.last) {
                    generator::record(&mut self.figures.from_sent, last - sent);
                    generator::record(&mut self.figures.from_due, last - task.due);
                }
            }
        }
        if let Some(response) = &answer.response {
            *self.figures.status.entry(response.status).or_default() += 1;
        }
        let ended = task.ended(side, &answer, now);
        if let (Some(words), Some(ended)) = (&self.words, ended) {
            // Where nobody hears it, the replay is being stopped.
            let _ = words.send(Word::Done(Box::new(ended)));
        }
        let (bound, unbound) = task.bound(side);
        let outcome = Outcome {
            id: task.id,
            lane: task.lane,
            due_ns: task.due,
            sent_ns: sent,
            first_byte_ns: answer.first,
            last_byte_ns: answer.last,
            failed_ns: answer.failure.as_ref().map(|_| now),
            left_ns: (answer.failure.is_none() && answer.last.is_none()).then_some(now),
            connect_ns,
            waited_ns: waited,
            bound,
            unbound,
            response: answer.response,
            failure: answer.failure,
        };
        let (route, request, filled) = (task.load.route, task.load.place, task.filled(side));
        if self.outbox.add(Done { side, route, request, filled, outcome }, now) {
            self.hand_over(now);
        }
    }
}

fn shown(nanos: i64) -> String {
    format!("{:?}", std::time::Duration::from_nanos(nanos.max(0).unsigned_abs()))
}
