//! The diff of a run: exchanges are joined with outcomes, compared in parallel, counted in order,
//! judged when all is counted, and gathered in clusters.
//!
//! Three walks, none of which holds the records: the survey (routes, equal requests), the
//! comparison (changes go to a spool on disk), and the judgement (the spool becomes
//! `differences.jsonl` and `mismatches.csv`). What is kept of each exchange is 52 bytes: where it
//! and its outcome stand, and to which route it belongs. The output does not depend on the number
//! of threads.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek as _, Write};
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::account::{Account, ComparedSide};
use super::approvals::Approvals;
use super::bindings::{Bindings, Bound, ONE_ID, SharedValue};
use super::change::{Change, Context, Look, Sink, hash_place, short};
use super::cluster::{self, Drafts, MemberSet};
use super::conditional::{self, Meeting};
use super::index::Index;
use super::judging::{Judge, Lacking, known_noise, noise_places, write_row};
use super::noise::NoisePlace;
use super::parts::DifferingPart;
use super::predicate::{FEWEST, Features, Tally, candidates};
use super::roots::{Met, Roots};
use super::rules::{RouteRules, Rules};
use super::skipped::Skipped;
use super::spool::{SpoolRecord, SpooledChange, SpooledPart};
use super::survey::{DiffSurvey, NONE, survey};
use super::{Class, Cluster, Kind, RouteTotals, Totals, calls, compare, csv, open, repeat, roots};
use crate::exchange::{Completeness, Exchange, UNANSWERED};
use crate::message::method::is_safe;
use crate::message::protobuf::{Readings, Schema};
use crate::message::{Request, Response, target};
use crate::outcome::{FailureKind, Outcome, ReplayId};
use crate::record::exchanges;
use crate::record::exchanges::Line;
use crate::record::lines::{Batches, read_at};
use crate::redact::{Echoes, Masker};
use crate::route::{Routes, rpc};
use crate::time::Timestamp;

/// Exchanges of a route in which all places are counted, and its pairs of equal requests that are
/// compared; beyond, one in eight.
const ENOUGH: u64 = 4_000;
/// Exchanges that may be read again in search of predicates, largest clusters first.
const PREDICATE_READS: usize = 400_000;
/// Exchanges from which a predicate is made, of each side.
const PREDICATE_SAMPLES: usize = 300;
/// Exchanges on which a predicate is tried, of each side.
const PREDICATE_TRIALS: usize = 5_000;
/// Columns of `mismatches.csv`.
pub const MISMATCH_COLUMNS: [&str; 12] = [
    "id", "at", "method", "route", "target", "kind", "place", "expected", "actual", "class",
    "cluster", "root",
];

/// What is compared.
pub struct CompareInputs {
    /// `exchanges.jsonl`.
    pub exchanges: File,
    /// `outcomes.jsonl`.
    pub outcomes: File,
    /// `baseline.jsonl`.
    pub baseline: Option<File>,
    /// `bindings.jsonl` and `baseline-bindings.jsonl`: what v2 and the baseline issued in the
    /// place of v1's values.
    pub bindings: [Option<File>; 2],
    /// An empty file to write to and read back.
    pub spool: File,
}

/// How it is compared.
pub struct CompareSettings {
    /// The user's rules.
    pub rules: Rules,
    /// The user's approvals.
    pub approvals: Approvals,
    /// Noise that earlier runs found.
    pub noise: Vec<NoisePlace>,
    /// Routes of an earlier run, to keep their names.
    pub routes: Option<Routes>,
    /// Names the fields of Protocol Buffers.
    pub schema: Schema,
    /// Hides secrets.
    pub masker: Masker,
    /// The present day, for approvals that end: `2026-11-22`.
    pub today: String,
}

/// Where the differences go.
pub struct DiffOutputs<'o> {
    /// `differences.jsonl`.
    pub differences: &'o mut (dyn Write + Send),
    /// `mismatches.csv`.
    pub mismatches: &'o mut (dyn Write + Send),
}

/// What was found.
pub struct Findings {
    /// The counts.
    pub totals: Totals,
    /// The clusters: regressions first, each class by how much it explains.
    pub clusters: Vec<Cluster>,
    /// The routes.
    pub routes: Routes,
    /// Places that vary by themselves.
    pub noise: Vec<NoisePlace>,
    /// Things a person should know.
    pub warnings: Vec<String>,
}

/// Why there is no diff.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// A file cannot be read.
    #[error("cannot read {what}")]
    Read {
        /// Which file.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {what}")]
    Write {
        /// Which file.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// There is nothing to compare.
    #[error("no exchange in exchanges.jsonl")]
    Empty,
}

fn reading(what: &'static str) -> impl Fn(io::Error) -> DiffError {
    move |source| DiffError::Read { what, source }
}

fn writing(what: &'static str) -> impl Fn(io::Error) -> DiffError {
    move |source| DiffError::Write { what, source }
}

/// Diffs a run. `progress` is told how many bytes of how many were walked.
pub fn run(
    inputs: CompareInputs,
    settings: &CompareSettings,
    outputs: DiffOutputs<'_>,
    progress: &dyn Fn(u64, u64),
) -> Result<Findings, DiffError> {
    let size = |file: &File| file.metadata().map_or(0, |metadata| metadata.len());
    let (exchange_bytes, outcome_bytes) = (size(&inputs.exchanges), size(&inputs.outcomes));
    let total = outcome_bytes + 2 * exchange_bytes;
    let outcomes = Index::build(inputs.outcomes, |done| progress(done, total))
        .map_err(reading("outcomes.jsonl"))?;
    let baseline = inputs
        .baseline
        .map(|file| Index::build(file, |_| ()))
        .transpose()
        .map_err(reading("baseline.jsonl"))?;
    let routes =
        settings.routes.clone().unwrap_or_else(|| Routes::new(settings.rules.patterns.clone()));
    let surveyed = |done| progress(outcome_bytes + done, total);
    let survey = survey(&inputs.exchanges, routes, surveyed).map_err(reading("exchanges.jsonl"))?;
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
    let joined =
        engine.join(&mut spool, &|done| progress(outcome_bytes + exchange_bytes + done, total))?;
    let mut spool = spool.into_inner().map_err(|error| writing("the spool")(error.into_error()))?;
    spool.rewind().map_err(reading("the spool"))?;
    engine.judge(joined, BufReader::with_capacity(1 << 20, spool), outputs)
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

/// What the comparison leaves.
struct Joined {
    account: Account,
    totals: Totals,
    /// The route of each exchange that was compared, by rank.
    route_of: Vec<u32>,
    damaged_outcomes: u64,
    skipped: Skipped,
    /// What was found of values that v2 did not issue, by number.
    met: FxHashMap<u32, Met>,
}

/// One exchange as compared.
#[derive(Default)]
struct Compared {
    route: Option<Arc<str>>,
    /// Why it, or a copy of it, was not compared.
    not: Vec<&'static str>,
    rows: Vec<Row>,
    /// v1 against itself.
    own: Option<Sink>,
    damaged: u64,
    /// The target, as it is and as it is shown.
    target: (Bytes, String),
    /// The method, where a request that changes something did not reach v2.
    skipped: Option<String>,
    /// Copies of its request that v2 did not get.
    unsent: Vec<ReplayId>,
}

struct Row {
    id: ReplayId,
    at: Timestamp,
    method: String,
    target: String,
    failed: bool,
    sink: Sink,
    base: Option<Sink>,
    /// Where its request lacked a value that v2 did not issue: which, where that is told.
    lacks: Option<Option<u32>>,
    /// Its changes that show that v2 did not issue a value: number of the change, and of the root.
    roots: Vec<(u32, u32)>,
}

impl Engine<'_> {
    /// Walks the exchanges once more and compares each with its outcomes.
    fn join(&self, spool: &mut impl Write, progress: &dyn Fn(u64)) -> Result<Joined, DiffError> {
        let mut joined = Joined {
            account: Account::new(self.settings.rules.len()),
            totals: Totals::default(),
            route_of: vec![NONE; self.survey.places.len()],
            damaged_outcomes: 0,
            skipped: Skipped::default(),
            met: FxHashMap::default(),
        };
        let mut batches = Batches::new(&self.exchanges).map_err(reading("exchanges.jsonl"))?;
        let mut rank = 0_u32;
        while let Some(batch) = batches.next().map_err(reading("exchanges.jsonl"))? {
            let first = rank as usize;
            let last = first
                + self.survey.places[first..]
                    .partition_point(|(offset, _)| *offset <= batch.line(batch.len() - 1).0);
            // What earlier batches have counted says which places need no more samples: the same
            // for any number of threads.
            let account = &joined.account;
            let compared: Vec<io::Result<Compared>> = (first..last)
                .into_par_iter()
                .with_min_len(8)
                .map(|rank| {
                    let (offset, length) = self.survey.places[rank];
                    let start = batch.line(0).0;
                    self.compare(
                        rank as u32,
                        batch.span((offset - start) as usize, length as usize),
                        account,
                    )
                })
                .collect();
            for one in compared {
                let one = one.map_err(reading("outcomes.jsonl"))?;
                joined
                    .take(rank, one, &self.outcomes.roots, spool)
                    .map_err(writing("the spool"))?;
                rank += 1;
            }
            progress(batches.position());
        }
        Ok(joined)
    }

    fn compare(&self, rank: u32, line: &[u8], account: &Account) -> io::Result<Compared> {
        let mut compared = Compared::default();
        let Ok(Line::Exchange(exchange)) = exchanges::read(line) else {
            // The survey has read its request, so that the damage is further on.
            compared.not.push("exchange-damaged");
            return Ok(compared);
        };
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
        let wanted =
            |side: ComparedSide| account.sampled(&route, side) < ENOUGH || rank.is_multiple_of(8);
        let (count, own) = (wanted(ComparedSide::Live), wanted(ComparedSide::Own));
        compared.route = Some(route);
        let target = String::from_utf8_lossy(&message.target);
        let method = String::from_utf8_lossy(&message.method);
        compared.target =
            (message.target.clone(), self.settings.masker.target(&target).into_owned());
        for at in outcomes {
            let Some((outcome, started)) = self.outcomes.read(at)? else {
                compared.damaged += 1;
                compared.not.push("outcome-damaged");
                continue;
            };
            if outcome.failure.as_ref().is_some_and(|failure| failure.owner.is_some()) {
                compared.not.push("not-v2s-failure");
                compared.unsent.push(outcome.id);
                continue;
            }
            if let Some(failure) = &outcome.failure
                && matches!(failure.kind, FailureKind::Skipped | FailureKind::Rewrite)
            {
                compared.not.push(failure.kind.name());
                compared.unsent.push(outcome.id);
                if !is_safe(&message.method) {
                    compared.skipped = Some(method.clone().into_owned());
                }
                continue;
            }
            if is_left {
                let mut sink = Sink::default();
                let heard = self.left(&exchange, &outcome, started, &rules, &mut sink);
                if sink.changes.is_empty() && !heard {
                    compared.not.push(exchange.completeness.name());
                } else {
                    compared.rows.push(Row {
                        id: outcome.id,
                        at: request.at,
                        method: method.clone().into_owned(),
                        target: compared.target.1.clone(),
                        failed: outcome.failure.is_some(),
                        sink,
                        base: None,
                        lacks: self.outcomes.roots.of(outcome.id),
                        roots: Vec::new(),
                    });
                }
                continue;
            }
            let mut sink = self.answer(
                rank,
                &exchange,
                &outcome,
                started,
                self.outcomes.target_of(message).0,
                self.bindings.as_ref(),
                &rules,
                count,
            );
            self.add_shared(outcome.id, &mut sink);
            let base = match &self.baseline {
                Some(baseline) => {
                    self.baseline_of(rank, baseline, &exchange, outcome.id, &rules, count)?
                }
                None => None,
            };
            let refused =
                |change: &Change| change.look == Look::Excused && change.label.ends_with("412");
            if sink.changes.first().is_some_and(refused) && !is_safe(&message.method) {
                compared.skipped = Some(method.clone().into_owned());
            }
            let lacks = self.outcomes.roots.of(outcome.id);
            let roots = self.outcomes.roots.shown_in(outcome.id, &mut sink);
            compared.rows.push(Row {
                id: outcome.id,
                at: request.at,
                method: method.clone().into_owned(),
                lacks,
                roots,
                target: self.shown_target(message, &compared.target.1, &sink),
                failed: outcome.failure.is_some(),
                sink,
                base,
            });
        }
        if own && is_whole && !compared.rows.is_empty() {
            compared.own = self.own(rank, &exchange, &rules)?;
        }
        Ok(compared)
    }

    /// Compares what is known of an answer that v1's client did not wait for; whether events of a
    /// stream were compared.
    fn left(
        &self,
        exchange: &Exchange,
        outcome: &Outcome,
        started: Option<Timestamp>,
        rules: &RouteRules,
        sink: &mut Sink,
    ) -> bool {
        let v1 = exchange.response.as_ref().map(|answer| &answer.message);
        open::compare(v1.map(|answer| answer.status), outcome, &self.settings.masker, sink);
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
            rules,
            masker: &self.settings.masker,
            readings: &self.readings,
            bound: self.bindings.as_ref().map(|all| Bound::new(all, outcome.id.copy)),
        };
        let heard = open::events(&context, v1, v2, sink);
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
    #[expect(clippy::too_many_arguments, reason = "two answers and all that is known of them")]
    fn answer(
        &self,
        rank: u32,
        exchange: &Exchange,
        outcome: &Outcome,
        started: Option<Timestamp>,
        target: &str,
        bindings: Option<&Bindings>,
        rules: &RouteRules,
        count: bool,
    ) -> Sink {
        let mut sink = Sink { present: count.then(FxHashSet::default), ..Sink::default() };
        let (Some(request), Some(expected)) = (&exchange.request, &exchange.response) else {
            return sink;
        };
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
            rules,
            readings: &self.readings,
            masker: &self.settings.masker,
            bound: bindings.map(|bindings| Bound::new(bindings, outcome.id.copy)),
        };
        match &outcome.response {
            Some(actual) => {
                self.both(&context, rank, [&expected.message, actual], &mut sink);
                self.hide_echoes(&request.message, &[&expected.message, actual], &mut sink);
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
            let general = roots::general(place);
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
        let meeting = conditional::meeting(context.request, expected.status, actual.status);
        if meeting == Meeting::Plain {
            return compare::answers(context, expected, actual, sink);
        }
        let known = self.survey.full.get(&rank).and_then(|&before| self.exchange(before).ok()?);
        let known = known.and_then(|known| known.response).map(|known| known.message);
        conditional::compare(context, meeting, [expected, actual], known.as_ref(), sink);
    }

    fn baseline_of(
        &self,
        rank: u32,
        baseline: &Index,
        exchange: &Exchange,
        id: ReplayId,
        rules: &RouteRules,
        count: bool,
    ) -> io::Result<Option<Sink>> {
        let all = baseline.of(exchange.id);
        let Some(at) =
            all.clone().nth(id.copy.saturating_sub(1) as usize).or(all.into_iter().next())
        else {
            return Ok(None);
        };
        let Some((outcome, started)) = baseline.read(at)? else { return Ok(None) };
        if outcome.failure.as_ref().is_some_and(|failure| {
            matches!(failure.kind, FailureKind::Skipped | FailureKind::Rewrite)
        }) || !outcome.unbound.is_empty()
        {
            return Ok(None);
        }
        let target =
            exchange.request.as_ref().map_or("", |request| baseline.target_of(&request.message).0);
        let bindings = self.baseline_bindings.as_ref();
        Ok(Some(self.answer(rank, exchange, &outcome, started, target, bindings, rules, count)))
    }

    /// Compares v1's answer with its answer to the equal request before.
    fn own(&self, rank: u32, exchange: &Exchange, rules: &RouteRules) -> io::Result<Option<Sink>> {
        let first = self.survey.pairs[rank as usize];
        if first == NONE {
            return Ok(None);
        }
        let (offset, length) = self.survey.places[first as usize];
        let line = read_at(&self.exchanges, offset, length)?;
        let Ok(Line::Exchange(first)) = exchanges::read(&line) else { return Ok(None) };
        let (Some(request), Some(expected)) = (&first.request, &first.response) else {
            return Ok(None);
        };
        let (Some(again), Some(actual)) = (&exchange.request, &exchange.response) else {
            return Ok(None);
        };
        let context = Context {
            request: &request.message,
            expected_at: request.at,
            actual_at: Some(again.at),
            hosts: &|| [v1_hosts(&first), v1_hosts(exchange)],
            rules,
            readings: &self.readings,
            masker: &self.settings.masker,
            bound: None,
        };
        let mut sink = Sink { present: Some(FxHashSet::default()), ..Sink::default() };
        compare::answers(&context, &expected.message, &actual.message, &mut sink);
        Ok(Some(sink))
    }

    /// Judges all changes, writes them, and gathers the clusters.
    fn judge(
        &self,
        joined: Joined,
        mut spool: impl io::Read,
        outputs: DiffOutputs<'_>,
    ) -> Result<Findings, DiffError> {
        let Joined { account, mut totals, route_of, damaged_outcomes, skipped, met } = joined;
        let decisions = account.decisions();
        let mut judge = Judge {
            settings: self.settings,
            account: &account,
            decisions: &decisions,
            skipped: &skipped,
            lacking: Lacking::new(&self.outcomes.roots, &met),
            aliases: account.aliases(),
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
        while let Some(record) = SpoolRecord::read(&mut spool).map_err(reading("the spool"))? {
            for difference in judge.record(&record, &mut totals) {
                line.clear();
                exchanges::write_line(&mut line, &difference);
                outputs.differences.write_all(&line).map_err(writing("differences.jsonl"))?;
                write_row(&mut rows, &difference).map_err(writing("mismatches.csv"))?;
            }
        }
        rows.flush().map_err(writing("mismatches.csv"))?;
        outputs.differences.flush().map_err(writing("differences.jsonl"))?;
        let Judge { drafts, used, mismatched, excused, regressed, lacking, .. } = judge;
        totals.skipped_writes = skipped.count;
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
        Ok(Findings { totals, clusters, routes: self.survey.routes.clone(), noise, warnings })
    }

    fn fill(
        &self,
        totals: &mut Totals,
        account: &Account,
        [mismatched, excused]: [&[u64]; 2],
        used: &[bool],
    ) {
        totals.unlisted = account.unlisted;
        totals.routes = account
            .routes
            .iter()
            .zip(mismatched.iter().zip(excused))
            .filter(|(counts, _)| counts.compared[ComparedSide::Live as usize] + counts.unbound > 0)
            .map(|(counts, (&mismatched, &excused))| RouteTotals {
                route: counts.name.to_string(),
                compared: counts.compared[ComparedSide::Live as usize],
                mismatched,
                failed: counts.failed,
                excused,
                unbound: counts.unbound,
            })
            .collect();
        totals
            .routes
            .sort_by(|a, b| b.compared.cmp(&a.compared).then_with(|| a.route.cmp(&b.route)));
        let unused = |index: &usize| account.rule_hits[*index] == 0;
        totals.unmatched_rules = (0..self.settings.rules.len())
            .filter(unused)
            .map(|index| self.settings.rules.text(index).to_owned())
            .collect();
        for (approval, &used) in self.settings.approvals.approved.iter().zip(used) {
            if !used {
                totals.unmatched_approvals.push(approval.text());
            } else if approval.is_expired(&self.settings.today) {
                totals.expired_approvals.push(approval.text());
            }
        }
        for approval in &self.settings.approvals.approved_call {
            match approval.is_expired(&self.settings.today) {
                true => totals.expired_approvals.push(approval.text()),
                false => totals.call_approvals.push(approval.clone()),
            }
        }
    }

    fn warnings(&self, totals: &Totals, damaged_outcomes: u64) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |count: u64, text: &str| {
            if count > 0 {
                warnings.push(text.replace('#', &count.to_string()));
            }
        };
        warn(self.survey.damaged, "# lines of exchanges.jsonl are damaged and were left out");
        warn(
            self.outcomes.damaged + damaged_outcomes,
            "# lines of outcomes.jsonl are damaged and were left out",
        );
        warn(
            u64::from(!self.survey.closed),
            "exchanges.jsonl has no last line: it may have been cut",
        );
        warn(
            u64::from(!self.outcomes.closed),
            "outcomes.jsonl has no last line: the replay may have been interrupted",
        );
        warn(u64::from(self.outcomes.len() == 0), "outcomes.jsonl holds no outcome");
        for bindings in [&self.bindings, &self.baseline_bindings].into_iter().flatten() {
            warn(bindings.damaged, "# lines of the bindings are damaged and were left out");
            warn(
                bindings.beyond,
                "# bindings are more than a comparison keeps: their values are compared as written",
            );
        }
        warn(
            totals.unlisted,
            "# differences of exchanges with very many are counted and not listed",
        );
        warnings
    }

    /// The clusters with predicates and command lines, ranked.
    fn clusters(
        &self,
        drafts: &Drafts,
        account: &Account,
        route_of: &[u32],
        regressed: &MemberSet,
        lacking: &Lacking<'_>,
    ) -> Result<Vec<Cluster>, DiffError> {
        let mut clusters: Vec<(usize, Cluster)> = drafts
            .drafts
            .iter()
            .enumerate()
            .map(|(at, draft)| {
                let stat = &account.stats[draft.key as usize];
                let counts = &account.routes[stat.route as usize];
                let follows = if draft.cause.is_some() { counts.unbound } else { 0 };
                let compared = counts.compared[ComparedSide::Live as usize] + follows;
                let cluster = draft.finish(&counts.name, stat, compared);
                let root = draft.cause.and_then(|cause| lacking.cluster(cause)).cloned();
                (at, Cluster { root, ..cluster })
            })
            .collect();
        clusters.sort_by(|(_, a), (_, b)| {
            a.class
                .cmp(&b.class)
                .then(b.exchanges.cmp(&a.exchanges))
                .then(b.differences.cmp(&a.differences))
                .then_with(|| {
                    (&a.route, &a.place, &a.shape, a.kind)
                        .cmp(&(&b.route, &b.place, &b.shape, b.kind))
                })
        });
        cluster::count_routes(&mut clusters);
        let mut reads = PREDICATE_READS;
        let unharmed = unharmed(route_of, regressed);
        for (at, cluster) in &mut clusters {
            let draft = &drafts.drafts[*at];
            if let Some(exchange) = self.exchange(draft.example_rank)?
                && let Some(request) = &exchange.request
            {
                let id = exchange.id.to_string();
                let (target, mapped) = self.outcomes.target_of(&request.message);
                cluster.repeat =
                    repeat::at(target, mapped, &request.message, &self.settings.masker, &id);
            }
            if reads > 0
                && (FEWEST..cluster.compared).contains(&cluster.exchanges)
                && let Some(members) = &draft.members
            {
                let route = account.stats[draft.key as usize].route;
                let others = unharmed.get(&route).map_or(&[][..], Vec::as_slice);
                cluster.only_where = self.predicate(members, others, &mut reads)?;
            }
        }
        Ok(clusters.into_iter().map(|(_, cluster)| cluster).collect())
    }

    fn exchange(&self, rank: u32) -> Result<Option<Box<Exchange>>, DiffError> {
        let (offset, length) = self.survey.places[rank as usize];
        let line = read_at(&self.exchanges, offset, length).map_err(reading("exchanges.jsonl"))?;
        Ok(match exchanges::read(&line) {
            Ok(Line::Exchange(exchange)) => Some(exchange),
            _ => None,
        })
    }

    /// What the requests of `members` have in common and those of `outside`, of the same route, have
    /// not.
    fn predicate(
        &self,
        members: &MemberSet,
        outside: &[u32],
        reads: &mut usize,
    ) -> Result<Option<String>, DiffError> {
        let inside: Vec<u32> = members.ranks().collect();
        let mut features = |ranks: Vec<u32>| -> Result<Vec<Features>, DiffError> {
            *reads = reads.saturating_sub(ranks.len());
            let one = |rank: u32| {
                let exchange = self.exchange(rank)?;
                Ok(exchange
                    .map(|exchange| Features::of(&exchange, &self.settings.masker))
                    .unwrap_or_default())
            };
            ranks.into_par_iter().map(one).collect()
        };
        let found = candidates(
            &features(spread(&inside, PREDICATE_SAMPLES))?,
            &features(spread(outside, PREDICATE_SAMPLES))?,
        );
        if found.is_empty() {
            return Ok(None);
        }
        let inside = features(spread(&inside, PREDICATE_TRIALS))?;
        let outside = features(spread(outside, PREDICATE_TRIALS))?;
        for predicate in found.iter().take(8) {
            let mut tally = Tally::default();
            inside.iter().for_each(|features| tally.count(predicate, features, true));
            outside.iter().for_each(|features| tally.count(predicate, features, false));
            if tally.is_sharp() {
                return Ok(Some(tally.text(predicate)));
            }
        }
        Ok(None)
    }
}

/// The exchanges of each route that no regression is of.
fn unharmed(route_of: &[u32], regressed: &MemberSet) -> FxHashMap<u32, Vec<u32>> {
    let mut routes: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
    for (rank, &route) in route_of.iter().enumerate().filter(|(_, route)| **route != NONE) {
        if !regressed.contains(rank as u32) {
            routes.entry(route).or_default().push(rank as u32);
        }
    }
    routes
}

/// At most `most` of `ranks`, spread evenly.
fn spread(ranks: &[u32], most: usize) -> Vec<u32> {
    let step = ranks.len().div_ceil(most).max(1);
    ranks.iter().copied().step_by(step).collect()
}

impl Joined {
    fn take(
        &mut self,
        rank: u32,
        compared: Compared,
        roots: &Roots,
        spool: &mut impl Write,
    ) -> io::Result<()> {
        for reason in compared.not {
            *self.totals.not_compared.entry(reason.to_owned()).or_default() += 1;
        }
        self.damaged_outcomes += compared.damaged;
        for number in compared.unsent.iter().flat_map(|&id| roots.of_answer(id)) {
            let met = Met { route: compared.route.clone(), unsent: true };
            self.met.insert(*number, met);
        }
        let behind = self.skipped.before(&compared.target.0);
        if let Some(method) = &compared.skipped {
            self.skipped.add(method, &compared.target.0, &compared.target.1);
        }
        let Some(route) = compared.route.filter(|_| !compared.rows.is_empty()) else {
            return Ok(());
        };
        let name = route;
        let route = self.account.route(&name);
        if compared.rows.iter().any(|row| row.lacks.is_none()) {
            self.route_of[rank as usize] = route;
        }
        if let Some(own) = &compared.own {
            self.account.add(ComparedSide::Own, route, own, true);
        }
        for row in compared.rows {
            let counts = row.lacks.is_none();
            self.totals.compared += u64::from(counts);
            self.totals.unbound += u64::from(!counts);
            self.totals.failed += u64::from(row.failed && counts);
            let of_route = &mut self.account.routes[route as usize];
            of_route.failed += u64::from(row.failed && counts);
            of_route.unbound += u64::from(!counts);
            for &(_, root) in &row.roots {
                self.met.insert(root, Met { route: Some(Arc::clone(&name)), unsent: false });
            }
            if let Some(base) = &row.base {
                let keys = self.account.add(ComparedSide::Base, route, base, true);
                let new = |key: u32| self.account.stats[key as usize].own == 0;
                let mut changes = base.changes.iter().zip(&keys);
                let other = changes.any(|(change, (key, _))| is_of_shape(change) && new(*key));
                self.totals.baseline_compared += 1;
                self.totals.baseline_shapes += u64::from(other);
            }
            let keys = if counts {
                self.account.add(ComparedSide::Live, route, &row.sink, behind.is_none())
            } else {
                self.account.name(route, &row.sink)
            };
            if keys.is_empty() {
                continue;
            }
            let at = |at: usize| {
                let of_change = row.roots.iter().filter(move |(change, _)| *change as usize == at);
                of_change.map(|(_, root)| *root).collect()
            };
            let changes = row.sink.changes.into_iter().zip(keys).enumerate().map(
                |(number, (change, (key, numbers)))| SpooledChange {
                    key,
                    roots: at(number),
                    parts: spooled(&change.parts, &numbers),
                    looks: matches!(change.look, Look::Kind(_) | Look::Within(_)),
                    excused: change.look == Look::Excused,
                    place: change.place,
                    expected: change.expected,
                    actual: change.actual,
                },
            );
            let record = SpoolRecord {
                rank,
                id: row.id,
                route,
                at: row.at,
                method: row.method,
                target: row.target,
                behind,
                lacks: row.lacks,
                changes: changes.collect(),
            };
            record.write(spool)?;
        }
        Ok(())
    }
}

/// Whether an answer with this change is of another shape: none at all, another kind of document,
/// or other members at its top.
fn is_of_shape(change: &Change) -> bool {
    let other = matches!(&*change.label, "removed" | "added")
        || change.label.contains('→') && !change.label.contains("null");
    let top = change.general.strip_prefix('$').is_some_and(|rest| {
        let rest = rest.strip_prefix(['.', '[']).unwrap_or(rest);
        !rest.trim_end_matches(']').contains(['.', '[', ' '])
    });
    match change.kind {
        Kind::Failure => true,
        Kind::Body | Kind::Missing => other && (top || change.general == "body"),
        Kind::Status | Kind::Header | Kind::Identity => false,
    }
}

fn spooled(parts: &[DifferingPart], numbers: &[u32]) -> Vec<SpooledPart> {
    let one = |(part, &key): (&DifferingPart, &u32)| SpooledPart {
        key,
        within: part.within,
        looks: matches!(part.look, Look::Kind(_) | Look::Within(_)),
        form: part.forms[1],
        value: part.values[1],
    };
    parts.iter().zip(numbers).map(one).collect()
}

/// The authorities that are v1 itself for this exchange: what the client called it, and its
/// address.
fn v1_hosts(exchange: &Exchange) -> Vec<String> {
    let request = exchange.request.as_ref().map(|request| &request.message);
    let host = request.and_then(host_of).into_iter();
    host.chain([exchange.server.to_string()]).collect()
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
