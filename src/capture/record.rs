//! A recording: one thread reads packets into blocks, another writes the blocks to disk, a bounded queue between them.
//!
//! The reader never touches the disk. Where the queue is full it waits, since the kernel's ring then takes up what comes, and
//! what the ring has no room for the kernel counts; dropping here would lose the same packets earlier.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::CaptureError;
use super::live::{LiveError, Options, Sink, Tap};
use super::rotate::{Output, OutputError, Plan, Records};
use super::writer::{Encoder, Format, Interface, Stamp, Statistics};
use crate::time::{NANOS_PER_SEC, Timestamp};

/// Bytes of a block that goes to the writer, and how many there are at most: with the kernel's ring, what a slow disk may lag.
const BLOCK_BYTES: usize = 1 << 20;
const BLOCKS: usize = 32;
/// How often the writer looks after what waits.
const TICK: Duration = Duration::from_millis(200);

/// What a recording saw and lost, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that passed the filter: kept, or dropped by the kernel or by us.
    pub seen: u64,
    /// Packets on disk.
    pub kept: u64,
    /// Packets that the kernel's ring had no room for.
    pub dropped_by_kernel: u64,
    /// Packets that the device lost before the kernel saw them; not among the seen ones.
    pub dropped_by_interface: u64,
    /// Packets that were read and could not be written.
    pub dropped_by_us: u64,
    /// How often the reader had to wait for the writer.
    pub waits: u64,
    /// Connections that were let go of since exchanges could not be made of them fast enough.
    pub shed_connections: u64,
    /// Their packets; they are among the kept ones, as these were all looked at.
    pub shed_packets: u64,
}

/// Counters that are looked at while it runs.
#[derive(Debug, Default)]
pub struct Live {
    read: AtomicU64,
    bytes: AtomicU64,
    dropped_by_kernel: AtomicU64,
    dropped_by_interface: AtomicU64,
    waits: AtomicU64,
    shed_connections: AtomicU64,
    shed_packets: AtomicU64,
    lost: AtomicU64,
}

impl Live {
    /// The counts until now.
    pub fn counts(&self) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (read, lost, dropped_by_kernel) = (get(&self.read), get(&self.lost), get(&self.dropped_by_kernel));
        Counts {
            seen: read + dropped_by_kernel,
            kept: read.saturating_sub(lost),
            dropped_by_kernel,
            dropped_by_interface: get(&self.dropped_by_interface),
            dropped_by_us: lost,
            waits: get(&self.waits),
            shed_connections: get(&self.shed_connections),
            shed_packets: get(&self.shed_packets),
        }
    }

    /// Counts packets that were read.
    pub(crate) fn read(&self, packets: u64, bytes: u64) {
        self.read.fetch_add(packets, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts packets that were read and are lost.
    pub(crate) fn lose(&self, packets: u64) {
        self.lost.fetch_add(packets, Ordering::Relaxed);
    }

    /// Counts that the reader had to wait.
    pub(crate) fn wait(&self) {
        self.waits.fetch_add(1, Ordering::Relaxed);
    }

    /// Connections that were let go of until now, and their packets.
    pub(crate) fn shed(&self, connections: u64, packets: u64) {
        self.shed_connections.store(connections, Ordering::Relaxed);
        self.shed_packets.store(packets, Ordering::Relaxed);
    }

    /// What the kernel and the devices dropped until now.
    pub(crate) fn dropped(&self, statistics: &[Statistics]) {
        let sum = |of: fn(&Statistics) -> u64| statistics.iter().map(of).sum::<u64>();
        self.dropped_by_kernel.store(sum(|one| one.dropped_by_kernel), Ordering::Relaxed);
        self.dropped_by_interface.store(sum(|one| one.dropped_by_interface), Ordering::Relaxed);
    }

    /// Bytes of packets that were read.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

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
    #[error("the interfaces have different link types, which a .pcap file cannot hold: write a .pcapng file")]
    LinkTypes,
    /// What was read makes no sense.
    #[error(transparent)]
    Source(CaptureError),
    /// The system refused a thread.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

/// What a recording came to.
#[derive(Debug)]
pub struct Recorded {
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
pub struct Recording {
    stop: Arc<AtomicBool>,
    live: Arc<Live>,
    reader: JoinHandle<Result<(), LiveError>>,
    writer: JoinHandle<Written>,
}

struct Written {
    files: Vec<PathBuf>,
    begun: u64,
    bytes: u64,
    failure: Option<OutputError>,
}

impl Recording {
    /// Opens the devices of `options` and records them to a plain file, for callers that need no more than that.
    pub fn start(options: &Options, path: impl Into<PathBuf>) -> Result<Self, RecordError> {
        let tap = Tap::open(options)?;
        Self::begin(tap, Format::Pcap, Plan { force: true, ..Plan::file(path) }, Arc::new(AtomicBool::new(false)))
    }

    /// Records what `tap` gives, until `stop` is set or [`Self::stop`] is called.
    pub fn begin(tap: Tap, format: Format, plan: Plan, stop: Arc<AtomicBool>) -> Result<Self, RecordError> {
        let link_types = || tap.interfaces().windows(2).all(|pair| pair[0].link_type == pair[1].link_type);
        if format == Format::Pcap && !link_types() {
            return Err(RecordError::LinkTypes);
        }
        let encoder = Encoder::new(format, tap.nanos());
        let records = Packets { encoder: encoder.clone(), interfaces: tap.interfaces().to_vec(), statistics: Vec::new() };
        let block_bytes =
            plan.rotate_size.map_or(BLOCK_BYTES, |size| BLOCK_BYTES.min(usize::try_from(size / 4).unwrap_or(BLOCK_BYTES)));
        let output = Output::open(plan, records)?;
        let live = Arc::new(Live::default());
        let (full, blocks) = sync_channel(BLOCKS);
        let (recycle, empty) = channel();
        let writer = spawn("capture-write", {
            let (live, stop) = (Arc::clone(&live), Arc::clone(&stop));
            move || write(output, &blocks, &recycle, &live, &stop)
        })?;
        let reader = spawn("capture-read", {
            let (live, stop) = (Arc::clone(&live), Arc::clone(&stop));
            move || {
                let mut filler = Filler {
                    encoder,
                    block: Block::default(),
                    block_bytes,
                    made: 1,
                    full,
                    empty,
                    live,
                    bytes: 0,
                    statistics: Vec::new(),
                };
                tap.run(&stop, &mut filler)
            }
        })?;
        Ok(Self { stop, live, reader, writer })
    }

    /// The counters, while it runs.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Whether it has ended by itself, since it cannot go on.
    pub fn has_ended(&self) -> bool {
        self.reader.is_finished() || self.writer.is_finished()
    }

    /// Ends it: takes what the kernel still holds, completes the file.
    pub fn stop(self) -> Recorded {
        self.stop.store(true, Ordering::Relaxed);
        let read = self.reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let written = self.writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let failure = written.failure.map(RecordError::from).or_else(|| read.err().map(RecordError::from));
        Recorded { counts: self.live.counts(), files: written.files, begun: written.begun, written: written.bytes, failure }
    }
}

fn spawn<T: Send + 'static>(name: &str, run: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>, RecordError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(RecordError::Thread)
}

/// Whole records, on their way to the writer.
#[derive(Debug, Default)]
struct Block {
    bytes: Vec<u8>,
    packets: u64,
    /// New statistics, where there are any.
    statistics: Option<Vec<Statistics>>,
}

/// The reader's side: encodes packets into blocks.
struct Filler {
    encoder: Encoder,
    block: Block,
    block_bytes: usize,
    made: usize,
    full: SyncSender<Block>,
    empty: Receiver<Vec<u8>>,
    live: Arc<Live>,
    bytes: u64,
    statistics: Vec<Statistics>,
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
    }
}

impl Sink for Filler {
    fn packet(&mut self, interface: u32, stamp: Stamp, length: u32, data: &[u8]) {
        // 64 bytes are more than any record's head and padding.
        if self.block.bytes.len() + data.len() + 64 > self.block_bytes && self.block.packets > 0 {
            self.hand_over();
        }
        self.encoder.packet(&mut self.block.bytes, interface, stamp, length, data);
        self.block.packets += 1;
        self.bytes += data.len() as u64;
    }

    fn pause(&mut self) {
        if self.block.packets > 0 {
            self.hand_over();
        }
    }

    fn statistics(&mut self, statistics: &[Statistics]) {
        self.live.dropped(statistics);
        if self.statistics != statistics {
            self.statistics = statistics.to_vec();
            self.block.statistics = Some(statistics.to_vec());
            self.hand_over();
        }
    }
}

/// How packets are kept whole in a file.
struct Packets {
    encoder: Encoder,
    interfaces: Vec<Interface>,
    statistics: Vec<Statistics>,
}

impl Packets {
    fn statistics(&self, out: &mut Vec<u8>) {
        let now = Timestamp::now().nanos();
        let (seconds, nanos) = (now.div_euclid(NANOS_PER_SEC) as u32, now.rem_euclid(NANOS_PER_SEC) as u32);
        let stamp = Stamp { seconds, fraction: if self.encoder.nanos() { nanos } else { nanos / 1000 } };
        for (index, statistics) in self.statistics.iter().enumerate() {
            self.encoder.statistics(out, index as u32, stamp, *statistics);
        }
    }
}

impl Records for Packets {
    fn start(&self, out: &mut Vec<u8>) {
        self.encoder.start(out, &self.interfaces);
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
    mut output: Output<Packets>,
    blocks: &Receiver<Block>,
    recycle: &Sender<Vec<u8>>,
    live: &Live,
    stop: &AtomicBool,
) -> Written {
    let mut failure: Option<OutputError> = None;
    let mut scratch = Vec::new();
    loop {
        let result = match blocks.recv_timeout(TICK) {
            Ok(mut block) => {
                let result = match &failure {
                    None => store(&mut output, &mut block, &mut scratch),
                    Some(_) => {
                        live.lose(block.packets);
                        Ok(())
                    }
                };
                block.bytes.clear();
                // The reader may be gone already.
                let _ = recycle.send(block.bytes);
                result.and_then(|()| if failure.is_none() { output.tick() } else { Ok(()) })
            }
            Err(RecvTimeoutError::Timeout) if failure.is_none() => output.tick(),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if let Err(error) = result {
            stop.store(true, Ordering::Relaxed);
            failure = Some(error);
        }
    }
    let finished = output.finish();
    live.lose(output.lost());
    Written {
        files: output.paths().map(PathBuf::from).collect(),
        begun: output.files(),
        bytes: output.written(),
        failure: failure.or(finished.err()),
    }
}

fn store(output: &mut Output<Packets>, block: &mut Block, scratch: &mut Vec<u8>) -> Result<(), OutputError> {
    if let Some(statistics) = block.statistics.take() {
        output.records_mut().statistics = statistics;
        scratch.clear();
        output.records().statistics(scratch);
        if !scratch.is_empty() {
            output.write(scratch, 0)?;
        }
    }
    if block.packets == 0 { Ok(()) } else { output.write(&block.bytes, block.packets) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What fills blocks of packets for `path`, and the thread that writes them once `ready` returns.
    fn recording(path: &Path, ready: impl FnOnce() + Send + 'static) -> (Filler, JoinHandle<Written>, Arc<Live>) {
        let encoder = Encoder::new(Format::Pcap, true);
        let interface = Interface { name: "lo".to_owned(), link_type: 1, snaplen: 65_535, filter: String::new() };
        let records = Packets { encoder: encoder.clone(), interfaces: vec![interface], statistics: Vec::new() };
        let output = Output::open(Plan::file(path), records).unwrap();
        let live = Arc::new(Live::default());
        let (full, blocks) = sync_channel(BLOCKS);
        let (recycle, empty) = channel();
        let writer = std::thread::spawn({
            let live = Arc::clone(&live);
            move || {
                ready();
                write(output, &blocks, &recycle, &live, &AtomicBool::new(false))
            }
        });
        let filler = Filler {
            encoder,
            block: Block::default(),
            block_bytes: 1000,
            made: 1,
            full,
            empty,
            live: Arc::clone(&live),
            bytes: 0,
            statistics: Vec::new(),
        };
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
        filler.pause();
        filler.statistics(&[Statistics { dropped_by_kernel: 7, dropped_by_interface: 2, seen: 0 }]);
        drop(filler);
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
            filler.pause();
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
