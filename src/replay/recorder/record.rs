//! Writes outcomes behind the replay, on a thread of its own. What is on disk is always whole
//! lines.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::ledger::Ledger;
use crate::outcome::Outcome;
use crate::record::noted::OutcomeNotes;
use crate::record::outcomes;
use crate::replay::recorder::outbox::{OutcomeBatch, OutcomeLines};
use crate::replay::recorder::redaction::Redacting;
use crate::replay::task::{Original, ReplayStop, TargetSide};
use crate::time::{Monotonic, Timestamp};

/// Bytes that are written at once.
const WRITE_BYTES: usize = 256 << 10;
/// How long an outcome stays in memory at most.
const FLUSH_EVERY: Duration = Duration::from_millis(500);

/// A file of outcomes.
pub(in crate::replay) struct OutcomeFile {
    file: File,
    /// What is not written yet, and the account of all.
    lines: OutcomeLines,
    /// Length of the file up to the last whole line.
    whole: u64,
    /// Outcomes in the file, and those that wait in `lines`.
    kept: u64,
    waiting: u64,
    /// Where the lines stand, for who joins them with exchanges; none where nobody wants to know.
    notes: Option<OutcomeNotes>,
}

impl OutcomeFile {
    pub(in crate::replay) fn new(
        file: File,
        header: &outcomes::OutcomesHeader,
        notes: Option<File>,
    ) -> io::Result<Self> {
        let mut this = Self {
            file,
            lines: OutcomeLines::default(),
            whole: 0,
            kept: 0,
            waiting: 0,
            notes: notes.map(OutcomeNotes::new),
        };
        crate::record::exchanges::write_line(&mut this.lines.bytes, header);
        this.flush()?;
        Ok(this)
    }

    fn flush(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.lines.bytes);
        let written = self.write(&bytes);
        self.lines.bytes = bytes;
        written?;
        self.kept += std::mem::take(&mut self.waiting);
        self.lines.bytes.clear();
        self.lines.bytes.shrink_to(4 * WRITE_BYTES);
        Ok(())
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(lines);
        if written.is_err() {
            // A full disk took part of it: cut the file behind its last whole line, so that it
            // stays readable.
            let _ = self.file.set_len(self.whole);
        }
        written?;
        self.whole += lines.len() as u64;
        // Without notes the file is walked through later.
        if self.notes.as_mut().is_some_and(|notes| notes.add(lines).is_err()) {
            self.notes = None;
        }
        Ok(())
    }

    fn add(&mut self, outcome: &Outcome) -> io::Result<()> {
        self.lines.push(outcome);
        self.waiting += 1;
        if self.lines.bytes.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Adds lines that are made already.
    fn add_lines(&mut self, lines: &OutcomeLines) -> io::Result<()> {
        self.lines.count += lines.count;
        self.lines.ledger.merge(&lines.ledger);
        if self.lines.bytes.len() + lines.bytes.len() < WRITE_BYTES {
            self.lines.bytes.extend_from_slice(&lines.bytes);
            self.waiting += lines.count;
            return Ok(());
        }
        self.flush()?;
        self.write(&lines.bytes)?;
        self.kept += lines.count;
        Ok(())
    }

    /// How many outcomes the file holds.
    pub(in crate::replay) const fn kept(&self) -> u64 {
        self.kept
    }

    /// Writes the last line: of `planned` requests the ones that are not accounted for were cut off
    /// by an interruption.
    pub(in crate::replay) fn close(
        mut self,
        planned: u64,
        left: &Ledger,
        generator: serde_json::Value,
    ) -> io::Result<Ledger> {
        let ledger = &mut self.lines.ledger;
        ledger.reject("interrupted", planned.saturating_sub(ledger.input));
        ledger.merge(left);
        let end = outcomes::OutcomesEnd::new(self.lines.count, ledger.clone(), generator);
        crate::record::exchanges::write_line(&mut self.lines.bytes, &end);
        self.flush()?;
        // Notes that are cut are of no use, and known for it.
        let _ = self.notes.take().map(OutcomeNotes::finish);
        Ok(self.lines.ledger)
    }
}

/// An outcome as it is recorded.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The wall clock at 0 of all `_ns`.
    pub started: Timestamp,
    /// Whose it is.
    pub side: TargetSide,
    /// The number of its route in [`crate::replay::plan::Plan::routes`].
    pub route: u16,
    /// What v1 answered.
    pub original: &'a Original,
    /// What became of it.
    pub outcome: &'a Outcome,
}

/// Sees each outcome.
pub type Observer<'a> = &'a mut (dyn FnMut(&Observed<'_>) + Send);

/// The recorder.
pub(in crate::replay) struct Recorder<'a, 'o> {
    pub(in crate::replay) inbox: Receiver<OutcomeBatch>,
    pub(in crate::replay) target: OutcomeFile,
    pub(in crate::replay) baseline: Option<OutcomeFile>,
    pub(in crate::replay) stop: Arc<ReplayStop>,
    /// Who sees outcomes, and the wall clock at 0 of all `_ns`.
    pub(in crate::replay) observer: Option<(Observer<'o>, Timestamp)>,
    /// Takes secrets out of what is written.
    pub(in crate::replay) redacting: Option<Redacting>,
    /// Bytes of outcomes that were handed over and are not written.
    pub(in crate::replay) unwritten: &'a AtomicUsize,
}

impl Recorder<'_, '_> {
    /// Records until all senders are gone. An error stops the replay; outcomes that come after it
    /// are dropped, since there is no place for them.
    pub(in crate::replay) fn run(mut self) -> (io::Result<()>, OutcomeFile, Option<OutcomeFile>) {
        let mut result = Ok(());
        let _gone = Gone(self.unwritten);
        let mut flushed = Monotonic::now();
        loop {
            // However often batches come: what waits longer is lost where the program is killed.
            let left = FLUSH_EVERY.saturating_sub(Duration::from_nanos(flushed.elapsed() as u64));
            let next = match left.is_zero() {
                true => Err(RecvTimeoutError::Timeout),
                false => self.inbox.recv_timeout(left),
            };
            if matches!(next, Err(RecvTimeoutError::Timeout)) {
                flushed = Monotonic::now();
            }
            let weight = next.as_ref().map_or(0, |batch| batch.weight);
            let written = match next {
                Ok(batch) if result.is_ok() => self.add(batch),
                Err(RecvTimeoutError::Timeout) if result.is_ok() => self.flush(),
                Ok(_) | Err(RecvTimeoutError::Timeout) => Ok(()),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            self.unwritten.fetch_sub(weight, Ordering::Relaxed);
            if let Err(error) = written {
                self.stop.set();
                result = Err(error);
            }
        }
        if result.is_ok() {
            result = self.flush();
        }
        (result, self.target, self.baseline)
    }

    fn add(&mut self, batch: OutcomeBatch) -> io::Result<()> {
        self.target.add_lines(&batch.target)?;
        if let Some(baseline) = &mut self.baseline {
            baseline.add_lines(&batch.baseline)?;
        }
        for mut done in batch.done {
            if let Some(redacting) = &self.redacting {
                redacting.apply(&mut done)?;
            }
            match (done.side, &mut self.baseline) {
                (TargetSide::Baseline, Some(file)) => file.add(&done.outcome)?,
                _ => self.target.add(&done.outcome)?,
            }
            if let Some((observer, started)) = &mut self.observer {
                observer(&Observed {
                    started: *started,
                    side: done.side,
                    route: done.route,
                    original: &done.original,
                    outcome: &done.outcome,
                });
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush()?;
        self.baseline.as_mut().map_or(Ok(()), OutcomeFile::flush)
    }
}

/// Nobody waits for a recorder that is gone, however it went.
struct Gone<'a>(&'a AtomicUsize);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
