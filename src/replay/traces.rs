//! A trace of its own for each replayed request: which one, and how it gets into the request.
//!
//! Requests are prepared once for all copies and for both sides, with values in the fields that
//! stand for the real ones; who sends a request puts these in their place. They are as long.

use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};

use crate::message::trace::{self, TRACEPARENT, TRACEPARENT_BYTES, TraceParent};
use crate::outcome::ReplayId;
use crate::replay::plan::script;
use crate::replay::side::TargetSide;

/// The sender records its span (W3C Trace Context §3.2.2.5), and asks v2 to record its own.
const SAMPLED: u8 = 1;

/// The traces of a run: equal for who knows the run's id, new for each run.
#[derive(Clone, Debug)]
pub struct Traces {
    run: Sha256,
    keeps: bool,
    parent: String,
    state: String,
}

impl Traces {
    /// Those of the run `run`. `keeps`: a request that was captured with a context keeps it.
    pub fn new(run: &str, keeps: bool) -> Self {
        let run = Sha256::new_with_prefix(run.as_bytes());
        let [parent, state] = [b"in place of a context", b"in the place of state"].map(|what| {
            let digest = run.clone().chain_update(what).finalize();
            context(&digest)
        });
        Self {
            run,
            keeps,
            parent: parent.to_string(),
            state: format!("{}={:032x}", trace::STATE_KEY, state.trace),
        }
    }

    /// Whether a request that was captured with a context keeps it.
    pub const fn keeps(&self) -> bool {
        self.keeps
    }

    /// What stands for the values of `traceparent` and `tracestate` in requests that are prepared.
    pub(in crate::replay) fn stand_ins(&self) -> [&str; 2] {
        [&self.parent, &self.state]
    }

    /// The context that a replayed request is sent with.
    pub fn of(&self, side: TargetSide, id: ReplayId) -> TraceParent {
        let digest = self
            .run
            .clone()
            .chain_update([u8::from(side == TargetSide::Baseline)])
            .chain_update(id.exchange.connection.to_be_bytes())
            .chain_update(id.exchange.ordinal.to_be_bytes())
            .chain_update(id.copy.to_be_bytes())
            .finalize();
        context(&digest)
    }

    /// Puts a request's own context into its `bytes`, whose head is `head` long; gives the context
    /// that it has now. None where it has none.
    pub(in crate::replay) fn put_into(
        &self,
        bytes: &mut Bytes,
        head: usize,
        side: TargetSide,
        id: ReplayId,
    ) -> Option<TraceParent> {
        let fields = &bytes[..head.min(bytes.len())];
        let Some(at) = memchr::memmem::find(fields, self.parent.as_bytes()) else {
            return self.keeps.then(|| kept(fields)).flatten();
        };
        let state_at = memchr::memmem::find(fields, self.state.as_bytes());
        let parent = self.of(side, id);
        // Another side or a reader of it may hold it, too.
        let mut own = std::mem::take(bytes)
            .try_into_mut()
            .unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        own[at..at + TRACEPARENT_BYTES].copy_from_slice(parent.to_string().as_bytes());
        if let Some(at) = state_at.map(|at| at + trace::STATE_KEY.len() + 1) {
            let value = trace::state_value(id.exchange.connection, id.exchange.ordinal, id.copy);
            own[at..at + value.len()].copy_from_slice(value.as_bytes());
        }
        *bytes = own.freeze();
        Some(parent)
    }
}

fn context(digest: &[u8]) -> TraceParent {
    let number = |from: usize, to: usize| {
        digest[from..to].iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte))
    };
    // Zero names nothing.
    let (trace, span) = (number(0, 16).max(1), (number(16, 24) as u64).max(1));
    TraceParent { trace, span, flags: SAMPLED }
}

/// The context that a prepared head has.
fn kept(head: &[u8]) -> Option<TraceParent> {
    let read = TraceParent::read;
    if script::is_script(head) {
        let script = script::read(head)?;
        let mut fields = script.fields();
        return fields.find(|(name, ..)| *name == TRACEPARENT.as_bytes()).and_then(|f| read(f.1));
    }
    let mut lines = head.split(|byte| *byte == b'\n');
    lines.find_map(|line| {
        let (name, value) = line.split_at_checked(TRACEPARENT.len())?;
        let value = value.strip_prefix(b":")?;
        name.eq_ignore_ascii_case(TRACEPARENT.as_bytes()).then(|| read(value))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::ExchangeId;

    fn id(connection: u64, ordinal: u32, copy: u32) -> ReplayId {
        ReplayId { exchange: ExchangeId { connection, ordinal }, copy }
    }

    #[test]
    fn each_request_of_each_run_and_side_has_a_trace_of_its_own() {
        let (one, other) = (Traces::new("r1", false), Traces::new("r2", false));
        let mut seen = std::collections::HashSet::new();
        for traces in [&one, &other] {
            for side in [TargetSide::Target, TargetSide::Baseline] {
                for id in [id(1, 0, 1), id(1, 1, 1), id(2, 0, 1), id(1, 0, 2)] {
                    let parent = traces.of(side, id);
                    assert_eq!(parent, traces.of(side, id));
                    assert!(seen.insert(parent.trace) && parent.flags == 1);
                }
            }
        }
    }

    #[test]
    fn a_context_takes_the_place_of_what_stands_for_it_and_nothing_else_changes() {
        let traces = Traces::new("r1", false);
        let [parent, state] = traces.stand_ins();
        let head =
            format!("GET / HTTP/1.1\r\ntracestate: {state}\r\nTraceparent: {parent}\r\n\r\n");
        let text = format!("{head}{parent}");
        let mut bytes = Bytes::from(text.clone());
        let held = bytes.clone();
        let own =
            traces.put_into(&mut bytes, head.len(), TargetSide::Target, id(12, 3, 2)).unwrap();
        let value = "shadowtap=000000000000000c0000000300000002";
        let expected = head.replace(parent, &own.to_string()).replace(state, value);
        assert_eq!(&bytes[..], format!("{expected}{parent}").as_bytes(), "the body stays");
        assert_eq!(&held[..], text.as_bytes(), "what others hold stays");
        assert_eq!(own, traces.of(TargetSide::Target, id(12, 3, 2)));
    }

    #[test]
    fn a_context_that_is_kept_is_told() {
        let traces = Traces::new("r1", true);
        let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        for head in [
            format!("GET / HTTP/1.1\r\nA: traceparent:\r\nTraceParent:{context} \r\n\r\n"),
            format!("GET / HTTP/1.1\ntraceparent: {context}\n\n"),
        ] {
            let mut bytes = Bytes::from(head.clone());
            let told = traces.put_into(&mut bytes, head.len(), TargetSide::Target, id(1, 0, 1));
            assert_eq!(told.unwrap().to_string(), context);
            assert_eq!(&bytes[..], head.as_bytes());
        }
        for head in ["GET / HTTP/1.1\r\ntraceparent: x\r\n\r\n", "GET /\r\n", ""] {
            let mut bytes = Bytes::from(head);
            let told = traces.put_into(&mut bytes, head.len(), TargetSide::Target, id(1, 0, 1));
            assert_eq!(told, None);
        }
    }

    #[test]
    fn fields_of_http2_are_found_where_they_are_kept() {
        let traces = Traces::new("r1", false);
        let [parent, state] = traces.stand_ins();
        let fields =
            [(":method", "GET"), (":path", "/"), ("traceparent", parent), ("tracestate", state)];
        let request = crate::message::Request {
            headers: fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect(),
            ..crate::message::Request::default()
        };
        let mut out = Vec::new();
        let head = script::write(&mut out, &request, script::Story::default());
        let mut bytes = Bytes::from(out);
        let own = traces.put_into(&mut bytes, head, TargetSide::Baseline, id(12, 3, 1)).unwrap();
        let read = script::request(&bytes).unwrap();
        assert_eq!(read.headers.get("traceparent"), Some(own.to_string().as_bytes()));
        let named = trace::exchange_in_state(read.headers.get("tracestate").unwrap());
        assert_eq!(named, Some((12, 3)));
        let told =
            Traces::new("r2", true).put_into(&mut bytes, head, TargetSide::Target, id(1, 0, 1));
        assert_eq!(told, Some(own), "what another one sent is kept");
    }
}
