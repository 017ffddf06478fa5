//! The first screen in words: the verdict, why, the figures that count, what was replayed.

use super::shown::{fact, factor, seen};
use crate::diff::{Cluster, Kind};
use crate::gate::words::{count, duration, percent, plural, round_times};
use crate::gate::{
    ALL_CALLS, DRIFTED_READS, Finding, MISSED_READS, RuleResult, UNSAFE_CALLS, Unit, Verdict,
};
use crate::measure::Side;
use crate::report::text::instant;
use crate::report::text::visible;
use crate::report::{Report, cluster_id, left_out, shape_words};

/// Most reasons on the first screen.
const WHYS: usize = 8;

pub(super) struct VerdictWords {
    pub(super) class: &'static str,
    pub(super) mark: &'static str,
    pub(super) word: &'static str,
    pub(super) headline: &'static str,
}

pub(super) struct Why {
    /// The route; empty for all.
    pub(super) name: String,
    pub(super) text: String,
    pub(super) details: Vec<String>,
    pub(super) links: Vec<Link>,
}

pub(super) struct Link {
    pub(super) href: String,
    pub(super) label: &'static str,
    /// The route that its charts are to show.
    pub(super) route: Option<String>,
}

pub(super) struct Tile {
    pub(super) class: &'static str,
    pub(super) name: String,
    pub(super) value: String,
    pub(super) limit: String,
    pub(super) state: &'static str,
}

pub(super) struct CheckWords {
    pub(super) holds: bool,
    pub(super) why: String,
    pub(super) advice: String,
}

pub(super) const fn verdict(verdict: Verdict) -> VerdictWords {
    let (class, mark, word) = match verdict {
        Verdict::Pass => ("pass", "✓", "pass"),
        Verdict::Fail => ("fail", "✕", "fail"),
        Verdict::CannotSay => ("open", "?", "no verdict"),
        Verdict::Invalid => ("open", "!", "invalid run"),
    };
    VerdictWords { class, mark, word, headline: verdict.headline() }
}

/// What happened, in two sentences.
pub(super) fn lead(report: &Report<'_>) -> String {
    let (summary, totals) = (report.summary, report.totals);
    let mut text = format!(
        "{} of {} recorded from v1 were replayed at {}",
        count(summary.replayed),
        plural(summary.recorded(), "exchange", "exchanges"),
        seen(&report.facts.target, 120)
    );
    if let Some(speed) = report.facts.settings.get("speed").map(speed_words) {
        text += &speed;
    }
    if totals.compared == 0 {
        return text + ". No answer was compared.";
    }
    text += &format!(
        ". {} compared: {}.",
        plural(totals.compared, "answer was", "answers were"),
        match totals.mismatched {
            0 => "none differs in a way that counts".to_owned(),
            1 => format!("one differs ({})", percent(1.0 / totals.compared.max(1) as f64)),
            n => format!(
                "{} differ ({})",
                count(n),
                percent(n as f64 / totals.compared.max(1) as f64)
            ),
        }
    );
    text
}

pub(super) fn speed_words(speed: &serde_json::Value) -> String {
    match (factor(speed), speed.as_str()) {
        (Some(1.0), _) => " with their original timing".to_owned(),
        (Some(factor), _) => format!(" at {} times the original speed", round_times(factor)),
        (None, Some("max")) => " as fast as they may go".to_owned(),
        (None, Some(other)) => format!(" at speed {}", seen(other, 20)),
        _ => String::new(),
    }
}

/// Why, with a way to the evidence: what fails over all exchanges stands on the tiles, so the
/// routes come first, each with all that it fails by.
pub(super) fn whys(report: &Report<'_>) -> Vec<Why> {
    let judgement = report.judgement;
    if judgement.verdict != Verdict::Fail {
        let plain = |text: &String| Why {
            name: String::new(),
            text: seen(text, 500),
            details: Vec::new(),
            links: Vec::new(),
        };
        return judgement.reasons.iter().take(WHYS).map(plain).collect();
    }
    let mut by_route: Vec<(Option<&str>, Vec<&RuleResult>)> = Vec::new();
    let of_calls = |rule: &RuleResult| {
        [UNSAFE_CALLS, DRIFTED_READS, MISSED_READS, ALL_CALLS].contains(&&*rule.rule)
    };
    for rule in judgement.with(Finding::Fail).filter(|rule| !of_calls(rule)) {
        let route = rule.route.as_deref();
        match by_route.iter_mut().find(|(name, _)| *name == route) {
            Some((_, rules)) => rules.push(rule),
            None => by_route.push((route, vec![rule])),
        }
    }
    let of_routes = by_route.iter().filter(|(route, _)| route.is_some());
    let covered = |rule: &RuleResult| {
        of_routes.clone().any(|(_, rules)| rules.iter().any(|own| own.rule == rule.rule))
    };
    let of_all = by_route.iter().filter(|(route, _)| route.is_none()).filter_map(|(_, rules)| {
        let left: Vec<&RuleResult> = rules.iter().copied().filter(|rule| !covered(rule)).collect();
        (!left.is_empty()).then_some((None, left))
    });
    let groups: Vec<(Option<&str>, Vec<&RuleResult>)> =
        of_routes.clone().cloned().chain(of_all).collect();
    // Where all calls that differ change something, one sentence says both.
    let calls = judgement
        .with(Finding::Fail)
        .find(|rule| of_calls(rule))
        .map(|rule| calls_why(report, rule));
    let mut whys: Vec<Why> = calls
        .into_iter()
        .chain(groups.iter().take(WHYS).map(|(route, rules)| why(report, *route, rules)))
        .collect();
    if groups.len() > WHYS {
        whys.push(Why {
            name: String::new(),
            text: format!(
                "… and {}.",
                plural((groups.len() - WHYS) as u64, "more route", "more routes")
            ),
            details: Vec::new(),
            links: vec![Link { href: "#rules".to_owned(), route: None, label: "All rules" }],
        });
    }
    whys
}

/// Why v2's calls to its providers do not pass, with the first of them.
pub(super) fn calls_why(report: &Report<'_>, rule: &RuleResult) -> Why {
    let clusters = report.egress.map_or(&[][..], |egress| &egress.clusters);
    let held = clusters.iter().filter(|cluster| cluster.approved.is_none());
    let details = held.take(3).map(|cluster| {
        let calls = plural(cluster.calls, "call", "calls");
        let cause = cluster
            .causes
            .first()
            .map(|cause| format!(", first caused by exchange {cause}"))
            .unwrap_or_default();
        seen(
            &format!("{} at {}: {calls} {}{cause}", cluster.route, cluster.provider, cluster.what),
            300,
        )
    });
    Why {
        name: String::new(),
        text: seen(&rule.why, 500),
        details: details.collect(),
        links: vec![Link { href: "#egress".to_owned(), label: "See the calls", route: None }],
    }
}

pub(super) fn why(report: &Report<'_>, route: Option<&str>, rules: &[&RuleResult]) -> Why {
    let mut links: Vec<Link> = Vec::new();
    let mut details = Vec::new();
    for rule in rules {
        let errors = rule.rule == "max_error_rate";
        let cluster = report.clusters.regressions().find(|cluster| {
            route.is_none_or(|route| cluster.route == route)
                && (!errors || matches!(cluster.kind, Kind::Status | Kind::Failure))
        });
        let (href, label, to_route) = match cluster {
            _ if matches!(rule.unit, Unit::Ratio | Unit::Ns) => {
                ("#latency".to_owned(), "See the latencies", route)
            }
            Some(cluster) => {
                if route.is_some() {
                    details.push(example(cluster));
                }
                let label = match cluster.kind {
                    Kind::Status => "See the status",
                    Kind::Header => "See the header",
                    Kind::Body => "See the body",
                    Kind::Missing => "See what is missing",
                    Kind::Identity => "See which ids are not what they were",
                    Kind::Failure => "See the failure",
                };
                (format!("#c-{}", cluster_id(cluster)), label, None)
            }
            None => ("#failures".to_owned(), "See the failures", None),
        };
        if links.iter().all(|link| link.href != href) {
            links.push(Link {
                href,
                label,
                route: to_route.map(|route| visible(route).into_owned()),
            });
        }
    }
    details.dedup();
    let prefix = route.map(|route| format!("{route}: ")).unwrap_or_default();
    let sentences: Vec<&str> =
        rules.iter().map(|rule| rule.why.strip_prefix(&prefix).unwrap_or(&rule.why)).collect();
    Why {
        name: seen(route.unwrap_or("All routes"), 160),
        text: seen(&sentences.join(" "), 900),
        details,
        links,
    }
}

/// A cluster in a line.
pub(super) fn example(cluster: &Cluster) -> String {
    let value = |value: &Option<String>| {
        value.as_deref().map_or_else(|| "nothing".to_owned(), |value| seen(value, 60))
    };
    let same = cluster.example.expected == cluster.example.actual;
    // The values of a renamed field are the same.
    let values = match same {
        true => seen(&shape_words(&cluster.shape), 160),
        false => {
            format!("{} → {}", value(&cluster.example.expected), value(&cluster.example.actual))
        }
    };
    if cluster.place == cluster.kind.name() {
        format!("{}: {values}", cluster.kind.name())
    } else {
        format!("{} {}: {values}", cluster.kind.name(), seen(&cluster.place, 80))
    }
}

/// The rules over all exchanges that are set.
pub(super) fn tiles(report: &Report<'_>) -> Vec<Tile> {
    let name = |rule: &RuleResult| match rule.rule.as_str() {
        "max_mismatch_rate" => "Answers that differ".to_owned(),
        "max_error_rate" => "New errors".to_owned(),
        "max_new_status_rate" => "New status codes".to_owned(),
        UNSAFE_CALLS => "Provider calls with effects that differ".to_owned(),
        DRIFTED_READS => "Provider reads answered by a like call".to_owned(),
        MISSED_READS => "Provider reads that had no answer".to_owned(),
        ALL_CALLS => "Provider calls that differ".to_owned(),
        "max_typical_ratio" => format!("Typical, v2 / {}", report.judgement.reference.name()),
        rule => rule
            .trim_start_matches("max_")
            .replace("_ratio", format!(", v2 / {}", report.judgement.reference.name()).as_str()),
    };
    let rules = &report.judgement.rules;
    // Where the same calls are judged by both rules, one tile shows them.
    let both = |rule: &RuleResult| {
        rule.rule == ALL_CALLS
            && rules
                .iter()
                .any(|other| other.rule == UNSAFE_CALLS && other.measured == rule.measured)
    };
    let overall = rules.iter().filter(|rule| rule.route.is_none() && !both(rule));
    overall
        .take(8)
        .map(|rule| Tile {
            class: rule.finding.name(),
            name: name(rule),
            value: rule.measured.map_or_else(|| "–".to_owned(), |value| measured(rule, value)),
            limit: format!("{} allowed", rule.unit.limit_words(rule.limit)),
            state: rule.words(),
        })
        .collect()
}

/// A share of too few to say is told by its two counts.
fn measured(rule: &RuleResult, value: f64) -> String {
    match (rule.finding, rule.unit) {
        (Finding::CannotSay, Unit::Share) => {
            let part = (value * rule.count as f64).round() as u64;
            format!("{} of {}", count(part), count(rule.count))
        }
        _ => rule.unit.words(value),
    }
}

pub(super) fn replayed(report: &Report<'_>) -> Vec<(String, String)> {
    let summary = report.summary;
    let mut facts = Vec::new();
    if let (Some(first), Some(last)) = (summary.first_at, summary.last_at) {
        let (from, to) = (instant(first), instant(last));
        let to = if from.get(..10) == to.get(..10) {
            to.get(11..).unwrap_or(&to).to_owned()
        } else {
            to
        };
        facts.push(fact("Recorded", format!("{from} to {to} UTC")));
        facts.push(fact(
            "Span",
            format!(
                "{}, replayed in {}",
                duration(last.since(first) as f64),
                duration(summary.took_ns as f64)
            ),
        ));
    }
    facts.push(fact(
        "Exchanges",
        format!("{} recorded, {} replayed", count(summary.recorded()), count(summary.replayed)),
    ));
    let requests = summary.all.side(Side::V2).requests;
    if requests > summary.replayed {
        facts.push(fact("Requests", format!("{} sent, with copies", count(requests))));
    }
    let skipped: u64 = summary.skipped.values().sum();
    facts.push(fact(
        "Skipped",
        if skipped == 0 { "none".to_owned() } else { format!("{} on purpose", count(skipped)) },
    ));
    // v1's own calls to its providers are in the capture too, and other hosts and ports that were
    // not chosen.
    let others = summary.recorded().saturating_sub(summary.replayed + skipped + summary.damaged());
    if others > 0 {
        let (label, text) = left_out(report, others);
        facts.push(fact(label, text));
    }
    facts.push(fact(
        "Damaged",
        if summary.damaged() == 0 { "none".to_owned() } else { count(summary.damaged()) },
    ));
    facts.push(fact("Lanes", plural(summary.lanes, "connection", "connections")));
    facts.push(fact("Target", seen(&report.facts.target, 200)));
    if let Some(baseline) = &report.facts.baseline {
        facts.push(fact("Baseline", seen(baseline, 200)));
    }
    facts
}
