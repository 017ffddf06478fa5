//! `shadowtap mock`: answers v2's outgoing calls from v1's recorded ones, until it is told to stop.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::config::Config;
use super::exit::printable;
use super::exit::unreadable;
use super::reading::Beside;
use super::signals::{self, Grace};
use super::{Exit, Failure, Global, log};
use crate::exchange::ExchangeId;
use crate::limits;
use crate::measure::open_records;
use crate::message::place::Pattern;
use crate::message::protobuf::Readings;
use crate::mock::fault::{Fault, Faults};
use crate::mock::ledger::{Broken, Call, VerdictCounts};
use crate::mock::{
    self, BuildError, CallGatherer, EgressSelection, Exhausted, FeatureRules, Handle, MatchPolicy,
    MockFinished, StartError, Timing,
};
use crate::record::outcomes;
use crate::record::outcomes::OutcomeLine;
use crate::redact::Masker;
use crate::run::{RunFolder, names};
use crate::source::Inputs;
use crate::store::shown;

/// Answer v2's outgoing calls from the recording
///
/// Serves the recorded providers on one port: as a server chosen by Host, as a proxy (HTTP_PROXY,
/// HTTPS_PROXY), and with --ca-dir as an HTTPS server. Never calls anybody: a call that was not
/// recorded gets 599 and is counted. Ends with SIGINT or SIGTERM, prints how v2's calls compare
/// with v1's, and exits with 1 where a call was not recorded, or one that changes something was
/// repeated or had another payload.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shadowtap mock v1.pcap --listen 0.0.0.0:9090 \\
      --provider payments.internal --log egress.jsonl
  shadowtap mock v1.pcap --provider payments.internal \\
      --fault 'POST ^/charge: 5% 503' --fault 'GET /: delay 2s'
  # with --ca-dir ca:
  HTTPS_PROXY=http://127.0.0.1:9090 SSL_CERT_FILE=ca/ca.pem ./v2")]
pub struct MockArgs {
    /// Captures or recordings that hold v1's outgoing calls (- for standard input)
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<String>,
    /// Where to listen; port 0 chooses a free one
    #[arg(help_heading = "Mock", long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    listen: SocketAddr,
    /// Write each call with its verdict to this file, as JSONL
    #[arg(help_heading = "Output", long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// What to answer with
    #[command(flatten)]
    choice: MockFlags,
    /// What captures need beside themselves
    #[command(flatten)]
    beside: Beside,
}

/// Flags that `run` has as well, for the mock that it starts.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Mock")]
pub struct MockFlags {
    /// A provider's host; repeat for several [default: whatever v1's address called]
    #[arg(long = "provider", value_name = "HOST")]
    providers: Vec<String>,
    /// A provider's port; repeat for several
    #[arg(long = "provider-port", value_name = "N")]
    provider_ports: Vec<u16>,
    /// When to answer: at once, or as late as the provider did [default: none]
    #[arg(long, value_name = "WHEN", value_enum)]
    timing: Option<TimingArg>,
    /// What calls get that v2 makes more often than v1: the last recorded answer again, or a miss
    /// [default: repeat]
    #[arg(long, value_name = "WHAT", value_enum)]
    exhausted: Option<ExhaustedArg>,
    /// Folder of a local certificate authority, made where there is none: answers HTTPS, and
    /// CONNECT to port 443
    #[arg(long, value_name = "DIR")]
    ca_dir: Option<PathBuf>,
    /// The bindings.jsonl of the replay that runs beside it, which may still grow: v2's values in
    /// its calls are turned back into v1's, and forth in what is answered [default with run: the
    /// run's own]
    #[arg(long, value_name = "FILE")]
    bindings: Option<PathBuf>,
    /// A name under which v2 calls a recorded provider; repeat for several
    #[arg(long, value_name = "NAME=HOST", value_parser = alias)]
    provider_alias: Vec<(String, String)>,
    /// A header field that must match too; repeat for several
    #[arg(long, value_name = "NAME")]
    match_header: Vec<String>,
    /// A place whose value may be any, e.g. '$.nonce', '$.items[*].id', 'query:ts'; repeat for
    /// several
    #[arg(long, value_name = "PLACE")]
    volatile: Vec<Pattern>,
    /// Least likeness of the nearest call that may answer, from 0 to 1; 1 answers equal calls only
    /// [default: 0.6]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    threshold: Option<f64>,
    /// A fault on purpose, e.g. 'POST ^/charge: 5% 503', '* /: delay 2s', 'GET /rates: 1% reset';
    /// repeat for several
    #[arg(long, value_name = "FAULT")]
    fault: Vec<Fault>,
    /// Another seed draws other calls for faults
    #[arg(long, value_name = "N", default_value_t = 1)]
    fault_seed: u64,
    /// Print each choice, and put it into the answer as x-shadowtap-mock
    #[arg(long)]
    explain: bool,
    /// Threads that answer [default: one for each core]
    #[arg(long = "mock-threads", value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum TimingArg {
    None,
    Recorded,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ExhaustedArg {
    Repeat,
    Miss,
}

fn alias(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, host)) if !name.is_empty() && !host.is_empty() => {
            Ok((name.to_ascii_lowercase(), host.to_ascii_lowercase()))
        }
        _ => Err(format!("{text:?} is not NAME=HOST")),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share @ 0.0..=1.0) => Ok(share),
        _ => Err(format!("{text:?} is not a number from 0 to 1")),
    }
}

/// What `mock` does, checked.
#[derive(Clone)]
pub struct MockSettings {
    /// Where the calls come from.
    pub inputs: Vec<String>,
    /// Which of the exchanges are calls.
    pub selection: EgressSelection,
    /// What is compared.
    pub rules: FeatureRules,
    /// How to serve.
    pub serve: mock::ServeSettings,
    /// What captures need beside themselves.
    pub beside: Beside,
    /// Whether a replay in this process tells which requests are at v2.
    pub watches: bool,
}

impl MockSettings {
    /// From the command line and the file; a flag beats the file.
    pub fn new(
        inputs: Vec<String>,
        listen: SocketAddr,
        log: Option<PathBuf>,
        choice: MockFlags,
        file: &Config,
    ) -> Result<Self, Failure> {
        let config = &file.mock;
        let lower = |names: Vec<String>| {
            names.into_iter().map(|name| name.to_ascii_lowercase()).collect::<Vec<_>>()
        };
        let timing = choice.timing.map(|timing| match timing {
            TimingArg::None => Timing::None,
            TimingArg::Recorded => Timing::Recorded,
        });
        let exhausted = choice.exhausted.map(|exhausted| match exhausted {
            ExhaustedArg::Repeat => Exhausted::Repeat,
            ExhaustedArg::Miss => Exhausted::Miss,
        });
        let from_file = |text: &String| {
            text.parse().map_err(|error| Failure::usage(format!("[mock] faults: {error}")))
        };
        let faults = match choice.fault {
            flags if flags.is_empty() => {
                config.faults.iter().map(from_file).collect::<Result<Vec<Fault>, _>>()?
            }
            flags => flags,
        };
        let ports = if choice.provider_ports.is_empty() {
            config.ports.clone()
        } else {
            choice.provider_ports
        };
        let mut serve = mock::ServeSettings::new(listen);
        serve.timing = timing.unwrap_or(config.timing);
        serve.policy = MatchPolicy {
            exhausted: exhausted.unwrap_or(config.exhausted),
            threshold: choice.threshold.unwrap_or(config.threshold),
            ..MatchPolicy::default()
        };
        serve.faults = Faults::new(faults, choice.fault_seed);
        serve.authority = choice.ca_dir;
        serve.aliases = choice.provider_alias;
        serve.bindings = choice.bindings;
        serve.log = log;
        serve.inputs = inputs.clone();
        serve.threads = choice.threads.map_or(0, usize::from);
        if choice.explain {
            serve.explain = Some(Arc::new(explain));
        }
        serve.masker = Masker::random();
        Ok(Self {
            inputs,
            selection: EgressSelection {
                ports,
                hosts: lower(or(choice.providers, &config.providers)),
                ..EgressSelection::default()
            },
            rules: FeatureRules {
                headers: lower(or(choice.match_header, &config.match_headers)),
                volatile: or(choice.volatile, &config.volatile),
                readings: Arc::new(Readings::new(file.schema.clone())),
            },
            serve,
            beside: Beside::default(),
            watches: false,
        })
    }
}

/// What the flags say, else what the file does.
fn or<T: Clone>(flags: Vec<T>, file: &[T]) -> Vec<T> {
    if flags.is_empty() { file.to_vec() } else { flags }
}

#[expect(clippy::print_stderr, reason = "what --explain is for")]
fn explain(call: &Call) {
    let recorded = call.recorded.map(|id| format!(" {id}")).unwrap_or_default();
    let places: Vec<&str> = call.places.iter().map(|place| place.place.as_str()).collect();
    let places =
        if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) };
    let line = format!(
        "{} {} {}: {}{recorded}: {}{places}",
        call.method,
        call.provider,
        call.target,
        call.verdict.name(),
        call.why
    );
    eprintln!("{}", printable(&line));
}

/// Runs the command.
pub(crate) fn run(args: MockArgs, global: &Global) -> Result<Exit, Failure> {
    let config = Config::load(global)?;
    let settings = MockSettings {
        beside: args.beside,
        ..MockSettings::new(args.inputs, args.listen, args.log, args.choice, &config)?
    };
    let finished = execute(&settings, global)?;
    show(&finished)?;
    let counts = finished.counts;
    // What is missing says nothing here: nobody knows what was sent to v2.
    let surplus = counts.unsafe_repeated + counts.unsafe_drifted;
    Ok(if counts.extra > 0 || surplus > 0 { Exit::GateFailed } else { Exit::Done })
}

/// Serves until a signal comes.
pub(crate) fn execute(settings: &MockSettings, global: &Global) -> Result<MockFinished, Failure> {
    let stop = signals::word()?;
    let mock = start(settings, global)?;
    let _grace = Grace::ask();
    while !stop.wait(None) {}
    end(mock, &|_| true)
}

/// Reads the inputs and starts serving.
pub(crate) fn start(settings: &MockSettings, global: &Global) -> Result<Handle, Failure> {
    let mut calls = CallGatherer::new(settings.selection.clone());
    let full = |error: &dyn std::error::Error| {
        let folder = std::env::temp_dir();
        Failure::unusable(format!(
            "large bodies cannot be put aside in {}: set TMPDIR to a folder with room",
            folder.display()
        ))
        .because(error)
    };
    let done = Inputs::open(&settings.inputs, settings.beside.options())?
        .each(global, |exchange| calls.add(exchange).map_err(|error| full(&error)))?
        .require_exchanges()?;
    for warning in &done.warnings {
        tracing::warn!("{}", printable(warning));
    }
    let names = shown::shown_names(&settings.inputs).join(", ");
    let recording = calls.build(settings.rules.clone()).map_err(|error| match error {
        BuildError::NoCall { .. } => Failure::unusable(format!(
            "{names}: {}: say with --provider or --provider-port which of them are v1's providers",
            printable(&error.to_string())
        )),
        BuildError::Disk(_) => full(&error),
    })?;
    if recording.undivided {
        tracing::warn!(
            "clients and servers have one address, so every exchange is taken for an outgoing \
             call: name the providers with --provider"
        );
    }
    if recording.contradictions > 0 {
        tracing::info!(
            "{} requests were recorded with different answers: given in their order",
            recording.contradictions
        );
    }
    let calls = recording.len();
    let hosts: Vec<String> =
        recording.hosts().take(8).map(|(host, calls)| format!("{host} ({calls})")).collect();
    let mock = Handle::start_beside(recording, settings.serve.clone(), settings.watches)
        .map_err(|error| failure(&error))?;
    let hosts = printable(&hosts.join(", "));
    let address = mock.address();
    log::say(global, &format!("mock: listening on {address}, answers {calls} calls of {hosts}"));
    Ok(mock)
}

/// The exchanges that a replay sent: only their outgoing calls can be missing.
pub(crate) fn replayed(folder: &RunFolder) -> Result<FxHashSet<ExchangeId>, Failure> {
    let path = folder.file(names::OUTCOMES);
    let mut reader = BufReader::with_capacity(
        1 << 16,
        open_records(&path).map_err(|error| unreadable(&path, &error))?,
    );
    let (mut line, mut sent) = (Vec::new(), FxHashSet::default());
    loop {
        line.clear();
        let read = reader.by_ref().take(limits::LINE_BYTES as u64).read_until(b'\n', &mut line);
        if read.map_err(|error| unreadable(&path, &error))? == 0 {
            return Ok(sent);
        }
        if let OutcomeLine::Outcome(outcome) =
            outcomes::read(line.trim_ascii_end()).map_err(|error| unreadable(&path, &error))?
            && outcome.sent_ns.is_some()
        {
            sent.insert(outcome.id.exchange);
        }
    }
}

/// Stops it and closes its ledger.
pub(crate) fn end(
    mock: Handle,
    replayed: &dyn Fn(ExchangeId) -> bool,
) -> Result<MockFinished, Failure> {
    mock.stop(replayed).map_err(|error| {
        Failure::unusable("cannot write the ledger of outgoing calls").because(&error)
    })
}

fn failure(error: &StartError) -> Failure {
    let what = match error {
        StartError::Listen { cause, .. } if cause.kind() == std::io::ErrorKind::AddrInUse => {
            format!(
                "{error}: the port is in use; choose another with --listen, or 0 for a free one"
            )
        }
        _ => error.to_string(),
    };
    Failure::unusable(what).because(error)
}

fn show(finished: &MockFinished) -> Result<(), Failure> {
    let ledger = finished
        .log
        .as_ref()
        .map(|log| format!("ledger: {}\n", printable(&log.to_string_lossy())))
        .unwrap_or_default();
    super::output::print(&format!(
        "{}\n{}{ledger}",
        summary(&finished.counts),
        broken(&finished.broken)
    ))
}

/// What went wrong with clients, in a line; empty where nothing did.
fn broken(broken: &Broken) -> String {
    let parts = [
        (broken.unfinished, "requests never came whole"),
        (broken.not_understood, "were no HTTP"),
        (broken.unread, "answers were not read"),
        (broken.no_tls, "TLS handshakes failed"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if parts.is_empty() { String::new() } else { format!("clients: {}\n", parts.join(", ")) }
}

/// The counts in a line.
pub(crate) fn summary(counts: &VerdictCounts) -> String {
    let mut text = format!(
        "{} outgoing calls: {} matched, {} drifted, {} repeated, {} extra; {} of v1 missing",
        counts.made(),
        counts.matched,
        counts.drifted,
        counts.repeated,
        counts.extra,
        counts.missing
    );
    if counts.order_changed > 0 {
        text.push_str(&format!("; {} in another order", counts.order_changed));
    }
    if counts.faulted > 0 {
        text.push_str(&format!("; {} got a fault on purpose", counts.faulted));
    }
    if counts.unsafe_repeated > 0 {
        text.push_str(&format!(
            "; {} that change something were made more often than by v1",
            counts.unsafe_repeated
        ));
    }
    text
}
