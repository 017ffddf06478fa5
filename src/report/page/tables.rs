//! The tables of the page: latency by route, rules, status codes, ledgers, facts of the run.

use std::collections::HashMap;

use super::shown::{WHERE_MEASURED, fact, seen};
use crate::gate::words::{count, duration, percent, plural, times};
use crate::gate::{Finding, RuleResult, Unit};
use crate::ledger::Ledger;
use crate::measure::{Histogram, RouteSummary, Side};
use crate::outcome::FailureKind;
use crate::report::text::instant;
use crate::report::text::{short, visible};
use crate::report::{Report, of_protocol};

/// Most rows of the table of routes and of rules.
const ROUTES: usize = 400;

const RULES: usize = 300;

pub(super) struct RouteRow {
    pub(super) all: bool,
    pub(super) chart: bool,
    pub(super) name: String,
    /// Sorted by the first, shown is the second.
    pub(super) cells: Vec<(String, String)>,
    pub(super) rank: u8,
    pub(super) finding: &'static str,
    pub(super) finding_words: &'static str,
}

pub(super) struct RuleRow {
    pub(super) why: String,
    pub(super) rank: u8,
    pub(super) finding: &'static str,
    pub(super) finding_words: &'static str,
    pub(super) rule: String,
    pub(super) route: String,
    pub(super) cells: Vec<(String, String)>,
}

pub(super) struct LedgerTable {
    pub(super) name: &'static str,
    /// Name, count, class of the row.
    pub(super) rows: Vec<(String, String, &'static str)>,
}

pub(super) fn latency_lead(report: &Report<'_>) -> String {
    let failed = &report.summary.all.side(Side::V2).failures;
    let timeouts = failed.get(&FailureKind::Timeout).copied().unwrap_or(0);
    let others = failed.values().sum::<u64>() - timeouts;
    let mut left_out = Vec::new();
    if timeouts > 0 {
        left_out.push(format!(
            "{} of v2 timed out: from due {} with the time waited, from sent not at all",
            plural(timeouts, "request", "requests"),
            if timeouts == 1 { "it counts" } else { "they count" }
        ));
    }
    if others > 0 {
        left_out.push(format!(
            "{} of v2 failed otherwise and {} no latency",
            plural(others, "request", "requests"),
            if others == 1 { "has" } else { "have" }
        ));
    }
    let left_out: String = left_out.iter().map(|sentence| format!(" {sentence}.")).collect();
    measured_where(report) + &left_out + &from_due(report)
}

/// How much later than v2 took its users had their answers, and why.
fn from_due(report: &Report<'_>) -> String {
    let v2 = report.summary.all.side(Side::V2);
    let sent = v2.sent.whole();
    if sent.quantile(0.99).is_none() || v2.due.quantile(0.99).is_none() {
        return String::new();
    }
    let Some((quantile, sent, due)) = where_they_part(&sent, &v2.due) else {
        return " From due it is the same as from sent: no request waited.".to_owned();
    };
    let own = report.summary.lateness.quantile(quantile).unwrap_or(0);
    let why = match own * 2 > due - sent {
        true => "requests were sent late by the replayer itself",
        false => "requests waited for v2's earlier answers on their lanes",
    };
    format!(
        " p{} of v2 is {} from sent and {} from due, as a user would have felt it: {why}.",
        (quantile * 1000.0).round() / 10.0,
        duration(sent as f64),
        duration(due as f64)
    )
}

/// A quantile that is later from due than from sent, with both: p99 if it is, else the one that is
/// the most. Closer than the buckets of a histogram is the same.
fn where_they_part(sent: &Histogram, due: &Histogram) -> Option<(f64, u64, u64)> {
    let apart = |quantile: f64| {
        let (sent, due) = (sent.quantile(quantile)?, due.quantile(quantile)?);
        (due > sent + sent / 50).then_some((quantile, sent, due))
    };
    let ratio = |found: &(f64, u64, u64)| found.2 as f64 / found.1.max(1) as f64;
    apart(0.99).or_else(|| {
        let others = [0.5, 0.75, 0.9, 0.95, 0.999].into_iter().filter_map(apart);
        others.max_by(|a, b| ratio(a).total_cmp(&ratio(b)))
    })
}

pub(super) fn measured_where(report: &Report<'_>) -> String {
    match report.judgement.reference {
        Side::Baseline => "v2 is compared with the baseline: v1 in staging, replayed by the same \
            schedule from the same place. \
                           v1's own latency was taken at the tap."
            .to_owned(),
        _ => format!(
            "{WHERE_MEASURED} A round trip to v2 is in v2's figures and may not be in v1's; \
             --baseline measures both from one place."
        ),
    }
}

pub(super) fn route_rows(report: &Report<'_>, charted: usize) -> (Vec<RouteRow>, usize) {
    let total = report.summary.routes.len();
    let rules = &report.judgement.rules;
    // Wrong answers are told elsewhere: this is of latency alone.
    let mut findings: HashMap<&str, &RuleResult> = HashMap::new();
    for rule in rules.iter().filter(|rule| matches!(rule.unit, Unit::Ratio | Unit::Ns)) {
        let worst = findings.entry(rule.route.as_deref().unwrap_or("ALL")).or_insert(rule);
        if rule.finding < worst.finding {
            *worst = rule;
        }
    }
    let rows = report.subjects().take(1 + ROUTES).enumerate().map(|(index, route)| {
        let worst = findings.get(&*route.route);
        let finding = worst.map_or(Finding::Invalid, |rule| rule.finding);
        RouteRow {
            all: index == 0,
            chart: index <= charted,
            name: if index == 0 {
                "All routes".to_owned()
            } else {
                visible(&route.route).into_owned()
            },
            cells: latency_cells(report, route),
            rank: finding as u8,
            finding: finding.name(),
            finding_words: worst.map_or("not judged", |rule| rule.words()),
        }
    });
    (rows.collect(), total.saturating_sub(ROUTES))
}

pub(super) fn latency_cells(report: &Report<'_>, route: &RouteSummary) -> Vec<(String, String)> {
    let v2 = route.side(Side::V2);
    let (old, new) = (route.side(report.judgement.reference).sent.whole(), v2.sent.whole());
    let number = |n: u64| (n.to_string(), count(n));
    let nanos = |value: Option<u64>| match value {
        Some(value) => (value.to_string(), duration(value as f64)),
        None => (String::new(), "–".to_owned()),
    };
    let at = |histogram: &Histogram, quantile| nanos(histogram.quantile(quantile));
    let factor = match (old.quantile(0.99), new.quantile(0.99)) {
        (Some(old), Some(new)) if old > 0 => {
            let factor = new as f64 / old as f64;
            (format!("{factor:.6}"), times(factor))
        }
        _ => (String::new(), "–".to_owned()),
    };
    let mut cells = vec![number(v2.requests), number(v2.errors())];
    for quantile in [0.5, 0.99] {
        cells.extend([at(&old, quantile), at(&new, quantile)]);
    }
    cells.extend([factor, at(&v2.due, 0.99)]);
    cells
}

/// How the messages of streams came, for each route that has some: its name; how many streams; the
/// medians of the first message and of the time between, of the reference and of v2.
pub(super) fn pace_rows(report: &Report<'_>) -> Vec<(String, [String; 5])> {
    let has_streams = |route: &&RouteSummary| route.side(Side::V2).first_message.count() > 0;
    let rows = report.summary.routes.iter().filter(has_streams).take(ROUTES).map(|route| {
        let (old, new) = (route.side(report.judgement.reference), route.side(Side::V2));
        let half = |histogram: &Histogram| {
            let median = histogram.quantile(0.5);
            median.map_or_else(|| "–".to_owned(), |nanos| duration(nanos as f64))
        };
        let cells = [
            count(new.first_message.count()),
            half(&old.first_message),
            half(&new.first_message),
            half(&old.between_messages),
            half(&new.between_messages),
        ];
        (visible(&route.route).into_owned(), cells)
    });
    rows.collect()
}

/// The ways between.
pub(super) fn trips(report: &Report<'_>) -> Vec<(String, String)> {
    let summary = report.summary;
    let words = |histogram: &Histogram| match (histogram.quantile(0.5), histogram.quantile(0.99)) {
        (Some(median), Some(p99)) => {
            let of = plural(histogram.count(), "connection", "connections");
            format!("median {}, p99 {}, {of}", duration(median as f64), duration(p99 as f64))
        }
        _ => "not seen".to_owned(),
    };
    let mut facts = vec![
        fact(
            "Handshake, v1",
            format!("{} (round trip of v1's clients, at the tap)", words(&summary.handshakes)),
        ),
        fact("Connect, v2", format!("{} (from the replayer)", words(&summary.connects))),
    ];
    if summary.has_baseline {
        facts.push(fact(
            "Connect, baseline",
            format!("{} (from the replayer)", words(&summary.baseline_connects)),
        ));
    }
    facts
}

pub(super) fn statuses(report: &Report<'_>) -> Vec<(u16, Vec<String>)> {
    let all = &report.summary.all;
    let sides: Vec<Side> = report.sides().collect();
    let mut codes: Vec<u16> =
        sides.iter().flat_map(|&side| all.side(side).statuses.keys().copied()).collect();
    codes.sort_unstable();
    codes.dedup();
    let cell = |code: u16, side: Side| {
        all.side(side).statuses.get(&code).map_or_else(|| "–".to_owned(), |&n| count(n))
    };
    codes
        .into_iter()
        .take(100)
        .map(|code| (code, sides.iter().map(|&side| cell(code, side)).collect()))
        .collect()
}

pub(super) fn rule_rows(report: &Report<'_>) -> (Vec<RuleRow>, usize) {
    let rules = &report.judgement.rules;
    // What fails comes first, that of all exchanges before that of a route; else the order of the
    // rules.
    let mut order: Vec<&RuleResult> = rules.iter().collect();
    order.sort_by_key(|rule| (rule.finding, rule.route.is_some()));
    let rows = order.iter().take(RULES).map(|rule| {
        let value = |value: Option<f64>| match value {
            Some(value) => (format!("{value:.9}"), rule.unit.words(value)),
            None => (String::new(), "–".to_owned()),
        };
        RuleRow {
            why: seen(&rule.why, 500),
            rank: rule.finding as u8,
            finding: rule.finding.name(),
            finding_words: rule.words(),
            rule: rule.rule.clone(),
            route: rule.route.as_deref().map_or_else(|| "all".to_owned(), |route| seen(route, 160)),
            cells: vec![
                value(rule.measured),
                value(rule.low.filter(|&low| {
                    low > 0.0 || rule.unit == Unit::Share || rule.unit == Unit::Count
                })),
                value(rule.high),
                (format!("{:.9}", rule.limit), rule.unit.limit_words(rule.limit)),
                (
                    rule.count.to_string(),
                    if rule.effective_count < rule.count {
                        format!("{} (worth {})", count(rule.count), count(rule.effective_count))
                    } else {
                        count(rule.count)
                    },
                ),
                (format!("{:.6}", rule.confidence), percent(rule.confidence)),
            ],
        }
    });
    (rows.collect(), rules.len().saturating_sub(RULES))
}

/// A reason of a ledger as a reader says it: `other-host` is `other host`.
fn words(reason: &str) -> String {
    seen(reason, 100).replace('-', " ")
}

/// A note of a ledger: `http/1-bytes` is `bytes of HTTP/1`.
fn noted(name: &str) -> String {
    of_protocol(name).unwrap_or_else(|| words(name))
}

pub(super) fn ledgers(report: &Report<'_>) -> Vec<LedgerTable> {
    let summary = report.summary;
    let table = |name: &'static str, ledger: &Ledger| LedgerTable {
        name,
        rows: std::iter::once(("in".to_owned(), count(ledger.input), "sum"))
            .chain(std::iter::once(("used".to_owned(), count(ledger.used), "part")))
            .chain(ledger.rejected.iter().map(|(reason, &n)| (words(reason), count(n), "part")))
            .chain(
                ledger
                    .noted
                    .iter()
                    .map(|(name, &n)| (format!("noted: {}", noted(name)), count(n), "note")),
            )
            .collect(),
    };
    let mut tables = vec![LedgerTable {
        name: "Exchanges in the recording",
        rows: std::iter::once(("in".to_owned(), count(summary.recorded()), "sum"))
            .chain(
                summary.exchanges.iter().map(|(name, &n)| ((*name).to_owned(), count(n), "part")),
            )
            .collect(),
    }];
    let of = [
        ("Packets of the capture", &summary.capture_ledger),
        ("Requests of the replay", &summary.replay_ledger),
        ("Records of this report", &summary.records_ledger),
    ];
    tables.extend(
        of.into_iter()
            .filter(|(_, ledger)| **ledger != Ledger::default())
            .map(|(name, ledger)| table(name, ledger)),
    );
    tables
}

pub(super) fn facts(report: &Report<'_>) -> Vec<(String, String)> {
    let facts = report.facts;
    let mut list = vec![
        fact("Run", seen(&facts.run, 80)),
        fact("Command", seen(&facts.command.join(" "), 1_000)),
    ];
    list.push(fact("Replayed with", seen(&facts.tool, 80)));
    list.push(fact("Started", format!("{} UTC", instant(facts.started))));
    list.push(fact(
        "Ended",
        format!(
            "{} UTC{}",
            instant(facts.ended),
            if facts.interrupted { ", interrupted" } else { "" }
        ),
    ));
    for input in facts.inputs.iter().take(20) {
        let hash = if input.sha256.is_empty() {
            String::new()
        } else {
            format!(", SHA-256 {}", seen(&input.sha256, 64))
        };
        list.push(fact(
            "Capture",
            format!("{}, {} bytes{hash}", seen(&input.name, 300), count(input.bytes)),
        ));
    }
    if facts.inputs.len() > 20 {
        list.push(fact("Captures", format!("… and {} more", facts.inputs.len() - 20)));
    }
    if let Some(host) = facts.host.as_object() {
        let words = host.iter().map(|(name, value)| {
            format!("{name} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        });
        list.push(fact(
            "Machine",
            visible(&short(&words.collect::<Vec<_>>().join(", "), 300)).into_owned(),
        ));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: impl IntoIterator<Item = i64>) -> Histogram {
        let mut histogram = Histogram::default();
        values.into_iter().for_each(|value| histogram.record(value * 1_000_000));
        histogram
    }

    #[test]
    fn requests_that_waited_are_told_also_where_the_last_percent_did_not() {
        let sent = histogram((0..100).map(|n| if n < 80 { 10 } else { 80 }));
        assert_eq!(where_they_part(&sent, &sent), None);
        // A tenth of the fast ones waited behind slow ones: p99 is that of the slow ones still.
        let due = histogram((0..100).map(|n| if n < 72 { 10 } else { 80 }));
        let (quantile, from_sent, from_due) = where_they_part(&sent, &due).expect("some waited");
        assert_eq!(quantile, 0.75);
        assert!(from_due > 7 * from_sent, "{from_sent} {from_due}");
        let all_later = histogram((0..100).map(|n| if n < 80 { 20 } else { 100 }));
        assert_eq!(where_they_part(&sent, &all_later).map(|found| found.0), Some(0.99));
    }

    #[test]
    fn a_ledger_is_read_in_words() {
        for (name, said) in [
            ("http/1-bytes", "bytes of HTTP/1"),
            ("websocket-connections", "connections of WebSockets"),
            ("tls-secrets-bytes", "tls secrets bytes"),
            ("connections", "connections"),
        ] {
            assert_eq!(noted(name), said);
        }
        assert_eq!(words("other-host"), "other host");
    }
}
