//! Exchanges from live devices: one thread reads packets into batches, another parses them and
//! writes exchanges as they complete, a bounded queue between them.
//!
//! Where the parser cannot keep up, the bounded queue is the backpressure: the reader waits, and
//! the kernel's ring takes up what comes. Before that is full, load is shed
//! ([`overload`](crate::capture::overload)): a share of the connections is let go of and counted,
//! and the others stay whole. What the ring has no room for all the same the kernel counts, and
//! every exchange that misses a byte of it is marked as damaged.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel,
};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Parse, ParseOptions};
use crate::capture::counts::LiveCounts;
use crate::capture::live::{LiveError, PacketSink, Tap};
use crate::capture::overload::{Controller, LoadSeen, OverloadBounds, Share};
use crate::capture::record::{RecordError, RecordedPackets};
use crate::capture::rotate::{FilePlan, OutputError, RecordCuts, RecordingOutput};
use crate::capture::writer::{Stamp, Statistics};
use crate::capture::{Batch, CaptureError, LinkType, PacketSource};
use crate::exchange::Exchange;
use crate::exchange::Redacted;
use crate::ledger::Ledger;
use crate::limits;
use crate::record::exchanges;
use crate::record::exchanges::{End, Header, Rest};
use crate::redact::Redactor;
use crate::stop::Stop;
use crate::time::{Monotonic, Timestamp};

/// Batches that may wait for the parser, of [`limits::BLOCK_BYTES`] each.
const BATCHES: usize = 32;
/// How long the parser waits for packets before it looks after the file.
const QUIET: Duration = Duration::from_millis(100);

/// The reader's side: gathers packets into batches.
struct Gatherer {
    batch: Batch,
    links: Vec<LinkType>,
    nanos: bool,
    bytes: usize,
    made: usize,
    /// Batches that wait for the parser.
    waiting: Arc<AtomicUsize>,
    full: SyncSender<Batch>,
    empty: Receiver<Batch>,
    live: Arc<LiveCounts>,
}

impl Gatherer {
    fn hand_over(&mut self) {
        let packets = self.batch.frames.len() as u64;
        self.live.read(packets, std::mem::take(&mut self.bytes) as u64);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if self.full.send(std::mem::take(&mut self.batch)).is_err() {
            self.live.lose(packets);
        }
        self.batch = match self.empty.try_recv() {
            Ok(batch) => batch,
            Err(TryRecvError::Empty) if self.made < BATCHES => {
                self.made += 1;
                Batch::default()
            }
            Err(TryRecvError::Empty) => {
                self.live.wait();
                self.empty.recv().unwrap_or_default()
            }
            Err(TryRecvError::Disconnected) => Batch::default(),
        };
    }
}

impl PacketSink for Gatherer {
    fn packet(&mut self, interface: u32, stamp: Stamp, length: u32, data: &[u8]) {
        if self.bytes + data.len() > limits::BLOCK_BYTES && !self.batch.frames.is_empty() {
            self.hand_over();
        }
        let nanos = if self.nanos { stamp.fraction } else { stamp.fraction.saturating_mul(1000) };
        let at = Timestamp::from_parts(i64::from(stamp.seconds), i64::from(nanos));
        self.batch.push(at, self.links[interface as usize], length, data);
        self.bytes += data.len();
    }

    fn pause(&mut self) -> Option<Duration> {
        if !self.batch.frames.is_empty() {
            self.hand_over();
        }
        None
    }

    fn statistics(&mut self, statistics: &[Statistics]) {
        self.live.dropped(statistics);
    }
}

/// The parser's side: packets as a source.
struct GatheredPackets {
    batches: Receiver<Batch>,
    recycle: Sender<Batch>,
    packets: u64,
    waiting: Arc<AtomicUsize>,
    controller: Controller,
    share: Share,
    began: Monotonic,
    live: Arc<LiveCounts>,
}

/// The two sides, with the queue between them.
fn queue(
    links: Vec<LinkType>,
    nanos: bool,
    bounds: OverloadBounds,
    live: &Arc<LiveCounts>,
) -> (Gatherer, GatheredPackets) {
    let (full, batches) = sync_channel(BATCHES);
    let (recycle, empty) = channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let gatherer = Gatherer {
        batch: Batch::default(),
        links,
        nanos,
        bytes: 0,
        made: 1,
        waiting: Arc::clone(&waiting),
        full,
        empty,
        live: Arc::clone(live),
    };
    let gathered = GatheredPackets {
        batches,
        recycle,
        packets: 0,
        waiting,
        controller: Controller::new(bounds),
        share: Share::NONE,
        began: Monotonic::now(),
        live: Arc::clone(live),
    };
    (gatherer, gathered)
}

impl GatheredPackets {
    /// Looks at the backlog: how long ago the packets of `batch` were captured, and what waits
    /// behind them.
    fn look(&mut self, batch: &Batch) {
        let lag_ns = batch.frames.first().map_or(0, |frame| Timestamp::now().since(frame.at));
        let crowded = self.waiting.load(Ordering::Relaxed) >= BATCHES / 2;
        let load = LoadSeen { lag_ns, crowded, dropped: self.live.counts().dropped_by_kernel };
        let share = self.controller.look(self.began.elapsed(), load);
        if share > self.share {
            tell(self.share, share);
        }
        self.share = share;
    }
}

/// Says that connections are let go of, once in a row of such times as a warning.
fn tell(before: Share, share: Share) {
    let percent = share.percent();
    if before == Share::NONE {
        tracing::warn!(
            "exchanges cannot be made as fast as packets come: {percent:.0} % of the connections \
             are let go of"
        );
    } else {
        tracing::info!("{percent:.0} % of the connections are let go of");
    }
}

impl PacketSource for GatheredPackets {
    fn fill(&mut self, batch: &mut Batch) -> Result<bool, CaptureError> {
        match self.batches.recv_timeout(QUIET) {
            Ok(next) => {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                let mut used = std::mem::replace(batch, next);
                used.clear();
                // The reader may be gone already.
                let _ = self.recycle.send(used);
                batch.first = self.packets + 1;
                self.packets += batch.frames.len() as u64;
                // Devices are read by turns, and the kernel's queues are nearly in order.
                if !batch.frames.is_sorted_by_key(|frame| frame.at) {
                    batch.frames.sort_by_key(|frame| frame.at);
                }
                self.look(batch);
                Ok(true)
            }
            Err(RecvTimeoutError::Timeout) => {
                batch.clear();
                batch.first = self.packets + 1;
                self.look(batch);
                Ok(true)
            }
            Err(RecvTimeoutError::Disconnected) => {
                batch.clear();
                Ok(false)
            }
        }
    }

    fn progress(&self) -> (u64, Option<u64>) {
        (self.live.bytes(), None)
    }

    fn ledger(&self) -> Ledger {
        let counts = self.live.counts();
        let mut ledger = Ledger::default();
        ledger.note("dropped-by-kernel", counts.dropped_by_kernel);
        ledger.note("dropped-by-interface", counts.dropped_by_interface);
        ledger
    }

    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    fn share_to_shed(&self) -> Share {
        self.share
    }
}

/// Exchanges in files: each file has its first and last line.
struct ExchangeLines {
    inputs: Vec<String>,
    /// As in [`Header::capture`].
    capture: String,
    redacted: Option<Redacted>,
    /// Exchanges of the current file.
    exchanges: u64,
    ledger: Ledger,
    /// Known when the last file ends: what the exchanges of the others do not tell stands in files
    /// behind them.
    rest: Rest,
}

impl RecordCuts for ExchangeLines {
    fn start(&self, out: &mut Vec<u8>) {
        let header = Header {
            capture: Some(self.capture.clone()),
            ..Header::new(Timestamp::now(), self.inputs.clone())
        };
        exchanges::write_line(out, &header.redacted(self.redacted.clone()));
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let (ledger, rest) = (std::mem::take(&mut self.ledger), std::mem::take(&mut self.rest));
        exchanges::write_line(out, &End::new(std::mem::take(&mut self.exchanges), ledger, rest));
    }

    fn whole(&self, bytes: &[u8], length: usize) -> (usize, u64) {
        let whole = memchr::memrchr(b'\n', &bytes[..length]).map_or(0, |at| at + 1);
        (whole, memchr::memchr_iter(b'\n', &bytes[..whole]).count() as u64)
    }
}

/// A recording of exchanges that runs in threads of its own.
pub struct ExchangeRecording {
    stop: Arc<Stop>,
    live: Arc<LiveCounts>,
    reader: JoinHandle<Result<(), LiveError>>,
    parser: JoinHandle<ParsedRound>,
}

#[derive(Default)]
struct ParsedRound {
    files: Vec<PathBuf>,
    begun: u64,
    bytes: u64,
    exchanges: u64,
    lost: u64,
    ledger: Ledger,
    failure: Option<RecordError>,
}

/// What became of a recording of exchanges.
#[derive(Debug)]
pub struct RecordedExchanges {
    /// Packets and files.
    pub recorded: RecordedPackets,
    /// Exchanges on disk.
    pub exchanges: u64,
    /// Exchanges that could not be written.
    pub lost: u64,
    /// The account of packets.
    pub ledger: Ledger,
}

impl ExchangeRecording {
    /// Parses what `tap` gives and writes the exchanges by `plan`, redacted where there is a
    /// redactor, until `stop` is told or [`Self::stop`] is called.
    pub fn begin(
        tap: Tap,
        options: &ParseOptions,
        redactor: Option<Redactor>,
        plan: FilePlan,
        stop: Arc<Stop>,
    ) -> Result<Self, RecordError> {
        let inputs = tap.interfaces().iter().map(|interface| interface.name.clone()).collect();
        let output = RecordingOutput::open(
            plan,
            ExchangeLines {
                inputs,
                capture: format!("{:x}-{:x}", Timestamp::now().nanos(), std::process::id()),
                redacted: redactor.as_ref().map(Redactor::mark),
                exchanges: 0,
                ledger: Ledger::default(),
                rest: Rest::default(),
            },
        )?;
        let live = Arc::new(LiveCounts::default());
        let links =
            tap.interfaces().iter().map(|interface| LinkType(interface.link_type)).collect();
        let (mut gatherer, source) = queue(links, tap.nanos(), OverloadBounds::default(), &live);
        let parse = Parse::start(
            Box::new(source),
            options,
            move |mut exchange: Exchange, text: &mut Vec<u8>| {
                if let Some(redactor) = &redactor {
                    redactor.apply(&mut exchange);
                }
                exchanges::write_rest(text, &exchange);
            },
        );
        let parser = spawn("capture-parse", {
            let (live, stop) = (Arc::clone(&live), Arc::clone(&stop));
            move || write(parse, output, &live, &stop)
        })?;
        let reader = spawn("capture-read", {
            let stop = Arc::clone(&stop);
            move || {
                let result = tap.run(&stop, &mut gatherer);
                drop(gatherer);
                stop.tell();
                result
            }
        })?;
        Ok(Self { stop, live, reader, parser })
    }

    /// The counters, while it runs.
    pub fn live(&self) -> &Arc<LiveCounts> {
        &self.live
    }

    /// Ends it: takes what the kernel still holds, writes what is not complete as what it is,
    /// completes the file.
    pub fn stop(self) -> RecordedExchanges {
        self.stop.tell();
        let read = self.reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let parsed = self.parser.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let recorded = RecordedPackets {
            counts: self.live.counts(),
            files: parsed.files,
            begun: parsed.begun,
            written: parsed.bytes,
            failure: parsed.failure.or_else(|| read.err().map(RecordError::from)),
        };
        RecordedExchanges {
            recorded,
            exchanges: parsed.exchanges,
            lost: parsed.lost,
            ledger: parsed.ledger,
        }
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, RecordError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(RecordError::Thread)
}

/// Writes exchanges until the reader is gone. After a failure it goes on parsing, so that the
/// reader never waits for ever.
fn write<R: super::Render<Item = ()>>(
    mut parse: Parse<R>,
    mut output: RecordingOutput<ExchangeLines>,
    live: &LiveCounts,
    stop: &Stop,
) -> ParsedRound {
    let mut parsed = ParsedRound::default();
    let mut text = Vec::new();
    loop {
        match parse.next_output() {
            Ok(Some(rendered)) => {
                live.shed(rendered.shed.connections, rendered.shed.packets);
                text.clear();
                rendered.lines().for_each(|line| text.extend_from_slice(line));
                let count = rendered.len() as u64;
                let result = match &parsed.failure {
                    Some(_) => {
                        parsed.lost += count;
                        Ok(())
                    }
                    None => append(&mut output, &text, count),
                };
                if let Err(error) = result {
                    stop.tell();
                    parsed.failure = Some(error.into());
                } else if parsed.failure.is_none() {
                    parsed.exchanges += count;
                }
            }
            Ok(None) => break,
            Err(error) => {
                parsed.failure.get_or_insert(RecordError::Source(error));
                break;
            }
        }
    }
    let summary = parse.summary().unwrap_or_default();
    summary.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let of = |counts: &std::collections::BTreeMap<String, u64>, name: &str| {
        counts.get(name).copied().unwrap_or_default()
    };
    live.shed(of(&summary.ledger.noted, "shed-connections"), of(&summary.ledger.rejected, "shed"));
    parsed.ledger = summary.ledger;
    output.records_mut().ledger.clone_from(&parsed.ledger);
    output.records_mut().rest = summary.rest;
    if let Err(error) = output.finish() {
        parsed.failure.get_or_insert(error.into());
    }
    parsed.lost += output.lost();
    parsed.exchanges = parsed.exchanges.saturating_sub(output.lost());
    parsed.files = output.paths().map(PathBuf::from).collect();
    (parsed.begun, parsed.bytes) = (output.files(), output.written());
    parsed
}

fn append(
    output: &mut RecordingOutput<ExchangeLines>,
    text: &[u8],
    count: u64,
) -> Result<(), OutputError> {
    if count > 0 {
        output.write(text, count)?;
        output.records_mut().exchanges += count;
    }
    output.tick()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch of one packet that was captured when this machine was made.
    fn hand_over(gatherer: &mut Gatherer) {
        gatherer.packet(0, Stamp { seconds: 1, fraction: 0 }, 40, &[0; 40]);
        gatherer.pause();
    }

    /// Which connections are let go of, and that the others stay whole, is shown with the parser's
    /// own tests, which have no clock.
    #[test]
    fn a_growing_queue_asks_to_let_go_of_more_and_a_short_one_does_not() {
        let live = Arc::new(LiveCounts::default());
        let bounds =
            OverloadBounds { late_ns: 0, calm_ns: i64::MAX, look_ns: 0, ease_ns: i64::MAX };
        let (mut gatherer, mut source) = queue(vec![LinkType::RAW], true, bounds, &live);
        let crowded = 5;
        let handed = BATCHES / 2 + crowded;
        (0..handed).for_each(|_| hand_over(&mut gatherer));
        assert_eq!(live.counts().kept, handed as u64);

        let mut batch = Batch::default();
        let mut shares = Vec::new();
        for _ in 0..handed {
            assert!(source.fill(&mut batch).unwrap());
            assert_eq!(batch.frames.len(), 1);
            shares.push(source.share_to_shed());
        }
        // The first look has nothing to compare with; the last ones leave less than half a queue
        // behind.
        assert_eq!(shares[0], Share::NONE);
        assert!(shares[..crowded].is_sorted_by(|before, after| before < after), "{shares:?}");
        assert!(shares[crowded..].iter().all(|share| *share == shares[crowded - 1]), "{shares:?}");

        drop(gatherer);
        assert!(!source.fill(&mut batch).unwrap());
    }
}
