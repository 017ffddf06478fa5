//! The HTTP parser and what writes requests: a stream that is cut into slices gives the messages of
//! the whole stream, and a request that is written again is read as the same one. Also any bytes,
//! gaps and ends in both directions of a connection.
//!
//! Input: a byte of choices, a byte that seeds the cuts, then the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shadowtap::flow::Direction;
use shadowtap::message::{Request, Version};
use shadowtap::time::Timestamp;
use shadowtap::wire::h1::encode;
use shadowtap::wire::h1::pairing::Pairing;
use shadowtap::wire::h1::parser::{
    Ending, Expect, Keep, Message, MessageSide, Parsed, Parser, ParserLimits,
};
use shadowtap::wire::{Conversation as _, Origin, PacketMark};

fuzz_target!(|data: &[u8]| {
    let [choice, seed, stream @ ..] = data else { return };
    if choice & 1 == 0 {
        slices_do_not_show(*choice, *seed, stream);
    } else {
        conversation(*choice, *seed, stream);
    }
});

/// Small, so that limits are hit.
const LIMITS: ParserLimits = ParserLimits {
    head_bytes: 2_000,
    header_fields: 20,
    body_bytes: 500,
    hash_rest: true,
    keep: Keep::Everything,
    strict: false,
};

/// Lengths of slices.
struct Cuts(u64);

impl Cuts {
    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        1 + ((self.0 >> 33) % [1, 3, 17, 120][(self.0 >> 60) as usize % 4]) as usize
    }
}

fn slices_do_not_show(choice: u8, seed: u8, stream: &[u8]) {
    let side = if choice & 2 == 0 { MessageSide::Requests } else { MessageSide::Responses };
    let limits = if choice & 4 == 0 { ParserLimits::default() } else { LIMITS };
    let expects = [Expect::Other, Expect::Head, Expect::Connect, Expect::Other];
    let new = || {
        let mut parser = Parser::<u8>::new(side, limits);
        (0..choice >> 3).for_each(|n| parser.expect(expects[usize::from(n & 3)]));
        parser
    };
    let (whole, sure) = read(new(), stream, |_| stream.len().max(1));
    let mut cuts = Cuts(u64::from(seed));
    let (cut, also_sure) = read(new(), stream, |_| cuts.next());
    // What is searched for after damage begins where a segment does, and requests of HTTP/0.9 end
    // where one does.
    let simple = |messages: &[Parsed<u8>]| {
        messages.iter().any(|parsed| version(&parsed.message) == Version::Http09)
    };
    if sure && also_sure && !simple(&whole) && !simple(&cut) {
        assert_eq!(whole, cut, "slices show");
    }
    for parsed in &whole {
        if let (Message::Request(request), None, true) =
            (&parsed.message, parsed.damage, parsed.oddities.is_empty())
        {
            written_again(request, limits);
        }
    }
}

fn version(message: &Message) -> Version {
    match message {
        Message::Request(request) => request.version,
        Message::Response(response) => response.version,
    }
}

/// All messages, and whether it never had to search.
fn read(
    mut parser: Parser<u8>,
    stream: &[u8],
    mut size: impl FnMut(usize) -> usize,
) -> (Vec<Parsed<u8>>, bool) {
    let (mut messages, mut sure, mut rest) = (Vec::new(), true, stream);
    while !rest.is_empty() {
        let (mut slice, behind) = rest.split_at(size(rest.len()).min(rest.len()));
        rest = behind;
        while let Some(parsed) = parser.step(&mut slice, 0) {
            assert!(parsed.start <= parsed.end && parsed.end <= stream.len() as u64);
            messages.push(parsed);
        }
        assert!(slice.is_empty());
        sure &= !parser.is_lost() && !parser.is_resuming();
    }
    assert_eq!(parser.position(), stream.len() as u64);
    messages.extend(parser.finish(Ending::Closed));
    sure &= messages.iter().all(|parsed| !parsed.resumed);
    (messages, sure)
}

fn written_again(request: &Request, limits: ParserLimits) {
    let mut wire = Vec::new();
    if encode::request(&mut wire, request).is_err() {
        assert!(request.body.is_cut());
        return;
    }
    // A folded line, a blank before a colon and the like are written plainly; the limit may be
    // passed by a line end.
    let mut parser = Parser::<u8>::new(
        MessageSide::Requests,
        ParserLimits { head_bytes: limits.head_bytes + 1_000, ..limits },
    );
    let mut input = &wire[..];
    let parsed = parser.step(&mut input, 0).expect("what was written can be read");
    assert_eq!(
        parsed.message,
        Message::Request(request.clone()),
        "{}",
        String::from_utf8_lossy(&wire)
    );
    assert!(input.is_empty() && parsed.damage.is_none());
}

/// Both directions, in turns of slices: an escape (a byte 0xff) in the stream is a gap, a turn, or
/// an end.
fn conversation(choice: u8, seed: u8, stream: &[u8]) {
    let origin = Origin {
        connection: 1,
        client: "10.0.0.1:1".parse().expect("an endpoint"),
        server: "10.0.0.2:2".parse().expect("an endpoint"),
        opened_at: None,
        joined: choice & 2 == 0,
    };
    let mut pairing = Pairing::new(origin, LIMITS);
    let (mut sent, mut closed, mut exchanges) = ([0u64; 2], [false; 2], 0u64);
    let mut out = |exchange: shadowtap::exchange::Exchange| {
        assert_eq!(u64::from(exchange.id.ordinal), exchanges, "in order");
        assert!(
            exchange.request.is_some()
                || exchange.response.is_some()
                || !exchange.interim.is_empty()
        );
        exchanges += 1;
    };
    let mut direction = if choice & 4 == 0 { Direction::ToServer } else { Direction::ToClient };
    let mut cuts = Cuts(u64::from(seed));
    for (number, turn) in stream.split(|&byte| byte == 0xff).enumerate() {
        let mark = |ack: u64| PacketMark {
            at: Timestamp::from_nanos(number as i64),
            packet: number as u64,
            ack: (choice & 8 == 0).then_some(ack),
            cut: choice & 16 != 0,
        };
        let mut rest = turn;
        if number > 0 {
            match turn.first() {
                Some(byte @ 0..8) if !closed[direction as usize] => {
                    let gap = u64::from(*byte) * 7;
                    sent[direction as usize] += gap;
                    pairing.gap(direction, gap, mark(sent[1 - direction as usize]), &mut out);
                    rest = &turn[1..];
                }
                Some(8) if !closed[direction as usize] => {
                    closed[direction as usize] = true;
                    pairing.close(direction, Ending::Closed, &mut out);
                    rest = &turn[1..];
                }
                Some(9) => {
                    pairing.relieve(&mut out);
                    rest = &turn[1..];
                }
                _ => {
                    direction = if direction == Direction::ToServer {
                        Direction::ToClient
                    } else {
                        Direction::ToServer
                    }
                }
            }
        }
        // As reassembly promises, nothing comes behind the end of a direction.
        while !rest.is_empty() && !closed[direction as usize] {
            let (slice, behind) = rest.split_at(cuts.next().min(rest.len()));
            rest = behind;
            pairing.bytes(direction, slice, mark(sent[1 - direction as usize]), &mut out);
            sent[direction as usize] += slice.len() as u64;
        }
    }
    pairing.finish(&mut out);
    assert_eq!(pairing.held(), 0, "nothing is held behind the end");
}
