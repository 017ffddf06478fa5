//! `shadowtap capture`: records live traffic until it is told to stop, and says what it lost.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use rustix::fs::{Access, Gid, Uid};

use super::account::ledger_table;
use super::args::{duration_ns, size};
use super::config::Config;
use super::exit::printable;
use super::metrics::{self, MetricsServer};
use super::output::print;
use super::progress::Progress;
use super::redaction::{self, RedactionFlags};
use super::{Exit, Failure, Global, signals};
use crate::capture::config::CaptureSection;
use crate::capture::counts::{Counts, LiveCounts};
use crate::capture::keylog::KeyLogs;
use crate::capture::live::{self, LiveError, Tap};
use crate::capture::privilege;
use crate::capture::record::{PacketRecording, RecordError, RecordedPackets};
use crate::capture::rotate::{self, FilePlan, OutputError};
use crate::capture::writer::FileFormat;
use crate::ledger::Ledger;
use crate::message::protobuf::Schema;
use crate::parse;
use crate::redact::Redactor;
use crate::run;
use crate::store::paths::local_path;
use crate::store::remote::{Remote, is_store};
use crate::store::uploads::{self, SentFiles, Uploads};
use crate::time::{Monotonic, Timestamp};

/// Record live traffic on this machine's interfaces
///
/// Ends with --duration, SIGINT or SIGTERM, and prints how many packets were seen, kept, and
/// dropped by whom. A second signal ends it at once. While a file is written its name ends in
/// .part; after a kill it is readable up to the last second.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shadowtap capture -i eth0 --port 8080 -o v1.pcap --duration 10m
  shadowtap capture -i any --port 8080 -o 'v1-%Y%m%dT%H%M%S.pcapng.zst' \\
      --rotate-every 1h --keep-files 24
  shadowtap capture -i eth0 --port 8080 -o v1.jsonl.zst --redact default")]
pub struct CaptureArgs {
    /// Interface to capture; repeat for several (.pcapng), `any` for all
    #[arg(help_heading = "Input", short, long = "interface", value_name = "IFACE")]
    interfaces: Vec<String>,
    /// TCP port to capture, also in VLANs and tunnels; repeat for several [default: everything]
    #[arg(help_heading = "Input", short, long = "port", value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..))]
    ports: Vec<u16>,
    /// Capture only what matches this filter, in libpcap's language (both hold where --port is
    /// given too)
    #[arg(help_heading = "Input", long, value_name = "BPF")]
    filter: Option<String>,
    /// File to write: .pcap, .pcapng (packets) or .jsonl (exchanges), each with .zst too; - for
    /// standard output, s3://, gs:// and az:// for a store; %Y %m %d %H %M %S are filled in
    /// [default: captures/IFACE-TIME.pcap]
    #[arg(help_heading = "Output", short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What is written to standard output (-o -) [default: pcap, or what the other flags need]
    #[arg(help_heading = "Output", long, value_enum)]
    format: Option<Streamed>,
    /// With a store as output (-o s3://bucket/v1/%Y%m%dT%H%M%S.pcapng.zst): where each file is
    /// written, and stays until the store has it [default: captures]
    #[arg(help_heading = "Output", long, value_name = "DIR")]
    spool: Option<PathBuf>,
    /// Serve Prometheus metrics on this address while it runs, at /metrics
    #[arg(help_heading = "Output", long, value_name = "ADDR")]
    metrics: Option<String>,
    /// End after this time
    #[arg(help_heading = "Output", long, value_name = "D", value_parser = duration_ns)]
    duration: Option<i64>,
    /// Begin a new file before one grows beyond this size
    #[arg(help_heading = "Output", long, value_name = "SIZE", value_parser = size)]
    rotate_size: Option<u64>,
    /// Begin a new file at each multiple of this time
    #[arg(help_heading = "Output", long, value_name = "D", value_parser = duration_ns)]
    rotate_every: Option<i64>,
    /// Keep only the newest N files of this capture
    #[arg(help_heading = "Output", long, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..))]
    keep_files: Option<u32>,
    /// End before the disk has less free room than this [default: 100MiB, or 5% of a small disk]
    #[arg(help_heading = "Output", long, value_name = "SIZE", value_parser = size)]
    min_free: Option<u64>,
    /// Keep only so many bytes of each packet [default: all]
    #[arg(help_heading = "Input", long, value_name = "SIZE", value_parser = size)]
    snaplen: Option<u64>,
    /// Room for packets in the kernel, of each interface [default: 64MiB]
    #[arg(help_heading = "Input", long, value_name = "SIZE", value_parser = size)]
    buffer: Option<u64>,
    /// Take frames for other machines too, as on a mirror port
    #[arg(help_heading = "Input", long)]
    promiscuous: bool,
    /// Threads that parse, for .jsonl [default: 1]
    #[arg(help_heading = "Input", long, value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Secrets of TLS connections: a key log as SSLKEYLOGFILE gives it, read on while it grows
    /// (repeat for more). A .pcapng file then holds them, a .jsonl file what they open
    #[arg(help_heading = "Input", long, value_name = "FILE")]
    keylog: Vec<PathBuf>,
    /// What to take out, for .jsonl
    #[command(flatten)]
    redaction: RedactionFlags,
    /// Become this user once the interfaces are open; the files will be theirs
    #[arg(help_heading = "Safety", long, value_name = "USER")]
    user: Option<String>,
    /// Replace a file that is there
    #[arg(help_heading = "Output", long)]
    force: bool,
}

/// What can be written to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Streamed {
    /// Packets
    Pcap,
    /// Packets of several interfaces, with key logs
    Pcapng,
    /// Exchanges
    Jsonl,
}

/// A store that files go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToStore {
    /// The prefix.
    pub url: String,
    /// How the files' names end.
    pub ending: String,
    /// How many files stay here as well.
    pub keep: usize,
}

/// What `capture` does, checked.
#[derive(Clone, Debug)]
pub struct CaptureSettings {
    /// The devices, and what of them.
    pub options: live::LiveOptions,
    /// The files.
    pub plan: FilePlan,
    /// What they hold.
    pub content: CaptureContent,
    /// Nanoseconds until it ends by itself.
    pub duration_ns: Option<i64>,
    /// Key logs.
    pub keylogs: Vec<PathBuf>,
    /// Whom to become.
    pub user: Option<(Uid, Gid)>,
    /// The store that files go to.
    pub to_store: Option<ToStore>,
    /// Where metrics are served.
    pub metrics: Option<String>,
}

/// What is written.
#[derive(Clone, Debug)]
pub enum CaptureContent {
    /// Packets.
    Packets(FileFormat),
    /// Exchanges, parsed so and redacted.
    Exchanges(parse::ParseOptions, Option<Redactor>),
}

impl CaptureArgs {
    /// With what the file says where no flag does.
    fn or(self, file: CaptureSection) -> Result<Self, Failure> {
        fn read<T>(
            name: &str,
            text: Option<String>,
            parse: fn(&str) -> Result<T, String>,
        ) -> Result<Option<T>, Failure> {
            text.map(|text| {
                parse(&text).map_err(|why| Failure::usage(format!("[capture] {name}: {why}")))
            })
            .transpose()
        }
        fn list<T>(flags: Vec<T>, file: Vec<T>) -> Vec<T> {
            if flags.is_empty() { file } else { flags }
        }
        if file.port.contains(&0)
            || file.keep_files == Some(0)
            || !(1..=256).contains(&file.threads.unwrap_or(1))
        {
            return Err(Failure::usage(
                "[capture] port and keep_files must be at least 1, threads from 1 to 256",
            ));
        }
        Ok(Self {
            interfaces: list(self.interfaces, file.interface),
            ports: list(self.ports, file.port),
            filter: self.filter.or(file.filter),
            output: self.output.or(file.output),
            format: self
                .format
                .or(read("format", file.format, |text| clap::ValueEnum::from_str(text, false))?),
            spool: self.spool.or(file.spool),
            metrics: self.metrics.or(file.metrics),
            duration: self.duration.or(read("duration", file.duration, duration_ns)?),
            rotate_size: self.rotate_size.or(read("rotate_size", file.rotate_size, size)?),
            rotate_every: self.rotate_every.or(read(
                "rotate_every",
                file.rotate_every,
                duration_ns,
            )?),
            keep_files: self.keep_files.or(file.keep_files),
            min_free: self.min_free.or(read("min_free", file.min_free, size)?),
            snaplen: self.snaplen.or(read("snaplen", file.snaplen, size)?),
            buffer: self.buffer.or(read("buffer", file.buffer, size)?),
            promiscuous: self.promiscuous || file.promiscuous.unwrap_or(false),
            threads: self.threads.or(file.threads),
            keylog: list(self.keylog, file.keylog),
            redaction: self.redaction.or("capture", &file.redact, file.redact_key.as_ref())?,
            user: self.user.or(file.user),
            force: self.force,
        })
    }
}

impl CaptureSettings {
    fn new(args: CaptureArgs, schema: Schema) -> Result<Self, Failure> {
        if args.interfaces.is_empty() {
            return Err(Failure::usage(format!(
                "name the interface with -i: there are {}",
                live::devices().join(", ")
            )));
        }
        let asked = args.output.clone().unwrap_or_else(|| default_path(&args.interfaces));
        let (path, to_store) = spooled(&asked, &args)?;
        let to_stdout = path == Path::new("-");
        let (format, compress) =
            if to_stdout { (args.streamed()?, false) } else { format_of(&path)? };
        if args.format.is_some() && !to_stdout {
            return Err(Failure::usage(
                "--format is for standard output (-o -): of files the name says it",
            ));
        }
        if to_stdout && format.is_some() && std::io::stdout().is_terminal() {
            return Err(Failure::usage(
                "packets are no text for a terminal: name a file (-o v1.pcap), pipe them on, or \
                 take --format jsonl",
            ));
        }
        let content = match format {
            Some(format) if args.redaction.redact.is_empty() => CaptureContent::Packets(format),
            Some(_) => {
                return Err(Failure::usage(format!(
                    "{}: packets cannot be redacted: write exchanges (-o {}), or capture now and \
                     redact by shadowtap parse --redact",
                    path.display(),
                    path.with_extension("jsonl").display()
                )));
            }
            None => {
                let options = parse::ParseOptions {
                    threads: usize::from(args.threads.unwrap_or(1)),
                    ports: args.ports.clone(),
                    keylogs: args.keylog.clone(),
                    ..parse::ParseOptions::default()
                };
                CaptureContent::Exchanges(options, args.redaction.redactor(schema)?)
            }
        };
        if format == Some(FileFormat::Pcap) && !args.keylog.is_empty() {
            return Err(Failure::usage(format!(
                "{}: a .pcap file has no place for secrets: write -o {} with --keylog",
                path.display(),
                path.with_extension("pcapng").display()
            )));
        }
        let rotates = args.rotate_size.is_some() || args.rotate_every.is_some();
        if to_stdout && rotates {
            return Err(Failure::usage("standard output is one stream: leave --rotate-… out"));
        }
        if args.keep_files.is_some() && !rotates {
            return Err(Failure::usage("--keep-files needs --rotate-size or --rotate-every"));
        }
        if args.rotate_every.is_some_and(|every| every < 1_000_000) || args.rotate_size == Some(0) {
            return Err(Failure::usage(
                "--rotate-every must be at least 1ms and --rotate-size at least 1",
            ));
        }
        let snaplen = match args.snaplen {
            None => live::SNAPLEN,
            Some(bytes @ 64..=262_144) => bytes as u32,
            Some(_) => return Err(Failure::usage("--snaplen must be from 64 to 262144 bytes")),
        };
        let buffer = match usize::try_from(args.buffer.unwrap_or(live::BUFFER_BYTES as u64)) {
            Ok(bytes @ 65_536..=2_147_483_647) => bytes,
            _ => return Err(Failure::usage("--buffer must be from 64KiB to 2047MiB")),
        };
        let user = args.user.as_deref().map(privilege::user).transpose().map_err(Failure::usage)?;
        if !to_stdout && to_store.is_none() {
            drop(run::hold_off(&path)?);
        }
        let folder = folder_of(&path);
        let plan = FilePlan {
            compress,
            rotate_size: args.rotate_size,
            rotate_every: args.rotate_every,
            keep_files: args.keep_files.map(|n| n as usize).filter(|_| to_store.is_none()),
            min_free: match args.min_free {
                _ if to_stdout => 0,
                Some(bytes) => bytes,
                None => rotate::default_min_free(folder),
            },
            to_stdout,
            force: args.force,
            owner: user,
            ..FilePlan::file(&path)
        };
        let options = live::LiveOptions {
            interfaces: args.interfaces,
            ports: args.ports,
            filter: args.filter,
            snaplen,
            buffer,
            promiscuous: args.promiscuous,
            hold: if matches!(content, CaptureContent::Packets(_)) {
                live::HOLD_PACKETS
            } else {
                live::HOLD
            },
        };
        let (keylogs, duration_ns) = (args.keylog, args.duration);
        let metrics = args.metrics;
        Ok(Self { options, plan, content, keylogs, duration_ns, user, to_store, metrics })
    }
}

impl CaptureArgs {
    /// What goes to standard output: packets in a format, or none for exchanges.
    fn streamed(&self) -> Result<Option<FileFormat>, Failure> {
        let needs_pcapng = self.interfaces.len() > 1 || !self.keylog.is_empty();
        Ok(match self.format {
            None if !self.redaction.redact.is_empty() => None,
            None | Some(Streamed::Pcapng) if needs_pcapng => Some(FileFormat::Pcapng),
            Some(Streamed::Pcapng) => Some(FileFormat::Pcapng),
            None | Some(Streamed::Pcap) => Some(FileFormat::Pcap),
            Some(Streamed::Jsonl) => None,
        })
    }
}

/// The file that is written, and the store that it goes to.
fn spooled(asked: &Path, args: &CaptureArgs) -> Result<(PathBuf, Option<ToStore>), Failure> {
    let Some(url) = asked.to_str().filter(|name| is_store(name)) else {
        if args.spool.is_some() {
            return Err(Failure::usage("--spool is for a store as output (-o s3://…)"));
        }
        let path = asked.to_str().map(local_path).transpose()?.flatten();
        return Ok((path.map_or_else(|| asked.to_owned(), PathBuf::from), None));
    };
    let object = Remote::parse(url)?;
    let (prefix, name) = object.split().ok_or_else(|| {
        Failure::usage(format!("{url}: name the files: s3://bucket/v1/%Y%m%dT%H%M%S.pcapng.zst"))
    })?;
    if prefix.url().contains('%') {
        return Err(Failure::usage(format!(
            "{url}: only the name behind the last / may have %Y and the like"
        )));
    }
    let spool = args.spool.clone().unwrap_or_else(|| PathBuf::from("captures"));
    // Names are told apart by what stands before the first dot.
    let ending = name.find('.').map_or("", |dot| &name[dot..]).to_owned();
    let keep = args.keep_files.unwrap_or(0) as usize;
    Ok((spool.join(name), Some(ToStore { url: prefix.url(), ending, keep })))
}

/// `captures/eth0-20261122T100000Z.pcap`, or one that nothing has yet.
fn default_path(interfaces: &[String]) -> PathBuf {
    let stamp = run::stamp(Timestamp::now());
    let names = interfaces.join("+").replace('/', "_");
    let ending = if interfaces.len() > 1 { "pcapng" } else { "pcap" };
    run::free(&format!("captures/{names}-{stamp}"), &format!(".{ending}"))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What a file's name says: the format of packets, or none for exchanges, and whether it is
/// compressed.
fn format_of(path: &Path) -> Result<(Option<FileFormat>, bool), Failure> {
    let name =
        path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let (plain, compress) =
        name.strip_suffix(".zst").map_or((&*name, false), |plain| (plain, true));
    let format = match Path::new(plain).extension().and_then(std::ffi::OsStr::to_str) {
        Some("pcap") => Some(FileFormat::Pcap),
        Some("pcapng") => Some(FileFormat::Pcapng),
        Some("jsonl") => None,
        _ => {
            return Err(Failure::usage(format!(
                "{}: the name says the format, and must end in .pcap, .pcapng or .jsonl, each with \
                 .zst too",
                path.display()
            )));
        }
    };
    Ok((format, compress))
}

/// For who captures exchanges of more traffic than the machine can parse.
const ADVICE: &str = "some connections were let go of, as exchanges could not be made fast enough; \
    the others are whole. To keep all: \
     --port for the service alone, --threads for more processors, or capture to .pcap and parse \
     that later";

/// Runs the command.
#[expect(clippy::print_stderr, reason = "where standard output is the capture")]
pub(crate) fn run(args: CaptureArgs, global: &Global) -> Result<Exit, Failure> {
    let config = Config::load(global)?;
    let settings = CaptureSettings::new(args.or(config.capture)?, config.schema)?;
    let captured = execute(&settings, global)?;
    let summary = summary(&captured);
    if settings.plan.to_stdout {
        // Packets or exchanges are the result.
        eprint!("{summary}");
    } else {
        print(&summary)?;
    }
    if captured.recorded.counts.shed_connections > 0 {
        tracing::warn!("{ADVICE}");
    }
    match (captured.recorded.failure, captured.sent) {
        (Some(error), _) => Err(failure(&error)),
        (None, Some((url, sent))) if !sent.left.is_empty() => {
            let folder = folder_of(&settings.plan.path).display();
            let why = sent.why.unwrap_or_default();
            // No interruption, whatever ended the capture: something is left to be done.
            tracing::error!(
                "{} files are not in {url}, but in {folder}: they go there with the next capture \
                 of \
                 this -o and --spool ({})",
                sent.left.len(),
                printable(&why)
            );
            Ok(Exit::Unusable)
        }
        _ => Ok(Exit::Done),
    }
}

/// What was captured.
#[derive(Debug)]
pub(crate) struct CaptureDone {
    /// Packets and files.
    pub(crate) recorded: RecordedPackets,
    /// Exchanges on disk, and such as could not be written; with the account of their packets.
    pub(crate) exchanges: Option<(u64, u64, Ledger)>,
    /// What the store has, by its prefix.
    pub(crate) sent: Option<(String, SentFiles)>,
}

/// A recording of either kind.
enum RunningCapture {
    Packets(PacketRecording),
    Exchanges(parse::live::ExchangeRecording),
}

impl RunningCapture {
    fn live(&self) -> &Arc<LiveCounts> {
        match self {
            Self::Packets(recording) => recording.live(),
            Self::Exchanges(recording) => recording.live(),
        }
    }

    fn stop(self) -> CaptureDone {
        match self {
            Self::Packets(recording) => {
                CaptureDone { recorded: recording.stop(), exchanges: None, sent: None }
            }
            Self::Exchanges(recording) => {
                let done = recording.stop();
                CaptureDone {
                    recorded: done.recorded,
                    exchanges: Some((done.exchanges, done.lost, done.ledger)),
                    sent: None,
                }
            }
        }
    }
}

/// Records until it is over. What was recorded is complete also where it ended by a failure, which
/// the answer holds then.
pub(crate) fn execute(settings: &CaptureSettings, global: &Global) -> Result<CaptureDone, Failure> {
    let stop = signals::word()?;
    let tap = Tap::open(&settings.options).map_err(|error| failure(&error.into()))?;
    // Before any other thread is started, which would keep what this one gives away.
    give_privileges_away(settings)?;
    signals::watch_for_second()?;
    let names = settings.options.interfaces.join(", ");
    tracing::info!("capturing {names} to {}", settings.plan.path.display());
    for path in settings.keylogs.iter().filter(|path| !path.exists()) {
        tracing::warn!("the key log {} is not there yet: it is waited for", path.display());
    }
    let (mut plan, ended) = (settings.plan.clone(), Arc::clone(&stop));
    let sender = settings.to_store.as_ref().map(|to| {
        let started = uploads::start(&to.url, folder_of(&settings.plan.path), &to.ending, to.keep);
        let (uploads, sender) = started.map_err(|error| {
            Failure::unusable(format!("cannot send files to {}", to.url)).because(&error)
        })?;
        plan.uploads = Some(uploads);
        Ok::<_, Failure>((to.url.clone(), sender))
    });
    let sender = sender.transpose()?;
    let uploads = plan.uploads.clone();
    let recording = match &settings.content {
        CaptureContent::Packets(format) => {
            let keylogs = KeyLogs::new(&settings.keylogs);
            PacketRecording::begin(tap, *format, plan, keylogs, ended).map(RunningCapture::Packets)
        }
        CaptureContent::Exchanges(options, redactor) => {
            parse::live::ExchangeRecording::begin(tap, options, redactor.clone(), plan, ended)
                .map(RunningCapture::Exchanges)
        }
    };
    let recording = recording.map_err(|error| failure(&error))?;
    let figures = CaptureFigures { live: Arc::clone(recording.live()), uploads };
    let serve = |address: &String| {
        let mut registry = metrics::registry();
        registry.register_collector(Box::new(figures));
        let server = MetricsServer::start(address, registry.into())?;
        tracing::info!("metrics at http://{}/metrics", server.address());
        Ok::<_, Failure>(server)
    };
    let serving = settings.metrics.as_ref().map(serve).transpose()?;
    let started = Monotonic::now();
    let progress = Progress::beaten(global, "capture", None);
    // Asleep but for what is shown and the end: beside v1, what does not run costs nothing.
    while !stop.is_told() {
        let left = settings
            .duration_ns
            .map(|duration| Duration::from_nanos((duration - started.elapsed()).max(0) as u64));
        if left.is_some_and(|left| left.is_zero()) {
            break;
        }
        stop.wait([left, progress.beat()].into_iter().flatten().min());
        let counts = recording.live().counts();
        progress.set(counts.kept, || state(&counts, recording.live().bytes()));
    }
    drop((progress, serving));
    let mut captured = recording.stop();
    captured.sent = sender.map(|(url, sender)| (url, sender.finish()));
    if let CaptureContent::Exchanges(_, redactor) = &settings.content
        && let Some(warning) = redaction::unsearched(redactor.as_ref())
    {
        tracing::warn!("{warning}");
    }
    Ok(captured)
}

/// What a capture counts, told when it is asked for.
#[derive(Debug)]
struct CaptureFigures {
    live: Arc<LiveCounts>,
    uploads: Option<Uploads>,
}

impl Collector for CaptureFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let counts = self.live.counts();
        for (name, help, value) in [
            ("captured_packets", "Packets that were kept.", counts.kept),
            ("captured_bytes", "Bytes of packets that were read.", self.live.bytes()),
            ("dropped_by_kernel", "Packets that the kernel dropped.", counts.dropped_by_kernel),
            (
                "dropped_by_interface",
                "Packets that the interface dropped.",
                counts.dropped_by_interface,
            ),
            ("dropped_by_shadowtap", "Packets that could not be written.", counts.dropped_by_us),
            ("shed_connections", "Connections that were let go of.", counts.shed_connections),
        ] {
            metrics::tell_counter(&mut encoder, name, help, value)?;
        }
        let Some(uploads) = &self.uploads else { return Ok(()) };
        let (sent, waiting) = uploads.counts();
        metrics::tell_counter(&mut encoder, "uploaded_files", "Files the store has.", sent)?;
        metrics::tell_gauge(&mut encoder, "waiting_files", "Files that wait for it.", waiting)
    }
}

fn state(counts: &Counts, bytes: u64) -> String {
    let dropped = counts.dropped_by_kernel + counts.dropped_by_interface + counts.dropped_by_us;
    let mut text = format!("{} packets, {} MB, {dropped} dropped", counts.kept, bytes / 1_000_000);
    if counts.shed_connections > 0 {
        text.push_str(&format!(", {} connections let go of", counts.shed_connections));
    }
    text
}

fn give_privileges_away(settings: &CaptureSettings) -> Result<(), Failure> {
    let folder = folder_of(&settings.plan.path);
    std::fs::create_dir_all(folder).map_err(|error| {
        Failure::unusable(format!("cannot make the folder {}", folder.display())).because(&error)
    })?;
    let lacking =
        |error: std::io::Error| Failure::unusable("cannot give privileges away").because(&error);
    if let Some((user, group)) = settings.user {
        privilege::become_user(user, group).map_err(lacking)?;
        if rustix::fs::access(folder, Access::WRITE_OK).is_err() {
            return Err(Failure::unusable(format!(
                "{} is not writable for the user of --user",
                folder.display()
            )));
        }
        return Ok(());
    }
    // Root without capabilities still writes into its own folders; into those of others only with
    // this one.
    let of_others = |path: &PathBuf| path.exists() && !owned_by_this_user(path);
    let reaches = !owned_by_this_user(folder) || settings.keylogs.iter().any(of_others);
    privilege::drop_capabilities(reaches).map_err(lacking)
}

fn owned_by_this_user(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    folder.metadata().is_ok_and(|data| data.uid() == rustix::process::geteuid().as_raw())
}

/// The result, for people and scripts: a count a line.
fn summary(captured: &CaptureDone) -> String {
    use std::fmt::Write as _;
    let recorded = &captured.recorded;
    let counts = &recorded.counts;
    let mut text = String::new();
    for (name, count) in [
        ("packets seen", counts.seen),
        ("packets kept", counts.kept),
        ("dropped by kernel", counts.dropped_by_kernel),
        ("dropped by interface", counts.dropped_by_interface),
        ("dropped by shadowtap", counts.dropped_by_us),
    ] {
        let _ = writeln!(text, "{name}: {count}");
    }
    if let Some((exchanges, lost, ledger)) = &captured.exchanges {
        let _ = writeln!(text, "exchanges: {exchanges}");
        if *lost > 0 {
            let _ = writeln!(text, "exchanges not written: {lost}");
        }
        if counts.shed_connections > 0 {
            let _ = writeln!(text, "shed connections: {}", counts.shed_connections);
            let _ = writeln!(text, "shed packets: {}", counts.shed_packets);
        }
        text.push_str(&ledger_table(ledger));
    }
    for file in &recorded.files {
        let _ = writeln!(text, "written to: {}", printable(&file.display().to_string()));
    }
    if let Some((url, sent)) = &captured.sent {
        let _ = writeln!(text, "in the store: {} files at {}", sent.files, printable(url));
        for file in &sent.left {
            let _ = writeln!(text, "not in the store: {}", printable(&file.display().to_string()));
        }
    } else if recorded.begun > recorded.files.len() as u64 && !recorded.files.is_empty() {
        let _ = writeln!(
            text,
            "removed since: {} older files",
            recorded.begun - recorded.files.len() as u64
        );
    }
    text
}

fn failure(error: &RecordError) -> Failure {
    let text = error.to_string();
    let failure = match error {
        RecordError::Live(LiveError::Unknown { .. } | LiveError::Filter { .. })
        | RecordError::LinkTypes
        | RecordError::Output(OutputError::Exists(_)) => Failure::usage(text),
        _ => Failure::unusable(text),
    };
    match std::error::Error::source(error) {
        Some(source) => failure.because(source),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_the_format() {
        assert_eq!(format_of(Path::new("a/v1.pcap")).unwrap(), (Some(FileFormat::Pcap), false));
        assert_eq!(
            format_of(Path::new("v1.PCAPNG.zst")).unwrap(),
            (Some(FileFormat::Pcapng), true)
        );
        assert_eq!(format_of(Path::new("v1.jsonl")).unwrap(), (None, false));
        for wrong in ["v1", "v1.txt", "v1.zst", ".pcap", "v1.pcap.gz", ""] {
            assert_eq!(format_of(Path::new(wrong)).unwrap_err().exit, Exit::Usage, "{wrong}");
        }
        let path = default_path(&["eth0".to_owned()]);
        assert!(
            path.to_str().unwrap().starts_with("captures/eth0-20")
                && path.extension().unwrap() == "pcap",
            "{path:?}"
        );
    }

    #[derive(clap::Parser)]
    struct CaptureLine {
        #[command(flatten)]
        args: CaptureArgs,
    }

    fn settings(flags: &str, file: &str) -> Result<CaptureSettings, Failure> {
        let line = <CaptureLine as clap::Parser>::try_parse_from(
            std::iter::once("capture").chain(flags.split_whitespace()),
        )
        .unwrap();
        CaptureSettings::new(line.args.or(toml::from_str(file).unwrap())?, Schema::default())
    }

    /// How many threads write exchanges that are redacted.
    fn threads_of_redacted(content: &CaptureContent) -> Option<usize> {
        match content {
            CaptureContent::Exchanges(options, Some(_)) => Some(options.threads),
            _ => None,
        }
    }

    #[test]
    fn the_file_says_what_no_flag_says() {
        let file = r#"
            interface = ["eth0", "eth1"]
            port = [8080, 9090]
            filter = "host 10.0.0.7"
            output = "v1.jsonl.zst"
            duration = "10m"
            rotate_size = "1GiB"
            rotate_every = "1h"
            keep_files = 24
            min_free = "1GiB"
            snaplen = "1500"
            buffer = "8MiB"
            promiscuous = true
            threads = 3
            redact = ["default", "header:x-tenant"]
            keylog = ["keys.log"]
        "#;
        let of_file = settings("", file).unwrap();
        assert_eq!(of_file.options.interfaces, ["eth0", "eth1"]);
        assert_eq!(of_file.keylogs, [PathBuf::from("keys.log")]);
        assert_eq!(
            (&of_file.options.ports[..], of_file.options.promiscuous),
            (&[8080, 9090][..], true)
        );
        assert_eq!(
            (of_file.options.filter.as_deref(), of_file.options.snaplen),
            (Some("host 10.0.0.7"), 1500)
        );
        assert_eq!((of_file.options.buffer, of_file.duration_ns), (8 << 20, Some(600_000_000_000)));
        let plan = &of_file.plan;
        assert_eq!((plan.rotate_size, plan.rotate_every), (Some(1 << 30), Some(3_600_000_000_000)));
        assert_eq!((plan.keep_files, plan.min_free, plan.compress), (Some(24), 1 << 30, true));
        assert_eq!(threads_of_redacted(&of_file.content), Some(3));

        let flags = "-i lo -p 80 --filter tcp -o a.jsonl --duration 1s --rotate-size 2M \
            --rotate-every 2h --keep-files 2 --min-free 5k \
            --snaplen 96 --buffer 1MiB --threads 1";
        let of_flags = settings(flags, file).unwrap();
        assert_eq!(
            (&of_flags.options.interfaces[..], &of_flags.options.ports[..]),
            (&["lo".to_owned()][..], &[80][..])
        );
        assert_eq!(
            (of_flags.options.filter.as_deref(), of_flags.options.snaplen),
            (Some("tcp"), 96)
        );
        assert_eq!((of_flags.options.buffer, of_flags.duration_ns), (1 << 20, Some(1_000_000_000)));
        let plan = &of_flags.plan;
        assert_eq!(
            (plan.path.to_str(), plan.rotate_size, plan.keep_files),
            (Some("a.jsonl"), Some(2 << 20), Some(2))
        );
        assert_eq!(threads_of_redacted(&of_flags.content), Some(1));

        assert_eq!(settings("-i lo -o v1.pcap --keylog k", "").unwrap_err().exit, Exit::Usage);
        assert!(settings("-i lo -o v1.pcapng --keylog k --keylog l", "").is_ok());
        // What the file redacts is not written by a flag that asks for packets.
        assert_eq!(settings("-o v1.pcap", file).unwrap_err().exit, Exit::Usage);
        for (wrong, name) in [
            ("duration = \"soon\"", "[capture] duration"),
            ("port = [0]", "[capture] port"),
            ("threads = 0", "[capture] port and keep_files must be at least 1, threads"),
            ("redact = [\"everything\"]", "[capture] redact"),
        ] {
            let refused = settings("-i lo", wrong).unwrap_err();
            assert_eq!(refused.exit, Exit::Usage, "{wrong}");
            assert!(refused.to_string().contains(name), "{wrong}: {refused}");
        }
    }
}
