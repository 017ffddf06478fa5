//! `shadowtap inspect`: what is in a capture or a recording, and what is damaged in it and why.

mod survey;
mod text;

use serde::Serialize;

use super::config::Config;
use super::input::{Inputs, Options};
use super::output::print;
use super::parse::Reading;
use super::{Exit, Failure, Global, flows, shown};
use crate::bind::find::{self, Finder, Found, Totals};
use crate::exchange::Exchange;
use crate::ledger::Ledger;
use crate::record::flows::Flow;
use crate::wire::h1::parser::Limits;
use survey::{Interner, Summary, Survey};

/// Shows what captures or recordings hold: span, exchanges, hosts, routes, status codes, rates,
/// latencies, and what is damaged.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  shadowtap inspect v1.pcap\n  shadowtap inspect v1.pcap --json | jq .completeness"
)]
pub struct Args {
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
    pub reading: Reading,
}

/// The checked form of [`Args`].
#[derive(Clone, Debug)]
struct Settings {
    inputs: Vec<String>,
    json: bool,
    /// How flows are found; none where messages are only counted.
    flows: Option<find::Config>,
    reading: Options,
}

/// The form of `--json`.
#[derive(Debug, Serialize)]
struct Report<'a> {
    format: &'static str,
    version: u32,
    inputs: &'a [String],
    warnings: &'a [String],
    #[serde(flatten)]
    summary: &'a Summary,
    /// What flows, as `flows.jsonl` of a run has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    flows: Option<&'a [Flow]>,
    /// What it comes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a Totals>,
    ledger: &'a Ledger,
}

pub(crate) fn run(args: Args, global: &Global) -> Result<Exit, Failure> {
    let mut reading = args.reading.options();
    let rules = Config::load(global)?.flow;
    let bind = rules.level();
    let flows = (!args.no_flows).then(|| flows::settings(rules, bind));
    if flows.is_none() {
        // Messages are counted, not looked at.
        reading.parse.http = Limits::outline();
    }
    let settings = Settings { inputs: args.inputs, json: args.json, flows, reading };
    let Seen { summary, found, ledger, warnings } = execute(&settings, global)?;
    let inputs = shown::shown_names(&settings.inputs);
    if settings.json {
        let report = Report {
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
        print(&text::page(&inputs, &summary, flows.as_deref(), &ledger, &warnings))?;
    }
    Ok(Exit::Done)
}

/// What the inputs hold.
struct Seen {
    summary: Summary,
    found: Option<Found>,
    ledger: Ledger,
    warnings: Vec<String>,
}

fn execute(settings: &Settings, global: &Global) -> Result<Seen, Failure> {
    let names = std::sync::Arc::new(Interner::new());
    let mut survey = Survey::new();
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
    Ok(Seen { summary, found, ledger: done.ledger, warnings: done.warnings })
}
