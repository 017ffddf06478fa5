//! Reads a run's folder into what a judgement and a report need. `report`, `gate` and `run` share
//! it.

use std::io::Read as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::ReviewError;
use super::closeups;
use super::figures::figures;
use super::outgoing::egress;
use crate::diff::{Cluster, Totals};
use crate::gate::{Evidence, Judgement, Outgoing, Policy, judge};
use crate::measure::{Summary, open_records};
use crate::message::protobuf::Schema;
use crate::record::flows::{Flow, FlowFigures};
use crate::redact::Masker;
use crate::report::closeup::Closeup;
use crate::report::{Clusters, Egress, Facts, InputFacts, Report, State};
use crate::route::Routes;
use crate::run::{RunFolder, json, lines, names, present};

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
    /// Reads and judges; `progress` is told how many bytes were read, and of how many.
    pub(crate) fn read(
        folder: &RunFolder,
        policy: &Policy,
        show_secrets: bool,
        progress: impl FnMut(u64, u64),
    ) -> Result<Self, ReviewError> {
        for (name, command) in
            [(names::OUTCOMES, "replay"), (names::DIFF, "diff"), (names::ROUTES, "diff")]
        {
            if !present(&folder.file(name)) {
                return Err(ReviewError::lacking(folder.path(), name, command));
            }
        }
        let masker = masker(folder, show_secrets)?;
        let facts = facts(folder, &masker)?;
        let totals: Totals = json(&folder.file(names::DIFF))?;
        let routes: Routes = json(&folder.file(names::ROUTES))?;
        let mut summary = figures(folder, &routes, progress)?;
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
                    broken_off: !egress.complete,
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
    ) -> Result<(), ReviewError> {
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
fn files(folder: &RunFolder) -> Result<Vec<String>, ReviewError> {
    let unreadable = ReviewError::io(folder.path());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder.path()).map_err(&unreadable)? {
        let entry = entry.map_err(&unreadable)?;
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
pub(crate) fn masker(folder: &RunFolder, show_secrets: bool) -> Result<Masker, ReviewError> {
    const BEGINNING: u64 = 1 << 20;
    if show_secrets {
        return Ok(Masker::off());
    }
    let path = folder.file(names::OUTCOMES);
    let mut beginning = Vec::new();
    open_records(&path)
        .and_then(|file| file.take(BEGINNING).read_to_end(&mut beginning))
        .map_err(ReviewError::io(&path))?;
    Ok(Masker::new(&Sha256::digest(&beginning)))
}

fn facts(folder: &RunFolder, masker: &Masker) -> Result<Facts, ReviewError> {
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

/// The clusters of a run, in the order in which they are shown.
pub(crate) fn clusters(path: &Path) -> Result<Clusters, ReviewError> {
    let mut clusters = Clusters::default();
    lines::<ReviewError>(path, |number, line| {
        // First and last lines, where there are any, name a format.
        if line.starts_with(b"{\"format\"") {
            return Ok(());
        }
        let cluster: Cluster = serde_json::from_slice(line)
            .map_err(|cause| ReviewError::Cluster { path: path.to_owned(), line: number, cause })?;
        clusters.add(cluster);
        Ok(())
    })?;
    clusters.settle();
    Ok(clusters)
}

/// What `flows.jsonl` says, where there is one.
fn state(path: &Path, masker: &Masker) -> Result<Option<State>, ReviewError> {
    if !present(path) {
        return Ok(None);
    }
    let mut state = State::default();
    lines::<ReviewError>(path, |number, line| {
        let damaged = |cause| ReviewError::Flow { path: path.to_owned(), line: number, cause };
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
