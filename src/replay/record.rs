//! Writes outcomes behind the replay, on a thread of its own. What is on disk is always whole lines.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::log;
use super::task::{Done, Side, Stop};
use crate::ledger::Ledger;

/// Bytes that are written at once.
const WRITE_BYTES: usize = 256 << 10;
/// How long an outcome stays in memory at most.
const FLUSH_EVERY: Duration = Duration::from_millis(500);

/// A file of outcomes.
pub(super) struct OutcomeFile {
    file: File,
    buffer: Vec<u8>,
    /// Length of the file up to the last whole line.
    whole: u64,
    count: u64,
    /// Requests of this file: sent, and not sent by reason.
    ledger: Ledger,
}

impl OutcomeFile {
    pub(super) fn new(file: File, header: &log::Header) -> io::Result<Self> {
        let mut this =
            Self { file, buffer: Vec::with_capacity(WRITE_BYTES + (64 << 10)), whole: 0, count: 0, ledger: Ledger::default() };
        crate::exchange::log::write_line(&mut this.buffer, header);
        this.flush()?;
        Ok(this)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.buffer);
        if written.is_err() {
            // A full disk took part of it: cut the file behind its last whole line, so that it stays readable.
            let _ = self.file.set_len(self.whole);
        }
        written?;
        self.whole += self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(4 * WRITE_BYTES);
        Ok(())
    }

    fn add(&mut self, done: &Done) -> io::Result<()> {
        log::write(&mut self.buffer, &done.outcome);
        self.count += 1;
        match (&done.outcome.failure, done.outcome.sent_ns) {
            (Some(failure), None) => self.ledger.reject(failure.kind.name(), 1),
            _ => self.ledger.take(1),
        }
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes the last line: of `planned` requests the ones that are not accounted for were cut off by an interruption.
    pub(super) fn close(mut self, planned: u64, left: &Ledger, generator: serde_json::Value) -> io::Result<Ledger> {
        self.ledger.reject("interrupted", planned.saturating_sub(self.ledger.input));
        self.ledger.merge(left);
        let end = log::End::new(self.count, self.ledger.clone(), generator);
        crate::exchange::log::write_line(&mut self.buffer, &end);
        self.flush()?;
        Ok(self.ledger)
    }
}

/// Sees each outcome as it is recorded: side, route's number, outcome.
pub type Observer<'a> = &'a mut (dyn FnMut(Side, u16, &super::Outcome) + Send);

/// The recorder.
pub(super) struct Recorder<'a> {
    pub(super) inbox: Receiver<Vec<Done>>,
    pub(super) target: OutcomeFile,
    pub(super) baseline: Option<OutcomeFile>,
    pub(super) stop: Arc<Stop>,
    pub(super) observer: Option<Observer<'a>>,
}

impl Recorder<'_> {
    /// Records until all senders are gone. An error stops the replay; outcomes that come after it are dropped, since there
    /// is no place for them.
    pub(super) fn run(mut self) -> (io::Result<()>, OutcomeFile, Option<OutcomeFile>) {
        let mut result = Ok(());
        loop {
            let written = match self.inbox.recv_timeout(FLUSH_EVERY) {
                Ok(batch) if result.is_ok() => self.add(&batch),
                Err(RecvTimeoutError::Timeout) if result.is_ok() => self.flush(),
                Ok(_) | Err(RecvTimeoutError::Timeout) => Ok(()),
                Err(RecvTimeoutError::Disconnected) => break,
            };
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

    fn add(&mut self, batch: &[Done]) -> io::Result<()> {
        for done in batch {
            match (done.side, &mut self.baseline) {
                (Side::Baseline, Some(file)) => file.add(done)?,
                _ => self.target.add(done)?,
            }
            if let Some(observer) = &mut self.observer {
                observer(done.side, done.route, &done.outcome);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush()?;
        self.baseline.as_mut().map_or(Ok(()), OutcomeFile::flush)
    }
}
