//! The records of a plan, of fixed size so that they can be sorted on disk: requests by connection,
//! then steps by time.

use crate::exchange::ExchangeId;
use crate::replay::plan::lanes::{OWNER_BYTES, Owner};
use crate::replay::plan::load::{Load, Traits};
use crate::replay::plan::spool::SpoolPlace;
use crate::schedule::Recorded;

/// What happens at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::replay) enum StepKind {
    /// The lane's connection opens.
    Open = 0,
    /// A request is due.
    Send = 1,
    /// A request would have been due, but is not sent.
    Skip = 2,
    /// The lane's connection closes, once all answers are there. Behind the last request of all it
    /// stands for the end.
    Close = 3,
}

/// One step of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::replay) struct PlanStep {
    /// Captured nanoseconds since the first request.
    pub(in crate::replay) when: i64,
    pub(in crate::replay) id: ExchangeId,
    /// The number of its lane in the first copy.
    pub(in crate::replay) lane: u64,
    /// Copy, from 0.
    pub(in crate::replay) copy: u32,
    pub(in crate::replay) kind: StepKind,
    /// When its client had the answer whole; its lane's later requests come after it.
    pub(in crate::replay) answered: i64,
    pub(in crate::replay) think: i64,
    pub(in crate::replay) load: Load,
}

/// A record of a request, sorted by lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StepEntry {
    /// The number of its lane, and its place in it.
    pub(super) lane: (u64, u64),
    /// By what the lane falls into a shard.
    pub(super) owner: Owner,
    pub(super) recorded: Recorded,
    pub(super) load: Load,
}

/// Writes the fields of fixed-size records.
pub(super) struct FieldCursor<'a>(pub(super) &'a mut [u8]);
/// Reads them.
pub(super) struct StepReader<'a>(pub(super) &'a [u8]);

impl FieldCursor<'_> {
    pub(super) fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        let (place, rest) = std::mem::take(&mut self.0).split_at_mut(N);
        place.copy_from_slice(&bytes);
        self.0 = rest;
    }

    /// With its sign turned, so that bytes compare like numbers.
    pub(super) fn time(&mut self, nanos: i64) {
        self.put((nanos as u64 ^ (1 << 63)).to_be_bytes());
    }

    fn load(&mut self, load: &Load) {
        self.put(load.traits.0.to_be_bytes());
        self.put(load.upstream.to_be_bytes());
        self.put(load.name.to_be_bytes());
        self.put(load.route.to_be_bytes());
        self.put(load.place.offset.to_be_bytes());
        self.put(load.place.length.to_be_bytes());
        self.put(load.note.offset.to_be_bytes());
        self.put(load.note.length.to_be_bytes());
        self.put(load.head.to_be_bytes());
        self.put(load.patience_ms.to_be_bytes());
        self.put(load.reads_ms.to_be_bytes());
        self.put(load.announced.to_be_bytes());
        self.put(load.status.to_be_bytes());
    }
}

impl StepReader<'_> {
    pub(super) fn get<const N: usize>(&mut self) -> [u8; N] {
        let (place, rest) = self.0.split_at(N);
        self.0 = rest;
        place.try_into().expect("the slice was split at the array's length")
    }

    pub(super) fn time(&mut self) -> i64 {
        (u64::from_be_bytes(self.get()) ^ (1 << 63)) as i64
    }

    fn load(&mut self) -> Load {
        Load {
            traits: Traits(u16::from_be_bytes(self.get())),
            upstream: u16::from_be_bytes(self.get()),
            name: u32::from_be_bytes(self.get()),
            route: u16::from_be_bytes(self.get()),
            place: SpoolPlace {
                offset: u64::from_be_bytes(self.get()),
                length: u64::from_be_bytes(self.get()),
            },
            note: SpoolPlace {
                offset: u64::from_be_bytes(self.get()),
                length: u64::from_be_bytes(self.get()),
            },
            head: u32::from_be_bytes(self.get()),
            patience_ms: u32::from_be_bytes(self.get()),
            reads_ms: u32::from_be_bytes(self.get()),
            announced: u16::from_be_bytes(self.get()),
            status: u16::from_be_bytes(self.get()),
        }
    }
}

/// When a connection closed, sorted by connection.
pub(super) const CLOSED_BYTES: usize = 8 + 8;
const LOAD_BYTES: usize = 2 + 2 + 4 + 2 + 8 + 8 + 8 + 8 + 4 + 4 + 4 + 2 + 2;
pub(super) const ENTRY_BYTES: usize = 8 + 8 + 8 + 4 + 8 + 8 + 8 + 1 + OWNER_BYTES + LOAD_BYTES;
pub(super) const STEP_BYTES: usize = 8 + 8 + 4 + 8 + 4 + 1 + 8 + 8 + LOAD_BYTES;
/// Stands for a time that is not known.
const NO_TIME: i64 = i64::MIN;

impl StepEntry {
    pub(super) fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        let mut cursor = FieldCursor(&mut bytes);
        cursor.put(self.lane.0.to_be_bytes());
        cursor.put(self.lane.1.to_be_bytes());
        cursor.put(self.recorded.id.connection.to_be_bytes());
        cursor.put(self.recorded.id.ordinal.to_be_bytes());
        cursor.time(self.recorded.at);
        cursor.time(self.recorded.answered_at.unwrap_or(NO_TIME));
        cursor.time(self.recorded.opened_at.unwrap_or(NO_TIME));
        cursor.put([u8::from(self.recorded.concurrent)]);
        cursor.put(self.owner.encode());
        cursor.load(&self.load);
        bytes
    }

    pub(super) fn decode(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let mut reader = StepReader(bytes);
        let known = |nanos: i64| (nanos != NO_TIME).then_some(nanos);
        let lane = (u64::from_be_bytes(reader.get()), u64::from_be_bytes(reader.get()));
        let connection = u64::from_be_bytes(reader.get());
        let ordinal = u32::from_be_bytes(reader.get());
        let recorded = Recorded {
            id: ExchangeId { connection, ordinal },
            at: reader.time(),
            answered_at: known(reader.time()),
            opened_at: known(reader.time()),
            concurrent: reader.get() == [1],
        };
        let owner = Owner::decode(reader.get());
        Self { lane, owner, recorded, load: reader.load() }
    }
}

impl PlanStep {
    pub(super) fn encode(&self) -> [u8; STEP_BYTES] {
        let mut bytes = [0; STEP_BYTES];
        let mut cursor = FieldCursor(&mut bytes);
        cursor.time(self.when);
        cursor.put(self.id.connection.to_be_bytes());
        cursor.put(self.copy.to_be_bytes());
        cursor.put(self.lane.to_be_bytes());
        cursor.put(self.id.ordinal.to_be_bytes());
        cursor.put([self.kind as u8]);
        cursor.time(self.answered);
        cursor.time(self.think);
        cursor.load(&self.load);
        bytes
    }

    pub(super) fn decode(bytes: &[u8; STEP_BYTES]) -> Self {
        let mut reader = StepReader(bytes);
        let when = reader.time();
        let connection = u64::from_be_bytes(reader.get());
        let copy = u32::from_be_bytes(reader.get());
        let lane = u64::from_be_bytes(reader.get());
        let ordinal = u32::from_be_bytes(reader.get());
        let kind = match reader.get() {
            [0] => StepKind::Open,
            [1] => StepKind::Send,
            [2] => StepKind::Skip,
            _ => StepKind::Close,
        };
        let id = ExchangeId { connection, ordinal };
        Self {
            when,
            id,
            lane,
            copy,
            kind,
            answered: reader.time(),
            think: reader.time(),
            load: reader.load(),
        }
    }
}
