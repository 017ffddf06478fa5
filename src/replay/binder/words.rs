//! What the thread that binds values is told: requests that were read ahead, and how they ended.

use std::sync::Arc;

use bytes::Bytes;

use crate::bind::Part;
use crate::bind::fill::expected::Expected;
use crate::message::{Request, Response};
use crate::outcome::ReplayId;
use crate::replay::gate::Gate;
use crate::replay::plan::script;
use crate::replay::side::TargetSide;
use crate::wire::h1::parser::{self, Ending, Message, Parser, ParserLimits};

/// What the thread is told.
pub(in crate::replay) enum Word {
    /// A request was read ahead.
    Order(Arc<BoundOrder>),
    /// It was answered, or will not be.
    Done(Box<Ended>),
}

/// A request of the plan that has to do with bound values.
pub(in crate::replay) struct BoundOrder {
    pub(in crate::replay) id: ReplayId,
    /// When it was recorded, in nanoseconds since the epoch.
    pub(in crate::replay) at: i64,
    pub(in crate::replay) part: Part,
    pub(in crate::replay) expected: Expected,
    pub(in crate::replay) gate: Arc<Gate>,
    pub(in crate::replay) lane: u64,
    pub(in crate::replay) due: i64,
    /// Which worker sends it.
    pub(in crate::replay) worker: usize,
    /// The request as it was prepared; of a long one the first part.
    pub(in crate::replay) bytes: Bytes,
    pub(in crate::replay) head: u32,
}

/// What became of a request.
pub(in crate::replay) struct Ended {
    pub(in crate::replay) side: TargetSide,
    pub(in crate::replay) id: ReplayId,
    pub(in crate::replay) at: i64,
    /// v2's answer, where it was whole and may give values.
    pub(in crate::replay) answer: Option<Response>,
    /// Why there is no whole answer.
    pub(in crate::replay) failure: Option<String>,
}

/// The request that was prepared; of one whose body is not at hand, without it.
pub(super) fn request_of(order: &BoundOrder) -> Option<Request> {
    if script::is_script(&order.bytes) {
        return script::request(&order.bytes);
    }
    let limits = ParserLimits { body_bytes: usize::MAX, ..ParserLimits::default() };
    let mut parser = Parser::<u8>::new(parser::MessageSide::Requests, limits);
    let mut input = &order.bytes[..];
    let read = parser.step(&mut input, 0).or_else(|| parser.finish(Ending::Cut));
    match read?.message {
        Message::Request(request) => Some(request),
        Message::Response(_) => None,
    }
}
