//! `--traces`: each replayed request is a span of a trace of its own, and v2's spans stand below
//! it. Spans go to a collector while the replay runs, by a thread of their own that holds up
//! nothing: what the collector does not take in time is lost, and counted.

use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use prost::Message as _;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::otlp::{self, ExportAnswer, Resource, Span};
use crate::cli::Failure;
use crate::message::encoding::percent_bytes;
use crate::message::trace::TraceLink;
use crate::replay::{Observed, Traces};
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
/// Longest reason that is told, in characters.
const REASON: usize = 200;
/// Header fields of what is sent to collectors (OpenTelemetry, OTLP exporter configuration).
const FIELDS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];

/// Where spans go: a collector, or nowhere, where only requests carry their context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TracesTarget {
    /// `header`: the field alone.
    Header,
    /// A collector's URL.
    Collector(Url),
}

impl FromStr for TracesTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "header" {
            return Ok(Self::Header);
        }
        let wrong = || {
            format!(
                "{text:?} is no collector: write otlp://HOST[:{PORT}], http(s)://HOST[:PORT][/PATH], \
                 or header for the field alone"
            )
        };
        let parsed: Url = text.parse().map_err(|_| wrong())?;
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
    /// Checks what flags and file say together.
    pub(super) fn new(
        target: Option<TracesTarget>,
        keeps: bool,
        link: Option<TraceLink>,
    ) -> Result<Option<Self>, Failure> {
        match target {
            Some(target) => Ok(Some(Self { target, keeps, link })),
            None if keeps => Err(Failure::usage(
                "--keep-traceparent is about --traces, without which requests keep theirs anyway",
            )),
            None if link.is_some() => Err(Failure::usage(
                "--trace-link takes --traces: without it requests have no traces of their own",
            )),
            None => Ok(None),
        }
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
            TracesTarget::Header => "header".to_owned(),
            TracesTarget::Collector(url) => without_secrets(url.as_str()),
        };
        serde_json::json!({
            "target": target,
            "keep_traceparent": self.keeps,
            "link": self.link.as_ref().map(ToString::to_string),
        })
    }

    /// Begins to send the spans of run `run`, where there is somebody to send them to. `server`:
    /// where all requests go, where that is one place.
    pub(super) fn start(
        &self,
        run: &str,
        server: Option<(String, u16)>,
    ) -> Result<Option<SpanSender>, Failure> {
        match &self.target {
            TracesTarget::Header => Ok(None),
            TracesTarget::Collector(url) => {
                SpanSender::start(url, self.of_run(run), otlp::resource(run), server).map(Some)
            }
        }
    }
}

/// What became of spans, told at the end.
#[derive(Debug, Default)]
struct Account {
    taken: u64,
    lost: u64,
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
    taken: Arc<AtomicU64>,
    account: Receiver<Account>,
    thread: JoinHandle<()>,
}

impl SpanSender {
    fn start(
        url: &Url,
        traces: Traces,
        resource: Resource,
        server: Option<(String, u16)>,
    ) -> Result<Self, Failure> {
        let shown = without_secrets(url.as_str());
        let cannot = |error: std::io::Error| {
            Failure::unusable("cannot start the thread of --traces").because(&error)
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
        let fields = FIELDS.iter().find_map(|name| std::env::var(name).ok());
        let fields = fields.map_or_else(|| Ok(HeaderMap::new()), |text| fields_of(&text))?;
        // Another part of the program may have installed it; it is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .default_headers(fields)
            .build();
        let client = client.map_err(|error| {
            Failure::usage(format!("--traces {shown}: cannot be used")).because(&error)
        })?;
        let taken = Arc::<AtomicU64>::default();
        let collector = Collector {
            client,
            url: url.clone(),
            resource,
            account: Account::default(),
            taken: Arc::clone(&taken),
        };
        let (to, spans) = sync_channel(QUEUE);
        let (told, account) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("traces".to_owned())
            .spawn(move || {
                let _ = told.send(collector.run(&runtime, &spans));
            })
            .map_err(cannot)?;
        Ok(Self { shown, traces, server, to, crowded: 0, made: 0, taken, account, thread })
    }

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

    /// Waits until all is sent, though not for long; says what is lost.
    pub(super) fn end(self, interrupted: bool) -> Option<String> {
        let Self { shown, to, crowded, made, taken, account, thread, .. } = self;
        drop(to);
        let longest = if interrupted { AT_SIGNAL } else { AT_END };
        let account = account.recv_timeout(longest).ok();
        let late = account.is_none();
        let Account { taken, reason, .. } = account.unwrap_or_else(|| Account {
            taken: taken.load(Ordering::Relaxed),
            ..Account::default()
        });
        if !late {
            let _ = thread.join();
        }
        let lost = made - taken.min(made);
        if lost == 0 {
            tracing::info!("{made} spans sent to {shown}");
            return None;
        }
        let mut told = format!("--traces {shown}: {lost} of {made} spans were not taken");
        let why = match (reason, late, crowded > 0) {
            (Some(reason), ..) => Some(reason),
            (None, true, _) => Some("it took too long".to_owned()),
            (None, false, true) => Some("it is slower than the replay".to_owned()),
            (None, false, false) => None,
        };
        if let Some(why) = why {
            let _ = write!(told, " ({why})");
        }
        Some(told)
    }
}

/// The fields of `NAME=VALUE,NAME=VALUE`, values percent-encoded.
fn fields_of(text: &str) -> Result<HeaderMap, Failure> {
    let mut fields = HeaderMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let read = pair.split_once('=').and_then(|(name, value)| {
            let value = percent_bytes(value.trim(), false);
            let mut value = HeaderValue::from_bytes(&value).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::from_str(name.trim()).ok()?, value))
        });
        let Some((name, value)) = read else {
            let name = pair.split('=').next().unwrap_or_default();
            return Err(Failure::usage(format!(
                "{}: the field {name:?} is none: write NAME=VALUE,NAME=VALUE",
                FIELDS[1]
            )));
        };
        fields.insert(name, value);
    }
    Ok(fields)
}

/// The other end, as its thread sees it.
struct Collector {
    client: reqwest::Client,
    url: Url,
    resource: Resource,
    account: Account,
    taken: Arc<AtomicU64>,
}

/// Why a batch was not taken.
struct Refused {
    why: String,
    /// It may be taken later, at the earliest then.
    later: Option<Duration>,
}

impl Collector {
    /// Sends what comes until nothing comes any more.
    fn run(mut self, runtime: &tokio::runtime::Runtime, spans: &Receiver<Span>) -> Account {
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
                return self.account;
            }
        }
    }

    fn send(&mut self, runtime: &tokio::runtime::Runtime, spans: Vec<Span>) {
        let count = spans.len() as u64;
        let body = bytes::Bytes::from(otlp::request(&self.resource, spans).encode_to_vec());
        // One that was away at the last batch is asked once until it is back: no queue behind it.
        let attempts = if self.account.reason.is_some() { 1 } else { ATTEMPTS };
        let mut pause = PAUSE;
        for attempt in 1..=attempts {
            let Refused { why, later } = match runtime.block_on(self.post(body.clone())) {
                Ok(rejected) => {
                    let rejected = rejected.min(count);
                    self.account.taken += count - rejected;
                    self.taken.store(self.account.taken, Ordering::Relaxed);
                    self.account.lost += rejected;
                    if rejected == 0 && self.account.lost == 0 {
                        self.account.reason = None;
                    }
                    return;
                }
                Err(refused) => refused,
            };
            self.account.reason = Some(why);
            let Some(later) = later.filter(|_| attempt < attempts) else { break };
            std::thread::sleep(pause.max(later.min(PATIENCE)));
            pause *= 2;
        }
        self.account.lost += count;
    }

    /// Sends one batch; gives how many spans of it the collector does not want.
    async fn post(&mut self, body: bytes::Bytes) -> Result<u64, Refused> {
        let sent = self.client.post(self.url.clone()).body(body);
        let sent = sent.header(CONTENT_TYPE, "application/x-protobuf").send().await;
        let answer = sent.map_err(|error| Refused {
            why: reason(&because(&error.without_url())),
            later: Some(Duration::ZERO),
        })?;
        let status = answer.status();
        let after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let after = after.and_then(|value| value.parse().ok()).unwrap_or(0);
        // OTLP 1.x, "Failures": these may be sent again.
        let may_again = matches!(status.as_u16(), 429 | 502..=504);
        if !status.is_success() {
            return Err(Refused {
                why: format!("it answered {status}"),
                later: may_again.then(|| Duration::from_secs(after)),
            });
        }
        let answer = answer.bytes().await.ok().and_then(|body| ExportAnswer::decode(body).ok());
        let partial = answer.and_then(|answer| answer.partial_success).unwrap_or_default();
        let rejected = u64::try_from(partial.rejected_spans).unwrap_or(0);
        if rejected > 0 {
            self.account.reason = Some(reason(&partial.error_message));
        }
        Ok(rejected)
    }
}

/// What an error says, and what is behind it.
fn because(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

/// What somebody else says, in a length and with letters that a line can hold.
fn reason(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(REASON).collect()
}
