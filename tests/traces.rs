//! `--traces`: requests carry a trace of their own, spans reach a collector, and reports lead from
//! an exchange to its trace and back.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what a test cannot do without has failed it")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use support::shadowtap;

type Heard = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A server that keeps what it is asked, and answers with what `answer` makes of the head.
fn listening(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> (SocketAddr, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let address = listener.local_addr().expect("a bound address");
    let heard = Heard::default();
    let (kept, answer) = (Arc::clone(&heard), Arc::new(answer));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
            std::thread::spawn(move || serve(stream, &kept, &*answer));
        }
    });
    (address, heard)
}

fn serve(mut stream: TcpStream, heard: &Heard, answer: &dyn Fn(&str) -> Vec<u8>) {
    let mut seen = Vec::new();
    let mut chunk = [0; 65_536];
    loop {
        while let Some(end) = seen.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&seen[..end]).into_owned();
            let length = field(&head, "content-length").map_or(0, |text| text.parse().unwrap());
            if seen.len() < end + 4 + length {
                break;
            }
            let body = seen[end + 4..end + 4 + length].to_vec();
            seen.drain(..end + 4 + length);
            let said = answer(&head);
            heard.lock().unwrap().push((head, body));
            if stream.write_all(&said).is_err() {
                return;
            }
        }
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => seen.extend_from_slice(&chunk[..n]),
            _ => return,
        }
    }
}

fn field(head: &str, name: &str) -> Option<String> {
    let own = head.lines().filter_map(|line| line.split_once(':'));
    let mut own = own.filter(|(other, _)| other.eq_ignore_ascii_case(name));
    own.next().map(|(_, value)| value.trim().to_owned())
}

fn said(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Fields of a message of Protocol Buffers, by number: an independent reader of what was sent.
fn fields(mut bytes: &[u8]) -> BTreeMap<u64, Vec<Vec<u8>>> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut found: BTreeMap<u64, Vec<Vec<u8>>> = BTreeMap::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => {
                let value = varint(&mut bytes);
                found.entry(key >> 3).or_default().push(value.to_le_bytes().to_vec());
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes) as usize,
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (value, rest) = bytes.split_at(length);
        bytes = rest;
        found.entry(key >> 3).or_default().push(value.to_vec());
    }
    found
}

/// A span as a collector reads it (`opentelemetry/proto/trace/v1/trace.proto`).
#[derive(Debug)]
struct SpanRead {
    trace: String,
    span: String,
    parent: String,
    state: String,
    name: String,
    kind: u64,
    times: [u64; 2],
    attributes: BTreeMap<String, String>,
    events: usize,
    status: Option<u64>,
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn spans(request: &[u8]) -> Vec<SpanRead> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut found = Vec::new();
    for resource_spans in &fields(request)[&1] {
        let resource_spans = fields(resource_spans);
        let resource = fields(&fields(&resource_spans[&1][0])[&1][0]);
        assert_eq!(text(&resource[&1][0]), "service.name");
        for scope_spans in &resource_spans[&2] {
            for span in &fields(scope_spans)[&2] {
                let span = fields(span);
                let one = |at: u64| span.get(&at).map(|all| all[0].clone()).unwrap_or_default();
                let mut attributes = BTreeMap::new();
                for pair in &span[&9] {
                    let pair = fields(pair);
                    let value = fields(&pair[&2][0]);
                    let value = match value.first_key_value().unwrap() {
                        (1, all) => text(&all[0]),
                        (3, all) => number(&all[0]).to_string(),
                        (4, all) => f64::from_bits(number(&all[0])).to_string(),
                        (other, _) => panic!("a value of kind {other}"),
                    };
                    assert!(attributes.insert(text(&pair[&1][0]), value).is_none());
                }
                found.push(SpanRead {
                    trace: hex(&one(1)),
                    span: hex(&one(2)),
                    state: text(&one(3)),
                    parent: hex(&one(4)),
                    name: text(&one(5)),
                    kind: number(&one(6)),
                    times: [number(&one(7)), number(&one(8))],
                    attributes,
                    events: span.get(&11).map_or(0, Vec::len),
                    status: span.get(&15).map(|status| number(&fields(&status[0])[&3][0])),
                });
            }
        }
    }
    found
}

const KEPT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Three requests as command lines: one with a context, one that v2 answers with an error.
fn recording(folder: &Path) {
    let lines = format!(
        "curl http://shop.test/items/1 -H 'traceparent: {KEPT}' -H 'tracestate: a=b' -H 'X-A: 1'\n\
         curl http://shop.test/items/2 -H 'X-A: 1'\n\
         curl http://shop.test/broken?token=s3cretS3cret9\n"
    );
    std::fs::write(folder.join("v1.sh"), lines).unwrap();
}

fn v2() -> (SocketAddr, Heard) {
    listening(|head| match head.contains("/broken") {
        true => said("500 Internal Server Error", b"no"),
        false => said("200 OK", b"yes"),
    })
}

fn outcomes(folder: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(folder.join("run/outcomes.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter(|line| line.get("id").is_some()).collect()
}

#[test]
fn each_request_is_a_span_of_its_own_trace() {
    let dir = tempfile::tempdir().unwrap();
    recording(dir.path());
    let (v2, asked) = v2();
    let (collector, posted) = listening(|_| said("200 OK", b""));
    let link = "https://traces.example/t/{trace_id}?a=1&b=2";
    let (target, traces) = (format!("http://{v2}"), format!("otlp://{collector}"));
    let arguments = [
        "replay",
        "v1.sh",
        "--target",
        &target,
        "--traces",
        &traces,
        "--trace-link",
        link,
        "--multiply",
        "2",
        "-o",
        "run",
        "--speed",
        "max",
    ];
    shadowtap(dir.path(), &arguments).expect(0);
    let asked = asked.lock().unwrap();
    let mut contexts: Vec<String> =
        asked.iter().map(|(head, _)| field(head, "traceparent").unwrap()).collect();
    contexts.sort();
    let mut recorded: Vec<String> = outcomes(dir.path())
        .iter()
        .map(|line| line["traceparent"].as_str().unwrap().to_owned())
        .collect();
    recorded.sort();
    assert_eq!(contexts, recorded);
    recorded.dedup();
    assert_eq!(recorded.len(), 6, "all of them differ");
    assert!(!recorded.iter().any(|context| context == KEPT));
    for (head, _) in asked.iter() {
        assert_eq!(head.matches("traceparent").count(), 1, "{head}");
        let state = field(head, "tracestate").unwrap();
        assert!(state.starts_with("shadowtap=") && state.len() == 42, "{state}");
    }
    let posted = posted.lock().unwrap();
    let (head, _) = &posted[0];
    assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
    assert_eq!(field(head, "content-type").as_deref(), Some("application/x-protobuf"));
    let spans: Vec<SpanRead> = posted.iter().flat_map(|(_, body)| spans(body)).collect();
    assert_eq!(spans.len(), 6);
    for span in &spans {
        let context = format!("00-{}-{}-01", span.trace, span.span);
        assert!(contexts.contains(&context), "v2's spans stand below it: {span:?}");
        assert_eq!((span.parent.as_str(), span.kind, span.events), ("", 3, 1), "{span:?}");
        assert!(span.times[0] > 1_700_000_000_000_000_000 && span.times[1] > span.times[0]);
        assert!(span.state.starts_with("shadowtap="));
        assert_eq!(span.attributes["server.port"], v2.port().to_string());
        let broken = span.name == "GET /broken";
        assert_eq!(
            span.attributes["http.response.status_code"],
            if broken { "500" } else { "200" }
        );
        assert_eq!(span.status, broken.then_some(2));
        let told = format!("{span:?}");
        assert!(!told.contains("s3cret"), "a span holds no secret: {told}");
    }
    let exchanges = spans.iter().map(|span| span.attributes["shadowtap.exchange"].as_str());
    assert!(exchanges.into_iter().any(|id| id.ends_with("@2")));

    // From the exchange to its trace, and back.
    let last = outcomes(dir.path()).pop().unwrap();
    let (id, context) = (last["id"].as_str().unwrap(), last["traceparent"].as_str().unwrap());
    let trace = context.split('-').nth(1).unwrap();
    let page = link.replace("{trace_id}", trace);
    shadowtap(dir.path(), &["show", "run", id]).expect(0).prints(&[&page]);
    let query = format!("trace:{}", &trace[..12]);
    let shown = shadowtap(dir.path(), &["show", "run", &query, "--json"]).expect(0);
    let shown: serde_json::Value = serde_json::from_str(shown.stdout.trim()).unwrap();
    assert_eq!((shown["id"].as_str(), shown["trace_link"].as_str()), (Some(id), Some(&*page)));
    assert_eq!(shown["traceparent"].as_str(), Some(context));
}

#[test]
fn a_captured_context_is_kept_where_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    recording(dir.path());
    let (v2, asked) = v2();
    let (collector, posted) = listening(|_| said("200 OK", b""));
    let (target, traces) = (format!("http://{v2}"), format!("http://{collector}/otlp/v1/traces"));
    let arguments = [
        "replay",
        "v1.sh",
        "--target",
        &target,
        "--traces",
        &traces,
        "--keep-traceparent",
        "-o",
        "run",
        "--speed",
        "max",
        "--transport",
        "client",
    ];
    shadowtap(dir.path(), &arguments).expect(0);
    let kept = |head: &str| field(head, "traceparent").as_deref() == Some(KEPT);
    let asked = asked.lock().unwrap();
    let (own, others): (Vec<_>, Vec<_>) = asked.iter().partition(|(head, _)| kept(head));
    assert_eq!((own.len(), others.len()), (1, 2));
    assert_eq!(field(&own[0].0, "tracestate").as_deref(), Some("a=b"), "as it was captured");
    assert!(others.iter().all(|(head, _)| field(head, "traceparent").unwrap().len() == 55));
    let posted = posted.lock().unwrap();
    assert!(posted[0].0.starts_with("POST /otlp/v1/traces "), "{}", posted[0].0);
    let spans: Vec<SpanRead> = posted.iter().flat_map(|(_, body)| spans(body)).collect();
    let own = spans.iter().find(|span| KEPT.contains(&span.trace)).unwrap();
    assert_eq!(own.parent, "00f067aa0ba902b7", "beside what v2 does, below who called v1");
    assert_ne!(own.span, own.parent);
    assert_eq!(spans.iter().filter(|span| span.parent.is_empty()).count(), 2);
}

#[test]
fn spans_that_nobody_takes_are_counted_and_hold_up_nothing() {
    let dir = tempfile::tempdir().unwrap();
    recording(dir.path());
    let (v2, asked) = v2();
    let target = format!("http://{v2}");
    let replay = |traces: &str, folder: &str| {
        let arguments = [
            "replay", "v1.sh", "--target", &target, "--traces", traces, "-o", folder, "--speed",
            "max",
        ];
        shadowtap(dir.path(), &arguments).expect(0)
    };
    // Nobody listens, it refuses, it takes a part (`ExportTracePartialSuccess`), it says nothing.
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    replay(&format!("otlp://127.0.0.1:{port}"), "away").says(&["3 of 3 spans were not taken"]);
    let (refusing, _) = listening(|_| said("403 Forbidden", b"\x1b[31mno"));
    replay(&format!("otlp://{refusing}"), "refuses")
        .says(&["3 of 3 spans were not taken (it answered 403)"]);
    let (partial, _) = listening(|_| said("200 OK", b"\x0a\x07\x08\x02\x12\x03a\x1bb"));
    replay(&format!("otlp://{partial}"), "part").says(&["2 of 3 spans were not taken (ab)"]);
    // What is no collector, and one that answers without end.
    let (page, _) = listening(|_| said("200 OK", b"<html>"));
    replay(&format!("otlp://{page}"), "page").says(&["3 of 3 spans were not taken", "not as a"]);
    let (endless, _) = listening(|_| {
        let chunk = [b"10000\r\n".to_vec(), vec![b'a'; 0x1_0000], b"\r\n".to_vec()].concat();
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        [head, chunk.repeat(64)].concat()
    });
    replay(&format!("otlp://{endless}"), "endless").says(&["3 of 3 spans were not taken"]);
    let (later, _) = listening(|_| {
        b"HTTP/1.1 429 No\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n".to_vec()
    });
    replay(&format!("otlp://{later}"), "later").says(&["not taken (it answered 429)"]);
    // One that is only busy is asked again.
    let turns = Arc::new(Mutex::new(0));
    let (busy, _) = listening(move |_| {
        *turns.lock().unwrap() += 1;
        match *turns.lock().unwrap() {
            1 => said("503 Service Unavailable", b""),
            _ => said("200 OK", b""),
        }
    });
    let ran = replay(&format!("otlp://{busy}"), "busy");
    assert!(!ran.stderr.contains("not taken"), "{}", ran.stderr);
    assert_eq!(asked.lock().unwrap().len(), 21, "v2 was asked all the same");
}

#[test]
fn requests_carry_a_context_without_a_collector_too() {
    let dir = tempfile::tempdir().unwrap();
    recording(dir.path());
    let (v2, asked) = v2();
    let target = format!("http://{v2}");
    let base = ["replay", "v1.sh", "--target", &target, "--speed", "max"];
    shadowtap(dir.path(), &[&base[..], &["--traces", "header", "-o", "run"]].concat()).expect(0);
    let asked = asked.lock().unwrap();
    assert!(
        asked.iter().all(|(head, _)| field(head, "tracestate").unwrap().contains("shadowtap="))
    );
    for (flags, told) in [
        (&["--traces", "ftp://x"][..], "is no collector"),
        (&["--traces", "otlp://"], "is no collector"),
        (&["--traces", "otlp:///x"], "is no collector"),
        (&["--keep-traceparent"], "take --traces"),
        (&["--trace-link", "https://t.example/{trace_id}"], "take --traces"),
        (&["--traces", "header", "--trace-link", "javascript:{trace_id}"], "shows no trace"),
        (
            &["--traces", "header", "--header", "TraceParent: x", "-o", "new"],
            "leave --header TraceParent out",
        ),
    ] {
        shadowtap(dir.path(), &[&base[..], flags].concat()).expect(2).says(&[told]);
    }
}

#[test]
fn the_page_leads_from_an_exchange_to_its_trace() {
    let dir = tempfile::tempdir().unwrap();
    let har = serde_json::json!({"log": {"version": "1.2", "creator": {}, "entries": [{
        "startedDateTime": "2026-11-30T10:00:00.000Z",
        "time": 5,
        "request": {
            "method": "GET", "url": "http://shop.test/items/1", "httpVersion": "HTTP/1.1",
            "headers": [{"name": "Host", "value": "shop.test"}],
        },
        "response": {
            "status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1",
            "headers": [{"name": "Content-Type", "value": "text/plain"}],
            "content": {"size": 2, "mimeType": "text/plain", "text": "no"},
        },
    }]}});
    std::fs::write(dir.path().join("v1.har"), har.to_string()).unwrap();
    let (v2, _) = v2();
    let target = format!("http://{v2}");
    let link = "https://traces.example/t/{trace_id}?a=1&b=\"<2>\"";
    let arguments = [
        "run",
        "v1.har",
        "--target",
        &target,
        "--traces",
        "header",
        "--trace-link",
        link,
        "-o",
        "run",
        "--speed",
        "max",
    ];
    shadowtap(dir.path(), &arguments).expect(1);
    let one = outcomes(dir.path()).pop().unwrap();
    let trace = one["traceparent"].as_str().unwrap().split('-').nth(1).unwrap().to_owned();
    let page = std::fs::read_to_string(dir.path().join("run/report.html")).unwrap();
    let href =
        format!("<a href=\"https://traces.example/t/{trace}?a=1&#38;b=&#34;&#60;2&#62;&#34;\" rel");
    assert!(page.contains(&href), "no {href}");
}

#[test]
fn what_a_collector_needs_is_checked_before_a_run_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    recording(dir.path());
    let (v2, _) = v2();
    let target = format!("http://{v2}");
    let base = ["replay", "v1.sh", "--target", &target, "--speed", "max", "-o", "run", "--force"];
    // A file that names a page says nothing of a run without traces.
    std::fs::write(
        dir.path().join("shadowtap.toml"),
        "[replay]\ntrace_link = \"https://t.example/{trace_id}\"\nkeep_traceparent = true\n",
    )
    .unwrap();
    shadowtap(dir.path(), &base).expect(0);
    shadowtap(dir.path(), &[&base[..], &["--traces", "off"]].concat()).expect(0);
    let before = std::fs::read(dir.path().join("run/outcomes.jsonl")).unwrap();
    for wrong in ["authorization: Bearer s3cret77", "a=b,Bearer s3cret77==", "Content-Length=5"] {
        let ran = std::process::Command::new(env!("CARGO_BIN_EXE_shadowtap"))
            .args(base)
            .args(["--traces", "otlp://127.0.0.1:9"])
            .current_dir(dir.path())
            .env("OTEL_EXPORTER_OTLP_TRACES_HEADERS", wrong)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(2), "{told}");
        assert!(told.contains("OTEL_EXPORTER_OTLP_TRACES_HEADERS"), "{told}");
        assert!(!told.contains("s3cret77"), "{told}");
    }
    assert_eq!(std::fs::read(dir.path().join("run/outcomes.jsonl")).unwrap(), before);
}
