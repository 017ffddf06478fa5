//! TLS: any records and handshake messages in both directions, with any key log, are read without
//! a panic and within the bounds of memory. Where every record opened, neither slices nor keys that
//! come late show: the plaintext is the same.
//!
//! Input: a byte of choices, a byte that seeds the cuts, two bytes with the length of the key log,
//! the key log, then turns: a byte (direction, and whether the turn is missing), two bytes with the
//! length, the bytes.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use shadowtap::flow::Direction;
use shadowtap::limits;
use shadowtap::time::Timestamp;
use shadowtap::wire::tls::{KeyRing, Plaintext, Shown, TlsConnection, TlsShared, TlsStanding};
use shadowtap::wire::{Ending, PacketMark};

fuzz_target!(|data: &[u8]| {
    let [choice, seed, high, low, rest @ ..] = data else { return };
    let keys = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
    let (keys, rest) = rest.split_at(keys);
    let turns = turns(rest);
    // Few of them, as keys and numbers of such a one are found by guesses.
    let joined = choice & 7 == 1;
    let whole = hear(&turns, keys, joined, false, |_| usize::MAX);
    let mut state = u64::from(*seed);
    let cut = hear(&turns, keys, joined, choice & 2 != 0, |_| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        1 + (state >> 40) as usize % 400
    });
    // What is searched for behind damage begins where a slice does.
    let is_sound = |heard: &Heard| heard.standing == TlsStanding::Read && !heard.is_damaged;
    if !joined && turns.iter().all(|turn| !turn.is_lost) && is_sound(&whole) && is_sound(&cut) {
        assert_eq!(whole.text, cut.text);
    }
});

/// A turn is taken whole before the bound is looked at.
const ONE_TURN: usize = 1 << 17;

struct Turn<'d> {
    direction: Direction,
    is_lost: bool,
    bytes: &'d [u8],
}

fn turns(mut rest: &[u8]) -> Vec<Turn<'_>> {
    let mut turns = Vec::new();
    while let [what, high, low, behind @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(behind.len());
        let (bytes, behind) = behind.split_at(length);
        let direction = if what & 1 == 0 { Direction::ToServer } else { Direction::ToClient };
        turns.push(Turn { direction, is_lost: what & 6 == 6, bytes });
        rest = behind;
    }
    turns
}

struct Heard {
    text: [Vec<u8>; 2],
    is_damaged: bool,
    standing: TlsStanding,
}

#[derive(Default)]
struct Listener {
    text: [Vec<u8>; 2],
    gaps: u64,
}

impl Plaintext for Listener {
    fn shows(&mut self, _: Shown, _: Option<Timestamp>) {}

    fn bytes(&mut self, direction: Direction, text: &[u8], mark: PacketMark) {
        let other = self.text[1 - direction as usize].len() as u64 + self.gaps;
        assert!(mark.ack.is_none_or(|ack| ack <= other), "more is acknowledged than was given");
        self.text[direction as usize].extend_from_slice(text);
    }

    fn gap(&mut self, _: Direction, bytes: u64, _: PacketMark) {
        self.gaps = self.gaps.saturating_add(bytes);
    }

    fn close(&mut self, _: Direction, _: Ending) {}
}

fn hear(
    turns: &[Turn<'_>],
    keys: &[u8],
    joined: bool,
    late: bool,
    mut size: impl FnMut(usize) -> usize,
) -> Heard {
    let ring = Arc::new(KeyRing::default());
    if !late {
        ring.add(keys);
    }
    let mut session = TlsConnection::new(TlsShared::new(Arc::clone(&ring)), joined);
    let mut out = Listener::default();
    for (number, turn) in turns.iter().enumerate() {
        let at = Timestamp::from_nanos(number as i64);
        let mark = PacketMark { at, packet: number as u64, ack: None, cut: false };
        if turn.is_lost {
            session.gap(turn.direction, turn.bytes.len() as u64, mark, &mut out);
            continue;
        }
        let mut rest = turn.bytes;
        while !rest.is_empty() {
            let (slice, behind) = rest.split_at(size(rest.len()).clamp(1, rest.len()));
            session.bytes(turn.direction, slice, mark, &mut out);
            rest = behind;
        }
        assert!(session.held() <= limits::TLS_HELD_BYTES + ONE_TURN, "what is held is bounded");
    }
    if late {
        ring.add(keys);
        session.retry(&mut out);
    }
    for direction in [Direction::ToServer, Direction::ToClient] {
        session.close(direction, Ending::Closed, &mut out);
    }
    session.finish(&mut out);
    Heard { text: out.text, is_damaged: out.gaps > 0, standing: session.standing() }
}
