//! Finds the values that v1's answers issued and later requests used.
//!
//! Every exchange is looked at once, by itself and on any core ([`look`]): what its answer shows,
//! what its request says. Both are spooled ([`sights`]); what may flow at all ([`sieve`]) is sorted
//! by value ([`event`]), so that memory stays flat in the recording, and joined value by value
//! ([`join`]). What flows is counted and classed ([`flows`]), and each exchange gets its part
//! ([`parts`]): which values its answer issues, which ones its request uses, and which answers it
//! must wait for ([`order`]).

mod assemble;
mod client;
mod event;
mod flows;
mod join;
mod kept;
mod look;
mod memo;
mod order;
mod parts;
mod rules;
mod saved;
mod sieve;
mod sights;
pub(crate) mod strength;
mod templates;
pub(crate) mod things;
mod totals;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

pub use join::Order;
pub use parts::{PartFile, PartsReader};
pub use saved::{FoundIn, SavedError, load, save};
pub use totals::{FlowTotals, Producer};

use self::assemble::Assembly;
use self::client::Clients;
use self::event::ValueEvent;
use self::look::SeenExchange;
use self::memo::PlaceMemo;
use self::order::OrderLine;
use self::rules::FlowRules;
use self::sights::Sights;
use self::templates::Templates;
use crate::bind::config::{Bind, FlowSection};
use crate::exchange::Exchange;
use crate::message::protobuf::Schema;
use crate::record::exchanges::END_FORMAT;
use crate::record::flows::{Flow, FlowFigures};
use crate::store::SpoolFile;

/// Exchanges that are looked at together, on all cores.
const TOGETHER: usize = 512;
/// How many of them one looks at.
const AT_ONCE: usize = 16;
/// Bytes of messages at which fewer are.
const TOGETHER_BYTES: usize = 16 << 20;

/// How flows are found.
#[derive(Clone, Debug)]
pub struct FindConfig {
    /// `[flow]`.
    pub rules: FlowSection,
    /// What names the fields of Protocol Buffers.
    pub schema: Schema,
    /// How sure a flow must be to be part of [`FoundFlows::parts`].
    pub bind: Bind,
    /// What [`Part::after`](crate::bind::Part::after) holds.
    pub order: Order,
    /// Where temporary files are kept.
    pub folder: PathBuf,
}

/// What was found.
#[derive(Debug)]
pub struct FoundFlows {
    /// The flows, the most used first.
    pub flows: Vec<Flow>,
    /// The parts of the recording's exchanges.
    pub parts: PartFile,
    /// What it all comes to.
    pub totals: FlowTotals,
    /// Rules of `[flow]` that matched nothing.
    pub unmatched: Vec<String>,
}

impl FoundFlows {
    /// What the last line of `flows.jsonl` says.
    pub fn figures(&self) -> FlowFigures {
        let FlowTotals { sessions, uses, values, using, requests, older, .. } = self.totals;
        FlowFigures {
            format: END_FORMAT.to_owned(),
            flows: self.flows.len() as u64,
            sessions,
            uses,
            values,
            using,
            requests,
            older,
            older_by_route: self.totals.older_by_route.iter().cloned().collect(),
            unmatched_rules: self.unmatched.clone(),
        }
    }
}

/// Finds the flows of a recording.
///
/// # Errors
///
/// A temporary file cannot be written or read, or `recording` gives an error.
pub fn find<E: From<io::Error>>(
    recording: impl Iterator<Item = Result<Exchange, E>>,
    config: &FindConfig,
) -> Result<FoundFlows, E> {
    let mut finder = Finder::new(config)?;
    for exchange in recording {
        finder.add(exchange?)?;
    }
    Ok(finder.finish()?)
}

/// Takes the exchanges of a recording, in its order.
pub struct Finder<'c> {
    config: &'c FindConfig,
    rules: FlowRules<'c>,
    waiting: Vec<(Exchange, bool)>,
    waiting_bytes: usize,
    /// What was seen of the exchanges before them, not gathered yet.
    seen: Vec<Vec<(SeenExchange, bool)>>,
    /// One for each that looks.
    memos: Mutex<Vec<PlaceMemo>>,
    gathered: GatheredExchanges,
}

/// What is known of the exchanges so far.
struct GatheredExchanges {
    sights: Sights,
    lines: SpoolFile,
    templates: Templates,
    clients: Clients,
    totals: FlowTotals,
}

impl<'c> Finder<'c> {
    /// None yet.
    ///
    /// # Errors
    ///
    /// A temporary file cannot be made.
    pub fn new(config: &'c FindConfig) -> io::Result<Self> {
        let folder = &config.folder;
        Ok(Self {
            config,
            rules: FlowRules::new(&config.rules, &config.schema),
            waiting: Vec::new(),
            waiting_bytes: 0,
            seen: Vec::new(),
            memos: Mutex::default(),
            gathered: GatheredExchanges {
                sights: Sights::new(folder, config.order != Order::Connection)?,
                lines: SpoolFile::new(folder)?,
                templates: Templates::default(),
                clients: Clients::default(),
                totals: FlowTotals::default(),
            },
        })
    }

    /// Takes an exchange.
    ///
    /// # Errors
    ///
    /// A temporary file cannot be written.
    pub fn add(&mut self, exchange: Exchange) -> io::Result<()> {
        self.add_one(exchange, false)
    }

    /// Takes an exchange that is not replayed, such as a call that v1 made itself: its values flow,
    /// and its request counts in no figure.
    ///
    /// # Errors
    ///
    /// A temporary file cannot be written.
    pub fn add_beside(&mut self, exchange: Exchange) -> io::Result<()> {
        self.add_one(exchange, true)
    }

    fn add_one(&mut self, exchange: Exchange, is_beside: bool) -> io::Result<()> {
        self.waiting_bytes += weight(&exchange);
        self.waiting.push((exchange, is_beside));
        if self.waiting.len() >= TOGETHER || self.waiting_bytes >= TOGETHER_BYTES {
            self.look()?;
        }
        Ok(())
    }

    /// Looks at the exchanges that wait, while what was seen of those before is gathered.
    fn look(&mut self) -> io::Result<()> {
        let Self { rules, waiting, gathered, .. } = self;
        let memos = &self.memos;
        let look = |exchanges: Vec<(Exchange, bool)>| {
            let lock = || memos.lock().unwrap_or_else(PoisonError::into_inner);
            let mut memo = lock().pop().unwrap_or_default();
            let look = |(exchange, is_beside): &(Exchange, bool)| {
                look::look(exchange, rules, &mut memo).map(|seen| (seen, *is_beside))
            };
            let seen: Vec<(SeenExchange, bool)> = exchanges.iter().filter_map(look).collect();
            lock().push(memo);
            seen
        };
        let before = std::mem::take(&mut self.seen);
        let (seen, added) = rayon::join(
            || waiting.par_drain(..).chunks(AT_ONCE).map(look).collect(),
            || gathered.add_all(before),
        );
        self.seen = seen;
        self.waiting_bytes = 0;
        added
    }

    /// Joins what was seen.
    ///
    /// # Errors
    ///
    /// A temporary file cannot be written or read.
    pub fn finish(mut self) -> io::Result<FoundFlows> {
        self.look()?;
        self.gathered.add_all(self.seen)?;
        let folder: &Path = &self.config.folder;
        let GatheredExchanges { sights, lines, mut templates, mut clients, totals } = self.gathered;
        let lines = lines.finish()?;
        let (events, kept) = sights.sift(order::lines(&lines), &templates, folder)?;
        templates.settle();
        clients.join_pairs();
        order::find_crowds(&lines, &mut clients, folder)?;
        let unpacked = || {
            let read = |record: io::Result<_>| record.map(|record| ValueEvent::unpack(&record));
            io::Result::Ok(events.iter()?.map(read))
        };
        join::credentials(unpacked()?, &mut clients)?;
        clients.join_connections();
        let sessions = order::sessions(&lines, &mut clients, folder)?;
        let mut assembly = Assembly::new(folder, templates);
        join::values(unpacked()?, &mut clients, self.config.order, &mut assembly)?;
        drop(events);
        let follows = self.config.order == Order::Session;
        let count = sessions
            .tell(follows, |number, session, after| assembly.session(number, session, after))?;
        match self.config.order {
            Order::Connection | Order::Data => {}
            Order::Session => order::everybody(&lines, &mut clients, folder)?
                .tell_just_before(|number, others| assembly.beside(number, others))?,
            Order::All => order::everybody(&lines, &mut clients, folder)?
                .tell(true, |number, _, after| assembly.follows(number, after))
                .map(drop)?,
        }
        let (flows, parts, totals) =
            assembly.finish(self.config.bind, &lines, &kept, folder, totals)?;
        let totals = FlowTotals { sessions: count, ..totals };
        Ok(FoundFlows { flows, parts, totals, unmatched: self.rules.unmatched() })
    }
}

/// Bytes of messages that an exchange holds.
fn weight(exchange: &Exchange) -> usize {
    let request = exchange.request.as_ref().map_or(0, |r| r.message.body.bytes.len());
    let response = exchange.response.as_ref().map_or(0, |r| r.message.body.bytes.len());
    let messages = exchange.carriage.iter().flat_map(|carriage| &carriage.messages);
    request + response + messages.map(|message| message.data.bytes.len()).sum::<usize>()
}

impl GatheredExchanges {
    fn add_all(&mut self, seen: Vec<Vec<(SeenExchange, bool)>>) -> io::Result<()> {
        seen.into_iter().flatten().try_for_each(|(seen, is_beside)| self.add(&seen, is_beside))
    }

    fn add(&mut self, seen: &SeenExchange, is_beside: bool) -> io::Result<()> {
        self.totals.requests += u64::from(!is_beside);
        self.totals.signed += u64::from(seen.is_signed);
        self.totals.opaque += u64::from(seen.is_opaque);
        self.totals.unnamed += u64::from(seen.is_unnamed);
        self.totals.cut += u64::from(seen.was_cut);
        let route = self.templates.route(seen);
        let identity = self.clients.add(&seen.client, seen.id.connection);
        let SeenExchange { id, at, answered, may_change, opens, .. } = *seen;
        let line = OrderLine { id, identity, route, at, answered, is_beside, may_change, opens };
        self.lines.write(&line.pack())?;
        let templates = &mut self.templates;
        self.sights.add(seen, |number| templates.template(route, &seen.atoms[number], seen))
    }
}

#[cfg(test)]
mod tests;
