//! Counts what flows from where to where, and says how sure it is.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::event::{RULED, SIGNED, ValueEvent, WEAK};
use super::templates::Templates;
use crate::record::flows::{Flow, FlowEnd, FlowEvidence};

/// Most places of use of one flow that are told.
const ENDS: usize = 256;

/// Why a flow is not bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Refusal {
    None,
    Never,
    Signed,
}

impl Refusal {
    pub(super) fn words(self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Never => Some("[[flow.never]] says so".to_owned()),
            Self::Signed => Some(
                "it stands inside a token that the client signed: see [[flow.sign]]".to_owned(),
            ),
        }
    }

    pub(super) const fn code(self) -> u8 {
        self as u8
    }

    pub(super) const fn of_code(code: u8) -> Self {
        match code {
            1 => Self::Never,
            2 => Self::Signed,
            _ => Self::None,
        }
    }
}

#[derive(Clone, Debug, Default)]
struct FlowTally {
    uses: u64,
    values: u64,
    is_strong: bool,
    is_ruled: bool,
    /// Uses by template.
    ends: FxHashMap<u32, u64>,
    /// The value that was counted last.
    last: u64,
}

/// Counts by the template of the birth.
#[derive(Default)]
pub(super) struct Tallies {
    tallies: FxHashMap<(u32, Refusal), FlowTally>,
    /// Weak values by the template of their use, wherever they were born.
    weak: FxHashMap<u32, Weak>,
    /// Number of the value at hand, from 1.
    value: u64,
}

/// Weak values at one place of requests.
#[derive(Clone, Copy, Debug, Default)]
struct Weak {
    values: u64,
    /// The value that was counted last.
    last: u64,
}

impl Tallies {
    /// Counts a use; says why it is not bound.
    pub(super) fn count(
        &mut self,
        birth: &ValueEvent,
        used: &ValueEvent,
        templates: &Templates,
    ) -> Refusal {
        let never = |template| templates.get(template).is_some_and(|of| of.never);
        let refusal = if never(birth.template) || never(used.template) {
            Refusal::Never
        } else if used.is(SIGNED) {
            Refusal::Signed
        } else {
            Refusal::None
        };
        let key = (birth.template, refusal);
        let tally = self.tallies.entry(key).or_default();
        tally.uses += 1;
        tally.is_strong |= !used.is(WEAK | RULED);
        tally.is_ruled |= used.is(RULED);
        if tally.ends.len() < ENDS || tally.ends.contains_key(&used.template) {
            *tally.ends.entry(used.template).or_default() += 1;
        }
        let value = self.value + 1;
        tally.values += u64::from(tally.last != value);
        tally.last = value;
        if used.is(WEAK) {
            let there = self.weak.entry(used.template).or_default();
            there.values += u64::from(there.last != value);
            there.last = value;
        }
        refusal
    }

    /// All events of one value were counted.
    pub(super) fn ended(&mut self) {
        self.value += 1;
    }

    /// The flows, the most used first, and which one each birth's template is of.
    pub(super) fn finish(self, templates: &Templates) -> (Vec<Flow>, Numbers) {
        let mut merged: BTreeMap<(FlowEnd, Refusal), (FlowTally, Vec<u32>)> = BTreeMap::new();
        for ((template, refusal), tally) in self.tallies {
            let (sum, of) = merged.entry((templates.end(template), refusal)).or_default();
            sum.add(&tally);
            of.push(template);
        }
        let mut flows: Vec<_> = merged.into_iter().collect();
        flows.sort_by(|(a, (x, _)), (b, (y, _))| y.uses.cmp(&x.uses).then_with(|| a.cmp(b)));
        let mut numbers = Numbers::default();
        let mut lines = Vec::with_capacity(flows.len());
        for (number, ((from, refusal), (tally, of))) in flows.into_iter().enumerate() {
            let line = tally.line(number as u32, from, refusal, templates, &self.weak);
            for template in of {
                numbers.0.insert((template, refusal), (number as u32, line.class));
            }
            lines.push(line);
        }
        (lines, numbers)
    }
}

impl FlowTally {
    fn add(&mut self, other: &Self) {
        self.uses += other.uses;
        self.values += other.values;
        self.is_strong |= other.is_strong;
        self.is_ruled |= other.is_ruled;
        for (&template, &uses) in &other.ends {
            *self.ends.entry(template).or_default() += uses;
        }
    }

    fn line(
        &self,
        flow: u32,
        from: FlowEnd,
        refusal: Refusal,
        templates: &Templates,
        weak: &FxHashMap<u32, Weak>,
    ) -> Flow {
        // Several values at one place of a request speak for it, wherever each was born.
        let several =
            || self.ends.keys().any(|end| weak.get(end).is_some_and(|there| there.values > 1));
        let class = match refusal {
            Refusal::None if self.is_strong || self.is_ruled => FlowEvidence::Sure,
            Refusal::None if self.values > 1 || several() => FlowEvidence::Sure,
            Refusal::None => FlowEvidence::Likely,
            _ => FlowEvidence::Refused,
        };
        let there = self.ends.keys().filter_map(|end| templates.get(*end)).map(|of| of.values);
        let there = there.sum::<u64>().max(1);
        let mut ends: BTreeMap<FlowEnd, u64> = BTreeMap::new();
        for (&template, &uses) in &self.ends {
            *ends.entry(templates.end(template)).or_default() += uses;
        }
        let mut to: Vec<_> = ends.into_iter().collect();
        to.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
        Flow {
            flow,
            class,
            reason: refusal.words(),
            from,
            to: to.into_iter().map(|(end, _)| end).collect(),
            uses: self.uses,
            values: self.values,
            coverage: (self.uses as f64 / there as f64).min(1.0),
            bound: None,
            unbound: None,
            not_issued: None,
        }
    }
}

/// Numbers and classes of flows, by the template of the birth.
#[derive(Default)]
pub(super) struct Numbers(FxHashMap<(u32, Refusal), (u32, FlowEvidence)>);

impl Numbers {
    pub(super) fn of(&self, template: u32, refusal: Refusal) -> Option<(u32, FlowEvidence)> {
        self.0.get(&(template, refusal)).copied()
    }
}
