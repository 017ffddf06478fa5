//! `shadowtap inspect`: what is in a capture or a recording, and what is damaged in it and why.

mod survey;
mod text;

use serde::Serialize;

use super::input::{Inputs, Options};
use super::output::print;
use super::parse::Reading;
use super::{Exit, Failure, Global, shown};
use crate::exchange::Exchange;
use crate::ledger::Ledger;
use crate::wire::h1::parser::Limits;
use survey::{Interner, Summary, Survey};

/// Shows what captures or recordings hold: span, exchanges, hosts, routes, status codes, rates,
/// latencies, and what is damaged.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  shadowtap inspect v1.pcap\n  shadowtap inspect v1.pcap --json | jq .completeness"
)]
pub struct Args {
    /// Captures (pcap, pcapng) or recordings (JSONL), plain, gzip or zstd; a URL; - is standard
    /// input
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<String>,
    /// Print everything as JSON
    #[arg(help_heading = "Output", long)]
    pub json: bool,
    /// How the inputs are read
    #[command(flatten)]
    pub reading: Reading,
}

/// The checked form of [`Args`].
#[derive(Clone, Debug)]
struct Settings {
    inputs: Vec<String>,
    json: bool,
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
    ledger: &'a Ledger,
}

pub(crate) fn run(args: Args, global: &Global) -> Result<Exit, Failure> {
    let mut reading = args.reading.options();
    // Messages are counted, not looked at.
    reading.parse.http = Limits::outline();
    let settings = Settings { inputs: args.inputs, json: args.json, reading };
    let (summary, ledger, warnings) = execute(&settings, global)?;
    let inputs = shown::shown_names(&settings.inputs);
    if settings.json {
        let report = Report {
            format: "shadowtap/inspect",
            version: 1,
            inputs: &inputs,
            warnings: &warnings,
            summary: &summary,
            ledger: &ledger,
        };
        let mut text = serde_json::to_string_pretty(&report).expect("names and figures serialise");
        text.push('\n');
        print(&text)?;
    } else {
        print(&text::page(&inputs, &summary, &ledger, &warnings))?;
    }
    Ok(Exit::Done)
}

fn execute(
    settings: &Settings,
    global: &Global,
) -> Result<(Summary, Ledger, Vec<String>), Failure> {
    let names = std::sync::Arc::new(Interner::new());
    let mut survey = Survey::new();
    let render = {
        let names = std::sync::Arc::clone(&names);
        move |exchange: Exchange, _: &mut Vec<u8>| names.facts(&exchange)
    };
    let done = Inputs::open(&settings.inputs, settings.reading.clone())?.render(
        global,
        render,
        |rendered| {
            rendered.drain().for_each(|(name, facts, _)| survey.add(name.id, facts));
            Ok(())
        },
    )?;
    let done = done.require_exchanges()?;
    Ok((survey.finish(&names), done.ledger, done.warnings))
}
