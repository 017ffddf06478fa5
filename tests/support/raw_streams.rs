//! The clients' bytes of a capture as they were on the wire, connection by connection: put in order
//! by the project's own reassembly, and read by no HTTP parser.

use std::path::Path;

use shadowtap::capture::file::{Input, open};
use shadowtap::capture::merge::CaptureMerge;
use shadowtap::capture::{Batch, PacketSource};
use shadowtap::decode::{Decoded, HashKey, decode};
use shadowtap::flow::Direction;
use shadowtap::reassemble::{
    ConnectionTable, EventStreams, FinishedConnection, Mark, Opened, StreamEvent, TableLimits,
};

/// A connection's bytes towards its server.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) first_packet: u64,
    pub(crate) bytes: Vec<u8>,
    /// From its first byte on, and none is missing.
    pub(crate) whole: bool,
}

#[derive(Default)]
struct Gathered(Vec<Raw>);

impl EventStreams for Gathered {
    type Stream = Raw;

    fn now(&mut self, _: Mark) {}

    fn open(&mut self, opened: &Opened) -> Raw {
        Raw { first_packet: opened.first_packet, bytes: Vec::new(), whole: !opened.joined }
    }

    fn rank(&mut self, _: &mut Raw, _: u64) {}

    fn event(&mut self, raw: &mut Raw, event: StreamEvent<'_>) {
        match event {
            StreamEvent::Bytes { direction: Direction::ToServer, payload, .. } => {
                raw.bytes.extend_from_slice(payload)
            }
            StreamEvent::Gap { direction: Direction::ToServer, .. } => raw.whole = false,
            _ => {}
        }
    }

    fn held(&self, _: &Raw) -> usize {
        0
    }

    fn shed(&mut self, _: &mut Raw) {}

    fn wants(&self, _: &Raw, _: Direction) -> bool {
        true
    }

    fn finish(&mut self, raw: Raw) -> FinishedConnection {
        self.0.push(raw);
        FinishedConnection { used: true, ..FinishedConnection::default() }
    }

    fn abandon(&mut self, raw: Raw) -> (FinishedConnection, u64) {
        (self.finish(raw), 0)
    }
}

/// The connections of a capture with their rank.
pub(crate) fn raw_streams(capture: &Path) -> Vec<(u64, Raw)> {
    let Ok(Input::Packets(file)) = open(capture.to_str().unwrap()) else {
        panic!("{} is a capture", capture.display())
    };
    let mut source = CaptureMerge::new(vec![(file, 0)]);
    let mut table = ConnectionTable::new(Gathered::default(), TableLimits::share(1), vec![]);
    let (mut batch, key) = (Batch::default(), HashKey::default());
    loop {
        let more = source.fill(&mut batch).unwrap();
        for (place, frame) in batch.frames.iter().enumerate() {
            let number = batch.first + place as u64;
            if let Ok(Decoded::Segment(segment)) = decode(frame, batch.bytes(frame), number, key) {
                let start = segment.start as usize;
                let payload =
                    &batch.blocks[segment.block as usize][start..start + segment.captured as usize];
                table.segment(&segment, payload);
            }
        }
        if !more {
            break;
        }
    }
    let mut started: Vec<u64> = table.started().collect();
    started.sort_unstable();
    table.finish();
    let raws = std::mem::take(&mut table.streams().0);
    raws.into_iter()
        .map(|raw| (started.binary_search(&raw.first_packet).unwrap() as u64, raw))
        .collect()
}
