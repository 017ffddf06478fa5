//! Any INPUT of any command: captures and recordings, compressed or not, files, standard input or
//! URLs → exchanges.
//!
//! Captures are merged by time and parsed on all cores; recordings (JSONL) are merged by the times
//! of their requests.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::foreign;
use super::prints::Prints;
use super::recording::{Recording, began, merge};
use super::{ReadingShown, SourceError};
use crate::capture::PacketSource as _;
use crate::capture::file::{self, CaptureFile, Input};
use crate::capture::growing::Watch;
use crate::capture::merge::CaptureMerge;
use crate::exchange::{Exchange, Redacted};
use crate::ledger::Ledger;
use crate::limits;
use crate::parse::{self, Parse, Render, RoundOutput};
use crate::record::exchanges::{self, Header};
use crate::record::noted::LineNotes;
use crate::redact::Redactor;
use crate::stop::{Stop, UntilTold};
use crate::store::http::{download, is_url};
use crate::store::paths::{local_files, local_path};
use crate::store::remote::{Remote, is_store};
use crate::store::shown::{shown_names, without_secrets};
use crate::time::Timestamp;

/// How inputs are read.
#[derive(Clone, Debug, Default)]
pub struct InputOptions {
    /// How captures are parsed.
    pub parse: parse::ParseOptions,
    /// Nanoseconds that are added to the times of an input, by its name (two nodes with skewed
    /// clocks).
    pub offsets: BTreeMap<String, i64>,
    /// Ends the inputs early: once it is told they have no more.
    pub stop: Option<Arc<Stop>>,
    /// Told of the lines of an only input that is a recording in a file of its own.
    pub(crate) lines: Option<Arc<Mutex<LineNotes>>>,
}

/// Inputs, opened, their kinds known.
pub struct Inputs {
    names: Vec<String>,
    prints: Prints,
    captures: Vec<(Box<CaptureFile>, i64, Option<Timestamp>)>,
    recordings: Vec<Recording>,
    options: InputOptions,
    /// The only input, where it is a recording in a file of its own.
    original: Option<String>,
}

/// An input that is a recording in a file of its own, not compressed: it can be read again, and
/// may stand for what is read of it.
#[derive(Clone, Debug)]
pub(crate) struct Original {
    name: String,
    options: InputOptions,
}

impl Original {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        Path::new(&self.name)
    }

    /// Opens it again; `prints` are those of the first time.
    pub(crate) fn open(&self, prints: Prints) -> Result<Inputs, SourceError> {
        Inputs::open_with(std::slice::from_ref(&self.name), self.options.clone(), prints)
    }
}

/// What is known when all exchanges were taken.
#[derive(Clone, Debug, Default)]
pub struct ReadInputs {
    /// Names of the inputs.
    pub names: Vec<String>,
    /// Of those that cannot be read again, and of a recording that was read whole.
    pub prints: Prints,
    /// Whether the input was one recording, and its bytes are what was read.
    pub as_it_stands: bool,
    /// How many exchanges there were.
    pub exchanges: u64,
    /// The account of packets; of recordings, what their last lines say.
    pub ledger: Ledger,
    /// Lines for people about damage.
    pub warnings: Vec<String>,
    /// Connections that closed behind the last exchange.
    pub rest: exchanges::Rest,
    /// How the inputs were redacted: what their first lines say, each once; none for captures and
    /// others that are not.
    pub redactions: Vec<Option<Redacted>>,
}

impl ReadInputs {
    /// An input without an exchange is of no use to the commands that need some.
    pub fn require_exchanges(self) -> Result<Self, SourceError> {
        if self.exchanges > 0 {
            return Ok(self);
        }
        let mut reasons: Vec<_> = self.ledger.rejected.iter().collect();
        reasons.sort_by_key(|&(name, records)| (std::cmp::Reverse(records), name));
        let reasons: Vec<String> =
            reasons.iter().take(4).map(|(name, records)| format!("{records} {name}")).collect();
        let reasons =
            if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
        let names = self.names.join(", ");
        // What was found out on the way may be what to do about it.
        let advice = self.warnings.first().map(|advice| format!("; {advice}")).unwrap_or_default();
        let timeless = match self.ledger.rejected.contains_key("har-entry-without-time") {
            true => "; each entry needs a startedDateTime (\"2026-11-30T10:00:00.000Z\")",
            false => "",
        };
        let records = match self.ledger.input {
            0 => "it lists none".to_owned(),
            n => format!("{n} record{}", if n == 1 { "" } else { "s" }),
        };
        let why = format!("{records}{reasons}{timeless}{advice}");
        Err(SourceError::NoExchange { names, why })
    }
}

impl Inputs {
    /// Opens all inputs and finds their kinds.
    pub fn open(names: &[String], options: InputOptions) -> Result<Self, SourceError> {
        Self::open_with(names, options, Prints::default())
    }

    fn open_with(
        names: &[String],
        options: InputOptions,
        prints: Prints,
    ) -> Result<Self, SourceError> {
        if names.is_empty() {
            return Err(SourceError::NoInput);
        }
        if let Some(unknown) = options.offsets.keys().find(|name| !names.contains(name)) {
            return Err(SourceError::Offset(without_secrets(unknown)));
        }
        if names.iter().filter(|name| *name == "-").count() > 1 {
            return Err(SourceError::StdinTwice);
        }
        for path in &options.parse.keylogs {
            readable(path).map_err(|cause| SourceError::KeyLog { path: path.clone(), cause })?;
        }
        let names = &expanded(names)?;
        let mut inputs = Self {
            names: shown_names(names),
            prints,
            captures: Vec::new(),
            recordings: Vec::new(),
            options,
            original: None,
        };
        let many = names.len() > limits::OPEN_INPUTS;
        for name in names {
            inputs.open_one(name, many, names.len() == 1)?;
        }
        inputs.read_ahead();
        Ok(inputs)
    }

    /// Opens one of them: of `many` it is let go of until its time has come; where it is the
    /// `only` one, it may stand for what is read of it.
    fn open_one(&mut self, name: &str, many: bool, only: bool) -> Result<(), SourceError> {
        let skew = self.options.offsets.get(name).copied().unwrap_or_default();
        let shown = without_secrets(name);
        match self.found(name, &shown)? {
            Input::Packets(mut capture) => {
                let first = many.then(|| capture.park()).flatten();
                self.captures.push((capture, skew, first));
            }
            Input::Records(reader) => {
                let reader = foreign::as_exchanges(&shown, reader)?;
                let watch = Watch::new(Path::new(name));
                let reader = match only && skew == 0 && is_plain_recording(name) {
                    true => {
                        self.original = Some(name.to_owned());
                        let lines = self.options.lines.clone();
                        self.prints.of_lines(name, reader, lines)
                    }
                    false => reader,
                };
                let recording = Recording::new(shown, reader, skew).watched(watch);
                let recording = if many { recording.among_many() } else { recording };
                self.recordings.push(recording);
            }
        }
        Ok(())
    }

    /// Finds an input where its name says that it is, and what it is from its content.
    fn found(&mut self, name: &str, shown: &str) -> Result<Input, SourceError> {
        let stop = self.options.stop.clone();
        let found = if is_store(name) {
            let object = Remote::parse(name)?.read()?;
            let length = Some(object.length());
            let object = self.prints.of(name, UntilTold::new(object, stop));
            file::from_reader(shown, object, length)
        } else if is_url(name) {
            let mut file = download(name)?;
            let length = file.seek(io::SeekFrom::End(0)).ok();
            file.rewind().map_err(|cause| SourceError::Back { name: shown.to_owned(), cause })?;
            file::from_reader(shown, self.prints.of(name, UntilTold::new(file, stop)), length)
        } else if name == "-" {
            let stdin = UntilTold::stdin(stop).map_err(SourceError::Stdin)?;
            file::from_reader("standard input", self.prints.of(name, stdin), None)
        } else {
            file::open_until(name, stop)
        };
        Ok(found?)
    }

    /// Lets few recordings be read on all threads; of many each would hold lines of its own.
    fn read_ahead(&mut self) {
        let threads = self.options.parse.threads;
        if threads < 2 || self.recordings.is_empty() || self.recordings.len() > READ_AHEAD {
            return;
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|n| format!("read-{n}"));
        // Without threads they are read where they are taken.
        let Ok(pool) = pool.build().map(Arc::new) else { return };
        let recordings = std::mem::take(&mut self.recordings).into_iter();
        self.recordings = recordings.map(|one| one.ahead(Arc::clone(&pool))).collect();
    }

    /// Their names, as people see them.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// What was read from some inputs once more: the recording in `file` is as those were, down to
    /// its account.
    pub fn again(done: &ReadInputs, file: File, options: InputOptions) -> Self {
        let reader = Box::new(io::BufReader::with_capacity(1 << 20, file));
        let mut inputs = Self {
            names: done.names.clone(),
            prints: done.prints.clone(),
            captures: Vec::new(),
            recordings: vec![Recording::new(done.names.join(", "), reader, 0)],
            options: InputOptions { offsets: BTreeMap::new(), ..options },
            original: None,
        };
        inputs.read_ahead();
        inputs
    }

    /// How they are read.
    pub fn options(&self) -> &InputOptions {
        &self.options
    }

    /// The only input, where it is a recording in a file of its own.
    pub(crate) fn original(&self) -> Option<Original> {
        let name = self.original.clone()?;
        Some(Original { name, options: self.options.clone() })
    }

    /// The first line of the only recording, where nothing changes but its form: from or, where
    /// `to_frames`, to frames.
    pub(crate) fn converted(&mut self, to_frames: bool) -> Result<Option<Header>, SourceError> {
        let [recording] = self.recordings.as_mut_slice() else { return Ok(None) };
        if !self.captures.is_empty() || !self.options.offsets.is_empty() {
            return Ok(None);
        }
        if !recording.is_framed() && !to_frames {
            return Ok(None);
        }
        Ok(recording.header()?)
    }

    /// How the inputs are redacted, as far as it is known before they are read; as in
    /// [`ReadInputs::redactions`].
    pub fn redactions(&mut self) -> Result<Vec<Option<Redacted>>, SourceError> {
        let mut all: Vec<Option<Redacted>> = self.captures.iter().map(|_| None).collect();
        for recording in &mut self.recordings {
            all.push(recording.redacted()?);
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// Gives every exchange in order, rendered where it was made (on all cores), to `take`.
    pub fn render<R: Render, E: From<SourceError>>(
        self,
        shown: &impl ReadingShown,
        render: R,
        mut take: impl FnMut(&mut RoundOutput<R::Item>) -> Result<(), E>,
    ) -> Result<ReadInputs, E> {
        let Self { names, prints, captures, recordings, options, .. } = self;
        let mut done = ReadInputs { names, prints, ..ReadInputs::default() };
        done.redactions.extend((!captures.is_empty()).then_some(None));
        if captures.is_empty() {
            from_recordings(recordings, &render, &mut take, &mut done)?;
            return Ok(done);
        }
        let source = CaptureMerge::of_parked(captures);
        let mut show = shown.start(source.progress().1);
        if recordings.is_empty() {
            let mut parse = Parse::start(Box::new(source), &options.parse, render);
            while let Some(output) = parse.next_output().map_err(SourceError::Capture)? {
                done.exchanges += output.len() as u64;
                show(output.progress.0, output.packets, done.exchanges);
                take(output)?;
            }
            let summary = parse.summary().unwrap_or_default();
            (done.ledger, done.warnings, done.rest) =
                (summary.ledger, summary.warnings, summary.rest);
        } else {
            from_both(source, recordings, &options, &render, &mut take, &mut show, &mut done)?;
        }
        if done.ledger.input == 0 {
            let names = done.names.join(", ");
            let why =
                done.warnings.first().map(|warning| format!(" ({warning})")).unwrap_or_default();
            return Err(SourceError::NoPacket { names, why }.into());
        }
        Ok(done)
    }

    /// Gives every exchange in order to `take`, with what appends its line for `exchanges.jsonl`.
    /// Lines are rendered ahead on all cores, unless only `some` are wanted. Of the answers only
    /// their times and status may be there, unless `whole` exchanges are wanted: the lines of a
    /// single recording are kept as they stand and not read any further. With a redactor the lines
    /// are redacted, and what `take` gets is not.
    pub fn lines<E: From<SourceError>>(
        self,
        shown: &impl ReadingShown,
        redactor: Option<Redactor>,
        some: bool,
        whole: bool,
        mut take: impl FnMut(&Exchange, &dyn Fn(&mut Vec<u8>)) -> Result<(), E>,
    ) -> Result<ReadInputs, E> {
        let write_rest = |out: &mut Vec<u8>, exchange: &Exchange, redactor: Option<&Redactor>| {
            let Some(redactor) = redactor else { return exchanges::write_rest(out, exchange) };
            let mut redacted = exchange.clone();
            redactor.apply(&mut redacted);
            exchanges::write_rest(out, &redacted);
        };
        let is_plain = self.captures.is_empty() && self.recordings.len() == 1 && redactor.is_none();
        if whole || some && !is_plain {
            return self.each(shown, |exchange: Exchange| {
                take(&exchange, &|out| {
                    exchanges::write_name(out, exchange.id, &exchange.closed);
                    write_rest(out, &exchange, redactor.as_ref());
                })
            });
        }
        if !is_plain {
            let render = move |exchange: Exchange, rest: &mut Vec<u8>| {
                write_rest(rest, &exchange, redactor.as_ref());
                exchange
            };
            return self.render(shown, render, |output| {
                output.drain().try_for_each(|(name, exchange, rest)| {
                    let exchange = name.give(exchange);
                    take(&exchange, &|out| {
                        exchanges::write_name(out, exchange.id, &exchange.closed);
                        out.extend_from_slice(rest);
                    })
                })
            });
        }
        let mut done =
            ReadInputs { names: self.names, prints: self.prints, ..ReadInputs::default() };
        let mut merged = merge(self.recordings);
        let mut line = Vec::new();
        while let Some(recording) = merged.only() {
            line.clear();
            let next = recording.read_line(&mut line).map_err(SourceError::Recording)?;
            let Some(exchange) = next else { break };
            done.exchanges += 1;
            take(&exchange, &|out| out.extend_from_slice(&line))?;
        }
        done.redactions = merged.redactions();
        done.as_it_stands = merged.is_as_it_stands();
        (done.ledger, done.warnings, done.rest) = merged.account();
        Ok(done)
    }

    /// Gives every exchange in order to `take`.
    pub fn each<E: From<SourceError>>(
        self,
        shown: &impl ReadingShown,
        mut take: impl FnMut(Exchange) -> Result<(), E>,
    ) -> Result<ReadInputs, E> {
        self.render(
            shown,
            |exchange: Exchange, _: &mut Vec<u8>| exchange,
            |output| output.drain().try_for_each(|(name, exchange, _)| take(name.give(exchange))),
        )
    }
}

/// Captures and recordings together, by the times of their requests: the captures count as one
/// recording, the first one.
fn from_both<R: Render, E: From<SourceError>>(
    source: CaptureMerge,
    recordings: Vec<Recording>,
    options: &InputOptions,
    render: &R,
    take: &mut impl FnMut(&mut RoundOutput<R::Item>) -> Result<(), E>,
    show: &mut impl FnMut(u64, u64, u64),
    done: &mut ReadInputs,
) -> Result<(), E> {
    let mut parse =
        Parse::start(Box::new(source), &options.parse, |exchange: Exchange, _: &mut Vec<u8>| {
            exchange
        });
    let mut recorded = merge(recordings);
    let mut next = recorded.next().transpose().map_err(SourceError::Recording)?;
    // Connections of the captures get even numbers, those of recordings odd ones.
    let number = |odd: u64| move |connection: u64| connection.saturating_mul(2).saturating_add(odd);
    let mut hand_on = |exchanges: Vec<Exchange>, done: &mut ReadInputs| {
        done.exchanges += exchanges.len() as u64;
        if exchanges.is_empty() {
            return Ok(());
        }
        let mut output = RoundOutput::empty();
        output.refill(exchanges.into_iter().map(Ok::<_, E>), render)?;
        take(&mut output)
    };
    while let Some(output) = parse.next_output().map_err(SourceError::Capture)? {
        show(output.progress.0, output.packets, done.exchanges);
        let mut both = Vec::with_capacity(output.len());
        for (name, exchange, _) in output.drain() {
            let mut exchange = name.give(exchange);
            let until = began(&exchange);
            while let Some(mut earlier) = next.take_if(|next| began(next) < until) {
                earlier.renumber(number(1));
                both.push(earlier);
                next = recorded.next().transpose().map_err(SourceError::Recording)?;
            }
            exchange.renumber(number(0));
            both.push(exchange);
        }
        hand_on(both, done)?;
    }
    while let Some(first) = next.take() {
        let more = recorded.by_ref().take(TOGETHER);
        let mut rest: Vec<Exchange> = std::iter::once(Ok(first))
            .chain(more)
            .collect::<Result<_, _>>()
            .map_err(SourceError::Recording)?;
        rest.iter_mut().for_each(|exchange| exchange.renumber(number(1)));
        hand_on(rest, done)?;
        next = recorded.next().transpose().map_err(SourceError::Recording)?;
    }
    let summary = parse.summary().unwrap_or_default();
    done.redactions.extend(recorded.redactions());
    let (ledger, warnings, rest) = recorded.account();
    (done.ledger, done.warnings) = (summary.ledger, summary.warnings);
    done.ledger.merge(&ledger);
    done.warnings.extend(warnings);
    done.rest = summary.rest.renumbered(number(0)).and(rest.renumbered(number(1)));
    Ok(())
}

/// Most recordings that are read ahead.
const READ_AHEAD: usize = 4;

/// Exchanges of recordings that are rendered and handed on together: few enough that they stay in
/// the processor's cache.
const TOGETHER: usize = 32;

fn from_recordings<R: Render, E: From<SourceError>>(
    recordings: Vec<Recording>,
    render: &R,
    take: &mut impl FnMut(&mut RoundOutput<R::Item>) -> Result<(), E>,
    done: &mut ReadInputs,
) -> Result<(), E> {
    let mut merged = merge(recordings);
    let mut output = RoundOutput::empty();
    loop {
        output.refill(merged.by_ref().take(TOGETHER), render).map_err(SourceError::Recording)?;
        if output.is_empty() {
            break;
        }
        done.exchanges += output.len() as u64;
        take(&mut output)?;
    }
    done.redactions = merged.redactions();
    done.as_it_stands = merged.is_as_it_stands();
    (done.ledger, done.warnings, done.rest) = merged.account();
    Ok(())
}

/// Whether a file is a recording as it stands: not compressed, and of this program.
fn is_plain_recording(name: &str) -> bool {
    const START: &[u8] = b"{\"format\":\"shadowtap/exchanges\"";
    let is_file = Path::new(name).metadata().is_ok_and(|data| data.is_file());
    let mut start = [0; START.len()];
    is_file
        && File::open(name).is_ok_and(|mut file| file.read_exact(&mut start).is_ok())
        && start == START
}

/// Whether a file can be read, without opening it: what a pipe holds is read once.
fn readable(path: &Path) -> io::Result<()> {
    if path.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(rustix::fs::access(path, rustix::fs::Access::READ_OK)?)
}

/// The inputs with what prefixes and patterns of a store stand for; of `file://` the path.
fn expanded(names: &[String]) -> Result<Vec<String>, SourceError> {
    let mut all = Vec::with_capacity(names.len());
    for name in names {
        if let Some(path) = local_path(name)? {
            all.extend(local_files(&path)?);
        } else if is_store(name) {
            all.extend(Remote::parse(name)?.expand()?.iter().map(Remote::url));
        } else if Path::new(name).is_dir() {
            return Err(SourceError::Folder(name.into()));
        } else {
            all.push(name.clone());
        }
    }
    Ok(all)
}
