//! What flows in the inputs, found before the replay is planned: the inputs are read once, into a
//! recording without a name, and planned from there.

use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use sha2::Digest as _;

use super::flags::FlowFlags;
use super::reading::{unless_interrupted, with_exchanges, write_again};
use crate::bind::config::{KeySource, SignRule, Supplier, SupplyRule};
use crate::bind::fill::sign::SigningKey;
use crate::bind::fill::touch::Touches;
use crate::bind::find::{self, Finder, FoundFlows, Order};
use crate::bind::with_givers;
use crate::cli::exit::printable;
use crate::cli::output::GatheredLines;
use crate::cli::{Failure, Global};
use crate::exchange::{Exchange, Redacted, TimedResponse};
use crate::message::encoding::hex;
use crate::record::exchanges::{self, End, Header, write_line};
use crate::record::flows::{self, FlowEvidence, FlowFigures};
use crate::replay::FlowCount;
use crate::replay::plan::{Plan, Wishes};
use crate::run::{RunFolder, names};
use crate::schedule::select::Selection;
use crate::source::{InputOptions, Inputs, ReadInputs};
use crate::stop::Stop;
use crate::store::local::UnfinishedFile;
use crate::store::nameless_file;
use crate::time::Timestamp;

/// What decides which flows are found, beside the inputs.
pub(super) fn found_by(flow: &FlowFlags, selection: &Selection, options: &InputOptions) -> String {
    let InputOptions { parse, offsets, .. } = options;
    let FlowFlags { rules, schema, bind, order, .. } = flow;
    let Selection { ports, hosts, .. } = selection;
    let parse = (&parse.ports, parse.held_bytes, &parse.keylogs, &parse.http);
    let all = (rules, schema.is_empty(), bind, order, ports, hosts, parse, offsets);
    hex(&sha2::Sha256::digest(format!("{all:?}")))
}

/// What was found, and what the plan takes of it.
#[derive(Debug)]
pub(super) struct Flows {
    pub(super) found: FoundFlows,
    /// What `[flow]` says of values that no flow gives.
    touches: Touches,
}

impl FlowFlags {
    /// Whether requests go as they were recorded, each when its own connection allows.
    pub(super) fn is_off(&self) -> bool {
        !self.is_bound() && self.order.unwrap_or(Order::Connection) == Order::Connection
    }

    fn is_bound(&self) -> bool {
        let rules = &self.rules;
        let made = [rules.supply.len(), rules.vary.len(), rules.sign.len()];
        self.bind.takes(FlowEvidence::Sure) || made.iter().any(|n| *n > 0)
    }
}

/// Whether an answer issues what its client will say again, as far as one exchange tells: a cookie.
pub(super) fn will_flow(exchange: &Exchange) -> bool {
    let sets = |answer: &TimedResponse| answer.message.headers.get("set-cookie").is_some();
    exchange.response.as_ref().is_some_and(sets)
}

/// The inputs once more, to be planned, with what was found in them.
pub(super) struct Sought {
    pub(super) inputs: Inputs,
    pub(super) flows: Option<Flows>,
    /// What the first reading came to, where there was one.
    pub(super) done: Option<ReadInputs>,
    /// All lines of the recording were written to the file that was given for them.
    pub(super) is_written: bool,
}

/// Where the exchanges of inputs are kept that cannot be read twice.
pub(super) struct RecordingFile<'f> {
    /// Its first line is there already.
    pub(super) lines: GatheredLines,
    pub(super) part: &'f UnfinishedFile,
}

/// What flows are sought by.
pub(super) struct FlowSearch<'s> {
    pub(super) flow: &'s FlowFlags,
    /// What it leaves out for where it went is no user's request.
    pub(super) selection: &'s Selection,
    /// How the inputs are redacted.
    pub(super) redacted: &'s [Option<Redacted>],
    /// Where files without a name may be.
    pub(super) folder: &'s Path,
    pub(super) word: &'s Arc<Stop>,
    pub(super) global: &'s Global,
}

impl FlowSearch<'_> {
    /// Finds what flows in the inputs, where it is wanted: gives them once more, to be planned.
    /// What is read on the way is told to `beside` first, and kept in `recording` where inputs
    /// cannot be read twice, else in a file without a name.
    pub(super) fn find(
        &self,
        opened: Inputs,
        recording: Option<RecordingFile<'_>>,
        mut beside: impl FnMut(&Exchange) -> Result<(), Failure>,
    ) -> Result<Sought, Failure> {
        let Self { flow, selection, redacted, folder, word, global } = *self;
        if flow.is_off() {
            return Ok(Sought { inputs: opened, flows: None, done: None, is_written: false });
        }
        let touches = touches(flow)?;
        let cannot = |error: std::io::Error| {
            Failure::unusable(format!("cannot write to {}", folder.display())).because(&error)
        };
        let config = find::FindConfig {
            rules: flow.rules.clone(),
            schema: flow.schema.clone(),
            bind: flow.bind,
            order: flow.order.unwrap_or_default(),
            folder: folder.to_owned(),
        };
        let mut finder = Finder::new(&config).map_err(cannot)?;
        // A recording in a file is read again from there.
        let original = opened.original();
        let options = opened.options().clone();
        let recording = recording.filter(|_| original.is_none());
        let (mut lines, part) = match recording {
            Some(RecordingFile { lines, part }) => (lines, Some(part)),
            None => {
                let mut lines = GatheredLines::new(nameless_file(folder).map_err(cannot)?);
                let of_all = Redacted::of_all(redacted);
                let header = Header::new(Timestamp::now(), Vec::new()).redacted(of_all);
                lines.add(|out| write_line(out, &header)).map_err(cannot)?;
                (lines, None)
            }
        };
        let done = opened.each(global, |exchange| {
            unless_interrupted(word)?;
            if original.is_none() {
                let line = |out: &mut Vec<u8>| {
                    exchanges::write_name(out, exchange.id, &exchange.closed);
                    exchanges::write_rest(out, &exchange);
                };
                lines.add(line).map_err(cannot)?;
            }
            beside(&exchange)?;
            match selection.is_for_others(&exchange) {
                true => finder.add_beside(exchange).map_err(cannot),
                false => finder.add(exchange).map_err(cannot),
            }
        })?;
        let done = with_exchanges(done, word)?;
        let is_written = part.is_some();
        let inputs = match original {
            Some(original) if done.as_it_stands => original.open(done.prints.clone())?,
            Some(original) => {
                write_again(&original, &done, word, global, |line| {
                    lines.add(line).map_err(cannot)
                })?;
                again(&done, lines, None, options).map_err(cannot)?
            }
            None => again(&done, lines, part, options).map_err(cannot)?,
        };
        let found = finder.finish().map_err(cannot)?;
        Ok(Sought { inputs, flows: Some(Flows { found, touches }), done: Some(done), is_written })
    }
}

/// The same exchanges once more, from these lines of them.
fn again(
    done: &ReadInputs,
    mut lines: GatheredLines,
    part: Option<&UnfinishedFile>,
    options: InputOptions,
) -> std::io::Result<Inputs> {
    let end = End::new(done.exchanges, done.ledger.clone(), done.rest.clone());
    lines.add(|out| write_line(out, &end))?;
    let mut file = lines.finish()?;
    match part {
        Some(part) => file = part.open()?,
        None => file.rewind()?,
    }
    Ok(Inputs::again(done, file, options))
}

impl Flows {
    /// What another replay found, for this one's settings.
    pub(super) fn taken(found: FoundFlows, flow: &FlowFlags) -> Result<Self, Failure> {
        Ok(Self { found, touches: touches(flow)? })
    }

    /// Hands to a plan what it needs. Where nothing flows and nothing else is asked for, requests
    /// wait for their own connection alone.
    pub(super) fn plan(
        self,
        wishes: &mut Wishes,
        flow: &FlowFlags,
    ) -> std::io::Result<(ToldFlows, Touches)> {
        let Self { found, touches } = self;
        let page = crate::cli::flows::text::page(&found);
        let figures = found.figures();
        let FoundFlows { flows, parts, totals, unmatched } = found;
        let producers = totals.producers.iter().map(ToString::to_string).collect();
        if totals.uses > 0 || totals.made > 0 || flow.order.is_some() || !touches.is_empty() {
            wishes.selection.ids = with_givers(&parts, &wishes.selection.ids)?;
            wishes.parts = Some(Arc::new(parts));
            wishes.producers = flow.producers;
        }
        let unnamed = totals.unnamed;
        Ok((ToldFlows { flows, figures, page, producers, unmatched, unnamed }, touches))
    }
}

/// What is told of flows.
#[derive(Debug)]
pub(super) struct ToldFlows {
    flows: Vec<flows::Flow>,
    figures: FlowFigures,
    /// The flows as people read them.
    pub(super) page: String,
    /// In words, whose answers give values and which are skipped for their methods.
    producers: Vec<String>,
    /// Rules of `[flow]` that matched nothing.
    unmatched: Vec<String>,
    /// Requests of Protocol Buffers without a schema.
    unnamed: u64,
}

impl ToldFlows {
    /// With the rules that the plan found to match nothing.
    pub(super) fn with(mut self, plan: &Plan) -> Self {
        self.unmatched.extend(plan.idle_rules());
        self.figures.unmatched_rules.clone_from(&self.unmatched);
        self
    }

    /// Says what may be wrong. `skips`: requests with unsafe methods are not sent.
    pub(super) fn warn(&self, skips: bool) {
        for rule in &self.unmatched {
            tracing::warn!("{} matched nothing", printable(rule));
        }
        if self.unnamed > 0 {
            let requests = crate::cli::flows::text::counted(self.unnamed, "request");
            tracing::warn!(
                "{requests} hold numbers that no schema names: ids among them are not bound; add \
                 --proto DIR or --descriptor-set FILE"
            );
        }
        for producer in self.producers.iter().filter(|_| skips) {
            tracing::warn!("{}", printable(producer));
        }
    }

    /// Writes `flows.jsonl`; `counts`: what became of each flow, by its number, after a replay.
    pub(super) fn write(
        &self,
        folder: &RunFolder,
        counts: Option<&[FlowCount]>,
    ) -> Result<(), Failure> {
        let path = folder.file(names::FLOWS);
        let cannot = |error: std::io::Error| {
            Failure::unusable(format!("cannot write {}", path.display())).because(&error)
        };
        let part = UnfinishedFile::create(&path).map_err(cannot)?;
        let mut lines = Vec::new();
        for flow in &self.flows {
            let mut flow = flow.clone();
            if let Some(counts) = counts {
                let count = counts.get(flow.flow as usize).copied().unwrap_or_default();
                flow.bound = Some(count.bound);
                flow.unbound = Some(count.unbound);
                flow.not_issued = Some(count.not_issued);
            }
            write_line(&mut lines, &flow);
        }
        write_line(&mut lines, &self.figures);
        part.file().and_then(|mut file| file.write_all(&lines)).map_err(cannot)?;
        part.commit().map_err(cannot)
    }
}

/// The rules of `[flow]` for values that no flow gives, with their keys and files.
fn touches(flow: &FlowFlags) -> Result<Touches, Failure> {
    let touches = Touches::new(&flow.rules, key, pairs).map_err(Failure::usage)?;
    Ok(touches.with_schema(flow.schema.clone()))
}

fn key(rule: &SignRule) -> Result<SigningKey, String> {
    let text = match &rule.key {
        KeySource::Variable(name) => std::env::var_os(name)
            .map(std::os::unix::ffi::OsStringExt::into_vec)
            .ok_or_else(|| format!("{rule}: the variable {name} is not set"))?,
        KeySource::File(path) => std::fs::read(path)
            .map_err(|error| format!("{rule}: cannot read {}: {error}", path.display()))?,
    };
    SigningKey::read(&text).map_err(|why| format!("{rule}: {why}"))
}

/// The pairs of recorded and supplied values in a rule's file; none for a command.
fn pairs(rule: &SupplyRule) -> Result<FxHashMap<String, String>, String> {
    let Supplier::File(path) = &rule.by else { return Ok(FxHashMap::default()) };
    let wrong = |why: String| format!("{rule}: {}: {why}", path.display());
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_path(path)
        .map_err(|error| wrong(error.to_string()))?;
    let mut pairs = FxHashMap::default();
    for (number, row) in reader.records().enumerate() {
        let row = row.map_err(|error| wrong(error.to_string()))?;
        match (row.get(0), row.get(1), row.len()) {
            (Some("recorded"), Some("supplied"), 2) if number == 0 => {}
            (Some(recorded), Some(supplied), 2) => {
                pairs.insert(recorded.to_owned(), supplied.to_owned());
            }
            _ => {
                let line = number + 1;
                return Err(wrong(format!("line {line} has not the columns recorded,supplied")));
            }
        }
    }
    Ok(pairs)
}
