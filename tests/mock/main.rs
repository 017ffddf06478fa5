//! The egress mock end to end: real sockets and real clients on loopback, calls made up or
//! recorded.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails where an unwrap does, and says what it could not try"
)]

mod causes;
mod clients;
mod connections;

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
    let lines = text.lines().filter(|line| line.contains("{verdict=\"repeated\","));
    let counts: Vec<u64> = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect();
    assert!(status == 200 && counts.iter().sum::<u64>() == 8, "{status} {text}");
    for figure in ["shadowtap_build_info{version=\"", "route=\"GET /rates\",code=\"200\"}"] {
        assert!(text.contains(figure), "{figure} is not in {text}");
    }
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
    // Who was asked is told, with the ports that --provider-port takes.
    assert!(text.contains("payments.example (port "), "{text}");
}
