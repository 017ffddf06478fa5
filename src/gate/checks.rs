//! Whether a run is to be trusted, whatever it says of v2.

use super::policy::Nanos;
use super::words::{count, duration, percent, plural, round_duration};
use super::{Check, Evidence, Policy, seen};
use crate::measure::Summary;
use crate::schedule::held::{LATE_SHARE, held};

/// Whether the run is to be trusted.
pub(super) fn checks(evidence: &Evidence<'_>, policy: &Policy) -> Vec<Check> {
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
    let unclosed = summary.unclosed.first().map(String::as_str);
    // Calls that nobody wrote down may have been any.
    let is_deaf = evidence.egress.is_some_and(|calls| calls.broken_off);
    let unclosed = unclosed.or(is_deaf.then_some("egress.jsonl"));
    let cut = evidence.interrupted || unclosed.is_some();
    vec![
        Check {
            name: "max_lateness_p99".to_owned(),
            holds: held(late, sent) || !evidence.scheduled,
            why: if sent == 0 {
                "No request was sent, so none was late.".to_owned()
            } else if evidence.scheduled {
                format!(
                    "The replayer sent {} of {} more than {} late ({}; 99 % were at most {} late); \
                     {} may be.",
                    count(late),
                    plural(sent, "request", "requests"),
                    round_duration(limit as f64),
                    percent(late as f64 / sent.max(1) as f64),
                    duration(summary.lateness.quantile(0.99).unwrap_or(0) as f64),
                    percent(LATE_SHARE)
                )
            } else {
                "There was no schedule to hold: everything was sent as soon as it was \
                 allowed."
                    .to_owned()
            },
            advice: "Give the replayer more CPU, cut the work with --shard, lower --speed, use \
                --realtime, or raise max_lateness_p99."
                .to_owned(),
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
            advice: "Capture with a larger --buffer and without a --snaplen, closer to v1, or \
                raise max_damaged_rate."
                .to_owned(),
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
                "v2 is compared with what was recorded of v1; no baseline was asked for.".to_owned()
            },
            advice: "What v1 itself does not answer again says nothing of v2: give both the data \
                     and the sessions that v1 had when the capture began."
                .to_owned(),
        },
        Check {
            name: "finished".to_owned(),
            holds: !cut,
            why: match (cut, unclosed) {
                (false, _) => "The replay ran to its end.".to_owned(),
                (true, Some(file)) => format!(
                    "The replay was broken off: {file} has no last \
                    line."
                ),
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
