//! All of it: any capture file, from its bytes to lines of JSON, in two ways (all at once and in
//! small blocks). The ledger is balanced, both ways give the same, and every line can be read
//! again.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use shadowtap::capture::file::{self, Input};
use shadowtap::capture::merge::CaptureMerge;
use shadowtap::exchange::{Completeness, Exchange};
use shadowtap::ledger::Ledger;
use shadowtap::parse::{Parse, ParseOptions};
use shadowtap::record::exchanges;
use shadowtap::record::exchanges::Line;

fuzz_target!(|data: &[u8]| {
    // Compressed input costs time without reaching more; `files` has it.
    if data.starts_with(&[0x1f, 0x8b]) || data.starts_with(&[0x28, 0xb5]) {
        return;
    }
    let Some((text, ledger)) = parse(data, 1 << 16) else { return };
    let Some((again, same)) = parse(data, 512) else {
        panic!("the kind of a file does not depend on blocks")
    };
    assert_eq!(String::from_utf8_lossy(&text), String::from_utf8_lossy(&again), "blocks show");
    assert_eq!(ledger, same, "blocks show in the ledger");
});

fn parse(data: &[u8], block_bytes: usize) -> Option<(Vec<u8>, Ledger)> {
    let Ok(Input::Packets(file)) =
        file::from_reader("fuzz", Box::new(Cursor::new(data.to_vec())), None)
    else {
        return None;
    };
    let source = CaptureMerge::with_block_bytes(vec![(file, 0)], block_bytes);
    let options = ParseOptions { threads: 1, ..ParseOptions::default() };
    let render = |exchange: Exchange, text: &mut Vec<u8>| {
        check(&exchange);
        exchanges::write_rest(text, &exchange);
        let mut line = Vec::new();
        exchanges::write(&mut line, &exchange);
        match exchanges::read(&line) {
            Ok(Line::Exchange(read)) => {
                assert_eq!(*read, exchange, "what is read is what was written")
            }
            other => panic!("{other:?}"),
        }
    };
    let mut parse = Parse::start(Box::new(source), &options, render);
    let mut all = Vec::new();
    while let Some(output) = parse.next_output().expect("damage is no error") {
        output.lines().for_each(|text| all.extend_from_slice(text));
    }
    let ledger = parse.summary().expect("it has ended").ledger;
    assert_eq!(ledger.balance(), 0, "{ledger:?}");
    Some((all, ledger))
}

/// A complete exchange has both sides, and everything else says what is missing.
fn check(exchange: &Exchange) {
    match exchange.completeness {
        Completeness::Complete => {
            assert!(exchange.request.is_some() && exchange.response.is_some())
        }
        Completeness::NoResponse => {
            assert!(exchange.request.is_some() && exchange.response.is_none())
        }
        Completeness::OrphanResponse => assert!(exchange.request.is_none()),
        Completeness::RequestDamaged => assert!(exchange.request.is_some()),
        Completeness::ResponseDamaged => {
            assert!(exchange.request.is_some() && !exchange.marks.is_empty())
        }
    }
}
