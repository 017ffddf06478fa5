//! What a report says of a run in sentences, whatever its form.

use super::{Report, state};
use crate::diff::{Class, Totals};
use crate::gate::words::{count, plural};

/// How many clusters of regressions there are, and how many causes they have, in words.
pub(crate) fn how_many(report: &Report<'_>) -> String {
    let clusters = report.clusters.count(Class::Regression);
    let causes = match report.totals.causes {
        0 => report.clusters.causes(Class::Regression),
        causes => causes,
    };
    let clusters = plural(clusters, "cluster", "clusters");
    format!("{clusters}, {}", plural(causes, "cause", "causes"))
}

/// How many exchanges of the capture were not to be replayed.
pub(crate) fn left_out(report: &Report<'_>, others: u64) -> (&'static str, String) {
    let cut = report.facts.interrupted;
    let label = if cut { "Not chosen, or not sent" } else { "Not chosen" };
    let calls =
        if report.egress.is_some() { ", v1's calls to its providers among them" } else { "" };
    // Why, as far as the replay told; what is not whole is told elsewhere.
    let reasons: Vec<(&String, u64)> = report
        .summary
        .replay_ledger
        .rejected
        .iter()
        .filter(|(reason, _)| !report.summary.skipped.contains_key(*reason))
        .map(|(reason, &n)| (reason, n))
        .collect();
    let told: u64 = reasons.iter().map(|(_, n)| n).sum();
    let why: Vec<String> = reasons
        .iter()
        .filter(|_| told == others)
        .map(|(reason, n)| format!("{} {}", count(*n), reason.replace('-', " ")))
        .collect();
    let why = match &why[..] {
        [] => String::new(),
        [_] => format!(" ({})", reasons[0].0.replace('-', " ")),
        all => format!(" ({})", all.join(", ")),
    };
    (label, format!("{}{why}{calls}", count(others)))
}

/// The requests that change something and were not done at v2, and why.
pub(crate) fn undone(totals: &Totals) -> String {
    let requests = |number: u64| plural(number, "request", "requests");
    let skipped = |number: u64| {
        let (was, it) = if number == 1 { ("was", "it") } else { ("were", "them") };
        format!("{} that {was} skipped as unsafe: --unsafe-methods sends {it}", requests(number))
    };
    let unmet = |number: u64| {
        format!("{} whose conditions name what v1 had, and did not hold at v2", requests(number))
    };
    match (totals.skipped_writes, totals.unmet_writes) {
        (number, 0) => skipped(number),
        (0, number) => unmet(number),
        (first, second) => format!("{}, and from {}", unmet(second), skipped(first)),
    }
}

/// Differences that are shown apart although they are neither noise nor approved, in a sentence for
/// each class.
pub(crate) fn apart(report: &Report<'_>) -> Vec<String> {
    let totals = report.totals;
    let mut lines: Vec<String> = state::sentence(report).into_iter().collect();
    if totals.unbound > 0 {
        lines.push(format!(
            "{} in what follows from values that v2 did not issue: no rate counts them.",
            plural(totals.unbound_differ, "answer differs", "answers differ")
        ));
    }
    if totals.consequences > 0 {
        lines.push(format!(
            "{} only in what follows from {}.",
            plural(totals.consequences, "answer differs", "answers differ"),
            undone(totals),
        ));
    }
    if totals.fixed > 0 {
        lines.push(format!(
            "{} where v1 failed: fixed, not counted ([diff] fixed).",
            plural(totals.fixed, "answer of v2 is right", "answers of v2 are right")
        ));
    }
    lines
}
