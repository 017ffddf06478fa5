//! The verdict of a run, and why: what failed and on which routes, what is not to be trusted, what
//! was too little to say anything.

use super::calls::UNSAFE_CALLS;
use super::rule::{RuleKind, TYPICAL};
use super::words::{count, plural};
use super::{Check, Evidence, Finding, Policy, RuleResult, Verdict};
use super::{power, seen};

/// Most reasons that are listed each by itself.
const REASONS: usize = 12;

/// The verdict with its reasons; the first `overall` of the rules are those over all exchanges.
pub(super) fn verdict(
    evidence: &Evidence<'_>,
    policy: &Policy,
    checks: &[Check],
    rules: &[RuleResult],
    overall: usize,
) -> (Verdict, Vec<String>) {
    let failed: Vec<&RuleResult> =
        rules.iter().filter(|rule| rule.finding == Finding::Fail).collect();
    let broken: Vec<&Check> = checks.iter().filter(|check| !check.holds).collect();
    let untrusted = broken.iter().map(|check| format!("{} {}", check.why, check.advice));
    // What v2 refuses for want of values that nobody could give it is no failure of v2.
    let unfair = seen::UnboundRequests::of(evidence).is_ours(policy);
    if !failed.is_empty() && unfair {
        let beside = complaints(&failed).into_iter().take(REASONS);
        let beside = beside.map(|why| format!("Not held against v2: {why}"));
        return (Verdict::Invalid, untrusted.chain(beside).collect());
    }
    if !failed.is_empty() {
        let mut reasons = complaints(&failed);
        if reasons.len() > REASONS {
            let more = reasons.split_off(REASONS).len() as u64;
            reasons
                .push(format!("… and {}.", plural(more, "more route fails", "more routes fail")));
        }
        reasons.extend(untrusted.map(|why| format!("Beside this: {why}")));
        return (Verdict::Fail, reasons);
    }
    if !broken.is_empty() {
        return (Verdict::Invalid, untrusted.collect());
    }
    let compared = evidence.totals.compared;
    let needed = policy.limits.min_samples.unwrap_or(0);
    if compared == 0 {
        return (
            Verdict::CannotSay,
            vec!["Nothing was compared: no exchange has an answer on both sides.".to_owned()],
        );
    }
    if compared < needed {
        let why = format!(
            "Only {} were compared; min_samples asks for {}.",
            plural(compared, "exchange", "exchanges"),
            count(needed)
        );
        return (Verdict::CannotSay, vec![why]);
    }
    if let Some(why) = seen::too_little(evidence.summary, policy) {
        return (Verdict::CannotSay, vec![why]);
    }
    let open: Vec<String> = rules[..overall]
        .iter()
        .filter(|rule| rule.finding == Finding::CannotSay && policy.demand.contains(&rule.rule))
        .map(|rule| rule.why.clone())
        .collect();
    let busy = contended(evidence, &rules[..overall]);
    let open: Vec<String> = open.into_iter().chain(busy).collect();
    let unseen = power::unseen(&rules[..overall], policy);
    if !open.is_empty() || !unseen.is_empty() {
        return (Verdict::CannotSay, open.into_iter().chain(unseen).collect());
    }
    (Verdict::Pass, praise(evidence, rules))
}

/// What a busy machine keeps from being said: latency that is beyond its limit, and may be the
/// replayer's.
fn contended(evidence: &Evidence<'_>, overall: &[RuleResult]) -> Vec<String> {
    let beyond = |rule: &&RuleResult| {
        rule.finding == Finding::CannotSay
            && (rule.rule == TYPICAL || rule.rule.starts_with("max_p"))
            && rule.low.is_some_and(|low| low > rule.limit)
    };
    let busy = evidence.summary.contended();
    overall.iter().filter(|rule| busy && beyond(rule)).map(|rule| rule.why.clone()).collect()
}

/// Why a run fails, route by route: the share of all that differs, each route with everything that
/// it fails by, and then what fails over all exchanges and on no route.
fn complaints(failed: &[&RuleResult]) -> Vec<String> {
    let mut routes: Vec<(&str, String)> = Vec::new();
    for rule in failed {
        let Some(route) = rule.route.as_deref() else { continue };
        let said = rule
            .why
            .strip_prefix(route)
            .and_then(|rest| rest.strip_prefix(": "))
            .unwrap_or(&rule.why);
        match routes.iter_mut().find(|(name, _)| *name == route) {
            Some((_, text)) => *text += &format!(" {said}"),
            None => routes.push((route, said.to_owned())),
        }
    }
    let on_a_route =
        |rule: &str| failed.iter().any(|other| other.route.is_some() && other.rule == rule);
    let differ = |rule: &&&RuleResult| rule.rule == RuleKind::Mismatch.rule();
    let overall = failed.iter().filter(|rule| rule.route.is_none());
    let twice = |rule: &&&RuleResult| rule.rule == UNSAFE_CALLS;
    let first = overall
        .clone()
        .filter(twice)
        .chain(overall.clone().filter(differ))
        .map(|rule| rule.why.clone());
    let last = overall
        .filter(|rule| !differ(rule) && !twice(rule) && !on_a_route(&rule.rule))
        .map(|rule| rule.why.clone());
    first
        .chain(routes.into_iter().map(|(route, text)| format!("{route}: {text}")))
        .chain(last)
        .collect()
}

/// Why a run passes.
fn praise(evidence: &Evidence<'_>, rules: &[RuleResult]) -> Vec<String> {
    let totals = evidence.totals;
    let apart = [
        (totals.approved, "as approved"),
        (totals.consequences, "in what follows from skipped requests"),
        (totals.unbound_differ, "in what follows from values that v2 did not issue"),
        (totals.fixed, "in that v1 failed"),
        (totals.noisy, "in what varies by itself"),
    ];
    let apart: Vec<String> = apart
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, how)| format!("{} only {how}", plural(number, "differs", "differ")))
        .collect();
    let mut reasons = vec![if totals.mismatched == 0 && !apart.is_empty() {
        format!(
            "No difference counts in {}: {}.",
            plural(totals.compared, "compared exchange", "compared exchanges"),
            apart.join(", ")
        )
    } else if totals.mismatched == 0 {
        seen::none_differs(evidence.summary, totals)
    } else {
        format!(
            "{} of {} differ, which is within the limit.",
            count(totals.mismatched),
            plural(totals.compared, "compared exchange", "compared exchanges")
        )
    }];
    let passed = rules.iter().filter(|rule| rule.finding == Finding::Pass).count() as u64;
    let open = rules.iter().filter(|rule| rule.finding == Finding::CannotSay).count() as u64;
    let mut sentence = format!("{} within the limits", plural(passed, "rule is", "rules are"));
    if open > 0 {
        sentence += &format!("; of {} too little was seen to say", plural(open, "rule", "rules"));
    }
    reasons.push(sentence + ".");
    reasons
}
