//! What comes out of a round: exchanges rendered where they were made, put in order once their
//! connections have ranks.

use std::ops::Range;

use crate::exchange::{Closed, Exchange, ExchangeId};
use crate::reassemble::Shed;
use crate::record::exchanges;

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
    pub(super) shards: Vec<Made<T>>,
    /// Shard and place in it, in the order of the output.
    pub(super) order: Vec<(u32, u32)>,
    /// The starts of lines, and where each ends.
    pub(super) names: Vec<u8>,
    pub(super) name_ends: Vec<usize>,
    /// Bytes of the input that were read, and how many there are where that is known.
    pub progress: (u64, Option<u64>),
    /// Packets that were read.
    pub packets: u64,
    /// What was let go of until now, of a live capture that cannot keep up.
    pub shed: Shed,
}

impl<T> RoundOutput<T> {
    pub(super) fn new(shards: usize) -> Self {
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

/// What a shard made in a round, in the order in which it was made.
#[derive(Debug)]
pub(super) struct Made<T> {
    pub(super) text: Vec<u8>,
    pub(super) entries: Vec<RenderedEntry<T>>,
    pub(super) ends: Vec<ConnectionEnded>,
    /// Connections with exchanges that were open when the capture ended.
    pub(super) open: u64,
}

/// A connection that closed, after exchanges that were given.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionEnded {
    /// The packet at which it was known.
    pub(super) packet: u64,
    /// As in [`RenderedEntry`].
    pub(super) unranked: Option<u64>,
    pub(super) closed: Closed,
}

/// An exchange that is complete, or as complete as it will be: rendered where its bytes are still
/// at hand, before its connection has a rank.
#[derive(Debug)]
pub(super) struct RenderedEntry<T> {
    /// The packet at which it was known.
    pub(super) packet: u64,
    /// The first packet of its connection, where the connection has no rank yet.
    pub(super) unranked: Option<u64>,
    pub(super) id: ExchangeId,
    /// Connections that had closed when it was known, and that no exchange before it names.
    pub(super) closed: Vec<Closed>,
    /// Until it is taken.
    pub(super) item: Option<T>,
    pub(super) text: Range<usize>,
}

impl<T> Default for Made<T> {
    fn default() -> Self {
        Self { text: Vec::new(), entries: Vec::new(), ends: Vec::new(), open: 0 }
    }
}

impl<T> Made<T> {
    /// Renders one exchange.
    pub(super) fn add<R: Render<Item = T>>(
        &mut self,
        render: &R,
        mut exchange: Exchange,
        packet: u64,
        unranked: Option<u64>,
    ) {
        let (id, closed, start) =
            (exchange.id, std::mem::take(&mut exchange.closed), self.text.len());
        let item = Some(render.render(exchange, &mut self.text));
        self.entries.push(RenderedEntry {
            packet,
            unranked,
            id,
            closed,
            item,
            text: start..self.text.len(),
        });
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.entries.clear();
        self.ends.clear();
        self.open = 0;
    }
}
