//! `exchanges.jsonl`: any lines are read or refused; what is read can be written and is read as the
//! same.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use shadowtap::record::exchanges;
use shadowtap::record::exchanges::Line;
use shadowtap::source::recording::{Recording, merge};

fuzz_target!(|data: &[u8]| {
    for line in data.split(|&byte| byte == b'\n') {
        if let Ok(Line::Exchange(exchange)) = exchanges::read(line) {
            let mut text = Vec::new();
            exchanges::write(&mut text, &exchange);
            assert!(text.ends_with(b"\n") && !text[..text.len() - 1].contains(&b'\n'), "one line");
            match exchanges::read(&text) {
                Ok(Line::Exchange(again)) => {
                    assert_eq!(again, exchange, "{}", String::from_utf8_lossy(&text))
                }
                other => panic!("{other:?}: {}", String::from_utf8_lossy(&text)),
            }
        }
        let _ = exchanges::read_asked(line);
    }
    let half = data.len() / 2;
    let recording = |name: &str, part: &[u8]| {
        Recording::new(name.to_owned(), Box::new(Cursor::new(part.to_vec())), 1_000)
    };
    let mut merged = merge(vec![recording("a", &data[..half]), recording("b", &data[half..])]);
    for exchange in merged.by_ref().take(10_000) {
        if exchange.is_err() {
            break;
        }
    }
    let _ = merged.account();
});
