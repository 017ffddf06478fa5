//! `shadowtap flows`: the values that v1's answers issue and later requests use, and what of them
//! can be bound to v2's own.

pub(super) mod text;

use serde::Serialize;

use super::config::Config;
use super::output::print;
use super::reading::ReadingFlags;
use super::{Exit, Failure, Global};
use crate::bind::Parts as _;
use crate::bind::config::{Bind, FlowSection};
use crate::bind::find::{self, Finder, FoundFlows, Order};
use crate::exchange::ExchangeId;
use crate::message::protobuf::Schema;
use crate::record::exchanges::write_line;
use crate::redact::Masker;
use crate::source::Inputs;

/// Bytes of lines that are printed together.
const PRINTED: usize = 1 << 20;

/// Show the values that v1's answers issue and later requests use
///
/// Ids, tokens, cookies, entity tags and cursors: where each is born and used, how sure that is,
/// and what cannot be bound to the values that v2 issues in their place. Nothing is replayed. No
/// value is shown, only routes and places.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  shadowtap flows v1.pcap\n  shadowtap flows v1.jsonl --json | jq -r \
        .from.route\n  \
                  shadowtap flows v1.pcap --bind likely"
)]
pub struct FlowsArgs {
    /// Captures (pcap, pcapng) or recordings (JSONL, HAR, .gor, access logs, curl lines, Postman),
    /// plain, gzip or zstd; a URL; - is standard input
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<String>,
    /// Print one JSON object a flow, as flows.jsonl of a run has them
    #[arg(help_heading = "Output", long)]
    pub json: bool,
    /// Print one JSON object a use instead: the request and the place, the answer and the place
    /// that it has the value from
    #[arg(help_heading = "Output", long, conflicts_with = "json")]
    pub uses: bool,
    /// With --uses: show the values, which may be secret
    #[arg(help_heading = "Output", long, requires = "uses")]
    pub show_secrets: bool,
    /// Which flows count as bound: sure, likely or off [default: sure]
    #[arg(help_heading = "State", long, value_name = "CLASS")]
    pub bind: Option<Bind>,
    /// How the inputs are read
    #[command(flatten)]
    pub reading: ReadingFlags,
}

pub(crate) fn run(args: FlowsArgs, global: &Global) -> Result<Exit, Failure> {
    let Config { flow: rules, schema, .. } = Config::load(global)?;
    let bind = args.bind.unwrap_or_else(|| rules.level());
    let config = settings(rules, schema, bind);
    let mut finder = start(&config)?;
    let inputs = Inputs::open(&args.inputs, args.reading.options())?;
    let done = inputs.each(global, |exchange| finder.add(exchange).map_err(cannot))?;
    let done = done.require_exchanges()?;
    for warning in &done.warnings {
        tracing::warn!("{warning}");
    }
    let found = finder.finish().map_err(cannot)?;
    if args.uses {
        print_uses(&found, args.show_secrets)?;
    } else {
        print(&if args.json { lines(&found) } else { text::page(&found) })?;
    }
    Ok(Exit::Done)
}

/// A line of `--uses`.
#[derive(Serialize)]
struct UseLine<'a> {
    id: ExchangeId,
    place: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<[u32; 2]>,
    from: ExchangeId,
    born: String,
    flow: u32,
    value: &'a str,
}

/// Prints all uses, in the order of the recording.
fn print_uses(found: &FoundFlows, show_secrets: bool) -> Result<(), Failure> {
    let masker = if show_secrets { Masker::off() } else { Masker::random() };
    let mut out = Vec::new();
    for part in found.parts.iter() {
        let part = part.map_err(cannot)?;
        for used in &part.uses {
            let giving = found.parts.part(used.from).map_err(cannot)?.unwrap_or_default();
            let Some(birth) = giving.births.iter().find(|birth| birth.slot == used.slot) else {
                continue;
            };
            let line = UseLine {
                id: part.exchange,
                place: used.place.to_string(),
                range: used.range.as_ref().map(|range| [range.start, range.end]),
                from: used.from,
                born: birth.place.to_string(),
                flow: used.flow,
                value: &masker.secret(&birth.text),
            };
            write_line(&mut out, &line);
        }
        if out.len() >= PRINTED {
            print(&String::from_utf8_lossy(&out))?;
            out.clear();
        }
    }
    print(&String::from_utf8_lossy(&out))
}

/// How flows are found where they are only shown.
pub(super) fn settings(rules: FlowSection, schema: Schema, bind: Bind) -> find::FindConfig {
    find::FindConfig { rules, schema, bind, order: Order::Session, folder: std::env::temp_dir() }
}

/// A finder, for exchanges as they are read.
pub(super) fn start(config: &find::FindConfig) -> Result<Finder<'_>, Failure> {
    Finder::new(config).map_err(cannot)
}

/// A temporary file that cannot be used.
pub(super) fn cannot(error: std::io::Error) -> Failure {
    let folder = std::env::temp_dir();
    Failure::unusable(format!(
        "cannot use a temporary file in {}: set TMPDIR to a folder with more room",
        folder.display()
    ))
    .because(&error)
}

/// The lines of `flows.jsonl`.
pub(super) fn lines(found: &FoundFlows) -> String {
    let mut out = Vec::new();
    found.flows.iter().for_each(|flow| write_line(&mut out, flow));
    write_line(&mut out, &found.figures());
    String::from_utf8(out).expect("JSON is UTF-8")
}
