//! What is allowed: `[gate]` of `shadowtap.toml`, and `[[gate.route]]` for single routes.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::measure::histogram::QUANTILES;

/// A doubling of typical latency must not go unseen.
const MUST_SEE: f64 = 2.0;

/// The default limit of typical latency: against a baseline, which runs on the same machines, and
/// against the recording, which was made on others.
pub const TYPICAL_RATIO: (f64, f64) = (1.2, 1.5);

/// A duration in nanoseconds, written `5ms`, `1s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "String")]
pub struct Nanos(pub i64);

impl std::fmt::Display for Nanos {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}",
            humantime::format_duration(std::time::Duration::from_nanos(
                self.0.max(0).unsigned_abs()
            ))
        )
    }
}

impl std::str::FromStr for Nanos {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a duration: write for example 500us, 5ms or 2s");
        let duration = humantime::parse_duration(text.trim()).map_err(|_| wrong())?;
        i64::try_from(duration.as_nanos()).map(Self).map_err(|_| wrong())
    }
}

impl<'de> Deserialize<'de> for Nanos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// The rules of how the messages of streams come.
pub(super) const FIRST_MESSAGE: &str = "max_first_message_ratio";
pub(super) const BETWEEN_MESSAGES: &str = "max_between_messages_ratio";

/// Limits; what is not set is not judged. In `[gate]` for all and for every route, in
/// `[[gate.route]]` for one. `inf` takes a limit away.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Share of compared exchanges with a regression.
    pub mismatch_rate: Option<f64>,
    /// Share of requests where v2 failed or answered 5xx and the reference did not.
    pub error_rate: Option<f64>,
    /// Share of v2's answers whose status the reference never gave on that route.
    pub new_status_rate: Option<f64>,
    /// v2's latency over the reference's, typically, request by request.
    pub typical_ratio: Option<f64>,
    /// v2's quantile over the reference's, in the order of [`QUANTILES`].
    pub ratios: [Option<f64>; QUANTILES.len()],
    /// v2's quantile, in the order of [`QUANTILES`].
    pub absolutes: [Option<Nanos>; QUANTILES.len()],
    /// Of streams of messages: v2's median time to the first over the reference's.
    pub first_message_ratio: Option<f64>,
    /// The same of the time between messages.
    pub between_messages_ratio: Option<f64>,
    /// Fewer samples than this do not pass.
    pub min_samples: Option<u64>,
}

impl Limits {
    /// These limits, and those of `other` where these say nothing.
    #[must_use]
    pub fn over(&self, other: &Self) -> Self {
        Self {
            mismatch_rate: self.mismatch_rate.or(other.mismatch_rate),
            error_rate: self.error_rate.or(other.error_rate),
            new_status_rate: self.new_status_rate.or(other.new_status_rate),
            typical_ratio: self.typical_ratio.or(other.typical_ratio),
            ratios: std::array::from_fn(|index| self.ratios[index].or(other.ratios[index])),
            absolutes: std::array::from_fn(|index| {
                self.absolutes[index].or(other.absolutes[index])
            }),
            first_message_ratio: self.first_message_ratio.or(other.first_message_ratio),
            between_messages_ratio: self.between_messages_ratio.or(other.between_messages_ratio),
            min_samples: self.min_samples.or(other.min_samples),
        }
    }
}

/// The whole policy.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(with = "RawPolicy")]
pub struct Policy {
    /// For all exchanges together, and for every route.
    pub limits: Limits,
    /// For single routes.
    pub routes: Vec<(String, Limits)>,
    /// How sure a failure must be.
    pub confidence: f64,
    /// The replayer's own lateness beyond which the run is invalid.
    pub max_lateness_p99: Nanos,
    /// Share of damaged exchanges in the capture beyond which the run is invalid.
    pub max_damaged_rate: f64,
    /// Differences of latency below this are never a failure, whatever the ratio.
    pub min_latency_change: Nanos,
    /// Calls of v2 to its providers that change something there and are not v1's; judged where a
    /// mock watched.
    pub max_unsafe_egress_differences: Option<u64>,
    /// Reads of v2 that the mock answered with a recorded call that is only like them: v2's own
    /// answers rest on what v1 was told; judged where a mock watched.
    pub max_drifted_reads: Option<u64>,
    /// Reads of v2 that v1 never made: the mock had no answer, and what v2 does with one was not
    /// seen; judged where a mock watched.
    pub max_missed_reads: Option<u64>,
    /// Calls of v2 to its providers that differ from the recorded ones; not judged without it.
    pub max_egress_differences: Option<u64>,
    /// No verdict where a change of typical latency of this size could have gone unseen; none
    /// where that is not asked for.
    pub must_see: Option<f64>,
    /// The same for the 99th percentile.
    pub must_see_p99: Option<f64>,
    /// Share of the baseline's answers whose status may be another than the recording's; beyond
    /// it the run is invalid.
    pub max_baseline_difference: f64,
    /// Share of the tapped ports' connections that must have been readable, else there is no
    /// verdict; judged where the capture tells it.
    pub min_seen: f64,
    /// Share of the requests that may use values that could not be bound to v2's; beyond it there
    /// is no verdict. `[flow] max_unbound_rate` of the configuration.
    pub max_unbound_rate: f64,
    /// Rules that must reach a verdict over all exchanges; a "cannot say" of one of them is no
    /// verdict.
    pub demand: Vec<String>,
}

impl Default for Policy {
    fn default() -> Self {
        let mut ratios = [None; QUANTILES.len()];
        (ratios[0], ratios[3]) = (Some(1.5), Some(1.2));
        Self {
            limits: Limits {
                mismatch_rate: Some(0.001),
                error_rate: Some(0.001),
                new_status_rate: None,
                typical_ratio: None,
                first_message_ratio: None,
                between_messages_ratio: None,
                ratios,
                absolutes: [None; QUANTILES.len()],
                min_samples: Some(100),
            },
            routes: Vec::new(),
            confidence: 0.95,
            max_lateness_p99: Nanos(5_000_000),
            max_damaged_rate: 0.05,
            min_latency_change: Nanos(2_000_000),
            max_unsafe_egress_differences: Some(0),
            max_drifted_reads: Some(0),
            max_missed_reads: Some(0),
            max_egress_differences: None,
            must_see: Some(MUST_SEE),
            must_see_p99: None,
            max_baseline_difference: 0.05,
            max_unbound_rate: 0.05,
            min_seen: 0.5,
            demand: vec!["max_mismatch_rate".to_owned(), "max_error_rate".to_owned()],
        }
    }
}

impl Serialize for Nanos {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `[gate]` as written.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
struct RawPolicy {
    max_mismatch_rate: Option<f64>,
    max_error_rate: Option<f64>,
    max_new_status_rate: Option<f64>,
    max_typical_ratio: Option<f64>,
    max_p50_ratio: Option<f64>,
    max_p90_ratio: Option<f64>,
    max_p95_ratio: Option<f64>,
    max_p99_ratio: Option<f64>,
    max_p999_ratio: Option<f64>,
    max_p50: Option<Nanos>,
    max_p90: Option<Nanos>,
    max_p95: Option<Nanos>,
    max_p99: Option<Nanos>,
    max_p999: Option<Nanos>,
    max_first_message_ratio: Option<f64>,
    max_between_messages_ratio: Option<f64>,
    min_samples: Option<u64>,
    confidence: Option<f64>,
    max_lateness_p99: Option<Nanos>,
    max_damaged_rate: Option<f64>,
    min_latency_change: Option<Nanos>,
    max_unsafe_egress_differences: Option<u64>,
    max_drifted_reads: Option<u64>,
    max_missed_reads: Option<u64>,
    max_egress_differences: Option<u64>,
    must_see: Option<f64>,
    must_see_p99: Option<f64>,
    max_baseline_difference: Option<f64>,
    min_seen: Option<f64>,
    demand: Option<Vec<String>>,
    route: Vec<RawRoute>,
}

/// `[[gate.route]]` as written.
#[derive(Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
struct RawRoute {
    route: String,
    max_mismatch_rate: Option<f64>,
    max_error_rate: Option<f64>,
    max_new_status_rate: Option<f64>,
    max_typical_ratio: Option<f64>,
    max_p50_ratio: Option<f64>,
    max_p90_ratio: Option<f64>,
    max_p95_ratio: Option<f64>,
    max_p99_ratio: Option<f64>,
    max_p999_ratio: Option<f64>,
    max_p50: Option<Nanos>,
    max_p90: Option<Nanos>,
    max_p95: Option<Nanos>,
    max_p99: Option<Nanos>,
    max_p999: Option<Nanos>,
    max_first_message_ratio: Option<f64>,
    max_between_messages_ratio: Option<f64>,
    min_samples: Option<u64>,
}

/// The limit of typical latency: what is written, else that of a median that is written, which
/// says the same with less to go by.
pub fn typical(written: Option<f64>, median: Option<f64>) -> Option<f64> {
    written.or(median)
}

/// Both raw forms name their limits alike.
macro_rules! limits {
    ($raw:expr) => {
        Limits {
            mismatch_rate: $raw.max_mismatch_rate,
            error_rate: $raw.max_error_rate,
            new_status_rate: $raw.max_new_status_rate,
            typical_ratio: typical($raw.max_typical_ratio, $raw.max_p50_ratio),
            ratios: [
                $raw.max_p50_ratio,
                $raw.max_p90_ratio,
                $raw.max_p95_ratio,
                $raw.max_p99_ratio,
                $raw.max_p999_ratio,
            ],
            absolutes: [$raw.max_p50, $raw.max_p90, $raw.max_p95, $raw.max_p99, $raw.max_p999],
            first_message_ratio: $raw.max_first_message_ratio,
            between_messages_ratio: $raw.max_between_messages_ratio,
            min_samples: $raw.min_samples,
        }
    };
}

impl From<&Policy> for RawPolicy {
    fn from(policy: &Policy) -> Self {
        let limits = &policy.limits;
        let [p50_ratio, p90_ratio, p95_ratio, p99_ratio, p999_ratio] = limits.ratios;
        let [p50, p90, p95, p99, p999] = limits.absolutes;
        Self {
            max_mismatch_rate: limits.mismatch_rate,
            max_error_rate: limits.error_rate,
            max_new_status_rate: limits.new_status_rate,
            max_typical_ratio: limits.typical_ratio,
            max_p50_ratio: p50_ratio,
            max_p90_ratio: p90_ratio,
            max_p95_ratio: p95_ratio,
            max_p99_ratio: p99_ratio,
            max_p999_ratio: p999_ratio,
            max_p50: p50,
            max_p90: p90,
            max_p95: p95,
            max_p99: p99,
            max_p999: p999,
            max_first_message_ratio: limits.first_message_ratio,
            max_between_messages_ratio: limits.between_messages_ratio,
            min_samples: limits.min_samples,
            confidence: Some(policy.confidence),
            max_lateness_p99: Some(policy.max_lateness_p99),
            max_damaged_rate: Some(policy.max_damaged_rate),
            min_latency_change: Some(policy.min_latency_change),
            max_unsafe_egress_differences: policy.max_unsafe_egress_differences,
            max_drifted_reads: policy.max_drifted_reads,
            max_missed_reads: policy.max_missed_reads,
            max_egress_differences: policy.max_egress_differences,
            must_see: policy.must_see,
            must_see_p99: policy.must_see_p99,
            max_baseline_difference: Some(policy.max_baseline_difference),
            min_seen: Some(policy.min_seen),
            demand: Some(policy.demand.clone()),
            ..Self::default()
        }
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawPolicy::deserialize(deserializer)?;
        let default = Self::default();
        let policy = Self {
            limits: limits!(raw).over(&default.limits),
            routes: raw.route.iter().map(|route| (route.route.clone(), limits!(route))).collect(),
            confidence: raw.confidence.unwrap_or(default.confidence),
            max_lateness_p99: raw.max_lateness_p99.unwrap_or(default.max_lateness_p99),
            max_damaged_rate: raw.max_damaged_rate.unwrap_or(default.max_damaged_rate),
            min_latency_change: raw.min_latency_change.unwrap_or(default.min_latency_change),
            max_unsafe_egress_differences: raw
                .max_unsafe_egress_differences
                .or(default.max_unsafe_egress_differences),
            max_drifted_reads: raw.max_drifted_reads.or(default.max_drifted_reads),
            max_missed_reads: raw.max_missed_reads.or(default.max_missed_reads),
            max_egress_differences: raw.max_egress_differences,
            must_see: raw.must_see.or(default.must_see).filter(|change| change.is_finite()),
            must_see_p99: raw.must_see_p99.filter(|change| change.is_finite()),
            max_baseline_difference: raw
                .max_baseline_difference
                .unwrap_or(default.max_baseline_difference),
            max_unbound_rate: default.max_unbound_rate,
            min_seen: raw.min_seen.unwrap_or(default.min_seen),
            demand: raw.demand.unwrap_or(default.demand),
        };
        policy.check().map_err(de::Error::custom)?;
        Ok(policy)
    }
}

/// Names of the rules that `demand` can hold.
pub fn rule_names() -> impl Iterator<Item = String> {
    ["max_mismatch_rate", "max_error_rate", "max_new_status_rate", "max_typical_ratio"]
        .map(str::to_owned)
        .into_iter()
        .chain(
            QUANTILES
                .iter()
                .flat_map(|(name, _)| [format!("max_{name}_ratio"), format!("max_{name}")]),
        )
        .chain([FIRST_MESSAGE, BETWEEN_MESSAGES].map(str::to_owned))
}

impl Policy {
    /// Its keys as `[gate]` writes them, without those of single routes; null is no limit.
    pub fn as_written(&self) -> serde_json::Value {
        serde_json::to_value(RawPolicy::from(self)).unwrap_or_default()
    }

    /// Says what makes no sense.
    pub fn check(&self) -> Result<(), String> {
        if !(0.5..1.0).contains(&self.confidence) {
            return Err(format!(
                "confidence is {}: it must be at least 0.5 and below 1, for example 0.95",
                self.confidence
            ));
        }
        for limits in
            std::iter::once(&self.limits).chain(self.routes.iter().map(|(_, limits)| limits))
        {
            let rates = [limits.mismatch_rate, limits.error_rate, limits.new_status_rate];
            if let Some(wrong) = rates
                .iter()
                .chain([&limits.typical_ratio, &limits.first_message_ratio])
                .chain([&limits.between_messages_ratio])
                .chain(&limits.ratios)
                .flatten()
                .find(|&&limit| limit.is_nan() || limit < 0.0)
            {
                return Err(format!(
                    "{wrong} is not a limit: write a number that is not negative, or inf for none"
                ));
            }
        }
        if self.max_damaged_rate.is_nan() || self.max_damaged_rate < 0.0 {
            return Err(format!(
                "max_damaged_rate is {}: write a share such as 0.05",
                self.max_damaged_rate
            ));
        }
        if !(0.0..=1.0).contains(&self.min_seen) {
            return Err(format!("min_seen is {}: write a share from 0 to 1", self.min_seen));
        }
        let asked = [self.must_see, self.must_see_p99];
        if let Some(wrong) =
            asked.iter().flatten().find(|&&change| change.is_nan() || change <= 1.0)
        {
            return Err(format!(
                "must_see is {wrong}: write a factor above 1 such as 2.0, or inf for none"
            ));
        }
        if let Some(nameless) = self.routes.iter().position(|(route, _)| route.trim().is_empty()) {
            return Err(format!(
                "[[gate.route]] number {} names no route: add route = \"GET /search\"",
                nameless + 1
            ));
        }
        if let Some(unknown) =
            self.demand.iter().find(|name| !rule_names().any(|known| known == **name))
        {
            return Err(format!(
                "demand names {unknown:?}, which is no rule: write for example \"max_error_rate\""
            ));
        }
        Ok(())
    }

    /// The limits of a route.
    pub fn of_route(&self, route: &str) -> Limits {
        self.routes
            .iter()
            .filter(|(name, _)| name == route)
            .fold(self.limits.clone(), |limits, (_, own)| own.over(&limits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct PolicyFile {
        gate: Policy,
    }

    #[test]
    fn the_example_of_the_contract_is_read() {
        let file: PolicyFile = toml::from_str(
            "[gate]\nmax_mismatch_rate = 0.001\nmax_error_rate = 0.001\nmax_p99_ratio = 1.2\n\
             min_samples = 100\n\
             confidence = 0.95\nmax_lateness_p99 = \"5ms\"\n[[gate.route]]\n\
             route = \"GET /search\"\nmax_p99_ratio = 1.5\n",
        )
        .unwrap();
        let route = file.gate.of_route("GET /search");
        assert_eq!(
            (route.ratios[3], route.mismatch_rate, route.min_samples),
            (Some(1.5), Some(0.001), Some(100))
        );
        assert_eq!(
            Policy { routes: vec![], ..file.gate },
            Policy::default(),
            "the example is the default"
        );
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        for (text, word) in [
            ("confidence = 95.0", "confidence is 95"),
            ("max_error_rate = -1.0", "-1 is not a limit"),
            ("max_p99_ratio = nan", "not a limit"),
            ("max_lateness_p99 = \"soon\"", "not a duration"),
            ("demand = [\"max_p98_ratio\"]", "is no rule"),
            ("max_p98_ratio = 1.0", "unknown field `max_p98_ratio`"),
            ("[[gate.route]]\nmax_p99_ratio = 1.0", "names no route"),
        ] {
            let error =
                toml::from_str::<PolicyFile>(&format!("[gate]\n{text}\n")).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
        let none: PolicyFile = toml::from_str("[gate]\nmax_p99_ratio = inf\n").unwrap();
        assert_eq!(none.gate.limits.ratios[3], Some(f64::INFINITY));
    }
}
