//! `shadowtap run`: parse, replay, diff, report and judge in one go; and the same road for `demo`.
//!
//! Each step is the command of its name: what is left in the folder can be diffed, reported and
//! judged again alone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::config::Config;
use super::exit::printable;
use super::policy::GateFlags;
use super::replay::ReplayShape;
use super::signals::Grace;
use super::{Exit, Failure, Global, diff, gate, mock, output, replay, report};
use crate::diff::Class;
use crate::gate::{Policy, Verdict};
use crate::mock::Handle;
use crate::run::{RunFolder, names};

/// Replay a capture at v2, compare, report and judge in one go
///
/// Leaves everything in DIR: report.html is the page to open. The exit code is the verdict: 0 v2
/// passed, 1 it failed, 5 there is no verdict (too few samples, or the run itself is not to be
/// trusted).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shadowtap run v1.pcap --target http://v2.staging:8080 -o reports/v2
  shadowtap run v1.pcap --port 8080 --target http://v2.staging:8080 \\
      --wait-ready http://v2.staging:8080/health")]
pub struct RunArgs {
    #[command(flatten)]
    asked: replay::ReplayAsked,
    /// Answer v2's outgoing calls at this address, from the inputs
    #[arg(help_heading = "Mock", long, value_name = "ADDR")]
    mock_listen: Option<SocketAddr>,
    #[command(flatten)]
    mock: mock::MockFlags,
    /// Intended differences [default: approved.toml, where it exists]
    #[arg(help_heading = "Gate", long, value_name = "FILE")]
    approved: Option<PathBuf>,
    /// Do not mask secrets in what is written
    #[arg(help_heading = "Output", long)]
    show_secrets: bool,
    /// Begin the CSV files with a byte order mark, so that Excel reads them as UTF-8
    #[arg(help_heading = "Output", long)]
    excel: bool,
    #[command(flatten)]
    gate: GateFlags,
}

/// What the whole road needs, checked before its first step.
pub(crate) struct RunSettings {
    /// The replay.
    pub(crate) replay: replay::ReplaySettings,
    /// The configuration, for the diff's rules.
    pub(crate) config: Config,
    /// Intended differences, where they are named.
    pub(crate) approved: Option<PathBuf>,
    /// Whether secrets are shown.
    pub(crate) show_secrets: bool,
    /// Whether tables begin with a byte order mark.
    pub(crate) excel: bool,
    /// Whether the records are compressed once they are compared.
    pub(crate) compress: bool,
    /// What is allowed.
    pub(crate) policy: Policy,
    /// The mock that v2 calls, already listening; it is stopped when the replay is over, and its
    /// ledger is part of the report.
    pub(crate) mock: Option<Handle>,
}

/// What the whole road came to.
pub(crate) struct RanWhole {
    /// The verdict.
    pub(crate) verdict: Verdict,
    /// The report's lines for the terminal.
    pub(crate) text: String,
    /// Whether a signal ended the replay.
    pub(crate) interrupted: bool,
    /// Live figures, where they were asked for.
    watch: Option<replay::LiveFigures>,
}

pub(crate) fn run(args: RunArgs, global: &Global) -> Result<Exit, Failure> {
    let config = Config::load(global)?;
    let policy = args.gate.policy(&config)?;
    let shape = ReplayShape::new(args.asked.flags, &config, &policy)?;
    diff::check(&config, args.approved.as_deref())?;
    if args.asked.dry_run {
        return replay::dry_run(&args.asked.inputs, &shape, false, &config, global);
    }
    let mut replay =
        replay::ReplaySettings::new(args.asked.inputs, shape, args.asked.output, args.asked.force)?;
    let place = replay.place()?;
    replay.gate = args.gate.kept();
    let (mock, begun) = match args.mock_listen {
        None => (None, None),
        Some(listen) => {
            let (mock, folder) = start_mock(&replay, listen, args.mock, &config, global)?;
            (Some(mock), Some(folder))
        }
    };
    let settings = RunSettings {
        replay,
        config,
        approved: args.approved,
        show_secrets: args.show_secrets,
        excel: args.excel,
        compress: args.asked.compress,
        policy,
        mock,
    };
    let shape = settings.replay.shape.clone();
    // Also while figures wait to be asked for.
    let _grace = Grace::ask();
    let ran = execute(settings, global);
    if let (Err(_), Some(folder)) = (&ran, &begun) {
        folder.discard_begun();
    }
    let text = ran.as_ref().map(|ran| place.told(&ran.text));
    place.put()?;
    output::print(&text.unwrap_or_default())?;
    let ran = ran?;
    ran.watch.map_or(Ok(()), |watch| watch.linger(&shape))?;
    Ok(if ran.interrupted { Exit::Interrupted } else { gate::exit(ran.verdict) })
}

/// Starts the mock of a run. What is replayed is no outgoing call: its hosts and ports are left
/// out. The folder stays locked as long as it is held.
fn start_mock(
    replay: &replay::ReplaySettings,
    listen: SocketAddr,
    choice: mock::MockFlags,
    config: &Config,
    global: &Global,
) -> Result<(Handle, RunFolder), Failure> {
    if replay.inputs.iter().any(|input| input == "-") {
        return Err(Failure::usage(
            "--mock-listen reads the inputs a second time: name files, not standard input",
        ));
    }
    let log = replay.output.join(names::EGRESS);
    let mut settings =
        mock::MockSettings::new(replay.inputs.clone(), listen, Some(log), choice, config)?;
    settings.selection.ingress_ports = replay.shape.selection.ports.clone();
    settings.selection.ingress_hosts = replay.shape.selection.hosts.clone();
    settings.beside = replay.shape.beside.clone();
    settings.watches = true;
    settings.serve.bindings.get_or_insert(replay.output.join(names::BINDINGS));
    settings.serve.copies = replay.shape.pacing.multiply.saturating_mul(replay.shape.pacing.loops);
    // Made before the mock writes into it; one that holds another run is refused.
    let folder = RunFolder::create(&replay.output, replay.force)?;
    match mock::start(&settings, global) {
        Ok(mock) => Ok((mock, folder)),
        Err(failure) => {
            folder.discard_begun();
            Err(failure)
        }
    }
}

/// Goes the whole road, without printing its result.
pub(crate) fn execute(settings: RunSettings, global: &Global) -> Result<RanWhole, Failure> {
    let RunSettings { mut replay, config, approved, show_secrets, excel, compress, policy, mock } =
        settings;
    // What is wrong with the rules is said before the first request is sent, not after an hour.
    let compare =
        |dir: &Path| diff::DiffSettings::of_run(dir, &config, approved.as_deref(), show_secrets);
    replay.survey = Some(compare(&replay.output)?.routes());
    replay.keep_egress = mock.is_some();
    replay.under_way = mock.as_ref().map(Handle::under_way);
    let mut replayed = replay::execute(&replay, global)?;
    if replayed.finished.interrupted {
        // What follows has less than a second, and may be cut off.
        let folder = printable(&replayed.folder.path().display().to_string());
        tracing::warn!(
            "interrupted: what was measured is in {folder}; `shadowtap diff {folder}` and \
             `shadowtap report {folder}` say what it shows"
        );
    }
    if let Some(handle) = mock {
        let ids = mock::replayed(&replayed.folder)?;
        mock::end(handle, &|id| ids.contains(&id))?;
    }
    let folder = replayed.folder.path().to_owned();
    let mut compare = compare(&folder)?;
    compare.notes = std::mem::take(&mut replayed.notes);
    let findings = diff::execute(compare, global)?;
    for warning in &findings.warnings {
        tracing::warn!("{warning}");
    }
    // Before the page, which links to the records.
    if compress {
        replay::compress(&replayed.folder)?;
    }
    let schema = config.schema.clone();
    let asked = report::ReportSettings { folder, policy, schema, show_secrets, excel };
    let written = report::execute(&asked, global)?;
    if let Some(watch) = &replayed.watch {
        for class in Class::ALL {
            let of_class = findings.clusters.iter().filter(|cluster| cluster.class == class);
            let differences = of_class.map(|cluster| cluster.differences).sum();
            watch.metrics.differs(class.name(), differences);
        }
        watch.metrics.judged(written.verdict.name());
        watch.settle();
    }
    Ok(RanWhole {
        verdict: written.verdict,
        text: written.text,
        interrupted: replayed.finished.interrupted,
        watch: replayed.watch,
    })
}
