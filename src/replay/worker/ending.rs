//! How a request ends: with its record, after its deadline, or since the replay was stopped.

use super::super::task::{Done, SentTimes, Task, bump, shown};
use super::{Answer, Failure, FailureKind, Worker};
use crate::replay::binder::Notice;
use crate::replay::recorder::generator;
use crate::replay::session::connection::Phase;
use crate::replay::session::{GoesOn, InFlight, Late};

/// Read-ahead is given back in parts of so many requests.
const USED: usize = 64;

impl Worker<'_> {
    /// Looks at what waits on a connection.
    pub(super) fn deadline(&mut self, at: usize, now: i64) {
        let timeout = self.shared.timeout_ns;
        let generation = self.connections.generation(at);
        let connection = self.connections.get(at);
        connection.armed = i64::MAX;
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
            let lane = connection.lane;
            self.clear_backlog(lane, &failure, now);
            return self.not_opened(at, failure, now);
        }
        while self.connections.holds(at, generation) && self.is_late(at, now) {}
        if !self.connections.holds(at, generation) {
            return;
        }
        let goes_on = self.connections.get(at).session.goes_on(now);
        if goes_on == GoesOn::Without100 {
            self.figures.note("sent-body-without-100");
        }
        if goes_on != GoesOn::No || self.connections.get(at).session.is_shared() {
            self.write(at);
        }
        self.rearm(at, generation);
    }

    /// Sets the next timer of a connection, where it is still there.
    pub(super) fn rearm(&mut self, at: usize, generation: u32) {
        if self.connections.holds(at, generation) {
            let wakes_at = self.connections.get(at).session.wakes_at();
            self.arm(at, wakes_at);
        }
    }

    /// Ends the wait of one request for which it is time, if there is one.
    fn is_late(&mut self, at: usize, now: i64) -> bool {
        let connection = self.connections.get(at);
        let (lane, others_go_on) = (connection.lane, connection.session.is_shared());
        let last = match connection.session.wake(now) {
            Late::None => return false,
            Late::Stuck => {
                // It answered early, and then took no more of the request.
                self.close(at);
                self.pump(lane, now);
                return false;
            }
            Late::TimedOut(request, answer) => {
                let detail = answer.failure.as_ref().map(|failure| failure.detail.clone());
                self.record_sent(lane, request, answer, now);
                let detail = detail.unwrap_or_default();
                let behind = format!("not sent: {detail} to a request before");
                self.clear_backlog(lane, &Failure::new(FailureKind::Timeout, behind), now);
                "given up after a timeout"
            }
            // v1's client had read for so long and left: what came until then is the answer.
            Late::Left(request, answer) => {
                self.record_sent(lane, request, answer, now);
                "left as v1's client had"
            }
        };
        if others_go_on {
            self.pump(lane, now);
        } else {
            self.give_up(at, last, now);
        }
        true
    }

    /// The replay was stopped: what is under way is recorded as interrupted.
    pub(super) fn abandon(&mut self) {
        let now = self.now();
        let connections: Vec<usize> = self.connections.indices().collect();
        for at in connections {
            let connection = self.connections.get(at);
            let lane = connection.lane;
            for request in connection.session.take_unanswered() {
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
        let InFlight { task, sent, waited, connect_ns, .. } = request;
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
        let failure = answer.failure.as_ref();
        self.shared.hope(side).learn(sent.is_some(), answer.first, failure, &self.shared.stop);
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
                if answer.is_server_error() {
                    bump(&self.live().server_errors);
                }
                if let (Some(sent), Some(last)) = (sent, answer.last) {
                    generator::record(&mut self.figures.from_sent, last - sent);
                    generator::record(&mut self.figures.from_due, last - task.due);
                }
            }
        }
        if let Some(response) = &answer.response {
            self.figures.answer(response);
        }
        let ended = task.ended(side, &answer, now);
        if let (Some(notices), Some(ended)) = (&self.notices, ended) {
            // Where nobody hears it, the replay is being stopped.
            let _ = notices.send(Notice::Done(Box::new(ended)));
        }
        let sent = SentTimes { at: sent, connect_ns, waited };
        let outcome = task.outcome(side, answer, sent, now);
        let (route, request, filled) = (task.load.route, task.load.place, task.filled(side));
        let (original, socket) = (task.original(), task.socket.map(|ties| ties.gates));
        let done = Done { side, route, original, request, filled, socket, outcome };
        if self.outbox.add(done, now) {
            self.hand_over(now);
        }
    }
}
