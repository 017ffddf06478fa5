//! `shadowtap parse`: captures → exchanges.

use std::sync::Arc;

use super::account::{COMPLETENESS, ledger_table};
use super::config::Config;
use super::exit::printable;
use super::output::{Output, print};
use super::reading::ReadingFlags;
use super::redaction::{self, RedactionFlags};
use super::signals::{self, Grace};
use super::{Exit, Failure, Global, export, log};
use crate::exchange::{Completeness, Exchange};
use crate::limits;
use crate::parse::RoundOutput;
use crate::record::exchanges;
use crate::record::exchanges::{End, Header};
use crate::record::form::{OtherForm, RecordingForm};
use crate::record::framed;
use crate::redact::Redactor;
use crate::source::{InputOptions, Inputs, ReadInputs};
use crate::wire::h1::parser::BODY_KEPT_IN_PART;

/// Rebuilds the HTTP exchanges of captures.
///
/// Several inputs are merged by time. The output is the same for any number of threads.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shadowtap parse v1.pcap -o exchanges.jsonl
  shadowtap parse node1.pcap node2.pcap.zst --offset node2.pcap.zst=-3ms \\
      --port 8080 -o - | jq .response.status")]
pub struct ParseArgs {
    /// Captures (pcap, pcapng) or recordings (JSONL, .stx, HAR, .gor, access logs, curl lines,
    /// Postman), plain, gzip or zstd; a URL; - is standard input
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<String>,
    /// Where the exchanges go: .jsonl, .stx (frames, for speed), .har or .gor by name (.zst and .gz
    /// are compressed); - is standard output
    #[arg(help_heading = "Output", short, long, value_name = "FILE")]
    pub output: String,
    /// How the inputs are read
    #[command(flatten)]
    pub reading: ReadingFlags,
    /// What is taken out of them
    #[command(flatten)]
    pub redaction: RedactionFlags,
}

/// The checked form of [`ParseArgs`].
#[derive(Clone, Debug)]
pub(crate) struct ParseSettings {
    pub(crate) inputs: Vec<String>,
    pub(crate) output: String,
    pub(crate) reading: InputOptions,
    pub(crate) redactor: Option<Redactor>,
}

/// What was made.
#[derive(Debug)]
pub(crate) struct ParsedFile {
    pub(crate) done: ReadInputs,
    /// By [`Completeness`], in its order.
    pub(crate) completeness: [u64; 5],
    pub(crate) interrupted: bool,
    to_stdout: bool,
}

pub(crate) fn run(args: ParseArgs, global: &Global) -> Result<Exit, Failure> {
    let redactor = args.redaction.redactor(Config::load(global)?.schema)?;
    let settings = ParseSettings {
        reading: args.reading.options(),
        inputs: args.inputs,
        output: args.output,
        redactor,
    };
    let parsed = execute(&settings, global)?;
    let text = summary(&parsed, &settings.output);
    // The records go to standard output, so the account goes elsewhere.
    match parsed.to_stdout {
        true => log::say(global, text.trim_end()),
        false => print(&text)?,
    }
    Ok(if parsed.interrupted { Exit::Interrupted } else { Exit::Done })
}

/// Parses the inputs into the output.
pub(crate) fn execute(settings: &ParseSettings, global: &Global) -> Result<ParsedFile, Failure> {
    let stop = signals::word()?;
    let _grace = Grace::ask();
    let reading = InputOptions { stop: Some(Arc::clone(&stop)), ..settings.reading.clone() };
    let mut inputs = Inputs::open(&settings.inputs, reading)?;
    let form = form_of(&settings.output)?;
    let output = Output::create(&settings.output)?;
    let redactor = settings.redactor.as_ref();
    let is_framed = form == RecordingForm::Framed;
    if !is_framed && form != RecordingForm::Exchanges {
        let converted = export::convert(inputs, output, form, redactor, &stop, global)?;
        let export::Converted { done, completeness, interrupted, .. } = converted;
        return Ok(ParsedFile { done, completeness, interrupted, to_stdout: false });
    }
    // What only changes its form says of itself what it said.
    let before = match redactor {
        None => inputs.converted(is_framed)?,
        Some(_) => None,
    };
    let converts = before.is_some();
    let header = match before {
        Some(before) => before,
        None => redaction::header(&mut inputs, redactor)?,
    };
    let to_stdout = output.is_stdout();
    let mut recording = RecordingWriter::begin(output, is_framed, &header)?;
    let render = {
        let redactor = redactor.cloned();
        move |mut exchange: Exchange, text: &mut Vec<u8>| {
            if let Some(redactor) = &redactor {
                redactor.apply(&mut exchange);
            }
            match is_framed {
                true => framed::encode(&exchange, text),
                false => exchanges::write_rest(text, &exchange),
            }
            let in_part = exchange.marks.iter().filter(|mark| mark.contains(BODY_KEPT_IN_PART));
            RenderedFate { completeness: exchange.completeness, in_part: in_part.count() as u64 }
        }
    };
    let done = inputs.render(global, render, |rendered| {
        recording.take(rendered)?;
        if stop.is_told() { Err(Failure::new(Exit::Interrupted, "interrupted")) } else { Ok(()) }
    });
    let completeness = recording.completeness;
    let done = match done {
        _ if stop.is_told() => {
            // Without its last line the file says that it is not whole.
            recording.output.finish()?;
            let done = ReadInputs::default();
            return Ok(ParsedFile { done, completeness, interrupted: true, to_stdout });
        }
        Ok(done) => done,
        Err(failure) => return Err(recording.output.full(failure)),
    };
    let kept_in_part = if converts { 0 } else { recording.kept_in_part };
    let mut done = accounted(done, kept_in_part, redactor)?;
    let rest = std::mem::take(&mut done.rest);
    recording.end(&End::new(done.exchanges, done.ledger.clone(), rest))?;
    Ok(ParsedFile { done, completeness, interrupted: false, to_stdout })
}

/// The form that the output's name asks for.
fn form_of(output: &str) -> Result<RecordingForm, Failure> {
    match RecordingForm::of(output) {
        Ok(RecordingForm::K6 | RecordingForm::Curl) => Err(Failure::usage(format!(
            "{output}: parse writes whole exchanges; requests alone are written by shadowtap export"
        ))),
        Ok(form) => Ok(form),
        Err(OtherForm(other)) => Err(Failure::usage(format!(
            "{output}: parse writes exchanges, no .{other}: name the output .jsonl, .stx, .har or \
             .gor, each with .zst or .gz too"
        ))),
    }
}

/// What was read, with its account complete; warns of what is damaged or not whole.
fn accounted(
    done: ReadInputs,
    kept_in_part: u64,
    redactor: Option<&Redactor>,
) -> Result<ReadInputs, Failure> {
    for warning in &done.warnings {
        tracing::warn!("{}", printable(warning));
    }
    let missing = done.ledger.balance();
    if missing != 0 {
        return Err(Failure::unusable(format!(
            "{missing} packets are neither used nor rejected: this is a fault of shadowtap"
        )));
    }
    let mut done = done.require_exchanges()?;
    if kept_in_part > 0 {
        done.ledger.note("bodies-kept-in-part", kept_in_part);
        tracing::warn!(
            "{kept_in_part} bodies are longer than {} MiB: their beginning is kept, with their \
             length and hash; such requests cannot be replayed",
            limits::BODY_BYTES >> 20
        );
    }
    if let Some(warning) = redaction::unsearched(redactor) {
        let unsearched = redactor.map(Redactor::unsearched).unwrap_or_default();
        done.ledger.note("bodies-not-searched", unsearched.bodies);
        done.ledger.note("bytes-not-searched", unsearched.bytes);
        tracing::warn!("{warning}");
    }
    Ok(done)
}

/// What is counted of an exchange that was rendered.
struct RenderedFate {
    completeness: Completeness,
    /// Bodies of which the beginning is kept.
    in_part: u64,
}

/// Writes a recording, as lines or as frames.
struct RecordingWriter {
    output: Output,
    frames: Option<framed::FrameWriter>,
    /// What comes next, between two writes.
    line: Vec<u8>,
    completeness: [u64; 5],
    kept_in_part: u64,
}

impl RecordingWriter {
    fn begin(mut output: Output, is_framed: bool, header: &Header) -> Result<Self, Failure> {
        let mut line = Vec::new();
        let frames = is_framed.then(|| framed::FrameWriter::begin(header, &mut line));
        if frames.is_none() {
            exchanges::write_line(&mut line, header);
        }
        output.write(&line)?;
        line.clear();
        Ok(Self { output, frames, line, completeness: [0; 5], kept_in_part: 0 })
    }

    /// Writes the exchanges of a round.
    fn take(&mut self, rendered: &mut RoundOutput<RenderedFate>) -> Result<(), Failure> {
        if self.frames.is_none() {
            self.output.write_all(rendered.lines())?;
        }
        for (name, fate, encoded) in rendered.drain() {
            self.completeness[fate.completeness as usize] += 1;
            self.kept_in_part += fate.in_part;
            if let Some(frames) = &mut self.frames {
                frames.add(name.id, &name.closed, encoded, &mut self.line);
            }
        }
        if !self.line.is_empty() {
            self.output.write(&self.line)?;
            self.line.clear();
        }
        Ok(())
    }

    fn end(mut self, end: &End) -> Result<(), Failure> {
        match &mut self.frames {
            Some(frames) => frames.end(end, &mut self.line),
            None => exchanges::write_line(&mut self.line, end),
        }
        self.output.write(&self.line)?;
        self.output.finish()
    }
}

/// What people read at the end.
fn summary(parsed: &ParsedFile, output: &str) -> String {
    use std::fmt::Write as _;
    let total: u64 = parsed.completeness.iter().sum();
    let mut text = format!("{total} exchange{}", if total == 1 { "" } else { "s" });
    if !parsed.to_stdout {
        let _ = write!(text, " in {}", printable(output));
    }
    let names = COMPLETENESS.iter().zip(parsed.completeness).filter(|&(_, count)| count > 0);
    let parts: Vec<String> = names.map(|(how, count)| format!("{count} {}", how.name())).collect();
    let _ = writeln!(text, ": {}", parts.join(", "));
    if parsed.interrupted {
        text.push_str("interrupted: the rest of the input was not read\n");
        return text;
    }
    text.push_str(&ledger_table(&parsed.done.ledger));
    text
}
