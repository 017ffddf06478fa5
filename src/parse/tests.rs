//! Conversations that are cut into packets, shuffled, repeated, split anew and thinned out: the
//! same exchanges come out, or a counted gap, and never a wrong one.

use std::collections::VecDeque;
use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::capture::overload::Share;
use crate::capture::{Batch, LinkType};
use crate::capture::{CaptureError, PacketSource};
use crate::exchange::Closed;
use crate::exchange::Exchange;
use crate::exchange::{Completeness, TimedRequest, TimedResponse};
use crate::reassemble::Shed;
use crate::time::Timestamp;

mod protocols;
mod rewritten;
mod scripts;
mod seen;

/// Packets from memory with their times in nanoseconds, some in each batch.
struct Memory {
    packets: VecDeque<(i64, Vec<u8>)>,
    given: u64,
    together: usize,
}

impl Memory {
    fn new(packets: Vec<(i64, Vec<u8>)>, together: usize) -> Self {
        Self { packets: packets.into(), given: 0, together }
    }

    /// A packet each millisecond.
    fn steady(packets: Vec<Vec<u8>>, together: usize) -> Self {
        let times = (1..).map(|number| number * 1_000_000);
        Self::new(times.zip(packets).collect(), together)
    }
}

impl PacketSource for Memory {
    fn fill(&mut self, batch: &mut Batch) -> Result<bool, CaptureError> {
        batch.clear();
        batch.first = self.given + 1;
        for (at, packet) in self.packets.drain(..self.together.min(self.packets.len())) {
            self.given += 1;
            let (at, length) = (Timestamp::from_nanos(at), packet.len() as u32);
            batch.push(at, LinkType::RAW, length, &packet);
        }
        Ok(!batch.frames.is_empty())
    }

    fn progress(&self) -> (u64, Option<u64>) {
        (self.given, None)
    }

    fn ledger(&self) -> Ledger {
        Ledger::default()
    }

    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

struct SeededRandom(u64);

impl SeededRandom {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        ((self.0 >> 33) as usize) % bound.max(1)
    }
}

/// One connection under construction.
struct Wire {
    port: u16,
    seq: [u32; 2],
    ident: u16,
    packets: Vec<Vec<u8>>,
}

impl Wire {
    fn new(port: u16, isn: [u32; 2]) -> Self {
        let mut wire = Self { port, seq: isn, ident: 1, packets: Vec::new() };
        wire.packet(0, 2, b"");
        wire.packet(1, 18, b"");
        wire.packet(0, 16, b"");
        wire
    }

    /// A segment of side 0 (client) or 1 with these flags.
    fn packet(&mut self, from: usize, flags: u8, payload: &[u8]) {
        let ends = [([10, 0, 0, 9], self.port), ([10, 0, 0, 1], 8080)];
        let mut packet = vec![0x45, 0];
        packet.extend_from_slice(&(40 + payload.len() as u16).to_be_bytes());
        packet.extend_from_slice(&self.ident.to_be_bytes());
        packet.extend_from_slice(&[0x40, 0, 64, 6, 0, 0]);
        packet.extend_from_slice(&ends[from].0);
        packet.extend_from_slice(&ends[1 - from].0);
        packet.extend_from_slice(&ends[from].1.to_be_bytes());
        packet.extend_from_slice(&ends[1 - from].1.to_be_bytes());
        packet.extend_from_slice(&self.seq[from].to_be_bytes());
        packet
            .extend_from_slice(&if flags & 16 == 0 { 0 } else { self.seq[1 - from] }.to_be_bytes());
        packet.extend_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        packet.extend_from_slice(payload);
        self.packets.push(packet);
        self.ident += 1;
        self.seq[from] =
            self.seq[from].wrapping_add(payload.len() as u32 + u32::from(flags & 3 != 0));
    }

    /// Bytes of one side in segments of at most `most` bytes, each acknowledged.
    fn say(&mut self, from: usize, bytes: &[u8], random: &mut SeededRandom, most: usize) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (part, behind) = rest.split_at((1 + random.below(most)).min(rest.len()));
            self.packet(from, 24, part);
            rest = behind;
        }
        self.packet(1 - from, 16, b"");
    }
}

/// A conversation of `count` exchanges on each of `connections` connections, interleaved.
fn conversation(
    random: &mut SeededRandom,
    connections: usize,
    count: usize,
    isn: [u32; 2],
    most: usize,
) -> Vec<Vec<u8>> {
    let mut wires: Vec<VecDeque<Vec<u8>>> = Vec::new();
    for connection in 0..connections {
        let mut wire = Wire::new(40_000 + connection as u16, isn);
        for exchange in 0..count {
            let body = "x".repeat(random.below(300));
            let request = format!(
                "POST /c{connection}/e{exchange} HTTP/1.1\r\nHost: h\r\nX-More: {exchange}\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            wire.say(0, request.as_bytes(), random, most);
            let answer = format!("{connection}.{exchange}.").repeat(1 + random.below(60));
            let answer = if random.below(2) == 0 {
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len())
            } else {
                format!(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{answer}\r\n\
                     0\r\n\r\n",
                    answer.len()
                )
            };
            wire.say(1, answer.as_bytes(), random, most);
        }
        wire.packet(0, 17, b"");
        wire.packet(1, 17, b"");
        wire.packet(0, 16, b"");
        wires.push(wire.packets.into());
    }
    let mut packets = Vec::new();
    while !wires.is_empty() {
        let which = random.below(wires.len());
        match wires[which].pop_front() {
            Some(packet) => packets.push(packet),
            None => drop(wires.swap_remove(which)),
        }
    }
    packets
}

fn run(packets: Vec<Vec<u8>>, threads: usize, together: usize) -> (Vec<Exchange>, Ledger) {
    run_with(packets, together, &ParseOptions { threads, ..ParseOptions::default() })
}

fn run_with(
    packets: Vec<Vec<u8>>,
    together: usize,
    options: &ParseOptions,
) -> (Vec<Exchange>, Ledger) {
    let source = Memory::steady(packets, together);
    let mut parse =
        Parse::start(Box::new(source), options, |exchange: Exchange, _: &mut Vec<u8>| exchange);
    let mut exchanges = Vec::new();
    while let Some(output) = parse.next_output().expect("memory can be read") {
        exchanges.extend(output.drain().map(|(name, exchange, _)| name.give(exchange)));
    }
    (exchanges, parse.summary().expect("the input is used up").ledger)
}

/// What must not depend on how the packets came: no times, no packet numbers.
fn facts(exchanges: &[Exchange]) -> Vec<String> {
    let mut facts: Vec<String> = exchanges
        .iter()
        .map(|exchange| {
            let request = exchange
                .request
                .as_ref()
                .map(|r| (&r.message.method, &r.message.target, &r.message.body.bytes));
            let response =
                exchange.response.as_ref().map(|r| (r.message.status, &r.message.body.bytes));
            format!("{} {:?} {request:?} {response:?}", exchange.client, exchange.completeness)
        })
        .collect();
    facts.sort();
    facts
}

/// What [`Keep::Outline`](http::parser::Keep) promises to leave of an exchange; more is left of a
/// head that came in several packets.
fn outlined(mut exchange: Exchange) -> Exchange {
    let strip = |headers: &mut crate::message::Headers, body: &mut crate::message::Body| {
        let named = |name: &[u8]| {
            ["host", "content-length", "transfer-encoding"]
                .iter()
                .any(|one| name.eq_ignore_ascii_case(one.as_bytes()))
        };
        *headers = headers.iter().filter(|(name, _)| named(name)).collect();
        (body.bytes, body.sha256) = (bytes::Bytes::new(), None);
    };
    if let Some(TimedRequest { message, .. }) = &mut exchange.request {
        strip(&mut message.headers, &mut message.body);
        message.verbatim = None;
    }
    if let Some(TimedResponse { message, .. }) = &mut exchange.response {
        strip(&mut message.headers, &mut message.body);
    }
    exchange
}

fn check_balance(ledger: &Ledger, packets: usize) -> Result<(), TestCaseError> {
    prop_assert_eq!((ledger.balance(), ledger.input), (0, packets as u64), "{:?}", ledger);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn order_repetition_and_wrap_change_nothing(
        seed: u64,
        window in 0usize..12,
        near_the_wrap: bool,
        most in 1usize..700
    ) {
        let mut random = SeededRandom(seed);
        let isn = if near_the_wrap { [u32::MAX - 200, u32::MAX - 900] } else { [1_000, 7_000_000] };
        let packets = conversation(&mut random, 3, 4, isn, most);
        let (plain, _) = run(packets.clone(), 1, 1_000);
        prop_assert_eq!(plain.len(), 12);
        prop_assert!(plain.iter().all(|exchange| exchange.completeness == Completeness::Complete));

        // Handshakes stay: who began is not to be guessed.
        let mut keyed: Vec<(usize, Vec<u8>)> = packets
            .into_iter()
            .enumerate()
            .map(|(n, packet)| {
                let moved = if packet[33] & 2 == 0 { random.below(window + 1) } else { 0 };
                (n + moved, packet)
            })
            .collect();
        keyed.sort_by_key(|(at, _)| *at);
        let mut shuffled: Vec<Vec<u8>> = Vec::new();
        for (_, packet) in keyed {
            if random.below(5) == 0 {
                shuffled.push(packet.clone());
            }
            shuffled.push(packet);
        }
        let count = shuffled.len();
        let (got, ledger) = run(shuffled, 1, 1_000);
        check_balance(&ledger, count)?;
        prop_assert_eq!(facts(&got), facts(&plain), "{:?}", ledger);
    }

    #[test]
    fn each_end_of_a_connection_is_told_once_and_with_its_time(
        seed: u64,
        together in 1usize..40,
        threads in 1usize..3
    ) {
        let mut random = SeededRandom(seed);
        let packets = conversation(&mut random, 5, 2, [5, 6], 700);
        // The later FIN of each client's port; packets are a millisecond apart, from the first.
        let mut expected = std::collections::BTreeMap::new();
        for (place, packet) in packets.iter().enumerate().filter(|(_, packet)| packet[33] & 1 != 0)
        {
            let port = u16::from_be_bytes([packet[20], packet[21]])
                .max(u16::from_be_bytes([packet[22], packet[23]]));
            expected.insert(port, Timestamp::from_nanos((place as i64 + 1) * 1_000_000));
        }
        let source = Memory::steady(packets, together);
        let options = ParseOptions { threads, ..ParseOptions::default() };
        let mut parse =
            Parse::start(Box::new(source), &options, |exchange: Exchange, _: &mut Vec<u8>| {
                exchange
            });
        let (mut ports, mut told) = (std::collections::BTreeMap::new(), Vec::new());
        while let Some(output) = parse.next_output().expect("memory can be read") {
            for (name, exchange, _) in output.drain() {
                told.extend(name.closed);
                ports.insert(name.id.connection, exchange.client.port);
            }
        }
        let rest = parse.summary().expect("the input is used up").rest;
        told.extend(rest.closed);
        prop_assert_eq!((told.len(), rest.open), (5, Some(0)), "{:?}", told);
        let got: std::collections::BTreeMap<_, _> =
            told.iter().map(|Closed(of, at)| (ports[of], *at)).collect();
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn lost_packets_leave_no_wrong_exchange(seed: u64, most in 50usize..700) {
        let mut random = SeededRandom(seed);
        let packets = conversation(&mut random, 3, 5, [5, 6], most);
        let (plain, _) = run(packets.clone(), 1, 1_000);
        let kept: Vec<Vec<u8>> = packets.into_iter().filter(|_| random.below(12) != 0).collect();
        let count = kept.len();
        let (got, ledger) = run(kept, 1, 1_000);
        check_balance(&ledger, count)?;
        let right = facts(&plain);
        for exchange in
            got.iter().filter(|exchange| exchange.completeness == Completeness::Complete)
        {
            let fact = facts(std::slice::from_ref(exchange)).remove(0);
            prop_assert!(
                right.contains(&fact),
                "{} is complete and not what was sent; marks \
                {:?}",
                fact,
                exchange.marks
            );
        }
    }

    #[test]
    fn an_outline_says_the_same_of_every_exchange(
        seed: u64,
        window in 0usize..8,
        most in 1usize..700
    ) {
        let mut random = SeededRandom(seed);
        let packets = conversation(&mut random, 3, 5, [5, 6], most);
        let mut moved: Vec<(usize, Vec<u8>)> = packets
            .into_iter()
            .enumerate()
            .map(|(n, packet)| (n + random.below(window + 1), packet))
            .collect();
        moved.sort_by_key(|(at, _)| *at);
        let packets: Vec<Vec<u8>> =
            moved.into_iter().map(|(_, packet)| packet).filter(|_| random.below(20) != 0).collect();
        let outline = ParseOptions {
            threads: 1,
            http: crate::wire::h1::parser::ParserLimits::outline(),
            ..ParseOptions::default()
        };
        let (whole, ledger) = run(packets.clone(), 1, 50);
        let (counted, same) = run_with(packets, 50, &outline);
        prop_assert_eq!(ledger, same);
        prop_assert_eq!(
            whole.into_iter().map(outlined).collect::<Vec<_>>(),
            counted.into_iter().map(outlined).collect::<Vec<_>>()
        );
    }

    #[test]
    fn threads_and_batches_change_nothing(seed: u64, together in 1usize..40) {
        let mut random = SeededRandom(seed);
        let packets: Vec<_> = conversation(&mut random, 8, 3, [9, 9], 400)
            .into_iter()
            .filter(|_| random.below(30) != 0)
            .collect();
        let (one, ledger) = run(packets.clone(), 1, together);
        let (four, same) = run(packets, 4, together);
        prop_assert_eq!(one, four);
        prop_assert_eq!(ledger, same);
    }
}

#[test]
fn a_hole_that_nobody_filled_is_a_gap_and_the_rest_is_kept() {
    let mut wire = Wire::new(40_000, [1, 1]);
    let mut random = SeededRandom(3);
    wire.say(0, b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n", &mut random, 10_000);
    wire.packet(1, 24, b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n0123456789");
    wire.packet(1, 24, b"0123456789");
    wire.packet(1, 24, b"0123456789");
    wire.packet(0, 16, b"");
    wire.say(0, b"GET /2 HTTP/1.1\r\nHost: h\r\n\r\n", &mut random, 10_000);
    wire.say(1, b"HTTP/1.1 204 No Content\r\n\r\n", &mut random, 10_000);
    let lost = 6;
    wire.packets.remove(lost);
    let (got, ledger) = run(wire.packets, 1, 100);
    let kinds: Vec<_> = got.iter().map(|exchange| exchange.completeness).collect();
    assert_eq!(kinds, [Completeness::ResponseDamaged, Completeness::Complete], "{got:#?}");
    assert_eq!((ledger.noted["tcp-gaps"], ledger.noted["tcp-gap-bytes"]), (1, 10));
}

#[test]
fn ports_used_again_are_another_connection() {
    let mut random = SeededRandom(1);
    let mut packets = Vec::new();
    for (isn, path) in [([100, 200], "/first"), ([90_000_000, 70_000_000], "/second")] {
        let mut wire = Wire::new(40_000, isn);
        wire.say(0, format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes(), &mut random, 10);
        wire.say(1, b"HTTP/1.1 204 No Content\r\n\r\n", &mut random, 10);
        packets.append(&mut wire.packets);
    }
    let (got, _) = run(packets, 1, 7);
    let ids: Vec<String> =
        got.iter().map(|exchange| format!("{} {:?}", exchange.id, exchange.completeness)).collect();
    assert_eq!(ids, ["0-0 Complete", "1-0 Complete"]);
}

#[test]
fn ranks_count_all_connections_also_those_of_other_ports() {
    let mut random = SeededRandom(1);
    let mut first = Wire::new(40_000, [1, 1]);
    first.say(0, b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", &mut random, 100);
    let mut second = Wire::new(40_001, [1, 1]);
    second.say(0, b"GET / HTTP/1.1\r\n\r\n", &mut random, 100);
    let packets: Vec<_> = first.packets.into_iter().chain(second.packets).collect();
    let (got, ledger) = run(packets, 1, 3);
    assert_eq!(got.iter().map(|exchange| exchange.id.connection).collect::<Vec<_>>(), [1]);
    assert_eq!((ledger.noted["tls-connections"], ledger.rejected["tls"]), (1, 5));
}

#[test]
fn what_all_connections_hold_is_bounded_and_counted() {
    let mut random = SeededRandom(1);
    let mut wires: Vec<Wire> = (0..40).map(|n| Wire::new(40_000 + n, [1, 1])).collect();
    for wire in &mut wires {
        wire.say(0, b"PUT /big HTTP/1.1\r\nContent-Length: 60000\r\n\r\n", &mut random, 10_000);
    }
    for _ in 0..60 {
        for wire in &mut wires {
            wire.packet(0, 24, &[b'b'; 1_000]);
        }
    }
    for wire in &mut wires {
        wire.packet(1, 24, b"HTTP/1.1 204 No Content\r\n\r\n");
    }
    // First all openings, then the bodies in turns, then the answers.
    let mut packets = Vec::new();
    for at in 0..wires.iter().map(|wire| wire.packets.len()).max().unwrap_or_default() {
        packets.extend(wires.iter().filter_map(|wire| wire.packets.get(at).cloned()));
    }
    let count = packets.len() as u64;
    let bounded =
        |threads| ParseOptions { threads, held_bytes: 1_000_000, ..ParseOptions::default() };
    let (got, ledger) = run_with(packets.clone(), 100, &bounded(1));
    assert_eq!((got.len(), ledger.balance(), ledger.input), (40, 0, count));
    assert!(ledger.noted["connections-that-held-too-much"] > 0, "{ledger:?}");
    for exchange in &got {
        let body = &exchange.request.as_ref().expect("the request was seen").message.body;
        let whole = exchange.completeness == Completeness::Complete;
        assert!(!whole || body.length == 60_000, "{exchange:?}");
        assert!(body.is_cut() == (body.sha256.is_some()) || !whole, "what is not kept is hashed");
    }
    assert!(got.iter().any(|exchange| {
        exchange.request.as_ref().is_some_and(|request| request.message.body.is_cut())
    }));
    assert_eq!(run_with(packets, 100, &bounded(4)), (got, ledger));
}

#[test]
fn held_bytes_beyond_the_limit_of_a_direction_are_given_up_as_a_gap() {
    let mut wire = Wire::new(40_000, [1, 1]);
    wire.say(0, b"GET /1 HTTP/1.1\r\n\r\n", &mut SeededRandom(3), 10_000);
    // The first bytes of the answer never come, and nobody acknowledges any.
    wire.seq[1] = wire.seq[1].wrapping_add(10);
    for _ in 0..200 {
        wire.packet(1, 24, &[b'x'; 60_000]);
    }
    let (got, ledger) = run(wire.packets, 1, 50);
    assert_eq!(got.len(), 1);
    assert_eq!(ledger.noted["tcp-bytes-given-up-by-a-limit"], 10, "{ledger:?}");
}

/// Packets from memory, where the batches from `from` up to `to` tell to let go of half of the
/// connections.
struct Crowded {
    memory: Memory,
    batches: usize,
    crowded: Range<usize>,
}

impl PacketSource for Crowded {
    fn fill(&mut self, batch: &mut Batch) -> Result<bool, CaptureError> {
        self.batches += 1;
        self.memory.fill(batch)
    }

    fn progress(&self) -> (u64, Option<u64>) {
        self.memory.progress()
    }

    fn ledger(&self) -> Ledger {
        Ledger::default()
    }

    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    fn share_to_shed(&self) -> Share {
        if self.crowded.contains(&self.batches) { Share::of(128) } else { Share::NONE }
    }
}

#[test]
fn what_is_let_go_of_is_whole_connections_counted_and_the_rest_is_complete() {
    let (connections, count, together) = (60, 6, 50);
    let mut random = SeededRandom(11);
    // One after the other in thirds, so that some are over before, some begin within, and some
    // after.
    let packets: Vec<Vec<u8>> = (0..3)
        .flat_map(|third| {
            let mut part = conversation(&mut random, connections / 3, count, [1_000, 9_000], 200);
            part.iter_mut().for_each(|packet| packet[15] = 9 + 10 * third);
            for packet in &mut part {
                // Clients of each third have an address of their own, whichever way the packet
                // goes.
                if packet[19] == 9 {
                    packet[19] = 9 + 10 * third;
                    packet[15] = 1;
                }
            }
            part
        })
        .collect();
    let (all, batches) = (packets.len() as u64, packets.len() / together);
    let crowded = batches / 6..batches * 2 / 3;
    let run = |threads: usize, crowded: &Range<usize>| {
        let memory = Memory::steady(packets.clone(), together);
        let source = Crowded { memory, batches: 0, crowded: crowded.clone() };
        let mut parse = Parse::start(
            Box::new(source),
            &ParseOptions { threads, ..ParseOptions::default() },
            |exchange: Exchange, _: &mut Vec<u8>| exchange,
        );
        let mut exchanges = Vec::new();
        let mut shed = Shed::default();
        while let Some(output) = parse.next_output().expect("memory can be read") {
            shed = output.shed;
            exchanges.extend(output.drain().map(|(name, exchange, _)| name.give(exchange)));
        }
        (exchanges, parse.summary().expect("the input is used up").ledger, shed)
    };
    let (everything, _, none) = run(1, &(0..0));
    assert_eq!((everything.len(), none), (connections * count, Shed::default()));
    let known = facts(&everything);
    // Which connections are let go of is drawn anew each time.
    let mut under_way = 0;
    for threads in [1, 3, 1, 3, 1, 3] {
        let (exchanges, ledger, shed) = run(threads, &crowded);
        under_way += shed.exchanges;
        assert!(exchanges.iter().all(|exchange| exchange.completeness == Completeness::Complete));
        // Each is one of those that come out where nothing is let go of.
        assert!(facts(&exchanges).iter().all(|fact| known.binary_search(fact).is_ok()));
        assert_eq!((ledger.balance(), ledger.input), (0, all), "{ledger:?}");
        assert_eq!(
            (ledger.noted["shed-connections"], ledger.rejected["shed"] >= shed.packets),
            (shed.connections, true)
        );
        // About half of the two thirds that were seen in that time.
        assert!((5..=35).contains(&shed.connections), "{shed:?}");
        assert!(!exchanges.is_empty(), "{shed:?}");
        // Of a connection the first exchanges are kept, without a hole.
        for end in exchanges.iter().map(|exchange| exchange.client) {
            let of_end: Vec<u32> = exchanges
                .iter()
                .filter(|one| one.client == end)
                .map(|one| one.id.ordinal)
                .collect();
            assert_eq!(of_end, (0..of_end.len() as u32).collect::<Vec<_>>(), "{end}");
        }
        // The last third begins when all is well again.
        let last =
            exchanges.iter().filter(|one| one.client.to_string().starts_with("10.0.0.29:")).count();
        assert_eq!(last, connections / 3 * count);
    }
    assert!(under_way > 0, "no exchange was under way where connections were let go of");
}
