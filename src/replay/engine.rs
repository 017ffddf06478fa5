//! Runs a plan: starts the workers, the feeder and the recorder, waits for them, and adds up what
//! they measured.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use rustix::event::EventfdFlags;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

use super::bell::wake;
use super::binder::{Bell, Binder, BindingJournal, FlowCount, Notice};
use super::feed::{FeedLine, Feeder};
use super::hope::Hopeless;
use super::plan::Plan;
use super::shared::Shared;
use super::task::{Budget, Live, ReplayStop, TargetSide, Task};
use super::underway::UnderWay;
use super::worker::Worker;
use crate::ledger::Ledger;
use crate::record::outcomes;
use crate::replay::recorder::generator;
use crate::replay::recorder::generator::{CpuMark, GeneratorFigures};
use crate::replay::recorder::outbox::OutcomeBatch;
use crate::replay::recorder::record::{Observer, OutcomeFile, Recorder};
use crate::replay::recorder::redaction::{Redacting, Redaction};
use crate::replay::session::client::{self, Proxy};
use crate::replay::session::h2::Windows;
use crate::replay::session::sources::Sources;
use crate::replay::session::target::Target;
use crate::replay::session::tls::{Trust, TrustError};
use crate::replay::traces::Traces;
use crate::replay::worker::clock::Clock;
use crate::replay::worker::lane::{Arrivals, Think};
use crate::schedule::held::held;
use crate::schedule::pacing::Speed;
use crate::time::{Monotonic, NANOS_PER_SEC, Timestamp};

/// Shortest and longest time between the start of the threads and the first due time: the first
/// requests must be read, and connections that were opened early in the capture are opened early
/// again, within reason.
const LEAD_NS: (i64, i64) = (100_000_000, 2_000_000_000);
/// File descriptors that are not connections.
const OTHER_FILES: u64 = 64;
const WORKER_QUEUE: usize = 64;
const RECORD_QUEUE: usize = 256;
/// How often the caller is told how far the replay is.
const TICK: Duration = Duration::from_millis(100);

/// How requests reach v2.
#[derive(Clone, Debug, Default)]
pub enum Transport {
    /// Exact bytes on sockets of our own: HTTP/1.
    #[default]
    Wire,
    /// A negotiating client, through this proxy where there is one.
    Client {
        /// The proxy.
        proxy: Option<Proxy>,
    },
}

impl Transport {
    /// Whether it writes the exact bytes.
    pub const fn is_wire(&self) -> bool {
        matches!(self, Self::Wire)
    }
}

/// How a plan is to be run.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// Names the run.
    pub run: String,
    /// v2.
    pub target: Target,
    /// Where mapped hosts go, by the numbers that the rewriter gave them, from 1.
    pub mapped: Vec<Target>,
    /// v1 in staging.
    pub baseline: Option<Target>,
    /// Who is trusted with TLS.
    pub trust: Trust,
    /// How requests reach v2.
    pub transport: Transport,
    /// Requests of HTTP/2 may go in HTTP/1 where a target speaks nothing else.
    pub allow_downgrade: bool,
    /// How HTTP/2 is spoken.
    pub h2: Windows,
    /// When a due request may go.
    pub arrivals: Arrivals,
    /// What it keeps to after a wait.
    pub think: Think,
    /// Longest wait for a connection or a whole answer.
    pub timeout_ns: i64,
    /// Wait for an answer at least twice as long as v1 took for it.
    pub is_patient: bool,
    /// Most connections at the same time; none for as many as the system allows.
    pub max_connections: Option<usize>,
    /// Threads that send.
    pub workers: usize,
    /// Most bytes that are kept of an answer's body.
    pub max_body: usize,
    /// Ask for real-time priority and locked memory.
    pub realtime: bool,
    /// When to start; none for at once.
    pub start_at: Option<Timestamp>,
    /// Own lateness at the 99th percentile above which the schedule counts as not held.
    pub max_lateness_ns: i64,
    /// What the outcomes' first line tells of the settings.
    pub settings: Value,
    /// A trace of its own for each request, as the plan's rewriter has it.
    pub traces: Option<Traces>,
    /// Told of the requests that v2 has not answered yet.
    pub under_way: Option<Arc<UnderWay>>,
    /// How secrets are taken out of answers; none where they are written as they are.
    pub redaction: Option<Arc<Redaction>>,
}

/// Where outcomes go.
pub struct Outputs {
    /// v2's.
    pub target: File,
    /// The baseline's.
    pub baseline: Option<File>,
    /// What v2 issued in the place of v1's values, and the baseline.
    pub bindings: [Option<File>; 2],
}

/// How far a replay is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayProgress {
    /// Nanoseconds since its start; negative before it.
    pub now_ns: i64,
    /// Requests sent.
    pub sent: u64,
    /// Whole answers.
    pub answered: u64,
    /// Requests without a whole answer.
    pub failed: u64,
    /// Whole answers with a status of 5xx.
    pub server_errors: u64,
    /// Open connections.
    pub connections: u64,
    /// Requests that are due and wait for v2 on their lanes.
    pub waiting: u64,
    /// 99th percentile of the own lateness in the last second, of the worst worker.
    pub lateness_p99_ns: i64,
}

impl ReplayProgress {
    /// Requests that were sent and are not answered.
    pub const fn in_flight(&self) -> u64 {
        self.sent.saturating_sub(self.answered.saturating_add(self.failed))
    }
}

/// What a replay came to.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The wall clock at 0 of all `_ns`.
    pub started: Timestamp,
    /// Nanoseconds from there to the end.
    pub duration_ns: i64,
    /// Requests sent, both sides.
    pub sent: u64,
    /// Whole answers.
    pub answered: u64,
    /// Failures by kind.
    pub failures: std::collections::BTreeMap<&'static str, u64>,
    /// Answers by status.
    pub status: std::collections::BTreeMap<u16, u64>,
    /// Answers of gRPC by the status of the call.
    pub calls: std::collections::BTreeMap<u16, u64>,
    /// Requests of the outcomes: sent, and not sent by reason.
    pub ledger: Ledger,
    /// What the replayer measured of itself, as in the last line of the outcomes.
    pub generator: Value,
    /// Whether the schedule was held.
    pub held: bool,
    /// Whether the replay was stopped.
    pub interrupted: bool,
    /// Warnings in words.
    pub warnings: Vec<String>,
    /// What became of each flow at v2, by its number.
    pub flows: Vec<FlowCount>,
    /// There where no request got as far as HTTP.
    pub hopeless: Option<Hopeless>,
}

/// Why a replay did not come to an end.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// TLS cannot be set up.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The system refused something that every replay needs.
    #[error("cannot {0}")]
    System(&'static str, #[source] io::Error),
    /// Outcomes cannot be written.
    #[error("outcomes cannot be written; the first {kept} are on disk and readable")]
    Write {
        /// How many of v2's outcomes were written until then.
        kept: u64,
        /// Why.
        source: io::Error,
    },
    /// The first or the last lines of its records, or its bindings, cannot be written.
    #[error("the replay's records cannot be written; what was written until then is readable")]
    Records(#[source] io::Error),
    /// The spool cannot be read.
    #[error("the replay's temporary file cannot be read")]
    Spool(#[source] io::Error),
}

/// Runs `plan`. `tick` is called some times a second.
pub fn run(
    plan: &Plan,
    options: &ReplayOptions,
    outputs: Outputs,
    stop: &Arc<ReplayStop>,
    observer: Option<Observer<'_>>,
    tick: impl FnMut(&ReplayProgress),
) -> Result<Finished, ReplayError> {
    run_noting([None, None], plan, options, outputs, stop, observer, tick)
}

/// The same, and notes in these files where the outcomes of the target and of the baseline stand.
pub(crate) fn run_noting(
    notes: [Option<File>; 2],
    plan: &Plan,
    options: &ReplayOptions,
    outputs: Outputs,
    stop: &Arc<ReplayStop>,
    observer: Option<Observer<'_>>,
    mut tick: impl FnMut(&ReplayProgress),
) -> Result<Finished, ReplayError> {
    let mut warnings = Vec::new();
    let slots = connection_slots(plan, options, &mut warnings)?;
    // The client does its own waiting; one thread of it keeps many connections busy.
    let workers = if options.transport.is_wire() { options.workers.clamp(1, slots) } else { 1 };
    let mut _awake = None;
    if options.realtime {
        warnings.extend(super::worker::realtime::lock_memory().err());
        match super::worker::realtime::stay_awake() {
            Ok(file) => _awake = Some(file),
            Err(why) => warnings.push(why),
        }
    }
    super::worker::realtime::touch_code();
    // At full speed nothing is due, and large pages are a little faster.
    let _small_pages =
        (plan.pacing.speed != Speed::Max).then(super::worker::realtime::SmallPages::begin);
    let (start, started) = start_time(plan, options, &mut warnings);
    let Outputs { target, baseline, bindings: [bindings, of_baseline] } = outputs;
    let journal = BindingJournal::new(bindings, of_baseline, options.redaction.clone());
    let mut files =
        Files::new(options, target, baseline, notes, started).map_err(ReplayError::Records)?;
    let observed = observer.is_some() || options.redaction.is_some();
    let shared = Arc::new(shared(plan, options, stop, start, workers, observed)?);
    let cpu = CpuMark::now();
    let observer = observer.map(|observer| (observer, started));
    let ran = threads(plan, &shared, options, slots, &mut files, journal, observer, &mut tick)?;
    let duration_ns = shared.clock.now();
    let cpu = CpuMark::now().since(cpu);
    let figures = ran.figures;
    warnings.extend(ran.warnings);
    if shared.budget.stalled.load(Ordering::Relaxed) {
        warnings.push(
            "so many requests waited for v2 that no more were read ahead: those behind them were \
             sent late for it, on all lanes"
                .to_owned(),
        );
    }
    let late = count_late(&figures, options.max_lateness_ns);
    let held = shared.at_once || held(late, figures.lateness.len());
    let generator = generator_of(&figures, workers, duration_ns, cpu, (late, held));
    let planned = plan.sends() + plan.totals.skips;
    let ledger = files.close(planned, &plan.ledger, &generator).map_err(ReplayError::Records)?;
    Ok(Finished {
        started,
        duration_ns,
        sent: figures.sent,
        answered: figures.answered,
        failures: figures.failures,
        status: figures.status,
        calls: figures.calls,
        ledger,
        generator,
        held,
        interrupted: ran.interrupted,
        warnings,
        flows: ran.flows,
        hopeless: [TargetSide::Target, TargetSide::Baseline]
            .into_iter()
            .find_map(|side| shared.hope(side).lost(side)),
    })
}

/// What all threads of a replay share, of which `workers` send.
fn shared(
    plan: &Plan,
    options: &ReplayOptions,
    stop: &Arc<ReplayStop>,
    start: Monotonic,
    workers: usize,
    observed: bool,
) -> Result<Shared, ReplayError> {
    let both: &[&[u8]] = &[b"h2", b"http/1.1"];
    let one: &[&[u8]] = if options.transport.is_wire() { &[b"http/1.1"] } else { both };
    let targets: Vec<Target> = [&options.target]
        .into_iter()
        .chain(&options.mapped)
        .chain(&options.baseline)
        .cloned()
        .collect();
    let tls = targets
        .iter()
        .any(|target| target.tls)
        .then(|| Ok::<_, TrustError>([options.trust.config(one)?, options.trust.config(both)?]))
        .transpose()?;
    let downgrades = || targets.iter().map(|_| AtomicBool::new(false)).collect();
    Ok(Shared {
        two: options.h2.rules(plan.pacing, options.max_body),
        downgrades: options.allow_downgrade.then(downgrades),
        clock: Clock::starting_at(start),
        baseline: options.baseline.as_ref().map(|_| (targets.len() - 1) as u16),
        targets,
        names: plan.names.clone(),
        announced: plan.announced.clone(),
        tls,
        spool: plan.spool.clone(),
        budget: Budget::default(),
        stop: Arc::clone(stop),
        arrivals: options.arrivals,
        think: options.think,
        at_once: plan.pacing.speed == Speed::Max,
        timeout_ns: options.timeout_ns,
        is_patient: options.is_patient,
        sni: options.trust.sni.clone(),
        sources: sources(plan, options)?,
        hopes: Default::default(),
        max_body: options.max_body,
        traces: options.traces.clone(),
        under_way: options.under_way.clone(),
        live: (0..workers).map(|_| Live::default()).collect(),
        unwritten: AtomicUsize::new(0),
        observed,
    })
}

/// How many requests went later than `limit_ns`, by the replayer's own fault.
fn count_late(figures: &GeneratorFigures, limit_ns: i64) -> u64 {
    let limit = limit_ns.max(0).unsigned_abs();
    figures.lateness.count_between(figures.lateness.next_non_equivalent(limit), u64::MAX)
}

/// What the outcomes' last line and `summary.json` tell of the replayer itself.
fn generator_of(
    figures: &GeneratorFigures,
    workers: usize,
    duration_ns: i64,
    (cpu_seconds, machine, stolen): (f64, Option<f64>, Option<f64>),
    (late, held): (u64, bool),
) -> Value {
    let run_queue_share =
        figures.run_queue_ns as f64 / (duration_ns.max(1) as f64 * workers.max(1) as f64);
    json!({
        "schedule_held": held,
        "late": late,
        "lateness": generator::quantiles(&figures.lateness),
        "waited_for_v2": generator::quantiles(&figures.waited),
        "from_due": generator::quantiles(&figures.from_due),
        "from_sent": generator::quantiles(&figures.from_sent),
        "loop_delay": generator::quantiles(&figures.loop_delay),
        "cpu_process_ns": (cpu_seconds * 1e9) as u64,
        "cpu_machine_share": machine,
        "cpu_stolen_share": stolen,
        "run_queue_share": run_queue_share,
        "workers": workers,
        "duration_ns": duration_ns,
        "peak_waiting": figures.peak_waiting,
        "peak_connections": figures.peak_connections,
        "bytes_sent": figures.bytes_sent,
        "bytes_received": figures.bytes_received,
        "notes": figures.notes,
    })
}

/// The outcome files, before and after the recorder has them.
struct Files(Option<(OutcomeFile, Option<OutcomeFile>)>);

impl Files {
    fn new(
        options: &ReplayOptions,
        target: File,
        baseline: Option<File>,
        [notes, notes_of_baseline]: [Option<File>; 2],
        started: Timestamp,
    ) -> io::Result<Self> {
        let header = |target: &Target| outcomes::OutcomesHeader {
            format: outcomes::FORMAT.to_owned(),
            version: outcomes::VERSION,
            run: options.run.clone(),
            target: target.shown().to_owned(),
            started,
            settings: options.settings.clone(),
        };
        let target = OutcomeFile::new(target, &header(&options.target), notes)?;
        let baseline = match (baseline, &options.baseline) {
            (Some(file), Some(baseline)) => {
                Some(OutcomeFile::new(file, &header(baseline), notes_of_baseline)?)
            }
            _ => None,
        };
        Ok(Self(Some((target, baseline))))
    }

    fn close(self, planned: u64, left: &Ledger, generator: &Value) -> io::Result<Ledger> {
        let Some((target, baseline)) = self.0 else { return Ok(Ledger::default()) };
        if let Some(baseline) = baseline {
            baseline.close(planned, left, generator.clone())?;
        }
        target.close(planned, left, generator.clone())
    }
}

/// Who sends: of either transport.
enum Hand<'a> {
    Worker(Box<Worker<'a>>),
    Client(Option<Proxy>, Receiver<Vec<Task>>, SyncSender<OutcomeBatch>, Option<Sender<Notice>>),
}

impl Hand<'_> {
    /// Sends until nothing is left. `slots` is how many connections the client transport may open,
    /// `keeps` whether it leaves some of them open between requests.
    fn work(self, shared: &Arc<Shared>, slots: usize, keeps: bool) -> io::Result<GeneratorFigures> {
        let mut figures = match self {
            Self::Worker(worker) => worker.run(),
            Self::Client(proxy, inbox, records, notices) => {
                client::run(Arc::clone(shared), proxy, inbox, records, notices, slots, keeps)
            }
        }?;
        figures.run_queue_ns = generator::run_queue_ns();
        Ok(figures)
    }
}

/// Who sends, and how each of them is reached.
struct Crew<'a> {
    hands: Vec<Hand<'a>>,
    /// Where the feeder puts what is due.
    lines: Vec<FeedLine>,
    /// Where the binder tells which lanes may go on.
    bells: Vec<Bell>,
    wakes: Vec<Arc<OwnedFd>>,
}

impl<'a> Crew<'a> {
    fn of(
        shared: &'a Arc<Shared>,
        options: &ReplayOptions,
        slots: usize,
        records: &SyncSender<OutcomeBatch>,
        notices: Option<&Sender<Notice>>,
    ) -> Result<Self, ReplayError> {
        let workers = shared.live.len();
        let mut crew =
            Self { hands: Vec::new(), lines: Vec::new(), bells: Vec::new(), wakes: Vec::new() };
        for number in 0..workers {
            let event = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
            let event =
                event.map_err(|error| ReplayError::System("make an event", error.into()))?;
            let event = Arc::new(event);
            let (sender, inbox) = sync_channel(WORKER_QUEUE);
            let share = slots / workers + usize::from(number < slots % workers);
            let hand = match &options.transport {
                Transport::Wire => {
                    let binder = notices.map(|notices| {
                        let (lanes, bell) = std::sync::mpsc::channel();
                        crew.bells.push(Bell { lanes, wake: Arc::clone(&event) });
                        (notices.clone(), bell)
                    });
                    let worker =
                        Worker::new(shared, number, share, inbox, &event, records.clone(), binder);
                    Hand::Worker(Box::new(
                        worker.map_err(|error| ReplayError::System("set up a worker", error))?,
                    ))
                }
                Transport::Client { proxy } => {
                    Hand::Client(proxy.clone(), inbox, records.clone(), notices.cloned())
                }
            };
            crew.hands.push(hand);
            crew.lines.push(FeedLine { sender, wake: Arc::clone(&event) });
            crew.wakes.push(event);
        }
        Ok(crew)
    }
}

/// What a thread that sent has measured, and what it could not be given.
type Worked = (io::Result<GeneratorFigures>, Option<String>);

/// Waits for those who sent: what they measured, what was said, and why one of them failed.
fn worked(
    working: Vec<ScopedJoinHandle<'_, Worked>>,
) -> (GeneratorFigures, Vec<String>, Option<ReplayError>) {
    let mut figures = GeneratorFigures::default();
    let mut warnings = Vec::new();
    let mut failed = None;
    for handle in working {
        match handle.join() {
            Ok((Ok(part), warning)) => {
                figures.merge(&part);
                warnings.extend(warning);
            }
            Ok((Err(error), _)) => failed = Some(ReplayError::System("wait for sockets", error)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    warnings.dedup();
    (figures, warnings, failed)
}

struct Ran {
    figures: GeneratorFigures,
    interrupted: bool,
    warnings: Vec<String>,
    flows: Vec<FlowCount>,
}

#[expect(clippy::too_many_arguments, reason = "all that its threads are made of, in one place")]
fn threads(
    plan: &Plan,
    shared: &Arc<Shared>,
    options: &ReplayOptions,
    slots: usize,
    files: &mut Files,
    journal: BindingJournal,
    observer: Option<(Observer<'_>, Timestamp)>,
    tick: &mut dyn FnMut(&ReplayProgress),
) -> Result<Ran, ReplayError> {
    let kept = kept_connections(plan, options, slots)?;
    let (records, record_inbox) = sync_channel(RECORD_QUEUE);
    let (notices, heard) = plan.bound.as_ref().map(|_| std::sync::mpsc::channel()).unzip();
    let Crew { hands, lines, bells, wakes } =
        Crew::of(shared, options, slots, &records, notices.as_ref())?;
    let (target, baseline) = files.0.take().expect("the files are taken once");
    let recorder = Recorder {
        inbox: record_inbox,
        target,
        baseline,
        stop: Arc::clone(&shared.stop),
        observer,
        redacting: options
            .redaction
            .clone()
            .map(|by| Redacting { by, spool: shared.spool.clone() }),
        unwritten: &shared.unwritten,
    };
    let feeder = Feeder::new(plan, shared, lines, records, notices);
    let binder = plan
        .bound
        .as_ref()
        .zip(heard)
        .map(|(bound, heard)| Binder::new(shared, bound, heard, bells, journal));
    let wakes = &wakes;
    let named = |name: String| std::thread::Builder::new().name(name);
    std::thread::scope(|scope| {
        // Should a thread not start, the ones that run are told to stop, and the scope waits for
        // them.
        let stop_on_error = |error| {
            halt(shared, wakes);
            ReplayError::System("start a thread", error)
        };
        let record = || {
            super::worker::realtime::stand_back();
            recorder.run()
        };
        let recording =
            named("record".to_owned()).spawn_scoped(scope, record).map_err(stop_on_error)?;
        // Requests may wait for it, so it does not stand back as those threads do that work ahead.
        let bind = |binder: Binder<'_>| {
            let _ended = StopsOnPanic(shared, wakes);
            binder.run().inspect_err(|_| halt(shared, wakes))
        };
        let binding = binder
            .map(|binder| named("bind".to_owned()).spawn_scoped(scope, move || bind(binder)))
            .transpose()
            .map_err(stop_on_error)?;
        let mut working = Vec::new();
        for (number, hand) in hands.into_iter().enumerate() {
            let work = move || {
                let warning = super::worker::realtime::prepare_thread(options.realtime).err();
                let result = hand.work(shared, slots - kept, kept > 0);
                (result.inspect_err(|_| halt(shared, wakes)), warning)
            };
            working.push(
                named(format!("worker-{number}"))
                    .spawn_scoped(scope, work)
                    .map_err(stop_on_error)?,
            );
        }
        let feed = move || {
            super::worker::realtime::stand_back();
            let result = feeder.run().inspect_err(|_| shared.stop.set());
            wakes.iter().for_each(|event| wake(event));
            result
        };
        let feeding = named("feed".to_owned()).spawn_scoped(scope, feed).map_err(stop_on_error)?;
        let interrupted = watch(&working, shared, wakes, tick);
        let (figures, warnings, failed) = worked(working);
        let fed = joined(feeding);
        let (recorded, target, baseline) = joined(recording);
        recorded.map_err(|source| ReplayError::Write { kept: target.kept(), source })?;
        fed.map_err(ReplayError::Spool)?;
        let flows =
            binding.map(joined).transpose().map_err(ReplayError::Records)?.unwrap_or_default();
        if let Some(error) = failed {
            return Err(error);
        }
        files.0 = Some((target, baseline));
        Ok(Ran { figures, interrupted, warnings, flows })
    })
}

/// Tells how far the replay is while there is who sends; whether it was ended early.
fn watch<T>(
    working: &[ScopedJoinHandle<'_, T>],
    shared: &Shared,
    wakes: &[Arc<OwnedFd>],
    tick: &mut dyn FnMut(&ReplayProgress),
) -> bool {
    let mut interrupted = false;
    while !working.iter().all(ScopedJoinHandle::is_finished) {
        std::thread::park_timeout(TICK);
        if shared.stop.is_set() && !std::mem::replace(&mut interrupted, true) {
            wakes.iter().for_each(|event| wake(event));
        }
        tick(&progress(shared));
    }
    interrupted || shared.stop.is_set()
}

/// What a thread came to; where it panicked, so do we.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Ends the replay, and wakes those who send.
fn halt(shared: &Shared, wakes: &[Arc<OwnedFd>]) {
    shared.stop.set();
    wakes.iter().for_each(|event| wake(event));
}

/// Who waits for a thread that is gone would wait for ever: it ends the replay.
struct StopsOnPanic<'a>(&'a Shared, &'a [Arc<OwnedFd>]);

impl Drop for StopsOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            halt(self.0, self.1);
        }
    }
}

fn progress(shared: &Shared) -> ReplayProgress {
    let sum = |count: fn(&Live) -> u64| shared.live.iter().map(count).sum();
    ReplayProgress {
        now_ns: shared.clock.now(),
        sent: sum(|live| live.sent.load(Ordering::Relaxed)),
        answered: sum(|live| live.answered.load(Ordering::Relaxed)),
        failed: sum(|live| live.failed.load(Ordering::Relaxed)),
        server_errors: sum(|live| live.server_errors.load(Ordering::Relaxed)),
        connections: sum(|live| live.connections.load(Ordering::Relaxed)),
        waiting: sum(|live| live.waiting.load(Ordering::Relaxed)),
        lateness_p99_ns: shared
            .live
            .iter()
            .map(|live| live.lateness_p99.load(Ordering::Relaxed))
            .max()
            .unwrap_or(0),
    }
}

/// The start on both clocks.
fn start_time(
    plan: &Plan,
    options: &ReplayOptions,
    warnings: &mut Vec<String>,
) -> (Monotonic, Timestamp) {
    let lead = plan.lead_ns().clamp(LEAD_NS.0, LEAD_NS.1);
    let (now, wall) = (Monotonic::now(), Timestamp::now());
    let wait = match options.start_at {
        None => lead,
        Some(at) if at.since(wall) >= lead => at.since(wall),
        Some(at) => {
            warnings.push(format!(
                "--start-at {at} left less than {} ms: started late",
                lead / 1_000_000
            ));
            lead
        }
    };
    (now.plus(wait), wall.plus(wait))
}

/// How many connections may be open at the same time: what the system gives, after the limit was
/// raised as far as it goes.
fn connection_slots(
    plan: &Plan,
    options: &ReplayOptions,
    warnings: &mut Vec<String>,
) -> Result<usize, ReplayError> {
    let lanes = all_lanes(plan, options);
    let wished = options.max_connections.map_or(u64::MAX, |most| most.max(1) as u64);
    let limit = raise_file_limit(wished.min(1 << 20).saturating_add(OTHER_FILES));
    let slots = wished.min(limit.saturating_sub(OTHER_FILES).max(1));
    if lanes > slots && options.max_connections.is_none() {
        let peak = peak_lanes(plan, options)?;
        if peak > slots {
            warnings.push(format!(
                "the capture has {peak} connections open at the same time, but only {limit} files \
                 may be open: idle ones are closed \
                 early; ulimit -n {} would hold them all",
                peak + OTHER_FILES
            ));
        }
    }
    Ok(usize::try_from(slots).unwrap_or(usize::MAX))
}

/// Where connections start from. Before the first of them it is said where their ports will not do.
fn sources(plan: &Plan, options: &ReplayOptions) -> Result<Sources, ReplayError> {
    // Lanes of a side at the same time: the other side's are towards another server.
    let lanes = if all_lanes(plan, options) / sides(options) > Sources::default_room() {
        peak_lanes(plan, options)? / sides(options)
    } else {
        0
    };
    let sources = Sources::for_lanes(lanes);
    for target in [&options.target].into_iter().chain(&options.baseline) {
        let room: u64 = target.addresses.iter().map(|&address| sources.room(address)).sum();
        if lanes > room {
            tracing::warn!(
                "the capture has {lanes} connections open at the same time, which takes as many \
                 local ports; this \
                 machine has {room} towards {}: widen net.ipv4.ip_local_port_range, use more \
                 machines with --shard, or \
                 a --sample",
                target.shown()
            );
        }
    }
    Ok(sources)
}

/// Of the client transport: how many of `slots` connections the lanes keep between their requests.
/// None where the others would be fewer: each request then opens its own.
fn kept_connections(
    plan: &Plan,
    options: &ReplayOptions,
    slots: usize,
) -> Result<usize, ReplayError> {
    let upstreams = options.mapped.len() as u64 + 1;
    let room = slots as u64 / 2;
    let mut lanes = all_lanes(plan, options).saturating_mul(upstreams);
    if lanes > room && !options.transport.is_wire() {
        lanes = peak_lanes(plan, options)?.saturating_mul(upstreams);
    }
    Ok(if lanes > room { 0 } else { lanes as usize })
}

/// Lanes of all loops and both sides.
fn all_lanes(plan: &Plan, options: &ReplayOptions) -> u64 {
    plan.totals
        .lanes
        .saturating_mul(u64::from(plan.pacing.loops.max(1)))
        .saturating_mul(sides(options))
}

/// Most lanes that are open at the same time, of both sides. Reads the plan through.
fn peak_lanes(plan: &Plan, options: &ReplayOptions) -> Result<u64, ReplayError> {
    Ok(plan.figures().map_err(ReplayError::Spool)?.peak_lanes.saturating_mul(sides(options)))
}

/// v2, and the baseline where there is one.
fn sides(options: &ReplayOptions) -> u64 {
    1 + u64::from(options.baseline.is_some())
}

/// Raises the limit of open files to `wanted` or as far as it goes; gives what it is then.
fn raise_file_limit(wanted: u64) -> u64 {
    let now = getrlimit(Resource::Nofile);
    let (current, maximum) = (now.current.unwrap_or(u64::MAX), now.maximum.unwrap_or(u64::MAX));
    if current < wanted {
        // First beyond the hard limit, which needs privilege, then up to it.
        for (soft, hard) in [(wanted, wanted.max(maximum)), (wanted.min(maximum), maximum)] {
            if setrlimit(Resource::Nofile, Rlimit { current: Some(soft), maximum: Some(hard) })
                .is_ok()
            {
                return soft;
            }
        }
    }
    current
}

impl ReplayProgress {
    /// The share of the schedule's time that has passed, 0 to 1, where the schedule has a length.
    pub fn share(&self, duration_ns: Option<i64>) -> Option<f64> {
        let whole = duration_ns.filter(|&whole| whole > 0)?;
        Some((self.now_ns.max(0) as f64 / whole as f64).min(1.0))
    }

    /// Requests a second so far.
    pub fn rate(&self) -> f64 {
        if self.now_ns <= 0 {
            0.0
        } else {
            self.sent as f64 * NANOS_PER_SEC as f64 / self.now_ns as f64
        }
    }
}
