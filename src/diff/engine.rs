//! The diff of a run: exchanges are joined with outcomes, compared in parallel, counted in order,
//! judged when all is counted, and gathered in clusters.
//!
//! Three walks, none of which holds the records: the survey (routes, equal requests; who planned
//! the replay may have made it), the comparison (changes go to a spool on disk), and the judgement
//! (the spool becomes `differences.jsonl` and `mismatches.csv`). What is kept of each exchange is
//! 52 bytes: where it and its outcome stand, and to which route it belongs. The output does not
//! depend on the number of threads.

mod clusters;
mod joined;
mod onlooker;
pub(super) mod settings;
mod told;
mod whereabouts;

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek as _, Write};
use std::sync::{Arc, RwLock};

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::account::{Account, ComparedSide, value_hash};
use super::bindings::{Bindings, Bound, ONE_ID, SharedValue};
use super::change::{Change, Context, Look, Sink, cut_at, hash_place, short, shown_below};
use super::cluster::{Drafts, MemberSet};
use super::conditional::{self, Meeting};
use super::index::Index;
use super::issued::{IssueTimes, IssuedBy, Issuers};
use super::judging::{Judge, Lacking, known_noise, noise_places, write_row};
use super::nouns::Named;
use super::rules::RouteRules;
use super::skipped::{Skipped, Undone, was_refused};
use super::sockets;
use super::spool::SpoolRecord;
use super::survey::{DiffSurvey, NONE, survey};
use super::{Class, Kind, Totals, calls, compare, csv, nouns, open, renames, ties};
use crate::exchange::socket::SocketSession;
use crate::exchange::socket::list::SocketForm;
use crate::exchange::{Completeness, Exchange, TimedRequest, UNANSWERED, tells_status_alone};
use crate::limits;
use crate::message::document::{Bounds, Reader, Value, Walk};
use crate::message::method::is_safe;
use crate::message::place::{Step, Trail, general_text};
use crate::message::protobuf::Readings;
use crate::message::{Request, Response, target};
use crate::outcome::{FailureKind, Outcome, ReplayId};
use crate::record::exchanges;
use crate::record::exchanges::Line;
use crate::record::lines::{Batches, LineBatch, read_at};
use crate::redact::{Echoes, Masker};
use crate::route::rpc;
use crate::time::Timestamp;
use joined::{Compared, Joined, Row};
use onlooker::{Nobody, REPLAYED, Shown, Sighting};
pub use onlooker::{Onlooker, RecordFile};
pub use settings::{
    CompareInputs, CompareSettings, DiffError, DiffOutputs, Findings, MISMATCH_COLUMNS, RunNotes,
};
use settings::{reading, writing};
use whereabouts::Members;
pub use whereabouts::{MEMBERS, RecordSpans, Span, Whereabouts};

/// Exchanges of a route in which all places are counted, and its pairs of equal requests that are
/// compared; beyond, one in eight.
const ENOUGH: u64 = 4_000;

/// What is known when the exchanges of a batch are compared.
struct Near<'a> {
    /// What earlier batches have counted.
    account: &'a Account,
    /// The batch before, and this one: what is in them is not read again.
    batches: [Option<&'a LineBatch>; 2],
    /// What v1 had issued, and when.
    issued: &'a IssueTimes,
}

impl Near<'_> {
    fn line(&self, offset: u64, length: u32) -> Option<&[u8]> {
        self.batches.iter().flatten().find_map(|batch| batch.at(offset, length))
    }
}

/// Takes an outcome that is compared, with its place in the index.
type Show<'s> = &'s mut dyn FnMut(RecordFile, usize, &Outcome);

/// An exchange whose outcomes are compared.
struct Recorded<'e> {
    rank: u32,
    exchange: &'e Exchange,
    request: &'e TimedRequest,
    method: String,
    /// v1's client did not wait for the end of the answer.
    is_left: bool,
    rules: Arc<RouteRules>,
    /// Whether the places of its answers are counted.
    count: bool,
    /// What v1 had issued by then, where that is known.
    issued: Option<IssuedBy<'e>>,
}

/// Diffs a run. `progress` is told how many bytes of how many were walked.
pub fn run(
    inputs: CompareInputs,
    settings: &CompareSettings,
    outputs: DiffOutputs<'_>,
    progress: &dyn Fn(u64, u64),
) -> Result<Findings, DiffError> {
    run_before(&mut Nobody, RunNotes::default(), inputs, settings, outputs, progress)
}

/// The same with somebody who looks on, and with what was noted of the records before.
pub fn run_before<O: Onlooker>(
    onlooker: &mut O,
    notes: RunNotes,
    inputs: CompareInputs,
    settings: &CompareSettings,
    outputs: DiffOutputs<'_>,
    progress: &dyn Fn(u64, u64),
) -> Result<Findings, DiffError> {
    let [noted, noted_of_baseline] = notes.outcomes;
    let size = |file: &File| file.metadata().map_or(0, |metadata| metadata.len());
    let (exchange_bytes, outcome_bytes) = (size(&inputs.exchanges), size(&inputs.outcomes));
    let total = outcome_bytes + 2 * exchange_bytes;
    let edge = |line: &[u8]| onlooker.edge(RecordFile::Outcomes, line);
    let outcomes = Index::build(inputs.outcomes, noted, |done| progress(done, total), edge)
        .map_err(reading("outcomes.jsonl"))?;
    let edge = |line: &[u8]| onlooker.edge(RecordFile::Baseline, line);
    let baseline = inputs
        .baseline
        .map(|file| Index::build(file, noted_of_baseline, |_| (), edge))
        .transpose()
        .map_err(reading("baseline.jsonl"))?;
    let routes = settings.routes_before();
    let surveyed = |done| progress(outcome_bytes + done, total);
    let mut edge = |line: &[u8]| onlooker.edge(RecordFile::Exchanges, line);
    let noted = notes.exchanges.map(|notes| notes.open(&inputs.exchanges)).transpose();
    let survey = match noted.map_err(reading("exchanges.jsonl"))?.flatten() {
        Some((survey, edges)) => {
            edges.iter().for_each(|line| edge(line));
            survey
        }
        None => {
            survey(&inputs.exchanges, routes, surveyed, edge).map_err(reading("exchanges.jsonl"))?
        }
    };
    if survey.places.is_empty() {
        return Err(DiffError::Empty);
    }
    let [bindings, baseline_bindings] = inputs.bindings;
    let bound = |file: Option<File>, what| {
        file.map(|file| Bindings::read(&file)).transpose().map_err(reading(what))
    };
    let mut readings = Readings::new(settings.schema.clone());
    let written = survey.calls.iter().map(|&rank| survey.places[rank as usize]);
    calls::learn(&mut readings, &inputs.exchanges, written, [Some(&outcomes), baseline.as_ref()])
        .map_err(reading("exchanges.jsonl"))?;
    let engine = Engine {
        bindings: bound(bindings, "bindings.jsonl")?,
        baseline_bindings: bound(baseline_bindings, "baseline-bindings.jsonl")?,
        settings,
        readings,
        outcomes,
        baseline,
        survey,
        exchanges: inputs.exchanges,
        rules: RwLock::default(),
    };
    let mut spool = BufWriter::with_capacity(1 << 20, inputs.spool);
    let joined = engine.join(onlooker, &mut spool, &|done| {
        progress(outcome_bytes + exchange_bytes + done, total)
    })?;
    let mut spool = spool.into_inner().map_err(|error| writing("the spool")(error.into_error()))?;
    spool.rewind().map_err(reading("the spool"))?;
    let is_once_each = joined.is_once_each;
    let spool = BufReader::with_capacity(1 << 20, spool);
    let (mut findings, members) = engine.judge(joined, spool, outputs)?;
    if is_once_each && !members.is_beyond {
        let Engine { survey, outcomes, .. } = engine;
        findings.whereabouts = Some(Whereabouts::new(members, survey.places, outcomes));
    }
    Ok(findings)
}

struct Engine<'s> {
    settings: &'s CompareSettings,
    readings: Readings,
    outcomes: Index,
    baseline: Option<Index>,
    survey: DiffSurvey,
    /// What v2 and the baseline issued in the place of v1's values.
    bindings: Option<Bindings>,
    baseline_bindings: Option<Bindings>,
    exchanges: File,
    rules: RwLock<FxHashMap<Arc<str>, Arc<RouteRules>>>,
}

impl Engine<'_> {
    /// The indexes of outcomes, as [`REPLAYED`] orders them.
    fn indexes(&self) -> [Option<&Index>; 2] {
        [Some(&self.outcomes), self.baseline.as_ref()]
    }

    /// Walks the exchanges once more and compares each with its outcomes.
    fn join<O: Onlooker>(
        &self,
        onlooker: &mut O,
        spool: &mut impl Write,
        progress: &dyn Fn(u64),
    ) -> Result<Joined, DiffError> {
        let mut shown = Shown::of(self.indexes());
        let mut has_missed = self.survey.damaged > 0;
        let raises = |bindings: &Bindings| (bindings.raises(), bindings.number_alike());
        let raises = self.bindings.as_ref().map(raises).unwrap_or_default();
        let mut joined = Joined {
            account: Account::new(self.settings.rules.len(), raises),
            totals: Totals::default(),
            route_of: vec![NONE; self.survey.places.len()],
            damaged_outcomes: 0,
            skipped: Skipped::default(),
            met: FxHashMap::default(),
            otherwise: FxHashMap::default(),
            is_once_each: false,
        };
        let mut batches = Batches::new(&self.exchanges).map_err(reading("exchanges.jsonl"))?;
        let mut rank = 0_u32;
        let mut before: Option<LineBatch> = None;
        let nobody = Issuers::default();
        let issuers = self.bindings.as_ref().map_or(&nobody, |bindings| &bindings.issuers);
        let mut issued = IssueTimes::new(issuers);
        while let Some(batch) = batches.next().map_err(reading("exchanges.jsonl"))? {
            let first = rank as usize;
            let last = first
                + self.survey.places[first..]
                    .partition_point(|(offset, _)| *offset <= batch.line(batch.len() - 1).0);
            // What earlier batches have counted says which places need no more samples: the same
            // for any number of threads.
            let account = &joined.account;
            if self.bindings.is_some() {
                let lines = self.survey.places[first..last]
                    .iter()
                    .filter_map(|&(offset, length)| batch.at(offset, length));
                issued.read(issuers, lines, last == self.survey.places.len());
            }
            let near = Near { account, batches: [before.as_ref(), Some(&batch)], issued: &issued };
            let eyes = &*onlooker;
            let compared: Vec<io::Result<(Compared, Option<Sighting<O>>)>> = (first..last)
                .into_par_iter()
                .with_min_len(8)
                .map(|rank| {
                    let (offset, length) = self.survey.places[rank];
                    let line = batch.at(offset, length).unwrap_or_default();
                    self.look(eyes, rank as u32, line, &near)
                })
                .collect();
            for one in compared {
                let (one, sighting) = one.map_err(reading("outcomes.jsonl"))?;
                match sighting {
                    Some(sighting) if O::LOOKS => {
                        shown.hand_on(sighting, self.indexes(), onlooker);
                    }
                    seen => has_missed |= seen.is_none(),
                }
                joined
                    .take(rank, one, &self.outcomes.roots, spool)
                    .map_err(writing("the spool"))?;
                rank += 1;
            }
            progress(batches.position());
            before = Some(batch);
        }
        joined.is_once_each = !has_missed && shown.all(self.indexes());
        if !joined.is_once_each {
            onlooker.miss();
        }
        Ok(joined)
    }

    /// Compares the exchange of a line before an onlooker, who sees all its outcomes.
    fn look<O: Onlooker>(
        &self,
        onlooker: &O,
        rank: u32,
        line: &[u8],
        near: &Near<'_>,
    ) -> io::Result<(Compared, Option<Sighting<O>>)> {
        let Ok(Line::Exchange(exchange)) = exchanges::read(line) else {
            // The survey has read its request, so that the damage is further on.
            return Ok((Compared { not: vec!["exchange-damaged"], ..Compared::default() }, None));
        };
        let seen = onlooker.exchange(&exchange, &self.survey.routes);
        let mut sighting = Sighting::new(exchange.id, seen);
        let mut show = |file, at, seen: &Outcome| sighting.add(file, at, || onlooker.outcome(seen));
        let compared = self.compare(rank, &exchange, near, &mut show)?;
        // Those that the comparison had no use for.
        for (file, index) in REPLAYED.into_iter().zip(self.indexes()).filter(|_| O::LOOKS) {
            let Some(index) = index else { continue };
            for at in index.of(exchange.id) {
                if !sighting.has(file, at) {
                    let line = index.line(at)?;
                    let Some((outcome, _)) = index.outcome(at, &line) else {
                        return Ok((compared, None));
                    };
                    sighting.add(file, at, || onlooker.outcome(&outcome));
                }
            }
        }
        Ok((compared, Some(sighting)))
    }

    fn compare(
        &self,
        rank: u32,
        exchange: &Exchange,
        near: &Near<'_>,
        show: Show<'_>,
    ) -> io::Result<Compared> {
        let mut compared = Compared::default();
        if exchange.is_marked(UNANSWERED) {
            compared.not.push("answer-not-recorded");
            return Ok(compared);
        }
        let is_left = open::is_left(exchange.completeness);
        let is_whole = exchange.completeness == Completeness::Complete;
        let Some(request) = exchange.request.as_ref().filter(|_| is_left || is_whole) else {
            compared.not.push(exchange.completeness.name());
            return Ok(compared);
        };
        if is_whole && exchange.response.is_none() {
            compared.not.push(exchange.completeness.name());
            return Ok(compared);
        }
        let outcomes = self.outcomes.of(exchange.id);
        if outcomes.is_empty() {
            compared.not.push("not-replayed");
        }
        let message = &request.message;
        let operation = rpc::operation(message);
        let routes = &self.survey.routes;
        let route = routes.route_of(&message.method, &message.target, operation.as_deref());
        let rules = self.rules_of(&route);
        let wanted = |side: ComparedSide| {
            near.account.sampled(&route, side) < ENOUGH || rank.is_multiple_of(8)
        };
        let (count, own) = (wanted(ComparedSide::Live), wanted(ComparedSide::Own));
        compared.route = Some(route);
        let target = String::from_utf8_lossy(&message.target);
        let method = String::from_utf8_lossy(&message.method).into_owned();
        let shown = cut_at(&self.settings.masker.target(&target), limits::SHOWN_TARGET);
        compared.target = (message.target.clone(), shown);
        let issued = near.issued.by(exchange);
        let recorded = Recorded { rank, exchange, request, method, is_left, rules, count, issued };
        for at in outcomes {
            self.replayed(&recorded, at, &mut compared, show)?;
        }
        if own && is_whole && !compared.rows.is_empty() {
            compared.own = self.own(&recorded, near)?;
        }
        Ok(compared)
    }

    /// Compares one outcome of an exchange.
    fn replayed(
        &self,
        recorded: &Recorded<'_>,
        at: usize,
        compared: &mut Compared,
        show: Show<'_>,
    ) -> io::Result<()> {
        let Recorded { exchange, request, method, .. } = recorded;
        let line = self.outcomes.line(at)?;
        let Some((outcome, started)) = self.outcomes.outcome(at, &line) else {
            compared.damaged += 1;
            compared.not.push("outcome-damaged");
            return Ok(());
        };
        show(RecordFile::Outcomes, at, &outcome);
        if outcome.failure.as_ref().is_some_and(|failure| failure.owner.is_some()) {
            compared.not.push("not-v2s-failure");
            compared.unsent.push(outcome.id);
            return Ok(());
        }
        if let Some(failure) = &outcome.failure
            && matches!(failure.kind, FailureKind::Skipped | FailureKind::Rewrite)
        {
            compared.not.push(failure.kind.name());
            compared.unsent.push(outcome.id);
            let spoke = SocketSession::of(exchange).is_some_and(|session| session.sent() > 0);
            if (!is_safe(&request.message.method) || spoke) && !was_refused(exchange) {
                compared.skipped = Some((method.clone(), Undone::Unsent));
            }
            return Ok(());
        }
        if !recorded.is_left && self.lacks_content(recorded, &outcome) {
            compared.not.push("content-not-recorded");
            return Ok(());
        }
        let row = if recorded.is_left {
            self.left_row(recorded, &outcome, started, &compared.target.1)
        } else {
            Some(self.row(recorded, &outcome, started, compared, show)?)
        };
        match row {
            Some(row) => compared.rows.push(row),
            None => compared.not.push(exchange.completeness.name()),
        }
        Ok(())
    }

    /// Whether v2 gave the content of which v1 said that its client had it, and no answer in the
    /// recording tells what that was.
    fn lacks_content(&self, recorded: &Recorded<'_>, outcome: &Outcome) -> bool {
        let v1 = recorded.exchange.response.as_ref();
        let statuses = v1.zip(outcome.response.as_ref()).filter(|_| outcome.failure.is_none());
        let statuses = statuses.map(|(v1, v2)| [v1.message.status, v2.status]);
        let request = &recorded.request.message;
        statuses.is_some_and(|both| {
            conditional::meeting(request, |_| false, both) == Meeting::Given
                && !self.survey.full.contains_key(&recorded.rank)
        })
    }

    /// The row of an outcome whose answer is compared with v1's.
    fn row(
        &self,
        recorded: &Recorded<'_>,
        outcome: &Outcome,
        started: Option<Timestamp>,
        compared: &mut Compared,
        show: Show<'_>,
    ) -> io::Result<Row> {
        let message = &recorded.request.message;
        let target = self.outcomes.target_of(message).0;
        let mut sink = self.answer(recorded, outcome, started, target, self.bindings.as_ref());
        self.add_shared(outcome.id, &mut sink);
        let base = match &self.baseline {
            Some(baseline) => self.baseline_of(recorded, baseline, outcome.id, show)?,
            None => None,
        };
        let refused =
            |change: &Change| change.look == Look::Excused && change.label.ends_with("412");
        let is_write = !is_safe(&message.method);
        let is_unmet = is_write && sink.changes.first().is_some_and(refused);
        if is_unmet {
            compared.skipped = Some((recorded.method.clone(), Undone::Unmet));
        }
        // What v2 answered as v1 did was done, whatever it was done to.
        let status = |answer: &Response| answer.status;
        let v1 = recorded.exchange.response.as_ref().map(|answer| status(&answer.message));
        let is_done = outcome.response.as_ref().map(status) == v1;
        let lacks = self.outcomes.roots.of(outcome.id).is_some();
        // Whose condition did not hold was surely not done, whatever it went with.
        if lacks && !is_unmet && !is_done && is_write && !was_refused(recorded.exchange) {
            compared.skipped = Some((recorded.method.clone(), Undone::Astray));
            compared.astray = said_in(message, &self.settings.masker);
        }
        let roots = self.outcomes.roots.shown_in(outcome.id, &mut sink);
        let target = self.shown_target(message, &compared.target.1, &sink);
        let sent = started.zip(outcome.sent_ns).map(|(started, sent)| started.plus(sent));
        Ok(Row { base, roots, sent, status: v1, ..self.row_of(recorded, outcome, target, sink) })
    }

    /// The row of an outcome whose recorded answer v1's client did not wait for; none where nothing
    /// can be compared.
    fn left_row(
        &self,
        recorded: &Recorded<'_>,
        outcome: &Outcome,
        started: Option<Timestamp>,
        target: &str,
    ) -> Option<Row> {
        let mut sink = Sink::default();
        let heard = self.left(recorded.exchange, outcome, started, &recorded.rules, &mut sink);
        let told = recorded.exchange.marks.iter().any(|mark| tells_status_alone(mark));
        let is_compared = heard || told || !sink.changes.is_empty();
        is_compared.then(|| self.row_of(recorded, outcome, target.to_owned(), sink))
    }

    fn row_of(
        &self,
        recorded: &Recorded<'_>,
        outcome: &Outcome,
        target: String,
        sink: Sink,
    ) -> Row {
        Row {
            id: outcome.id,
            at: recorded.request.at,
            sent: None,
            status: None,
            method: recorded.method.clone(),
            target,
            failed: outcome.failure.is_some(),
            sink,
            base: None,
            lacks: self.outcomes.roots.of(outcome.id),
            roots: Vec::new(),
        }
    }

    /// Compares what is known of an answer that v1's client did not wait for; whether a part of its
    /// content was compared.
    fn left(
        &self,
        exchange: &Exchange,
        outcome: &Outcome,
        started: Option<Timestamp>,
        rules: &RouteRules,
        sink: &mut Sink,
    ) -> bool {
        let v1 = exchange.response.as_ref().map(|answer| &answer.message);
        let left = open::LeftAnswer::of(exchange);
        open::compare(left, outcome, &self.settings.masker, sink);
        let (Some(request), Some(v1), Some(v2), true) =
            (&exchange.request, v1, &outcome.response, sink.changes.is_empty())
        else {
            return false;
        };
        let target = self.outcomes.target_of(&request.message).0;
        let context = Context {
            request: &request.message,
            expected_at: request.at,
            actual_at: started.zip(outcome.sent_ns).map(|(started, sent)| started.plus(sent)),
            hosts: &|| [v1_hosts(exchange), authority(target).into_iter().collect()],
            in_clear: is_in_clear(exchange, target),
            rules,
            masker: &self.settings.masker,
            readings: &self.readings,
            bound: (self.bindings.as_ref())
                .map(|all| Bound::new(all, outcome.id.copy).asked(&request.message.target)),
            asked: Default::default(),
        };
        let is_left_too = outcome.failure.is_some() || outcome.left_ns.is_some();
        let heard = open::begun(&context, exchange, [v1, v2], is_left_too, sink);
        self.hide_echoes(&request.message, &[v1, v2], sink);
        heard
    }

    /// The target without what the request names as a secret elsewhere.
    fn shown_target(&self, request: &Request, masked: &str, sink: &Sink) -> String {
        let mut shown = masked.to_owned();
        if !sink.changes.is_empty() {
            Echoes::of(&self.settings.masker, request, &[]).hide(&mut shown);
        }
        shown
    }

    fn rules_of(&self, route: &Arc<str>) -> Arc<RouteRules> {
        if let Some(rules) = self.rules.read().expect("no holder of this lock panics").get(route) {
            return Arc::clone(rules);
        }
        let rules = Arc::new(self.settings.rules.of_route(route));
        self.rules
            .write()
            .expect("no holder of this lock panics")
            .insert(Arc::clone(route), Arc::clone(&rules));
        rules
    }

    /// Compares an outcome with v1's answer.
    fn answer(
        &self,
        recorded: &Recorded<'_>,
        outcome: &Outcome,
        started: Option<Timestamp>,
        target: &str,
        bindings: Option<&Bindings>,
    ) -> Sink {
        let Recorded { rank, exchange, request, ref rules, count, .. } = *recorded;
        let mut sink = Sink { present: count.then(FxHashSet::default), ..Sink::default() };
        let Some(expected) = &exchange.response else { return sink };
        if let Some(failure) = &outcome.failure {
            let status = Some(expected.message.status.to_string());
            let detail = Some(short(&self.settings.masker.text(&failure.detail)));
            sink.plain(
                Kind::Failure,
                failure.kind.name(),
                failure.kind.name(),
                status,
                detail,
                Look::Plain,
            );
            return sink;
        }
        let actual_at =
            started.map(|started| started.plus(outcome.sent_ns.unwrap_or(outcome.due_ns)));
        let context = Context {
            request: &request.message,
            expected_at: request.at,
            actual_at,
            hosts: &|| [v1_hosts(exchange), authority(target).into_iter().collect()],
            in_clear: is_in_clear(exchange, target),
            rules,
            readings: &self.readings,
            masker: &self.settings.masker,
            bound: bindings.map(|bindings| {
                let bound = Bound::new(bindings, outcome.id.copy).asked(&request.message.target);
                bound.after(recorded.issued)
            }),
            asked: Default::default(),
        };
        match &outcome.response {
            Some(actual) => {
                self.both(&context, rank, [&expected.message, actual], &mut sink);
                if count {
                    ties::compare(&context, &expected.message, actual, &mut sink);
                }
                sockets::compare(&context, exchange, outcome, &mut sink);
                if !sink.changes.is_empty() {
                    let said = sockets::as_answers(exchange, Some(outcome), SocketForm::List);
                    let answers = [&expected.message, actual].into_iter();
                    let answers: Vec<_> = answers.chain(said.iter().flatten()).collect();
                    self.hide_echoes(&request.message, &answers, &mut sink);
                }
            }
            None => {
                let status = Some(expected.message.status.to_string());
                sink.plain(Kind::Failure, "no-answer", "no-answer", status, None, Look::Plain);
            }
        }
        sink
    }

    /// Adds the ids of an answer that v2 had given to something else before.
    fn add_shared(&self, id: ReplayId, sink: &mut Sink) {
        let masker = &self.settings.masker;
        let shared = self.bindings.iter().flat_map(|bindings| bindings.shared_in(id));
        for SharedValue { place, v1, v2 } in shared {
            let general = general_text(place);
            let shown = |value: &str| Some(short(&masker.place(place, value)));
            sink.add(Change {
                kind: Kind::Identity,
                place: place.clone(),
                place_hash: hash_place(&general),
                general,
                label: ONE_ID.into(),
                expected: shown(v1),
                actual: shown(v2),
                look: Look::Plain,
                parts: Vec::new(),
                numbers: None,
            });
        }
    }

    /// Hides in what is shown what the messages name as a secret elsewhere.
    fn hide_echoes(&self, request: &Request, answers: &[&Response], sink: &mut Sink) {
        if sink.changes.is_empty() {
            return;
        }
        let echoes = Echoes::of(&self.settings.masker, request, answers);
        for change in &mut sink.changes {
            let texts = [Some(&mut change.place), change.expected.as_mut(), change.actual.as_mut()];
            texts.into_iter().flatten().for_each(|text| echoes.hide(text));
        }
    }

    /// Compares two answers, those to conditional requests by what they mean.
    fn both(
        &self,
        context: &Context<'_>,
        rank: u32,
        [expected, actual]: [&Response; 2],
        sink: &mut Sink,
    ) {
        let statuses = [expected.status, actual.status];
        // What v2 issued is the tag, with or without what is written around it (RFC 9110 §8.8.3).
        let is_own = |tag: &str| {
            let opaque = tag.strip_prefix("W/").unwrap_or(tag);
            let written = [tag, opaque, opaque.trim_matches('"')];
            let thing = Named::of(nouns::entity_tag_of(&context.request.target));
            context.bound.is_some_and(|bound| written.iter().any(|tag| bound.has(tag, &thing)))
        };
        let meeting = conditional::meeting(context.request, is_own, statuses);
        if meeting == Meeting::Plain {
            return compare::answers(context, expected, actual, sink);
        }
        let known = self.survey.full.get(&rank).and_then(|&before| self.exchange(before).ok()?);
        let known = known.and_then(|known| known.response).map(|known| known.message);
        conditional::compare(context, meeting, [expected, actual], known.as_ref(), sink);
    }

    fn baseline_of(
        &self,
        recorded: &Recorded<'_>,
        baseline: &Index,
        id: ReplayId,
        show: Show<'_>,
    ) -> io::Result<Option<Sink>> {
        let all = baseline.of(recorded.exchange.id);
        let Some(at) =
            all.clone().nth(id.copy.saturating_sub(1) as usize).or(all.into_iter().next())
        else {
            return Ok(None);
        };
        let line = baseline.line(at)?;
        let Some((outcome, started)) = baseline.outcome(at, &line) else { return Ok(None) };
        show(RecordFile::Baseline, at, &outcome);
        if outcome.failure.as_ref().is_some_and(|failure| {
            matches!(failure.kind, FailureKind::Skipped | FailureKind::Rewrite)
        }) || !outcome.unbound.is_empty()
        {
            return Ok(None);
        }
        let target = baseline.target_of(&recorded.request.message).0;
        let bindings = self.baseline_bindings.as_ref();
        Ok(Some(self.answer(recorded, &outcome, started, target, bindings)))
    }

    /// Compares v1's answer with its answer to the equal request before.
    fn own(&self, recorded: &Recorded<'_>, near: &Near<'_>) -> io::Result<Option<Sink>> {
        let Recorded { rank, exchange, request: again, ref rules, .. } = *recorded;
        let first = self.survey.pairs[rank as usize];
        if first == NONE {
            return Ok(None);
        }
        let (offset, length) = self.survey.places[first as usize];
        let line = match near.line(offset, length) {
            Some(line) => Cow::Borrowed(line),
            None => Cow::Owned(read_at(&self.exchanges, offset, length)?),
        };
        let Ok(Line::Exchange(first)) = exchanges::read(&line) else { return Ok(None) };
        let (Some(request), Some(expected)) = (&first.request, &first.response) else {
            return Ok(None);
        };
        let Some(actual) = &exchange.response else { return Ok(None) };
        let context = Context {
            request: &request.message,
            expected_at: request.at,
            actual_at: Some(again.at),
            hosts: &|| [v1_hosts(&first), v1_hosts(exchange)],
            in_clear: false,
            rules,
            readings: &self.readings,
            masker: &self.settings.masker,
            bound: None,
            asked: Default::default(),
        };
        let mut sink = Sink { present: Some(FxHashSet::default()), ..Sink::default() };
        compare::answers(&context, &expected.message, &actual.message, &mut sink);
        ties::compare(&context, &expected.message, &actual.message, &mut sink);
        sockets::compare_own(&context, &first, exchange, &mut sink);
        Ok(Some(sink))
    }

    /// Judges all changes, writes them, and gathers the clusters.
    fn judge(
        &self,
        joined: Joined,
        mut spool: impl io::Read,
        outputs: DiffOutputs<'_>,
    ) -> Result<(Findings, Members), DiffError> {
        let Joined { account, mut totals, route_of, damaged_outcomes, skipped, met, .. } = joined;
        let decisions = account.decisions();
        let otherwise = joined.otherwise.iter();
        let is_other = |keys: &[u32]| keys.iter().any(|&key| !account.is_optional(key));
        totals.baseline_shapes =
            otherwise.filter(|(keys, _)| is_other(keys)).map(|(_, count)| count).sum();
        let mut judge = Judge {
            settings: self.settings,
            account: &account,
            decisions: &decisions,
            skipped: &skipped,
            lacking: Lacking::new(&self.outcomes.roots, &met),
            aliases: renames::aliases(&account.stats),
            known: known_noise(&account, &self.settings.noise),
            drafts: Drafts::default(),
            ids: FxHashMap::default(),
            mismatched: vec![0; account.routes.len()],
            excused: vec![0; account.routes.len()],
            used: vec![false; self.settings.approvals.approved.len()],
            regressed: MemberSet::with_room(route_of.len()),
            ranks: route_of.len(),
        };
        let mut rows = csv::CsvWriter::new(outputs.mismatches, &MISMATCH_COLUMNS)
            .map_err(writing("mismatches.csv"))?;
        let mut line = Vec::new();
        let mut members = Members::default();
        while let Some(record) = SpoolRecord::read(&mut spool).map_err(reading("the spool"))? {
            let (begin, drafts) = (members.written(), judge.drafts.drafts.len());
            let differences = judge.record(&record, &mut totals);
            // A draft's first exchange is its example.
            let mut is_first = judge.drafts.drafts.len() > drafts;
            for difference in differences {
                line.clear();
                exchanges::write_line(&mut line, &difference);
                outputs.differences.write_all(&line).map_err(writing("differences.jsonl"))?;
                write_row(&mut rows, &difference).map_err(writing("mismatches.csv"))?;
                is_first |= members.count(&difference, &line);
            }
            if is_first {
                members.keep(record.id, record.rank, begin..members.written());
            }
        }
        rows.flush().map_err(writing("mismatches.csv"))?;
        outputs.differences.flush().map_err(writing("differences.jsonl"))?;
        let Judge { drafts, used, mismatched, excused, regressed, lacking, .. } = judge;
        totals.skipped_writes = skipped.unsent();
        totals.unmet_writes = skipped.unmet();
        totals.excused = excused.iter().sum();
        self.fill(&mut totals, &account, [&mismatched, &excused], &used);
        totals.unbound_unsent = self.outcomes.roots.unsent(&met).min(totals.unbound);
        totals.not_issued = met.values().filter(|met| !met.unsent).count() as u64;
        let clusters = self.clusters(&drafts, &account, &route_of, &regressed, &lacking)?;
        let regressions = clusters.iter().filter(|cluster| cluster.class == Class::Regression);
        totals.clusters = regressions.clone().count() as u64;
        totals.causes =
            regressions.map(|cluster| &*cluster.cause).collect::<FxHashSet<_>>().len() as u64;
        let noise = noise_places(&account, &decisions);
        let warnings = self.warnings(&totals, damaged_outcomes);
        let routes = self.survey.routes.clone();
        let findings = Findings { totals, clusters, routes, noise, warnings, whereabouts: None };
        Ok((findings, members))
    }
}

/// Shortest value that tells whose words v1 shows: many say `1` and `no`.
const SHORTEST_SAID: usize = 3;

/// Hashes of the values that a request says in its body, as they are shown where v1 answers them.
fn said_in(request: &Request, masker: &Masker) -> Vec<u64> {
    let mut said = Vec::new();
    let mut tell = Reader(|at: &Trail<'_>, value: Value<'_>| {
        let steps = at.steps();
        let is_beside = matches!(
            steps.first(),
            Some(Step::Segment(_) | Step::Query(_) | Step::Header(_) | Step::Cookie(_))
        );
        if !is_beside && value.text.len() >= SHORTEST_SAID {
            let names = steps.iter().filter_map(|step| step.name());
            said.push(value_hash(&Some(shown_below(masker, names, value.text))));
        }
    });
    Walk::new(&mut tell, Bounds::default()).request(request);
    said
}

/// The authorities that are v1 itself for this exchange: what the client called it, and its
/// address.
fn v1_hosts(exchange: &Exchange) -> Vec<String> {
    let request = exchange.request.as_ref().map(|request| &request.message);
    let host = request.and_then(host_of).into_iter();
    host.chain([exchange.server.to_string()]).collect()
}

/// Whether what v1 was asked by HTTPS goes to a target in clear.
fn is_in_clear(exchange: &Exchange, target: &str) -> bool {
    const HTTPS: u16 = 443;
    let in_tls = exchange.carriage.as_ref().is_some_and(|carriage| carriage.tls.is_some());
    let was_in_tls = in_tls || exchange.server.port == HTTPS;
    let is_in_tls = target.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
    was_in_tls && !is_in_tls
}

fn host_of(request: &Request) -> Option<String> {
    let host = String::from_utf8_lossy(target::host(request)?);
    Some(target::canonical_authority(&host).into_owned())
}

fn authority(target: &str) -> Option<String> {
    let url = url::Url::parse(target).ok()?;
    let host = url.host_str()?.to_ascii_lowercase();
    Some(url.port().map_or(host.clone(), |port| format!("{host}:{port}")))
}
