//! `shadowtap inspect`: what is in a capture or a recording, and what is damaged in it and why.

mod text;

use serde::Serialize;

use super::config::Config;
use super::output::print;
use super::reading::ReadingFlags;
use super::{Exit, Failure, Global, flows, paint};
use crate::bind::find::{self, Finder, FlowTotals, FoundFlows};
use crate::exchange::Exchange;
use crate::inspect::{InspectSummary, InspectSurvey, NameCounts};
use crate::ledger::Ledger;
use crate::record::flows::Flow;
use crate::source::{InputOptions, Inputs};
use crate::store::shown;
use crate::wire::h1::parser::ParserLimits;

/// Shows what captures or recordings hold: span, exchanges, hosts, routes, status codes, rates,
/// latencies, and what is damaged.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  shadowtap inspect v1.pcap\n  shadowtap inspect v1.pcap --json | jq \
        .completeness"
)]
pub struct InspectArgs {
    /// Captures (pcap, pcapng) or recordings (JSONL, HAR, .gor, access logs, curl lines, Postman),
    /// plain, gzip or zstd; a URL; - is standard input
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<String>,
    /// Print everything as JSON
    #[arg(help_heading = "Output", long)]
    pub json: bool,
    /// Count only: do not look for values that answers issue and requests use, which takes longer
    #[arg(help_heading = "Output", long)]
    pub no_flows: bool,
    /// How the inputs are read
    #[command(flatten)]
    pub reading: ReadingFlags,
}

/// The checked form of [`InspectArgs`].
#[derive(Clone, Debug)]
struct InspectSettings {
    inputs: Vec<String>,
    json: bool,
    /// How flows are found; none where messages are only counted.
    flows: Option<find::FindConfig>,
    reading: InputOptions,
}

/// The form of `--json`.
#[derive(Debug, Serialize)]
struct InspectReport<'a> {
    format: &'static str,
    version: u32,
    inputs: &'a [String],
    warnings: &'a [String],
    #[serde(flatten)]
    summary: &'a InspectSummary,
    /// What flows, as `flows.jsonl` of a run has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    flows: Option<&'a [Flow]>,
    /// What it comes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a FlowTotals>,
    ledger: &'a Ledger,
}

pub(crate) fn run(args: InspectArgs, global: &Global) -> Result<Exit, Failure> {
    let mut reading = args.reading.options();
    let Config { flow: rules, schema, .. } = Config::load(global)?;
    let bind = rules.level();
    let flows = (!args.no_flows).then(|| flows::settings(rules, schema, bind));
    if flows.is_none() {
        // Messages are counted, not looked at.
        reading.parse.http = ParserLimits::outline();
    }
    let settings = InspectSettings { inputs: args.inputs, json: args.json, flows, reading };
    let Inspected { summary, found, ledger, warnings } = execute(&settings, global)?;
    let inputs = shown::shown_names(&settings.inputs);
    if settings.json {
        let report = InspectReport {
            format: "shadowtap/inspect",
            version: 1,
            inputs: &inputs,
            warnings: &warnings,
            summary: &summary,
            flows: found.as_ref().map(|found| &found.flows[..]),
            state: found.as_ref().map(|found| &found.totals),
            ledger: &ledger,
        };
        let mut text = serde_json::to_string_pretty(&report).expect("names and figures serialise");
        text.push('\n');
        print(&text)?;
    } else {
        let flows = found.as_ref().map(flows::text::page);
        let width = paint::columns(text::WIDTH);
        print(&text::page(&inputs, &summary, flows.as_deref(), &ledger, &warnings, width))?;
    }
    Ok(Exit::Done)
}

/// What the inputs hold.
struct Inspected {
    summary: InspectSummary,
    found: Option<FoundFlows>,
    ledger: Ledger,
    warnings: Vec<String>,
}

fn execute(settings: &InspectSettings, global: &Global) -> Result<Inspected, Failure> {
    let names = std::sync::Arc::new(NameCounts::new());
    let mut survey = InspectSurvey::new();
    let mut finder = settings.flows.as_ref().map(flows::start).transpose()?;
    let looks = finder.is_some();
    let render = {
        let names = std::sync::Arc::clone(&names);
        move |exchange: Exchange, _: &mut Vec<u8>| {
            (names.facts(&exchange), looks.then(|| Box::new(exchange)))
        }
    };
    let done = Inputs::open(&settings.inputs, settings.reading.clone())?.render(
        global,
        render,
        |rendered| {
            rendered.drain().try_for_each(|(name, (facts, exchange), _)| {
                survey.add(name.id, facts);
                match exchange.zip(finder.as_mut()) {
                    Some((exchange, finder)) => {
                        finder.add(name.give(*exchange)).map_err(flows::cannot)
                    }
                    None => Ok(()),
                }
            })
        },
    )?;
    let done = done.require_exchanges()?;
    let found = finder.map(Finder::finish).transpose().map_err(flows::cannot)?;
    let summary = survey.finish(&names);
    Ok(Inspected { summary, found, ledger: done.ledger, warnings: done.warnings })
}
