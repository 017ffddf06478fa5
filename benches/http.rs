//! Speed of heads, bodies, pairing and writing, on seeded messages; each bench asserts what it
//! made.
//!
//! `cargo bench --bench http` prints the time of a pass and the bytes a second.

use divan::counter::{BytesCount, ItemsCount};
use shadowtap::exchange::Exchange;
use shadowtap::flow::Direction;
use shadowtap::record::exchanges;
use shadowtap::time::Timestamp;
use shadowtap::wire::h1::pairing::Pairing;
use shadowtap::wire::h1::parser::{MessageSide, Parser, ParserLimits};
use shadowtap::wire::{Conversation as _, Origin, PacketMark};

/// Exchanges of one pass.
const EXCHANGES: usize = 2_000;

fn main() {
    divan::main();
}

/// A generator that gives the same numbers in every run (xorshift64*).
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }
}

fn requests() -> Vec<u8> {
    let mut seeded = Seeded(1);
    let mut out = Vec::new();
    for _ in 0..EXCHANGES {
        let (item, session) = (seeded.below(10_000), seeded.below(1 << 40));
        out.extend_from_slice(
            format!(
                "GET /api/items/{item}?page=2 HTTP/1.1\r\nHost: shop.local:8080\r\n\
                 User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
                 Accept: application/json, text/plain, */*\r\n\
                 Accept-Encoding: gzip, deflate, br\r\nCookie: session={session:x}\r\n\
                 X-Request-Id: {session:032x}\r\nConnection: keep-alive\r\n\r\n"
            )
            .as_bytes(),
        );
    }
    out
}

/// Answers of about 2,600 bytes of JSON, by length or in chunks.
fn responses(chunked: bool) -> Vec<u8> {
    let mut seeded = Seeded(2);
    let mut out = Vec::new();
    for _ in 0..EXCHANGES {
        let mut body = String::from("[");
        while body.len() < 2_500 {
            let (id, price) = (seeded.below(100_000), seeded.below(10_000));
            body.push_str(&format!(
                "{{\"id\": {id}, \"name\": \"thing number {id}\", \"price\": {price}, \"tags\": \
                 [\"a\", \"b\"]}},\n"
            ));
        }
        body.push_str("{}]");
        let head = "HTTP/1.1 200 OK\r\nServer: shop/1.0\r\n\
            Date: Sun, 22 Nov 2026 10:00:00 GMT\r\nContent-Type: application/json\r\n";
        out.extend_from_slice(head.as_bytes());
        if chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in body.as_bytes().chunks(1_000) {
                out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                out.extend_from_slice(chunk);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b"0\r\n\r\n");
        } else {
            out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            out.extend_from_slice(body.as_bytes());
        }
    }
    out
}

/// Reads a stream in slices of a segment's size; how many messages came out whole.
fn read(side: MessageSide, stream: &[u8]) -> usize {
    let mut parser = Parser::<u64>::new(side, ParserLimits::default());
    let mut whole = 0;
    for (number, mut slice) in stream.chunks(1_448).enumerate() {
        while let Some(parsed) = parser.step(&mut slice, number as u64) {
            whole += usize::from(parsed.damage.is_none());
        }
    }
    whole
}

#[divan::bench]
fn read_requests(bencher: divan::Bencher<'_, '_>) {
    let stream = requests();
    bencher
        .counter(BytesCount::new(stream.len()))
        .counter(ItemsCount::new(EXCHANGES))
        .bench(|| assert_eq!(read(MessageSide::Requests, divan::black_box(&stream)), EXCHANGES));
}

#[divan::bench(args = [false, true])]
fn read_responses(bencher: divan::Bencher<'_, '_>, chunked: bool) {
    let stream = responses(chunked);
    bencher
        .counter(BytesCount::new(stream.len()))
        .counter(ItemsCount::new(EXCHANGES))
        .bench(|| assert_eq!(read(MessageSide::Responses, divan::black_box(&stream)), EXCHANGES));
}

/// Pairs the streams as packets would bring them: a request, then its answer in segments.
fn pair(requests: &[u8], responses: &[u8], mut out: impl FnMut(Exchange)) {
    let origin = Origin {
        connection: 0,
        client: "10.0.0.1:40000".parse().expect("an endpoint"),
        server: "10.0.0.2:8080".parse().expect("an endpoint"),
        opened_at: Some(Timestamp::default()),
        joined: false,
    };
    let mut pairing = Pairing::new(origin, ParserLimits::default());
    let mut packet = 0;
    let mut answers = responses.chunks(responses.len() / EXCHANGES + 1);
    for request in requests.chunks(requests.len() / EXCHANGES + 1) {
        for (direction, bytes) in
            [(Direction::ToServer, Some(request)), (Direction::ToClient, answers.next())]
        {
            for slice in bytes.unwrap_or_default().chunks(1_448) {
                packet += 1;
                let mark = PacketMark {
                    at: Timestamp::from_nanos(packet as i64 * 1_000),
                    packet,
                    ack: None,
                    cut: false,
                };
                pairing.bytes(direction, slice, mark, &mut out);
            }
        }
    }
    pairing.finish(&mut out);
}

#[divan::bench]
fn pair_exchanges(bencher: divan::Bencher<'_, '_>) {
    let (requests, responses) = (requests(), responses(false));
    bencher
        .counter(BytesCount::new(requests.len() + responses.len()))
        .counter(ItemsCount::new(EXCHANGES))
        .bench(|| {
            let mut count = 0;
            pair(divan::black_box(&requests), &responses, |_| count += 1);
            assert_eq!(count, EXCHANGES);
        });
}

#[divan::bench]
fn write_exchanges(bencher: divan::Bencher<'_, '_>) {
    let mut exchanges = Vec::new();
    pair(&requests(), &responses(false), |exchange| exchanges.push(exchange));
    assert_eq!(exchanges.len(), EXCHANGES);
    let mut out = Vec::new();
    exchanges.iter().for_each(|exchange| exchanges::write(&mut out, exchange));
    let length = out.len();
    bencher.counter(BytesCount::new(length)).counter(ItemsCount::new(EXCHANGES)).bench_local(
        || {
            out.clear();
            exchanges.iter().for_each(|exchange| exchanges::write(&mut out, exchange));
            assert_eq!(out.len(), length);
        },
    );
}
