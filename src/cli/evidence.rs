//! Reads a run's folder into what a judgement and a report need. `report`, `gate` and `run` share
//! it.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::closeups;
use super::config::Config;
use super::exit::unreadable;
use super::output::replace;
use super::progress::Progress;
use super::{Failure, Global};
use crate::diff::approvals::CallApproval;
use crate::diff::{Cluster, Totals};
use crate::gate::policy::{Nanos, typical};
use crate::gate::{Evidence, Judgement, Outgoing, Policy, judge};
use crate::limits;
use crate::measure::beside::Measuring;
use crate::measure::{RunRecords, Summary, compressed_twin as zst, kept, measure, open_records};
use crate::message::protobuf::Schema;
use crate::mock::ledger as egress;
use crate::mock::summary::{CallSummary as Calls, OutgoingCluster};
use crate::record::flows::{Flow, FlowFigures};
use crate::redact::Masker;
use crate::report::closeup::Closeup;
use crate::report::{CallCluster, Clusters, Egress, Facts, InputFacts, Report, State};
use crate::route::Routes;
use crate::run::{RunFolder, json, lines, names, present};

/// Flags of the gate; each beats its key in `[gate]`. Those of `run` are kept in `run.json`, so
/// that `report` and `gate` judge the same run in the same way when they are asked again.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default)]
#[command(next_help_heading = "Gate")]
pub(crate) struct GateFlags {
    /// Largest share of compared exchanges that may differ [default: 0.001]
    #[arg(long, value_name = "SHARE")]
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    max_mismatch_rate: Option<f64>,
    /// Largest share of requests that may fail at v2 and not at v1 [default: 0.001]
    #[arg(long, value_name = "SHARE")]
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    max_error_rate: Option<f64>,
    /// Largest median of v2 over v1's [default: 1.5]
    #[arg(long, value_name = "RATIO")]
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    max_p50_ratio: Option<f64>,
    /// Largest typical latency of v2 over v1's, of the same requests [default: 1.5; 1.2 with
    /// --baseline]
    #[arg(long, value_name = "RATIO")]
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    max_typical_ratio: Option<f64>,
    /// No verdict where a change of typical latency of this size could have gone unseen; inf asks
    /// for none [default: 2]
    #[arg(long, value_name = "RATIO")]
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    must_see: Option<f64>,
    /// Largest 99th percentile of v2 over v1's [default: 1.2]
    #[arg(long, value_name = "RATIO")]
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    max_p99_ratio: Option<f64>,
    /// Fewer samples than this do not pass [default: 100]
    #[arg(long, value_name = "N")]
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    min_samples: Option<u64>,
    /// How sure a failure must be [default: 0.95]
    #[arg(long, value_name = "P")]
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    confidence: Option<f64>,
    /// Own lateness of the replayer beyond which the run is invalid [default: 5ms]
    #[arg(long, value_name = "D")]
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    max_lateness_p99: Option<Nanos>,
    /// Differences of latency below this never fail [default: 2ms]
    #[arg(long, value_name = "D")]
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    min_latency_change: Option<Nanos>,
}

/// Values of flags as they are written on a command line: JSON has no `inf`.
mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize as _, Deserializer, Serializer, de};

    #[expect(clippy::ref_option, reason = "the form that serde calls")]
    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(de::Error::custom)).transpose()
    }
}

impl GateFlags {
    /// As they stand in `run.json`; null where none is set.
    pub(crate) fn kept(&self) -> serde_json::Value {
        match *self == Self::default() {
            true => serde_json::Value::Null,
            false => serde_json::to_value(self).unwrap_or_default(),
        }
    }

    /// These flags, and where one is not set that of the run in `folder`.
    pub(crate) fn over_those_of(self, folder: &Path) -> Result<Self, Failure> {
        let kept = RunFolder::open(folder)?
            .info()
            .ok()
            .and_then(|info| serde_json::from_value::<Self>(info.gate).ok());
        let kept = kept.unwrap_or_default();
        Ok(Self {
            max_mismatch_rate: self.max_mismatch_rate.or(kept.max_mismatch_rate),
            max_error_rate: self.max_error_rate.or(kept.max_error_rate),
            max_typical_ratio: self.max_typical_ratio.or(kept.max_typical_ratio),
            must_see: self.must_see.or(kept.must_see),
            max_p50_ratio: self.max_p50_ratio.or(kept.max_p50_ratio),
            max_p99_ratio: self.max_p99_ratio.or(kept.max_p99_ratio),
            min_samples: self.min_samples.or(kept.min_samples),
            confidence: self.confidence.or(kept.confidence),
            max_lateness_p99: self.max_lateness_p99.or(kept.max_lateness_p99),
            min_latency_change: self.min_latency_change.or(kept.min_latency_change),
        })
    }

    /// The policy of the configuration, with these flags over it.
    pub(crate) fn policy(&self, config: &Config) -> Result<Policy, Failure> {
        let mut policy = config.gate.clone();
        let limits = &mut policy.limits;
        limits.mismatch_rate = self.max_mismatch_rate.or(limits.mismatch_rate);
        limits.error_rate = self.max_error_rate.or(limits.error_rate);
        limits.typical_ratio =
            typical(self.max_typical_ratio, self.max_p50_ratio).or(limits.typical_ratio);
        limits.ratios[0] = self.max_p50_ratio.or(limits.ratios[0]);
        limits.ratios[3] = self.max_p99_ratio.or(limits.ratios[3]);
        limits.min_samples = self.min_samples.or(limits.min_samples);
        policy.must_see = self.must_see.or(policy.must_see).filter(|change| change.is_finite());
        policy.confidence = self.confidence.unwrap_or(policy.confidence);
        policy.max_lateness_p99 = self.max_lateness_p99.unwrap_or(policy.max_lateness_p99);
        policy.min_latency_change = self.min_latency_change.unwrap_or(policy.min_latency_change);
        policy.max_unbound_rate = config.flow.max_unbound_rate;
        policy
            .check()
            .map_err(|why| Failure::usage(format!("the gate's policy makes no sense: {why}")))?;
        Ok(policy)
    }
}

/// What a run's folder says.
pub(crate) struct Loaded {
    facts: Facts,
    summary: Summary,
    totals: Totals,
    clusters: Clusters,
    egress: Option<Egress>,
    state: Option<State>,
    judgement: Judgement,
    closeups: Vec<Closeup>,
    folder: String,
    files: Vec<String>,
}

impl Loaded {
    /// Reads and judges.
    pub(crate) fn read(
        folder: &RunFolder,
        policy: &Policy,
        show_secrets: bool,
        global: &Global,
    ) -> Result<Self, Failure> {
        for (name, command) in
            [(names::OUTCOMES, "replay"), (names::DIFF, "diff"), (names::ROUTES, "diff")]
        {
            if !present(&folder.file(name)) {
                let path = folder.path().display();
                let how = if command == "replay" {
                    "shadowtap replay".to_owned()
                } else {
                    format!("shadowtap diff {path}")
                };
                return Err(Failure::unusable(format!("{path} has no {name}: run `{how}` first")));
            }
        }
        let masker = masker(folder, show_secrets)?;
        let facts = facts(folder, &masker)?;
        let totals: Totals = json(&folder.file(names::DIFF))?;
        let routes: Routes = json(&folder.file(names::ROUTES))?;
        let mut summary = figures(folder, &routes, global)?;
        mask(&mut summary, &masker);
        let clusters = clusters(&folder.file(names::CLUSTERS))?;
        let egress = egress(&folder.file(names::EGRESS), &totals.call_approvals, &masker)?;
        let state = state(&folder.file(names::FLOWS), &masker)?;
        let judgement = judge(
            &Evidence {
                summary: &summary,
                totals: &totals,
                state: state.as_ref().map(|state| &state.figures),
                egress: egress.as_ref().map(|egress| Outgoing {
                    total: egress.total(),
                    different: egress.different,
                    unsafe_different: egress.unsafe_different,
                    drifted_reads: egress.drifted_reads,
                    missed_reads: egress.missed_reads,
                }),
                tls: facts.target.starts_with("https:"),
                interrupted: facts.interrupted,
                scheduled: facts.settings.get("speed").and_then(|speed| speed.as_str())
                    != Some("max"),
                own_speed: own_speed(&facts),
            },
            policy,
        );
        Ok(Self {
            facts,
            summary,
            totals,
            clusters,
            egress,
            state,
            judgement,
            closeups: Vec::new(),
            folder: folder.path().to_string_lossy().into_owned(),
            files: Vec::new(),
        })
    }

    /// Looks at exchanges of each cluster close up, as the page shows them, and at what there is in
    /// the folder.
    pub(crate) fn look_close(
        &mut self,
        folder: &RunFolder,
        show_secrets: bool,
        schema: &Schema,
    ) -> Result<(), Failure> {
        let masker = masker(folder, show_secrets)?;
        self.closeups = closeups::for_page(folder, &self.clusters, &masker, schema)?;
        self.files = files(folder)?;
        Ok(())
    }

    /// As the report takes it.
    pub(crate) fn report(&self) -> Report<'_> {
        Report {
            facts: &self.facts,
            summary: &self.summary,
            totals: &self.totals,
            clusters: &self.clusters,
            egress: self.egress.as_ref(),
            state: self.state.as_ref(),
            judgement: &self.judgement,
            closeups: &self.closeups,
            folder: &self.folder,
            files: &self.files,
        }
    }

    /// The verdict with its reasons.
    pub(crate) const fn judgement(&self) -> &Judgement {
        &self.judgement
    }
}

/// Names of the files in a folder that are the run's, in order; hidden ones are not.
fn files(folder: &RunFolder) -> Result<Vec<String>, Failure> {
    let unreadable = |error: std::io::Error| unreadable(folder.path(), &error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder.path()).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && !name.starts_with('.') && !crate::report::names::ALL.contains(&name.as_str())
        {
            files.push(name);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Whether requests came as fast and as many as they did to v1.
fn own_speed(facts: &Facts) -> bool {
    let speed = facts.settings.get("speed").and_then(|speed| speed.as_str());
    let copies = facts.settings.get("multiply").and_then(|copies| copies.as_u64());
    speed.is_none_or(|speed| speed == "1") && copies.is_none_or(|copies| copies == 1)
}

/// Masks by a key that is the run's own: the same for each report of it, and not to be had without
/// its records.
pub(super) fn masker(folder: &RunFolder, show_secrets: bool) -> Result<Masker, Failure> {
    const BEGINNING: u64 = 1 << 20;
    if show_secrets {
        return Ok(Masker::off());
    }
    let path = folder.file(names::OUTCOMES);
    let mut beginning = Vec::new();
    open_records(&path)
        .and_then(|file| file.take(BEGINNING).read_to_end(&mut beginning))
        .map_err(|error| unreadable(&path, &error))?;
    Ok(Masker::new(&Sha256::digest(&beginning)))
}

fn facts(folder: &RunFolder, masker: &Masker) -> Result<Facts, Failure> {
    let info = folder.info()?;
    let text = |text: &str| masker.text(text).into_owned();
    Ok(Facts {
        run: info.run,
        command: info.command.iter().map(|word| text(word)).collect(),
        tool: info.tool,
        target: masker.target(&info.target).into_owned(),
        baseline: info.baseline.map(|url| masker.target(&url).into_owned()),
        inputs: info
            .inputs
            .into_iter()
            .map(|input| InputFacts {
                name: text(&input.name),
                bytes: input.bytes,
                sha256: input.sha256,
            })
            .collect(),
        settings: masked(info.settings, masker),
        host: info.host,
        started: info.started,
        ended: info.ended,
        interrupted: info.interrupted,
    })
}

/// A JSON value with its secrets masked.
fn masked(value: serde_json::Value, masker: &Masker) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) => Value::String(masker.text(&text).into_owned()),
        Value::Array(items) => items.into_iter().map(|item| masked(item, masker)).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| {
                let value = match value {
                    Value::String(text) => {
                        Value::String(masker.text(&masker.field(&name, &text)).into_owned())
                    }
                    other => masked(other, masker),
                };
                (name, value)
            })
            .collect(),
        other => other,
    }
}

/// What the summary holds of texts from the records.
fn mask(summary: &mut Summary, masker: &Masker) {
    for failure in summary.failures.values_mut() {
        failure.example = masker.text(&failure.example).into_owned();
    }
    for line in &mut summary.rejected_examples {
        *line = masker.text(line).into_owned();
    }
    let skipped = std::mem::take(&mut summary.skipped);
    for (reason, count) in skipped {
        *summary.skipped.entry(masker.text(&reason).into_owned()).or_default() += count;
    }
}

/// The files of a run's records.
struct RecordPaths {
    exchanges: PathBuf,
    outcomes: PathBuf,
    baseline: Option<PathBuf>,
}

impl RecordPaths {
    fn of(folder: &RunFolder) -> Self {
        Self {
            exchanges: folder.file(names::EXCHANGES),
            outcomes: folder.file(names::OUTCOMES),
            baseline: Some(folder.file(names::BASELINE)).filter(|path| present(path)),
        }
    }

    fn all(&self) -> [Option<&Path>; 3] {
        [Some(self.exchanges.as_path()), Some(self.outcomes.as_path()), self.baseline.as_deref()]
    }

    /// What is measured from these files by the names of these routes.
    fn source(&self, routes: &Routes) -> Option<kept::MeasuredFrom> {
        let named = serde_json::to_string(routes).unwrap_or_default();
        kept::MeasuredFrom::of(&self.all(), named)
    }
}

/// Measures a run while it is compared.
pub(super) fn measuring(folder: &RunFolder) -> Measuring {
    let paths = RecordPaths::of(folder);
    Measuring::new(&paths.exchanges, &paths.outcomes, paths.baseline.as_deref())
}

/// Keeps what was measured for who reports and judges.
pub(super) fn keep_figures(folder: &RunFolder, summary: &Summary) -> Result<(), Failure> {
    let routes: Routes = json(&folder.file(names::ROUTES))?;
    if let Some(source) = RecordPaths::of(folder).source(&routes) {
        keep(folder, summary, &source);
    }
    Ok(())
}

fn keep(folder: &RunFolder, summary: &Summary, source: &kept::MeasuredFrom) {
    if let Err(failure) = replace(&folder.file(names::MEASURED), &kept::write(summary, source)) {
        // Whoever only reads the folder measures again.
        tracing::debug!("{failure:?}");
    }
}

fn figures(folder: &RunFolder, routes: &Routes, global: &Global) -> Result<Summary, Failure> {
    let paths = RecordPaths::of(folder);
    let source = paths.source(routes);
    let before = std::fs::read(folder.file(names::MEASURED)).ok();
    if let Some(summary) = before.zip(source.as_ref()).and_then(|(text, of)| kept::read(&text, of))
    {
        return Ok(summary);
    }
    let length = |path: &Path| {
        path.metadata().or_else(|_| zst(path).metadata()).map_or(0, |data| data.len())
    };
    let total = paths.all().into_iter().flatten().map(length).sum();
    let progress = Progress::start(global, "report", Some(total));
    let records = RunRecords {
        exchanges: &paths.exchanges,
        outcomes: &paths.outcomes,
        baseline: paths.baseline.as_deref(),
        route: &|method, target, operation| routes.route_of(method, target, operation),
        most_entries: limits::JOIN_ENTRIES,
    };
    let summary = measure(&records, |done| {
        progress.set(done, || format!("{} of {} MB", done / 1_000_000, total / 1_000_000))
    })
    .map_err(|error| {
        let what = error.to_string();
        Failure::unusable(what).because(&error)
    })?;
    if let Some(source) = source {
        keep(folder, &summary, &source);
    }
    Ok(summary)
}

pub(super) fn clusters(path: &Path) -> Result<Clusters, Failure> {
    let mut clusters = Clusters::default();
    lines::<Failure>(path, |number, line| {
        // First and last lines, where there are any, name a format.
        if line.starts_with(b"{\"format\"") {
            return Ok(());
        }
        let cluster: Cluster = serde_json::from_slice(line).map_err(|error| {
            Failure::unusable(format!(
                "{}: line {number} is damaged: run `shadowtap diff` again",
                path.display()
            ))
            .because(&error)
        })?;
        clusters.add(cluster);
        Ok(())
    })?;
    clusters.settle();
    Ok(clusters)
}

/// What `flows.jsonl` says, where there is one.
fn state(path: &Path, masker: &Masker) -> Result<Option<State>, Failure> {
    if !present(path) {
        return Ok(None);
    }
    let mut state = State::default();
    lines::<Failure>(path, |number, line| {
        let damaged = |error: serde_json::Error| {
            Failure::unusable(format!("{}: line {number} is damaged", path.display()))
                .because(&error)
        };
        if FlowFigures::is(line) {
            state.figures = serde_json::from_slice(line).map_err(damaged)?;
        } else if !line.starts_with(b"{\"format\"") {
            let mut flow: Flow = serde_json::from_slice(line).map_err(damaged)?;
            for end in std::iter::once(&mut flow.from).chain(&mut flow.to) {
                end.route = masker.target(&end.route).into_owned();
            }
            state.add(flow);
        }
        Ok(())
    })?;
    state.settle();
    Ok(Some(state))
}

/// The mock's ledger, where there is one.
fn egress(
    path: &Path,
    approvals: &[CallApproval],
    masker: &Masker,
) -> Result<Option<Egress>, Failure> {
    if !path.is_file() {
        return Ok(None);
    }
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let summary =
        Calls::read(BufReader::with_capacity(1 << 16, file), approvals).map_err(|error| {
            Failure::unusable(format!("{} is damaged", path.display())).because(&error)
        })?;
    let (counts, approved) = (&summary.total, &summary.approved);
    Ok(Some(Egress {
        calls: egress::CallVerdict::ALL
            .into_iter()
            .map(|v| (v.name(), counts.of(v)))
            .filter(|(_, n)| *n > 0)
            .collect(),
        unsafe_repeated: counts.unsafe_repeated - approved.unsafe_repeated,
        unsafe_different: counts.unsafe_different() - approved.unsafe_different(),
        drifted_reads: counts.drifted_reads() - approved.drifted_reads(),
        missed_reads: counts.missed_reads() - approved.missed_reads(),
        different: counts.different() - approved.different(),
        approved: approved.different(),
        unmatched_approvals: summary.unmatched_approvals,
        in_another_order: counts.order_changed,
        faulted: counts.faulted,
        complete: summary.complete,
        clusters: summary
            .clusters
            .iter()
            .take(CALL_CLUSTERS)
            .map(|cluster| outgoing(cluster, masker))
            .collect(),
        more_clusters: summary.clusters.len().saturating_sub(CALL_CLUSTERS) as u64,
        routes: summary.routes,
    }))
}

/// Clusters of outgoing calls that a report shows.
const CALL_CLUSTERS: usize = 50;

/// Outgoing calls with one cause of difference, secrets masked.
fn outgoing(cluster: &OutgoingCluster, masker: &Masker) -> CallCluster {
    let example = &cluster.example;
    let what = match cluster.verdict {
        egress::CallVerdict::Repeated => "made more often than by v1",
        egress::CallVerdict::Extra => "that v1 never made",
        egress::CallVerdict::Missing => "that v1 made and v2 did not",
        egress::CallVerdict::Drifted => "with another payload",
        egress::CallVerdict::Matched => "in another order than v1's",
    };
    let value =
        |value: &Option<String>| value.as_deref().map(|value| masker.text(value).into_owned());
    CallCluster {
        id: cluster.id.clone(),
        verdict: cluster.verdict.name(),
        what,
        changes: cluster.changes,
        provider: cluster.provider.clone(),
        route: cluster.route.clone(),
        calls: cluster.calls,
        shape: masker.text(&cluster.shape).into_owned(),
        places: example
            .places
            .iter()
            .take(5)
            .map(|place| (place.place.clone(), value(&place.expected), value(&place.actual)))
            .collect(),
        expected: masker.text(&example.recorded_payload).into_owned(),
        actual: masker.text(&example.payload).into_owned(),
        causes: cluster.causes.iter().take(5).map(ToString::to_string).collect(),
        approved: cluster.approved.as_deref().map(|why| masker.text(why).into_owned()),
        repeat: masker.text(&example.repeat).into_owned(),
    }
}
