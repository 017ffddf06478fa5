//! Reassembly against a model. A sequence of segments of one connection gives events whose bytes
//! are those of the first copy of each byte, in order and once; a gap never covers a byte that the
//! capture holds; nothing comes behind a close; and every segment is in the ledger. With wilder
//! segments (any flags, any numbers, several connections) all but the model holds.
//!
//! Input: a byte of choices, then segments of eight bytes each.

#![no_main]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use shadowtap::decode::{Pair, Segment, TcpFlags};
use shadowtap::flow::{Direction, Endpoint};
use shadowtap::reassemble::{
    ConnectionTable, EventStreams, FinishedConnection, Mark, Opened, StreamEvent, TableLimits,
};
use shadowtap::time::Timestamp;

/// First sequence numbers: both streams wrap early.
const FIRST: [u32; 2] = [u32::MAX - 300, u32::MAX - 5_000];

fuzz_target!(|data: &[u8]| {
    let [choice, segments @ ..] = data else { return };
    let limits = TableLimits {
        connections: 2 + usize::from(choice & 4),
        held_bytes: if choice & 2 == 0 { 1 << 20 } else { 1_500 },
        reorder_bytes: if choice & 8 == 0 { 1 << 16 } else { 700 },
        reorder_ns: 60_000_000_000,
        // A connection that is quiet for an hour is over; the model knows of one only.
        idle_ns: if choice & 1 != 0 { 3_600_000_000_000 } else { i64::MAX / 4 },
        linger_ns: 5_000_000_000,
    };
    let wild = choice & 1 != 0;
    let mut run = Run {
        table: ConnectionTable::new(Model::new(!wild), limits, Vec::new()),
        packets: 0,
        nanos: 0,
        last: None,
    };
    if !wild {
        run.send(0, 0, FIRST[0].wrapping_sub(1), None, 2, b"", 0);
        run.send(0, 1, FIRST[1].wrapping_sub(1), Some(FIRST[0]), 18, b"", 0);
    }
    for bytes in segments.chunks_exact(8) {
        let bytes: &[u8; 8] = bytes.try_into().expect("chunks of eight");
        if wild { run.wild(bytes) } else { run.tame(bytes) }
    }
    run.finish();
});

struct Run {
    table: ConnectionTable<Model>,
    packets: u64,
    nanos: i64,
    last: Option<(Segment, Vec<u8>)>,
}

impl Run {
    /// A segment of the one connection: which side, where, how much, what it acknowledges, whether
    /// it repeats other bytes.
    fn tame(
        &mut self,
        &[what, at_high, at_low, length, ack_high, ack_low, content, pause]: &[u8; 8],
    ) {
        self.nanos += i64::from(pause) * 300_000_000;
        if what & 0xc0 == 0xc0 {
            return self.twin();
        }
        let side = usize::from(what & 1);
        let at = u32::from(u16::from_be_bytes([at_high, at_low]) & 0x0fff);
        let ack = u32::from(u16::from_be_bytes([ack_high, ack_low]) & 0x0fff);
        // Mostly what both ends would send: the same byte at the same offset. Else a differing
        // copy.
        let twist = if content < 224 { 0 } else { content };
        let byte = |at: u32| (at as u8).wrapping_mul(31).wrapping_add((at >> 8) as u8) ^ twist;
        let payload: Vec<u8> = (at..at + u32::from(length)).map(byte).collect();
        let fin = what & 0x0e == 0x0e;
        let cut = if what & 0x30 == 0x30 { u32::from(content & 63) } else { 0 };
        let model = self.table.streams();
        model.sent(side, at.into(), &payload);
        model.fins |= fin;
        let (seq, ack) = (FIRST[side].wrapping_add(at), FIRST[1 - side].wrapping_add(ack));
        self.send(0, side, seq, Some(ack), 16 | u8::from(fin), &payload, cut);
    }

    /// Any segment of a few connections.
    fn wild(&mut self, &[what, a, b, length, c, d, flags, pause]: &[u8; 8]) {
        let number = |high, low| {
            u32::from(u16::from_be_bytes([high, low])).wrapping_mul(if what & 2 == 0 {
                1
            } else {
                70_001
            })
        };
        self.nanos +=
            (i64::from(pause) - 3) * if what & 4 == 0 { 1_000_000_000 } else { 60_000_000_000 };
        let payload = vec![length; usize::from(length & 63)];
        let cut = u32::from(length >> 6) * u32::from(what & 1);
        let ack = (flags & 16 != 0).then(|| number(c, d));
        self.send(
            (what >> 5).into(),
            usize::from(what >> 3 & 1),
            number(a, b),
            ack,
            flags,
            &payload,
            cut,
        );
        if what & 16 != 0 {
            self.twin();
        }
    }

    /// The last packet once more, as taps see it that are on both sides of a bridge.
    fn twin(&mut self) {
        let Some((segment, payload)) = self.last.clone() else { return };
        self.packets += 1;
        self.table.segment(&Segment { number: self.packets, ..segment }, &payload);
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a segment")]
    fn send(
        &mut self,
        which: u16,
        side: usize,
        seq: u32,
        ack: Option<u32>,
        flags: u8,
        bytes: &[u8],
        cut: u32,
    ) {
        self.packets += 1;
        let client = Endpoint { address: [10, 0, 0, 1].into(), port: 1_000 + which };
        let server = Endpoint { address: [10, 0, 0, 2].into(), port: 80 };
        let ends = [client, server];
        let (pair, from_low) = Pair::new(ends[side], ends[1 - side]);
        let segment = Segment {
            number: self.packets,
            at: Timestamp::from_nanos(self.nanos),
            pair,
            from_low,
            network: 0,
            hash: u64::from(which & 1),
            seq,
            ack: ack.unwrap_or_default(),
            flags: TcpFlags(flags),
            fingerprint: self.packets as u32,
            identified: true,
            block: 0,
            start: 0,
            captured: bytes.len() as u32,
            length: bytes.len() as u32 + cut,
        };
        self.table.segment(&segment, bytes);
        self.last = Some((segment, bytes.to_vec()));
    }

    fn finish(mut self) {
        self.table.finish();
        assert_eq!(self.table.held(), 0, "nothing is held behind the end");
        let ledger = self.table.ledger();
        assert_eq!((ledger.balance(), ledger.input), (0, self.packets), "{ledger:?}");
        self.table.streams().settled();
    }
}

/// What the events must be.
struct Model {
    /// Whether the bytes are known: one connection, joined at its start.
    known: bool,
    /// The first copy of each byte, by direction and offset.
    first: [HashMap<i64, u8>; 2],
    /// How far each direction was told.
    told: [i64; 2],
    opened: u64,
    finished: u64,
    fins: bool,
}

/// One stream: what was closed of it.
#[derive(Default)]
struct Stream {
    closed: [bool; 2],
}

impl Model {
    fn new(known: bool) -> Self {
        Self { known, first: Default::default(), told: [0; 2], opened: 0, finished: 0, fins: false }
    }

    fn sent(&mut self, side: usize, offset: i64, bytes: &[u8]) {
        for (at, &byte) in (offset..).zip(bytes) {
            self.first[side].entry(at).or_insert(byte);
        }
    }

    fn settled(&self) {
        assert_eq!(self.opened, self.finished, "each stream is finished once");
        if self.known && !self.fins {
            for (first, &told) in self.first.iter().zip(&self.told) {
                let most = first.keys().max().map_or(0, |&at| at + 1);
                assert!(told >= most, "told up to {told}, the capture has {most}");
            }
        }
    }
}

impl EventStreams for Model {
    type Stream = Stream;

    fn now(&mut self, _: Mark) {}

    fn open(&mut self, opened: &Opened) -> Stream {
        self.opened += 1;
        // Behind its end the same ends may meet again; what then comes is another stream.
        self.known &= !opened.joined;
        Stream::default()
    }

    fn rank(&mut self, _: &mut Stream, _: u64) {}

    fn event(&mut self, stream: &mut Stream, event: StreamEvent<'_>) {
        let side = |direction: Direction| usize::from(direction == Direction::ToClient);
        match event {
            StreamEvent::Bytes { direction, payload, .. } => {
                let side = side(direction);
                assert!(!stream.closed[side], "bytes behind the close");
                assert!(!payload.is_empty());
                for (at, byte) in (self.told[side]..).zip(payload) {
                    assert!(
                        !self.known || self.first[side].get(&at) == Some(byte),
                        "not the first copy at {at}"
                    );
                }
                self.told[side] += payload.len() as i64;
            }
            StreamEvent::Gap { direction, bytes, .. } => {
                let side = side(direction);
                assert!(!stream.closed[side], "a gap behind the close");
                assert!(bytes > 0);
                let to = self.told[side] + bytes as i64;
                assert!(to < 1 << 40);
                if self.known {
                    let has = (self.told[side]..to).find(|at| self.first[side].contains_key(at));
                    assert_eq!(has, None, "a gap over a byte that the capture holds");
                }
                self.told[side] = to;
            }
            StreamEvent::Close { direction, .. } => {
                assert!(
                    !std::mem::replace(&mut stream.closed[side(direction)], true),
                    "closed twice"
                );
            }
        }
    }

    fn held(&self, _: &Stream) -> usize {
        0
    }

    fn shed(&mut self, _: &mut Stream) {}

    fn wants(&self, _: &Stream, _: Direction) -> bool {
        true
    }

    fn finish(&mut self, stream: Stream) -> FinishedConnection {
        assert_eq!(stream.closed, [true; 2], "both directions are closed before the end");
        self.finished += 1;
        FinishedConnection {
            protocol: "fuzz",
            used: true,
            skipped: 0,
            tunnelled: 0,
            unkept_interim: 0,
        }
    }

    fn abandon(&mut self, _: Stream) -> (FinishedConnection, u64) {
        unreachable!("no connection is let go of")
    }
}
