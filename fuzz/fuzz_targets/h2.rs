//! HTTP/2: frames that are cut into slices give the exchanges of the whole stream; any bytes and
//! gaps in both directions, joined in the middle or not.
//!
//! Input: a byte of choices, a byte that seeds the cuts, then the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shadowtap::exchange::Exchange;
use shadowtap::flow::Direction;
use shadowtap::time::Timestamp;
use shadowtap::wire::h2::frame::PREFACE;
use shadowtap::wire::{Conversation as _, Origin, PacketMark, Setup, Talk};

fuzz_target!(|data: &[u8]| {
    let [choice, seed, stream @ ..] = data else { return };
    let whole = talk(*choice, stream, |_| usize::MAX);
    let mut state = u64::from(*seed);
    let cut = talk(*choice, stream, |_| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        1 + (state >> 40) as usize % 40
    });
    // What is searched for behind damage begins where a slice does.
    if choice & 4 == 0 && !stream.contains(&0xff) && whole.len() == cut.len() {
        let ids = |all: &[Exchange]| all.iter().map(|one| one.id).collect::<Vec<_>>();
        assert_eq!(ids(&whole), ids(&cut));
    }
});

/// Both directions, in turns; 0xff changes them, 0xff and a small number is a gap.
fn talk(choice: u8, stream: &[u8], mut size: impl FnMut(usize) -> usize) -> Vec<Exchange> {
    let origin = Origin {
        connection: 1,
        client: "10.0.0.1:1".parse().expect("an endpoint"),
        server: "10.0.0.2:2".parse().expect("an endpoint"),
        opened_at: None,
        joined: choice & 4 != 0,
    };
    let mut talk = Talk::new(origin, &Setup::default());
    let mut exchanges = Vec::new();
    let mut out = |exchange: Exchange| exchanges.push(exchange);
    let mut direction = Direction::ToServer;
    if choice & 8 == 0 {
        talk.bytes(direction, PREFACE, PacketMark::default(), &mut out);
    }
    for (number, turn) in stream.split(|byte| *byte == 0xff).enumerate() {
        let at = Timestamp::from_nanos(number as i64);
        let mark = PacketMark { at, packet: number as u64, ack: None, cut: false };
        let mut rest = turn;
        if let (1.., [gap @ 0..9, behind @ ..]) = (number, turn) {
            talk.gap(direction, u64::from(*gap) * 5 + 1, mark, &mut out);
            rest = behind;
        } else if number > 0 {
            direction = direction.reverse();
        }
        while !rest.is_empty() {
            let (slice, behind) = rest.split_at(size(rest.len()).clamp(1, rest.len()));
            rest = behind;
            talk.bytes(direction, slice, mark, &mut out);
        }
    }
    talk.finish(&mut out);
    exchanges
}
