//! From the inputs to the plan, and to the run's own `exchanges.jsonl` on the way.

use std::sync::{Arc, Mutex};

use super::ReplaySettings;
use super::flags::ReplayShape;
use super::flows::{self, FlowSearch, RecordingFile, Sought, ToldFlows};
use super::metrics;
use super::survey::Survey;
use crate::cli::folder::{InputInfo, RunFolder, names};
use crate::cli::input::{self, InputOptions, Inputs, Original, ReadInputs};
use crate::cli::output::{GatheredLines, UnfinishedFile};
use crate::cli::{Exit, Failure, Global, redaction, shown};
use crate::diff::planned::SurveyNotes;
use crate::exchange::Exchange;
use crate::exchange::Redacted;
use crate::record::exchanges;
use crate::record::exchanges::{End, Header};
use crate::record::noted::LineNotes;
use crate::record::places;
use crate::redact::KnownTokens;
use crate::redact::Redactor;
use crate::replay::plan::{Plan, Wishes};
use crate::stop::Stop;
use crate::time::Timestamp;

/// What the inputs came to.
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) inputs: Vec<InputInfo>,
    /// The recording, under the name that it has until the run may begin.
    pub(super) part: UnfinishedFile,
    /// Of a shard, which exchanges of the whole it holds; as the recording.
    pub(super) places: Option<UnfinishedFile>,
    /// How the inputs are redacted; as in [`ReadInputs::redactions`].
    pub(super) redactions: Vec<Option<Redacted>>,
    /// The tokens that requests hold, where the inputs are redacted and the answers shall be.
    pub(super) known: Option<KnownTokens>,
    /// What flows in the recording, where it was looked for.
    pub(super) flows: Option<ToldFlows>,
    /// What a survey of the recording found, where it was asked for.
    pub(super) survey: Option<SurveyNotes>,
}

/// Gives the recording, and a shard's places, their names in the run's folder.
pub(super) fn keep(
    part: UnfinishedFile,
    places: Option<UnfinishedFile>,
    folder: &RunFolder,
) -> Result<(), Failure> {
    let there = match places {
        Some(places) => places.commit(),
        // An earlier run's, which this one replaces.
        None => match std::fs::remove_file(folder.file(names::PLACES)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        },
    };
    there.and_then(|()| part.commit()).map_err(|error| {
        let path = folder.file(names::EXCHANGES);
        Failure::unusable(format!("cannot write {}", path.display())).because(&error)
    })
}

/// Reads the inputs, writes their exchanges into the folder, and plans the replay; where it is to
/// be `watched`, with the route of each request.
pub(super) fn read_into(
    settings: &ReplaySettings,
    folder: &RunFolder,
    mut wishes: Wishes,
    watched: bool,
    word: &Arc<Stop>,
    global: &Global,
) -> Result<Planned, Failure> {
    let ReplaySettings { inputs, shape, .. } = settings;
    let (flow, redactor) = (&shape.flow, shape.redactor.as_ref());
    let is_shard = wishes.shard.is_some();
    // What is read is kept as it is, whatever flows in it.
    let is_plain = redactor.is_none() && !is_shard;
    let routes = settings.survey.as_ref().filter(|_| is_plain);
    let survey = Survey::begin(routes, folder.path());
    let mut survey = survey.map_err(|error| super::unwritable(folder.path(), &error))?;
    let mut opened = open(inputs, shape, survey.lines(), word)?;
    let before = opened.redactions()?;
    redaction::check(&before, redactor)?;
    // Beside, then renamed: the input may be this folder's own file.
    let path = folder.file(names::EXCHANGES);
    let cannot = |error: std::io::Error| {
        Failure::unusable(format!("cannot write {}", path.display())).because(&error)
    };
    // A redacted recording is not redacted again, as tokens would get tokens.
    let mut known =
        redactor.filter(|_| before.iter().any(Option::is_some)).map(|_| KnownTokens::default());
    let to_redact = redactor.filter(|_| known.is_none()).cloned();
    let redacted = to_redact.as_ref().map(Redactor::mark).or_else(|| Redacted::of_all(&before));
    let names = inputs.iter().map(|name| shown::without_secrets(name)).collect();
    let header = Header::new(Timestamp::now(), names).redacted(redacted);
    let mut part = UnfinishedFile::create(&path).map_err(cannot)?;
    let lines =
        is_plain.then(|| begin(&part, &header, survey.lines())).transpose().map_err(cannot)?;
    let recording = lines.map(|lines| RecordingFile { lines, part: &part });
    // Where nothing flows, the plan is made by then.
    let route_of = || watched.then(metrics::route_of);
    let mut early = (is_plain && !flow.is_off())
        .then(|| super::planner(folder.path(), wishes.clone(), route_of()))
        .transpose()?;
    let search = FlowSearch {
        flow,
        selection: &wishes.selection,
        redacted: &before,
        folder: folder.path(),
        word,
        global,
    };
    let sought = search.find(opened, recording, |exchange| {
        survey.add(exchange);
        if flows::will_flow(exchange) {
            early = None;
        }
        early.as_mut().map_or(Ok(()), |planner| planner.add(exchange).map_err(cannot))
    })?;
    let Sought { inputs: opened, flows, done: first, is_written } = sought;
    let planned = flows.map(|flows| flows.plan(&mut wishes, flow)).transpose();
    let (flows, touches) = planned.map_err(cannot)?.unzip();
    let is_bound = wishes.parts.is_some();
    let is_surveyed = first.is_some();
    // A recording that is kept as it is need not be written again.
    let original = opened.original().filter(|_| to_redact.is_none() && !is_shard);
    let is_kept = is_written || original.is_some();
    if let (Some(mut planner), Some(done), false, true) = (early, first, is_bound, is_kept) {
        if let Some(original) = &original {
            part.fill_from(original.path()).map_err(cannot)?;
        }
        redaction::check(&done.redactions, redactor)?;
        planner.also_at(&done.ledger.also_at);
        planner.end(&done.rest).map_err(cannot)?;
        let inputs = input::describe(inputs, &done.prints);
        let plan = planner.finish().map_err(cannot)?;
        let flows = flows.map(|flows| flows.with(&plan));
        let redactions = done.redactions;
        let survey = survey.finish();
        return Ok(Planned { plan, inputs, part, places: None, redactions, known, flows, survey });
    }
    let planner = super::planner(folder.path(), wishes, route_of())?;
    let mut planner = planner.touching(touches.unwrap_or_default());
    // What was written while flows were sought stays.
    let mut lines =
        (!is_written).then(|| begin(&part, &header, survey.lines())).transpose().map_err(cannot)?;
    let places_part =
        is_shard.then(|| UnfinishedFile::create(&folder.file(names::PLACES))).transpose();
    let places_part = places_part.map_err(cannot)?;
    let places_file = places_part.as_ref().map(UnfinishedFile::file).transpose().map_err(cannot)?;
    let mut places = places_file.map(places::PlacesWriter::new);
    let mut held = 0;
    let take = |exchange: &Exchange, line: &dyn Fn(&mut Vec<u8>)| {
        unless_interrupted(word)?;
        if !is_surveyed {
            survey.add(exchange);
        }
        let ours = planner.holds(exchange).map_err(cannot)?;
        if let Some(places) = &mut places {
            places.count(ours).map_err(cannot)?;
        }
        if !ours {
            return planner.add(exchange).map_err(cannot);
        }
        held += 1;
        if let (Some(lines), None) = (&mut lines, &original) {
            lines.add(line).map_err(cannot)?;
        }
        if let (Some(redactor), Some(known), Some(request)) =
            (redactor, &mut known, &exchange.request)
        {
            redactor.learn(&request.message, known);
        }
        planner.add(exchange).map_err(cannot)
    };
    let read = opened.lines(global, to_redact, is_shard, is_bound, take);
    let ended = read.and_then(|done| with_exchanges(done, word)).and_then(|done| {
        planner.also_at(&done.ledger.also_at);
        let Some(mut lines) = lines else { return Ok((done.prints, done.redactions, done.rest)) };
        if let Some(original) = &original {
            if done.as_it_stands {
                part.fill_from(original.path()).map_err(cannot)?;
                redaction::check(&done.redactions, redactor)?;
                return Ok((done.prints, done.redactions, done.rest));
            }
            write_again(original, &done, word, global, |line| lines.add(line).map_err(cannot))?;
        }
        let end = End::new(held, done.ledger, done.rest.clone());
        lines.add(|out| exchanges::write_line(out, &end)).map_err(cannot)?;
        lines.finish().map_err(cannot)?;
        // Files that were put together may be redacted in part.
        redaction::check(&done.redactions, redactor)?;
        Ok((done.prints, done.redactions, done.rest))
    });
    let (prints, redactions, rest) = ended?;
    if let Some(places) = places {
        places.finish().map_err(cannot)?;
    }
    planner.end(&rest).map_err(cannot)?;
    let inputs = input::describe(inputs, &prints);
    let plan = planner.finish().map_err(cannot)?;
    let flows = flows.map(|flows| flows.with(&plan));
    let (places, survey) = (places_part, survey.finish());
    Ok(Planned { plan, inputs, part, places, redactions, known, flows, survey })
}

/// Begins to write the recording.
fn begin(
    part: &UnfinishedFile,
    header: &Header,
    notes: Option<Arc<Mutex<LineNotes>>>,
) -> std::io::Result<GatheredLines> {
    let mut lines = GatheredLines::new(part.file()?).noting(notes);
    lines.add(|out| exchanges::write_line(out, header))?;
    Ok(lines)
}

/// Gives the lines of a recording that was read already, and turned out to be put together or
/// damaged.
pub(super) fn write_again(
    original: &Original,
    done: &ReadInputs,
    word: &Stop,
    global: &Global,
    mut write: impl FnMut(&dyn Fn(&mut Vec<u8>)) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut left = done.exchanges;
    // What was appended in the meantime belongs to no plan.
    original.open(done.prints.clone())?.lines(global, None, false, false, |_, line| {
        unless_interrupted(word)?;
        if left > 0 {
            left -= 1;
            write(line)?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Reads the inputs and plans the replay; leaves nothing behind.
pub(super) fn read_only(
    inputs: &[String],
    mut wishes: Wishes,
    shape: &ReplayShape,
    word: &Arc<Stop>,
    global: &Global,
) -> Result<(Plan, Option<ToldFlows>), Failure> {
    let flow = &shape.flow;
    let folder = std::env::temp_dir();
    let cannot = |error: std::io::Error| {
        Failure::unusable(format!("cannot write to {}", folder.display())).because(&error)
    };
    let mut opened = open(inputs, shape, None, word)?;
    let before = opened.redactions()?;
    let selection = &wishes.selection;
    let search = FlowSearch { flow, selection, redacted: &before, folder: &folder, word, global };
    let Sought { inputs: opened, flows, .. } = search.find(opened, None, |_| Ok(()))?;
    let planned = flows.map(|flows| flows.plan(&mut wishes, flow)).transpose();
    let (flows, touches) = planned.map_err(cannot)?.unzip();
    let planner = super::planner(&folder, wishes, None)?;
    let mut planner = planner.touching(touches.unwrap_or_default());
    let done = opened.each(global, |exchange| {
        unless_interrupted(word)?;
        planner.add(&exchange).map_err(cannot)
    })?;
    let done = with_exchanges(done, word)?;
    planner.also_at(&done.ledger.also_at);
    planner.end(&done.rest).map_err(cannot)?;
    let plan = planner.finish().map_err(cannot)?;
    let flows = flows.map(|flows| flows.with(&plan));
    Ok((plan, flows))
}

fn open(
    inputs: &[String],
    shape: &ReplayShape,
    lines: Option<Arc<Mutex<LineNotes>>>,
    word: &Arc<Stop>,
) -> Result<Inputs, Failure> {
    let stop = Some(Arc::clone(word));
    Inputs::open(inputs, InputOptions { stop, lines, ..shape.beside.options() })
}

pub(super) fn unless_interrupted(word: &Stop) -> Result<(), Failure> {
    if word.is_told() {
        Err(Failure::new(Exit::Interrupted, "interrupted while reading the input"))
    } else {
        Ok(())
    }
}

pub(super) fn with_exchanges(done: ReadInputs, word: &Stop) -> Result<ReadInputs, Failure> {
    unless_interrupted(word)?;
    for warning in &done.warnings {
        tracing::warn!("{warning}");
    }
    done.require_exchanges()
}
