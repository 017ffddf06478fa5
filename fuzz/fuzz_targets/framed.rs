//! Recordings in frames (`.stx`): any bytes are read or refused, as a file and as the content of a
//! frame whose hash is right; what is read can be written and is read as the same.
//!
//! Input: a byte of choices, then a file; or the number of exchanges and a frame's content; or a
//! byte that says how many octets of what a line of `exchanges.jsonl` becomes are changed, for each
//! two bytes with its place and one with its change, then the line.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use shadowtap::exchange::Exchange;
use shadowtap::ledger::Ledger;
use shadowtap::record::exchanges::{End, Header, Line, Rest};
use shadowtap::record::framed::{Frame, FrameContent, FrameWriter, encode, hash};
use shadowtap::source::recording::{Recording, merge};
use shadowtap::time::Timestamp;

/// A file begins so, and each frame of it.
const MAGIC: &[u8; 8] = b"\x89STX\r\n\x1a\n";

fuzz_target!(|data: &[u8]| {
    let [choice, rest @ ..] = data else { return };
    if choice % 3 == 0 {
        let file = Box::new(std::io::Cursor::new(rest.to_vec()));
        let mut recording = merge(vec![Recording::new("a".to_owned(), file, 1_000)]);
        for exchange in recording.by_ref().take(10_000) {
            if exchange.is_err() {
                break;
            }
        }
        let _ = exchanges(rest);
        return;
    }
    let [number, rest @ ..] = rest else { return };
    let read = if choice % 3 == 1 {
        exchanges(&frame(*number, rest))
    } else {
        let (changes, line) = rest.split_at((usize::from(*number) * 3).min(rest.len()));
        let Ok(Line::Exchange(exchange)) = shadowtap::record::exchanges::read(line) else { return };
        let mut content = content(&exchange);
        for change in changes.as_chunks::<3>().0 {
            let place = usize::from(u16::from_be_bytes([change[0], change[1]])) % content.len();
            content[place] ^= change[2];
        }
        let read = exchanges(&frame(1, &content));
        assert!(
            !changes.is_empty() || !exchange.closed.is_empty() || read == [*exchange],
            "what was written is not read"
        );
        read
    };
    assert_eq!(read, exchanges(&written(&read)));
});

/// A frame of exchanges with this content, its hash as it has to be.
fn frame(records: u8, content: &[u8]) -> Vec<u8> {
    let mut frame = MAGIC.to_vec();
    frame.extend_from_slice(&1u16.to_le_bytes());
    frame.extend_from_slice(&[2, 0]);
    for number in [u32::from(records), content.len() as u32, content.len() as u32, 0] {
        frame.extend_from_slice(&number.to_le_bytes());
    }
    frame.extend_from_slice(&[0; 28]);
    let mut hashed = frame.clone();
    hashed.extend_from_slice(&hash(content).to_le_bytes());
    frame.extend_from_slice(&hash(&hashed).to_le_bytes());
    frame.extend_from_slice(content);
    frame
}

/// The content of a frame of one exchange, which says nothing of other connections' ends.
fn content(exchange: &Exchange) -> Vec<u8> {
    let mut content = Vec::new();
    encode(&Exchange { closed: Vec::new(), ..exchange.clone() }, &mut content);
    let word = |content: &[u8], at: usize| {
        u32::from_le_bytes(content[at..at + 4].try_into().expect("four octets"))
    };
    let (fixed, head) = (64, word(&content, 20));
    // No end of a connection is told.
    content.insert(64 + head as usize, 0);
    content[..8].copy_from_slice(&exchange.id.connection.to_le_bytes());
    content[36..40].copy_from_slice(&exchange.id.ordinal.to_le_bytes());
    for (at, number) in [(16, fixed), (20, head + 1), (24, fixed + head + 1)] {
        content[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    content
}

fn exchanges(mut file: &[u8]) -> Vec<Exchange> {
    let mut all = Vec::new();
    while let Ok(Some(frame)) = Frame::read(&mut file) {
        match frame.open() {
            Ok(FrameContent::Exchanges(exchanges)) => all.extend(exchanges),
            Ok(FrameContent::Line(Line::Exchange(exchange))) => all.push(*exchange),
            _ => {}
        }
    }
    all
}

fn written(exchanges: &[Exchange]) -> Vec<u8> {
    let mut out = Vec::new();
    let header = Header::new(Timestamp::from_nanos(0), Vec::new());
    let mut writer = FrameWriter::begin(&header, &mut out);
    for exchange in exchanges {
        let mut encoded = Vec::new();
        encode(exchange, &mut encoded);
        writer.add(exchange.id, &exchange.closed, &encoded, &mut out);
    }
    writer.end(&End::new(exchanges.len() as u64, Ledger::default(), Rest::default()), &mut out);
    out
}
