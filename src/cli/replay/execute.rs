//! Replays: the inputs planned, the targets reached, the plan carried out, the records kept.

use std::fs::File;
use std::sync::Arc;

use super::flags::ReplayShape;
use super::input;
use super::metrics::Observing;
use super::ran::{LiveFigures, RanReplay};
use super::settings::ReplaySettings;
use super::start::{RunLocation, StartAt};
use super::summary;
use super::targets::Targets;
use super::traces::{SpanSender, TracesWish};
use crate::cli::exit::{printable, unwritable};
use crate::cli::progress::Progress;
use crate::cli::signals::{self, Grace};
use crate::cli::{Exit, Failure, Global, redaction};
use crate::diff::engine::RunNotes;
use crate::outcome::{FailureKind, MARKER};
use crate::record::exchanges::TOOL;
use crate::replay;
use crate::replay::plan::Plan;
use crate::replay::session::probe;
use crate::replay::{Finished, Hopeless, Observed, ReplayError, ReplayStop};
use crate::run::{self, RunFolder, RunInfo, names};
use crate::schedule::select::REPLAYED_BEFORE;
use crate::store::nameless_file;
use crate::time::Timestamp;

/// Replays, without printing a result.
pub(crate) fn execute(settings: &ReplaySettings, global: &Global) -> Result<RanReplay, Failure> {
    let shape = &settings.shape;
    let word = signals::word()?;
    let _grace = Grace::ask();
    shape.start_at.map_or(Ok(()), StartAt::check)?;
    let targets = Targets::resolve(shape)?;
    // Before there is a folder: a port in use leaves nothing behind.
    let watch = LiveFigures::start(shape)?;
    let collector = shape.traces.as_ref().map(TracesWish::collector).transpose()?.flatten();
    if shape.trust.ca.is_some() && !targets.all().any(|target| target.tls) {
        tracing::warn!("--ca is not used: no target speaks https");
    }
    let folder = RunFolder::create(&settings.output, settings.force)?;
    let mut info = info_of(settings, &targets);
    let wishes = targets.wishes(shape, &info.run)?;
    let is_watched = watch.is_some() || shape.traces.as_ref().is_some_and(TracesWish::names_routes);
    let mut read = input::read_into(settings, &folder, wishes, is_watched, &word, global)
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
    let target = targets.target.clone();
    let options = replay::ReplayOptions {
        start_at,
        settings: info.settings.clone(),
        under_way: settings.under_way.clone(),
        redaction,
        ..targets.options(shape, &info.run)
    };
    let handles = notes.each_ref().map(|file| file.as_ref().and_then(|file| file.try_clone().ok()));
    let traced = collector.zip(options.traces.clone());
    let traced = traced.map(|(to, traces)| to.start(&info.run, traces, only_server(shape)));
    let mut spans = traced.transpose()?;
    let watching = (watch.as_ref(), spans.as_mut());
    let finished = replay_plan(plan, &options, handles, &folder, watching, &stop, global)?;
    let lost = spans.and_then(|spans| spans.end(&word));
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
    for warning in finished.warnings.iter().chain(&unsearched).chain(&lost) {
        tracing::warn!("{warning}");
    }
    if let Some(hopeless) = &finished.hopeless {
        return Err(hopeless_target(hopeless, &info));
    }
    let is_direct = shape.proxy.is_none();
    let may_be_tls = is_direct && !target.tls && !finished.interrupted;
    if may_be_tls && nothing_but_refused(&finished) && probe::speaks_tls(&target) {
        return Err(Failure::target(format!(
            "{} speaks TLS, and none of {} requests got an answer other than 400 without it: \
             write --target https://{}",
            target.shown(),
            finished.sent,
            target.shown().trim_start_matches("http://")
        )));
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

/// Where all requests go, where that is one place.
fn only_server(shape: &ReplayShape) -> Option<(String, u16)> {
    let url: url::Url = shape.target.as_deref()?.parse().ok()?;
    let place = url.host_str().map(str::to_owned).zip(url.port_or_known_default());
    place.filter(|_| shape.map_host.is_empty() && shape.baseline.is_none())
}

/// What a run says of itself before it begins.
fn info_of(settings: &ReplaySettings, targets: &Targets) -> RunInfo {
    RunInfo {
        run: run::run_id(),
        command: run::command_line(std::env::args()),
        tool: TOOL.to_owned(),
        target: targets.target.shown().to_owned(),
        baseline: targets.baseline.as_ref().map(|target| target.shown().to_owned()),
        settings: settings.shape.describe(),
        gate: settings.gate.clone(),
        host: run::host(),
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

/// Whether nothing came but ends of connections, what is no HTTP, and `400 Bad Request`, as servers
/// of TLS answer to who speaks none.
fn nothing_but_refused(finished: &Finished) -> bool {
    let refused = finished.failures.keys().all(|kind| {
        let kinds = [FailureKind::Closed, FailureKind::Protocol, FailureKind::Skipped];
        kinds.iter().any(|known| known.name() == *kind)
    });
    finished.sent > 0 && refused && finished.status.keys().all(|status| *status == 400)
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
    (watch, mut spans): (Option<&LiveFigures>, Option<&mut SpanSender>),
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
    let is_observed = observing.is_some() || spans.is_some();
    let mut observe = |observed: &Observed<'_>| {
        if let Some(observing) = &mut observing {
            observing.observe(observed);
        }
        if let Some(spans) = spans.as_mut() {
            let route = plan.routes.get(usize::from(observed.route));
            spans.observe(route.map_or("other", |route| route), observed);
        }
    };
    let observer = is_observed.then_some(&mut observe as replay::Observer<'_>);
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

fn create(folder: &RunFolder, name: &str) -> Result<File, Failure> {
    let path = folder.file(name);
    File::create(&path).map_err(|error| unwritable(&path, &error))
}

/// Where the filters leave nothing over, there is nothing to be learned. A shard may be empty: the
/// others are not.
pub(super) fn something_is_chosen(plan: &Plan, shape: &ReplayShape) -> Result<(), Failure> {
    if shape.shard.is_some() || plan.totals.sends + plan.totals.skips > 0 {
        if let Some(missing) = plan.captured.missing() {
            tracing::warn!("{missing}");
        }
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
