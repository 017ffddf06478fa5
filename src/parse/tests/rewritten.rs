//! Connections that are seen under several addresses: each exchange comes out once, and what is not
//! the same connection stays apart.

use super::*;
use crate::exchange::Exchange;
use crate::flow::Endpoint;

fn end(text: &str) -> Endpoint {
    text.parse().expect("an endpoint")
}

/// A segment of a conversation, before it has addresses.
#[derive(Clone)]
struct SaidSegment {
    at: i64,
    from_client: bool,
    seq: u32,
    ack: u32,
    flags: u8,
    ident: u16,
    payload: Vec<u8>,
}

impl SaidSegment {
    fn packet(&self, client: Endpoint, server: Endpoint) -> Vec<u8> {
        let (from, to) = if self.from_client { (client, server) } else { (server, client) };
        let address = |end: Endpoint| match end.address {
            std::net::IpAddr::V4(address) => address.octets(),
            std::net::IpAddr::V6(_) => unreachable!("these tests have none"),
        };
        let mut packet = vec![0x45, 0];
        packet.extend((40 + self.payload.len() as u16).to_be_bytes());
        packet.extend(self.ident.to_be_bytes());
        packet.extend([0x40, 0, 64, 6, 0, 0]);
        packet.extend(address(from));
        packet.extend(address(to));
        packet.extend(from.port.to_be_bytes());
        packet.extend(to.port.to_be_bytes());
        packet.extend(self.seq.to_be_bytes());
        packet.extend(self.ack.to_be_bytes());
        packet.extend([0x50, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        packet.extend(&self.payload);
        packet
    }
}

/// A conversation of these requests with answers, from a time on, under these first numbers.
fn conversation(start: i64, isn: [u32; 2], requests: &[String]) -> Vec<SaidSegment> {
    let (mut seq, mut at, mut ident, mut said) = (isn, start, 7, Vec::new());
    let mut say = |from: usize, flags: u8, payload: &[u8]| {
        (at, ident) = (at + 1_000_000, ident + 1);
        let ack = if flags & 16 == 0 { 0 } else { seq[1 - from] };
        let (from_client, payload) = (from == 0, payload.to_vec());
        said.push(SaidSegment { at, from_client, seq: seq[from], ack, flags, ident, payload });
        let length = said[said.len() - 1].payload.len() as u32;
        seq[from] = seq[from].wrapping_add(length + u32::from(flags & 3 != 0));
    };
    say(0, 2, b"");
    say(1, 18, b"");
    say(0, 16, b"");
    for (n, request) in requests.iter().enumerate() {
        let head = format!("POST {request} HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\n");
        say(0, 24, head.as_bytes());
        say(0, 24, b"amount");
        say(1, 16, b"");
        let body = format!("answer {n}");
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        say(1, 24, head.as_bytes());
        say(1, 24, body.as_bytes());
        say(0, 16, b"");
    }
    say(0, 17, b"");
    say(1, 17, b"");
    say(0, 16, b"");
    said
}

fn requests(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("/{name}/{n}")).collect()
}

/// Which packets of a conversation were seen under which addresses, how much later.
type SeenPackets<'a> = (&'a str, &'a str, i64, fn(&SaidSegment) -> bool);

const ALL: fn(&SaidSegment) -> bool = |_| true;

fn captured(said: &[SaidSegment], seen: &[SeenPackets<'_>]) -> Vec<(i64, Vec<u8>)> {
    let mut packets = Vec::new();
    for &(client, server, later, which) in seen {
        let under = said.iter().filter(|said| which(said));
        let packet = |said: &SaidSegment| (said.at + later, said.packet(end(client), end(server)));
        packets.extend(under.map(packet));
    }
    packets
}

fn read(mut packets: Vec<(i64, Vec<u8>)>, ports: &[u16]) -> (Vec<Exchange>, Ledger) {
    packets.sort_by_key(|(at, _)| *at);
    let read = |threads, together| {
        let source = Memory::new(packets.clone(), together);
        let options = ParseOptions { threads, ports: ports.to_vec(), ..ParseOptions::default() };
        let render = |exchange: Exchange, _: &mut Vec<u8>| exchange;
        let mut parse = Parse::start(Box::new(source), &options, render);
        let mut exchanges = Vec::new();
        while let Some(output) = parse.next_output().expect("memory can be read") {
            exchanges.extend(output.drain().map(|(name, exchange, _)| name.give(exchange)));
        }
        (exchanges, parse.summary().expect("the input is used up").ledger)
    };
    let alone = read(1, 1 << 20);
    assert_eq!(alone.1.balance(), 0, "{:?}", alone.1);
    for (threads, together) in [(2, 1 << 20), (1, 3), (2, 1)] {
        let again = read(threads, together);
        assert!(again == alone, "{threads} threads, {together} packets at a time");
    }
    alone
}

fn complete(exchanges: &[Exchange]) -> usize {
    let whole = |exchange: &&Exchange| exchange.completeness == Completeness::Complete;
    exchanges.iter().filter(whole).count()
}

#[test]
fn a_connection_that_is_seen_twice_comes_out_once() {
    for (name, seen) in [
        (
            "a service",
            vec![
                ("10.2.2.7:41000", "10.96.0.10:80", 0, ALL),
                ("10.2.2.7:41000", "10.2.1.5:8080", 4_000, ALL),
            ],
        ),
        (
            "a published port",
            vec![
                ("192.168.5.7:41000", "192.168.1.2:30080", 0, ALL),
                ("10.0.0.1:51000", "10.2.1.5:8080", 90_000, ALL),
            ],
        ),
        (
            "a gateway",
            vec![
                ("10.2.2.7:41000", "10.2.1.5:8080", 0, ALL),
                ("10.0.0.1:51000", "10.2.1.5:8080", 700_000, ALL),
            ],
        ),
        (
            "a redirect",
            vec![
                ("10.2.2.7:41000", "10.2.1.5:8080", 0, ALL),
                ("10.2.2.7:41000", "10.2.1.5:15006", 2_000, ALL),
            ],
        ),
        (
            "the copy first on the way back",
            vec![
                ("10.2.2.7:41000", "10.96.0.10:80", 0, |said| said.from_client),
                ("10.2.2.7:41000", "10.96.0.10:80", 9_000, |said| !said.from_client),
                ("10.2.2.7:41000", "10.2.1.5:8080", 4_000, ALL),
            ],
        ),
        (
            "three times",
            vec![
                ("10.2.2.7:41000", "10.96.0.10:80", 0, ALL),
                ("10.2.2.7:41000", "10.2.1.5:8080", 4_000, ALL),
                ("10.9.9.9:999", "10.2.1.5:8080", 8_000, ALL),
            ],
        ),
        (
            "two nodes",
            vec![
                ("10.2.2.7:41000", "10.96.0.10:80", 0, ALL),
                ("10.2.2.7:41000", "10.2.1.5:8080", 60_000_000, ALL),
            ],
        ),
    ] {
        let mut packets = Vec::new();
        for connection in 0..3u32 {
            let isn = [3_000_000_000 + connection * 77_777, 1_234_567_890 + connection * 55_555];
            let said = conversation(i64::from(connection) * 500_000, isn, &requests(name, 3));
            let port = |text: &str| {
                let mut end = end(text);
                end.port += connection as u16 * u16::from(end.port > 40_000);
                end.to_string()
            };
            let ends: Vec<_> = seen.iter().map(|seen| (port(seen.0), port(seen.1))).collect();
            let seen: Vec<SeenPackets<'_>> = seen
                .iter()
                .zip(&ends)
                .map(|(seen, (client, server))| (client.as_str(), server.as_str(), seen.2, seen.3))
                .collect();
            packets.extend(captured(&said, &seen));
        }
        let (exchanges, ledger) = read(packets.clone(), &[]);
        assert_eq!((exchanges.len(), complete(&exchanges)), (9, 9), "{name}: {ledger:?}");
        assert!(ledger.noted["connections-seen-again-under-other-addresses"] >= 3, "{name}");
        // No server is forgotten, as a replay must reach none of them.
        let told = exchanges.iter().map(|exchange| exchange.server);
        let mut known: Vec<Endpoint> = told.chain(ledger.also_at.iter().copied()).collect();
        known.sort();
        known.dedup();
        let mut servers: Vec<Endpoint> = seen.iter().map(|seen| end(seen.1)).collect();
        servers.sort();
        servers.dedup();
        assert_eq!(known, servers, "{name}");
        // The one whose port was asked for is told, whichever came first.
        for (_, server, ..) in &seen {
            let port = end(server).port;
            let (exchanges, ledger) = read(packets.clone(), &[port]);
            assert_eq!(complete(&exchanges), 9, "{name}, port {port}: {ledger:?}");
            assert_eq!(exchanges.len(), 9, "{name}, port {port}: {ledger:?}");
            assert!(exchanges.iter().all(|exchange| exchange.server.port == port), "{name}");
        }
    }
}

#[test]
fn a_capture_that_begins_in_the_middle_has_each_exchange_once() {
    let said = conversation(0, [3_000_000_000, 1_234_567_890], &requests("middle", 6));
    let seen: [SeenPackets<'_>; 2] = [
        ("10.2.2.7:41000", "10.96.0.10:80", 0, ALL),
        ("10.2.2.7:41000", "10.2.1.5:8080", 4_000, ALL),
    ];
    for skip in 0..20 {
        let mut packets = captured(&said, &seen);
        packets.sort_by_key(|(at, _)| *at);
        let (exchanges, ledger) = read(packets.split_off(skip), &[]);
        // At the edge one copy may begin a message earlier than the other.
        let whole = complete(&exchanges);
        assert!(whole >= 4 && exchanges.len() <= whole + 2, "{skip}: {ledger:?}");
        let mut targets: Vec<_> = exchanges
            .iter()
            .filter_map(|exchange| Some(exchange.request.as_ref()?.message.target.clone()))
            .collect();
        targets.sort();
        let told = targets.len();
        targets.dedup();
        assert!(told <= targets.len() + 1, "{skip}: {told} of {}", targets.len());
    }
}

#[test]
fn halves_under_different_addresses_are_joined() {
    let to_server: fn(&SaidSegment) -> bool = |said| said.from_client;
    let to_client: fn(&SaidSegment) -> bool = |said| !said.from_client;
    for (name, client, server) in [
        ("a redirect", "10.2.2.7:41000", "10.96.0.10:80"),
        ("a direct return", "10.2.2.7:41000", "10.2.1.5:8080"),
        ("all rewritten", "10.0.0.1:51000", "10.2.1.5:8080"),
        ("a gateway", "10.0.0.1:51000", "127.0.0.1:15001"),
    ] {
        let said = conversation(0, [3_000_000_000, 1_234_567_890], &requests(name, 3));
        let seen: [SeenPackets<'_>; 2] = [
            ("10.2.2.7:41000", "127.0.0.1:15001", 0, to_server),
            (client, server, 3_000, to_client),
        ];
        // From the start, and from behind the handshake.
        for skip in [0, 3] {
            let (exchanges, ledger) = read(captured(&said[skip..], &seen), &[]);
            assert_eq!((exchanges.len(), complete(&exchanges)), (3, 3), "{name}: {ledger:?}");
            assert_eq!(ledger.noted["connections-joined-from-halves"], 1, "{name}");
            assert_eq!(exchanges[0].client, end("10.2.2.7:41000"), "{name}");
            assert_eq!(exchanges[0].server, end("127.0.0.1:15001"), "{name}");
        }
    }
}

#[test]
fn ports_that_are_used_again_stand_for_another_connection() {
    // A gateway gives the same port to another client, and a client meets another pod.
    let isn = |n: u32| [2_000_000_000 + n * 7_777_777, 1_500_000_000 + n * 5_555_555];
    let mut packets = Vec::new();
    for n in 0..4u32 {
        let said = conversation(i64::from(n) * 1_000_000_000, isn(n), &requests("again", 2));
        let client = format!("10.2.2.{n}:41000");
        packets.extend(captured(
            &said,
            &[(&client, "10.96.0.10:80", 0, ALL), ("10.0.0.1:51000", "10.2.1.5:8080", 5_000, ALL)],
        ));
    }
    let (exchanges, ledger) = read(packets, &[]);
    assert_eq!((exchanges.len(), complete(&exchanges)), (8, 8), "{ledger:?}");
    let clients: std::collections::BTreeSet<_> =
        exchanges.iter().map(|exchange| exchange.client.to_string()).collect();
    assert_eq!(clients.len(), 4, "{clients:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Connections of equal content at nearly one time, some of which share numbers with another:
    /// none is taken for another one's copy or half.
    #[test]
    fn connections_of_equal_content_stay_apart(
        isns in prop::collection::vec((0u32..4, 0u32..4), 2..6),
        made in any::<bool>(),
        apart in 3_000_000i64..20_000_000,
        one_sided in any::<bool>(),
        clients in any::<bool>()
    ) {
        let equal = requests("equal", 2);
        let mut packets = Vec::new();
        for (n, (client, server)) in (0..).zip(&isns) {
            // Drawn anew, or of a generator that gives the same ones to all.
            let isn = match made {
                true => [1_000, 5_000],
                false => [
                    1_000_000_000 + client * 123_456_789 + n as u32,
                    900_000_000 + server * 98_765_432 + n as u32,
                ],
            };
            let said = conversation(n * apart, isn, &equal);
            let address = if clients {
                format!("10.1.1.{n}:41000")
            } else {
                format!("10.1.1.1:{}", 41_000 + n)
            };
            let which: fn(&SaidSegment) -> bool = match (one_sided, n % 2) {
                (false, _) => ALL,
                (true, 0) => |said| said.from_client,
                (true, _) => |said| !said.from_client,
            };
            packets.extend(captured(&said, &[(&address, "10.1.1.9:8080", 0, which)]));
        }
        let (exchanges, ledger) = read(packets, &[]);
        prop_assert_eq!(exchanges.len(), 2 * isns.len(), "{:?}", ledger);
        prop_assert!(
            !ledger.noted.keys().any(|name| name.contains("halves") || name.contains("again"))
        );
    }
}
