//! What the thread that binds values is told: requests that were read ahead, and how they ended.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use bytes::Bytes;

use super::said::{BoundSocket, SaidMessage};
use crate::bind::Part;
use crate::bind::fill::expected::Expected;
use crate::exchange::SocketMessage;
use crate::message::{Request, Response};
use crate::outcome::ReplayId;
use crate::replay::gate::{Gate, SocketGates};
use crate::replay::plan::script;
use crate::replay::side::TargetSide;
use crate::wire::h1::parser::{self, Ending, Message, Parser, ParserLimits};

/// What the thread is told.
pub(in crate::replay) enum Notice {
    /// A request was read ahead.
    Order(Arc<BoundOrder>),
    /// It was answered, or will not be; a WebSocket that it opened is over.
    Done(Box<Ended>),
    /// Its answer opened a WebSocket.
    Opened(Box<Ended>),
    /// v2 said something there that gives values.
    Said(Box<SaidMessage>),
    /// All requests before this time of the plan were read.
    Read(i64),
}

/// A WebSocket's gates, and the way on which what v2 says comes to who binds values. Only who plays
/// it holds this: once nobody can say anything any more, who binds is at its end.
#[derive(Clone)]
pub(in crate::replay) struct SocketTies {
    pub(in crate::replay) gates: Arc<SocketGates>,
    pub(in crate::replay) binder: Sender<Notice>,
}

impl std::fmt::Debug for SocketTies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SocketTies").field(&self.gates).finish()
    }
}

impl SocketTies {
    /// v2 opened the WebSocket.
    pub(in crate::replay) fn opened(&self, ended: Ended) {
        // Where nobody hears it, the replay is being stopped.
        let _ = self.binder.send(Notice::Opened(Box::new(ended)));
    }

    /// v2 said something there.
    pub(in crate::replay) fn said(
        &self,
        (side, id): (TargetSide, ReplayId),
        number: u32,
        message: &SocketMessage,
    ) {
        if self.gates.takes(number) {
            let said = SaidMessage { side, id, number, message: message.clone() };
            let _ = self.binder.send(Notice::Said(Box::new(said)));
        }
    }
}

/// A request of the plan that has to do with bound values.
pub(in crate::replay) struct BoundOrder {
    pub(in crate::replay) id: ReplayId,
    /// When it was recorded, in nanoseconds since the epoch.
    pub(in crate::replay) at: i64,
    /// The same on the plan's clock.
    pub(in crate::replay) when: i64,
    pub(in crate::replay) part: Part,
    pub(in crate::replay) expected: Expected,
    pub(in crate::replay) gate: Arc<Gate>,
    pub(in crate::replay) socket: Option<BoundSocket>,
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
