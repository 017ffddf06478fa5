//! The flags of `replay`, shared with `run`; and [`ReplayShape`], what they come to once they are
//! checked.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use url::Url;

use super::share::SharedFlows;
use super::start::StartAt;
use super::traces::{TracesTarget, TracesWish};
use crate::bind;
use crate::bind::config::Bind;
use crate::bind::find::Order;
use crate::cli::Failure;
use crate::cli::args::{duration_ns, exchange_id, size};
use crate::cli::config::Config;
use crate::cli::metrics::PushUrl;
use crate::cli::reading::Beside;
use crate::cli::redaction::RedactionFlags;
use crate::exchange::ExchangeId;
use crate::gate::Policy;
use crate::limits;
use crate::message::protobuf::Schema;
use crate::message::trace::TraceLink;
use crate::outcome::HostMap;
use crate::outcome::MARKER;
use crate::redact::Redactor;
use crate::replay::config::ReplaySection;
use crate::replay::plan::rewrite::{Field, TargetRule, check_name};
use crate::replay::session::ready::ReadyCheck;
use crate::replay::session::target::parse_url;
use crate::replay::session::tls::{Identity, Sni, Trust};
use crate::replay::{Arrivals, Spoken, Think, Windows};
use crate::run;
use crate::schedule::pacing::{Pacing, Speed};
use crate::schedule::select::{Sample, SelectRule, Selection, Shard};
use crate::schedule::users::Users;
use crate::store::shown::without_secrets;
use crate::time::{NANOS_PER_SEC, Timestamp};

/// Shortest times without requests that are cut.
const SHORTEST_GAP_NS: i64 = 1_000_000;
const TIMEOUT_NS: i64 = 30 * NANOS_PER_SEC;
const WAIT_FOR_NS: i64 = 60 * NANOS_PER_SEC;
const MAX_BODY: u64 = 8 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TransportFlag {
    /// Exact bytes on sockets of its own
    Wire,
    /// A negotiating client: HTTP/2 where a TLS target offers it, proxies; header names in lower
    /// case, targets normalised, bodies framed anew (docs/replay.md lists all that differs)
    Client,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ProtocolFlag {
    /// HTTP/1.1
    H1,
    /// HTTP/2: by prior knowledge for http://, by ALPN for https://
    H2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WebsocketsFlag {
    /// Each message at its due time, behind the messages that its client had; where the client
    /// sent messages, with --unsafe-methods only
    Play,
    /// Not at all
    Skip,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum H2SettingsFlag {
    /// What the client of the captured connection announced; `large` where that is not known
    Captured,
    /// 64 KiB on a stream and on a connection, what every client begins with
    Initial,
    /// So much that the windows never keep v2 waiting
    Large,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ArrivalsFlag {
    /// In the order of the capture: after the answers that the client had
    Causal,
    /// When due, on another connection where the lane's is busy
    Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BindFlag {
    /// What leaves no doubt
    Sure,
    /// Also small numbers and words that occur once
    Likely,
    /// Nothing: requests go as they were recorded
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OrderFlag {
    /// Only the answers that give the values of a request
    Connection,
    /// Also requests that create or change what it names
    Data,
    /// Also all that its client had been answered, on any connection
    Session,
    /// Also all that anybody had been answered: as many at once as in the recording, at v2's pace
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PacingFlag {
    /// At once when its due time has passed
    Schedule,
    /// After the client's think time
    ThinkTime,
}

/// Flags of `replay` that `run` takes too.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ReplayFlags {
    /// Where to replay: scheme, host and port of v2
    #[arg(help_heading = "Target", long, value_name = "URL")]
    pub target: Option<String>,
    /// Replay the same schedule at this one too: v1 in staging
    #[arg(help_heading = "Target", long, value_name = "URL")]
    baseline: Option<String>,
    /// Requests for host H (or all below it by *.H) go to URL, under its name; repeat for several
    #[arg(help_heading = "Target", long, value_name = "H=URL")]
    map_host: Vec<HostMap>,
    /// Change targets: what the expression matches is replaced; repeat for several
    #[arg(help_heading = "Target", long, value_name = "PATTERN=>REPLACEMENT")]
    rewrite: Vec<TargetRule>,
    /// Set a header, replacing what is there; repeat for several
    #[arg(help_heading = "Target", long, value_name = "N: V")]
    header: Vec<Field>,
    /// Take a header away; repeat for several
    #[arg(help_heading = "Target", long, value_name = "N")]
    remove_header: Vec<String>,
    /// Add x-shadowtap-replay: RUN-ID to each request (the default)
    #[arg(help_heading = "Target", long, overrides_with = "no_marker")]
    marker: bool,
    /// Do not add it: exact bytes
    #[arg(help_heading = "Target", long, overrides_with = "marker")]
    no_marker: bool,
    /// Wait until this URL answers below 400
    ///
    /// Nothing is sent before; grpc://HOST:PORT/SERVICE (grpcs://) asks the health check of gRPC.
    #[arg(help_heading = "Target", long, value_name = "URL")]
    wait_ready: Option<Url>,
    /// Longest wait for --wait-ready [default: 60s]
    #[arg(help_heading = "Target", long, value_name = "D", value_parser = duration_ns)]
    wait_for: Option<i64>,
    /// Only what matches: METHOD PATH-REGEX, header:NAME=REGEX or cookie:NAME=REGEX; repeat for
    /// several
    #[arg(help_heading = "Which requests", long, value_name = "RULE")]
    include: Vec<SelectRule>,
    /// Not what matches: METHOD PATH-REGEX, header:NAME=REGEX or cookie:NAME=REGEX; repeat for
    /// several
    #[arg(help_heading = "Which requests", long, value_name = "RULE")]
    exclude: Vec<SelectRule>,
    /// Only requests for this host, or for all below it by *.HOST; repeat for several
    #[arg(help_heading = "Which requests", long, value_name = "H")]
    host: Vec<String>,
    /// Only connections to this port of the captured server; repeat for several
    #[arg(help_heading = "Which requests", long, value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..))]
    port: Vec<u16>,
    /// Only this share of the connections, the same ones in every run
    #[arg(help_heading = "Which requests", long, value_name = "P%")]
    sample: Option<Sample>,
    /// Of what --sample is a share: connection, cookie:NAME, header:NAME or forwarded-for [default:
    /// connection]
    #[arg(help_heading = "Which requests", long, value_name = "BY")]
    sample_by: Option<Users>,
    /// Only requests of this time (RFC 3339) or later
    #[arg(help_heading = "Which requests", long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Only requests before this time (RFC 3339)
    #[arg(help_heading = "Which requests", long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// Only these exchanges, by their ids, with what they depend on: the earlier requests of their
    /// connections, and those whose answers give values to any of them
    #[arg(help_heading = "Which requests", long, value_name = "ID,…", value_delimiter = ',',
        value_parser = exchange_id)]
    id: Vec<ExchangeId>,
    /// Only slice I of N of the lanes, or of the clients where values are bound, for N machines;
    /// index/N takes I from JOB_COMPLETION_INDEX, as an Indexed Job of Kubernetes sets it
    #[arg(
        help_heading = "Which requests",
        long,
        value_name = "I/N|index/N",
        value_parser = shard
    )]
    shard: Option<Shard>,
    /// Cut times without any request to this, so that nights and weekends do not pass again
    #[arg(help_heading = "Timing", long, value_name = "D", value_parser = duration_ns)]
    max_gap: Option<i64>,
    /// Speed: 1 is the original, 2 twice as fast, max as fast as lanes allow
    #[arg(help_heading = "Timing", long, value_name = "F")]
    speed: Option<Speed>,
    /// Raise the rate from nothing to the full one in this time
    #[arg(help_heading = "Timing", long, value_name = "D", value_parser = duration_ns)]
    ramp: Option<i64>,
    /// Play the schedule so many times
    #[arg(help_heading = "Timing", long = "loop", value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..))]
    loops: Option<u32>,
    /// Copies of each lane, with connections of their own
    #[arg(help_heading = "Timing", long, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..))]
    multiply: Option<u32>,
    /// Copies start later by up to this, each by its own time [default: 1s]
    #[arg(help_heading = "Timing", long, value_name = "D", value_parser = duration_ns)]
    jitter: Option<i64>,
    /// When a due request may go
    #[arg(help_heading = "Timing", long, value_enum)]
    arrivals: Option<ArrivalsFlag>,
    /// What a request waits for on other connections [default: session where values are bound, else
    /// connection]
    #[arg(help_heading = "Timing", long, value_enum)]
    order: Option<OrderFlag>,
    /// What a request keeps to that had to wait for an answer
    #[arg(help_heading = "Timing", long, value_enum)]
    pacing: Option<PacingFlag>,
    /// Take what flows in the inputs from this file or object (s3://…), where shard 1 (or who is no
    /// shard) writes what it finds: the other shards wait for it, and do not look themselves
    #[arg(help_heading = "State", long, value_name = "FILE")]
    flows: Option<String>,
    /// Start at this time (RFC 3339), so that all shards do; or so long after the first shard is
    /// ready (+30s), which it says in start.json beside the shards' folders
    #[arg(help_heading = "Timing", long, value_name = "TIME|+D")]
    start_at: Option<StartAt>,
    /// Threads that send [default: half of the cores]
    #[arg(help_heading = "Timing", long, value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// Ask for real-time priority, locked memory and processors that stay awake
    #[arg(help_heading = "Timing", long)]
    realtime: bool,
    /// What a lane is, whose requests wait for its own answers: connection, cookie:NAME,
    /// header:NAME or forwarded-for, where a proxy sends many users over its connections [default:
    /// connection]
    #[arg(help_heading = "Connections", long, value_name = "BY")]
    lanes: Option<Users>,
    /// How requests reach v2
    #[arg(help_heading = "Connections", long, value_enum)]
    transport: Option<TransportFlag>,
    /// Send all requests over HTTP/1.1 (h1) or HTTP/2 (h2) [default: each as it was captured]
    #[arg(help_heading = "Connections", long, value_enum)]
    protocol: Option<ProtocolFlag>,
    /// Send requests of HTTP/2 over HTTP/1.1 where v2 speaks nothing else; they fail without it
    #[arg(help_heading = "Connections", long)]
    allow_downgrade: bool,
    /// What is announced to v2 over HTTP/2, and how much it may send before it is allowed more
    /// [default: captured]
    #[arg(help_heading = "Connections", long, value_enum)]
    h2_settings: Option<H2SettingsFlag>,
    /// Send through this proxy (--transport client)
    #[arg(help_heading = "Connections", long, value_name = "URL")]
    proxy: Option<Url>,
    /// Longest wait for a connection or a whole answer [default: 30s, for an answer at least twice
    /// what v1 took]
    #[arg(help_heading = "Connections", long, value_name = "D", value_parser = duration_ns)]
    timeout: Option<i64>,
    /// Most connections at the same time [default: as many as the system allows]
    #[arg(help_heading = "Connections", long, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: Option<u32>,
    /// Do not check v2's certificate
    #[arg(help_heading = "Connections", long)]
    insecure: bool,
    /// Trust these certificates (PEM) instead of the system's
    #[arg(help_heading = "Connections", long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The name to ask the server for and to find in its certificate: target (the target's own, the
    /// default), captured (the host of the request), or a name; requests keep their host
    #[arg(help_heading = "Connections", long, value_name = "target|captured|NAME")]
    sni: Option<Sni>,
    /// Say who the client is by this certificate (PEM, with its chain), where the server asks
    #[arg(help_heading = "Connections", long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The private key of --cert (PEM)
    #[arg(help_heading = "Connections", long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Send POST, PUT, PATCH, DELETE and others too, which may change things at v2, and what
    /// clients said on WebSockets
    #[arg(help_heading = "Safety", long)]
    unsafe_methods: bool,
    /// What becomes of recorded WebSockets [default: play]
    #[arg(help_heading = "Which requests", long, value_enum)]
    websockets: Option<WebsocketsFlag>,
    /// Send those of them whose answers give values that other requests use: logins, carts
    #[arg(help_heading = "Which requests", long)]
    include_producers: bool,
    /// Which values that v1's answers issued are replaced in requests by what v2 issues: ids,
    /// tokens, cookies, entity tags [default: sure]
    #[arg(help_heading = "Which requests", long, value_enum)]
    bind: Option<BindFlag>,
    /// Replay even at the server that served the capture
    #[arg(help_heading = "Safety", long)]
    allow_captured_server: bool,
    /// What captures need beside themselves
    #[command(flatten)]
    beside: Beside,
    #[command(flatten)]
    redaction: RedactionFlags,
    /// Most bytes that are kept of an answer's body; the rest is counted and hashed [default: 8MiB]
    #[arg(help_heading = "Output", long, value_name = "SIZE", value_parser = size)]
    max_body: Option<u64>,
    /// Serve Prometheus metrics on this address while it runs, at /metrics
    #[arg(help_heading = "Output", long, value_name = "ADDR")]
    metrics: Option<String>,
    /// Keep serving them behind the end until they were asked for once more, for so long at most
    #[arg(help_heading = "Output", long, value_name = "D", value_parser = duration_ns,
        requires = "metrics")]
    metrics_linger: Option<i64>,
    /// Push them to this Pushgateway every 15 s and at the end: http://HOST:9091, or a URL with
    /// /metrics/job/JOB and other labels
    #[arg(help_heading = "Output", long, value_name = "URL")]
    metrics_push: Option<PushUrl>,
    /// Send each request with a traceparent of its own, and its span to this OpenTelemetry collector
    /// (OTLP over HTTP): otlp://HOST[:4318] or a URL; header: the field alone; off: neither
    #[arg(help_heading = "Output", long, value_name = "URL|header|off")]
    traces: Option<TracesTarget>,
    /// Requests that were captured with a traceparent keep it
    #[arg(help_heading = "Output", long)]
    keep_traceparent: bool,
    /// The page that shows a trace, for links from the report: a URL with {trace_id} in it
    #[arg(help_heading = "Output", long, value_name = "TEMPLATE")]
    trace_link: Option<TraceLink>,
}

/// A shard as written, or by the index that an Indexed Job gives its pods (from 0).
fn shard(text: &str) -> Result<Shard, String> {
    match text.trim().strip_prefix("index/") {
        None => text.parse(),
        Some(count) => Shard::of_job(count, std::env::var("JOB_COMPLETION_INDEX").ok().as_deref()),
    }
}

/// How values that v1 issued are bound, and what waits for what between connections.
#[derive(Clone, Debug)]
pub struct FlowFlags {
    /// `[flow]`.
    pub rules: bind::config::FlowSection,
    /// What names the fields of Protocol Buffers.
    pub schema: Schema,
    /// How sure a flow must be.
    pub bind: Bind,
    /// What waits for what; none where it was not said.
    pub order: Option<Order>,
    /// Requests whose answers give values go though their methods are unsafe.
    pub producers: bool,
}

impl FlowFlags {
    fn new(flags: &ReplayFlags, file: &ReplaySection, config: &Config) -> Result<Self, Failure> {
        let bind = match flags.bind {
            None => config.flow.level(),
            Some(BindFlag::Sure) => Bind::Sure,
            Some(BindFlag::Likely) => Bind::Likely,
            Some(BindFlag::Off) => Bind::Off,
        };
        let order = either("order", flags.order, file.order.as_ref(), |text| {
            OrderFlag::from_str(text, false)
        })?;
        let order = order.map(|order| match order {
            OrderFlag::Connection => Order::Connection,
            OrderFlag::Data => Order::Data,
            OrderFlag::Session => Order::Session,
            OrderFlag::All => Order::All,
        });
        let producers = flags.include_producers || file.include_producers.unwrap_or(false);
        let (rules, schema) = (config.flow.clone(), config.schema.clone());
        Ok(Self { rules, schema, bind, order, producers })
    }
}

/// What is spoken with v2.
struct SpokenFlags {
    /// The client agrees on a protocol itself.
    negotiates: bool,
    /// None is as captured.
    protocol: Option<Spoken>,
    h2: Windows,
    /// Why no WebSocket is played, where none is.
    no_sockets: Option<&'static str>,
}

impl SpokenFlags {
    fn new(flags: &ReplayFlags, file: &ReplaySection) -> Result<Self, Failure> {
        let transport = either("transport", flags.transport, file.transport.as_ref(), |text| {
            TransportFlag::from_str(text, false)
        })?;
        let negotiates = transport == Some(TransportFlag::Client);
        let protocol = either("protocol", flags.protocol, file.protocol.as_ref(), |text| {
            ProtocolFlag::from_str(text, false)
        })?;
        let websockets =
            either("websockets", flags.websockets, file.websockets.as_ref(), |text| {
                WebsocketsFlag::from_str(text, false)
            })?;
        let no_sockets = match (websockets, protocol) {
            (Some(WebsocketsFlag::Skip), _) => Some("--websockets skip"),
            _ if negotiates => Some("--transport client plays no WebSocket"),
            (_, Some(ProtocolFlag::H2)) => Some("--protocol h2 plays no WebSocket"),
            _ => None,
        };
        let settings =
            either("h2_settings", flags.h2_settings, file.h2_settings.as_ref(), |text| {
                H2SettingsFlag::from_str(text, false)
            })?;
        if negotiates && (protocol.is_some() || settings.is_some() || flags.allow_downgrade) {
            return Err(Failure::usage(
                "--protocol, --h2-settings and --allow-downgrade are for --transport wire: the \
                 client agrees on a protocol itself",
            ));
        }
        if flags.proxy.is_some() && !negotiates {
            return Err(Failure::usage("--proxy needs --transport client"));
        }
        let protocol = match protocol {
            // Between here and the client requests are HTTP/1.
            _ if negotiates => Some(Spoken::One),
            None => None,
            Some(ProtocolFlag::H1) => Some(Spoken::One),
            Some(ProtocolFlag::H2) => Some(Spoken::Two),
        };
        let h2 = match settings {
            None | Some(H2SettingsFlag::Captured) => Windows::Captured,
            Some(H2SettingsFlag::Initial) => Windows::Initial,
            Some(H2SettingsFlag::Large) => Windows::Large,
        };
        Ok(Self { negotiates, protocol, h2, no_sockets })
    }
}

fn pacing(flags: &ReplayFlags, file: &ReplaySection) -> Result<Pacing, Failure> {
    let speed = file.speed.as_ref().map(ToString::to_string);
    let pacing = Pacing {
        speed: either("speed", flags.speed, speed.as_ref(), parsed)?.unwrap_or(Speed::Factor(1.0)),
        ramp_ns: either("ramp", flags.ramp, file.ramp.as_ref(), duration_ns)?.unwrap_or(0),
        loops: flags.loops.or(file.loops).unwrap_or(1).max(1),
        multiply: flags.multiply.or(file.multiply).unwrap_or(1).max(1),
        jitter_ns: either("jitter", flags.jitter, file.jitter.as_ref(), duration_ns)?
            .unwrap_or(NANOS_PER_SEC),
        max_gap_ns: either("max_gap", flags.max_gap, file.max_gap.as_ref(), duration_ns)?,
    };
    if pacing.max_gap_ns.is_some_and(|gap| gap < SHORTEST_GAP_NS) {
        return Err(Failure::usage("--max-gap must be at least 1ms"));
    }
    Ok(pacing)
}

fn selection(
    flags: &ReplayFlags,
    file: &ReplaySection,
    no_sockets: Option<&'static str>,
    keeps_marker: bool,
) -> Result<Selection, Failure> {
    let sample_by = flags.sample_by.clone();
    if let (Some(from), Some(to)) = (flags.from, flags.to)
        && from >= to
    {
        return Err(Failure::usage(format!("--from {from} is not before --to {to}")));
    }
    Ok(Selection {
        include: list("include", flags.include.clone(), &file.include)?,
        exclude: list("exclude", flags.exclude.clone(), &file.exclude)?,
        hosts: if flags.host.is_empty() { &file.host } else { &flags.host }.clone(),
        ports: if flags.port.is_empty() { &file.port } else { &flags.port }.clone(),
        from: flags.from,
        to: flags.to,
        ids: in_order(flags.id.clone()),
        sample: either("sample", flags.sample, file.sample.as_ref(), parsed)?,
        sample_by: either("sample_by", sample_by, file.sample_by.as_ref(), parsed)?
            .unwrap_or_default(),
        unsafe_methods: flags.unsafe_methods || file.unsafe_methods.unwrap_or(false),
        no_sockets,
        marker: keeps_marker.then_some(MARKER),
    })
}

/// What is asked of traces; of no use without them, where the command line says it.
fn traces(
    target: Option<TracesTarget>,
    (keeps, link): (bool, Option<TraceLink>),
    file: &ReplaySection,
) -> Result<Option<TracesWish>, Failure> {
    let target = either("traces", target, file.traces.as_ref(), parsed)?;
    let is_said = keeps || link.is_some();
    let keeps = keeps || file.keep_traceparent.unwrap_or(false);
    let link = either("trace_link", link, file.trace_link.as_ref(), parsed)?;
    let wish = TracesWish::new(target, keeps, link);
    if wish.is_none() && is_said {
        return Err(Failure::usage(
            "--keep-traceparent and --trace-link take --traces: without it requests have no traces \
             of their own",
        ));
    }
    Ok(wish)
}

fn wait_ready(flag: Option<Url>, file: &ReplaySection) -> Result<Option<Url>, Failure> {
    let url = either("wait_ready", flag, file.wait_ready.as_ref(), parsed)?;
    match &url {
        Some(url) if ReadyCheck::of(url).is_none() => Err(Failure::usage(format!(
            "--wait-ready {}: not an http, https, grpc or grpcs URL",
            run::without_secrets(url)
        ))),
        _ => Ok(url),
    }
}

fn timeout(flag: Option<i64>, file: &ReplaySection) -> Result<i64, Failure> {
    let nanos = either("timeout", flag, file.timeout.as_ref(), duration_ns)?.unwrap_or(TIMEOUT_NS);
    if nanos < 1_000_000 {
        return Err(Failure::usage("--timeout must be at least 1ms"));
    }
    Ok(nanos)
}

fn max_body(flag: Option<u64>, file: &ReplaySection) -> Result<usize, Failure> {
    let most = either("max_body", flag, file.max_body.as_ref(), size)?.unwrap_or(MAX_BODY);
    if most > limits::BODY_BYTES as u64 {
        let bound = limits::BODY_BYTES >> 20;
        return Err(Failure::usage(format!("--max-body is {bound}MiB at most")));
    }
    Ok(usize::try_from(most).unwrap_or(usize::MAX))
}

/// The checked flags.
#[derive(Clone, Debug)]
pub struct ReplayShape {
    /// v2; none for a dry run without one.
    pub target: Option<String>,
    /// v1 in staging.
    pub baseline: Option<String>,
    /// Which requests.
    pub selection: Selection,
    /// When.
    pub pacing: Pacing,
    /// Which lanes.
    pub shard: Option<Shard>,
    /// What a lane is.
    pub lanes: Users,
    /// When to start.
    pub start_at: Option<StartAt>,
    /// Where shards share what flows.
    pub shared_flows: Option<SharedFlows>,
    /// Changes of targets.
    pub rewrite: Vec<TargetRule>,
    /// Hosts that go elsewhere.
    pub map_host: Vec<HostMap>,
    /// Headers to set.
    pub header: Vec<Field>,
    /// Headers to take away.
    pub remove_header: Vec<String>,
    /// Whether requests carry the marker.
    pub marker: bool,
    /// Longest wait for a connection or an answer.
    pub timeout_ns: i64,
    /// It was not set: an answer may take longer where v1 took long.
    pub is_patient: bool,
    /// Most connections.
    pub max_connections: Option<usize>,
    /// Most bytes kept of an answer.
    pub max_body: usize,
    /// Requests go through a negotiating client.
    pub negotiates: bool,
    /// Over which protocol they go; none for the one that each was captured with.
    pub protocol: Option<Spoken>,
    /// Requests of HTTP/2 may go over HTTP/1.1.
    pub allow_downgrade: bool,
    /// How much v2 may send over HTTP/2 before it is allowed more.
    pub h2: Windows,
    /// The proxy that they go through.
    pub proxy: Option<Url>,
    /// Where metrics are served.
    pub metrics: Option<String>,
    /// How long they are kept behind the end.
    pub metrics_linger: Duration,
    /// Where metrics are pushed.
    pub(crate) metrics_push: Option<PushUrl>,
    /// What is asked of traces.
    pub traces: Option<TracesWish>,
    /// When a due request may go.
    pub arrivals: Arrivals,
    /// What it keeps to after a wait.
    pub think: Think,
    /// Who is trusted.
    pub trust: Trust,
    /// What must answer first.
    pub wait_ready: Option<Url>,
    /// For how long it is waited for.
    pub wait_for_ns: i64,
    /// Threads that send.
    pub workers: usize,
    /// Ask for real-time priority.
    pub realtime: bool,
    /// Replay even at the captured server.
    pub allow_captured_server: bool,
    /// How values are bound.
    pub flow: FlowFlags,
    /// Own lateness at the 99th percentile above which the schedule counts as not held: the gate's.
    pub max_lateness_ns: i64,
    /// What captures need beside themselves.
    pub beside: Beside,
    /// Takes secrets out of what is written.
    pub redactor: Option<Redactor>,
}

/// A value of the file, read as its flag would be.
fn from_file<T>(
    name: &str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, Failure> {
    parse(text).map_err(|why| Failure::usage(format!("[replay] {name}: {why}")))
}

fn parsed<T: FromStr>(text: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// The flag, else the file's value, else none.
fn either<T>(
    name: &str,
    flag: Option<T>,
    file: Option<&String>,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, Failure> {
    match (flag, file) {
        (Some(value), _) => Ok(Some(value)),
        (None, Some(text)) => from_file(name, text, parse).map(Some),
        (None, None) => Ok(None),
    }
}

/// The flags where there are any, else the file's values.
fn list<T: FromStr>(name: &str, flags: Vec<T>, file: &[String]) -> Result<Vec<T>, Failure>
where
    T::Err: std::fmt::Display,
{
    if flags.is_empty() {
        file.iter().map(|text| from_file(name, text, parsed)).collect()
    } else {
        Ok(flags)
    }
}

/// When requests go beside their due times.
fn order(
    flags: &ReplayFlags,
    file: &ReplaySection,
    speed: Speed,
) -> Result<(Arrivals, Think), Failure> {
    let named = |text: &str| ArrivalsFlag::from_str(text, false);
    let arrivals = match either("arrivals", flags.arrivals, file.arrivals.as_ref(), named)? {
        None | Some(ArrivalsFlag::Causal) => Arrivals::Causal,
        Some(ArrivalsFlag::Open) => Arrivals::Open,
    };
    let named = |text: &str| PacingFlag::from_str(text, false);
    let think = match either("pacing", flags.pacing, file.pacing.as_ref(), named)? {
        None | Some(PacingFlag::Schedule) => Think::Schedule,
        Some(PacingFlag::ThinkTime) => Think::ThinkTime,
    };
    if speed == Speed::Max && arrivals == Arrivals::Open {
        return Err(Failure::usage(
            "--speed max has no schedule that --arrivals open could keep: leave one of them out",
        ));
    }
    Ok((arrivals, think))
}

fn in_order(mut ids: Vec<ExchangeId>) -> Vec<ExchangeId> {
    ids.sort_unstable();
    ids
}

fn identity(cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<Identity>, Failure> {
    match (cert, key) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some(Identity { cert, key })),
        _ => Err(Failure::usage("[replay] cert and key: each takes the other")),
    }
}

impl ReplayShape {
    /// Checks flags and file together.
    pub fn new(flags: ReplayFlags, config: &Config, policy: &Policy) -> Result<Self, Failure> {
        let (file, schema) = (&config.replay, &config.schema);
        let flow = FlowFlags::new(&flags, file, config)?;
        let shared = flags.flows.as_deref().map(|name| SharedFlows::new(name, flags.shard));
        let shared_flows = shared.transpose()?;
        let target = flags.target.as_ref().or(file.target.as_ref()).cloned();
        let baseline = flags.baseline.as_ref().or(file.baseline.as_ref()).cloned();
        for url in [&target, &baseline].into_iter().flatten() {
            parse_url(url).map_err(|error| Failure::usage(error.to_string()))?;
        }
        let SpokenFlags { negotiates, protocol, h2, no_sockets } = SpokenFlags::new(&flags, file)?;
        let pacing = pacing(&flags, file)?;
        let (arrivals, think) = order(&flags, file, pacing.speed)?;
        let own = !flags.remove_header.is_empty();
        let remove_header = if own { &flags.remove_header } else { &file.remove_header }.clone();
        for name in &remove_header {
            check_name(name).map_err(Failure::usage)?;
        }
        // Who takes the marker away wants what carries it.
        let keeps_marker = !remove_header.iter().any(|name| name.eq_ignore_ascii_case(MARKER));
        let selection = selection(&flags, file, no_sockets, keeps_marker)?;
        let wait_ready = wait_ready(flags.wait_ready, file)?;
        let is_patient = flags.timeout.is_none() && file.timeout.is_none();
        let timeout_ns = timeout(flags.timeout, file)?;
        let max_body = max_body(flags.max_body, file)?;
        let lanes = either("lanes", flags.lanes, file.lanes.as_ref(), parsed)?.unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Self {
            target,
            baseline,
            selection,
            pacing,
            lanes,
            shard: flags.shard,
            start_at: flags.start_at,
            shared_flows,
            rewrite: list("rewrite", flags.rewrite, &file.rewrite)?,
            map_host: list("map_host", flags.map_host, &file.map_host)?,
            header: list("header", flags.header, &file.header)?,
            remove_header,
            marker: if flags.no_marker {
                false
            } else {
                flags.marker || file.marker.unwrap_or(true)
            },
            timeout_ns,
            is_patient,
            max_connections: flags.max_connections.map(|n| n as usize).or(file.max_connections),
            max_body,
            protocol,
            allow_downgrade: flags.allow_downgrade || file.allow_downgrade.unwrap_or(false),
            h2,
            negotiates,
            proxy: flags.proxy,
            metrics: flags.metrics,
            metrics_push: flags.metrics_push,
            metrics_linger: Duration::from_nanos(flags.metrics_linger.unwrap_or(0).unsigned_abs()),
            traces: traces(flags.traces, (flags.keep_traceparent, flags.trace_link), file)?,
            arrivals,
            think,
            trust: Trust {
                insecure: flags.insecure || file.insecure.unwrap_or(false),
                ca: flags.ca.or_else(|| file.ca.clone()),
                sni: either("sni", flags.sni, file.sni.as_ref(), parsed)?.unwrap_or_default(),
                identity: identity(
                    flags.cert.or_else(|| file.cert.clone()),
                    flags.key.or_else(|| file.key.clone()),
                )?,
            },
            wait_ready,
            wait_for_ns: either("wait_for", flags.wait_for, file.wait_for.as_ref(), duration_ns)?
                .unwrap_or(WAIT_FOR_NS),
            // Where v2 runs on the same machine it needs the other half.
            workers: flags
                .workers
                .map(usize::from)
                .or(file.workers)
                .unwrap_or(cores / 2)
                .clamp(1, 256),
            realtime: flags.realtime,
            allow_captured_server: flags.allow_captured_server
                || file.allow_captured_server.unwrap_or(false),
            flow,
            max_lateness_ns: policy.max_lateness_p99.0,
            beside: flags.beside.or(&file.keylog, &file.offset)?,
            redactor: flags
                .redaction
                .or("replay", &file.redact, file.redact_key.as_ref())?
                .redactor(schema.clone())?,
        })
    }

    /// The settings as files tell them; values of headers may be secrets and are left out.
    pub fn describe(&self) -> serde_json::Value {
        let mut told = serde_json::json!({
            "speed": self.pacing.speed.to_string(),
            "ramp_ns": self.pacing.ramp_ns,
            "max_gap_ns": self.pacing.max_gap_ns,
            "loop": self.pacing.loops,
            "multiply": self.pacing.multiply,
            "jitter_ns": self.pacing.jitter_ns,
            "include": self.selection.include.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "exclude": self.selection.exclude.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "from": self.selection.from,
            "to": self.selection.to,
            "ids": self.selection.ids,
            "rewrite": self.rewrite.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "host": self.selection.hosts,
            "port": self.selection.ports,
            "sample": self.selection.sample.map(|sample| sample.to_string()),
            "unsafe_methods": self.selection.unsafe_methods,
            "websockets": if self.selection.no_sockets.is_some() { "skip" } else { "play" },
            "header": self.header.iter().map(Field::name).collect::<Vec<_>>(),
            "remove_header": self.remove_header,
            "map_host": self.map_host.iter().map(|map| format!("{}={}", map.host,
            without_secrets(&map.url))).collect::<Vec<_>>(),
            "max_lateness_p99_ns": self.max_lateness_ns,
            "protocol": self.protocol.map_or("captured", |spoken| match spoken {
                Spoken::One => "h1",
                Spoken::Two => "h2",
            }),
            "transport": if self.negotiates { "client" } else { "wire" },
            "proxy": self.proxy.as_ref().map(run::without_secrets),
            "arrivals": match self.arrivals { Arrivals::Causal => "causal",
            Arrivals::Open => "open" },
            "pacing": match self.think { Think::Schedule => "schedule",
            Think::ThinkTime => "think-time" },
            "bind": self.flow.bind,
            "order": self.flow.order,
            "include_producers": self.flow.producers,
            "shard": self.shard.map(|shard| format!("{}/{}", shard.index + 1, shard.count)),
            "timeout_ns": self.timeout_ns,
            "timeout_follows_v1": self.is_patient,
            "sni": match &self.trust.sni {
                Sni::Target => "target",
                Sni::Captured => "captured",
                Sni::Name(name) => name,
            },
            "client_certificate": self.trust.identity.is_some(),
            "max_connections": self.max_connections,
            "max_body": self.max_body,
            "workers": self.workers,
            "realtime": self.realtime,
            "marker": self.marker,
            "insecure": self.trust.insecure,
            "redacted": self.redactor.as_ref().map(Redactor::mark),
        });
        told["sample_by"] = self.selection.sample_by.to_string().into();
        told["lanes"] = self.lanes.to_string().into();
        if let Some(traces) = &self.traces {
            told["traces"] = traces.describe();
        }
        told
    }
}
