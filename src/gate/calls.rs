//! The rules on v2's calls to its providers.

use super::words::{count, plural};
use super::{Evidence, Finding, Policy, RuleResult, Unit};

/// The rule for outgoing calls that change something at a provider.
pub const UNSAFE_CALLS: &str = "max_unsafe_egress_differences";
/// The rule on reads that were answered by a recorded call that is only like them.
pub const DRIFTED_READS: &str = "max_drifted_reads";
/// The rule on reads that no recorded call answered.
pub const MISSED_READS: &str = "max_missed_reads";
/// The rule of all outgoing calls.
pub const ALL_CALLS: &str = "max_egress_differences";

/// What v2 asked its providers: the calls that change something there are judged wherever a mock
/// watched, all of them where the policy says so.
pub(super) fn egress(evidence: &Evidence<'_>, policy: &Policy) -> Vec<RuleResult> {
    let watched = evidence.egress;
    let mut rules = Vec::new();
    if let (Some(limit), Some(calls)) = (policy.max_unsafe_egress_differences, watched) {
        let why = format!(
            "{} of {} of v2 to its providers change something there and are not v1's; {} allowed.",
            count(calls.unsafe_different),
            plural(calls.total, "call", "calls"),
            plural(limit, "is", "are")
        );
        rules.push(calls_rule(UNSAFE_CALLS, Some(calls.unsafe_different), calls.total, limit, why));
    }
    // Said only where there is one: it is what the calls above are not.
    if let (Some(limit), Some(calls)) = (policy.max_drifted_reads, watched)
        && calls.drifted_reads > 0
    {
        let why = format!(
            "{} of {} of v2 to its providers read something that v1 did not ask for in this form, \
             and got what v1 was told; {} allowed.",
            count(calls.drifted_reads),
            plural(calls.total, "call", "calls"),
            plural(limit, "is", "are")
        );
        let drifted = Some(calls.drifted_reads);
        rules.push(calls_rule(DRIFTED_READS, drifted, calls.total, limit, why));
    }
    if let (Some(limit), Some(calls)) = (policy.max_missed_reads, watched)
        && calls.missed_reads > 0
    {
        let why = format!(
            "{} of {} of v2 to its providers read something that v1 never read, and got a miss \
             (599) instead of an answer; {} allowed.",
            count(calls.missed_reads),
            plural(calls.total, "call", "calls"),
            plural(limit, "is", "are")
        );
        let missed = Some(calls.missed_reads);
        rules.push(calls_rule(MISSED_READS, missed, calls.total, limit, why));
    }
    if let Some(limit) = policy.max_egress_differences {
        let why = match watched {
            None => {
                "v2's calls to its providers were not watched: run `shadowtap mock` with --log."
                    .to_owned()
            }
            Some(calls) => format!(
                "{} of {} of v2 to its providers differ from the recorded ones; {} allowed.",
                count(calls.different),
                plural(calls.total, "call", "calls"),
                plural(limit, "is", "are")
            ),
        };
        let total = watched.map_or(0, |calls| calls.total);
        rules.push(calls_rule(ALL_CALLS, watched.map(|calls| calls.different), total, limit, why));
    }
    rules
}

fn calls_rule(
    rule: &str,
    different: Option<u64>,
    calls: u64,
    limit: u64,
    why: String,
) -> RuleResult {
    let value = different.map(|different| different as f64);
    RuleResult {
        rule: rule.to_owned(),
        route: None,
        finding: match different {
            None => Finding::CannotSay,
            Some(different) if different > limit => Finding::Fail,
            Some(_) => Finding::Pass,
        },
        unit: Unit::Count,
        measured: value,
        low: value,
        high: value,
        limit: limit as f64,
        count: calls,
        effective_count: calls,
        confidence: 1.0,
        noticeable: None,
        why,
    }
}
