//! Segments that fuzzing and hostile captures brought up: what the events must be, held against a
//! record of them.

use super::*;
use crate::capture::overload::Share;
use crate::decode::{Pair, Segment, TcpFlags};

/// Writes down what happens.
#[derive(Default)]
struct Record(Vec<String>);

impl EventStreams for Record {
    type Stream = ();

    fn now(&mut self, _: Mark) {}

    fn open(&mut self, _: &Opened) {}

    fn rank(&mut self, (): &mut (), _: u64) {}

    fn event(&mut self, (): &mut (), event: StreamEvent<'_>) {
        self.0.push(match event {
            StreamEvent::Bytes { direction, payload, .. } => {
                format!("{direction:?} {}", String::from_utf8_lossy(payload))
            }
            StreamEvent::Gap { direction, bytes, .. } => format!("{direction:?} gap {bytes}"),
            StreamEvent::Close { direction, end, .. } => format!("{direction:?} {end:?}"),
        });
    }

    fn held(&self, (): &()) -> usize {
        0
    }

    fn shed(&mut self, (): &mut ()) {}

    fn wants(&self, (): &(), _: Direction) -> bool {
        true
    }

    fn finish(&mut self, (): ()) -> FinishedConnection {
        FinishedConnection { protocol: "test", used: true, ..FinishedConnection::default() }
    }

    fn abandon(&mut self, (): ()) -> (FinishedConnection, u64) {
        self.0.push("let go".to_owned());
        (FinishedConnection { protocol: "test", ..FinishedConnection::default() }, 1)
    }
}

fn segment(
    number: u64,
    client_port: u16,
    from_client: bool,
    seq: u32,
    ack: u32,
    flags: u8,
    payload: &str,
) -> Segment {
    let end = |address: [u8; 4], port| Endpoint { address: address.into(), port };
    let (client, server) = (end([10, 0, 0, 9], client_port), end([10, 0, 0, 1], 80));
    let (source, target) = if from_client { (client, server) } else { (server, client) };
    let (pair, from_low) = Pair::new(source, target);
    Segment {
        number,
        at: Timestamp::from_nanos(number as i64),
        pair,
        from_low,
        network: 0,
        hash: client_port.into(),
        seq,
        ack,
        flags: TcpFlags(flags),
        fingerprint: number as u32,
        identified: true,
        block: 0,
        start: 0,
        captured: payload.len() as u32,
        length: payload.len() as u32,
    }
}

/// Gives segments of one connection: from the client or not, offset in its stream, acknowledged
/// offset, flags, payload.
fn events(segments: &[(bool, u32, u32, u8, &str)]) -> (Vec<String>, crate::ledger::Ledger) {
    let mut table = ConnectionTable::new(Record::default(), TableLimits::share(1), Vec::new());
    let handshake = [(true, u32::MAX, 0, 2, ""), (false, u32::MAX, 0, 18, "")];
    for (number, &(from_client, at, ack, flags, payload)) in
        (1..).zip(handshake.iter().chain(segments))
    {
        table.segment(
            &segment(number, 40_000, from_client, at, ack, flags, payload),
            payload.as_bytes(),
        );
    }
    table.finish();
    let ledger = table.ledger();
    (std::mem::take(&mut table.streams().0), ledger)
}

#[test]
fn nothing_comes_behind_a_fin_also_where_it_was_held_before() {
    let (events, ledger) = events(&[
        (true, 10, 0, 16, "behind"),
        (true, 0, 0, 17, "last"),
        (true, 4, 0, 16, "late"),
        (false, 0, 5, 17, ""),
    ]);
    assert_eq!(events[..2], ["ToServer last", "ToServer Fin"], "{events:?}");
    assert!(!events[2..].iter().any(|event| event.starts_with("ToServer")), "{events:?}");
    assert_eq!(
        (ledger.noted["tcp-bytes-behind-a-fin"], ledger.noted.get("tcp-gaps")),
        (6, None),
        "{ledger:?}"
    );
}

#[test]
fn a_side_that_has_closed_without_a_byte_begins_no_more() {
    let (syn_ack, fin) = (18, 17);
    for again in [
        vec![(false, 5_000, 3, syn_ack, "")],
        vec![(false, 5_000, 3, syn_ack, ""), (false, 5_001, 3, fin, "")],
    ] {
        let begin = [(true, 0, 0, 24, "ask"), (false, 0, 3, fin, "")];
        let (events, ledger) = events(&[&begin[..], &again].concat());
        let of_server = events.iter().filter(|event| event.starts_with("ToClient"));
        assert_eq!(of_server.collect::<Vec<_>>(), ["ToClient Fin"], "{again:?} {events:?}");
        assert_eq!(ledger.balance(), 0, "{again:?}");
    }
    // An answer to the SYN that was not the right one is told of as before.
    let second = [(false, 5_000, 0, syn_ack, ""), (true, 0, 5_001, 24, "ask")];
    let (events, _) = events(&[&second[..], &[(false, 5_001, 3, 24, "answer")]].concat());
    assert!(events.contains(&"ToClient answer".to_owned()), "{events:?}");
}

#[test]
fn bytes_from_before_a_fin_at_which_the_capture_joined_come_before_its_close() {
    let mut table = ConnectionTable::new(Record::default(), TableLimits::share(1), Vec::new());
    let packets = [(true, 3_000, 17, ""), (false, 50, 24, "answer"), (true, 2_000, 24, "before")];
    for (number, (from_client, seq, flags, payload)) in (1..).zip(packets) {
        let ack = if from_client { 50 } else { 3_001 };
        table.segment(
            &segment(number, 40_000, from_client, seq, ack, flags, payload),
            payload.as_bytes(),
        );
    }
    table.finish();
    let events = table.streams().0.iter().filter(|event| event.starts_with("ToServer"));
    let events: Vec<_> = events.map(String::as_str).collect();
    assert_eq!(events[..2], ["ToServer before", "ToServer gap 994"], "{events:?}");
    assert_eq!(events.len(), 3, "then the close: {events:?}");
}

#[test]
fn a_payload_that_was_cut_away_whole_is_a_gap_and_no_bytes() {
    let mut table = ConnectionTable::new(Record::default(), TableLimits::share(1), Vec::new());
    table.segment(&segment(1, 40_000, true, u32::MAX, 0, 2, ""), b"");
    table.segment(&Segment { length: 100, ..segment(2, 40_000, true, 0, 0, 24, "") }, b"");
    table.finish();
    assert_eq!(table.streams().0[0], "ToServer gap 100");
    assert_eq!(table.ledger().noted["tcp-bytes-cut-by-the-snap-length"], 100);
}

#[test]
fn an_acknowledgement_of_bytes_behind_a_fin_makes_no_gap_there() {
    let (events, ledger) =
        events(&[(true, 0, 0, 17, "last"), (false, 0, 900, 16, "answer"), (false, 6, 5, 17, "")]);
    assert_eq!(events, ["ToServer last", "ToServer Fin", "ToClient answer", "ToClient Fin"]);
    assert_eq!(ledger.noted.get("tcp-gaps"), None, "{ledger:?}");
}

#[test]
fn the_first_copy_of_a_byte_wins_and_a_differing_one_is_counted_while_the_first_is_held() {
    let (events, ledger) =
        events(&[(true, 3, 0, 16, "DEF"), (true, 2, 0, 16, "xxxx"), (true, 0, 0, 16, "abyyy")]);
    let bytes: String = events
        .iter()
        .filter_map(|event| event.strip_prefix("ToServer "))
        .take_while(|e| !e.starts_with("Cap"))
        .collect();
    assert_eq!(bytes, "abxDEF", "{events:?}");
    assert!(ledger.noted["tcp-retransmissions-that-differ"] > 0, "{ledger:?}");
}

#[test]
fn half_open_connections_hit_their_number_and_cost_the_others_nothing() {
    let limits = TableLimits { connections: 50, ..TableLimits::share(1) };
    let mut table = ConnectionTable::new(Record::default(), limits, Vec::new());
    let mut number = 0;
    let mut give =
        |table: &mut ConnectionTable<Record>, port, from_client, seq, ack, flags, payload: &str| {
            number += 1;
            table.segment(
                &segment(number, port, from_client, seq, ack, flags, payload),
                payload.as_bytes(),
            );
        };
    give(&mut table, 1, true, u32::MAX, 0, 2, "");
    give(&mut table, 1, false, u32::MAX, 0, 18, "");
    for port in 1_000..11_000 {
        give(&mut table, port, true, 7, 0, 2, "");
        if port % 20 == 0 {
            // The real one speaks now and then.
            give(&mut table, 1, true, u32::from(port - 1_000) / 20, 0, 16, "x");
        }
    }
    table.finish();
    let ledger = table.ledger();
    assert_eq!((ledger.balance(), ledger.input), (0, 10_502), "{ledger:?}");
    assert_eq!(ledger.noted["connections-evicted-by-number"], 10_001 - 50, "{ledger:?}");
    assert_eq!(table.streams().0.iter().filter(|event| *event == "ToServer x").count(), 500);
    assert!(!table.streams().0.iter().any(|event| event.contains("gap")));
}

/// A table that lets go of half of the connections: in these segments the hash is the port, shifted
/// to where a share looks.
#[test]
fn a_connection_that_was_let_go_of_is_counted_until_another_one_takes_its_ends() {
    let mut table = ConnectionTable::new(Record::default(), TableLimits::share(1), Vec::new());
    let with_hash = |mut segment: Segment| {
        segment.hash = 7 << 40;
        segment
    };
    let mut number = 0;
    let mut give =
        |table: &mut ConnectionTable<Record>, from_client, seq, ack, flags: u8, payload: &str| {
            number += 1;
            table.segment(
                &with_hash(segment(number, 40_000, from_client, seq, ack, flags, payload)),
                payload.as_bytes(),
            );
        };
    give(&mut table, true, 0, 0, TcpFlags::SYN.0, "");
    give(&mut table, false, 0, 1, TcpFlags::SYN.0 | TcpFlags::ACK.0, "");
    give(&mut table, true, 1, 1, TcpFlags::ACK.0, "first");
    // Held, as bytes before it are missing.
    give(&mut table, true, 60, 1, TcpFlags::ACK.0, "late");
    assert!(table.held() > 0);
    table.shed_share(Share::of(128));
    give(&mut table, true, 6, 1, TcpFlags::ACK.0, "unseen");
    assert_eq!(table.held(), 0, "what it held is free");
    // It stays so when the share sinks, and far behind where it was, until both ends have closed.
    table.shed_share(Share::NONE);
    give(&mut table, true, 500_000_000, 1, TcpFlags::ACK.0, "unseen");
    give(&mut table, true, 500_000_006, 1, TcpFlags::ACK.0 | TcpFlags::FIN.0, "");
    give(&mut table, false, 1, 500_000_007, TcpFlags::ACK.0 | TcpFlags::FIN.0, "");
    give(&mut table, true, 500_000_007, 2, TcpFlags::ACK.0, "");
    assert_eq!(table.streams().0, ["ToServer first", "let go"]);
    assert_eq!(table.shed_so_far(), Shed { connections: 1, packets: 5, exchanges: 1 });
    // The ends meet again.
    give(&mut table, true, 9_000, 0, TcpFlags::SYN.0, "");
    give(&mut table, true, 9_001, 0, TcpFlags::ACK.0, "again");
    table.finish();
    let told = &table.streams().0;
    assert_eq!(told[2], "ToServer again", "{told:?}");
    let ledger = table.ledger();
    assert_eq!(
        (ledger.input, ledger.balance(), ledger.rejected["shed"], ledger.used),
        (11, 0, 9, 2),
        "{ledger:?}"
    );
    assert_eq!(ledger.noted["shed-connections"], 1);
}

/// What is handed on of raw segments: from the client or not, sequence number, acknowledged one,
/// flags, payload.
fn told(segments: &[(bool, u32, u32, u8, &str)]) -> Vec<String> {
    let mut table = ConnectionTable::new(Record::default(), TableLimits::share(1), Vec::new());
    for (number, &(from_client, seq, ack, flags, payload)) in (1..).zip(segments) {
        table.segment(
            &segment(number, 40_000, from_client, seq, ack, flags, payload),
            payload.as_bytes(),
        );
    }
    table.finish();
    let ledger = table.ledger();
    assert_eq!((ledger.balance(), ledger.input), (0, segments.len() as u64), "{ledger:?}");
    std::mem::take(&mut table.streams().0)
}

const SYN: u8 = 2;
const ANSWER: u8 = 18;
const ACK: u8 = 16;
const BOTH_WAYS: [&str; 4] = ["ToServer ask", "ToClient tell", "ToServer more", "ToClient rest"];

/// A conversation under these first numbers, both ends' bytes in two pieces.
fn talk(client: u32, server: u32) -> [(bool, u32, u32, u8, &'static str); 4] {
    [
        (true, client, server, ACK, "ask"),
        (false, server, client + 3, ACK, "tell"),
        (true, client + 3, server + 4, ACK, "more"),
        (false, server + 4, client + 7, ACK, "rest"),
    ]
}

#[test]
fn of_several_answers_to_a_syn_the_acknowledged_one_counts() {
    let numbers = [7_000, 3_000_000_000, 7_100, 4_294_000_000];
    for (chosen, order) in (0..4).flat_map(|chosen| (0..4).map(move |turn| (numbers[chosen], turn)))
    {
        let mut segments = vec![(true, 99, 0, SYN, ""), (true, 99, 0, SYN, "")];
        for n in 0..4 {
            segments.push((false, numbers[(n + order) % 4] - 1, 100, ANSWER, ""));
        }
        segments.extend(talk(100, chosen));
        assert_eq!(told(&segments)[..4], BOTH_WAYS, "{chosen} of {order}");
        // The answer is captured before anything that acknowledges the number under it.
        let ask = segments.len() - 4;
        segments.swap(ask, ask + 1);
        assert_eq!(told(&segments)[..4], BOTH_WAYS, "{chosen} of {order}, disordered");
    }
}

#[test]
fn an_answer_to_a_syn_that_comes_behind_bytes_is_a_stray() {
    for stray in [(false, 500, 100, ANSWER, ""), (false, 500, 103, ANSWER, "")] {
        for place in 3..=6 {
            let mut segments = vec![(true, 99, 0, SYN, ""), (false, 6_999, 100, ANSWER, "")];
            segments.extend(talk(100, 7_000));
            segments.insert(place, stray);
            assert_eq!(told(&segments)[..4], BOTH_WAYS, "at {place}");
        }
    }
}

#[test]
fn a_stray_syn_ends_no_connection_and_a_proved_one_does() {
    let handshake = |client: u32, server: u32| {
        [(true, client - 1, 0, SYN, ""), (false, server - 1, client, ANSWER, "")]
    };
    let one = [&handshake(100, 7_000)[..], &talk(100, 7_000)].concat();
    for place in 2..=6 {
        for (strays, name) in [
            (vec![(true, 3_000_000_000, 0, SYN, "")], "alone"),
            (vec![(true, 3_000_000_000, 0, SYN, ""), (true, 3_000_000_000, 0, SYN, "")], "twice"),
            (vec![(true, 3_000_000_000, 0, SYN, ""), (true, 1_000_000, 0, SYN, "")], "two"),
            (vec![(true, 3_000_000_000, 0, SYN, ""), (false, 0, 3_000_000_001, 20, "")], "refused"),
            (vec![(true, 3_000_000_000, 0, SYN, ""), (false, 7_000, 100, ACK, "")], "challenged"),
        ] {
            let segments = [&one[..place], &strays, &one[place..]].concat();
            assert_eq!(told(&segments)[..4], BOTH_WAYS, "{name} at {place}");
        }
    }
    for proof in [&handshake(3_000_000_000, 9_000)[..], &handshake(3_000_000_000, 9_000)[..1]] {
        let two = [&one[..], proof, &talk(3_000_000_000, 9_000)].concat();
        let told = told(&two);
        assert_eq!(told[..4], BOTH_WAYS);
        assert_eq!(told[4..6], ["ToClient Replaced", "ToServer Replaced"], "{told:?}");
        assert_eq!(told[6..10], BOTH_WAYS);
    }
}

#[test]
fn a_handshake_that_is_tried_again_under_another_number_is_read() {
    for answers in [vec![300], vec![200, 300], vec![300, 200]] {
        let mut segments = vec![(true, 199, 0, SYN, ""), (true, 299, 0, SYN, "")];
        for (client, n) in answers.into_iter().zip(0..) {
            segments.push((false, 6_999 + n, client, ANSWER, ""));
            if client == 300 {
                segments.extend(talk(300, 7_000 + n));
            }
        }
        let told = told(&segments);
        let bytes = told.iter().filter(|event| BOTH_WAYS.contains(&event.as_str()));
        assert_eq!(bytes.count(), 4, "{told:?}");
    }
}
