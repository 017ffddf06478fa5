//! From a capture to exchanges, stage by stage and with one and two threads, over seeded traffic of
//! several shapes. Every run checks its counts. `cargo bench --bench parse`

#[path = "support/traffic.rs"]
mod traffic;

use std::io::Cursor;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

use shadowtap::capture::file::{self, Input};
use shadowtap::capture::merge::CaptureMerge;
use shadowtap::capture::{Batch, PacketSource};
use shadowtap::decode::{Decoded, HashKey, decode};
use shadowtap::exchange::{Completeness, Exchange};
use shadowtap::parse::{Parse, ParseOptions};
use shadowtap::record::exchanges;
use traffic::{Made, Traffic};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

const SHAPES: [&str; 5] = ["plain", "large-bodies", "many-connections", "disorder", "tunnelled"];

fn shape(name: &str) -> (Traffic, Made, Vec<u8>) {
    let plain = Traffic { exchanges: 10_000, ..Traffic::default() };
    let traffic = match name {
        "large-bodies" => Traffic { exchanges: 100, body: 250_000, ..plain },
        "many-connections" => Traffic { per_connection: 1, open: 5_000, ..plain },
        "disorder" => Traffic { disorder: 16, ..plain },
        "tunnelled" => Traffic { tunnelled: true, ..plain },
        _ => plain,
    };
    let mut capture = Vec::new();
    let made = traffic.write(&mut capture).expect("memory can be written");
    assert_eq!(made.bytes, capture.len() as u64, "the generator's count of bytes");
    (traffic, made, capture)
}

fn source(capture: Vec<u8>) -> CaptureMerge {
    match file::from_reader("memory", Box::new(Cursor::new(capture)), None) {
        Ok(Input::Packets(file)) => CaptureMerge::new(vec![(file, 0)]),
        _ => panic!("the generator makes captures"),
    }
}

#[divan::bench]
fn read(bencher: Bencher) {
    let (_, made, capture) = shape("plain");
    bencher
        .counter(BytesCount::new(capture.len()))
        .counter(ItemsCount::new(made.packets))
        .with_inputs(|| source(capture.clone()))
        .bench_local_values(|mut source| {
            let (mut batch, mut packets) = (Batch::default(), 0);
            while source.fill(&mut batch).expect("memory can be read") {
                packets += batch.frames.len() as u64;
            }
            assert_eq!(packets, made.packets);
        });
}

#[divan::bench(args = ["plain", "tunnelled"])]
fn decoded(bencher: Bencher, name: &str) {
    let (_, made, capture) = shape(name);
    let key = HashKey::default();
    bencher
        .counter(BytesCount::new(capture.len()))
        .counter(ItemsCount::new(made.packets))
        .with_inputs(|| source(capture.clone()))
        .bench_local_values(|mut source| {
            let (mut batch, mut segments) = (Batch::default(), 0);
            while source.fill(&mut batch).expect("memory can be read") {
                let decoded = (batch.first..)
                    .zip(&batch.frames)
                    .map(|(number, frame)| decode(frame, batch.bytes(frame), number, key));
                segments += decoded
                    .filter(|decoded| matches!(decoded, Ok(Decoded::Segment(_))))
                    .count() as u64;
            }
            assert_eq!(segments, made.packets);
        });
}

/// Reassembled and paired, nothing written.
#[divan::bench(args = SHAPES)]
fn paired(bencher: Bencher, name: &str) {
    whole(bencher, name, 1, |exchange, _| {
        usize::from(exchange.completeness == Completeness::Complete)
    });
}

/// All the way to JSON.
#[divan::bench(args = SHAPES)]
fn one_thread(bencher: Bencher, name: &str) {
    whole(bencher, name, 1, line);
}

/// All the way to JSON.
#[divan::bench(args = SHAPES)]
fn two_threads(bencher: Bencher, name: &str) {
    whole(bencher, name, 2, line);
}

fn line(exchange: Exchange, text: &mut Vec<u8>) -> usize {
    exchanges::write_rest(text, &exchange);
    usize::from(exchange.completeness == Completeness::Complete)
}

fn whole(
    bencher: Bencher,
    name: &str,
    threads: usize,
    render: fn(Exchange, &mut Vec<u8>) -> usize,
) {
    let (traffic, _, capture) = shape(name);
    let options = ParseOptions { threads, ..ParseOptions::default() };
    bencher
        .counter(BytesCount::new(capture.len()))
        .counter(ItemsCount::new(traffic.exchanges))
        .with_inputs(|| source(capture.clone()))
        .bench_local_values(|source| {
            let mut parse = Parse::start(Box::new(source), &options, render);
            let mut complete = 0;
            while let Some(output) = parse.next_output().expect("memory can be read") {
                complete += output.drain().map(|(_, complete, _)| complete as u64).sum::<u64>();
            }
            assert_eq!(complete, traffic.exchanges);
        });
}
