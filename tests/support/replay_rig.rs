//! A replay in a test: exchanges made by hand, servers that do as they are told, outcomes read
//! back.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shadowtap::exchange::{Completeness, Exchange, ExchangeId, TimedRequest, TimedResponse};
use shadowtap::message::{Request, Response};
use shadowtap::outcome::Outcome;
use shadowtap::record::flows::Binding;
use shadowtap::record::outcomes;
use shadowtap::replay;
use shadowtap::replay::plan::{Plan, Planner, Wishes};
use shadowtap::replay::session::target::Target;
use shadowtap::replay::session::tls::Trust;
use shadowtap::replay::{
    Arrivals, Finished, Outputs, ReplayError, ReplayOptions, ReplayStop, Think, Transport, Windows,
};
use shadowtap::time::Timestamp;
use shadowtap::wire::h1::parser::{Message, MessageSide, Parser, ParserLimits};

/// A millisecond.
pub(crate) const MS: i64 = 1_000_000;

/// A request as it stands on the wire.
pub(crate) fn request(wire: &[u8]) -> Request {
    let mut parser = Parser::<u8>::new(MessageSide::Requests, ParserLimits::default());
    let mut input = wire;
    match parser.step(&mut input, 0).expect("the test's request is whole").message {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a request was given"),
    }
}

/// `GET path` for a host.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: shop.invalid\r\n\r\n").into_bytes()
}

/// An exchange that was recorded `at` and answered `answered` (nanoseconds of the capture).
pub(crate) fn exchange(
    connection: u64,
    ordinal: u32,
    at: i64,
    answered: Option<i64>,
    wire: &[u8],
) -> Exchange {
    let origin = Timestamp::from_nanos(1_795_341_600_000_000_000);
    let response = answered.map(|answered| TimedResponse {
        at: origin.plus(answered),
        first_byte_ns: Some(answered - at),
        last_byte_ns: Some(answered - at),
        message: Response { status: 200, ..Response::default() },
    });
    Exchange {
        carriage: None,
        id: ExchangeId { connection, ordinal },
        client: format!("10.0.0.9:{}", 20_000 + connection % 40_000).parse().unwrap(),
        server: "10.0.0.1:8080".parse().unwrap(),
        protocol: "http/1".to_owned(),
        completeness: if response.is_some() {
            Completeness::Complete
        } else {
            Completeness::NoResponse
        },
        request: Some(TimedRequest { at: origin.plus(at), duration_ns: 0, message: request(wire) }),
        response,
        interim: vec![],
        opened_at: None,
        handshake_ns: None,
        marks: vec![],
        closed: vec![],
    }
}

/// A plan of these exchanges.
pub(crate) fn plan(exchanges: &[Exchange], wishes: Wishes) -> Plan {
    let folder = tempfile::tempdir().unwrap();
    let mut planner = Planner::new(folder.path(), wishes, None).unwrap();
    for exchange in exchanges {
        planner.add(exchange).unwrap();
    }
    planner.finish().unwrap()
}

/// Plain options towards `address`.
pub(crate) fn options(address: SocketAddr) -> ReplayOptions {
    ReplayOptions {
        run: "test".to_owned(),
        target: Target::resolve(&format!("http://{address}")).unwrap(),
        mapped: vec![],
        baseline: None,
        trust: Trust::default(),
        transport: Transport::Wire,
        allow_downgrade: false,
        h2: Windows::Initial,
        arrivals: Arrivals::Causal,
        think: Think::Schedule,
        timeout_ns: 20_000 * MS,
        is_patient: false,
        max_connections: None,
        workers: 1,
        max_body: 1 << 20,
        realtime: false,
        start_at: None,
        max_lateness_ns: 5 * MS,
        settings: serde_json::Value::Null,
        traces: None,
        under_way: None,
        redaction: None,
    }
}

/// What a replay came to.
pub(crate) struct Replayed {
    pub(crate) finished: Finished,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) baseline: Vec<Outcome>,
    /// What v2 issued in the place of v1's values, and the baseline.
    pub(crate) bindings: [Vec<Binding>; 2],
}

impl Replayed {
    /// The outcome with this id.
    pub(crate) fn outcome(&self, id: &str) -> &Outcome {
        self.outcomes
            .iter()
            .find(|outcome| outcome.id.to_string() == id)
            .unwrap_or_else(|| panic!("no outcome {id}"))
    }

    /// Its failure as `kind: detail`, or its status.
    pub(crate) fn result(&self, id: &str) -> String {
        let outcome = self.outcome(id);
        match (&outcome.failure, &outcome.response) {
            (Some(failure), _) => format!("{}: {}", failure.kind.name(), failure.detail),
            (None, Some(response)) => response.status.to_string(),
            (None, None) => "nothing".to_owned(),
        }
    }

    /// How often the replayer noted `name`.
    pub(crate) fn noted(&self, name: &str) -> u64 {
        self.finished.generator["notes"][name].as_u64().unwrap_or(0)
    }
}

/// Replays with these wishes and options.
pub(crate) fn replay_with(
    exchanges: &[Exchange],
    wishes: Wishes,
    options: &ReplayOptions,
    stop: &Arc<ReplayStop>,
) -> Replayed {
    replay_plan(&plan(exchanges, wishes), options, stop)
}

/// Replays a plan.
pub(crate) fn replay_plan(
    plan: &Plan,
    options: &ReplayOptions,
    stop: &Arc<ReplayStop>,
) -> Replayed {
    let folder = tempfile::tempdir().unwrap();
    let (target, baseline) =
        (folder.path().join("outcomes.jsonl"), folder.path().join("baseline.jsonl"));
    let bindings =
        ["bindings.jsonl", "baseline-bindings.jsonl"].map(|name| folder.path().join(name));
    let outputs = Outputs {
        target: std::fs::File::create(&target).unwrap(),
        baseline: options.baseline.as_ref().map(|_| std::fs::File::create(&baseline).unwrap()),
        bindings: bindings.clone().map(|path| Some(std::fs::File::create(path).unwrap())),
    };
    let finished = replay::run(plan, options, outputs, stop, None, |_| {}).unwrap();
    let baseline = if options.baseline.is_some() { read(&baseline) } else { vec![] };
    let bindings = bindings.map(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    });
    Replayed { finished, outcomes: read(&target), baseline, bindings }
}

/// Replays these exchanges.
pub(crate) fn replay(exchanges: &[Exchange], options: &ReplayOptions) -> Replayed {
    replay_with(exchanges, Wishes::default(), options, &Arc::new(ReplayStop::default()))
}

/// Replays into a file that cannot be written.
pub(crate) fn replay_to(
    exchanges: &[Exchange],
    options: &ReplayOptions,
    path: &Path,
) -> Result<Finished, ReplayError> {
    let plan = plan(exchanges, Wishes::default());
    let outputs = Outputs {
        target: std::fs::File::options().write(true).open(path).unwrap(),
        baseline: None,
        bindings: [None, None],
    };
    replay::run(&plan, options, outputs, &Arc::new(ReplayStop::default()), None, |_| {})
}

/// All outcomes of a file; it must have a first and a last line, and the last must count right.
fn read(path: &Path) -> Vec<Outcome> {
    let text = std::fs::read(path).unwrap();
    let mut outcomes = Vec::new();
    let (mut header, mut end) = (false, None);
    for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        match outcomes::read(line).unwrap() {
            outcomes::OutcomeLine::Header(_) => header = true,
            outcomes::OutcomeLine::Outcome(outcome) => outcomes.push(*outcome),
            outcomes::OutcomeLine::End(last) => end = Some(last),
        }
    }
    let end = end.expect("the file has its last line");
    assert!(
        header && end.outcomes == outcomes.len() as u64 && end.ledger.balance() == 0,
        "{end:?}"
    );
    outcomes
}

/// A server on loopback: `serve` gets each connection, with its number, on a thread of its own.
pub(crate) fn server(serve: impl Fn(usize, Peer) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(stream) = stream else { return };
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(number, Peer::new(stream)));
        }
    });
    address
}

/// A server's end of a connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    held: Vec<u8>,
}

impl Peer {
    /// Of a connection that was just accepted.
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, held: Vec::new() }
    }

    /// The next bytes up to and with `end`; what comes behind is kept. `None` where the peer closed
    /// before.
    pub(crate) fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.held.windows(end.len()).position(|window| window == end) {
                return Some(self.held.drain(..at + end.len()).collect());
            }
            let mut buffer = [0; 65_536];
            match self.stream.read(&mut buffer) {
                Ok(n) if n > 0 => self.held.extend_from_slice(&buffer[..n]),
                _ => return None,
            }
        }
    }

    /// The next request's head.
    pub(crate) fn head(&mut self) -> Option<String> {
        self.until(b"\r\n\r\n").map(|head| String::from_utf8_lossy(&head).into_owned())
    }

    /// `n` bytes.
    pub(crate) fn exactly(&mut self, n: usize) -> Option<Vec<u8>> {
        while self.held.len() < n {
            let mut buffer = [0; 65_536];
            match self.stream.read(&mut buffer) {
                Ok(read) if read > 0 => self.held.extend_from_slice(&buffer[..read]),
                _ => return None,
            }
        }
        Some(self.held.drain(..n).collect())
    }

    /// Whether nothing more has come within `time`.
    pub(crate) fn is_quiet(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let quiet = self.held.is_empty() && self.stream.peek(&mut [0; 1]).is_err();
        self.stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        quiet
    }

    /// Sends bytes; that the peer may be gone is part of the test.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Waits until the peer closes, so that what was said is not cut by a reset.
    pub(crate) fn wait_for_end(&mut self) {
        let mut buffer = [0; 65_536];
        while matches!(self.stream.read(&mut buffer), Ok(n) if n > 0) {}
    }
}

/// Notes of a server's threads, in the order in which they were made.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    pub(crate) fn add(&self, note: impl Into<String>) {
        self.0.lock().unwrap().push(note.into());
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Waits until `note` is there; false after twenty seconds.
    pub(crate) fn wait_for(&self, note: &str) -> bool {
        for _ in 0..2_000 {
            if self.0.lock().unwrap().iter().any(|known| known == note) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}
