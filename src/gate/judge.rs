//! Applies a policy to a run's figures.
//!
//! Rules over all exchanges are judged each at the policy's confidence. A rule over the routes is a
//! family: Holm's procedure keeps the chance of even one false alarm among them below 1 −
//! confidence. (Benjamini and Hochberg's would bound the share of false alarms among the alarms,
//! but one false alarm already stops a rollout.)

use std::collections::BTreeSet;

use super::paired::Shift;
use super::policy::{Limits, Nanos, QUANTILES, TYPICAL_RATIO};
use super::statistics::{self, Interval};
use super::words::{count, duration, percent, plural, round_duration, round_times, times};
use super::{Check, Finding, Judgement, Policy, RuleResult, Unit, Verdict};
use super::{power, seen};
use crate::diff::Totals;
use crate::measure::{Histogram, RouteSummary, Side, Summary};
use crate::record::flows::FlowFigures;
use crate::schedule::held::{LATE_SHARE, held};

/// The rule for outgoing calls that change something at a provider.
pub const UNSAFE_CALLS: &str = "max_unsafe_egress_differences";
/// The rule on reads that were answered by a recorded call that is only like them.
pub const DRIFTED_READS: &str = "max_drifted_reads";
/// The rule of all outgoing calls.
pub const ALL_CALLS: &str = "max_egress_differences";
/// The rule of typical latency.
pub(super) const TYPICAL: &str = "max_typical_ratio";
/// Most reasons that are listed each by itself.
const REASONS: usize = 12;

/// What is known of a run.
pub struct Evidence<'a> {
    /// Its figures.
    pub summary: &'a Summary,
    /// What the diff counted.
    pub totals: &'a Totals,
    /// What is known of the recording's state, where values were bound.
    pub state: Option<&'a FlowFigures>,
    /// Calls of v2 to its providers, where a mock watched.
    pub egress: Option<Outgoing>,
    /// Whether the target is reached by TLS.
    pub tls: bool,
    /// Whether the run was broken off.
    pub interrupted: bool,
    /// Whether there was a schedule to hold; `--speed max` has none.
    pub scheduled: bool,
    /// Whether requests came as fast as they did to v1: at another speed its latencies say
    /// nothing of v2's.
    pub own_speed: bool,
}

/// Calls of v2 to its providers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// All, with v1's that v2 did not make.
    pub total: u64,
    /// Those that differ from the recorded ones.
    pub different: u64,
    /// Those of them that change something at the provider.
    pub unsafe_different: u64,
    /// Reads that were answered by a recorded call that is only like them.
    pub drifted_reads: u64,
}

/// Judges a run.
pub fn judge(evidence: &Evidence<'_>, policy: &Policy) -> Judgement {
    let checks = checks(evidence, policy);
    let broken = |name: &str| checks.iter().any(|check| check.name == name && !check.holds);
    let reference = evidence.summary.reference();
    let court = Court {
        reference,
        late: broken("max_lateness_p99"),
        cut: broken("finished"),
        contended: evidence.summary.contended(),
        own_speed: evidence.own_speed || reference == Side::Baseline,
        allowance: allowance(evidence, policy),
        confidence: policy.confidence,
    };
    let subjects = RuleSubject::all(evidence, policy, court.reference);
    // First what was done twice: it costs money, and no sample is too small to show it.
    let mut rules = egress(evidence, policy);
    for kind in RuleKind::all() {
        rules.extend(court.judge(kind, &subjects[..1], evidence));
    }
    let overall = rules.len();
    for kind in RuleKind::all() {
        rules.extend(court.judge(kind, &subjects[1..], evidence));
    }
    let power = power::sentences(&rules[..overall], policy);
    let (verdict, mut reasons) = verdict(evidence, policy, &checks, &rules, overall);
    if verdict == Verdict::Pass {
        reasons.extend(seen::sentences(evidence.summary, evidence.totals));
        reasons.extend(power.iter().cloned());
    }
    let known: BTreeSet<&str> = evidence.summary.routes.iter().map(|route| &*route.route).collect();
    let unmatched_routes = policy
        .routes
        .iter()
        .map(|(route, _)| route.clone())
        .filter(|route| !known.contains(&**route))
        .collect();
    Judgement { verdict, reasons, reference, checks, power, rules, unmatched_routes }
}

fn verdict(
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
        seen::none_differs(totals)
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

/// Whether the run is to be trusted.
fn checks(evidence: &Evidence<'_>, policy: &Policy) -> Vec<Check> {
    let summary = evidence.summary;
    let Nanos(limit) = policy.max_lateness_p99;
    let (sent, late) =
        (summary.lateness.count(), summary.lateness.count_above(limit.max(0).unsigned_abs()));
    let (damaged, recorded) = (summary.damaged(), summary.recorded());
    let share = damaged as f64 / recorded.max(1) as f64;
    let totals = evidence.totals;
    let answers = summary.baseline_answers.max(totals.baseline_compared);
    let otherwise = (summary.baseline_otherwise + totals.baseline_shapes).min(answers) as f64
        / answers.max(1) as f64;
    let cut = evidence.interrupted || !summary.unclosed.is_empty();
    vec![
        Check {
            name: "max_lateness_p99".to_owned(),
            holds: held(late, sent) || !evidence.scheduled,
            why: if evidence.scheduled {
                format!(
                    "The replayer sent {} of {} more than {} late ({}; 99 % were at most {} late); {} may be.",
                    count(late),
                    plural(sent, "request", "requests"),
                    round_duration(limit as f64),
                    percent(late as f64 / sent.max(1) as f64),
                    duration(summary.lateness.quantile(0.99).unwrap_or(0) as f64),
                    percent(LATE_SHARE)
                )
            } else {
                "There was no schedule to hold: everything was sent as soon as it was allowed.".to_owned()
            },
            advice: "Give the replayer more CPU, cut the work with --shard, lower --speed, use --realtime, or raise max_lateness_p99.".to_owned(),
        },
        Check {
            name: "max_damaged_rate".to_owned(),
            holds: share <= policy.max_damaged_rate,
            why: format!(
                "{} of {} recorded exchanges are damaged ({}); {} is allowed.",
                count(damaged),
                count(recorded),
                percent(share),
                percent(policy.max_damaged_rate)
            ),
            advice: "Capture with a larger --buffer and without a --snaplen, closer to v1, or raise max_damaged_rate.".to_owned(),
        },
        own_failures(summary),
        seen::UnboundRequests::of(evidence).check(policy),
        Check {
            name: "max_baseline_difference".to_owned(),
            holds: otherwise <= policy.max_baseline_difference,
            why: if summary.has_baseline {
                format!(
                    "The baseline answered {} of {} otherwise than v1 ({}: {} with another status, \
                     {} in another shape); {} is allowed.",
                    count((summary.baseline_otherwise + totals.baseline_shapes).min(answers)),
                    plural(answers, "request", "requests"),
                    percent(otherwise),
                    count(summary.baseline_otherwise),
                    count(totals.baseline_shapes),
                    percent(policy.max_baseline_difference)
                )
            } else {
                "There was no baseline.".to_owned()
            },
            advice: "What v1 itself does not answer again says nothing of v2: give both the data \
                     and the sessions that v1 had when the capture began."
                .to_owned(),
        },
        Check {
            name: "finished".to_owned(),
            holds: !cut,
            why: match (cut, summary.unclosed.first()) {
                (false, _) => "The replay ran to its end.".to_owned(),
                (true, Some(file)) => format!("The replay was broken off: {file} has no last line."),
                (true, None) => "The replay was interrupted.".to_owned(),
            },
            advice: "Run it again; what was measured until then is shown.".to_owned(),
        },
    ]
}

/// Requests that failed by the replayer's machine, its settings or a proxy were not answered, and
/// v2 might have failed at just those.
fn own_failures(summary: &Summary) -> Check {
    let all: u64 = summary.own_failures.values().sum();
    let most = summary.own_failures.iter().max_by_key(|(_, count)| **count);
    Check {
        name: "own_failures".to_owned(),
        holds: all == 0,
        why: match most {
            None => "No request failed by anything but v2.".to_owned(),
            Some((how, _)) => format!(
                "{} before v2 was at fault, most by the {how}.",
                plural(all, "request failed", "requests failed")
            ),
        },
        advice: "Mend what it names and run it again.".to_owned(),
    }
}

/// How much slower v2 may be without it being a failure: what the policy ignores, and the way
/// between the replayer and v2, which v1's latency, taken at the tap, does not contain.
fn allowance(evidence: &Evidence<'_>, policy: &Policy) -> f64 {
    let Nanos(ignored) = policy.min_latency_change;
    let way = match evidence.summary.reference() {
        Side::Baseline => 0,
        _ => evidence.summary.connects.quantile(0.5).unwrap_or(0),
    };
    // A TLS 1.3 connection takes two round trips to open.
    ignored as f64 + way as f64 / if evidence.tls { 2.0 } else { 1.0 }
}

/// What a rule is about.
#[derive(Clone, Copy)]
enum RuleKind {
    Mismatch,
    Error,
    NewStatus,
    Typical,
    Ratio(usize),
    Absolute(usize),
}

impl RuleKind {
    fn all() -> impl Iterator<Item = Self> {
        let quantiles = 0..QUANTILES.len();
        [Self::Mismatch, Self::Error, Self::NewStatus, Self::Typical]
            .into_iter()
            .chain(quantiles.clone().map(Self::Ratio))
            .chain(quantiles.map(Self::Absolute))
    }

    fn rule(self) -> String {
        match self {
            Self::Mismatch => "max_mismatch_rate".to_owned(),
            Self::Error => "max_error_rate".to_owned(),
            Self::NewStatus => "max_new_status_rate".to_owned(),
            Self::Typical => TYPICAL.to_owned(),
            Self::Ratio(index) => format!("max_{}_ratio", QUANTILES[index].0),
            Self::Absolute(index) => format!("max_{}", QUANTILES[index].0),
        }
    }

    fn limit(self, limits: &Limits) -> Option<f64> {
        match self {
            Self::Mismatch => limits.mismatch_rate,
            Self::Error => limits.error_rate,
            Self::NewStatus => limits.new_status_rate,
            Self::Typical => limits.typical_ratio,
            Self::Ratio(index) => limits.ratios[index],
            Self::Absolute(index) => limits.absolutes[index].map(|Nanos(nanos)| nanos as f64),
        }
        .filter(|limit| limit.is_finite())
    }

    /// Whether it is about how long answers take.
    const fn is_of_latency(self) -> bool {
        matches!(self, Self::Typical | Self::Ratio(_) | Self::Absolute(_))
    }

    /// Whether it sets v2's latency against the reference's.
    const fn is_of_both(self) -> bool {
        matches!(self, Self::Typical | Self::Ratio(_))
    }

    const fn unit(self) -> Unit {
        match self {
            Self::Mismatch | Self::Error | Self::NewStatus => Unit::Share,
            Self::Typical | Self::Ratio(_) => Unit::Ratio,
            Self::Absolute(_) => Unit::Ns,
        }
    }
}

/// All exchanges, or those of a route.
struct RuleSubject<'a> {
    /// None for all.
    name: Option<String>,
    limits: Limits,
    compared: u64,
    mismatched: u64,
    /// Errors of v2 that are not its fault.
    excused: u64,
    figures: &'a RouteSummary,
    v2: Histogram,
    reference: Histogram,
    shift: Option<Shift>,
}

impl<'a> RuleSubject<'a> {
    fn all(evidence: &Evidence<'a>, policy: &Policy, reference: Side) -> Vec<Self> {
        let subject = |name: Option<String>,
                       limits,
                       [compared, mismatched, excused]: [u64; 3],
                       figures: &'a RouteSummary| {
            RuleSubject {
                name,
                limits,
                compared,
                mismatched,
                excused,
                figures,
                v2: figures.side(Side::V2).sent.whole(),
                reference: figures.side(reference).sent.whole(),
                shift: Shift::of(&figures.ratios),
            }
        };
        let usual = match reference {
            Side::Baseline => TYPICAL_RATIO.0,
            _ => TYPICAL_RATIO.1,
        };
        let with_typical = |limits: Limits| Limits {
            typical_ratio: limits.typical_ratio.or(Some(usual)),
            ..limits
        };
        let totals = evidence.totals;
        let all = &evidence.summary.all;
        let counts: std::collections::HashMap<&str, [u64; 3]> = totals
            .routes
            .iter()
            .map(|route| (route.route.as_str(), [route.compared, route.mismatched, route.excused]))
            .collect();
        std::iter::once(subject(
            None,
            with_typical(policy.limits.clone()),
            [totals.compared, totals.mismatched, totals.excused],
            all,
        ))
        .chain(evidence.summary.routes.iter().map(|route| {
            let counts = counts.get(&*route.route).copied().unwrap_or_default();
            subject(
                Some(route.route.to_string()),
                with_typical(policy.of_route(&route.route)),
                counts,
                route,
            )
        }))
        .collect()
    }
}

/// A rule and a subject, ready to be judged at any confidence.
struct Case<'a> {
    subject: &'a RuleSubject<'a>,
    limit: f64,
    samples: u64,
    /// What v2's and the reference's samples are worth.
    worth: (u64, u64),
}

struct Court {
    reference: Side,
    late: bool,
    /// The run was broken off.
    cut: bool,
    /// The replayer's machine was too busy for its latencies to be v2's alone.
    contended: bool,
    /// The reference's latencies are of the same load.
    own_speed: bool,
    allowance: f64,
    confidence: f64,
}

impl Court {
    /// Judges one rule for a family of subjects.
    fn judge(
        &self,
        kind: RuleKind,
        subjects: &[RuleSubject<'_>],
        evidence: &Evidence<'_>,
    ) -> Vec<RuleResult> {
        let cases: Vec<Case<'_>> =
            subjects.iter().filter_map(|subject| self.case(kind, subject)).collect();
        // A case that could not fail whatever it showed does not count against the others.
        let alpha = 1.0 - self.confidence;
        let able: Vec<usize> =
            (0..cases.len()).filter(|&index| self.able(kind, &cases[index])).collect();
        let judged = statistics::holm(able.len(), alpha, |index, confidence| {
            self.fails(kind, &cases[able[index]], confidence)
        });
        let mut verdicts = vec![(false, self.confidence); cases.len()];
        able.iter().zip(judged).for_each(|(&index, judged)| verdicts[index] = judged);
        let results = cases.iter().zip(verdicts);
        results
            .map(|(case, (fails, confidence))| self.result(kind, case, fails, confidence, evidence))
            .collect()
    }

    fn case<'a>(&self, kind: RuleKind, subject: &'a RuleSubject<'a>) -> Option<Case<'a>> {
        let limit = kind.limit(&subject.limits)?;
        let figures = subject.figures;
        let samples = match kind {
            RuleKind::Mismatch => subject.compared,
            RuleKind::Error => figures.pairs.count,
            RuleKind::NewStatus => figures.side(Side::V2).answers(),
            RuleKind::Typical => subject.shift.map_or(0, |shift| shift.pairs),
            RuleKind::Ratio(_) => subject.v2.count().min(subject.reference.count()),
            RuleKind::Absolute(_) => subject.v2.count(),
        };
        // A route without a single sample is not worth a line; all exchanges are.
        if samples == 0 && subject.name.is_some() {
            return None;
        }
        let worth = match kind {
            RuleKind::Ratio(index) | RuleKind::Absolute(index) => {
                let quantile = QUANTILES[index].1;
                (
                    statistics::effective_samples(
                        &figures.side(Side::V2).sent,
                        &subject.v2,
                        quantile,
                    ),
                    statistics::effective_samples(
                        &figures.side(self.reference).sent,
                        &subject.reference,
                        quantile,
                    ),
                )
            }
            RuleKind::Typical => {
                let worth = subject.shift.map_or(0, |shift| shift.worth);
                (worth, worth)
            }
            _ => (samples, samples),
        };
        Some(Case { subject, limit, samples, worth })
    }

    fn able(&self, kind: RuleKind, case: &Case<'_>) -> bool {
        match kind {
            RuleKind::Ratio(index) => statistics::can_bound(
                QUANTILES[index].1,
                case.subject.reference.count(),
                self.confidence,
            ),
            _ => case.samples > 0,
        }
    }

    /// Hits of a rate's rule. Where the schedule was not held, errors may be the replayer's doing:
    /// they are left out of the mismatches, which are judged all the same. A wrong answer is wrong
    /// however late the question was.
    fn hits(&self, kind: RuleKind, case: &Case<'_>) -> u64 {
        let figures = case.subject.figures;
        match kind {
            RuleKind::Mismatch if self.late => {
                case.subject.mismatched.saturating_sub(figures.pairs.new_errors)
            }
            RuleKind::Mismatch => case.subject.mismatched,
            RuleKind::Error => figures.pairs.new_errors.saturating_sub(case.subject.excused),
            _ => figures.new_statuses(self.reference).values().sum(),
        }
    }

    fn interval(&self, kind: RuleKind, case: &Case<'_>, confidence: f64) -> Option<Interval> {
        let Case { subject, worth, .. } = case;
        match kind {
            RuleKind::Mismatch | RuleKind::Error | RuleKind::NewStatus => statistics::proportion(
                self.hits(kind, case).min(case.samples),
                case.samples,
                confidence,
            ),
            RuleKind::Typical => Some(subject.shift?.ratio(confidence)),
            RuleKind::Ratio(index) => {
                let quantile = QUANTILES[index].1;
                let v2 = statistics::quantile(&subject.v2, quantile, worth.0, confidence)?;
                let reference =
                    statistics::quantile(&subject.reference, quantile, worth.1, confidence)?;
                Some(statistics::ratio(&v2, &reference))
            }
            RuleKind::Absolute(index) => {
                statistics::quantile(&subject.v2, QUANTILES[index].1, worth.0, confidence)
            }
        }
    }

    fn fails(&self, kind: RuleKind, case: &Case<'_>, confidence: f64) -> bool {
        if self.unjudged(kind).is_some() || self.contended && kind.is_of_latency() {
            return false;
        }
        let beyond =
            self.interval(kind, case, confidence).is_some_and(|interval| interval.low > case.limit);
        beyond && !self.excused(kind, case)
    }

    /// Why a rule is not judged in this run.
    const fn unjudged(&self, kind: RuleKind) -> Option<&'static str> {
        match kind {
            RuleKind::Mismatch => None,
            _ if self.late => Some("the replayer was late"),
            _ if kind.is_of_latency() && self.cut => Some("the run was broken off"),
            _ if kind.is_of_both() && !self.own_speed => Some(
                "v1's latencies are of its own speed, and this run had another: use --baseline",
            ),
            _ => None,
        }
    }

    /// What is beyond the limit and yet not held against v2.
    fn excused(&self, kind: RuleKind, case: &Case<'_>) -> bool {
        match kind {
            RuleKind::Ratio(index) => self.slower_by(index, case) < self.allowance,
            RuleKind::Typical => self.typically_slower_by(case) < self.allowance,
            // v1 fails about as often where v2 does not: both are flaky, v2 is not worse.
            RuleKind::Error => {
                let pairs = case.subject.figures.pairs;
                pairs.gone_errors > 0
                    && statistics::sign_test(pairs.new_errors, pairs.gone_errors)
                        > 1.0 - self.confidence
            }
            _ => false,
        }
    }

    /// By how much v2's quantile is above the reference's, in nanoseconds.
    fn slower_by(&self, index: usize, case: &Case<'_>) -> f64 {
        let at = |histogram: &Histogram| histogram.quantile(QUANTILES[index].1).unwrap_or(0) as f64;
        at(&case.subject.v2) - at(&case.subject.reference)
    }

    /// By how much v2 is typically slower, in nanoseconds: what the ratio makes of the reference's
    /// median.
    fn typically_slower_by(&self, case: &Case<'_>) -> f64 {
        let ratio = case.subject.shift.map_or(1.0, |shift| shift.ratio(self.confidence).value);
        (ratio - 1.0) * case.subject.reference.quantile(0.5).unwrap_or(0) as f64
    }

    /// The smallest change of a rule's ratio that would have been found.
    fn noticeable(&self, kind: RuleKind, case: &Case<'_>, confidence: f64) -> Option<f64> {
        let noticed = match kind {
            RuleKind::Typical => case.subject.shift?.noticeable(case.limit, confidence),
            RuleKind::Ratio(_) => {
                let interval = self.interval(kind, case, confidence)?;
                case.limit * (interval.value / interval.low).powi(2)
            }
            _ => return None,
        };
        Some(noticed).filter(|noticed| noticed.is_finite())
    }

    fn result(
        &self,
        kind: RuleKind,
        case: &Case<'_>,
        fails: bool,
        confidence: f64,
        evidence: &Evidence<'_>,
    ) -> RuleResult {
        let interval = self.interval(kind, case, confidence);
        let needed = case.subject.limits.min_samples.unwrap_or(0);
        let measured = interval.map(|interval| interval.value);
        let finding = if fails {
            Finding::Fail
        } else if self.unjudged(kind).is_some() {
            Finding::Invalid
        } else if case.samples >= needed
            && measured.is_some_and(|value| value <= case.limit || self.excused(kind, case))
        {
            Finding::Pass
        } else {
            Finding::CannotSay
        };
        RuleResult {
            rule: kind.rule(),
            route: case.subject.name.clone(),
            finding,
            unit: kind.unit(),
            measured,
            low: interval.map(|interval| interval.low),
            high: interval.map(|interval| interval.high).filter(|high| high.is_finite()),
            limit: case.limit,
            count: case.samples,
            effective_count: case.worth.0.min(if kind.is_of_both() {
                case.worth.1
            } else {
                u64::MAX
            }),
            confidence,
            noticeable: self.noticeable(kind, case, confidence),
            why: self.sentence(kind, case, finding, interval, needed, evidence),
        }
    }

    fn sentence(
        &self,
        kind: RuleKind,
        case: &Case<'_>,
        finding: Finding,
        interval: Option<Interval>,
        needed: u64,
        evidence: &Evidence<'_>,
    ) -> String {
        let on = case.subject.name.as_deref().map(|route| format!("{route}: ")).unwrap_or_default();
        let Some(interval) = interval else {
            return format!("{on}nothing was measured for {}.", kind.rule());
        };
        let unit = kind.unit();
        let other = self.reference.name();
        let total = count(case.samples);
        let least = |text: String| {
            if finding == Finding::Fail { format!(", at least {text}") } else { String::new() }
        };
        let mut text = on;
        match kind {
            RuleKind::Mismatch | RuleKind::Error | RuleKind::NewStatus => {
                let hits = self.hits(kind, case);
                text += &match kind {
                    RuleKind::Mismatch => {
                        let one = if hits == 1 { "differs" } else { "differ" };
                        format!("{} of {total} compared exchanges {one}", count(hits))
                    }
                    RuleKind::Error => {
                        format!(
                            "v2 fails on {} of {total} requests that {other} answered without an error{}",
                            count(hits),
                            refused(case)
                        )
                    }
                    _ => format!(
                        "{} of {total} answers have a status that {other} never gave on the route",
                        count(hits)
                    ),
                };
                if matches!(kind, RuleKind::Mismatch)
                    && self.late
                    && evidence.summary.all.pairs.new_errors > 0
                {
                    text += ", errors left out";
                }
                text += &format!(" ({}{})", percent(interval.value), least(percent(interval.low)));
            }
            RuleKind::Typical => {
                let factor = times(interval.value);
                text += &format!("typically v2 takes {factor} times {other}'s time");
                text += &least(format!("{} times", times(interval.low)));
            }
            RuleKind::Ratio(index) => {
                let at = |histogram: &Histogram| {
                    duration(histogram.quantile(QUANTILES[index].1).unwrap_or(0) as f64)
                };
                let (v2, reference) = (at(&case.subject.v2), at(&case.subject.reference));
                text += &format!(
                    "{} is {} times {other}'s ({v2} instead of {reference}",
                    QUANTILES[index].0,
                    times(interval.value)
                );
                text += &least(format!("{} times", times(interval.low)));
                text.push(')');
            }
            RuleKind::Absolute(index) => {
                text += &format!("{} is {}", QUANTILES[index].0, duration(interval.value));
                if finding == Finding::Fail {
                    text += &format!(" (at least {})", duration(interval.low));
                }
            }
        }
        let limit = if kind.is_of_both() {
            format!("{} times", round_times(case.limit))
        } else {
            unit.limit_words(case.limit)
        };
        text += &format!("; {limit} is allowed.");
        text + &match finding {
            Finding::CannotSay if case.samples < needed => {
                format!(" Not judged: {} samples are asked for, there are {total}.", count(needed))
            }
            Finding::CannotSay if self.contended && kind.is_of_latency() => {
                " The replayer's machine was busy, which may be why: use --realtime, or another \
                 machine."
                    .to_owned()
            }
            Finding::CannotSay => " That may be chance.".to_owned(),
            Finding::Invalid => {
                format!(" Not judged: {}.", self.unjudged(kind).unwrap_or_default())
            }
            Finding::Pass if interval.value > case.limit => match kind {
                RuleKind::Typical | RuleKind::Ratio(_) => format!(
                    " A difference below {} is not held against v2.",
                    duration(self.allowance)
                ),
                _ => format!(" {other} fails as often where v2 does not."),
            },
            _ => String::new(),
        }
    }
}

/// How many of the errors are refusals of what the other side granted.
fn refused(case: &Case<'_>) -> String {
    match case.subject.figures.pairs.refusals {
        0 => String::new(),
        n => format!(", of which it refused, moved or did not find {}", count(n)),
    }
}

/// What v2 asked its providers: the calls that change something there are judged wherever a mock
/// watched, all of them where the policy says so.
fn egress(evidence: &Evidence<'_>, policy: &Policy) -> Vec<RuleResult> {
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
