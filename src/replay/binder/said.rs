//! What is said on WebSockets, as far as it has to do with bound values: what gives some, what
//! says some, and when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;

use crate::bind::fill::expected::Expected;
use crate::bind::fill::socket::InSocket;
use crate::bind::{Birth, Use};
use crate::exchange::{SocketKind, SocketMessage};
use crate::outcome::ReplayId;
use crate::replay::gate::SocketGates;
use crate::replay::plan::course::Course;
use crate::replay::plan::spool::Spool;
use crate::replay::side::TargetSide;

/// The WebSocket that a request opens, where what is said there has to do with bound values.
pub(in crate::replay) struct BoundSocket {
    pub(in crate::replay) gates: Arc<SocketGates>,
    /// Messages of v2's that give values, and of the client that say some; by number.
    pub(super) giving: Vec<GivingMessage>,
    pub(super) words: Vec<BoundWord>,
    /// Which message gives a value: by slot.
    pub(super) givers: Vec<(u32, u32)>,
}

pub(super) struct GivingMessage {
    pub(super) number: u32,
    pub(super) births: Vec<Birth>,
    /// What v1's had.
    pub(super) expected: Expected,
}

pub(super) struct BoundWord {
    pub(super) number: u32,
    pub(super) kind: SocketKind,
    pub(super) uses: Vec<Use>,
    /// When its client said it, in nanoseconds of captured time since the request.
    pub(super) at: i64,
    /// Where it stands in the spool.
    pub(super) offset: u64,
    pub(super) length: usize,
}

/// A message of v2's that gives values.
#[derive(Debug)]
pub(in crate::replay) struct SaidMessage {
    pub(in crate::replay) side: TargetSide,
    pub(in crate::replay) id: ReplayId,
    pub(in crate::replay) number: u32,
    pub(in crate::replay) message: SocketMessage,
}

impl BoundSocket {
    /// Of what is known of the messages; `course`: where that of the WebSocket stands.
    pub(in crate::replay) fn read(
        spool: &Spool,
        course: u64,
        inside: InSocket,
        expected: Vec<Expected>,
    ) -> io::Result<Self> {
        let InSocket { births, uses } = inside;
        let (numbers, giving) = (uses.iter().map(|of| of.0), births.iter().map(|of| of.0));
        let gates = Arc::new(SocketGates::new(numbers, giving));
        let slots = |(number, births): &(u32, Vec<Birth>)| {
            births.iter().map(|birth| (birth.slot, *number)).collect::<Vec<_>>()
        };
        let mut givers: Vec<(u32, u32)> = births.iter().flat_map(slots).collect();
        givers.sort_unstable();
        let expected = expected.into_iter().chain(std::iter::repeat_with(Expected::default));
        let giving = births
            .into_iter()
            .zip(expected)
            .map(|((number, births), expected)| GivingMessage { number, births, expected });
        let giving = giving.collect();
        let words = if uses.is_empty() { Vec::new() } else { words(spool, course, uses)? };
        Ok(Self { gates, giving, words, givers })
    }

    /// The client's message of this number, where it says values.
    pub(super) fn word(&self, number: u32) -> Option<&BoundWord> {
        let at = self.words.binary_search_by_key(&number, |word| word.number).ok()?;
        Some(&self.words[at])
    }

    /// The message that gives a value; none where the answer that opens the WebSocket does.
    pub(super) fn giver(&self, slot: u32) -> Option<u32> {
        let at = self.givers.partition_point(|(other, _)| *other < slot);
        self.givers.get(at).filter(|(other, _)| *other == slot).map(|(_, number)| *number)
    }
}

/// What clients will say on WebSockets, by its time on the plan's clock.
#[derive(Default)]
pub(super) struct WordsAhead(BinaryHeap<Reverse<(i64, ReplayId, u32, bool)>>);

impl WordsAhead {
    pub(super) fn add(&mut self, when: i64, (side, id): (TargetSide, ReplayId), number: u32) {
        self.0.push(Reverse((when, id, number, side == TargetSide::Baseline)));
    }

    /// One that is said before `when`.
    pub(super) fn before(&mut self, when: i64) -> Option<((TargetSide, ReplayId), u32)> {
        self.0.peek().filter(|Reverse((at, ..))| *at < when)?;
        let Reverse((_, id, number, is_baseline)) = self.0.pop()?;
        let side = if is_baseline { TargetSide::Baseline } else { TargetSide::Target };
        Some(((side, id), number))
    }
}

/// The client's messages that say values, by number.
fn words(spool: &Spool, course: u64, uses: Vec<(u32, Vec<Use>)>) -> io::Result<Vec<BoundWord>> {
    let most = uses.last().map_or(0, |(last, _)| last.saturating_add(1));
    let course = Course::read_up_to(spool, course, most)?;
    let mut words = Vec::with_capacity(uses.len());
    let mut uses = uses.into_iter().peekable();
    let mut offset = course.content;
    for (number, word) in (0..).zip(&course.words) {
        if let Some((_, uses)) = uses.next_if(|(of, _)| *of == number) {
            let length = word.length as usize;
            let (kind, at) = (word.kind, word.at);
            words.push(BoundWord { number, kind, uses, at, offset, length });
        }
        offset += u64::from(word.length);
    }
    Ok(words)
}
