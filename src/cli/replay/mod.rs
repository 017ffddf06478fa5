//! `shadowtap replay`: fires recorded requests at v2 and records what became of each.

mod flags;
mod flows;
mod input;
mod metrics;
mod start;
mod summary;
mod survey;
mod targets;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use flags::{ReplayFlags, ReplayShape};
use metrics::{Metrics, Observing};
use start::{RunLocation, StartAt};
use targets::Targets;

use super::config::Config;
use super::exit::printable;
use super::folder::{self, RunFolder, RunInfo, names};
use super::metrics::{MetricsServer, registry};
use super::progress::Progress;
use super::remote::RunPlace;
use super::signals::{self, Grace};
use super::{Exit, Failure, Global, output, redaction};
use crate::diff::engine::RunNotes;
use crate::diff::rules::Rules;
use crate::outcome::MARKER;
use crate::outcome::Outcome;
use crate::record::exchanges::TOOL;
use crate::replay;
use crate::replay::plan::rewrite::Rewriter;
use crate::replay::plan::{Plan, Planner, RouteOf, Wishes};
use crate::replay::{Finished, Hopeless, Original, ReplayError, ReplayStop, UnderWay};
use crate::route::Routes;
use crate::schedule::select::REPLAYED_BEFORE;
use crate::store::nameless_file;
use crate::store::remote::Remote;
use crate::time::Timestamp;

/// Replay recorded requests at v2, with their original timing
///
/// Writes what became of each request to DIR/outcomes.jsonl. Requests that may change something at
/// v2 (POST and others) are skipped unless --unsafe-methods is given, and the server that served
/// the capture is refused as a target.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shadowtap replay v1.pcap --target http://v2.staging:8080
  shadowtap replay v1.pcap --target http://v2.staging:8080 --speed 5 \\
      --include 'GET ^/search' -o reports/fast
  shadowtap replay v1.pcap --dry-run")]
pub struct ReplayArgs {
    #[command(flatten)]
    asked: ReplayAsked,
    /// With --dry-run: measure on loopback how many requests a second this machine can replay
    #[arg(help_heading = "Safety", long, requires = "dry_run")]
    calibrate: bool,
}

/// What `replay` and `run` are both asked for: what is replayed, how, and where it goes.
#[derive(Debug, clap::Args)]
pub struct ReplayAsked {
    /// Captures or recordings to replay; - for standard input
    #[arg(required = true, value_name = "INPUT")]
    pub(super) inputs: Vec<String>,
    #[command(flatten)]
    pub(super) flags: ReplayFlags,
    /// Folder of the run [default: reports/TIME]
    #[arg(help_heading = "Output", short, long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
    /// Replace the run that the folder holds
    #[arg(help_heading = "Output", long)]
    pub(super) force: bool,
    /// Only print what would be sent, and when
    #[arg(help_heading = "Safety", long)]
    pub(super) dry_run: bool,
}

/// What `replay` does, checked.
#[derive(Clone, Debug)]
pub struct ReplaySettings {
    /// Captures or exchanges.
    pub inputs: Vec<String>,
    /// How.
    pub shape: ReplayShape,
    /// The run's folder.
    pub output: PathBuf,
    /// Replace a run that is there.
    pub force: bool,
    /// The folder's `egress.jsonl` is of this run: a mock writes it.
    pub keep_egress: bool,
    /// What comes back is compared at once, by the routes that are known before: what was recorded
    /// is surveyed, and where records stand is noted.
    pub survey: Option<Routes>,
    /// Told of the requests that v2 has not answered yet: a mock beside the replay asks.
    pub under_way: Option<Arc<UnderWay>>,
    /// The gate's flags, to be kept with the run.
    pub gate: serde_json::Value,
    /// Where the run goes when it is whole, if not to its folder.
    pub store: Option<Remote>,
}

impl ReplaySettings {
    /// Checks what replaying `inputs` needs.
    pub fn new(
        inputs: Vec<String>,
        shape: ReplayShape,
        output: Option<PathBuf>,
        force: bool,
    ) -> Result<Self, Failure> {
        if shape.target.is_none() {
            return Err(Failure::usage(
                "name v2 with --target URL (or as target in [replay] of shadowtap.toml)",
            ));
        }
        Ok(Self {
            inputs,
            shape,
            output: output.unwrap_or_else(folder::default_path),
            force,
            keep_egress: false,
            survey: None,
            under_way: None,
            gate: serde_json::Value::Null,
            store: None,
        })
    }

    /// Where the run goes: its folder here is the output from now on.
    pub(crate) fn place(&mut self) -> Result<RunPlace, Failure> {
        let place = RunPlace::to_make(&self.output, self.force)?;
        self.output = place.path().to_owned();
        self.store = place.remote().cloned();
        Ok(place)
    }
}

/// Runs the command.
pub(crate) fn run(
    ReplayArgs { asked, calibrate }: ReplayArgs,
    global: &Global,
) -> Result<Exit, Failure> {
    let config = Config::load(global)?;
    let shape = ReplayShape::new(asked.flags, &config, &config.gate)?;
    if asked.dry_run {
        return dry_run(&asked.inputs, &shape, calibrate, &config, global);
    }
    let mut settings = ReplaySettings::new(asked.inputs, shape, asked.output, asked.force)?;
    let place = settings.place()?;
    // Also while figures wait to be asked for.
    let _grace = Grace::ask();
    let ran = execute(&settings, global);
    let text = ran.as_ref().map(|ran| place.told(&summary::text(ran)));
    place.put()?;
    output::print(&text.unwrap_or_default())?;
    let ran = ran?;
    ran.watch.as_ref().map_or(Ok(()), |watch| watch.linger(&settings.shape))?;
    Ok(if ran.finished.interrupted { Exit::Interrupted } else { Exit::Done })
}

/// What a replay left behind.
pub struct RanReplay {
    /// The run's folder.
    pub folder: RunFolder,
    /// What it came to.
    pub finished: Finished,
    /// Requests that were planned.
    pub planned: u64,
    /// Lanes that were planned.
    pub lanes: u64,
    /// Whether there was a schedule to hold (not with `--speed max`).
    pub scheduled: bool,
    /// Own lateness at the 99th percentile that was allowed.
    pub max_lateness_ns: i64,
    /// What was noted of the records, where it was asked for.
    pub(crate) notes: RunNotes,
    /// Live figures, where they were asked for.
    pub(crate) watch: Option<LiveFigures>,
}

/// Replays, without printing a result.
pub(crate) fn execute(settings: &ReplaySettings, global: &Global) -> Result<RanReplay, Failure> {
    let shape = &settings.shape;
    let word = signals::word()?;
    let _grace = Grace::ask();
    shape.start_at.map_or(Ok(()), StartAt::check)?;
    let targets = Targets::resolve(shape)?;
    // Before there is a folder: a port in use leaves nothing behind.
    let watch = shape.metrics.as_deref().map(LiveFigures::start).transpose()?;
    if shape.trust.ca.is_some() && !targets.all().any(|target| target.tls) {
        tracing::warn!("--ca is not used: no target speaks https");
    }
    let folder = RunFolder::create(&settings.output, settings.force)?;
    let mut info = info_of(settings, &targets);
    let wishes = targets.wishes(shape, shape.marker.then(|| info.run.clone()))?;
    let mut read = input::read_into(settings, &folder, wishes, watch.is_some(), &word, global)
        .inspect_err(|_| folder.discard())?;
    info.inputs.clone_from(&read.inputs);
    warn_of_inputs(shape, &read);
    let redaction = shape.redactor.clone().map(|redactor| {
        let given = shape.header.iter().map(|field| field.name().to_owned()).collect();
        Arc::new(replay::Redaction { redactor, known: read.known.take(), given })
    });
    let plan = &mut read.plan;
    // The target is not touched, not even to see whether it is there, before it is known not to be
    // the captured server.
    let stop = Arc::new(ReplayStop::below(Arc::clone(&word)));
    let mut start_at = None;
    if let Err(failure) = something_is_chosen(plan, shape)
        .and_then(|()| targets.refuse_captured(&plan.captured, shape))
        .and_then(|()| targets.reach(shape, &plan.captured, &stop))
        .and_then(|()| supply(plan, &stop))
        .and_then(|()| settle(settings, &mut start_at))
    {
        // Nothing was replayed, so nothing is left that looks like a run; one that was there before
        // is not touched.
        drop((read.part, read.places));
        folder.discard();
        return Err(if word.is_told() {
            Failure::new(Exit::Interrupted, "interrupted while waiting for the target")
        } else {
            failure
        });
    }
    folder.clear(settings.keep_egress)?;
    input::keep(read.part, read.places, &folder)?;
    if let Some(flows) = &read.flows {
        flows.write(&folder, None)?;
    }
    folder.write_info(&info)?;
    let notes = notes_of_outcomes(settings, targets.baseline.is_some(), &folder)?;
    let options = replay::ReplayOptions {
        start_at,
        settings: info.settings.clone(),
        under_way: settings.under_way.clone(),
        redaction,
        ..targets.options(shape, &info.run)
    };
    let handles = notes.each_ref().map(|file| file.as_ref().and_then(|file| file.try_clone().ok()));
    let finished = replay_plan(plan, &options, handles, &folder, watch.as_ref(), &stop, global)?;
    if let Some(watch) = &watch {
        watch.settle();
    }
    if let Some(flows) = &read.flows {
        flows.write(&folder, plan.bound().map(|_| &*finished.flows))?;
    }
    info.ended = Timestamp::now();
    info.interrupted = finished.interrupted;
    folder.write_info(&info)?;
    let unsearched = redaction::unsearched(shape.redactor.as_ref());
    for warning in finished.warnings.iter().chain(&unsearched) {
        tracing::warn!("{warning}");
    }
    if let Some(hopeless) = &finished.hopeless {
        return Err(hopeless_target(hopeless, &info));
    }
    let scheduled = plan.duration_ns().is_some();
    Ok(RanReplay {
        folder,
        finished,
        planned: plan.sends(),
        lanes: plan.totals.lanes.saturating_mul(u64::from(shape.pacing.loops.max(1))),
        scheduled,
        max_lateness_ns: shape.max_lateness_ns,
        notes: RunNotes { outcomes: notes, exchanges: read.survey.take() },
        watch,
    })
}

/// What a run says of itself before it begins.
fn info_of(settings: &ReplaySettings, targets: &Targets) -> RunInfo {
    RunInfo {
        run: folder::run_id(),
        command: folder::command_line(std::env::args()),
        tool: TOOL.to_owned(),
        target: targets.target.shown().to_owned(),
        baseline: targets.baseline.as_ref().map(|target| target.shown().to_owned()),
        settings: settings.shape.describe(),
        gate: settings.gate.clone(),
        host: folder::host(),
        started: Timestamp::now(),
        ..RunInfo::default()
    }
}

/// Warns of what the inputs lack, hide, or hold that no user sent.
fn warn_of_inputs(shape: &ReplayShape, read: &input::Planned) {
    let redactor = shape.redactor.as_ref();
    for warning in redaction::warnings(&read.redactions, redactor, read.known.as_ref()) {
        tracing::warn!("{}", printable(&warning));
    }
    if let Some(n) = read.plan.ledger.rejected.get(REPLAYED_BEFORE) {
        tracing::warn!(
            "{n} recorded requests carry {MARKER}: a replay sent them, and no user; they are left \
             out \
             (--remove-header {MARKER} replays them too)"
        );
    }
    if let Some(flows) = &read.flows {
        flows.warn(!shape.selection.unsafe_methods && !shape.flow.producers);
    }
}

/// Files without a name for notes of where v2's and the baseline's outcomes stand; where they are
/// asked for.
fn notes_of_outcomes(
    settings: &ReplaySettings,
    has_baseline: bool,
    folder: &RunFolder,
) -> Result<[Option<File>; 2], Failure> {
    let takes = settings.survey.is_some();
    let note = |wanted: bool| wanted.then(|| nameless_file(folder.path())).transpose();
    note(takes)
        .and_then(|of_target| Ok([of_target, note(takes && has_baseline)?]))
        .map_err(|error| unwritable(folder.path(), &error))
}

/// The failure of a run in which no request reached HTTP.
fn hopeless_target(hopeless: &Hopeless, info: &RunInfo) -> Failure {
    let which = match hopeless.side {
        replay::TargetSide::Target => info.target.as_str(),
        replay::TargetSide::Baseline => info.baseline.as_deref().unwrap_or("the baseline"),
    };
    Failure::target(format!(
        "{which}: all {} requests failed before HTTP ({}: {})",
        hopeless.failed,
        hopeless.failure.kind.name(),
        hopeless.failure.detail
    ))
}

fn replay_plan(
    plan: &Plan,
    options: &replay::ReplayOptions,
    notes: [Option<File>; 2],
    folder: &RunFolder,
    watch: Option<&LiveFigures>,
    stop: &Arc<ReplayStop>,
    global: &Global,
) -> Result<Finished, Failure> {
    let baseline =
        options.baseline.as_ref().map(|_| create(folder, names::BASELINE)).transpose()?;
    let target = create(folder, names::OUTCOMES)?;
    let bindings = |name| plan.bound().map(|_| create(folder, name)).transpose();
    let of_baseline = match &baseline {
        Some(_) => bindings(names::BASELINE_BINDINGS)?,
        None => None,
    };
    let bindings = [bindings(names::BINDINGS)?, of_baseline];
    let outputs = replay::Outputs { target, baseline, bindings };
    let duration = plan.duration_ns();
    let sides = 1 + u64::from(options.baseline.is_some());
    let planned = plan.sends().saturating_mul(sides);
    let progress = Progress::start(global, "replay", Some(planned));
    let progress = if duration.is_some() { progress.until_known() } else { progress };
    let tick = |now: &replay::ReplayProgress| {
        if let Some(watch) = watch {
            watch.metrics.progress(now);
        }
        progress.set(now.answered + now.failed, || summary::progress(now, duration));
    };
    let mut observing = watch.map(|watch| Observing::new(&watch.metrics, &plan.routes));
    let mut count = observing.as_mut().map(|observing| {
        |side, route, original: &Original, outcome: &Outcome| {
            observing.observe(side, route, original, outcome);
        }
    });
    let observer = count.as_mut().map(|count| -> replay::Observer<'_> { count });
    replay::run_noting(notes, plan, options, outputs, stop, observer, tick).map_err(|error| {
        let exit = match &error {
            ReplayError::Trust(_) => Exit::Usage,
            _ => Exit::Unusable,
        };
        let failure = Failure::new(exit, format!("{}: {error}", folder.path().display()));
        match std::error::Error::source(&error) {
            Some(source) => failure.because(source),
            None => failure,
        }
    })
}

/// Runs the commands that give values, once the target is known to be there.
fn supply(plan: &mut Plan, stop: &ReplayStop) -> Result<(), Failure> {
    let supplied = replay::supply(plan, stop).map_err(|error| Failure::usage(error.to_string()))?;
    if supplied > 0 {
        tracing::info!("{supplied} values supplied by commands of [[flow.supply]]");
    }
    Ok(())
}

/// When the replay begins, where that was asked for.
fn settle(settings: &ReplaySettings, start_at: &mut Option<Timestamp>) -> Result<(), Failure> {
    let ReplaySettings { shape, output, store, .. } = settings;
    let run = match store {
        Some(remote) => RunLocation::InStore(remote),
        None => RunLocation::Here(output),
    };
    let asked = shape.start_at.map(|at| at.settle(shape.shard.is_some(), &run));
    *start_at = asked.transpose()?;
    Ok(())
}

/// Live figures, served while there is one.
pub(crate) struct LiveFigures {
    /// What is counted.
    pub(crate) metrics: Metrics,
    server: MetricsServer,
}

impl LiveFigures {
    fn start(address: &str) -> Result<Self, Failure> {
        let mut registry = registry();
        let metrics = Metrics::new(&mut registry);
        let server = MetricsServer::start(address, registry)?;
        tracing::info!("metrics at http://{}/metrics", server.address());
        Ok(Self { metrics, server })
    }

    /// The figures are final from now on.
    pub(crate) fn settle(&self) {
        self.server.settle();
    }

    /// Keeps the last figures until they were asked for, as long as the shape allows.
    pub(crate) fn linger(&self, shape: &ReplayShape) -> Result<(), Failure> {
        self.server.linger(shape.metrics_linger, &*signals::word()?);
        Ok(())
    }
}

fn create(folder: &RunFolder, name: &str) -> Result<File, Failure> {
    let path = folder.file(name);
    File::create(&path).map_err(|error| unwritable(&path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::unusable(format!("cannot write {}", path.display())).because(error)
}

/// Where the filters leave nothing over, there is nothing to be learned. A shard may be empty: the
/// others are not.
fn something_is_chosen(plan: &Plan, shape: &ReplayShape) -> Result<(), Failure> {
    if shape.shard.is_some() || plan.totals.sends + plan.totals.skips > 0 {
        return Ok(());
    }
    let reasons: Vec<String> =
        plan.ledger.rejected.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
    let near = plan.captured.nearest(&shape.selection);
    Err(Failure::unusable(format!(
        "no exchange was chosen ({}): loosen --include, --exclude, --host, --port, --from, --to, \
         --id or --sample{}",
        reasons.join(", "),
        near.map(|near| printable(&near)).unwrap_or_default()
    )))
}

/// Prints the plan, and touches nothing.
pub(super) fn dry_run(
    inputs: &[String],
    shape: &ReplayShape,
    calibrate: bool,
    config: &Config,
    global: &Global,
) -> Result<Exit, Failure> {
    // What a run would refuse before its first request is refused here too.
    Rules::new(&config.diff).map_err(|error| Failure::usage(error.to_string()))?;
    let word = signals::word()?;
    let wishes = Wishes {
        selection: shape.selection.clone(),
        protocol: shape.protocol,
        pacing: shape.pacing,
        shard: shape.shard,
        rewriter: Rewriter::default(),
        parts: None,
        producers: false,
        lanes: shape.lanes.clone(),
        unnamed_host: None,
    };
    let (plan, flows) = input::read_only(inputs, wishes, shape, &word, global)?;
    if let Some(flows) = &flows {
        flows.warn(!shape.selection.unsafe_methods && !shape.flow.producers);
    }
    something_is_chosen(&plan, shape)?;
    let figures = plan
        .figures()
        .map_err(|error| Failure::unusable("cannot read the plan back").because(&error))?;
    let calibration = if calibrate {
        let stop = Arc::new(ReplayStop::default());
        let measured = replay::calibrate::calibrate(&std::env::temp_dir(), shape.workers, &stop);
        Some(
            measured.map_err(|error| {
                Failure::unusable("cannot measure this machine").because(&error)
            })?,
        )
    } else {
        None
    };
    summary::print_plan(&plan, &figures, shape, calibration)?;
    if let Some(flows) = &flows {
        output::print(&format!("\n{}", flows.page))?;
    }
    Ok(Exit::Done)
}

/// A planner whose temporary files are in `folder`.
fn planner(folder: &Path, wishes: Wishes, routes: Option<RouteOf>) -> Result<Planner, Failure> {
    Planner::new(folder, wishes, routes).map_err(|error| {
        Failure::unusable(format!("cannot make a temporary file in {}", folder.display()))
            .because(&error)
    })
}
