//! Applies a policy to a run's figures.
//!
//! Rules over all exchanges are judged each at the policy's confidence. A rule over the routes is a
//! family: Holm's procedure keeps the chance of even one false alarm among them below 1 −
//! confidence. (Benjamini and Hochberg's would bound the share of false alarms among the alarms,
//! but one false alarm already stops a rollout.)

use std::collections::BTreeSet;

use super::calls::egress;
use super::checks::checks;
use super::paired::Shift;
use super::policy::{Limits, Nanos, TYPICAL_RATIO};
use super::rule::{MessagePace, RuleKind};
use super::statistics::{self, Interval};
use super::verdict::verdict;
use super::words::{count, duration, percent, round_times, times};
use super::{Evidence, Finding, Judgement, Policy, RuleResult, Verdict};
use super::{power, seen};
use crate::measure::histogram::QUANTILES;
use crate::measure::{Histogram, RouteSummary, Side};

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
            RuleKind::Messages(pace) => {
                let [v2, reference] = self.paced(pace, subject).map(Histogram::count);
                v2.min(reference)
            }
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
            RuleKind::Messages(pace) => {
                let [v2, reference] = self.paced(pace, subject);
                let median = |of: &Histogram| statistics::quantile(of, 0.5, of.count(), confidence);
                Some(statistics::ratio(&median(v2)?, &median(reference)?))
            }
        }
    }

    /// How the messages of v2's streams came, and of the reference's.
    fn paced<'s>(&self, pace: MessagePace, subject: &RuleSubject<'s>) -> [&'s Histogram; 2] {
        [Side::V2, self.reference].map(|side| pace.of(subject.figures.side(side)))
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
            RuleKind::Messages(pace) => {
                let medians = self.paced(pace, case.subject).map(|of| of.quantile(0.5));
                let [v2, reference] = medians.map(|median| median.unwrap_or(0) as f64);
                v2 - reference < self.allowance
            }
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
            RuleKind::Ratio(_) | RuleKind::Messages(_) => {
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
        let limit = if kind.is_of_both() {
            format!("{} times", round_times(case.limit))
        } else {
            kind.unit().limit_words(case.limit)
        };
        let measured = self.measured(kind, case, finding, interval, evidence);
        let rest = self.why_so(kind, case, finding, interval, needed);
        format!("{on}{measured}; {limit} is allowed.{rest}")
    }

    /// What was measured, and how much it is at least where that fails.
    fn measured(
        &self,
        kind: RuleKind,
        case: &Case<'_>,
        finding: Finding,
        interval: Interval,
        evidence: &Evidence<'_>,
    ) -> String {
        let other = self.reference.name();
        let total = count(case.samples);
        let least = |text: String| {
            if finding == Finding::Fail { format!(", at least {text}") } else { String::new() }
        };
        let mut text = String::new();
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
                            "v2 fails on {} of {total} requests that {other} answered without an \
                             error{}",
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
            RuleKind::Messages(pace) => {
                let [v2, reference] = self
                    .paced(pace, case.subject)
                    .map(|of| duration(of.quantile(0.5).unwrap_or(0) as f64));
                text += &format!(
                    "{} typically takes {} times {other}'s time ({v2} instead of {reference}",
                    pace.words(),
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
        text
    }

    /// Why it was not judged, or why it is not held against v2.
    fn why_so(
        &self,
        kind: RuleKind,
        case: &Case<'_>,
        finding: Finding,
        interval: Interval,
        needed: u64,
    ) -> String {
        let other = self.reference.name();
        let total = count(case.samples);
        match finding {
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
