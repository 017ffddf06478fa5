//! One direction of a connection: where it starts, what was handed on, what is held until the bytes
//! before it come, and what the peer acknowledged. Offsets count from the first byte behind the
//! SYN, or from where the capture joined.

use std::collections::BTreeMap;

use super::Mark;
use super::sequence::offset;

/// Bytes that cannot be handed on yet.
pub(super) struct HeldBytes {
    pub(super) bytes: Box<[u8]>,
    /// Bytes behind them that the packet had and the capture has not.
    pub(super) cut: u32,
    /// Offset in the other direction up to which their sender had received.
    pub(super) ack: Option<i64>,
    pub(super) mark: Mark,
}

/// What an entry of the held map costs beside its bytes.
const HELD_OVERHEAD: usize = 96;

#[derive(Default)]
pub(super) struct StreamSide {
    /// Sequence number of offset 0.
    base: u32,
    /// Whether `base` is known.
    pub(super) known: bool,
    /// Whether it is known from a SYN or its answer.
    pub(super) firm: bool,
    /// Whether a packet of this direction was seen.
    pub(super) seen: bool,
    /// Offset of the next byte to hand on.
    pub(super) next: i64,
    /// Offset of the first byte that was handed on; meaningful once `started`.
    pub(super) origin: i64,
    pub(super) started: bool,
    /// Highest offset that the peer acknowledged.
    pub(super) acked: i64,
    /// Offset of the FIN and the packet that had it.
    pub(super) fin: Option<(i64, Mark)>,
    /// Whether the close was told.
    pub(super) closed: bool,
    /// By offset; entries do not overlap.
    pub(super) held: BTreeMap<i64, HeldBytes>,
    /// What the held bytes cost.
    pub(super) held_bytes: usize,
    /// Fingerprints of the last packets.
    recent: [u32; 4],
    turn: u8,
    /// Other numbers that offset 0 may have: the answers to a SYN need not agree.
    rivals: Vec<u32>,
}

/// Most rivals of a side; a handshake is answered a few times, seldom otherwise each time.
const RIVALS: usize = 8;

impl StreamSide {
    /// Offset of a sequence number.
    pub(super) fn offset(&self, seq: u32) -> i64 {
        offset(seq, self.base, self.next)
    }

    /// Says which sequence number offset 0 has.
    pub(super) fn start_at(&mut self, seq: u32, firm: bool) {
        *self = Self {
            base: seq,
            known: true,
            firm,
            seen: self.seen,
            recent: self.recent,
            turn: self.turn,
            rivals: std::mem::take(&mut self.rivals),
            ..Self::default()
        };
    }

    /// As [`Self::start_at`], by a SYN; the number that another SYN gave before may still prove to
    /// be the right one.
    pub(super) fn start_again_at(&mut self, seq: u32) {
        if self.firm && self.rivals.len() < RIVALS {
            self.rivals.push(self.base);
        }
        self.start_at(seq, true);
    }

    /// `number` was acknowledged by the peer, or is one of this side's own: of the numbers that
    /// offset 0 may have, the nearest before it is the right one. Settled once bytes were handed
    /// on, or the end was told.
    pub(super) fn settle(&mut self, number: u32) {
        if self.rivals.is_empty() || self.started || self.closed {
            return;
        }
        let all = self.rivals.iter().chain([&self.base]).copied();
        let Some(nearest) = all.min_by_key(|&base| number.wrapping_sub(base)) else { return };
        if nearest == self.base {
            return;
        }
        self.rivals.retain(|&base| base != nearest);
        self.rivals.push(self.base);
        let moved = i64::from(self.base.wrapping_sub(nearest) as i32);
        self.base = nearest;
        (self.next, self.acked) = (0, 0);
        let held = std::mem::take(&mut self.held).into_iter();
        self.held = held.map(|(at, held)| (at + moved, held)).collect();
        self.fin = self.fin.map(|(at, mark)| (at + moved, mark));
    }

    /// Where nothing was handed on yet and the start was a guess, an earlier byte moves it.
    pub(super) fn start_earlier(&mut self, offset: i64) {
        if !self.started && !self.firm && offset < self.next && self.next - offset < 1 << 20 {
            self.next = offset;
        }
    }

    /// Whether a packet with this fingerprint was among the last ones; remembers it.
    pub(super) fn is_repeated(&mut self, fingerprint: u32) -> bool {
        if self.recent.contains(&fingerprint) {
            return true;
        }
        self.recent[usize::from(self.turn & 3)] = fingerprint;
        self.turn = self.turn.wrapping_add(1);
        false
    }

    /// Whether a packet with this fingerprint was among the last ones.
    pub(super) fn has_seen(&self, fingerprint: u32) -> bool {
        self.recent.contains(&fingerprint)
    }

    /// Holds what is not there yet of `bytes`, which start at `from` and are followed by `cut`
    /// missing ones. Answers how many bytes were there already, and how many of those were
    /// different.
    pub(super) fn hold(
        &mut self,
        from: i64,
        bytes: &[u8],
        cut: u32,
        ack: Option<i64>,
        mark: Mark,
    ) -> (u64, u64) {
        let end = from + bytes.len() as i64;
        let (mut at, mut repeated, mut differing) = (from.max(self.next), 0, 0);
        repeated += (at - from).max(0) as u64;
        while at < end {
            // The entry that covers `at`, else the next one behind it.
            let covering = self
                .held
                .range(..=at)
                .next_back()
                .filter(|(start, held)| *start + held.bytes.len() as i64 > at);
            if let Some((&start, held)) = covering {
                let covered = (start + held.bytes.len() as i64).min(end);
                let theirs = &bytes[(at - from) as usize..(covered - from) as usize];
                let ours = &held.bytes[(at - start) as usize..(covered - start) as usize];
                repeated += theirs.len() as u64;
                differing += theirs.iter().zip(ours).filter(|(a, b)| a != b).count() as u64;
                at = covered;
                continue;
            }
            let until = self.held.range(at + 1..).next().map_or(end, |(&start, _)| start.min(end));
            let piece: Box<[u8]> = bytes[(at - from) as usize..(until - from) as usize].into();
            self.held_bytes += piece.len() + HELD_OVERHEAD;
            let cut = if until == end { cut } else { 0 };
            self.held.insert(at, HeldBytes { bytes: piece, cut, ack, mark });
            at = until;
        }
        (repeated, differing)
    }

    /// The first held entry that has something new, with its offset.
    pub(super) fn head(&self) -> Option<(i64, &HeldBytes)> {
        self.held.first_key_value().map(|(&at, held)| (at, held))
    }

    /// Takes the first held entry.
    pub(super) fn pop(&mut self) -> Option<(i64, HeldBytes)> {
        let (at, held) = self.held.pop_first()?;
        self.held_bytes -= held.bytes.len() + HELD_OVERHEAD;
        Some((at, held))
    }

    /// Forgets what is held.
    pub(super) fn drop_held(&mut self) {
        if let Some((&at, held)) = self.held.last_key_value() {
            self.next = self.next.max(at + held.bytes.len() as i64);
        }
        self.held.clear();
        self.held_bytes = 0;
    }

    /// Forgets what is held, and stays where it is. Answers how many bytes that were.
    pub(super) fn forget_held(&mut self) -> u64 {
        self.held_bytes = 0;
        std::mem::take(&mut self.held).values().map(|held| held.bytes.len() as u64).sum()
    }

    /// Whether its first held bytes are the next ones.
    pub(super) fn is_contiguous(&self) -> bool {
        self.head().is_some_and(|(at, _)| at <= self.next)
    }
}
