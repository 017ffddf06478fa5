//! `junit.xml`: a test suite with a case for every route, and one with a case for every rule of the
//! gate.

use quick_junit::{NonSuccessKind, Report as Document, TestCase, TestCaseStatus, TestSuite};

use super::{Report, text, what};
use crate::gate::{Finding, RuleResult, Verdict, words};

/// `junit.xml`.
pub fn write(report: &Report<'_>) -> Vec<u8> {
    let mut document = Document::new("shadowtap");
    document.add_test_suite(routes(report));
    document.add_test_suite(rules(report));
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
            let mut status = TestCaseStatus::skipped();
            status.set_message(visible(&of_route[0].why));
            status
        } else {
            TestCaseStatus::success()
        };
        let mut case = TestCase::new(visible(name), status);
        case.set_classname("shadowtap.routes");
        suite.add_test_case(case);
    }
    suite
}

/// A case for every rule over all exchanges, and for every condition of a run that is to be
/// trusted.
fn rules(report: &Report<'_>) -> TestSuite {
    let mut suite = TestSuite::new("gate");
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
    case
}

/// Without what XML 1.0 forbids and what a reader cannot see.
fn visible(text: &str) -> String {
    text::visible(text).into_owned()
}
