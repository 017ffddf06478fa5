//! `--traces`: each replayed request is a span of a trace of its own, and v2's spans stand below
//! it. Spans go to a collector while the replay runs, by a thread of their own that holds up
//! nothing: what the collector does not take in time is lost, and counted.

use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use prost::Message as _;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::otlp::{self, ExportAnswer, PartialSuccess, Resource, Span};
use crate::cli::Failure;
use crate::cli::exit::printable;
use crate::message::encoding::percent_bytes;
use crate::message::fields::{is_framing, is_hop_by_hop};
use crate::message::trace::TraceLink;
use crate::replay::session::probe::innermost;
use crate::replay::{Observed, Traces};
use crate::stop::Stop;
use crate::store::encrypt_by_ring;
use crate::store::shown::without_secrets;
use crate::time::Monotonic;

/// Where collectors listen for OTLP over HTTP.
const PORT: u16 = 4318;
/// Where they take spans.
const PATH: &str = "/v1/traces";
/// Spans that are sent at once, and how long they are gathered at most.
const BATCH: usize = 512;
const HOLD: Duration = Duration::from_secs(1);
/// Spans that may wait for the collector.
const QUEUE: usize = 16_384;
/// Longest that the collector may take for a batch, and to be reached.
const PATIENCE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(3);
/// How often a batch is sent that it cannot take now, and the first pause between.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(200);
/// How long the last spans may take behind a replay's end, and behind a signal.
const AT_END: Duration = Duration::from_secs(15);
const AT_SIGNAL: Duration = Duration::from_millis(250);
/// How often a word is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(50);
/// Longest answer of a collector, in bytes.
const LONGEST_ANSWER: usize = 64 << 10;
/// The type of what is sent and answered.
const KIND: &str = "application/x-protobuf";
/// Longest reason that is told, in characters.
const REASON: usize = 200;
/// Header fields of what is sent to collectors (OpenTelemetry, OTLP exporter configuration).
const FIELDS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];

/// Where spans go: a collector, or nowhere, where only requests carry their context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TracesTarget {
    /// `off`: requests keep what they were captured with.
    Off,
    /// `header`: the field alone.
    Header,
    /// A collector's URL.
    Collector(Url),
}

impl FromStr for TracesTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "header" => return Ok(Self::Header),
            "off" => return Ok(Self::Off),
            _ => {}
        }
        let wrong = || {
            format!(
                "{text:?} is no collector: write otlp://HOST[:{PORT}], http(s)://HOST[:PORT][/PATH], \
                 header for the field alone, or off"
            )
        };
        let parsed: Url = text.parse().map_err(|_| wrong())?;
        if parsed.host_str().is_none_or(str::is_empty) {
            return Err(wrong());
        }
        let (http, port) = match parsed.scheme() {
            // Of a scheme of its own every port is told, also those of HTTP.
            "otlp" => ("http", Some(parsed.port().unwrap_or(PORT))),
            "otlps" => ("https", Some(parsed.port().unwrap_or(PORT))),
            "http" | "https" => (parsed.scheme(), parsed.port()),
            _ => return Err(wrong()),
        };
        let (_, rest) = text.split_once("://").ok_or_else(wrong)?;
        let mut url: Url = format!("{http}://{rest}").parse().map_err(|_| wrong())?;
        url.set_port(port).map_err(|()| wrong())?;
        if matches!(url.path(), "" | "/") {
            url.set_path(PATH);
        }
        Ok(Self::Collector(url))
    }
}

/// What a run asks of traces.
#[derive(Clone, Debug)]
pub struct TracesWish {
    target: TracesTarget,
    keeps: bool,
    /// A page that shows a trace.
    link: Option<TraceLink>,
}

impl TracesWish {
    /// What flags and file say together; none where no traces are asked for. What the file says of
    /// them is then of no use, and no fault.
    pub(super) fn new(
        target: Option<TracesTarget>,
        keeps: bool,
        link: Option<TraceLink>,
    ) -> Option<Self> {
        let target = target.filter(|target| *target != TracesTarget::Off)?;
        Some(Self { target, keeps, link })
    }

    /// Whether spans are sent, which are named by routes.
    pub(super) const fn names_routes(&self) -> bool {
        matches!(self.target, TracesTarget::Collector(_))
    }

    /// The traces of run `run`.
    pub(super) fn of_run(&self, run: &str) -> Traces {
        Traces::new(run, self.keeps)
    }

    /// As files tell it.
    pub(super) fn describe(&self) -> serde_json::Value {
        let target = match &self.target {
            TracesTarget::Off | TracesTarget::Header => "header".to_owned(),
            TracesTarget::Collector(url) => without_secrets(url.as_str()),
        };
        serde_json::json!({
            "target": target,
            "keep_traceparent": self.keeps,
            "link": self.link.as_ref().map(ToString::to_string),
        })
    }

    /// Who takes spans, where there is somebody: what it needs is checked before anything is done.
    pub(super) fn collector(&self) -> Result<Option<CollectorClient>, Failure> {
        match &self.target {
            TracesTarget::Off | TracesTarget::Header => Ok(None),
            TracesTarget::Collector(url) => CollectorClient::new(url).map(Some),
        }
    }
}

/// A collector that can be asked.
pub(super) struct CollectorClient {
    shown: String,
    url: Url,
    client: reqwest::Client,
}

impl CollectorClient {
    fn new(url: &Url) -> Result<Self, Failure> {
        let shown = without_secrets(url.as_str());
        let named = FIELDS.iter().find_map(|name| Some((*name, std::env::var(name).ok()?)));
        let fields = named.map(|(name, text)| fields_of(name, &text)).transpose()?;
        encrypt_by_ring();
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .default_headers(fields.unwrap_or_default())
            .build();
        let client = client.map_err(|error| {
            Failure::usage(format!("--traces {shown}: cannot be used")).because(&error)
        })?;
        Ok(Self { shown, url: url.clone(), client })
    }

    /// Begins to send the spans of run `run`, whose traces these are. `server`: where all requests
    /// go, where that is one place.
    pub(super) fn start(
        self,
        run: &str,
        traces: Traces,
        server: Option<(String, u16)>,
    ) -> Result<SpanSender, Failure> {
        let cannot = |error: std::io::Error| {
            Failure::unusable("cannot start the thread of --traces").because(&error)
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
        let account = Arc::<Mutex<Account>>::default();
        let Self { shown, url, client } = self;
        let resource = otlp::resource(run);
        let collector = Collector { client, url, resource, account: Arc::clone(&account) };
        let (to, spans) = sync_channel(QUEUE);
        let (told, ended) = sync_channel(1);
        std::thread::Builder::new()
            .name("traces".to_owned())
            .spawn(move || {
                collector.run(&runtime, &spans);
                let _ = told.send(());
            })
            .map_err(cannot)?;
        Ok(SpanSender { shown, traces, server, to, crowded: 0, made: 0, account, ended })
    }
}

/// What became of spans so far.
#[derive(Debug, Default)]
struct Account {
    taken: u64,
    /// Why the last ones were not.
    reason: Option<String>,
}

/// Sends spans.
pub(super) struct SpanSender {
    shown: String,
    traces: Traces,
    server: Option<(String, u16)>,
    to: SyncSender<Span>,
    /// Spans for which there was no room.
    crowded: u64,
    made: u64,
    account: Arc<Mutex<Account>>,
    /// Told when all is sent.
    ended: Receiver<()>,
}

impl SpanSender {
    /// Sends the span of an outcome, if it has one.
    pub(super) fn observe(&mut self, route: &str, observed: &Observed<'_>) {
        let Some(span) = otlp::span(&self.traces, route, self.server.as_ref(), observed) else {
            return;
        };
        self.made += 1;
        match self.to.try_send(span) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.crowded += 1,
        }
    }

    /// Waits until all is sent, though not for long, and hardly at all once `stop` is told; says
    /// what is lost.
    pub(super) fn end(self, stop: &Stop) -> Option<String> {
        let Self { shown, to, crowded, made, account, ended, .. } = self;
        drop(to);
        let (mut left, mut is_told) = (AT_END, false);
        let late = loop {
            let longest = if stop.is_told() { left.min(AT_SIGNAL) } else { left.min(LOOK) };
            match ended.recv_timeout(longest) {
                Err(RecvTimeoutError::Timeout) if !stop.is_told() && left > LOOK => left -= LOOK,
                Err(RecvTimeoutError::Timeout) => break true,
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break false,
            }
            if !is_told && left <= AT_END - PAUSE {
                tracing::info!("{shown} has not taken all spans yet: waiting for it");
                is_told = true;
            }
        };
        let mut account = account.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = made - account.taken.min(made);
        if lost == 0 {
            tracing::info!("{made} spans sent to {shown}");
            return None;
        }
        let mut told = format!("--traces {shown}: {lost} of {made} spans were not taken");
        let why = match (account.reason.take(), late, crowded > 0) {
            (Some(reason), ..) => Some(reason),
            (None, true, _) => Some("it took too long".to_owned()),
            (None, false, true) => Some("it is slower than the replay".to_owned()),
            (None, false, false) => None,
        };
        if let Some(why) = why {
            let _ = write!(told, " ({why})");
        }
        Some(printable(&told))
    }
}

/// The fields of `NAME=VALUE,NAME=VALUE`, values percent-encoded, that the variable `variable` says.
/// What is wrong with one is told without it: it may be a secret.
fn fields_of(variable: &str, text: &str) -> Result<HeaderMap, Failure> {
    let mut fields = HeaderMap::new();
    let all = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    for (number, pair) in (1..).zip(all) {
        let read = pair.split_once('=').and_then(|(name, value)| {
            let value = percent_bytes(value.trim(), false);
            let mut value = HeaderValue::from_bytes(&value).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::from_str(name.trim()).ok()?, value))
        });
        let Some((name, value)) = read.filter(|(name, _)| !is_of_connection(name.as_str())) else {
            return Err(Failure::usage(format!(
                "{variable}: its field {number} is none that can be sent: write \
                 NAME=VALUE,NAME=VALUE"
            )));
        };
        fields.insert(name, value);
    }
    Ok(fields)
}

/// Whether a field is of the connection, or says where a body ends.
fn is_of_connection(name: &str) -> bool {
    is_framing(name.as_bytes()) || is_hop_by_hop(name.as_bytes()) || name == "host"
}

/// The other end, as its thread sees it.
struct Collector {
    client: reqwest::Client,
    url: Url,
    resource: Resource,
    account: Arc<Mutex<Account>>,
}

/// Why a batch was not taken.
struct Refused {
    why: String,
    /// It may be taken later, at the earliest then.
    later: Option<Duration>,
}

impl Collector {
    /// Sends what comes until nothing comes any more.
    fn run(&self, runtime: &tokio::runtime::Runtime, spans: &Receiver<Span>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut since = Monotonic::now();
        loop {
            let left = HOLD.saturating_sub(Duration::from_nanos(since.elapsed() as u64));
            let next = match batch.is_empty() {
                true => spans.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => spans.recv_timeout(left),
            };
            let is_last = matches!(next, Err(RecvTimeoutError::Disconnected));
            if let Ok(span) = next {
                if batch.is_empty() {
                    since = Monotonic::now();
                }
                batch.push(span);
                if batch.len() < BATCH {
                    continue;
                }
            }
            if !batch.is_empty() {
                self.send(runtime, std::mem::take(&mut batch));
            }
            if is_last {
                return;
            }
        }
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, runtime: &tokio::runtime::Runtime, spans: Vec<Span>) {
        let count = spans.len() as u64;
        let body = Bytes::from(otlp::request(&self.resource, spans).encode_to_vec());
        // One that was away at the last batch is asked once until it is back: no queue behind it.
        let attempts = if self.account().reason.is_some() { 1 } else { ATTEMPTS };
        let mut pause = PAUSE;
        for attempt in 1..=attempts {
            let later = match runtime.block_on(self.post(body.clone())) {
                Ok(partial) => {
                    let rejected = u64::try_from(partial.rejected_spans).unwrap_or(0).min(count);
                    let mut account = self.account();
                    account.taken += count - rejected;
                    account.reason = (rejected > 0).then(|| reason(&partial.error_message));
                    return;
                }
                Err(Refused { why, later }) => {
                    self.account().reason = Some(why);
                    later
                }
            };
            // One that wants more time than a replay has for it gets no second batch.
            let later = later.filter(|later| attempt < attempts && *later <= PATIENCE);
            let Some(later) = later else { return };
            std::thread::sleep(pause.max(later));
            pause *= 2;
        }
    }

    /// Sends one batch; gives what the collector says of it.
    async fn post(&self, body: Bytes) -> Result<PartialSuccess, Refused> {
        let broken = |error: reqwest::Error| Refused {
            why: reason(&innermost(&error.without_url())),
            later: Some(Duration::ZERO),
        };
        let sent = self.client.post(self.url.clone()).body(body);
        let sent = sent.header(CONTENT_TYPE, KIND).send().await;
        let mut answer = sent.map_err(broken)?;
        let status = answer.status();
        let field = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let after = field("retry-after").and_then(|value| value.parse().ok()).unwrap_or(0);
        let is_ours = field("content-type").is_none_or(|kind| kind.starts_with(KIND));
        // OTLP 1.x, "Failures": these may be sent again.
        let may_again = matches!(status.as_u16(), 429 | 502..=504);
        if !status.is_success() {
            return Err(Refused {
                why: format!("it answered {}", status.as_u16()),
                later: may_again.then(|| Duration::from_secs(after)),
            });
        }
        let mut said = BytesMut::new();
        while let Some(part) = answer.chunk().await.map_err(broken)? {
            said.extend_from_slice(&part);
            if said.len() > LONGEST_ANSWER {
                break;
            }
        }
        let read = || ExportAnswer::decode(&said[..]).ok().filter(|_| is_ours);
        match said.len() {
            0 => Ok(PartialSuccess::default()),
            ..=LONGEST_ANSWER if let Some(read) = read() => {
                Ok(read.partial_success.unwrap_or_default())
            }
            _ => Err(Refused {
                why: format!("it answered {}, but not as a collector", status.as_u16()),
                later: None,
            }),
        }
    }
}

/// What somebody else says, in a length and with letters that a line can hold.
fn reason(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(REASON).collect()
}
