//! Joins the exchanges of a run with their outcomes and adds everything up.
//!
//! One pass over the exchanges makes a table by id, one over the baseline's and one over v2's
//! outcomes measures. Memory is bounded by [`limits::JOIN_ENTRIES`]: a larger recording is joined
//! in several passes, each for a part of the connections.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::BuildHasher as _;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

use super::answered::{Answered, pair};
use super::pace::Pace;
use super::records::{self, FigureLine, RecordedFigures, Replayed};
use super::timeline::RequestEnding;
use super::{FailureSummary, RouteSummary, Side, Summary};
use crate::exchange::{Completeness, ExchangeId, OF_A_LOG, tells_status_alone};
use crate::limits;
use crate::outcome::{Failure, FailureKind};
use crate::record::exchanges::{self, LineError};
use crate::record::lines;
use crate::record::outcomes;
use crate::route::rpc;
use crate::time::Timestamp;

/// The route of what is beyond [`limits::MEASURED_ROUTES`].
pub(super) const OTHER_ROUTES: &str = "(other routes)";

/// Most characters of a text from the records that are kept.
const TEXT_CHARS: usize = 200;
/// Most reasons for skipping that are told apart.
const SKIP_REASONS: usize = 30;
/// Most unusable lines that are kept as examples.
const REJECTED_EXAMPLES: usize = 5;

/// The files of a run.
pub struct RunRecords<'a> {
    /// `exchanges.jsonl`.
    pub exchanges: &'a Path,
    /// `outcomes.jsonl`.
    pub outcomes: &'a Path,
    /// `baseline.jsonl`, where there is one.
    pub baseline: Option<&'a Path>,
    /// Names the route of a method, a target, and the operation that the request names.
    pub route: &'a (dyn Fn(&[u8], &[u8], Option<&str>) -> Arc<str> + Sync),
    /// Most exchanges held at once ([`limits::JOIN_ENTRIES`]).
    pub most_entries: usize,
}

/// Why a run cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is something else, or too new.
    #[error("{path}: line {line} cannot be used")]
    Format {
        /// Which.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// Why.
        source: LineError,
    },
}

/// Measures a run. `progress` is told how many bytes were read.
pub fn measure(records: &RunRecords<'_>, mut progress: impl FnMut(u64)) -> Result<Summary, Error> {
    let passes = passes(records.exchanges, records.most_entries);
    let mut collector = FigureCollector::new(records.baseline.is_some());
    let mut done = 0;
    for number in 0..passes {
        let mut pass = JoinPass::new(number, passes);
        done += pass.read_exchanges(&mut collector, records, |read| progress(done + read))?;
        if let Some(baseline) = records.baseline {
            done += pass.read_outcomes(&mut collector, baseline, Side::Baseline, |read| {
                progress(done + read)
            })?;
        }
        done += pass.read_outcomes(&mut collector, records.outcomes, Side::V2, |read| {
            progress(done + read)
        })?;
        pass.settle(&mut collector);
        collector.summary.lanes += pass.lanes.len() as u64;
    }
    Ok(collector.finish())
}

/// The operation that the request of a line names.
fn operation(line: &[u8]) -> Option<String> {
    let asked = exchanges::read_asked(line).ok()??;
    rpc::operation(&asked.request?.message)
}

/// How many passes keep the table within `most` entries: by the count in the last line, else by the
/// file's length.
fn passes(exchanges: &Path, most: usize) -> u64 {
    const SHORTEST_LINE: u64 = 200;
    let counted = || -> Option<u64> {
        let mut file = File::open(exchanges).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(1 << 16))).ok()?;
        let mut tail = Vec::new();
        file.take(1 << 16).read_to_end(&mut tail).ok()?;
        let last = tail.trim_ascii_end().rsplit(|&byte| byte == b'\n').next()?;
        let end: exchanges::End = serde_json::from_slice(last).ok()?;
        // A concatenation says in its last line only how much its last part holds.
        (end.format == exchanges::END_FORMAT && end.exchanges.saturating_mul(64 << 10) > length)
            .then_some(end.exchanges)
    };
    let guessed = || {
        let length = |path: &Path| path.metadata().map(|data| data.len()).unwrap_or(0);
        length(exchanges) / SHORTEST_LINE + length(&lines::compressed_twin(exchanges)) / 10
    };
    counted().unwrap_or_else(guessed).div_ceil(most.max(1) as u64).max(1)
}

/// What is kept of an exchange until its outcomes come.
struct JoinEntry {
    route: u32,
    at: Timestamp,
    /// Latency of v1's whole answer.
    v1_ns: Option<i64>,
    v1_status: Option<u16>,
    /// v1's client left before the answer was whole.
    is_left: bool,
    /// How the messages of v1's answer came.
    pace: Option<Box<Pace>>,
    /// What the baseline did, where there is one.
    baseline: Option<Answered>,
    replayed: bool,
}

impl JoinEntry {
    /// Whether an answer that had not come to its end when v2's time was over is as v1's was.
    fn may_stay_open(&self, replayed: &Replayed) -> bool {
        let timed_out = |failure: &Failure| failure.kind == FailureKind::Timeout;
        self.is_left && replayed.failure.as_ref().is_some_and(timed_out)
    }

    /// What v2 is compared with.
    fn other_side(&self, has_baseline: bool) -> Option<Answered> {
        if has_baseline {
            return self.baseline;
        }
        Some(Answered { status: Some(self.v1_status?), nanos: self.v1_ns })
    }
}

pub(super) struct FigureCollector {
    pub(super) summary: Summary,
    routes: Vec<RouteSummary>,
    by_name: FxHashMap<Arc<str>, u32>,
}

pub(super) struct JoinPass {
    number: u64,
    passes: u64,
    table: FxHashMap<ExchangeId, JoinEntry>,
    pub(super) lanes: FxHashSet<u64>,
}

/// What measuring takes of a line of exchanges, with the route of its request.
pub(super) type RecordedLine = (FigureLine<RecordedFigures>, Option<Arc<str>>);

/// Reads a line of exchanges; `route` names the route of a method, a target, and an operation.
pub(super) fn recorded(
    text: &[u8],
    route: impl Fn(&[u8], &[u8], Option<&str>) -> Arc<str>,
) -> Result<RecordedLine, LineError> {
    let mut line = records::read::<RecordedFigures>(text, exchanges::FORMAT, exchanges::VERSION)?;
    if let FigureLine::Record(recorded) = &mut line {
        recorded.pace = Pace::of_recorded(text);
    }
    let route = match &line {
        FigureLine::Record(RecordedFigures { completeness, request: Some(request), .. })
            if completeness.request_is_whole() =>
        {
            let (method, target) = (&request.method.0, &request.target.0);
            let operation = rpc::may_name(method, target).then(|| operation(text)).flatten();
            Some(route(method, target, operation.as_deref()))
        }
        _ => None,
    };
    Ok((line, route))
}

/// Reads a line of outcomes.
pub(super) fn replayed(line: &[u8]) -> Result<FigureLine<Replayed>, LineError> {
    let mut read = records::read(line, outcomes::FORMAT, outcomes::VERSION)?;
    if let FigureLine::Record::<Replayed>(replayed) = &mut read {
        replayed.pace = Pace::of_replayed(line);
    }
    Ok(read)
}

impl JoinPass {
    /// One of several passes.
    pub(super) fn new(number: u64, passes: u64) -> Self {
        Self { number, passes, table: FxHashMap::default(), lanes: FxHashSet::default() }
    }

    /// Counts the exchanges whose outcomes were taken, and lets go of them.
    pub(super) fn settle(&mut self, collector: &mut FigureCollector) {
        let replayed = self.table.drain().filter(|(_, entry)| entry.replayed).count();
        collector.summary.replayed += replayed as u64;
    }

    /// The route that an exchange was counted for.
    pub(super) fn route_of(&self, id: ExchangeId) -> Option<usize> {
        self.table.get(&id).map(|entry| entry.route as usize)
    }

    fn mine(&self, connection: u64) -> bool {
        self.passes == 1 || FxBuildHasher.hash_one(connection) % self.passes == self.number
    }

    fn read_exchanges(
        &mut self,
        collector: &mut FigureCollector,
        records: &RunRecords<'_>,
        mut progress: impl FnMut(u64),
    ) -> Result<u64, Error> {
        let path = records.exchanges;
        let parse = |text: &[u8]| recorded(text, records.route);
        let mut closed = 0u64;
        let mut opened = 0u64;
        let read = read_lines(
            collector,
            path,
            self.number == 0,
            parse,
            &mut progress,
            |collector, (line, route)| match line {
                FigureLine::Header(_) => opened += 1,
                FigureLine::End(line) => {
                    closed += 1;
                    if self.number == 0 {
                        collector.take_capture_end(&line);
                    }
                }
                FigureLine::Record(recorded) if self.mine(recorded.id.connection) => {
                    self.take_exchange(collector, &recorded, route)
                }
                FigureLine::Record(_) => {}
            },
        )?;
        if self.number == 0 && closed < opened.max(1) {
            collector.summary.unclosed.push(file_name(path));
        }
        Ok(read)
    }

    pub(super) fn take_exchange(
        &mut self,
        collector: &mut FigureCollector,
        recorded: &RecordedFigures,
        route: Option<Arc<str>>,
    ) {
        *collector.summary.exchanges.entry(recorded.completeness.name()).or_default() += 1;
        let cut = recorded.marks.iter().any(|mark| mark.starts_with("response: ended-inside"));
        let whole = !recorded.marks.iter().any(|mark| mark.contains("bytes-missing"));
        let told = recorded.marks.iter().any(|mark| tells_status_alone(mark));
        let logged = recorded.marks.iter().any(|mark| mark == OF_A_LOG);
        let is_open = recorded.completeness == Completeness::ResponseDamaged;
        // A log's request without its body is none that the capture lacks.
        let is_bare = logged && recorded.completeness == Completeness::RequestDamaged;
        if is_open && (told || cut && whole) || is_bare {
            collector.summary.left += 1;
        }
        if recorded.id.ordinal == 0
            && let Some(nanos) = recorded.handshake_ns
        {
            collector.summary.handshakes.record(nanos);
        }
        let (Some(route), Some(request)) = (route, &recorded.request) else { return };
        let complete = recorded.completeness == Completeness::Complete;
        let told = told && is_open;
        let answer = recorded.response.as_ref();
        let response = answer.filter(|_| complete);
        let entry = JoinEntry {
            route: collector.route(route),
            at: request.at,
            v1_ns: response.and_then(|response| response.last_byte_ns),
            v1_status: answer.filter(|_| complete || told).map(|answer| answer.status),
            is_left: !told
                && matches!(
                    recorded.completeness,
                    Completeness::NoResponse | Completeness::ResponseDamaged
                ),
            pace: recorded.pace.map(Box::new),
            baseline: None,
            replayed: false,
        };
        match self.table.entry(recorded.id) {
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(entry);
                collector.summary.records_ledger.take(1);
            }
            std::collections::hash_map::Entry::Occupied(_) => {
                collector.summary.records_ledger.reject("exchanges-with-an-id-seen-before", 1);
            }
        }
    }

    fn read_outcomes(
        &mut self,
        collector: &mut FigureCollector,
        path: &Path,
        side: Side,
        mut progress: impl FnMut(u64),
    ) -> Result<u64, Error> {
        let mut closed = false;
        let read = read_lines(
            collector,
            path,
            self.number == 0,
            replayed,
            &mut progress,
            |collector, line| match line {
                FigureLine::Header(line) => collector.take_start(side, &line),
                FigureLine::End(line) => {
                    closed = true;
                    if self.number == 0 {
                        collector.take_end(side, &line);
                    }
                }
                FigureLine::Record(replayed) if self.mine(replayed.id.exchange.connection) => {
                    self.take_outcome(collector, side, &replayed);
                }
                FigureLine::Record(_) => {}
            },
        )?;
        if self.number == 0 && !closed {
            collector.summary.unclosed.push(file_name(path));
        }
        Ok(read)
    }

    pub(super) fn take_outcome(
        &mut self,
        collector: &mut FigureCollector,
        side: Side,
        replayed: &Replayed,
    ) {
        let Some(entry) = self.table.get_mut(&replayed.id.exchange) else {
            collector.summary.records_ledger.reject("outcomes-without-exchange", 1);
            return;
        };
        collector.summary.records_ledger.take(1);
        if let Some(failure) =
            replayed.failure.as_ref().filter(|failure| failure.kind == FailureKind::Skipped)
        {
            if side == Side::V2 {
                count_reason(&mut collector.summary.skipped, &failure.detail);
            }
            return;
        }
        if let Some(failure) = &replayed.failure
            && let Some(owner) = failure.owner
        {
            let what = format!("{} ({}): {}", owner.name(), failure.kind.name(), failure.detail);
            count_reason(&mut collector.summary.own_failures, &what);
            return;
        }
        if !replayed.unbound.is_empty() {
            if side == Side::V2 {
                self.lanes.insert(replayed.lane);
                entry.replayed = true;
            }
            return collector.take_unbound(side, replayed);
        }
        if side == Side::V2 {
            self.lanes.insert(replayed.lane);
            if !std::mem::replace(&mut entry.replayed, true) {
                collector.take_v1(entry, replayed);
            }
        }
        collector.take_sent(entry, side, replayed);
    }
}

impl FigureCollector {
    pub(super) fn new(has_baseline: bool) -> Self {
        Self {
            summary: Summary { has_baseline, ..Summary::default() },
            routes: Vec::new(),
            by_name: FxHashMap::default(),
        }
    }

    /// A first line of outcomes.
    pub(super) fn take_start(&mut self, side: Side, line: &[u8]) {
        if side == Side::V2
            && let Ok(header) = serde_json::from_slice::<outcomes::OutcomesHeader>(line)
        {
            let started = &mut self.summary.started;
            *started = Some(started.map_or(header.started, |known| known.min(header.started)));
        }
    }

    /// A last line of outcomes.
    pub(super) fn take_end(&mut self, side: Side, line: &[u8]) {
        if side == Side::V2
            && let Ok(end) = serde_json::from_slice::<outcomes::OutcomesEnd>(line)
        {
            self.summary.replay_ledger.merge(&end.ledger);
            self.summary.generator = end.generator;
        }
    }

    /// A last line of exchanges.
    pub(super) fn take_capture_end(&mut self, line: &[u8]) {
        if let Ok(end) = serde_json::from_slice::<exchanges::End>(line) {
            self.summary.capture_ledger.merge(&end.ledger);
        }
    }

    /// Whether something was counted together for want of room: which, the order decides.
    pub(super) fn is_crowded(&self) -> bool {
        let reasons = [&self.summary.skipped, &self.summary.own_failures];
        reasons.iter().any(|reasons| reasons.len() >= SKIP_REASONS)
            || self.routes.len() >= limits::MEASURED_ROUTES
    }

    /// What is told of the first failure of a kind.
    pub(super) fn failure_on(
        &self,
        route: usize,
        replayed: &Replayed,
        failure: &Failure,
    ) -> FailureSummary {
        failure_summary(&self.routes[route].route, replayed, failure)
    }

    fn route(&mut self, name: Arc<str>) -> u32 {
        if let Some(&index) = self.by_name.get(&name) {
            return index;
        }
        let name = if self.routes.len() < limits::MEASURED_ROUTES {
            name
        } else {
            Arc::from(OTHER_ROUTES)
        };
        if let Some(&index) = self.by_name.get(&name) {
            return index;
        }
        let index = self.routes.len() as u32;
        self.routes.push(RouteSummary { route: Arc::clone(&name), ..RouteSummary::default() });
        self.by_name.insert(name, index);
        index
    }

    /// v1's side of an exchange, when its first copy was sent: it stands in the same second of the
    /// timeline.
    fn take_v1(&mut self, entry: &JoinEntry, replayed: &Replayed) {
        let summary = &mut self.summary;
        summary.first_at = Some(summary.first_at.map_or(entry.at, |first| first.min(entry.at)));
        summary.last_at = Some(summary.last_at.map_or(entry.at, |last| last.max(entry.at)));
        let route = &mut self.routes[entry.route as usize];
        let side = &mut route.sides[Side::V1 as usize];
        side.requests += 1;
        if let Some(status) = entry.v1_status {
            *side.statuses.entry(status).or_default() += 1;
        }
        if let Some(nanos) = entry.v1_ns {
            side.sent.record(entry.at.nanos(), nanos);
        }
        side.take_pace(entry.pace.as_deref().copied());
        let ending = RequestEnding {
            error: entry.v1_status.is_some_and(|status| status >= 500),
            status: entry.v1_status,
            open: entry.v1_status.is_none(),
            latency: entry.v1_ns,
        };
        let at = replayed.sent_ns.unwrap_or(replayed.due_ns);
        summary.timeline.cell(Side::V1, at).add(ending);
        route.over_time.cell(Side::V1, at).add(ending);
    }

    /// A request that lacked a value asks for what was never given: how it was answered, and how
    /// fast, says nothing. The replayer's own figures hold it all the same.
    fn take_unbound(&mut self, side: Side, replayed: &Replayed) {
        self.take_own_figures(side, replayed);
        if side == Side::V2 {
            self.summary.unbound += 1;
            let at = replayed.sent_ns.unwrap_or(replayed.due_ns);
            let ended = replayed.last_byte_ns.or(replayed.failed_ns).unwrap_or(at).max(at);
            self.summary.took_ns = self.summary.took_ns.max(ended);
        }
    }

    /// How late a request was, and how long its connection took to open.
    fn take_own_figures(&mut self, side: Side, replayed: &Replayed) {
        let summary = &mut self.summary;
        if let Some(nanos) = replayed.connect_ns {
            let connects = if side == Side::V2 {
                &mut summary.connects
            } else {
                &mut summary.baseline_connects
            };
            connects.record(nanos);
        }
        if let Some(sent) = replayed.sent_ns {
            // As `Outcome::own_lateness_ns`, for records that were made by hand too.
            let late =
                sent.saturating_sub(replayed.due_ns).saturating_sub(replayed.waited_ns).max(0);
            summary.timeline.cell(side, sent).lateness.record(late);
            if side == Side::V2 {
                summary.lateness.record(late);
            }
        }
    }

    fn take_sent(&mut self, entry: &mut JoinEntry, side: Side, replayed: &Replayed) {
        self.take_own_figures(side, replayed);
        let summary = &mut self.summary;
        let route = &mut self.routes[entry.route as usize];
        let figures = &mut route.sides[side as usize];
        let at = replayed.sent_ns.unwrap_or(replayed.due_ns);
        figures.requests += 1;
        let status = replayed
            .response
            .as_ref()
            .map(|response| response.status)
            .filter(|_| replayed.failure.is_none());
        // v1's client left its answer, and so did the replayer: what was not said is no error.
        let as_v1 = replayed.left_ns.is_some() || entry.may_stay_open(replayed);
        let mut ending = RequestEnding {
            error: status.map_or(!as_v1, |status| status >= 500),
            status,
            open: status.is_none() && as_v1,
            latency: None,
        };
        match (&replayed.failure, status) {
            (_, None) if as_v1 => {}
            (Some(failure), _) => {
                *figures.failures.entry(failure.kind).or_default() += 1;
                if side == Side::V2 {
                    let of_kind = summary.failures.entry(failure.kind);
                    let first = || failure_summary(&route.route, replayed, failure);
                    of_kind.or_insert_with(first).count += 1;
                }
            }
            (None, Some(status)) => *figures.statuses.entry(status).or_default() += 1,
            // Neither an answer nor a failure: a record of another writer.
            (None, None) => *figures.failures.entry(FailureKind::Protocol).or_default() += 1,
        }
        if status.is_some() || as_v1 {
            figures.take_pace(replayed.pace);
        }
        let mut answered = Answered { status, nanos: None };
        // How long an answer took that v1's client did not wait for says nothing.
        if let (Some(sent), Some(last), Some(_), false) =
            (replayed.sent_ns, replayed.last_byte_ns, status, entry.is_left)
        {
            let latency = last.saturating_sub(sent);
            answered.nanos = Some(latency);
            // A refusal is fast, and says nothing of how long the work takes.
            if !entry
                .other_side(summary.has_baseline)
                .is_some_and(|other| side == Side::V2 && answered.refuses(other))
            {
                figures.sent.record(sent, latency);
                ending.latency = Some(latency);
            }
            figures.due.record(last.saturating_sub(replayed.due_ns));
        }
        summary.timeline.cell(side, at).add(ending);
        route.over_time.cell(side, at).add(ending);
        // A user would have waited for so long at least: without them the slowest would be missing
        // in what users feel.
        if let Some(failed) = replayed.failed_ns.filter(|_| timed_out(replayed)) {
            figures.due.record(failed.saturating_sub(replayed.due_ns));
        }
        let ended = replayed.last_byte_ns.or(replayed.failed_ns).unwrap_or(at).max(at);
        if side == Side::V2 {
            summary.took_ns = summary.took_ns.max(ended);
            let other = entry.other_side(summary.has_baseline);
            if let Some(other) = other {
                route.pairs.merge(&pair(answered, other));
                if let Some(ratio) = answered.ratio_to(other) {
                    route.ratios.record(at, ratio);
                    record_change(route, answered, other);
                }
            }
        } else {
            if let (Some(status), Some(recorded)) = (status, entry.v1_status) {
                summary.baseline_answers += 1;
                summary.baseline_otherwise += u64::from(status != recorded);
            }
            entry.baseline = Some(answered);
        }
    }

    pub(super) fn finish(mut self) -> Summary {
        self.routes.retain(|route| route.sides.iter().any(|side| side.requests > 0));
        let of_v2 = |route: &RouteSummary| std::cmp::Reverse(route.side(Side::V2).requests);
        self.routes.sort_by(|a, b| of_v2(a).cmp(&of_v2(b)).then_with(|| a.route.cmp(&b.route)));
        let mut all = RouteSummary { route: Arc::from("ALL"), ..RouteSummary::default() };
        self.routes.iter().for_each(|route| all.merge(route));
        Summary { routes: self.routes, all, ..self.summary }
    }
}

/// Keeps how much longer or shorter v2 took for one request than the other side.
fn record_change(route: &mut RouteSummary, v2: Answered, other: Answered) {
    let (Some(v2), Some(other)) = (v2.nanos, other.nanos) else { return };
    match v2.saturating_sub(other) {
        change if change >= 0 => route.slower.record(change),
        change => route.faster.record(change.saturating_neg()),
    }
}

fn failure_summary(route: &str, replayed: &Replayed, failure: &Failure) -> FailureSummary {
    FailureSummary {
        count: 0,
        example: failure.detail.chars().take(TEXT_CHARS).collect(),
        id: replayed.id.to_string(),
        route: route.to_owned(),
    }
}

fn timed_out(replayed: &Replayed) -> bool {
    replayed.failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::Timeout)
}

/// Reads all lines of a file; what cannot be used is counted (in the first pass only) and left out.
/// A file of another or a newer format is an error.
fn read_lines<T: Send>(
    collector: &mut FigureCollector,
    path: &Path,
    first_pass: bool,
    parse: impl Fn(&[u8]) -> Result<T, LineError> + Sync,
    progress: &mut impl FnMut(u64),
    mut each: impl FnMut(&mut FigureCollector, T),
) -> Result<u64, Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let source = lines::open(path).map_err(unreadable)?;
    let mut wrong_format = None;
    let mut bytes = 0;
    let name = file_name(path);
    lines::each_line(
        source,
        parse,
        |number, line| {
            let why = match line {
                Some(Ok(line)) => return each(collector, line),
                Some(Err(LineError::Malformed(error))) => error.to_string(),
                Some(Err(source)) => {
                    wrong_format.get_or_insert(Error::Format {
                        path: path.to_owned(),
                        line: number,
                        source,
                    });
                    return;
                }
                None => "longer than any record".to_owned(),
            };
            if first_pass {
                collector.summary.records_ledger.reject("unusable-lines", 1);
                if collector.summary.rejected_examples.len() < REJECTED_EXAMPLES {
                    collector
                        .summary
                        .rejected_examples
                        .push(format!("{name}: line {number}: {why}"));
                }
            }
        },
        |read| {
            bytes = read;
            progress(read);
        },
    )
    .map_err(unreadable)?;
    wrong_format.map_or(Ok(bytes), Err)
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn count_reason(counts: &mut BTreeMap<String, u64>, reason: &str) {
    let reason: String = reason.chars().take(TEXT_CHARS).collect();
    let known = counts.len() < SKIP_REASONS || counts.contains_key(&reason);
    *counts.entry(if known { reason } else { "(other reasons)".to_owned() }).or_default() += 1;
}
