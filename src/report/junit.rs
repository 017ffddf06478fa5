//! `junit.xml`: a test suite with a case for every route, and one with a case for every rule of the
//! gate.

use std::time::Duration;

use chrono::DateTime;
use quick_junit::{NonSuccessKind, Report as Document, TestCase, TestCaseStatus, TestSuite};

use super::{Report, text, what};
use crate::gate::{Finding, RuleResult, Verdict, words};
use crate::measure::Side;

/// `junit.xml`.
pub fn write(report: &Report<'_>) -> Vec<u8> {
    let mut document = Document::new("shadowtap");
    for mut suite in [routes(report), rules(report)] {
        let started = report.summary.started.unwrap_or(report.facts.started);
        suite.set_timestamp(DateTime::from_timestamp_nanos(started.nanos()));
        suite.set_time(took(report.summary.took_ns));
        document.add_test_suite(suite);
    }
    document.set_time(took(report.summary.took_ns));
    let text = document.to_string().expect("a string takes every character");
    // Jenkins' schema (junit-10.xsd) knows `skipped` on a suite, not on the whole.
    let whole = format!(" skipped=\"{}\"", document.skipped);
    text.replacen(&whole, "", 1).into_bytes()
}

/// A case for every route: it fails where one of its rules does.
fn routes(report: &Report<'_>) -> TestSuite {
    let mut suite = TestSuite::new("routes");
    let totals = report.totals;
    for (name, number) in [
        ("compared", totals.compared),
        ("mismatched", totals.mismatched),
        ("fixed", totals.fixed),
        ("consequences", totals.consequences + totals.unbound_differ),
        ("not_issued", totals.not_issued),
        ("unbound", totals.unbound),
    ] {
        suite.add_property((name, number.to_string().as_str()));
    }
    properties(report, &mut suite);
    let mut few = Vec::new();
    for route in &report.summary.routes {
        let name = &*route.route;
        let of_route: Vec<&RuleResult> = report
            .judgement
            .rules
            .iter()
            .filter(|rule| rule.route.as_deref() == Some(name))
            .collect();
        let failed: Vec<&&RuleResult> =
            of_route.iter().filter(|rule| rule.finding == Finding::Fail).collect();
        let status = if !failed.is_empty() {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type("gate").set_message(visible(&failed[0].why));
            let clusters =
                report.clusters.regressions().filter(|cluster| cluster.route == name).take(5).map(
                    |cluster| {
                        format!(
                            "cluster {}: {} in {}\n  v1: {}\n  v2: {}\n  {}",
                            cluster.id,
                            what(cluster),
                            words::plural(cluster.exchanges, "exchange", "exchanges"),
                            cluster.example.expected.as_deref().unwrap_or("(nothing)"),
                            cluster.example.actual.as_deref().unwrap_or("(nothing)"),
                            cluster.repeat
                        )
                    },
                );
            let lines: Vec<String> =
                failed.iter().map(|rule| rule.why.clone()).chain(clusters).collect();
            status.set_description(
                lines
                    .iter()
                    .flat_map(|text| text.lines())
                    .map(visible)
                    .collect::<Vec<_>>()
                    .join("\n"),
            );
            status
        } else if !of_route.is_empty()
            && of_route
                .iter()
                .all(|rule| matches!(rule.finding, Finding::CannotSay | Finding::Invalid))
        {
            few.push(of_route[0].why.as_str());
            continue;
        } else {
            TestCaseStatus::success()
        };
        let mut case = TestCase::new(visible(name), status);
        case.set_classname("shadowtap.routes");
        let median = route.side(Side::V2).sent.whole().quantile(0.5).unwrap_or(0);
        case.set_time(Duration::from_nanos(median));
        suite.add_test_case(case);
    }
    if let Some(case) = too_few(&few) {
        suite.add_test_case(case);
    }
    suite
}

/// What was run, and how fast: for who looks at the file alone.
fn properties(report: &Report<'_>, suite: &mut TestSuite) {
    let facts = report.facts;
    let ms = |side: Side, quantile: f64| {
        let nanos = report.summary.all.side(side).sent.whole().quantile(quantile);
        nanos.map_or_else(String::new, |nanos| format!("{:.3}", nanos as f64 / 1e6))
    };
    let reference = report.judgement.reference;
    for (name, value) in [
        ("run".to_owned(), facts.run.clone()),
        ("target".to_owned(), facts.target.clone()),
        ("tool".to_owned(), facts.tool.clone()),
        ("replayed".to_owned(), report.summary.replayed.to_string()),
        (format!("p50_ms.{}", reference.name()), ms(reference, 0.5)),
        ("p50_ms.v2".to_owned(), ms(Side::V2, 0.5)),
        (format!("p99_ms.{}", reference.name()), ms(reference, 0.99)),
        ("p99_ms.v2".to_owned(), ms(Side::V2, 0.99)),
    ] {
        suite.add_property((name.as_str(), visible(&text::short(&value, 300)).as_str()));
    }
}

/// Routes of which too little was seen are one case together: each by itself would drown the
/// others.
fn too_few(whys: &[&str]) -> Option<TestCase> {
    /// Routes that are named.
    const NAMED: usize = 50;
    if whys.is_empty() {
        return None;
    }
    let mut status = TestCaseStatus::skipped();
    let many = words::plural(whys.len() as u64, "route", "routes");
    status.set_message(format!("{many} not judged: too little was seen of each"));
    let mut lines: Vec<String> = whys.iter().take(NAMED).map(|why| visible(why)).collect();
    if whys.len() > NAMED {
        lines.push(format!("… and {} more", whys.len() - NAMED));
    }
    status.set_description(lines.join("\n"));
    let mut case = TestCase::new("routes with too few samples", status);
    case.set_classname("shadowtap.routes");
    case.set_time(Duration::ZERO);
    Some(case)
}

fn took(nanos: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

/// A case for every rule over all exchanges, and for every condition of a run that is to be
/// trusted.
fn rules(report: &Report<'_>) -> TestSuite {
    let mut suite = TestSuite::new("gate");
    properties(report, &mut suite);
    for check in &report.judgement.checks {
        let status = if check.holds {
            TestCaseStatus::success()
        } else {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status
                .set_type("invalid-run")
                .set_message(visible(&format!("{} {}", check.why, check.advice)));
            status
        };
        let mut case = TestCase::new(visible(&check.name), status);
        case.set_classname("shadowtap.run");
        case.set_time(Duration::ZERO);
        suite.add_test_case(case);
    }
    for rule in report.judgement.rules.iter().filter(|rule| rule.route.is_none()) {
        let status = match rule.finding {
            Finding::Pass => TestCaseStatus::success(),
            Finding::Fail => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_type("gate").set_message(visible(&rule.why));
                status
            }
            Finding::CannotSay | Finding::Invalid => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(visible(&rule.why));
                status
            }
        };
        let mut case = TestCase::new(visible(&rule.rule), status);
        case.set_classname("shadowtap.gate");
        case.set_time(Duration::ZERO);
        suite.add_test_case(case);
    }
    suite.add_test_case(verdict(report));
    suite
}

/// The verdict itself, so that a run without a verdict does not look like one that passed.
fn verdict(report: &Report<'_>) -> TestCase {
    let judgement = report.judgement;
    let status = match judgement.verdict {
        Verdict::Pass => TestCaseStatus::success(),
        verdict => {
            let kind = if verdict == Verdict::Fail {
                NonSuccessKind::Failure
            } else {
                NonSuccessKind::Error
            };
            let mut status = TestCaseStatus::non_success(kind);
            status.set_type(verdict.name()).set_message(verdict.headline());
            status.set_description(
                judgement
                    .reasons
                    .iter()
                    .map(|reason| visible(reason))
                    .collect::<Vec<_>>()
                    .join("\n"),
            );
            status
        }
    };
    let mut case = TestCase::new("verdict", status);
    case.set_classname("shadowtap.gate");
    // All of it took as long as the replay.
    case.set_time(took(report.summary.took_ns));
    case
}

/// Without what XML 1.0 forbids and what a reader cannot see.
fn visible(text: &str) -> String {
    text::visible(text).into_owned()
}
