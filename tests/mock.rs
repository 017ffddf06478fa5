//! The egress mock end to end: real sockets and real clients on loopback, calls made up or
//! recorded.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails where an unwrap does, and says what it could not try"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use shadowtap::exchange::{Completeness, Exchange, ExchangeId, TimedRequest, TimedResponse};
use shadowtap::message::{Body, Framing, Headers, Request, Response};
use shadowtap::mock::ledger::{Call, CallVerdict};
use shadowtap::mock::summary::CallSummary;
use shadowtap::mock::{
    CallRecording, EgressSelection, Exhausted, FeatureRules, Handle, ServeSettings, Timing, ledger,
};
use shadowtap::time::Timestamp;

const PROVIDER: &str = "payments.example";

/// A recorded call, made up; the time and the id follow from the number.
struct Made<'a> {
    number: u32,
    method: &'a str,
    target: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
    answer: &'a str,
}

impl Default for Made<'_> {
    fn default() -> Self {
        Self { number: 0, method: "GET", target: "/", headers: &[], body: "", answer: "" }
    }
}

impl Made<'_> {
    fn exchange(&self) -> Exchange {
        let at =
            Timestamp::from_nanos(1_795_341_600_000_000_000 + i64::from(self.number) * 100_000_000);
        let mut headers = Headers::new();
        headers.push(b"Host", PROVIDER.as_bytes());
        for (name, value) in self.headers {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        let mut answered = Headers::new();
        answered.push(b"Content-Type", b"text/plain");
        answered.push(b"X-Number", self.number.to_string().as_bytes());
        answered.push(b"Transfer-Encoding", b"chunked");
        Exchange {
            carriage: None,
            id: ExchangeId { connection: 7, ordinal: self.number },
            client: "10.0.0.1:41000".parse().unwrap(),
            server: "192.0.2.7:80".parse().unwrap(),
            protocol: "http/1".to_owned(),
            completeness: Completeness::Complete,
            request: Some(TimedRequest {
                at,
                duration_ns: 0,
                message: Request {
                    method: self.method.to_owned().into(),
                    target: self.target.to_owned().into(),
                    headers,
                    body: Body::whole(self.body.to_owned()),
                    ..Request::default()
                },
            }),
            response: Some(TimedResponse {
                at,
                first_byte_ns: Some(80_000_000),
                last_byte_ns: Some(160_000_000),
                message: Response {
                    status: 200,
                    reason: "OK".into(),
                    headers: answered,
                    body: Body::whole(self.answer.to_owned()),
                    framing: Framing::Chunked,
                    ..Response::default()
                },
            }),
            interim: vec![],
            opened_at: None,
            handshake_ns: None,
            marks: vec![],
            closed: vec![],
        }
    }
}

fn recording(calls: &[Made<'_>]) -> CallRecording {
    let exchanges = calls.iter().map(Made::exchange).collect();
    CallRecording::build(exchanges, &EgressSelection::default(), FeatureRules::default()).unwrap()
}

fn settings() -> ServeSettings {
    ServeSettings { threads: 1, ..ServeSettings::new("127.0.0.1:0".parse().unwrap()) }
}

fn start(calls: &[Made<'_>]) -> Handle {
    Handle::start(recording(calls), settings()).unwrap()
}

/// Sends one request on a connection of its own; gives the status and the body.
fn send(mock: SocketAddr, method: &str, target: &str, headers: &str, body: &str) -> (u16, String) {
    let host =
        if headers.contains("Host:") { String::new() } else { format!("Host: {PROVIDER}\r\n") };
    let length =
        if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let text = format!(
        "{method} {target} HTTP/1.1\r\n{host}{headers}{length}Connection: close\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(mock).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let status = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return (status, body.to_owned());
    }
    let mut joined = String::new();
    let mut rest = body;
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        joined.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    (status, joined)
}

fn calls(log: &Path) -> Vec<Call> {
    let mut calls = Vec::new();
    let complete =
        ledger::read(BufReader::new(std::fs::File::open(log).unwrap()), |call| calls.push(call))
            .unwrap();
    assert!(complete, "a stopped mock closes its ledger");
    calls
}

#[test]
fn equal_calls_get_their_answers_in_order_and_then_the_last_again_or_a_miss() {
    let calls = [
        Made { number: 1, target: "/rates?to=USD&from=EUR", answer: "one", ..Made::default() },
        Made { number: 2, target: "/rates?from=EUR&to=USD", answer: "two", ..Made::default() },
        Made { number: 3, target: "/rates?from=EUR&to=JPY", answer: "other", ..Made::default() },
    ];
    for exhausted in [Exhausted::Repeat, Exhausted::Miss] {
        let mut settings = settings();
        settings.policy.exhausted = exhausted;
        let mock = Handle::start(recording(&calls), settings).unwrap();
        let answers: Vec<_> =
            (0..4).map(|_| send(mock.address(), "GET", "/rates?from=EUR&to=USD", "", "")).collect();
        let texts: Vec<_> = answers
            .iter()
            .map(|(status, text)| if *status == 599 { "miss" } else { text })
            .collect();
        let surplus = if exhausted == Exhausted::Repeat { "two" } else { "miss" };
        assert_eq!(texts, ["one", "two", surplus, surplus]);
        let counts = mock.stop(&|_| true).unwrap().counts;
        assert_eq!(
            (counts.matched, counts.repeated, counts.missing, counts.unsafe_repeated),
            (2, 2, 1, 0)
        );
    }
}

#[test]
fn a_miss_is_599_and_names_the_nearest_recorded_call_and_what_it_lacks() {
    let mock = start(&[Made {
        number: 1,
        method: "POST",
        target: "/v1/charges",
        body: r#"{"amount":100,"reference":"c-77aa","card":"4111111111111111"}"#,
        answer: "ok",
        ..Made::default()
    }]);
    let (status, text) = send(
        mock.address(),
        "POST",
        "/v1/charges",
        "",
        r#"{"amount":100,"reference":"c-0000","card":"4000056655665556"}"#,
    );
    assert_eq!(status, 599);
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told["nearest"]["recorded"], "7-1", "{text}");
    let places: Vec<_> = told["nearest"]["lacks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|place| place["place"].as_str().unwrap())
        .collect();
    assert_eq!(places, ["$.card", "$.reference"]);
    assert!(
        !text.contains("4111111111111111") && !text.contains("4000056655665556"),
        "cards are masked: {text}"
    );
    assert_eq!(send(mock.address(), "GET", "/v2/other", "", "").0, 599);
    let (status, text) =
        send(mock.address(), "POST", "/v1/charges", "Host: other.example\r\n", "{}");
    assert!(status == 599 && text.contains("no call to this host"), "{text}");
    let counts = mock.stop(&|_| true).unwrap().counts;
    assert_eq!((counts.extra, counts.unsafe_extra, counts.missing), (3, 2, 1));
}

#[test]
fn a_drifted_payload_is_answered_by_the_next_in_order_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("egress.jsonl");
    let body = |amount: u32, cart: &str, key: &str| {
        format!(
            r#"{{"amount":{amount},"currency":"EUR","reference":"{cart}","idempotency_key":"{key}"}}"#
        )
    };
    let keys = ["f81d4fae-7dec-41d0-a765-00a0c91e6bf6", "0190163d-8694-739b-aea5-966c26f8ad91"];
    let (a, b) = (body(1299, "c-11aa22", keys[0]), body(500, "c-33bb44", keys[0]));
    let recorded = [
        Made {
            number: 1,
            method: "POST",
            target: "/v1/charges",
            body: &a,
            answer: "a",
            ..Made::default()
        },
        Made {
            number: 2,
            method: "POST",
            target: "/v1/charges",
            body: &b,
            answer: "b",
            ..Made::default()
        },
        Made {
            number: 3,
            method: "POST",
            target: "/v1/notes",
            body: r#"{"a":1,"b":2,"c":3,"d":4}"#,
            ..Made::default()
        },
        Made {
            number: 4,
            method: "POST",
            target: "/v1/notes",
            body: r#"{"a":1,"b":2,"c":3,"d":5}"#,
            ..Made::default()
        },
    ];
    let mock =
        Handle::start(recording(&recorded), ServeSettings { log: Some(log.clone()), ..settings() })
            .unwrap();
    let send = |target: &str, body: &str| send(mock.address(), "POST", target, "", body);
    assert_eq!(
        send("/v1/charges", &body(500, "c-33bb44", keys[1])).1,
        "b",
        "another key is no drift"
    );
    assert_eq!(send("/v1/charges", &body(1399, "c-11aa22", keys[1])).1, "a");
    assert_eq!(send("/v1/charges", &body(1299, "c-11aa22", keys[1])).1, "a", "charged again");
    assert_eq!(send("/v1/notes", r#"{"a":1,"b":2,"c":3,"d":6}"#).0, 200);
    assert_eq!(send("/v1/notes", r#"{"a":1,"b":2,"c":3,"d":7}"#).0, 200);
    mock.stop(&|_| true).unwrap();
    let told: Vec<_> = calls(&log)
        .into_iter()
        .map(|call| {
            (
                call.verdict,
                call.recorded.unwrap().ordinal,
                call.places.into_iter().map(|p| p.place).collect::<Vec<_>>(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (CallVerdict::Matched, 2, vec![]),
            (CallVerdict::Drifted, 1, vec!["$.amount".to_owned()]),
            (CallVerdict::Repeated, 1, vec![]),
            (CallVerdict::Drifted, 3, vec!["$.d".to_owned()]),
            (CallVerdict::Drifted, 4, vec!["$.d".to_owned()]),
        ]
    );
    let summary =
        CallSummary::read(BufReader::new(std::fs::File::open(&log).unwrap()), &[]).unwrap();
    assert!(summary.complete);
    assert_eq!(
        (summary.clusters[0].verdict, summary.clusters[0].changes),
        (CallVerdict::Repeated, true),
        "the double charge first"
    );
    assert!(
        summary.clusters[0].example.payload.contains("c-11aa22"),
        "{:?}",
        summary.clusters[0].example
    );
}

/// Visits every cart, in its order, in one of eight threads that run at once.
fn eight_at_once(
    carts: impl Iterator<Item = usize> + Clone + Send,
    worker_of: impl Fn(usize) -> usize + Copy + Send,
    visit: impl Fn(usize) + Copy + Send,
) {
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let carts = carts.clone();
            scope.spawn(move || carts.filter(|&cart| worker_of(cart) == worker).for_each(visit));
        }
    });
}

/// Two hundred carts are charged at once, each with an idempotency key of its own, in another order
/// than v1's; every third charge has no reference, so that only the trace tells the carts apart.
#[test]
fn concurrent_carts_get_their_own_answers_in_every_run() {
    let trace = |cart: usize, span: usize| {
        format!("00-4bf92f3577b34da6a3ce{cart:012x}-00f067aa{span:08x}-01")
    };
    let body = |cart: usize, key: usize| {
        let reference = if cart.is_multiple_of(3) {
            String::new()
        } else {
            format!(r#","reference":"c-{cart:06x}a1""#)
        };
        let amount = 1000 + cart % 7;
        format!(
            r#"{{"amount":{amount}{reference},"key":"f81d4fae-7dec-41d0-a765-{key:012x}","at":"2026-11-22T10:00:{:02}Z"}}"#,
            key % 60
        )
    };
    let parts: Vec<_> = (0..200)
        .map(|cart| (trace(cart, 1), body(cart, cart), format!("answer of cart {cart}")))
        .collect();
    let headers: Vec<_> =
        parts.iter().map(|(trace, ..)| [("traceparent", trace.as_str())]).collect();
    let made: Vec<_> = parts
        .iter()
        .zip(&headers)
        .enumerate()
        .map(|(cart, ((_, body, answer), headers))| Made {
            number: cart as u32,
            method: "POST",
            target: "/v1/charges",
            headers,
            body,
            answer,
        })
        .collect();
    for run in 0..3 {
        let mock =
            Handle::start(recording(&made), ServeSettings { threads: 2, ..settings() }).unwrap();
        let address = mock.address();
        eight_at_once(
            (0..200).rev(),
            |cart| (cart * 7 + run) % 8,
            |cart| {
                let header = format!("traceparent: {}\r\n", trace(cart, 900 + cart));
                let (status, text) =
                    send(address, "POST", "/v1/charges", &header, &body(cart, 5_000 + cart + run));
                assert_eq!((status, text), (200, format!("answer of cart {cart}")));
            },
        );
        let counts = mock.stop(&|_| true).unwrap().counts;
        assert!(counts.is_clean() && counts.matched == 200, "{counts:?}");
    }
}

/// The same without any trace: the amounts tell them apart, whoever comes first.
#[test]
fn equal_charges_of_different_amounts_need_no_trace() {
    let body =
        |cart: usize| format!(r#"{{"amount":{},"currency":"EUR","capture":true}}"#, 1_000 + cart);
    let parts: Vec<_> =
        (0..200).map(|cart| (body(cart), format!("answer of cart {cart}"))).collect();
    let made: Vec<_> = parts
        .iter()
        .zip(0..)
        .map(|((body, answer), number)| Made {
            number,
            method: "POST",
            target: "/v1/charges",
            body,
            answer,
            ..Made::default()
        })
        .collect();
    for run in 0..3 {
        let mock =
            Handle::start(recording(&made), ServeSettings { threads: 2, ..settings() }).unwrap();
        let address = mock.address();
        eight_at_once(
            0..200,
            |cart| (cart * 11 + run) % 8,
            |cart| {
                let answer = send(address, "POST", "/v1/charges", "", &body(cart));
                assert_eq!(answer, (200, format!("answer of cart {cart}")));
            },
        );
        assert!(mock.stop(&|_| true).unwrap().counts.is_clean());
    }
}

/// Checkouts of carts, one after the other, each with a charge that equals all others byte for
/// byte; the answers differ.
fn checkouts(carts: u32) -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    for cart in 1..=carts {
        let answer = format!("charge of cart {cart}");
        let charge = Made {
            number: cart,
            method: "POST",
            target: "/charge",
            body: r#"{"plan":"monthly"}"#,
            answer: &answer,
            ..Made::default()
        };
        let target = format!("/carts/{cart}/checkout");
        let mut ingress = Made {
            number: cart,
            method: "POST",
            target: &target,
            answer: "done",
            ..Made::default()
        }
        .exchange();
        ingress.id = checkout(cart);
        ingress.client = "198.51.100.4:5000".parse().unwrap();
        ingress.server = "10.0.0.1:8080".parse().unwrap();
        let response = ingress.response.as_mut().unwrap();
        response.last_byte_ns = Some(90_000_000);
        exchanges.extend([ingress, charge.exchange()]);
    }
    exchanges
}

fn checkout(cart: u32) -> ExchangeId {
    ExchangeId { connection: 100 + u64::from(cart), ordinal: 0 }
}

/// A replay in this process knows which checkout is at v2: equal charges get the answers of their
/// own carts, in any order, and a cart that is charged twice does not take another one's.
#[test]
fn what_is_at_v2_tells_equal_charges_apart_and_who_charged_twice() {
    let charge =
        |mock: &Handle| send(mock.address(), "POST", "/charge", "", r#"{"plan":"monthly"}"#).1;
    for watches in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("egress.jsonl");
        let recording = CallRecording::build(
            checkouts(4),
            &EgressSelection::default(),
            FeatureRules::default(),
        )
        .unwrap();
        let mock = Handle::start_beside(
            recording,
            ServeSettings { log: Some(log.clone()), ..settings() },
            watches,
        )
        .unwrap();
        let at_v2 = mock.under_way();
        let mut answers = Vec::new();
        for (cart, charges) in [(3, 1), (1, 2), (2, 1), (4, 1)] {
            at_v2.begin(checkout(cart));
            answers.extend((0..charges).map(|_| charge(&mock)));
            at_v2.end(checkout(cart));
        }
        let of = |carts: [u32; 5]| carts.map(|cart| format!("charge of cart {cart}"));
        mock.stop(&|_| true).unwrap();
        let repeated: Vec<_> =
            calls(&log).into_iter().filter(|call| call.verdict == CallVerdict::Repeated).collect();
        assert_eq!(repeated.len(), 1, "{repeated:?}");
        if watches {
            assert_eq!(answers, of([3, 1, 1, 2, 4]));
            assert_eq!(
                repeated[0].cause,
                Some(checkout(1)),
                "the cart that was charged twice is the one that is named"
            );
        } else {
            assert_eq!(answers, of([1, 2, 3, 4, 4]), "by their order alone");
            assert_eq!(repeated[0].cause, Some(checkout(4)), "and another cart is blamed");
        }
    }
}

/// A call that v2 makes after it has answered is still that exchange's, and copies of an exchange
/// may each make it.
#[test]
fn late_calls_and_copies_are_no_repeated_calls() {
    let charge =
        |mock: &Handle| send(mock.address(), "POST", "/charge", "", r#"{"plan":"monthly"}"#).1;
    let recording =
        CallRecording::build(checkouts(2), &EgressSelection::default(), FeatureRules::default())
            .unwrap();
    let mock =
        Handle::start_beside(recording, ServeSettings { copies: 2, ..settings() }, true).unwrap();
    let at_v2 = mock.under_way();
    for cart in [1, 1, 2] {
        at_v2.begin(checkout(cart));
        at_v2.end(checkout(cart));
    }
    let answers: Vec<_> = (0..3).map(|_| charge(&mock)).collect();
    assert_eq!(answers, ["charge of cart 1", "charge of cart 1", "charge of cart 2"]);
    at_v2.begin(checkout(2));
    let counts = mock.stop(&|_| true).unwrap().counts;
    assert_eq!(
        (counts.matched, counts.repeated, counts.missing, counts.unsafe_missing),
        (3, 0, 1, 1),
        "{counts:?}"
    );
}

/// Checkouts that v1 served at the same time are told apart by what their calls name.
#[test]
fn a_call_is_tied_to_the_request_that_names_the_same_cart() {
    let mut exchanges = Vec::new();
    for cart in 1..=3 {
        let body = format!(r#"{{"reference":"cart-77{cart}"}}"#);
        exchanges.push(
            Made {
                number: 10 + cart,
                method: "POST",
                target: "/charge",
                body: &body,
                ..Made::default()
            }
            .exchange(),
        );
        let target = format!("/carts/cart-77{cart}/checkout");
        let mut ingress =
            Made { number: cart, method: "POST", target: &target, ..Made::default() }.exchange();
        ingress.id = checkout(cart);
        ingress.client = "198.51.100.4:5000".parse().unwrap();
        ingress.server = "10.0.0.1:8080".parse().unwrap();
        ingress.response.as_mut().unwrap().last_byte_ns = Some(9_000_000_000);
        exchanges.push(ingress);
    }
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("egress.jsonl");
    let recording =
        CallRecording::build(exchanges, &EgressSelection::default(), FeatureRules::default())
            .unwrap();
    let mock =
        Handle::start(recording, ServeSettings { log: Some(log.clone()), ..settings() }).unwrap();
    send(mock.address(), "POST", "/charge", "", r#"{"reference":"cart-772"}"#);
    mock.stop(&|_| true).unwrap();
    let told: Vec<_> = calls(&log).iter().map(|call| (call.verdict, call.cause)).collect();
    assert_eq!(
        told,
        [
            (CallVerdict::Matched, Some(checkout(2))),
            (CallVerdict::Missing, Some(checkout(1))),
            (CallVerdict::Missing, Some(checkout(3)))
        ]
    );
}

/// Reads one answer off a connection: its head as it came, and its body of a known length.
fn raw_answer(stream: &mut BufReader<TcpStream>) -> (String, Vec<u8>) {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).unwrap() > 0, "it ended inside a head: {head}");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

#[test]
fn answers_keep_the_case_the_order_and_the_duplicates_of_their_header_fields() {
    let mut exchange =
        Made { number: 1, target: "/odd", answer: "12345", ..Made::default() }.exchange();
    let response = &mut exchange.response.as_mut().unwrap().message;
    response.status = 299;
    response.reason = "Quite Odd".into();
    response.framing = Framing::ContentLength;
    response.headers = [
        ("X-ODD", "1"),
        ("set-cookie", "a=1"),
        ("CONTENT-length", "5"),
        ("Connection", "close"),
        ("Set-Cookie", "b=2"),
        ("x-odd", "2"),
    ]
    .iter()
    .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
    .collect();
    let mock = Handle::start(
        CallRecording::build(vec![exchange], &EgressSelection::default(), FeatureRules::default())
            .unwrap(),
        settings(),
    )
    .unwrap();
    let mut stream = BufReader::new(TcpStream::connect(mock.address()).unwrap());
    let request = |method: &str| format!("{method} /odd HTTP/1.1\r\nHost: {PROVIDER}\r\n\r\n");
    // Two at once: they are answered in their order.
    stream.get_mut().write_all(request("GET").repeat(2).as_bytes()).unwrap();
    for _ in 0..2 {
        let (head, body) = raw_answer(&mut stream);
        let told = "HTTP/1.1 299 Quite Odd\r\nX-ODD: 1\r\nset-cookie: a=1\r\n\
            CONTENT-length: 5\r\nSet-Cookie: b=2\r\nx-odd: 2\r\n\r\n";
        assert_eq!((head.as_str(), body.as_slice()), (told, &b"12345"[..]));
    }
}

/// Large answers are kept on disk, not in memory, and come back whole over HTTP/1 and HTTP/2.
#[test]
fn a_large_answer_comes_back_whole() {
    let large: String = (0..3_000_000).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
    let mock = start(&[Made { number: 1, target: "/large", answer: &large, ..Made::default() }]);
    let (status, body) = send(mock.address(), "GET", "/large", "", "");
    assert!(status == 200 && body == large, "{status}, {} bytes", body.len());
    let url = format!("http://{}/large", mock.address());
    if let Some(text) = client(
        "curl",
        &["-sS", "--http2-prior-knowledge", "-H", &format!("Host: {PROVIDER}"), &url],
        &[],
    ) {
        assert!(text == large, "{} bytes", text.len());
    }
}

/// Clients that hang are let go and counted; the others notice nothing.
#[test]
fn half_a_request_a_slow_reader_and_nonsense_are_let_go_and_counted() {
    let large = "x".repeat(24 << 20);
    let calls = [
        Made { number: 1, target: "/ok", answer: "fine", ..Made::default() },
        Made { number: 2, target: "/large", answer: &large, ..Made::default() },
    ];
    let mock = Handle::start(
        recording(&calls),
        ServeSettings { patience: Duration::from_millis(300), ..settings() },
    )
    .unwrap();
    let say = |text: &str| {
        let mut stream = TcpStream::connect(mock.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    let mut slow = say(&format!("GET /large HTTP/1.1\r\nHost: {PROVIDER}\r\n\r\n"));
    let idle: Vec<_> = (0..200).map(|_| TcpStream::connect(mock.address()).unwrap()).collect();
    for (text, status) in [
        ("POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf", "408"),
        ("GET /ok HT", "408"),
        ("this is no request\r\nat all\r\n\r\n", "400"),
    ] {
        let mut answer = String::new();
        say(text).read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{text:?}: {answer:?}");
    }
    assert_eq!(send(mock.address(), "GET", "/ok", "", ""), (200, "fine".to_owned()));
    for _ in 0..1_000 {
        if mock.broken().unread > 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut read = 0;
    let mut block = vec![0; 1 << 20];
    while let Ok(more @ 1..) = slow.read(&mut block) {
        read += more;
    }
    assert!(read < large.len(), "it was let go before it had read all");
    drop(idle);
    let broken = mock.stop(&|_| true).unwrap().broken;
    assert_eq!((broken.unfinished, broken.not_understood, broken.unread), (2, 1, 1));
}

#[test]
fn idle_connections_give_way_to_who_has_something_to_say() {
    let mock = Handle::start(
        recording(&[Made { target: "/rates", answer: "EUR", ..Made::default() }]),
        ServeSettings { connections: 40, ..settings() },
    )
    .unwrap();
    let idle: Vec<TcpStream> = (0..200)
        .map(|at| {
            let mut stream = TcpStream::connect(mock.address()).unwrap();
            // Some say nothing, some a part of a head, some have had an answer.
            match at % 3 {
                0 => {}
                1 => stream.write_all(b"GET /rates HTTP/1.1\r\nHost: x").unwrap(),
                _ => {
                    let request = b"GET /rates HTTP/1.1\r\nHost: provider.test\r\n\r\n";
                    stream.write_all(request).unwrap();
                }
            }
            stream
        })
        .collect();
    let (status, body) = send(mock.address(), "GET", "/rates", "", "");
    assert_eq!((status, &*body), (200, "EUR"));
    // The first that came has given its place.
    let mut rest = Vec::new();
    let mut oldest = &idle[0];
    oldest.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert!(matches!(oldest.read_to_end(&mut rest), Ok(0) | Err(_)) && rest.is_empty());
}

#[test]
fn two_names_of_the_host_are_refused() {
    let mock = start(&[Made { target: "/rates", answer: "EUR", ..Made::default() }]);
    for names in
        ["Host: provider.test\r\nHost: evil.test", "Host: provider.test\r\nhost: provider.test"]
    {
        let mut stream = TcpStream::connect(mock.address()).unwrap();
        write!(stream, "GET /rates HTTP/1.1\r\n{names}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    assert_eq!(mock.broken().not_understood, 2);
}

#[test]
fn a_client_that_waits_for_100_gets_it_and_chunks_and_http_1_0_are_understood() {
    let mock = start(&[Made {
        number: 1,
        method: "POST",
        target: "/c",
        body: "hello world",
        answer: "ok",
        ..Made::default()
    }]);
    let mut stream = BufReader::new(TcpStream::connect(mock.address()).unwrap());
    stream
        .get_mut()
        .write_all(
            format!(
                "POST /c HTTP/1.1\r\nHost: {PROVIDER}\r\nExpect: 100-continue\r\n\
                Transfer-Encoding: chunked\r\n\r\n"
            )
            .as_bytes(),
        )
        .unwrap();
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    assert_eq!(line, "HTTP/1.1 100 Continue\r\n");
    stream.read_line(&mut line).unwrap();
    stream.get_mut().write_all(b"6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n").unwrap();
    line.clear();
    stream.read_line(&mut line).unwrap();
    assert_eq!(line, "HTTP/1.1 200 OK\r\n");
    let old =
        format!("POST /c HTTP/1.0\r\nHost: {PROVIDER}\r\nContent-Length: 11\r\n\r\nhello world");
    let mut stream = TcpStream::connect(mock.address()).unwrap();
    stream.write_all(old.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.contains("Content-Length: 2\r\n") && answer.ends_with("\r\n\r\nok"),
        "no chunks for HTTP/1.0: {answer}"
    );
}

#[test]
fn without_a_trace_a_rare_value_that_varies_tells_carts_apart() {
    let body = |cart: u32, key: u32| {
        format!(
            r#"{{"cart":"f81d4fae-7dec-41d0-a765-{cart:012x}","key":"0190163d-8694-439b-aea5-{key:012x}","amount":5}}"#
        )
    };
    let bodies: Vec<_> = (0..50).map(|cart| (body(cart, cart), cart.to_string())).collect();
    let made: Vec<_> = bodies
        .iter()
        .zip(0..)
        .map(|((body, answer), number)| Made {
            number,
            method: "POST",
            target: "/pay",
            body,
            answer,
            ..Made::default()
        })
        .collect();
    let mock = start(&made);
    for cart in (0..50).rev() {
        assert_eq!(
            send(mock.address(), "POST", "/pay", "", &body(cart, 1_000 + cart)).1,
            cart.to_string()
        );
    }
    assert_eq!(
        send(mock.address(), "POST", "/pay", "", &body(9, 7_777)).1,
        "9",
        "a second charge of the same cart"
    );
    let counts = mock.stop(&|_| true).unwrap().counts;
    assert_eq!((counts.matched, counts.repeated, counts.unsafe_repeated), (50, 1, 1));
}

#[test]
fn recorded_latency_is_given_back_to_the_first_and_to_the_last_byte() {
    let calls =
        [Made { number: 1, target: "/slow", answer: "first half, second half", ..Made::default() }];
    let mock =
        Handle::start(recording(&calls), ServeSettings { timing: Timing::Recorded, ..settings() })
            .unwrap();
    let mut stream = BufReader::new(TcpStream::connect(mock.address()).unwrap());
    let started = shadowtap::time::Monotonic::now();
    stream
        .get_mut()
        .write_all(
            format!("GET /slow HTTP/1.1\r\nHost: {PROVIDER}\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        )
        .unwrap();
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    let first = started.elapsed();
    stream.read_to_string(&mut line).unwrap();
    let last = started.elapsed();
    assert!(
        line.contains("200 OK") && line.contains("second half") || line.contains("half"),
        "{line}"
    );
    // Never earlier than recorded; how much later is the machine's business.
    assert!(first >= 80_000_000 && last >= 160_000_000, "{first} {last}");
}

#[test]
fn calls_in_another_order_are_told_and_those_of_requests_that_were_not_replayed_are_not_missing() {
    let trace = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")];
    let of_cause =
        |number, target| Made { number, target, headers: &trace, answer: "x", ..Made::default() };
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("egress.jsonl");
    let mut ingress = of_cause(0, "/checkout").exchange();
    ingress.id = ExchangeId { connection: 1, ordinal: 5 };
    ingress.server = "10.0.0.1:8080".parse().unwrap();
    ingress.client = "198.51.100.4:5000".parse().unwrap();
    let mut exchanges = vec![ingress];
    exchanges.extend(
        [(1, "/fees"), (3, "/charge"), (6, "/mail")]
            .map(|(number, target)| of_cause(number, target).exchange()),
    );
    let build = || {
        CallRecording::build(
            exchanges.clone(),
            &EgressSelection::default(),
            FeatureRules::default(),
        )
        .unwrap()
    };
    let mock =
        Handle::start(build(), ServeSettings { log: Some(log.clone()), ..settings() }).unwrap();
    let header = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-01\r\n";
    for target in ["/charge", "/fees"] {
        assert_eq!(send(mock.address(), "GET", target, header, "").0, 200);
    }
    mock.stop(&|_| true).unwrap();
    let told: Vec<_> = calls(&log)
        .iter()
        .map(|c| (c.verdict, c.route.clone(), c.order_changed, c.cause.unwrap().to_string()))
        .collect();
    let one =
        |verdict, route: &str, changed| (verdict, route.to_owned(), changed, "1-5".to_owned());
    assert_eq!(
        told,
        [
            one(CallVerdict::Matched, "GET /charge", false),
            one(CallVerdict::Matched, "GET /fees", true),
            one(CallVerdict::Missing, "GET /mail", false)
        ]
    );
    let mock = Handle::start(build(), settings()).unwrap();
    assert_eq!(mock.stop(&|_| false).unwrap().counts.missing, 0);
}

#[test]
fn faults_are_injected_and_a_retry_is_not_a_repeated_call() {
    let calls = [Made {
        number: 1,
        method: "POST",
        target: "/charge",
        body: "{\"a\":1}",
        answer: "ok",
        ..Made::default()
    }];
    let faults =
        shadowtap::mock::fault::Faults::new(vec!["POST ^/charge$: 50% 503".parse().unwrap()], 3);
    let mock = Handle::start(recording(&calls), ServeSettings { faults, ..settings() }).unwrap();
    let mut seen = BTreeMap::<u16, u32>::new();
    while !seen.contains_key(&200) {
        *seen.entry(send(mock.address(), "POST", "/charge", "", "{\"a\":1}").0).or_default() += 1;
        assert!(seen.values().sum::<u32>() < 100);
    }
    let counts = mock.stop(&|_| true).unwrap().counts;
    assert_eq!(
        (counts.repeated, counts.missing, counts.faulted),
        (0, 0, u64::from(seen.get(&503).copied().unwrap_or_default())),
        "{seen:?}"
    );
    let faults = shadowtap::mock::fault::Faults::new(vec!["* /: reset".parse().unwrap()], 3);
    let mock = Handle::start(recording(&calls), ServeSettings { faults, ..settings() }).unwrap();
    assert_eq!(send(mock.address(), "POST", "/charge", "", "{\"a\":1}"), (0, String::new()));
}

#[test]
fn half_a_request_and_a_large_body_disturb_nobody() {
    let calls = [Made { number: 1, target: "/ok", answer: "fine", ..Made::default() }];
    let mock = start(&calls);
    let mut hanging = TcpStream::connect(mock.address()).unwrap();
    hanging
        .write_all(
            b"POST /ok HTTP/1.1\r\nHost: payments.example\r\nContent-Length: 100\r\n\r\nhalf",
        )
        .unwrap();
    let mut silent = TcpStream::connect(mock.address()).unwrap();
    silent.write_all(b"GE").unwrap();
    let mut large = TcpStream::connect(mock.address()).unwrap();
    let length = 96 << 20;
    write!(
        large,
        "POST /ok HTTP/1.1\r\nHost: payments.example\r\nContent-Length: {length}\r\n\r\n"
    )
    .unwrap();
    let block = vec![b'x'; 1 << 20];
    for _ in 0..length / block.len() {
        large.write_all(&block).unwrap();
    }
    let mut answer = [0; 12];
    large.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 599");
    assert_eq!(send(mock.address(), "GET", "/ok", "", ""), (200, "fine".to_owned()));
}

#[test]
fn the_port_in_use_and_a_recording_without_calls_are_told() {
    let calls = [Made { number: 1, target: "/ok", ..Made::default() }];
    let mock = start(&calls);
    let error = Handle::start(recording(&calls), ServeSettings::new(mock.address())).err().unwrap();
    assert!(error.to_string().contains(&mock.address().to_string()), "{error}");
    let error = CallRecording::build(vec![], &EgressSelection::default(), FeatureRules::default())
        .unwrap_err();
    assert_eq!(error.to_string(), "no outgoing call among 0 exchanges");
}

#[test]
fn an_answer_too_large_to_be_kept_is_refused_and_contradictions_are_counted() {
    let mut large =
        Made { number: 1, target: "/large", answer: "the first of 1 GiB", ..Made::default() }
            .exchange();
    large.response.as_mut().unwrap().message.body.length = 1 << 30;
    let one = Made { number: 2, target: "/rate", answer: "1.08", ..Made::default() }.exchange();
    let other = Made { number: 3, target: "/rate", answer: "1.09", ..Made::default() }.exchange();
    let recording = CallRecording::build(
        vec![large, other, one],
        &EgressSelection::default(),
        FeatureRules::default(),
    )
    .unwrap();
    assert_eq!(recording.contradictions, 1);
    let mock = Handle::start(recording, settings()).unwrap();
    let (status, text) = send(mock.address(), "GET", "/large", "", "");
    assert!(status == 599 && text.contains("too large to be kept whole"), "{status} {text}");
    let rates: Vec<_> = (0..2).map(|_| send(mock.address(), "GET", "/rate", "", "").1).collect();
    assert_eq!(rates, ["1.08", "1.09"], "in the order of their times");
}

/// v2 is given the mock's address as its provider's: by any name of this machine, and of several
/// providers the one that was called like this.
#[test]
fn a_provider_may_be_called_by_any_name_of_the_mock() {
    let mut other =
        Made { number: 2, target: "/rates", answer: "1.08", ..Made::default() }.exchange();
    let headers = &mut other.request.as_mut().unwrap().message.headers;
    *headers = std::iter::once((&b"Host"[..], &b"rates.example"[..])).collect();
    let charges =
        Made { number: 1, target: "/charges", answer: "none", ..Made::default() }.exchange();
    let recording = CallRecording::build(
        vec![charges, other],
        &EgressSelection::default(),
        FeatureRules::default(),
    )
    .unwrap();
    let listen = "0.0.0.0:0".parse().unwrap();
    let mock = Handle::start(recording, ServeSettings { threads: 1, ..ServeSettings::new(listen) })
        .unwrap();
    let port = mock.address().port();
    let here = SocketAddr::from(([127, 0, 0, 1], port));
    for name in ["127.0.0.1", "ci-host", "ci-host.internal"] {
        let host = format!("Host: {name}:{port}\r\n");
        assert_eq!(send(here, "GET", "/charges", &host, ""), (200, "none".to_owned()), "{name}");
        assert_eq!(send(here, "GET", "/rates", &host, ""), (200, "1.08".to_owned()), "{name}");
        assert_eq!(send(here, "GET", "/else", &host, "").0, 599, "{name}");
    }
    for name in ["ci-host:1", "ci-host", "rates.example:8443", "10.96.3.4"] {
        let host = format!("Host: {name}\r\n");
        assert_eq!(
            send(here, "GET", "/rates", &host, "").0,
            200,
            "a Service's name or port: {name}"
        );
    }
    let (status, text) = send(here, "GET", "/rates", "Host: api.stranger.com\r\n", "");
    assert!(status == 599 && text.contains("--provider-alias"), "{status} {text}");
    let (status, text) = send(here, "GET", "/-/shadowtap/health", "Host: ci-host\r\n", "");
    assert!(status == 200 && text.contains("\"ok\""), "{status} {text}");
    let (status, text) = send(here, "GET", "/-/shadowtap/metrics", "", "");
    assert!(status == 200 && text.contains("{verdict=\"repeated\"} 8"), "{status} {text}");
    let proxied = format!("http://ci-host:{port}/rates");
    assert_eq!(
        send(here, "GET", &proxied, &format!("Host: ci-host:{port}\r\n"), "").0,
        599,
        "a proxy is not meant itself"
    );
}

/// The program itself, with the provider's calls of the demo's capture.
#[test]
fn the_command_serves_a_capture_until_a_signal_and_says_how_it_went() {
    use std::process::{Command, Stdio};
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("egress.jsonl");
    for (target, code, told) in [
        (
            "/v1/fees?currency=EUR&method=card",
            0,
            "1 outgoing calls: 1 matched, 0 drifted, 0 repeated, 0 extra; 169 of v1 missing",
        ),
        (
            "/v1/fees?currency=USD&method=card",
            1,
            "1 outgoing calls: 0 matched, 0 drifted, 0 repeated, 1 extra; 170 of v1 missing",
        ),
    ] {
        let mut mock = Command::new(env!("CARGO_BIN_EXE_shadowtap"))
            .args([
                "mock",
                "captures/demo.pcap",
                "--provider",
                "payments.example",
                "--listen",
                "127.0.0.1:0",
                "--log",
            ])
            .arg(&log)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = BufReader::new(mock.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening on ") {
            line.clear();
            assert!(errors.read_line(&mut line).unwrap() > 0, "it ended before it listened");
        }
        assert!(line.contains("answers 170 calls of payments.example (170)"), "{line}");
        let address: SocketAddr =
            line.split("listening on ").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
        assert_eq!(send(address, "GET", target, "", "").0 == 200, code == 0);
        let in_use = Command::new(env!("CARGO_BIN_EXE_shadowtap"))
            .args([
                "mock",
                "captures/demo.pcap",
                "--provider",
                "payments.example",
                "--listen",
                &address.to_string(),
            ])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&in_use.stderr).into_owned();
        assert!(in_use.status.code() == Some(3) && text.contains("the port is in use"), "{text}");
        Command::new("kill").args(["-INT", &mock.id().to_string()]).status().unwrap();
        let output = mock.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.code() == Some(code) && text.starts_with(told), "{text}");
        assert_eq!(calls(&log).len(), if code == 0 { 170 } else { 171 });
    }
    let nobody = Command::new(env!("CARGO_BIN_EXE_shadowtap"))
        .args(["mock", "captures/demo.pcap", "--provider", "nobody.example"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert!(
        nobody.status.code() == Some(3) && text.contains("no outgoing call among 2140 exchanges"),
        "{text}"
    );
}

/// Runs a client program; none where this machine has not got it.
fn client(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Option<String> {
    let mut command = std::process::Command::new(program);
    command.args(arguments);
    for name in [
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "no_proxy",
        "NO_PROXY",
        "ALL_PROXY",
    ] {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied());
    match command.output() {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program} {arguments:?}: {errors}");
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(error) => {
            eprintln!("not tested with {program}: {error}");
            None
        }
    }
}

fn provider() -> [Made<'static>; 2] {
    [
        Made {
            number: 1,
            target: "/v1/fees?method=card",
            answer: "two percent",
            ..Made::default()
        },
        Made {
            number: 2,
            method: "POST",
            target: "/v1/charges",
            body: r#"{"amount":1299,"reference":"c-11aa22"}"#,
            answer: "charged",
            ..Made::default()
        },
    ]
}

fn with_authority(dir: &Path) -> Handle {
    let settings = ServeSettings { authority: Some(dir.join("ca")), ..settings() };
    Handle::start(recording(&provider()), settings).unwrap()
}

/// As a server by Host, as a proxy with an absolute target, through CONNECT with TLS, and as an
/// HTTPS server.
#[test]
fn curl_gets_its_answers_on_every_road() {
    let dir = tempfile::tempdir().unwrap();
    let mock = with_authority(dir.path());
    let (at, port) = (mock.address().to_string(), mock.address().port());
    let ca = dir.path().join("ca/ca.pem");
    let ca = ca.to_str().unwrap();
    let (plain, fees) = (format!("http://{at}/v1/fees?method=card"), "/v1/fees?method=card");
    let resolve = format!("{PROVIDER}:{port}:127.0.0.1");
    let to_us = format!("{PROVIDER}:443:127.0.0.1:{port}");
    let roads: [(&str, Vec<String>); 7] = [
        ("by Host", vec!["-H".into(), format!("Host: {PROVIDER}"), plain.clone()]),
        ("by its own address", vec![plain]),
        ("by name", vec!["--resolve".into(), resolve, format!("http://{PROVIDER}:{port}{fees}")]),
        ("proxy", vec!["-x".into(), format!("http://{at}"), format!("http://{PROVIDER}{fees}")]),
        (
            "tunnel",
            vec![
                "-p".into(),
                "-x".into(),
                format!("http://{at}"),
                format!("http://{PROVIDER}{fees}"),
            ],
        ),
        (
            "tunnel with TLS",
            vec![
                "--cacert".into(),
                ca.into(),
                "-x".into(),
                format!("http://{at}"),
                format!("https://{PROVIDER}{fees}"),
            ],
        ),
        (
            "server with TLS",
            vec![
                "--cacert".into(),
                ca.into(),
                "--connect-to".into(),
                to_us,
                format!("https://{PROVIDER}{fees}"),
            ],
        ),
    ];
    for (road, arguments) in roads {
        for version in ["--http1.1", "--http2"] {
            let mut all =
                vec!["-sS", version, "--max-time", "20", "-w", " %{http_code} %{http_version}"];
            all.extend(arguments.iter().map(String::as_str));
            let Some(text) = client("curl", &all, &[]) else { return };
            let version = if version == "--http2" && road.contains("TLS") { "2" } else { "1.1" };
            assert_eq!(text, format!("two percent 200 {version}"), "{road}");
        }
    }
}

#[test]
fn python_requests_and_node_get_their_answers_through_proxy_and_tls() {
    let dir = tempfile::tempdir().unwrap();
    let mock = with_authority(dir.path());
    let proxy = format!("http://{}", mock.address());
    let ca = dir.path().join("ca/ca.pem");
    let ca = ca.to_str().unwrap();
    let python = r#"
import requests
with requests.Session() as session:
    for scheme in ("http", "https"):
        print(session.get(scheme + "://payments.example/v1/fees", params={"method": "card"}).text)
        answer = session.post(scheme + "://payments.example/v1/charges", json={"reference": "c-11aa22", "amount": 1299})
        print(answer.status_code, answer.text)
        print(session.get(scheme + "://payments.example/never").status_code)
"#;
    let environment = [
        ("HTTP_PROXY", proxy.as_str()),
        ("HTTPS_PROXY", proxy.as_str()),
        ("REQUESTS_CA_BUNDLE", ca),
    ];
    let has_requests = client(
        "python3",
        &["-c", "try:\n import requests; print(1)\nexcept ImportError: print(0)"],
        &[],
    );
    if has_requests.as_deref() == Some("1\n") {
        let text = client("python3", &["-c", python], &environment).unwrap();
        assert_eq!(text, "two percent\n200 charged\n599\n".repeat(2));
    } else {
        eprintln!("not tested with Python's requests, which is not there");
    }
    let node = format!(
        r#"
const https = require("https");
(async () => {{
  const answer = await fetch("http://{0}/v1/fees?method=card");
  console.log(answer.status, await answer.text());
  const charge = {{ method: "POST", headers: {{ "content-type": "application/json" }}, body: JSON.stringify({{ amount: 1299, reference: "c-11aa22" }}) }};
  console.log(await (await fetch("http://{0}/v1/charges", charge)).text());
  const options = {{ host: "127.0.0.1", port: {1}, servername: "payments.example", path: "/v1/fees?method=card", headers: {{ host: "payments.example" }} }};
  https.get(options, (answer) => {{ console.log(answer.statusCode); answer.resume(); }});
}})();
"#,
        mock.address(),
        mock.address().port()
    );
    if let Some(text) = client("node", &["-e", &node], &[("NODE_EXTRA_CA_CERTS", ca)]) {
        assert_eq!(text, "200 two percent\ncharged\n200\n");
    }
}

/// The proof that nothing is called: in a network namespace of its own, the mock is asked on every
/// road for a provider whose recorded address and name lead to listeners there, which must see
/// nothing.
#[test]
fn the_mock_never_opens_a_connection() {
    let script = "ip link set lo up && ip addr add 192.0.2.7/32 dev lo && exec \"$0\" --ignored \
        --exact --nocapture in_a_namespace";
    let own = std::env::current_exe().unwrap();
    let output =
        std::process::Command::new("unshare").args(["-n", "sh", "-c", script]).arg(&own).output();
    match output {
        Ok(output) if String::from_utf8_lossy(&output.stderr).contains("unshare failed") => {
            eprintln!("not proved: no right to make a network namespace here");
        }
        Ok(output) => {
            let (text, errors) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success() && text.contains("saw nothing"), "{text}\n{errors}");
        }
        Err(error) => eprintln!("not proved: {error}"),
    }
}

#[test]
#[ignore = "runs in the namespace that the_mock_never_opens_a_connection makes"]
fn in_a_namespace() {
    let listeners: Vec<_> = ["192.0.2.7:80", "192.0.2.7:443", "127.0.0.1:80", "127.0.0.1:443"]
        .map(|address| std::net::TcpListener::bind(address).unwrap())
        .into();
    let dir = tempfile::tempdir().unwrap();
    let mock = with_authority(dir.path());
    for (method, target, host) in [
        ("GET", "/v1/fees?method=card", PROVIDER),
        ("GET", "/never", PROVIDER),
        ("GET", "/", "192.0.2.7"),
        ("POST", "http://192.0.2.7/x", "192.0.2.7"),
        ("GET", "http://payments.example/never", PROVIDER),
        ("GET", "http://localhost/", "localhost"),
    ] {
        let (status, text) = send(mock.address(), method, target, &format!("Host: {host}\r\n"), "");
        assert!(status == 599 || target.starts_with("/v1"), "{target}: {status} {text}");
    }
    for authority in ["192.0.2.7:80", "192.0.2.7:443", "localhost:80"] {
        let mut stream = TcpStream::connect(mock.address()).unwrap();
        write!(stream, "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n").unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        write!(stream, "\r\nGET / HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        assert!(text.contains(" 599 "), "{text}");
    }
    for listener in listeners {
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
    println!("saw nothing");
}
