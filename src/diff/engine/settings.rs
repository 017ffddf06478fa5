//! What a diff is given and what it gives: files, settings, findings, errors.

use std::fs::File;
use std::io::{self, Write};

use super::whereabouts::Whereabouts;
use crate::diff::approvals::Approvals;
use crate::diff::noise::NoisePlace;
use crate::diff::planned::SurveyNotes;
use crate::diff::rules::Rules;
use crate::diff::{Cluster, Totals};
use crate::message::protobuf::Schema;
use crate::redact::Masker;
use crate::route::Routes;

/// Columns of `mismatches.csv`.
pub const MISMATCH_COLUMNS: [&str; 12] = [
    "id", "at", "method", "route", "target", "kind", "place", "expected", "actual", "class",
    "cluster", "root",
];

/// What is compared.
pub struct CompareInputs {
    /// `exchanges.jsonl`.
    pub exchanges: File,
    /// `outcomes.jsonl`.
    pub outcomes: File,
    /// `baseline.jsonl`.
    pub baseline: Option<File>,
    /// `bindings.jsonl` and `baseline-bindings.jsonl`: what v2 and the baseline issued in the
    /// place of v1's values.
    pub bindings: [Option<File>; 2],
    /// An empty file to write to and read back.
    pub spool: File,
}

/// What was noted of the records while they were written and read: they need not be walked through
/// for it.
#[derive(Debug, Default)]
pub struct RunNotes {
    /// Where the outcomes of v2 and of the baseline stand.
    pub outcomes: [Option<File>; 2],
    /// What a survey of the exchanges found.
    pub exchanges: Option<SurveyNotes>,
}

/// How it is compared.
pub struct CompareSettings {
    /// The user's rules.
    pub rules: Rules,
    /// The user's approvals.
    pub approvals: Approvals,
    /// Noise that earlier runs found.
    pub noise: Vec<NoisePlace>,
    /// Routes of an earlier run, to keep their names.
    pub routes: Option<Routes>,
    /// Names the fields of Protocol Buffers.
    pub schema: Schema,
    /// Hides secrets.
    pub masker: Masker,
    /// The present day, for approvals that end: `2026-11-22`.
    pub today: String,
}

impl CompareSettings {
    /// The routes that are known before the exchanges are looked at.
    pub(crate) fn routes_before(&self) -> Routes {
        self.routes.clone().unwrap_or_else(|| Routes::new(self.rules.patterns.clone()))
    }
}

/// Where the differences go.
pub struct DiffOutputs<'o> {
    /// `differences.jsonl`.
    pub differences: &'o mut (dyn Write + Send),
    /// `mismatches.csv`.
    pub mismatches: &'o mut (dyn Write + Send),
}

/// What was found.
pub struct Findings {
    /// The counts.
    pub totals: Totals,
    /// The clusters: regressions first, each class by how much it explains.
    pub clusters: Vec<Cluster>,
    /// The routes.
    pub routes: Routes,
    /// Places that vary by themselves.
    pub noise: Vec<NoisePlace>,
    /// Things a person should know.
    pub warnings: Vec<String>,
    /// Where the records are of what a report shows; none where somebody has to search for them.
    pub whereabouts: Option<Whereabouts>,
}

/// Why there is no diff.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// A file cannot be read.
    #[error("cannot read {what}")]
    Read {
        /// Which file.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {what}")]
    Write {
        /// Which file.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// There is nothing to compare.
    #[error("no exchange in exchanges.jsonl")]
    Empty,
}

/// The error of a file that cannot be read.
pub(super) fn reading(what: &'static str) -> impl Fn(io::Error) -> DiffError {
    move |source| DiffError::Read { what, source }
}

/// The error of a file that cannot be written.
pub(super) fn writing(what: &'static str) -> impl Fn(io::Error) -> DiffError {
    move |source| DiffError::Write { what, source }
}
