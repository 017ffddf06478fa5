//! The outcomes of the whole: one file of several, with times from the earliest start.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::error::MergeError;
use crate::ledger::Ledger;
use crate::measure::open_records;
use crate::outcome::Outcome;
use crate::record::exchanges::write_line;
use crate::record::outcomes::{OutcomeLine, OutcomesEnd, OutcomesHeader, read, write};
use crate::run::lines;

/// What a shard's ledger calls the requests of the others.
const OTHER_SHARD: &str = "other-shard";

/// Bytes that are gathered before they are written.
const GATHERED_BYTES: usize = 1 << 16;

/// One file of outcomes from several: first and last lines become one each, times count from the
/// earliest start. `progress` is told of bytes; returns how many outcomes there are.
pub(super) fn join(
    parts: &[PathBuf],
    to: &Path,
    progress: &mut impl FnMut(u64),
) -> Result<u64, MergeError> {
    let headers = parts.iter().map(|path| header(path)).collect::<Result<Vec<_>, _>>()?;
    let mut first = headers.first().cloned().ok_or(MergeError::NoShard)?;
    first.started = headers.iter().map(|header| header.started).min().unwrap_or(first.started);
    let mut whole = WholeOutcomes::begin(to, &first)?;
    for (path, header) in parts.iter().zip(&headers) {
        whole.add(path, header.started.since(first.started), progress)?;
    }
    whole.finish()
}

/// The file of the whole under way.
struct WholeOutcomes<'p> {
    path: &'p Path,
    out: BufWriter<File>,
    lines: Vec<u8>,
    outcomes: u64,
    ledger: Ledger,
    /// What each shard says of itself.
    generators: Vec<serde_json::Value>,
    /// Every shard has its last line.
    closed: bool,
}

impl<'p> WholeOutcomes<'p> {
    fn begin(path: &'p Path, header: &OutcomesHeader) -> Result<Self, MergeError> {
        let file = File::create(path).map_err(|cause| MergeError::write(path, cause))?;
        let mut lines = Vec::new();
        write_line(&mut lines, header);
        Ok(Self {
            path,
            out: BufWriter::with_capacity(1 << 20, file),
            lines,
            outcomes: 0,
            ledger: Ledger::default(),
            generators: Vec::new(),
            closed: true,
        })
    }

    /// Adds the outcomes of a shard that began `shift` nanoseconds behind the first.
    fn add(
        &mut self,
        part: &Path,
        shift: i64,
        progress: &mut impl FnMut(u64),
    ) -> Result<(), MergeError> {
        let mut end = None;
        lines(part, |number, line| {
            progress(line.len() as u64);
            match read(line) {
                Ok(OutcomeLine::Outcome(outcome)) => self.put(line, *outcome, shift),
                Ok(OutcomeLine::Header(_)) => Ok(()),
                Ok(OutcomeLine::End(last)) => {
                    end = Some(last);
                    Ok(())
                }
                // The last line of a file whose writer was killed.
                Err(_) if !line.ends_with(b"\n") => Ok(()),
                Err(error) => Err(MergeError::line(part, number, error)),
            }
        })?;
        self.closed &= end.is_some();
        if let Some(end) = end {
            let mut ledger = end.ledger;
            // What another shard sent is not lost: it is in that shard's account.
            let others = ledger.rejected.remove(OTHER_SHARD).unwrap_or(0);
            ledger.input = ledger.input.saturating_sub(others);
            self.ledger.merge(&ledger);
            self.generators.push(end.generator);
        }
        Ok(())
    }

    fn put(&mut self, line: &[u8], mut outcome: Outcome, shift: i64) -> Result<(), MergeError> {
        self.outcomes += 1;
        if shift == 0 {
            self.lines.extend_from_slice(line.trim_ascii_end());
            self.lines.push(b'\n');
        } else {
            later(&mut outcome, shift);
            write(&mut self.lines, &outcome);
        }
        if self.lines.len() > GATHERED_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), MergeError> {
        let written = self.out.write_all(&self.lines);
        self.lines.clear();
        written.map_err(|cause| MergeError::write(self.path, cause))
    }

    fn finish(mut self) -> Result<u64, MergeError> {
        // Where a shard was cut off, so is the whole: no last line.
        if self.closed {
            let generators = serde_json::json!({ "shards": self.generators });
            let end = OutcomesEnd::new(self.outcomes, std::mem::take(&mut self.ledger), generators);
            write_line(&mut self.lines, &end);
        }
        self.flush()?;
        self.out.flush().map_err(|cause| MergeError::write(self.path, cause))?;
        Ok(self.outcomes)
    }
}

/// Counts from an earlier start.
fn later(outcome: &mut Outcome, shift: i64) {
    outcome.due_ns = outcome.due_ns.saturating_add(shift);
    let instants = [
        &mut outcome.sent_ns,
        &mut outcome.first_byte_ns,
        &mut outcome.last_byte_ns,
        &mut outcome.failed_ns,
    ];
    for instant in instants.into_iter().flatten() {
        *instant = instant.saturating_add(shift);
    }
}

/// The first line of a file.
fn header(path: &Path) -> Result<OutcomesHeader, MergeError> {
    let mut line = Vec::new();
    open_records(path)
        .and_then(|file| BufReader::new(file).take(1 << 20).read_until(b'\n', &mut line))
        .map_err(|cause| MergeError::read(path, cause))?;
    match read(&line) {
        Ok(OutcomeLine::Header(header)) => Ok(*header),
        Ok(_) => Err(MergeError::Begins(path.to_owned())),
        Err(error) => Err(MergeError::line(path, 1, error)),
    }
}
