//! What a run could have seen: the smallest change of latency that each rule would have noticed,
//! and what was not judged at all. A pass says no more than that.

use super::rule::TYPICAL;
use super::words::times;
use super::{Finding, Policy, RuleResult};

/// The rule of the tail.
const TAIL: &str = "max_p99_ratio";

/// Why latency is not judged where there is none to compare with: a log may tell no times.
const UNTOLD: &str = "the other side's latencies are not known.";

/// For each rule of latency over all exchanges: what it would have noticed.
pub(super) fn sentences(overall: &[RuleResult], policy: &Policy) -> Vec<String> {
    let told = |rule: &&RuleResult| is_ratio(rule) && rule.finding != Finding::Fail;
    overall.iter().filter(told).map(|rule| sentence(rule, policy)).collect()
}

fn is_ratio(rule: &RuleResult) -> bool {
    rule.route.is_none() && rule.rule.ends_with("_ratio")
}

fn sentence(rule: &RuleResult, policy: &Policy) -> String {
    let what = subject(rule);
    match (rule.finding, rule.noticeable) {
        (Finding::Invalid, _) => {
            let why = rule.why.rsplit_once("Not judged: ").map_or(UNTOLD, |(_, why)| why);
            format!("{what} was not judged: {why}")
        }
        (_, None) if rule.count == 0 => format!("{what} was not judged: {UNTOLD}"),
        (_, None) => format!("{what} was not judged: {} requests cannot bound it.", rule.count),
        (_, Some(_)) if rule.count < policy.limits.min_samples.unwrap_or(0) => {
            format!("{what} was not judged: {} requests are too few.", rule.count)
        }
        (_, Some(noticed)) => {
            format!("{what}: up to × {} would not have been noticed.", times(noticed))
        }
    }
}

fn subject(rule: &RuleResult) -> String {
    match rule.rule.strip_prefix("max_").and_then(|rest| rest.strip_suffix("_ratio")) {
        Some("typical") | None => "Typical latency".to_owned(),
        Some(quantile) => format!("The {quantile} of latency"),
    }
}

/// Why a run that passed everything else is no pass: a change that the policy says must not go
/// unseen could have. A rule whose limit is beyond that change was not meant to see it.
pub(super) fn unseen(overall: &[RuleResult], policy: &Policy) -> Vec<String> {
    let asked =
        [(TYPICAL, "must_see", policy.must_see), (TAIL, "must_see_p99", policy.must_see_p99)];
    asked
        .into_iter()
        .filter_map(|(name, key, change)| {
            let change = change?;
            let Some(rule) = overall.iter().find(|rule| is_ratio(rule) && rule.rule == name) else {
                // Typical latency is asked about by default; the tail only by who wants to know.
                return (name == TAIL).then(|| {
                    format!(
                        "p99 was not judged, since {name} is inf, and {key} = {} asks that a \
                         change of it be seen. Give {name} a limit, or leave out {key}.",
                        times(change)
                    )
                });
            };
            let judged = matches!(rule.finding, Finding::Pass | Finding::CannotSay);
            let unseen = rule.noticeable.is_none_or(|noticed| noticed > change);
            (judged && rule.limit < change && unseen).then(|| demand(rule, key, change))
        })
        .collect()
}

fn demand(rule: &RuleResult, key: &str, change: f64) -> String {
    let seen = match rule.noticeable {
        Some(noticed) => format!("only × {} or more would have been", times(noticed)),
        None => "nothing would have been".to_owned(),
    };
    if rule.count == 0 {
        return format!(
            "{} times v1's time could have gone unseen: {UNTOLD} Compare with --baseline, or \
             loosen {key} ({key} = {0}).",
            times(change)
        );
    }
    format!(
        "{} times v1's time could have gone unseen: {seen} noticed in {} requests ({key} = {}). \
         Replay more of them, or loosen {key}.",
        times(change),
        rule.count,
        times(change)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_the_tail_that_nothing_judges_cannot_be_seen() {
        let policy = |must_see_p99| Policy { must_see_p99, ..Policy::default() };
        assert!(unseen(&[], &policy(None)).is_empty(), "nobody asks about the tail");
        let why = unseen(&[], &policy(Some(1.5)));
        assert!(why.len() == 1 && why[0].contains("must_see_p99 = 1.5"), "{why:?}");
    }
}
