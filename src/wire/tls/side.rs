//! One direction of a TLS connection: what is held of it, and where it stands in its sequence of
//! records.

use std::collections::VecDeque;

use super::handshake::HandshakeMessages;
use super::opener::{HEADER, Opener};
use super::schedule::DirectionKeys;
use super::secret::Secret;
use crate::wire::Ending;
use crate::wire::PacketMark;

/// Types of records (RFC 8446 §5.1).
pub(super) mod content {
    pub(in super::super) const CHANGE_CIPHER_SPEC: u8 = 20;
    pub(in super::super) const ALERT: u8 = 21;
    pub(in super::super) const HANDSHAKE: u8 = 22;
    pub(in super::super) const DATA: u8 = 23;
}

/// Most bytes behind a record's header: 2^14 and what sealing may add (RFC 5246 §6.2.3).
const LONGEST: usize = (1 << 14) + 2048;

/// The length of the whole record whose header stands at the start; none where it is no header.
pub(super) fn record_length(bytes: &[u8]) -> Option<usize> {
    let &[kind, 3, minor, high, low, ..] = bytes else { return None };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let plausible = (20..=24).contains(&kind) && minor <= 4 && (1..=LONGEST).contains(&length);
    plausible.then_some(HEADER + length)
}

/// How far a direction's keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KeyPhase {
    /// Nothing is sealed yet.
    Clear,
    /// Sealed, and the key is not known yet.
    Wait,
    /// Data before the handshake is over (RFC 8446 §2.3).
    Early,
    /// The sealed part of a handshake of TLS 1.3.
    Handshake,
    /// Data.
    Data,
}

/// How records are cut from the bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// One behind the other.
    Records,
    /// This many bytes are the rest of a record that is damaged.
    Skip(usize),
    /// Where the next record begins is not known.
    Lost(Lost),
}

/// What is known while records are searched for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// Bytes that are gone since the last record.
    pub(super) bytes: u64,
    /// Where in the buffer the search goes on.
    pub(super) scan: usize,
    /// The capture joined the connection here.
    pub(super) joined: bool,
    /// Records that no key of this generation opened.
    pub(super) tries: u32,
    /// It goes on when there are more keys.
    pub(super) stuck: bool,
    /// The other direction waits no longer for what was lost.
    pub(super) past_hope: bool,
    /// The last packet that added to the buffer.
    pub(super) mark: PacketMark,
}

/// What is held of a direction until it can be read.
#[derive(Debug)]
pub(super) enum HeldPiece {
    Bytes(Vec<u8>, PacketMark),
    Gap(u64, PacketMark),
    End(Ending),
}

/// The key that a direction's records are under.
pub(super) struct Epoch {
    pub(super) opener: Opener,
    pub(super) keys: DirectionKeys,
    /// Of TLS 1.3.
    pub(super) secret: Option<Secret>,
    /// Records that do not open are passed over: they are under a key that is not known, and come
    /// before those that do.
    pub(super) tentative: bool,
}

/// One direction.
pub(super) struct TlsSide {
    /// Where the next record begins in the stream, gaps counted.
    pub(super) position: u64,
    /// A record that is not whole, or what is searched.
    pub(super) buffer: Vec<u8>,
    pub(super) cut: Cut,
    /// The buffer holds a whole record that must wait, and which packet made it whole.
    pub(super) whole: Option<(u64, PacketMark)>,
    /// With places in the order of both directions.
    pub(super) pending: VecDeque<(u64, HeldPiece)>,
    pub(super) pending_bytes: usize,
    pub(super) phase: KeyPhase,
    pub(super) epoch: Option<Box<Epoch>>,
    /// The next record's.
    pub(super) number: u64,
    pub(super) messages: HandshakeMessages,
    /// Bytes of plaintext that were handed on, gaps counted.
    pub(super) plain: u64,
    pub(super) acks: Acks,
    pub(super) closed: bool,
    /// Something of it was given.
    pub(super) begun: bool,
    /// Bytes that came or are missing, read or not.
    pub(super) come: u64,
}

impl TlsSide {
    pub(super) fn new() -> Self {
        Self {
            position: 0,
            buffer: Vec::new(),
            cut: Cut::Records,
            whole: None,
            pending: VecDeque::new(),
            pending_bytes: 0,
            phase: KeyPhase::Clear,
            epoch: None,
            number: 0,
            messages: HandshakeMessages::default(),
            plain: 0,
            acks: Acks::default(),
            closed: false,
            begun: false,
            come: 0,
        }
    }

    /// Whether how much plaintext is missing before offset `sealed` is not known yet, and may be.
    pub(super) fn is_unsettled(&self, sealed: u64) -> bool {
        let Cut::Lost(Lost { bytes, joined: false, past_hope: false, .. }) = &self.cut else {
            return false;
        };
        sealed > self.position.saturating_sub(bytes + self.buffer.len() as u64)
    }

    /// Lets the other direction go on; whether it may have waited.
    pub(super) fn lose_hope(&mut self) -> bool {
        let Cut::Lost(Lost { joined: false, past_hope, .. }) = &mut self.cut else { return false };
        !std::mem::replace(past_hope, true)
    }

    /// The place of what it holds back, in the order of both directions.
    pub(super) fn waits_since(&self) -> Option<u64> {
        let pending = self.pending.front().map(|&(order, _)| order);
        self.whole.map(|(order, _)| order).or(pending)
    }

    pub(super) fn hold(&mut self, order: u64, piece: HeldPiece, front: bool) {
        if let HeldPiece::Bytes(bytes, _) = &piece {
            self.pending_bytes += bytes.len();
        }
        if front {
            self.pending.push_front((order, piece));
        } else {
            self.pending.push_back((order, piece));
        }
    }

    pub(super) fn next_held(&mut self) -> Option<(u64, HeldPiece)> {
        let (order, piece) = self.pending.pop_front()?;
        if let HeldPiece::Bytes(bytes, _) = &piece {
            self.pending_bytes -= bytes.len();
        }
        Some((order, piece))
    }

    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        self.buffer.len() + self.pending_bytes + 64 * self.pending.len() + self.messages.held()
    }

    /// Goes on under another key. Records that were lost while it was waited for are counted.
    pub(super) fn start(&mut self, phase: KeyPhase, epoch: Epoch) {
        if self.phase != KeyPhase::Wait {
            self.number = 0;
        }
        (self.phase, self.epoch) = (phase, Some(Box::new(epoch)));
    }

    /// What follows is sealed by a key that is not known yet.
    pub(super) fn wait(&mut self) {
        (self.phase, self.epoch, self.number) = (KeyPhase::Wait, None, 0);
    }

    /// The secrets of the connection are to be found by trial: goes on searching with what is held.
    pub(super) fn hunt(&mut self) {
        let mark = self.whole.take().map(|(_, mark)| mark);
        if mark.is_none() && !matches!(self.cut, Cut::Lost(_)) {
            self.position += self.buffer.len() as u64;
        }
        let mark = mark.unwrap_or_default();
        self.cut = Cut::Lost(Lost { joined: true, stuck: true, mark, ..Lost::default() });
    }

    /// Records are missing: `bytes` of them since the last one that was read.
    pub(super) fn lose(&mut self, bytes: u64) {
        self.buffer.clear();
        self.messages.lose();
        self.cut = Cut::Lost(Lost { bytes, ..Lost::default() });
    }

    /// No record stands where one should: the next one is searched for, from the `had` bytes on
    /// that came before.
    pub(super) fn search_from(&mut self, had: usize) {
        self.buffer.truncate(had);
        let kept = std::mem::take(&mut self.buffer);
        self.lose(0);
        self.position += kept.len() as u64;
        self.buffer = kept;
    }

    /// Octets that sealing adds to a record.
    pub(super) fn overhead(&self) -> u64 {
        self.epoch.as_ref().map_or(0, |epoch| epoch.opener.overhead()) as u64
    }

    /// Whether each byte that came is counted once, while `left` of them are read.
    pub(super) fn is_counted(&self, left: usize) -> bool {
        let gap = |piece: &(u64, HeldPiece)| if let HeldPiece::Gap(n, _) = piece.1 { n } else { 0 };
        let counted = self.whole.is_some() || matches!(self.cut, Cut::Lost(_));
        let buffered = if counted { 0 } else { self.buffer.len() };
        let pending = self.pending_bytes as u64 + self.pending.iter().map(gap).sum::<u64>();
        self.position + pending + (buffered + left) as u64 == self.come
    }

    /// Lets go of all that it holds.
    pub(super) fn clear(&mut self) {
        (self.buffer, self.pending, self.pending_bytes) = (Vec::new(), VecDeque::new(), 0);
        (self.whole, self.epoch) = (None, None);
        self.messages.lose();
    }
}

/// Where records end, in the stream and in the plaintext: what turns an acknowledged offset of the
/// one into one of the other.
#[derive(Debug, Default)]
pub(super) struct Acks {
    ends: VecDeque<(u64, u64)>,
    plain: u64,
}

/// Records that are remembered until they are acknowledged; of a direction that nobody answers the
/// oldest count as acknowledged.
const REMEMBERED: usize = 4096;

impl Acks {
    pub(super) fn push(&mut self, sealed: u64, plain: u64) {
        if self.ends.len() >= REMEMBERED {
            self.plain = self.ends.pop_front().map_or(self.plain, |(_, plain)| plain);
        }
        self.ends.push_back((sealed, plain));
    }

    /// The end of the plaintext of all records that are wholly acknowledged at `sealed`.
    pub(super) fn plain(&mut self, sealed: u64) -> u64 {
        while let Some(&(end, plain)) = self.ends.front().filter(|&&(end, _)| end <= sealed) {
            debug_assert!(end <= sealed);
            self.plain = plain;
            self.ends.pop_front();
        }
        self.plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_acknowledged_is_counted_in_whole_records() {
        let mut acks = Acks::default();
        acks.push(122, 100);
        acks.push(244, 200);
        acks.push(366, 200);
        assert_eq!(
            [0, 121, 122, 243, 244, 1000].map(|sealed| acks.plain(sealed)),
            [0, 0, 100, 100, 200, 200]
        );
        for record in 1..=2 * REMEMBERED as u64 {
            acks.push(1000 + record, 200 + record);
        }
        assert!(acks.ends.len() <= REMEMBERED);
    }

    #[test]
    fn headers_of_records() {
        for (bytes, length) in [
            (&[23, 3, 3, 0, 17][..], Some(22)),
            (&[22, 3, 1, 2, 0, 1], Some(517)),
            (&[24, 3, 3, 0, 3], Some(8)),
            (&[23, 3, 3, 0, 0], None),
            (&[23, 3, 3, 0xff, 0], None),
            (&[23, 3, 5, 0, 1], None),
            (&[25, 3, 3, 0, 1], None),
            (&[23, 2, 3, 0, 1], None),
            (&[23, 3, 3, 0], None),
        ] {
            assert_eq!(record_length(bytes), length, "{bytes:?}");
        }
    }
}
