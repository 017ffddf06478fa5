//! The rules of a policy: what each is about, its name, its limit.

use super::Unit;
use super::policy::{BETWEEN_MESSAGES, FIRST_MESSAGE, Limits, Nanos};
use crate::measure::histogram::QUANTILES;
use crate::measure::{Histogram, SideSummary};

/// The rule of typical latency.
pub(super) const TYPICAL: &str = "max_typical_ratio";

/// What a rule is about.
#[derive(Clone, Copy)]
pub(super) enum RuleKind {
    Mismatch,
    Error,
    NewStatus,
    Typical,
    Ratio(usize),
    Absolute(usize),
    Messages(MessagePace),
}

/// How the messages of streams come.
#[derive(Clone, Copy)]
pub(super) enum MessagePace {
    /// When the first does.
    First,
    /// Then one after the other.
    Between,
}

impl MessagePace {
    /// Of the streams of one side.
    pub(super) const fn of(self, figures: &SideSummary) -> &Histogram {
        match self {
            Self::First => &figures.first_message,
            Self::Between => &figures.between_messages,
        }
    }

    /// In words.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::First => "the first message of a stream",
            Self::Between => "the time between messages",
        }
    }
}

impl RuleKind {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let quantiles = 0..QUANTILES.len();
        [Self::Mismatch, Self::Error, Self::NewStatus, Self::Typical]
            .into_iter()
            .chain(quantiles.clone().map(Self::Ratio))
            .chain(quantiles.map(Self::Absolute))
            .chain([MessagePace::First, MessagePace::Between].map(Self::Messages))
    }

    pub(super) fn rule(self) -> String {
        match self {
            Self::Mismatch => "max_mismatch_rate".to_owned(),
            Self::Error => "max_error_rate".to_owned(),
            Self::NewStatus => "max_new_status_rate".to_owned(),
            Self::Typical => TYPICAL.to_owned(),
            Self::Ratio(index) => format!("max_{}_ratio", QUANTILES[index].0),
            Self::Absolute(index) => format!("max_{}", QUANTILES[index].0),
            Self::Messages(MessagePace::First) => FIRST_MESSAGE.to_owned(),
            Self::Messages(MessagePace::Between) => BETWEEN_MESSAGES.to_owned(),
        }
    }

    pub(super) fn limit(self, limits: &Limits) -> Option<f64> {
        match self {
            Self::Mismatch => limits.mismatch_rate,
            Self::Error => limits.error_rate,
            Self::NewStatus => limits.new_status_rate,
            Self::Typical => limits.typical_ratio,
            Self::Ratio(index) => limits.ratios[index],
            Self::Absolute(index) => limits.absolutes[index].map(|Nanos(nanos)| nanos as f64),
            Self::Messages(MessagePace::First) => limits.first_message_ratio,
            Self::Messages(MessagePace::Between) => limits.between_messages_ratio,
        }
        .filter(|limit| limit.is_finite())
    }

    /// Whether it is about how long answers take.
    pub(super) const fn is_of_latency(self) -> bool {
        matches!(self, Self::Typical | Self::Ratio(_) | Self::Absolute(_) | Self::Messages(_))
    }

    /// Whether it sets v2's latency against the reference's.
    pub(super) const fn is_of_both(self) -> bool {
        matches!(self, Self::Typical | Self::Ratio(_) | Self::Messages(_))
    }

    pub(super) const fn unit(self) -> Unit {
        match self {
            Self::Mismatch | Self::Error | Self::NewStatus => Unit::Share,
            Self::Typical | Self::Ratio(_) | Self::Messages(_) => Unit::Ratio,
            Self::Absolute(_) => Unit::Ns,
        }
    }
}
