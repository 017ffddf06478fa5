//! What moves between the threads of a replay: tasks from the feeder to the workers, outcomes from
//! the workers to the recorder.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

pub(super) use super::counts::{Budget, Live, bump, lower};
use super::gate::{Gate, Ready, SocketGates};
use super::plan::{Load, StepKind};
use super::shared::Shared;
pub use super::side::TargetSide;
pub use super::stopping::ReplayStop;
use crate::exchange::SocketMessage;
use crate::message::trace::TraceParent;
use crate::message::{Response, grpc};
use crate::outcome::{Failure, FailureKind, Outcome, ReplayId, Unbound};
use crate::replay::binder::{Ended, SocketTies};
use crate::replay::plan::script;
use crate::replay::plan::spool::SpoolPlace;
use crate::replay::traces::Traces;
use crate::wire::h1::encode;

/// Something a worker has to do at a time.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// Open the lane's connection, send a request on it, or close it.
    pub(super) kind: StepKind,
    pub(super) id: ReplayId,
    pub(super) lane: u64,
    /// When, on the replay's clock.
    pub(super) due: i64,
    /// When its client sent it, and when it had its answer, on the plan's clock: what of the lane
    /// it comes after, and what comes after it.
    pub(super) when: i64,
    pub(super) answered: i64,
    /// The client's think time after the last of them, at the replay's pace.
    pub(super) think: i64,
    pub(super) load: Load,
    /// The request, or its first part where the rest is streamed from the spool.
    pub(super) bytes: Bytes,
    /// How many bytes of the prepared request these are, or were before values were put in.
    pub(super) ahead: u64,
    /// It goes when this is open, with what is given there.
    pub(super) gate: Option<Arc<Gate>>,
    /// What ties the WebSocket that it opens to who binds values.
    pub(super) socket: Option<SocketTies>,
    /// It is a retry: it was on a connection that v2 closed before it answered.
    pub(super) again: bool,
    /// It was the next to be answered then.
    pub(super) blamed: bool,
    /// The context of its trace, where it left with one.
    pub(super) traceparent: Option<TraceParent>,
}

/// How a request left, on the replay's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SentTimes {
    /// When; none where it did not.
    pub(super) at: Option<i64>,
    /// How long its connection took to open, where it opened one.
    pub(super) connect_ns: Option<i64>,
    /// How long it waited for v2.
    pub(super) waited: i64,
}

/// What v1 answered to a request, as far as live figures need it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Original {
    /// The status; 0 where its head is not in the capture.
    pub status: u16,
    /// Nanoseconds from the request to the end of the answer, where that is known.
    pub took_ns: Option<i64>,
}

impl Task {
    /// What v1 answered to it.
    pub(super) fn original(&self) -> Original {
        // What it took v1 to open a WebSocket is not kept; `answered` is when that ended.
        let is_known = self.answered != i64::MAX
            && self.answered >= self.when
            && !self.load.traits.opens_socket();
        let took_ns = is_known.then(|| self.answered - self.when);
        Original { status: self.load.status, took_ns }
    }

    /// How many bytes are to be streamed from the spool behind [`Self::bytes`].
    pub(super) fn rest(&self) -> u64 {
        self.load.place.length - self.ahead
    }

    /// Puts a request that was prepared for HTTP/2 in the form of HTTP/1.
    pub(super) fn speak_one(&mut self, shared: &Shared) -> io::Result<()> {
        if !script::is_script(&self.bytes) {
            return Ok(());
        }
        let mut bytes = self.bytes.to_vec();
        let ahead = bytes.len();
        bytes.resize(ahead + self.rest() as usize, 0);
        shared.spool.read_at(&mut bytes[ahead..], self.load.place.offset + self.ahead)?;
        let Some(request) = script::request(&bytes) else { return Ok(()) };
        let request = encode::in_http1(&request);
        let mut out = Vec::with_capacity(bytes.len() + 64);
        encode::request_head(&mut out, &request);
        let head = out.len();
        encode::body(&mut out, &request);
        shared.budget.take(0, out.len());
        shared.budget.give_back(0, self.bytes.len());
        (self.load.head, self.ahead) = (head as u32, self.load.place.length);
        self.bytes = out.into();
        Ok(())
    }

    /// Takes what its gate gives, which is open.
    pub(super) fn pass_gate(&mut self, side: TargetSide, budget: &Budget) {
        let ready = self.gate.as_ref().and_then(|gate| gate.ready(side));
        if let Some(Ready { bytes: Some((bytes, head)), .. }) = ready {
            budget.take(0, bytes.len());
            budget.give_back(0, self.bytes.len());
            (self.bytes, self.load.head) = (bytes.clone(), *head);
        }
    }

    /// Puts its own context into what is about to be sent; of a retry it stays.
    pub(super) fn trace(&mut self, side: TargetSide, traces: Option<&Traces>) {
        let Some(traces) = traces else { return };
        // A retry may have been given its bytes anew, or still have those that left.
        let head = self.load.head as usize;
        let own = traces.put_into(&mut self.bytes, head, side, self.id);
        self.traceparent = own.or(self.traceparent);
    }

    /// How many values of v2's it has, and which v2 had not issued.
    pub(super) fn bound(&self, side: TargetSide) -> (u32, Vec<Unbound>) {
        let ready = self.gate.as_ref().and_then(|gate| gate.ready(side));
        let (mut bound, mut unbound) =
            ready.map_or((0, Vec::new()), |ready| (ready.bound, ready.unbound.clone()));
        if let Some((more, lacking)) = self.socket.as_ref().map(|ties| ties.gates.bound(side)) {
            bound += more;
            unbound.extend(lacking);
            unbound.sort_unstable();
            unbound.dedup();
        }
        (bound, unbound)
    }

    /// Its bytes where these are not the prepared ones.
    pub(super) fn filled(&self, side: TargetSide) -> Option<Bytes> {
        let ready = self.gate.as_ref()?.ready(side)?;
        ready.bytes.as_ref().map(|(bytes, _)| bytes.clone())
    }

    /// What became of it, with the `answer` that it had by `now`.
    pub(super) fn outcome(
        &self,
        side: TargetSide,
        answer: Answer,
        sent: SentTimes,
        now: i64,
    ) -> Outcome {
        let (bound, unbound) = self.bound(side);
        Outcome {
            id: self.id,
            lane: self.lane,
            due_ns: self.due,
            sent_ns: sent.at,
            first_byte_ns: answer.first,
            last_byte_ns: answer.last,
            failed_ns: answer.failure.as_ref().map(|_| now),
            left_ns: (answer.failure.is_none() && answer.last.is_none()).then_some(now),
            connect_ns: sent.connect_ns,
            waited_ns: sent.waited,
            bound,
            unbound,
            traceparent: self.traceparent,
            response: answer.response,
            messages: answer.messages,
            failure: answer.failure,
        }
    }

    /// What is told of its end to the thread that binds values, where that is to know.
    pub(super) fn ended(&self, side: TargetSide, answer: &Answer, at: i64) -> Option<Ended> {
        let gate = self.gate.as_ref()?;
        let failure = answer.failure.as_ref().map(|failure| match &*failure.detail {
            "" => failure.kind.name().to_owned(),
            detail => format!("{}: {detail}", failure.kind.name()),
        });
        let sets_cookies = |answer: &&Response| answer.headers.get("set-cookie").is_some();
        let is_whole = answer.failure.is_none() && answer.last.is_some();
        let response = answer.response.as_ref().filter(|_| is_whole);
        let response = response.filter(|response| gate.gives || sets_cookies(response));
        Some(Ended { side, id: self.id, at, answer: response.cloned(), failure })
    }
}

/// An outcome on its way to the file.
pub(super) struct Done {
    pub(super) side: TargetSide,
    pub(super) route: u16,
    pub(super) original: Original,
    /// Where the spool holds its request.
    pub(super) request: SpoolPlace,
    /// What was sent, where v2's values were put into it.
    pub(super) filled: Option<Bytes>,
    /// The same of what was said on the WebSocket that it opened.
    pub(super) socket: Option<Arc<SocketGates>>,
    pub(super) outcome: Outcome,
}

/// An answer, or the want of one. Times as in an [`Outcome`].
pub(super) struct Answer {
    pub(super) first: Option<i64>,
    pub(super) last: Option<i64>,
    pub(super) response: Option<Response>,
    /// What was said on the WebSocket that it opened.
    pub(super) messages: Vec<SocketMessage>,
    pub(super) failure: Option<Failure>,
}

impl Answer {
    /// Nothing came, and nothing failed.
    pub(super) const fn none() -> Self {
        Self { first: None, last: None, response: None, messages: Vec::new(), failure: None }
    }

    pub(super) fn failed(kind: FailureKind, detail: impl Into<String>) -> Self {
        Failure::new(kind, detail).into()
    }

    /// Whether it says that the server failed (RFC 9110 §15.6), or the call
    /// (google/rpc/code.proto).
    pub(super) fn is_server_error(&self) -> bool {
        self.response.as_ref().is_some_and(|response| grpc::judged_status(response) >= 500)
    }
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        Self { failure: Some(failure), ..Self::none() }
    }
}

/// A length of time, for people.
pub(super) fn shown(nanos: i64) -> String {
    format!("{:?}", std::time::Duration::from_nanos(nanos.max(0).unsigned_abs()))
}
