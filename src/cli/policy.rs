//! The flags of the gate, and the policy that they make of the configuration's.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Failure;
use super::config::Config;
use crate::gate::Policy;
use crate::gate::policy::{Nanos, typical};
use crate::run::RunFolder;

/// Flags of the gate; each beats its key in `[gate]`. Those of `run` are kept in `run.json`, so
/// that `report` and `gate` judge the same run in the same way when they are asked again.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default)]
#[command(next_help_heading = "Gate")]
pub(crate) struct GateFlags {
    /// Largest share of compared exchanges that may differ [default: 0.001]
    #[arg(long, value_name = "SHARE")]
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    max_mismatch_rate: Option<f64>,
    /// Largest share of requests that may fail at v2 and not at v1 [default: 0.001]
    #[arg(long, value_name = "SHARE")]
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    max_error_rate: Option<f64>,
    /// Largest median of v2 over v1's [default: 1.5]
    #[arg(long, value_name = "RATIO")]
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    max_p50_ratio: Option<f64>,
    /// Largest typical latency of v2 over v1's, of the same requests [default: 1.5; 1.2 with
    /// --baseline]
    #[arg(long, value_name = "RATIO")]
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    max_typical_ratio: Option<f64>,
    /// No verdict where a change of typical latency of this size could have gone unseen; inf asks
    /// for none [default: 2]
    #[arg(long, value_name = "RATIO")]
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    must_see: Option<f64>,
    /// Largest 99th percentile of v2 over v1's [default: 1.2]
    #[arg(long, value_name = "RATIO")]
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    max_p99_ratio: Option<f64>,
    /// Fewer samples than this do not pass [default: 100]
    #[arg(long, value_name = "N")]
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    min_samples: Option<u64>,
    /// How sure a failure must be [default: 0.95]
    #[arg(long, value_name = "P")]
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    confidence: Option<f64>,
    /// Own lateness of the replayer beyond which the run is invalid [default: 5ms]
    #[arg(long, value_name = "D")]
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    max_lateness_p99: Option<Nanos>,
    /// Differences of latency below this never fail [default: 2ms]
    #[arg(long, value_name = "D")]
    #[serde(with = "as_text", skip_serializing_if = "Option::is_none")]
    min_latency_change: Option<Nanos>,
}

/// Values of flags as they are written on a command line: JSON has no `inf`.
mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize as _, Deserializer, Serializer, de};

    #[expect(clippy::ref_option, reason = "the form that serde calls")]
    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(de::Error::custom)).transpose()
    }
}

impl GateFlags {
    /// The default policy, but for how late the replayer may be.
    pub(crate) fn allowing_lateness(max_lateness_p99: Nanos) -> Self {
        Self { max_lateness_p99: Some(max_lateness_p99), ..Self::default() }
    }

    /// As they stand in `run.json`; null where none is set.
    pub(crate) fn kept(&self) -> serde_json::Value {
        match *self == Self::default() {
            true => serde_json::Value::Null,
            false => serde_json::to_value(self).unwrap_or_default(),
        }
    }

    /// These flags, and where one is not set that of the run in `folder`.
    pub(crate) fn over_those_of(self, folder: &Path) -> Result<Self, Failure> {
        let kept = RunFolder::open(folder)?
            .info()
            .ok()
            .and_then(|info| serde_json::from_value::<Self>(info.gate).ok());
        let kept = kept.unwrap_or_default();
        Ok(Self {
            max_mismatch_rate: self.max_mismatch_rate.or(kept.max_mismatch_rate),
            max_error_rate: self.max_error_rate.or(kept.max_error_rate),
            max_typical_ratio: self.max_typical_ratio.or(kept.max_typical_ratio),
            must_see: self.must_see.or(kept.must_see),
            max_p50_ratio: self.max_p50_ratio.or(kept.max_p50_ratio),
            max_p99_ratio: self.max_p99_ratio.or(kept.max_p99_ratio),
            min_samples: self.min_samples.or(kept.min_samples),
            confidence: self.confidence.or(kept.confidence),
            max_lateness_p99: self.max_lateness_p99.or(kept.max_lateness_p99),
            min_latency_change: self.min_latency_change.or(kept.min_latency_change),
        })
    }

    /// The policy of the configuration, with these flags over it.
    pub(crate) fn policy(&self, config: &Config) -> Result<Policy, Failure> {
        let mut policy = config.gate.clone();
        let limits = &mut policy.limits;
        limits.mismatch_rate = self.max_mismatch_rate.or(limits.mismatch_rate);
        limits.error_rate = self.max_error_rate.or(limits.error_rate);
        limits.typical_ratio =
            typical(self.max_typical_ratio, self.max_p50_ratio).or(limits.typical_ratio);
        limits.ratios[0] = self.max_p50_ratio.or(limits.ratios[0]);
        limits.ratios[3] = self.max_p99_ratio.or(limits.ratios[3]);
        limits.min_samples = self.min_samples.or(limits.min_samples);
        policy.must_see = self.must_see.or(policy.must_see).filter(|change| change.is_finite());
        policy.confidence = self.confidence.unwrap_or(policy.confidence);
        policy.max_lateness_p99 = self.max_lateness_p99.unwrap_or(policy.max_lateness_p99);
        policy.min_latency_change = self.min_latency_change.unwrap_or(policy.min_latency_change);
        policy.max_unbound_rate = config.flow.max_unbound_rate;
        policy
            .check()
            .map_err(|why| Failure::usage(format!("the gate's policy makes no sense: {why}")))?;
        Ok(policy)
    }
}
