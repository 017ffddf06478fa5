//! A round on its way through the steps, and the engine that moves rounds on: all steps of one
//! round after each other (one thread), or one round read and decoded while the one before it is
//! reassembled.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use rustc_hash::FxHashMap;

use super::output::{Made, Render, RoundOutput};
use super::shard::{Pairings, Ranks};
use super::{ParseOptions, ParseSummary, SHARDS};
use crate::capture::keylog::KeyLogs;
use crate::capture::overload::Share;
use crate::capture::{Batch, CaptureError, Frame, PacketSource};
use crate::decode::fragment::Joined;
use crate::decode::{Datagram, Decoded, Fragment, Fragments, HashKey, Reject, Segment, decode};
use crate::exchange::Closed;
use crate::limits;
use crate::reassemble::{ConnectionTable, Sightings, TableLimits};
use crate::record::exchanges::Rest;
use crate::wire::Setup;
use crate::wire::quic::Quic;
use crate::wire::tls::{self, KeyRing};

/// A batch of packets and what became of it so far. Kept and used again.
struct Round<T> {
    batch: Batch,
    chunks: Vec<Chunk>,
    /// IP packets that were joined from fragments; their blocks are counted behind the batch's.
    joined: Vec<Vec<u8>>,
    /// What came out of it.
    output: RoundOutput<T>,
    /// Keys of the output: packet, connection, ordinal, shard, place.
    keys: Vec<(u64, u64, u32, u32, u32)>,
    progress: (u64, Option<u64>),
    /// TLS secrets that were read with it, as lines of key logs.
    secrets: Vec<u8>,
    /// Connections to let go of.
    share: Share,
    /// The last round: it has no packets, and ends all connections.
    last: bool,
}

/// What one task decoded: consecutive packets.
struct Chunk {
    segments: Vec<Vec<Segment>>,
    fragments: Vec<Fragment>,
    datagrams: Vec<Datagram>,
    /// Segments that may tell of other addresses of their connections.
    sightings: Vec<Segment>,
    rejects: FxHashMap<Reject, u64>,
}

impl Default for Chunk {
    fn default() -> Self {
        let segments = std::iter::repeat_with(Vec::new).take(SHARDS).collect();
        Self {
            segments,
            fragments: Vec::new(),
            datagrams: Vec::new(),
            sightings: Vec::new(),
            rejects: FxHashMap::default(),
        }
    }
}

impl Chunk {
    fn decode(
        &mut self,
        batch: &Batch,
        from: usize,
        frames: &[Frame],
        (key, sightings): (HashKey, &Sightings),
    ) {
        self.segments.iter_mut().for_each(Vec::clear);
        self.fragments.clear();
        self.datagrams.clear();
        self.sightings.clear();
        for (number, frame) in (batch.first + from as u64..).zip(frames) {
            match decode(frame, batch.bytes(frame), number, key) {
                Ok(Decoded::Segment(segment)) => {
                    if sightings.wants(&segment) {
                        self.sightings.push(segment);
                    }
                    self.segments[segment.pair.shard(SHARDS)].push(segment)
                }
                Ok(Decoded::Fragment(fragment)) => self.fragments.push(fragment),
                Ok(Decoded::Datagram(datagram)) => self.datagrams.push(datagram),
                Err(reject) => *self.rejects.entry(reject).or_default() += 1,
            }
        }
    }
}

impl Chunk {
    /// Moves the segments of connections that stand for others to those.
    fn rewrite(&mut self, sightings: &mut Sightings) {
        let mut moved = Vec::new();
        for segments in &mut self.segments {
            segments.retain(|segment| {
                let rewritten = sightings.rewritten(segment);
                moved.extend(rewritten);
                rewritten.is_none()
            });
        }
        for segment in moved {
            self.segments[segment.pair.shard(SHARDS)].push(segment);
        }
        for segments in &mut self.segments {
            if !segments.is_sorted_by_key(|segment| segment.number) {
                segments.sort_by_key(|segment| segment.number);
            }
        }
    }
}

/// Puts a segment where its number says.
fn insert(segments: &mut Vec<Segment>, segment: Segment) {
    let at = segments.partition_point(|other| other.number < segment.number);
    segments.insert(at, segment);
}

/// The captured payload of a segment.
fn payload<'a>(segment: &Segment, batch: &'a Batch, joined: &'a [Vec<u8>]) -> &'a [u8] {
    let block = segment.block as usize;
    let block = batch
        .blocks
        .get(block)
        .map_or_else(|| &joined[block - batch.blocks.len()], |block| &**block);
    let start = segment.start as usize;
    &block[start..start + segment.captured as usize]
}

const RANKED: &str = "a connection gets its rank in the round that starts it";

/// Packets below which cutting a batch costs more than it gives.
const SMALLEST_CHUNK: usize = 256;

type ShardTable<R> = ConnectionTable<Pairings<R>>;

/// Moves rounds on.
pub(super) struct RoundEngine<R: Render> {
    source: Box<dyn PacketSource>,
    keylogs: KeyLogs,
    ring: Arc<KeyRing>,
    /// By shard.
    tls: Vec<tls::TlsShared>,
    key: HashKey,
    threads: usize,
    held_bytes: usize,
    shards: Vec<ShardTable<R>>,
    fragments: Fragments,
    quic: Quic,
    sightings: Sightings,
    joined_fragments: u64,
    rejects: BTreeMap<Reject, u64>,
    packets: u64,
    connections: u64,
    /// Connections that have closed, with the packets at which that was known, in order; for the
    /// next exchange to name.
    closed: VecDeque<(u64, Closed)>,
    /// Connections that were open when the capture ended.
    open: u64,
    /// Ranks of the round that was reassembled last.
    ranks: Ranks,
    /// The round that is to be reassembled.
    decoded: Option<Round<R::Item>>,
    spare: Vec<Round<R::Item>>,
    used: Vec<RoundOutput<R::Item>>,
    exhausted: bool,
    ended: bool,
}

impl<R: Render> RoundEngine<R> {
    pub(super) fn new(source: Box<dyn PacketSource>, options: &ParseOptions, render: R) -> Self {
        let (render, ring) = (Arc::new(render), Arc::<KeyRing>::default());
        let key = HashKey::default();
        let tls: Vec<_> = (0..SHARDS).map(|_| tls::TlsShared::new(Arc::clone(&ring))).collect();
        let table = |tls: &tls::TlsShared| {
            let setup = Setup { limits: options.http, tls: tls.clone(), in_records: false };
            let pairings = Pairings::new(Arc::clone(&render), setup);
            ConnectionTable::new(pairings, TableLimits::share(SHARDS), options.ports.clone())
        };
        let shards = tls.iter().map(table).collect();
        Self {
            source,
            keylogs: KeyLogs::new(&options.keylogs),
            ring,
            tls,
            key,
            threads: options.threads.max(1),
            held_bytes: options.held_bytes,
            shards,
            fragments: Fragments::default(),
            quic: Quic::new(options.ports.clone()),
            sightings: Sightings::new(options.ports.clone(), key),
            joined_fragments: 0,
            rejects: BTreeMap::new(),
            packets: 0,
            connections: 0,
            closed: VecDeque::new(),
            open: 0,
            ranks: Ranks::default(),
            decoded: None,
            spare: Vec::new(),
            used: Vec::new(),
            exhausted: false,
            ended: false,
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Takes back an output to use its buffers again.
    pub(super) fn recycle(&mut self, output: RoundOutput<R::Item>) {
        if self.used.len() < 4 {
            self.used.push(output);
        }
    }

    /// All steps of the next round; none once there is no more.
    pub(super) fn step_alone(&mut self) -> Result<Option<RoundOutput<R::Item>>, CaptureError> {
        let Some(mut round) = self.fresh() else { return Ok(None) };
        fill(&mut self.source, &mut self.keylogs, &mut round)?;
        self.learn(&round);
        self.exhausted = round.last;
        round.decode_alone((self.key, &self.sightings));
        self.join_fragments(&mut round);
        self.rewrite_addresses(&mut round);
        for (index, (shard, made)) in
            self.shards.iter_mut().zip(&mut round.output.shards).enumerate()
        {
            reassemble(
                shard,
                index,
                &round.chunks,
                &round.batch,
                &round.joined,
                round.share,
                &self.ranks,
                made,
            );
        }
        self.settle(&mut round);
        Ok(self.finish_round(round))
    }

    /// Reads and decodes a round while the one before it is reassembled. None where no round came
    /// to its end.
    pub(super) fn step(
        &mut self,
        used: &Receiver<RoundOutput<R::Item>>,
    ) -> Result<Option<RoundOutput<R::Item>>, CaptureError> {
        while let Ok(output) = used.try_recv() {
            self.recycle(output);
        }
        let mut fresh = self.fresh();
        let mut failure = None;
        if let Some(round) = &self.decoded {
            self.learn(round);
        }
        let Self { keylogs, source, shards, key, sightings, threads, ranks, decoded, .. } = self;
        let (key, threads, ranks) = ((*key, &*sightings), *threads, &*ranks);
        rayon::scope(|scope| {
            if let Some(round) = &mut fresh {
                let failure = &mut failure;
                // The thread that read a block begins to decode it, as it has it in its cache; idle
                // ones help.
                scope.spawn(move |scope| match fill(source, keylogs, round) {
                    Ok(()) => {
                        let Round { batch, chunks, .. } = round;
                        let batch = &*batch;
                        let size = batch.frames.len().div_ceil(2 * threads).max(SMALLEST_CHUNK);
                        let needed = batch.frames.len().div_ceil(size);
                        chunks.resize_with(needed.max(chunks.len()), Chunk::default);
                        let (chunks, unneeded) = chunks.split_at_mut(needed);
                        for (n, (chunk, frames)) in
                            chunks.iter_mut().zip(batch.frames.chunks(size)).enumerate()
                        {
                            scope.spawn(move |_| chunk.decode(batch, n * size, frames, key));
                        }
                        for chunk in unneeded {
                            chunk.decode(batch, 0, &[], key);
                        }
                    }
                    Err(error) => *failure = Some(error),
                });
            }
            if let Some(Round { batch, chunks, joined, output, share, .. }) = decoded {
                let (batch, chunks, joined, share) = (&*batch, &*chunks, &*joined, *share);
                for (index, (shard, made)) in shards.iter_mut().zip(&mut output.shards).enumerate()
                {
                    scope.spawn(move |_| {
                        reassemble(shard, index, chunks, batch, joined, share, ranks, made)
                    });
                }
            }
        });
        if let Some(error) = failure {
            return Err(error);
        }
        let mut done = self.decoded.take();
        if let Some(round) = &mut done {
            self.settle(round);
        }
        if let Some(mut round) = fresh {
            self.exhausted = round.last;
            self.join_fragments(&mut round);
            self.rewrite_addresses(&mut round);
            self.decoded = Some(round);
        }
        Ok(done.and_then(|round| self.finish_round(round)))
    }

    /// Takes in the secrets that were read with a round, before it: between two rounds, so that
    /// who finds a key does not depend on the number of threads.
    fn learn(&self, round: &Round<R::Item>) {
        if !round.secrets.is_empty() {
            self.ring.add(&round.secrets);
        }
    }

    /// Tells connections that wait for a key what others learned in the round, in the order of
    /// their first packets: who resumes a session may be resumed itself. Then ends what is over.
    fn settle(&mut self, round: &mut Round<R::Item>) {
        self.swap_made(round);
        if self.ring.settle() {
            let of_shard = |(shard, table): (usize, &ShardTable<R>)| {
                table.waiting().map(move |(first, slot)| (first, slot, shard)).collect::<Vec<_>>()
            };
            let mut waiting: Vec<_> = self.shards.iter().enumerate().flat_map(of_shard).collect();
            waiting.sort_unstable();
            for (_, slot, shard) in waiting {
                self.shards[shard].retry(slot);
                self.ring.settle();
            }
        }
        self.shards.iter_mut().for_each(ConnectionTable::end_round);
        if round.last {
            let shards = &mut self.shards;
            if self.threads == 1 {
                shards.iter_mut().for_each(ConnectionTable::finish);
            } else {
                rayon::scope(|scope| {
                    shards.iter_mut().for_each(|shard| scope.spawn(|_| shard.finish()));
                });
            }
        }
        self.swap_made(round);
    }

    /// Lends what the round has made to the shards, to be added to; or takes it back.
    fn swap_made(&mut self, round: &mut Round<R::Item>) {
        for (shard, made) in self.shards.iter_mut().zip(&mut round.output.shards) {
            std::mem::swap(&mut shard.streams().made, made);
        }
    }

    /// A round to be filled; none behind the last one, which ends all connections.
    fn fresh(&mut self) -> Option<Round<R::Item>> {
        if self.exhausted {
            return None;
        }
        let mut round = self.spare.pop().unwrap_or_default();
        round.output = self.used.pop().unwrap_or_else(|| RoundOutput::new(SHARDS));
        Some(round)
    }

    /// Fragments belong to no shard before they are joined, so this is done for all in order.
    fn join_fragments(&mut self, round: &mut Round<R::Item>) {
        self.packets += round.batch.frames.len() as u64;
        let Round { batch, chunks, joined, .. } = round;
        joined.clear();
        for chunk in chunks {
            for (reject, packets) in chunk.rejects.drain() {
                *self.rejects.entry(reject).or_default() += packets;
            }
            for datagram in &chunk.datagrams {
                let start = datagram.start as usize;
                let captured = &batch.blocks[datagram.block as usize][start..];
                let is_quic = self.quic.take(datagram, &captured[..datagram.captured as usize]);
                let reject = if is_quic { Reject::Quic } else { datagram.reject() };
                *self.rejects.entry(reject).or_default() += 1;
            }
            for fragment in std::mem::take(&mut chunk.fragments) {
                let (start, block) =
                    (fragment.start as usize, &batch.blocks[fragment.block as usize]);
                let bytes = &block[start..start + fragment.length as usize];
                let place = (batch.blocks.len() + joined.len()) as u32;
                let Joined::Whole(decoded, bytes, others) =
                    self.fragments.add(&fragment, bytes, place, self.key)
                else {
                    continue;
                };
                match decoded {
                    Ok(Decoded::Segment(segment)) => {
                        self.joined_fragments += others;
                        joined.push(bytes);
                        let segments = &mut chunk.segments[segment.pair.shard(SHARDS)];
                        insert(segments, segment);
                        insert(&mut chunk.sightings, segment);
                    }
                    // No handshake of QUIC comes in fragments (RFC 9000 §14).
                    Ok(Decoded::Datagram(datagram)) => {
                        *self.rejects.entry(datagram.reject()).or_default() += others + 1
                    }
                    // Fragments of a tunnelled fragment: rare enough to be named and left.
                    Ok(Decoded::Fragment(_)) => {
                        *self.rejects.entry(Reject::NestedFragment).or_default() += others + 1
                    }
                    Err(reject) => *self.rejects.entry(reject).or_default() += others + 1,
                }
            }
        }
        if round.last {
            self.fragments.finish();
        }
    }

    /// Gives the segments of a connection that was seen under several addresses to one of them.
    /// Between decoding and reassembly, as both belong to other shards.
    fn rewrite_addresses(&mut self, round: &mut Round<R::Item>) {
        let Round { batch, chunks, joined, .. } = round;
        for chunk in chunks {
            for segment in &chunk.sightings {
                self.sightings.look(segment, payload(segment, batch, joined));
            }
            if self.sightings.has_aliases() {
                chunk.rewrite(&mut self.sightings);
            }
        }
        self.sightings.end_round();
    }

    /// Lets go of what the connections that hold most hold, where all together hold too much.
    /// Between two rounds, so that who must let go does not depend on the number of threads.
    fn bound_memory(&mut self, round: &mut Round<R::Item>) {
        let mut held: usize = self.shards.iter().map(ConnectionTable::held).sum();
        if held <= self.held_bytes {
            return;
        }
        let of_shard = |(shard, table): (usize, &ShardTable<R>)| {
            table.holders().map(move |holder| (holder, shard)).collect::<Vec<_>>()
        };
        let mut holders: Vec<_> = self.shards.iter().enumerate().flat_map(of_shard).collect();
        holders.sort_unstable_by_key(|&((bytes, first_packet, _), _)| {
            (std::cmp::Reverse(bytes), first_packet)
        });
        self.swap_made(round);
        for (end, least) in [(false, limits::SHED_BYTES), (true, 0)] {
            for &((_, _, slot), shard) in holders.iter().filter(|((bytes, ..), _)| *bytes > least) {
                if held <= self.held_bytes / 4 * 3 {
                    break;
                }
                held = held.saturating_sub(self.shards[shard].shed(slot, end));
            }
        }
        self.swap_made(round);
    }

    /// Names the connections that the round started by the order of their first packets.
    fn give_ranks(&mut self) {
        let mut first_packets: Vec<u64> =
            self.shards.iter().flat_map(ConnectionTable::started).collect();
        first_packets.sort_unstable();
        let base = self.connections;
        self.connections += first_packets.len() as u64;
        self.ranks = Ranks { base, first_packets };
    }

    /// Names what came out and puts it in order.
    fn finish_round(&mut self, mut round: Round<R::Item>) -> Option<RoundOutput<R::Item>> {
        self.give_ranks();
        self.bound_memory(&mut round);
        self.ended |= round.last;
        let Round { output, keys, progress, last, .. } = &mut round;
        keys.clear();
        for (shard, made) in output.shards.iter_mut().enumerate() {
            for (place, entry) in made.entries.iter_mut().enumerate() {
                if let Some(first) = entry.unranked {
                    entry.id.connection = self.ranks.of(first).expect(RANKED);
                }
                keys.push((
                    entry.packet,
                    entry.id.connection,
                    entry.id.ordinal,
                    shard as u32,
                    place as u32,
                ));
            }
        }
        keys.sort_unstable();
        output.order.clear();
        output.order.extend(keys.iter().map(|&(.., shard, place)| (shard, place)));
        let known = self.closed.len();
        self.open += output.shards.iter().map(|made| made.open).sum::<u64>();
        for end in output.shards.iter().flat_map(|made| &made.ends) {
            let Closed(rank, at) = end.closed;
            let rank = end.unranked.map_or(rank, |first| self.ranks.of(first).expect(RANKED));
            self.closed.push_back((end.packet, Closed(rank, at)));
        }
        self.closed.make_contiguous()[known..].sort_unstable();
        for &(packet, .., shard, place) in keys.iter() {
            let named = self.closed.iter().take_while(|(known, _)| *known <= packet).count();
            let closed = self.closed.drain(..named).map(|(_, closed)| closed);
            output.shards[shard as usize].entries[place as usize].closed.extend(closed);
        }
        output.progress = *progress;
        output.packets = self.packets;
        output.shed = self.shards.iter().map(ConnectionTable::shed_so_far).sum();
        if *last && output.order.is_empty() {
            return None;
        }
        let output = std::mem::replace(&mut round.output, RoundOutput::new(0));
        self.spare.push(round);
        Some(output)
    }

    /// The account of all packets, once the engine has ended.
    pub(super) fn summary(&self) -> ParseSummary {
        let mut ledger = self.source.ledger();
        for shard in &self.shards {
            ledger.merge(&shard.ledger());
        }
        for (reject, &packets) in &self.rejects {
            ledger.reject(&reject.to_string(), packets);
        }
        ledger.take(self.joined_fragments);
        ledger.reject("fragment-of-an-incomplete-packet", self.fragments.given_up);
        ledger.note("overlapping-fragments", self.fragments.overlapping);
        ledger.note("connections-seen-again-under-other-addresses", self.sightings.seen_again());
        ledger.note("connections-joined-from-halves", self.sightings.joined());
        ledger.also_at.clone_from(self.sightings.servers());
        ledger.note("connections", self.connections);
        ledger.note("packets-unaccounted", self.packets.abs_diff(ledger.input));
        let mut account = tls::TlsAccount::default();
        self.tls.iter().for_each(|shared| account.merge(&shared.account()));
        account.write(&mut ledger);
        self.quic.write(&mut ledger);
        let closed = self.closed.iter().map(|(_, closed)| *closed).collect();
        let mut warnings = self.source.warnings();
        warnings.extend(account.advice());
        warnings.extend(self.quic.advice());
        ParseSummary { ledger, warnings, rest: Rest { closed, open: Some(self.open) } }
    }
}

impl<T> Default for Round<T> {
    fn default() -> Self {
        Self {
            batch: Batch::default(),
            chunks: Vec::new(),
            joined: Vec::new(),
            output: RoundOutput::new(0),
            keys: Vec::new(),
            progress: (0, None),
            secrets: Vec::new(),
            share: Share::NONE,
            last: false,
        }
    }
}

impl<T> Round<T> {
    fn decode_alone(&mut self, key: (HashKey, &Sightings)) {
        self.chunks.resize_with(1, Chunk::default);
        self.chunks[0].decode(&self.batch, 0, &self.batch.frames, key);
    }
}

fn fill<T>(
    source: &mut Box<dyn PacketSource>,
    keylogs: &mut KeyLogs,
    round: &mut Round<T>,
) -> Result<(), CaptureError> {
    round.last = !source.fill(&mut round.batch)?;
    // Behind the packets, so that who logs a secret before using it is known in time.
    round.secrets.clear();
    source.take_secrets(&mut round.secrets);
    keylogs.read(&mut round.secrets);
    round.progress = source.progress();
    round.share = source.share_to_shed();
    Ok(())
}

#[expect(
    clippy::too_many_arguments,
    reason = "the parts of a round, borrowed apart from each other"
)]
fn reassemble<R: Render>(
    shard: &mut ShardTable<R>,
    index: usize,
    chunks: &[Chunk],
    batch: &Batch,
    joined: &[Vec<u8>],
    share: Share,
    ranks: &Ranks,
    made: &mut Made<R::Item>,
) {
    made.clear();
    std::mem::swap(&mut shard.streams().made, made);
    shard.shed_share(share);
    shard.rank_started(|first_packet| ranks.of(first_packet));
    for segment in chunks.iter().flat_map(|chunk| &chunk.segments[index]) {
        shard.segment(segment, payload(segment, batch, joined));
    }
    std::mem::swap(&mut shard.streams().made, made);
}
