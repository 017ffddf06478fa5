//! Says whether v2 may go out: a [`Judgement`] of a run by a [`Policy`].
//!
//! In: the run's figures (`measure`), the diff's counts, the policy. Out: a verdict with its
//! reasons, and every rule with what was measured, between which bounds, from how many samples. A
//! rule fails only where the whole interval is on the bad side; it passes only where there were
//! enough samples and the measured value is within the limit.

mod calls;
mod checks;
mod evidence;
mod judge;
mod paired;
pub mod policy;
mod power;
mod rule;
mod seen;
pub mod statistics;
mod verdict;
pub mod words;

pub use calls::{ALL_CALLS, DRIFTED_READS, MISSED_READS, UNSAFE_CALLS};
pub use evidence::{Evidence, Outgoing};
pub use judge::judge;
pub use policy::Policy;

use serde::Serialize;

use crate::measure::Side;

/// The answer to "may v2 go out?".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It may.
    Pass,
    /// It may not: it differs, fails or is slower than allowed.
    Fail,
    /// Too few samples.
    CannotSay,
    /// The run itself is not to be trusted.
    Invalid,
}

impl Verdict {
    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::CannotSay => "cannot-say",
            Self::Invalid => "invalid",
        }
    }

    /// In a sentence.
    pub const fn headline(self) -> &'static str {
        match self {
            Self::Pass => "v2 may go out.",
            Self::Fail => "v2 must not go out.",
            Self::CannotSay => "No verdict: too little was seen to judge v2.",
            Self::Invalid => "No verdict: this run cannot be trusted.",
        }
    }
}

/// What became of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// Worse than allowed, beyond doubt.
    Fail,
    /// Not judged, because the run is not to be trusted in this.
    Invalid,
    /// Too few samples, or worse than allowed but not beyond doubt.
    CannotSay,
    /// Within the limit.
    Pass,
}

impl Finding {
    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Invalid => "invalid",
            Self::CannotSay => "cannot-say",
            Self::Pass => "pass",
        }
    }

    /// In words for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Invalid => "not judged",
            Self::CannotSay => "cannot say",
            Self::Pass => "pass",
        }
    }
}

/// What a rule's figures are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Between 0 and 1.
    Share,
    /// v2 over the reference.
    Ratio,
    /// Nanoseconds.
    Ns,
    /// A count.
    Count,
}

impl Unit {
    /// A figure in words.
    pub fn words(self, value: f64) -> String {
        match self {
            Self::Share => words::percent(value),
            Self::Ratio if value.is_finite() => format!("× {}", words::times(value)),
            Self::Ratio => "?".to_owned(),
            Self::Ns => words::duration(value),
            Self::Count => words::count(value as u64),
        }
    }

    /// A limit in words, as a person would write it.
    pub fn limit_words(self, value: f64) -> String {
        match self {
            Self::Ratio if value.is_finite() => format!("× {}", words::round_times(value)),
            Self::Ns => words::round_duration(value),
            _ => self.words(value),
        }
    }
}

/// One rule, judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleResult {
    /// Its key in `[gate]`, e.g. `max_p99_ratio`.
    pub rule: String,
    /// The route; none for all exchanges together.
    pub route: Option<String>,
    /// What became of it.
    pub finding: Finding,
    /// What the figures are.
    pub unit: Unit,
    /// What was measured; none without samples.
    pub measured: Option<f64>,
    /// At least this, with [`Self::confidence`].
    pub low: Option<f64>,
    /// At most this, with [`Self::confidence`]; none where the samples do not bound it.
    pub high: Option<f64>,
    /// The limit.
    pub limit: f64,
    /// How many samples.
    pub count: u64,
    /// How many independent samples they are worth, where neighbours in time are slow together.
    pub effective_count: u64,
    /// Confidence of each bound; higher than the policy's where many routes are judged at once.
    pub confidence: f64,
    /// Of a ratio: the smallest true change that is found to be beyond the limit in nineteen runs
    /// of twenty; none where the samples cannot tell.
    pub noticeable: Option<f64>,
    /// In a sentence.
    pub why: String,
}

impl RuleResult {
    /// What became of it, in words that say why nothing could be said.
    pub fn words(&self) -> &'static str {
        match self.finding {
            Finding::CannotSay if self.why.contains(" are asked for") => "too few to say",
            Finding::CannotSay if self.why.ends_with("may be chance.") => "may be chance",
            finding => finding.words(),
        }
    }
}

/// One condition of a run that is to be trusted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What is checked, e.g. `max_lateness_p99`.
    pub name: String,
    /// Whether it holds.
    pub holds: bool,
    /// In a sentence.
    pub why: String,
    /// What to do where it does not hold.
    pub advice: String,
}

/// A run, judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, the weightiest first, in sentences.
    pub reasons: Vec<String>,
    /// What v2 was compared with.
    #[serde(serialize_with = "side_name")]
    pub reference: Side,
    /// Whether the run is to be trusted.
    pub checks: Vec<Check>,
    /// What a worse v2 could have hidden, in sentences: the smallest change of latency that would
    /// have been noticed, and what was not judged.
    pub power: Vec<String>,
    /// Every rule: all exchanges first, then by route.
    pub rules: Vec<RuleResult>,
    /// Routes of the policy that are not in the run.
    pub unmatched_routes: Vec<String>,
}

fn side_name<S: serde::Serializer>(side: &Side, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(side.name())
}

impl Judgement {
    /// Rules with a finding.
    pub fn with(&self, finding: Finding) -> impl Iterator<Item = &RuleResult> {
        self.rules.iter().filter(move |rule| rule.finding == finding)
    }
}
