//! `shadowtap export DIR|INPUT -o FILE`: recorded exchanges in another tool's form.

use std::collections::BTreeSet;

use super::args::exchange_id;
use super::config::Config;
use super::exit::printable;
use super::output::{Output, print};
use super::reading::ReadingFlags;
use super::redaction::{self, RedactionFlags};
use super::remote::RunPlace;
use super::signals::{self, Grace};
use super::{Exit, Failure, Global, log};
use crate::exchange::ExchangeId;
use crate::record::form::{FormWriter, OtherForm, RecordingForm};
use crate::record::gor::Written;
use crate::redact::Redactor;
use crate::schedule::select::{Choice, SelectRule, Selection};
use crate::source::{InputOptions, Inputs, ReadInputs};
use crate::stop::Stop;

/// Write recorded exchanges for another tool
///
/// The name chooses: .har for browsers and proxies, .gor for GoReplay, .js for k6 (the requests at
/// their times), .sh for curl lines, .jsonl for exchanges; .zst and .gz compress. Of a run's folder
/// it takes what was recorded of v1. What it writes holds the secrets of the recording: take them
/// out by --redact.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shadowtap export reports/v2 -o v1.har
  shadowtap export v1.pcap -o load.js --include 'GET /search' \\
      && k6 run -e TARGET=http://v2.staging:8080 load.js
  shadowtap export reports/v2 -o lines.sh --id 12-3,13-0 --redact default")]
pub struct ExportArgs {
    /// Folder of a run, or captures and recordings; - is standard input
    #[arg(required = true, value_name = "DIR|INPUT")]
    inputs: Vec<String>,
    /// Only what matches: METHOD PATH-REGEX, header:NAME=REGEX or cookie:NAME=REGEX (repeat for
    /// more)
    #[arg(help_heading = "Which requests", long, value_name = "RULE")]
    include: Vec<SelectRule>,
    /// Not what matches (repeat for more)
    #[arg(help_heading = "Which requests", long, value_name = "RULE")]
    exclude: Vec<SelectRule>,
    /// Only requests for this host, or for all below it by *.HOST (repeat for more)
    #[arg(help_heading = "Which requests", long, value_name = "H")]
    host: Vec<String>,
    /// Only these exchanges, by their ids
    #[arg(help_heading = "Which requests", long, value_name = "ID,…", value_delimiter = ',',
        value_parser = exchange_id)]
    id: Vec<ExchangeId>,
    /// How the inputs are read
    #[command(flatten)]
    reading: ReadingFlags,
    /// What is taken out of them
    #[command(flatten)]
    redaction: RedactionFlags,
    /// File to write: its ending chooses the form
    #[arg(help_heading = "Output", short, long, value_name = "FILE")]
    output: String,
}

pub(super) fn run(args: ExportArgs, global: &Global) -> Result<Exit, Failure> {
    let form = RecordingForm::of(&args.output).map_err(|OtherForm(other)| {
        Failure::usage(format!(
            "{}: exchanges cannot be written as .{other}: name the output .har, .gor, .js (k6), \
             .sh (curl), .stx or .jsonl, each with .zst or .gz too",
            args.output
        ))
    })?;
    let redactor = args.redaction.redactor(Config::load(global)?.schema)?;
    let selection = Selection {
        include: args.include,
        exclude: args.exclude,
        hosts: args.host,
        ids: in_order(args.id),
        unsafe_methods: true,
        no_sockets: Some("upgrade to websocket: what follows is not HTTP"),
        ..Selection::default()
    };
    let stop = signals::word()?;
    let _grace = Grace::ask();
    let inputs: Vec<String> =
        args.inputs.iter().map(|name| of_run(name)).collect::<Result<_, _>>()?;
    let reading =
        InputOptions { stop: Some(std::sync::Arc::clone(&stop)), ..args.reading.options() };
    let inputs = Inputs::open(&inputs, reading)?;
    let output = Output::create(&args.output)?;
    let to_stdout = output.is_stdout();
    let part = ExportPart { form, redactor: redactor.as_ref(), selection: Some(&selection) };
    let converted = part.write(inputs, output, &stop, global)?;
    let text = format!(
        "{} as {} in {}{}\n",
        counted(converted.written, "exchange", "exchanges"),
        form.name(),
        printable(&args.output),
        if converted.passed > 0 {
            format!("; {} not chosen", counted(converted.passed, "was", "were"))
        } else {
            String::new()
        }
    );
    match to_stdout {
        true => log::say(global, text.trim_end()),
        false => print(&text)?,
    }
    Ok(if converted.interrupted { Exit::Interrupted } else { Exit::Done })
}

/// As a selection wants them.
fn in_order(mut ids: Vec<ExchangeId>) -> Vec<ExchangeId> {
    ids.sort_unstable();
    ids
}

/// A count with its noun.
fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// The recording of a run; any other input is itself.
fn of_run(name: &str) -> Result<String, Failure> {
    Ok(RunPlace::recording(name)?.unwrap_or_else(|| name.to_owned()))
}

/// What was written.
pub(super) struct Converted {
    pub(super) done: ReadInputs,
    /// By completeness, in its order.
    pub(super) completeness: [u64; 5],
    /// Exchanges that are in the file.
    pub(super) written: u64,
    /// Exchanges that were not chosen.
    pub(super) passed: u64,
    pub(super) interrupted: bool,
}

/// All exchanges of `inputs` in a form.
pub(super) fn convert(
    inputs: Inputs,
    output: Output,
    form: RecordingForm,
    redactor: Option<&Redactor>,
    stop: &Stop,
    global: &Global,
) -> Result<Converted, Failure> {
    ExportPart { form, redactor, selection: None }.write(inputs, output, stop, global)
}

/// Which exchanges are written, and how.
struct ExportPart<'a> {
    form: RecordingForm,
    redactor: Option<&'a Redactor>,
    selection: Option<&'a Selection>,
}

impl ExportPart<'_> {
    fn write(
        &self,
        mut inputs: Inputs,
        mut output: Output,
        stop: &Stop,
        global: &Global,
    ) -> Result<Converted, Failure> {
        let mut text = Vec::new();
        let header = redaction::header(&mut inputs, self.redactor)?;
        let mut writer = FormWriter::begin(self.form, &header, &mut text);
        let (mut completeness, mut left_out, mut passed, mut written) = ([0; 5], 0u64, 0u64, 0u64);
        let mut unanswered = 0u64;
        let asked = self.selection.map(|selection| &selection.ids[..]).unwrap_or_default();
        let mut missing: BTreeSet<ExchangeId> = asked.iter().copied().collect();
        let done = inputs.each(global, |mut exchange| {
            missing.remove(&exchange.id);
            if self.leaves(&exchange) {
                passed += 1;
                return Ok(());
            }
            if let Some(redactor) = self.redactor {
                redactor.apply(&mut exchange);
            }
            completeness[exchange.completeness as usize] += 1;
            match writer.write(&mut text, &exchange) {
                Written::Nothing => left_out += 1,
                as_far => {
                    written += 1;
                    unanswered += u64::from(as_far == Written::WithoutAnswer);
                }
            }
            output.write(&text)?;
            text.clear();
            match stop.is_told() {
                true => Err(Failure::new(Exit::Interrupted, "interrupted")),
                false => Ok(()),
            }
        })?;
        writer.end(&done.ledger, &mut text);
        output.write(&text)?;
        done.warnings.iter().for_each(|warning| tracing::warn!("{}", printable(warning)));
        let done = done.require_exchanges()?;
        if let Some(first) = missing.first() {
            let others = match missing.len() {
                1 => String::new(),
                n => format!(" (nor {} of the others)", n - 1),
            };
            let said = format!("--id: no exchange {first} in the inputs{others}");
            if written == 0 {
                return Err(Failure::unusable(said));
            }
            tracing::warn!("{said}");
        }
        if written == 0 && !matches!(self.form, RecordingForm::Exchanges | RecordingForm::Framed) {
            return Err(Failure::unusable(format!(
                "nothing to write: of {} exchanges {passed} were not chosen, and {left_out} cannot \
                 be told as {}",
                done.exchanges,
                self.form.name()
            )));
        }
        if left_out > 0 {
            tracing::warn!(
                "left out: {} without a request, or without all of it, which {} cannot hold",
                counted(left_out, "exchange", "exchanges"),
                self.form.name()
            );
        }
        if unanswered > 0 {
            tracing::warn!(
                "{} without the answer: not all of it is known, which {} cannot say",
                counted(unanswered, "request is written", "requests are written"),
                self.form.name()
            );
        }
        output.finish()?;
        Ok(Converted { done, completeness, written, passed, interrupted: stop.is_told() })
    }

    fn leaves(&self, exchange: &crate::exchange::Exchange) -> bool {
        self.selection.is_some_and(|selection| {
            // Who names exchanges wants these, and not what led to them.
            let is_another = !selection.ids.is_empty() && !selection.ids.contains(&exchange.id);
            is_another || matches!(selection.choose(exchange), Choice::Leave(_))
        })
    }
}
