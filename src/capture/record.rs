//! A recording: one thread reads packets into blocks, another writes the blocks to disk, a bounded
//! queue between them.
//!
//! The reader never touches the disk. Where the queue is full it waits, since the kernel's ring
//! then takes up what comes, and what the ring has no room for the kernel counts; dropping here
//! would lose the same packets earlier. Both threads sleep until there is something to do, and the
//! writer is woken for a full block or once in a while, not for each handful of packets.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel,
};
use std::thread::JoinHandle;
use std::time::Duration;

use super::CaptureError;
use super::counts::{Counts, LiveCounts};
use super::keylog::KeyLogs;
use super::live::{LiveError, LiveOptions, PacketSink, Tap};
use super::rotate::{FilePlan, OutputError, RecordCuts, RecordingOutput};
use super::writer::{FileFormat, Interface, PacketEncoder, Stamp, Statistics};
use crate::limits;
use crate::stop::Stop;
use crate::time::{Monotonic, NANOS_PER_SEC, Timestamp};

/// Bytes of a block that goes to the writer, and how many there are at most: with the kernel's
/// ring, what a slow disk may lag.
const BLOCK_BYTES: usize = 1 << 20;
const BLOCKS: usize = 32;
/// Blocks that are made, and their pages touched, before the first packet comes: enough where the
/// disk keeps up.
const BLOCKS_READY: usize = 3;
/// How long packets may wait for a block to fill, since the last one was handed over.
const GATHER: Duration = Duration::from_millis(100);

/// Why a recording failed.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The device.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// The file.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// pcap has one link type for the whole file.
    #[error(
        "the interfaces have different link types, which a .pcap file cannot hold: write a .pcapng \
         file"
    )]
    LinkTypes,
    /// What was read makes no sense.
    #[error(transparent)]
    Source(CaptureError),
    /// The system refused what the threads are told to end by.
    #[error("cannot make a pair of sockets")]
    Stop(#[source] std::io::Error),
    /// The system refused a thread.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

/// What a recording came to.
#[derive(Debug)]
pub struct RecordedPackets {
    /// What was seen and lost.
    pub counts: Counts,
    /// The complete files, oldest first.
    pub files: Vec<PathBuf>,
    /// How many files were begun, also those that the ring has removed since.
    pub begun: u64,
    /// Bytes written to disk.
    pub written: u64,
    /// Why it ended before it was told to.
    pub failure: Option<RecordError>,
}

/// A recording that runs in two threads of its own.
pub struct PacketRecording {
    stop: Arc<Stop>,
    live: Arc<LiveCounts>,
    reader: JoinHandle<Result<(), LiveError>>,
    writer: JoinHandle<WrittenBlocks>,
}

struct WrittenBlocks {
    files: Vec<PathBuf>,
    begun: u64,
    bytes: u64,
    failure: Option<OutputError>,
}

impl PacketRecording {
    /// Opens the devices of `options` and records them to a plain file, for callers that need no
    /// more than that.
    pub fn start(options: &LiveOptions, path: impl Into<PathBuf>) -> Result<Self, RecordError> {
        let tap = Tap::open(options)?;
        let stop = Stop::new().map_err(RecordError::Stop)?;
        let plan = FilePlan { force: true, ..FilePlan::file(path) };
        Self::begin(tap, FileFormat::Pcap, plan, KeyLogs::default(), stop)
    }

    /// Records what `tap` gives, with the secrets of `keylogs` in each file that has a place for
    /// them, until `stop` is told or [`Self::stop`] is called. Where it cannot
    /// go on it tells `stop` itself.
    pub fn begin(
        tap: Tap,
        format: FileFormat,
        plan: FilePlan,
        keylogs: KeyLogs,
        stop: Arc<Stop>,
    ) -> Result<Self, RecordError> {
        let link_types =
            || tap.interfaces().windows(2).all(|pair| pair[0].link_type == pair[1].link_type);
        if format == FileFormat::Pcap && !link_types() {
            return Err(RecordError::LinkTypes);
        }
        let encoder = PacketEncoder::new(format, tap.nanos());
        let mut records = Packets {
            encoder: encoder.clone(),
            interfaces: tap.interfaces().to_vec(),
            statistics: Vec::new(),
            keylogs,
            secrets: Vec::new(),
        };
        records.look_for_secrets();
        let block_bytes = plan.rotate_size.map_or(BLOCK_BYTES, |size| {
            BLOCK_BYTES.min(usize::try_from(size / 4).unwrap_or(BLOCK_BYTES))
        });
        let output = RecordingOutput::open(plan, records)?;
        let live = Arc::new(LiveCounts::default());
        let (mut filler, blocks, recycle) = queue(encoder, block_bytes, &live);
        let writer = spawn("capture-write", {
            let (live, stop) = (Arc::clone(&live), Arc::clone(&stop));
            move || write(output, &blocks, &recycle, &live, &stop)
        })?;
        let reader = spawn("capture-read", {
            let stop = Arc::clone(&stop);
            move || {
                let result = tap.run(&stop, &mut filler);
                filler.finish();
                stop.tell();
                result
            }
        })?;
        Ok(Self { stop, live, reader, writer })
    }

    /// The counters, while it runs.
    pub fn live(&self) -> &Arc<LiveCounts> {
        &self.live
    }

    /// Ends it: takes what the kernel still holds, completes the file.
    pub fn stop(self) -> RecordedPackets {
        self.stop.tell();
        let read = self.reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let written = self.writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let failure =
            written.failure.map(RecordError::from).or_else(|| read.err().map(RecordError::from));
        RecordedPackets {
            counts: self.live.counts(),
            files: written.files,
            begun: written.begun,
            written: written.bytes,
            failure,
        }
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, RecordError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(RecordError::Thread)
}

/// Whole records, on their way to the writer.
#[derive(Debug, Default)]
struct RecordBlock {
    bytes: Vec<u8>,
    packets: u64,
    /// New statistics, where there are any.
    statistics: Option<Vec<Statistics>>,
}

/// The reader's side: encodes packets into blocks.
struct Filler {
    encoder: PacketEncoder,
    block: RecordBlock,
    block_bytes: usize,
    made: usize,
    full: SyncSender<RecordBlock>,
    empty: Receiver<Vec<u8>>,
    live: Arc<LiveCounts>,
    bytes: u64,
    statistics: Vec<Statistics>,
    handed_over: Monotonic,
}

/// The reader's side, and the ends of the queue for the writer: full blocks, and where empty ones
/// go back.
fn queue(
    encoder: PacketEncoder,
    block_bytes: usize,
    live: &Arc<LiveCounts>,
) -> (Filler, Receiver<RecordBlock>, Sender<Vec<u8>>) {
    let (full, blocks) = sync_channel(BLOCKS);
    let (recycle, empty) = channel();
    let ready = || {
        // Filled, so that the pages are there before the first packet is.
        let mut bytes = vec![1; block_bytes];
        bytes.clear();
        bytes
    };
    (1..BLOCKS_READY).for_each(|_| recycle.send(ready()).expect("the other end is here"));
    let filler = Filler {
        encoder,
        block: RecordBlock { bytes: ready(), ..RecordBlock::default() },
        block_bytes,
        made: BLOCKS_READY,
        full,
        empty,
        live: Arc::clone(live),
        bytes: 0,
        statistics: Vec::new(),
        handed_over: Monotonic::now(),
    };
    (filler, blocks, recycle)
}

impl Filler {
    fn hand_over(&mut self) {
        let packets = self.block.packets;
        self.live.read(packets, std::mem::take(&mut self.bytes));
        let block = std::mem::take(&mut self.block);
        // The writer takes blocks until this side is gone, also when it can write no more.
        if self.full.send(block).is_err() {
            self.live.lose(packets);
        }
        self.block.bytes = match self.empty.try_recv() {
            Ok(bytes) => bytes,
            Err(TryRecvError::Empty) if self.made < BLOCKS => {
                self.made += 1;
                Vec::with_capacity(self.block_bytes)
            }
            Err(TryRecvError::Empty) => {
                self.live.wait();
                self.empty.recv().unwrap_or_default()
            }
            Err(TryRecvError::Disconnected) => Vec::new(),
        };
        self.handed_over = Monotonic::now();
    }

    /// Hands over what is left, also where that is only what was lost.
    fn finish(mut self) {
        if self.block.packets > 0 || self.block.statistics.is_some() {
            self.hand_over();
        }
    }
}

impl PacketSink for Filler {
    fn packet(&mut self, interface: u32, stamp: Stamp, length: u32, data: &[u8]) {
        // 64 bytes are more than any record's head and padding.
        if self.block.bytes.len() + data.len() + 64 > self.block_bytes && self.block.packets > 0 {
            self.hand_over();
        }
        self.encoder.packet(&mut self.block.bytes, interface, stamp, length, data);
        self.block.packets += 1;
        self.bytes += data.len() as u64;
    }

    fn pause(&mut self) -> Option<Duration> {
        if self.block.packets == 0 {
            return None;
        }
        let since = Duration::from_nanos(self.handed_over.elapsed().max(0) as u64);
        match GATHER.checked_sub(since).filter(|left| !left.is_zero()) {
            None => {
                self.hand_over();
                None
            }
            left => left,
        }
    }

    fn statistics(&mut self, statistics: &[Statistics]) {
        self.live.dropped(statistics);
        if self.statistics != statistics {
            self.statistics = statistics.to_vec();
            // They go with the next packets.
            self.block.statistics = Some(statistics.to_vec());
        }
    }
}

/// How packets are kept whole in a file.
struct Packets {
    encoder: PacketEncoder,
    interfaces: Vec<Interface>,
    statistics: Vec<Statistics>,
    keylogs: KeyLogs,
    /// All secrets until now, for the files that follow.
    secrets: Vec<u8>,
}

impl Packets {
    /// Reads what is new in the key logs; answers where it begins in the secrets.
    fn look_for_secrets(&mut self) -> usize {
        let mut known = self.secrets.len();
        self.keylogs.read(&mut self.secrets);
        if self.secrets.len() > limits::SECRETS_BYTES {
            // The oldest are the likeliest to be those of connections that are over.
            let passed = self.secrets.len() - limits::SECRETS_BYTES / 2;
            self.secrets.drain(..passed);
            known = known.saturating_sub(passed);
        }
        known
    }

    fn statistics(&self, out: &mut Vec<u8>) {
        let now = Timestamp::now().nanos();
        let (seconds, nanos) =
            (now.div_euclid(NANOS_PER_SEC) as u32, now.rem_euclid(NANOS_PER_SEC) as u32);
        let stamp =
            Stamp { seconds, fraction: if self.encoder.nanos() { nanos } else { nanos / 1000 } };
        for (index, statistics) in self.statistics.iter().enumerate() {
            self.encoder.statistics(out, index as u32, stamp, *statistics);
        }
    }
}

impl RecordCuts for Packets {
    fn start(&self, out: &mut Vec<u8>) {
        self.encoder.start(out, &self.interfaces);
        self.encoder.secrets(out, &self.secrets);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.statistics(out);
    }

    fn whole(&self, bytes: &[u8], length: usize) -> (usize, u64) {
        self.encoder.whole(bytes, length)
    }
}

/// The writer's side, until the reader is gone.
fn write(
    mut output: RecordingOutput<Packets>,
    blocks: &Receiver<RecordBlock>,
    recycle: &Sender<Vec<u8>>,
    live: &LiveCounts,
    stop: &Stop,
) -> WrittenBlocks {
    let mut failure: Option<OutputError> = None;
    let mut scratch = Vec::new();
    loop {
        let result = match next(blocks, &mut output, failure.is_some()) {
            Ok(Some(mut block)) => {
                let result = match &failure {
                    None => {
                        store(&mut output, &mut block, &mut scratch).and_then(|()| output.tick())
                    }
                    Some(_) => {
                        live.lose(block.packets);
                        Ok(())
                    }
                };
                block.bytes.clear();
                // The reader may be gone already.
                let _ = recycle.send(block.bytes);
                result
            }
            Ok(None) => break,
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            stop.tell();
            failure = Some(error);
        }
    }
    let secrets = if failure.is_none() { store_secrets(&mut output, &mut scratch) } else { Ok(()) };
    let finished = secrets.and_then(|()| output.finish());
    live.lose(output.lost());
    WrittenBlocks {
        files: output.paths().map(PathBuf::from).collect(),
        begun: output.files(),
        bytes: output.written(),
        failure: failure.or(finished.err()),
    }
}

/// The next block; none once the reader is gone. While nothing waits, what is in memory goes to the
/// disk, and a file whose time is over is completed.
fn next(
    blocks: &Receiver<RecordBlock>,
    output: &mut RecordingOutput<Packets>,
    failed: bool,
) -> Result<Option<RecordBlock>, OutputError> {
    match blocks.try_recv() {
        Ok(block) => return Ok(Some(block)),
        Err(TryRecvError::Disconnected) => return Ok(None),
        Err(TryRecvError::Empty) => {}
    }
    if failed {
        return Ok(blocks.recv().ok());
    }
    output.flush()?;
    let Some(due) = output.due() else { return Ok(blocks.recv().ok()) };
    match blocks.recv_timeout(due) {
        Ok(block) => Ok(Some(block)),
        Err(RecvTimeoutError::Disconnected) => Ok(None),
        Err(RecvTimeoutError::Timeout) => output.tick().map(|()| Some(RecordBlock::default())),
    }
}

fn store(
    output: &mut RecordingOutput<Packets>,
    block: &mut RecordBlock,
    scratch: &mut Vec<u8>,
) -> Result<(), OutputError> {
    if let Some(statistics) = block.statistics.take() {
        output.records_mut().statistics = statistics;
        scratch.clear();
        output.records().statistics(scratch);
        if !scratch.is_empty() {
            output.write(scratch, 0)?;
        }
    }
    store_secrets(output, scratch)?;
    if block.packets == 0 { Ok(()) } else { output.write(&block.bytes, block.packets) }
}

/// Writes the secrets that are new: before the packets that were read after them.
fn store_secrets(
    output: &mut RecordingOutput<Packets>,
    scratch: &mut Vec<u8>,
) -> Result<(), OutputError> {
    let records = output.records_mut();
    let known = records.look_for_secrets();
    scratch.clear();
    records.encoder.secrets(scratch, &records.secrets[known..]);
    if scratch.is_empty() { Ok(()) } else { output.write(scratch, 0) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What fills blocks of packets for `path`, and the thread that writes them once `ready`
    /// returns.
    fn recording(
        path: &Path,
        ready: impl FnOnce() + Send + 'static,
    ) -> (Filler, JoinHandle<WrittenBlocks>, Arc<LiveCounts>) {
        let encoder = PacketEncoder::new(FileFormat::Pcap, true);
        let interface = Interface {
            name: "lo".to_owned(),
            link_type: 1,
            snaplen: 65_535,
            filter: String::new(),
        };
        let records = Packets {
            encoder: encoder.clone(),
            interfaces: vec![interface],
            statistics: Vec::new(),
            keylogs: KeyLogs::default(),
            secrets: Vec::new(),
        };
        let output = RecordingOutput::open(FilePlan::file(path), records).unwrap();
        let live = Arc::new(LiveCounts::default());
        let (filler, blocks, recycle) = queue(encoder, 1000, &live);
        let writer = std::thread::spawn({
            let live = Arc::clone(&live);
            move || {
                ready();
                write(output, &blocks, &recycle, &live, &Stop::new().unwrap())
            }
        });
        (filler, writer, live)
    }

    #[test]
    fn packets_go_through_blocks_into_the_file_and_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v1.pcap");
        let (mut filler, writer, live) = recording(&path, || ());
        for n in 0..500u32 {
            filler.packet(0, Stamp { seconds: n, fraction: 0 }, 2000, &[n as u8; 99]);
        }
        filler.statistics(&[Statistics { dropped_by_kernel: 7, dropped_by_interface: 2, seen: 0 }]);
        filler.finish();
        let written = writer.join().unwrap();
        assert!(written.failure.is_none());
        assert_eq!(written.files, [path.as_path()]);
        assert_eq!(path.metadata().unwrap().len(), 24 + 500 * (16 + 99));
        let expected = Counts {
            seen: 507,
            kept: 500,
            dropped_by_kernel: 7,
            dropped_by_interface: 2,
            dropped_by_us: 0,
            waits: live.counts().waits,
            ..Counts::default()
        };
        assert_eq!(live.counts(), expected);
    }

    #[test]
    fn a_slow_disk_makes_the_reader_wait_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v1.pcap");
        let (go, wait) = channel();
        // The disk does nothing until the reader has filled all there is room for.
        let (mut filler, writer, live) = recording(&path, move || wait.recv().unwrap());
        let reader = std::thread::spawn(move || {
            for n in 0..5_000 {
                filler.packet(0, Stamp { seconds: n, fraction: 0 }, 99, &[7; 99]);
            }
            filler.finish();
        });
        while live.counts().waits == 0 {
            std::thread::yield_now();
        }
        go.send(()).unwrap();
        reader.join().unwrap();
        assert!(writer.join().unwrap().failure.is_none());
        let counts = live.counts();
        assert_eq!((counts.seen, counts.kept, counts.dropped_by_us), (5_000, 5_000, 0));
        assert_eq!(path.metadata().unwrap().len(), 24 + 5_000 * (16 + 99));
    }
}
