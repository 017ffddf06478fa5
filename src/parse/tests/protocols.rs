//! HTTP/2, h2c, gRPC, WebSockets and TLS around them: cut anew, shuffled, repeated, joined at every
//! packet, with packets missing. The same exchanges come out, or a named gap, and never a wrong
//! value: what is said to be complete is, what is known of a field is what was sent.

use std::io::Write as _;

use super::scripts::{SPEECHES, Script, Speech, script, sealed, suites};
use super::*;
use crate::exchange::Exchange;
use crate::exchange::SocketMessage;
use crate::flow::Direction;
use crate::message::{Body, HeaderPart, Headers};

/// Packets with their times.
#[derive(Clone)]
struct Heard {
    packets: Vec<(i64, Vec<u8>)>,
    keys: String,
    speech: Speech,
    inside: &'static str,
}

/// What is around a script: nothing, or TLS of one of the suites, with records of any size or of at
/// most so many octets.
#[derive(Clone, Copy, Debug)]
enum Around {
    Nothing,
    Tls(usize, Option<usize>),
}

/// What a connection says, what is around it, and what that makes.
fn spoken(speech: Speech, around: Around, seed: u64) -> (Script, String, &'static str) {
    let script = script(speech, "s", &mut SeededRandom(seed));
    match around {
        Around::Nothing => (script, String::new(), "clear"),
        Around::Tls(suite, most) => {
            let alpn: &[u8] = match speech {
                Speech::Two | Speech::Grpc | Speech::Bootstrapped => b"h2",
                _ => b"http/1.1",
            };
            let (script, keys) = sealed(&script, suites()[suite % 4], alpn, most);
            (script, keys, if suite % 4 < 2 { "1.3" } else { "1.2" })
        }
    }
}

/// The same in packets with at most `most` octets of content.
fn heard(speech: Speech, around: Around, seed: u64, most: usize) -> Heard {
    let (script, keys, inside) = spoken(speech, around, seed);
    Heard { packets: packed(&script, seed, most), keys, speech, inside }
}

fn packed(script: &Script, seed: u64, most: usize) -> Vec<(i64, Vec<u8>)> {
    let mut random = SeededRandom(seed ^ most as u64);
    let mut wire = Wire::new(40_000, [u32::MAX - 3_000, 90_000]);
    for (side, octets) in script {
        wire.say(*side, octets, &mut random, most);
    }
    wire.packet(0, 17, b"");
    wire.packet(1, 17, b"");
    wire.packet(0, 16, b"");
    let packets = wire.packets.into_iter().enumerate();
    packets.map(|(number, packet)| (number as i64 * 1_000_000, packet)).collect()
}

impl Heard {
    fn read(&self) -> (Vec<Exchange>, Ledger) {
        self.read_with(1, 1_000)
    }

    fn read_with(&self, threads: usize, together: usize) -> (Vec<Exchange>, Ledger) {
        let mut keylog = tempfile::NamedTempFile::new().expect("a file");
        keylog.write_all(self.keys.as_bytes()).expect("it can be written");
        let options = ParseOptions {
            threads,
            keylogs: vec![keylog.path().to_owned()],
            ..ParseOptions::default()
        };
        let source = Memory::new(self.packets.clone(), together);
        let render = |exchange: Exchange, _: &mut Vec<u8>| exchange;
        let mut parse = Parse::start(Box::new(source), &options, render);
        let mut exchanges = Vec::new();
        while let Some(output) = parse.next_output().expect("memory can be read") {
            exchanges.extend(output.drain().map(|(name, exchange, _)| name.give(exchange)));
        }
        let ledger = parse.summary().expect("the input is used up").ledger;
        assert_eq!((ledger.balance(), ledger.input), (0, self.packets.len() as u64), "{ledger:?}");
        (exchanges, ledger)
    }

    /// All of it, and that it is what was said.
    fn truth(&self) -> Result<Vec<Exchange>, TestCaseError> {
        let (truth, ledger) = self.read();
        let least = if self.speech.is_socket() { 1 } else { 2 };
        prop_assert!(truth.len() >= least);
        for exchange in &truth {
            prop_assert!(is_whole(exchange), "{:#?} {:?}", exchange, ledger);
        }
        Ok(truth)
    }
}

/// Whether it is complete, but for what a reset of v1 cut short.
fn is_whole(exchange: &Exchange) -> bool {
    let unread = |mark: &String| !mark.contains("reset with") && !mark.contains("upgrade");
    exchange.completeness == Completeness::Complete && !exchange.marks.iter().any(unread)
}

/// What must not depend on how the packets came: no times, no packet numbers.
fn told(exchanges: &[Exchange]) -> Vec<String> {
    let mut told: Vec<String> = exchanges
        .iter()
        .map(|exchange| {
            let request = exchange.request.as_ref().map(|request| {
                let m = &request.message;
                (&m.method, &m.target, m.version, &m.headers, &m.body, &m.trailers, m.framing)
            });
            let response = exchange.response.as_ref().map(|response| {
                let m = &response.message;
                (m.status, m.version, &m.headers, &m.body, &m.trailers, m.framing)
            });
            let interim: Vec<_> = exchange
                .interim
                .iter()
                .map(|one| (one.message.status, &one.message.headers))
                .collect();
            let carriage = exchange.carriage.as_ref();
            let carried = carriage.map(|one| (one.stream, one.pushed_by, &one.tls));
            let messages: Vec<Vec<_>> = [Direction::ToServer, Direction::ToClient]
                .map(|side| messages(exchange, side).map(|one| (one.kind, &one.data)).collect())
                .into();
            format!(
                "{} {} {:?} {:?} {request:?} {response:?} {interim:?} {carried:?} {messages:?}",
                exchange.client, exchange.protocol, exchange.completeness, exchange.marks
            )
        })
        .collect();
    told.sort();
    told
}

fn messages(exchange: &Exchange, side: Direction) -> impl Iterator<Item = &SocketMessage> {
    let all = exchange.carriage.as_ref().map(|carriage| &carriage.messages[..]);
    all.unwrap_or_default().iter().filter(move |message| message.direction == side)
}

/// What tells it from the others of its connection.
fn name_of(exchange: &Exchange) -> String {
    let stream = exchange.carriage.as_ref().and_then(|one| one.stream);
    let answered = exchange.response.as_ref().map(|one| &one.message);
    let asked = exchange.request.as_ref().map(|one| String::from_utf8_lossy(&one.message.target));
    let told = answered.and_then(|answered| answered.headers.get("x-of"));
    match stream {
        Some(stream) => stream.to_string(),
        None => told.map(String::from_utf8_lossy).or(asked).unwrap_or_default().into_owned(),
    }
}

/// Why what was read cannot be what was said; `None` where it is that, or less and tells so.
fn wrong(read: &Exchange, truth: &[Exchange]) -> Option<String> {
    let Some(truth) = truth.iter().find(|one| name_of(one) == name_of(read)) else {
        return Some("no such exchange".to_owned());
    };
    if (read.client, read.server) != (truth.client, truth.server) {
        return Some("the ends are others".to_owned());
    }
    let damaged = |which| read.completeness == which;
    let tells = |what: &str| read.marks.iter().any(|mark| mark.contains(what));
    let (asked, true_asked) = (read.request.as_ref(), truth.request.as_ref());
    let (answered, true_answered) = (read.response.as_ref(), truth.response.as_ref());
    if let Some((read, truth)) = asked.zip(true_asked) {
        let whole = !damaged(Completeness::RequestDamaged);
        if whole && (read.message != truth.message || read.at != truth.at) {
            return Some("the request is another one and said to be whole".to_owned());
        }
        let parts = (&read.message.headers, &read.message.body, &read.message.trailers);
        let true_parts = (&truth.message.headers, &truth.message.body, &truth.message.trailers);
        if let Some(why) = unlike(parts, true_parts) {
            return Some(format!("request: {why}"));
        }
    }
    if let Some(read) = answered {
        let Some(truth) = true_answered else { return Some("there was no answer".to_owned()) };
        let is_same = read.message == truth.message
            && (read.at, read.first_byte_ns, read.last_byte_ns)
                == (truth.at, truth.first_byte_ns, truth.last_byte_ns);
        if damaged(Completeness::Complete) && !is_same {
            return Some("the answer is another one and said to be whole".to_owned());
        }
        if ![0, truth.message.status].contains(&read.message.status) {
            return Some("the status is another one".to_owned());
        }
        let parts = (&read.message.headers, &read.message.body, &read.message.trailers);
        let true_parts = (&truth.message.headers, &truth.message.body, &truth.message.trailers);
        if let Some(why) = unlike(parts, true_parts) {
            return Some(format!("response: {why}"));
        }
    }
    if damaged(Completeness::Complete) && (asked.is_none() || answered.is_none()) {
        return Some("a part of it is missing, and it is said to be whole".to_owned());
    }
    for side in [Direction::ToServer, Direction::ToClient] {
        let said = |one: &SocketMessage| (one.at_ns, one.kind, one.data.clone());
        let mut left = messages(truth, side).map(said);
        let mut skipped = messages(read, side).count() < messages(truth, side).count();
        for message in messages(read, side).map(said) {
            skipped |=
                left.next().is_none_or(|next| next != message && !left.any(|one| one == message));
        }
        if skipped && damaged(Completeness::Complete) && !tells("websocket") {
            return Some("messages are missing, and nothing tells so".to_owned());
        }
    }
    None
}

/// What two messages' fields, contents and trailers disagree about.
fn unlike(
    (headers, body, trailers): (&Headers, &Body, &Headers),
    (true_headers, true_body, true_trailers): (&Headers, &Body, &Headers),
) -> Option<String> {
    let known =
        |part: HeaderPart<'_>, octets: &[u8]| part.identity().is_some() || part.octets() == octets;
    let agree = |read: &Headers, truth: &Headers| {
        let mut fields = read.parts().zip(truth.iter());
        read.len() <= truth.len()
            && fields.all(|((n, v), (name, value))| known(n, name) && known(v, value))
    };
    if !agree(headers, true_headers) {
        return Some(format!("{headers:?} for {true_headers:?}"));
    }
    if !agree(trailers, true_trailers) {
        return Some(format!("trailers {trailers:?} for {true_trailers:?}"));
    }
    if !true_body.bytes.starts_with(&body.bytes) {
        return Some(format!("{body:?} for {true_body:?}"));
    }
    None
}

fn check(read: &[Exchange], truth: &[Exchange], heard: &Heard) -> Result<(), TestCaseError> {
    for exchange in read {
        let wrong = wrong(exchange, truth);
        prop_assert!(
            wrong.is_none(),
            "{:?} in {}: {:?}\n{:#?}",
            heard.speech,
            heard.inside,
            wrong,
            exchange
        );
    }
    Ok(())
}

fn around() -> impl Strategy<Value = Around> {
    let most = prop_oneof![Just(None), (40usize..2_000).prop_map(Some)];
    prop_oneof![
        Just(Around::Nothing),
        (0usize..4, most).prop_map(|(of, most)| Around::Tls(of, most))
    ]
}

fn speech() -> impl Strategy<Value = Speech> {
    prop::sample::select(SPEECHES.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn other_borders_of_segments_change_nothing(
        speech in speech(),
        around in around(),
        seed: u64,
        most in 9usize..1_400,
        threads in 1usize..3,
        together in 1usize..50
    ) {
        let (script, keys, inside) = spoken(speech, around, seed);
        let of = |most| Heard {
            packets: packed(&script, seed, most),
            keys: keys.clone(),
            speech,
            inside,
        };
        let truth = of(60_000).truth()?;
        let (read, ledger) = of(most).read();
        prop_assert_eq!(told(&read), told(&truth));
        let again = of(most).read_with(threads, together);
        prop_assert_eq!(again, (read, ledger));
    }

    #[test]
    fn order_and_repetition_change_nothing(
        speech in speech(),
        around in around(),
        seed: u64,
        most in 60usize..1_400,
        window in 1usize..8
    ) {
        let heard = heard(speech, around, seed, most);
        let truth = heard.truth()?;
        let mut random = SeededRandom(seed);
        let mut moved: Vec<(usize, Vec<u8>)> = Vec::new();
        for (place, (_, packet)) in heard.packets.iter().enumerate() {
            let by = if packet[33] & 2 == 0 { random.below(window + 1) } else { 0 };
            moved.push((place + by, packet.clone()));
            if random.below(9) == 0 {
                moved.push((place + by + random.below(4), packet.clone()));
            }
        }
        moved.sort_by_key(|(place, _)| *place);
        let packets = moved.into_iter().enumerate();
        let packets =
            packets.map(|(place, (_, packet))| (place as i64 * 1_000_000, packet)).collect();
        let (read, _) = Heard { packets, ..heard }.read();
        prop_assert_eq!(told(&read), told(&truth));
    }

    #[test]
    fn what_is_lost_is_named_and_nothing_is_made_up(
        speech in speech(),
        around in around(),
        seed: u64,
        most in 60usize..1_400,
        rate in 8usize..100
    ) {
        let mut heard = heard(speech, around, seed, most);
        let truth = heard.truth()?;
        let mut random = SeededRandom(seed);
        heard.packets.retain(|_| random.below(rate) > 0);
        let (read, ledger) = heard.read();
        check(&read, &truth, &heard)?;
        let whole = read.len() == truth.len() && read.iter().all(is_whole);
        prop_assert!(
            whole
                || ledger.noted.keys().any(|name| name.contains("gap") || name.contains("joined")),
            "{:?}",
            ledger
        );
    }
}

#[test]
fn joined_at_any_packet_nothing_is_made_up() {
    for (number, speech) in SPEECHES.into_iter().enumerate() {
        for around in
            [Around::Nothing, Around::Tls(0, None), Around::Tls(1, Some(300)), Around::Tls(2, None)]
        {
            let heard = heard(speech, around, 7 + number as u64, 500);
            let truth = heard.truth().expect("all of it");
            let mut known = 0;
            for from in 1..heard.packets.len() {
                let rest = Heard { packets: heard.packets[from..].to_vec(), ..heard.clone() };
                let (read, _) = rest.read();
                known += read.len();
                check(&read, &truth, &rest)
                    .unwrap_or_else(|error| panic!("{speech:?} {around:?} from {from}: {error}"));
            }
            // TLS 1.2 and a WebSocket cannot be joined; the others are read from there.
            let is_joined = !speech.is_socket() && !matches!(around, Around::Tls(2, _));
            assert!(!is_joined || known > 20 * truth.len(), "{speech:?} {around:?}: {known}");
        }
    }
}
