//! The parallel driver: packets in, exchanges out, in the order in which they were completed.
//!
//! A round is a batch of packets on its way: filled, decoded, then reassembled, paired and
//! rendered, given out. With several threads a round is filled and decoded while the one before it
//! is reassembled; the work is cut by packets (decoding) or by shard (everything with state). A
//! connection belongs to one of [`SHARDS`] shards, whatever the number of threads, so every
//! decision, also that of a limit, depends on the packets alone: the output is byte-equal for any
//! number of threads.

#[cfg(target_os = "linux")]
pub mod live;
mod round;
mod shard;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::capture::{CaptureError, PacketSource};
use crate::exchange::{Closed, Exchange, ExchangeId};
use crate::ledger::Ledger;
use crate::reassemble::Shed;
use crate::record::exchanges;

use round::RoundEngine;
use shard::Made;

/// Parts that the connections are divided into. More than any machine's threads that would pay, so
/// that they balance.
pub const SHARDS: usize = 32;

/// What to parse, and how.
#[derive(Clone, Debug)]
pub struct ParseOptions {
    /// Threads that work; one works in the caller's.
    pub threads: usize,
    /// Ports of servers; all where there is none.
    pub ports: Vec<u16>,
    /// Bytes that all connections together may hold.
    pub held_bytes: usize,
    /// Key logs with TLS secrets; read again while they grow.
    pub keylogs: Vec<std::path::PathBuf>,
    /// Bounds of the HTTP parser.
    pub http: crate::wire::h1::parser::ParserLimits,
}

impl Default for ParseOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            threads,
            ports: Vec::new(),
            held_bytes: crate::limits::ALL_HELD_BYTES,
            keylogs: Vec::new(),
            http: crate::wire::h1::parser::ParserLimits::default(),
        }
    }
}

/// Turns an exchange into what the caller wants of it, in the shard's thread: a value, and text
/// appended to a buffer. This happens before its connection has a rank, so `exchange.id` means
/// nothing yet: [`RoundOutput`] tells it.
pub trait Render: Send + Sync + 'static {
    /// The value.
    type Item: Send;

    /// Renders one exchange.
    fn render(&self, exchange: Exchange, text: &mut Vec<u8>) -> Self::Item;
}

impl<T: Send, F: Fn(Exchange, &mut Vec<u8>) -> T + Send + Sync + 'static> Render for F {
    type Item = T;

    fn render(&self, exchange: Exchange, text: &mut Vec<u8>) -> T {
        self(exchange, text)
    }
}

/// What is known of an exchange only when all before it are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateName {
    /// Its name.
    pub id: ExchangeId,
    /// As in [`Exchange::closed`].
    pub closed: Vec<Closed>,
}

impl LateName {
    /// Gives `exchange` its name.
    pub fn give(self, exchange: Exchange) -> Exchange {
        Exchange { id: self.id, closed: self.closed, ..exchange }
    }
}

/// What came out of one round, in order.
#[derive(Debug)]
pub struct RoundOutput<T> {
    /// By shard: what was rendered.
    shards: Vec<Made<T>>,
    /// Shard and place in it, in the order of the output.
    order: Vec<(u32, u32)>,
    /// The starts of lines, and where each ends.
    names: Vec<u8>,
    name_ends: Vec<usize>,
    /// Bytes of the input that were read, and how many there are where that is known.
    pub progress: (u64, Option<u64>),
    /// Packets that were read.
    pub packets: u64,
    /// What was let go of until now, of a live capture that cannot keep up.
    pub shed: Shed,
}

impl<T> RoundOutput<T> {
    fn new(shards: usize) -> Self {
        let shards = std::iter::repeat_with(Made::default).take(shards).collect();
        Self {
            shards,
            order: Vec::new(),
            names: Vec::new(),
            name_ends: Vec::new(),
            progress: (0, None),
            packets: 0,
            shed: Shed::default(),
        }
    }

    /// To be filled with exchanges that come from elsewhere.
    pub fn empty() -> Self {
        Self::new(1)
    }

    /// Takes these exchanges, in their order, in place of all that it held; its buffers are used
    /// again.
    pub fn refill<R: Render<Item = T>, E>(
        &mut self,
        exchanges: impl Iterator<Item = Result<Exchange, E>>,
        render: &R,
    ) -> Result<(), E> {
        let made = &mut self.shards[0];
        made.clear();
        self.order.clear();
        for (place, exchange) in exchanges.enumerate() {
            made.add(render, exchange?, 0, None);
            self.order.push((0, place as u32));
        }
        Ok(())
    }

    /// How many exchanges.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The exchanges in order: names, values, taken out, and their text.
    pub fn drain(&mut self) -> impl Iterator<Item = (LateName, T, &[u8])> {
        let mut shards: Vec<_> =
            self.shards.iter_mut().map(|made| (&made.text, &mut made.entries)).collect();
        self.order.drain(..).filter_map(move |(shard, place)| {
            let (text, entries) = &mut shards[shard as usize];
            let entry = &mut entries[place as usize];
            let name = LateName { id: entry.id, closed: std::mem::take(&mut entry.closed) };
            Some((name, entry.item.take()?, &text[entry.text.clone()]))
        })
    }

    /// Pieces of lines for `exchanges.jsonl`, in order, where [`exchanges::write_rest`] wrote the
    /// text: what is put together gives the lines. For writing many at once.
    pub fn lines(&mut self) -> impl Iterator<Item = &[u8]> {
        self.names.clear();
        self.name_ends.clear();
        for &(shard, place) in &self.order {
            let entry = &self.shards[shard as usize].entries[place as usize];
            exchanges::write_name(&mut self.names, entry.id, &entry.closed);
            self.name_ends.push(self.names.len());
        }
        let starts = std::iter::once(&0).chain(&self.name_ends);
        let names = starts.zip(&self.name_ends).map(|(&start, &end)| &self.names[start..end]);
        names.zip(&self.order).flat_map(|(name, &(shard, place))| {
            let made = &self.shards[shard as usize];
            [name, &made.text[made.entries[place as usize].text.clone()]]
        })
    }
}

/// What is known when the input is used up.
#[derive(Clone, Debug, Default)]
pub struct ParseSummary {
    /// The account of packets, and what was noted beside it.
    pub ledger: Ledger,
    /// Lines for people about damaged inputs.
    pub warnings: Vec<String>,
    /// Connections that closed behind the last exchange.
    pub rest: exchanges::Rest,
}

/// A capture that is being parsed.
pub struct Parse<R: Render> {
    driver: Driver<R>,
    current: Option<RoundOutput<R::Item>>,
    summary: Option<ParseSummary>,
}

enum Driver<R: Render> {
    Here(Box<RoundEngine<R>>),
    There {
        outputs: Receiver<DriverWord<R::Item>>,
        back: SyncSender<RoundOutput<R::Item>>,
        thread: Option<JoinHandle<()>>,
    },
    Ended,
}

enum DriverWord<T> {
    Output(RoundOutput<T>),
    Failed(CaptureError),
    Ended(Box<ParseSummary>),
}

/// Runs the engine to its end, or until nobody listens any more.
fn drive<R: Render>(
    mut engine: RoundEngine<R>,
    tell: &SyncSender<DriverWord<R::Item>>,
    used: &Receiver<RoundOutput<R::Item>>,
) {
    loop {
        let (told, more) = match engine.step(used) {
            Ok(Some(output)) => (DriverWord::Output(output), true),
            Ok(None) if engine.is_ended() => (DriverWord::Ended(Box::new(engine.summary())), false),
            Ok(None) => continue,
            Err(error) => (DriverWord::Failed(error), false),
        };
        if tell.send(told).is_err() || !more {
            return;
        }
    }
}

/// Rounds that may be finished before the caller takes them.
const AHEAD: usize = 2;

impl<R: Render> Parse<R> {
    /// Starts to parse `source`.
    pub fn start(source: Box<dyn PacketSource>, options: &ParseOptions, render: R) -> Self {
        let engine = RoundEngine::new(source, options, render);
        let threads = options.threads.max(1);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|n| format!("parse-{n}"));
        let driver = match (threads, pool.build()) {
            (2.., Ok(pool)) => {
                let (tell, outputs) = sync_channel(AHEAD);
                let (back, used) = sync_channel(2 * AHEAD);
                let drive = move || pool.install(move || drive(engine, &tell, &used));
                let thread = std::thread::Builder::new().name("parse".to_owned()).spawn(drive);
                match thread {
                    Ok(thread) => Driver::There { outputs, back, thread: Some(thread) },
                    Err(_) => Driver::Ended,
                }
            }
            _ => Driver::Here(Box::new(engine)),
        };
        Self { driver, current: None, summary: None }
    }

    /// The exchanges that were completed next; none once the input is used up, and
    /// [`Self::summary`] is there.
    pub fn next_output(&mut self) -> Result<Option<&mut RoundOutput<R::Item>>, CaptureError> {
        let used = self.current.take();
        match &mut self.driver {
            Driver::Ended => return Ok(None),
            Driver::Here(engine) => {
                if let Some(used) = used {
                    engine.recycle(used);
                }
                self.current = engine.step_alone()?;
                if self.current.is_none() {
                    self.summary = Some(engine.summary());
                    self.driver = Driver::Ended;
                }
            }
            Driver::There { outputs, back, thread } => {
                if let Some(used) = used {
                    // Where there is no room it is not needed.
                    let _ = back.try_send(used);
                }
                match outputs.recv() {
                    Ok(DriverWord::Output(output)) => self.current = Some(output),
                    Ok(DriverWord::Failed(error)) => return Err(error),
                    Ok(DriverWord::Ended(summary)) => self.summary = Some(*summary),
                    Err(_) => {
                        // The thread ended without a word: it panicked, and so do we.
                        if let Some(Err(panic)) = thread.take().map(JoinHandle::join) {
                            std::panic::resume_unwind(panic);
                        }
                    }
                }
                if self.current.is_none() {
                    self.driver = Driver::Ended;
                }
            }
        }
        Ok(self.current.as_mut())
    }

    /// The account, once all exchanges were taken.
    pub fn summary(&mut self) -> Option<ParseSummary> {
        self.summary.take()
    }
}

#[cfg(test)]
mod tests;
