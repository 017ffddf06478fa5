//! HTTP: however a conversation is cut into slices the same exchanges come out; where bytes are
//! missing, what comes out as complete is right; no bytes at all make the parser panic or lose
//! count.

use proptest::prelude::*;
use shadowtap::exchange::{Completeness, Exchange};
use shadowtap::flow::Direction::{self, ToClient, ToServer};
use shadowtap::time::Timestamp;
use shadowtap::wire::h1::encode;
use shadowtap::wire::h1::pairing::Pairing;
use shadowtap::wire::h1::parser::{
    Ending, Expect, Keep, Message, MessageSide, Parser, ParserLimits,
};
use shadowtap::wire::{Conversation as _, Origin, PacketMark};

/// One request with its answer, as generated.
#[derive(Clone, Debug)]
struct Turn {
    head: bool,
    request_body: Option<(Vec<u8>, bool)>,
    interim: usize,
    status: u16,
    response_body: (Vec<u8>, bool),
    line_end: &'static str,
}

fn turn() -> impl Strategy<Value = Turn> {
    let body = || proptest::collection::vec(any::<u8>(), 0..60);
    let request_body = proptest::option::of((body(), any::<bool>()));
    let status = prop_oneof![Just(200u16), Just(204), Just(304), Just(404), Just(500)];
    (
        any::<bool>(),
        request_body,
        0..3usize,
        status,
        (body(), any::<bool>()),
        prop_oneof![Just("\r\n"), Just("\n")],
    )
        .prop_map(|(head, request_body, interim, status, response_body, line_end)| Turn {
            head: head && request_body.is_none(),
            request_body,
            interim,
            status,
            response_body,
            line_end,
        })
}

fn framed(out: &mut Vec<u8>, body: &[u8], chunked: bool, end: &str, send: bool) {
    if !chunked {
        out.extend_from_slice(format!("Content-Length: {}{end}{end}", body.len()).as_bytes());
        if send {
            out.extend_from_slice(body);
        }
        return;
    }
    out.extend_from_slice(format!("Transfer-Encoding: chunked{end}{end}").as_bytes());
    if send {
        for chunk in body.chunks(7) {
            out.extend_from_slice(format!("{:x};x=1{end}", chunk.len()).as_bytes());
            out.extend_from_slice(chunk);
            out.extend_from_slice(end.as_bytes());
        }
        out.extend_from_slice(format!("0{end}T: v{end}{end}").as_bytes());
    }
}

impl Turn {
    fn request(&self, number: usize) -> Vec<u8> {
        let end = self.line_end;
        let method = if self.head { "HEAD" } else { "POST" };
        let mut out = format!("{method} /{number} HTTP/1.1{end}Host: h{end}").into_bytes();
        match &self.request_body {
            Some((body, chunked)) => framed(&mut out, body, *chunked, end, true),
            None => out.extend_from_slice(end.as_bytes()),
        }
        out
    }

    fn response(&self) -> Vec<u8> {
        let end = self.line_end;
        let mut out = format!("HTTP/1.1 103 Early Hints{end}Link: a{end}{end}")
            .repeat(self.interim)
            .into_bytes();
        out.extend_from_slice(format!("HTTP/1.1 {} X{end}", self.status).as_bytes());
        framed(&mut out, &self.response_body.0, self.response_body.1, end, self.has_body());
        out
    }

    fn has_body(&self) -> bool {
        !self.head && !matches!(self.status, 204 | 304)
    }

    /// Whether an exchange is this turn, whole.
    fn is(&self, number: usize, exchange: &Exchange) -> bool {
        let (Some(request), Some(response)) = (&exchange.request, &exchange.response) else {
            return false;
        };
        let sent = self.request_body.as_ref().map_or(&[][..], |(body, _)| body);
        let answered: &[u8] = if self.has_body() { &self.response_body.0 } else { &[] };
        request.message.target == format!("/{number}")
            && request.message.body.bytes == sent
            && response.message.status == self.status
            && response.message.body.bytes == answered
    }
}

/// What is given to a pairing: bytes or a hole, in one direction.
type Piece = (Direction, Result<Vec<u8>, u64>);

/// Gives pieces with acknowledgements as a client and a server would send that see everything at
/// once.
fn drive(pieces: &[Piece]) -> Vec<Exchange> {
    let origin = Origin {
        connection: 1,
        client: "10.0.0.1:1".parse().expect("an endpoint"),
        server: "10.0.0.2:2".parse().expect("an endpoint"),
        opened_at: None,
        joined: false,
    };
    let mut pairing = Pairing::new(origin, ParserLimits::default());
    let mut out = Vec::new();
    let mut sent = [0u64; 2];
    for (number, (direction, piece)) in pieces.iter().enumerate() {
        let ack = Some(sent[1 - *direction as usize]);
        let mark = PacketMark {
            at: Timestamp::from_nanos(number as i64),
            packet: number as u64,
            ack,
            cut: false,
        };
        match piece {
            Ok(bytes) => {
                sent[*direction as usize] += bytes.len() as u64;
                pairing.bytes(*direction, bytes, mark, &mut |exchange| out.push(exchange));
            }
            Err(hole) => {
                sent[*direction as usize] += hole;
                pairing.gap(*direction, *hole, mark, &mut |exchange| out.push(exchange));
            }
        }
    }
    pairing.close(ToServer, Ending::Closed, &mut |exchange| out.push(exchange));
    pairing.close(ToClient, Ending::Closed, &mut |exchange| out.push(exchange));
    pairing.finish(&mut |exchange| out.push(exchange));
    out
}

fn cut(bytes: &[u8], sizes: &[usize], direction: Direction) -> Vec<Piece> {
    let (mut rest, mut pieces) = (bytes, Vec::new());
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, more) = rest.split_at((*size).min(rest.len()));
        pieces.push((direction, Ok(piece.to_vec())));
        rest = more;
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// In turn or pipelined, in whatever slices: every turn comes out, whole, in its order.
    #[test]
    fn slices_do_not_show(
        turns in proptest::collection::vec(turn(), 1..6),
        sizes in proptest::collection::vec(1usize..40, 1..8),
        pipelined in any::<bool>()
    ) {
        let mut pieces = Vec::new();
        if pipelined {
            let requests: Vec<u8> =
                turns.iter().enumerate().flat_map(|(number, turn)| turn.request(number)).collect();
            let responses: Vec<u8> = turns.iter().flat_map(Turn::response).collect();
            pieces.extend(cut(&requests, &sizes, ToServer));
            pieces.extend(cut(&responses, &sizes, ToClient));
        } else {
            for (number, turn) in turns.iter().enumerate() {
                pieces.extend(cut(&turn.request(number), &sizes, ToServer));
                pieces.extend(cut(&turn.response(), &sizes, ToClient));
            }
        }
        let exchanges = drive(&pieces);
        prop_assert_eq!(exchanges.len(), turns.len());
        for (number, (turn, exchange)) in turns.iter().zip(&exchanges).enumerate() {
            prop_assert_eq!(exchange.completeness, Completeness::Complete);
            prop_assert!(turn.is(number, exchange), "turn {}: {:?}", number, exchange);
            prop_assert_eq!(exchange.interim.len(), turn.interim);
        }
    }

    /// With a hole anywhere, what comes out as complete is one of the turns, and turns before the
    /// hole are untouched.
    #[test]
    fn a_hole_damages_and_never_invents(
        turns in proptest::collection::vec(turn(), 1..6),
        sizes in proptest::collection::vec(5usize..40, 1..8),
        place in any::<prop::sample::Index>()
    ) {
        let mut pieces = Vec::new();
        let mut of_turn = Vec::new();
        for (number, turn) in turns.iter().enumerate() {
            pieces.extend(cut(&turn.request(number), &sizes, ToServer));
            pieces.extend(cut(&turn.response(), &sizes, ToClient));
            of_turn.resize(pieces.len(), number);
        }
        let hole = place.index(pieces.len());
        if let Ok(bytes) = &pieces[hole].1 {
            pieces[hole].1 = Err(bytes.len() as u64);
        }
        let exchanges = drive(&pieces);
        let mut complete = 0;
        for exchange in
            exchanges.iter().filter(|exchange| exchange.completeness == Completeness::Complete)
        {
            let right = turns.iter().enumerate().any(|(number, turn)| turn.is(number, exchange));
            prop_assert!(right, "an exchange that never was: {:?}\n{:?}", exchange, turns);
            complete += 1;
        }
        prop_assert!(
            complete >= of_turn[hole],
            "{} complete before turn {}",
            complete,
            of_turn[hole]
        );
        // Where only an interim response was lost the exchange is complete, and a mark tells.
        prop_assert!(
            complete < turns.len() || exchanges.iter().any(|exchange| !exchange.marks.is_empty()),
            "the damage shows"
        );
    }

    /// Any bytes in any slices with any holes: no panic, and every byte is accounted for.
    #[test]
    fn any_bytes_are_read(
        pieces in proptest::collection::vec(
            prop_oneof![
                6 => proptest::collection::vec(any::<u8>(), 0..50).prop_map(Ok),
                3 => "(GET|HEAD|CONNECT) /[ -~]{0,9} HTTP/1\\.[01]\r?\n\
                    ([A-Za-z-]{1,9}: \
                    ?[0-9a-z]{0,9}\r?\n){0,3}\r?\n".prop_map(|s| Ok(s.into_bytes())),
                3 => "HTTP/1\\.[01] [1-5][0-9]{2} ?[A-Z]{0,4}\r?\n\
                    ((Content-Length: [0-9]{1,3}|Transfer-Encoding: chunked)\r?\n\
                    )?\r?\n".prop_map(|s| Ok(s.into_bytes())),
                2 => "[0-9a-f]{1,3}\r\n".prop_map(|s| Ok(s.into_bytes())),
                1 => (1u64..200).prop_map(Err),
            ],
            0..20,
        ),
        side in prop_oneof![
            Just(MessageSide::Either),
            Just(MessageSide::Requests),
            Just(MessageSide::Responses)
        ],
        expect in prop_oneof![
            Just(Expect::Head),
            Just(Expect::Connect),
            Just(Expect::Simple),
            Just(Expect::Other)
        ],
        direction in any::<bool>()
    ) {
        let mut parser = Parser::<usize>::new(
            side,
            ParserLimits {
                head_bytes: 200,
                header_fields: 4,
                body_bytes: 30,
                hash_rest: true,
                keep: Keep::Everything,
                strict: false,
            },
        );
        parser.expect(expect);
        let (mut given, mut last) = (0, 0);
        let mut check = |start: u64, end: u64| {
            let ok = start >= last && end >= start;
            last = start;
            ok
        };
        for (number, piece) in pieces.iter().enumerate() {
            let parsed = match piece {
                Ok(bytes) => {
                    given += bytes.len() as u64;
                    let mut rest = &bytes[..];
                    while let Some(parsed) = parser.step(&mut rest, number) {
                        prop_assert!(check(parsed.start, parsed.end));
                    }
                    prop_assert!(rest.is_empty());
                    None
                }
                Err(hole) => {
                    given += hole;
                    parser.gap(*hole, number)
                }
            };
            if let Some(parsed) = parsed {
                prop_assert!(check(parsed.start, parsed.end));
            }
            prop_assert_eq!(parser.position(), given);
        }
        parser.finish(Ending::Cut);
        prop_assert!(parser.skipped() + parser.tunnelled() <= given);
        let ways = if direction { [ToServer, ToClient] } else { [ToClient, ToServer] };
        drive(
            &pieces
                .iter()
                .enumerate()
                .map(|(number, piece)| (ways[number % 2], piece.clone()))
                .collect::<Vec<_>>(),
        );
    }

    /// A request that was read is written to bytes that are read as the same request.
    #[test]
    fn requests_survive_a_round_trip(turn in turn()) {
        let read = |bytes: &[u8]| {
            let mut rest = bytes;
            Parser::<u8>::new(MessageSide::Requests, ParserLimits::default())
                .step(&mut rest, 0)
                .map(|parsed| parsed.message)
        };
        let Some(Message::Request(request)) = read(&turn.request(0)) else {
            return Err(TestCaseError::fail("a request"));
        };
        let mut wire = Vec::new();
        encode::request(&mut wire, &request).unwrap();
        prop_assert_eq!(read(&wire), Some(Message::Request(request)));
    }
}
