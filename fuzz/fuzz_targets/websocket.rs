//! WebSockets behind an upgrade of HTTP/1 and behind an extended CONNECT's twin on HTTP/1: any
//! frames in both directions, compressed or not, cut anywhere and with bytes missing. Slices do not
//! show, no message is longer than what came, and what the frames of the input say in order is what
//! is read.
//!
//! Input: a byte of choices, a byte that seeds the cuts, then turns: a byte (direction, whether the
//! bytes are missing, whether they are the content of a whole frame), a byte with the length, the
//! bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shadowtap::exchange::Exchange;
use shadowtap::flow::Direction;
use shadowtap::time::Timestamp;
use shadowtap::wire::{Conversation as _, Origin, PacketMark, Setup, Talk};

const ASKED: &[u8] = b"GET /s HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

fuzz_target!(|data: &[u8]| {
    let [choice, seed, rest @ ..] = data else { return };
    let turns = turns(rest);
    let whole = talk(*choice, &turns, |_| usize::MAX);
    let mut state = u64::from(*seed);
    let cut = talk(*choice, &turns, |_| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        1 + (state >> 40) as usize % 12
    });
    assert_eq!(whole, cut, "slices show");
    let [exchange] = &whole[..] else { panic!("one exchange, not {}", whole.len()) };
    let messages = exchange.carriage.as_ref().map_or(&[][..], |more| &more.messages);
    // Frames with one text each, of which nothing is missing.
    if choice & 7 == 0 && turns.iter().all(|turn| turn.is_frame && !turn.is_lost) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let said = turns.iter().filter(|turn| turn.direction == direction);
            let read = messages.iter().filter(|message| message.direction == direction);
            let read = read.map(|message| &message.data.bytes[..]);
            assert!(said.map(|turn| turn.bytes).eq(read), "{messages:?}");
        }
    }
});

struct Turn<'d> {
    direction: Direction,
    is_lost: bool,
    is_frame: bool,
    bytes: &'d [u8],
}

fn turns(mut rest: &[u8]) -> Vec<Turn<'_>> {
    let mut turns = Vec::new();
    while let [what, length, behind @ ..] = rest {
        let (bytes, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        let direction = if what & 1 == 0 { Direction::ToServer } else { Direction::ToClient };
        let (is_lost, is_frame) = (what & 0x0e == 0x0e, what & 0x10 != 0);
        turns.push(Turn { direction, is_lost, is_frame, bytes });
        rest = behind;
    }
    turns
}

/// A frame of a binary message, masked where the client says it.
fn frame(turn: &Turn<'_>) -> Vec<u8> {
    let mut frame = vec![0x82];
    let is_masked = turn.direction == Direction::ToServer;
    let mask = if is_masked { 0x80 } else { 0 };
    match turn.bytes.len() {
        short @ ..126 => frame.push(mask | short as u8),
        long => {
            frame.push(mask | 126);
            frame.extend_from_slice(&(long as u16).to_be_bytes());
        }
    }
    let key = [7, 1, 200, 33];
    if is_masked {
        frame.extend_from_slice(&key);
    }
    let octets = turn.bytes.iter().zip(key.iter().cycle());
    frame.extend(octets.map(|(octet, key)| if is_masked { octet ^ key } else { *octet }));
    frame
}

fn talk(choice: u8, turns: &[Turn<'_>], mut size: impl FnMut(usize) -> usize) -> Vec<Exchange> {
    let origin = Origin {
        connection: 1,
        client: "10.0.0.1:1".parse().expect("an endpoint"),
        server: "10.0.0.2:2".parse().expect("an endpoint"),
        opened_at: None,
        joined: false,
    };
    let mut answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        .to_vec();
    answer.extend_from_slice(match choice & 7 {
        0..4 => b"",
        4 => b"Sec-WebSocket-Extensions: permessage-deflate\r\n",
        5 => b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n",
        _ => b"Sec-WebSocket-Extensions: x, permessage-deflate; client_no_context_takeover\r\n",
    });
    answer.extend_from_slice(b"\r\n");
    let mut talk = Talk::new(origin, &Setup::default());
    let mut exchanges = Vec::new();
    let mut out = |exchange: Exchange| exchanges.push(exchange);
    talk.bytes(Direction::ToServer, ASKED, PacketMark::default(), &mut out);
    talk.bytes(Direction::ToClient, &answer, PacketMark::default(), &mut out);
    for (number, turn) in turns.iter().enumerate() {
        let at = Timestamp::from_nanos(number as i64);
        let mark = PacketMark { at, packet: number as u64, ack: None, cut: false };
        if turn.is_lost {
            talk.gap(turn.direction, turn.bytes.len() as u64 + 1, mark, &mut out);
            continue;
        }
        let frame = if turn.is_frame { frame(turn) } else { turn.bytes.to_vec() };
        let mut rest = &frame[..];
        while !rest.is_empty() {
            let (slice, behind) = rest.split_at(size(rest.len()).clamp(1, rest.len()));
            talk.bytes(turn.direction, slice, mark, &mut out);
            rest = behind;
        }
    }
    talk.finish(&mut out);
    exchanges
}
