//! From the inputs to the plan, and to the run's own `exchanges.jsonl` on the way.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::flags::ReplayShape;
use super::flows::{self, FlowSearch, Flows, RecordingFile, Sought, ToldFlows};
use super::metrics;
use super::reading::{open, unless_interrupted, with_exchanges, write_again};
use super::settings::ReplaySettings;
use super::share::{self, TakenFlows};
use super::survey::Survey;
use crate::bind::find::{FoundFlows, FoundIn};
use crate::cli::exit::unwritable;
use crate::cli::output::GatheredLines;
use crate::cli::{Failure, Global, redaction};
use crate::diff::planned::SurveyNotes;
use crate::exchange::Exchange;
use crate::exchange::Redacted;
use crate::record::exchanges;
use crate::record::exchanges::{End, Header};
use crate::record::places;
use crate::redact::KnownTokens;
use crate::redact::Redactor;
use crate::replay::plan::{Plan, Planner, RouteOf, Wishes};
use crate::run::{RunFolder, names};
use crate::source::{self, InputInfo, Inputs, Original, ReadInputs};
use crate::stop::Stop;
use crate::store::local::UnfinishedFile;
use crate::store::shown;
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
    let path = folder.file(names::EXCHANGES);
    there.and_then(|()| part.commit()).map_err(cannot_write(&path))
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
    let is_shard = wishes.shard.is_some();
    let (mut intake, opened) = Intake::open(settings, folder, is_shard, word, global)?;
    let route_of = || watched.then(metrics::route_of);
    let (sought, early) = intake.seek(opened, &wishes, route_of())?;
    let Sought { inputs, flows, done: first, is_written } = sought;
    let planned = flows.map(|flows| flows.plan(&mut wishes, &settings.shape.flow)).transpose();
    let (flows, touches) = planned.map_err(cannot_write(&intake.path))?.unzip();
    let is_bound = wishes.parts.is_some();
    let is_surveyed = first.is_some();
    // A recording that is kept as it is need not be written again.
    let original = inputs.original().filter(|_| intake.to_redact.is_none() && !is_shard);
    let is_kept = is_written || original.is_some();
    if let (Some(planner), Some(done), false, true) = (early, first, is_bound, is_kept) {
        return intake.plan_of_first(planner, done, original.as_ref(), flows);
    }
    let planner = planner(folder.path(), wishes, route_of())?;
    let planner = planner.touching(touches.unwrap_or_default());
    let again = SecondReading { inputs, original, is_written, is_surveyed, is_bound };
    intake.plan_again(planner, again, flows)
}

/// The inputs on their way into the folder.
struct Intake<'s> {
    settings: &'s ReplaySettings,
    folder: &'s RunFolder,
    word: &'s Arc<Stop>,
    global: &'s Global,
    is_shard: bool,
    /// The recording's name in the folder.
    path: PathBuf,
    header: Header,
    /// Beside, then renamed: the input may be this folder's own file.
    part: UnfinishedFile,
    survey: Survey,
    /// How the inputs are redacted, as far as that is known before they are read.
    before: Vec<Option<Redacted>>,
    to_redact: Option<Redactor>,
    known: Option<KnownTokens>,
    /// In what the flows were found that another replay shares.
    flows_of: Option<Vec<(u64, String)>>,
}

/// What is known when the inputs are read to be planned.
struct SecondReading {
    inputs: Inputs,
    original: Option<Original>,
    /// Their lines were written while flows were sought.
    is_written: bool,
    is_surveyed: bool,
    /// Values flow in them.
    is_bound: bool,
}

impl<'s> Intake<'s> {
    fn open(
        settings: &'s ReplaySettings,
        folder: &'s RunFolder,
        is_shard: bool,
        word: &'s Arc<Stop>,
        global: &'s Global,
    ) -> Result<(Self, Inputs), Failure> {
        let ReplaySettings { inputs, shape, .. } = settings;
        let redactor = shape.redactor.as_ref();
        let routes = settings.survey.as_ref().filter(|_| redactor.is_none() && !is_shard);
        let survey = Survey::begin(routes, folder.path());
        let survey = survey.map_err(|error| unwritable(folder.path(), &error))?;
        let mut opened = open(inputs, shape, survey.lines(), word)?;
        let before = opened.redactions()?;
        redaction::check(&before, redactor)?;
        let path = folder.file(names::EXCHANGES);
        // A redacted recording is not redacted again, as tokens would get tokens.
        let known =
            redactor.filter(|_| before.iter().any(Option::is_some)).map(|_| KnownTokens::default());
        let to_redact = redactor.filter(|_| known.is_none()).cloned();
        let redacted = to_redact.as_ref().map(Redactor::mark).or_else(|| Redacted::of_all(&before));
        let names = inputs.iter().map(|name| shown::without_secrets(name)).collect();
        let header = Header::new(Timestamp::now(), names).redacted(redacted);
        let part = UnfinishedFile::create(&path).map_err(cannot_write(&path))?;
        let intake = Self {
            settings,
            folder,
            word,
            global,
            is_shard,
            path,
            header,
            part,
            survey,
            before,
            to_redact,
            known,
            flows_of: None,
        };
        Ok((intake, opened))
    }

    /// Whether what is read is kept as it is, whatever flows in it.
    const fn is_plain(&self) -> bool {
        self.settings.shape.redactor.is_none() && !self.is_shard
    }

    /// Seeks what flows in the inputs, and plans on the way, as far as nothing flows.
    fn seek(
        &mut self,
        opened: Inputs,
        wishes: &Wishes,
        route_of: Option<RouteOf>,
    ) -> Result<(Sought, Option<Planner>), Failure> {
        let flow = &self.settings.shape.flow;
        let folder = self.folder.path();
        let found_by = flows::found_by(flow, &wishes.selection, opened.options());
        if let Some(found) = self.taken(&found_by)? {
            let flows = Some(Flows::taken(found, flow)?);
            return Ok((Sought { inputs: opened, flows, done: None, is_written: false }, None));
        }
        let lines = self.is_plain().then(|| self.begin()).transpose()?;
        let mut early = (self.is_plain() && !flow.is_off())
            .then(|| planner(folder, wishes.clone(), route_of))
            .transpose()?;
        let recording = lines.map(|lines| RecordingFile { lines, part: &self.part });
        let search = FlowSearch {
            flow,
            selection: &wishes.selection,
            redacted: &self.before,
            folder,
            word: self.word,
            global: self.global,
        };
        let (survey, path) = (&mut self.survey, &self.path);
        let sought = search.find(opened, recording, |exchange| {
            survey.add(exchange);
            if flows::will_flow(exchange) {
                early = None;
            }
            let added = early.as_mut().map_or(Ok(()), |planner| planner.add(exchange));
            added.map_err(cannot_write(path))
        })?;
        self.give(&sought, found_by)?;
        Ok((sought, early))
    }

    /// What another replay found and shares with this one.
    fn taken(&mut self, settings: &str) -> Result<Option<FoundFlows>, Failure> {
        let Some(shared) = &self.settings.shape.shared_flows else { return Ok(None) };
        if self.settings.shape.flow.is_off() {
            return Err(Failure::usage(
                "--flows shares what is bound, and --bind off binds nothing",
            ));
        }
        if self.to_redact.is_some() {
            return Err(Failure::usage(
                "--flows would keep the values that --redact takes away: redact the recording \
                 first (parse --redact), and replay that",
            ));
        }
        let taken = shared.take(settings, self.folder.path(), self.word)?;
        Ok(taken.map(|TakenFlows { found, inputs }| {
            self.flows_of = Some(inputs);
            found
        }))
    }

    /// Shares what was found.
    fn give(&self, sought: &Sought, settings: String) -> Result<(), Failure> {
        let shape = &self.settings.shape;
        let (Some(shared), Some(flows), Some(done)) =
            (&shape.shared_flows, &sought.flows, &sought.done)
        else {
            return Ok(());
        };
        let inputs = share::prints(&source::describe(&self.settings.inputs, &done.prints));
        shared.give(&flows.found, &FoundIn { settings, inputs })
    }

    /// Begins to write the recording.
    fn begin(&self) -> Result<GatheredLines, Failure> {
        let begun = || {
            let mut lines = GatheredLines::new(self.part.file()?).noting(self.survey.lines());
            lines.add(|out| exchanges::write_line(out, &self.header))?;
            Ok(lines)
        };
        begun().map_err(cannot_write(&self.path))
    }

    /// The plan that was made while flows were sought, and none were found.
    fn plan_of_first(
        mut self,
        mut planner: Planner,
        done: ReadInputs,
        original: Option<&Original>,
        flows: Option<ToldFlows>,
    ) -> Result<Planned, Failure> {
        if let Some(original) = original {
            self.fill_from(original)?;
        }
        redaction::check(&done.redactions, self.settings.shape.redactor.as_ref())?;
        planner.also_at(&done.ledger.also_at);
        self.planned(planner, done, None, flows)
    }

    /// Reads the inputs to plan them, and to write their lines where that was not done.
    fn plan_again(
        mut self,
        mut planner: Planner,
        again: SecondReading,
        flows: Option<ToldFlows>,
    ) -> Result<Planned, Failure> {
        let SecondReading { inputs, original, is_written, is_surveyed, is_bound } = again;
        let Self { settings, folder, word, global, is_shard, .. } = self;
        let redactor = settings.shape.redactor.as_ref();
        let mut lines = (!is_written).then(|| self.begin()).transpose()?;
        let (path, survey, known) = (self.path.clone(), &mut self.survey, &mut self.known);
        let cannot = cannot_write(&path);
        let places_part =
            is_shard.then(|| UnfinishedFile::create(&folder.file(names::PLACES))).transpose();
        let places_part = places_part.map_err(cannot)?;
        let places_file = places_part.as_ref().map(UnfinishedFile::file).transpose();
        let mut places = places_file.map_err(cannot)?.map(places::PlacesWriter::new);
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
                (redactor, &mut *known, &exchange.request)
            {
                redactor.learn(&request.message, known);
            }
            planner.add(exchange).map_err(cannot)
        };
        let to_redact = self.to_redact.take();
        let done = inputs.lines(global, to_redact, is_shard, is_bound, take)?;
        let done = with_exchanges(done, word)?;
        planner.also_at(&done.ledger.also_at);
        if let Some(lines) = lines {
            self.end(lines, &done, original.as_ref(), held)?;
        }
        if let Some(places) = places {
            places.finish().map_err(cannot)?;
        }
        self.planned(planner, done, places_part, flows)
    }

    /// Ends the recording with what was read, and with the lines of a recording whose own file was
    /// thought to do, and does not.
    fn end(
        &mut self,
        mut lines: GatheredLines,
        done: &ReadInputs,
        original: Option<&Original>,
        held: u64,
    ) -> Result<(), Failure> {
        let redactor = self.settings.shape.redactor.as_ref();
        let path = self.path.clone();
        let cannot = cannot_write(&path);
        if let Some(original) = original {
            if done.as_it_stands {
                self.fill_from(original)?;
                return redaction::check(&done.redactions, redactor);
            }
            let write = |line: &dyn Fn(&mut Vec<u8>)| lines.add(line).map_err(cannot);
            write_again(original, done, self.word, self.global, write)?;
        }
        let end = End::new(held, done.ledger.clone(), done.rest.clone());
        lines.add(|out| exchanges::write_line(out, &end)).map_err(cannot)?;
        lines.finish().map_err(cannot)?;
        // Files that were put together may be redacted in part.
        redaction::check(&done.redactions, redactor)
    }

    fn fill_from(&mut self, original: &Original) -> Result<(), Failure> {
        self.part.fill_from(original.path()).map_err(cannot_write(&self.path))
    }

    /// Ends the plan.
    fn planned(
        self,
        mut planner: Planner,
        done: ReadInputs,
        places: Option<UnfinishedFile>,
        flows: Option<ToldFlows>,
    ) -> Result<Planned, Failure> {
        let Self { settings, path, part, survey, known, flows_of, .. } = self;
        let cannot = cannot_write(&path);
        planner.end(&done.rest).map_err(cannot)?;
        let inputs = source::describe(&settings.inputs, &done.prints);
        if let (Some(shared), Some(found_in)) = (&settings.shape.shared_flows, &flows_of) {
            shared.check(found_in, &inputs)?;
        }
        let plan = planner.finish().map_err(cannot)?;
        let flows = flows.map(|flows| flows.with(&plan));
        let (redactions, survey) = (done.redactions, survey.finish());
        Ok(Planned { plan, inputs, part, places, redactions, known, flows, survey })
    }
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
    let planner = planner(&folder, wishes, None)?;
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

/// The failure of a file that cannot be written.
fn cannot_write(path: &Path) -> impl Fn(std::io::Error) -> Failure + Copy + '_ {
    |error| unwritable(path, &error)
}

/// A planner whose temporary files are in `folder`.
fn planner(folder: &Path, wishes: Wishes, routes: Option<RouteOf>) -> Result<Planner, Failure> {
    Planner::new(folder, wishes, routes).map_err(|error| {
        Failure::unusable(format!("cannot make a temporary file in {}", folder.display()))
            .because(&error)
    })
}
