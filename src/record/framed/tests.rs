//! What comes back from frames, and what does not.

use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::exchange::Exchange;
use crate::record::exchanges::{Line, Rest, read};
use crate::time::Timestamp;

/// Lines of every kind that the writer of `exchanges.jsonl` makes.
fn lines() -> Vec<String> {
    let start = |n: u32, more: &str| {
        format!(
            "{{\"id\":\"{n}-{n}\",\"connection\":{n}{more},\"client\":\"10.0.0.9:40112\",\
             \"server\":\"[2001:db8::1]:8080\",\"protocol\":"
        )
    };
    let request = "\"request\":{\"at\":\"2026-11-22T10:00:00.000123456Z\",\"duration_ns\":7,\
                   \"method\":\"POST\",\"target\":\"/a?x=1\",\"version\":\"1.1\",\
                   \"headers\":[[\"Host\",\"a\"],[\"X\",\"é\"],[\"host\",{\"base64\":\"/w==\"}]],\
                   \"body\":{\"utf8\":\"{\\\"item\\\": 1 }\"},\"body_bytes\":12,\
                   \"framing\":\"content-length\",\"trailers\":[]}";
    let response = "\"response\":{\"first_byte_ns\":1,\"last_byte_ns\":-5,\"status\":200,\
                    \"reason\":\"OK\",\"version\":\"1.0\",\"headers\":[],\
                    \"body\":{\"base64\":\"AAH/\"},\"body_bytes\":3,\"framing\":\"chunked\",\
                    \"trailers\":[[\"A\",\"b\"]]}";
    vec![
        format!(
            r#"{}"http/1","completeness":"complete",{request},{response},"interim":[]}}"#,
            start(0, "")
        ),
        format!(
            "{}\"http/1\",\"completeness\":\"no-response\",\
             \"opened_at\":\"2026-11-22T10:00:00.000000001Z\",\"handshake_ns\":12,{request},\
             \"response\":null,\"interim\":[{{\"first_byte_ns\":3,\"last_byte_ns\":4,\
             \"status\":103,\"reason\":\"Early\",\"version\":\"1.1\",\"headers\":[[\"Link\",\
             \"x\"]],\"body\":{{\"utf8\":\"odd\"}},\"body_bytes\":3,\"framing\":\"none\",\
             \"trailers\":[]}}],\"marks\":[\"gap of 7 bytes at packet 1\",\"x\"]}}",
            start(1, r#","closed":[[0,"2026-11-22T10:00:00.000000002Z"]]"#)
        ),
        format!(
            "{}\"http/2\",\"completeness\":\"orphan-response\",\"stream\":3,\"pushed_by\":1,\
             \"tls\":{{\"version\":\"1.3\",\"suite\":\"S\",\"sni\":\"a.b\",\"joined\":true}},\
             \"settings\":{{\"values\":[[2,0],[65027,4294967295]],\"window\":7}},\"request\":null,\
             \"response\":{{\"at\":\"2026-11-22T10:00:01.000000000Z\",\"status\":0,\"reason\":\"\",\
             \"version\":\"2\",\"headers\":[[\":status\",null],[null,\"v\"]],\"body\":null,\
             \"body_bytes\":0,\"framing\":\"frames\",\"trailers\":[]}},\"interim\":[]}}",
            start(2, "")
        ),
        format!(
            "{}\"own\",\"completeness\":\"complete\",{request},{response},\"interim\":[],\
             \"messages\":[{{\"from\":\"client\",\"at_ns\":5,\"type\":\"text\",\
             \"data\":{{\"utf8\":\"hi\"}}}},{{\"from\":\"server\",\"at_ns\":6,\"type\":\"close\",\
             \"data\":null}}]}}",
            start(3, "")
        ),
    ]
}

/// Exchanges, as the writer of lines writes them and the reader reads them.
fn exchanges() -> Vec<Exchange> {
    let read = |line: &String| match read(line.as_bytes()) {
        Ok(Line::Exchange(exchange)) => *exchange,
        other => panic!("{line}: {other:?}"),
    };
    lines().iter().map(read).collect()
}

/// A line that says that its body is shorter than it is: one wrong number costs no frame.
#[test]
fn a_body_is_as_long_as_it_is_whatever_its_line_says() {
    let wrong = lines()[0].replace("\"body_bytes\":12", "\"body_bytes\":2");
    assert_ne!(wrong, lines()[0]);
    let Ok(Line::Exchange(read)) = read(wrong.as_bytes()) else { panic!("{wrong}") };
    let length = |one: &Exchange| one.request.as_ref().unwrap().message.body.length;
    assert_eq!(length(&read), 12);
    let mut short = *read.clone();
    short.request.as_mut().unwrap().message.body.length = 2;
    let (lines, damaged) = unframed(&framed(&[short]));
    let back = lines.into_iter().find_map(|line| match line {
        Line::Exchange(exchange) => Some(exchange),
        _ => None,
    });
    assert_eq!((back.as_deref(), damaged), (Some(&*read), 0));
}

fn header() -> Header {
    Header::new(Timestamp::from_nanos(1_795_341_600_000_000_000), vec!["v1.pcap".to_owned()])
}

fn framed(exchanges: &[Exchange]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = FrameWriter::begin(&header(), &mut out);
    let mut encoded = Vec::new();
    for exchange in exchanges {
        encoded.clear();
        encode(exchange, &mut encoded);
        writer.add(exchange.id, &exchange.closed, &encoded, &mut out);
    }
    let ledger = crate::ledger::Ledger::default();
    writer.end(&End::new(exchanges.len() as u64, ledger, Rest::default()), &mut out);
    out
}

/// All that a file holds; what is damaged is left out and counted.
fn unframed(mut file: &[u8]) -> (Vec<Line>, u64) {
    let (mut lines, mut damaged) = (Vec::new(), 0);
    while let Ok(Some(frame)) = Frame::read(&mut file) {
        match frame.open() {
            Ok(FrameContent::Line(line)) => lines.push(line),
            Ok(FrameContent::Exchanges(exchanges)) => {
                lines.extend(exchanges.into_iter().map(|one| Line::Exchange(Box::new(one))));
            }
            Ok(FrameContent::FrameIndex) => {}
            Err(_) => damaged += 1,
        }
    }
    (lines, damaged)
}

fn text(exchange: &Exchange) -> Vec<u8> {
    let mut line = Vec::new();
    exchanges::write(&mut line, exchange);
    line
}

#[test]
fn whatever_a_line_says_comes_back_from_frames() {
    let exchanges = exchanges();
    let (lines, damaged) = unframed(&framed(&exchanges));
    assert_eq!(damaged, 0);
    assert_eq!(lines.len(), exchanges.len() + 2);
    assert_eq!(lines[0], Line::Header(header()));
    assert!(matches!(&lines[lines.len() - 1], Line::End(end) if end.exchanges == 4));
    for (line, exchange) in lines[1..].iter().zip(&exchanges) {
        let Line::Exchange(back) = line else { panic!("{line:?}") };
        assert_eq!(**back, *exchange);
        assert_eq!(text(back), text(exchange));
    }
}

#[test]
fn many_frames_are_found_by_their_index() {
    let mut exchanges: Vec<Exchange> = exchanges().into_iter().cycle().take(20_000).collect();
    for (number, exchange) in exchanges.iter_mut().enumerate() {
        exchange.id.connection = number as u64;
    }
    let bytes = framed(&exchanges);
    let (lines, damaged) = unframed(&bytes);
    assert_eq!((lines.len(), damaged), (exchanges.len() + 2, 0));
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    let index = index(&file).unwrap().unwrap();
    assert!(index.len() > 2);
    assert_eq!(index.iter().map(|entry| entry.records).sum::<u64>(), 20_000);
    let mut next = 0;
    for entry in &index {
        let frame = Frame::read(&mut &bytes[entry.at as usize..]).unwrap().unwrap();
        let Ok(FrameContent::Exchanges(held)) = frame.open() else { panic!("{entry:?}") };
        assert_eq!(held.len() as u64, entry.records);
        let (first, last) = entry.span.connections;
        assert_eq!((held[0].id.connection, held[held.len() - 1].id.connection), (first, last));
        assert_eq!(first, next);
        next = last + 1;
    }
    // A file that is cut has none, and neither has one of another form.
    file.set_len(bytes.len() as u64 - 1).unwrap();
    assert_eq!(super::index(&file).unwrap(), None);
    file.set_len(3).unwrap();
    assert_eq!(super::index(&file).unwrap(), None);
}

#[test]
fn a_frame_of_a_newer_program_and_what_is_no_frame_are_told() {
    let mut bytes = framed(&exchanges());
    bytes[8] = 9;
    assert!(matches!(Frame::read(&mut &bytes[..]), Err(FrameError::TooNew(9))));
    assert!(matches!(Frame::read(&mut &[7; 200][..]), Err(FrameError::Lost)));
    assert!(matches!(Frame::read(&mut &bytes[..20]), Err(FrameError::Cut)));
    assert!(matches!(Frame::read(&mut &b""[..]), Ok(None)));
}

proptest! {
    #[test]
    fn damage_is_counted_and_never_read_as_something_else(
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let exchanges = exchanges();
        let mut bytes = framed(&exchanges);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let (lines, damaged) = unframed(&bytes);
        let held = lines.iter().filter(|line| matches!(line, Line::Exchange(_))).count();
        prop_assert!(held == exchanges.len() || held == 0);
        // The index may be what was damaged.
        prop_assert!(lines.len() + damaged as usize <= exchanges.len() + 3);
        for line in &lines {
            if let Line::Exchange(back) = line {
                prop_assert!(exchanges.contains(back));
            }
        }
    }

    /// Also where somebody made the hash fit.
    #[test]
    fn any_content_is_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let mut encoded = Vec::new();
        let exchange = exchanges().swap_remove(3);
        encode(&exchange, &mut encoded);
        let parts = code::EncodedParts::of(&encoded);
        let mut plain = Vec::new();
        let closed = [Closed(4, Timestamp::from_nanos(5))];
        let mut head = parts.head.to_vec();
        code::put_closed(&closed, &mut head);
        parts.put_fixed(exchange.id, (FIXED, head.len()), FIXED + head.len(), &mut plain);
        plain.extend_from_slice(&head);
        plain.extend_from_slice(parts.bodies);
        let whole = bytes::Bytes::copy_from_slice(&plain);
        let back = code::decode(&whole, 0).unwrap();
        prop_assert_eq!(&back, &Exchange { closed: closed.to_vec(), ..exchange });
        for (at, byte) in changes {
            let at = at.index(plain.len());
            plain[at] = byte;
        }
        if let Some(cut) = cut {
            plain.truncate(cut.index(plain.len()));
        }
        // Ends, whatever comes of it.
        let _ = code::decode(&plain.into(), 0);
    }

    #[test]
    fn a_hash_tells_neighbours_apart(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut longer = bytes.clone();
        longer.push(0);
        prop_assert_ne!(hash(&bytes), hash(&longer));
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 0x10;
            prop_assert_ne!(hash(&bytes), hash(&other));
        }
    }
}
