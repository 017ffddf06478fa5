//! Any INPUT of any command: captures and recordings, compressed or not, files, standard input or
//! URLs → exchanges.
//!
//! Captures are merged by time and parsed on all cores; recordings (JSONL) are merged by the times
//! of their requests.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, Read, Seek as _, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex};

use sha2::Digest as _;

use super::folder::{InputInfo, recording_of};
use super::progress::Progress;
use super::remote::{local_files, local_path, store_failure};
use super::shown::{shown_names, without_secrets};
use super::{Exit, Failure, Global};
use crate::capture::file::{self, CaptureFile, Input};
use crate::capture::growing::Watch;
use crate::capture::merge::CaptureMerge;
use crate::capture::{CaptureError, PacketSource};
use crate::exchange::Exchange;
use crate::exchange::Redacted;
use crate::ledger::Ledger;
use crate::limits;
use crate::message::encoding::hex;
use crate::parse::{self, Parse, Render, RoundOutput};
use crate::record::exchanges::{self, Header};
use crate::record::noted::LineNotes;
use crate::redact::Redactor;
use crate::source::foreign;
use crate::source::recording::{Recording, RecordingError, began, merge};
use crate::stop::{Stop, UntilTold};
use crate::store::nameless_file;
use crate::store::remote::{Remote, is_store};
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
    pub(crate) fn open(&self, prints: Prints) -> Result<Inputs, Failure> {
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
    pub fn require_exchanges(self) -> Result<Self, Failure> {
        if self.exchanges > 0 {
            return Ok(self);
        }
        let mut reasons: Vec<_> = self.ledger.rejected.iter().collect();
        reasons.sort_by_key(|&(name, packets)| (std::cmp::Reverse(packets), name));
        let reasons: Vec<String> =
            reasons.iter().take(4).map(|(name, packets)| format!("{packets} {name}")).collect();
        let reasons =
            if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
        let names = self.names.join(", ");
        // What was found out on the way may be what to do about it.
        let advice = self.warnings.first().map(|advice| format!("; {advice}")).unwrap_or_default();
        Err(Failure::unusable(format!(
            "no HTTP exchange in {names}: {} packets{reasons}{advice}",
            self.ledger.input
        )))
    }
}

impl Inputs {
    /// Opens all inputs and finds their kinds.
    pub fn open(names: &[String], options: InputOptions) -> Result<Self, Failure> {
        Self::open_with(names, options, Prints::default())
    }

    fn open_with(names: &[String], options: InputOptions, prints: Prints) -> Result<Self, Failure> {
        if names.is_empty() {
            return Err(Failure::usage(
                "no input: give a capture, a recording, a URL, or - for standard input",
            ));
        }
        if let Some(unknown) = options.offsets.keys().find(|name| !names.contains(name)) {
            return Err(Failure::usage(format!(
                "--offset names {}, which is not among the inputs",
                without_secrets(unknown)
            )));
        }
        if names.iter().filter(|name| *name == "-").count() > 1 {
            return Err(Failure::usage("standard input (-) can be read only once"));
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
            let skew = inputs.options.offsets.get(name).copied().unwrap_or_default();
            let shown = without_secrets(name);
            let stop = inputs.options.stop.clone();
            let opened = if is_store(name) {
                let object = Remote::parse(name).and_then(|object| object.read());
                let object = object.map_err(|error| store_failure(&error))?;
                let length = Some(object.length());
                let object = inputs.prints.of(name, UntilTold::new(object, stop));
                file::from_reader(&shown, object, length)
            } else if is_url(name) {
                let mut file = download(name)?;
                let length = file.seek(io::SeekFrom::End(0)).ok();
                file.rewind().map_err(|error| {
                    Failure::unusable(format!("cannot read back {shown}")).because(&error)
                })?;
                file::from_reader(
                    &shown,
                    inputs.prints.of(name, UntilTold::new(file, stop)),
                    length,
                )
            } else if name == "-" {
                let stdin = UntilTold::stdin(stop).map_err(|error| {
                    Failure::unusable("cannot read standard input").because(&error)
                })?;
                file::from_reader("standard input", inputs.prints.of(name, stdin), None)
            } else {
                file::open_until(name, stop)
            };
            match opened.map_err(|error| failure(&error))? {
                Input::Packets(mut capture) => {
                    let first = many.then(|| capture.park()).flatten();
                    inputs.captures.push((capture, skew, first));
                }
                Input::Records(reader) => {
                    let reader = foreign::as_exchanges(&shown, reader)
                        .map_err(|error| Failure::unusable(error.to_string()).because(&error))?;
                    let watch = Watch::new(Path::new(name));
                    let reader = match (names.as_slice(), skew) {
                        ([only], 0) if is_plain_recording(only) => {
                            inputs.original = Some(only.clone());
                            let lines = inputs.options.lines.clone();
                            inputs.prints.of_lines(only, reader, lines)
                        }
                        _ => reader,
                    };
                    let recording = Recording::new(shown, reader, skew).watched(watch);
                    let recording = if many { recording.among_many() } else { recording };
                    inputs.recordings.push(recording);
                }
            }
        }
        inputs.read_ahead();
        Ok(inputs)
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
    pub(crate) fn converted(&mut self, to_frames: bool) -> Result<Option<Header>, Failure> {
        let [recording] = self.recordings.as_mut_slice() else { return Ok(None) };
        if !self.captures.is_empty() || !self.options.offsets.is_empty() {
            return Ok(None);
        }
        if !recording.is_framed() && !to_frames {
            return Ok(None);
        }
        recording.header().map_err(|error| Failure::unusable(error.to_string()).because(&error))
    }

    /// How the inputs are redacted, as far as it is known before they are read; as in
    /// [`ReadInputs::redactions`].
    pub fn redactions(&mut self) -> Result<Vec<Option<Redacted>>, Failure> {
        let mut all: Vec<Option<Redacted>> = self.captures.iter().map(|_| None).collect();
        for recording in &mut self.recordings {
            all.push(
                recording
                    .redacted()
                    .map_err(|error| Failure::unusable(error.to_string()).because(&error))?,
            );
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// Gives every exchange in order, rendered where it was made (on all cores), to `take`.
    pub fn render<R: Render>(
        self,
        global: &Global,
        render: R,
        mut take: impl FnMut(&mut RoundOutput<R::Item>) -> Result<(), Failure>,
    ) -> Result<ReadInputs, Failure> {
        let Self { names, prints, captures, recordings, options, .. } = self;
        let mut done = ReadInputs { names, prints, ..ReadInputs::default() };
        done.redactions.extend((!captures.is_empty()).then_some(None));
        if captures.is_empty() {
            from_recordings(recordings, &render, &mut take, &mut done)?;
            return Ok(done);
        }
        let source = CaptureMerge::of_parked(captures);
        let progress = Progress::start(global, "parse", source.progress().1);
        let mut show = |progress_of: u64, packets: u64, exchanges: u64| {
            progress.set(progress_of, || format!("{packets} packets, {exchanges} exchanges"));
        };
        if recordings.is_empty() {
            let mut parse = Parse::start(Box::new(source), &options.parse, render);
            while let Some(output) = parse.next_output().map_err(|error| failure(&error))? {
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
            return Err(Failure::unusable(format!("no packet in {names}{why}")));
        }
        Ok(done)
    }

    /// Gives every exchange in order to `take`, with what appends its line for `exchanges.jsonl`.
    /// Lines are rendered ahead on all cores, unless only `some` are wanted. Of the answers only
    /// their times and status may be there, unless `whole` exchanges are wanted: the lines of a
    /// single recording are kept as they stand and not read any further. With a redactor the lines
    /// are redacted, and what `take` gets is not.
    pub fn lines(
        self,
        global: &Global,
        redactor: Option<Redactor>,
        some: bool,
        whole: bool,
        mut take: impl FnMut(&Exchange, &dyn Fn(&mut Vec<u8>)) -> Result<(), Failure>,
    ) -> Result<ReadInputs, Failure> {
        let write_rest = |out: &mut Vec<u8>, exchange: &Exchange, redactor: Option<&Redactor>| {
            let Some(redactor) = redactor else { return exchanges::write_rest(out, exchange) };
            let mut redacted = exchange.clone();
            redactor.apply(&mut redacted);
            exchanges::write_rest(out, &redacted);
        };
        let is_plain = self.captures.is_empty() && self.recordings.len() == 1 && redactor.is_none();
        if whole || some && !is_plain {
            return self.each(global, |exchange| {
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
            return self.render(global, render, |output| {
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
            let next = recording.read_line(&mut line);
            let Some(exchange) =
                next.map_err(|error| Failure::unusable(error.to_string()).because(&error))?
            else {
                break;
            };
            done.exchanges += 1;
            take(&exchange, &|out| out.extend_from_slice(&line))?;
        }
        done.redactions = merged.redactions();
        done.as_it_stands = merged.is_as_it_stands();
        (done.ledger, done.warnings, done.rest) = merged.account();
        Ok(done)
    }

    /// Gives every exchange in order to `take`.
    pub fn each(
        self,
        global: &Global,
        mut take: impl FnMut(Exchange) -> Result<(), Failure>,
    ) -> Result<ReadInputs, Failure> {
        self.render(
            global,
            |exchange: Exchange, _: &mut Vec<u8>| exchange,
            |output| output.drain().try_for_each(|(name, exchange, _)| take(name.give(exchange))),
        )
    }
}

/// Captures and recordings together, by the times of their requests: the captures count as one
/// recording, the first one.
fn from_both<R: Render>(
    source: CaptureMerge,
    recordings: Vec<Recording>,
    options: &InputOptions,
    render: &R,
    take: &mut impl FnMut(&mut RoundOutput<R::Item>) -> Result<(), Failure>,
    show: &mut impl FnMut(u64, u64, u64),
    done: &mut ReadInputs,
) -> Result<(), Failure> {
    let mut parse =
        Parse::start(Box::new(source), &options.parse, |exchange: Exchange, _: &mut Vec<u8>| {
            exchange
        });
    let mut recorded = merge(recordings);
    let unusable = |error: RecordingError| Failure::unusable(error.to_string()).because(&error);
    let mut next = recorded.next().transpose().map_err(unusable)?;
    // Connections of the captures get even numbers, those of recordings odd ones.
    let number = |odd: u64| move |connection: u64| connection.saturating_mul(2).saturating_add(odd);
    let mut hand_on = |exchanges: Vec<Exchange>, done: &mut ReadInputs| {
        done.exchanges += exchanges.len() as u64;
        if exchanges.is_empty() {
            return Ok(());
        }
        let mut output = RoundOutput::empty();
        output.refill(exchanges.into_iter().map(Ok::<_, Failure>), render)?;
        take(&mut output)
    };
    while let Some(output) = parse.next_output().map_err(|error| failure(&error))? {
        show(output.progress.0, output.packets, done.exchanges);
        let mut both = Vec::with_capacity(output.len());
        for (name, exchange, _) in output.drain() {
            let mut exchange = name.give(exchange);
            let until = began(&exchange);
            while let Some(mut earlier) = next.take_if(|next| began(next) < until) {
                earlier.renumber(number(1));
                both.push(earlier);
                next = recorded.next().transpose().map_err(unusable)?;
            }
            exchange.renumber(number(0));
            both.push(exchange);
        }
        hand_on(both, done)?;
    }
    while let Some(first) = next.take() {
        let more = recorded.by_ref().take(TOGETHER);
        let mut rest: Vec<Exchange> =
            std::iter::once(Ok(first)).chain(more).collect::<Result<_, _>>().map_err(unusable)?;
        rest.iter_mut().for_each(|exchange| exchange.renumber(number(1)));
        hand_on(rest, done)?;
        next = recorded.next().transpose().map_err(unusable)?;
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

fn from_recordings<R: Render>(
    recordings: Vec<Recording>,
    render: &R,
    take: &mut impl FnMut(&mut RoundOutput<R::Item>) -> Result<(), Failure>,
    done: &mut ReadInputs,
) -> Result<(), Failure> {
    let mut merged = merge(recordings);
    let mut output = RoundOutput::empty();
    loop {
        output
            .refill(merged.by_ref().take(TOGETHER), render)
            .map_err(|error| Failure::unusable(error.to_string()).because(&error))?;
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

/// The inputs with what prefixes and patterns of a store stand for; of `file://` the path.
fn expanded(names: &[String]) -> Result<Vec<String>, Failure> {
    let mut all = Vec::with_capacity(names.len());
    for name in names {
        if let Some(path) = local_path(name)? {
            all.extend(local_files(&path)?);
        } else if is_store(name) {
            let found = Remote::parse(name).and_then(|asked| asked.expand());
            let found = found.map_err(|error| store_failure(&error))?;
            all.extend(found.iter().map(Remote::url));
        } else if Path::new(name).is_dir() {
            return Err(of_folder(Path::new(name)));
        } else {
            all.push(name.clone());
        }
    }
    Ok(all)
}

/// What people see where a folder is given for an input.
fn of_folder(path: &Path) -> Failure {
    let name = path.display();
    Failure::unusable(match recording_of(path) {
        Some(recording) => {
            format!("{name} is the folder of a run: name its recording, {}", recording.display())
        }
        None => {
            format!("{name} is a folder: name the files in it, or file:///PATH for all below it")
        }
    })
}

/// What people see when an input cannot be used.
fn failure(error: &CaptureError) -> Failure {
    Failure::new(Exit::Unusable, error.to_string()).because(error)
}

/// Names, lengths and hashes of inputs, for `run.json`: of files as they are, of others as they
/// were read, each object of a store by itself.
pub fn describe(names: &[String], prints: &Prints) -> Vec<InputInfo> {
    let read = prints.0.keys().filter(|name| is_store(name)).cloned();
    let local = |name: &String| match local_path(name) {
        Ok(Some(path)) => local_files(&path).unwrap_or_default(),
        _ => vec![name.clone()],
    };
    let others = names.iter().filter(|name| !is_store(name)).flat_map(local);
    let names: Vec<String> = others.chain(read).collect();
    let describe = |name: &String| {
        // Of a file that was not read to its end it says too little.
        let whole = |bytes| Path::new(name).metadata().map_or(true, |data| data.len() == bytes);
        let print = prints.get(name).filter(|(bytes, _)| whole(*bytes));
        let print = print.or_else(|| hash(Path::new(name)).ok());
        let (bytes, sha256) = print.unwrap_or_default();
        InputInfo { name: without_secrets(name), bytes, sha256 }
    };
    names.iter().map(describe).collect()
}

/// Lengths and hashes of inputs that can be read but once: standard input and downloads.
#[derive(Clone, Debug, Default)]
pub struct Prints(BTreeMap<String, Arc<Mutex<Print>>>);

#[derive(Clone, Debug, Default)]
struct Print {
    bytes: u64,
    hasher: sha2::Sha256,
}

impl Prints {
    /// `reader`, watched.
    fn of(&mut self, name: &str, reader: impl Read + Send + 'static) -> Box<dyn Read + Send> {
        let print = Arc::<Mutex<Print>>::default();
        self.0.insert(name.to_owned(), Arc::clone(&print));
        Box::new(Watched::new(reader, print))
    }

    /// `reader` of a recording's lines, watched; unless it was so before.
    fn of_lines(
        &mut self,
        name: &str,
        reader: Box<dyn BufRead + Send>,
        lines: Option<Arc<Mutex<LineNotes>>>,
    ) -> Box<dyn BufRead + Send> {
        if self.0.contains_key(name) {
            return reader;
        }
        let print = Arc::<Mutex<Print>>::default();
        self.0.insert(name.to_owned(), Arc::clone(&print));
        Box::new(Watched { lines, ..Watched::new(reader, print) })
    }

    fn get(&self, name: &str) -> Option<(u64, String)> {
        let print = self.0.get(name)?.lock().expect("no holder of this lock panics").clone();
        Some((print.bytes, hex(&print.hasher.finalize())))
    }
}

/// A reader whose bytes are counted and hashed on their way. The lock is free: one thread reads,
/// and the print is taken at the end.
struct Watched<R> {
    reader: R,
    print: Arc<Mutex<Print>>,
    lines: Option<Arc<Mutex<LineNotes>>>,
}

impl<R> Watched<R> {
    fn new(reader: R, print: Arc<Mutex<Print>>) -> Self {
        Self { reader, print, lines: None }
    }
}

/// Counts and hashes what passes by, and notes its lines.
fn see(bytes: &[u8], print: &Mutex<Print>, lines: Option<&Arc<Mutex<LineNotes>>>) {
    let mut print = print.lock().expect("no holder of this lock panics");
    print.bytes += bytes.len() as u64;
    print.hasher.update(bytes);
    if let Some(lines) = lines {
        lines.lock().expect("no holder of this lock panics").add(bytes);
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.reader.read(buffer)?;
        see(&buffer[..got], &self.print, self.lines.as_ref());
        Ok(got)
    }
}

impl<R: BufRead> BufRead for Watched<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // What is there is given without another read.
        if let Ok(buffer) = self.reader.fill_buf() {
            see(&buffer[..amount.min(buffer.len())], &self.print, self.lines.as_ref());
        }
        self.reader.consume(amount);
    }
}

fn hash(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut hasher, mut buffer, mut bytes) = (sha2::Sha256::new(), vec![0; 1 << 18], 0);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            got => {
                hasher.update(&buffer[..got]);
                bytes += got as u64;
            }
        }
    }
    Ok((bytes, hex(&hasher.finalize())))
}

fn is_url(name: &str) -> bool {
    let is = |scheme: &str| {
        name.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    is("http://") || is("https://")
}

/// Downloads into a file that has no name any more, so that nothing is left behind however the
/// program ends.
fn download(url: &str) -> Result<File, Failure> {
    let shown = without_secrets(url);
    let cannot = |what: &str, error: &dyn std::error::Error| {
        Failure::unusable(format!("{what} {shown}")).because(error)
    };
    let mut file = nameless_file(&std::env::temp_dir())
        .map_err(|error| cannot("no temporary file for", &error))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| cannot("cannot download", &error))?;
    // Another part of the program may have installed it; it is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    runtime.block_on(async {
        let client = reqwest::Client::builder()
            .connect_timeout(std::time::Duration::from_secs(30))
            .read_timeout(std::time::Duration::from_secs(60))
            .build()
            .map_err(|error| cannot("cannot download", &error))?;
        let response = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
        let mut response =
            response.map_err(|error| cannot("cannot download", &error.without_url()))?;
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| cannot("the download broke off:", &error.without_url()))?
        {
            file.write_all(&chunk).map_err(|error| cannot("no room for", &error))?;
        }
        Ok(file)
    })
}
