//! Tests of the incremental parser.

use crate::wire::h1::parser::*;

/// Feeds `input` in slices of `size`, each marked by its number, then the end.
fn read(
    side: MessageSide,
    expect: &[Expect],
    input: &[u8],
    size: usize,
    ending: Ending,
) -> (Vec<Parsed<u64>>, Parser<u64>) {
    let mut parser = Parser::new(
        side,
        ParserLimits {
            head_bytes: 4096,
            header_fields: 100,
            body_bytes: 1024,
            hash_rest: true,
            keep: Keep::Everything,
            strict: false,
        },
    );
    for &expect in expect {
        parser.expect(expect);
    }
    let mut all = Vec::new();
    for (number, mut slice) in input.chunks(size).enumerate() {
        while let Some(parsed) = parser.step(&mut slice, number as u64) {
            all.push(parsed);
        }
    }
    all.extend(parser.finish(ending));
    (all, parser)
}

fn line_of(parsed: &Parsed<u64>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (line, body, framing) = match &parsed.message {
        Message::Request(r) => {
            (format!("{} {} {}", text(&r.method), text(&r.target), r.version), &r.body, r.framing)
        }
        Message::Response(r) => {
            (format!("{} {} {}", r.version, r.status, text(&r.reason)), &r.body, r.framing)
        }
    };
    let damage = parsed.damage.map(|damage| format!(" !{}", damage.name())).unwrap_or_default();
    let odd: String = parsed.oddities.iter().map(|odd| format!(" ~{odd}")).collect();
    format!("{line} {framing:?} {:?}{damage}{odd}", text(&body.bytes))
}

/// Every case is read whole, byte by byte and in slices between; the result must be the same.
fn check(side: MessageSide, expect: &[Expect], input: &[u8], ending: Ending, wanted: &[&str]) {
    for size in [input.len().max(1), 1, 2, 3, 7, 16] {
        let (all, _) = read(side, expect, input, size, ending);
        let got: Vec<String> = all.iter().map(line_of).collect();
        assert_eq!(got, wanted, "slices of {size}: {}", String::from_utf8_lossy(input));
    }
}

#[test]
fn requests_plain_and_odd() {
    let cases: &[(&[u8], &[&str])] = &[
        (
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b \
            HTTP/1.0\r\n\r\n",
            &["GET / 1.1 None \"\"", "GET /b 1.0 None \"\""],
        ),
        (
            b"\r\n\r\nPOST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\n\
            abc\r\n",
            &["POST /x 1.1 ContentLength \"abc\""],
        ),
        (
            b"GET / HTTP/1.1\nHost: a\n\nGET /2 \
            HTTP/1.1\n\n",
            &["GET / 1.1 None \"\"", "GET /2 1.1 None \"\""],
        ),
        (
            b"query /a b HTTP/1.1\r\nX : y\r\n\r\n",
            &["query /a b 1.1 None \"\" ~blank-in-target \
            ~blank-around-field-name"],
        ),
        (b"GET HTTP/1.1\r\n\r\n", &["GET  1.1 None \"\" ~no-target"]),
        (b"GET /old\r\n", &["GET /old 0.9 None \"\" ~no-version"]),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", &["OPTIONS * 1.1 None \"\""]),
        (b"CONNECT a:443 HTTP/1.1\r\nContent-Length: 5\r\n\r\n", &["CONNECT a:443 1.1 None \"\""]),
        (
            b"POST / HTTP/1.1\r\nContent-Length: 3, 3\r\nContent-Length: 3\r\n\r\nabc",
            &["POST / 1.1 ContentLength \"abc\" ~repeated-content-length"],
        ),
        (
            b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
            &["POST / 1.1 ContentLength \"abc\" ~differing-content-length"],
        ),
        (
            b"POST / HTTP/1.1\r\nContent-Length: \
            -1\r\n\r\n",
            &["POST / 1.1 None \"\" ~bad-content-length"],
        ),
        (
            b"POST / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\nabc",
            &["POST / 1.1 ContentLength \"abc\" !ended-inside"],
        ),
        (
            b"POST / HTTP/1.1\r\nTransfer-Encoding: x\r\nTransfer-Encoding: ,chunked\r\n\
                Content-Length: 1\r\n\r\n2\r\nab\r\n0\r\n\r\n",
            &["POST / 1.1 Chunked \"ab\" ~other-transfer-coding \
                ~transfer-encoding-and-content-length"],
        ),
        (
            b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n01 ;x=y\na\n2\r\nbc\r\n0\r\n\
                T: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            &["PUT / 1.1 Chunked \"abc\"", "GET / 1.1 None \"\""],
        ),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", &[]),
        (b"SSH-2.0-OpenSSH_9.6\r\n", &[]),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[]),
        (b"OPTIONS rtsp://cam/ RTSP/1.0\r\nCSeq: 1\r\n\r\n", &[]),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", &["GET / 1.1 None \"\" !ended-inside"]),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\x00\x01junk", &["GET / 1.1 None \"\""]),
    ];
    for (input, wanted) in cases {
        check(MessageSide::Either, &[], input, Ending::Closed, wanted);
        if !wanted.is_empty() {
            check(MessageSide::Requests, &[], input, Ending::Closed, wanted);
            check(MessageSide::Responses, &[], input, Ending::Closed, &[]);
        }
    }
}

#[test]
fn responses_plain_and_odd() {
    use Expect::{Connect, Head, Other, Simple};
    let cases: &[(&[Expect], &[u8], &[&str])] = &[
        (
            &[Head, Other],
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 404 Not Found\r\n\
                Content-Length: 2\r\n\r\nno",
            &["1.1 200 OK None \"\"", "1.1 404 Not Found ContentLength \"no\""],
        ),
        (
            &[Other],
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\nLink: a\r\n\r\n\
                HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
            &["1.1 100 Continue None \"\"", "1.1 103  None \"\"", "1.1 204 No Content None \"\""],
        ),
        (&[], b"HTTP/1.1 304 \r\nContent-Length: 10\r\n\r\n", &["1.1 304  None \"\""]),
        (&[], b"HTTP/1.0 200 OK\r\n\r\nall of it", &["1.0 200 OK Close \"all of it\""]),
        (&[], b"HTTP/1.0 200\n\nx\n", &["1.0 200  Close \"x\\n\""]),
        (
            &[],
            b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n\
                abc\r\n0\r\n",
            &["1.1 200 OK Chunked \"abc\" ~obs-fold ~no-end-of-chunks"],
        ),
        (
            &[],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\
                HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            &["1.1 200 OK Chunked \"\" ~no-end-of-chunks", "1.1 404 Not Found ContentLength \"\""],
        ),
        (
            &[],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\
                HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            &["1.1 200 OK Chunked \"\" !bad-chunk", "1.1 404 Not Found ContentLength \"\""],
        ),
        (
            &[Connect],
            b"HTTP/1.1 200 Connected\r\nContent-Length: 3\r\n\r\n\
            HTTP/1.1 500 x\r\n",
            &["1.1 200 Connected None \"\""],
        ),
        (
            &[Connect],
            b"HTTP/1.1 407 No\r\nContent-Length: 3\r\n\r\n\
            abc",
            &["1.1 407 No ContentLength \"abc\""],
        ),
        (
            &[Other],
            b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n\x00\x00HTTP/1.1 200 \
            OK\r\n\r\n",
            &["1.1 101 Switching None \"\""],
        ),
        (&[Simple], b"<html>hi\n</html>", &["0.9 200  Close \"<html>hi\\n</html>\" ~no-head"]),
        (
            &[Simple],
            b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n\
            x",
            &["1.0 200 OK ContentLength \"x\""],
        ),
        (&[], b"HTTP/1.1 2x0 OK\r\n\r\n", &[]),
        (
            &[],
            b"HTTP/1.1 200 caf\xe9\r\nContent-Length: \
            0\r\n\r\n",
            &["1.1 200 caf\u{fffd} ContentLength \"\""],
        ),
        (
            &[],
            b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 1\r\n\r\nx",
            &["1.1 200 OK ContentLength \"x\" ~field-without-colon"],
        ),
    ];
    for (expect, input, wanted) in cases {
        check(MessageSide::Responses, expect, input, Ending::Closed, wanted);
    }
}

#[test]
fn an_answer_up_to_the_end_is_whole_only_if_the_end_was_in_order() {
    let input = b"HTTP/1.0 200 OK\r\n\r\nall";
    check(
        MessageSide::Responses,
        &[],
        input,
        Ending::Cut,
        &["1.0 200 OK Close \"all\" !ended-inside"],
    );
}

#[test]
fn marks_and_offsets_are_those_of_the_slices() {
    let (all, _) = read(
        MessageSide::Either,
        &[],
        b"\r\nPOST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbodyGET / HTTP/1.1\r\n\r\n",
        10,
        Ending::Closed,
    );
    let places: Vec<_> = all.iter().map(|p| (p.first, p.last, p.start, p.end)).collect();
    assert_eq!(places, [(0, 4, 2, 44), (4, 6, 44, 62)]);
}

#[test]
fn a_gap_in_a_counted_body_is_skipped_and_elsewhere_the_next_start_line_is_searched() {
    let mut parser = Parser::<u64>::new(MessageSide::Responses, ParserLimits::default());
    let feed = |parser: &mut Parser<u64>, mut input: &[u8], mark| parser.step(&mut input, mark);
    assert_eq!(feed(&mut parser, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab", 1), None);
    assert_eq!(parser.gap(3, 2), None);
    let parsed = feed(&mut parser, b"fghij", 3).unwrap();
    assert_eq!(line_of(&parsed), "1.1 200 OK ContentLength \"ab\" !bytes-missing");
    assert_eq!((parsed.holes, parsed.end), (vec![Hole { bytes: 3, mark: 2 }], 39 + 10));
    // In a chunk the same; over its end not.
    assert_eq!(
        feed(&mut parser, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na", 4),
        None
    );
    assert_eq!(parser.gap(3, 5), None);
    let parsed = feed(&mut parser, b"\r\n0\r\n\r\n", 6).unwrap();
    assert_eq!(
        (line_of(&parsed), parsed.resumed),
        ("1.1 200 OK Chunked \"a\" !bytes-missing".to_owned(), false)
    );
    assert_eq!(feed(&mut parser, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab", 7), None);
    let parsed = parser.gap(100, 8).unwrap();
    assert_eq!(line_of(&parsed), "1.1 200 OK ContentLength \"ab\" !bytes-missing");
    assert_eq!(feed(&mut parser, b"rest of some body without an end", 9), None);
    assert_eq!(feed(&mut parser, b"HTTP/1.1 500 Oops\r\nContent-", 10), None);
    let parsed = feed(&mut parser, b"Length: 0\r\n\r\n", 11).unwrap();
    assert_eq!(
        (line_of(&parsed), parsed.first, parsed.resumed),
        ("1.1 500 Oops ContentLength \"\"".to_owned(), 10, true)
    );
    assert_eq!(parser.skipped(), 32);
}

#[test]
fn a_stream_that_is_joined_in_a_text_finds_the_next_request() {
    let mut parser = Parser::<u64>::new(MessageSide::Either, ParserLimits::default());
    parser.joined();
    let mut step = |mut input: &[u8]| parser.step(&mut input, 0);
    assert_eq!(step(b"some text goes"), None);
    assert_eq!(step(b" on and on"), None);
    let parsed = step(b"GET /x HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(
        (line_of(&parsed), parsed.resumed, parsed.start),
        ("GET /x 1.1 None \"\"".to_owned(), true, 24)
    );
    assert_eq!(parser.side(), MessageSide::Requests);
}

#[test]
fn limits_are_outcomes() {
    let limits = ParserLimits {
        head_bytes: 100,
        header_fields: 2,
        body_bytes: 3,
        hash_rest: true,
        keep: Keep::Everything,
        strict: false,
    };
    let run = |input: &[u8]| {
        let mut parser = Parser::<u64>::new(MessageSide::Requests, limits);
        let mut all = Vec::new();
        for mut slice in input.chunks(33) {
            while let Some(parsed) = parser.step(&mut slice, 0) {
                all.push(parsed);
            }
        }
        all
    };
    let endless =
        [&b"GET / HTTP/1.1\r\nA: "[..], &[b'x'; 5000], b"\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"].concat();
    let lines: Vec<_> = run(&endless).iter().map(line_of).collect();
    assert_eq!(lines, ["GET / 1.1 None \"\" !head-limit", "GET /2 1.1 None \"\""]);
    let many = run(b"GET / HTTP/1.1\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n");
    assert_eq!(line_of(&many[0]), "GET / 1.1 None \"\" ~too-many-fields");
    let big = run(b"PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde");
    let Message::Request(request) = &big[0].message else { panic!() };
    assert_eq!(
        (&request.body.bytes[..], request.body.length, request.body.sha256.is_some()),
        (&b"abc"[..], 5, true)
    );
    assert!(big[0].oddities.contains(&BODY_KEPT_IN_PART), "{:?}", big[0].oddities);
}

#[test]
fn an_outline_keeps_what_decides_and_says_the_same_of_the_rest() {
    let mut chunked = b"POST /x HTTP/1.1\r\nhost:  h\r\nX-Long: 1\r\nCookie: c\r\n\
        Transfer-Encoding: chunked\r\n\r\n"
        .to_vec();
    for _ in 0..=limits::CHUNK_FRAMING_BYTES / 7 {
        chunked.extend_from_slice(b"1;x\r\na\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\nGET / HTTP/1.1\r\nConnection: close\r\nAccept: a\r\n\r\n");
    let read = |limits| {
        let mut parser = Parser::<u64>::new(MessageSide::Requests, limits);
        let mut input = &chunked[..];
        std::iter::from_fn(|| parser.step(&mut input, 1)).collect::<Vec<_>>()
    };
    let (whole, outline) = (read(ParserLimits::default()), read(ParserLimits::outline()));
    assert_eq!((whole.len(), outline.len()), (2, 2));
    for (whole, outline) in whole.iter().zip(&outline) {
        let said = |parsed: &Parsed<u64>| {
            let facts =
                (parsed.start, parsed.end, parsed.damage, parsed.oddities.clone(), parsed.persists);
            let Message::Request(request) = &parsed.message else { panic!("a request") };
            (
                facts,
                request.method.clone(),
                request.target.clone(),
                request.framing,
                request.body.length,
            )
        };
        assert_eq!(said(whole), said(outline));
        let Message::Request(request) = &outline.message else { panic!("a request") };
        assert!(
            request.body.bytes.is_empty()
                && request.body.sha256.is_none()
                && request.verbatim.is_none()
        );
    }
    assert_eq!(outline[0].oddities, ["chunks-not-kept"]);
    let names = |parsed: &Parsed<u64>| match &parsed.message {
        Message::Request(request) => {
            request.headers.iter().map(|(name, _)| name.to_vec()).collect::<Vec<_>>()
        }
        Message::Response(_) => Vec::new(),
    };
    assert_eq!(names(&outline[0]), [b"host".to_vec(), b"Transfer-Encoding".to_vec()]);
    assert_eq!(names(&outline[1]), [b"Connection".to_vec()]);
}

/// Who reads live knows at once that no answer comes of what came, however it is cut, and takes
/// what clients take.
#[test]
fn what_no_client_takes_is_known_at_once() {
    let read = |input: &[u8], size: usize| {
        let limits = ParserLimits { head_bytes: 4096, strict: true, ..ParserLimits::default() };
        let mut parser = Parser::new(MessageSide::Responses, limits);
        parser.expect(Expect::Other);
        for mut slice in input.chunks(size) {
            if let Some(parsed) = parser.step(&mut slice, 0_u64) {
                return parsed.damage.map_or("whole", Damage::name);
            }
            if parser.is_lost() {
                return "no answer";
            }
        }
        "waits"
    };
    let blanks = "\r\n".repeat(4096);
    for (input, wanted) in [
        ("HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n", "no answer"),
        ("HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n", "no answer"),
        ("HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n", "whole"),
        ("HTTP/1.1 200 OK\r\nA: b\0c\r\nContent-Length: 0\r\n\r\n", "nul-in-head"),
        ("HTTP/1.1 200 OK\r\nA\0: b\r\nContent-Length: 2\r\n\r\n{}", "nul-in-head"),
        ("HTTP/1.1 200 O\0K\r\nTransfer-Encoding: chunked\r\n\r\n", "nul-in-head"),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n", "whole"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{} ", "bad-chunk"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1", "bad-chunk"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n 5", "waits"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n", "bad-length"),
        ("\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "whole"),
        (&blanks, "no answer"),
    ] {
        for size in [input.len(), 1, 2, 3, 7, 16] {
            let shown = &input[..input.len().min(80)];
            assert_eq!(read(input.as_bytes(), size), wanted, "slices of {size}: {shown:?}");
        }
    }
}

/// A segment that was sent again comes behind later ones: it is what completes a message.
#[test]
fn a_message_ends_with_the_latest_of_its_packets() {
    let mut parser = Parser::<u64>::new(MessageSide::Requests, ParserLimits::default());
    let slices: [(&[u8], u64); 4] =
        [(b"POST / HTTP/1.1\r\n", 1), (b"Content-Length: 6\r\n\r\nab", 9), (b"cd", 4), (b"ef", 5)];
    let parsed = slices.into_iter().find_map(|(mut slice, mark)| parser.step(&mut slice, mark));
    let parsed = parsed.unwrap();
    assert_eq!((parsed.first, parsed.last), (1, 9));
    // The next one has its own.
    let parsed = parser.step(&mut &b"GET / HTTP/1.1\r\n\r\n"[..], 6).unwrap();
    assert_eq!((parsed.first, parsed.last), (6, 6));
}
