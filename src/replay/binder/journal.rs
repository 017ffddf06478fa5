//! `bindings.jsonl`: what v2 issued in the place of each of v1's values, a line for each, written
//! as it is known; and the counts of each flow.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;

use crate::bind::{Birth, Use};
use crate::message::place::Place;
use crate::outcome::ReplayId;
use crate::record::exchanges::write_line;
use crate::record::flows::Binding;
use crate::replay::recorder::redaction::Redaction;
use crate::replay::side::TargetSide;

/// Bytes that are written at once at the latest.
const WRITE_BYTES: usize = 256 << 10;

/// What became of a flow at v2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCount {
    /// How many uses got a value of v2's.
    pub bound: u64,
    /// How many kept v1's.
    pub unbound: u64,
    /// How many values v2 did not issue.
    pub not_issued: u64,
}

/// The files, and the counts of v2's side.
#[derive(Default)]
pub(in crate::replay) struct BindingJournal {
    target: Lines,
    baseline: Lines,
    redaction: Option<Arc<Redaction>>,
    flows: Vec<FlowCount>,
}

#[derive(Default)]
struct Lines {
    file: Option<File>,
    bytes: Vec<u8>,
}

impl Lines {
    fn flush(&mut self) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.write_all(&self.bytes)?;
        }
        self.bytes.clear();
        Ok(())
    }
}

impl BindingJournal {
    /// Writes to these files, as far as they are wanted.
    pub(in crate::replay) fn new(
        target: Option<File>,
        baseline: Option<File>,
        redaction: Option<Arc<Redaction>>,
    ) -> Self {
        let lines = |file| Lines { file, bytes: Vec::new() };
        Self { target: lines(target), baseline: lines(baseline), redaction, flows: Vec::new() }
    }

    /// A value of v1's, and v2's in its place.
    pub(super) fn birth(
        &mut self,
        side: TargetSide,
        id: ReplayId,
        birth: &Birth,
        new: Option<&str>,
        reason: Option<String>,
    ) -> io::Result<()> {
        if let (Some(flow), None, TargetSide::Target) = (birth.flow, new, side) {
            self.flow(flow).not_issued += 1;
        }
        let shown = |text: &str| self.shown(&birth.place, text);
        let line = Binding {
            slot: birth.slot,
            id,
            place: birth.place.to_string(),
            thing: birth.thing.as_deref().map(str::to_owned),
            flow: birth.flow,
            v1: shown(&birth.text),
            v2: new.map(shown),
            reason,
        };
        self.line(side, &line)
    }

    /// A name that a client chose was made another one in a copy: for what shows it, that is a
    /// binding as any other, with a slot of no value of the recording.
    pub(super) fn varied(
        &mut self,
        side: TargetSide,
        id: ReplayId,
        place: &Place,
        old: &str,
        new: &str,
    ) -> io::Result<()> {
        let line = Binding {
            slot: u32::MAX,
            id,
            place: place.to_string(),
            thing: None,
            flow: None,
            v1: self.shown(place, old),
            v2: Some(self.shown(place, new)),
            reason: None,
        };
        self.line(side, &line)
    }

    /// As it stands in the run's records.
    fn shown(&self, place: &Place, text: &str) -> String {
        match &self.redaction {
            Some(redaction) => redaction.value(place, text),
            None => text.to_owned(),
        }
    }

    fn line(&mut self, side: TargetSide, line: &Binding) -> io::Result<()> {
        let lines = match side {
            TargetSide::Target => &mut self.target,
            TargetSide::Baseline => &mut self.baseline,
        };
        if lines.file.is_some() {
            write_line(&mut lines.bytes, line);
        }
        if lines.bytes.len() >= WRITE_BYTES { lines.flush() } else { Ok(()) }
    }

    /// A request used a value: v2's, or v1's for want of it.
    pub(super) fn used(&mut self, side: TargetSide, used: &Use, is_bound: bool) {
        if side == TargetSide::Target {
            let count = self.flow(used.flow);
            count.bound += u64::from(is_bound);
            count.unbound += u64::from(!is_bound);
        }
    }

    fn flow(&mut self, number: u32) -> &mut FlowCount {
        let number = number as usize;
        if number >= self.flows.len() {
            self.flows.resize(number + 1, FlowCount::default());
        }
        &mut self.flows[number]
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.target.flush()?;
        self.baseline.flush()
    }

    /// Writes what is left; gives the counts by flow.
    pub(super) fn finish(mut self) -> io::Result<Vec<FlowCount>> {
        self.flush()?;
        Ok(self.flows)
    }
}
